/* The entry registry in states of a host: what scripts may decide there, whom
 * the host's policy is asked about, and handlers of scripts for what is applied
 * elsewhere. With each Lua, and in two ways: as embed.c. */
#include "entries.h"
#include "threads.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HOST_ATTACHES
#include "acervo_lua.h"
#endif
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>


static acervo *db;
static int files;

static const char *fixture_path(void)
{
    char name[32];
    snprintf(name, sizeof name, "host%d.db", files);
    return scratch_path(name);
}

/* ---------------------------------------------------------------- Lua states */

static void run(lua_State *L, const char *script)
{
    if (luaL_loadstring(L, script) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
        /* It may be an error object. */
        lua_getglobal(L, "tostring");
        lua_insert(L, -2);
        lua_pcall(L, 1, 1, 0);
        check_failed(__FILE__, __LINE__, "the script failed: %s", lua_tostring(L, -1));
    }
    CHECK_INT(lua_gettop(L), 0);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setglobal(L, name);
}

/* What scripts have besides `db`, the database, and `path`, its file. */
static const char helpers[] =
    "acervo = require('acervo')\n"
    "entries = db.entries\n"
    "function ids(list)\n"
    "  local all = {}\n"
    "  for index, entry in ipairs(assert(list)) do all[index] = entry.id end\n"
    "  return table.concat(all, ' ')\n"
    "end\n"
    "function now() return ids(entries.snapshot():entries()) end\n"
    "function equal(actual, expected)\n"
    "  if actual ~= expected then\n"
    "    error('expected ' .. tostring(expected) .. ', got ' .. tostring(actual), 2)\n"
    "  end\n"
    "end\n"
    "function denied(value, err)\n"
    "  equal(value, nil)\n"
    "  if err:kind() ~= acervo.errors.PERMISSION_DENIED then error(tostring(err), 2) end\n"
    "end\n"
    "function create(id)\n"
    "  return entries.snapshot():changes():create({id = id, kind = 'test'}):apply()\n"
    "end\n";

static lua_State *new_state_as(const char *actor)
{
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    luaL_openlibs(L);
    set_text(L, "path", fixture_path());
#ifdef HOST_ATTACHES
    CHECK_OK(acervo_lua_attach(L, db, NULL, 0, actor, actor != NULL ? ACERVO_NTS : 0, ERR));
    run(L, "package.cpath = ''\n"
           "db = require('acervo').default()");
#else
    CHECK(getenv("ACERVO_TEST_CPATH") != NULL);
    set_text(L, "cpath", getenv("ACERVO_TEST_CPATH"));
    if (actor != NULL)
        set_text(L, "actor", actor);
    run(L, "package.cpath = cpath\n"
           "db = assert(require('acervo').open({path = path, actor = actor}))");
#endif
    run(L, helpers);
    return L;
}

static lua_State *new_state(void)
{
    return new_state_as(NULL);
}

/* Each test has a file of its own. */
static void open_fixture_with(const char *options)
{
    files++;
    db = open_with(fixture_path(), options);
}

static void open_fixture(void)
{
    open_fixture_with("{}");
}

static void close_fixture(void)
{
    close_database(db);
}

/* ------------------------------------------------------------ the host's policy */

/* What it is asked is written down, as "actor action resource;". */
static char asked[4096];
static pthread_mutex_t asked_lock = PTHREAD_MUTEX_INITIALIZER;

/* Denies ids that begin with "secret", to everybody but "root"; and everything
 * else but reading to "reader". */
static bool decide(void *userdata, const char *actor, size_t actor_len, const char *action,
                   size_t action_len, const char *resource, size_t resource_len)
{
    char text[256];
    (void)userdata;
    snprintf(text, sizeof text, "%.*s %.*s %.*s;", (int)actor_len, actor, (int)action_len, action,
             (int)resource_len, resource);
    pthread_mutex_lock(&asked_lock);
    CHECK(strlen(asked) + strlen(text) < sizeof asked);
    strcat(asked, text);
    pthread_mutex_unlock(&asked_lock);
    if (actor_len == 4 && memcmp(actor, "root", 4) == 0)
        return true;
    if (resource_len == 0)
        return !(actor_len == 6 && memcmp(actor, "reader", 6) == 0);
    return resource_len < 6 || memcmp(resource, "secret", 6) != 0;
}

