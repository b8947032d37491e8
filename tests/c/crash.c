/* kill -9: the store and the entries lose nothing that was acknowledged, the
 * registry at most what was put within the flush interval. ACERVO_CRASH_FACTOR
 * multiplies the rounds. */
#include "check.h"
#include "entries.h"
#include "process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { ROUNDS = 25, FLUSH_INTERVAL_MS = 50 };

/* How much later than its interval a flush may be done on a busy machine. */
enum { FLUSH_SLACK_MS = 1000 };

typedef struct acknowledged {
    int64_t number, at_ms;
} acknowledged;

#define WRITER_OPTIONS "{\"flush_interval_ms\":50}"

/* ------------------------------------------------------------- the writers */

static void acknowledge(int64_t number)
{
    acknowledged record;
    record.number = number;
    record.at_ms = monotonic_ms();
    send_bytes(STDOUT_FILENO, &record, sizeof record);
}

/* Counts on from what is there, one put per number, until it is killed. */
static void write_store(const char *path)
{
    acervo *db = open_with(path, WRITER_OPTIONS);
    acervo_kv *kv = store_of(db, "crash");
    int64_t number = 0;
    CHECK_OK(acervo_kv_incr(kv, "n", 1, 0, &number, ERR));
    for (;;) {
        char text[64];
        number++;
        put_int(kv, "n", number);
        snprintf(text, sizeof text, "[%lld,%lld]", (long long)number, (long long)number);
        put_json(kv, "pair", text);
        acknowledge(number);
    }
}

static void write_registry(const char *path)
{
    acervo *db = open_with(path, WRITER_OPTIONS);
    acervo_kv *kv = registry_of(db);
    int64_t number = 0;
    CHECK_OK(acervo_kv_incr(kv, "n", 1, 0, &number, ERR));
    for (;;) {
        put_int(kv, "n", ++number);
        acknowledge(number);
        if (number % 50 == 0)
            sleep_ms(1);
    }
}

static void write_batches(const char *path)
{
    acervo *db = open_with(path, WRITER_OPTIONS);
    acervo_kv *kv = store_of(db, "batch");
    acervo_batch *batch = acervo_batch_new(kv);
    int64_t number = 0;
    CHECK_OK(acervo_kv_incr(kv, "k0", 2, 0, &number, ERR));
    for (;;) {
        acervo_value *value = acervo_value_int(++number);
        for (int i = 0; i < 10; i++) {
            char key[8];
            snprintf(key, sizeof key, "k%d", i);
            CHECK_OK(acervo_batch_put(batch, key, ACERVO_NTS, value, ERR));
        }
        CHECK_OK(acervo_batch_commit(batch, ERR));
        acervo_value_free(value);
        acknowledge(number);
    }
}

/* Makes versions: two entries that always have the same number, the number
 * being that of the version; now and then goes back by one and forth again, so
 * that the next version is a branch. */
static void write_versions(const char *path)
{
    acervo *db = open_with(path, WRITER_OPTIONS);
    for (;;) {
        acervo_changes *changes = changes_of(db);
        uint64_t version = head_of(db), made;
        char data[32];
        /* After going back the highest one used counts on. */
        acervo_value *versions = NULL, *last = NULL, *id = NULL;
        int64_t highest = 0;
        CHECK_OK(acervo_versions(db, &versions, ERR));
        CHECK_OK(acervo_value_at(versions, acervo_value_len(versions) - 1, &last, ERR));
        CHECK_OK(acervo_value_get(last, "id", ACERVO_NTS, &id, ERR));
        CHECK_OK(acervo_value_as_int(id, &highest, ERR));
        acervo_value_free(id);
        acervo_value_free(last);
        acervo_value_free(versions);
        snprintf(data, sizeof data, "%lld", (long long)highest + 1);
        (version == 0 ? queue_create : queue_update)(changes, "pair:x", data);
        (version == 0 ? queue_create : queue_update)(changes, "pair:y", data);
        made = apply(changes);
        CHECK_INT((int64_t)made, highest + 1);
        acknowledge((int64_t)made);
        if (made % 10 == 0) {
            CHECK_OK(acervo_apply_version(db, made - 1, ERR));
            CHECK_OK(acervo_apply_version(db, made, ERR));
        }
    }
}

/* Batches so large that the log of SQLite is full every few, and the one of
 * the library compacted with each. */
