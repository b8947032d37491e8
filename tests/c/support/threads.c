#include "threads.h"

#include "check.h"

pthread_t start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

void join(pthread_t thread) { CHECK(pthread_join(thread, NULL) == 0); }

void happen(moment *own)
{
    pthread_mutex_lock(&own->lock);
    own->happened = true;
    pthread_cond_broadcast(&own->changed);
    pthread_mutex_unlock(&own->lock);
}

void await(moment *own)
{
    pthread_mutex_lock(&own->lock);
    while (!own->happened)
        pthread_cond_wait(&own->changed, &own->lock);
    pthread_mutex_unlock(&own->lock);
}
