/* Handlers: the sequence of a transaction, who is asked in which order, and
 * what a refusal comes to. */
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

/* A changeset with creates of these ids. */
static acervo_changes *creates_of(const char *const *ids)
{
    acervo_changes *changes = changes_of(db);
    for (; *ids != NULL; ids++)
        queue_create(changes, *ids, "1");
    return changes;
}
#define CREATES(...) creates_of((const char *const[]){__VA_ARGS__, NULL})

/* -------------------------------------------------------------- the sequence */

static void an_apply_asks_begin_the_operations_in_their_order_and_commit(void)
{
    recorder own = {0};
    acervo_changes *changes;
    open_memory();
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    CHECK_INT(apply(CREATES("b:x", "a:y", "a:x")), 1);
    CHECK_LOG("begin +a:x +a:y +b:x commit");
    changes = changes_of(db);
    queue_create(changes, "a:a", "1");
    queue_update(changes, "a:x", "2");
    queue_delete(changes, "b:x");
    apply(changes);
    CHECK_LOG("begin -b:x +a:a ~a:x commit");
    CHECK_OK(acervo_apply_version(db, 1, ERR));
    CHECK_LOG("begin -a:a ~a:x +b:x commit");
    CHECK_OK(acervo_apply_version(db, 1, ERR));
    CHECK_LOG("");
    close_database(db);
}

static void begin_and_commit_are_for_those_who_want_them_whatever_is_touched(void)
{
    recorder all = {.name = "all"}, ops = {.name = "ops"}, other = {.name = "other"};
    open_memory();
    listen(db, "test", ACERVO_ON_TRANSACTION, &all);
    listen(db, "test", 0, &ops);
    listen(db, "other", ACERVO_ON_TRANSACTION, &other);
    apply_create(db, "a:x", "1");
    CHECK_LOG("all.begin other.begin all.+a:x ops.+a:x all.commit other.commit");
    close_database(db);
}

/* Notes the data of entry and original, as new<old. */
static int32_t note_data(recorder *own, acervo_op *op)
{
    const acervo_entry *original = acervo_op_original(op);
    int64_t is = 0, was = 0;
    char word[64];
    (void)own;
    if (acervo_op_entry(op) == NULL)
        return ACERVO_ACCEPT;
    CHECK_OK(acervo_value_as_int(acervo_entry_data(acervo_op_entry(op)), &is, ERR));
    if (original != NULL) {
        CHECK_OK(acervo_value_as_int(acervo_entry_data(original), &was, ERR));
        CHECK_TEXT(acervo_entry_id(original, NULL), acervo_entry_id(acervo_op_entry(op), NULL));
    }
    snprintf(word, sizeof word, "%d<%d", (int)is, (int)was);
    log_word(word);
    return ACERVO_ACCEPT;
}

static void an_operation_has_the_entry_and_for_update_and_delete_the_original(void)
{
    recorder own = {.answer = note_data};
    open_memory();
    listen(db, "**", 0, &own);
    apply_create(db, "a:x", "1");
    apply_update(db, "a:x", "2");
    apply_delete(db, "a:x");
    CHECK_LOG("+a:x 1<0 ~a:x 2<1 -a:x 2<2");
    close_database(db);
}

static void a_pattern_says_for_which_kinds_a_handler_is_asked(void)
{
    static const char *const patterns[] = {"http.router", "http.*",      "http.**", "*",
                                           "**",          "(http|ws).*", "**.b"};
    recorder own[sizeof patterns / sizeof *patterns];
    open_memory();
    memset(own, 0, sizeof own);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        own[i].name = patterns[i];
        listen(db, patterns[i], 0, &own[i]);
    }
    apply_entry(db, "i:1", "http.router", NULL, NULL);
    CHECK_LOG("http.router.+i:1 http.*.+i:1 http.**.+i:1 **.+i:1 (http|ws).*.+i:1");
    apply_entry(db, "i:2", "http", NULL, NULL);
    CHECK_LOG("http.**.+i:2 *.+i:2 **.+i:2");
    apply_entry(db, "i:3", "http.a.b", NULL, NULL);
    CHECK_LOG("http.**.+i:3 **.+i:3 **.b.+i:3");
    apply_entry(db, "i:4", "ws.b", NULL, NULL);
    CHECK_LOG("**.+i:4 (http|ws).*.+i:4 **.b.+i:4");
    close_database(db);
}

