/* The life of a host: forks, exits, signals, files at their limit and closes,
 * while its threads are in the middle of calls. */
#include "entries.h"
#include "leaks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 4 };

static acervo *db;
static atomic_bool stop;
static atomic_int refused;
static pthread_t workers[WORKERS];

/* What a call may give when the database was closed under it. */
static void note(int32_t code)
{
    CHECK(code == ACERVO_OK || code == ACERVO_INTERNAL);
    if (code != ACERVO_OK)
        refused++;
}

/* Calls of all kinds, until told to stop, or refused. */
static void *work(void *number)
{
    int own = *(int *)number, before = refused;
    acervo_kv *store = NULL, *registry = NULL;
    note(acervo_kv_store(db, "life", ACERVO_NTS, &store, NULL));
    note(acervo_kv_registry(db, &registry, NULL));
    for (int round = 0; !stop && refused == before; round++) {
        acervo_value *value = acervo_value_int(round), *found = NULL, *list = NULL;
        acervo_snapshot *snapshot = NULL;
        char key[32];
        snprintf(key, sizeof key, "key%d.%d", own, round % 50);
        note(acervo_kv_put(store, key, ACERVO_NTS, value, NULL));
        note(acervo_kv_put(registry, key, ACERVO_NTS, value, NULL));
        note(acervo_kv_incr(store, "sum", ACERVO_NTS, 1, NULL, NULL));
        if (acervo_kv_get(store, key, ACERVO_NTS, &found, NULL, NULL) == ACERVO_OK)
            acervo_value_free(found);
        note(acervo_kv_keys(store, "key", ACERVO_NTS, &list, NULL));
        acervo_value_free(list);
        if (round % 8 == 0 && acervo_snapshot_current(db, &snapshot, NULL) == ACERVO_OK) {
            acervo_changes *changes = acervo_changes_new(snapshot);
            char id[32];
            acervo_entry *entry;
            snprintf(id, sizeof id, "life:%d.%d", own, round);
            entry = entry_of(id, "test", NULL, NULL);
            note(acervo_changes_create(changes, entry, NULL));
            note(acervo_changes_apply(changes, NULL, NULL));
            acervo_entry_free(entry);
            acervo_changes_free(changes);
            acervo_snapshot_free(snapshot);
        }
        if (round % 64 == 63)
            note(acervo_flush(db, NULL));
        acervo_value_free(value);
    }
    acervo_kv_free(store);
    acervo_kv_free(registry);
    return NULL;
}

static void start_work(const char *path)
{
    static int numbers[WORKERS];
    db = open_with(path, "{\"durability\": \"normal\", \"flush_interval_ms\": 1}");
    stop = false;
    refused = 0;
    for (int i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&workers[i], NULL, work, &numbers[i]) == 0);
    }
}

static void end_work(void)
{
    stop = true;
    for (int i = 0; i < WORKERS; i++)
        CHECK(pthread_join(workers[i], NULL) == 0);
}

static void check_is_sound(const char *path)
{
    acervo *opened = open_database(path);
    acervo_value *report = NULL, *ok = NULL;
    bool is_sound = false;
    CHECK_OK(acervo_check(opened, &report, ERR));
    CHECK_OK(acervo_value_get(report, "ok", ACERVO_NTS, &ok, ERR));
    CHECK_OK(acervo_value_as_bool(ok, &is_sound, ERR));
    CHECK(is_sound);
    acervo_value_free(ok);
    acervo_value_free(report);
    close_database(opened);
}

/* A child that is made while every lock may be held. */
static void in_child(const char *path, int round)
{
    acervo *own;
    acervo_kv *kv = NULL;
    char key[32];
    CHECK_FAILS(acervo_flush(db, ERR), ACERVO_FORKED, "fork");
    own = open_with(path, "{\"durability\": \"normal\"}");
    kv = store_of(own, "child");
    snprintf(key, sizeof key, "round%d", round);
    put_int(kv, key, round);
    apply_create(own, key, "1");
    acervo_kv_free(kv);
    close_database(own);
    acervo_free(db);
    _exit(0);
}

