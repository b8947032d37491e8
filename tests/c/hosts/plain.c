/* A host without Lua. Run under LD_BIND_NOW=1: every symbol must be there. */
#include "check.h"

#include <dlfcn.h>
#include <stdio.h>

static void a_host_without_lua_reads_what_it_put(void)
{
    acervo *db = open_database(scratch_path("plain.db"));
    acervo_kv *registry = registry_of(db), *store = store_of(db, "plain");
    put_json(registry, "k", "[1,2.5,\"x\"]");
    put_json(store, "k", "{\"a\":null}");
    CHECK_HOLDS(registry, "k", "[1,2.5,\"x\"]");
    CHECK_HOLDS(store, "k", "{\"a\":null}");
    acervo_kv_free(registry);
    acervo_kv_free(store);
    close_database(db);
}

static void no_lua_is_in_this_process(void)
{
    CHECK(dlsym(RTLD_DEFAULT, "lua_gettop") == NULL);
    CHECK(dlsym(RTLD_DEFAULT, "luaopen_acervo") != NULL);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_host_without_lua_reads_what_it_put),
        TEST(no_lua_is_in_this_process),
    };
    return RUN_TESTS(cases, argc, argv);
}
