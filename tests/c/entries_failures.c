/* The history cannot be written: state, current version and history stay as
 * they were, and the database works on when the cause is gone. */
#include "entries.h"
#include "small_disk.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* From here on every write to a file fails, or again none does. Mapped memory
 * and pipes are not concerned; standard output may be. */
static void let_writes_fail(bool fail)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = fail ? 0 : limit.rlim_max;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static int32_t failing_apply(acervo_changes *changes, uint64_t *out, acervo_error **err)
{
    int32_t code;
    let_writes_fail(true);
    code = acervo_changes_apply(changes, out, err);
    let_writes_fail(false);
    return code;
}

static int32_t failing_move(acervo *db, uint64_t version, acervo_error **err)
{
    int32_t code;
    let_writes_fail(true);
    code = acervo_apply_version(db, version, err);
    let_writes_fail(false);
    return code;
}

static int32_t failing_prune(acervo *db, uint64_t version, acervo_error **err)
{
    int32_t code;
    let_writes_fail(true);
    code = acervo_prune(db, version, err);
    let_writes_fail(false);
    return code;
}

/* v1 creates a:x = 1, v2 makes it 2, v3 adds a:y. */
static acervo *open_three(const char *path)
{
    acervo *db = open_database(path);
    apply_create(db, "a:x", "1");
    apply_update(db, "a:x", "2");
    CHECK_INT(apply_create(db, "a:y", "3"), 3);
    return db;
}

static void check_three(acervo *db)
{
    acervo_snapshot *then = snapshot_at(db, 1), *now = snapshot_of(db);
    CHECK_INT(acervo_snapshot_version(now), 3);
    CHECK_INT(head_of(db), 3);
    CHECK_IDS(now, "a:x a:y");
    CHECK_DATA(now, "a:x", "2");
    CHECK_IDS(then, "a:x");
    CHECK_DATA(then, "a:x", "1");
    CHECK_VERSIONS(db, "0 1<0 2<1 3<2");
    acervo_snapshot_free(then);
    acervo_snapshot_free(now);
}

static void a_failed_apply_changes_nothing_and_can_be_repeated(void)
{
    const char *path = scratch_path("apply.db");
    acervo *db = open_three(path);
    acervo_changes *changes = changes_of(db);
    acervo_error *err = NULL;
    uint64_t version = 99;
    queue_update(changes, "a:x", "4");
    queue_delete(changes, "a:y");
    CHECK_INT(failing_apply(changes, &version, &err), ACERVO_UNAVAILABLE);
    CHECK(acervo_error_retryable(err));
    acervo_error_free(err);
    CHECK_INT(version, 0);
    check_three(db);
    CHECK_FAILS(failing_apply(changes, &version, ERR), ACERVO_UNAVAILABLE, "File too large");
    check_three(db);
    /* No number was used up. */
    CHECK_INT(apply(changes), 4);
    CHECK_NOW(db, "a:x");
    close_database(db);
    db = open_database(path);
    CHECK_NOW(db, "a:x");
    CHECK_VERSIONS(db, "0 1<0 2<1 3<2 4<3");
    close_database(db);
}

static void a_failed_move_to_a_version_changes_nothing(void)
{
    const char *path = scratch_path("move.db");
    acervo *db = open_three(path);
    CHECK_FAILS(failing_move(db, 1, ERR), ACERVO_UNAVAILABLE, "File too large");
    check_three(db);
    CHECK_OK(acervo_apply_version(db, 1, ERR));
    CHECK_INT(head_of(db), 1);
    CHECK_OK(acervo_apply_version(db, 3, ERR));
    close_database(db);
    db = open_database(path);
    check_three(db);
    close_database(db);
}

static void a_failed_prune_takes_nothing_out(void)
{
    const char *path = scratch_path("prune.db");
    acervo *db = open_three(path);
    CHECK_FAILS(failing_prune(db, 2, ERR), ACERVO_UNAVAILABLE, "File too large");
    check_three(db);
    CHECK_OK(acervo_prune(db, 2, ERR));
    CHECK_VERSIONS(db, "0 2<0 3<2");
    close_database(db);
    db = open_database(path);
    CHECK_VERSIONS(db, "0 2<0 3<2");
    close_database(db);
}

