/* The right arguments of every function, and where C may pass NULL. */
#include "boundary.h"

#include "entries.h"

#include <stdio.h>
#include <string.h>

static acervo *db;
static acervo_op *kept_op;
static uint64_t next_update;

/* --------------------------------------------------------------- fixture */

static int32_t keep_op(void *userdata, acervo_op *op)
{
    (void)userdata;
    if (kept_op == NULL && acervo_op_kind(op) == ACERVO_OP_UPDATE)
        kept_op = acervo_op_retain(op);
    return ACERVO_ACCEPT;
}

void close_fixture(void)
{
    if (db != NULL)
        close_database(db);
    db = NULL;
}

void spoil_fixture(void) { close_fixture(); }

void open_fixture(const char *function)
{
    if (db != NULL && strcmp(function, "acervo_load_state") == 0)
        close_fixture();
    if (db != NULL)
        return;
    db = open_database(":memory:");
    acervo_kv *kv = registry_of(db);
    put_json(kv, "key", "1");
    acervo_kv_free(kv);
    /* What has to come before any change. */
    if (strcmp(function, "acervo_load_state") == 0)
        return;
    apply_entry(db, "a:x", "test", "{\"m\":1}", "{\"d\":1}");
    apply_update(db, "a:x", "2");
}

/* ---------------------------------------------------------------- tables */

struct named {
    const char *function; /* NULL: every function */
    const char *parameter;
    const char *is;
};

static const char *look_up(const struct named *table, size_t count, const struct call_site *site)
{
    for (size_t i = 0; i < count; i++)
        if ((table[i].function == NULL || strcmp(table[i].function, site->function) == 0) &&
            strcmp(table[i].parameter, site->parameter) == 0)
            return table[i].is;
    return NULL;
}
#define LOOK_UP(table, site) look_up(table, sizeof(table) / sizeof((table)[0]), site)

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(name, names) is_one_of(name, names, sizeof(names) / sizeof((names)[0]))

/* Of a function that stands first here, before the general ones. */
static const struct named texts[] = {
    {"acervo_open", "path", ":memory:"},
    {"acervo_backup", "path", "copy.db"},
    {"acervo_register_pattern", "path", "data.uses"},
    {"acervo_options_set", "name", "value_limit"},
    {"acervo_changes_set", "option", "author"},
    {"acervo_value_from_json", "text", "[1,{\"a\":2.5}]"},
    {"acervo_value_from_msgpack", "bytes", "\x01"},
    {NULL, "id", "a:x"},
    {NULL, "kind", "test"},
    {NULL, "kind_pattern", "test.*"},
    {NULL, "ns", "a"},
    {NULL, "key", "key"},
    {NULL, "prefix", "k"},
    {NULL, "ident", "agent"},
    {NULL, "actor", "actor"},
    {NULL, "message", "a reason"},
    {NULL, "text", "text"},
};

static const struct named values[] = {
    {"acervo_value_as_bool", "value", "true"},
    {"acervo_value_as_float", "value", "1.5"},
    {"acervo_value_as_string", "value", "\"text\""},
    {"acervo_options_set", "value", "1000"},
    {"acervo_changes_set", "value", "\"me\""},
    {NULL, "array", "[1,2]"},
    {NULL, "map", "{\"key\":1}"},
    {NULL, "keys", "\"key\""},
    {NULL, "filter", "{\".kind\":\"test\"}"},
    {NULL, "options", "{\"limit\":1}"},
    {NULL, "meta", "{\"m\":1}"},
    {NULL, "data", "[1]"},
    {NULL, "value", "1"},
    {NULL, "items", "1"},
    {NULL, "values", "1"},
    {NULL, "expected", "1"},
    {NULL, "a", "1"},
    {NULL, "b", "1"},
};

const char *text_for(const struct call_site *site)
{
    const char *text = LOOK_UP(texts, site);
    if (text == NULL)
        check_failed(__FILE__, __LINE__, "%s: no right text is known for `%s`; add one here",
                     site->function, site->parameter);
    return text;
}

