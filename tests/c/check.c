/* Checking and copying a database, as C sees it. What is found and what a copy
 * holds is tested in Rust (check, backup). */
#include "check.h"
#include "small_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static acervo *filled(const char *path)
{
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "ident");
    for (int i = 0; i < 300; i++) {
        char key[32];
        snprintf(key, sizeof key, "key%d", i);
        put_int(kv, key, i);
    }
    acervo_kv_free(kv);
    return db;
}

/* A field of a map; the caller frees it. */
static acervo_value *field(const acervo_value *map, const char *name)
{
    acervo_value *found = NULL;
    CHECK_OK(acervo_value_get(map, name, ACERVO_NTS, &found, ERR));
    return found;
}

static bool is_ok(const acervo_value *report)
{
    acervo_value *ok = field(report, "ok");
    bool answer = false;
    CHECK_OK(acervo_value_as_bool(ok, &answer, ERR));
    acervo_value_free(ok);
    return answer;
}

static int64_t checked(const acervo_value *report, const char *name)
{
    acervo_value *figures = field(report, "checked"), *figure = field(figures, name);
    int64_t number = -1;
    CHECK_OK(acervo_value_as_int(figure, &number, ERR));
    acervo_value_free(figure);
    acervo_value_free(figures);
    return number;
}

static void a_sound_database_is_ok_and_tells_what_was_looked_at(void)
{
    acervo *db = filled(scratch_path("sound.db"));
    acervo_value *report = NULL, *faults;
    CHECK_OK(acervo_check(db, &report, ERR));
    CHECK(is_ok(report));
    faults = field(report, "faults");
    CHECK_INT(acervo_value_type(faults), ACERVO_TYPE_ARRAY);
    CHECK_INT(acervo_value_len(faults), 0);
    acervo_value_free(faults);
    CHECK_INT(checked(report, "rows"), 300);
    CHECK_INT(checked(report, "keys"), 300);
    CHECK(checked(report, "pages") > 0);
    acervo_value_free(report);
    close_database(db);
}

static void damage_is_in_the_report_and_no_failure(void)
{
    const char *path = scratch_path("damaged.db");
    acervo *db = filled(path);
    acervo_value *report = NULL, *faults, *fault = NULL, *found;
    static const char garbage[256] = {1, 2, 3};
    const char *text = NULL;
    size_t len = 0;
    struct stat status;
    int fd;
    /* All into the file, and what a reader holds of it is not read again. */
    close_database(db);
    db = open_database(path);
    CHECK(stat(path, &status) == 0 && status.st_size > 12000);
    fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    for (off_t at = 8192; at + 256 <= status.st_size; at += 512)
        CHECK(pwrite(fd, garbage, sizeof garbage, at) == sizeof garbage);
    /* Not closed: that would drop the locks of this process. */
    CHECK_OK(acervo_check(db, &report, ERR));
    CHECK(!is_ok(report));
    faults = field(report, "faults");
    CHECK(acervo_value_len(faults) > 0);
    CHECK_OK(acervo_value_at(faults, 0, &fault, ERR));
    for (size_t i = 0; i < 3; i++) {
        static const char *const names[] = {"what", "where", "found"};
        found = field(fault, names[i]);
        CHECK_OK(acervo_value_as_string(found, &text, &len, ERR));
        CHECK(len > 0);
        acervo_value_free(found);
    }
    acervo_value_free(fault);
    acervo_value_free(faults);
    acervo_value_free(report);
    acervo_free(db);
}

