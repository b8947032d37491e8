/* Handlers: what they may do inside, replay and load_state, and whose memory
 * is whose. */
#include "entries.h"
#include "handlers.h"

#include <stdio.h>
#include <string.h>

static acervo *db;

static void open_memory(void)
{
    db = open_database(":memory:");
    clear_log();
}

/* A file of this process. */
static acervo *open_file(const char *name)
{
    clear_log();
    return open_database(scratch_path(name));
}

/* -------------------------------------------------------------------- inside */

static int32_t try_to_write(recorder *own, acervo_op *op)
{
    acervo_changes *changes = own->data;
    uint64_t version = 9;
    acervo_subscription *subscription = NULL;
    if (acervo_op_entry(op) == NULL)
        return ACERVO_ACCEPT;
    CHECK_FAILS(acervo_changes_apply(changes, &version, ERR), ACERVO_INVALID,
                "apply inside a handler");
    CHECK_FAILS(acervo_apply_version(db, 0, ERR), ACERVO_INVALID, "inside a handler");
    CHECK_FAILS(acervo_prune(db, 1, ERR), ACERVO_INVALID, "inside a handler");
    CHECK_FAILS(acervo_load_state(db, NULL, 0, NULL, &version, ERR), ACERVO_INVALID,
                "inside a handler");
    CHECK_FAILS(acervo_on(db, "**", 2, ACERVO_ON_REPLAY, record, own, note_destroyed,
                          &subscription, ERR),
                ACERVO_INVALID, "inside a handler");
    CHECK(subscription == NULL);
    log_word("tried");
    return ACERVO_ACCEPT;
}

static void changing_entries_inside_a_handler_is_invalid(void)
{
    recorder own = {.answer = try_to_write};
    acervo_changes *changes;
    open_memory();
    apply_create(db, "a:x", "1");
    own.data = changes = changes_of(db);
    queue_create(changes, "a:inside", "1");
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    apply_create(db, "a:y", "1");
    CHECK_LOG("begin +a:y tried commit");
    CHECK_NOW(db, "a:x a:y");
    CHECK_INT(own.destroyed, 1);
    own.answer = NULL;
    CHECK_INT(apply(changes), 3);
    close_database(db);
    CHECK_INT(own.destroyed, 2);
}

/* Registry, store, and the entries of another database. */
static int32_t write_elsewhere(recorder *own, acervo_op *op)
{
    acervo_kv *registry = registry_of(db), *store = store_of(db, "agent");
    (void)op;
    put_int(registry, "seen", 1);
    put_int(store, "seen", 2);
    apply_create(own->data, "other:x", "1");
    acervo_kv_free(registry);
    acervo_kv_free(store);
    return ACERVO_ACCEPT;
}

static void registry_store_and_other_databases_are_free_inside_a_handler(void)
{
    recorder own = {.answer = write_elsewhere};
    acervo *other = open_database(":memory:");
    acervo_kv *kv;
    open_memory();
    own.data = other;
    listen(db, "**", 0, &own);
    apply_create(db, "a:x", "1");
    CHECK_NOW(other, "other:x");
    CHECK_HOLDS(kv = registry_of(db), "seen", "1");
    acervo_kv_free(kv);
    CHECK_HOLDS(kv = store_of(db, "agent"), "seen", "2");
    acervo_kv_free(kv);
    close_database(other);
    close_database(db);
}

static int32_t look_around(recorder *own, acervo_op *op)
{
    acervo_snapshot *now = snapshot_of(db);
    acervo_value *filter = json("{\"kind\":\"test\"}"), *ids = NULL;
    acervo_entries *found = NULL;
    (void)own;
    (void)op;
    CHECK_INT(head_of(db), 1);
    CHECK_IDS(now, "a:x");
    CHECK_DATA(now, "a:x", "1");
    CHECK_OK(acervo_snapshot_find(now, filter, NULL, &found, ERR));
    CHECK_LIST(found, "a:x");
    CHECK_OK(acervo_dependents(db, "a:x", ACERVO_NTS, false, &ids, ERR));
    acervo_value_free(ids);
    CHECK_VERSIONS(db, "0 1<0");
    acervo_value_free(filter);
    acervo_snapshot_free(now);
    log_word("as before");
    return ACERVO_ACCEPT;
}

