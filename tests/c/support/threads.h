/* Threads, and moments that they wait for. */
#ifndef ACERVO_TESTS_THREADS_H
#define ACERVO_TESTS_THREADS_H

#include <pthread.h>
#include <stdbool.h>

/* Both end the process on failure. */
pthread_t start(void *(*body)(void *), void *argument);
void join(pthread_t thread);

/* Something that happens once. */
typedef struct moment {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool happened;
} moment;
#define MOMENT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false}

void happen(moment *own);
/* Waits for it, for good. */
void await(moment *own);

#endif
