/* The life of Lua states in a host: ended with everything alive, on other
 * threads than they were made on, and in a forked child. */
#include "entries.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "acervo_lua.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(lua_State *L, const char *chunk)
{
    if (luaL_loadstring(L, chunk) != 0 || lua_pcall(L, 0, 0, 0) != 0)
        check_failed(__FILE__, __LINE__, "%s", lua_tostring(L, -1));
}

static lua_State *attached(acervo *db)
{
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    luaL_openlibs(L);
    CHECK_OK(acervo_lua_attach(L, db, "life", ACERVO_NTS, NULL, 0, ERR));
    run(L, "acervo = require('acervo'); acervo.install(); entries = require('registry')");
    return L;
}

/* Everything there is, alive and in use, coroutines in the middle of it. */
static const char everything[] =
    "n = (n or 0) + 1\n"
    "own = assert(acervo.open(':memory:'))\n"
    "second = acervo.default()\n"
    "snap = entries.snapshot(); changes = snap:changes(); history = entries.history()\n"
    "changes:create({id = 'a:' .. tostring(changes):gsub('%W', ''), kind = 'k'})\n"
    "feed = assert(entries.events())\n"
    "sub = assert(entries.on('**', function() return true end, {begin = function() end}))\n"
    "own_sub = assert(own.entries.on('**', function() end))\n"
    "walks = {}\n"
    "for i = 1, 5 do store.put('k' .. i, i); registry.put('k' .. i, i) end\n"
    "for i = 1, 5 do\n"
    "  walks[i] = coroutine.create(function()\n"
    "    for key, value in store.pairs() do coroutine.yield(key) end\n"
    "  end)\n"
    "  assert(coroutine.resume(walks[i]))\n"
    "end\n"
    "stuck = coroutine.create(function()\n"
    "  store.update('k1', function(v) return v end)\n"
    "  local s = entries.snapshot()\n"
    "  coroutine.yield(s)\n"
    "end)\n"
    "assert(coroutine.resume(stuck))\n"
    "err = select(2, acervo.open('/no/such/directory/x.db'))\n"
    /* What runs at the end uses what may be gone. */
    "if newproxy then\n"
    "  last = newproxy(true)\n"
    "  getmetatable(last).__gc = function() pcall(store.put, 'late', 1); pcall(snap.entries, snap) end\n"
    "else\n"
    "  last = setmetatable({}, {__gc = function() pcall(store.put, 'late', 1); pcall(snap.entries, snap) end})\n"
    "end\n";

static void a_state_ends_with_everything_alive(void)
{
    acervo *db = open_with(scratch_path("alive.db"), "{\"durability\": \"off\"}");
    for (int round = 0; round < 20; round++) {
        lua_State *L = attached(db);
        run(L, everything);
        if (round % 2 == 1)
            CHECK_OK(acervo_lua_attach(L, db, NULL, 0, NULL, 0, ERR));
        lua_close(L);
        /* Its handlers went with it: nobody is waited for. */
        {
            char id[32];
            snprintf(id, sizeof id, "b:%d", round);
            apply_create(db, id, "1");
        }
    }
    close_database(db);
}

static void a_state_goes_on_and_ends_after_the_host_has_closed_the_database(void)
{
    acervo *db = open_with(scratch_path("closed.db"), "{\"durability\": \"off\"}");
    lua_State *L = attached(db);
    run(L, everything);
    CHECK_OK(acervo_close(db, ERR));
    acervo_free(db);
    run(L, "local ok, why = pcall(store.put, 'k', 1)\n"
           "assert(not ok and why:find('closed'), why)\n"
           "local done, err = changes:apply()\n"
           "assert(not done and tostring(err):find('closed'), tostring(err))\n"
           "assert(snap:entries())\n"
           "assert(own.store.put == own.store.put)");
    lua_close(L);
}

static void *close_state(void *L)
{
    lua_close((lua_State *)L);
    return NULL;
}

static void *use_state(void *L)
{
    run((lua_State *)L, "store.incr('turns')\n"
                        "assert(entries.snapshot():changes():create({id = 'c:' .. store.get('turns'), kind = 'k'}):apply())");
    return NULL;
}

static void on_thread(void *(*body)(void *), lua_State *L)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, L) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void a_state_may_be_used_and_closed_by_other_threads_than_made_it(void)
{
    acervo *db = open_with(scratch_path("threads.db"), "{\"durability\": \"off\"}");
    for (int round = 0; round < 10; round++) {
        lua_State *L = attached(db);
        run(L, everything);
        on_thread(use_state, L);
        on_thread(use_state, L);
        on_thread(close_state, L);
    }
    {
        acervo_kv *kv = store_of(db, "life");
        CHECK_INT(int_of(kv, "turns"), 20);
        acervo_kv_free(kv);
    }
    close_database(db);
}

static void a_forked_child_is_told_and_may_open_anew(void)
{
    const char *path = scratch_path("fork.db");
    acervo *db = open_with(path, "{\"durability\": \"normal\", \"flush_interval_ms\": 1}");
    lua_State *L = attached(db);
    run(L, everything);
    lua_pushstring(L, path);
    lua_setglobal(L, "path");
    for (int round = 0; round < 10; round++) {
        pid_t child;
        run(L, "store.put('round', (store.get('round') or 0) + 1); registry.put('r', 1)");
        fflush(NULL);
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(30);
            run(L, "local ok, why = pcall(store.put, 'k', 1)\n"
                   "assert(not ok and why:find('fork'), why)\n"
                   "local done, err = entries.snapshot()\n"
                   "assert(not done and tostring(err):find('fork'), tostring(err))\n"
                   "assert(snap:entries())\n"
                   "local mine = assert(acervo.open(path))\n"
                   "mine:namespace('life')");
            _exit(0);
        }
        CHECK(waitpid(child, NULL, 0) == child);
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            /* The state of the child ends there; the parent's goes on. */
            alarm(30);
            lua_close(L);
            acervo_free(db);
            db = open_with(path, "{\"durability\": \"normal\"}");
            L = attached(db);
            run(L, "store.incr('children')");
            lua_close(L);
            close_database(db);
            _exit(0);
        }
        CHECK_CHILD(child);
    }
    run(L, "assert(store.get('children') == 10, store.get('children'))");
    lua_close(L);
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_state_ends_with_everything_alive),
        TEST(a_state_goes_on_and_ends_after_the_host_has_closed_the_database),
        TEST(a_state_may_be_used_and_closed_by_other_threads_than_made_it),
        TEST(a_forked_child_is_told_and_may_open_anew),
    };
    return RUN_TESTS(cases, argc, argv);
}