static void write_much(const char *path)
{
    acervo *db = open_with(path, WRITER_OPTIONS);
    acervo_kv *kv = store_of(db, "much");
    acervo_batch *batch = acervo_batch_new(kv);
    static char filler[4000];
    int64_t number = 0;
    memset(filler, 'x', sizeof filler);
    CHECK_OK(acervo_kv_incr(kv, "n", 1, 0, &number, ERR));
    for (;;) {
        acervo_value *filling = acervo_value_string(filler, sizeof filler);
        acervo_value *value = acervo_value_int(++number);
        for (int i = 0; i < 100; i++) {
            char key[16];
            snprintf(key, sizeof key, "f%d", i);
            CHECK_OK(acervo_batch_put(batch, key, ACERVO_NTS, filling, ERR));
        }
        CHECK_OK(acervo_batch_put(batch, "n", 1, value, ERR));
        CHECK_OK(acervo_batch_put(batch, "m", 1, value, ERR));
        CHECK_OK(acervo_batch_commit(batch, ERR));
        acervo_value_free(filling);
        acervo_value_free(value);
        acknowledge(number);
    }
}

/* Adds to what all processes add to. */
static void count_on(const char *path)
{
    acervo *db = open_with(path, WRITER_OPTIONS);
    acervo_kv *kv = store_of(db, NULL);
    int64_t total = 0;
    for (int64_t number = 1;; number++) {
        CHECK_OK(acervo_kv_incr(kv, "total", ACERVO_NTS, 1, &total, ERR));
        acknowledge(number);
    }
}

/* --------------------------------------------------------------- the killer */

static int rounds(int number)
{
    const char *factor = getenv("ACERVO_CRASH_FACTOR");
    return factor == NULL || atoi(factor) < 1 ? number : number * atoi(factor);
}

/* Lets a writer work for some milliseconds and kills it. Gives the last number
 * that it acknowledged at all, and the last one by `settled_ms` before the
 * kill; 0 if there was none. */
static void write_and_kill(const char *role, const char *path, long milliseconds,
                           int64_t settled_ms, int64_t *out_last, int64_t *out_settled)
{
    process writer = start_process(role, path);
    int64_t deadline;
    bool killed = false;
    acknowledged record;
    *out_settled = 0;
    /* The time runs from the first acknowledgement: opening takes as long as
     * it takes. */
    receive_bytes(writer.from, &record, sizeof record);
    deadline = monotonic_ms() + milliseconds;
    do {
        *out_last = record.number;
        if (record.at_ms + settled_ms <= deadline)
            *out_settled = record.number;
        if (!killed && monotonic_ms() >= deadline) {
            CHECK(kill(writer.pid, SIGKILL) == 0);
            killed = true;
        }
        /* What it sent before it was killed is read to the end. */
    } while (try_receive_bytes(writer.from, &record, sizeof record));
    CHECK(killed);
    reap_process(&writer);
}

static void a_killed_process_loses_no_acknowledged_store_put(void)
{
    const char *path = scratch_path("store.db");
    for (int round = 0; round < rounds(ROUNDS); round++) {
        int64_t last, settled, found, pair = 0;
        acervo *db;
        acervo_kv *kv;
        acervo_value *value = NULL, *part = NULL;
        write_and_kill("--write-store", path, 5 + round * 7 % 40, 0, &last, &settled);
        db = open_database(path);
        kv = store_of(db, "crash");
        found = int_of(kv, "n");
        /* The put after the last acknowledged one may have been done. */
        CHECK(found == last || found == last + 1);
        CHECK_OK(acervo_kv_get(kv, "pair", 4, &value, NULL, ERR));
        CHECK_OK(acervo_value_at(value, 1, &part, ERR));
        CHECK_OK(acervo_value_as_int(part, &pair, ERR));
        CHECK(pair >= last && pair <= found);
        acervo_value_free(part);
        acervo_value_free(value);
        acervo_kv_free(kv);
        close_database(db);
    }
}

static void a_killed_process_loses_at_most_the_flush_interval_of_the_registry(void)
{
    const char *path = scratch_path("registry.db");
    for (int round = 0; round < rounds(3); round++) {
        int64_t last, settled;
        acervo *db;
        acervo_kv *kv;
        write_and_kill("--write-registry", path, FLUSH_INTERVAL_MS + FLUSH_SLACK_MS + 300,
                       FLUSH_INTERVAL_MS + FLUSH_SLACK_MS, &last, &settled);
        CHECK(settled > 0);
        db = open_database(path);
        kv = registry_of(db);
        CHECK(int_of(kv, "n") >= settled && int_of(kv, "n") <= last + 1);
        acervo_kv_free(kv);
        close_database(db);
    }
}

static void a_killed_process_leaves_no_half_batch(void)
{
    const char *path = scratch_path("batch.db");
    for (int round = 0; round < rounds(ROUNDS); round++) {
        int64_t last, settled, found;
        acervo *db;
        acervo_kv *kv;
        write_and_kill("--write-batches", path, 5 + round * 7 % 40, 0, &last, &settled);
        db = open_database(path);
        kv = store_of(db, "batch");
        found = int_of(kv, "k0");
        CHECK(found == last || found == last + 1);
        for (int i = 1; i < 10; i++) {
            char key[8];
            snprintf(key, sizeof key, "k%d", i);
            CHECK_INT(int_of(kv, key), found);
        }
        acervo_kv_free(kv);
        close_database(db);
    }
}