static void a_kind_without_a_handler_is_accepted(void)
{
    recorder own = {0};
    open_memory();
    listen(db, "other.**", 0, &own);
    CHECK_INT(apply_create(db, "a:x", "1"), 1);
    CHECK_LOG("");
    close_database(db);
}

static void handlers_are_asked_in_the_order_of_registration_until_one_refuses(void)
{
    recorder first = {.name = "1"}, second = {.name = "2", .refuse = "+a:x"},
             third = {.name = "3"};
    second.code = ACERVO_PERMISSION_DENIED;
    open_memory();
    listen(db, "test", 0, &first);
    listen(db, "**", 0, &second);
    listen(db, "*", 0, &third);
    CHECK_REFUSED(db, "a:x", ACERVO_PERMISSION_DENIED, "refused entry a:x");
    CHECK_LOG("1.+a:x 2.+a:x 1.undo-a:x");
    apply_create(db, "a:y", "1");
    CHECK_LOG("1.+a:y 2.+a:y 3.+a:y");
    close_database(db);
}

/* ------------------------------------------------------------------ refusals */

static void a_refusal_undoes_every_acceptance_newest_first_and_discards(void)
{
    recorder a = {.name = "A"}, b = {.name = "B", .refuse = "+a:z"};
    b.code = ACERVO_CONFLICT, b.message = "no z here";
    open_memory();
    listen(db, "**", ACERVO_ON_TRANSACTION, &a);
    listen(db, "**", ACERVO_ON_TRANSACTION, &b);
    check_fails_without_trace(db, CREATES("a:x", "a:y", "a:z"), ACERVO_CONFLICT,
                              "refused entry a:z: no z here");
    CHECK_LOG("A.begin B.begin A.+a:x B.+a:x A.+a:y B.+a:y A.+a:z B.+a:z "
              "A.undo-a:z B.undo-a:y A.undo-a:y B.undo-a:x A.undo-a:x A.discard B.discard");
    /* A refused apply uses no version. */
    CHECK_INT(apply_create(db, "a:x", "1"), 1);
    close_database(db);
}

static void undoing_updates_and_deletes_gives_back_what_was_there(void)
{
    recorder own = {.refuse = "commit", .answer = note_data};
    acervo_changes *changes;
    own.code = ACERVO_UNAVAILABLE;
    open_memory();
    apply_create(db, "a:x", "1");
    apply_create(db, "a:y", "2");
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    changes = changes_of(db);
    queue_update(changes, "a:x", "3");
    queue_delete(changes, "a:y");
    check_fails_without_trace(db, changes, ACERVO_UNAVAILABLE, "refused the transaction");
    CHECK_LOG("begin -a:y 2<2 ~a:x 3<1 commit undo~a:x 1<3 undo+a:y 2<0 discard");
    close_database(db);
}

static void a_refused_begin_gives_discard_to_those_that_accepted_it(void)
{
    recorder a = {.name = "A"}, b = {.name = "B", .refuse = "begin"}, c = {.name = "C"};
    b.code = ACERVO_RATE_LIMITED, b.message = "not now";
    open_memory();
    listen(db, "**", ACERVO_ON_TRANSACTION, &a);
    listen(db, "**", ACERVO_ON_TRANSACTION, &b);
    listen(db, "**", ACERVO_ON_TRANSACTION, &c);
    check_fails_without_trace(db, CREATES("a:x"), ACERVO_RATE_LIMITED,
                              "refused the transaction: not now");
    CHECK_LOG("A.begin B.begin A.discard");
    close_database(db);
}

static void a_refused_commit_undoes_the_whole_transaction(void)
{
    recorder a = {.name = "A"}, b = {.name = "B", .refuse = "commit"}, c = {.name = "C"};
    b.code = ACERVO_CANCELED;
    open_memory();
    listen(db, "**", ACERVO_ON_TRANSACTION, &a);
    listen(db, "none", ACERVO_ON_TRANSACTION, &b);
    listen(db, "none", ACERVO_ON_TRANSACTION, &c);
    check_fails_without_trace(db, CREATES("a:x", "a:y"), ACERVO_CANCELED, "");
    CHECK_LOG("A.begin B.begin C.begin A.+a:x A.+a:y A.commit B.commit "
              "A.undo-a:y A.undo-a:x A.discard B.discard C.discard");
    close_database(db);
}

static void a_refused_apply_version_stays_where_it_was(void)
{
    recorder own = {.refuse = "-a:x"};
    own.code = ACERVO_INVALID;
    open_memory();
    apply_create(db, "a:x", "1");
    apply_create(db, "a:y", "1");
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    CHECK_FAILS(acervo_apply_version(db, 0, ERR), ACERVO_INVALID, "a:x");
    CHECK_LOG("begin -a:x discard");
    CHECK_INT(head_of(db), 2);
    CHECK_NOW(db, "a:x a:y");
    close_database(db);
}

