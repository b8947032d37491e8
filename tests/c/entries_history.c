/* Versions: their numbers and their lineage, moving between them, pruning,
 * and what is there again after a restart. */
#include "entries.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* v1 creates a:x = 1; v2 makes it 2; v3 adds a:y. Back at v1, v4 adds a:z. */
static acervo *open_branches(const char *path)
{
    acervo *db = open_database(path);
    CHECK_INT(apply_create(db, "a:x", "1"), 1);
    CHECK_INT(apply_update(db, "a:x", "2"), 2);
    CHECK_INT(apply_create(db, "a:y", "3"), 3);
    CHECK_OK(acervo_apply_version(db, 1, ERR));
    CHECK_INT(apply_create(db, "a:z", "4"), 4);
    return db;
}

static void check_state_at(acervo *db, uint64_t version, const char *ids, const char *x)
{
    acervo_snapshot *then = snapshot_at(db, version);
    CHECK_INT(acervo_snapshot_version(then), version);
    CHECK_IDS(then, ids);
    CHECK_DATA(then, "a:x", x);
    acervo_snapshot_free(then);
}

static void check_branches(acervo *db)
{
    CHECK_VERSIONS(db, "0 1<0 2<1 3<2 4<1");
    check_state_at(db, 0, "", NULL);
    check_state_at(db, 1, "a:x", "1");
    check_state_at(db, 2, "a:x", "2");
    check_state_at(db, 3, "a:x a:y", "2");
    check_state_at(db, 4, "a:x a:z", "1");
}

static void check_neighbours(acervo *db, uint64_t version, int64_t previous, int64_t next)
{
    uint64_t number = 99;
    bool found = true;
    CHECK_OK(acervo_version_previous(db, version, &number, &found, ERR));
    CHECK_INT(found ? (int64_t)number : -1, previous);
    CHECK(found || number == 0);
    CHECK_OK(acervo_version_next(db, version, &number, &found, ERR));
    CHECK_INT(found ? (int64_t)number : -1, next);
    CHECK(found || number == 0);
}

/* ---------------------------------------------------------------- versions */

static void every_version_can_be_read_as_it_was(void)
{
    acervo *db = open_branches(":memory:");
    check_branches(db);
    close_database(db);
}

static void a_version_tells_its_time_and_its_parent(void)
{
    const int64_t before = (int64_t)time(NULL);
    acervo *db = open_branches(":memory:");
    acervo_value *info = NULL, *part = NULL;
    int64_t number = 0;
    CHECK_OK(acervo_version_info(db, 4, &info, ERR));
    CHECK_OK(acervo_value_get(info, "id", ACERVO_NTS, &part, ERR));
    CHECK_TAKEN(part, "4");
    CHECK_OK(acervo_value_get(info, "parent", ACERVO_NTS, &part, ERR));
    CHECK_TAKEN(part, "1");
    CHECK_OK(acervo_value_get(info, "time", ACERVO_NTS, &part, ERR));
    CHECK_OK(acervo_value_as_int(part, &number, ERR));
    CHECK(number >= before && number <= (int64_t)time(NULL));
    acervo_value_free(part);
    acervo_value_free(info);
    CHECK_OK(acervo_version_info(db, 0, &info, ERR));
    CHECK_INT(acervo_value_get(info, "parent", ACERVO_NTS, &part, NULL), ACERVO_NOT_FOUND);
    acervo_value_free(info);
    close_database(db);
}

static void versions_know_their_neighbours_on_the_way_to_the_current_one(void)
{
    acervo *db = open_branches(":memory:");
    check_neighbours(db, 0, -1, 1);
    check_neighbours(db, 1, 0, 4);
    check_neighbours(db, 2, 1, 3);
    check_neighbours(db, 3, 2, -1);
    check_neighbours(db, 4, 1, -1);
    CHECK_OK(acervo_apply_version(db, 3, ERR));
    check_neighbours(db, 1, 0, 2);
    /* Off the way: the newest. */
    CHECK_OK(acervo_apply_version(db, 0, ERR));
    check_neighbours(db, 1, 0, 4);
    close_database(db);
}

static void a_failed_apply_uses_no_number(void)
{
    acervo *db = open_branches(":memory:");
    acervo_changes *changes = changes_of(db);
    queue_create(changes, "a:x", "9");
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), ACERVO_ALREADY_EXISTS, "a:x");
    acervo_changes_free(changes);
    CHECK_VERSIONS(db, "0 1<0 2<1 3<2 4<1");
    CHECK_INT(apply_delete(db, "a:x"), 5);
    close_database(db);
}

