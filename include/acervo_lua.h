/**
 * acervo_lua.h: acervo in a program that embeds Lua.
 *
 * The functions here are compiled in the host, against the host's own lua.h,
 * and hand the library the addresses of the host's own Lua functions. They
 * work with Lua 5.1 to 5.5 and LuaJIT, linked as a shared library or
 * statically, exported or not. A host whose Lua scripts call
 * `require "acervo"` through package.cpath needs this header only if its Lua is
 * linked statically and not exported.
 *
 * A Lua state, with all its coroutines, is used by one thread at a time, and
 * its calls nest: a host that switches between machine stacks inside a call
 * (fibers) gives each stack a state of its own.
 *
 * A C++ host whose Lua was compiled as C++ includes its own Lua headers before
 * this one; in any other C++ host they are included here as C.
 */
#ifndef ACERVO_LUA_H
#define ACERVO_LUA_H

#include "acervo.h"

#include <string.h>

#if !defined(LUA_VERSION_NUM) || !defined(lauxlib_h)
#ifdef __cplusplus
extern "C" {
#endif
#include <lauxlib.h>
#include <lua.h>
#ifdef __cplusplus
}
#endif
#endif

#if LUA_VERSION_NUM < 501 || LUA_VERSION_NUM > 505
#error "acervo_lua.h knows Lua 5.1 to 5.5 and LuaJIT"
#endif

/* LuaJIT calls itself Lua 5.1; its luaconf.h alone names a directory so. The
 * entry point of its jit library is what tells the two apart at run time. */
#if LUA_VERSION_NUM == 501 && defined(LUA_LJDIR)
#define ACERVO_LUA_IS_LUAJIT_
#ifdef __cplusplus
extern "C" {
#endif
LUA_API int luaopen_jit(lua_State *L);
#ifdef __cplusplus
}
#endif
#endif

/* Every name below is a real function, not a macro, in the versions it is
 * listed for. */
#define ACERVO_LUA_ALL_VERSIONS_(X)                                                              \
    X(lua_checkstack) X(lua_concat) X(lua_createtable) X(lua_error) X(lua_gc) X(lua_getfield)    \
    X(lua_gethook) X(lua_gethookcount) X(lua_gethookmask) X(lua_getinfo) X(lua_getlocal)         \
    X(lua_getmetatable) X(lua_getstack) X(lua_gettable) X(lua_gettop) X(lua_getupvalue)          \
    X(lua_iscfunction) X(lua_isnumber) X(lua_isstring) X(lua_isuserdata) X(lua_load)             \
    X(lua_newthread) X(lua_next) X(lua_pushboolean) X(lua_pushcclosure) X(lua_pushfstring)       \
    X(lua_pushinteger) X(lua_pushlightuserdata) X(lua_pushlstring) X(lua_pushnil)                \
    X(lua_pushnumber) X(lua_pushstring) X(lua_pushthread) X(lua_pushvalue) X(lua_pushvfstring)   \
    X(lua_rawequal) X(lua_rawget) X(lua_rawgeti) X(lua_rawset) X(lua_rawseti) X(lua_resume)      \
    X(lua_setfield) X(lua_sethook) X(lua_setlocal) X(lua_setmetatable) X(lua_settable)           \
    X(lua_settop) X(lua_setupvalue) X(lua_status) X(lua_toboolean) X(lua_tocfunction)            \
    X(lua_tolstring) X(lua_topointer) X(lua_tothread) X(lua_touserdata) X(lua_type)              \
    X(lua_typename) X(lua_xmove)                                                                 \
    X(luaL_addlstring) X(luaL_addstring) X(luaL_addvalue) X(luaL_argerror) X(luaL_buffinit)      \
    X(luaL_callmeta) X(luaL_checkany) X(luaL_checkinteger) X(luaL_checklstring)                  \
    X(luaL_checknumber) X(luaL_checkoption) X(luaL_checkstack) X(luaL_checktype)                 \
    X(luaL_checkudata) X(luaL_error) X(luaL_getmetafield) X(luaL_gsub) X(luaL_loadstring)        \
    X(luaL_newmetatable) X(luaL_optinteger) X(luaL_optlstring) X(luaL_optnumber)                 \
    X(luaL_pushresult) X(luaL_ref) X(luaL_unref) X(luaL_where)

#if LUA_VERSION_NUM == 501
#define ACERVO_LUA_CALLS_(X)                                                                     \
    X(lua_call) X(lua_cpcall) X(lua_equal) X(lua_getfenv) X(lua_lessthan) X(lua_objlen)          \
    X(lua_pcall) X(lua_setfenv) X(lua_tointeger) X(lua_tonumber) X(lua_yield)                    \
    X(luaL_loadbuffer) X(luaL_loadfile) X(luaL_register)
#else
#define ACERVO_LUA_CALLS_(X)                                                                     \
    X(lua_absindex) X(lua_arith) X(lua_callk) X(lua_compare) X(lua_copy) X(lua_getglobal)        \
    X(lua_len) X(lua_pcallk) X(lua_rawgetp) X(lua_rawlen) X(lua_rawsetp) X(lua_setglobal)        \
    X(lua_tointegerx) X(lua_tonumberx) X(lua_upvalueid) X(lua_version) X(lua_yieldk)             \
    X(luaL_checkversion_) X(luaL_getsubtable) X(luaL_len) X(luaL_loadbufferx)                    \
    X(luaL_loadfilex) X(luaL_requiref) X(luaL_setfuncs) X(luaL_setmetatable)                     \
    X(luaL_testudata) X(luaL_tolstring) X(luaL_traceback)
#endif

