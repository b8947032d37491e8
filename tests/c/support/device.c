#include "device.h"

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Below the scratch directory: what programs work on, what is on the device,
 * and what a cut leaves. On the device a content has the number of its inode
 * for a name, and a name is a file that holds that number. */
static char live[PATH_MAX], device[PATH_MAX], left[PATH_MAX], file[PATH_MAX];

enum { NOT_ARMED, IN_LOG, IN_DIRECTORY };
static int kills, failing, failing_error, syncs;

static void remove_all(const char *directory)
{
    char path[PATH_MAX * 2];
    struct dirent *entry;
    DIR *open = opendir(directory);
    if (open == NULL)
        return;
    while ((entry = readdir(open)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        unlink(path);
    }
    closedir(open);
}

static void make(char *directory, const char *name)
{
    snprintf(directory, PATH_MAX, "%s/%s", scratch_directory(), name);
    remove_all(directory);
    CHECK(mkdir(directory, 0700) == 0 || errno == EEXIST);
}

const char *device_begin(const char *name)
{
    make(live, "live");
    make(device, "device");
    make(left, "left");
    snprintf(file, sizeof file, "%s", scratch_path("live"));
    strcat(strcat(file, "/"), name);
    return file;
}

void device_kill_in_sync(bool of_directory)
{
    kills = of_directory ? IN_DIRECTORY : IN_LOG;
}

void device_fail_directory_syncs(int times, int error)
{
    failing = times;
    failing_error = error;
}

int device_syncs(void)
{
    return __atomic_exchange_n(&syncs, 0, __ATOMIC_SEQ_CST);
}

/* Copies what a descriptor leads to, or the file at a path; no stdio, since
 * this runs below the library's calls. */
static void copy(int from, const char *to)
{
    char bytes[65536];
    ssize_t count;
    off_t at = 0;
    int into = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(into >= 0);
    while ((count = (ssize_t)syscall(SYS_pread64, from, bytes, sizeof bytes, at)) > 0) {
        CHECK(write(into, bytes, (size_t)count) == count);
        at += count;
    }
    CHECK(count == 0);
    close(into);
}

static void note_names(void)
{
    char path[PATH_MAX * 2], number[32];
    struct dirent *entry;
    struct stat info;
    DIR *open = opendir(live);
    CHECK(open != NULL);
    remove_all(scratch_path("device/names"));
    mkdir(scratch_path("device/names"), 0700);
    while ((entry = readdir(open)) != NULL) {
        int into;
        snprintf(path, sizeof path, "%s/%s", live, entry->d_name);
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
            continue;
        snprintf(path, sizeof path, "%s/names/%s", device, entry->d_name);
        snprintf(number, sizeof number, "%llu", (unsigned long long)info.st_ino);
        into = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        CHECK(into >= 0 && write(into, number, strlen(number)) == (ssize_t)strlen(number));
        close(into);
    }
    closedir(open);
}

const char *device_cut(void)
{
    char path[PATH_MAX * 2], number[32];
    struct dirent *entry;
    DIR *names = opendir(scratch_path("device/names"));
    remove_all(left);
    while (names != NULL && (entry = readdir(names)) != NULL) {
        int from;
        ssize_t count;
        snprintf(path, sizeof path, "%s/names/%s", device, entry->d_name);
        from = open(path, O_RDONLY);
        count = from < 0 ? -1 : read(from, number, sizeof number - 1);
        close(from);
        if (count <= 0)
            continue;
        number[count] = 0;
        snprintf(path, sizeof path, "%s/%s", device, number);
        from = open(path, O_RDONLY);
        /* A file that was never synced has its name and no content. */
        if (from < 0)
            from = open("/dev/null", O_RDONLY);
        snprintf(path, sizeof path, "%s/%s", left, entry->d_name);
        copy(from, path);
        close(from);
    }
    if (names != NULL)
        closedir(names);
    snprintf(path, sizeof path, "left%s", strrchr(file, '/'));
    return scratch_path(path);
}

static int sync_noted(long call, int fd)
{
    char link[64], path[PATH_MAX], to[PATH_MAX * 2];
    struct stat info;
    ssize_t length;
    bool is_directory, is_file;
    int result;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    is_directory = live[0] != 0 && strcmp(path, live) == 0;
    is_file = live[0] != 0 && strncmp(path, live, strlen(live)) == 0 && path[strlen(live)] == '/';
    __atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
    CHECK(fstat(fd, &info) == 0);
    /* 32: a log's own header comes before the frames, with a sync. */
    if ((kills == IN_DIRECTORY && is_directory)
        || (kills == IN_LOG && is_file && strstr(path, "-wal") != NULL && info.st_size > 32))
        kill(getpid(), SIGKILL);
    if (is_directory && failing > 0) {
        failing--;
        errno = failing_error;
        return -1;
    }
    result = (int)syscall(call, fd);
    if (result == 0 && is_directory) {
        note_names();
    } else if (result == 0 && is_file) {
        snprintf(to, sizeof to, "%s/%llu", device, (unsigned long long)info.st_ino);
        copy(fd, to);
    }
    return result;
}

int fsync(int fd)
{
    return sync_noted(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_noted(SYS_fdatasync, fd);
}

/* --------------------------------------------------------- calls that fail */

static int open_in, open_error, read_in, read_error;

bool fail_open(int nth, int error)
{
    bool has_failed = open_in == 0;
    open_in = nth;
    open_error = error;
    return has_failed;
}

bool fail_read(int nth, int error)
{
    bool has_failed = read_in == 0;
    read_in = nth;
    read_error = error;
    return has_failed;
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    int mode;
    va_start(more, flags);
    mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, int) : 0;
    va_end(more);
    if (open_in > 0 && strstr(path, ".db") != NULL && --open_in == 0) {
        errno = open_error;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at)
{
    if (read_in > 0 && --read_in == 0) {
        errno = read_error;
        return -1;
    }
    return (ssize_t)syscall(SYS_pread64, fd, bytes, count, at);
}
