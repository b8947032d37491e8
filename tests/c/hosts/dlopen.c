/* A host that knows no Lua at link time: it loads liblua by dlopen with
 * RTLD_LOCAL, one or several of them. ACERVO_TEST_LIBLUAS names them, separated
 * by colons; ACERVO_TEST_CPATH is where acervo.so lies. */
#include "check.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RUNTIMES = 8, SLOTS = 4 };

typedef struct lua_State lua_State;

/* The few functions that this host calls, of one Lua. */
typedef struct runtime {
    char name[256];
    lua_State *(*newstate)(void);
    void (*openlibs)(lua_State *);
    int (*loadstring)(lua_State *, const char *);
    int (*pcallk)(lua_State *, int, int, int, intptr_t, void *); /* 5.2 and later */
    int (*pcall)(lua_State *, int, int, int);                    /* 5.1, LuaJIT */
    const char *(*tolstring)(lua_State *, int, size_t *);
    void (*close)(lua_State *);
} runtime;

static runtime runtimes[MAX_RUNTIMES];
static int runtime_count;

static void find(void *library, const char *name, void *function, bool required)
{
    void *address = dlsym(library, name);
    if (address == NULL && required)
        check_failed(__FILE__, __LINE__, "%s is missing", name);
    memcpy(function, &address, sizeof address);
}

static void load_runtime(const char *name)
{
    runtime *self = &runtimes[runtime_count++];
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        check_failed(__FILE__, __LINE__, "%s", dlerror());
    CHECK(runtime_count <= MAX_RUNTIMES);
    snprintf(self->name, sizeof self->name, "%s", name);
    find(library, "luaL_newstate", &self->newstate, true);
    find(library, "luaL_openlibs", &self->openlibs, true);
    find(library, "luaL_loadstring", &self->loadstring, true);
    find(library, "lua_pcallk", &self->pcallk, false);
    find(library, "lua_pcall", &self->pcall, false);
    find(library, "lua_tolstring", &self->tolstring, true);
    find(library, "lua_close", &self->close, true);
    CHECK(self->pcall != NULL || self->pcallk != NULL);
}

static void load_runtimes(void)
{
    char names[2048], *rest = names, *name;
    CHECK(getenv("ACERVO_TEST_LIBLUAS") != NULL && getenv("ACERVO_TEST_CPATH") != NULL);
    snprintf(names, sizeof names, "%s", getenv("ACERVO_TEST_LIBLUAS"));
    while ((name = strsep(&rest, ":")) != NULL)
        load_runtime(name);
    CHECK(dlsym(RTLD_DEFAULT, "lua_gettop") == NULL);
}

/* Runs a script; gives NULL, or the error's text, borrowed from the state. */
static const char *try_script(const runtime *lua, lua_State *L, const char *script)
{
    int status = lua->loadstring(L, script);
    if (status == 0)
        status = lua->pcallk != NULL ? lua->pcallk(L, 0, 0, 0, 0, NULL) : lua->pcall(L, 0, 0, 0);
    if (status == 0)
        return NULL;
    return lua->tolstring(L, -1, NULL) != NULL ? lua->tolstring(L, -1, NULL) : "(no text)";
}

static void run(const runtime *lua, lua_State *L, const char *script)
{
    const char *error = try_script(lua, L, script);
    if (error != NULL)
        check_failed(__FILE__, __LINE__, "%s: %s", lua->name, error);
}

/* A state whose globals `cpath` and `path` are set. */
static lua_State *new_state(const runtime *lua)
{
    char script[9000];
    lua_State *L = lua->newstate();
    CHECK(L != NULL);
    lua->openlibs(L);
    snprintf(script, sizeof script, "package.cpath = [[%s]] path = [[%s]]",
             getenv("ACERVO_TEST_CPATH"), scratch_path("dlopen.db"));
    run(lua, L, script);
    return L;
}

static void c_and_a_local_lua_share_one_state(void)
{
    acervo *db = open_with(scratch_path("dlopen.db"), "{\"flush_interval_ms\":600000}");
    acervo_kv *kv = registry_of(db);
    lua_State *L = new_state(&runtimes[0]);
    put_int(kv, "from_c", 1);
    run(&runtimes[0], L,
        "local db = assert(require('acervo').open(path))\n"
        "assert(db.registry.get('from_c') == 1)\n"
        "db.registry.put('from_lua', {7})");
    CHECK_HOLDS(kv, "from_lua", "[7]");
    runtimes[0].close(L);
    acervo_kv_free(kv);
    close_database(db);
}

static void several_runtimes_in_one_process_share_one_state(void)
{
    lua_State *states[MAX_RUNTIMES];
    acervo *db;
    acervo_kv *kv;
    int used = runtime_count < SLOTS ? runtime_count : SLOTS;
    if (runtime_count < 2)
        SKIP("only one Lua is given");
    db = open_with(scratch_path("dlopen.db"), "{\"flush_interval_ms\":600000}");
    kv = registry_of(db);
    for (int i = 0; i < used; i++) {
        states[i] = new_state(&runtimes[i]);
        run(&runtimes[i], states[i], "db = assert(require('acervo').open(path))");
    }
    /* In turns, so that a table of the wrong runtime would be used at once. */
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < used; i++)
            run(&runtimes[i], states[i],
                "db.registry.put('list', {db.registry.incr('n'), 'x', {a = 2.5}})\n"
                "assert(db.registry.get('list')[1] == db.registry.get('n'))\n"
                "assert(not pcall(db.registry.put, '', 1))");
    CHECK_INT(int_of(kv, "n"), 100 * used);
    for (int i = 0; i < used; i++)
        runtimes[i].close(states[i]);
    acervo_kv_free(kv);
    close_database(db);
}

static void a_fifth_runtime_is_refused_with_an_error(void)
{
    const runtime *fifth = &runtimes[SLOTS];
    const char *error;
    lua_State *L;
    if (runtime_count <= SLOTS)
        SKIP("fewer than five Luas are given");
    L = new_state(fifth);
    error = try_script(fifth, L, "local acervo = require('acervo') acervo.open(':memory:')");
    CHECK(error != NULL);
    fifth->close(L);
    /* The others are not disturbed. */
    L = new_state(&runtimes[0]);
    run(&runtimes[0], L, "assert(require('acervo').open(':memory:'))");
    runtimes[0].close(L);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(c_and_a_local_lua_share_one_state),
        TEST(several_runtimes_in_one_process_share_one_state),
        TEST(a_fifth_runtime_is_refused_with_an_error),
    };
    load_runtimes();
    return RUN_TESTS(cases, argc, argv);
}
