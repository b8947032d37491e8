/* Handlers and threads: answers that come later, cancelling, closing, and many
 * who apply. */
#include "entries.h"
#include "handlers.h"
#include "threads.h"

#include <stdio.h>
#include <string.h>

static acervo *db;

static void open_memory(const char *options)
{
    db = options != NULL ? open_with(":memory:", options) : open_database(":memory:");
    clear_log();
}

/* ------------------------------------------------------------------- pending */

/* What a handler leaves to be answered. */
typedef struct desk {
    moment came;
    acervo_op *op;
    const char *reason; /* NULL: accept */
} desk;

static int32_t leave_on_desk(recorder *own, acervo_op *op)
{
    desk *at = own->data;
    if (acervo_op_kind(op) != ACERVO_OP_CREATE)
        return ACERVO_ACCEPT;
    at->op = acervo_op_retain(op);
    happen(&at->came);
    return ACERVO_PENDING;
}

static void *answer_from_desk(void *argument)
{
    desk *at = argument;
    await(&at->came);
    if (at->reason != NULL) {
        CHECK_INT(acervo_op_set_error(at->op, ACERVO_RATE_LIMITED, at->reason, ACERVO_NTS),
                  ACERVO_OK);
        CHECK_OK(acervo_op_reject(at->op, ERR));
    } else {
        CHECK_TEXT(acervo_entry_id(acervo_op_entry(at->op), NULL), "a:x");
        CHECK_OK(acervo_op_accept(at->op, ERR));
    }
    /* One answer each. */
    CHECK_FAILS(acervo_op_accept(at->op, ERR), ACERVO_INVALID, "too late");
    acervo_op_free(at->op);
    return NULL;
}

static void a_pending_operation_is_accepted_from_another_thread(void)
{
    desk at = {.came = MOMENT};
    recorder own = {.answer = leave_on_desk, .data = &at};
    pthread_t answering;
    open_memory(NULL);
    listen(db, "**", 0, &own);
    answering = start(answer_from_desk, &at);
    CHECK_INT(apply_create(db, "a:x", "1"), 1);
    join(answering);
    CHECK_NOW(db, "a:x");
    close_database(db);
}

static void a_pending_operation_is_rejected_from_another_thread(void)
{
    desk at = {.came = MOMENT, .reason = "later, please"};
    recorder own = {.answer = leave_on_desk, .data = &at};
    pthread_t answering;
    open_memory(NULL);
    listen(db, "**", 0, &own);
    answering = start(answer_from_desk, &at);
    CHECK_REFUSED(db, "a:x", ACERVO_RATE_LIMITED, "refused entry a:x: later, please");
    join(answering);
    close_database(db);
}

static void silence_is_a_timeout_and_an_answer_then_is_too_late(void)
{
    desk at = {.came = MOMENT};
    recorder own = {.answer = leave_on_desk, .data = &at};
    acervo_error *err = NULL;
    acervo_changes *changes;
    open_memory("{\"handler_timeout_ms\":20}");
    listen(db, "**", 0, &own);
    changes = changes_of(db);
    queue_create(changes, "a:x", "1");
    CHECK_INT(acervo_changes_apply(changes, NULL, &err), ACERVO_TIMEOUT);
    CHECK(strstr(acervo_error_message(err, NULL), "handler_timeout_ms") != NULL);
    CHECK(acervo_error_retryable(err));
    acervo_error_free(err);
    CHECK_FAILS(acervo_op_accept(at.op, ERR), ACERVO_INVALID, "too late");
    CHECK_FAILS(acervo_op_reject(at.op, ERR), ACERVO_INVALID, "too late");
    acervo_op_free(at.op);
    CHECK_NOW(db, "");
    own.answer = NULL;
    CHECK_OK(acervo_changes_apply(changes, NULL, ERR));
    acervo_changes_free(changes);
    close_database(db);
}

static int32_t sleep_over_the_limit(recorder *own, acervo_op *op)
{
    (void)own;
    (void)op;
    sleep_ms(40);
    return ACERVO_ACCEPT;
}

