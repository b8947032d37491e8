#include "handlers.h"

#include "entries.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[8192];
static size_t log_used;

void log_word(const char *word)
{
    pthread_mutex_lock(&log_lock);
    log_used += (size_t)snprintf(log_text + log_used, sizeof log_text - log_used, "%s%s",
                                 log_used > 0 ? " " : "", word);
    CHECK(log_used < sizeof log_text);
    pthread_mutex_unlock(&log_lock);
}

void clear_log(void)
{
    pthread_mutex_lock(&log_lock);
    log_text[log_used = 0] = '\0';
    pthread_mutex_unlock(&log_lock);
}

void check_log(const char *file, int line, const char *expected)
{
    char text[sizeof log_text];
    pthread_mutex_lock(&log_lock);
    memcpy(text, log_text, log_used + 1);
    pthread_mutex_unlock(&log_lock);
    clear_log();
    check_text(file, line, "what handlers were asked", text, expected);
}

static void word_of(char *word, size_t room, const acervo_op *op)
{
    static const char *const names[] = {
        [ACERVO_OP_CREATE] = "+",         [ACERVO_OP_UPDATE] = "~",
        [ACERVO_OP_DELETE] = "-",         [ACERVO_OP_BEGIN] = "begin",
        [ACERVO_OP_COMMIT] = "commit",    [ACERVO_OP_DISCARD] = "discard",
    };
    const acervo_entry *entry = acervo_op_entry(op);
    const uint32_t flags = acervo_op_flags(op);
    const int32_t kind = acervo_op_kind(op);
    CHECK(kind >= ACERVO_OP_CREATE && kind <= ACERVO_OP_DISCARD);
    CHECK((entry != NULL) == (kind <= ACERVO_OP_DELETE));
    CHECK((acervo_op_original(op) != NULL) ==
          (kind == ACERVO_OP_UPDATE || kind == ACERVO_OP_DELETE));
    snprintf(word, room, "%s%s%s%s%s", flags & ACERVO_OP_FLAG_UNDO ? "undo" : "",
             flags & ACERVO_OP_FLAG_DRY_RUN ? "dry" : "",
             flags & ACERVO_OP_FLAG_FOREIGN ? "foreign" : "", names[kind],
             entry != NULL ? acervo_entry_id(entry, NULL) : "");
}

int32_t record(void *userdata, acervo_op *op)
{
    recorder *own = userdata;
    char word[128], named[160];
    word_of(word, sizeof word, op);
    snprintf(named, sizeof named, "%s%s%s", own->name != NULL ? own->name : "",
             own->name != NULL ? "." : "", word);
    log_word(named);
    if (own->refuse != NULL && strcmp(own->refuse, word) == 0) {
        if (own->times > 0 && --own->times == 0)
            own->refuse = NULL;
        if (own->message != NULL)
            CHECK_INT(acervo_op_set_error(op, own->code, own->message, ACERVO_NTS), ACERVO_OK);
        return own->code;
    }
    return own->answer != NULL ? own->answer(own, op) : ACERVO_ACCEPT;
}

void note_destroyed(void *userdata)
{
    recorder *own = userdata;
    atomic_fetch_add(&own->destroyed, 1);
}

void listen(acervo *db, const char *pattern, uint32_t flags, recorder *own)
{
    CHECK_OK(acervo_on(db, pattern, ACERVO_NTS, flags, record, own, note_destroyed, NULL, ERR));
}

acervo_subscription *subscribe(acervo *db, const char *pattern, uint32_t flags, recorder *own)
{
    acervo_subscription *subscription = NULL;
    CHECK_OK(acervo_on(db, pattern, ACERVO_NTS, flags, record, own, note_destroyed, &subscription,
                       ERR));
    CHECK(subscription != NULL);
    return subscription;
}

void check_refused(const char *file, int line, acervo *db, const char *id, int32_t code,
                   const char *part)
{
    acervo_changes *changes = changes_of(db);
    uint64_t version = 9, head = head_of(db);
    queue_create(changes, id, "1");
    check_fails(file, line, "acervo_changes_apply", acervo_changes_apply(changes, &version, ERR),
                code, part);
    check_int(file, line, "the version", (long long)version, 0);
    check_int(file, line, "the current version", (long long)head_of(db), (long long)head);
    acervo_changes_free(changes);
}

void check_fails_without_trace(acervo *db, acervo_changes *changes, int32_t code, const char *part)
{
    acervo_snapshot *before = snapshot_of(db), *now;
    acervo_value *versions = NULL, *versions_now = NULL;
    acervo_entries *all = NULL, *all_now = NULL;
    CHECK_OK(acervo_versions(db, &versions, ERR));
    CHECK_FAILS(acervo_changes_apply(changes, NULL, ERR), code, part);
    CHECK_OK(acervo_versions(db, &versions_now, ERR));
    CHECK(acervo_value_equal(versions, versions_now));
    now = snapshot_of(db);
    CHECK_INT(acervo_snapshot_version(now), acervo_snapshot_version(before));
    CHECK_OK(acervo_snapshot_entries(before, &all, ERR));
    CHECK_OK(acervo_snapshot_entries(now, &all_now, ERR));
    CHECK_INT(acervo_entries_len(all_now), acervo_entries_len(all));
    for (size_t i = 0; i < acervo_entries_len(all); i++) {
        const acervo_entry *was = acervo_entries_at(all, i), *is = acervo_entries_at(all_now, i);
        CHECK_TEXT(acervo_entry_id(is, NULL), acervo_entry_id(was, NULL));
        CHECK(acervo_value_equal(acervo_entry_data(is), acervo_entry_data(was)));
    }
    acervo_entries_free(all);
    acervo_entries_free(all_now);
    acervo_value_free(versions);
    acervo_value_free(versions_now);
    acervo_snapshot_free(before);
    acervo_snapshot_free(now);
    acervo_changes_free(changes);
}
