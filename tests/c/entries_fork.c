/* fork() and the entry registry: a child is refused on what has locks and files
 * behind it, keeps what has none, and can open anew. */
#include "entries.h"
#include "handlers.h"

#include <stdio.h>
#include <unistd.h>

static acervo *db;
static acervo_snapshot *snapshot;
static acervo_changes *changes;
static acervo_entry *entry;
static acervo_entries *list;
static acervo_subscription *subscription;
static acervo_feed *feed;
static acervo_op *op;
static recorder own;

/* A file of its own for each test. */
static int fixtures;

static const char *path(void)
{
    char name[32];
    snprintf(name, sizeof name, "fork%d.db", fixtures);
    return scratch_path(name);
}

/* Keeps the op of the first create. */
static int32_t keep_op(recorder *self, acervo_op *asked)
{
    (void)self;
    if (op == NULL)
        op = acervo_op_retain(asked);
    return ACERVO_ACCEPT;
}

static void open_fixture(void)
{
    fixtures++;
    db = open_database(path());
    own = (recorder){.answer = keep_op};
    subscription = subscribe(db, "**", 0, &own);
    CHECK_OK(acervo_events(db, 100, &feed, ERR));
    CHECK_INT(apply_create(db, "a:x", "[1]"), 1);
    CHECK_INT(apply_create(db, "a:y", "2"), 2);
    snapshot = snapshot_of(db);
    changes = acervo_changes_new(snapshot);
    queue_delete(changes, "a:y");
    CHECK_OK(acervo_snapshot_get(snapshot, "a:x", 3, &entry, ERR));
    CHECK_OK(acervo_snapshot_entries(snapshot, &list, ERR));
}

