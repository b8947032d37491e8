/* Files and disks that are in the way: the error of the spec, the process
 * alive, the data intact. */
#include "check.h"
#include "small_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

/* ------------------------------------------------------------------- files */

static void write_file(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(bytes, 1, length, file) == length);
    CHECK(fclose(file) == 0);
}

static char *read_file(const char *path, size_t *out_length)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    char *bytes;
    CHECK(file != NULL && fstat(fileno(file), &info) == 0);
    bytes = malloc((size_t)info.st_size + 1);
    CHECK(bytes != NULL);
    *out_length = fread(bytes, 1, (size_t)info.st_size, file);
    fclose(file);
    return bytes;
}

/* Opening fails with that code, names the file and leaves it as it is. */
static void check_refused(const char *path, int32_t code, const char *name)
{
    size_t before_length, after_length;
    char *before = read_file(path, &before_length), *after;
    acervo *db = NULL;
    CHECK_FAILS(acervo_open(path, ACERVO_NTS, NULL, &db, ERR), code, name);
    CHECK(db == NULL);
    after = read_file(path, &after_length);
    CHECK(before_length == after_length && memcmp(before, after, before_length) == 0);
    free(before);
    free(after);
}

static void a_file_that_is_no_database_is_refused_and_left_alone(void)
{
    const char *path = scratch_path("letter.txt");
    char text[5000];
    write_file(path, "Dear reader, this is no database at all.\n", 41);
    check_refused(path, ACERVO_INTERNAL, "letter.txt");
    memset(text, 'x', sizeof text);
    write_file(path, text, sizeof text);
    check_refused(path, ACERVO_INTERNAL, "letter.txt");
}

static void make_database(const char *path)
{
    acervo *db = open_with(path, "{\"durability\":\"off\"}");
    acervo_kv *kv = store_of(db, "a");
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "key.%d", i);
        put_json(kv, key, "{\"some\":[\"content\",1,2,3]}");
    }
    acervo_kv_free(kv);
    close_database(db);
}

static void a_damaged_database_is_refused_and_left_alone(void)
{
    const char *path = scratch_path("damaged.db");
    size_t length;
    char *bytes;
    make_database(path);
    bytes = read_file(path, &length);
    CHECK(length > 4096);
    /* Everything behind SQLite's header of 100 bytes. */
    memset(bytes + 100, 0xa5, length - 100);
    write_file(path, bytes, length);
    check_refused(path, ACERVO_INTERNAL, "damaged.db");
    free(bytes);
}

static void a_database_that_was_cut_short_is_refused_and_left_alone(void)
{
    const char *path = scratch_path("short.db");
    size_t length;
    char *bytes;
    make_database(path);
    bytes = read_file(path, &length);
    CHECK(length > 8192);
    write_file(path, bytes, 5000);
    check_refused(path, ACERVO_INTERNAL, "short.db");
    free(bytes);
}

static void the_process_opens_good_files_after_a_bad_one(void)
{
    acervo *db = NULL;
    const char *bad = scratch_path("bad.db");
    write_file(bad, "no database", 11);
    for (int i = 0; i < 50; i++)
        CHECK_FAILS(acervo_open(bad, ACERVO_NTS, NULL, &db, ERR), ACERVO_INTERNAL, "bad.db");
    make_database(scratch_path("good.db"));
}

static void a_missing_directory_is_invalid_and_named(void)
{
    acervo *db = NULL;
    CHECK_FAILS(acervo_open(scratch_path("nowhere/a.db"), ACERVO_NTS, NULL, &db, ERR),
                ACERVO_INVALID, "nowhere");
}

static void a_directory_is_no_database(void)
{
    acervo *db = NULL;
    CHECK(acervo_open(scratch_directory(), ACERVO_NTS, NULL, &db, NULL) < 0);
    CHECK(db == NULL);
}

