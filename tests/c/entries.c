/* Entries, lists of them and snapshots: what they hold, whose they are, and
 * how long they last. */
#include "entries.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ----------------------------------------------------------------- entries */

static void an_entry_has_the_parts_it_was_made_of(void)
{
    acervo_entry *entry = entry_of("app.lib:assert", "function.lua", "{\"type\":\"test\"}",
                                   "{\"source\":[1,2]}");
    size_t length = 99;
    CHECK_TEXT(acervo_entry_id(entry, &length), "app.lib:assert");
    CHECK_INT(length, strlen("app.lib:assert"));
    CHECK_TEXT(acervo_entry_kind(entry, &length), "function.lua");
    CHECK_INT(length, strlen("function.lua"));
    CHECK_TEXT(acervo_entry_id(entry, NULL), "app.lib:assert");
    CHECK_TEXT(acervo_entry_kind(entry, NULL), "function.lua");
    CHECK_JSON(acervo_entry_meta(entry), "{\"type\":\"test\"}");
    CHECK_JSON(acervo_entry_data(entry), "{\"source\":[1,2]}");
    acervo_entry_free(entry);
}

static void meta_is_empty_and_data_absent_where_none_is_given(void)
{
    acervo_entry *entry = entry_of("a:b", "test", NULL, NULL);
    CHECK_JSON(acervo_entry_meta(entry), "{}");
    CHECK(acervo_entry_data(entry) == NULL);
    acervo_entry_free(entry);
    /* nil is absent, false and empty are not. */
    entry = entry_of("a:b", "test", NULL, "null");
    CHECK(acervo_entry_data(entry) == NULL);
    acervo_entry_free(entry);
    entry = entry_of("a:b", "test", "{}", "false");
    CHECK_JSON(acervo_entry_data(entry), "false");
    acervo_entry_free(entry);
}

static void data_may_be_any_value(void)
{
    static const char *const values[] = {"true", "-7", "0.5", "\"text\"", "[]", "[1,[2]]", "{}"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        acervo_entry *entry = entry_of("a:b", "test", NULL, values[i]);
        CHECK_JSON(acervo_entry_data(entry), values[i]);
        acervo_entry_free(entry);
    }
}

static void an_id_is_split_at_its_first_colon(void)
{
    acervo *db = open_database(":memory:");
    acervo_snapshot *now;
    acervo_entries *list = NULL;
    apply_create(db, "a:b:c", "1");
    apply_create(db, "justname", "2");
    now = snapshot_of(db);
    CHECK_IDS(now, ":justname a:b:c");
    CHECK_OK(acervo_snapshot_namespace(now, "a", 1, &list, ERR));
    CHECK_LIST(list, "a:b:c");
    CHECK_OK(acervo_snapshot_namespace(now, "a:b", 3, &list, ERR));
    CHECK_LIST(list, "");
    CHECK_OK(acervo_snapshot_namespace(now, NULL, 0, &list, ERR));
    CHECK_LIST(list, ":justname");
    CHECK_DATA(now, "justname", "2");
    CHECK_DATA(now, ":justname", "2");
    acervo_snapshot_free(now);
    close_database(db);
}

static void check_refused_id(const char *id, size_t length, const char *why)
{
    acervo_entry *entry = NULL;
    CHECK_FAILS(acervo_entry_new(id, length, "test", 4, NULL, NULL, &entry, ERR), ACERVO_INVALID,
                why);
    CHECK(entry == NULL);
}

static void check_refused_kind(const char *kind, size_t length, const char *why)
{
    acervo_entry *entry = NULL;
    CHECK_FAILS(acervo_entry_new("a:b", 3, kind, length, NULL, NULL, &entry, ERR), ACERVO_INVALID,
                why);
    CHECK(entry == NULL);
}

static void an_id_has_a_name_and_no_control_byte(void)
{
    check_refused_id("", 0, "name");
    check_refused_id(NULL, 0, "name");
    check_refused_id(":", 1, "name");
    check_refused_id("ns:", 3, "name");
    check_refused_id("a:\nb", 4, "control");
    check_refused_id("a\x7f:b", 4, "control");
    check_refused_id("a:b\0c", 5, "control");
}

static void a_kind_is_not_empty_and_has_no_control_byte(void)
{
    check_refused_kind("", 0, "empty");
    check_refused_kind(NULL, 0, "empty");
    check_refused_kind("a\tb", 3, "control");
    check_refused_kind("a\0b", 3, "control");
}

