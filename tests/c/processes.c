/* Two processes on one file. */
#include "check.h"
#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { INCREMENTS = 1000, SWAPS = 300, TURNS = 200 };

#define OPTIONS "{\"durability\":\"normal\",\"flush_interval_ms\":600000}"

static acervo *db;
static acervo_kv *kv;

static void open_store(const char *path)
{
    db = open_with(path, OPTIONS);
    kv = store_of(db, "shared");
}

static void close_store(void)
{
    acervo_kv_free(kv);
    close_database(db);
}

/* ------------------------------------------------------- incr, cas, batches */

static void add_by_cas(void)
{
    bool stored = false;
    while (!stored) {
        acervo_value *before = NULL, *after;
        int64_t number = 0;
        char text[32];
        if (acervo_kv_get(kv, "cas", 3, &before, NULL, ERR) != ACERVO_NOT_FOUND) {
            acervo_value *part = NULL;
            CHECK_OK(acervo_value_at(before, 0, &part, ERR));
            CHECK_OK(acervo_value_as_int(part, &number, ERR));
            acervo_value_free(part);
        }
        snprintf(text, sizeof text, "[%lld]", (long long)number + 1);
        after = json(text);
        CHECK_OK(acervo_kv_cas(kv, "cas", 3, before, after, &stored, ERR));
        acervo_value_free(before);
        acervo_value_free(after);
    }
}

static void hammer(const char *path)
{
    open_store(path);
    for (int i = 0; i < INCREMENTS; i++) {
        CHECK_OK(acervo_kv_incr(kv, "incr", 4, 1, NULL, ERR));
        if (i < SWAPS)
            add_by_cas();
    }
    close_store();
}

static void two_processes_lose_no_update(void)
{
    const char *path = scratch_path("hammer.db");
    char expected[32];
    process other = start_process("--hammer", path);
    hammer(path);
    finish_process(&other);
    open_store(path);
    CHECK_INT(int_of(kv, "incr"), 2 * INCREMENTS);
    snprintf(expected, sizeof expected, "[%d]", 2 * SWAPS);
    CHECK_HOLDS(kv, "cas", expected);
    close_store();
}

/* --------------------------------------------------------------- visibility */

/* Reads "ping" as soon as it is told of it, answers with "pong". */
static void echo(const char *path)
{
    int64_t number;
    open_store(path);
    while (try_receive_bytes(STDIN_FILENO, &number, sizeof number)) {
        CHECK_INT(int_of(kv, "ping"), number);
        put_int(kv, "pong", number);
        send_bytes(STDOUT_FILENO, &number, sizeof number);
    }
    close_store();
}

static void each_process_sees_the_others_store_puts_at_its_next_read(void)
{
    const char *path = scratch_path("echo.db");
    process other = start_process("--echo", path);
    open_store(path);
    for (int64_t number = 1; number <= TURNS; number++) {
        int64_t answer = 0;
        put_int(kv, "ping", number);
        send_bytes(other.to, &number, sizeof number);
        receive_bytes(other.from, &answer, sizeof answer);
        CHECK_INT(int_of(kv, "pong"), number);
    }
    finish_process(&other);
    close_store();
}

/* Every kind of change arrives: put, delete, batch, delete_prefix, ttl. */
static void change_everything(const char *path)
{
    char byte;
    acervo_value *one = acervo_value_int(1);
    acervo_batch *batch;
    open_store(path);
    batch = acervo_batch_new(kv);
    CHECK_OK(acervo_kv_delete(kv, "deleted", ACERVO_NTS, ERR));
    CHECK_OK(acervo_batch_put(batch, "batch.a", ACERVO_NTS, one, ERR));
    CHECK_OK(acervo_batch_put(batch, "batch.b", ACERVO_NTS, one, ERR));
    CHECK_OK(acervo_batch_delete(batch, "changed", ACERVO_NTS, ERR));
    CHECK_OK(acervo_batch_commit(batch, ERR));
    CHECK_OK(acervo_kv_delete_prefix(kv, "many.", ACERVO_NTS, NULL, ERR));
    CHECK_OK(acervo_kv_put_ttl(kv, "short", ACERVO_NTS, one, 100, ERR));
    send_bytes(STDOUT_FILENO, "!", 1);
    /* Still open when the other one looks. */
    CHECK(!try_receive_bytes(STDIN_FILENO, &byte, 1));
    acervo_batch_free(batch);
    acervo_value_free(one);
    close_store();
}