static void after_a_failure_a_restart_finds_the_old_version(void)
{
    const char *path = scratch_path("restart.db");
    acervo *db = open_three(path);
    acervo_changes *changes = changes_of(db);
    queue_delete(changes, "a:x");
    CHECK_FAILS(failing_apply(changes, NULL, ERR), ACERVO_UNAVAILABLE, "");
    acervo_changes_free(changes);
    close_database(db);
    db = open_database(path);
    check_three(db);
    CHECK_INT(apply_delete(db, "a:x"), 4);
    close_database(db);
}

/* ---------------------------------------------------------------- full disk */

enum { SIZE = 20000 };

/* Creates "big:0", "big:1", ... of SIZE bytes until one fails; gives how many
 * were acknowledged. The changes that failed are left in `out`. */
static int apply_until_full(acervo *db, acervo_changes **out)
{
    static char text[SIZE];
    acervo_value *value;
    int count = 0;
    memset(text, 'x', sizeof text);
    value = acervo_value_string(text, sizeof text);
    for (; count < 1000; count++) {
        acervo_entry *entry = NULL;
        char id[16];
        int32_t code;
        snprintf(id, sizeof id, "big:%d", count);
        CHECK_OK(acervo_entry_new(id, ACERVO_NTS, "test", 4, NULL, value, &entry, ERR));
        *out = changes_of(db);
        CHECK_OK(acervo_changes_create(*out, entry, ERR));
        acervo_entry_free(entry);
        code = acervo_changes_apply(*out, NULL, NULL);
        if (code != ACERVO_OK) {
            CHECK_INT(code, ACERVO_UNAVAILABLE);
            break;
        }
        acervo_changes_free(*out);
    }
    acervo_value_free(value);
    CHECK(count < 1000);
    return count;
}

static void check_big_ones(acervo *db, int count)
{
    acervo_snapshot *now = snapshot_of(db);
    CHECK_INT(acervo_snapshot_len(now), count);
    CHECK_INT(acervo_snapshot_version(now), count);
    for (int i = 0; i < count; i++) {
        acervo_entry *entry = NULL;
        acervo_snapshot *then = snapshot_at(db, (uint64_t)i);
        char id[16];
        CHECK_INT(acervo_snapshot_len(then), i);
        acervo_snapshot_free(then);
        snprintf(id, sizeof id, "big:%d", i);
        CHECK_OK(acervo_snapshot_get(now, id, ACERVO_NTS, &entry, ERR));
        CHECK_INT(acervo_value_len(acervo_entry_data(entry)), SIZE);
        acervo_entry_free(entry);
    }
    acervo_snapshot_free(now);
}

static void entries_on_a_full_disk(void)
{
    const char *path = scratch_path("small/entries.db"), *filler = scratch_path("small/filler");
    acervo *db = open_database(path);
    acervo_changes *failed = NULL;
    uint64_t version = 99;
    int count;
    fill_disk(filler, 512 * 1024);
    count = apply_until_full(db, &failed);
    CHECK(count > 0);
    CHECK_FAILS(acervo_changes_apply(failed, &version, ERR), ACERVO_UNAVAILABLE, "");
    CHECK_INT(version, 0);
    check_big_ones(db, count);
    CHECK(unlink(filler) == 0);
    CHECK_INT(apply(failed), count + 1);
    check_big_ones(db, count + 1);
    close_database(db);
    db = open_database(path);
    check_big_ones(db, count + 1);
    close_database(db);
}

static void a_full_disk_is_unavailable_and_loses_no_version(void)
{
    on_small_disk(entries_on_a_full_disk);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_failed_apply_changes_nothing_and_can_be_repeated),
        TEST(a_failed_move_to_a_version_changes_nothing),
        TEST(a_failed_prune_takes_nothing_out),
        TEST(after_a_failure_a_restart_finds_the_old_version),
        TEST(a_full_disk_is_unavailable_and_loses_no_version),
    };
    return RUN_TESTS(cases, argc, argv);
}
