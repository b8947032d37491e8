/* Reading feeds. An event is a word: begin@1, +a:x@1 (create), ~a:x@1 (update),
 * -a:x@1 (delete), commit@1, discard@1, gap@7; a foreign one behind an F. All of
 * these end the process on failure. */
#ifndef ACERVO_TESTS_FEEDS_H
#define ACERVO_TESTS_FEEDS_H

#include "check.h"

/* Long enough for the slowest machine: only what hangs waits for it. */
enum { LONG_MS = 60000 };

acervo_feed *feed_of(acervo *db, uint32_t capacity);

/* Reads as many events as `expected` has words, and no more. */
void check_read(const char *file, int line, acervo_feed *feed, int64_t timeout_ms,
                const char *expected);
#define CHECK_READ(feed, timeout_ms, expected) \
    check_read(__FILE__, __LINE__, feed, timeout_ms, expected)
void check_empty(const char *file, int line, acervo_feed *feed);
#define CHECK_EMPTY(feed) check_empty(__FILE__, __LINE__, feed)
/* What waits in the feed, and nothing else does. */
#define CHECK_TOLD(feed, expected)     \
    do {                               \
        CHECK_READ(feed, 0, expected); \
        CHECK_EMPTY(feed);             \
    } while (0)

/* Whether poll(2) finds it so. */
bool is_readable(const acervo_feed *feed, int timeout_ms);

#endif