static void ids_have_512_bytes_and_kinds_256_at_most(void)
{
    char text[513];
    acervo_entry *entry = NULL;
    size_t length = 0;
    memset(text, 'n', sizeof text);
    text[3] = ':';
    CHECK_OK(acervo_entry_new(text, 512, "test", 4, NULL, NULL, &entry, ERR));
    CHECK(acervo_entry_id(entry, &length) != NULL);
    CHECK_INT(length, 512);
    acervo_entry_free(entry);
    check_refused_id(text, 513, "512");
    /* The colon of an empty namespace counts. */
    CHECK_OK(acervo_entry_new(text + 4, 508, "test", 4, NULL, NULL, &entry, ERR));
    acervo_entry_free(entry);
    memset(text, 'n', sizeof text);
    check_refused_id(text, 512, "512");
    CHECK_OK(acervo_entry_new("a:b", 3, text, 256, NULL, NULL, &entry, ERR));
    acervo_entry_free(entry);
    check_refused_kind(text, 257, "256");
}

static void meta_is_a_map_with_string_keys(void)
{
    static const uint8_t number_keys[] = {0x81, 0x01, 0x02};
    acervo_entry *entry = NULL;
    acervo_value *meta = json("[1]");
    CHECK_FAILS(acervo_entry_new("a:b", 3, "test", 4, meta, NULL, &entry, ERR), ACERVO_INVALID,
                "meta of entry a:b");
    acervo_value_free(meta);
    meta = acervo_value_nil();
    CHECK_FAILS(acervo_entry_new("a:b", 3, "test", 4, meta, NULL, &entry, ERR), ACERVO_INVALID,
                "meta of entry a:b");
    acervo_value_free(meta);
    CHECK_OK(acervo_value_from_msgpack(number_keys, sizeof number_keys, &meta, ERR));
    CHECK_FAILS(acervo_entry_new("a:b", 3, "test", 4, meta, NULL, &entry, ERR), ACERVO_INVALID,
                "string");
    CHECK(entry == NULL);
    acervo_value_free(meta);
}

/* --------------------------------------------------------------- ownership */

static void the_parts_of_an_entry_outlive_what_it_was_made_of(void)
{
    char id[] = "ns:name", kind[] = "kind";
    acervo_value *meta = json("{\"m\":1}"), *data = json("[\"d\"]");
    acervo_entry *entry = NULL, *again;
    CHECK_OK(acervo_entry_new(id, 7, kind, 4, meta, data, &entry, ERR));
    memset(id, 'x', sizeof id);
    memset(kind, 'x', sizeof kind);
    acervo_value_free(meta);
    acervo_value_free(data);
    again = acervo_entry_retain(entry);
    acervo_entry_free(entry);
    CHECK_TEXT(acervo_entry_id(again, NULL), "ns:name");
    CHECK_TEXT(acervo_entry_kind(again, NULL), "kind");
    CHECK_JSON(acervo_entry_meta(again), "{\"m\":1}");
    CHECK_JSON(acervo_entry_data(again), "[\"d\"]");
    acervo_entry_free(again);
}

static void an_entry_outlives_list_snapshot_and_database(void)
{
    acervo *db = open_database(":memory:");
    acervo_snapshot *now;
    acervo_entries *list = NULL;
    acervo_entry *got = NULL, *kept;
    acervo_value *data;
    apply_create(db, "a:b", "[1,2]");
    now = snapshot_of(db);
    CHECK_OK(acervo_snapshot_get(now, "a:b", 3, &got, ERR));
    CHECK_OK(acervo_snapshot_entries(now, &list, ERR));
    kept = acervo_entry_retain(acervo_entries_at(list, 0));
    /* Neither of the two is a copy. */
    CHECK(got == kept);
    close_database(db);
    acervo_snapshot_free(now);
    acervo_entries_free(list);
    acervo_entry_free(got);
    data = acervo_value_retain(acervo_entry_data(kept));
    CHECK_TEXT(acervo_entry_id(kept, NULL), "a:b");
    acervo_entry_free(kept);
    CHECK_TAKEN(data, "[1,2]");
}