static void set_policy(void)
{
    asked[0] = '\0';
    CHECK_OK(acervo_set_policy(db, decide, NULL, NULL, ERR));
}

static void check_asked(const char *file, int line, const char *expected)
{
    char text[sizeof asked];
    pthread_mutex_lock(&asked_lock);
    strcpy(text, asked);
    asked[0] = '\0';
    pthread_mutex_unlock(&asked_lock);
    check_text(file, line, "what the policy was asked", text, expected);
}
#define CHECK_ASKED(expected) check_asked(__FILE__, __LINE__, expected)

static void the_policy_of_the_host_is_asked_about_the_actor_of_the_state(void)
{
    lua_State *ana, *nobody;
    open_fixture();
    set_policy();
    ana = new_state_as("ana");
    nobody = new_state();
    CHECK_ASKED("");
    run(ana, "assert(create('a:x'))");
    CHECK_ASKED("ana registry.apply ;");
    run(ana, "assert(entries.get('a:x'))");
    CHECK_ASKED("ana registry.get a:x;");
    run(nobody, "assert(entries.get('a:x'))");
    CHECK_ASKED(" registry.get a:x;");
    run(nobody, "assert(entries.apply_version(0))");
    CHECK_ASKED(" registry.apply_version ;");
    run(ana, "assert(#entries.find({}) == 0)\n"
             "assert(entries.apply_version(1))\n"
             "assert(#entries.find({}) == 1)");
    CHECK_ASKED("ana registry.apply_version ;ana registry.get a:x;");
    lua_close(ana);
    lua_close(nobody);
    close_fixture();
}

static void what_the_policy_of_the_host_hides_is_hidden_from_every_read(void)
{
    lua_State *L, *root;
    open_fixture();
    apply_create(db, "a:1", "1");
    apply_create(db, "secret:2", "2");
    apply_create(db, "z:3", "3");
    L = new_state_as("ana");
    root = new_state_as("root");
    run(L, "before = entries.snapshot()\n"
           "equal(ids(before:entries()), 'a:1 secret:2 z:3')\n"
           "feed = entries.events()\n"
           "told = {}\n"
           "subscription = entries.on('**', function(op) told[#told + 1] = op.kind .. ' ' .. op.entry.id end)");
    set_policy();
    run(L, "equal(now(), 'a:1 z:3')\n"
           "equal(ids(before:entries()), 'a:1 z:3')\n"
           "equal(ids(before:namespace('secret')), '')\n"
           "equal(ids(entries.find({}, {offset = 1})), 'z:3')\n"
           "equal(ids(entries.snapshot_at(2):entries()), 'a:1')\n"
           "equal(db:stats().entries, 2)\n"
           "denied(entries.get('secret:2'))\n"
           "denied(before:get('secret:2'))\n"
           "denied(entries.get('secret:missing'))\n"
           "denied(entries.dependents('secret:2'))\n"
           "assert(entries.snapshot():changes():delete('secret:2'):create({id = 'b:4', kind = 'k'}):apply())\n"
           "equal(table.concat(told, ', '), 'entry.create b:4')\n"
           "local kinds = {}\n"
           "while true do\n"
           "  local event = feed:next(0)\n"
           "  if not event then break end\n"
           "  kinds[#kinds + 1] = event.kind .. (event.entry and event.entry.id or '')\n"
           "end\n"
           "equal(table.concat(kinds, ' '), 'registry.begin entry.createb:4 registry.commit')\n"
           /* It would have to answer what the other state applies on this thread. */
           "subscription:cancel()");
    run(root, "assert(create('secret:5'))\n"
              "equal(now(), 'a:1 b:4 secret:5 z:3')\n"
              "equal(db:stats().entries, 4)");
    run(L, "equal(now(), 'a:1 b:4 z:3')");
    /* The host itself is not asked about, and sees everything. */
    CHECK_NOW(db, "a:1 b:4 secret:5 z:3");
    lua_close(L);
    lua_close(root);
    close_fixture();
}

static void what_the_policy_of_the_host_denies_changes_nothing(void)
{
    lua_State *L;
    open_fixture();
    apply_create(db, "a:1", "1");
    set_policy();
    L = new_state_as("reader");
    run(L, "equal(now(), 'a:1')\n"
           "denied(create('a:2'))\n"
           "denied(entries.snapshot():changes():delete('a:1'):apply({dry_run = true}))\n"
           "denied(entries.apply_version(0))\n"
           "denied(entries.prune(1))\n"
           "equal(now(), 'a:1')");
    CHECK_NOW(db, "a:1");
    CHECK_VERSIONS(db, "0 1<0");
    lua_close(L);
    close_fixture();
}