/* Where NULL is no mistake: the header says so for each. */
static const struct named optional[] = {
    {"acervo_open", "options", ""},
    {"acervo_kv_get", "out", ""},
    {"acervo_kv_get", "out_timestamp", ""},
    {"acervo_kv_get_into", "out_len", ""},
    {"acervo_kv_get_into", "out_type", ""},
    {"acervo_kv_get_into", "out_timestamp", ""},
    {"acervo_kv_incr", "out", ""},
    {"acervo_kv_incr_float", "out", ""},
    {"acervo_kv_cas", "expected", ""},
    {"acervo_kv_cas", "out_stored", ""},
    {"acervo_kv_cas_delete", "out_deleted", ""},
    {"acervo_kv_delete_prefix", "out", ""},
    {"acervo_kv_purge", "out", ""},
    {"acervo_entry_new", "meta", ""},
    {"acervo_entry_new", "data", ""},
    {"acervo_snapshot_find", "options", ""},
    {"acervo_changes_apply", "out_version", ""},
    {"acervo_load_state", "version", ""},
    {"acervo_load_state", "out_version", ""},
    {"acervo_on", "out", ""},
    {"acervo_set_log", "function", ""},
    {"acervo_set_policy", "function", ""},
};

bool may_be_null(const struct call_site *site) { return LOOK_UP(optional, site) != NULL; }

static const struct named in_messages[] = {
    {"acervo_lua_attach_with", "state", "L"},
    {"acervo_lua_set_ident_with", "state", "L"},
    {"acervo_load_state", "entries", "baseline"},
};

const char *name_in_messages(const struct call_site *site)
{
    const char *name = LOOK_UP(in_messages, site);
    return name != NULL ? name : site->parameter;
}

bool number_for(const struct call_site *site, uint64_t *number)
{
    if (strcmp(site->parameter, "code") == 0)
        *number = (uint64_t)(int64_t)ACERVO_CONFLICT;
    else if (strcmp(site->parameter, "index") == 0 || strcmp(site->parameter, "flags") == 0)
        *number = 0;
    else
        return false;
    return true;
}

bool is_refused(const struct call_site *site, const struct argument *argument)
{
    const int64_t number = (int64_t)argument->number;
    if (strcmp(site->parameter, "flags") == 0)
        return (argument->number & ~(uint64_t)3) != 0;
    if (strcmp(site->parameter, "capacity") == 0)
        return number == 0;
    if (strcmp(site->parameter, "ttl_ms") == 0)
        return number < 1;
    if (strcmp(site->parameter, "seconds") == 0)
        return !(argument->real >= 0);
    if (strcmp(site->function, "acervo_op_set_error") == 0)
        return number >= 0 || strcmp(acervo_code_name((int32_t)number), "ACERVO_?") == 0;
    return false;
}

int32_t usual_code(const char *function)
{
    /* What their op is about has ended; there is no Lua behind the API. */
    static const char *const refused[] = {"acervo_op_accept", "acervo_op_reject",
                                          "acervo_lua_attach_with", "acervo_lua_set_ident_with"};
    /* The database of these tests is in memory: there is no file to copy. */
    if (strcmp(function, "acervo_backup") == 0)
        return ACERVO_UNAVAILABLE;
    return IS_ONE_OF(function, refused) ? ACERVO_INVALID : ACERVO_OK;
}

bool is_quiet(const char *function)
{
    static const char *const quiet[] = {"acervo_kv_get", "acervo_kv_get_into",
                                        "acervo_snapshot_get"};
    return IS_ONE_OF(function, quiet);
}

bool consumes(const char *function)
{
    const size_t length = strlen(function);
    return strcmp(function + length - 5, "_free") == 0 ||
           strcmp(function, "acervo_subscription_cancel") == 0;
}

bool spoils(const char *function)
{
    static const char *const spoiling[] = {"acervo_close", "acervo_load_state", "acervo_prune",
                                           "acervo_apply_version"};
    return IS_ONE_OF(function, spoiling);
}

/* -------------------------------------------------------------- callbacks */

static int32_t accept(void *userdata, acervo_op *op)
{
    (void)userdata;
    (void)op;
    return ACERVO_ACCEPT;
}

static int32_t go_on(void *userdata, const char *key, size_t key_len, const acervo_value *value,
                     int64_t timestamp)
{
    (void)userdata;
    (void)key;
    (void)key_len;
    (void)value;
    (void)timestamp;
    return 0;
}

static void ignore(void *userdata, int32_t level, const char *message, size_t message_len)
{
    (void)userdata;
    (void)level;
    (void)message;
    (void)message_len;
}

static bool allow(void *userdata, const char *actor, size_t actor_len, const char *action,
                  size_t action_len, const char *resource, size_t resource_len)
{
    (void)userdata;
    (void)actor;
    (void)actor_len;
    (void)action;
    (void)action_len;
    (void)resource;
    (void)resource_len;
    return true;
}

