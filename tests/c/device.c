/* What is acknowledged is on the device, also if it rests on what others wrote
 * or if a directory cannot be synced; and calls of the system that fail once are
 * told as that, and leave nothing behind. Databases are opened in children
 * only. */
#include "check.h"
#include "device.h"
#include "entries.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *path;

/* Runs a function in a child; gives how that ended. */
static int in_child(void (*body)(void))
{
    int status;
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body();
        fflush(NULL);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void in_good_child(void (*body)(void))
{
    int status = in_child(body);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ------------------------------------- answers that rest on what others wrote */

/* What one does, and another one after it, who finds that it is done. */
typedef struct answer {
    const char *name;
    void (*prepare)(acervo *db);
    void (*first)(acervo *db);
    void (*second)(acervo *db);
    /* What both were told is there. */
    void (*check)(acervo *db);
} answer;

static void put_key(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    put_int(kv, "key", 1);
    acervo_kv_free(kv);
}

static void delete_key(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    CHECK_OK(acervo_kv_delete(kv, "key", ACERVO_NTS, ERR));
    acervo_kv_free(kv);
}

static void delete_prefix(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    uint64_t count = 9;
    CHECK_OK(acervo_kv_delete_prefix(kv, "k", ACERVO_NTS, &count, ERR));
    CHECK_INT(count, 0);
    acervo_kv_free(kv);
}

static void purge(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    uint64_t count = 9;
    CHECK_OK(acervo_kv_purge(kv, 0, &count, ERR));
    CHECK_INT(count, 0);
    acervo_kv_free(kv);
}

static void delete_in_batch(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    acervo_batch *batch = acervo_batch_new(kv);
    CHECK_OK(acervo_batch_delete(batch, "key", ACERVO_NTS, ERR));
    CHECK_OK(acervo_batch_delete(batch, "none", ACERVO_NTS, ERR));
    CHECK_OK(acervo_batch_commit(batch, ERR));
    acervo_batch_free(batch);
    acervo_kv_free(kv);
}

static void key_is_missing(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    CHECK_MISSING(kv, "key");
    acervo_kv_free(kv);
}

static void put_text(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    put_json(kv, "key", "\"text\"");
    acervo_kv_free(kv);
}

static void cas_refused(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    acervo_value *one = acervo_value_int(1);
    bool stored = true;
    CHECK_OK(acervo_kv_cas(kv, "key", ACERVO_NTS, one, one, &stored, ERR));
    CHECK(!stored);
    CHECK_OK(acervo_kv_cas_delete(kv, "key", ACERVO_NTS, one, &stored, ERR));
    CHECK(!stored);
    acervo_value_free(one);
    acervo_kv_free(kv);
}

static void incr_refused(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    int64_t sum;
    CHECK_FAILS(acervo_kv_incr(kv, "key", ACERVO_NTS, 1, &sum, ERR), ACERVO_INVALID, "number");
    acervo_kv_free(kv);
}

static void key_is_text(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    CHECK_HOLDS(kv, "key", "\"text\"");
    acervo_kv_free(kv);
}

static void put_registry(acervo *db)
{
    acervo_kv *kv = registry_of(db);
    put_int(kv, "key", 1);
    CHECK_OK(acervo_flush(db, ERR));
    acervo_kv_free(kv);
}

static void delete_from_registry(acervo *db)
{
    acervo_kv *kv = registry_of(db);
    CHECK_OK(acervo_kv_delete(kv, "key", ACERVO_NTS, ERR));
    CHECK_OK(acervo_flush(db, ERR));
    acervo_kv_free(kv);
}

static void delete_from_registry_and_flush_it(acervo *db)
{
    acervo_kv *kv = registry_of(db);
    CHECK_OK(acervo_kv_delete(kv, "key", ACERVO_NTS, ERR));
    CHECK_OK(acervo_kv_flush(kv, ERR));
    acervo_kv_free(kv);
}

static void key_is_not_in_registry(acervo *db)
{
    acervo_kv *kv = registry_of(db);
    CHECK_MISSING(kv, "key");
    acervo_kv_free(kv);
}

static void make_versions(acervo *db)
{
    apply_create(db, "a:1", "1");
    apply_create(db, "a:2", "2");
}

static void go_back(acervo *db)
{
    CHECK_OK(acervo_apply_version(db, 1, ERR));
}

static void head_is_1(acervo *db)
{
    CHECK_INT(head_of(db), 1);
    CHECK_NOW(db, "a:1");
}

static void make_another(acervo *db)
{
    apply_create(db, "a:3", "3");
}

static void apply_refused(acervo *db)
{
    acervo_snapshot *snapshot = snapshot_at(db, 2);
    acervo_changes *changes = acervo_changes_new(snapshot);
    acervo_snapshot_free(snapshot);
    queue_update(changes, "a:1", "7");
    set_option(changes, "base", "\"strict\"");
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), ACERVO_CONFLICT, "");
    acervo_changes_free(changes);
}

