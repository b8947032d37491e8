/* Handlers that write down what they are asked, in one log that all share. */
#ifndef ACERVO_TESTS_HANDLERS_H
#define ACERVO_TESTS_HANDLERS_H

#include "check.h"

#include <stdatomic.h>

/* Writes a word for each call: begin, commit, discard, +id (create), ~id
 * (update), -id (delete), behind "undo", "dry" or "foreign" if it is one, and
 * behind the recorder's name. All zero but the name is a handler that accepts
 * everything. */
typedef struct recorder {
    const char *name; /* NULL: none is written */
    /* The word that it refuses, without the name; NULL: none. */
    const char *refuse;
    int32_t code;
    const char *message; /* NULL: none is set */
    int times;           /* how often it refuses; 0: always */
    /* Asked for what is not refused; NULL: accepts. */
    int32_t (*answer)(struct recorder *self, acervo_op *op);
    void *data;
    atomic_int destroyed;
} recorder;

int32_t record(void *recorder, acervo_op *op);
/* Counts in `destroyed`. */
void note_destroyed(void *recorder);

/* Registers a recorder for good. */
void listen(acervo *db, const char *pattern, uint32_t flags, recorder *own);
/* Registers a recorder that is cancelled. */
acervo_subscription *subscribe(acervo *db, const char *pattern, uint32_t flags, recorder *own);

/* A word that a handler adds. */
void log_word(const char *word);
void clear_log(void);
/* What was written since the last check. */
void check_log(const char *file, int line, const char *expected);
#define CHECK_LOG(expected) check_log(__FILE__, __LINE__, expected)

/* One create, that is refused with that code and says `part`. */
void check_refused(const char *file, int line, acervo *db, const char *id, int32_t code,
                   const char *part);
#define CHECK_REFUSED(db, id, code, part) check_refused(__FILE__, __LINE__, db, id, code, part)

/* The changes are refused with that code, and head, versions and entries are as
 * before; frees them. */
void check_fails_without_trace(acervo *db, acervo_changes *changes, int32_t code,
                               const char *part);

#endif
