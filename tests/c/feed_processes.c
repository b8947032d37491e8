/* Feeds and handlers that are told what another process did. */
#include "entries.h"
#include "feeds.h"
#include "handlers.h"
#include "process.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static acervo *db;

/* Makes v2 and v3, goes back to v1, and ends when it is told. */
static void change_elsewhere(const char *path)
{
    char byte;
    db = open_database(path);
    apply_create(db, "a:y", "1");
    apply_update(db, "a:x", "2");
    send_bytes(STDOUT_FILENO, "!", 1);
    receive_bytes(STDIN_FILENO, &byte, 1);
    CHECK_OK(acervo_apply_version(db, 1, ERR));
    close_database(db);
}

static void versions_of_another_process_are_told_as_foreign(void)
{
    const char *path = scratch_path("foreign.db");
    recorder replayed = {.name = "R"}, asked = {.name = "A"};
    acervo_feed *feed;
    process other;
    char byte;
    clear_log();
    db = open_database(path);
    apply_create(db, "a:x", "1");
    listen(db, "**", ACERVO_ON_REPLAY | ACERVO_ON_TRANSACTION, &replayed);
    listen(db, "**", ACERVO_ON_TRANSACTION, &asked);
    CHECK_LOG("R.+a:x");
    feed = feed_of(db, 100);
    CHECK(!is_readable(feed, 0));
    other = start_process("--change", path);
    /* Nobody here calls anything: the descriptor alone wakes. */
    CHECK(is_readable(feed, LONG_MS));
    CHECK_READ(feed, LONG_MS, "Fbegin@2 F+a:y@2 Fcommit@2 Fbegin@3 F~a:x@3 Fcommit@3");
    receive_bytes(other.from, &byte, 1);
    CHECK_INT(head_of(db), 3);
    send_bytes(other.to, "!", 1);
    finish_process(&other);
    CHECK_READ(feed, LONG_MS, "Fbegin@1 F-a:y@1 F~a:x@1 Fcommit@1");
    /* Told at the latest before the next transaction of our own. */
    apply_create(db, "a:z", "1");
    CHECK_LOG("R.foreign+a:y R.foreign~a:x R.foreign-a:y R.foreign~a:x "
              "R.begin A.begin R.+a:z A.+a:z R.commit A.commit");
    acervo_feed_free(feed);
    close_database(db);
}

/* Answers v1 with v2, and ends with v3. */
static void answer_with_a_version(const char *path)
{
    acervo_feed *feed;
    db = open_database(path);
    feed = feed_of(db, 100);
    send_bytes(STDOUT_FILENO, "!", 1);
    CHECK_READ(feed, LONG_MS, "Fbegin@1 F+a:x@1 Fcommit@1");
    apply_update(db, "a:x", "2");
    CHECK_READ(feed, LONG_MS, "begin@2 ~a:x@2 commit@2 Fbegin@3 F-a:x@3 Fcommit@3");
    acervo_feed_free(feed);
    close_database(db);
}

static void processes_follow_each_other_through_their_feeds(void)
{
    const char *path = scratch_path("each_other.db");
    process other = start_process("--answer", path);
    acervo_feed *feed;
    char byte;
    receive_bytes(other.from, &byte, 1);
    db = open_database(path);
    feed = feed_of(db, 100);
    apply_create(db, "a:x", "1");
    CHECK_READ(feed, LONG_MS, "begin@1 +a:x@1 commit@1 Fbegin@2 F~a:x@2 Fcommit@2");
    CHECK_INT(apply_delete(db, "a:x"), 3);
    finish_process(&other);
    CHECK_TOLD(feed, "begin@3 -a:x@3 commit@3");
    acervo_feed_free(feed);
    close_database(db);
}

static int32_t refuse_foreign(recorder *own, acervo_op *op)
{
    (void)own;
    if (!(acervo_op_flags(op) & ACERVO_OP_FLAG_FOREIGN))
        return ACERVO_ACCEPT;
    /* Nobody waits for an answer. */
    return ACERVO_PERMISSION_DENIED;
}

static void what_another_process_did_cannot_be_refused(void)
{
    const char *path = scratch_path("facts.db");
    recorder own = {.answer = refuse_foreign};
    process other;
    char byte;
    clear_log();
    db = open_database(path);
    apply_create(db, "a:x", "1");
    listen(db, "**", ACERVO_ON_REPLAY, &own);
    other = start_process("--change", path);
    receive_bytes(other.from, &byte, 1);
    CHECK_NOW(db, "a:x a:y");
    send_bytes(other.to, "!", 1);
    finish_process(&other);
    CHECK_NOW(db, "a:x");
    close_database(db);
}

static int32_t close_when_told(recorder *own, acervo_op *op)
{
    (void)own;
    if (acervo_op_flags(op) & ACERVO_OP_FLAG_FOREIGN)
        CHECK_OK(acervo_close(db, ERR));
    return ACERVO_ACCEPT;
}

static void a_handler_may_close_the_database_when_it_is_told(void)
{
    const char *path = scratch_path("told.db");
    recorder own = {.answer = close_when_told};
    process other;
    char byte;
    clear_log();
    db = open_database(path);
    apply_create(db, "a:x", "1");
    listen(db, "**", ACERVO_ON_REPLAY, &own);
    other = start_process("--change", path);
    receive_bytes(other.from, &byte, 1);
    /* It is told on a thread of the library's, and ended there. */
    for (int waited = 0; own.destroyed == 0 && waited < LONG_MS; waited++)
        sleep_ms(1);
    CHECK_INT(own.destroyed, 1);
    send_bytes(other.to, "!", 1);
    finish_process(&other);
    acervo_free(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(versions_of_another_process_are_told_as_foreign),
        TEST(processes_follow_each_other_through_their_feeds),
        TEST(what_another_process_did_cannot_be_refused),
        TEST(a_handler_may_close_the_database_when_it_is_told),
    };
    if (argc == 3 && strncmp(argv[1], "--", 2) == 0) {
        /* Nothing of a test that was stopped stays behind. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (strcmp(argv[1], "--change") == 0)
            change_elsewhere(argv[2]);
        else
            answer_with_a_version(argv[2]);
        return 0;
    }
    return RUN_TESTS(cases, argc, argv);
}