static void a_list_outlives_its_snapshot_and_the_database(void)
{
    acervo *db = open_database(":memory:");
    acervo_snapshot *now;
    acervo_entries *list = NULL;
    apply_create(db, "a:b", "1");
    now = snapshot_of(db);
    CHECK_OK(acervo_snapshot_entries(now, &list, ERR));
    acervo_snapshot_free(now);
    apply_delete(db, "a:b");
    close_database(db);
    CHECK_INT(acervo_entries_len(list), 1);
    CHECK(acervo_entries_at(list, 1) == NULL);
    CHECK(acervo_entries_at(list, SIZE_MAX) == NULL);
    CHECK_JSON(acervo_entry_data(acervo_entries_at(list, 0)), "1");
    CHECK_LIST(list, "a:b");
}

static void changes_keep_what_they_need(void)
{
    acervo *db = open_database(":memory:"), *other = acervo_retain(db);
    acervo_snapshot *now = snapshot_of(db);
    acervo_changes *changes = acervo_changes_new(now);
    acervo_entry *entry = entry_of("a:b", "test", NULL, "1");
    char option[] = "author", id[] = "a:c";
    queue_create(changes, "a:c", "2");
    CHECK_OK(acervo_changes_create(changes, entry, ERR));
    CHECK_OK(acervo_changes_delete(changes, id, 3, ERR));
    set_option(changes, option, "\"me\"");
    memset(id, 'x', sizeof id);
    acervo_entry_free(entry);
    acervo_snapshot_free(now);
    acervo_free(db);
    CHECK_INT(apply(changes), 1);
    CHECK_NOW(other, "a:b");
    close_database(other);
}

/* --------------------------------------------------------------- snapshots */

static void a_new_database_is_at_the_root_and_empty(void)
{
    acervo *db = open_database(":memory:");
    acervo_snapshot *now = snapshot_of(db);
    CHECK_INT(acervo_snapshot_version(now), 0);
    CHECK_INT(acervo_snapshot_len(now), 0);
    CHECK_INT(head_of(db), 0);
    CHECK_IDS(now, "");
    acervo_snapshot_free(now);
    close_database(db);
}

static void a_snapshot_never_changes(void)
{
    acervo *db = open_database(":memory:");
    acervo_snapshot *first, *again;
    apply_create(db, "a:kept", "1");
    apply_create(db, "a:gone", "2");
    first = snapshot_of(db);
    apply_update(db, "a:kept", "10");
    apply_delete(db, "a:gone");
    apply_create(db, "a:new", "3");
    CHECK_INT(acervo_snapshot_version(first), 2);
    CHECK_IDS(first, "a:gone a:kept");
    CHECK_DATA(first, "a:kept", "1");
    CHECK_DATA(first, "a:gone", "2");
    CHECK_DATA(first, "a:new", NULL);
    again = snapshot_of(db);
    CHECK_INT(acervo_snapshot_version(again), 5);
    CHECK_IDS(again, "a:kept a:new");
    acervo_snapshot_free(first);
    CHECK_DATA(again, "a:kept", "10");
    acervo_snapshot_free(again);
    close_database(db);
}

static void a_snapshot_outlives_its_database(void)
{
    acervo *db = open_database(":memory:");
    acervo_snapshot *now, *again;
    apply_create(db, "a:b", "1");
    now = snapshot_of(db);
    again = acervo_snapshot_retain(now);
    close_database(db);
    acervo_snapshot_free(now);
    CHECK_INT(acervo_snapshot_version(again), 1);
    CHECK_IDS(again, "a:b");
    CHECK_DATA(again, "a:b", "1");
    acervo_snapshot_free(again);
}

static void lists_are_sorted_by_namespace_and_then_name(void)
{
    /* As texts the ids would come in another order: '.' is before ':'. */
    static const char *const ids[] = {"b:a", "a.b:x", "a:z", ":c", "a:b", "a.b:a", "a:b.c"};
    acervo *db = open_database(":memory:");
    acervo_changes *changes = changes_of(db);
    acervo_snapshot *now;
    acervo_entries *list = NULL;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        queue_create(changes, ids[i], "1");
    apply(changes);
    now = snapshot_of(db);
    CHECK_IDS(now, ":c a:b a:b.c a:z a.b:a a.b:x b:a");
    CHECK_OK(acervo_snapshot_namespace(now, "a", ACERVO_NTS, &list, ERR));
    CHECK_LIST(list, "a:b a:b.c a:z");
    CHECK_OK(acervo_snapshot_namespace(now, "a.b", ACERVO_NTS, &list, ERR));
    CHECK_LIST(list, "a.b:a a.b:x");
    CHECK_OK(acervo_snapshot_namespace(now, "nobody", ACERVO_NTS, &list, ERR));
    CHECK_LIST(list, "");
    acervo_snapshot_free(now);
    close_database(db);
}

