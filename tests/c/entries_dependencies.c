/* What entries depend on, the order that follows from it, and the operations
 * from one list of entries to another. */
#include "entries.h"

#include <stdio.h>
#include <string.h>

/* app:web depends on app:config and app:db, app:db on app:config; app:config
 * names app:east in a field that is not looked at by default. */
static acervo *open_application(void)
{
    acervo *db = open_database(":memory:");
    acervo_changes *changes = changes_of(db);
    acervo_entry *all[] = {
        entry_of("app:web", "service", "{\"depends_on\":[\"app:db\",\"app:config\"]}", NULL),
        entry_of("app:db", "service", "{\"depends_on\":\"config\"}", NULL),
        entry_of("app:config", "config", "{\"server\":\"east\"}", NULL),
        entry_of("app:east", "server", "{\"parent\":\"nobody:here\"}", NULL),
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        CHECK_OK(acervo_changes_create(changes, all[i], ERR));
        acervo_entry_free(all[i]);
    }
    apply(changes);
    return db;
}

static void check_dependents(acervo *db, const char *id, bool transitive, const char *expected)
{
    acervo_value *ids = NULL;
    CHECK_OK(acervo_dependents(db, id, ACERVO_NTS, transitive, &ids, ERR));
    CHECK_TAKEN(ids, expected);
}

static void check_dependencies(acervo *db, const char *id, bool transitive, const char *expected)
{
    acervo_value *ids = NULL;
    CHECK_OK(acervo_dependencies(db, id, ACERVO_NTS, transitive, &ids, ERR));
    CHECK_TAKEN(ids, expected);
}

/* "+a -b ~c": the kinds and ids of operations in their order. */
static void check_ops(acervo_value *ops, const char *expected)
{
    char text[512] = "";
    size_t used = 0;
    CHECK(ops != NULL);
    for (size_t i = 0; i < acervo_value_len(ops); i++) {
        acervo_value *op = NULL, *kind = NULL, *entry = NULL, *id = NULL;
        const char *kind_text = NULL, *id_text = NULL;
        size_t kind_len = 0, id_len = 0;
        CHECK_OK(acervo_value_at(ops, i, &op, ERR));
        CHECK_OK(acervo_value_get(op, "kind", ACERVO_NTS, &kind, ERR));
        CHECK_OK(acervo_value_get(op, "entry", ACERVO_NTS, &entry, ERR));
        CHECK_OK(acervo_value_get(entry, "id", ACERVO_NTS, &id, ERR));
        CHECK_OK(acervo_value_as_string(kind, &kind_text, &kind_len, ERR));
        CHECK_OK(acervo_value_as_string(id, &id_text, &id_len, ERR));
        CHECK_INT(kind_len, strlen("entry.create"));
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%c%.*s", i > 0 ? " " : "",
                                 kind_text[6] == 'c'   ? '+'
                                 : kind_text[6] == 'd' ? '-'
                                                       : '~',
                                 (int)id_len, id_text);
        CHECK(used < sizeof text);
        acervo_value_free(id);
        acervo_value_free(entry);
        acervo_value_free(kind);
        acervo_value_free(op);
    }
    acervo_value_free(ops);
    CHECK_TEXT(text, expected);
}

/* ------------------------------------------------ dependents, dependencies */

static void dependents_are_what_breaks_without_an_entry(void)
{
    acervo *db = open_application();
    check_dependents(db, "app:config", false, "[\"app:db\",\"app:web\"]");
    check_dependents(db, "app:db", false, "[\"app:web\"]");
    check_dependents(db, "app:web", true, "[]");
    close_database(db);
}

static void dependencies_are_followed_through_others_on_request(void)
{
    acervo *db = open_application();
    apply_entry(db, "x:client", "service", "{\"depends_on\":\"app:web\"}", NULL);
    check_dependencies(db, "x:client", false, "[\"app:web\"]");
    check_dependencies(db, "x:client", true, "[\"app:config\",\"app:db\",\"app:web\"]");
    check_dependents(db, "app:config", true, "[\"app:db\",\"app:web\",\"x:client\"]");
    /* What does not exist is left out. */
    check_dependencies(db, "app:east", true, "[]");
    close_database(db);
}

