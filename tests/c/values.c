/* Values: what goes in comes out, with its type, through every form. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static acervo *db;
static acervo_kv *kv;

static void open_fixture(void)
{
    db = open_database(":memory:");
    kv = registry_of(db);
}

static void close_fixture(void)
{
    acervo_kv_free(kv);
    close_database(db);
}

/* What the value is after it went through a key and through MessagePack. */
static acervo_value *through_a_key(const acervo_value *value)
{
    acervo_value *back = NULL;
    CHECK_OK(acervo_kv_put(kv, "k", 1, value, ERR));
    CHECK_OK(acervo_kv_get(kv, "k", 1, &back, NULL, ERR));
    return back;
}

static acervo_value *through_msgpack(const acervo_value *value)
{
    const uint8_t *bytes = NULL;
    size_t length = 0;
    acervo_value *back = NULL;
    CHECK_OK(acervo_value_msgpack(value, &bytes, &length, ERR));
    CHECK_OK(acervo_value_from_msgpack(bytes, length, &back, ERR));
    return back;
}

static acervo_value *string_value(const char *bytes, size_t length)
{
    acervo_value *value = acervo_value_string(bytes, length);
    CHECK(value != NULL);
    return value;
}

static acervo_value *array_of(const acervo_value *const *items, size_t count)
{
    acervo_value *array = NULL;
    CHECK_OK(acervo_value_array(items, count, &array, ERR));
    return array;
}

static acervo_value *map_of_one(acervo_value *key, acervo_value *value)
{
    acervo_value *map = NULL;
    CHECK_OK(acervo_value_map((const acervo_value *const *)&key,
                              (const acervo_value *const *)&value, 1, &map, ERR));
    return map;
}

/* `depth` arrays around nothing, made from the inside out. */
static int32_t nested(unsigned depth, acervo_value **out, acervo_error **err)
{
    acervo_value *inner = NULL;
    int32_t code = acervo_value_array(NULL, 0, &inner, err);
    for (unsigned level = 1; code == ACERVO_OK && level < depth; level++) {
        acervo_value *outer = NULL;
        code = acervo_value_array((const acervo_value *const *)&inner, 1, &outer, err);
        acervo_value_free(inner);
        inner = outer;
    }
    *out = inner;
    return code;
}

/* ------------------------------------------------------------- round trips */

static void every_kind_of_value_comes_back_as_it_went_in(void)
{
    enum { COUNT = 24 };
    static const char bytes[] = "nul \0 and \xff\xfe bytes";
    acervo_value *values[COUNT];
    size_t n = 0;
    open_fixture();
    values[n++] = acervo_value_nil();
    values[n++] = acervo_value_bool(false);
    values[n++] = acervo_value_bool(true);
    values[n++] = acervo_value_int(0);
    values[n++] = acervo_value_int(-1);
    values[n++] = acervo_value_int(127);
    values[n++] = acervo_value_int(-33);
    values[n++] = acervo_value_int(65536);
    values[n++] = acervo_value_int((INT64_C(1) << 53) + 1);
    values[n++] = acervo_value_int(INT64_MAX);
    values[n++] = acervo_value_int(INT64_MIN);
    values[n++] = acervo_value_float(3.0);
    values[n++] = acervo_value_float(-0.0);
    values[n++] = acervo_value_float(DBL_MAX);
    values[n++] = acervo_value_float(DBL_TRUE_MIN);
    values[n++] = acervo_value_float(INFINITY);
    values[n++] = acervo_value_float(-INFINITY);
    values[n++] = acervo_value_float(NAN);
    values[n++] = string_value("", 0);
    values[n++] = string_value("ol\xc3\xa1", 4);
    values[n++] = string_value(bytes, sizeof bytes - 1);
    values[n++] = json("[]");
    values[n++] = json("{}");
    values[n++] = json("{\"a\":[1,2.5,null,{\"b\":[[]]}],\"c\":\"\",\"d\":{}}");
    CHECK_INT(n, COUNT);
    for (size_t i = 0; i < n; i++) {
        acervo_value *stored = through_a_key(values[i]);
        acervo_value *packed = through_msgpack(values[i]);
        CHECK_INT(acervo_value_type(stored), acervo_value_type(values[i]));
        CHECK_INT(acervo_value_type(packed), acervo_value_type(values[i]));
        CHECK(acervo_value_equal(stored, values[i]));
        CHECK(acervo_value_equal(packed, values[i]));
        acervo_value_free(stored);
        acervo_value_free(packed);
        acervo_value_free(values[i]);
    }
    close_fixture();
}

