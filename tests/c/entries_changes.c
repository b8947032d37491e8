/* Changesets: what is queued, how it is folded and applied, and what stands in
 * its way. */
#include "entries.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static acervo *db;

/* A database with the entries a:one and a:two, at version 1. */
static void open_two(void)
{
    acervo_changes *changes;
    db = open_database(":memory:");
    changes = changes_of(db);
    queue_create(changes, "a:one", "1");
    queue_create(changes, "a:two", "2");
    CHECK_INT(apply(changes), 1);
}

static void check_data_now(const char *id, const char *expected)
{
    acervo_snapshot *now = snapshot_of(db);
    CHECK_DATA(now, id, expected);
    acervo_snapshot_free(now);
}

/* ------------------------------------------------------------------- apply */

static void changes_are_made_together_as_one_version(void)
{
    acervo_changes *changes;
    acervo_snapshot *now;
    open_two();
    changes = changes_of(db);
    queue_create(changes, "a:three", "3");
    queue_update(changes, "a:one", "10");
    queue_delete(changes, "a:two");
    CHECK_NOW(db, "a:one a:two");
    CHECK_INT(apply(changes), 2);
    CHECK_INT(head_of(db), 2);
    now = snapshot_of(db);
    CHECK_IDS(now, "a:one a:three");
    CHECK_DATA(now, "a:one", "10");
    CHECK_DATA(now, "a:three", "3");
    acervo_snapshot_free(now);
    close_database(db);
}

static void an_update_replaces_the_entry_whole(void)
{
    acervo_changes *changes;
    acervo_entry *entry;
    acervo_snapshot *now;
    open_two();
    apply_entry(db, "a:full", "test", "{\"m\":1}", "{\"d\":1}");
    changes = changes_of(db);
    entry = entry_of("a:full", "test", NULL, NULL);
    CHECK_OK(acervo_changes_update(changes, entry, ERR));
    acervo_entry_free(entry);
    apply(changes);
    now = snapshot_of(db);
    CHECK_OK(acervo_snapshot_get(now, "a:full", ACERVO_NTS, &entry, ERR));
    CHECK_JSON(acervo_entry_meta(entry), "{}");
    CHECK(acervo_entry_data(entry) == NULL);
    acervo_entry_free(entry);
    acervo_snapshot_free(now);
    close_database(db);
}

static void an_identical_update_makes_a_version(void)
{
    open_two();
    CHECK_INT(apply_update(db, "a:one", "1"), 2);
    close_database(db);
}

static void the_version_may_be_left_out(void)
{
    acervo_changes *changes;
    open_two();
    changes = changes_of(db);
    queue_delete(changes, "a:one");
    CHECK_OK(acervo_changes_apply(changes, NULL, ERR));
    acervo_changes_free(changes);
    CHECK_NOW(db, "a:two");
    close_database(db);
}

static void changes_that_are_freed_do_nothing(void)
{
    acervo_changes *changes;
    open_two();
    changes = changes_of(db);
    queue_delete(changes, "a:one");
    acervo_changes_free(changes);
    CHECK_INT(head_of(db), 1);
    CHECK_NOW(db, "a:one a:two");
    close_database(db);
}

/* ------------------------------------------------------------------ folding */

static void changes_of_one_id_do_what_they_say_in_their_order(void)
{
    acervo_changes *changes;
    open_two();
    changes = changes_of(db);
    queue_create(changes, "b:created_updated", "1");
    queue_update(changes, "b:created_updated", "2");
    queue_create(changes, "b:created_deleted", "1");
    queue_delete(changes, "b:created_deleted");
    queue_update(changes, "a:one", "11");
    queue_delete(changes, "a:one");
    queue_delete(changes, "a:two");
    queue_create(changes, "a:two", "22");
    CHECK_INT(apply(changes), 2);
    CHECK_NOW(db, "a:two b:created_updated");
    check_data_now("a:two", "22");
    check_data_now("b:created_updated", "2");
    CHECK_OK(acervo_apply_version(db, 1, ERR));
    CHECK_NOW(db, "a:one a:two");
    check_data_now("a:one", "1");
    check_data_now("a:two", "2");
    close_database(db);
}