/* -------------------------------------------------------------- navigation */

static void any_version_can_be_made_the_current_one(void)
{
    static const struct {
        uint64_t version;
        const char *ids;
    } way[] = {{4, "a:x a:z"}, {3, "a:x a:y"}, {0, ""},        {2, "a:x"},
               {4, "a:x a:z"}, {1, "a:x"},     {3, "a:x a:y"}, {3, "a:x a:y"}};
    acervo *db = open_branches(":memory:");
    for (size_t i = 0; i < sizeof way / sizeof way[0]; i++) {
        CHECK_OK(acervo_apply_version(db, way[i].version, ERR));
        CHECK_INT(head_of(db), way[i].version);
        CHECK_NOW(db, way[i].ids);
    }
    check_branches(db);
    close_database(db);
}

static void a_change_after_a_step_back_makes_a_branch(void)
{
    acervo *db = open_branches(":memory:");
    CHECK_OK(acervo_apply_version(db, 2, ERR));
    CHECK_INT(apply_update(db, "a:x", "5"), 5);
    CHECK_VERSIONS(db, "0 1<0 2<1 3<2 4<1 5<2");
    check_state_at(db, 3, "a:x a:y", "2");
    check_state_at(db, 5, "a:x", "5");
    check_neighbours(db, 2, 1, 5);
    close_database(db);
}

static void snapshots_stay_where_they_are_when_the_current_version_moves(void)
{
    acervo *db = open_branches(":memory:");
    acervo_snapshot *now = snapshot_of(db);
    CHECK_OK(acervo_apply_version(db, 0, ERR));
    CHECK_INT(acervo_snapshot_version(now), 4);
    CHECK_IDS(now, "a:x a:z");
    acervo_snapshot_free(now);
    close_database(db);
}

/* ---------------------------------------------------------------- restarts */

static void versions_are_there_again_after_a_restart(void)
{
    const char *path = scratch_path("restart.db");
    close_database(open_branches(path));
    acervo *db = open_database(path);
    CHECK_INT(head_of(db), 4);
    CHECK_NOW(db, "a:x a:z");
    check_branches(db);
    CHECK_OK(acervo_apply_version(db, 2, ERR));
    close_database(db);
    /* The current version is one of the things that are kept. */
    db = open_database(path);
    CHECK_INT(head_of(db), 2);
    CHECK_NOW(db, "a:x");
    check_branches(db);
    close_database(db);
}

static void numbers_are_not_used_again_after_a_restart_at_an_older_version(void)
{
    const char *path = scratch_path("numbers.db");
    acervo *db = open_branches(path);
    CHECK_OK(acervo_apply_version(db, 1, ERR));
    close_database(db);
    db = open_database(path);
    CHECK_INT(apply_create(db, "a:new", "1"), 5);
    CHECK_VERSIONS(db, "0 1<0 2<1 3<2 4<1 5<1");
    close_database(db);
}

static void authors_and_messages_of_any_bytes_are_there_after_a_restart(void)
{
    static const char odd[] = "\xff\0x";
    const char *path = scratch_path("authors.db");
    acervo *db = open_database(path);
    acervo_changes *changes = changes_of(db);
    acervo_value *author = acervo_value_string(odd, 3), *info = NULL, *part = NULL;
    queue_create(changes, "a:x", "1");
    CHECK_OK(acervo_changes_set(changes, "author", ACERVO_NTS, author, ERR));
    apply(changes);
    close_database(db);
    db = open_database(path);
    CHECK_OK(acervo_version_info(db, 1, &info, ERR));
    CHECK_OK(acervo_value_get(info, "author", ACERVO_NTS, &part, ERR));
    CHECK(acervo_value_equal(part, author));
    acervo_value_free(part);
    acervo_value_free(info);
    acervo_value_free(author);
    close_database(db);
}

static void two_handles_on_a_file_see_each_others_versions_at_once(void)
{
    const char *path = scratch_path("handles.db");
    acervo *a = open_branches(path), *b = open_database(path);
    CHECK_INT(head_of(b), 4);
    CHECK_INT(apply_delete(b, "a:z"), 5);
    CHECK_NOW(a, "a:x");
    CHECK_OK(acervo_apply_version(a, 3, ERR));
    CHECK_NOW(b, "a:x a:y");
    close_database(a);
    CHECK_INT(apply_create(b, "a:w", "1"), 6);
    close_database(b);
}

/* ----------------------------------------------------------------- pruning */