static void forking_while_all_threads_write_hangs_and_loses_nothing(void)
{
    enum { ROUNDS = 25 };
    const char *path = scratch_path("fork.db");
    acervo_kv *kv;
    start_work(path);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(30); /* a lock that its thread took along */
            in_child(path, round);
        }
        CHECK_CHILD(child);
    }
    end_work();
    CHECK_INT(refused, 0);
    kv = store_of(db, "child");
    for (int round = 0; round < ROUNDS; round++) {
        char key[32];
        snprintf(key, sizeof key, "round%d", round);
        CHECK_INT(int_of(kv, key), round);
    }
    acervo_kv_free(kv);
    close_database(db);
    check_is_sound(path);
}

static void exiting_while_threads_are_in_calls_ends_and_leaves_a_sound_file(void)
{
    for (int round = 0; round < 6; round++) {
        char name[32];
        const char *path;
        pid_t child;
        snprintf(name, sizeof name, "exit%d.db", round);
        path = scratch_path(name);
        fflush(NULL);
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            acervo_kv *kv;
            alarm(30);
            leaks_are_meant();
            start_work(path);
            sleep_ms(20 * (round + 1));
            kv = registry_of(db);
            put_int(kv, "last words", round);
            /* Neither stopped nor joined, freed nor closed. */
            exit(0);
        }
        CHECK_CHILD(child);
        check_is_sound(path);
        db = open_database(path);
        {
            acervo_kv *kv = registry_of(db);
            CHECK_INT(int_of(kv, "last words"), round);
            acervo_kv_free(kv);
        }
        close_database(db);
    }
}

static void closing_while_threads_are_in_calls_of_all_kinds_ends_them_with_an_error(void)
{
    for (int round = 0; round < 12; round++) {
        char name[32];
        const char *path;
        snprintf(name, sizeof name, "close%d.db", round);
        path = scratch_path(name);
        start_work(path);
        sleep_ms(5 + 3 * round);
        CHECK_OK(acervo_close(db, ERR));
        /* Each comes to its end by itself. */
        for (int i = 0; i < WORKERS; i++)
            CHECK(pthread_join(workers[i], NULL) == 0);
        CHECK(refused > 0);
        acervo_free(db);
        check_is_sound(path);
    }
}

static atomic_long signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static void a_storm_of_signals_disturbs_no_call(void)
{
    /* No SA_RESTART: what can be interrupted is. */
    struct sigaction action = {.sa_handler = count_signal}, before;
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    const char *path = scratch_path("signals.db"), *to = scratch_path("signals-copy.db");
    CHECK(sigaction(SIGALRM, &action, &before) == 0);
    start_work(path);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (long waited = 0; signals < 2000 && waited < 20000; waited++)
        sleep_ms(1);
    CHECK_OK(acervo_backup(db, to, ACERVO_NTS, ERR));
    check_is_sound(to);
    end_work();
    CHECK_INT(refused, 0);
    CHECK(signals > 100);
    close_database(db);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(sigaction(SIGALRM, &before, NULL) == 0);
    check_is_sound(path);
}

/* The signals that each thread of ours blocks, from /proc. */
static void the_threads_of_the_library_block_all_signals(void)
{
    acervo *opened = open_with(scratch_path("mask.db"), "{\"flush_interval_ms\": 1}");
    acervo_kv *kv = registry_of(opened);
    acervo_feed *feed = NULL;
    int found = 0;
    put_int(kv, "k", 1);
    CHECK_OK(acervo_events(opened, 16, &feed, ERR));
    for (int waited = 0; found < 2 && waited < 5000; waited++) {
        char command[256], name[64];
        unsigned long long mask;
        FILE *list;
        snprintf(command, sizeof command,
                 "for t in /proc/%d/task/*; do n=$(cat $t/comm); case $n in acervo-*) "
                 "echo $n $(grep SigBlk $t/status | cut -f2);; esac; done",
                 getpid());
        list = popen(command, "r");
        CHECK(list != NULL);
        found = 0;
        while (fscanf(list, "%63s %llx", name, &mask) == 2) {
            /* But for those that cannot be, and the two of the C library. */
            unsigned long long all = ~0ull & ~(1ull << (SIGKILL - 1)) & ~(1ull << (SIGSTOP - 1)) &
                                     ~(3ull << 31);
            CHECK((mask & all) == all);
            found++;
        }
        pclose(list);
        sleep_ms(1);
    }
    CHECK_INT(found, 2);
    acervo_feed_free(feed);
    acervo_kv_free(kv);
    close_database(opened);
}

