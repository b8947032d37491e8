/* A host with Lua linked statically and not exported, that does not attach:
 * nothing can be raised in its Lua, so it is told on stderr what to do. */
#include "check.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the process wrote to stderr while the script ran. */
static const char *stderr_of(lua_State *L, const char *script)
{
    static char text[4096];
    int before = dup(STDERR_FILENO);
    FILE *kept = tmpfile();
    size_t length;
    int failed;
    CHECK(before >= 0 && kept != NULL);
    fflush(stderr);
    dup2(fileno(kept), STDERR_FILENO);
    failed = luaL_dostring(L, script);
    dup2(before, STDERR_FILENO);
    close(before);
    if (failed)
        check_failed(__FILE__, __LINE__, "the script failed: %s", lua_tostring(L, -1));
    rewind(kept);
    length = fread(text, 1, sizeof text - 1, kept);
    text[length] = '\0';
    fclose(kept);
    return text;
}

static void require_without_attach_fails_clearly(void)
{
    lua_State *L = luaL_newstate();
    const char *said;
    luaL_openlibs(L);
    lua_pushstring(L, getenv("ACERVO_TEST_CPATH"));
    lua_setglobal(L, "cpath");
    said = stderr_of(L, "package.cpath = cpath\n"
                        "local ok, module = pcall(require, 'acervo')\n"
                        "assert(not ok or type(module) ~= 'table')");
    if (strstr(said, "acervo_lua.h") == NULL)
        check_failed(__FILE__, __LINE__, "stderr names no acervo_lua.h: %s", said);
    /* One line. */
    CHECK(strchr(said, '\n') == said + strlen(said) - 1);
    lua_close(L);
}

static void the_host_itself_goes_on(void)
{
    acervo *db = open_database(":memory:");
    acervo_kv *kv = registry_of(db);
    put_int(kv, "k", 1);
    CHECK_HOLDS(kv, "k", "1");
    acervo_kv_free(kv);
    close_database(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(require_without_attach_fails_clearly),
        TEST(the_host_itself_goes_on),
    };
    return RUN_TESTS(cases, argc, argv);
}
