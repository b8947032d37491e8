/* Many threads on one database. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 500 };

static acervo *db;

typedef struct worker {
    acervo_kv *kv;
    int number;
    pthread_t thread;
} worker;

/* Runs `body` on all threads, each with a kv handle of its own. */
static void on_all_threads(acervo_kv *(*open_kv)(void), void *(*body)(void *))
{
    worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i].kv = open_kv();
        workers[i].number = i;
        CHECK(pthread_create(&workers[i].thread, NULL, body, &workers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        acervo_kv_free(workers[i].kv);
    }
}

static acervo_kv *open_registry(void) { return registry_of(db); }
static acervo_kv *open_store(void) { return store_of(db, "threads"); }

static void *increment(void *argument)
{
    worker *self = argument;
    for (int i = 0; i < ROUNDS; i++)
        CHECK_OK(acervo_kv_incr(self->kv, "n", 1, 1, NULL, ERR));
    check_error_slot();
    return NULL;
}

static void no_increment_is_lost(void)
{
    acervo_kv *kv;
    db = open_with(scratch_path("incr.db"), "{\"durability\":\"normal\"}");
    on_all_threads(open_registry, increment);
    on_all_threads(open_store, increment);
    kv = registry_of(db);
    CHECK_INT(int_of(kv, "n"), THREADS * ROUNDS);
    acervo_kv_free(kv);
    kv = store_of(db, "threads");
    CHECK_INT(int_of(kv, "n"), THREADS * ROUNDS);
    acervo_kv_free(kv);
    close_database(db);
}

/* Adds 1 to the number inside {"n": ...} by reading and swapping. */
static void add_by_cas(acervo_kv *kv)
{
    bool stored = false;
    while (!stored) {
        acervo_value *before = NULL, *part = NULL, *after;
        int64_t number = 0;
        char text[40];
        int32_t code = acervo_kv_get(kv, "m", 1, &before, NULL, ERR);
        if (code != ACERVO_NOT_FOUND) {
            CHECK_INT(code, ACERVO_OK);
            CHECK_OK(acervo_value_get(before, "n", 1, &part, ERR));
            CHECK_OK(acervo_value_as_int(part, &number, ERR));
        }
        snprintf(text, sizeof text, "{\"n\":%lld}", (long long)number + 1);
        after = json(text);
        CHECK_OK(acervo_kv_cas(kv, "m", 1, before, after, &stored, ERR));
        acervo_value_free(before);
        acervo_value_free(part);
        acervo_value_free(after);
    }
}

static void *swap(void *argument)
{
    worker *self = argument;
    for (int i = 0; i < ROUNDS / 5; i++)
        add_by_cas(self->kv);
    check_error_slot();
    return NULL;
}

static void no_swap_is_lost(void)
{
    char expected[40];
    acervo_kv *kv;
    db = open_with(scratch_path("cas.db"), "{\"durability\":\"normal\"}");
    snprintf(expected, sizeof expected, "{\"n\":%d}", THREADS * (ROUNDS / 5));
    on_all_threads(open_registry, swap);
    kv = registry_of(db);
    CHECK_HOLDS(kv, "m", expected);
    acervo_kv_free(kv);
    on_all_threads(open_store, swap);
    kv = store_of(db, "threads");
    CHECK_HOLDS(kv, "m", expected);
    acervo_kv_free(kv);
    close_database(db);
}

static void *put_and_read_whole_values(void *argument)
{
    worker *self = argument;
    char text[400];
    /* An array of equal numbers: a torn read would mix them. */
    size_t length = (size_t)snprintf(text, sizeof text, "[%d", self->number);
    acervo_value *mine;
    for (int i = 0; i < 99; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, ",%d", self->number);
    snprintf(text + length, sizeof text - length, "]");
    mine = json(text);
    for (int i = 0; i < ROUNDS; i++) {
        acervo_value *seen = NULL, *first = NULL, *last = NULL;
        CHECK_OK(acervo_kv_put(self->kv, "k", 1, mine, ERR));
        CHECK_OK(acervo_kv_get(self->kv, "k", 1, &seen, NULL, ERR));
        CHECK_INT(acervo_value_len(seen), 100);
        CHECK_OK(acervo_value_at(seen, 0, &first, ERR));
        CHECK_OK(acervo_value_at(seen, 99, &last, ERR));
        CHECK(acervo_value_equal(first, last));
        acervo_value_free(seen);
        acervo_value_free(first);
        acervo_value_free(last);
    }
    acervo_value_free(mine);
    check_error_slot();
    return NULL;
}