static void create_refused(acervo *db)
{
    acervo_changes *changes = changes_of(db);
    queue_create(changes, "a:3", "3");
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), ACERVO_ALREADY_EXISTS, "a:3");
    acervo_changes_free(changes);
}

static void another_is_there(acervo *db)
{
    CHECK_INT(head_of(db), 3);
    CHECK_NOW(db, "a:1 a:2 a:3");
}

static const answer answers[] = {
    {"delete", put_key, delete_key, delete_key, key_is_missing},
    {"delete_prefix", put_key, delete_key, delete_prefix, key_is_missing},
    {"purge", put_key, delete_key, purge, key_is_missing},
    {"batch", put_key, delete_key, delete_in_batch, key_is_missing},
    {"cas", put_key, put_text, cas_refused, key_is_text},
    {"incr", put_key, put_text, incr_refused, key_is_text},
    {"registry, flush", put_registry, delete_from_registry, delete_from_registry,
     key_is_not_in_registry},
    {"registry, flush of it", put_registry, delete_from_registry,
     delete_from_registry_and_flush_it, key_is_not_in_registry},
    {"apply_version", make_versions, go_back, go_back, head_is_1},
    {"strict apply", make_versions, make_another, apply_refused, another_is_there},
    {"create", make_versions, make_another, create_refused, another_is_there},
};
enum { ANSWERS = sizeof answers / sizeof answers[0] };

static const answer *now;

/* Also has the entries open. */
static acervo *open_at(const char *durability)
{
    char options[64];
    acervo *db;
    snprintf(options, sizeof options, "{\"durability\":\"%s\"}", durability);
    db = open_with(path, options);
    head_of(db);
    return db;
}

static void prepare(void)
{
    acervo *db = open_at("full");
    now->prepare(db);
    close_database(db);
}

/* Then names are as they are, on the device too. */
static void sync_directory(void)
{
    char *directory = strdup(path);
    int fd;
    *strrchr(directory, '/') = 0;
    fd = open(directory, O_RDONLY);
    CHECK(fd >= 0 && fsync(fd) == 0);
    close(fd);
    free(directory);
}

static void first_is_killed(void)
{
    acervo *db = open_at("full");
    device_kill_in_sync(false);
    now->first(db);
}

static void second(void)
{
    acervo *db = open_at("full");
    now->second(db);
    /* Goes on for as long as nobody writes: then nothing is unknown. */
    device_syncs();
    now->second(db);
    CHECK_INT(device_syncs(), 0);
}

static void check_left(void)
{
    acervo *db;
    path = device_cut();
    db = open_at("full");
    now->check(db);
    close_database(db);
}

static void an_answer_that_rests_on_a_killed_process_survives_a_power_cut(void)
{
    for (now = answers; now < answers + ANSWERS; now++) {
        int status;
        printf("  %s\n", now->name);
        path = device_begin("x.db");
        in_good_child(prepare);
        in_good_child(sync_directory);
        status = in_child(first_is_killed);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        in_good_child(second);
        in_good_child(check_left);
    }
}

static int to_first[2], to_second[2];

static void wait_for(int fd)
{
    char byte;
    CHECK(read(fd, &byte, 1) == 1);
}

static void tell(int fd)
{
    CHECK(write(fd, "x", 1) == 1);
}

static void first_does_not_wait_for_the_device(void)
{
    acervo *db = open_at("normal");
    tell(to_second[1]);
    wait_for(to_first[0]);
    now->first(db);
    tell(to_second[1]);
    /* Closing would move the log into the file. */
    wait_for(to_first[0]);
}