static void the_host_replaces_and_ends_its_policy(void)
{
    lua_State *L;
    open_fixture();
    apply_create(db, "a:1", "1");
    apply_create(db, "secret:2", "2");
    L = new_state_as("ana");
    set_policy();
    run(L, "snap = entries.snapshot() equal(ids(snap:entries()), 'a:1')");
    CHECK_OK(acervo_set_policy(db, NULL, NULL, NULL, ERR));
    run(L, "equal(ids(snap:entries()), 'a:1 secret:2') equal(now(), 'a:1 secret:2')");
    lua_close(L);
    close_fixture();
}

#ifdef HOST_ATTACHES
static void what_the_host_decides_is_not_for_scripts(void)
{
    static const char *const actors[] = {NULL, "ana"};
    for (size_t i = 0; i < 2; i++) {
        lua_State *L;
        acervo_entry *base;
        uint64_t version = 99;
        open_fixture();
        L = new_state_as(actors[i]);
        run(L, "local function yes() return true end\n"
               "local second = assert(acervo.open(path))\n"
               "local elsewhere = assert(acervo.open(path .. '.other'))\n"
               "for _, one in ipairs({entries, require('acervo.entries'), second.entries, elsewhere.entries}) do\n"
               "  denied(one.set_policy(yes))\n"
               "  denied(one.load_state({{id = 'b:1', kind = 'k'}}))\n"
               "  denied(one.load_state({}, 0))\n"
               "end\n"
               "for _, one in ipairs({db, second, elsewhere}) do\n"
               "  denied(one:backup(path .. '.copy'))\n"
               "end\n"
               "equal(io.open(path .. '.copy'), nil)\n"
               "denied(db:check())\n"
               "equal(assert(elsewhere:check()).ok, true)\n"
               "for _, file in ipairs({path, path .. '.other', ':memory:'}) do\n"
               "  denied(acervo.open({path = file, actor = 'root'}))\n"
               "  denied(acervo.open({path = file, actor = ''}))\n"
               "  denied(acervo.open({path = file, ident = 'other'}))\n"
               "end\n"
               "equal(now(), '')");
        /* What was refused does not count. */
        base = entry_of("b:1", "test", NULL, NULL);
        {
            const acervo_entry *list[1];
            list[0] = base;
            CHECK_OK(acervo_load_state(db, list, 1, NULL, &version, ERR));
        }
        CHECK_INT(version, 0);
        acervo_entry_free(base);
        run(L, "equal(now(), 'b:1')");
        lua_close(L);
        close_fixture();
    }
}

static void a_second_handle_of_an_attached_state_has_its_actor_and_its_policy(void)
{
    lua_State *L;
    open_fixture();
    apply_create(db, "a:1", "1");
    apply_create(db, "secret:2", "2");
    set_policy();
    L = new_state_as("ana");
    run(L, "local second = assert(acervo.open(path))\n"
           "equal(ids(second.entries.snapshot():entries()), 'a:1')\n"
           "equal(second:stats().entries, 1)\n"
           "denied(second:check())\n"
           "denied(second:backup(path .. '.copy'))");
    CHECK_ASKED("ana registry.get a:1;ana registry.get secret:2;"
                "ana registry.get a:1;ana registry.get secret:2;");
    lua_close(L);
    close_fixture();
}

