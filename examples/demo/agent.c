/* The demo's agent: a C program that embeds Lua.
 *
 *   agent run    FILE DOCUMENTS SCRIPTS SNAPSHOT INTERPRETER...
 *   agent verify FILE SNAPSHOT
 *
 * `run` has several monitors, each on a thread with a Lua state of its own, run
 * the examples of the reference documents on one database file; then stock
 * interpreters read and change that file while the agent has it open. At last
 * it writes down what the file holds. `verify` is the agent after a restart: it
 * compares what the file holds with what was written down. */
#include "acervo_lua.h"

#include <inttypes.h>
#include <lualib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { INCREMENTS = 1000, MAX_TEXT = 100 };

static const char *const monitors[] = {"monitor-cpu", "monitor-memoria", "monitor-disco"};
enum { MONITORS = sizeof monitors / sizeof monitors[0] };

static int checks, failures;

/* ---------------------------------------------------------------- small things */

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
    fprintf(stderr, "agent: %s: %s\n", what,
            err != NULL ? acervo_error_message(err, NULL) : acervo_code_name(code));
    exit(1);
}

static acervo *open_database(const char *path)
{
    acervo *db = NULL;
    acervo_error *err = NULL;
    must(acervo_open(path, ACERVO_NTS, NULL, &db, &err), err, path);
    return db;
}

static void close_database(acervo *db)
{
    acervo_error *err = NULL;
    must(acervo_close(db, &err), err, "close");
    acervo_free(db);
}

static acervo_kv *open_registry(acervo *db)
{
    acervo_kv *kv = NULL;
    acervo_error *err = NULL;
    must(acervo_kv_registry(db, &kv, &err), err, "registry");
    return kv;
}

/* The store of an ident; NULL for the global keys, which are all of them. */
static acervo_kv *open_store(acervo *db, const char *ident)
{
    acervo_kv *kv = NULL;
    acervo_error *err = NULL;
    must(acervo_kv_store(db, ident, ident != NULL ? ACERVO_NTS : 0, &kv, &err), err, "store");
    return kv;
}

static const char *type_name(const acervo_value *value)
{
    switch (acervo_value_type(value)) {
    case ACERVO_TYPE_NIL: return "nil";
    case ACERVO_TYPE_BOOL: return "bool";
    case ACERVO_TYPE_INT: return "int";
    case ACERVO_TYPE_FLOAT: return "float";
    case ACERVO_TYPE_STRING: return "string";
    case ACERVO_TYPE_ARRAY: return "array";
    case ACERVO_TYPE_MAP: return "map";
    default: return "?";
    }
}

/* The value as JSON, to be freed with free(). */
static char *json_of(const acervo_value *value)
{
    acervo_value *text = NULL;
    acervo_error *err = NULL;
    const char *bytes = NULL;
    size_t length = 0;
    char *copy;
    must(acervo_value_to_json(value, &text, &err), err, "to_json");
    must(acervo_value_as_string(text, &bytes, &length, &err), err, "as_string");
    copy = calloc(length + 1, 1);
    if (copy == NULL)
        exit(1);
    memcpy(copy, bytes, length);
    acervo_value_free(text);
    return copy;
}

/* Whether the key holds exactly this. */
static bool holds(acervo_kv *kv, const char *key, const char *type, const char *json)
{
    acervo_value *value = NULL;
    bool same = false;
    if (acervo_kv_get(kv, key, ACERVO_NTS, &value, NULL, NULL) == ACERVO_OK) {
        char *text = json_of(value);
        same = strcmp(type_name(value), type) == 0 && strcmp(text, json) == 0;
        free(text);
    }
    acervo_value_free(value);
    return same;
}

/* ------------------------------------------------------------- 1. the monitors */

typedef struct monitor {
    const char *ident, *documents, *scripts;
    acervo *db;
    pthread_t thread;
    char *output; /* what its scripts printed, or why they failed */
    bool worked;
} monitor;

/* Runs scripts/monitor.lua, which runs the documents, in a state of its own. */
static void *run_monitor(void *argument)
{
    monitor *self = argument;
    lua_State *L = luaL_newstate();
    acervo_error *err = NULL;
    char script[4096];
    if (L == NULL)
        exit(1);
    luaL_openlibs(L);
    /* Lua is linked statically into this program and not exported. */
    must(acervo_lua_attach(L, self->db, self->ident, ACERVO_NTS, NULL, 0, &err), err, "attach");
    snprintf(script, sizeof script, "%s/monitor.lua", self->scripts);
    self->worked = luaL_loadfile(L, script) == LUA_OK;
    if (self->worked) {
        lua_pushstring(L, self->documents);
        lua_pushinteger(L, INCREMENTS);
        self->worked = lua_pcall(L, 2, 1, 0) == LUA_OK;
    }
    self->output = strdup(lua_tostring(L, -1) != NULL ? lua_tostring(L, -1) : "");
    lua_close(L);
    return NULL;
}