static void a_handler_reads_the_state_before_the_transaction(void)
{
    recorder own = {.answer = look_around};
    acervo_changes *changes;
    open_memory();
    apply_create(db, "a:x", "1");
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    changes = changes_of(db);
    queue_update(changes, "a:x", "2");
    queue_create(changes, "a:y", "1");
    apply(changes);
    CHECK_LOG("begin as before ~a:x as before +a:y as before commit as before");
    CHECK_NOW(db, "a:x a:y");
    close_database(db);
}

static int32_t register_another(recorder *own, acervo_op *op)
{
    (void)op;
    if (own->data != NULL)
        listen(db, "**", ACERVO_ON_TRANSACTION, own->data);
    own->data = NULL;
    return ACERVO_ACCEPT;
}

static void a_handler_registered_inside_is_asked_from_the_next_transaction_on(void)
{
    recorder own = {.answer = register_another}, other = {.name = "new"};
    open_memory();
    own.data = &other;
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    apply_create(db, "a:x", "1");
    CHECK_LOG("begin +a:x commit");
    apply_create(db, "a:y", "1");
    CHECK_LOG("begin new.begin +a:y new.+a:y commit new.commit");
    close_database(db);
}

/* -------------------------------------------------------------------- replay */

static void a_replay_gives_every_matching_entry_dependencies_first(void)
{
    recorder own = {0};
    open_memory();
    apply_entry(db, "a:z", "test.b", NULL, NULL);
    apply_entry(db, "a:first", "test.a", "{\"depends_on\":\"a:z\"}", NULL);
    apply_entry(db, "a:other", "other", NULL, NULL);
    apply_entry(db, "a:inner", "ns.definition", NULL, NULL);
    listen(db, "test.*", ACERVO_ON_REPLAY | ACERVO_ON_TRANSACTION, &own);
    CHECK_LOG("+a:z +a:first");
    apply_entry(db, "a:new", "test.c", NULL, NULL);
    CHECK_LOG("begin +a:new commit");
    close_database(db);
}

static void a_replay_that_is_refused_is_undone_and_nothing_is_registered(void)
{
    recorder own = {.refuse = "+a:z", .message = "full"};
    acervo_subscription *subscription = NULL;
    own.code = ACERVO_UNAVAILABLE;
    open_memory();
    apply_create(db, "a:x", "1");
    apply_create(db, "a:y", "1");
    apply_create(db, "a:z", "1");
    CHECK_FAILS(acervo_on(db, "**", 2, ACERVO_ON_REPLAY, record, &own, note_destroyed,
                          &subscription, ERR),
                ACERVO_UNAVAILABLE, "refused entry a:z: full");
    CHECK(subscription == NULL);
    CHECK_LOG("+a:x +a:y +a:z undo-a:y undo-a:x");
    CHECK_INT(own.destroyed, 1);
    apply_create(db, "b:x", "1");
    CHECK_LOG("");
    close_database(db);
    CHECK_INT(own.destroyed, 1);
}

static void a_replay_defers_what_is_not_found_yet(void)
{
    recorder own = {.refuse = "+a:x", .times = 1};
    own.code = ACERVO_NOT_FOUND;
    open_memory();
    apply_create(db, "a:x", "1");
    apply_create(db, "a:y", "1");
    listen(db, "**", ACERVO_ON_REPLAY, &own);
    CHECK_LOG("+a:x +a:y +a:x");
    close_database(db);
}

/* ---------------------------------------------------------------- load_state */

static uint64_t load(const acervo_entry *const *entries, size_t len, const uint64_t *version)
{
    uint64_t out = 99;
    CHECK_OK(acervo_load_state(db, entries, len, version, &out, ERR));
    return out;
}