static void pruning_takes_out_what_does_not_descend_from_a_version(void)
{
    acervo *db = open_branches(":memory:");
    acervo_snapshot *old = snapshot_at(db, 3), *out = NULL;
    CHECK_OK(acervo_apply_version(db, 3, ERR));
    CHECK_OK(acervo_prune(db, 2, ERR));
    CHECK_VERSIONS(db, "0 2<0 3<2");
    check_state_at(db, 2, "a:x", "2");
    check_state_at(db, 0, "", NULL);
    CHECK_FAILS(acervo_snapshot_at(db, 1, &out, ERR), ACERVO_NOT_FOUND, "pruned");
    CHECK_FAILS(acervo_snapshot_at(db, 4, &out, ERR), ACERVO_NOT_FOUND, "pruned");
    CHECK_FAILS(acervo_apply_version(db, 4, ERR), ACERVO_NOT_FOUND, "pruned");
    CHECK(out == NULL);
    CHECK_IDS(old, "a:x a:y");
    acervo_snapshot_free(old);
    CHECK_OK(acervo_apply_version(db, 0, ERR));
    CHECK_NOW(db, "");
    CHECK_INT(apply_create(db, "a:new", "1"), 5);
    close_database(db);
}

static void a_pruned_snapshot_stays_whole_and_can_be_changed_from(void)
{
    acervo *db = open_branches(":memory:");
    acervo_snapshot *old = snapshot_at(db, 2);
    acervo_changes *changes;
    CHECK_OK(acervo_prune(db, 4, ERR));
    CHECK_VERSIONS(db, "0 4<0");
    CHECK_IDS(old, "a:x");
    CHECK_DATA(old, "a:x", "2");
    changes = acervo_changes_new(old);
    queue_delete(changes, "a:z");
    CHECK_INT(apply(changes), 5);
    CHECK_NOW(db, "a:x");
    acervo_snapshot_free(old);
    close_database(db);
}

static void pruning_is_kept_over_a_restart(void)
{
    const char *path = scratch_path("pruned.db");
    acervo *db = open_branches(path);
    CHECK_OK(acervo_prune(db, 4, ERR));
    close_database(db);
    db = open_database(path);
    CHECK_VERSIONS(db, "0 4<0");
    CHECK_NOW(db, "a:x a:z");
    CHECK_FAILS(acervo_apply_version(db, 3, ERR), ACERVO_NOT_FOUND, "pruned");
    CHECK_INT(apply_delete(db, "a:x"), 5);
    close_database(db);
}

static void pruning_from_the_root_takes_nothing_out(void)
{
    acervo *db = open_branches(":memory:");
    CHECK_OK(acervo_prune(db, 0, ERR));
    check_branches(db);
    close_database(db);
}

static void pruning_off_the_way_to_the_current_version_is_invalid(void)
{
    acervo *db = open_branches(":memory:");
    CHECK_FAILS(acervo_prune(db, 3, ERR), ACERVO_INVALID, "v3");
    CHECK_FAILS(acervo_prune(db, 5, ERR), ACERVO_NOT_FOUND, "v5");
    check_branches(db);
    close_database(db);
}

/* ------------------------------------------------------- other histories */

static void a_file_with_history_in_memory_forgets_entries_with_its_last_handle(void)
{
    const char *path = scratch_path("memory.db");
    acervo *db = open_with(path, "{\"history\":\"memory\"}");
    apply_create(db, "a:x", "1");
    CHECK_VERSIONS(db, "0 1<0");
    close_database(db);
    db = open_with(path, "{\"history\":\"memory\"}");
    CHECK_INT(head_of(db), 0);
    CHECK_NOW(db, "");
    close_database(db);
}

static void a_file_that_has_versions_opens_with_its_history_only(void)
{
    const char *path = scratch_path("has_versions.db");
    acervo *db = NULL;
    close_database(open_branches(path));
    CHECK_FAILS(try_open_with(path, "{\"history\":\"memory\"}", &db, ERR), ACERVO_INVALID,
                "history");
    CHECK_FAILS(try_open_with(path, "{\"history\":\"none\"}", &db, ERR), ACERVO_INVALID,
                "history");
    CHECK(db == NULL);
    db = open_with(path, "{\"history\":\"sqlite\"}");
    check_branches(db);
    close_database(db);
}

