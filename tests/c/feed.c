/* Feeds: the order of events, what is lost, poll(2) and closing. */
#include "entries.h"
#include "feeds.h"
#include "handlers.h"
#include "threads.h"

static acervo *db;

/* --------------------------------------------------------------------- order */

static void a_feed_tells_transactions_in_order_with_their_version(void)
{
    acervo_feed *feed;
    acervo_changes *changes;
    db = open_database(":memory:");
    apply_create(db, "a:before", "1");
    feed = feed_of(db, 100);
    CHECK_EMPTY(feed);
    changes = changes_of(db);
    queue_create(changes, "b:y", "1");
    queue_create(changes, "a:x", "1");
    apply(changes);
    apply_update(db, "a:x", "2");
    apply_delete(db, "b:y");
    CHECK_OK(acervo_apply_version(db, 1, ERR));
    CHECK_TOLD(feed, "begin@2 +a:x@2 +b:y@2 commit@2 begin@3 ~a:x@3 commit@3 "
                     "begin@4 -b:y@4 commit@4 begin@1 -a:x@1 commit@1");
    /* Internal kinds are told too, and dry runs not. */
    apply_entry(db, "i:x", "ns.definition", NULL, NULL);
    changes = changes_of(db);
    queue_create(changes, "a:y", "1");
    set_option(changes, "dry_run", "true");
    CHECK_OK(acervo_changes_apply(changes, NULL, ERR));
    acervo_changes_free(changes);
    CHECK_TOLD(feed, "begin@5 +i:x@5 commit@5");
    acervo_feed_free(feed);
    close_database(db);
}

static void an_event_has_entry_and_original(void)
{
    acervo_feed *feed;
    acervo_value *event = NULL;
    db = open_database(":memory:");
    apply_create(db, "a:x", "1");
    feed = feed_of(db, 100);
    apply_update(db, "a:x", "2");
    CHECK_OK(acervo_feed_next(feed, 0, &event, ERR));
    CHECK_TAKEN(event, "{\"kind\":\"registry.begin\",\"version\":2}");
    CHECK_OK(acervo_feed_next(feed, 0, &event, ERR));
    CHECK_TAKEN(event, "{\"entry\":{\"data\":2,\"id\":\"a:x\",\"kind\":\"test\",\"meta\":{}},"
                       "\"kind\":\"entry.update\",\"original\":{\"data\":1,\"id\":\"a:x\","
                       "\"kind\":\"test\",\"meta\":{}},\"version\":2}");
    acervo_feed_free(feed);
    close_database(db);
}

static void a_transaction_that_is_refused_ends_with_discard(void)
{
    recorder own = {.refuse = "+a:y", .code = ACERVO_CONFLICT};
    acervo_feed *feed;
    acervo_changes *changes;
    db = open_database(":memory:");
    listen(db, "**", ACERVO_ON_TRANSACTION, &own);
    feed = feed_of(db, 100);
    changes = changes_of(db);
    queue_create(changes, "a:x", "1");
    queue_create(changes, "a:y", "1");
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), ACERVO_CONFLICT, "");
    CHECK_TOLD(feed, "begin@1 +a:x@1 discard@1");
    own.refuse = "begin";
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), ACERVO_CONFLICT, "");
    CHECK_TOLD(feed, "begin@1 discard@1");
    own.refuse = NULL;
    apply(changes);
    CHECK_TOLD(feed, "begin@1 +a:x@1 +a:y@1 commit@1");
    acervo_feed_free(feed);
    close_database(db);
}

/* ---------------------------------------------------------------------- gaps */

static void what_does_not_fit_is_one_gap_with_the_version_current_when_read(void)
{
    acervo_feed *narrow, *wide;
    db = open_database(":memory:");
    narrow = feed_of(db, 4);
    wide = feed_of(db, 100);
    for (int i = 0; i < 3; i++) {
        apply_create(db, "a:x", "1");
        apply_delete(db, "a:x");
    }
    CHECK_READ(narrow, 0, "begin@1 +a:x@1 commit@1");
    apply_create(db, "a:x", "1");
    CHECK_TOLD(narrow, "gap@7");
    apply_delete(db, "a:x");
    CHECK_TOLD(narrow, "begin@8 -a:x@8 commit@8");
    CHECK_READ(wide, 0, "begin@1 +a:x@1 commit@1 begin@2 -a:x@2 commit@2");
    acervo_feed_free(narrow);
    acervo_feed_free(wide);
    close_database(db);
}

static void a_transaction_that_never_fits_is_a_gap_each_time(void)
{
    acervo_feed *feed;
    db = open_database(":memory:");
    feed = feed_of(db, 1);
    apply_create(db, "a:x", "1");
    CHECK_TOLD(feed, "gap@1");
    apply_delete(db, "a:x");
    CHECK_TOLD(feed, "gap@2");
    acervo_feed_free(feed);
    close_database(db);
}

/* ------------------------------------------------------------ waiting, poll(2) */

static void *create_x(void *go)
{
    await(go);
    apply_create(db, "a:x", "1");
    check_error_slot();
    return NULL;
}

static void next_waits_for_good_below_0_and_as_long_as_it_is_told(void)
{
    static const int64_t timeouts[] = {-1, INT64_MIN, INT64_MAX, LONG_MS};
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        moment go = MOMENT;
        pthread_t thread;
        acervo_feed *feed;
        db = open_database(":memory:");
        feed = feed_of(db, 8);
        thread = start(create_x, &go);
        CHECK_EMPTY(feed);
        happen(&go);
        CHECK_READ(feed, timeouts[i], "begin@1 +a:x@1 commit@1");
        join(thread);
        acervo_feed_free(feed);
        close_database(db);
    }
}