static void what_could_not_be_undone_is_told_and_does_not_stop_the_rest(void)
{
    recorder own = {.refuse = "+a:z"}, stuck = {.name = "S", .refuse = "undo-a:x"};
    acervo_changes *changes;
    acervo_error *err = NULL;
    acervo_value *undo = NULL;
    own.code = ACERVO_CONFLICT, own.message = "no z";
    stuck.code = ACERVO_INTERNAL, stuck.message = "stuck";
    open_memory();
    listen(db, "**", 0, &own);
    listen(db, "**", 0, &stuck);
    changes = CREATES("a:x", "a:y", "a:z");
    CHECK_INT(acervo_changes_apply(changes, NULL, &err), ACERVO_CONFLICT);
    CHECK(strstr(acervo_error_message(err, NULL), "no z") != NULL);
    CHECK(acervo_error_retryable(err));
    CHECK_OK(acervo_value_get(acervo_error_details(err), "undo", ACERVO_NTS, &undo, ERR));
    CHECK_TAKEN(undo, "[{\"id\":\"a:x\",\"message\":\"stuck\"}]");
    acervo_error_free(err);
    CHECK_LOG("+a:x S.+a:x +a:y S.+a:y +a:z S.undo-a:y undo-a:y S.undo-a:x undo-a:x");
    CHECK_INT(head_of(db), 0);
    acervo_changes_free(changes);
    close_database(db);
}

/* ------------------------------------------------------------------ deferral */

static void not_found_defers_and_asks_again_only_who_has_not_accepted(void)
{
    recorder a = {.name = "A"}, b = {.name = "B", .refuse = "+a:x", .times = 1},
             c = {.name = "C"};
    b.code = ACERVO_NOT_FOUND;
    open_memory();
    listen(db, "**", 0, &a);
    listen(db, "**", 0, &b);
    listen(db, "**", 0, &c);
    CHECK_INT(apply(CREATES("a:x", "a:y")), 1);
    CHECK_LOG("A.+a:x B.+a:x A.+a:y B.+a:y C.+a:y B.+a:x C.+a:x");
    CHECK_NOW(db, "a:x a:y");
    close_database(db);
}

static void what_stays_deferred_is_named_as_unresolved(void)
{
    recorder x = {.name = "X", .refuse = "+a:x"}, z = {.name = "Z", .refuse = "+b:z"};
    acervo_error *err = NULL;
    acervo_value *ids = NULL;
    acervo_changes *changes;
    x.code = z.code = ACERVO_NOT_FOUND;
    open_memory();
    listen(db, "**", 0, &x);
    listen(db, "**", 0, &z);
    changes = CREATES("a:x", "a:y", "b:z");
    CHECK_INT(acervo_changes_apply(changes, NULL, &err), ACERVO_NOT_FOUND);
    CHECK(strstr(acervo_error_message(err, NULL),
                 "unresolved dependencies after retry: a:x, b:z") != NULL);
    CHECK(!acervo_error_retryable(err));
    CHECK_OK(acervo_value_get(acervo_error_details(err), "ids", ACERVO_NTS, &ids, ERR));
    CHECK_TAKEN(ids, "[\"a:x\",\"b:z\"]");
    acervo_error_free(err);
    /* The first pass accepted a:y, the second nothing. X accepted b:z. */
    CHECK_LOG("X.+a:x X.+a:y Z.+a:y X.+b:z Z.+b:z X.+a:x Z.+b:z "
              "X.undo-b:z Z.undo-a:y X.undo-a:y");
    CHECK_NOW(db, "");
    acervo_changes_free(changes);
    close_database(db);
}

static void not_found_at_begin_and_commit_is_a_refusal_like_any_other(void)
{
    recorder own = {.refuse = "begin", .times = 1};
    own.code = ACERVO_NOT_FOUND;
    open_memory();
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    CHECK_REFUSED(db, "a:x", ACERVO_NOT_FOUND, "refused the transaction");
    CHECK_LOG("begin");
    own.refuse = "commit";
    CHECK_REFUSED(db, "a:x", ACERVO_NOT_FOUND, "refused the transaction");
    CHECK_LOG("begin +a:x commit undo-a:x discard");
    close_database(db);
}

/* ------------------------------------------------------------- kinds, reasons */