static void a_float_keeps_its_sign_of_zero(void)
{
    acervo_value *value = acervo_value_float(-0.0), *back;
    double real = 1;
    open_fixture();
    back = through_a_key(value);
    CHECK_OK(acervo_value_as_float(back, &real, ERR));
    CHECK(real == 0 && signbit(real));
    acervo_value_free(value);
    acervo_value_free(back);
    close_fixture();
}

static void a_string_keeps_every_byte(void)
{
    char all[256];
    const char *out = NULL;
    size_t length = 0;
    acervo_value *value, *back;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    value = string_value(all, sizeof all);
    open_fixture();
    back = through_a_key(value);
    CHECK_OK(acervo_value_as_string(back, &out, &length, ERR));
    CHECK_INT(length, sizeof all);
    CHECK(memcmp(out, all, sizeof all) == 0);
    CHECK_INT(acervo_value_len(back), sizeof all);
    acervo_value_free(value);
    acervo_value_free(back);
    close_fixture();
}

static void map_keys_of_every_allowed_type_come_back(void)
{
    acervo_value *keys[4], *values[4], *map = NULL, *back;
    open_fixture();
    keys[0] = acervo_value_bool(true);
    keys[1] = acervo_value_int(7);
    keys[2] = acervo_value_float(1.5);
    keys[3] = string_value("key", 3);
    for (int i = 0; i < 4; i++)
        values[i] = acervo_value_int(i);
    CHECK_OK(acervo_value_map((const acervo_value *const *)keys,
                              (const acervo_value *const *)values, 4, &map, ERR));
    CHECK_INT(acervo_value_len(map), 4);
    back = through_a_key(map);
    CHECK(acervo_value_equal(map, back));
    for (size_t i = 0; i < 4; i++) {
        acervo_value *key = NULL, *value = NULL;
        int64_t at = -1;
        CHECK_OK(acervo_value_entry_at(back, i, &key, &value, ERR));
        CHECK_OK(acervo_value_as_int(value, &at, ERR));
        CHECK(at >= 0 && at < 4 && acervo_value_equal(key, keys[at]));
        acervo_value_free(key);
        acervo_value_free(value);
    }
    for (int i = 0; i < 4; i++) {
        acervo_value_free(keys[i]);
        acervo_value_free(values[i]);
    }
    acervo_value_free(map);
    acervo_value_free(back);
    close_fixture();
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static acervo_value *random_value(int depth)
{
    acervo_value *items[5], *array;
    double real;
    uint64_t bits = random_bits();
    size_t count;
    switch (random_bits() % (depth > 0 ? 7 : 5)) {
    case 0: return acervo_value_nil();
    case 1: return acervo_value_bool(bits & 1);
    case 2: return acervo_value_int((int64_t)(bits >> (random_bits() % 64)));
    case 3: memcpy(&real, &bits, sizeof real); return acervo_value_float(real);
    case 4: return string_value((const char *)&bits, random_bits() % sizeof bits);
    case 5:
        count = random_bits() % 5;
        for (size_t i = 0; i < count; i++)
            items[i] = random_value(depth - 1);
        array = array_of((const acervo_value *const *)items, count);
        for (size_t i = 0; i < count; i++)
            acervo_value_free(items[i]);
        return array;
    default:
        items[0] = acervo_value_int((int64_t)bits);
        items[1] = random_value(depth - 1);
        array = map_of_one(items[0], items[1]);
        acervo_value_free(items[0]);
        acervo_value_free(items[1]);
        return array;
    }
}

static void random_values_come_back_too(void)
{
    open_fixture();
    for (int round = 0; round < 2000; round++) {
        acervo_value *value = random_value(4);
        acervo_value *stored = through_a_key(value);
        acervo_value *packed = through_msgpack(stored);
        CHECK(acervo_value_equal(value, stored));
        CHECK(acervo_value_equal(value, packed));
        acervo_value_free(value);
        acervo_value_free(stored);
        acervo_value_free(packed);
    }
    close_fixture();
}

/* ------------------------------------------------------------- conversions */

static void exact_conversions_are_made_and_no_others(void)
{
    acervo_value *three = acervo_value_int(3), *three_float = acervo_value_float(3.0);
    acervo_value *half = acervo_value_float(0.5), *text = string_value("3", 1);
    acervo_value *big = acervo_value_int((INT64_C(1) << 53) + 1);
    acervo_value *huge = acervo_value_float(9223372036854775808.0);
    int64_t number = 0;
    double real = 0;
    bool truth = false;
    CHECK_OK(acervo_value_as_int(three_float, &number, ERR));
    CHECK_INT(number, 3);
    CHECK_OK(acervo_value_as_float(three, &real, ERR));
    CHECK(real == 3.0);
    CHECK_FAILS(acervo_value_as_int(half, &number, ERR), ACERVO_INVALID, "");
    CHECK_INT(number, 0);
    CHECK_FAILS(acervo_value_as_float(big, &real, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_as_int(huge, &number, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_as_int(text, &number, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_as_bool(three, &truth, ERR), ACERVO_INVALID, "");
    acervo_value_free(three);
    acervo_value_free(three_float);
    acervo_value_free(half);
    acervo_value_free(text);
    acervo_value_free(big);
    acervo_value_free(huge);
}

static void equality_compares_numbers_exactly_and_maps_without_order(void)
{
    acervo_value *a, *b;
    a = acervo_value_int(3), b = acervo_value_float(3.0);
    CHECK(acervo_value_equal(a, b));
    acervo_value_free(a), acervo_value_free(b);
    a = acervo_value_int((INT64_C(1) << 53) + 1), b = acervo_value_float(9007199254740992.0);
    CHECK(!acervo_value_equal(a, b));
    acervo_value_free(a), acervo_value_free(b);
    a = acervo_value_float(NAN), b = acervo_value_float(-NAN);
    CHECK(acervo_value_equal(a, b));
    acervo_value_free(a), acervo_value_free(b);
    a = json("{\"x\":1,\"y\":[1,2]}"), b = json("{\"y\":[1,2.0],\"x\":1.0}");
    CHECK(acervo_value_equal(a, b));
    acervo_value_free(a), acervo_value_free(b);
    a = json("[1,2]"), b = json("[2,1]");
    CHECK(!acervo_value_equal(a, b));
    acervo_value_free(a), acervo_value_free(b);
    a = acervo_value_nil(), b = acervo_value_bool(false);
    CHECK(!acervo_value_equal(a, b));
    CHECK(!acervo_value_equal(a, NULL));
    acervo_value_free(a), acervo_value_free(b);
}

/* ---------------------------------------------------------- arrays and maps */

static void parts_are_found_and_what_is_not_there_is_not_found(void)
{
    acervo_value *map = json("{\"list\":[10,20],\"none\":null}");
    acervo_value *list = NULL, *out = NULL, *other = NULL;
    int64_t number = 0;
    CHECK_OK(acervo_value_get(map, "list", ACERVO_NTS, &list, ERR));
    CHECK_OK(acervo_value_at(list, 1, &out, ERR));
    CHECK_OK(acervo_value_as_int(out, &number, ERR));
    CHECK_INT(number, 20);
    acervo_value_free(out);
    CHECK_OK(acervo_value_get(map, "none", ACERVO_NTS, &out, ERR));
    CHECK_INT(acervo_value_type(out), ACERVO_TYPE_NIL);
    acervo_value_free(out);
    CHECK_FAILS(acervo_value_at(list, 2, &out, ERR), ACERVO_NOT_FOUND, "");
    CHECK_FAILS(acervo_value_get(map, "other", ACERVO_NTS, &out, ERR), ACERVO_NOT_FOUND, "");
    CHECK_FAILS(acervo_value_entry_at(map, 2, &out, &other, ERR), ACERVO_NOT_FOUND, "");
    CHECK(out == NULL && other == NULL);
    CHECK_FAILS(acervo_value_at(map, 0, &out, ERR), ACERVO_INVALID, "");
    acervo_value_free(list);
    acervo_value_free(map);
}

static void a_part_outlives_its_whole(void)
{
    acervo_value *map = json("{\"text\":\"still here\"}"), *part = NULL;
    const char *text = NULL;
    size_t length = 0;
    CHECK_OK(acervo_value_get(map, "text", ACERVO_NTS, &part, ERR));
    acervo_value_free(map);
    CHECK_OK(acervo_value_as_string(part, &text, &length, ERR));
    CHECK(length == 10 && memcmp(text, "still here", 10) == 0);
    acervo_value_free(part);
}

static void a_read_value_outlives_its_key_and_its_database(void)
{
    acervo_value *value = NULL;
    open_fixture();
    put_json(kv, "k", "[1,2,3]");
    CHECK_OK(acervo_kv_get(kv, "k", 1, &value, NULL, ERR));
    CHECK_OK(acervo_kv_delete(kv, "k", 1, ERR));
    close_fixture();
    CHECK_JSON(value, "[1,2,3]");
    acervo_value_free(value);
}

static void bad_map_keys_are_refused(void)
{
    acervo_value *keys[2], *values[2], *out = NULL;
    values[0] = acervo_value_int(1), values[1] = acervo_value_int(2);
    /* No two equal: 1 and 1.0 are. */
    keys[0] = acervo_value_int(1), keys[1] = acervo_value_float(1.0);
    CHECK_FAILS(acervo_value_map((const acervo_value *const *)keys,
                                 (const acervo_value *const *)values, 2, &out, ERR),
                ACERVO_INVALID, "");
    CHECK(out == NULL);
    acervo_value_free(keys[0]), acervo_value_free(keys[1]);
    keys[0] = acervo_value_nil();
    CHECK_FAILS(acervo_value_map((const acervo_value *const *)keys,
                                 (const acervo_value *const *)values, 1, &out, ERR),
                ACERVO_INVALID, "");
    acervo_value_free(keys[0]);
    keys[0] = acervo_value_float(NAN);
    CHECK_FAILS(acervo_value_map((const acervo_value *const *)keys,
                                 (const acervo_value *const *)values, 1, &out, ERR),
                ACERVO_INVALID, "");
    acervo_value_free(keys[0]);
    keys[0] = json("[]");
    CHECK_FAILS(acervo_value_map((const acervo_value *const *)keys,
                                 (const acervo_value *const *)values, 1, &out, ERR),
                ACERVO_INVALID, "");
    acervo_value_free(keys[0]);
    acervo_value_free(values[0]), acervo_value_free(values[1]);
}

static void a_missing_part_of_an_array_or_map_is_invalid(void)
{
    const acervo_value *none[1] = {NULL};
    acervo_value *out = NULL;
    CHECK_FAILS(acervo_value_array(none, 1, &out, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_array(NULL, 1, &out, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_map(NULL, NULL, 1, &out, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_value_map(none, none, 1, &out, ERR), ACERVO_INVALID, "");
    CHECK(out == NULL);
}

static void nesting_is_allowed_to_128_and_no_deeper(void)
{
    acervo_value *value = NULL;
    char text[300];
    uint8_t bytes[200];
    CHECK_OK(nested(128, &value, ERR));
    acervo_value_free(value);
    CHECK_FAILS(nested(129, &value, ERR), ACERVO_INVALID, "");
    CHECK(value == NULL);

    memset(text, '[', 128), memset(text + 128, ']', 128);
    CHECK_OK(acervo_value_from_json(text, 256, &value, ERR));
    acervo_value_free(value);
    memset(text, '[', 129), memset(text + 129, ']', 129);
    CHECK_FAILS(acervo_value_from_json(text, 258, &value, ERR), ACERVO_INVALID, "");

    memset(bytes, 0x91, 127), bytes[127] = 0x90;
    CHECK_OK(acervo_value_from_msgpack(bytes, 128, &value, ERR));
    acervo_value_free(value);
    memset(bytes, 0x91, 128), bytes[128] = 0x90;
    CHECK_FAILS(acervo_value_from_msgpack(bytes, 129, &value, ERR), ACERVO_INVALID, "");
}

/* ------------------------------------------------------------------- forms */

static void json_is_canonical(void)
{
    static const struct {
        const char *in, *out;
    } forms[] = {
        {" { \"b\" : 1 , \"a\" : [ true , false , null ] } ", "{\"a\":[true,false,null],\"b\":1}"},
        {"3", "3"},
        {"3.0", "3.0"},
        {"-0.0", "-0.0"},
        {"9223372036854775807", "9223372036854775807"},
        {"\"\\u00e9\\n\"", "\"\xc3\xa9\\n\""},
        {"{}", "{}"},
        {"[]", "[]"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        acervo_value *value = json(forms[i].in);
        CHECK_JSON(value, forms[i].out);
        acervo_value_free(value);
    }
}

static void a_json_integer_beyond_64_bits_is_a_float(void)
{
    acervo_value *value = json("9223372036854775808");
    CHECK_INT(acervo_value_type(value), ACERVO_TYPE_FLOAT);
    acervo_value_free(value);
}

static void what_is_no_json_is_refused(void)
{
    static const char *const texts[] = {"",     "[1,",    "{\"a\":1,\"a\":2}", "nul", "[1] x",
                                        "01",   "'a'",    "{1:2}",             "[1,]", "NaN",
                                        "\"\\ud800\""};
    acervo_value *out = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CHECK_FAILS(acervo_value_from_json(texts[i], ACERVO_NTS, &out, ERR), ACERVO_INVALID, "");
        CHECK(out == NULL);
    }
}

static void what_has_no_json_form_is_refused(void)
{
    acervo_value *out = NULL, *values[4];
    values[0] = acervo_value_float(NAN);
    values[1] = acervo_value_float(INFINITY);
    values[2] = string_value("\xff", 1);
    values[3] = array_of((const acervo_value *const *)values, 1);
    for (int i = 0; i < 4; i++) {
        CHECK_FAILS(acervo_value_to_json(values[i], &out, ERR), ACERVO_INVALID, "");
        CHECK(out == NULL);
    }
    for (int i = 0; i < 4; i++)
        acervo_value_free(values[i]);
}

static void what_is_no_value_in_msgpack_is_refused(void)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t length;
    } inputs[] = {
        {"nothing", "", 0},
        {"cut short", "\x92\x01", 2},
        {"trailing bytes", "\x01\x01", 2},
        {"an ext type", "\xd4\x01\x00", 3},
        {"a uint above int64", "\xcf\x80\0\0\0\0\0\0\0", 9},
        {"duplicate keys", "\x82\x01\x01\x01\x02", 5},
        {"a nil key", "\x81\xc0\x01", 3},
        {"a NaN key", "\x81\xcb\x7f\xf8\0\0\0\0\0\0\x01", 11},
        {"the unused byte", "\xc1", 1},
        {"a length beyond the end", "\xdd\xff\xff\xff\xff", 5},
    };
    acervo_value *out = NULL;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        CHECK_FAILS(acervo_value_from_msgpack((const uint8_t *)inputs[i].bytes, inputs[i].length,
                                              &out, ERR),
                    ACERVO_INVALID, "");
        CHECK(out == NULL);
    }
}

static void every_msgpack_spelling_of_a_value_is_the_same_value(void)
{
    static const struct {
        const char *bytes;
        size_t length;
    } threes[] = {{"\x03", 1},         {"\xcc\x03", 2},           {"\xcd\0\x03", 3},
                  {"\xd0\x03", 2},     {"\xd2\0\0\0\x03", 5},     {"\xd3\0\0\0\0\0\0\0\x03", 9}};
    acervo_value *three = acervo_value_int(3);
    for (size_t i = 0; i < sizeof threes / sizeof threes[0]; i++) {
        acervo_value *value = NULL;
        CHECK_OK(acervo_value_from_msgpack((const uint8_t *)threes[i].bytes, threes[i].length,
                                           &value, ERR));
        CHECK_INT(acervo_value_type(value), ACERVO_TYPE_INT);
        CHECK(acervo_value_equal(value, three));
        acervo_value_free(value);
    }
    acervo_value_free(three);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(every_kind_of_value_comes_back_as_it_went_in),
        TEST(a_float_keeps_its_sign_of_zero),
        TEST(a_string_keeps_every_byte),
        TEST(map_keys_of_every_allowed_type_come_back),
        TEST(random_values_come_back_too),
        TEST(exact_conversions_are_made_and_no_others),
        TEST(equality_compares_numbers_exactly_and_maps_without_order),
        TEST(parts_are_found_and_what_is_not_there_is_not_found),
        TEST(a_part_outlives_its_whole),
        TEST(a_read_value_outlives_its_key_and_its_database),
        TEST(bad_map_keys_are_refused),
        TEST(a_missing_part_of_an_array_or_map_is_invalid),
        TEST(nesting_is_allowed_to_128_and_no_deeper),
        TEST(json_is_canonical),
        TEST(a_json_integer_beyond_64_bits_is_a_float),
        TEST(what_is_no_json_is_refused),
        TEST(what_has_no_json_form_is_refused),
        TEST(what_is_no_value_in_msgpack_is_refused),
        TEST(every_msgpack_spelling_of_a_value_is_the_same_value),
    };
    return RUN_TESTS(cases, argc, argv);
}