static void a_read_sees_one_whole_put(void)
{
    db = open_with(":memory:", "{}");
    on_all_threads(open_registry, put_and_read_whole_values);
    close_database(db);
}

static acervo_kv *shared_kv;

static acervo_kv *share_one(void) { return NULL; }

static void *increment_shared(void *argument)
{
    worker self = *(worker *)argument;
    self.kv = shared_kv;
    return increment(&self);
}

static void one_kv_handle_serves_all_threads(void)
{
    db = open_database(":memory:");
    shared_kv = registry_of(db);
    on_all_threads(share_one, increment_shared);
    CHECK_INT(int_of(shared_kv, "n"), THREADS * ROUNDS);
    acervo_kv_free(shared_kv);
    close_database(db);
}

static void *share_a_value(void *argument)
{
    acervo_value *value = argument;
    for (int i = 0; i < 20000; i++) {
        acervo_value *copy = acervo_value_retain(value);
        CHECK_INT(acervo_value_len(copy), 3);
        acervo_value_free(copy);
    }
    return NULL;
}

static void a_value_may_be_shared_and_freed_on_any_thread(void)
{
    pthread_t threads[THREADS];
    acervo_value *value = json("[1,2,3]");
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, share_a_value, value) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_JSON(value, "[1,2,3]");
    acervo_value_free(value);
}

static void *open_put_close(void *argument)
{
    const char *path = argument;
    for (int i = 0; i < 20; i++) {
        acervo *mine = open_database(path);
        acervo_kv *kv = registry_of(mine);
        CHECK_OK(acervo_kv_incr(kv, "opens", 5, 1, NULL, ERR));
        acervo_kv_free(kv);
        close_database(mine);
    }
    check_error_slot();
    return NULL;
}

static void opening_and_closing_on_all_threads_loses_nothing(void)
{
    pthread_t threads[THREADS];
    char path[4200];
    acervo_kv *kv;
    snprintf(path, sizeof path, "%s/opens.db", scratch_directory());
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, open_put_close, path) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    db = open_database(path);
    kv = registry_of(db);
    CHECK_INT(int_of(kv, "opens"), THREADS * 20);
    acervo_kv_free(kv);
    close_database(db);
}

static atomic_bool stop;

static void *read_until_stopped(void *argument)
{
    worker *self = argument;
    while (!atomic_load(&stop)) {
        int32_t code = acervo_kv_get(self->kv, "k", 1, NULL, NULL, NULL);
        if (code == ACERVO_INTERNAL)
            return NULL; /* closed */
        CHECK(code == ACERVO_OK || code == ACERVO_NOT_FOUND);
    }
    return NULL;
}

static void closing_while_others_read_ends_their_reads_with_an_error(void)
{
    for (int round = 0; round < 20; round++) {
        worker readers[4];
        atomic_store(&stop, false);
        db = open_database(":memory:");
        for (int i = 0; i < 4; i++) {
            readers[i].kv = registry_of(db);
            CHECK(pthread_create(&readers[i].thread, NULL, read_until_stopped, &readers[i]) == 0);
        }
        sleep_ms(2);
        CHECK_OK(acervo_close(db, ERR));
        for (int i = 0; i < 4; i++) {
            CHECK(pthread_join(readers[i].thread, NULL) == 0);
            CHECK_INT(acervo_kv_get(readers[i].kv, "k", 1, NULL, NULL, NULL), ACERVO_INTERNAL);
            acervo_kv_free(readers[i].kv);
        }
        acervo_free(db);
    }
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(no_increment_is_lost),
        TEST(no_swap_is_lost),
        TEST(a_read_sees_one_whole_put),
        TEST(one_kv_handle_serves_all_threads),
        TEST(a_value_may_be_shared_and_freed_on_any_thread),
        TEST(opening_and_closing_on_all_threads_loses_nothing),
        TEST(closing_while_others_read_ends_their_reads_with_an_error),
    };
    return RUN_TESTS(cases, argc, argv);
}
