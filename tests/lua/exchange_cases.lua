-- The values that exchange_write.lua stores and exchange_read.lua expects.
--
-- A case is `{ name =, make =, expect =, big = }`. make(lua) gives the value that
-- a writer stores, or nothing when that Lua cannot make it, which may only be
-- where big is set. What a reader must see is expect(reader, writer), by default
-- what make gives in the reader itself. Both describe a Lua: `integers` (5.3 and
-- later), `cdata` (LuaJIT). make is only called for the Lua that runs.

local acervo = require("acervo")

local exchange = {}

local load_text = rawget(_G, "loadstring") or load

-- The Lua that runs this.
exchange.this = {
    integers = math.type ~= nil,
    cdata = rawget(_G, "jit") ~= nil,
    name = rawget(_G, "jit") and rawget(_G, "jit").version or _VERSION,
}

local huge = math.huge
local two53 = 9007199254740992

-- A float that 5.1, 5.2 and LuaJIT write as int, because it is integral.
local function integral_float(text)
    return function() return assert(load_text("return " .. text))() end,
        function(r, w)
            local value = assert(load_text("return " .. text))()
            if r.integers and not w.integers then
                return math.tointeger(value)
            end
            return value
        end
end

-- An int beyond 2^53, by its digits. 5.1 and 5.2 cannot make it, and read it as
-- big_int says.
local function big_int(digits)
    local function make(lua)
        if lua.integers then
            return math.tointeger(tonumber(digits))
        elseif lua.cdata then
            return load_text("return " .. (digits == "-9223372036854775808" and "-9223372036854775807LL - 1LL"
                or digits .. "LL"))()
        end
    end
    return make, make, digits
end

local function same(value)
    return function() return value end
end

local function case(name, make, expect, big)
    exchange[#exchange + 1] = { name = name, make = make, expect = expect or make, big = big }
end

case("true", same(true))
case("false", same(false))
case("nil", same(acervo.null), function() return nil end)
case("int 0", same(0))
case("int 42", same(42))
case("int -1", same(-1))
case("int 2^31", same(2147483648))
case("int 2^53", same(two53))
case("int -2^53", same(-two53))
case("int 2^53+1", big_int("9007199254740993"))
case("int -2^53-1", big_int("-9007199254740993"))
case("largest int", big_int("9223372036854775807"))
case("smallest int", big_int("-9223372036854775808"))
case("float 45.6", same(45.6))
case("float 3.0", integral_float("3.0"))
case("float 2^53", integral_float("2.0 ^ 53"))
case("float 2^54", same(2.0 ^ 54))
case("float 1e300", same(1e300))
case("float -0.0", same(-1 / huge))
case("float inf", same(huge))
case("float -inf", same(-huge))
case("float nan", same(huge - huge))
case("smallest float", same(4.9406564584124654e-324))
case("empty string", same(""))
case("UTF-8", same("configura\195\167\195\163o \240\159\166\138"))
case("Latin-1", same("configura\231\227o"))
case("NUL", same("a\0b\0"))
case("long string", same(string.rep("0123456789", 10000)))
case("empty map", function() return {} end)
case("empty array", function() return acervo.array({}) end)
case("array", function() return { 1, "two", true, 2.5, acervo.null, { 3 } } end)
case("map", function()
    return { timeout = 30, alertas = true, nome = "x", ratio = 0.5, nothing = acervo.null, inner = { list = { 1, 2 } } }
end)
case("mixed keys", function() return { 10, 20, x = 1, [true] = "t", [false] = "f", [1.5] = "float", [-7] = "int" } end)
case("sparse", function() return { [1] = "a", [3] = "c" } end)
case("keys 1 and \"1\"", function() return { [1] = "int", ["1"] = "string", x = 0 } end)
case("empty inside", function() return { {}, acervo.array({}), m = {}, a = acervo.array({}) } end)
case("deep", function()
    local value = "bottom"
    for _ = 1, 64 do
        value = { { k = value } }
    end
    return value
end)

-- The entry registry with put and get: a key is an entry, whose data is the
-- value. The timestamp is that of the version.
local function entries_of(db)
    local entries = db.entries
    local kv = {}

    -- Ids hold no control bytes and are shorter than keys may be.
    local function id_of(key)
        key = #key > 400 and key:sub(1, 100) .. #key or key
        return "exchange:" .. key:gsub("[%c%%]", function(c) return string.format("%%%02x", c:byte()) end)
    end

    function kv.put(key, value)
        local snap = assert(entries.snapshot())
        local call = snap:get(id_of(key)) and "update" or "create"
        local changes = assert(snap:changes())
        assert(changes[call](changes, { id = id_of(key), kind = "case", data = value }))
        assert(changes:apply())
    end

    function kv.get(key)
        local entry, err = entries.get(id_of(key))
        if not entry then
            error(tostring(err), 0)
        end
        return entry.data, assert(entries.current_version()):time()
    end

    return kv
end

-- Where each case is written: registry, two idents, global store keys, entries.
exchange.places = {
    { name = "registry", of = function(db) return db.registry, "" end },
    { name = "store", of = function(db) return db:namespace("exchange"), "" end },
    { name = "store of a strange ident", of = function(db) return db:namespace("a:b%c \255"), "" end },
    { name = "global store", of = function(db) return db.store, "_global" end },
    { name = "entries", of = function(db) return entries_of(db), "" end },
}

-- Keys that are hard in themselves; their value is their number.
exchange.keys = { "plain", "with space", "a:b", "%", "a\0b", "\255\254", string.rep("k", 1024) }

return exchange
