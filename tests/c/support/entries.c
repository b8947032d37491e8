#include "entries.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static acervo_value *optional_json(const char *text) { return text != NULL ? json(text) : NULL; }

acervo_entry *entry_of(const char *id, const char *kind, const char *meta_text,
                       const char *data_text)
{
    acervo_value *meta = optional_json(meta_text), *data = optional_json(data_text);
    acervo_entry *entry = NULL;
    CHECK_OK(acervo_entry_new(id, ACERVO_NTS, kind, ACERVO_NTS, meta, data, &entry, ERR));
    CHECK(entry != NULL);
    acervo_value_free(meta);
    acervo_value_free(data);
    return entry;
}

acervo_snapshot *snapshot_of(acervo *db)
{
    acervo_snapshot *snapshot = NULL;
    CHECK_OK(acervo_snapshot_current(db, &snapshot, ERR));
    CHECK(snapshot != NULL);
    return snapshot;
}

acervo_snapshot *snapshot_at(acervo *db, uint64_t version)
{
    acervo_snapshot *snapshot = NULL;
    CHECK_OK(acervo_snapshot_at(db, version, &snapshot, ERR));
    CHECK(snapshot != NULL);
    return snapshot;
}

uint64_t head_of(acervo *db)
{
    uint64_t head = UINT64_MAX;
    CHECK_OK(acervo_current_version(db, &head, ERR));
    return head;
}

acervo_changes *changes_of(acervo *db)
{
    acervo_snapshot *snapshot = snapshot_of(db);
    acervo_changes *changes = acervo_changes_new(snapshot);
    CHECK(changes != NULL);
    acervo_snapshot_free(snapshot);
    return changes;
}

void queue_create(acervo_changes *changes, const char *id, const char *data)
{
    acervo_entry *entry = entry_of(id, "test", NULL, data);
    CHECK_OK(acervo_changes_create(changes, entry, ERR));
    acervo_entry_free(entry);
}

void queue_update(acervo_changes *changes, const char *id, const char *data)
{
    acervo_entry *entry = entry_of(id, "test", NULL, data);
    CHECK_OK(acervo_changes_update(changes, entry, ERR));
    acervo_entry_free(entry);
}

void queue_delete(acervo_changes *changes, const char *id)
{
    CHECK_OK(acervo_changes_delete(changes, id, ACERVO_NTS, ERR));
}

void set_option(acervo_changes *changes, const char *option, const char *value_text)
{
    acervo_value *value = json(value_text);
    CHECK_OK(acervo_changes_set(changes, option, ACERVO_NTS, value, ERR));
    acervo_value_free(value);
}

uint64_t apply(acervo_changes *changes)
{
    uint64_t version = 0;
    CHECK_OK(acervo_changes_apply(changes, &version, ERR));
    acervo_changes_free(changes);
    return version;
}

uint64_t apply_create(acervo *db, const char *id, const char *data)
{
    acervo_changes *changes = changes_of(db);
    queue_create(changes, id, data);
    return apply(changes);
}

uint64_t apply_update(acervo *db, const char *id, const char *data)
{
    acervo_changes *changes = changes_of(db);
    queue_update(changes, id, data);
    return apply(changes);
}

uint64_t apply_delete(acervo *db, const char *id)
{
    acervo_changes *changes = changes_of(db);
    queue_delete(changes, id);
    return apply(changes);
}

uint64_t apply_entry(acervo *db, const char *id, const char *kind, const char *meta,
                     const char *data)
{
    acervo_changes *changes = changes_of(db);
    acervo_entry *entry = entry_of(id, kind, meta, data);
    CHECK_OK(acervo_changes_create(changes, entry, ERR));
    acervo_entry_free(entry);
    return apply(changes);
}

/* ------------------------------------------------------------------ checks */

void check_list(const char *file, int line, acervo_entries *list, const char *expected)
{
    size_t count = acervo_entries_len(list), used = 0, room = 1;
    char *ids;
    if (list == NULL)
        check_failed(file, line, "there is no list");
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        CHECK(acervo_entry_id(acervo_entries_at(list, i), &length) != NULL);
        room += length + 1;
    }
    ids = calloc(1, room);
    CHECK(ids != NULL);
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(ids + used, room - used, "%s%s", i > 0 ? " " : "",
                                 acervo_entry_id(acervo_entries_at(list, i), NULL));
    check_text(file, line, "the list of ids", ids, expected);
    free(ids);
    acervo_entries_free(list);
}

void check_ids(const char *file, int line, const acervo_snapshot *snapshot, const char *expected)
{
    acervo_entries *all = NULL;
    CHECK_OK(acervo_snapshot_entries(snapshot, &all, ERR));
    check_int(file, line, "acervo_snapshot_len", (long long)acervo_snapshot_len(snapshot),
              (long long)acervo_entries_len(all));
    check_list(file, line, all, expected);
}

void check_now(const char *file, int line, acervo *db, const char *expected)
{
    acervo_snapshot *now = snapshot_of(db);
    check_ids(file, line, now, expected);
    acervo_snapshot_free(now);
}

void check_data(const char *file, int line, const acervo_snapshot *snapshot, const char *id,
                const char *expected)
{
    acervo_entry *entry = NULL;
    int32_t code = acervo_snapshot_get(snapshot, id, ACERVO_NTS, &entry, ERR);
    if (expected == NULL) {
        check_int(file, line, id, code, ACERVO_NOT_FOUND);
        return;
    }
    if (code == ACERVO_NOT_FOUND)
        check_failed(file, line, "%s is missing, its data should be %s", id, expected);
    check_ok(file, line, "acervo_snapshot_get", code);
    check_json(file, line, acervo_entry_data(entry), expected);
    acervo_entry_free(entry);
}

void check_taken(const char *file, int line, acervo_value *value, const char *expected)
{
    check_json(file, line, value, expected);
    acervo_value_free(value);
}

static bool number_in(const acervo_value *map, const char *key, int64_t *out)
{
    acervo_value *number = NULL;
    if (acervo_value_get(map, key, ACERVO_NTS, &number, NULL) != ACERVO_OK)
        return false;
    CHECK_OK(acervo_value_as_int(number, out, ERR));
    acervo_value_free(number);
    return true;
}

void check_versions(const char *file, int line, acervo *db, const char *expected)
{
    char text[512] = "";
    size_t used = 0;
    acervo_value *versions = NULL;
    CHECK_OK(acervo_versions(db, &versions, ERR));
    for (size_t i = 0; i < acervo_value_len(versions); i++) {
        acervo_value *version = NULL;
        int64_t id = -1, parent = -1;
        CHECK_OK(acervo_value_at(versions, i, &version, ERR));
        CHECK(number_in(version, "id", &id));
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%" PRId64, i > 0 ? " " : "",
                                 id);
        if (number_in(version, "parent", &parent))
            used += (size_t)snprintf(text + used, sizeof text - used, "<%" PRId64, parent);
        CHECK(used < sizeof text);
        acervo_value_free(version);
    }
    acervo_value_free(versions);
    check_text(file, line, "the versions", text, expected);
}