static void a_slow_handler_is_no_silence(void)
{
    recorder own = {.answer = sleep_over_the_limit};
    open_memory("{\"handler_timeout_ms\":10}");
    listen(db, "**", 0, &own);
    CHECK_INT(apply_create(db, "a:x", "1"), 1);
    close_database(db);
}

static int32_t answer_early(recorder *own, acervo_op *op)
{
    (void)own;
    CHECK_OK(acervo_op_accept(op, ERR));
    return ACERVO_PENDING;
}

static void an_answer_may_come_before_the_handler_returns(void)
{
    recorder own = {.answer = answer_early};
    open_memory(NULL);
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    CHECK_INT(apply_create(db, "a:x", "1"), 1);
    CHECK_LOG("begin +a:x commit");
    close_database(db);
}

/* ---------------------------------------------------------------- cancelling */

typedef struct pair {
    acervo_subscription *first, *second;
} pair;

static int32_t cancel_both(recorder *own, acervo_op *op)
{
    pair *both = own->data;
    (void)op;
    acervo_subscription_cancel(both->first);
    acervo_subscription_cancel(both->second);
    both->first = both->second = NULL;
    /* This call needs its userdata until it ends. */
    CHECK_INT(own->destroyed, 0);
    return ACERVO_ACCEPT;
}

static void a_handler_may_cancel_itself_and_others(void)
{
    pair both;
    recorder own = {.name = "own", .answer = cancel_both, .data = &both}, other = {.name = "other"};
    open_memory(NULL);
    both.first = subscribe(db, "**", ACERVO_ON_TRANSACTION, &own);
    both.second = subscribe(db, "**", ACERVO_ON_TRANSACTION, &other);
    CHECK_INT(apply_create(db, "a:x", "1"), 1);
    CHECK_LOG("own.begin");
    CHECK_INT(own.destroyed, 1);
    CHECK_INT(other.destroyed, 1);
    CHECK_INT(apply_create(db, "a:y", "1"), 2);
    CHECK_LOG("");
    close_database(db);
    CHECK_INT(own.destroyed, 1);
}

/* A handler that runs until it is let go. */
typedef struct gate {
    moment entered, open;
    acervo_subscription *subscription;
    atomic_bool left, cancelled;
} gate;

static int32_t pass_gate(recorder *own, acervo_op *op)
{
    gate *at = own->data;
    if (acervo_op_kind(op) != ACERVO_OP_CREATE)
        return ACERVO_ACCEPT;
    happen(&at->entered);
    await(&at->open);
    sleep_ms(20);
    CHECK_INT(own->destroyed, 0);
    at->left = true;
    return ACERVO_ACCEPT;
}

/* An apply of one create in a thread of its own. */
typedef struct applying {
    pthread_t thread;
    acervo_changes *changes;
    int32_t code;
} applying;

static void *apply_changes(void *argument)
{
    applying *own = argument;
    own->code = acervo_changes_apply(own->changes, NULL, NULL);
    return NULL;
}

static void start_apply(applying *own)
{
    own->changes = changes_of(db);
    queue_create(own->changes, "a:x", "1");
    own->thread = start(apply_changes, own);
}

/* Gives what it came to. */
static int32_t finish_apply(applying *own)
{
    join(own->thread);
    acervo_changes_free(own->changes);
    return own->code;
}

static void *cancel_gate(void *argument)
{
    gate *at = argument;
    acervo_subscription_cancel(at->subscription);
    at->cancelled = true;
    CHECK(at->left);
    return NULL;
}

static void cancelling_waits_for_a_running_call(void)
{
    gate at = {.entered = MOMENT, .open = MOMENT};
    recorder own = {.answer = pass_gate, .data = &at};
    applying one;
    pthread_t cancelling;
    open_memory(NULL);
    at.subscription = subscribe(db, "**", 0, &own);
    start_apply(&one);
    await(&at.entered);
    cancelling = start(cancel_gate, &at);
    sleep_ms(20);
    CHECK(!at.cancelled);
    happen(&at.open);
    join(cancelling);
    CHECK_INT(own.destroyed, 1);
    CHECK_INT(finish_apply(&one), ACERVO_OK);
    close_database(db);
}

