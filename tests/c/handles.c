/* Handles: several on one file, their ends in any order, and the log hook. */
#include "check.h"
#include "leaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------ shared state */

static void check_one_state(acervo *a, acervo *b)
{
    acervo_kv *in_a = registry_of(a), *in_b = registry_of(b);
    /* The registry is written behind: only shared memory shows a put at once. */
    put_int(in_a, "shared", 1);
    CHECK_HOLDS(in_b, "shared", "1");
    CHECK_OK(acervo_kv_incr(in_b, "shared", ACERVO_NTS, 1, NULL, ERR));
    CHECK_HOLDS(in_a, "shared", "2");
    acervo_kv_free(in_a);
    acervo_kv_free(in_b);
}

static void two_opens_of_a_file_share_one_state(void)
{
    const char *path = scratch_path("two.db");
    acervo *a = open_with(path, "{\"flush_interval_ms\":600000}"), *b = open_database(path);
    CHECK(a != b);
    check_one_state(a, b);
    close_database(a);
    close_database(b);
}

static void a_file_is_one_whatever_name_it_is_opened_by(void)
{
    const char *path = scratch_path("real.db"), *soft = scratch_path("link.db");
    const char *hard = scratch_path("hard.db");
    char roundabout[4200];
    acervo *a = open_with(path, "{\"flush_interval_ms\":600000}"), *b;
    snprintf(roundabout, sizeof roundabout, "%s/./../%s/real.db", scratch_directory(),
             strrchr(scratch_directory(), '/') + 1);
    CHECK(symlink(path, soft) == 0);
    b = open_database(soft);
    check_one_state(a, b);
    close_database(b);
    b = open_database(roundabout);
    check_one_state(a, b);
    close_database(b);
    CHECK(link(path, hard) == 0);
    b = open_database(hard);
    check_one_state(a, b);
    close_database(b);
    close_database(a);
}

static void relative_paths_and_later_changes_of_directory_do_not_matter(void)
{
    char before[4096];
    acervo *a, *b;
    CHECK(getcwd(before, sizeof before) != NULL);
    CHECK(chdir(scratch_directory()) == 0);
    a = open_with("relative.db", "{\"flush_interval_ms\":600000}");
    CHECK(chdir("/") == 0);
    b = open_database(scratch_path("relative.db"));
    check_one_state(a, b);
    close_database(a);
    close_database(b);
    CHECK(chdir(before) == 0);
}

static void a_path_is_never_read_as_a_uri(void)
{
    char before[4096];
    struct stat info;
    acervo *db;
    CHECK(getcwd(before, sizeof before) != NULL);
    CHECK(chdir(scratch_directory()) == 0);
    db = open_database("file:odd?mode=memory");
    close_database(db);
    CHECK(stat("file:odd?mode=memory", &info) == 0);
    CHECK(chdir(before) == 0);
}

static void every_memory_database_is_its_own(void)
{
    acervo *a = open_database(":memory:"), *b = open_database(":memory:");
    acervo_kv *in_a = registry_of(a), *in_b = registry_of(b);
    put_int(in_a, "k", 1);
    CHECK_MISSING(in_b, "k");
    acervo_kv_free(in_a);
    acervo_kv_free(in_b);
    close_database(a);
    close_database(b);
}

/* ------------------------------------------------------------ close and free */

static void closing_one_handle_leaves_the_others(void)
{
    const char *path = scratch_path("others.db");
    acervo *a = open_database(path), *b = open_database(path);
    acervo_kv *in_a = registry_of(a), *in_b = registry_of(b);
    put_int(in_a, "k", 1);
    CHECK_OK(acervo_close(a, ERR));
    CHECK_HOLDS(in_b, "k", "1");
    CHECK_FAILS(acervo_kv_get(in_a, "k", 1, NULL, NULL, ERR), ACERVO_INTERNAL, "closed");
    acervo_kv_free(in_a);
    acervo_kv_free(in_b);
    acervo_free(a);
    close_database(b);
}