static void a_copy_is_a_database_with_all_that_was_put(void)
{
    acervo *db = filled(scratch_path("original.db")), *copy;
    acervo_kv *registry = registry_of(db), *kv;
    acervo_value *report = NULL;
    const char *to = scratch_path("copy.db");
    struct stat status;
    put_int(registry, "just put", 7);
    umask(0);
    CHECK_OK(acervo_backup(db, to, strlen(to), ERR));
    umask(022);
    CHECK(stat(to, &status) == 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    CHECK_FAILS(acervo_backup(db, to, ACERVO_NTS, ERR), ACERVO_ALREADY_EXISTS, "copy.db");
    copy = open_database(to);
    CHECK_OK(acervo_check(copy, &report, ERR));
    CHECK(is_ok(report));
    acervo_value_free(report);
    kv = store_of(copy, "ident");
    CHECK_HOLDS(kv, "key299", "299");
    acervo_kv_free(kv);
    kv = registry_of(copy);
    CHECK_HOLDS(kv, "just put", "7");
    acervo_kv_free(kv);
    acervo_kv_free(registry);
    close_database(copy);
    close_database(db);
}

static void what_is_wrong_with_a_call_is_told(void)
{
    acervo *db = open_database(":memory:");
    acervo_value *report = (acervo_value *)1;
    CHECK_FAILS(acervo_check(NULL, &report, ERR), ACERVO_INVALID, "db is NULL");
    CHECK(report == NULL);
    CHECK_FAILS(acervo_check(db, NULL, ERR), ACERVO_INVALID, "out_report");
    CHECK_FAILS(acervo_backup(NULL, "x", ACERVO_NTS, ERR), ACERVO_INVALID, "db is NULL");
    CHECK_FAILS(acervo_backup(db, NULL, 1, ERR), ACERVO_INVALID, "path is NULL");
    CHECK_FAILS(acervo_backup(db, "x", ACERVO_NTS, ERR), ACERVO_UNAVAILABLE, "memory");
    /* There is nothing in a file that could be wrong. */
    CHECK_OK(acervo_check(db, &report, ERR));
    CHECK(is_ok(report));
    acervo_value_free(report);
    CHECK_OK(acervo_close(db, ERR));
    CHECK_FAILS(acervo_check(db, &report, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_backup(db, "x", ACERVO_NTS, ERR), ACERVO_INTERNAL, "closed");
    acervo_free(db);
}

static void a_child_is_told_that_the_handle_is_its_parents(void)
{
    acervo *db = filled(scratch_path("forked.db"));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        acervo_value *report = NULL;
        CHECK_FAILS(acervo_check(db, &report, ERR), ACERVO_FORKED, "fork");
        CHECK_FAILS(acervo_backup(db, scratch_path("child.db"), ACERVO_NTS, ERR), ACERVO_FORKED,
                    "fork");
        _exit(0);
    }
    CHECK_CHILD(child);
    CHECK(access(scratch_path("child.db"), F_OK) != 0);
    close_database(db);
}

static size_t files_in(const char *directory)
{
    size_t count = 0;
    DIR *opened = opendir(directory);
    CHECK(opened != NULL);
    while (readdir(opened) != NULL)
        count++;
    closedir(opened);
    return count;
}

static void copy_to_a_full_disk(void)
{
    char path[4096], to[4096];
    const char *disk = scratch_path("small");
    acervo *db = open_database(scratch_path("large.db"));
    acervo_kv *kv = store_of(db, NULL);
    size_t before;
    for (int i = 0; i < 60; i++) {
        static char text[8192];
        acervo_value *value;
        snprintf(path, sizeof path, "key%d", i);
        memset(text, 'x', sizeof text);
        value = acervo_value_string(text, sizeof text);
        CHECK_OK(acervo_kv_put(kv, path, ACERVO_NTS, value, ERR));
        acervo_value_free(value);
    }
    snprintf(path, sizeof path, "%s/filler", disk);
    fill_disk(path, 100000);
    before = files_in(disk);
    snprintf(to, sizeof to, "%s/copy.db", disk);
    CHECK_FAILS(acervo_backup(db, to, ACERVO_NTS, ERR), ACERVO_UNAVAILABLE, "");
    CHECK_INT(files_in(disk), before);
    /* With room it works. */
    CHECK(unlink(path) == 0);
    CHECK_OK(acervo_backup(db, to, ACERVO_NTS, ERR));
    CHECK_INT(files_in(disk), before);
    acervo_kv_free(kv);
    close_database(db);
}

static void a_copy_to_a_full_disk_fails_and_leaves_nothing(void)
{
    on_small_disk(copy_to_a_full_disk);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_sound_database_is_ok_and_tells_what_was_looked_at),
        TEST(damage_is_in_the_report_and_no_failure),
        TEST(a_copy_is_a_database_with_all_that_was_put),
        TEST(what_is_wrong_with_a_call_is_told),
        TEST(a_child_is_told_that_the_handle_is_its_parents),
        TEST(a_copy_to_a_full_disk_fails_and_leaves_nothing),
    };
    return RUN_TESTS(cases, argc, argv);
}