static void without_a_history_only_the_current_version_is_there(void)
{
    acervo *db = open_with(":memory:", "{\"history\":\"none\"}");
    acervo_snapshot *out = NULL;
    acervo_value *list = NULL;
    CHECK_INT(apply_create(db, "a:x", "1"), 1);
    CHECK_INT(apply_create(db, "a:y", "2"), 2);
    CHECK_INT(head_of(db), 2);
    CHECK_NOW(db, "a:x a:y");
    CHECK_FAILS(acervo_versions(db, &list, ERR), ACERVO_UNAVAILABLE, "history");
    CHECK_FAILS(acervo_snapshot_at(db, 1, &out, ERR), ACERVO_UNAVAILABLE, "history");
    CHECK_FAILS(acervo_apply_version(db, 1, ERR), ACERVO_UNAVAILABLE, "history");
    CHECK_FAILS(acervo_version_info(db, 1, &list, ERR), ACERVO_UNAVAILABLE, "history");
    CHECK_FAILS(acervo_prune(db, 2, ERR), ACERVO_UNAVAILABLE, "history");
    CHECK(out == NULL && list == NULL);
    CHECK_OK(acervo_apply_version(db, 2, ERR));
    close_database(db);
}

static void versions_beyond_history_keep_are_pruned_in_time(void)
{
    acervo *db = open_with(":memory:", "{\"history_keep\":3}");
    acervo_snapshot *out = NULL;
    int32_t code = ACERVO_OK;
    apply_create(db, "a:x", "0");
    for (int i = 0; i < 50; i++)
        apply_update(db, "a:x", "1");
    /* In the background: it has to come, not to be there at once. */
    for (int i = 0; i < 1000 && code == ACERVO_OK; i++) {
        code = acervo_snapshot_at(db, 1, &out, NULL);
        acervo_snapshot_free(out);
        sleep_ms(10);
    }
    CHECK_INT(code, ACERVO_NOT_FOUND);
    check_state_at(db, 51, "a:x", "1");
    check_state_at(db, 49, "a:x", "1");
    close_database(db);
}

/* ------------------------------------------------------------------- stats */

static int64_t stat_of(acervo *db, const char *name)
{
    acervo_value *stats = NULL, *part = NULL;
    int64_t number = -1;
    CHECK_OK(acervo_stats(db, &stats, ERR));
    CHECK_OK(acervo_value_get(stats, name, ACERVO_NTS, &part, ERR));
    if (acervo_value_type(part) != ACERVO_TYPE_NIL)
        CHECK_OK(acervo_value_as_int(part, &number, ERR));
    acervo_value_free(part);
    acervo_value_free(stats);
    return number;
}

static void stats_tell_entries_versions_and_what_snapshots_hold(void)
{
    acervo *db = open_branches(":memory:");
    acervo_snapshot *old = snapshot_at(db, 2);
    CHECK_INT(stat_of(db, "entries"), 2);
    CHECK_INT(stat_of(db, "head"), 4);
    CHECK_INT(stat_of(db, "versions"), 5);
    CHECK(stat_of(db, "oldest_pinned_version") <= 2);
    acervo_snapshot_free(old);
    close_database(db);
    db = open_with(":memory:", "{\"history\":\"none\"}");
    apply_create(db, "a:x", "1");
    CHECK_INT(stat_of(db, "entries"), 1);
    CHECK_INT(stat_of(db, "head"), 1);
    CHECK_INT(stat_of(db, "oldest_pinned_version"), 1);
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(every_version_can_be_read_as_it_was),
        TEST(a_version_tells_its_time_and_its_parent),
        TEST(versions_know_their_neighbours_on_the_way_to_the_current_one),
        TEST(a_failed_apply_uses_no_number),
        TEST(any_version_can_be_made_the_current_one),
        TEST(a_change_after_a_step_back_makes_a_branch),
        TEST(snapshots_stay_where_they_are_when_the_current_version_moves),
        TEST(versions_are_there_again_after_a_restart),
        TEST(numbers_are_not_used_again_after_a_restart_at_an_older_version),
        TEST(authors_and_messages_of_any_bytes_are_there_after_a_restart),
        TEST(two_handles_on_a_file_see_each_others_versions_at_once),
        TEST(pruning_takes_out_what_does_not_descend_from_a_version),
        TEST(a_pruned_snapshot_stays_whole_and_can_be_changed_from),
        TEST(pruning_is_kept_over_a_restart),
        TEST(pruning_from_the_root_takes_nothing_out),
        TEST(pruning_off_the_way_to_the_current_version_is_invalid),
        TEST(a_file_with_history_in_memory_forgets_entries_with_its_last_handle),
        TEST(a_file_that_has_versions_opens_with_its_history_only),
        TEST(without_a_history_only_the_current_version_is_there),
        TEST(versions_beyond_history_keep_are_pruned_in_time),
        TEST(stats_tell_entries_versions_and_what_snapshots_hold),
    };
    return RUN_TESTS(cases, argc, argv);
}
