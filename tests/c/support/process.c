#include "process.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

process start_process(const char *role, const char *argument)
{
    int down[2], up[2];
    process child;
    fflush(NULL);
    CHECK(pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0);
    child.pid = fork();
    CHECK(child.pid >= 0);
    if (child.pid == 0) {
        dup2(down[0], STDIN_FILENO);
        dup2(up[1], STDOUT_FILENO);
        execl("/proc/self/exe", role, role, argument, (char *)NULL);
        _exit(127);
    }
    close(down[0]);
    close(up[1]);
    child.to = down[1];
    child.from = up[0];
    return child;
}

void finish_process(process *child)
{
    close(child->to);
    CHECK_CHILD(child->pid);
    close(child->from);
}

void reap_process(process *child)
{
    int status;
    CHECK(waitpid(child->pid, &status, 0) == child->pid);
    close(child->to);
    close(child->from);
}

void send_bytes(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t written = write(fd, at, length);
        if (written < 0 && errno == EINTR)
            continue;
        CHECK(written > 0);
        at += written;
        length -= (size_t)written;
    }
}

int try_receive_bytes(int fd, void *bytes, size_t length)
{
    char *at = bytes;
    while (length > 0) {
        ssize_t got = read(fd, at, length);
        if (got < 0 && errno == EINTR)
            continue;
        CHECK(got >= 0);
        if (got == 0)
            return 0;
        at += got;
        length -= (size_t)got;
    }
    return 1;
}

void receive_bytes(int fd, void *bytes, size_t length)
{
    CHECK(try_receive_bytes(fd, bytes, length));
}

int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