static void a_killed_process_loses_no_version_and_leaves_none_in_part(void)
{
    const char *path = scratch_path("versions.db");
    for (int round = 0; round < rounds(ROUNDS); round++) {
        int64_t last, settled, head;
        char data[32];
        acervo *db;
        acervo_snapshot *snapshot;
        write_and_kill("--write-versions", path, 5 + round * 7 % 40, 0, &last, &settled);
        db = open_database(path);
        head = (int64_t)head_of(db);
        /* The next one may have been made; or it was going back. */
        CHECK(head == last || head == last + 1 || (last % 10 == 0 && head == last - 1));
        snprintf(data, sizeof data, "%lld", (long long)head);
        snapshot = snapshot_of(db);
        CHECK_IDS(snapshot, "pair:x pair:y");
        CHECK_DATA(snapshot, "pair:x", data);
        CHECK_DATA(snapshot, "pair:y", data);
        acervo_snapshot_free(snapshot);
        /* What was acknowledged can be gone back to. */
        snprintf(data, sizeof data, "%lld", (long long)last);
        snapshot = snapshot_at(db, (uint64_t)last);
        CHECK_DATA(snapshot, "pair:x", data);
        CHECK_DATA(snapshot, "pair:y", data);
        acervo_snapshot_free(snapshot);
        close_database(db);
    }
}

static void a_process_killed_in_a_checkpoint_or_a_compaction_loses_nothing(void)
{
    const char *path = scratch_path("much.db");
    for (int round = 0; round < rounds(ROUNDS); round++) {
        int64_t last, settled, found;
        acervo *db;
        acervo_kv *kv;
        write_and_kill("--write-much", path, 20 + round * 7 % 60, 0, &last, &settled);
        db = open_database(path);
        kv = store_of(db, "much");
        found = int_of(kv, "n");
        CHECK(found == last || found == last + 1);
        CHECK_INT(int_of(kv, "m"), found);
        acervo_kv_free(kv);
        close_database(db);
    }
}

/* Several processes at once, one of which is killed while the others go on. */
static void processes_that_are_killed_beside_others_lose_nothing(void)
{
    enum { PROCESSES = 3 };
    const char *path = scratch_path("several.db");
    int64_t acknowledged_in_all = 0, begun_in_all = 0, before = 0;
    close_database(open_database(path));
    for (int round = 0; round < rounds(ROUNDS) / 5; round++) {
        process writers[PROCESSES];
        acknowledged record;
        int64_t found = 0;
        acervo *db;
        acervo_kv *kv;
        for (int i = 0; i < PROCESSES; i++)
            writers[i] = start_process("--count-on", path);
        for (int i = 0; i < PROCESSES; i++)
            receive_bytes(writers[i].from, &record, sizeof record);
        for (int i = 0; i < PROCESSES; i++) {
            int64_t last = 1;
            sleep_ms(5 + round * 7 % 20);
            CHECK(kill(writers[i].pid, SIGKILL) == 0);
            while (try_receive_bytes(writers[i].from, &record, sizeof record))
                last = record.number;
            reap_process(&writers[i]);
            acknowledged_in_all += last;
            begun_in_all += last + 1;
        }
        db = open_database(path);
        kv = store_of(db, NULL);
        CHECK_OK(acervo_kv_incr(kv, "total", ACERVO_NTS, 0, &found, ERR));
        CHECK(found >= acknowledged_in_all && found <= begun_in_all && found > before);
        before = found;
        acervo_kv_free(kv);
        close_database(db);
    }
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_killed_process_loses_no_acknowledged_store_put),
        TEST(a_killed_process_loses_at_most_the_flush_interval_of_the_registry),
        TEST(a_killed_process_leaves_no_half_batch),
        TEST(a_killed_process_loses_no_version_and_leaves_none_in_part),
        TEST(a_process_killed_in_a_checkpoint_or_a_compaction_loses_nothing),
        TEST(processes_that_are_killed_beside_others_lose_nothing),
    };
    if (argc == 3 && strncmp(argv[1], "--", 2) == 0) {
        /* Nothing of a test that was stopped stays behind. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (strcmp(argv[1], "--write-store") == 0)
            write_store(argv[2]);
        else if (strcmp(argv[1], "--write-registry") == 0)
            write_registry(argv[2]);
        else if (strcmp(argv[1], "--write-versions") == 0)
            write_versions(argv[2]);
        else if (strcmp(argv[1], "--write-much") == 0)
            write_much(argv[2]);
        else if (strcmp(argv[1], "--count-on") == 0)
            count_on(argv[2]);
        else
            write_batches(argv[2]);
    }
    return RUN_TESTS(cases, argc, argv);
}
