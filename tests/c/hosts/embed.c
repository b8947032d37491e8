/* A host that is linked with Lua. Compiled as C and as C++, with each Lua, and
 * in two ways: with HOST_ATTACHES it uses acervo_lua_attach, without it the
 * scripts `require "acervo"` from the directory ACERVO_TEST_CPATH. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HOST_ATTACHES
#include "acervo_lua.h"
#endif
#ifdef __cplusplus
extern "C" {
#endif
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#ifdef __cplusplus
}
#endif

#include <pthread.h>

#define FEW_FLUSHES "{\"flush_interval_ms\":600000}"

static acervo *db;
static acervo_kv *registry;

/* ---------------------------------------------------------------- Lua states */

static void run(lua_State *L, const char *script)
{
    if (luaL_loadstring(L, script) != 0 || lua_pcall(L, 0, 0, 0) != 0)
        check_failed(__FILE__, __LINE__, "the script failed: %s", lua_tostring(L, -1));
    CHECK_INT(lua_gettop(L), 0);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setglobal(L, name);
}

/* A state in which `db` is the database and `path` its file. */
static lua_State *new_state(const char *ident)
{
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    luaL_openlibs(L);
    set_text(L, "path", scratch_path("host.db"));
#ifdef HOST_ATTACHES
    CHECK_OK(acervo_lua_attach(L, db, ident, ident != NULL ? ACERVO_NTS : 0, NULL, 0, ERR));
    run(L, "package.cpath = ''\n"
           "db = require('acervo').default()");
#else
    CHECK(getenv("ACERVO_TEST_CPATH") != NULL);
    set_text(L, "cpath", getenv("ACERVO_TEST_CPATH"));
    if (ident != NULL)
        set_text(L, "EXEC_IDENT", ident);
    run(L, "package.cpath = cpath\n"
           "db = assert(require('acervo').open(path))");
#endif
    return L;
}

static void open_fixture(void)
{
    /* So rare a flush that only shared memory can show a registry put. */
    db = open_with(scratch_path("host.db"), FEW_FLUSHES);
    registry = registry_of(db);
}

static void close_fixture(void)
{
    acervo_kv_free(registry);
    close_database(db);
}

/* --------------------------------------------------------------------- tests */

static void c_and_lua_share_one_state(void)
{
    lua_State *L;
    open_fixture();
    put_json(registry, "from_c", "{\"list\":[1,2.5,\"x\"]}");
    L = new_state(NULL);
    run(L, "local value, when = db.registry.get('from_c')\n"
           "assert(value.list[1] == 1 and value.list[2] == 2.5 and value.list[3] == 'x')\n"
           "assert(when > 1.6e9)\n"
           "db.registry.put('from_lua', {ok = true, n = 7})\n"
           "db.registry.incr('from_c_and_lua', 2)");
    CHECK_HOLDS(registry, "from_lua", "{\"n\":7,\"ok\":true}");
    CHECK_OK(acervo_kv_incr(registry, "from_c_and_lua", ACERVO_NTS, 3, NULL, ERR));
    run(L, "assert(db.registry.get('from_c_and_lua') == 5)");
    lua_close(L);
    close_fixture();
}

static void the_store_uses_the_ident_of_the_state(void)
{
    acervo_kv *cpu, *global;
    lua_State *L;
    open_fixture();
    cpu = store_of(db, "monitor-cpu");
    global = store_of(db, NULL);
    put_int(cpu, "limit", 80);
    L = new_state("monitor-cpu");
    run(L, "assert(db.store.get('limit') == 80)\n"
           "db.store.put('seen', true)\n"
           "db.store.put_global('version', '2.5.1')");
    CHECK_HOLDS(cpu, "seen", "true");
    CHECK_HOLDS(global, "monitor-cpu:seen", "true");
    CHECK_HOLDS(global, "version", "\"2.5.1\"");
    lua_close(L);
    acervo_kv_free(cpu);
    acervo_kv_free(global);
    close_fixture();
}

static void a_failure_is_a_lua_error_and_the_state_goes_on(void)
{
    lua_State *L;
    open_fixture();
    L = new_state(NULL);
    run(L, "local ok, message = pcall(db.registry.put, '', 1)\n"
           "assert(not ok and type(message) == 'string' and message:find('put', 1, true), message)\n"
           "ok, message = pcall(db.registry.put, 'k', {f = print})\n"
           "assert(not ok and message:find('value.f', 1, true), message)\n"
           "db.registry.put('k', 1)\n"
           "assert(db.registry.get('k') == 1)");
    lua_close(L);
    close_fixture();
}

/* lua_close unloads C modules: what they hold must outlive that. */
static void closing_states_keeps_what_is_in_memory(void)
{
    open_fixture();
    for (int round = 1; round <= 5; round++) {
        lua_State *L = new_state(NULL);
        run(L, "db.registry.incr('rounds')");
        lua_close(L);
        CHECK_INT(int_of(registry, "rounds"), round);
    }
    close_fixture();
}

