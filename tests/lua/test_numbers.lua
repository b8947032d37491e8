-- Ints and floats: both survive, in every Lua as far as that Lua can tell.
local t = ...
local acervo = require("acervo")

local function round_trips(name, make)
    t.each_namespaced(name .. " comes back as it went in", function(kv)
        local value = make()
        kv.put("k", value)
        t.equal(kv.get("k"), value)
        kv.put("k", { value, inner = { value } })
        t.equal(kv.get("k"), { value, inner = { value } })
    end)
end

round_trips("0", function() return 0 end)
round_trips("a float with a fraction", function() return 45.6 end)
round_trips("the largest float", function() return 1.7976931348623157e308 end)
round_trips("the smallest float", function() return 4.9406564584124654e-324 end)
round_trips("-0.0", function() return t.minus_zero end)
round_trips("NaN", function() return t.nan end)
round_trips("infinity", function() return t.huge end)
round_trips("minus infinity", function() return -t.huge end)
round_trips("2^53", function() return t.two53 end)
round_trips("-2^53", function() return -t.two53 end)
round_trips("2^53 - 1", function() return t.two53 - 1 end)
round_trips("2^53 + 2", function() return t.two53 + 2 end)
round_trips("2^63 as float", function() return 2.0 ^ 63 end)
round_trips("-2^63 as float", function() return -(2.0 ^ 63) end)
round_trips("2^64 as float", function() return 2.0 ^ 64 end)
round_trips("ints at the length borders of the encoding", function()
    local all = {}
    for _, n in ipairs({ 127, 128, 255, 256, 65535, 65536, 2147483647, 2147483648, 4294967295,
        4294967296, -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649 }) do
        all[#all + 1] = n
    end
    return all
end)

if t.subtypes then
    round_trips("3 the integer", function() return 3 end)
    round_trips("3.0 the float", function() return 3.0 end)
    round_trips("0.0 the float", function() return 0.0 end)
    round_trips("2^53 the float", function() return 2.0 ^ 53 end)
    round_trips("2^53 + 1", function() return t.two53 + 1 end)
    round_trips("the largest integer", function() return math.maxinteger end)
    round_trips("the smallest integer", function() return math.mininteger end)
    round_trips("the largest integer as a key", function() return { [math.maxinteger] = 1, [math.mininteger] = 2 } end)

    t.test("an integral float key reads back as the integer key that Lua makes of it", function()
        local value = acervo.from_msgpack("\129\203\064\008\000\000\000\000\000\000\161x")
        t.equal(value, { [3] = "x" })
    end)

    t.test("an int and a float keep their types through MessagePack", function()
        t.equal(acervo.to_msgpack(3), "\003")
        t.equal(acervo.to_msgpack(3.0), "\203\064\008\000\000\000\000\000\000")
    end)
else
    t.test("an integral number is an int", function()
        t.equal(acervo.to_msgpack(3), "\003")
        t.equal(acervo.to_msgpack(-1), "\255")
        t.equal(acervo.to_msgpack(0), "\000")
    end)

    t.test("an integral number of magnitude 2^53 is an int, beyond it is a float", function()
        t.equal(acervo.to_msgpack(t.two53), "\207\000\032\000\000\000\000\000\000")
        t.equal(acervo.to_msgpack(-t.two53), "\211\255\224\000\000\000\000\000\000")
        t.equal(acervo.to_msgpack(t.two53 + 2), "\203\067\064\000\000\000\000\000\001")
        t.equal(acervo.to_msgpack(-t.two53 - 2), "\203\195\064\000\000\000\000\000\001")
    end)
end

t.test("-0.0 is a float in every Lua", function()
    t.equal(acervo.to_msgpack(t.minus_zero), "\203\128\000\000\000\000\000\000\000")
end)

---------------------------------------------------------------------------
-- Ints beyond 2^53

-- A stored 2^53 + 1 that any Lua can make: incr on a handle that can show it.
local function with_big_int(options)
    local maker, path = t.open({ big_int = "string" })
    maker.registry.put("high-key", t.two53)
    maker.registry.incr("high-key")
    maker.registry.put("low-key", -t.two53)
    maker.registry.incr("low-key", -1)
    local given = { path = path }
    for k, v in pairs(options) do
        given[k] = v
    end
    return t.open(given), path
end

if t.subtypes then
    t.test("big_int changes nothing where Lua has integers", function()
        for _, mode in ipairs({ "error", "float", "string" }) do
            local db = with_big_int({ big_int = mode })
            t.equal(db.registry.get("high-key"), t.two53 + 1)
            t.equal(db.registry.get("low-key"), -t.two53 - 1)
        end
    end)
elseif t.jit then
    local int64 = require("ffi").typeof("int64_t")

    t.test("an int beyond 2^53 reads as an int64 cdata", function()
        local db = with_big_int({})
        local back = db.registry.get("high-key")
        t.equal(type(back), "cdata")
        t.equal(tostring(back), "9007199254740993LL")
        t.equal(tostring(db.registry.get("low-key")), "-9007199254740993LL")
    end)

    t.test("an int up to 2^53 reads as a number", function()
        local db = t.open()
        db.store.put("k", int64(5))
        t.equal(db.store.get("k"), 5)
        db.store.put("k", int64(t.two53))
        t.equal(db.store.get("k"), t.two53)
        db.store.put("k", int64(-t.two53))
        t.equal(db.store.get("k"), -t.two53)
    end)

    t.test("int64 cdata round trips over the whole range", function()
        local db = t.open()
        for _, text in ipairs({ "9223372036854775807LL", "-9223372036854775807LL - 1LL",
            "9007199254740993LL", "-9007199254740993LL" }) do
            local value = t.load_text("return " .. text)()
            db.store.put("k", { value })
            t.equal(db.store.get("k")[1], value)
        end
    end)

    t.test("a uint64 cdata that fits is an int", function()
        local db = t.open()
        db.store.put("k", t.load_text("return 7ULL")())
        t.equal(db.store.get("k"), 7)
        db.store.put("k", t.load_text("return 9223372036854775807ULL")())
        t.equal(tostring(db.store.get("k")), "9223372036854775807LL")
    end)

    t.test("a uint64 cdata that does not fit is refused with its path", function()
        local db = t.open()
        local value = t.load_text("return 9223372036854775808ULL")()
        t.raises(function() db.store.put("k", { x = value }) end, "store.put: ", "value.x: ")
        t.equal(db.store.get("k"), nil)
    end)

    t.test("other cdata is refused with its path", function()
        local ffi = require("ffi")
        local db = t.open()
        for _, value in ipairs({ ffi.new("int[2]"), ffi.new("float", 1), ffi.new("int32_t", 1),
            ffi.typeof("int"), ffi.cast("void *", 0), ffi.new("struct { int a; }") }) do
            t.raises(function() db.store.put("k", { x = value }) end, "store.put: ", "value.x: ",
                "cannot be stored")
        end
        t.equal(db.store.count(), 0)
    end)

    t.test("int64 cdata goes through JSON and MessagePack", function()
        local value = t.load_text("return 9223372036854775807LL")()
        t.equal(acervo.to_json({ value }), "[9223372036854775807]")
        t.equal(acervo.from_json("[9223372036854775807]"), { value })
        t.equal(acervo.to_msgpack(value), "\207\127\255\255\255\255\255\255\255")
        t.equal(acervo.from_msgpack("\207\127\255\255\255\255\255\255\255"), value)
    end)

    t.test("incr takes and gives int64 cdata", function()
        local db = t.open()
        db.store.put("k", t.two53)
        t.equal(tostring(db.store.incr("k", int64(2))), "9007199254740994LL")
    end)
else
    t.test("an int beyond 2^53 is an error that names the key by default", function()
        local db = with_big_int({})
        t.raises(function() db.registry.get("high-key") end, "registry.get: ", "high-key")
        t.raises(function() db.registry.get("low-key") end, "registry.get: ", "low-key")
    end)

    t.test("big_int = \"error\" is the default", function()
        local db = with_big_int({ big_int = "error" })
        t.raises(function() db.registry.get("high-key") end, "registry.get: ", "high-key")
    end)

    t.test("big_int = \"float\" gives the nearest float", function()
        local db = with_big_int({ big_int = "float" })
        t.equal(db.registry.get("high-key"), t.two53)
        t.equal(db.registry.get("low-key"), -t.two53)
    end)

    t.test("big_int = \"string\" gives the digits", function()
        local db = with_big_int({ big_int = "string" })
        t.equal(db.registry.get("high-key"), "9007199254740993")
        t.equal(db.registry.get("low-key"), "-9007199254740993")
    end)

    t.test("the root functions give an error for an int beyond 2^53", function()
        local value, err = acervo.from_json("[9007199254740993]")
        t.equal(value, nil)
        t.equal(type(err), "userdata")
        value, err = acervo.from_msgpack("\207\127\255\255\255\255\255\255\255")
        t.equal(value, nil)
        t.equal(type(err), "userdata")
    end)

    t.test("an int of exactly 2^53 is no big int", function()
        t.equal(acervo.from_json("[9007199254740992,-9007199254740992]"), { t.two53, -t.two53 })
    end)
end

---------------------------------------------------------------------------
-- Equality by exact value, seen through cas

t.each_namespaced("an int equals the float of the same value", function(kv)
    kv.put("k", 3)
    t.equal(kv.cas("k", acervo.from_json("3.0"), "a"), true)
    kv.put("k", acervo.from_json("3.0"))
    t.equal(kv.cas("k", 3, "b"), true)
    t.equal(kv.get("k"), "b")
end)

t.each_namespaced("NaN equals NaN", function(kv)
    kv.put("k", { t.nan })
    t.equal(kv.cas("k", { t.nan }, "a"), true)
end)

t.each_namespaced("0 equals -0.0", function(kv)
    kv.put("k", 0)
    t.equal(kv.cas("k", t.minus_zero, "a"), true)
end)

if t.subtypes then
    t.each_namespaced("2^53 + 1 does not equal the float 2^53", function(kv)
        kv.put("k", t.two53 + 1)
        t.equal(kv.cas("k", 2.0 ^ 53, "a"), false)
        kv.put("k", math.maxinteger)
        t.equal(kv.cas("k", 2.0 ^ 63, "a"), false)
        t.equal(kv.get("k"), math.maxinteger)
    end)
end

t.each_namespaced("a number equals no string and no bool", function(kv)
    kv.put("k", 1)
    t.equal(kv.cas("k", "1", "a"), false)
    t.equal(kv.cas("k", true, "a"), false)
    t.equal(kv.get("k"), 1)
end)

t.each_namespaced("arrays are equal in order, maps in any", function(kv)
    kv.put("k", { 1, 2 })
    t.equal(kv.cas("k", { 2, 1 }, "a"), false)
    t.equal(kv.cas("k", { 1, 2 }, "a"), true)
    local one, two = {}, {}
    for index = 1, 50 do
        one["k" .. index] = index
        two["k" .. 51 - index] = 51 - index
    end
    kv.put("k", one)
    t.equal(kv.cas("k", two, "b"), true)
end)

t.each_namespaced("an empty array does not equal an empty map", function(kv)
    kv.put("k", {})
    t.equal(kv.cas("k", acervo.array({}), "a"), false)
    t.equal(kv.cas("k", {}, "a"), true)
end)

if not t.subtypes and not t.jit then
    -- {[2^53 + 1] = 1, [2^53 + 3] = 2} and {[2^53 + 1] = 1, [2^53 as float] = 2}
    local apart = "\130\207\0\32\0\0\0\0\0\1\1\207\0\32\0\0\0\0\0\3\2"
    local merging = "\130\207\0\32\0\0\0\0\0\0\1\207\0\32\0\0\0\0\0\1\2"

    t.test("integer keys that big_int would merge are refused", function()
        local db = t.open({ big_int = "float" })
        t.fails("INVALID", { db:from_msgpack(merging) }, "9007199254740993", "big_int")
        t.ok(db:from_msgpack(apart))
        local texts = t.open({ big_int = "string" })
        t.ok(texts:from_msgpack(merging))
        t.fails("INVALID", { texts:from_msgpack(
            "\130\207\0\32\0\0\0\0\0\1\1\176" .. "9007199254740993" .. "\2") }, "9007199254740993")
        t.fails("INVALID", { texts:from_msgpack(
            "\130\176" .. "9007199254740993" .. "\1\207\0\32\0\0\0\0\0\1\2") }, "9007199254740993")
    end)
elseif t.jit then
    t.test("a reference to a 64-bit integer is refused", function()
        local ffi = require("ffi")
        local db = t.open()
        for _, name in ipairs({ "int64_t", "uint64_t" }) do
            local cell = ffi.new(name .. "[1]", 7)
            local reference = ffi.cast(name .. "&", cell)
            t.raises(function() db.store.put("k", reference) end, "a cdata other than")
            t.raises(function() db.store.put("k", { reference }) end, "a cdata other than")
            db.store.put("k", cell[0])
            t.equal(db.store.get("k"), 7)
        end
    end)
end
