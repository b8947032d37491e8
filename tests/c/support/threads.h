/* Threads, and events that they wait for. */
#ifndef ACERVO_TESTS_THREADS_H
#define ACERVO_TESTS_THREADS_H

#include <pthread.h>
#include <stdbool.h>

/* Both end the process on failure. */
pthread_t start(void *(*body)(void *), void *argument);
void join(pthread_t thread);

/* Something that happens once. */
typedef struct event {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool happened;
} event;
#define EVENT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false}

void happen(event *own);
/* Waits for it, for good. */
void await(event *own);

#endif
