/* host FILE: a program that acts on entries. It runs the services that entries
 * describe and routes their endpoints; a changeset that it cannot carry out is
 * undone as a whole, and what it had started is stopped again. */
#include <acervo.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void check(bool held, const char *what)
{
    printf("   %-4s  %s\n", held ? "ok" : "FAIL", what);
    failures += !held;
}

/* Ends the program: what follows would mean nothing. */
static void must(int32_t code, acervo_error *err, const char *what)
{
    if (code == ACERVO_OK)
        return;
    fprintf(stderr, "host: %s: %s\n", what, err != NULL ? acervo_error_message(err, NULL) : acervo_code_name(code));
    exit(1);
}

static int64_t number_of(const acervo_entry *entry, const char *key)
{
    acervo_value *value = NULL;
    int64_t number = -1;
    if (acervo_value_get(acervo_entry_data(entry), key, ACERVO_NTS, &value, NULL) == ACERVO_OK)
        acervo_value_as_int(value, &number, NULL);
    acervo_value_free(value);
    return number;
}

/* The services that run, by what the host counts: this is the part of the
 * world that must stay in step with the entries. */
static int running, routes;

static int32_t on_service(void *userdata, acervo_op *op)
{
    (void)userdata;
    const acervo_entry *entry = acervo_op_entry(op);
    const char *id = acervo_entry_id(entry, NULL);
    const char *again = acervo_op_flags(op) & ACERVO_OP_FLAG_UNDO ? " again" : "";
    switch (acervo_op_kind(op)) {
    case ACERVO_OP_CREATE:
        if (number_of(entry, "port") < 1024) {
            static const char reason[] = "ports below 1024 are not ours to open";
            acervo_op_set_error(op, ACERVO_PERMISSION_DENIED, reason, sizeof reason - 1);
            printf("          service   %-10s refused\n", id);
            return ACERVO_PERMISSION_DENIED;
        }
        running++;
        printf("          service   %-10s started%s on port %" PRId64 "\n", id, again, number_of(entry, "port"));
        break;
    case ACERVO_OP_DELETE:
        running--;
        printf("          service   %-10s stopped%s\n", id, again);
        break;
    default:
        printf("          service   %-10s moved%s to port %" PRId64 "\n", id, again, number_of(entry, "port"));
        break;
    }
    return ACERVO_ACCEPT;
}

static int32_t on_endpoint(void *userdata, acervo_op *op)
{
    (void)userdata;
    bool comes = acervo_op_kind(op) == ACERVO_OP_CREATE;
    if (acervo_op_kind(op) != ACERVO_OP_UPDATE)
        routes += comes ? 1 : -1;
    printf("          endpoint  %-10s %s\n", acervo_entry_id(acervo_op_entry(op), NULL),
           comes ? "routed" : "taken off");
    return ACERVO_ACCEPT;
}

static void queue(acervo_changes *changes, const char *id, const char *kind, const char *meta_json,
                  const char *data_json)
{
    acervo_value *meta = NULL, *data = NULL;
    acervo_entry *entry = NULL;
    acervo_error *err = NULL;
    must(acervo_value_from_json(meta_json, ACERVO_NTS, &meta, &err), err, meta_json);
    must(acervo_value_from_json(data_json, ACERVO_NTS, &data, &err), err, data_json);
    must(acervo_entry_new(id, ACERVO_NTS, kind, ACERVO_NTS, meta, data, &entry, &err), err, id);
    must(acervo_changes_create(changes, entry, &err), err, id);
    acervo_entry_free(entry);
    acervo_value_free(data);
    acervo_value_free(meta);
}

static acervo_changes *new_changes(acervo *db)
{
    acervo_snapshot *now = NULL;
    acervo_error *err = NULL;
    must(acervo_snapshot_current(db, &now, &err), err, "snapshot");
    acervo_changes *changes = acervo_changes_new(now);
    acervo_snapshot_free(now);
    return changes;
}

int main(int argc, char **argv)
{
    acervo *db = NULL;
    acervo_error *err = NULL;
    uint64_t version = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: host FILE\n");
        return 2;
    }
    must(acervo_open(argv[1], ACERVO_NTS, NULL, &db, &err), err, argv[1]);
    must(acervo_on(db, "service", ACERVO_NTS, 0, on_service, NULL, NULL, NULL, &err), err, "on");
    must(acervo_on(db, "http.*", ACERVO_NTS, 0, on_endpoint, NULL, NULL, NULL, &err), err, "on");

    printf("   A service and its endpoint\n");
    acervo_changes *changes = new_changes(db);
    queue(changes, "app:status", "http.endpoint", "{\"depends_on\": [\"app:web\"]}", "{\"path\": \"/status\"}");
    queue(changes, "app:web", "service", "{}", "{\"port\": 8080}");
    must(acervo_changes_apply(changes, &version, &err), err, "apply");
    acervo_changes_free(changes);
    check(version == 1 && running == 1 && routes == 1, "v1: the service runs, the endpoint is routed");

    printf("\n   Two more services, of which one cannot be\n");
    changes = new_changes(db);
    queue(changes, "app:admin", "service", "{}", "{\"port\": 9090}");
    queue(changes, "app:login", "http.endpoint", "{\"depends_on\": [\"app:admin\"]}", "{\"path\": \"/login\"}");
    queue(changes, "app:mail", "service", "{\"depends_on\": [\"app:admin\"]}", "{\"port\": 25}");
    int32_t code = acervo_changes_apply(changes, &version, &err);
    printf("          apply:    %s\n", err != NULL ? acervo_error_message(err, NULL) : "accepted");
    acervo_error_free(err);
    err = NULL;
    acervo_changes_free(changes);
    check(code == ACERVO_PERMISSION_DENIED, "the whole changeset is refused, with the reason");
    must(acervo_current_version(db, &version, &err), err, "current_version");
    check(version == 1, "the registry is at v1 still");
    check(running == 1 && routes == 1, "what had been started is stopped again");

    printf("\n   Back to where nothing was\n");
    must(acervo_apply_version(db, 0, &err), err, "apply_version");
    check(running == 0 && routes == 0, "everything is stopped, the endpoint before its service");

    must(acervo_close(db, &err), err, "close");
    acervo_free(db);
    return failures == 0 ? 0 : 1;
}