static void *run_in_thread(void *argument)
{
    lua_State *L = (lua_State *)argument;
    run(L, "for i = 1, 500 do\n"
           "  db.registry.incr('n')\n"
           "  db.registry.put('k' .. i % 10, {i, tostring(i)})\n"
           "  local value = db.registry.get('k' .. i % 10)\n"
           "  assert(tostring(value[1]) == value[2])\n"
           "end");
    lua_close(L);
    check_error_slot();
    return NULL;
}

static void states_on_several_threads_share_one_database(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    open_fixture();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, run_in_thread, new_state("thread")) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_INT(int_of(registry, "n"), THREADS * 500);
    close_fixture();
}

static void the_modules_work_inside_coroutines(void)
{
    lua_State *L;
    open_fixture();
    L = new_state(NULL);
    run(L, "local worker = coroutine.wrap(function()\n"
           "  for i = 1, 3 do db.registry.put('step', i) coroutine.yield(i) end\n"
           "end)\n"
           "for i = 1, 3 do assert(worker() == i) assert(db.registry.get('step') == i) end");
    lua_close(L);
    close_fixture();
}

#ifdef HOST_ATTACHES
static void attaching_registers_modules_and_sets_no_global(void)
{
    lua_State *L = luaL_newstate();
    open_fixture();
    luaL_openlibs(L);
    run(L, "before = {} for name in pairs(_G) do before[name] = true end before.before = true");
    CHECK_OK(acervo_lua_attach(L, db, "a", 1, "b", 1, ERR));
    run(L, "for name in pairs(_G) do assert(before[name], name) end\n"
           "package.cpath, package.path = '', ''\n"
           "for _, name in ipairs{'acervo', 'acervo.registry', 'acervo.store', 'acervo.errors'} do\n"
           "  assert(type(require(name)) == 'table', name)\n"
           "end");
    lua_close(L);
    close_fixture();
}

static void the_host_changes_the_ident_of_a_state(void)
{
    acervo_kv *first, *second;
    lua_State *L;
    open_fixture();
    first = store_of(db, "first");
    second = store_of(db, "second");
    L = new_state("first");
    /* What the host bound goes before the global. */
    run(L, "EXEC_IDENT = 'other' db.store.put('k', 1)");
    CHECK_OK(acervo_lua_set_ident(L, "second", ACERVO_NTS, ERR));
    run(L, "db.store.put('k', 2)");
    CHECK_HOLDS(first, "k", "1");
    CHECK_HOLDS(second, "k", "2");
    lua_close(L);
    acervo_kv_free(first);
    acervo_kv_free(second);
    close_fixture();
}

static void a_bad_attach_is_invalid_and_leaves_the_state_usable(void)
{
    char long_ident[257];
    lua_State *L = luaL_newstate();
    memset(long_ident, 'i', sizeof long_ident);
    open_fixture();
    luaL_openlibs(L);
    CHECK_FAILS(acervo_lua_attach(NULL, db, NULL, 0, NULL, 0, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_lua_attach(L, NULL, NULL, 0, NULL, 0, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_lua_attach(L, db, long_ident, 257, NULL, 0, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_lua_attach(L, db, "", 0, NULL, 0, ERR), ACERVO_INVALID, "");
    CHECK_FAILS(acervo_lua_attach_with(NULL, L, db, NULL, 0, NULL, 0, ERR), ACERVO_INVALID, "");
    CHECK_INT(lua_gettop(L), 0);
    CHECK_OK(acervo_lua_attach(L, db, NULL, 0, NULL, 0, ERR));
    run(L, "require('acervo').default().registry.put('k', 1)");
    CHECK_HOLDS(registry, "k", "1");
    lua_close(L);
    close_fixture();
}

static void an_attached_state_keeps_its_database(void)
{
    acervo *other = open_database(":memory:");
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    CHECK_OK(acervo_lua_attach(L, other, NULL, 0, NULL, 0, ERR));
    acervo_free(other);
    run(L, "local r = require('acervo').default().registry r.put('k', 1) assert(r.get('k') == 1)");
    lua_close(L);
}
#endif

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(c_and_lua_share_one_state),
        TEST(the_store_uses_the_ident_of_the_state),
        TEST(a_failure_is_a_lua_error_and_the_state_goes_on),
        TEST(closing_states_keeps_what_is_in_memory),
        TEST(states_on_several_threads_share_one_database),
        TEST(the_modules_work_inside_coroutines),
#ifdef HOST_ATTACHES
        TEST(attaching_registers_modules_and_sets_no_global),
        TEST(the_host_changes_the_ident_of_a_state),
        TEST(a_bad_attach_is_invalid_and_leaves_the_state_usable),
        TEST(an_attached_state_keeps_its_database),
#endif
    };
    return RUN_TESTS(cases, argc, argv);
}