static void an_entry_gets_another_kind_by_delete_and_create(void)
{
    acervo_changes *changes;
    acervo_entry *entry;
    acervo_snapshot *now;
    open_two();
    changes = changes_of(db);
    entry = entry_of("a:one", "other", NULL, "5");
    queue_delete(changes, "a:one");
    CHECK_OK(acervo_changes_create(changes, entry, ERR));
    acervo_entry_free(entry);
    apply(changes);
    now = snapshot_of(db);
    CHECK_OK(acervo_snapshot_get(now, "a:one", ACERVO_NTS, &entry, ERR));
    CHECK_TEXT(acervo_entry_kind(entry, NULL), "other");
    acervo_entry_free(entry);
    acervo_snapshot_free(now);
    close_database(db);
}

static void changes_that_cancel_out_make_an_empty_version(void)
{
    acervo_changes *changes;
    open_two();
    changes = changes_of(db);
    queue_create(changes, "b:x", "1");
    queue_delete(changes, "b:x");
    CHECK_INT(apply(changes), 2);
    CHECK_NOW(db, "a:one a:two");
    close_database(db);
}

/* -------------------------------------------------------------- ops and plan */

static void ops_are_what_was_queued_in_call_order(void)
{
    static const char *const queued =
        "[{\"entry\":{\"data\":3,\"id\":\"a:new\",\"kind\":\"test\",\"meta\":{}},"
        "\"kind\":\"entry.create\"},"
        "{\"entry\":{\"id\":\"a:two\"},\"kind\":\"entry.delete\"},"
        "{\"entry\":{\"id\":\"a:new\",\"kind\":\"test\",\"meta\":{}},"
        "\"kind\":\"entry.update\"}]";
    acervo_changes *changes;
    acervo_value *ops = NULL;
    open_two();
    changes = changes_of(db);
    CHECK_OK(acervo_changes_ops(changes, &ops, ERR));
    CHECK_TAKEN(ops, "[]");
    queue_create(changes, "a:new", "3");
    queue_delete(changes, "a:two");
    queue_update(changes, "a:new", NULL);
    CHECK_OK(acervo_changes_ops(changes, &ops, ERR));
    CHECK_TAKEN(ops, queued);
    CHECK_OK(acervo_changes_apply(changes, NULL, ERR));
    CHECK_OK(acervo_changes_ops(changes, &ops, ERR));
    CHECK_TAKEN(ops, queued);
    acervo_changes_free(changes);
    close_database(db);
}

static void a_plan_is_folded_and_ordered_and_does_nothing(void)
{
    acervo_changes *changes;
    acervo_value *plan = NULL;
    open_two();
    changes = changes_of(db);
    queue_create(changes, "a:new", "3");
    queue_update(changes, "a:new", "4");
    queue_update(changes, "a:one", "10");
    queue_delete(changes, "a:two");
    CHECK_OK(acervo_changes_plan(changes, &plan, ERR));
    CHECK_TAKEN(plan,
                "[{\"entry\":{\"data\":2,\"id\":\"a:two\",\"kind\":\"test\",\"meta\":{}},"
                "\"kind\":\"entry.delete\","
                "\"original\":{\"data\":2,\"id\":\"a:two\",\"kind\":\"test\",\"meta\":{}}},"
                "{\"entry\":{\"data\":4,\"id\":\"a:new\",\"kind\":\"test\",\"meta\":{}},"
                "\"kind\":\"entry.create\"},"
                "{\"entry\":{\"data\":10,\"id\":\"a:one\",\"kind\":\"test\",\"meta\":{}},"
                "\"kind\":\"entry.update\","
                "\"original\":{\"data\":1,\"id\":\"a:one\",\"kind\":\"test\",\"meta\":{}}}]");
    CHECK_INT(head_of(db), 1);
    CHECK_NOW(db, "a:one a:two");
    CHECK_INT(apply(changes), 2);
    CHECK_NOW(db, "a:new a:one");
    close_database(db);
}

/* ------------------------------------------------------------------ options */

