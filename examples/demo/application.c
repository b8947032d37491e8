/* application FILE: what a C host finds of the application that
 * scripts/application.lua described, and what it does with it: it tells the
 * history, searches, compares versions, adds one, and goes back and forward. */
#include <acervo.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failures;

static void check(bool held, const char *what)
{
    printf("   %-4s  %s\n", held ? "ok" : "FAIL", what);
    checks++;
    failures += !held;
}

/* Ends the program: what follows would mean nothing. */
static void must(int32_t code, acervo_error *err, const char *what)
{
    if (code == ACERVO_OK)
        return;
    fprintf(stderr, "application: %s: %s\n", what,
            err != NULL ? acervo_error_message(err, NULL) : acervo_code_name(code));
    exit(1);
}

static acervo_value *from_json(const char *text)
{
    acervo_value *value = NULL;
    acervo_error *err = NULL;
    must(acervo_value_from_json(text, ACERVO_NTS, &value, &err), err, text);
    return value;
}

static acervo_snapshot *snapshot_at(acervo *db, uint64_t version)
{
    acervo_snapshot *snapshot = NULL;
    acervo_error *err = NULL;
    must(acervo_snapshot_at(db, version, &snapshot, &err), err, "snapshot_at");
    return snapshot;
}

/* The number under `key` in the data of an entry; -1 if there is none. */
static int64_t number_in(const acervo_snapshot *snapshot, const char *id, const char *key)
{
    acervo_entry *entry = NULL;
    acervo_value *value = NULL;
    int64_t number = -1;
    if (acervo_snapshot_get(snapshot, id, ACERVO_NTS, &entry, NULL) == ACERVO_OK &&
        acervo_value_get(acervo_entry_data(entry), key, ACERVO_NTS, &value, NULL) == ACERVO_OK)
        acervo_value_as_int(value, &number, NULL);
    acervo_value_free(value);
    acervo_entry_free(entry);
    return number;
}

static void print_string(const acervo_value *map, const char *key, const char *format)
{
    acervo_value *value = NULL;
    const char *text = NULL;
    size_t len = 0;
    if (acervo_value_get(map, key, ACERVO_NTS, &value, NULL) == ACERVO_OK &&
        acervo_value_as_string(value, &text, &len, NULL) == ACERVO_OK) {
        char copy[100];
        snprintf(copy, sizeof copy, "%.*s", (int)len, text);
        printf(format, copy);
    }
    acervo_value_free(value);
}

static int64_t int_of(const acervo_value *map, const char *key)
{
    acervo_value *value = NULL;
    int64_t number = -1;
    if (acervo_value_get(map, key, ACERVO_NTS, &value, NULL) == ACERVO_OK)
        acervo_value_as_int(value, &number, NULL);
    acervo_value_free(value);
    return number;
}

/* Each version: where it comes from, who made it, what it is about. */
static size_t tell_history(acervo *db)
{
    acervo_value *versions = NULL;
    acervo_error *err = NULL;
    must(acervo_versions(db, &versions, &err), err, "versions");
    size_t count = acervo_value_len(versions);
    for (size_t i = 0; i < count; i++) {
        acervo_value *version = NULL;
        must(acervo_value_at(versions, i, &version, &err), err, "version");
        int64_t parent = int_of(version, "parent");
        acervo_snapshot *snapshot = snapshot_at(db, (uint64_t)int_of(version, "id"));
        printf("   v%" PRId64, int_of(version, "id"));
        if (parent >= 0)
            printf("  from v%" PRId64, parent);
        else
            printf("  the root  ");
        printf("  %zu entries", acervo_snapshot_len(snapshot));
        print_string(version, "author", "  by %s");
        print_string(version, "message", ": %s");
        printf("\n");
        acervo_snapshot_free(snapshot);
        acervo_value_free(version);
    }
    acervo_value_free(versions);
    return count;
}

