/* A tiny runner for tests in C, and the few helpers that nearly every test
 * needs. A failed check ends the process: what comes after it would only
 * confuse. */
#ifndef ACERVO_TESTS_CHECK_H
#define ACERVO_TESTS_CHECK_H

#include "acervo.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;

#define TEST(name) {#name, name}

/* Runs the tests, or only those that the program's arguments name. Gives the
 * exit code. */
int run_tests(const test_case *cases, size_t count, int argc, char **argv);
#define RUN_TESTS(cases, argc, argv) \
    run_tests(cases, sizeof(cases) / sizeof((cases)[0]), argc, argv)

/* Ends the process with a message; _exit in a forked child. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4), noreturn))
#endif
void check_failed(const char *file, int line, const char *format, ...);

/* Notes that the running test could not be done here, and why. */
void test_skipped(const char *why);
#define SKIP(why)          \
    do {                   \
        test_skipped(why); \
        return;            \
    } while (0)

#define CHECK(condition)                                         \
    do {                                                         \
        if (!(condition))                                        \
            check_failed(__FILE__, __LINE__, "%s", #condition);  \
    } while (0)

void check_int(const char *file, int line, const char *what, long long actual, long long expected);
#define CHECK_INT(actual, expected) \
    check_int(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))

void check_text(const char *file, int line, const char *what, const char *actual,
                const char *expected);
#define CHECK_TEXT(actual, expected) check_text(__FILE__, __LINE__, #actual, actual, expected)

/* The place for the error of the call inside CHECK_OK and CHECK_FAILS; one per
 * thread, emptied at each use. */
acervo_error **check_error_slot(void);
#define ERR check_error_slot()

void check_ok(const char *file, int line, const char *call, int32_t code);
#define CHECK_OK(call) check_ok(__FILE__, __LINE__, #call, call)

/* The call fails with that code, and its error has the code too and says `part`
 * somewhere in its message. */
void check_fails(const char *file, int line, const char *call, int32_t code, int32_t expected,
                 const char *part);
#define CHECK_FAILS(call, expected, part) \
    check_fails(__FILE__, __LINE__, #call, call, expected, part)

/* ---- files: a directory of this process's own, removed when it ends. The
 * text is valid until the eighth next call. */
const char *scratch_directory(void);
const char *scratch_path(const char *name);

/* ---- databases and values; all of these end the process on failure */
acervo *open_database(const char *path);
/* Options as a JSON map. */
acervo *open_with(const char *path, const char *options);
int32_t try_open_with(const char *path, const char *options, acervo **out, acervo_error **err);
/* Closes, checks and frees. */
void close_database(acervo *db);
acervo_kv *registry_of(acervo *db);
/* NULL: the global keys. */
acervo_kv *store_of(acervo *db, const char *ident);

acervo_value *json(const char *text);
void put_json(acervo_kv *kv, const char *key, const char *text);
void put_int(acervo_kv *kv, const char *key, int64_t number);

void check_json(const char *file, int line, const acervo_value *value, const char *expected);
#define CHECK_JSON(value, expected) check_json(__FILE__, __LINE__, value, expected)
void check_holds(const char *file, int line, acervo_kv *kv, const char *key, const char *expected);
#define CHECK_HOLDS(kv, key, expected) check_holds(__FILE__, __LINE__, kv, key, expected)
void check_missing(const char *file, int line, acervo_kv *kv, const char *key);
#define CHECK_MISSING(kv, key) check_missing(__FILE__, __LINE__, kv, key)

/* An int that must be there. */
int64_t int_of(acervo_kv *kv, const char *key);

/* ---- processes */
void sleep_ms(long milliseconds);
/* Waits for a child and checks that it ended with exit code 0. */
void check_child(const char *file, int line, pid_t child);
#define CHECK_CHILD(child) check_child(__FILE__, __LINE__, child)

#ifdef __cplusplus
}
#endif

#endif