static void the_code_that_a_handler_returns_is_the_kind_of_the_failure(void)
{
    recorder own = {.refuse = "+a:x", .message = "because"};
    open_memory();
    listen(db, "**", 0, &own);
    for (int32_t code = ACERVO_INVALID; code >= ACERVO_TOO_SMALL; code--) {
        acervo_changes *changes = CREATES("a:x");
        acervo_error *err = NULL;
        /* What went wrong inside the handler is not what went wrong in apply. */
        int32_t expected = code == ACERVO_PANIC || code == ACERVO_FORKED ? ACERVO_INTERNAL
                           : code == ACERVO_TOO_SMALL                    ? ACERVO_INVALID
                                                                         : code;
        own.code = code;
        CHECK_INT(acervo_changes_apply(changes, NULL, &err), expected);
        CHECK_INT(acervo_error_code(err), expected);
        CHECK_INT(acervo_error_retryable(err),
                  expected == ACERVO_TIMEOUT || expected == ACERVO_UNAVAILABLE ||
                      expected == ACERVO_CONFLICT || expected == ACERVO_RATE_LIMITED);
        /* A deferred one is told as unresolved. */
        CHECK((strstr(acervo_error_message(err, NULL), "a:x: because") != NULL) ==
              (code != ACERVO_NOT_FOUND));
        acervo_error_free(err);
        acervo_changes_free(changes);
    }
    close_database(db);
}

static void a_number_that_is_no_answer_is_an_internal_failure(void)
{
    static const int32_t numbers[] = {2, 99, INT32_MAX, ACERVO_TOO_SMALL - 1, INT32_MIN};
    recorder own = {.refuse = "+a:x"};
    open_memory();
    listen(db, "**", 0, &own);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", (int)numbers[i]);
        own.code = numbers[i];
        CHECK_REFUSED(db, "a:x", ACERVO_INTERNAL, number);
    }
    close_database(db);
}

/* Rejects through the op, as somebody would later. */
static int32_t reject(recorder *own, acervo_op *op)
{
    if (own->data != NULL)
        CHECK_INT(acervo_op_set_error(op, ACERVO_CONFLICT, own->data, ACERVO_NTS), ACERVO_OK);
    CHECK_OK(acervo_op_reject(op, ERR));
    return ACERVO_PENDING;
}

static void a_bare_rejection_is_invalid_and_one_with_an_error_has_its_kind(void)
{
    recorder own = {.answer = reject};
    open_memory();
    listen(db, "**", 0, &own);
    CHECK_REFUSED(db, "a:x", ACERVO_INVALID, "refused entry a:x");
    own.data = "two at once";
    CHECK_REFUSED(db, "a:x", ACERVO_CONFLICT, "refused entry a:x: two at once");
    close_database(db);
}

static int32_t set_wrong_errors(recorder *own, acervo_op *op)
{
    static const char text[] = "first\0second";
    (void)own;
    CHECK_INT(acervo_op_set_error(op, ACERVO_OK, "x", 1), ACERVO_INVALID);
    CHECK_INT(acervo_op_set_error(op, 1, "x", 1), ACERVO_INVALID);
    CHECK_INT(acervo_op_set_error(op, -99, "x", 1), ACERVO_INVALID);
    CHECK_INT(acervo_op_set_error(op, ACERVO_INVALID, NULL, 1), ACERVO_INVALID);
    CHECK_INT(acervo_op_set_error(op, ACERVO_INVALID, "x", SIZE_MAX / 2 + 1), ACERVO_INVALID);
    CHECK_INT(acervo_op_set_error(NULL, ACERVO_INVALID, "x", 1), ACERVO_INVALID);
    CHECK_INT(acervo_op_set_error(op, ACERVO_INVALID, NULL, 0), ACERVO_OK);
    CHECK_INT(acervo_op_set_error(op, ACERVO_CONFLICT, text, 5), ACERVO_OK);
    /* What is returned is the kind. */
    return ACERVO_RATE_LIMITED;
}

static void the_last_valid_error_gives_the_reason_and_the_return_the_kind(void)
{
    recorder own = {.answer = set_wrong_errors};
    open_memory();
    listen(db, "**", 0, &own);
    CHECK_REFUSED(db, "a:x", ACERVO_RATE_LIMITED, "refused entry a:x: first");
    close_database(db);
}

/* ------------------------------------------------------------------- options */