static size_t count_found(const acervo_snapshot *snapshot, const char *json)
{
    acervo_value *filter = from_json(json);
    acervo_entries *found = NULL;
    acervo_error *err = NULL;
    must(acervo_snapshot_find(snapshot, filter, NULL, &found, &err), err, json);
    size_t count = acervo_entries_len(found);
    printf("   %s finds:", json);
    for (size_t i = 0; i < count; i++)
        printf(" %s", acervo_entry_id(acervo_entries_at(found, i), NULL));
    printf("\n");
    acervo_entries_free(found);
    acervo_value_free(filter);
    return count;
}

/* Adds a version: one more endpoint. */
static uint64_t add_endpoint(acervo *db)
{
    acervo_snapshot *now = NULL;
    acervo_entry *entry = NULL;
    acervo_error *err = NULL;
    acervo_value *meta = from_json("{\"depends_on\": [\"app:web\"], \"public\": true}");
    acervo_value *data = from_json("{\"method\": \"POST\", \"path\": \"/restart\"}");
    acervo_value *message = acervo_value_string("an endpoint from C", ACERVO_NTS);
    uint64_t version = 0;
    must(acervo_snapshot_current(db, &now, &err), err, "snapshot");
    must(acervo_entry_new("app.api:restart", ACERVO_NTS, "http.endpoint", ACERVO_NTS, meta, data, &entry, &err),
         err, "entry");
    acervo_changes *changes = acervo_changes_new(now);
    must(acervo_changes_create(changes, entry, &err), err, "create");
    must(acervo_changes_set(changes, "message", ACERVO_NTS, message, &err), err, "set");
    must(acervo_changes_apply(changes, &version, &err), err, "apply");
    acervo_changes_free(changes);
    acervo_entry_free(entry);
    acervo_value_free(message);
    acervo_value_free(data);
    acervo_value_free(meta);
    acervo_snapshot_free(now);
    return version;
}

int main(int argc, char **argv)
{
    acervo *db = NULL;
    acervo_error *err = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: application FILE\n");
        return 2;
    }
    must(acervo_open(argv[1], ACERVO_NTS, NULL, &db, &err), err, argv[1]);

    size_t before = tell_history(db);
    check(before == 5, "the root and the four versions of the script are there");

    uint64_t head = 0;
    must(acervo_current_version(db, &head, &err), err, "current_version");
    acervo_snapshot *old = snapshot_at(db, 1), *now = snapshot_at(db, head);
    check(head == 3 && number_in(now, "app:web", "port") == 9090, "v3 is current, with the new port");
    check(number_in(old, "app:web", "port") == 8080, "v1 still shows the old one");
    check(count_found(now, "{\"kind\": \"http.*\"}") == 2, "two endpoints in v3");
    check(count_found(old, "{\"kind\": \"http.*\"}") == 1, "one in v1");

    acervo_value *dependents = NULL;
    must(acervo_dependents(db, "app:config", ACERVO_NTS, true, &dependents, &err), err, "dependents");
    check(acervo_value_len(dependents) == 3, "the service and both endpoints depend on app:config");
    acervo_value_free(dependents);

    uint64_t added = add_endpoint(db);
    check(added == 5, "a version made from C has the next number");
    must(acervo_apply_version(db, 1, &err), err, "apply_version");
    acervo_snapshot *back = NULL;
    must(acervo_snapshot_current(db, &back, &err), err, "snapshot");
    check(acervo_snapshot_version(back) == 1 && acervo_snapshot_len(back) == acervo_snapshot_len(old),
          "rolled back to v1");
    must(acervo_apply_version(db, added, &err), err, "apply_version");
    acervo_snapshot *forward = NULL;
    must(acervo_snapshot_current(db, &forward, &err), err, "snapshot");
    check(acervo_snapshot_len(forward) == acervo_snapshot_len(now) + 1, "and forward to v5, with its endpoint");

    acervo_snapshot_free(forward);
    acervo_snapshot_free(back);
    acervo_snapshot_free(now);
    acervo_snapshot_free(old);
    must(acervo_close(db, &err), err, "close");
    acervo_free(db);
    return failures == 0 ? 0 : 1;
}