void (*callback_for(const struct call_site *site))(void)
{
    if (strcmp(site->function, "acervo_on") == 0)
        return (void (*)(void))accept;
    if (strcmp(site->function, "acervo_kv_each") == 0)
        return (void (*)(void))go_on;
    if (strcmp(site->function, "acervo_set_log") == 0)
        return (void (*)(void))ignore;
    if (strcmp(site->function, "acervo_set_policy") == 0)
        return (void (*)(void))allow;
    check_failed(__FILE__, __LINE__, "%s: no right callback is known for `%s`; add one here",
                 site->function, site->parameter);
}

/* ---------------------------------------------------------------- handles */

void *make_acervo(const struct call_site *site)
{
    (void)site;
    return acervo_retain(db);
}
void release_acervo(void *handle) { acervo_free(handle); }

void *make_acervo_batch(const struct call_site *site)
{
    (void)site;
    acervo_kv *kv = registry_of(db);
    acervo_batch *batch = acervo_batch_new(kv);
    acervo_value *one = acervo_value_int(1);
    CHECK_OK(acervo_batch_put(batch, "key", 3, one, ERR));
    acervo_value_free(one);
    acervo_kv_free(kv);
    return batch;
}
void release_acervo_batch(void *handle) { acervo_batch_free(handle); }

void *make_acervo_changes(const struct call_site *site)
{
    char data[32];
    (void)site;
    acervo_changes *changes = changes_of(db);
    snprintf(data, sizeof data, "%llu", (unsigned long long)next_update++);
    queue_update(changes, "a:x", data);
    return changes;
}
void release_acervo_changes(void *handle) { acervo_changes_free(handle); }

void *make_acervo_entries(const struct call_site *site)
{
    (void)site;
    acervo_entries *entries = NULL;
    acervo_snapshot *snapshot = snapshot_of(db);
    CHECK_OK(acervo_snapshot_entries(snapshot, &entries, ERR));
    acervo_snapshot_free(snapshot);
    return entries;
}
void release_acervo_entries(void *handle) { acervo_entries_free(handle); }

void *make_acervo_entry(const struct call_site *site)
{
    (void)site;
    return entry_of("a:y", "test", "{\"m\":1}", "{\"d\":1}");
}
void release_acervo_entry(void *handle) { acervo_entry_free(handle); }

void *make_acervo_error(const struct call_site *site)
{
    (void)site;
    acervo_error *error = NULL;
    CHECK(acervo_flush(NULL, &error) == ACERVO_INVALID && error != NULL);
    return error;
}
void release_acervo_error(void *handle) { acervo_error_free(handle); }

void *make_acervo_feed(const struct call_site *site)
{
    (void)site;
    acervo_feed *feed = NULL;
    CHECK_OK(acervo_events(db, 8, &feed, ERR));
    /* Something to read: whoever waits for good gets it at once. */
    if (strcmp(site->function, "acervo_feed_next") == 0)
        apply_update(db, "a:x", "3");
    return feed;
}
void release_acervo_feed(void *handle) { acervo_feed_free(handle); }

void *make_acervo_kv(const struct call_site *site)
{
    (void)site;
    acervo_kv *kv = registry_of(db);
    put_json(kv, "key", "1");
    return kv;
}
void release_acervo_kv(void *handle) { acervo_kv_free(handle); }

void *make_acervo_op(const struct call_site *site)
{
    (void)site;
    acervo_subscription *subscription = NULL;
    kept_op = NULL;
    CHECK_OK(acervo_on(db, "**", 2, 0, keep_op, NULL, NULL, &subscription, ERR));
    apply_update(db, "a:x", "4");
    acervo_subscription_cancel(subscription);
    CHECK(kept_op != NULL);
    return kept_op;
}
void release_acervo_op(void *handle) { acervo_op_free(handle); }

void *make_acervo_options(const struct call_site *site)
{
    (void)site;
    return acervo_options_new();
}
void release_acervo_options(void *handle) { acervo_options_free(handle); }

void *make_acervo_snapshot(const struct call_site *site)
{
    (void)site;
    return snapshot_of(db);
}
void release_acervo_snapshot(void *handle) { acervo_snapshot_free(handle); }

void *make_acervo_subscription(const struct call_site *site)
{
    (void)site;
    acervo_subscription *subscription = NULL;
    CHECK_OK(acervo_on(db, "**", 2, 0, accept, NULL, NULL, &subscription, ERR));
    return subscription;
}
void release_acervo_subscription(void *handle) { acervo_subscription_cancel(handle); }

void *make_acervo_value(const struct call_site *site)
{
    const char *text = LOOK_UP(values, site);
    if (text == NULL)
        check_failed(__FILE__, __LINE__, "%s: no right value is known for `%s`; add one here",
                     site->function, site->parameter);
    return json(text);
}
void release_acervo_value(void *handle) { acervo_value_free(handle); }
