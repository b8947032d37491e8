#include "check.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t main_process;
static const char *running = "(no test)";
static bool skipped;
static char scratch[PATH_MAX];
static __thread acervo_error *last_error;

/* ------------------------------------------------------------------ runner */

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *walk)
{
    (void)info;
    (void)flag;
    (void)walk;
    /* What a test made unwritable is root's to remove; anything left over lies
     * in the scratch directory and harms nobody. */
    if (remove(path) != 0 && errno != EBUSY)
        fprintf(stderr, "cannot remove %s: %s\n", path, strerror(errno));
    return 0;
}

static void remove_scratch(void)
{
    if (scratch[0] != '\0' && getpid() == main_process)
        nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_scratch(void)
{
    const char *parent = getenv("ACERVO_TEST_DIR");
    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    mkdir(parent, 0777);
    snprintf(scratch, sizeof scratch, "%s/acervo-test-XXXXXX", parent);
    if (mkdtemp(scratch) == NULL) {
        fprintf(stderr, "cannot make a directory below %s: %s\n", parent, strerror(errno));
        exit(2);
    }
    atexit(remove_scratch);
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

int run_tests(const test_case *cases, size_t count, int argc, char **argv)
{
    int passed = 0, left_out = 0;
    main_process = getpid();
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* Both change what the library does. */
    unsetenv("EXEC_IDENT");
    unsetenv("ACERVO_PATH");
    make_scratch();
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted(cases[i].name, argc, argv))
            continue;
        running = cases[i].name;
        skipped = false;
        cases[i].run();
        check_error_slot();
        if (!skipped)
            printf("ok    %s\n", cases[i].name);
        passed += !skipped;
        left_out += skipped;
    }
    printf("%d passed, 0 failed, %d skipped\n", passed, left_out);
    return passed + left_out == 0 ? 2 : 0;
}

void test_skipped(const char *why)
{
    skipped = true;
    printf("skip  %s: %s\n", running, why);
}

void check_failed(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "FAIL  %s\n      %s:%d: ", running, file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    fflush(stderr);
    if (getpid() != main_process)
        _exit(1);
    /* Not exit(): the tests may be in the middle of anything. */
    remove_scratch();
    _exit(1);
}

/* ------------------------------------------------------------------ checks */

void check_int(const char *file, int line, const char *what, long long actual, long long expected)
{
    if (actual != expected)
        check_failed(file, line, "%s is %lld, not %lld", what, actual, expected);
}

void check_text(const char *file, int line, const char *what, const char *actual,
                const char *expected)
{
    if (actual == NULL || strcmp(actual, expected) != 0)
        check_failed(file, line, "%s is \"%s\", not \"%s\"", what,
                     actual != NULL ? actual : "(null)", expected);
}

acervo_error **check_error_slot(void)
{
    acervo_error_free(last_error);
    last_error = NULL;
    return &last_error;
}

static const char *last_message(void)
{
    return last_error != NULL ? acervo_error_message(last_error, NULL) : "(no error object)";
}

void check_ok(const char *file, int line, const char *call, int32_t code)
{
    if (code != ACERVO_OK)
        check_failed(file, line, "%s\n      gave %s: %s", call, acervo_code_name(code),
                     last_message());
    if (last_error != NULL)
        check_failed(file, line, "%s\n      succeeded and set an error: %s", call, last_message());
}

void check_fails(const char *file, int line, const char *call, int32_t code, int32_t expected,
                 const char *part)
{
    if (code != expected)
        check_failed(file, line, "%s\n      gave %s, not %s: %s", call, acervo_code_name(code),
                     acervo_code_name(expected), last_message());
    if (last_error == NULL)
        check_failed(file, line, "%s\n      failed and set no error", call);
    if (acervo_error_code(last_error) != expected)
        check_failed(file, line, "%s\n      gave %s, its error says %s", call,
                     acervo_code_name(code), acervo_code_name(acervo_error_code(last_error)));
    if (strstr(last_message(), part) == NULL)
        check_failed(file, line, "%s\n      says \"%s\", nothing of \"%s\"", call, last_message(),
                     part);
    check_error_slot();
}

/* ------------------------------------------------------------------- files */

const char *scratch_directory(void) { return scratch; }

const char *scratch_path(const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    if (snprintf(path, PATH_MAX, "%s/%s", scratch, name) >= PATH_MAX)
        check_failed(__FILE__, __LINE__, "the path of %s is too long", name);
    return path;
}

/* ---------------------------------------------------- databases and values */

static acervo_options *options_from(const char *text)
{
    acervo_options *options = acervo_options_new();
    acervo_value *map = json(text);
    CHECK(options != NULL);
    for (size_t i = 0; i < acervo_value_len(map); i++) {
        acervo_value *key = NULL, *value = NULL;
        const char *name = NULL;
        size_t length = 0;
        CHECK_OK(acervo_value_entry_at(map, i, &key, &value, ERR));
        CHECK_OK(acervo_value_as_string(key, &name, &length, ERR));
        CHECK_OK(acervo_options_set(options, name, length, value, ERR));
        acervo_value_free(key);
        acervo_value_free(value);
    }
    acervo_value_free(map);
    return options;
}

