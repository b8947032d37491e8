-- Every type of value goes in and comes back as it was.
local t = ...
local acervo = require("acervo")

local function round_trips(name, make)
    t.each_namespaced(name .. " comes back as it went in", function(kv)
        local value = make()
        kv.put("k", value)
        local back, timestamp = kv.get("k")
        t.equal(back, make())
        t.ok(timestamp, "no timestamp")
    end)
end

round_trips("true", function() return true end)
round_trips("false", function() return false end)
round_trips("nil", function() return nil end)
round_trips("an empty string", function() return "" end)
round_trips("a UTF-8 string", function() return "configura\195\167\195\163o \240\159\166\138" end)
round_trips("a string that is not UTF-8", function() return "\255\254\128 latin \231\227o" end)
round_trips("a string with embedded NUL", function() return "a\0b\0\0c\0" end)
round_trips("every single byte", function()
    local all = {}
    for byte = 0, 255 do
        all[#all + 1] = string.char(byte)
    end
    return all
end)
round_trips("a long string", function() return string.rep("0123456789abcdef", 20000) end)
round_trips("strings at the length borders of the encoding", function()
    local all = {}
    for _, length in ipairs(t.border_lengths({ 31, 32, 255, 256 })) do
        all[#all + 1] = string.rep("x", length)
        all[#all + 1] = string.rep("\255", length)
    end
    return all
end)
round_trips("an array", function() return { 10, "zwei", true, 2.5 } end)
round_trips("arrays at the length borders of the encoding", function()
    local all = {}
    for _, length in ipairs(t.border_lengths({ 1, 15, 16, 17 })) do
        local one = {}
        for index = 1, length do
            one[index] = index
        end
        all[#all + 1] = one
    end
    return all
end)
round_trips("maps at the length borders of the encoding", function()
    local all = {}
    for _, length in ipairs(t.border_lengths({ 1, 15, 16, 17 })) do
        local one = {}
        for index = 1, length do
            one["k" .. index] = index
        end
        all[#all + 1] = one
    end
    return all
end)
round_trips("a map", function() return { timeout = 30, nested = { list = { 1, 2, { a = "b" } } } } end)
round_trips("a table of list and named parts", function() return { 10, 20, x = 1 } end)
round_trips("a list with a hole", function() return { [1] = "a", [3] = "c" } end)
round_trips("a list that starts at 0", function() return { [0] = "a", "b", "c" } end)
round_trips("a list that starts at 2", function() return { [2] = "a", [3] = "b" } end)
round_trips("bool keys", function() return { [true] = "yes", [false] = "no" } end)
round_trips("float keys", function() return { [1.5] = "a", [-0.25] = "b", [t.huge] = "c" } end)
round_trips("negative and large int keys", function() return { [-1] = "a", [1000000] = "b", [t.two53] = "c" } end)
round_trips("keys 1 and \"1\" side by side", function() return { "int", ["1"] = "string", [true] = "bool" } end)
round_trips("string keys of any bytes", function() return { [""] = 1, ["a\0b"] = 2, ["\255"] = 3 } end)
round_trips("an empty table", function() return {} end)
round_trips("a marked empty array", function() return acervo.array({}) end)
round_trips("empty tables and empty arrays inside", function()
    return { map = {}, array = acervo.array({}), list = { {}, acervo.array({}), {} } }
end)
round_trips("acervo.null in an array", function() return { 1, acervo.null, 3, acervo.null } end)
round_trips("acervo.null in a map", function() return { a = acervo.null, b = 1 } end)
round_trips("acervo.null in first place", function() return { acervo.null } end)

t.each_namespaced("acervo.null on its own is nil", function(kv)
    kv.put("k", acervo.null)
    local back, timestamp = kv.get("k")
    t.equal(back, nil)
    t.ok(timestamp, "stored, so it has a timestamp")
end)

t.test("acervo.null is a light userdata that equals itself after a round trip", function()
    local db = t.open()
    t.equal(type(acervo.null), "userdata")
    db.store.put("k", { acervo.null })
    t.ok(rawequal(db.store.get("k")[1], acervo.null), "not the same null")
end)

t.test("an empty table is a map and a marked one is an array", function()
    t.equal(acervo.to_json({}), "{}")
    t.equal(acervo.to_json(acervo.array({})), "[]")
end)

t.test("acervo.array gives back the table it was given", function()
    local given = { 1, 2, 3 }
    t.ok(rawequal(acervo.array(given), given))
    t.equal(acervo.to_json(given), "[1,2,3]")
end)

t.test("a marked array that was emptied is still an array", function()
    local list = acervo.array({ 1 })
    list[1] = nil
    t.equal(acervo.to_json(list), "[]")
end)

t.each_namespaced("an empty array that was read and stored again is still an array", function(kv)
    kv.put("a", { list = acervo.array({}) })
    kv.put("b", (kv.get("a")))
    t.equal(acervo.to_json((kv.get("b"))), '{"list":[]}')
end)

t.each_namespaced("an empty array that was read takes elements like any table", function(kv)
    kv.put("a", acervo.array({}))
    local list = kv.get("a")
    list[#list + 1] = "x"
    table.insert(list, "y")
    kv.put("a", list)
    t.equal(acervo.to_json((kv.get("a"))), '["x","y"]')
end)

t.each_namespaced("changing what a read returned changes nothing stored", function(kv)
    kv.put("k", { list = { 1, 2 }, name = "a" })
    local first = kv.get("k")
    first.name = "changed"
    first.list[1] = "changed"
    first.more = true
    t.equal(kv.get("k"), { list = { 1, 2 }, name = "a" })
    t.ok(not rawequal(kv.get("k"), kv.get("k")), "one table for two reads")
end)

t.each_namespaced("changing what was put changes nothing stored", function(kv)
    local value = { list = { 1 } }
    kv.put("k", value)
    value.list[1] = 2
    value.x = 1
    t.equal(kv.get("k"), { list = { 1 } })
end)

t.each_namespaced("a table used twice is stored twice", function(kv)
    local shared = { n = 1 }
    kv.put("k", { a = shared, b = shared, list = { shared, shared } })
    local back = kv.get("k")
    t.equal(back, { a = { n = 1 }, b = { n = 1 }, list = { { n = 1 }, { n = 1 } } })
    t.ok(not rawequal(back.a, back.b), "one table for two places")
    t.ok(not rawequal(back.list[1], back.list[2]), "one table for two places")
end)

t.each_namespaced("metatables are ignored and none of their functions is called", function(kv)
    local function trap() error("a metamethod was called") end
    local inner = setmetatable({ 1, 2 }, { __index = trap, __len = trap, __ipairs = trap, __pairs = trap })
    local value = setmetatable({ a = 1, list = inner }, {
        __index = trap, __newindex = trap, __pairs = trap, __len = trap, __tostring = trap,
        __eq = trap, __call = trap, __name = "Trap",
    })
    kv.put("k", value)
    local back = kv.get("k")
    t.equal(back, { a = 1, list = { 1, 2 } })
    t.equal(getmetatable(back), nil)
    t.equal(getmetatable(back.list), nil)
end)

t.each_namespaced("an __index that would add fields adds none", function(kv)
    kv.put("k", setmetatable({}, { __index = { inherited = true } }))
    t.equal(kv.get("k"), {})
end)

t.each_namespaced("a protected metatable does not stand in the way", function(kv)
    kv.put("k", setmetatable({ 1 }, { __metatable = "locked" }))
    t.equal(kv.get("k"), { 1 })
end)

t.each_namespaced("nesting of 128 levels comes back whole", function(kv)
    local value = "bottom"
    for level = 1, 128 do
        value = level % 2 == 0 and { value } or { inner = value }
    end
    kv.put("k", value)
    t.equal(kv.get("k"), value)
end)