static void dependencies_follow_the_current_version(void)
{
    acervo *db = open_application();
    apply_delete(db, "app:db");
    check_dependents(db, "app:config", true, "[\"app:web\"]");
    CHECK_OK(acervo_apply_version(db, 1, ERR));
    check_dependents(db, "app:config", true, "[\"app:db\",\"app:web\"]");
    close_database(db);
}

static void a_registered_pattern_is_read_like_the_others(void)
{
    acervo *db = open_application();
    check_dependencies(db, "app:config", true, "[]");
    CHECK_OK(acervo_register_pattern(db, "meta.server", ACERVO_NTS, false, ERR));
    CHECK_OK(acervo_register_pattern(db, "meta.server", ACERVO_NTS, false, ERR));
    check_dependencies(db, "app:config", true, "[\"app:east\"]");
    check_dependents(db, "app:east", true, "[\"app:config\",\"app:db\",\"app:web\"]");
    close_database(db);
}

static void a_star_is_a_wildcard_only_where_it_is_allowed(void)
{
    acervo *db = open_application();
    apply_entry(db, "app:job", "job", NULL, "{\"*_env\":\"db\",\"test_env\":\"config\"}");
    CHECK_OK(acervo_register_pattern(db, "data.*_env", ACERVO_NTS, false, ERR));
    check_dependencies(db, "app:job", false, "[\"app:db\"]");
    CHECK_OK(acervo_register_pattern(db, "data.*_env", ACERVO_NTS, true, ERR));
    check_dependencies(db, "app:job", false, "[\"app:config\",\"app:db\"]");
    close_database(db);
}

static void namespaces_and_groups_stand_for_their_entries(void)
{
    acervo *db = open_application();
    apply_entry(db, "g:one", "test", "{\"groups\":[\"blue\"]}", NULL);
    apply_entry(db, "x:all", "test", "{\"depends_on\":[\"ns:app\",\"group:blue\"]}", NULL);
    check_dependencies(db, "x:all", false,
                       "[\"app:config\",\"app:db\",\"app:east\",\"app:web\",\"g:one\"]");
    close_database(db);
}

static void a_path_that_is_none_is_invalid(void)
{
    static const char *const bad[] = {"", "config", "meta..x", "id.x", "meta."};
    acervo *db = open_application();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(acervo_register_pattern(db, bad[i], ACERVO_NTS, true, ERR), ACERVO_INVALID,
                    "dependency pattern");
    CHECK_FAILS(acervo_register_pattern(db, NULL, 0, true, ERR), ACERVO_INVALID, "empty");
    CHECK_FAILS(acervo_register_pattern(db, NULL, 1, true, ERR), ACERVO_INVALID, "path");
    CHECK_FAILS(acervo_register_pattern(db, "meta.\xff", ACERVO_NTS, true, ERR), ACERVO_INVALID,
                "path");
    close_database(db);
}

static void an_unknown_entry_is_not_found(void)
{
    acervo *db = open_application();
    acervo_value *ids = NULL;
    CHECK_FAILS(acervo_dependents(db, "app:none", ACERVO_NTS, false, &ids, ERR),
                ACERVO_NOT_FOUND, "app:none");
    CHECK_FAILS(acervo_dependencies(db, "app:none", ACERVO_NTS, true, &ids, ERR),
                ACERVO_NOT_FOUND, "app:none");
    CHECK(ids == NULL);
    close_database(db);
}

/* -------------------------------------------------------------------- order */

static void creates_come_after_and_deletes_before_what_they_depend_on(void)
{
    acervo *db = open_application();
    acervo_changes *changes = changes_of(db);
    acervo_value *plan = NULL;
    queue_delete(changes, "app:config");
    queue_delete(changes, "app:db");
    queue_delete(changes, "app:web");
    queue_create(changes, "z:new", "1");
    queue_create(changes, "b:new", "1");
    CHECK_OK(acervo_changes_plan(changes, &plan, ERR));
    check_ops(plan, "-app:web -app:db -app:config +b:new +z:new");
    acervo_changes_free(changes);
    close_database(db);
}

/* ------------------------------------------------------------------- deltas */

enum { BEFORE = 3, AFTER = 3 };