static void second_beside_it(void)
{
    acervo_kv *kv;
    acervo *db;
    wait_for(to_second[0]);
    db = open_at("full");
    /* What was there at open is known now. */
    kv = store_of(db, "other");
    put_int(kv, "n", 1);
    acervo_kv_free(kv);
    tell(to_first[1]);
    wait_for(to_second[0]);
    now->second(db);
}

static void an_answer_that_rests_on_a_process_at_normal_survives_a_power_cut(void)
{
    for (now = answers; now < answers + ANSWERS; now++) {
        int status;
        pid_t first;
        printf("  %s\n", now->name);
        path = device_begin("x.db");
        in_good_child(prepare);
        CHECK(pipe(to_first) == 0 && pipe(to_second) == 0);
        fflush(NULL);
        first = fork();
        CHECK(first >= 0);
        if (first == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            first_does_not_wait_for_the_device();
            _exit(0);
        }
        in_good_child(second_beside_it);
        in_good_child(check_left);
        CHECK(kill(first, SIGKILL) == 0 && waitpid(first, &status, 0) == first);
        for (int end = 0; end < 2; end++)
            CHECK(close(to_first[end]) == 0 && close(to_second[end]) == 0);
    }
}

static void count_syncs(void)
{
    acervo *db = open_at("full");
    acervo_kv *kv = store_of(db, "s"), *registry = registry_of(db);
    put_int(kv, "key", 1);
    make_versions(db);
    put_int(kv, "key", 2);
    device_syncs();
    put_int(kv, "key", 3);
    CHECK_INT(device_syncs(), 1);
    CHECK_OK(acervo_kv_delete(kv, "key", ACERVO_NTS, ERR));
    CHECK_INT(device_syncs(), 1);
    delete_key(db);
    delete_prefix(db);
    CHECK_INT(device_syncs(), 0);
    CHECK_MISSING(kv, "key");
    CHECK_INT(device_syncs(), 0);
    apply_create(db, "a:3", "3");
    CHECK_INT(device_syncs(), 1);
    create_refused(db);
    CHECK_OK(acervo_apply_version(db, 3, ERR));
    CHECK_INT(device_syncs(), 0);
    put_int(registry, "key", 1);
    CHECK_OK(acervo_flush(db, ERR));
    CHECK_INT(device_syncs(), 1);
    CHECK_OK(acervo_flush(db, ERR));
    CHECK_INT(device_syncs(), 0);
    acervo_kv_free(registry);
    acervo_kv_free(kv);
    close_database(db);
}

static void what_writes_syncs_once_and_what_finds_all_known_does_not(void)
{
    path = device_begin("x.db");
    in_good_child(count_syncs);
}

/* --------------------------------------------------------- the log's name */

static void put_before(void)
{
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "s");
    put_int(kv, "before", 1);
    acervo_kv_free(kv);
    close_database(db);
}

static void put_where_the_directory_cannot_be_synced(void)
{
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "s");
    acervo_value *one = acervo_value_int(1);
    device_fail_directory_syncs(1, EIO);
    CHECK_FAILS(acervo_kv_put(kv, "first", ACERVO_NTS, one, ERR), ACERVO_UNAVAILABLE,
                "directory");
    CHECK_MISSING(kv, "first");
    for (int i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof key, "later%d", i);
        put_int(kv, key, i);
    }
    _exit(0);
}

static void put_without_descriptors(void)
{
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "s");
    acervo_value *one = acervo_value_int(1);
    struct rlimit before, none;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_FAILS(acervo_kv_put(kv, "first", ACERVO_NTS, one, ERR), ACERVO_UNAVAILABLE,
                strerror(EMFILE));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_MISSING(kv, "first");
    for (int i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof key, "later%d", i);
        put_int(kv, key, i);
    }
    _exit(0);
}

static void check_later(void)
{
    acervo *db;
    acervo_kv *kv;
    path = device_cut();
    db = open_database(path);
    kv = store_of(db, "s");
    CHECK_HOLDS(kv, "before", "1");
    CHECK_MISSING(kv, "first");
    CHECK_HOLDS(kv, "later9", "9");
    acervo_kv_free(kv);
    close_database(db);
}