static void every_call_after_close_says_that_it_is_closed(void)
{
    acervo *db = open_database(scratch_path("closed.db"));
    acervo_kv *kv = registry_of(db), *made = NULL;
    acervo_batch *batch = acervo_batch_new(kv);
    acervo_value *one = acervo_value_int(1), *out = NULL;
    acervo_error *err = NULL;
    uint64_t count = 0;
    put_int(kv, "k", 1);
    CHECK_OK(acervo_batch_put(batch, "b", 1, one, ERR));
    CHECK_OK(acervo_close(db, ERR));
    CHECK_FAILS(acervo_kv_put(kv, "k", 1, one, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_kv_get(kv, "k", 1, &out, NULL, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_kv_delete(kv, "k", 1, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_kv_incr(kv, "k", 1, 1, NULL, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_kv_cas(kv, "k", 1, NULL, one, NULL, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_kv_keys(kv, "", 0, &out, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_kv_count(kv, "", 0, &count, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_batch_commit(batch, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_flush(db, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_stats(db, &out, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_kv_registry(db, &made, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_kv_store(db, "a", 1, &made, ERR), ACERVO_INTERNAL, "closed");
    CHECK_INT(acervo_kv_put(kv, "k", 1, one, &err), ACERVO_INTERNAL);
    CHECK(!acervo_error_retryable(err));
    CHECK(strstr(acervo_error_message(err, NULL), "database is closed") != NULL);
    acervo_error_free(err);
    /* Again: no effect. */
    CHECK_OK(acervo_close(db, ERR));
    acervo_batch_free(batch);
    acervo_kv_free(kv);
    acervo_value_free(one);
    acervo_free(db);
}

static void references_of_a_handle_share_its_end(void)
{
    acervo *db = open_database(":memory:"), *same = acervo_retain(db);
    acervo_value *stats = NULL;
    CHECK(same == db);
    acervo_free(db);
    CHECK_OK(acervo_stats(same, &stats, ERR));
    acervo_value_free(stats);
    close_database(same);
}

/* Frees database, kv and batch in each of the six orders. */
static void handles_may_be_freed_in_any_order(void)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const char *path = scratch_path("orders.db");
    for (int order = 0; order < 6; order++) {
        acervo *db = open_database(path);
        acervo_kv *kv = store_of(db, "a");
        acervo_batch *batch = acervo_batch_new(kv);
        acervo_value *one = acervo_value_int(1);
        CHECK_OK(acervo_batch_put(batch, "b", 1, one, ERR));
        for (int step = 0; step < 3; step++) {
            switch (orders[order][step]) {
            case 0: acervo_free(db); break;
            case 1: acervo_kv_free(kv); break;
            default:
                CHECK_OK(acervo_batch_commit(batch, ERR));
                acervo_batch_free(batch);
            }
        }
        acervo_value_free(one);
    }
}

static void a_child_keeps_its_parents_alive(void)
{
    acervo *db = open_database(":memory:");
    acervo_kv *kv = registry_of(db);
    acervo_batch *batch = acervo_batch_new(kv);
    acervo_value *one = acervo_value_int(1);
    acervo_free(db);
    put_int(kv, "k", 1);
    CHECK_HOLDS(kv, "k", "1");
    acervo_kv_free(kv);
    CHECK_OK(acervo_batch_put(batch, "b", 1, one, ERR));
    CHECK_OK(acervo_batch_commit(batch, ERR));
    acervo_batch_free(batch);
    acervo_value_free(one);
}

static void freeing_the_last_reference_loses_no_put(void)
{
    const char *path = scratch_path("last.db");
    for (int round = 0; round < 20; round++) {
        acervo *db = open_with(path, "{\"flush_interval_ms\":600000}");
        acervo_kv *kv = registry_of(db);
        if (round > 0)
            CHECK_INT(int_of(kv, "round"), round - 1);
        put_int(kv, "round", round);
        acervo_kv_free(kv);
        acervo_free(db);
    }
}

/* -------------------------------------------------------------------- log */

typedef struct log_state {
    int messages, destroyed;
    int32_t last_level;
} log_state;

static void count_message(void *userdata, int32_t level, const char *message, size_t length)
{
    log_state *state = userdata;
    CHECK(level >= ACERVO_LOG_ERROR && level <= ACERVO_LOG_DEBUG);
    CHECK(message != NULL && strlen(message) == length);
    state->messages++;
    state->last_level = level;
}

static void count_destroy(void *userdata) { ((log_state *)userdata)->destroyed++; }

static void the_log_hook_is_destroyed_once_when_it_is_replaced(void)
{
    log_state first = {0}, second = {0};
    acervo *db = open_database(":memory:");
    CHECK_OK(acervo_set_log(db, count_message, &first, count_destroy, ERR));
    CHECK_INT(first.destroyed, 0);
    CHECK_OK(acervo_set_log(db, count_message, &second, count_destroy, ERR));
    CHECK_INT(first.destroyed, 1);
    CHECK_OK(acervo_set_log(db, NULL, NULL, NULL, ERR));
    CHECK_INT(first.destroyed, 1);
    CHECK_INT(second.destroyed, 1);
    close_database(db);
    CHECK_INT(second.destroyed, 1);
}

static void the_log_hook_is_destroyed_once_with_the_database(void)
{
    log_state state = {0};
    acervo *db = open_database(":memory:");
    CHECK_OK(acervo_set_log(db, count_message, &state, count_destroy, ERR));
    close_database(db);
    /* The background thread may be the one that ends it. */
    for (int i = 0; i < 200 && state.destroyed == 0; i++)
        sleep_ms(10);
    CHECK_INT(state.destroyed, 1);
}

static void a_log_hook_that_cannot_be_set_is_destroyed_at_once(void)
{
    log_state state = {0};
    acervo *db = open_database(":memory:");
    CHECK_FAILS(acervo_set_log(NULL, count_message, &state, count_destroy, ERR), ACERVO_INVALID,
                "");
    CHECK_INT(state.destroyed, 1);
    CHECK_OK(acervo_close(db, ERR));
    CHECK_FAILS(acervo_set_log(db, count_message, &state, count_destroy, ERR), ACERVO_INTERNAL,
                "closed");
    CHECK_INT(state.destroyed, 2);
    acervo_free(db);
}

static void a_log_hook_may_go_without_destroy(void)
{
    log_state state = {0};
    acervo *db = open_database(":memory:");
    CHECK_OK(acervo_set_log(db, count_message, &state, NULL, ERR));
    close_database(db);
}

/* ------------------------------------------------------------------ stats */

static void stats_tell_what_there_is(void)
{
    static const char *const names[] = {"keys", "bytes", "dirty_keys", "last_flush", "last_error"};
    acervo *db = open_database(scratch_path("stats.db"));
    acervo_kv *kv = registry_of(db);
    acervo_value *stats = NULL, *part = NULL;
    int64_t keys = 0;
    put_int(kv, "a", 1);
    put_int(kv, "b", 2);
    CHECK_OK(acervo_stats(db, &stats, ERR));
    CHECK_INT(acervo_value_type(stats), ACERVO_TYPE_MAP);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK_OK(acervo_value_get(stats, names[i], ACERVO_NTS, &part, ERR));
        acervo_value_free(part);
    }
    CHECK_OK(acervo_value_get(stats, "keys", ACERVO_NTS, &part, ERR));
    CHECK_OK(acervo_value_as_int(part, &keys, ERR));
    CHECK_INT(keys, 2);
    acervo_value_free(part);
    acervo_value_free(stats);
    acervo_kv_free(kv);
    close_database(db);
}

/* --------------------------------------------------------------- exit */

/* A process that ends without close or free: exit() writes the registry. */
static void a_normal_exit_writes_what_is_left(void)
{
    const char *path = scratch_path("exit.db");
    acervo *db;
    acervo_kv *kv;
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        leaks_are_meant();
        db = open_with(path, "{\"flush_interval_ms\":600000}");
        kv = registry_of(db);
        put_int(kv, "k", 5);
        exit(0);
    }
    CHECK_CHILD(child);
    db = open_database(path);
    kv = registry_of(db);
    CHECK_HOLDS(kv, "k", "5");
    acervo_kv_free(kv);
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        /* First: the library has seen no fork before it. */
        TEST(a_normal_exit_writes_what_is_left),
        TEST(two_opens_of_a_file_share_one_state),
        TEST(a_file_is_one_whatever_name_it_is_opened_by),
        TEST(relative_paths_and_later_changes_of_directory_do_not_matter),
        TEST(a_path_is_never_read_as_a_uri),
        TEST(every_memory_database_is_its_own),
        TEST(closing_one_handle_leaves_the_others),
        TEST(every_call_after_close_says_that_it_is_closed),
        TEST(references_of_a_handle_share_its_end),
        TEST(handles_may_be_freed_in_any_order),
        TEST(a_child_keeps_its_parents_alive),
        TEST(freeing_the_last_reference_loses_no_put),
        TEST(the_log_hook_is_destroyed_once_when_it_is_replaced),
        TEST(the_log_hook_is_destroyed_once_with_the_database),
        TEST(a_log_hook_that_cannot_be_set_is_destroyed_at_once),
        TEST(a_log_hook_may_go_without_destroy),
        TEST(stats_tell_what_there_is),
    };
    return RUN_TESTS(cases, argc, argv);
}
