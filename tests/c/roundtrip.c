/* Reads MessagePack values from a file, takes each apart and builds it anew
 * with the functions for values, takes it through the registry, and writes
 * what comes back. Both files: for each value four bytes of length, most
 * significant first, and the bytes. Driven by tests/rust/exchange.rs. */
#include <acervo.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int32_t code, acervo_error *err)
{
    if (code == ACERVO_OK)
        return;
    fprintf(stderr, "roundtrip: %s\n", acervo_error_message(err, NULL));
    exit(1);
}

static acervo_value *rebuild(const acervo_value *value);

static acervo_value *rebuild_array(const acervo_value *value)
{
    size_t n = acervo_value_len(value), i;
    acervo_value **items = calloc(n + 1, sizeof *items);
    acervo_value *built = NULL;
    acervo_error *err = NULL;
    for (i = 0; i < n; i++) {
        acervo_value *item = NULL;
        check(acervo_value_at(value, i, &item, &err), err);
        items[i] = rebuild(item);
        acervo_value_free(item);
    }
    check(acervo_value_array((const acervo_value *const *)items, n, &built, &err), err);
    for (i = 0; i < n; i++)
        acervo_value_free(items[i]);
    free(items);
    return built;
}

static acervo_value *rebuild_map(const acervo_value *value)
{
    size_t n = acervo_value_len(value), i;
    acervo_value **keys = calloc(n + 1, sizeof *keys);
    acervo_value **values = calloc(n + 1, sizeof *values);
    acervo_value *built = NULL;
    acervo_error *err = NULL;
    for (i = 0; i < n; i++) {
        acervo_value *key = NULL, *held = NULL;
        check(acervo_value_entry_at(value, i, &key, &held, &err), err);
        keys[i] = rebuild(key);
        values[i] = rebuild(held);
        acervo_value_free(key);
        acervo_value_free(held);
    }
    check(acervo_value_map((const acervo_value *const *)keys, (const acervo_value *const *)values,
                           n, &built, &err),
          err);
    for (i = 0; i < n; i++) {
        acervo_value_free(keys[i]);
        acervo_value_free(values[i]);
    }
    free(keys);
    free(values);
    return built;
}

static acervo_value *rebuild(const acervo_value *value)
{
    acervo_error *err = NULL;
    bool truth = false;
    int64_t integer = 0;
    double number = 0;
    const char *text = NULL;
    size_t len = 0;
    switch (acervo_value_type(value)) {
    case ACERVO_TYPE_NIL:
        return acervo_value_nil();
    case ACERVO_TYPE_BOOL:
        check(acervo_value_as_bool(value, &truth, &err), err);
        return acervo_value_bool(truth);
    case ACERVO_TYPE_INT:
        check(acervo_value_as_int(value, &integer, &err), err);
        return acervo_value_int(integer);
    case ACERVO_TYPE_FLOAT:
        check(acervo_value_as_float(value, &number, &err), err);
        return acervo_value_float(number);
    case ACERVO_TYPE_STRING:
        check(acervo_value_as_string(value, &text, &len, &err), err);
        return acervo_value_string(text, len);
    case ACERVO_TYPE_ARRAY:
        return rebuild_array(value);
    default:
        return rebuild_map(value);
    }
}

static void pass(acervo_kv *kv, const uint8_t *bytes, size_t len, FILE *output)
{
    acervo_error *err = NULL;
    acervo_value *value = NULL, *built, *stored = NULL;
    const uint8_t *out = NULL;
    size_t n = 0;
    check(acervo_value_from_msgpack(bytes, len, &value, &err), err);
    built = rebuild(value);
    check(acervo_kv_put(kv, "value", ACERVO_NTS, built, &err), err);
    check(acervo_kv_get(kv, "value", ACERVO_NTS, &stored, NULL, &err), err);
    check(acervo_value_msgpack(stored, &out, &n, &err), err);
    fputc((int)(n >> 24 & 255), output);
    fputc((int)(n >> 16 & 255), output);
    fputc((int)(n >> 8 & 255), output);
    fputc((int)(n & 255), output);
    fwrite(out, 1, n, output);
    acervo_value_free(stored);
    acervo_value_free(built);
    acervo_value_free(value);
}

int main(int argc, char **argv)
{
    FILE *input = argc == 3 ? fopen(argv[1], "rb") : NULL;
    FILE *output = argc == 3 ? fopen(argv[2], "wb") : NULL;
    acervo *db = NULL;
    acervo_kv *kv = NULL;
    acervo_error *err = NULL;
    unsigned char head[4];
    if (input == NULL || output == NULL)
        return 2;
    check(acervo_open(":memory:", ACERVO_NTS, NULL, &db, &err), err);
    check(acervo_kv_registry(db, &kv, &err), err);
    while (fread(head, 1, 4, input) == 4) {
        size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        uint8_t *bytes = malloc(len + 1);
        if (bytes == NULL || fread(bytes, 1, len, input) != len)
            return 2;
        pass(kv, bytes, len, output);
        free(bytes);
    }
    acervo_kv_free(kv);
    check(acervo_close(db, &err), err);
    acervo_free(db);
    fclose(input);
    return fclose(output) == 0 ? 0 : 2;
}