static void a_log_whose_name_is_not_on_the_device_takes_no_commit(void)
{
    static void (*const puts[])(void) = {put_where_the_directory_cannot_be_synced,
                                         put_without_descriptors};
    for (size_t i = 0; i < sizeof puts / sizeof puts[0]; i++) {
        path = device_begin("x.db");
        in_good_child(put_before);
        in_good_child(sync_directory);
        in_good_child(puts[i]);
        in_good_child(check_later);
    }
}

enum { LARGE = 3000, AT_FIRST = 300, THEN = 20, AFTER = 1500 };

static void put_large(acervo_kv *kv, int from, int count)
{
    char text[LARGE], key[16];
    for (int i = from; i < from + count; i++) {
        acervo_value *value;
        memset(text, 'a' + i % 26, sizeof text);
        value = acervo_value_string(text, sizeof text);
        snprintf(key, sizeof key, "k%05d", i);
        CHECK_OK(acervo_kv_put(kv, key, ACERVO_NTS, value, ERR));
        acervo_value_free(value);
    }
}

static void leave_a_log_on_the_device(void)
{
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "s");
    put_large(kv, 0, AT_FIRST);
    acervo_kv_free(kv);
    close_database(db);
    db = open_database(path);
    kv = store_of(db, "s");
    put_large(kv, AT_FIRST, THEN);
    acervo_kv_free(kv);
    close_database(db); /* takes the log away; not on the device */
}

static void move_the_log_that_comes_after(void)
{
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "s");
    acervo_value *one = acervo_value_int(1);
    device_fail_directory_syncs(1, EIO);
    CHECK_FAILS(acervo_kv_put(kv, "first", ACERVO_NTS, one, ERR), ACERVO_UNAVAILABLE,
                "directory");
    put_large(kv, AT_FIRST + THEN, AFTER);
    _exit(0);
}

static void check_all(void)
{
    acervo *db;
    acervo_kv *kv;
    acervo_value *report = NULL, *ok = NULL;
    uint64_t count = 0;
    bool is_ok = false;
    path = device_cut();
    db = open_database(path);
    kv = store_of(db, "s");
    CHECK_OK(acervo_kv_count(kv, NULL, 0, &count, ERR));
    CHECK_INT(count, AT_FIRST + THEN + AFTER);
    CHECK_OK(acervo_check(db, &report, ERR));
    CHECK_OK(acervo_value_get(report, "ok", ACERVO_NTS, &ok, ERR));
    CHECK_OK(acervo_value_as_bool(ok, &is_ok, ERR));
    CHECK(is_ok);
    acervo_value_free(ok);
    acervo_value_free(report);
    acervo_kv_free(kv);
    close_database(db);
}

static void the_log_of_the_session_before_does_not_come_back(void)
{
    path = device_begin("x.db");
    in_good_child(leave_a_log_on_the_device);
    in_good_child(move_the_log_that_comes_after);
    in_good_child(check_all);
}

static void put_killed_in_the_directory(void)
{
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "s");
    device_kill_in_sync(true);
    put_int(kv, "killed", 1);
}

static void put_in_the_log_that_was_left(void)
{
    acervo *db = open_database(path);
    acervo_kv *kv = store_of(db, "s");
    put_int(kv, "later9", 9);
    _exit(0);
}

static void the_name_of_a_log_that_a_killed_process_made_is_synced(void)
{
    int status;
    path = device_begin("x.db");
    in_good_child(put_before);
    in_good_child(sync_directory);
    status = in_child(put_killed_in_the_directory);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    in_good_child(put_in_the_log_that_was_left);
    in_good_child(check_later);
}

/* ------------------------------------------------------ calls that fail once */

static void fill(acervo *db)
{
    acervo_kv *kv = store_of(db, "s");
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put_json(kv, key, "{\"some\":[\"content\",1,2,3]}");
    }
    acervo_kv_free(kv);
    make_versions(db);
}

/* All kinds of calls, the `nth` open or read of which fails; gives whether one
 * did. What does not work is UNAVAILABLE and works when it is done again. */
static int is_new, nth, kind_of_fault;
enum { OPEN_FAILS, READ_FAILS };

