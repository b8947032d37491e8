/* What the entry registry refuses: the code, what the message names, and that
 * nothing has happened. */
#include "entries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A database with a:one of kind "test" at version 1. */
static acervo *open_one(void)
{
    acervo *db = open_database(":memory:");
    apply_create(db, "a:one", "1");
    return db;
}

/* Applies, checks the failure, and that it left the registry and the changes
 * as they were; frees the changes. */
static void check_refused(acervo *db, acervo_changes *changes, int32_t code, const char *part)
{
    acervo_value *before = NULL, *after = NULL;
    uint64_t version = 99;
    CHECK_OK(acervo_changes_ops(changes, &before, ERR));
    CHECK_FAILS(acervo_changes_plan(changes, &after, ERR), code, part);
    CHECK(after == NULL);
    CHECK_FAILS(acervo_changes_apply(changes, &version, ERR), code, part);
    CHECK_INT(version, 0);
    CHECK_OK(acervo_changes_ops(changes, &after, ERR));
    CHECK(acervo_value_equal(before, after));
    CHECK_INT(head_of(db), 1);
    CHECK_NOW(db, "a:one");
    acervo_value_free(before);
    acervo_value_free(after);
    acervo_changes_free(changes);
}

static void check_kind(int32_t code, acervo_error *err, int32_t expected, const char *kind,
                       bool retryable)
{
    CHECK_INT(code, expected);
    CHECK_INT(acervo_error_code(err), expected);
    CHECK_TEXT(acervo_error_kind(err, NULL), kind);
    CHECK(acervo_error_retryable(err) == retryable);
    acervo_error_free(err);
}

/* -------------------------------------------------- the documents' table */

static void an_entry_that_is_not_there_is_not_found(void)
{
    acervo *db = open_one();
    acervo_snapshot *now = snapshot_of(db);
    acervo_changes *changes;
    acervo_entry *entry = NULL;
    acervo_error *err = NULL;
    int32_t code;
    CHECK_INT(acervo_snapshot_get(now, "a:none", ACERVO_NTS, &entry, NULL), ACERVO_NOT_FOUND);
    acervo_snapshot_free(now);
    changes = changes_of(db);
    queue_update(changes, "a:none", "1");
    code = acervo_changes_apply(changes, NULL, &err);
    check_kind(code, err, ACERVO_NOT_FOUND, "NotFound", false);
    check_refused(db, changes, ACERVO_NOT_FOUND, "a:none");
    changes = changes_of(db);
    queue_delete(changes, "a:none");
    check_refused(db, changes, ACERVO_NOT_FOUND, "a:none");
    close_database(db);
}

static void a_version_that_is_not_there_is_not_found(void)
{
    static const uint64_t unknown[] = {2, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    acervo *db = open_one();
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        acervo_snapshot *snapshot = NULL;
        acervo_value *info = NULL;
        uint64_t neighbour = 9;
        bool found = true;
        char name[32];
        snprintf(name, sizeof name, "v%llu", (unsigned long long)unknown[i]);
        CHECK_FAILS(acervo_snapshot_at(db, unknown[i], &snapshot, ERR), ACERVO_NOT_FOUND, name);
        CHECK_FAILS(acervo_apply_version(db, unknown[i], ERR), ACERVO_NOT_FOUND, name);
        CHECK_FAILS(acervo_version_info(db, unknown[i], &info, ERR), ACERVO_NOT_FOUND, name);
        CHECK_FAILS(acervo_version_previous(db, unknown[i], &neighbour, &found, ERR),
                    ACERVO_NOT_FOUND, name);
        CHECK(neighbour == 0 && !found);
        neighbour = 9;
        found = true;
        CHECK_FAILS(acervo_version_next(db, unknown[i], &neighbour, &found, ERR),
                    ACERVO_NOT_FOUND, name);
        CHECK(neighbour == 0 && !found);
        CHECK_FAILS(acervo_prune(db, unknown[i], ERR), ACERVO_NOT_FOUND, name);
        CHECK(snapshot == NULL && info == NULL);
    }
    CHECK_INT(head_of(db), 1);
    close_database(db);
}