static void the_descriptor_is_readable_while_there_is_something_to_read(void)
{
    acervo_feed *feed, *late;
    int fd;
    db = open_database(":memory:");
    feed = feed_of(db, 4);
    late = feed_of(db, 4);
    fd = acervo_feed_fd(feed);
    CHECK(!is_readable(feed, 0));
    apply_create(db, "a:x", "1");
    CHECK(is_readable(feed, 0));
    /* Asked for when there is something already. */
    CHECK(is_readable(late, 0));
    CHECK_READ(feed, 0, "begin@1 +a:x@1");
    CHECK(is_readable(feed, 0));
    CHECK_TOLD(feed, "commit@1");
    CHECK(!is_readable(feed, 0));
    apply_update(db, "a:x", "2");
    apply_update(db, "a:x", "3");
    CHECK_READ(feed, 0, "begin@2 ~a:x@2 commit@2");
    CHECK(is_readable(feed, 0));
    CHECK_TOLD(feed, "gap@3");
    CHECK(!is_readable(feed, 0));
    CHECK_INT(acervo_feed_fd(feed), fd);
    CHECK(acervo_feed_fd(late) != fd);
    acervo_feed_free(feed);
    acervo_feed_free(late);
    close_database(db);
}

static void feeds_refuse_what_is_wrong(void)
{
    acervo_feed *feed = (acervo_feed *)&feed;
    acervo_value *event = NULL;
    db = open_database(":memory:");
    CHECK_FAILS(acervo_events(db, 0, &feed, ERR), ACERVO_INVALID, "capacity is 0");
    CHECK(feed == NULL);
    CHECK_FAILS(acervo_events(NULL, 8, &feed, ERR), ACERVO_INVALID, "db is NULL");
    CHECK_FAILS(acervo_events(db, 8, NULL, ERR), ACERVO_INVALID, "out is NULL");
    CHECK_FAILS(acervo_feed_next(NULL, 0, &event, ERR), ACERVO_INVALID, "feed is NULL");
    CHECK_INT(acervo_feed_fd(NULL), -1);
    acervo_feed_free(NULL);
    feed = feed_of(db, UINT32_MAX);
    CHECK_FAILS(acervo_feed_next(feed, 0, NULL, ERR), ACERVO_INVALID, "out_event is NULL");
    acervo_feed_free(feed);
    CHECK_OK(acervo_close(db, ERR));
    CHECK_FAILS(acervo_events(db, 8, &feed, ERR), ACERVO_INTERNAL, "closed");
    acervo_free(db);
}

/* ------------------------------------------------------------------- closing */

static void *read_to_the_end(void *feed)
{
    acervo_value *event = NULL;
    CHECK_FAILS(acervo_feed_next(feed, -1, &event, ERR), ACERVO_INTERNAL, "closed");
    CHECK(event == NULL);
    return NULL;
}

static void closing_wakes_who_waits(void)
{
    acervo_feed *feed;
    pthread_t reader;
    db = open_database(":memory:");
    feed = feed_of(db, 8);
    reader = start(read_to_the_end, feed);
    sleep_ms(20);
    CHECK_OK(acervo_close(db, ERR));
    join(reader);
    CHECK(is_readable(feed, 0));
    acervo_free(db);
    acervo_feed_free(feed);
}

static void closing_one_of_several_handles_ends_its_feeds_only(void)
{
    acervo *second;
    acervo_feed *own, *others;
    pthread_t reader;
    db = open_database(scratch_path("two.db"));
    second = open_database(scratch_path("two.db"));
    own = feed_of(db, 8);
    others = feed_of(second, 8);
    CHECK(!is_readable(own, 0));
    reader = start(read_to_the_end, own);
    sleep_ms(20);
    CHECK_OK(acervo_close(db, ERR));
    join(reader);
    CHECK(is_readable(own, 0));
    apply_create(second, "a:x", "1");
    CHECK_TOLD(others, "begin@1 +a:x@1 commit@1");
    acervo_feed_free(own);
    acervo_free(db);
    acervo_feed_free(others);
    close_database(second);
}

static void what_came_before_a_close_can_still_be_read(void)
{
    acervo_feed *feed;
    db = open_database(":memory:");
    feed = feed_of(db, 8);
    apply_create(db, "a:x", "1");
    close_database(db);
    CHECK_READ(feed, 0, "begin@1 +a:x@1 commit@1");
    read_to_the_end(feed);
    acervo_feed_free(feed);
}

static void a_feed_keeps_its_database_alive(void)
{
    acervo_feed *feed;
    acervo *second;
    db = open_database(scratch_path("kept.db"));
    feed = feed_of(db, 8);
    acervo_free(db);
    second = open_database(scratch_path("kept.db"));
    apply_create(second, "a:x", "1");
    close_database(second);
    CHECK_TOLD(feed, "begin@1 +a:x@1 commit@1");
    acervo_feed_free(feed);
    /* Waits until it is closed. */
    close_database(open_database(scratch_path("kept.db")));
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_feed_tells_transactions_in_order_with_their_version),
        TEST(an_event_has_entry_and_original),
        TEST(a_transaction_that_is_refused_ends_with_discard),
        TEST(what_does_not_fit_is_one_gap_with_the_version_current_when_read),
        TEST(a_transaction_that_never_fits_is_a_gap_each_time),
        TEST(next_waits_for_good_below_0_and_as_long_as_it_is_told),
        TEST(the_descriptor_is_readable_while_there_is_something_to_read),
        TEST(feeds_refuse_what_is_wrong),
        TEST(closing_wakes_who_waits),
        TEST(closing_one_of_several_handles_ends_its_feeds_only),
        TEST(what_came_before_a_close_can_still_be_read),
        TEST(a_feed_keeps_its_database_alive),
    };
    return RUN_TESTS(cases, argc, argv);
}