static void a_dry_run_asks_undoes_and_discards_without_commit(void)
{
    recorder own = {0};
    acervo_changes *changes;
    acervo_value *plan = NULL;
    open_memory();
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    changes = CREATES("a:x", "a:y");
    set_option(changes, "dry_run", "true");
    CHECK_OK(acervo_changes_apply(changes, NULL, ERR));
    CHECK_LOG("drybegin dry+a:x dry+a:y undodry-a:y undodry-a:x drydiscard");
    CHECK_NOW(db, "");
    own.refuse = "dry+a:y", own.code = ACERVO_CONFLICT;
    check_fails_without_trace(db, changes, ACERVO_CONFLICT, "a:y");
    CHECK_LOG("drybegin dry+a:x dry+a:y undodry-a:x drydiscard");
    /* A plan is a dry run. */
    changes = CREATES("a:x");
    CHECK_OK(acervo_changes_plan(changes, &plan, ERR));
    CHECK_LOG("drybegin dry+a:x undodry-a:x drydiscard");
    acervo_value_free(plan);
    acervo_changes_free(changes);
    close_database(db);
}

static void internal_kinds_are_not_asked_about_and_begin_and_commit_still_are(void)
{
    static const char *const internal[] = {"registry.entry", "ns.requirement", "ns.dependency",
                                           "ns.definition"};
    recorder own = {.refuse = "+i:x"};
    own.code = ACERVO_INVALID;
    open_memory();
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    for (size_t i = 0; i < sizeof internal / sizeof *internal; i++) {
        apply_entry(db, "i:x", internal[i], NULL, NULL);
        apply_delete(db, "i:x");
        CHECK_LOG("begin commit begin commit");
    }
    close_database(db);
    db = open_with(":memory:", "{\"internal_kinds\":[\"mine\"]}");
    own.refuse = NULL;
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    apply_entry(db, "i:x", "mine", NULL, NULL);
    apply_entry(db, "i:y", "ns.definition", NULL, NULL);
    CHECK_LOG("begin commit begin +i:y commit");
    close_database(db);
}

static void require_handler_refuses_a_kind_that_nobody_is_for(void)
{
    recorder own = {0};
    acervo_changes *changes;
    db = open_with(":memory:", "{\"require_handler\":true}");
    clear_log();
    CHECK_REFUSED(db, "a:x", ACERVO_NOT_FOUND, "no handler is registered for kind test");
    listen(db, "other", ACERVO_ON_TRANSACTION, &own);
    changes = CREATES("a:x");
    check_fails_without_trace(db, changes, ACERVO_NOT_FOUND, "require_handler");
    /* At once: nothing was asked that could be undone. */
    CHECK_LOG("begin discard");
    apply_entry(db, "a:x", "other", NULL, NULL);
    apply_entry(db, "a:y", "ns.definition", NULL, NULL);
    CHECK_LOG("begin +a:x commit begin commit");
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(an_apply_asks_begin_the_operations_in_their_order_and_commit),
        TEST(begin_and_commit_are_for_those_who_want_them_whatever_is_touched),
        TEST(an_operation_has_the_entry_and_for_update_and_delete_the_original),
        TEST(a_pattern_says_for_which_kinds_a_handler_is_asked),
        TEST(a_kind_without_a_handler_is_accepted),
        TEST(handlers_are_asked_in_the_order_of_registration_until_one_refuses),
        TEST(a_refusal_undoes_every_acceptance_newest_first_and_discards),
        TEST(undoing_updates_and_deletes_gives_back_what_was_there),
        TEST(a_refused_begin_gives_discard_to_those_that_accepted_it),
        TEST(a_refused_commit_undoes_the_whole_transaction),
        TEST(a_refused_apply_version_stays_where_it_was),
        TEST(what_could_not_be_undone_is_told_and_does_not_stop_the_rest),
        TEST(not_found_defers_and_asks_again_only_who_has_not_accepted),
        TEST(what_stays_deferred_is_named_as_unresolved),
        TEST(not_found_at_begin_and_commit_is_a_refusal_like_any_other),
        TEST(the_code_that_a_handler_returns_is_the_kind_of_the_failure),
        TEST(a_number_that_is_no_answer_is_an_internal_failure),
        TEST(a_bare_rejection_is_invalid_and_one_with_an_error_has_its_kind),
        TEST(the_last_valid_error_gives_the_reason_and_the_return_the_kind),
        TEST(a_dry_run_asks_undoes_and_discards_without_commit),
        TEST(internal_kinds_are_not_asked_about_and_begin_and_commit_still_are),
        TEST(require_handler_refuses_a_kind_that_nobody_is_for),
    };
    return RUN_TESTS(cases, argc, argv);
}
