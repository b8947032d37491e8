/* A host that loads the library by dlopen, uses it, lets it go, and again. It
 * is not linked with it. */
#include "acervo.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(condition)                                                             \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);         \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

static void *find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    MUST(found != NULL);
    return found;
}

/* ISO C knows no way from an object to a function. */
#define FUNCTION(type, library, name)                            \
    type name;                                                   \
    do {                                                         \
        void *address = find(library, "acervo_" #name);          \
        memcpy(&name, &address, sizeof address);                 \
    } while (0)

typedef int32_t (*open_fn)(const char *, size_t, const acervo_options *, acervo **, acervo_error **);
typedef int32_t (*kv_fn)(acervo *, acervo_kv **, acervo_error **);
typedef int32_t (*incr_fn)(acervo_kv *, const char *, size_t, int64_t, int64_t *, acervo_error **);
typedef int32_t (*close_fn)(acervo *, acervo_error **);
typedef void (*free_fn)(acervo *);
typedef void (*kv_free_fn)(acervo_kv *);

static char path[4096];

/* One turn on a thread of its own, which ends after the library was let go. */
static void *turn(void *number)
{
    int64_t expected = *(int64_t *)number, sum = 0;
    void *library = dlopen(getenv("ACERVO_TEST_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
    acervo *db = NULL;
    acervo_kv *registry = NULL;
    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    MUST(library != NULL);
    FUNCTION(open_fn, library, open);
    FUNCTION(kv_fn, library, kv_registry);
    FUNCTION(incr_fn, library, kv_incr);
    FUNCTION(close_fn, library, close);
    FUNCTION(free_fn, library, free);
    FUNCTION(kv_free_fn, library, kv_free);
    MUST(open(path, ACERVO_NTS, NULL, &db, NULL) == ACERVO_OK);
    MUST(kv_registry(db, &registry, NULL) == ACERVO_OK);
    /* Starts the background thread. */
    MUST(kv_incr(registry, "sum", ACERVO_NTS, 1, &sum, NULL) == ACERVO_OK);
    MUST(sum == expected);
    kv_free(registry);
    if (expected % 2 == 0)
        MUST(close(db, NULL) == ACERVO_OK);
    /* Without a close, a thread of the library's does it, unloaded or not. */
    free(db);
    MUST(dlclose(library) == 0);
    return NULL;
}

int main(void)
{
    MUST(getenv("ACERVO_TEST_LIBRARY") != NULL && getenv("ACERVO_TEST_DIR") != NULL);
    snprintf(path, sizeof path, "%s/unload-%d.db", getenv("ACERVO_TEST_DIR"), getpid());
    for (int64_t number = 1; number <= 12; number++) {
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, turn, &number) == 0);
        MUST(pthread_join(thread, NULL) == 0);
    }
    for (size_t i = 0; i < 4; i++) {
        static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
        char file[4200];
        snprintf(file, sizeof file, "%s%s", path, suffixes[i]);
        unlink(file);
    }
    return 0;
}