static void load_state_replays_the_history_on_a_baseline_and_asks_about_all(void)
{
    acervo_entry *base[2] = {
        entry_of("b:base", "test", "{\"depends_on\":\"b:root\"}", "1"),
        entry_of("b:root", "test", NULL, "2"),
    };
    recorder own = {0};
    acervo_snapshot *root;
    db = open_file("load.db");
    apply_create(db, "a:x", "1");
    apply_create(db, "a:y", "1");
    close_database(db);
    db = open_file("load.db");
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    CHECK_INT(load((const acervo_entry *const *)base, 2, NULL), 2);
    CHECK_LOG("begin +a:x +a:y +b:root +b:base commit");
    CHECK_NOW(db, "a:x a:y b:base b:root");
    CHECK_VERSIONS(db, "0 1<0 2<1");
    root = snapshot_at(db, 0);
    CHECK_IDS(root, "b:base b:root");
    acervo_snapshot_free(root);
    /* Back to the root the baseline stays. */
    CHECK_OK(acervo_apply_version(db, 0, ERR));
    CHECK_LOG("begin -a:x -a:y commit");
    CHECK_NOW(db, "b:base b:root");
    acervo_entry_free(base[0]);
    acervo_entry_free(base[1]);
    close_database(db);
}

static void load_state_goes_to_a_version_and_leaves_the_stored_head(void)
{
    const uint64_t first = 1, none = 7, beyond = UINT64_MAX;
    uint64_t version = 9;
    db = open_file("load_version.db");
    apply_create(db, "a:x", "1");
    apply_create(db, "a:y", "1");
    close_database(db);
    db = open_file("load_version.db");
    CHECK_FAILS(acervo_load_state(db, NULL, 0, &none, &version, ERR), ACERVO_NOT_FOUND, "v7");
    CHECK_FAILS(acervo_load_state(db, NULL, 0, &beyond, NULL, ERR), ACERVO_NOT_FOUND, "");
    CHECK_INT(version, 0);
    /* In and out may be one place. */
    version = first;
    CHECK_OK(acervo_load_state(db, NULL, 0, &version, &version, ERR));
    CHECK_INT(version, 1);
    CHECK_INT(head_of(db), 1);
    CHECK_NOW(db, "a:x");
    close_database(db);
    db = open_file("load_version.db");
    CHECK_INT(head_of(db), 2);
    CHECK_INT(load(NULL, 0, &(uint64_t){0}), 0);
    CHECK_NOW(db, "");
    close_database(db);
}

static void a_state_is_loaded_once_and_before_the_first_apply(void)
{
    recorder own = {.refuse = "+b:base", .times = 1};
    acervo_entry *base = entry_of("b:base", "test", NULL, NULL);
    const acervo_entry *const list[] = {base};
    uint64_t version = 9;
    own.code = ACERVO_CONFLICT;
    open_memory();
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    /* A refused one does not count. */
    CHECK_FAILS(acervo_load_state(db, list, 1, NULL, &version, ERR), ACERVO_CONFLICT, "b:base");
    CHECK_LOG("begin +b:base discard");
    CHECK_INT(version, 0);
    CHECK_NOW(db, "");
    CHECK_INT(load(list, 1, NULL), 0);
    CHECK_NOW(db, "b:base");
    CHECK_FAILS(acervo_load_state(db, list, 1, NULL, NULL, ERR), ACERVO_INVALID, "once");
    close_database(db);
    open_memory();
    apply_create(db, "a:x", "1");
    CHECK_FAILS(acervo_load_state(db, list, 1, NULL, NULL, ERR), ACERVO_INVALID,
                "before the first apply");
    CHECK_NOW(db, "a:x");
    close_database(db);
    acervo_entry_free(base);
}