static void print_indented(const char *text)
{
    const char *end;
    for (; *text != '\0'; text = *end != '\0' ? end + 1 : end) {
        end = strchr(text, '\n');
        if (end == NULL)
            end = text + strlen(text);
        printf("         | %.*s\n", (int)(end - text), text);
    }
}

static void run_monitors(acervo *db, const char *documents, const char *scripts)
{
    monitor all[MONITORS];
    char what[200];
    for (int i = 0; i < MONITORS; i++) {
        memset(&all[i], 0, sizeof all[i]);
        all[i].ident = monitors[i];
        all[i].documents = documents;
        all[i].scripts = scripts;
        all[i].db = db;
        if (pthread_create(&all[i].thread, NULL, run_monitor, &all[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < MONITORS; i++) {
        pthread_join(all[i].thread, NULL);
        snprintf(what, sizeof what, "%-16s ran the 8 examples of both documents",
                 all[i].ident);
        check(all[i].worked, what);
        if (!all[i].worked || i == 0)
            print_indented(all[i].output);
        free(all[i].output);
    }
}

static void check_monitors(acervo *db)
{
    acervo_kv *registry = open_registry(db), *global = open_store(db, NULL);
    char what[200], number[32];
    puts("\n   What the C side of the agent sees of it:\n");
    snprintf(number, sizeof number, "%d", MONITORS * INCREMENTS);
    snprintf(what, sizeof what, "registry: %d threads added %d each to one number: %s", MONITORS,
             INCREMENTS, number);
    check(holds(registry, "demo.total", "int", number), what);
    check(holds(registry, "hostname", "string", "\"servidor-producao\""),
          "registry: a string from Lua is a string in C");
    check(holds(registry, "versao", "float", "2.5"), "registry: 2.5 is a float");
    check(holds(registry, "configuracao_monitoramento", "map",
                "{\"limites\":{\"cpu\":80,\"disco\":95,\"memoria\":90},\"retries\":3,"
                "\"servidores\":[\"srv1\",\"srv2\",\"srv3\"],\"timeout\":30}"),
          "registry: a nested table is a map, with its list and its ints");
    for (int i = 0; i < MONITORS; i++) {
        acervo_kv *store = open_store(db, monitors[i]);
        snprintf(what, sizeof what, "store: %-16s has a \"config\" of its own", monitors[i]);
        check(holds(store, "config", "map", "{\"alertas\":true,\"intervalo\":60,\"timeout\":30}"),
              what);
        acervo_kv_free(store);
    }
    check(holds(global, "monitor-cpu:contador_falhas", "int", "0"),
          "store: its key is \"monitor-cpu:contador_falhas\"");
    check(holds(global, "versao_agente", "string", "\"2.5.1\""),
          "store: the global key \"versao_agente\" has no prefix");
    acervo_kv_free(registry);
    acervo_kv_free(global);
}

/* ----------------------------------------------------- 2. stock interpreters */

/* Runs a command and keeps the last line it printed. */
static bool run_command(const char *command, char *line, size_t size)
{
    FILE *pipe = popen(command, "r");
    char next[512];
    line[0] = '\0';
    if (pipe == NULL)
        return false;
    while (fgets(next, sizeof next, pipe) != NULL)
        snprintf(line, size, "%.*s", (int)strcspn(next, "\n"), next);
    return WIFEXITED(pclose(pipe)) && line[0] != '\0';
}

static void visit_by(acervo *db, const char *interpreter, const char *scripts, const char *path)
{
    acervo_kv *global = open_store(db, NULL), *registry = open_registry(db);
    char command[4096], line[512], key[200], what[800];
    bool ran;
    snprintf(command, sizeof command, "'%s' '%s/visitor.lua' '%s' '%s'", interpreter, scripts,
             path, interpreter);
    ran = run_command(command, line, sizeof line);
    snprintf(what, sizeof what, "%-7s %s", interpreter, ran ? line : "did not run");
    snprintf(key, sizeof key, "visita.%s", interpreter);
    /* The agent had the file open all the time and reads at once. */
    check(ran &&
              holds(global, key, "map",
                    "{\"inteiro\":42,\"lista\":[1,\"dois\",true],\"real\":2.5,"
                    "\"texto\":\"ol\xc3\xa1\"}") &&
              holds(registry, key, "string", "\"registrado\""),
          what);
    acervo_kv_free(global);
    acervo_kv_free(registry);
}

static void check_visits(acervo *db, int count)
{
    acervo_kv *global = open_store(db, NULL);
    char number[32];
    snprintf(number, sizeof number, "%d", count);
    check(holds(global, "visitas", "int", number),
          "every one of them counted itself in one number of the store");
    acervo_kv_free(global);
}

/* --------------------------------------------------------------- 3. the restart */

typedef struct snapshot {
    FILE *file;
    const char *space;
    int lines;
} snapshot;

static int32_t write_line(void *userdata, const char *key, size_t key_len,
                          const acervo_value *value, int64_t timestamp)
{
    snapshot *self = userdata;
    char *text = json_of(value);
    fprintf(self->file, "%-8s  %-6s  %" PRId64 "  %-44.*s  %s\n", self->space, type_name(value),
            timestamp, (int)key_len, key, text);
    self->lines++;
    free(text);
    return 0;
}

/* Every key with its type, the time of its last write and its value. */
static int write_snapshot(acervo *db, FILE *file)
{
    acervo_kv *registry = open_registry(db), *store = open_store(db, NULL);
    acervo_error *err = NULL;
    snapshot state = {file, "registry", 0};
    must(acervo_kv_each(registry, NULL, 0, write_line, &state, NULL, &err), err, "each");
    state.space = "store";
    must(acervo_kv_each(store, NULL, 0, write_line, &state, NULL, &err), err, "each");
    acervo_kv_free(registry);
    acervo_kv_free(store);
    return state.lines;
}

static FILE *open_file(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

/* One line of at most MAX_TEXT bytes, not cut within a UTF-8 character. */
static void print_cut(const char *line)
{
    size_t length = strcspn(line, "\n"), shown = length;
    if (shown > MAX_TEXT) {
        shown = MAX_TEXT;
        while (((unsigned char)line[shown] & 0xC0) == 0x80)
            shown--;
    }
    printf("         | %.*s%s\n", (int)shown, line, shown < length ? "..." : "");
}

/* Compares line by line; shows a few of them, and all that differ. */
static bool same_lines(FILE *before, FILE *after, int *out_lines)
{
    char was[4096], is[4096];
    bool same = true;
    *out_lines = 0;
    for (;;) {
        char *was_line = fgets(was, sizeof was, before), *is_line = fgets(is, sizeof is, after);
        if (was_line == NULL && is_line == NULL)
            return same;
        if (was_line == NULL || is_line == NULL || strcmp(was, is) != 0) {
            printf("   before  %s   after   %s", was_line != NULL ? was : "(nothing)\n",
                   is_line != NULL ? is : "(nothing)\n");
            same = false;
        } else if (*out_lines % 6 == 0) {
            print_cut(is);
        }
        ++*out_lines;
    }
}

static int verify(const char *path, const char *snapshot_path)
{
    acervo *db = open_database(path);
    FILE *before = open_file(snapshot_path, "r"), *after = tmpfile();
    char what[200];
    int lines = 0, written;
    bool same;
    if (after == NULL)
        exit(1);
    written = write_snapshot(db, after);
    rewind(after);
    puts("   Some of what the restarted agent finds: space, type, time of write, key, value\n");
    same = same_lines(before, after, &lines);
    snprintf(what, sizeof what, "all %d keys are there, with type, value and timestamp", written);
    puts("");
    check(same && written == lines && written > 0, what);
    fclose(before);
    fclose(after);
    close_database(db);
    return failures;
}

/* ------------------------------------------------------------------------- main */

static int run(int count, char **arguments)
{
    const char *path = arguments[0], *documents = arguments[1], *scripts = arguments[2];
    acervo *db = open_database(path);
    FILE *file;
    puts("\n1. An agent in C runs the documents' scripts\n"
         "   Three monitors, each on a thread with a Lua 5.4 state of its own, one file.\n");
    run_monitors(db, documents, scripts);
    check_monitors(db);
    /* What the registry holds is written behind; others see it once it is. */
    must(acervo_flush(db, NULL), NULL, "flush");

    puts("\n2. Stock interpreters read and change the same file\n"
         "   The agent is still running; C reads what they wrote as soon as they end.\n");
    for (int i = 4; i < count; i++)
        visit_by(db, arguments[i], scripts, path);
    check_visits(db, count - 4);

    file = open_file(arguments[3], "w");
    write_snapshot(db, file);
    fclose(file);
    close_database(db);
    return failures;
}

int main(int argc, char **argv)
{
    int failed;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc >= 7 && strcmp(argv[1], "run") == 0) {
        failed = run(argc - 2, argv + 2);
    } else if (argc == 4 && strcmp(argv[1], "verify") == 0) {
        failed = verify(argv[2], argv[3]);
    } else {
        fprintf(stderr, "usage: agent run FILE DOCUMENTS SCRIPTS SNAPSHOT INTERPRETER...\n"
                        "       agent verify FILE SNAPSHOT\n");
        return 2;
    }
    return failed == 0 ? 0 : 1;
}