static void applying_no_changes_is_invalid(void)
{
    acervo *db = open_one();
    acervo_changes *changes = changes_of(db);
    acervo_error *err = NULL;
    int32_t code = acervo_changes_apply(changes, NULL, &err);
    check_kind(code, err, ACERVO_INVALID, "Invalid", false);
    check_refused(db, changes, ACERVO_INVALID, "no changes to apply");
    /* With any option. */
    changes = changes_of(db);
    set_option(changes, "base", "\"strict\"");
    apply_update(db, "a:one", "1");
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), ACERVO_INVALID, "no changes to apply");
    acervo_changes_free(changes);
    close_database(db);
}

static void a_registry_that_is_closed_is_internal(void)
{
    acervo *db = open_one();
    acervo_snapshot *now = snapshot_of(db), *out = NULL;
    acervo_changes *changes = acervo_changes_new(now);
    acervo_value *value = NULL;
    acervo_error *err = NULL;
    uint64_t version = 9;
    bool found = true;
    int32_t code;
    queue_delete(changes, "a:one");
    CHECK_OK(acervo_close(db, ERR));
    code = acervo_changes_apply(changes, &version, &err);
    check_kind(code, err, ACERVO_INTERNAL, "Internal", false);
    CHECK_INT(version, 0);
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), ACERVO_INTERNAL, "database is closed");
    CHECK_FAILS(acervo_changes_plan(changes, &value, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_snapshot_current(db, &out, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_snapshot_at(db, 1, &out, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_current_version(db, &version, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_apply_version(db, 0, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_versions(db, &value, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_version_info(db, 1, &value, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_version_previous(db, 1, &version, &found, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_version_next(db, 1, &version, &found, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_prune(db, 1, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_build_delta(db, NULL, 0, NULL, 0, &value, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_register_pattern(db, "meta.x", 6, false, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_dependents(db, "a:one", 5, false, &value, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_dependencies(db, "a:one", 5, false, &value, ERR), ACERVO_INTERNAL,
                "closed");
    CHECK(out == NULL && value == NULL);
    CHECK_OK(acervo_changes_ops(changes, &value, ERR));
    CHECK_INT(acervo_value_len(value), 1);
    acervo_value_free(value);
    acervo_changes_free(changes);
    CHECK_IDS(now, "a:one");
    acervo_snapshot_free(now);
    acervo_free(db);
}

/* ------------------------------------------------------- faults of changes */

static void creating_what_exists_says_so(void)
{
    acervo *db = open_one();
    acervo_changes *changes = changes_of(db);
    acervo_error *err = NULL;
    int32_t code;
    queue_create(changes, "a:new", "1");
    queue_create(changes, "a:one", "1");
    code = acervo_changes_apply(changes, NULL, &err);
    check_kind(code, err, ACERVO_ALREADY_EXISTS, "AlreadyExists", false);
    check_refused(db, changes, ACERVO_ALREADY_EXISTS, "a:one");
    changes = changes_of(db);
    queue_create(changes, "a:new", "1");
    queue_create(changes, "a:new", "2");
    check_refused(db, changes, ACERVO_ALREADY_EXISTS, "a:new");
    close_database(db);
}

static void changing_what_was_deleted_before_is_not_found(void)
{
    acervo *db = open_one();
    acervo_changes *changes = changes_of(db);
    queue_delete(changes, "a:one");
    queue_update(changes, "a:one", "2");
    check_refused(db, changes, ACERVO_NOT_FOUND, "a:one");
    changes = changes_of(db);
    queue_delete(changes, "a:one");
    queue_delete(changes, "a:one");
    check_refused(db, changes, ACERVO_NOT_FOUND, "a:one");
    close_database(db);
}

static void updating_the_kind_is_invalid(void)
{
    acervo *db = open_one();
    acervo_changes *changes = changes_of(db);
    acervo_entry *entry = entry_of("a:one", "other", NULL, "1");
    CHECK_OK(acervo_changes_update(changes, entry, ERR));
    check_refused(db, changes, ACERVO_INVALID, "kind");
    acervo_entry_free(entry);
    close_database(db);
}

static void the_first_fault_in_call_order_is_reported(void)
{
    acervo *db = open_one();
    acervo_changes *changes = changes_of(db);
    queue_create(changes, "z:fine", "1");
    queue_delete(changes, "z:missing");
    queue_create(changes, "a:one", "1");
    check_refused(db, changes, ACERVO_NOT_FOUND, "z:missing");
    changes = changes_of(db);
    queue_create(changes, "a:one", "1");
    queue_delete(changes, "z:missing");
    check_refused(db, changes, ACERVO_ALREADY_EXISTS, "a:one");
    close_database(db);
}

static void applied_changes_are_spent(void)
{
    acervo *db = open_one();
    acervo_changes *changes = changes_of(db);
    acervo_entry *entry = entry_of("a:more", "test", NULL, NULL);
    acervo_value *plan = NULL;
    queue_create(changes, "a:new", "1");
    CHECK_OK(acervo_changes_apply(changes, NULL, ERR));
    CHECK_FAILS(acervo_changes_create(changes, entry, ERR), ACERVO_INVALID, "applied already");
    CHECK_FAILS(acervo_changes_update(changes, entry, ERR), ACERVO_INVALID, "applied already");
    CHECK_FAILS(acervo_changes_delete(changes, "a:one", 5, ERR), ACERVO_INVALID,
                "applied already");
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), ACERVO_INVALID, "applied already");
    CHECK_FAILS(acervo_changes_plan(changes, &plan, ERR), ACERVO_INVALID, "applied already");
    CHECK(plan == NULL);
    CHECK_INT(head_of(db), 2);
    acervo_entry_free(entry);
    acervo_changes_free(changes);
    close_database(db);
}

static void a_bad_option_is_invalid_and_named(void)
{
    static const char *const bad[][2] = {
        {"base", "\"loose\""}, {"base", "true"},  {"author", "1"},  {"message", "[]"},
        {"dry_run", "1"},      {"colour", "\"red\""}, {"colour", "null"}, {"", "1"},
    };
    acervo *db = open_one();
    acervo_changes *changes = changes_of(db);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        acervo_value *value = json(bad[i][1]);
        CHECK_FAILS(acervo_changes_set(changes, bad[i][0], ACERVO_NTS, value, ERR),
                    ACERVO_INVALID, bad[i][0]);
        acervo_value_free(value);
    }
    /* None of them has an effect. */
    queue_delete(changes, "a:one");
    CHECK_INT(apply(changes), 2);
    CHECK_NOW(db, "");
    close_database(db);
}

/* ------------------------------------------------------------------- limits */

static void parts_over_the_value_limit_are_invalid_and_what_was_queued_stays(void)
{
    acervo *db = open_with(":memory:", "{\"value_limit\":100}");
    acervo_changes *changes = changes_of(db);
    char text[200];
    acervo_value *large, *meta = NULL, *key = acervo_value_string("k", 1);
    acervo_entry *entry = NULL;
    memset(text, 'x', sizeof text);
    large = acervo_value_string(text, sizeof text);
    queue_create(changes, "a:small", "1");
    CHECK_OK(acervo_entry_new("a:large", 7, "test", 4, NULL, large, &entry, ERR));
    CHECK_FAILS(acervo_changes_create(changes, entry, ERR), ACERVO_INVALID, "value_limit");
    CHECK_FAILS(acervo_changes_update(changes, entry, ERR), ACERVO_INVALID, "data of entry a:large");
    acervo_entry_free(entry);
    CHECK_OK(acervo_value_map((const acervo_value *const *)&key,
                              (const acervo_value *const *)&large, 1, &meta, ERR));
    acervo_value_free(key);
    CHECK_OK(acervo_entry_new("a:large", 7, "test", 4, meta, NULL, &entry, ERR));
    CHECK_FAILS(acervo_changes_create(changes, entry, ERR), ACERVO_INVALID, "meta of entry a:large");
    acervo_entry_free(entry);
    acervo_value_free(meta);
    acervo_value_free(large);
    CHECK_INT(apply(changes), 1);
    CHECK_NOW(db, "a:small");
    close_database(db);
}

static void changesets_have_100000_operations_at_most(void)
{
    acervo *db = open_one();
    acervo_changes *changes = changes_of(db);
    acervo_entry *entry = entry_of("a:one", "test", NULL, "7");
    acervo_snapshot *now;
    for (int i = 0; i < 100000; i++)
        CHECK_OK(acervo_changes_update(changes, entry, ERR));
    CHECK_FAILS(acervo_changes_update(changes, entry, ERR), ACERVO_INVALID, "100000");
    CHECK_FAILS(acervo_changes_create(changes, entry, ERR), ACERVO_INVALID, "100000");
    CHECK_FAILS(acervo_changes_delete(changes, "a:one", 5, ERR), ACERVO_INVALID, "100000");
    CHECK_INT(apply(changes), 2);
    now = snapshot_of(db);
    CHECK_DATA(now, "a:one", "7");
    acervo_snapshot_free(now);
    acervo_entry_free(entry);
    close_database(db);
}

/* ---------------------------------------------------------------- read only */

static void a_read_only_registry_can_be_read_and_not_changed(void)
{
    const char *path = scratch_path("read_only.db");
    acervo *db = open_database(path);
    acervo_changes *changes;
    acervo_error *err = NULL;
    int32_t code;
    apply_create(db, "a:one", "1");
    apply_update(db, "a:one", "2");
    close_database(db);
    db = open_with(path, "{\"read_only\":true}");
    CHECK_INT(head_of(db), 2);
    CHECK_NOW(db, "a:one");
    CHECK_VERSIONS(db, "0 1<0 2<1");
    acervo_snapshot_free(snapshot_at(db, 1));
    changes = changes_of(db);
    queue_delete(changes, "a:one");
    code = acervo_changes_apply(changes, NULL, &err);
    check_kind(code, err, ACERVO_PERMISSION_DENIED, "PermissionDenied", false);
    CHECK_FAILS(acervo_apply_version(db, 1, ERR), ACERVO_PERMISSION_DENIED, "read-only");
    CHECK_FAILS(acervo_prune(db, 1, ERR), ACERVO_PERMISSION_DENIED, "read-only");
    CHECK_INT(head_of(db), 2);
    acervo_changes_free(changes);
    close_database(db);
}

/* ------------------------------------------------------- NULL and bad texts */

static void null_handles_and_outs_are_invalid_and_named(void)
{
    acervo *db = open_one();
    acervo_snapshot *now = snapshot_of(db), *snapshot = NULL;
    acervo_changes *changes = acervo_changes_new(now);
    acervo_entry *entry = NULL;
    acervo_entries *list = NULL;
    acervo_value *value = NULL, *filter = json("{}");
    uint64_t number = 9;
    bool found = true;
#define INVALID(call, part) CHECK_FAILS(call, ACERVO_INVALID, part)
    INVALID(acervo_entry_new("a:b", 3, "k", 1, NULL, NULL, NULL, ERR), "out is NULL");
    INVALID(acervo_entry_new(NULL, 3, "k", 1, NULL, NULL, &entry, ERR), "id is NULL");
    INVALID(acervo_entry_new("a:b", 3, NULL, 1, NULL, NULL, &entry, ERR), "kind is NULL");
    INVALID(acervo_entry_new("a:b", SIZE_MAX / 2 + 1, "k", 1, NULL, NULL, &entry, ERR), "id");
    INVALID(acervo_snapshot_current(NULL, &snapshot, ERR), "db is NULL");
    INVALID(acervo_snapshot_current(db, NULL, ERR), "out is NULL");
    INVALID(acervo_snapshot_at(NULL, 1, &snapshot, ERR), "db is NULL");
    INVALID(acervo_snapshot_at(db, 1, NULL, ERR), "out is NULL");
    INVALID(acervo_snapshot_get(NULL, "a:b", 3, &entry, ERR), "snapshot is NULL");
    INVALID(acervo_snapshot_get(now, NULL, 3, &entry, ERR), "id is NULL");
    INVALID(acervo_snapshot_get(now, NULL, ACERVO_NTS, &entry, ERR), "id is NULL");
    INVALID(acervo_snapshot_get(now, "a:one", 5, NULL, ERR), "out is NULL");
    INVALID(acervo_snapshot_entries(NULL, &list, ERR), "snapshot is NULL");
    INVALID(acervo_snapshot_entries(now, NULL, ERR), "out is NULL");
    INVALID(acervo_snapshot_namespace(NULL, "a", 1, &list, ERR), "snapshot is NULL");
    INVALID(acervo_snapshot_namespace(now, NULL, 1, &list, ERR), "ns is NULL");
    INVALID(acervo_snapshot_namespace(now, "a", 1, NULL, ERR), "out is NULL");
    INVALID(acervo_snapshot_find(NULL, filter, NULL, &list, ERR), "snapshot is NULL");
    INVALID(acervo_snapshot_find(now, NULL, NULL, &list, ERR), "filter is NULL");
    INVALID(acervo_snapshot_find(now, filter, NULL, NULL, ERR), "out is NULL");
    INVALID(acervo_changes_create(changes, NULL, ERR), "entry is NULL");
    INVALID(acervo_changes_update(changes, NULL, ERR), "entry is NULL");
    INVALID(acervo_changes_delete(changes, NULL, 3, ERR), "id is NULL");
    INVALID(acervo_changes_set(changes, "base", 4, NULL, ERR), "value is NULL");
    INVALID(acervo_changes_set(changes, NULL, 4, filter, ERR), "option is NULL");
    INVALID(acervo_changes_ops(changes, NULL, ERR), "out is NULL");
    INVALID(acervo_changes_plan(changes, NULL, ERR), "out is NULL");
    INVALID(acervo_changes_create(NULL, NULL, ERR), "changes is NULL");
    INVALID(acervo_changes_update(NULL, NULL, ERR), "changes is NULL");
    INVALID(acervo_changes_delete(NULL, "a:b", 3, ERR), "changes is NULL");
    INVALID(acervo_changes_set(NULL, "base", 4, filter, ERR), "changes is NULL");
    INVALID(acervo_changes_ops(NULL, &value, ERR), "changes is NULL");
    INVALID(acervo_changes_plan(NULL, &value, ERR), "changes is NULL");
    INVALID(acervo_changes_apply(NULL, &number, ERR), "changes is NULL");
    INVALID(acervo_current_version(NULL, &number, ERR), "db is NULL");
    INVALID(acervo_current_version(db, NULL, ERR), "out is NULL");
    INVALID(acervo_apply_version(NULL, 1, ERR), "db is NULL");
    INVALID(acervo_versions(NULL, &value, ERR), "db is NULL");
    INVALID(acervo_versions(db, NULL, ERR), "out_array is NULL");
    INVALID(acervo_version_info(NULL, 1, &value, ERR), "db is NULL");
    INVALID(acervo_version_info(db, 1, NULL, ERR), "out is NULL");
    INVALID(acervo_version_previous(NULL, 1, &number, &found, ERR), "db is NULL");
    INVALID(acervo_version_previous(db, 1, NULL, &found, ERR), "out is NULL");
    INVALID(acervo_version_previous(db, 1, &number, NULL, ERR), "out_found is NULL");
    INVALID(acervo_version_next(NULL, 1, &number, &found, ERR), "db is NULL");
    INVALID(acervo_version_next(db, 1, NULL, &found, ERR), "out is NULL");
    INVALID(acervo_version_next(db, 1, &number, NULL, ERR), "out_found is NULL");
    INVALID(acervo_prune(NULL, 1, ERR), "db is NULL");
    INVALID(acervo_build_delta(NULL, NULL, 0, NULL, 0, &value, ERR), "db is NULL");
    INVALID(acervo_build_delta(db, NULL, 0, NULL, 0, NULL, ERR), "out_ops is NULL");
    INVALID(acervo_register_pattern(NULL, "meta.x", 6, false, ERR), "db is NULL");
    INVALID(acervo_dependents(NULL, "a:one", 5, false, &value, ERR), "db is NULL");
    INVALID(acervo_dependents(db, NULL, 5, false, &value, ERR), "id is NULL");
    INVALID(acervo_dependents(db, "a:one", 5, false, NULL, ERR), "out_ids is NULL");
    INVALID(acervo_dependencies(NULL, "a:one", 5, false, &value, ERR), "db is NULL");
    INVALID(acervo_dependencies(db, NULL, 5, false, &value, ERR), "id is NULL");
    INVALID(acervo_dependencies(db, "a:one", 5, false, NULL, ERR), "out_ids is NULL");
#undef INVALID
    CHECK(snapshot == NULL && entry == NULL && list == NULL && value == NULL);
    CHECK(number == 0 && !found);
    acervo_value_free(filter);
    acervo_changes_free(changes);
    acervo_snapshot_free(now);
    close_database(db);
}

static void functions_without_a_code_accept_null(void)
{
    size_t length = 9;
    CHECK(acervo_entry_retain(NULL) == NULL);
    CHECK(acervo_snapshot_retain(NULL) == NULL);
    CHECK(acervo_changes_new(NULL) == NULL);
    CHECK(acervo_entry_id(NULL, &length) == NULL && length == 0);
    length = 9;
    CHECK(acervo_entry_kind(NULL, &length) == NULL && length == 0);
    CHECK(acervo_entry_meta(NULL) == NULL);
    CHECK(acervo_entry_data(NULL) == NULL);
    CHECK_INT(acervo_entries_len(NULL), 0);
    CHECK(acervo_entries_at(NULL, 0) == NULL);
    CHECK_INT(acervo_snapshot_version(NULL), 0);
    CHECK_INT(acervo_snapshot_len(NULL), 0);
    acervo_entry_free(NULL);
    acervo_entries_free(NULL);
    acervo_snapshot_free(NULL);
    acervo_changes_free(NULL);
}

static void outs_are_reset_when_a_call_begins(void)
{
    acervo *db = open_one();
    acervo_entry *entry = (acervo_entry *)(void *)db;
    acervo_snapshot *snapshot = (acervo_snapshot *)(void *)db;
    acervo_value *value = (acervo_value *)(void *)db;
    acervo_error *err = (acervo_error *)(void *)db;
    uint64_t number = 9;
    CHECK_INT(acervo_entry_new("", 0, "k", 1, NULL, NULL, &entry, NULL), ACERVO_INVALID);
    CHECK_INT(acervo_snapshot_at(db, 9, &snapshot, NULL), ACERVO_NOT_FOUND);
    CHECK_INT(acervo_version_info(db, 9, &value, NULL), ACERVO_NOT_FOUND);
    CHECK_INT(acervo_current_version(NULL, &number, NULL), ACERVO_INVALID);
    CHECK(entry == NULL && snapshot == NULL && value == NULL && number == 0);
    CHECK_INT(acervo_current_version(db, &number, &err), ACERVO_OK);
    CHECK(err == NULL && number == 1);
    close_database(db);
}

static void messages_begin_with_the_function(void)
{
    acervo *db = open_one();
    CHECK_FAILS(acervo_apply_version(db, 9, ERR), ACERVO_NOT_FOUND, "acervo_apply_version: ");
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(an_entry_that_is_not_there_is_not_found),
        TEST(a_version_that_is_not_there_is_not_found),
        TEST(applying_no_changes_is_invalid),
        TEST(a_registry_that_is_closed_is_internal),
        TEST(creating_what_exists_says_so),
        TEST(changing_what_was_deleted_before_is_not_found),
        TEST(updating_the_kind_is_invalid),
        TEST(the_first_fault_in_call_order_is_reported),
        TEST(applied_changes_are_spent),
        TEST(a_bad_option_is_invalid_and_named),
        TEST(parts_over_the_value_limit_are_invalid_and_what_was_queued_stays),
        TEST(changesets_have_100000_operations_at_most),
        TEST(a_read_only_registry_can_be_read_and_not_changed),
        TEST(null_handles_and_outs_are_invalid_and_named),
        TEST(functions_without_a_code_accept_null),
        TEST(outs_are_reset_when_a_call_begins),
        TEST(messages_begin_with_the_function),
    };
    return RUN_TESTS(cases, argc, argv);
}
