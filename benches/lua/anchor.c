/*
 * A registry for Lua as one would write it by hand: one mutex, open
 * addressing, values as flat bytes that are copied in and out. No expiry, no
 * file, no nesting. Also the clock of the driver.
 */
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 1 << 18, ROOM = 1024 };

struct slot {
    uint64_t hash;
    char *key, *value;
    uint32_t key_len, len, room;
};

static struct slot slots[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t hash(const char *text, size_t len) {
    uint64_t h = len * 0x9E3779B97F4A7C15u, word;
    for (; len >= 8; text += 8, len -= 8) {
        memcpy(&word, text, 8);
        h = (h ^ word) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, text, len);
    h = (h ^ word) * 0xFF51AFD7ED558CCDu;
    return (h ^ h >> 32) | 1;
}

static struct slot *find(const char *key, size_t len, uint64_t h) {
    struct slot *slot = &slots[h % SLOTS];
    while (slot->hash && !(slot->hash == h && slot->key_len == len && !memcmp(slot->key, key, len)))
        if (++slot == slots + SLOTS) slot = slots;
    return slot;
}

/* A value as a tag and its bytes; strings have their length in front. */
static char *put_scalar(lua_State *L, int at, char *out, const char *end) {
    int type = lua_type(L, at);
    *out++ = (char)type;
    if (type == LUA_TNUMBER) {
#if LUA_VERSION_NUM >= 503
        if (lua_isinteger(L, at)) {
            lua_Integer n = lua_tointeger(L, at);
            out[-1] = 100;
            memcpy(out, &n, sizeof n);
            return out + sizeof n;
        }
#endif
        lua_Number n = lua_tonumber(L, at);
        memcpy(out, &n, sizeof n);
        return out + sizeof n;
    }
    if (type == LUA_TBOOLEAN) {
        *out++ = (char)lua_toboolean(L, at);
        return out;
    }
    size_t len;
    const char *text = luaL_checklstring(L, at, &len);
    if (out + 4 + len + 16 > end) luaL_error(L, "too large");
    uint32_t short_len = (uint32_t)len;
    memcpy(out, &short_len, 4);
    memcpy(out + 4, text, len);
    return out + 4 + len;
}

static const char *push_scalar(lua_State *L, const char *in) {
    char type = *in++;
    uint32_t len;
    lua_Number n;
    switch (type) {
#if LUA_VERSION_NUM >= 503
    case 100: {
        lua_Integer i;
        memcpy(&i, in, sizeof i);
        lua_pushinteger(L, i);
        return in + sizeof i;
    }
#endif
    case LUA_TNUMBER:
        memcpy(&n, in, sizeof n);
        lua_pushnumber(L, n);
        return in + sizeof n;
    case LUA_TBOOLEAN:
        lua_pushboolean(L, *in);
        return in + 1;
    default:
        memcpy(&len, in, 4);
        lua_pushlstring(L, in + 4, len);
        return in + 4 + len;
    }
}

static int put(lua_State *L) {
    char value[ROOM], *end = value + ROOM - 16, *out = value;
    size_t key_len;
    const char *key = luaL_checklstring(L, 1, &key_len);
    if (lua_type(L, 2) == LUA_TTABLE) {
        *out++ = LUA_TTABLE;
        char *count = out++;
        *count = 0;
        lua_pushnil(L);
        while (lua_next(L, 2)) {
            out = put_scalar(L, -2, out, end);
            out = put_scalar(L, -1, out, end);
            ++*count;
            lua_pop(L, 1);
        }
    } else {
        out = put_scalar(L, 2, out, end);
    }
    uint32_t len = (uint32_t)(out - value);
    uint64_t h = hash(key, key_len);
    pthread_mutex_lock(&lock);
    struct slot *slot = find(key, key_len, h);
    if (!slot->hash) {
        slot->hash = h;
        slot->key = malloc(key_len);
        slot->key_len = (uint32_t)key_len;
        memcpy(slot->key, key, key_len);
    }
    if (slot->room < len) slot->value = realloc(slot->value, slot->room = len + 16);
    memcpy(slot->value, value, slot->len = len);
    pthread_mutex_unlock(&lock);
    return 0;
}

static int get(lua_State *L) {
    char value[ROOM];
    size_t key_len;
    const char *key = luaL_checklstring(L, 1, &key_len), *in = value;
    uint64_t h = hash(key, key_len);
    pthread_mutex_lock(&lock);
    struct slot *slot = find(key, key_len, h);
    int there = slot->hash != 0;
    if (there) memcpy(value, slot->value, slot->len);
    pthread_mutex_unlock(&lock);
    if (!there) return 0;
    if (*in != LUA_TTABLE) {
        push_scalar(L, in);
        return 1;
    }
    int count = in[1];
    in += 2;
    lua_createtable(L, 0, count);
    while (count--) {
        in = push_scalar(L, in);
        in = push_scalar(L, in);
        lua_rawset(L, -3);
    }
    return 1;
}

/* Nanoseconds that have passed: os.clock counts the threads behind, too. */
static int now(lua_State *L) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    lua_pushnumber(L, (lua_Number)time.tv_sec * 1e9 + (lua_Number)time.tv_nsec);
    return 1;
}

int luaopen_anchor(lua_State *L) {
    lua_newtable(L);
    lua_pushcfunction(L, put);
    lua_setfield(L, -2, "put");
    lua_pushcfunction(L, get);
    lua_setfield(L, -2, "get");
    lua_pushcfunction(L, now);
    lua_setfield(L, -2, "now");
    return 1;
}
