/* What tests of the entry registry share. All of these end the process on
 * failure. */
#ifndef ACERVO_TESTS_ENTRIES_H
#define ACERVO_TESTS_ENTRIES_H

#include "check.h"

/* Meta and data as JSON; NULL for none. */
acervo_entry *entry_of(const char *id, const char *kind, const char *meta, const char *data);

acervo_snapshot *snapshot_of(acervo *db);
acervo_snapshot *snapshot_at(acervo *db, uint64_t version);
uint64_t head_of(acervo *db);

/* Changes on the registry as it is now. */
acervo_changes *changes_of(acervo *db);
/* An entry of kind "test" with that data. */
void queue_create(acervo_changes *changes, const char *id, const char *data);
void queue_update(acervo_changes *changes, const char *id, const char *data);
void queue_delete(acervo_changes *changes, const char *id);
void set_option(acervo_changes *changes, const char *option, const char *value);
/* Applies, frees, and gives the version. */
uint64_t apply(acervo_changes *changes);

/* One change as a version of its own. */
uint64_t apply_create(acervo *db, const char *id, const char *data);
uint64_t apply_update(acervo *db, const char *id, const char *data);
uint64_t apply_delete(acervo *db, const char *id);
uint64_t apply_entry(acervo *db, const char *id, const char *kind, const char *meta,
                     const char *data);

/* The ids of all entries with spaces between them. */
void check_ids(const char *file, int line, const acervo_snapshot *snapshot, const char *expected);
#define CHECK_IDS(snapshot, expected) check_ids(__FILE__, __LINE__, snapshot, expected)
/* The same of a list; frees it. */
void check_list(const char *file, int line, acervo_entries *list, const char *expected);
#define CHECK_LIST(list, expected) check_list(__FILE__, __LINE__, list, expected)
/* The same of the registry as it is now. */
void check_now(const char *file, int line, acervo *db, const char *expected);
#define CHECK_NOW(db, expected) check_now(__FILE__, __LINE__, db, expected)
/* The data of an entry as JSON; NULL if there is no such entry. */
void check_data(const char *file, int line, const acervo_snapshot *snapshot, const char *id,
                const char *expected);
#define CHECK_DATA(snapshot, id, expected) check_data(__FILE__, __LINE__, snapshot, id, expected)
/* As CHECK_JSON, and frees the value. */
void check_taken(const char *file, int line, acervo_value *value, const char *expected);
#define CHECK_TAKEN(value, expected) check_taken(__FILE__, __LINE__, value, expected)

/* Versions as "0 1<0 2<1": each with the one it comes from. */
void check_versions(const char *file, int line, acervo *db, const char *expected);
#define CHECK_VERSIONS(db, expected) check_versions(__FILE__, __LINE__, db, expected)

#endif