#if LUA_VERSION_NUM < 503
#define ACERVO_LUA_STACK_(X) X(lua_insert) X(lua_remove) X(lua_replace)
#else
#define ACERVO_LUA_STACK_(X)                                                                     \
    X(lua_geti) X(lua_isinteger) X(lua_isyieldable) X(lua_rotate) X(lua_seti)                    \
    X(lua_stringtonumber)
#endif

#if LUA_VERSION_NUM < 504
#define ACERVO_LUA_USERDATA_(X) X(lua_newuserdata)
#else
#define ACERVO_LUA_USERDATA_(X)                                                                  \
    X(lua_getiuservalue) X(lua_newuserdatauv) X(lua_setiuservalue) X(lua_toclose)                \
    X(lua_warning)
#endif

#if LUA_VERSION_NUM == 502 || LUA_VERSION_NUM == 503
#define ACERVO_LUA_USERVALUE_(X) X(lua_getuservalue) X(lua_setuservalue)
#else
#define ACERVO_LUA_USERVALUE_(X)
#endif

#ifdef ACERVO_LUA_IS_LUAJIT_
#define ACERVO_LUA_JIT_(X) X(luaL_traceback) X(luaopen_jit)
#else
#define ACERVO_LUA_JIT_(X)
#endif

#define ACERVO_LUA_FUNCTIONS_(X)                                                                 \
    ACERVO_LUA_ALL_VERSIONS_(X)                                                                  \
    ACERVO_LUA_CALLS_(X)                                                                         \
    ACERVO_LUA_STACK_(X)                                                                         \
    ACERVO_LUA_USERDATA_(X)                                                                      \
    ACERVO_LUA_USERVALUE_(X)                                                                     \
    ACERVO_LUA_JIT_(X)

#define ACERVO_LUA_ONE_(name) +1
enum { ACERVO_LUA_COUNT_ = 0 ACERVO_LUA_FUNCTIONS_(ACERVO_LUA_ONE_) };
#undef ACERVO_LUA_ONE_

typedef void (*acervo_lua_function_)(void);

/* Room for the host's table; it lives on the stack of the inline functions, the
 * library copies what it needs. */
typedef struct acervo_lua_table_ {
    acervo_lua_api api;
    const char *names[ACERVO_LUA_COUNT_];
    void *functions[ACERVO_LUA_COUNT_];
} acervo_lua_table_;

/* ISO C and C++ give no cast from a function pointer to void *. */
static inline void acervo_lua_add_(acervo_lua_table_ *table, const char *name,
                                   acervo_lua_function_ function)
{
    table->names[table->api.count] = name;
    memcpy(&table->functions[table->api.count], &function, sizeof function);
    table->api.count++;
}

static inline const acervo_lua_api *acervo_lua_fill_(acervo_lua_table_ *table)
{
    table->api.size = (uint32_t)sizeof table->api;
    table->api.lua_version_num = LUA_VERSION_NUM;
    table->api.count = 0;
    table->api.names = table->names;
    table->api.functions = table->functions;
#define ACERVO_LUA_ADD_(name) acervo_lua_add_(table, #name, (acervo_lua_function_)(name));
    ACERVO_LUA_FUNCTIONS_(ACERVO_LUA_ADD_)
#undef ACERVO_LUA_ADD_
    return &table->api;
}

/**
 * Makes acervo's modules available in a Lua state and binds the state to `db`.
 *
 * Registers `acervo` and its submodules in package.preload, so that
 * `require "acervo"` needs no file; no global is set. In this state
 * `acervo.default()`, `acervo.registry` and `acervo.store` use `db`.
 *
 * @param L         the state; the standard library `package` is open in it.
 * @param db        copied: the state holds a reference of its own until it is
 *                  closed.
 * @param ident     copied; the name that prefixes the keys of `acervo.store` in
 *                  this state. NULL with length 0: not bound, the ident is
 *                  looked up as in a stock interpreter.
 * @param actor     copied; on whose behalf the state acts. NULL with length 0:
 *                  not bound.
 * @param err       set on failure, owned, may be NULL.
 * @return ACERVO_OK; ACERVO_INVALID for a bad argument, an ident outside 1 to
 *         256 bytes or a Lua whose functions do not fit; ACERVO_UNAVAILABLE or
 *         ACERVO_INTERNAL as acervo_lua_attach_with gives them.
 *
 * Threads: one at a time on a state; several states on several threads may
 * share one `db`.
 */
static inline int32_t acervo_lua_attach(lua_State *L, acervo *db, const char *ident,
                                        size_t ident_len, const char *actor, size_t actor_len,
                                        acervo_error **err)
{
    acervo_lua_table_ table;
    return acervo_lua_attach_with(acervo_lua_fill_(&table), L, db, ident, ident_len, actor,
                                  actor_len, err);
}

/**
 * Changes the ident that the host bound to a Lua state; holds from the next
 * call of a store function in it on.
 *
 * @param L         a state that acervo_lua_attach was called on.
 * @param ident     copied. NULL with length 0: no longer bound.
 * @param err       set on failure, owned, may be NULL.
 * @return ACERVO_OK, or ACERVO_INVALID for a bad argument, an ident outside 1
 *         to 256 bytes or a state that is not attached.
 *
 * Threads: one at a time on a state.
 */
static inline int32_t acervo_lua_set_ident(lua_State *L, const char *ident, size_t ident_len,
                                           acervo_error **err)
{
    acervo_lua_table_ table;
    return acervo_lua_set_ident_with(acervo_lua_fill_(&table), L, ident, ident_len, err);
}

#endif /* ACERVO_LUA_H */