int32_t try_open_with(const char *path, const char *text, acervo **out, acervo_error **err)
{
    acervo_options *options = options_from(text);
    int32_t code = acervo_open(path, ACERVO_NTS, options, out, err);
    acervo_options_free(options);
    return code;
}

acervo *open_with(const char *path, const char *text)
{
    acervo *db = NULL;
    acervo_options *options = options_from(text);
    CHECK_OK(acervo_open(path, ACERVO_NTS, options, &db, ERR));
    CHECK(db != NULL);
    acervo_options_free(options);
    return db;
}

acervo *open_database(const char *path)
{
    acervo *db = NULL;
    CHECK_OK(acervo_open(path, ACERVO_NTS, NULL, &db, ERR));
    CHECK(db != NULL);
    return db;
}

void close_database(acervo *db)
{
    CHECK_OK(acervo_close(db, ERR));
    acervo_free(db);
}

acervo_kv *registry_of(acervo *db)
{
    acervo_kv *kv = NULL;
    CHECK_OK(acervo_kv_registry(db, &kv, ERR));
    CHECK(kv != NULL);
    return kv;
}

acervo_kv *store_of(acervo *db, const char *ident)
{
    acervo_kv *kv = NULL;
    CHECK_OK(acervo_kv_store(db, ident, ident != NULL ? ACERVO_NTS : 0, &kv, ERR));
    CHECK(kv != NULL);
    return kv;
}

acervo_value *json(const char *text)
{
    acervo_value *value = NULL;
    CHECK_OK(acervo_value_from_json(text, ACERVO_NTS, &value, ERR));
    CHECK(value != NULL);
    return value;
}

void put_json(acervo_kv *kv, const char *key, const char *text)
{
    acervo_value *value = json(text);
    CHECK_OK(acervo_kv_put(kv, key, ACERVO_NTS, value, ERR));
    acervo_value_free(value);
}

void put_int(acervo_kv *kv, const char *key, int64_t number)
{
    acervo_value *value = acervo_value_int(number);
    CHECK_OK(acervo_kv_put(kv, key, ACERVO_NTS, value, ERR));
    acervo_value_free(value);
}

void check_json(const char *file, int line, const acervo_value *value, const char *expected)
{
    acervo_value *text = NULL;
    const char *bytes = NULL;
    size_t length = 0;
    if (value == NULL)
        check_failed(file, line, "there is no value, not %s", expected);
    CHECK_OK(acervo_value_to_json(value, &text, ERR));
    CHECK_OK(acervo_value_as_string(text, &bytes, &length, ERR));
    if (length != strlen(expected) || memcmp(bytes, expected, length) != 0)
        check_failed(file, line, "the value is %.*s, not %s", (int)length, bytes, expected);
    acervo_value_free(text);
}

void check_holds(const char *file, int line, acervo_kv *kv, const char *key, const char *expected)
{
    acervo_value *value = NULL;
    int32_t code = acervo_kv_get(kv, key, ACERVO_NTS, &value, NULL, ERR);
    if (code == ACERVO_NOT_FOUND)
        check_failed(file, line, "%s is missing, it should hold %s", key, expected);
    check_ok(file, line, "acervo_kv_get", code);
    check_json(file, line, value, expected);
    acervo_value_free(value);
}

void check_missing(const char *file, int line, acervo_kv *kv, const char *key)
{
    acervo_value *value = NULL;
    int64_t timestamp = 0;
    int32_t code = acervo_kv_get(kv, key, ACERVO_NTS, &value, &timestamp, ERR);
    if (code == ACERVO_OK)
        check_failed(file, line, "%s is there, it should be missing", key);
    if (code != ACERVO_NOT_FOUND)
        check_ok(file, line, "acervo_kv_get", code);
    if (value != NULL || timestamp != 0 || last_error != NULL)
        check_failed(file, line, "a missing key sets nothing and has no error object");
}

int64_t int_of(acervo_kv *kv, const char *key)
{
    acervo_value *value = NULL;
    int64_t number = 0;
    CHECK_OK(acervo_kv_get(kv, key, ACERVO_NTS, &value, NULL, ERR));
    CHECK_OK(acervo_value_as_int(value, &number, ERR));
    acervo_value_free(value);
    return number;
}

/* --------------------------------------------------------------- processes */

void sleep_ms(long milliseconds)
{
    struct timespec left = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

void check_child(const char *file, int line, pid_t child)
{
    int status = 0;
    pid_t ended;
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR);
    if (ended != child)
        check_failed(file, line, "waitpid: %s", strerror(errno));
    if (WIFSIGNALED(status))
        check_failed(file, line, "the child was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        check_failed(file, line, "the child ended with code %d", WEXITSTATUS(status));
}