static void every_kind_of_change_arrives_in_the_other_process(void)
{
    const char *path = scratch_path("changes.db");
    process other;
    char byte;
    uint64_t count = 0;
    open_store(path);
    put_int(kv, "deleted", 1);
    put_int(kv, "changed", 1);
    put_int(kv, "many.1", 1);
    put_int(kv, "many.2", 1);
    other = start_process("--change", path);
    receive_bytes(other.from, &byte, 1);
    CHECK_MISSING(kv, "deleted");
    CHECK_MISSING(kv, "changed");
    CHECK_HOLDS(kv, "batch.a", "1");
    CHECK_HOLDS(kv, "batch.b", "1");
    CHECK_OK(acervo_kv_count(kv, "many.", ACERVO_NTS, &count, ERR));
    CHECK_INT(count, 0);
    sleep_ms(200);
    CHECK_MISSING(kv, "short");
    finish_process(&other);
    close_store();
}

static void flush_registry(const char *path)
{
    acervo_kv *registry;
    open_store(path);
    registry = registry_of(db);
    put_int(registry, "k", 2);
    CHECK_OK(acervo_kv_flush(registry, ERR));
    acervo_kv_free(registry);
    close_store();
}

static void a_flushed_registry_put_is_seen_by_the_other_process(void)
{
    const char *path = scratch_path("registry.db");
    process other;
    acervo_kv *registry;
    open_store(path);
    registry = registry_of(db);
    put_int(registry, "k", 1);
    CHECK_OK(acervo_kv_flush(registry, ERR));
    other = start_process("--registry", path);
    finish_process(&other);
    CHECK_HOLDS(registry, "k", "2");
    acervo_kv_free(registry);
    close_store();
}

/* ------------------------------------------------------------------ locked */

/* Holds SQLite's write lock: in WAL mode byte 120 of the -shm file. */
static void hold_write_lock(const char *path)
{
    char name[4200], byte;
    struct flock lock = {0};
    int fd;
    snprintf(name, sizeof name, "%s-shm", path);
    fd = open(name, O_RDWR);
    CHECK(fd >= 0);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 120;
    lock.l_len = 1;
    CHECK(fcntl(fd, F_SETLKW, &lock) == 0);
    send_bytes(STDOUT_FILENO, "!", 1);
    CHECK(!try_receive_bytes(STDIN_FILENO, &byte, 1));
    close(fd);
}

static void a_file_locked_past_the_timeout_is_unavailable_and_retryable(void)
{
    const char *path = scratch_path("locked.db");
    process other;
    char byte;
    acervo_value *one = acervo_value_int(1);
    acervo_error *err = NULL;
    int64_t began, waited;
    db = open_with(path, "{\"busy_timeout_ms\":200}");
    kv = store_of(db, "a");
    put_int(kv, "k", 1);
    other = start_process("--lock", path);
    receive_bytes(other.from, &byte, 1);
    began = monotonic_ms();
    CHECK_INT(acervo_kv_put(kv, "k2", 2, one, &err), ACERVO_UNAVAILABLE);
    waited = monotonic_ms() - began;
    CHECK(err != NULL && acervo_error_retryable(err));
    CHECK(waited >= 150 && waited < 5000);
    /* Reading waits for nobody. */
    CHECK_HOLDS(kv, "k", "1");
    CHECK_MISSING(kv, "k2");
    finish_process(&other);
    CHECK_OK(acervo_kv_put(kv, "k2", 2, one, ERR));
    CHECK_HOLDS(kv, "k2", "1");
    acervo_error_free(err);
    acervo_value_free(one);
    acervo_kv_free(kv);
    close_database(db);
}

static int run_role(const char *role, const char *path)
{
    /* Nothing of a test that was stopped stays behind. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (strcmp(role, "--hammer") == 0)
        hammer(path);
    else if (strcmp(role, "--echo") == 0)
        echo(path);
    else if (strcmp(role, "--change") == 0)
        change_everything(path);
    else if (strcmp(role, "--registry") == 0)
        flush_registry(path);
    else
        hold_write_lock(path);
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(two_processes_lose_no_update),
        TEST(each_process_sees_the_others_store_puts_at_its_next_read),
        TEST(every_kind_of_change_arrives_in_the_other_process),
        TEST(a_flushed_registry_put_is_seen_by_the_other_process),
        TEST(a_file_locked_past_the_timeout_is_unavailable_and_retryable),
    };
    if (argc == 3 && strncmp(argv[1], "--", 2) == 0)
        return run_role(argv[1], argv[2]);
    return RUN_TESTS(cases, argc, argv);
}