static bool set_fault(int which)
{
    return kind_of_fault == OPEN_FAILS ? fail_open(which, EMFILE) : fail_read(which, EIO);
}

static acervo_error *fault;

/* `call` has &fault for its error. */
#define AGAIN_IF_UNAVAILABLE(call)                       \
    do {                                                 \
        int32_t code_ = call;                            \
        if (code_ != ACERVO_OK) {                        \
            CHECK_INT(code_, ACERVO_UNAVAILABLE);        \
            CHECK(acervo_error_retryable(fault));        \
            acervo_error_free(fault);                    \
            fault = NULL;                                \
            CHECK_OK(call);                              \
        }                                                \
    } while (0)

static void do_with_a_fault(void)
{
    acervo *db = NULL;
    acervo_kv *kv = NULL;
    acervo_value *one = acervo_value_int(1), *report = NULL, *ok = NULL;
    uint64_t head = 0;
    bool is_ok = false, has_failed;
    acervo_changes *changes;
    acervo_entry *entry = entry_of("b:1", "test", NULL, "1");
    acervo_snapshot *snapshot;
    set_fault(nth);
    AGAIN_IF_UNAVAILABLE(acervo_open(path, ACERVO_NTS, NULL, &db, &fault));
    CHECK_OK(acervo_kv_store(db, "s", 1, &kv, ERR));
    AGAIN_IF_UNAVAILABLE(acervo_kv_put(kv, "one", ACERVO_NTS, one, &fault));
    AGAIN_IF_UNAVAILABLE(acervo_current_version(db, &head, &fault));
    snapshot = snapshot_of(db);
    changes = acervo_changes_new(snapshot);
    acervo_snapshot_free(snapshot);
    CHECK_OK(acervo_changes_create(changes, entry, ERR));
    AGAIN_IF_UNAVAILABLE(acervo_changes_apply(changes, NULL, &fault));
    AGAIN_IF_UNAVAILABLE(acervo_check(db, &report, &fault));
    CHECK_OK(acervo_value_get(report, "ok", ACERVO_NTS, &ok, ERR));
    CHECK_OK(acervo_value_as_bool(ok, &is_ok, ERR));
    CHECK(is_ok);
    has_failed = set_fault(0);
    CHECK_HOLDS(kv, "one", "1");
    acervo_value_free(ok);
    acervo_value_free(report);
    acervo_changes_free(changes);
    acervo_entry_free(entry);
    acervo_value_free(one);
    acervo_kv_free(kv);
    close_database(db);
    fflush(NULL);
    _exit(has_failed ? 0 : 77);
}

static void make_filled(void)
{
    acervo *db = open_database(path);
    fill(db);
    close_database(db);
}

static void every_call_passes(int kind, int at_least)
{
    kind_of_fault = kind;
    for (is_new = 0; is_new < 2; is_new++)
        for (nth = 1;; nth++) {
            int status;
            path = device_begin("x.db");
            if (!is_new)
                in_good_child(make_filled);
            status = in_child(do_with_a_fault);
            CHECK(WIFEXITED(status));
            if (WEXITSTATUS(status) == 77) {
                CHECK(nth > at_least);
                break;
            }
            if (WEXITSTATUS(status) != 0)
                check_failed(__FILE__, __LINE__, "new %d, number %d", is_new, nth);
        }
}

static void an_open_that_fails_once_is_unavailable_and_passes(void)
{
    every_call_passes(OPEN_FAILS, 6);
}

static void a_read_that_fails_once_is_unavailable_and_passes(void)
{
    every_call_passes(READ_FAILS, 6);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(an_answer_that_rests_on_a_killed_process_survives_a_power_cut),
        TEST(an_answer_that_rests_on_a_process_at_normal_survives_a_power_cut),
        TEST(what_writes_syncs_once_and_what_finds_all_known_does_not),
        TEST(a_log_whose_name_is_not_on_the_device_takes_no_commit),
        TEST(the_log_of_the_session_before_does_not_come_back),
        TEST(the_name_of_a_log_that_a_killed_process_made_is_synced),
        TEST(an_open_that_fails_once_is_unavailable_and_passes),
        TEST(a_read_that_fails_once_is_unavailable_and_passes),
    };
    return RUN_TESTS(cases, argc, argv);
}