static void a_bad_path_is_invalid(void)
{
    acervo *db = NULL;
    CHECK_FAILS(acervo_open("", 0, NULL, &db, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_open("a\0b", 3, NULL, &db, ERR), ACERVO_INVALID, "");
}

/* ------------------------------------------------------------- permissions */

/* Runs the function in a child that is not root: root may do everything. */
static void as_nobody(void (*body)(void))
{
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (getuid() == 0)
            CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
        body();
        fflush(NULL);
        _exit(0);
    }
    CHECK_CHILD(child);
}

static void open_in_read_only_directory(void)
{
    acervo *db = NULL;
    CHECK_FAILS(acervo_open(scratch_path("locked/new.db"), ACERVO_NTS, NULL, &db, ERR),
                ACERVO_PERMISSION_DENIED, "locked");
    CHECK(db == NULL);
}

static void a_directory_that_may_not_be_written_is_permission_denied_and_named(void)
{
    /* The scratch directory is its maker's alone. */
    CHECK(chmod(scratch_directory(), 0755) == 0);
    CHECK(mkdir(scratch_path("locked"), 0555) == 0);
    as_nobody(open_in_read_only_directory);
}

static void open_unreadable_file(void)
{
    acervo *db = NULL;
    CHECK_FAILS(acervo_open(scratch_path("secret.db"), ACERVO_NTS, NULL, &db, ERR),
                ACERVO_PERMISSION_DENIED, "secret.db");
}

static void a_file_that_may_not_be_read_is_permission_denied_and_named(void)
{
    CHECK(chmod(scratch_directory(), 0755) == 0);
    make_database(scratch_path("secret.db"));
    CHECK(chmod(scratch_path("secret.db"), 0) == 0);
    as_nobody(open_unreadable_file);
    CHECK(chmod(scratch_path("secret.db"), 0600) == 0);
}

static void use_in_directory_that_cannot_be_read(void)
{
    const char *path = scratch_path("dark/new.db");
    for (int round = 0; round < 2; round++) {
        acervo *db = open_database(path);
        acervo_kv *kv = store_of(db, "a");
        put_int(kv, "n", round);
        acervo_kv_free(kv);
        close_database(db);
    }
}

/* Its names are made durable all the same: without the directory's own sync. */
static void a_directory_that_may_only_be_written_holds_a_database(void)
{
    CHECK(chmod(scratch_directory(), 0755) == 0);
    CHECK(mkdir(scratch_path("dark"), 0700) == 0);
    if (getuid() == 0)
        CHECK(chown(scratch_path("dark"), NOBODY, NOBODY) == 0);
    CHECK(chmod(scratch_path("dark"), 0300) == 0);
    as_nobody(use_in_directory_that_cannot_be_read);
    CHECK(chmod(scratch_path("dark"), 0700) == 0);
}

/* --------------------------------------------------------------- full disk */

static int log_messages;

static void count_message(void *userdata, int32_t level, const char *message, size_t length)
{
    (void)userdata;
    (void)level;
    (void)message;
    (void)length;
    __atomic_add_fetch(&log_messages, 1, __ATOMIC_SEQ_CST);
}

static void check_puts_are_there(acervo_kv *kv, int count)
{
    for (int i = 0; i < count; i++) {
        char key[16];
        acervo_value *value = NULL;
        snprintf(key, sizeof key, "k%d", i);
        CHECK_OK(acervo_kv_get(kv, key, ACERVO_NTS, &value, NULL, ERR));
        CHECK_INT(acervo_value_len(value), 4000);
        acervo_value_free(value);
    }
}

/* Puts until the disk is full; gives how many were acknowledged. */
static int put_until_full(acervo_kv *kv, const acervo_value *value)
{
    int count = 0;
    int32_t code = ACERVO_OK;
    while (code == ACERVO_OK && count < 10000) {
        char key[16];
        snprintf(key, sizeof key, "k%d", count);
        code = acervo_kv_put(kv, key, ACERVO_NTS, value, NULL);
        count += code == ACERVO_OK;
    }
    CHECK_INT(code, ACERVO_UNAVAILABLE);
    return count;
}