static void a_dry_run_checks_makes_no_version_and_spends_nothing(void)
{
    acervo_changes *changes;
    uint64_t version = 99;
    open_two();
    changes = changes_of(db);
    queue_create(changes, "a:new", "3");
    set_option(changes, "dry_run", "true");
    CHECK_OK(acervo_changes_apply(changes, &version, ERR));
    CHECK_INT(version, 1);
    CHECK_NOW(db, "a:one a:two");
    CHECK_VERSIONS(db, "0 1<0");
    queue_create(changes, "a:one", "5");
    CHECK_FAILS(acervo_changes_apply(changes, &version, ERR), ACERVO_ALREADY_EXISTS, "a:one");
    acervo_changes_free(changes);
    /* nil is as if it had never been set. */
    changes = changes_of(db);
    queue_create(changes, "a:new", "3");
    set_option(changes, "dry_run", "true");
    set_option(changes, "dry_run", "null");
    CHECK_INT(apply(changes), 2);
    close_database(db);
}

static void author_and_message_are_kept_with_the_version(void)
{
    acervo_changes *changes;
    acervo_value *info = NULL, *part = NULL;
    open_two();
    changes = changes_of(db);
    queue_delete(changes, "a:one");
    set_option(changes, "author", "\"ana\"");
    set_option(changes, "message", "\"one goes\"");
    apply(changes);
    CHECK_OK(acervo_version_info(db, 2, &info, ERR));
    CHECK_OK(acervo_value_get(info, "author", ACERVO_NTS, &part, ERR));
    CHECK_TAKEN(part, "\"ana\"");
    CHECK_OK(acervo_value_get(info, "message", ACERVO_NTS, &part, ERR));
    CHECK_TAKEN(part, "\"one goes\"");
    acervo_value_free(info);
    changes = changes_of(db);
    queue_delete(changes, "a:two");
    set_option(changes, "author", "\"ana\"");
    set_option(changes, "author", "null");
    apply(changes);
    CHECK_OK(acervo_version_info(db, 3, &info, ERR));
    CHECK_INT(acervo_value_get(info, "author", ACERVO_NTS, &part, NULL), ACERVO_NOT_FOUND);
    CHECK_INT(acervo_value_get(info, "message", ACERVO_NTS, &part, NULL), ACERVO_NOT_FOUND);
    acervo_value_free(info);
    close_database(db);
}

/* ---------------------------------------------------------------- conflicts */

static void changes_from_an_old_snapshot_apply_to_the_current_state(void)
{
    acervo_changes *changes;
    open_two();
    changes = changes_of(db);
    queue_update(changes, "a:one", "20");
    apply_update(db, "a:one", "10");
    CHECK_INT(apply(changes), 3);
    check_data_now("a:one", "20");
    close_database(db);
}

/* The apply fails with a conflict whose details name `ids`, and can be
 * repeated to no other end. */
static void check_conflict(acervo_changes *changes, const char *ids)
{
    acervo_error *err = NULL;
    acervo_value *list = NULL;
    uint64_t version = 99, head = head_of(db);
    for (int round = 0; round < 2; round++) {
        CHECK_INT(acervo_changes_apply(changes, &version, &err), ACERVO_CONFLICT);
        CHECK_TEXT(acervo_error_kind(err, NULL), "Conflict");
        CHECK(acervo_error_retryable(err));
        CHECK_OK(acervo_value_get(acervo_error_details(err), "ids", ACERVO_NTS, &list, ERR));
        CHECK_TAKEN(list, ids);
        acervo_error_free(err);
        CHECK_INT(version, 0);
    }
    CHECK_INT(head_of(db), head);
}

static void strict_changes_conflict_with_any_other_version(void)
{
    acervo_changes *changes;
    open_two();
    changes = changes_of(db);
    set_option(changes, "base", "\"strict\"");
    queue_update(changes, "a:one", "10");
    apply_create(db, "b:elsewhere", "1");
    check_conflict(changes, "[]");
    apply_update(db, "a:one", "9");
    check_conflict(changes, "[\"a:one\"]");
    set_option(changes, "base", "null");
    apply(changes);
    check_data_now("a:one", "10");
    close_database(db);
}

static void disjoint_changes_conflict_where_they_touch_what_changed(void)
{
    acervo_changes *changes, *others;
    open_two();
    changes = changes_of(db);
    others = changes_of(db);
    set_option(changes, "base", "\"disjoint\"");
    queue_update(changes, "a:two", "20");
    queue_update(changes, "a:one", "10");
    queue_create(changes, "a:new", "3");
    set_option(others, "base", "\"disjoint\"");
    queue_create(others, "b:elsewhere", "1");
    CHECK_INT(apply(others), 2);
    apply_delete(db, "a:two");
    apply_create(db, "a:new", "0");
    /* Before the fault of the operations: a:two cannot be updated any more. */
    check_conflict(changes, "[\"a:new\",\"a:two\"]");
    acervo_changes_free(changes);
    close_database(db);
}