static void a_missing_entry_has_a_code_and_no_error(void)
{
    static const char odd[] = "a:\n\0\xff";
    acervo *db = open_database(":memory:");
    acervo_snapshot *now = snapshot_of(db);
    acervo_error *err = NULL;
    acervo_entry *entry = NULL;
    CHECK_INT(acervo_snapshot_get(now, "a:b", 3, &entry, &err), ACERVO_NOT_FOUND);
    CHECK(entry == NULL && err == NULL);
    /* Also what no entry can have as its id may be asked for. */
    CHECK_INT(acervo_snapshot_get(now, odd, sizeof odd - 1, &entry, &err), ACERVO_NOT_FOUND);
    CHECK_INT(acervo_snapshot_get(now, "", 0, &entry, &err), ACERVO_NOT_FOUND);
    CHECK(entry == NULL && err == NULL);
    acervo_snapshot_free(now);
    close_database(db);
}

/* ----------------------------------------------------------------- threads */

enum { READERS = 3, ROUNDS = 200 };
static acervo *shared_db;
static bool writer_is_done;

/* The writer keeps both entries alike within each version. */
static void *read_pairs(void *seen)
{
    bool done;
    do {
        acervo_snapshot *now = snapshot_of(shared_db);
        acervo_entry *left = NULL, *right = NULL;
        done = __atomic_load_n(&writer_is_done, __ATOMIC_SEQ_CST);
        CHECK_OK(acervo_snapshot_get(now, "pair:left", ACERVO_NTS, &left, ERR));
        CHECK_OK(acervo_snapshot_get(now, "pair:right", ACERVO_NTS, &right, ERR));
        CHECK(acervo_value_equal(acervo_entry_data(left), acervo_entry_data(right)));
        CHECK(acervo_snapshot_version(now) >= *(uint64_t *)seen);
        *(uint64_t *)seen = acervo_snapshot_version(now);
        acervo_snapshot_free(now);
        acervo_entry_free(left);
        acervo_entry_free(right);
    } while (!done);
    check_error_slot();
    return NULL;
}

static void write_pair(int round, void (*queue)(acervo_changes *, const char *, const char *))
{
    acervo_changes *changes = changes_of(shared_db);
    char data[16];
    snprintf(data, sizeof data, "%d", round);
    queue(changes, "pair:left", data);
    queue(changes, "pair:right", data);
    apply(changes);
}

static void readers_see_whole_versions_in_their_order(void)
{
    pthread_t readers[READERS];
    uint64_t seen[READERS] = {0};
    shared_db = open_database(":memory:");
    writer_is_done = false;
    write_pair(0, queue_create);
    for (int i = 0; i < READERS; i++)
        CHECK(pthread_create(&readers[i], NULL, read_pairs, &seen[i]) == 0);
    for (int round = 1; round < ROUNDS; round++)
        write_pair(round, queue_update);
    __atomic_store_n(&writer_is_done, true, __ATOMIC_SEQ_CST);
    for (int i = 0; i < READERS; i++) {
        CHECK(pthread_join(readers[i], NULL) == 0);
        CHECK(seen[i] > 0 && seen[i] <= ROUNDS);
    }
    close_database(shared_db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(an_entry_has_the_parts_it_was_made_of),
        TEST(meta_is_empty_and_data_absent_where_none_is_given),
        TEST(data_may_be_any_value),
        TEST(an_id_is_split_at_its_first_colon),
        TEST(an_id_has_a_name_and_no_control_byte),
        TEST(a_kind_is_not_empty_and_has_no_control_byte),
        TEST(ids_have_512_bytes_and_kinds_256_at_most),
        TEST(meta_is_a_map_with_string_keys),
        TEST(the_parts_of_an_entry_outlive_what_it_was_made_of),
        TEST(an_entry_outlives_list_snapshot_and_database),
        TEST(a_list_outlives_its_snapshot_and_the_database),
        TEST(changes_keep_what_they_need),
        TEST(a_new_database_is_at_the_root_and_empty),
        TEST(a_snapshot_never_changes),
        TEST(a_snapshot_outlives_its_database),
        TEST(lists_are_sorted_by_namespace_and_then_name),
        TEST(a_missing_entry_has_a_code_and_no_error),
        TEST(readers_see_whole_versions_in_their_order),
    };
    return RUN_TESTS(cases, argc, argv);
}
