#include "small_disk.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NO_DISK = 77 };

void fill_disk(const char *path, long left)
{
    static char block[65536];
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    off_t size = 0;
    CHECK(fd >= 0);
    memset(block, 'f', sizeof block);
    for (;;) {
        ssize_t written = write(fd, block, sizeof block);
        if (written <= 0)
            break;
        size += written;
    }
    CHECK(size > 1024 * 1024);
    CHECK(ftruncate(fd, size - left) == 0);
    close(fd);
}

/* It goes with the process. */
static bool mount_small_disk(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", scratch_path("small"), "tmpfs", 0, "size=8m") == 0;
}

void on_small_disk(void (*body)(void))
{
    pid_t child;
    int status = 0;
    CHECK(mkdir(scratch_path("small"), 0755) == 0 || errno == EEXIST);
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (!mount_small_disk())
            _exit(NO_DISK);
        body();
        fflush(NULL);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_DISK)
        SKIP(getuid() != 0 ? "needs root to mount a small tmpfs"
                           : "this machine allows no mount");
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
}
