/* The calls of registry and store. Nearly all hold for both, so most tests run
 * over the registry, the store of an ident and the global keys. */
#include "check.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static acervo *db;

typedef void (*kv_property)(acervo_kv *kv);

/* Runs a property on each kind of namespace, each in a database of its own. */
static void on_each_namespace(kv_property property)
{
    for (int i = 0; i < 3; i++) {
        acervo_kv *kv;
        db = open_database(":memory:");
        kv = i == 0 ? registry_of(db) : store_of(db, i == 1 ? "monitor-cpu" : NULL);
        property(kv);
        acervo_kv_free(kv);
        close_database(db);
    }
}

#define ON_EACH_NAMESPACE(name)                  \
    static void name##_(acervo_kv *kv);          \
    static void name(void)                       \
    {                                            \
        on_each_namespace(name##_);              \
    }                                            \
    static void name##_(acervo_kv *kv)

/* -------------------------------------------------------- put, get, delete */

ON_EACH_NAMESPACE(a_put_is_read_back_with_the_time_of_the_write)
{
    const int64_t before = (int64_t)time(NULL);
    acervo_value *value = NULL;
    int64_t timestamp = 0;
    put_json(kv, "config", "{\"timeout\":30}");
    CHECK_OK(acervo_kv_get(kv, "config", ACERVO_NTS, &value, &timestamp, ERR));
    CHECK_JSON(value, "{\"timeout\":30}");
    CHECK(timestamp >= before && timestamp <= (int64_t)time(NULL));
    acervo_value_free(value);
}

ON_EACH_NAMESPACE(the_last_put_wins)
{
    put_json(kv, "k", "1");
    put_json(kv, "k", "\"two\"");
    CHECK_HOLDS(kv, "k", "\"two\"");
}

ON_EACH_NAMESPACE(a_stored_nil_is_not_a_missing_key)
{
    int64_t timestamp = 0;
    CHECK_MISSING(kv, "k");
    put_json(kv, "k", "null");
    CHECK_HOLDS(kv, "k", "null");
    CHECK_OK(acervo_kv_get(kv, "k", 1, NULL, &timestamp, ERR));
    CHECK(timestamp > 0);
}

ON_EACH_NAMESPACE(a_put_without_a_value_is_invalid)
{
    CHECK_FAILS(acervo_kv_put(kv, "k", 1, NULL, ERR), ACERVO_INVALID, "");
    CHECK_MISSING(kv, "k");
}

ON_EACH_NAMESPACE(a_deleted_key_is_missing_and_deleting_it_again_is_no_error)
{
    put_json(kv, "k", "1");
    CHECK_OK(acervo_kv_delete(kv, "k", 1, ERR));
    CHECK_MISSING(kv, "k");
    CHECK_OK(acervo_kv_delete(kv, "k", 1, ERR));
}

ON_EACH_NAMESPACE(keys_are_1_to_1024_bytes_of_any_content)
{
    char longest[1025];
    static const char odd[] = "a\0b\xff:%";
    acervo_value *one = acervo_value_int(1);
    memset(longest, 'k', sizeof longest);
    CHECK_OK(acervo_kv_put(kv, longest, 1024, one, ERR));
    CHECK_OK(acervo_kv_get(kv, longest, 1024, NULL, NULL, ERR));
    CHECK_OK(acervo_kv_put(kv, odd, sizeof odd - 1, one, ERR));
    CHECK_OK(acervo_kv_get(kv, odd, sizeof odd - 1, NULL, NULL, ERR));
    CHECK_INT(acervo_kv_get(kv, odd, 1, NULL, NULL, NULL), ACERVO_NOT_FOUND);
    CHECK_FAILS(acervo_kv_put(kv, longest, 1025, one, ERR), ACERVO_INVALID, "1025");
    CHECK_FAILS(acervo_kv_put(kv, "", 0, one, ERR), ACERVO_INVALID, "key");
    CHECK_FAILS(acervo_kv_get(kv, "", 0, NULL, NULL, ERR), ACERVO_INVALID, "key");
    CHECK_FAILS(acervo_kv_delete(kv, longest, 1025, ERR), ACERVO_INVALID, "key");
    acervo_value_free(one);
}

/* ------------------------------------------------------------ namespaces */

static void namespaces_do_not_meet(void)
{
    acervo_kv *registry, *a, *b, *global;
    db = open_database(":memory:");
    registry = registry_of(db);
    a = store_of(db, "a");
    b = store_of(db, "b");
    global = store_of(db, NULL);
    put_int(registry, "k", 1);
    put_int(a, "k", 2);
    put_int(b, "k", 3);
    put_int(global, "k", 4);
    CHECK_HOLDS(registry, "k", "1");
    CHECK_HOLDS(a, "k", "2");
    CHECK_HOLDS(b, "k", "3");
    CHECK_HOLDS(global, "k", "4");
    acervo_kv_free(registry);
    acervo_kv_free(a);
    acervo_kv_free(b);
    acervo_kv_free(global);
    close_database(db);
}

static void a_global_key_is_the_raw_key(void)
{
    acervo_kv *a, *global;
    db = open_database(":memory:");
    a = store_of(db, "monitor-cpu");
    global = store_of(db, NULL);
    put_int(a, "ultima", 1);
    CHECK_HOLDS(global, "monitor-cpu:ultima", "1");
    acervo_kv_free(a);
    acervo_kv_free(global);
    close_database(db);
}

static void two_idents_never_meet_in_one_key(void)
{
    acervo_kv *plain, *colon, *global;
    db = open_database(":memory:");
    plain = store_of(db, "a");
    colon = store_of(db, "a:b");
    global = store_of(db, NULL);
    put_int(plain, "b:c", 1);
    put_int(colon, "c", 2);
    CHECK_HOLDS(plain, "b:c", "1");
    CHECK_HOLDS(colon, "c", "2");
    CHECK_HOLDS(global, "a%3Ab:c", "2");
    acervo_kv_free(plain);
    acervo_kv_free(colon);
    acervo_kv_free(global);
    close_database(db);
}

static void an_ident_is_1_to_256_bytes(void)
{
    char longest[257];
    acervo_kv *kv = NULL;
    memset(longest, 'i', sizeof longest);
    db = open_database(":memory:");
    CHECK_OK(acervo_kv_store(db, longest, 256, &kv, ERR));
    acervo_kv_free(kv);
    CHECK_FAILS(acervo_kv_store(db, longest, 257, &kv, ERR), ACERVO_INVALID, "");
    CHECK(kv == NULL);
    CHECK_FAILS(acervo_kv_store(db, "", 0, &kv, ERR), ACERVO_INVALID, "");
    close_database(db);
}

/* -------------------------------------------------------------- get_into */

ON_EACH_NAMESPACE(get_into_copies_scalars_as_their_bytes)
{
    bool truth = false;
    int64_t number = 0, timestamp = 0;
    double real = 0;
    char text[8] = {0};
    size_t length = 0;
    int32_t type = -1;
    put_json(kv, "b", "true");
    put_json(kv, "i", "-5");
    put_json(kv, "f", "2.5");
    put_json(kv, "s", "\"text\"");
    put_json(kv, "n", "null");
    CHECK_OK(acervo_kv_get_into(kv, "b", 1, &truth, sizeof truth, &length, &type, NULL, ERR));
    CHECK(truth && length == sizeof truth && type == ACERVO_TYPE_BOOL);
    CHECK_OK(acervo_kv_get_into(kv, "i", 1, &number, sizeof number, &length, &type, &timestamp,
                                ERR));
    CHECK(number == -5 && length == sizeof number && type == ACERVO_TYPE_INT && timestamp > 0);
    CHECK_OK(acervo_kv_get_into(kv, "f", 1, &real, sizeof real, &length, &type, NULL, ERR));
    CHECK(real == 2.5 && length == sizeof real && type == ACERVO_TYPE_FLOAT);
    CHECK_OK(acervo_kv_get_into(kv, "s", 1, text, sizeof text, &length, &type, NULL, ERR));
    CHECK(length == 4 && type == ACERVO_TYPE_STRING && memcmp(text, "text", 4) == 0);
    CHECK_OK(acervo_kv_get_into(kv, "n", 1, text, sizeof text, &length, &type, NULL, ERR));
    CHECK(length == 0 && type == ACERVO_TYPE_NIL);
    CHECK_INT(acervo_kv_get_into(kv, "missing", ACERVO_NTS, text, sizeof text, &length, &type,
                                 NULL, NULL),
              ACERVO_NOT_FOUND);
}

ON_EACH_NAMESPACE(get_into_copies_arrays_and_maps_as_msgpack)
{
    uint8_t buffer[64];
    size_t length = 0;
    int32_t type = -1;
    acervo_value *back = NULL;
    put_json(kv, "m", "{\"a\":[1,2.5,\"x\"]}");
    CHECK_OK(acervo_kv_get_into(kv, "m", 1, buffer, sizeof buffer, &length, &type, NULL, ERR));
    CHECK_INT(type, ACERVO_TYPE_MAP);
    CHECK_OK(acervo_value_from_msgpack(buffer, length, &back, ERR));
    CHECK_JSON(back, "{\"a\":[1,2.5,\"x\"]}");
    acervo_value_free(back);
}

ON_EACH_NAMESPACE(get_into_a_buffer_that_is_too_small_tells_the_size_and_copies_nothing)
{
    char buffer[4] = "abc";
    size_t length = 0;
    put_json(kv, "s", "\"longer\"");
    CHECK_FAILS(acervo_kv_get_into(kv, "s", 1, buffer, sizeof buffer, &length, NULL, NULL, ERR),
                ACERVO_TOO_SMALL, "");
    CHECK_INT(length, 6);
    CHECK_TEXT(buffer, "abc");
    CHECK_FAILS(acervo_kv_get_into(kv, "s", 1, NULL, 4, &length, NULL, NULL, ERR), ACERVO_INVALID,
                "");
}

/* -------------------------------------------------------------------- ttl */

ON_EACH_NAMESPACE(a_key_with_a_ttl_reads_as_missing_once_it_is_over)
{
    acervo_value *one = acervo_value_int(1);
    uint64_t count = 0;
    acervo_value *keys = NULL;
    CHECK_OK(acervo_kv_put_ttl(kv, "short", ACERVO_NTS, one, 250, ERR));
    CHECK_OK(acervo_kv_put_ttl(kv, "long", ACERVO_NTS, one, 600000, ERR));
    CHECK_HOLDS(kv, "short", "1");
    sleep_ms(400);
    CHECK_MISSING(kv, "short");
    CHECK_HOLDS(kv, "long", "1");
    CHECK_OK(acervo_kv_count(kv, "", 0, &count, ERR));
    CHECK_INT(count, 1);
    CHECK_OK(acervo_kv_keys(kv, "", 0, &keys, ERR));
    CHECK_JSON(keys, "[\"long\"]");
    acervo_value_free(keys);
    acervo_value_free(one);
}

ON_EACH_NAMESPACE(a_put_clears_the_ttl_and_incr_and_cas_keep_it)
{
    acervo_value *one = acervo_value_int(1), *two = acervo_value_int(2);
    bool stored = false;
    CHECK_OK(acervo_kv_put_ttl(kv, "put", ACERVO_NTS, one, 400, ERR));
    CHECK_OK(acervo_kv_put_ttl(kv, "incr", ACERVO_NTS, one, 400, ERR));
    CHECK_OK(acervo_kv_put_ttl(kv, "cas", ACERVO_NTS, one, 400, ERR));
    CHECK_OK(acervo_kv_put(kv, "put", ACERVO_NTS, two, ERR));
    CHECK_OK(acervo_kv_incr(kv, "incr", ACERVO_NTS, 1, NULL, ERR));
    CHECK_OK(acervo_kv_cas(kv, "cas", ACERVO_NTS, one, two, &stored, ERR));
    CHECK(stored);
    sleep_ms(600);
    CHECK_HOLDS(kv, "put", "2");
    CHECK_MISSING(kv, "incr");
    CHECK_MISSING(kv, "cas");
    acervo_value_free(one);
    acervo_value_free(two);
}

ON_EACH_NAMESPACE(a_ttl_that_is_not_positive_is_invalid)
{
    acervo_value *one = acervo_value_int(1);
    acervo_batch *batch = acervo_batch_new(kv);
    CHECK_FAILS(acervo_kv_put_ttl(kv, "k", 1, one, 0, ERR), ACERVO_INVALID, "ttl");
    CHECK_FAILS(acervo_kv_put_ttl(kv, "k", 1, one, -1, ERR), ACERVO_INVALID, "ttl");
    CHECK_FAILS(acervo_batch_put_ttl(batch, "k", 1, one, 0, ERR), ACERVO_INVALID, "ttl");
    CHECK_OK(acervo_batch_commit(batch, ERR));
    CHECK_MISSING(kv, "k");
    /* Further away than a clock can tell is still in the future. */
    CHECK_OK(acervo_kv_put_ttl(kv, "k", 1, one, INT64_MAX, ERR));
    CHECK_HOLDS(kv, "k", "1");
    acervo_batch_free(batch);
    acervo_value_free(one);
}

/* ------------------------------------------------------------- incr, cas */

ON_EACH_NAMESPACE(incr_adds_to_an_int_and_counts_a_missing_key_as_0)
{
    int64_t now = 0;
    CHECK_OK(acervo_kv_incr(kv, "n", 1, 5, &now, ERR));
    CHECK_INT(now, 5);
    CHECK_OK(acervo_kv_incr(kv, "n", 1, -7, &now, ERR));
    CHECK_INT(now, -2);
    CHECK_HOLDS(kv, "n", "-2");
}

ON_EACH_NAMESPACE(incr_refuses_overflow_floats_and_what_is_no_number)
{
    int64_t now = 0;
    put_int(kv, "max", INT64_MAX);
    put_json(kv, "float", "1.5");
    put_json(kv, "text", "\"1\"");
    put_json(kv, "nil", "null");
    CHECK_FAILS(acervo_kv_incr(kv, "max", 3, 1, &now, ERR), ACERVO_INVALID, "");
    CHECK_INT(now, 0);
    CHECK_INT(int_of(kv, "max"), INT64_MAX);
    CHECK_FAILS(acervo_kv_incr(kv, "float", 5, 1, &now, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_incr(kv, "text", 4, 1, &now, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_incr(kv, "nil", 3, 1, &now, ERR), ACERVO_INVALID, "");
    CHECK_HOLDS(kv, "float", "1.5");
    CHECK_HOLDS(kv, "text", "\"1\"");
}

ON_EACH_NAMESPACE(incr_float_adds_to_both_and_stores_a_float)
{
    double now = 0;
    put_json(kv, "i", "1");
    CHECK_OK(acervo_kv_incr_float(kv, "i", 1, 2, &now, ERR));
    CHECK(now == 3.0);
    CHECK_HOLDS(kv, "i", "3.0");
    CHECK_OK(acervo_kv_incr_float(kv, "i", 1, 0.5, &now, ERR));
    CHECK_HOLDS(kv, "i", "3.5");
    CHECK_OK(acervo_kv_incr_float(kv, "new", 3, 0.25, &now, ERR));
    CHECK_HOLDS(kv, "new", "0.25");
}

ON_EACH_NAMESPACE(cas_stores_only_over_what_is_expected)
{
    acervo_value *one = acervo_value_int(1), *one_float = acervo_value_float(1.0);
    acervo_value *two = acervo_value_int(2), *nil = acervo_value_nil();
    bool stored = true;
    CHECK_OK(acervo_kv_cas(kv, "k", 1, one, two, &stored, ERR));
    CHECK(!stored);
    CHECK_OK(acervo_kv_cas(kv, "k", 1, nil, two, &stored, ERR));
    CHECK(!stored);
    CHECK_OK(acervo_kv_cas(kv, "k", 1, NULL, one, &stored, ERR));
    CHECK(stored);
    CHECK_OK(acervo_kv_cas(kv, "k", 1, NULL, two, &stored, ERR));
    CHECK(!stored);
    CHECK_HOLDS(kv, "k", "1");
    CHECK_OK(acervo_kv_cas(kv, "k", 1, one_float, nil, &stored, ERR));
    CHECK(stored);
    CHECK_OK(acervo_kv_cas(kv, "k", 1, nil, two, &stored, ERR));
    CHECK(stored);
    CHECK_HOLDS(kv, "k", "2");
    CHECK_FAILS(acervo_kv_cas(kv, "k", 1, two, NULL, &stored, ERR), ACERVO_INVALID, "");
    CHECK(!stored);
    acervo_value_free(one);
    acervo_value_free(one_float);
    acervo_value_free(two);
    acervo_value_free(nil);
}

ON_EACH_NAMESPACE(cas_compares_arrays_and_maps_by_content)
{
    acervo_value *before = json("{\"a\":1,\"b\":[1,2]}"), *same = json("{\"b\":[1,2.0],\"a\":1}");
    acervo_value *after = json("[]");
    bool stored = false;
    CHECK_OK(acervo_kv_put(kv, "k", 1, before, ERR));
    CHECK_OK(acervo_kv_cas(kv, "k", 1, same, after, &stored, ERR));
    CHECK(stored);
    CHECK_HOLDS(kv, "k", "[]");
    acervo_value_free(before);
    acervo_value_free(same);
    acervo_value_free(after);
}

/* ------------------------------------------------- keys, count, each, purge */

static void put_some(acervo_kv *kv)
{
    put_int(kv, "cpu.1", 1);
    put_int(kv, "cpu.0", 0);
    put_int(kv, "cpu.10", 10);
    put_int(kv, "disk", 9);
}

ON_EACH_NAMESPACE(keys_are_sorted_and_begin_with_the_prefix)
{
    acervo_value *keys = NULL;
    uint64_t count = 0;
    CHECK_OK(acervo_kv_keys(kv, "", 0, &keys, ERR));
    CHECK_JSON(keys, "[]");
    acervo_value_free(keys);
    put_some(kv);
    CHECK_OK(acervo_kv_keys(kv, NULL, 0, &keys, ERR));
    CHECK_JSON(keys, "[\"cpu.0\",\"cpu.1\",\"cpu.10\",\"disk\"]");
    acervo_value_free(keys);
    CHECK_OK(acervo_kv_keys(kv, "cpu.1", ACERVO_NTS, &keys, ERR));
    CHECK_JSON(keys, "[\"cpu.1\",\"cpu.10\"]");
    acervo_value_free(keys);
    CHECK_OK(acervo_kv_count(kv, "cpu.", ACERVO_NTS, &count, ERR));
    CHECK_INT(count, 3);
    CHECK_OK(acervo_kv_count(kv, "memory", ACERVO_NTS, &count, ERR));
    CHECK_INT(count, 0);
}

ON_EACH_NAMESPACE(delete_prefix_deletes_those_and_no_others)
{
    uint64_t count = 0;
    put_some(kv);
    CHECK_OK(acervo_kv_delete_prefix(kv, "cpu.", ACERVO_NTS, &count, ERR));
    CHECK_INT(count, 3);
    CHECK_MISSING(kv, "cpu.0");
    CHECK_HOLDS(kv, "disk", "9");
    CHECK_OK(acervo_kv_delete_prefix(kv, NULL, 0, &count, ERR));
    CHECK_INT(count, 1);
    CHECK_MISSING(kv, "disk");
}

ON_EACH_NAMESPACE(purge_deletes_what_was_not_written_for_that_long)
{
    uint64_t count = 0;
    put_some(kv);
    CHECK_OK(acervo_kv_purge(kv, 3600, &count, ERR));
    CHECK_INT(count, 0);
    /* Timestamps are whole seconds. */
    sleep_ms(2100);
    put_int(kv, "new", 1);
    CHECK_OK(acervo_kv_purge(kv, 1, &count, ERR));
    CHECK_INT(count, 4);
    CHECK_HOLDS(kv, "new", "1");
    CHECK_MISSING(kv, "disk");
    CHECK_FAILS(acervo_kv_purge(kv, NAN, &count, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_purge(kv, -1, &count, ERR), ACERVO_INVALID, "");
}

typedef struct walk {
    acervo_kv *kv;
    char seen[64];
    int64_t sum;
    int visits, stop_after, destroyed;
    int32_t answer;
    acervo_value *kept;
} walk;

static int32_t visit(void *userdata, const char *key, size_t key_len, const acervo_value *value,
                     int64_t timestamp)
{
    walk *self = userdata;
    int64_t number = 0;
    CHECK(timestamp > 0);
    CHECK_OK(acervo_value_as_int(value, &number, ERR));
    strncat(self->seen, key, key_len);
    strcat(self->seen, " ");
    self->sum += number;
    self->visits++;
    if (self->kept == NULL)
        self->kept = acervo_value_retain(value);
    return self->visits == self->stop_after ? self->answer : 0;
}

static void count_destroy(void *userdata) { ((walk *)userdata)->destroyed++; }

ON_EACH_NAMESPACE(each_visits_every_key_once_and_in_order)
{
    walk self = {0};
    put_some(kv);
    CHECK_OK(acervo_kv_each(kv, "cpu.", ACERVO_NTS, visit, &self, count_destroy, ERR));
    CHECK_TEXT(self.seen, "cpu.0 cpu.1 cpu.10 ");
    CHECK_INT(self.sum, 11);
    CHECK_INT(self.destroyed, 1);
    CHECK_JSON(self.kept, "0");
    acervo_value_free(self.kept);
}

ON_EACH_NAMESPACE(each_stops_at_a_code_and_gives_it_back_unchanged)
{
    static const int32_t answers[] = {1, 42, INT32_MAX, ACERVO_CANCELED, -4711};
    put_some(kv);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        walk self = {0};
        self.stop_after = 2;
        self.answer = answers[i];
        CHECK_INT(acervo_kv_each(kv, "", 0, visit, &self, count_destroy, NULL), answers[i]);
        CHECK_INT(self.visits, 2);
        CHECK_INT(self.destroyed, 1);
        acervo_value_free(self.kept);
    }
}

static int32_t replace_all(void *userdata, const char *key, size_t key_len,
                           const acervo_value *value, int64_t timestamp)
{
    walk *self = userdata;
    (void)timestamp;
    CHECK_OK(acervo_kv_delete(self->kv, key, key_len, ERR));
    CHECK_OK(acervo_kv_put(self->kv, "zz", 2, value, ERR));
    self->visits++;
    return 0;
}

ON_EACH_NAMESPACE(each_holds_no_lock_while_it_calls)
{
    walk self = {0};
    uint64_t count = 0;
    self.kv = kv;
    put_some(kv);
    CHECK_OK(acervo_kv_each(kv, "", 0, replace_all, &self, NULL, ERR));
    CHECK(self.visits >= 4);
    CHECK_OK(acervo_kv_count(kv, "cpu", 3, &count, ERR));
    CHECK_INT(count, 0);
}

ON_EACH_NAMESPACE(each_without_a_function_is_invalid_and_still_destroys)
{
    walk self = {0};
    CHECK_FAILS(acervo_kv_each(kv, "", 0, NULL, &self, count_destroy, ERR), ACERVO_INVALID, "");
    CHECK_INT(self.destroyed, 1);
    CHECK_FAILS(acervo_kv_each(NULL, "", 0, visit, &self, count_destroy, ERR), ACERVO_INVALID, "");
    CHECK_INT(self.destroyed, 2);
}

/* ---------------------------------------------------------------- batches */

ON_EACH_NAMESPACE(a_batch_is_made_as_a_whole)
{
    acervo_value *one = acervo_value_int(1);
    acervo_batch *batch = acervo_batch_new(kv);
    CHECK(batch != NULL);
    put_int(kv, "old", 1);
    CHECK_OK(acervo_batch_put(batch, "a", 1, one, ERR));
    CHECK_OK(acervo_batch_put_ttl(batch, "b", 1, one, 400, ERR));
    CHECK_OK(acervo_batch_delete(batch, "old", 3, ERR));
    CHECK_MISSING(kv, "a");
    CHECK_HOLDS(kv, "old", "1");
    CHECK_OK(acervo_batch_commit(batch, ERR));
    CHECK_HOLDS(kv, "a", "1");
    CHECK_HOLDS(kv, "b", "1");
    CHECK_MISSING(kv, "old");
    sleep_ms(600);
    CHECK_MISSING(kv, "b");
    /* It is empty now. */
    CHECK_OK(acervo_kv_delete(kv, "a", 1, ERR));
    CHECK_OK(acervo_batch_commit(batch, ERR));
    CHECK_MISSING(kv, "a");
    acervo_batch_free(batch);
    acervo_value_free(one);
}

ON_EACH_NAMESPACE(within_a_batch_the_last_change_of_a_key_wins)
{
    acervo_value *one = acervo_value_int(1), *two = acervo_value_int(2);
    acervo_batch *batch = acervo_batch_new(kv);
    CHECK_OK(acervo_batch_put(batch, "k", 1, one, ERR));
    CHECK_OK(acervo_batch_delete(batch, "k", 1, ERR));
    CHECK_OK(acervo_batch_put(batch, "k", 1, two, ERR));
    CHECK_OK(acervo_batch_put(batch, "gone", 4, one, ERR));
    CHECK_OK(acervo_batch_delete(batch, "gone", 4, ERR));
    CHECK_OK(acervo_batch_commit(batch, ERR));
    CHECK_HOLDS(kv, "k", "2");
    CHECK_MISSING(kv, "gone");
    acervo_batch_free(batch);
    acervo_value_free(one);
    acervo_value_free(two);
}

ON_EACH_NAMESPACE(a_bad_key_is_refused_by_a_batch_and_spoils_nothing)
{
    acervo_value *one = acervo_value_int(1);
    acervo_batch *batch = acervo_batch_new(kv);
    CHECK_OK(acervo_batch_put(batch, "a", 1, one, ERR));
    CHECK_FAILS(acervo_batch_put(batch, "", 0, one, ERR), ACERVO_INVALID, "key");
    CHECK_FAILS(acervo_batch_put(batch, "b", 1, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_batch_delete(batch, "", 0, ERR), ACERVO_INVALID, "key");
    CHECK_OK(acervo_batch_commit(batch, ERR));
    CHECK_HOLDS(kv, "a", "1");
    acervo_batch_free(batch);
    acervo_value_free(one);
}

ON_EACH_NAMESPACE(a_batch_that_is_freed_changes_nothing)
{
    acervo_value *one = acervo_value_int(1);
    acervo_batch *batch = acervo_batch_new(kv);
    CHECK_OK(acervo_batch_put(batch, "a", 1, one, ERR));
    acervo_batch_free(batch);
    CHECK_MISSING(kv, "a");
    acervo_value_free(one);
}

/* ------------------------------------------------------------- persistence */

static void everything_is_there_again_after_a_restart(void)
{
    const char *path = scratch_path("restart.db");
    acervo_kv *registry, *store;
    acervo_value *value = NULL;
    int64_t before = 0, after = 0;
    db = open_database(path);
    registry = registry_of(db);
    store = store_of(db, "monitor");
    put_json(registry, "config", "{\"servers\":[\"a\",\"b\"],\"limit\":2.5}");
    put_json(store, "count", "3");
    put_json(store, "nil", "null");
    put_json(store, "gone", "1");
    CHECK_OK(acervo_kv_delete(store, "gone", ACERVO_NTS, ERR));
    CHECK_OK(acervo_kv_get(registry, "config", ACERVO_NTS, NULL, &before, ERR));
    acervo_kv_free(registry);
    acervo_kv_free(store);
    close_database(db);
    sleep_ms(1100);

    db = open_database(path);
    registry = registry_of(db);
    store = store_of(db, "monitor");
    CHECK_OK(acervo_kv_get(registry, "config", ACERVO_NTS, &value, &after, ERR));
    CHECK_JSON(value, "{\"limit\":2.5,\"servers\":[\"a\",\"b\"]}");
    CHECK_INT(after, before);
    CHECK_HOLDS(store, "count", "3");
    CHECK_HOLDS(store, "nil", "null");
    CHECK_MISSING(store, "gone");
    acervo_value_free(value);
    acervo_kv_free(registry);
    acervo_kv_free(store);
    close_database(db);
}

static void a_ttl_goes_on_across_a_restart(void)
{
    const char *path = scratch_path("ttl.db");
    acervo_value *one = acervo_value_int(1);
    acervo_kv *store;
    db = open_database(path);
    store = store_of(db, "a");
    CHECK_OK(acervo_kv_put_ttl(store, "short", ACERVO_NTS, one, 300, ERR));
    CHECK_OK(acervo_kv_put_ttl(store, "long", ACERVO_NTS, one, 600000, ERR));
    acervo_kv_free(store);
    close_database(db);
    sleep_ms(400);
    db = open_database(path);
    store = store_of(db, "a");
    CHECK_MISSING(store, "short");
    CHECK_HOLDS(store, "long", "1");
    acervo_value_free(one);
    acervo_kv_free(store);
    close_database(db);
}

static void flush_returns_when_the_registry_is_on_disk(void)
{
    const char *path = scratch_path("flush.db");
    acervo_kv *kv;
    acervo_value *stats = NULL, *dirty = NULL;
    db = open_with(path, "{\"flush_interval_ms\":600000}");
    kv = registry_of(db);
    put_int(kv, "k", 1);
    CHECK_OK(acervo_kv_flush(kv, ERR));
    CHECK_OK(acervo_stats(db, &stats, ERR));
    CHECK_OK(acervo_value_get(stats, "dirty_keys", ACERVO_NTS, &dirty, ERR));
    CHECK_JSON(dirty, "0");
    acervo_value_free(stats);
    acervo_value_free(dirty);
    acervo_kv_free(kv);
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_put_is_read_back_with_the_time_of_the_write),
        TEST(the_last_put_wins),
        TEST(a_stored_nil_is_not_a_missing_key),
        TEST(a_put_without_a_value_is_invalid),
        TEST(a_deleted_key_is_missing_and_deleting_it_again_is_no_error),
        TEST(keys_are_1_to_1024_bytes_of_any_content),
        TEST(namespaces_do_not_meet),
        TEST(a_global_key_is_the_raw_key),
        TEST(two_idents_never_meet_in_one_key),
        TEST(an_ident_is_1_to_256_bytes),
        TEST(get_into_copies_scalars_as_their_bytes),
        TEST(get_into_copies_arrays_and_maps_as_msgpack),
        TEST(get_into_a_buffer_that_is_too_small_tells_the_size_and_copies_nothing),
        TEST(a_key_with_a_ttl_reads_as_missing_once_it_is_over),
        TEST(a_put_clears_the_ttl_and_incr_and_cas_keep_it),
        TEST(a_ttl_that_is_not_positive_is_invalid),
        TEST(incr_adds_to_an_int_and_counts_a_missing_key_as_0),
        TEST(incr_refuses_overflow_floats_and_what_is_no_number),
        TEST(incr_float_adds_to_both_and_stores_a_float),
        TEST(cas_stores_only_over_what_is_expected),
        TEST(cas_compares_arrays_and_maps_by_content),
        TEST(keys_are_sorted_and_begin_with_the_prefix),
        TEST(delete_prefix_deletes_those_and_no_others),
        TEST(purge_deletes_what_was_not_written_for_that_long),
        TEST(each_visits_every_key_once_and_in_order),
        TEST(each_stops_at_a_code_and_gives_it_back_unchanged),
        TEST(each_holds_no_lock_while_it_calls),
        TEST(each_without_a_function_is_invalid_and_still_destroys),
        TEST(a_batch_is_made_as_a_whole),
        TEST(within_a_batch_the_last_change_of_a_key_wins),
        TEST(a_bad_key_is_refused_by_a_batch_and_spoils_nothing),
        TEST(a_batch_that_is_freed_changes_nothing),
        TEST(everything_is_there_again_after_a_restart),
        TEST(a_ttl_goes_on_across_a_restart),
        TEST(flush_returns_when_the_registry_is_on_disk),
    };
    return RUN_TESTS(cases, argc, argv);
}