static void what_a_cancelled_handler_left_pending_is_accepted_and_destroy_has_run(void)
{
    /* Often: whoever waits for the answer may hold on to the handler. */
    for (int round = 0; round < 200; round++) {
        desk at = {.came = MOMENT};
        recorder own = {.answer = leave_on_desk, .data = &at};
        acervo_subscription *subscription;
        applying one;
        open_memory(NULL);
        subscription = subscribe(db, "**", 0, &own);
        start_apply(&one);
        await(&at.came);
        acervo_subscription_cancel(subscription);
        CHECK_INT(own.destroyed, 1);
        CHECK_INT(finish_apply(&one), ACERVO_OK);
        CHECK_FAILS(acervo_op_reject(at.op, ERR), ACERVO_INVALID, "too late");
        acervo_op_free(at.op);
        CHECK_NOW(db, "a:x");
        close_database(db);
    }
}

/* ------------------------------------------------------------------- closing */

static void *close_db(void *unused)
{
    (void)unused;
    CHECK_OK(acervo_close(db, ERR));
    return NULL;
}

/* What the file holds, opened anew. */
static void check_nothing_written(const char *name)
{
    acervo *again = open_database(scratch_path(name));
    CHECK_INT(head_of(again), 0);
    CHECK_NOW(again, "");
    close_database(again);
}

static void closing_ends_the_wait_for_an_answer(void)
{
    desk at = {.came = MOMENT};
    recorder own = {.answer = leave_on_desk, .data = &at};
    applying one;
    db = open_database(scratch_path("pending.db"));
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    start_apply(&one);
    await(&at.came);
    CHECK_OK(acervo_close(db, ERR));
    CHECK_INT(own.destroyed, 1);
    CHECK_INT(finish_apply(&one), ACERVO_INTERNAL);
    CHECK_FAILS(acervo_op_accept(at.op, ERR), ACERVO_INVALID, "too late");
    acervo_op_free(at.op);
    acervo_free(db);
    check_nothing_written("pending.db");
}

static void closing_waits_for_a_running_call_and_gives_the_transaction_up(void)
{
    gate at = {.entered = MOMENT, .open = MOMENT};
    recorder own = {.answer = pass_gate, .data = &at};
    applying one;
    pthread_t closing;
    clear_log();
    db = open_database(scratch_path("running.db"));
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    start_apply(&one);
    await(&at.entered);
    closing = start(close_db, NULL);
    sleep_ms(20);
    CHECK_INT(own.destroyed, 0);
    happen(&at.open);
    join(closing);
    CHECK_INT(own.destroyed, 1);
    CHECK_INT(finish_apply(&one), ACERVO_INTERNAL);
    acervo_free(db);
    check_nothing_written("running.db");
}

static int32_t close_inside(recorder *own, acervo_op *op)
{
    if (acervo_op_kind(op) == ACERVO_OP_CREATE) {
        CHECK_OK(acervo_close(db, ERR));
        CHECK_INT(own->destroyed, 0);
    }
    return ACERVO_ACCEPT;
}

static void a_handler_may_close_the_database_and_ends_its_transaction_so(void)
{
    recorder own = {.answer = close_inside};
    acervo_changes *changes;
    clear_log();
    db = open_database(scratch_path("inside.db"));
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    changes = changes_of(db);
    queue_create(changes, "a:x", "1");
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), ACERVO_INTERNAL, "closed");
    CHECK_LOG("begin +a:x commit undo-a:x discard");
    CHECK_INT(own.destroyed, 1);
    acervo_changes_free(changes);
    close_database(db); /* again: no effect */
    check_nothing_written("inside.db");
}

static int32_t open_again(recorder *own, acervo_op *op)
{
    gate *at = own->data;
    acervo *again = NULL;
    int32_t code;
    if (acervo_op_kind(op) != ACERVO_OP_CREATE)
        return ACERVO_ACCEPT;
    happen(&at->entered);
    await(&at->open);
    sleep_ms(20);
    code = acervo_open(scratch_path("again.db"), ACERVO_NTS, NULL, &again, NULL);
    /* Before it is being closed it opens, then not yet. */
    CHECK(code == ACERVO_OK || code == ACERVO_UNAVAILABLE);
    acervo_free(again);
    return ACERVO_ACCEPT;
}

