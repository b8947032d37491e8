/* fork(): a child is refused on inherited handles, can free them, and can open
 * anew; the parent notices nothing. */
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static acervo *db;
static acervo_kv *registry, *store;
static acervo_batch *batch;
static acervo_value *value;
static int destroyed;

static void ignore_message(void *userdata, int32_t level, const char *message, size_t length)
{
    (void)userdata;
    (void)level;
    (void)message;
    (void)length;
}

static void count_destroy(void *userdata)
{
    (void)userdata;
    destroyed++;
}

static const char *path(void) { return scratch_path("fork.db"); }

static void open_fixture(void)
{
    db = open_database(path());
    registry = registry_of(db);
    store = store_of(db, "parent");
    batch = acervo_batch_new(store);
    value = json("{\"a\":[1,2]}");
    put_int(registry, "r", 1);
    put_int(store, "s", 2);
    CHECK_OK(acervo_set_log(db, ignore_message, NULL, count_destroy, ERR));
    destroyed = 0;
}

static void close_fixture(void)
{
    acervo_value_free(value);
    acervo_batch_free(batch);
    acervo_kv_free(store);
    acervo_kv_free(registry);
    close_database(db);
    CHECK_INT(destroyed, 1);
}

/* Runs the function in a child and checks that it came to its end. */
static void in_child(void (*body)(void))
{
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body();
        fflush(NULL);
        _exit(0);
    }
    CHECK_CHILD(child);
}

static void use_inherited_handles(void)
{
    acervo_value *out = NULL;
    acervo_kv *made = NULL;
    uint64_t count = 0;
    size_t length = 0;
    CHECK_FAILS(acervo_kv_get(registry, "r", 1, &out, NULL, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_get_into(registry, "r", 1, &count, sizeof count, &length, NULL, NULL,
                                   ERR),
                ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_put(store, "s", 1, value, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_put_ttl(store, "s", 1, value, 1000, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_delete(store, "s", 1, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_incr(store, "s", 1, 1, NULL, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_incr_float(store, "s", 1, 1, NULL, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_cas(store, "s", 1, NULL, value, NULL, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_keys(store, "", 0, &out, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_count(store, "", 0, &count, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_delete_prefix(store, "", 0, NULL, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_purge(store, 1, &count, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_flush(registry, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_batch_put(batch, "k", 1, value, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_batch_delete(batch, "k", 1, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_batch_commit(batch, ERR), ACERVO_FORKED, "");
    CHECK(acervo_batch_new(store) == NULL);
    CHECK_FAILS(acervo_flush(db, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_close(db, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_stats(db, &out, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_registry(db, &made, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_kv_store(db, "a", 1, &made, ERR), ACERVO_FORKED, "");
    CHECK(out == NULL && made == NULL && count == 0 && length == 0);
}

static void every_call_on_an_inherited_handle_says_forked(void)
{
    open_fixture();
    in_child(use_inherited_handles);
    CHECK_HOLDS(store, "s", "2");
    close_fixture();
}

static void check_the_kind_of_the_error(void)
{
    acervo_error *err = NULL;
    CHECK_INT(acervo_flush(db, &err), ACERVO_FORKED);
    CHECK_TEXT(acervo_error_kind(err, NULL), "Internal");
    CHECK(!acervo_error_retryable(err));
    acervo_error_free(err);
}

static void forked_is_of_the_kind_internal(void)
{
    open_fixture();
    in_child(check_the_kind_of_the_error);
    close_fixture();
}

static void free_inherited_handles(void)
{
    acervo_batch_free(batch);
    acervo_kv_free(store);
    acervo_kv_free(registry);
    acervo_free(db);
    CHECK_INT(destroyed, 0);
}

static void freeing_inherited_handles_runs_no_destroy_and_harms_nobody(void)
{
    open_fixture();
    in_child(free_inherited_handles);
    put_int(store, "s", 3);
    CHECK_HOLDS(store, "s", "3");
    CHECK_HOLDS(registry, "r", "1");
    close_fixture();
}

static void use_values(void)
{
    acervo_value *part = NULL, *copy;
    CHECK_JSON(value, "{\"a\":[1,2]}");
    CHECK_OK(acervo_value_get(value, "a", 1, &part, ERR));
    copy = acervo_value_retain(part);
    acervo_value_free(part);
    CHECK_JSON(copy, "[1,2]");
    acervo_value_free(copy);
    acervo_value_free(value);
}

static void values_stay_usable_in_a_child(void)
{
    open_fixture();
    in_child(use_values);
    close_fixture();
}

static void open_anew(void)
{
    acervo *mine = open_database(path());
    acervo_kv *in_store = store_of(mine, "parent"), *in_registry = registry_of(mine);
    CHECK_HOLDS(in_store, "s", "2");
    put_int(in_store, "from_child", 7);
    CHECK_OK(acervo_kv_incr(in_store, "n", 1, 1, NULL, ERR));
    put_int(in_registry, "from_child", 8);
    acervo_kv_free(in_store);
    acervo_kv_free(in_registry);
    close_database(mine);
}

static void a_child_opens_the_same_file_anew_and_the_parent_sees_its_puts(void)
{
    open_fixture();
    in_child(open_anew);
    CHECK_HOLDS(store, "from_child", "7");
    CHECK_HOLDS(registry, "from_child", "8");
    CHECK_OK(acervo_kv_incr(store, "n", 1, 1, NULL, ERR));
    CHECK_HOLDS(store, "n", "2");
    close_fixture();
}

static void do_nothing(void) {}

static void forking_often_while_the_flusher_works_hangs_nobody(void)
{
    open_fixture();
    for (int i = 0; i < 50; i++) {
        put_int(registry, "r", i);
        in_child(i % 2 == 0 ? do_nothing : open_anew);
    }
    CHECK_INT(int_of(registry, "r"), 49);
    close_fixture();
}

static void fork_again_and_open(void)
{
    in_child(open_anew);
}

static void a_grandchild_opens_anew_too(void)
{
    open_fixture();
    in_child(fork_again_and_open);
    CHECK_HOLDS(store, "from_child", "7");
    close_fixture();
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(every_call_on_an_inherited_handle_says_forked),
        TEST(forked_is_of_the_kind_internal),
        TEST(freeing_inherited_handles_runs_no_destroy_and_harms_nobody),
        TEST(values_stay_usable_in_a_child),
        TEST(a_child_opens_the_same_file_anew_and_the_parent_sees_its_puts),
        TEST(forking_often_while_the_flusher_works_hangs_nobody),
        TEST(a_grandchild_opens_anew_too),
    };
    return RUN_TESTS(cases, argc, argv);
}