static void a_delta_is_the_fewest_operations_in_the_order_of_an_apply(void)
{
    acervo *db = open_database(":memory:");
    acervo_entry *before[BEFORE] = {
        entry_of("a:same", "test", "{\"x\":1,\"y\":2}", "[1]"),
        entry_of("a:changed", "test", NULL, "1"),
        entry_of("a:gone", "test", NULL, NULL),
    };
    acervo_entry *after[AFTER] = {
        entry_of("a:changed", "test", NULL, "2"),
        entry_of("a:same", "test", "{\"y\":2,\"x\":1.0}", "[1]"),
        entry_of("a:added", "test", "{\"depends_on\":\"changed\"}", NULL),
    };
    acervo_value *ops = NULL;
    const acervo_entry *const *from = (const acervo_entry *const *)before;
    const acervo_entry *const *to = (const acervo_entry *const *)after;
    CHECK_OK(acervo_build_delta(db, from, BEFORE, to, AFTER, &ops, ERR));
    check_ops(ops, "-a:gone ~a:changed +a:added");
    CHECK_OK(acervo_build_delta(db, from, BEFORE, from, BEFORE, &ops, ERR));
    check_ops(ops, "");
    CHECK_OK(acervo_build_delta(db, NULL, 0, to, AFTER, &ops, ERR));
    check_ops(ops, "+a:changed +a:added +a:same");
    CHECK_OK(acervo_build_delta(db, from, BEFORE, NULL, 0, &ops, ERR));
    check_ops(ops, "-a:changed -a:gone -a:same");
    for (int i = 0; i < BEFORE; i++)
        acervo_entry_free(before[i]);
    for (int i = 0; i < AFTER; i++)
        acervo_entry_free(after[i]);
    close_database(db);
}

static void a_delta_to_another_kind_is_a_delete_and_a_create(void)
{
    acervo *db = open_database(":memory:");
    acervo_entry *before = entry_of("a:x", "one", NULL, "1"), *after;
    acervo_value *ops = NULL;
    after = entry_of("a:x", "two", NULL, "1");
    CHECK_OK(acervo_build_delta(db, (const acervo_entry *const *)&before, 1,
                                (const acervo_entry *const *)&after, 1, &ops, ERR));
    CHECK_TAKEN(ops,
                "[{\"entry\":{\"data\":1,\"id\":\"a:x\",\"kind\":\"one\",\"meta\":{}},"
                "\"kind\":\"entry.delete\","
                "\"original\":{\"data\":1,\"id\":\"a:x\",\"kind\":\"one\",\"meta\":{}}},"
                "{\"entry\":{\"data\":1,\"id\":\"a:x\",\"kind\":\"two\",\"meta\":{}},"
                "\"kind\":\"entry.create\"}]");
    acervo_entry_free(before);
    acervo_entry_free(after);
    close_database(db);
}

static void a_bad_element_of_a_delta_is_invalid_and_named(void)
{
    acervo *db = open_database(":memory:");
    acervo_entry *entry = entry_of("a:x", "test", NULL, NULL);
    const acervo_entry *twice[] = {entry, entry}, *hole[] = {entry, NULL};
    acervo_value *ops = NULL;
    CHECK_FAILS(acervo_build_delta(db, twice, 2, NULL, 0, &ops, ERR), ACERVO_INVALID, "from[2]");
    CHECK_FAILS(acervo_build_delta(db, twice, 1, twice, 2, &ops, ERR), ACERVO_INVALID, "to[2]");
    CHECK_FAILS(acervo_build_delta(db, NULL, 0, hole, 2, &ops, ERR), ACERVO_INVALID, "to[2]");
    CHECK_FAILS(acervo_build_delta(db, NULL, 1, hole, 1, &ops, ERR), ACERVO_INVALID, "from");
    CHECK(ops == NULL);
    acervo_entry_free(entry);
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(dependents_are_what_breaks_without_an_entry),
        TEST(dependencies_are_followed_through_others_on_request),
        TEST(dependencies_follow_the_current_version),
        TEST(a_registered_pattern_is_read_like_the_others),
        TEST(a_star_is_a_wildcard_only_where_it_is_allowed),
        TEST(namespaces_and_groups_stand_for_their_entries),
        TEST(a_path_that_is_none_is_invalid),
        TEST(an_unknown_entry_is_not_found),
        TEST(creates_come_after_and_deletes_before_what_they_depend_on),
        TEST(a_delta_is_the_fewest_operations_in_the_order_of_an_apply),
        TEST(a_delta_to_another_kind_is_a_delete_and_a_create),
        TEST(a_bad_element_of_a_delta_is_invalid_and_named),
    };
    return RUN_TESTS(cases, argc, argv);
}
