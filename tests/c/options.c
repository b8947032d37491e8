/* Options: what is refused, and what each of them does. */
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int32_t set_option(const char *name, const char *value_json, acervo_error **err)
{
    acervo_options *options = acervo_options_new();
    acervo_value *value = json(value_json);
    int32_t code = acervo_options_set(options, name, ACERVO_NTS, value, err);
    acervo_value_free(value);
    acervo_options_free(options);
    return code;
}

static void every_option_takes_its_own_type(void)
{
    static const char *const good[][2] = {
        {"durability", "\"full\""}, {"durability", "\"normal\""}, {"durability", "\"off\""},
        {"flush_interval_ms", "50"}, {"registry_persistent", "false"},
        {"max_unwritten_ms", "0"}, {"max_unwritten_ms", "500"},
        {"value_limit", "1024"}, {"memory_limit", "1048576"}, {"read_only", "true"},
        {"busy_timeout_ms", "100"}, {"file_mode", "384"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK_OK(set_option(good[i][0], good[i][1], ERR));
}

static void a_wrong_type_or_value_is_invalid_and_names_the_option(void)
{
    static const char *const bad[][2] = {
        {"durability", "\"fast\""}, {"durability", "1"},    {"flush_interval_ms", "\"50\""},
        {"flush_interval_ms", "-1"}, {"registry_persistent", "1"}, {"value_limit", "-1"},
        {"memory_limit", "\"1M\""}, {"read_only", "\"yes\""}, {"busy_timeout_ms", "[]"},
        {"busy_timeout_ms", "-1"},  {"file_mode", "\"0600\""}, {"max_unwritten_ms", "-1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(set_option(bad[i][0], bad[i][1], ERR), ACERVO_INVALID, bad[i][0]);
}

static void an_unknown_option_is_invalid_and_named(void)
{
    CHECK_FAILS(set_option("flush_intervall", "1", ERR), ACERVO_INVALID, "flush_intervall");
}

static void the_options_of_lua_are_invalid_in_c(void)
{
    CHECK_FAILS(set_option("big_int", "\"float\"", ERR), ACERVO_INVALID, "big_int");
    CHECK_FAILS(set_option("ident", "\"a\"", ERR), ACERVO_INVALID, "ident");
    CHECK_FAILS(set_option("actor", "\"a\"", ERR), ACERVO_INVALID, "actor");
}

static void nothing_to_set_is_invalid(void)
{
    acervo_options *options = acervo_options_new();
    CHECK_FAILS(acervo_options_set(options, "durability", ACERVO_NTS, NULL, ERR), ACERVO_INVALID,
                "");
    CHECK_FAILS(acervo_options_set(NULL, "durability", ACERVO_NTS, NULL, ERR), ACERVO_INVALID, "");
    acervo_options_free(options);
}

static void options_serve_for_several_opens(void)
{
    acervo_options *options = acervo_options_new();
    acervo_value *off = acervo_value_string("off", 3);
    acervo *one = NULL, *two = NULL;
    CHECK_OK(acervo_options_set(options, "durability", ACERVO_NTS, off, ERR));
    acervo_value_free(off);
    CHECK_OK(acervo_open(scratch_path("one.db"), ACERVO_NTS, options, &one, ERR));
    CHECK_OK(acervo_open(scratch_path("two.db"), ACERVO_NTS, options, &two, ERR));
    acervo_options_free(options);
    close_database(one);
    close_database(two);
}

static void an_option_that_cannot_differ_from_the_first_open_is_invalid_and_named(void)
{
    const char *path = scratch_path("differ.db");
    acervo *db = open_with(path, "{\"flush_interval_ms\":50}"), *other = NULL;
    CHECK_FAILS(try_open_with(path, "{\"flush_interval_ms\":70}", &other, ERR), ACERVO_INVALID,
                "flush_interval_ms");
    CHECK(other == NULL);
    CHECK_FAILS(try_open_with(path, "{\"max_unwritten_ms\":70}", &other, ERR), ACERVO_INVALID,
                "max_unwritten_ms");
    CHECK_OK(try_open_with(path, "{\"flush_interval_ms\":50}", &other, ERR));
    close_database(other);
    CHECK_OK(acervo_open(path, ACERVO_NTS, NULL, &other, ERR));
    close_database(other);
    close_database(db);
}

static void read_only_reads_and_writes_nothing(void)
{
    const char *path = scratch_path("read_only.db");
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "a");
    acervo_value *one = acervo_value_int(1);
    put_int(kv, "k", 7);
    acervo_kv_free(kv);
    close_database(db);

    db = open_with(path, "{\"read_only\":true}");
    kv = store_of(db, "a");
    CHECK_HOLDS(kv, "k", "7");
    CHECK_FAILS(acervo_kv_put(kv, "k", 1, one, ERR), ACERVO_PERMISSION_DENIED, "");
    CHECK_FAILS(acervo_kv_delete(kv, "k", 1, ERR), ACERVO_PERMISSION_DENIED, "");
    CHECK_FAILS(acervo_kv_incr(kv, "k", 1, 1, NULL, ERR), ACERVO_PERMISSION_DENIED, "");
    CHECK_HOLDS(kv, "k", "7");
    acervo_kv_free(kv);
    kv = registry_of(db);
    CHECK_FAILS(acervo_kv_put(kv, "k", 1, one, ERR), ACERVO_PERMISSION_DENIED, "");
    acervo_kv_free(kv);
    close_database(db);
    acervo_value_free(one);
}

static void a_value_over_the_limit_is_invalid(void)
{
    acervo *db = open_with(":memory:", "{\"value_limit\":1000}");
    acervo_kv *kv = registry_of(db);
    char bytes[2000];
    acervo_value *big, *small;
    memset(bytes, 'x', sizeof bytes);
    big = acervo_value_string(bytes, sizeof bytes);
    small = acervo_value_string(bytes, 900);
    CHECK_FAILS(acervo_kv_put(kv, "k", 1, big, ERR), ACERVO_INVALID, "");
    CHECK_MISSING(kv, "k");
    CHECK_OK(acervo_kv_put(kv, "k", 1, small, ERR));
    acervo_value_free(big);
    acervo_value_free(small);
    acervo_kv_free(kv);
    close_database(db);
}

static void a_put_beyond_the_memory_limit_is_unavailable_and_deleting_makes_room(void)
{
    acervo *db = open_with(":memory:", "{\"memory_limit\":200000}");
    acervo_kv *kv = registry_of(db);
    char bytes[10000], key[16];
    acervo_value *value;
    int32_t code = ACERVO_OK;
    int puts = 0;
    memset(bytes, 'x', sizeof bytes);
    value = acervo_value_string(bytes, sizeof bytes);
    while (code == ACERVO_OK && puts < 100) {
        snprintf(key, sizeof key, "k%d", puts++);
        code = acervo_kv_put(kv, key, ACERVO_NTS, value, NULL);
    }
    CHECK_INT(code, ACERVO_UNAVAILABLE);
    CHECK(puts > 2);
    CHECK_FAILS(acervo_kv_put(kv, "more", ACERVO_NTS, value, ERR), ACERVO_UNAVAILABLE,
                "memory limit");
    CHECK_OK(acervo_kv_delete_prefix(kv, "k", 1, NULL, ERR));
    CHECK_OK(acervo_kv_put(kv, "more", ACERVO_NTS, value, ERR));
    acervo_value_free(value);
    acervo_kv_free(kv);
    close_database(db);
}

static void a_registry_that_is_not_persistent_is_gone_after_a_restart(void)
{
    const char *path = scratch_path("transient.db");
    acervo *db = open_with(path, "{\"registry_persistent\":false}");
    acervo_kv *registry = registry_of(db), *store = store_of(db, NULL);
    put_int(registry, "k", 1);
    put_int(store, "k", 2);
    CHECK_OK(acervo_flush(db, ERR));
    acervo_kv_free(registry);
    acervo_kv_free(store);
    close_database(db);
    db = open_with(path, "{\"registry_persistent\":false}");
    registry = registry_of(db);
    store = store_of(db, NULL);
    CHECK_MISSING(registry, "k");
    CHECK_HOLDS(store, "k", "2");
    acervo_kv_free(registry);
    acervo_kv_free(store);
    close_database(db);
}

static void check_modes(const char *path, mode_t expected)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char name[4200];
    struct stat info;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        if (stat(name, &info) == 0)
            CHECK_INT(info.st_mode & 0777, expected);
        else
            CHECK(i > 0);
    }
}

static void files_are_made_for_their_owner_alone_unless_told_otherwise(void)
{
    mode_t umask_before = umask(0);
    const char *path = scratch_path("mode.db"), *shared = scratch_path("shared.db");
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, NULL);
    put_int(kv, "k", 1);
    check_modes(path, 0600);
    acervo_kv_free(kv);
    close_database(db);
    db = open_with(shared, "{\"file_mode\":432}"); /* 0660 */
    kv = store_of(db, NULL);
    put_int(kv, "k", 1);
    check_modes(shared, 0660);
    acervo_kv_free(kv);
    close_database(db);
    umask(umask_before);
}

