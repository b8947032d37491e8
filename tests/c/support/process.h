/* Children that are programs of their own: this program, run again with other
 * arguments. A forked copy would inherit the library's state. */
#ifndef ACERVO_TESTS_PROCESS_H
#define ACERVO_TESTS_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct process {
    pid_t pid;
    int to, from; /* its standard input and output */
} process;

/* Starts this program with `role` and `argument`. */
process start_process(const char *role, const char *argument);
/* Waits for it and checks that it ended well. */
void finish_process(process *child);
/* Waits for it however it ended. */
void reap_process(process *child);

/* Exactly that many bytes; ends the process if they cannot be had. */
void send_bytes(int fd, const void *bytes, size_t length);
void receive_bytes(int fd, void *bytes, size_t length);
/* As receive_bytes; false at the end of what was sent. */
int try_receive_bytes(int fd, void *bytes, size_t length);

int64_t monotonic_ms(void);

#endif