static void close_fixture(void)
{
    acervo_op_free(op);
    op = NULL;
    acervo_feed_free(feed);
    acervo_subscription_cancel(subscription);
    CHECK_INT(own.destroyed, 1);
    clear_log();
    acervo_entries_free(list);
    acervo_entry_free(entry);
    acervo_changes_free(changes);
    acervo_snapshot_free(snapshot);
    close_database(db);
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
    acervo_snapshot *made = NULL;
    acervo_value *out = NULL, *strict = json("\"strict\"");
    uint64_t number = 9;
    bool found = true;
    CHECK_FAILS(acervo_snapshot_current(db, &made, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_snapshot_at(db, 1, &made, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_current_version(db, &number, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_apply_version(db, 1, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_versions(db, &out, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_version_info(db, 1, &out, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_version_previous(db, 1, &number, &found, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_version_next(db, 1, &number, &found, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_prune(db, 1, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_build_delta(db, NULL, 0, NULL, 0, &out, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_register_pattern(db, "meta.x", 6, false, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_dependents(db, "a:x", 3, false, &out, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_dependencies(db, "a:x", 3, false, &out, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_changes_create(changes, entry, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_changes_update(changes, entry, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_changes_delete(changes, "a:x", 3, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_changes_set(changes, "base", 4, strict, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_changes_ops(changes, &out, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_changes_plan(changes, &out, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_changes_apply(changes, &number, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_load_state(db, NULL, 0, NULL, &number, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_events(db, 8, &feed, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_set_policy(db, NULL, NULL, NULL, ERR), ACERVO_FORKED, "");
    CHECK(acervo_changes_new(snapshot) == NULL);
    CHECK(made == NULL && out == NULL && number == 0 && !found);
    acervo_value_free(strict);
}

static void use_inherited_handlers_and_feeds(void)
{
    recorder mine = {0};
    acervo_subscription *made = NULL;
    acervo_value *event = NULL;
    CHECK_FAILS(acervo_on(db, "**", 2, 0, record, &mine, note_destroyed, &made, ERR),
                ACERVO_FORKED, "");
    CHECK(made == NULL);
    /* What this process gave it has back. */
    CHECK_INT(mine.destroyed, 1);
    CHECK_FAILS(acervo_feed_next(feed, -1, &event, ERR), ACERVO_FORKED, "");
    CHECK_INT(acervo_feed_fd(feed), -1);
    CHECK_INT(acervo_op_set_error(op, ACERVO_INVALID, "no", 2), ACERVO_FORKED);
    CHECK_FAILS(acervo_op_accept(op, ERR), ACERVO_FORKED, "");
    CHECK_FAILS(acervo_op_reject(op, ERR), ACERVO_FORKED, "");
    /* It is what it was. */
    CHECK_INT(acervo_op_kind(op), ACERVO_OP_CREATE);
    CHECK_TEXT(acervo_entry_id(acervo_op_entry(op), NULL), "a:x");
}

static void every_call_on_inherited_handles_says_forked(void)
{
    open_fixture();
    in_child(use_inherited_handlers_and_feeds);
    in_child(use_inherited_handles);
    CHECK_INT(head_of(db), 2);
    CHECK_OK(acervo_changes_apply(changes, NULL, ERR));
    CHECK_NOW(db, "a:x");
    close_fixture();
}

static void use_snapshots_and_entries(void)
{
    acervo_snapshot *again = acervo_snapshot_retain(snapshot);
    acervo_entry *got = NULL, *made;
    acervo_entries *namespace = NULL;
    CHECK_INT(acervo_snapshot_version(again), 2);
    CHECK_IDS(again, "a:x a:y");
    CHECK_OK(acervo_snapshot_get(again, "a:y", 3, &got, ERR));
    CHECK_JSON(acervo_entry_data(got), "2");
    acervo_entry_free(got);
    CHECK_INT(acervo_snapshot_get(again, "a:z", 3, &got, NULL), ACERVO_NOT_FOUND);
    CHECK_OK(acervo_snapshot_namespace(again, "a", 1, &namespace, ERR));
    CHECK_LIST(namespace, "a:x a:y");
    CHECK_TEXT(acervo_entry_id(entry, NULL), "a:x");
    CHECK_JSON(acervo_entry_data(entry), "[1]");
    CHECK_INT(acervo_entries_len(list), 2);
    made = entry_of("a:made", "test", NULL, "1");
    acervo_entry_free(made);
    acervo_snapshot_free(again);
}

static void snapshots_and_entries_stay_usable_in_a_child(void)
{
    open_fixture();
    in_child(use_snapshots_and_entries);
    close_fixture();
}

static void free_inherited_handles(void)
{
    acervo_subscription_cancel(subscription);
    acervo_feed_free(feed);
    acervo_op_free(op);
    acervo_free(db);
    acervo_changes_free(changes);
    acervo_snapshot_free(snapshot);
    acervo_entries_free(list);
    acervo_entry_free(entry);
    /* It is the parent's. */
    CHECK_INT(own.destroyed, 0);
}

static void freeing_inherited_handles_harms_nobody(void)
{
    open_fixture();
    in_child(free_inherited_handles);
    clear_log();
    CHECK_IDS(snapshot, "a:x a:y");
    CHECK_OK(acervo_changes_apply(changes, NULL, ERR));
    CHECK_LOG("-a:y");
    CHECK_NOW(db, "a:x");
    close_fixture();
}

static void open_anew(void)
{
    acervo *mine = open_database(path());
    acervo_changes *made = changes_of(mine);
    CHECK_INT(head_of(mine), 2);
    CHECK_NOW(mine, "a:x a:y");
    queue_create(made, "from:child", "7");
    /* What was made before the fork is a value like any other. */
    CHECK_OK(acervo_changes_update(made, entry, ERR));
    CHECK_INT(apply(made), 3);
    close_database(mine);
}

static void a_child_opens_anew_and_the_parent_sees_its_version(void)
{
    open_fixture();
    in_child(open_anew);
    CHECK_INT(head_of(db), 3);
    CHECK_NOW(db, "a:x a:y from:child");
    CHECK_INT(acervo_snapshot_version(snapshot), 2);
    CHECK_INT(apply_delete(db, "from:child"), 4);
    CHECK_VERSIONS(db, "0 1<0 2<1 3<2 4<3");
    close_fixture();
}

static void add_in_child(void)
{
    acervo *mine = open_database(path());
    acervo_changes *made = changes_of(mine);
    char id[32];
    snprintf(id, sizeof id, "from:%ld", (long)getpid());
    queue_create(made, id, "1");
    apply(made);
    close_database(mine);
}

static void forking_between_applies_loses_no_version(void)
{
    enum { ROUNDS = 20 };
    open_fixture();
    for (int i = 0; i < ROUNDS; i++) {
        apply_update(db, "a:x", "3");
        in_child(add_in_child);
    }
    CHECK_INT(head_of(db), 2 + 2 * ROUNDS);
    close_fixture();
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(every_call_on_inherited_handles_says_forked),
        TEST(snapshots_and_entries_stay_usable_in_a_child),
        TEST(freeing_inherited_handles_harms_nobody),
        TEST(a_child_opens_anew_and_the_parent_sees_its_version),
        TEST(forking_between_applies_loses_no_version),
    };
    return RUN_TESTS(cases, argc, argv);
}