static void strict_changes_at_the_current_version_apply(void)
{
    acervo_changes *changes;
    open_two();
    changes = changes_of(db);
    set_option(changes, "base", "\"strict\"");
    queue_delete(changes, "a:one");
    CHECK_INT(apply(changes), 2);
    close_database(db);
}

enum { THREADS = 4, ROUNDS = 50 };

/* Adds 1 to the data of a:one, again and again, losing nobody's addition. */
static void *add_up(void *conflicts)
{
    for (int done = 0; done < ROUNDS;) {
        acervo_snapshot *now = snapshot_of(db);
        acervo_changes *changes = acervo_changes_new(now);
        acervo_entry *entry = NULL;
        char data[24];
        int64_t number = 0;
        int32_t code;
        CHECK_OK(acervo_snapshot_get(now, "a:one", ACERVO_NTS, &entry, ERR));
        CHECK_OK(acervo_value_as_int(acervo_entry_data(entry), &number, ERR));
        snprintf(data, sizeof data, "%lld", (long long)number + 1);
        queue_update(changes, "a:one", data);
        set_option(changes, "base", done % 2 == 0 ? "\"disjoint\"" : "\"strict\"");
        code = acervo_changes_apply(changes, NULL, NULL);
        CHECK(code == ACERVO_OK || code == ACERVO_CONFLICT);
        done += code == ACERVO_OK;
        *(int *)conflicts += code == ACERVO_CONFLICT;
        acervo_changes_free(changes);
        acervo_entry_free(entry);
        acervo_snapshot_free(now);
    }
    check_error_slot();
    return NULL;
}

static void threads_that_try_again_at_conflicts_lose_nothing(void)
{
    pthread_t threads[THREADS];
    int conflicts[THREADS] = {0};
    char sum[24];
    open_two();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, add_up, &conflicts[i]) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    snprintf(sum, sizeof sum, "%d", 1 + THREADS * ROUNDS);
    check_data_now("a:one", sum);
    /* A conflict uses no version. */
    CHECK_INT(head_of(db), 1 + THREADS * ROUNDS);
    close_database(db);
}

static void *update_one(void *unused)
{
    (void)unused;
    apply_update(db, "a:one", "9");
    check_error_slot();
    return NULL;
}

static void a_change_in_another_thread_is_a_conflict(void)
{
    pthread_t thread;
    acervo_changes *changes;
    open_two();
    changes = changes_of(db);
    set_option(changes, "base", "\"disjoint\"");
    queue_update(changes, "a:one", "10");
    CHECK(pthread_create(&thread, NULL, update_one, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    check_conflict(changes, "[\"a:one\"]");
    check_data_now("a:one", "9");
    acervo_changes_free(changes);
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(changes_are_made_together_as_one_version),
        TEST(an_update_replaces_the_entry_whole),
        TEST(an_identical_update_makes_a_version),
        TEST(the_version_may_be_left_out),
        TEST(changes_that_are_freed_do_nothing),
        TEST(changes_of_one_id_do_what_they_say_in_their_order),
        TEST(an_entry_gets_another_kind_by_delete_and_create),
        TEST(changes_that_cancel_out_make_an_empty_version),
        TEST(ops_are_what_was_queued_in_call_order),
        TEST(a_plan_is_folded_and_ordered_and_does_nothing),
        TEST(a_dry_run_checks_makes_no_version_and_spends_nothing),
        TEST(author_and_message_are_kept_with_the_version),
        TEST(changes_from_an_old_snapshot_apply_to_the_current_state),
        TEST(strict_changes_conflict_with_any_other_version),
        TEST(disjoint_changes_conflict_where_they_touch_what_changed),
        TEST(strict_changes_at_the_current_version_apply),
        TEST(a_change_in_another_thread_is_a_conflict),
        TEST(threads_that_try_again_at_conflicts_lose_nothing),
    };
    return RUN_TESTS(cases, argc, argv);
}
