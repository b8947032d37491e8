/* What holds for every call: NULL, lengths, out parameters, errors, codes. */
#include "check.h"

#include <stdio.h>
#include <string.h>

static acervo *db;
static acervo_kv *kv;
static acervo_value *one;

static void open_fixture(void)
{
    db = open_database(":memory:");
    kv = registry_of(db);
    one = acervo_value_int(1);
}

static void close_fixture(void)
{
    acervo_value_free(one);
    acervo_kv_free(kv);
    close_database(db);
}

/* A pointer that is not NULL and must never be followed. */
static void *garbage(void)
{
    static char byte_of_nobody;
    return &byte_of_nobody;
}

/* --------------------------------------------------------------- versions */

static void the_macros_and_the_functions_tell_one_version(void)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", ACERVO_VERSION_MAJOR, ACERVO_VERSION_MINOR,
             ACERVO_VERSION_PATCH);
    CHECK_TEXT(ACERVO_VERSION_STRING, text);
    CHECK_TEXT(acervo_version_string(), text);
    CHECK_INT(acervo_version_number(), ACERVO_VERSION_MAJOR * 1000000 +
                                           ACERVO_VERSION_MINOR * 1000 + ACERVO_VERSION_PATCH);
    (void)acervo_abi_version();
}

/* ------------------------------------------------------------------ codes */

static void every_code_is_negative_distinct_and_has_a_name(void)
{
    static const int32_t codes[] = {
        ACERVO_INVALID,     ACERVO_NOT_FOUND,   ACERVO_ALREADY_EXISTS, ACERVO_PERMISSION_DENIED,
        ACERVO_UNAVAILABLE, ACERVO_INTERNAL,    ACERVO_CANCELED,       ACERVO_CONFLICT,
        ACERVO_TIMEOUT,     ACERVO_RATE_LIMITED, ACERVO_UNKNOWN,       ACERVO_PANIC,
        ACERVO_FORKED,      ACERVO_TOO_SMALL};
    const size_t count = sizeof codes / sizeof codes[0];
    CHECK_INT(ACERVO_OK, 0);
    CHECK(acervo_code_name(ACERVO_OK) != NULL);
    for (size_t i = 0; i < count; i++) {
        CHECK(codes[i] < 0);
        CHECK(acervo_code_name(codes[i]) != NULL);
        for (size_t j = 0; j < i; j++) {
            CHECK(codes[i] != codes[j]);
            CHECK(strcmp(acervo_code_name(codes[i]), acervo_code_name(codes[j])) != 0);
        }
    }
}

static void an_unknown_code_has_a_text_too(void)
{
    CHECK(acervo_code_name(12345) != NULL);
    CHECK(acervo_code_name(INT32_MIN) != NULL);
}

/* ----------------------------------------------------------------- errors */

static void an_error_has_a_kind_a_message_and_its_lengths(void)
{
    acervo_error *err = NULL;
    acervo_value *out = NULL;
    size_t length = 0;
    CHECK_INT(acervo_value_from_json("[1,", ACERVO_NTS, &out, &err), ACERVO_INVALID);
    CHECK(err != NULL);
    CHECK_INT(acervo_error_code(err), ACERVO_INVALID);
    CHECK_TEXT(acervo_error_kind(err, &length), "Invalid");
    CHECK_INT(length, strlen("Invalid"));
    CHECK(acervo_error_message(err, &length)[0] != '\0');
    CHECK_INT(length, strlen(acervo_error_message(err, NULL)));
    CHECK(!acervo_error_retryable(err));
    acervo_error_free(err);
}

static void asking_nothing_about_an_error_gives_nothing(void)
{
    size_t length = 7;
    (void)acervo_error_code(NULL);
    (void)acervo_error_kind(NULL, &length);
    CHECK_INT(length, 0);
    length = 7;
    (void)acervo_error_message(NULL, &length);
    CHECK_INT(length, 0);
    CHECK(!acervo_error_retryable(NULL));
    CHECK(acervo_error_details(NULL) == NULL);
}

static void the_error_is_emptied_on_entry(void)
{
    acervo_error *err = (acervo_error *)garbage();
    open_fixture();
    CHECK_INT(acervo_kv_put(kv, "a", 1, one, &err), ACERVO_OK);
    CHECK(err == NULL);
    err = (acervo_error *)garbage();
    CHECK_INT(acervo_kv_get(kv, "missing", ACERVO_NTS, NULL, NULL, &err), ACERVO_NOT_FOUND);
    CHECK(err == NULL);
    close_fixture();
}