static void a_baseline_with_a_fault_names_the_element(void)
{
    acervo_entry *x = entry_of("a:x", "test", NULL, NULL);
    const acervo_entry *const twice[] = {x, x}, *const null[] = {x, NULL};
    open_memory();
    CHECK_FAILS(acervo_load_state(db, twice, 2, NULL, NULL, ERR), ACERVO_INVALID, "baseline[2]");
    CHECK_FAILS(acervo_load_state(db, null, 2, NULL, NULL, ERR), ACERVO_INVALID, "baseline[2]");
    CHECK_FAILS(acervo_load_state(db, NULL, 1, NULL, NULL, ERR), ACERVO_INVALID, "NULL");
    CHECK_FAILS(acervo_load_state(NULL, twice, 1, NULL, NULL, ERR), ACERVO_INVALID, "db is NULL");
    CHECK_OK(acervo_load_state(db, twice, 1, NULL, NULL, ERR));
    CHECK_NOW(db, "a:x");
    close_database(db);
    acervo_entry_free(x);
}

/* ----------------------------------------------------------------- ownership */

static void on_refuses_what_is_wrong_and_destroys_the_userdata_once(void)
{
    recorder own = {0};
    acervo_subscription *out = (acervo_subscription *)&own;
    const char *const bad[] = {"", ".", "a..b", "a*", "(a", "(a|)", "a|b"};
    int failures = 0;
    open_memory();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++, failures++) {
        out = (acervo_subscription *)&own;
        CHECK_FAILS(acervo_on(db, bad[i], ACERVO_NTS, 0, record, &own, note_destroyed, &out, ERR),
                    ACERVO_INVALID, "pattern of kinds");
        CHECK(out == NULL);
    }
    CHECK_FAILS(acervo_on(db, "**", 2, 0, NULL, &own, note_destroyed, &out, ERR), ACERVO_INVALID,
                "function is NULL");
    CHECK_FAILS(acervo_on(db, "**", 2, 4, record, &own, note_destroyed, &out, ERR),
                ACERVO_INVALID, "flags");
    CHECK_FAILS(acervo_on(db, NULL, 2, 0, record, &own, note_destroyed, &out, ERR),
                ACERVO_INVALID, "kind_pattern is NULL");
    CHECK_FAILS(acervo_on(NULL, "**", 2, 0, record, &own, note_destroyed, &out, ERR),
                ACERVO_INVALID, "db is NULL");
    CHECK_OK(acervo_close(db, ERR));
    CHECK_FAILS(acervo_on(db, "**", 2, 0, record, &own, note_destroyed, &out, ERR),
                ACERVO_INTERNAL, "closed");
    CHECK_INT(own.destroyed, failures + 5);
    CHECK_FAILS(acervo_on(db, "**", 2, 0, record, &own, NULL, NULL, ERR), ACERVO_INTERNAL, "");
    acervo_free(db);
}

static void cancelling_ends_the_asking_and_destroys(void)
{
    recorder own = {.name = "own"}, other = {.name = "other"};
    acervo_subscription *subscription;
    open_memory();
    subscription = subscribe(db, "**", ACERVO_ON_TRANSACTION, &own);
    listen(db, "**", 0, &other);
    acervo_subscription_cancel(subscription);
    CHECK_INT(own.destroyed, 1);
    apply_create(db, "a:x", "1");
    CHECK_LOG("other.+a:x");
    acervo_subscription_cancel(NULL);
    close_database(db);
    CHECK_INT(own.destroyed, 1);
    CHECK_INT(other.destroyed, 1);
}

static void closing_the_last_handle_destroys_and_leaves_subscriptions_to_be_freed(void)
{
    recorder own = {0};
    acervo_subscription *subscription;
    acervo *second;
    db = open_file("closing.db");
    second = open_database(scratch_path("closing.db"));
    subscription = subscribe(db, "**", 0, &own);
    CHECK_OK(acervo_close(db, ERR));
    /* The file is still open. */
    CHECK_INT(own.destroyed, 0);
    apply_create(second, "a:x", "1");
    CHECK_LOG("+a:x");
    CHECK_OK(acervo_close(second, ERR));
    CHECK_INT(own.destroyed, 1);
    acervo_free(db);
    acervo_free(second);
    acervo_subscription_cancel(subscription);
    CHECK_INT(own.destroyed, 1);
}