static void attaching_takes_the_place_of_the_actor_before(void)
{
    lua_State *L = luaL_newstate();
    open_fixture();
    apply_create(db, "secret:2", "2");
    set_policy();
    luaL_openlibs(L);
    CHECK_OK(acervo_lua_attach(L, db, NULL, 0, "root", ACERVO_NTS, ERR));
    run(L, "package.cpath = '' db = require('acervo').default()");
    run(L, helpers);
    run(L, "snap = entries.snapshot()\n"
           "equal(ids(snap:entries()), 'secret:2')\n"
           "told = 0\n"
           "entries.on('**', function() told = told + 1 end)\n"
           "assert(create('secret:3'))\n"
           "equal(told, 1)");
    CHECK_OK(acervo_lua_attach(L, db, NULL, 0, "ana", ACERVO_NTS, ERR));
    /* Also for what the state has kept. */
    run(L, "equal(now(), '')\n"
           "denied(entries.get('secret:2'))\n"
           "equal(ids(snap:entries()), '')\n"
           "denied(snap:get('secret:2'))\n"
           "assert(create('secret:4'))\n"
           "equal(told, 1)");
    lua_close(L);
    close_fixture();
}
#else
static void the_policies_of_host_and_state_must_both_allow(void)
{
    lua_State *L;
    open_fixture();
    apply_create(db, "a:1", "1");
    apply_create(db, "b:2", "2");
    apply_create(db, "secret:3", "3");
    set_policy();
    L = new_state_as("ana");
    run(L, "assert(entries.set_policy(function(actor, action, id)\n"
           "  equal(actor, 'ana')\n"
           "  return id ~= 'b:2'\n"
           "end))\n"
           "equal(now(), 'a:1')\n"
           "denied(entries.get('b:2'))\n"
           "denied(entries.get('secret:3'))\n"
           "equal(db:stats().entries, 1)");
    /* That of the state holds there only. */
    {
        lua_State *other = new_state_as("bia");
        run(other, "equal(now(), 'a:1 b:2')");
        lua_close(other);
    }
    CHECK_OK(acervo_set_policy(db, NULL, NULL, NULL, ERR));
    run(L, "equal(now(), 'a:1 secret:3')");
    lua_close(L);
    close_fixture();
}
#endif

/* --------------------------------------------------- handlers of other threads */

typedef struct applier {
    pthread_t thread;
    const char *id;
    int32_t code; /* what apply gave */
    bool retryable;
    atomic_bool is_done;
} applier;

static void *apply_in_thread(void *argument)
{
    applier *own = (applier *)argument;
    acervo_changes *changes = changes_of(db);
    acervo_error *error = NULL;
    uint64_t version;
    queue_create(changes, own->id, "1");
    own->code = acervo_changes_apply(changes, &version, &error);
    own->retryable = error != NULL && acervo_error_retryable(error);
    acervo_error_free(error);
    acervo_changes_free(changes);
    own->is_done = true;
    check_error_slot();
    return NULL;
}

static void start_applying(applier *own, const char *id)
{
    memset(own, 0, sizeof *own);
    own->id = id;
    own->thread = start(apply_in_thread, own);
}

static void poll_answers_what_another_thread_applies(void)
{
    applier one;
    lua_State *L;
    open_fixture();
    L = new_state();
    run(L, "told = {}\n"
           "local function note(op) told[#told + 1] = op.kind .. (op.entry and ' ' .. op.entry.id or '') end\n"
           "assert(entries.on('**', function(op)\n"
           "  note(op)\n"
           "  if op.entry.id == 'a:no' then return false, 'not this one' end\n"
           "end, {begin = note, commit = note, discard = note}))");
    start_applying(&one, "a:yes");
    run(L, "local count = 0\n"
           "while count < 3 do count = count + assert(entries.poll(60)) end\n"
           "equal(count, 3)\n"
           "equal(table.concat(told, ', '), 'registry.begin, entry.create a:yes, registry.commit')\n"
           "told = {}");
    join(one.thread);
    CHECK_INT(one.code, ACERVO_OK);
    start_applying(&one, "a:no");
    run(L, "while #told < 3 do assert(entries.poll(60)) end\n"
           "equal(table.concat(told, ', '), 'registry.begin, entry.create a:no, registry.discard')");
    join(one.thread);
    CHECK_INT(one.code, ACERVO_INVALID);
    CHECK_NOW(db, "a:yes");
    lua_close(L);
    close_fixture();
}

static void a_state_that_does_not_answer_in_time_is_a_timeout(void)
{
    applier one;
    lua_State *L;
    open_fixture_with("{\"handler_timeout_ms\":50}");
    L = new_state();
    run(L, "told = 0 assert(entries.on('**', function() told = told + 1 end))");
    start_applying(&one, "a:x");
    join(one.thread);
    CHECK_INT(one.code, ACERVO_TIMEOUT);
    CHECK(one.retryable);
    CHECK_NOW(db, "");
    /* Nobody waits for it any more: it is not asked, and does not count. */
    run(L, "equal(entries.poll(0), 0) equal(told, 0)\n"
           "assert(create('a:y')) equal(told, 1)");
    CHECK_NOW(db, "a:y");
    lua_close(L);
    close_fixture();
}