static void every_failure_can_do_without_an_error(void)
{
    open_fixture();
    CHECK_INT(acervo_kv_put(kv, "", 0, one, NULL), ACERVO_INVALID);
    CHECK_INT(acervo_kv_put(NULL, "a", 1, one, NULL), ACERVO_INVALID);
    CHECK_INT(acervo_open(NULL, 0, NULL, NULL, NULL), ACERVO_INVALID);
    close_fixture();
}

/* ------------------------------------------------------------------- NULL */

static void freeing_nothing_is_allowed(void)
{
    acervo_error_free(NULL);
    acervo_options_free(NULL);
    acervo_free(NULL);
    acervo_value_free(NULL);
    acervo_kv_free(NULL);
    acervo_batch_free(NULL);
}

static void retaining_nothing_gives_nothing(void)
{
    CHECK(acervo_retain(NULL) == NULL);
    CHECK(acervo_value_retain(NULL) == NULL);
    CHECK(acervo_batch_new(NULL) == NULL);
}

static void a_database_call_without_a_database_is_invalid(void)
{
    acervo_value *value = (acervo_value *)garbage();
    acervo_kv *made = (acervo_kv *)garbage();
    CHECK_FAILS(acervo_flush(NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_close(NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_stats(NULL, &value, ERR), ACERVO_INVALID, "");
    CHECK(value == NULL);
    CHECK_FAILS(acervo_set_log(NULL, NULL, NULL, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_registry(NULL, &made, ERR), ACERVO_INVALID, "");
    CHECK(made == NULL);
    made = (acervo_kv *)garbage();
    CHECK_FAILS(acervo_kv_store(NULL, "a", 1, &made, ERR), ACERVO_INVALID, "");
    CHECK(made == NULL);
}

static int32_t never_called(void *userdata, const char *key, size_t key_len,
                            const acervo_value *value, int64_t timestamp)
{
    (void)userdata;
    (void)key;
    (void)key_len;
    (void)value;
    (void)timestamp;
    CHECK(!"called");
    return 0;
}

static void a_kv_call_without_a_kv_is_invalid_and_empties_what_it_would_give(void)
{
    acervo_value *value = (acervo_value *)garbage();
    int64_t number = 7;
    uint64_t count = 7;
    double sum = 7;
    bool stored = true;
    size_t length = 7;
    int32_t type = 7;
    char buffer[8] = "intact";
    open_fixture();
    CHECK_FAILS(acervo_kv_put(NULL, "k", 1, one, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_put_ttl(NULL, "k", 1, one, 10, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_get(NULL, "k", 1, &value, &number, ERR), ACERVO_INVALID, "");
    CHECK(value == NULL && number == 0);
    number = 7;
    CHECK_FAILS(acervo_kv_get_into(NULL, "k", 1, buffer, sizeof buffer, &length, &type, &number,
                                   ERR),
                ACERVO_INVALID, "");
    CHECK(length == 0 && type == 0 && number == 0);
    CHECK_TEXT(buffer, "intact");
    CHECK_FAILS(acervo_kv_delete(NULL, "k", 1, ERR), ACERVO_INVALID, "");
    number = 7;
    CHECK_FAILS(acervo_kv_incr(NULL, "k", 1, 1, &number, ERR), ACERVO_INVALID, "");
    CHECK(number == 0);
    CHECK_FAILS(acervo_kv_incr_float(NULL, "k", 1, 1, &sum, ERR), ACERVO_INVALID, "");
    CHECK(sum == 0);
    CHECK_FAILS(acervo_kv_cas(NULL, "k", 1, NULL, one, &stored, ERR), ACERVO_INVALID, "");
    CHECK(!stored);
    value = (acervo_value *)garbage();
    CHECK_FAILS(acervo_kv_keys(NULL, "", 0, &value, ERR), ACERVO_INVALID, "");
    CHECK(value == NULL);
    CHECK_FAILS(acervo_kv_count(NULL, "", 0, &count, ERR), ACERVO_INVALID, "");
    CHECK(count == 0);
    count = 7;
    CHECK_FAILS(acervo_kv_delete_prefix(NULL, "", 0, &count, ERR), ACERVO_INVALID, "");
    CHECK(count == 0);
    count = 7;
    CHECK_FAILS(acervo_kv_purge(NULL, 1, &count, ERR), ACERVO_INVALID, "");
    CHECK(count == 0);
    CHECK_FAILS(acervo_kv_each(NULL, "", 0, never_called, NULL, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_flush(NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_batch_put(NULL, "k", 1, one, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_batch_put_ttl(NULL, "k", 1, one, 10, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_batch_delete(NULL, "k", 1, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_batch_commit(NULL, ERR), ACERVO_INVALID, "");
    close_fixture();
}

static void a_value_call_without_a_value_is_invalid_and_empties_what_it_would_give(void)
{
    bool truth = true;
    int64_t number = 7;
    double real = 7;
    const char *text = (const char *)garbage();
    const uint8_t *bytes = (const uint8_t *)garbage();
    size_t length = 7;
    acervo_value *value = (acervo_value *)garbage();
    acervo_value *other = (acervo_value *)garbage();
    CHECK(acervo_value_type(NULL) < 0);
    CHECK_INT(acervo_value_len(NULL), 0);
    CHECK_FAILS(acervo_value_as_bool(NULL, &truth, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_as_int(NULL, &number, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_as_float(NULL, &real, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_as_string(NULL, &text, &length, ERR), ACERVO_INVALID, "");
    CHECK(!truth && number == 0 && real == 0 && text == NULL && length == 0);
    CHECK_FAILS(acervo_value_at(NULL, 0, &value, ERR), ACERVO_INVALID, "");
    CHECK(value == NULL);
    value = (acervo_value *)garbage();
    CHECK_FAILS(acervo_value_get(NULL, "k", 1, &value, ERR), ACERVO_INVALID, "");
    CHECK(value == NULL);
    value = (acervo_value *)garbage();
    CHECK_FAILS(acervo_value_entry_at(NULL, 0, &value, &other, ERR), ACERVO_INVALID, "");
    CHECK(value == NULL && other == NULL);
    value = (acervo_value *)garbage();
    CHECK_FAILS(acervo_value_to_json(NULL, &value, ERR), ACERVO_INVALID, "");
    CHECK(value == NULL);
    length = 7;
    CHECK_FAILS(acervo_value_msgpack(NULL, &bytes, &length, ERR), ACERVO_INVALID, "");
    CHECK(bytes == NULL && length == 0);
}

static void an_out_that_must_be_there_is_invalid_as_null(void)
{
    size_t length = 7;
    acervo_value *list;
    open_fixture();
    list = json("[1]");
    CHECK_FAILS(acervo_open(":memory:", ACERVO_NTS, NULL, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_stats(db, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_registry(db, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_store(db, "a", 1, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_keys(kv, "", 0, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_count(kv, "", 0, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_as_int(one, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_as_string(one, NULL, &length, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_at(list, 0, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_to_json(list, NULL, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_from_json("1", 1, NULL, ERR), ACERVO_INVALID, "");
    acervo_value_free(list);
    close_fixture();
}

static void an_out_may_be_null_where_the_call_has_an_effect_without_it(void)
{
    open_fixture();
    CHECK_OK(acervo_kv_incr(kv, "n", 1, 2, NULL, ERR));
    CHECK_OK(acervo_kv_cas(kv, "c", 1, NULL, one, NULL, ERR));
    CHECK_OK(acervo_kv_get(kv, "n", 1, NULL, NULL, ERR));
    CHECK_INT(acervo_kv_get_into(kv, "n", 1, NULL, 0, NULL, NULL, NULL, NULL), ACERVO_TOO_SMALL);
    CHECK_HOLDS(kv, "n", "2");
    CHECK_HOLDS(kv, "c", "1");
    CHECK_OK(acervo_kv_delete_prefix(kv, "", 0, NULL, ERR));
    CHECK_MISSING(kv, "n");
    close_fixture();
}

/* ------------------------------------------------------- texts and lengths */

static void a_text_may_end_at_its_nul(void)
{
    open_fixture();
    CHECK_OK(acervo_kv_put(kv, "name", ACERVO_NTS, one, ERR));
    CHECK_OK(acervo_kv_get(kv, "name and more", 4, NULL, NULL, ERR));
    close_fixture();
}

static void a_null_text_with_a_length_is_invalid(void)
{
    acervo_value *out = (acervo_value *)garbage();
    open_fixture();
    CHECK_FAILS(acervo_kv_put(kv, NULL, 3, one, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_put(kv, NULL, ACERVO_NTS, one, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_count(kv, NULL, 1, &(uint64_t){0}, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_from_json(NULL, 3, &out, ERR), ACERVO_INVALID, "");
    CHECK(out == NULL);
    CHECK(acervo_value_string(NULL, 1) == NULL);
    CHECK(acervo_value_string(NULL, ACERVO_NTS) == NULL);
    close_fixture();
}

static void a_null_text_without_a_length_is_empty(void)
{
    uint64_t count = 0;
    acervo_value *empty = acervo_value_string(NULL, 0);
    CHECK(empty != NULL);
    CHECK_INT(acervo_value_len(empty), 0);
    acervo_value_free(empty);
    open_fixture();
    CHECK_OK(acervo_kv_put(kv, "a", 1, one, ERR));
    CHECK_OK(acervo_kv_count(kv, NULL, 0, &count, ERR));
    CHECK_INT(count, 1);
    close_fixture();
}

static void a_length_above_ptrdiff_max_is_invalid(void)
{
    const size_t too_long = (size_t)PTRDIFF_MAX + 1;
    acervo_value *out = (acervo_value *)garbage();
    open_fixture();
    CHECK_FAILS(acervo_kv_put(kv, "k", too_long, one, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_kv_get(kv, "k", SIZE_MAX - 1, &out, NULL, ERR), ACERVO_INVALID, "");
    CHECK(out == NULL);
    CHECK(acervo_value_string("k", too_long) == NULL);
    /* Bytes know no NTS: SIZE_MAX is just too long. */
    CHECK_FAILS(acervo_value_from_msgpack((const uint8_t *)"\x01", SIZE_MAX, &out, ERR),
                ACERVO_INVALID, "");
    close_fixture();
}

static void inputs_are_copied(void)
{
    char key[] = "key", text[] = "before";
    acervo_value *value = acervo_value_string(text, ACERVO_NTS);
    open_fixture();
    CHECK_OK(acervo_kv_put(kv, key, ACERVO_NTS, value, ERR));
    memset(key, 'x', 3);
    memset(text, 'x', 6);
    acervo_value_free(value);
    CHECK_HOLDS(kv, "key", "\"before\"");
    close_fixture();
}

static void what_fails_leaves_its_outs_empty(void)
{
    acervo_value *value = (acervo_value *)garbage();
    int64_t timestamp = 7, number = 7;
    bool stored = true;
    open_fixture();
    put_json(kv, "text", "\"x\"");
    CHECK_INT(acervo_kv_get(kv, "missing", ACERVO_NTS, &value, &timestamp, NULL),
              ACERVO_NOT_FOUND);
    CHECK(value == NULL && timestamp == 0);
    CHECK_FAILS(acervo_kv_incr(kv, "text", ACERVO_NTS, 1, &number, ERR), ACERVO_INVALID, "");
    CHECK(number == 0);
    CHECK_FAILS(acervo_kv_cas(kv, "", 0, NULL, one, &stored, ERR), ACERVO_INVALID, "");
    CHECK(!stored);
    close_fixture();
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(the_macros_and_the_functions_tell_one_version),
        TEST(every_code_is_negative_distinct_and_has_a_name),
        TEST(an_unknown_code_has_a_text_too),
        TEST(an_error_has_a_kind_a_message_and_its_lengths),
        TEST(asking_nothing_about_an_error_gives_nothing),
        TEST(the_error_is_emptied_on_entry),
        TEST(every_failure_can_do_without_an_error),
        TEST(freeing_nothing_is_allowed),
        TEST(retaining_nothing_gives_nothing),
        TEST(a_database_call_without_a_database_is_invalid),
        TEST(a_kv_call_without_a_kv_is_invalid_and_empties_what_it_would_give),
        TEST(a_value_call_without_a_value_is_invalid_and_empties_what_it_would_give),
        TEST(an_out_that_must_be_there_is_invalid_as_null),
        TEST(an_out_may_be_null_where_the_call_has_an_effect_without_it),
        TEST(a_text_may_end_at_its_nul),
        TEST(a_null_text_with_a_length_is_invalid),
        TEST(a_null_text_without_a_length_is_empty),
        TEST(a_length_above_ptrdiff_max_is_invalid),
        TEST(inputs_are_copied),
        TEST(what_fails_leaves_its_outs_empty),
    };
    return RUN_TESTS(cases, argc, argv);
}