static void a_handler_that_opens_the_file_while_it_is_closed_does_not_wait_for_itself(void)
{
    gate at = {.entered = MOMENT, .open = MOMENT};
    recorder own = {.answer = open_again, .data = &at};
    applying one;
    pthread_t closing;
    db = open_database(scratch_path("again.db"));
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    start_apply(&one);
    await(&at.entered);
    closing = start(close_db, NULL);
    happen(&at.open);
    finish_apply(&one);
    join(closing);
    acervo_free(db);
}

/* ---------------------------------------------------------------- many apply */

enum { THREADS = 4, ROUNDS = 25 };

/* At most one transaction, between its begin and its commit. */
static int32_t check_alone(recorder *own, acervo_op *op)
{
    atomic_int *inside = own->data;
    clear_log();
    switch (acervo_op_kind(op)) {
    case ACERVO_OP_BEGIN:
        CHECK_INT(atomic_fetch_add(inside, 1), 0);
        break;
    case ACERVO_OP_CREATE:
        CHECK_INT(*inside, 1);
        break;
    default:
        CHECK_INT(atomic_fetch_sub(inside, 1), 1);
    }
    return ACERVO_ACCEPT;
}

static void *answer_at_once(void *op)
{
    CHECK_OK(acervo_op_accept(op, ERR));
    acervo_op_free(op);
    check_error_slot();
    return NULL;
}

static int32_t answer_by_a_thread(recorder *own, acervo_op *op)
{
    (void)own;
    clear_log();
    CHECK(pthread_detach(start(answer_at_once, acervo_op_retain(op))) == 0);
    return ACERVO_PENDING;
}

static void *apply_many(void *name)
{
    for (int i = 0; i < ROUNDS; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s:%d", (const char *)name, i);
        apply_create(db, id, "1");
    }
    check_error_slot();
    return NULL;
}

static void transactions_of_many_threads_come_one_after_the_other(void)
{
    static char names[THREADS][8];
    atomic_int inside = 0;
    recorder alone = {.answer = check_alone, .data = &inside};
    recorder later = {.answer = answer_by_a_thread};
    pthread_t threads[THREADS];
    open_memory(NULL);
    listen(db, "**", ACERVO_ON_TRANSACTION, &alone);
    listen(db, "**", 0, &later);
    for (int i = 0; i < THREADS; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        threads[i] = start(apply_many, names[i]);
    }
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    CHECK_INT(head_of(db), THREADS * ROUNDS);
    CHECK_INT(inside, 0);
    close_database(db);
}

static void those_who_wait_for_their_turn_are_told_of_the_close(void)
{
    desk at = {.came = MOMENT};
    recorder own = {.answer = leave_on_desk, .data = &at};
    applying all[THREADS];
    open_memory(NULL);
    listen(db, "**", 0, &own);
    for (int i = 0; i < THREADS; i++)
        start_apply(&all[i]);
    await(&at.came);
    CHECK_OK(acervo_close(db, ERR));
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(finish_apply(&all[i]), ACERVO_INTERNAL);
    acervo_op_free(at.op);
    acervo_free(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_pending_operation_is_accepted_from_another_thread),
        TEST(a_pending_operation_is_rejected_from_another_thread),
        TEST(silence_is_a_timeout_and_an_answer_then_is_too_late),
        TEST(a_slow_handler_is_no_silence),
        TEST(an_answer_may_come_before_the_handler_returns),
        TEST(a_handler_may_cancel_itself_and_others),
        TEST(cancelling_waits_for_a_running_call),
        TEST(what_a_cancelled_handler_left_pending_is_accepted_and_destroy_has_run),
        TEST(closing_ends_the_wait_for_an_answer),
        TEST(closing_waits_for_a_running_call_and_gives_the_transaction_up),
        TEST(a_handler_may_close_the_database_and_ends_its_transaction_so),
        TEST(a_handler_that_opens_the_file_while_it_is_closed_does_not_wait_for_itself),
        TEST(transactions_of_many_threads_come_one_after_the_other),
        TEST(those_who_wait_for_their_turn_are_told_of_the_close),
    };
    return RUN_TESTS(cases, argc, argv);
}