static void the_registry_is_flushed_after_its_interval(void)
{
    acervo *db = open_with(scratch_path("interval.db"), "{\"flush_interval_ms\":30}");
    acervo_kv *kv = registry_of(db);
    bool flushed = false;
    put_int(kv, "k", 1);
    for (int i = 0; i < 100 && !flushed; i++) {
        acervo_value *stats = NULL, *dirty = NULL;
        int64_t keys = -1;
        sleep_ms(30);
        CHECK_OK(acervo_stats(db, &stats, ERR));
        CHECK_OK(acervo_value_get(stats, "dirty_keys", ACERVO_NTS, &dirty, ERR));
        CHECK_OK(acervo_value_as_int(dirty, &keys, ERR));
        flushed = keys == 0;
        acervo_value_free(dirty);
        acervo_value_free(stats);
    }
    CHECK(flushed);
    acervo_kv_free(kv);
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(every_option_takes_its_own_type),
        TEST(a_wrong_type_or_value_is_invalid_and_names_the_option),
        TEST(an_unknown_option_is_invalid_and_named),
        TEST(the_options_of_lua_are_invalid_in_c),
        TEST(nothing_to_set_is_invalid),
        TEST(options_serve_for_several_opens),
        TEST(an_option_that_cannot_differ_from_the_first_open_is_invalid_and_named),
        TEST(read_only_reads_and_writes_nothing),
        TEST(a_value_over_the_limit_is_invalid),
        TEST(a_put_beyond_the_memory_limit_is_unavailable_and_deleting_makes_room),
        TEST(a_registry_that_is_not_persistent_is_gone_after_a_restart),
        TEST(files_are_made_for_their_owner_alone_unless_told_otherwise),
        TEST(the_registry_is_flushed_after_its_interval),
    };
    return RUN_TESTS(cases, argc, argv);
}