static void store_on_a_full_disk(void)
{
    const char *path = scratch_path("small/full.db"), *filler = scratch_path("small/filler");
    char bytes[4000];
    acervo_value *value, *small = acervo_value_int(1);
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "a");
    int count;
    memset(bytes, 'x', sizeof bytes);
    value = acervo_value_string(bytes, sizeof bytes);
    fill_disk(filler, 256 * 1024);
    count = put_until_full(kv, value);
    CHECK(count > 0);
    CHECK_FAILS(acervo_kv_put(kv, "more", ACERVO_NTS, value, ERR), ACERVO_UNAVAILABLE, "");
    CHECK_MISSING(kv, "more");
    check_puts_are_there(kv, count);
    /* It works again when there is room. */
    CHECK(unlink(filler) == 0);
    CHECK_OK(acervo_kv_put(kv, "more", ACERVO_NTS, small, ERR));
    acervo_kv_free(kv);
    close_database(db);
    db = open_database(path);
    kv = store_of(db, "a");
    check_puts_are_there(kv, count);
    CHECK_HOLDS(kv, "more", "1");
    acervo_kv_free(kv);
    close_database(db);
    acervo_value_free(value);
    acervo_value_free(small);
}

static void registry_on_a_full_disk(void)
{
    const char *path = scratch_path("small/behind.db"), *filler = scratch_path("small/filler");
    char bytes[4000];
    acervo_value *value, *stats = NULL, *part = NULL;
    acervo *db = open_with(path, "{\"flush_interval_ms\":20}");
    acervo_kv *kv = registry_of(db);
    CHECK_OK(acervo_set_log(db, count_message, NULL, NULL, ERR));
    memset(bytes, 'x', sizeof bytes);
    value = acervo_value_string(bytes, sizeof bytes);
    fill_disk(filler, 256 * 1024);
    /* Memory takes them all; the disk cannot. */
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        CHECK_OK(acervo_kv_put(kv, key, ACERVO_NTS, value, ERR));
    }
    CHECK_FAILS(acervo_flush(db, ERR), ACERVO_UNAVAILABLE, "");
    sleep_ms(300);
    /* Told once per change of cause, not once per try. */
    CHECK_INT(__atomic_load_n(&log_messages, __ATOMIC_SEQ_CST), 1);
    CHECK_OK(acervo_stats(db, &stats, ERR));
    CHECK_OK(acervo_value_get(stats, "last_error", ACERVO_NTS, &part, ERR));
    CHECK(acervo_value_type(part) != ACERVO_TYPE_NIL);
    acervo_value_free(part);
    acervo_value_free(stats);
    check_puts_are_there(kv, 1000);
    /* It is tried again. */
    CHECK(unlink(filler) == 0);
    CHECK_OK(acervo_flush(db, ERR));
    acervo_kv_free(kv);
    close_database(db);
    db = open_database(path);
    kv = registry_of(db);
    check_puts_are_there(kv, 1000);
    acervo_kv_free(kv);
    close_database(db);
    acervo_value_free(value);
}

static void a_full_disk_is_unavailable_and_loses_nothing_acknowledged(void)
{
    on_small_disk(store_on_a_full_disk);
}

static void a_full_disk_behind_the_registry_is_told_once_and_retried(void)
{
    on_small_disk(registry_on_a_full_disk);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_file_that_is_no_database_is_refused_and_left_alone),
        TEST(a_damaged_database_is_refused_and_left_alone),
        TEST(a_database_that_was_cut_short_is_refused_and_left_alone),
        TEST(the_process_opens_good_files_after_a_bad_one),
        TEST(a_missing_directory_is_invalid_and_named),
        TEST(a_directory_is_no_database),
        TEST(a_bad_path_is_invalid),
        TEST(a_directory_that_may_not_be_written_is_permission_denied_and_named),
        TEST(a_file_that_may_not_be_read_is_permission_denied_and_named),
        TEST(a_directory_that_may_only_be_written_holds_a_database),
        TEST(a_full_disk_is_unavailable_and_loses_nothing_acknowledged),
        TEST(a_full_disk_behind_the_registry_is_told_once_and_retried),
    };
    return RUN_TESTS(cases, argc, argv);
}