static void with_no_descriptor_left(void)
{
    struct rlimit limit;
    acervo *opened = NULL;
    acervo *open_before = open_database(scratch_path("before.db"));
    acervo_kv *kv = store_of(open_before, NULL), *registry = registry_of(open_before);
    acervo_snapshot *snapshot = NULL;
    acervo_feed *feed = NULL;
    int taken[4096], count = 0;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 64;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (count < 4096 && (taken[count] = dup(0)) >= 0)
        count++;
    CHECK_INT(errno, EMFILE);
    /* What is open goes on. */
    put_int(kv, "k", 1);
    CHECK_HOLDS(kv, "k", "1");
    put_int(registry, "k", 2);
    CHECK_OK(acervo_flush(open_before, ERR));
    /* What needs another descriptor says so; at every number of them. */
    for (int free_ones = 0; free_ones < 12; free_ones++) {
        int32_t code = acervo_open(scratch_path("after.db"), ACERVO_NTS, NULL, &opened, ERR);
        if (code == ACERVO_OK) {
            CHECK(free_ones > 3);
            close_database(opened);
            break;
        }
        CHECK_FAILS(code, ACERVO_UNAVAILABLE, "");
        CHECK(opened == NULL);
        close(taken[--count]);
    }
    while (count < 4096 && (taken[count] = dup(0)) >= 0)
        count++;
    CHECK_FAILS(acervo_backup(open_before, scratch_path("copy.db"), ACERVO_NTS, ERR),
                ACERVO_UNAVAILABLE, "");
    CHECK(access(scratch_path("copy.db"), F_OK) != 0);
    CHECK_FAILS(acervo_snapshot_current(open_before, &snapshot, ERR), ACERVO_UNAVAILABLE, "");
    while (count > 0)
        close(taken[--count]);
    /* All works again. */
    opened = open_database(scratch_path("after.db"));
    close_database(opened);
    CHECK_OK(acervo_snapshot_current(open_before, &snapshot, ERR));
    acervo_snapshot_free(snapshot);
    apply_create(open_before, "a:1", "1");
    while (count < 4096 && (taken[count] = dup(0)) >= 0)
        count++;
    /* A feed takes one when it is asked for it. */
    CHECK_OK(acervo_events(open_before, 16, &feed, ERR));
    CHECK(acervo_feed_fd(feed) < 0);
    /* Versions need none. */
    apply_create(open_before, "a:2", "1");
    while (count > 0)
        close(taken[--count]);
    CHECK(acervo_feed_fd(feed) >= 0);
    acervo_feed_free(feed);
    CHECK_OK(acervo_backup(open_before, scratch_path("copy.db"), ACERVO_NTS, ERR));
    check_is_sound(scratch_path("copy.db"));
    acervo_kv_free(kv);
    acervo_kv_free(registry);
    close_database(open_before);
    check_is_sound(scratch_path("before.db"));
}

static void without_descriptors_calls_are_unavailable_and_work_again_afterwards(void)
{
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        with_no_descriptor_left();
        _exit(0);
    }
    CHECK_CHILD(child);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(forking_while_all_threads_write_hangs_and_loses_nothing),
        TEST(exiting_while_threads_are_in_calls_ends_and_leaves_a_sound_file),
        TEST(closing_while_threads_are_in_calls_of_all_kinds_ends_them_with_an_error),
        TEST(a_storm_of_signals_disturbs_no_call),
        TEST(the_threads_of_the_library_block_all_signals),
        TEST(without_descriptors_calls_are_unavailable_and_work_again_afterwards),
    };
    return RUN_TESTS(cases, argc, argv);
}