static void a_state_that_is_closed_holds_nobody_up(void)
{
    applier one;
    lua_State *L;
    open_fixture_with("{\"handler_timeout_ms\":600000}");
    L = new_state();
    run(L, "assert(entries.on('**', function() return false end))");
    start_applying(&one, "a:x");
    /* Most likely it waits by now; if not, it finds no handler. */
    sleep_ms(50);
    CHECK(!one.is_done);
    lua_close(L);
    join(one.thread);
    CHECK_INT(one.code, ACERVO_OK);
    CHECK_NOW(db, "a:x");
    close_fixture();
}

static void a_state_that_waits_for_its_turn_answers_what_holds_the_turn(void)
{
    applier one;
    lua_State *L;
    open_fixture_with("{\"handler_timeout_ms\":600000}");
    L = new_state();
    run(L, "told = {}\n"
           "assert(entries.on('**', function(op) told[#told + 1] = op.entry.id end))");
    start_applying(&one, "a:theirs");
    sleep_ms(50);
    run(L, "assert(create('a:ours'))\n"
           /* It may have been late. */
           "while #told < 2 do assert(entries.poll(60)) end");
    join(one.thread);
    CHECK_INT(one.code, ACERVO_OK);
    run(L, "equal(#told, 2) table.sort(told) equal(table.concat(told, ' '), 'a:ours a:theirs')");
    CHECK_NOW(db, "a:ours a:theirs");
    lua_close(L);
    close_fixture();
}

static void cancelling_accepts_what_waits_for_the_answer(void)
{
    applier one;
    lua_State *L;
    open_fixture_with("{\"handler_timeout_ms\":600000}");
    L = new_state();
    run(L, "subscription = assert(entries.on('**', function() return false end))");
    start_applying(&one, "a:x");
    sleep_ms(50);
    CHECK(!one.is_done);
    run(L, "assert(subscription:cancel())");
    join(one.thread);
    CHECK_INT(one.code, ACERVO_OK);
    lua_close(L);
    close_fixture();
}

/* Each has handlers and applies; each answers the others while it waits. */
static void *run_in_thread(void *argument)
{
    lua_State *L = (lua_State *)argument;
    run(L, "for i = 1, 30 do assert(create(name .. ':' .. i)) end\n"
           "finished = true");
    /* The others still ask. */
    run(L, "repeat entries.poll(0.02) until #entries.snapshot():entries() == 90");
    return L;
}

static void states_on_several_threads_answer_each_other(void)
{
    enum { THREADS = 3 };
    static const char *const names[] = {"one", "two", "three"};
    pthread_t threads[THREADS];
    lua_State *states[THREADS];
    open_fixture_with("{\"handler_timeout_ms\":600000}");
    for (int i = 0; i < THREADS; i++) {
        states[i] = new_state();
        set_text(states[i], "name", names[i]);
        run(states[i], "told = 0 assert(entries.on('**', function() told = told + 1 end))");
    }
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(run_in_thread, states[i]);
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    for (int i = 0; i < THREADS; i++) {
        /* Everything was asked of everybody. */
        run(states[i], "equal(told, 90)");
        lua_close(states[i]);
    }
    CHECK_INT(head_of(db), 90);
    close_fixture();
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(the_policy_of_the_host_is_asked_about_the_actor_of_the_state),
        TEST(what_the_policy_of_the_host_hides_is_hidden_from_every_read),
        TEST(what_the_policy_of_the_host_denies_changes_nothing),
        TEST(the_host_replaces_and_ends_its_policy),
#ifdef HOST_ATTACHES
        TEST(what_the_host_decides_is_not_for_scripts),
        TEST(a_second_handle_of_an_attached_state_has_its_actor_and_its_policy),
        TEST(attaching_takes_the_place_of_the_actor_before),
#else
        TEST(the_policies_of_host_and_state_must_both_allow),
#endif
        TEST(poll_answers_what_another_thread_applies),
        TEST(a_state_that_does_not_answer_in_time_is_a_timeout),
        TEST(a_state_that_is_closed_holds_nobody_up),
        TEST(a_state_that_waits_for_its_turn_answers_what_holds_the_turn),
        TEST(cancelling_accepts_what_waits_for_the_answer),
        TEST(states_on_several_threads_answer_each_other),
    };
    return RUN_TESTS(cases, argc, argv);
}