static void a_subscription_keeps_its_database_alive(void)
{
    recorder own = {0};
    acervo_snapshot *now;
    acervo_changes *changes;
    acervo_subscription *subscription;
    open_memory();
    subscription = subscribe(db, "**", 0, &own);
    now = snapshot_of(db);
    changes = acervo_changes_new(now);
    acervo_snapshot_free(now);
    acervo_free(db);
    queue_create(changes, "a:x", "1");
    apply(changes);
    CHECK_LOG("+a:x");
    CHECK_INT(own.destroyed, 0);
    acervo_subscription_cancel(subscription);
    CHECK_INT(own.destroyed, 1);
}

static int32_t keep(recorder *own, acervo_op *op)
{
    if (acervo_op_kind(op) == ACERVO_OP_UPDATE)
        *(acervo_op **)own->data = acervo_op_retain(op);
    return ACERVO_ACCEPT;
}

static void a_retained_op_can_be_read_after_the_database_is_closed(void)
{
    acervo_op *op = NULL;
    recorder own = {.answer = keep};
    own.data = &op;
    open_memory();
    apply_create(db, "a:x", "1");
    listen(db, "**", 0, &own);
    apply_update(db, "a:x", "2");
    close_database(db);
    CHECK_INT(acervo_op_kind(op), ACERVO_OP_UPDATE);
    CHECK_INT(acervo_op_flags(op), 0);
    CHECK_JSON(acervo_entry_data(acervo_op_entry(op)), "2");
    CHECK_JSON(acervo_entry_data(acervo_op_original(op)), "1");
    CHECK(acervo_op_retain(op) == op);
    acervo_op_free(op);
    CHECK_FAILS(acervo_op_accept(op, ERR), ACERVO_INVALID, "too late");
    CHECK_FAILS(acervo_op_reject(op, ERR), ACERVO_INVALID, "too late");
    acervo_op_free(op);
}

static void calls_on_no_op_have_an_answer(void)
{
    CHECK_INT(acervo_op_kind(NULL), ACERVO_INVALID);
    CHECK_INT(acervo_op_flags(NULL), 0);
    CHECK(acervo_op_entry(NULL) == NULL && acervo_op_original(NULL) == NULL);
    CHECK(acervo_op_retain(NULL) == NULL);
    acervo_op_free(NULL);
    CHECK_FAILS(acervo_op_accept(NULL, ERR), ACERVO_INVALID, "op is NULL");
    CHECK_FAILS(acervo_op_reject(NULL, ERR), ACERVO_INVALID, "op is NULL");
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(changing_entries_inside_a_handler_is_invalid),
        TEST(registry_store_and_other_databases_are_free_inside_a_handler),
        TEST(a_handler_reads_the_state_before_the_transaction),
        TEST(a_handler_registered_inside_is_asked_from_the_next_transaction_on),
        TEST(a_replay_gives_every_matching_entry_dependencies_first),
        TEST(a_replay_that_is_refused_is_undone_and_nothing_is_registered),
        TEST(a_replay_defers_what_is_not_found_yet),
        TEST(load_state_replays_the_history_on_a_baseline_and_asks_about_all),
        TEST(load_state_goes_to_a_version_and_leaves_the_stored_head),
        TEST(a_state_is_loaded_once_and_before_the_first_apply),
        TEST(a_baseline_with_a_fault_names_the_element),
        TEST(on_refuses_what_is_wrong_and_destroys_the_userdata_once),
        TEST(cancelling_ends_the_asking_and_destroys),
        TEST(closing_the_last_handle_destroys_and_leaves_subscriptions_to_be_freed),
        TEST(a_subscription_keeps_its_database_alive),
        TEST(a_retained_op_can_be_read_after_the_database_is_closed),
        TEST(calls_on_no_op_have_an_answer),
    };
    return RUN_TESTS(cases, argc, argv);
}
