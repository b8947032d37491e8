-- MessagePack in both directions.
local t = ...
local acervo = require("acervo")

local function reads(bytes, expected)
    local value, err = acervo.from_msgpack(bytes)
    if err ~= nil then
        error(t.show(bytes) .. ": " .. tostring(err), 0)
    end
    t.equal(value, expected, t.show(bytes))
end

t.test("values are written in the forms of MessagePack", function()
    t.equal(acervo.to_msgpack(nil), "\192")
    t.equal(acervo.to_msgpack(acervo.null), "\192")
    t.equal(acervo.to_msgpack(false), "\194")
    t.equal(acervo.to_msgpack(true), "\195")
    t.equal(acervo.to_msgpack(1), "\001")
    t.equal(acervo.to_msgpack(-1), "\255")
    t.equal(acervo.to_msgpack(128), "\204\128")
    t.equal(acervo.to_msgpack(-129), "\209\255\127")
    t.equal(acervo.to_msgpack(1.5), "\203\063\248\000\000\000\000\000\000")
    t.equal(acervo.to_msgpack("a"), "\161a")
    t.equal(acervo.to_msgpack({}), "\128")
    t.equal(acervo.to_msgpack(acervo.array({})), "\144")
    t.equal(acervo.to_msgpack({ 1, { "x" } }), "\146\001\145\161x")
    t.equal(acervo.to_msgpack({ a = acervo.null }), "\129\161a\192")
end)

t.test("a string is str when it is UTF-8 and bin when it is not; both read as string", function()
    t.equal(acervo.to_msgpack("\195\167"), "\162\195\167")
    t.equal(acervo.to_msgpack("\255"), "\196\001\255")
    reads("\162\195\167", "\195\167")
    reads("\196\001\255", "\255")
    reads("\196\001a", "a")
    reads("\161\255", "\255")
end)

t.test("every form of int, float, string, array and map is read", function()
    reads("\204\001", 1)
    reads("\205\000\001", 1)
    reads("\206\000\000\000\001", 1)
    reads("\207\000\000\000\000\000\000\000\001", 1)
    reads("\208\255", -1)
    reads("\209\255\255", -1)
    reads("\210\255\255\255\255", -1)
    reads("\211\255\255\255\255\255\255\255\255", -1)
    reads("\202\063\192\000\000", 1.5)
    reads("\217\001a", "a")
    reads("\218\000\001a", "a")
    reads("\219\000\000\000\001a", "a")
    reads("\197\000\001a", "a")
    reads("\198\000\000\000\001a", "a")
    reads("\220\000\001\001", { 1 })
    reads("\221\000\000\000\001\001", { 1 })
    reads("\222\000\001\161a\001", { a = 1 })
    reads("\223\000\000\000\001\161a\001", { a = 1 })
end)

t.test("nil is nil on its own and acervo.null inside", function()
    reads("\192", nil)
    reads("\145\192", { acervo.null })
    reads("\129\161a\192", { a = acervo.null })
end)

t.test("keys of bool, int, float and string are read", function()
    reads("\132\195\001\002\002\203\063\248\000\000\000\000\000\000\003\161a\004",
        { [true] = 1, [2] = 2, [1.5] = 3, a = 4 })
end)

t.test("ext types are INVALID with the offset", function()
    for _, form in ipairs({ "\212\001x", "\213\001xx", "\214\001xxxx", "\215\001xxxxxxxx",
        "\216\001" .. string.rep("x", 16), "\199\001\001x", "\200\000\001\001x",
        "\201\000\000\000\001\001x" }) do
        local err = t.fails("INVALID", { acervo.from_msgpack("\147\001\161a" .. form) })
        t.ok(tostring(err):find("%f[%d]4%f[%D]"), "the offset 4 is not in: " .. tostring(err))
    end
end)

t.test("a uint above int64 is INVALID with the offset", function()
    local err = t.fails("INVALID", { acervo.from_msgpack("\146\001\207\128\000\000\000\000\000\000\000") })
    t.ok(tostring(err):find("%f[%d]2%f[%D]"), "the offset 2 is not in: " .. tostring(err))
end)

t.test("duplicate keys are INVALID", function()
    t.fails("INVALID", { acervo.from_msgpack("\130\161a\001\161a\002") })
    t.fails("INVALID", { acervo.from_msgpack("\130\001\001\204\001\002") })
    t.fails("INVALID", { acervo.from_msgpack("\130\161a\001\196\001a\002") })
    -- 1 and 1.0 are equal.
    t.fails("INVALID", { acervo.from_msgpack("\130\001\001\203\063\240\000\000\000\000\000\000\002") })
end)

t.test("keys that are nil, NaN, an array or a map are INVALID", function()
    t.fails("INVALID", { acervo.from_msgpack("\129\192\001") })
    t.fails("INVALID", { acervo.from_msgpack("\129\203\127\248\000\000\000\000\000\000\001") })
    t.fails("INVALID", { acervo.from_msgpack("\129\144\001") })
    t.fails("INVALID", { acervo.from_msgpack("\129\128\001") })
end)

t.test("trailing bytes are INVALID with the offset", function()
    local err = t.fails("INVALID", { acervo.from_msgpack("\146\001\002\003") })
    t.ok(tostring(err):find("%f[%d]3%f[%D]"), "the offset 3 is not in: " .. tostring(err))
end)

t.test("every cut of a text is INVALID", function()
    local whole = acervo.to_msgpack({ a = { 1, 2.5, "text", "\255", 70000 } })
    for length = 0, #whole - 1 do
        t.fails("INVALID", { acervo.from_msgpack(whole:sub(1, length)) })
    end
    t.equal(acervo.from_msgpack(whole), { a = { 1, 2.5, "text", "\255", 70000 } })
end)

t.test("a header that promises more than there is costs no memory and is INVALID", function()
    t.fails("INVALID", { acervo.from_msgpack("\221\255\255\255\255") })
    t.fails("INVALID", { acervo.from_msgpack("\223\255\255\255\255") })
    t.fails("INVALID", { acervo.from_msgpack("\219\255\255\255\255abc") })
    t.fails("INVALID", { acervo.from_msgpack("\198\255\255\255\255abc") })
end)

t.test("the reserved byte is INVALID", function()
    t.fails("INVALID", { acervo.from_msgpack("\193") })
    t.fails("INVALID", { acervo.from_msgpack("\145\193") })
end)

t.test("nesting of 128 levels is read, 129 is INVALID", function()
    local bytes = string.rep("\145", 127) .. "\144"
    t.equal(acervo.to_msgpack((acervo.from_msgpack(bytes))), bytes)
    t.fails("INVALID", { acervo.from_msgpack("\145" .. bytes) })
    t.fails("INVALID", { acervo.from_msgpack(string.rep("\145", 1000000)) })
end)

t.test("NaN, infinities and -0.0 survive", function()
    for _, value in ipairs({ t.nan, t.huge, -t.huge, t.minus_zero }) do
        t.equal(acervo.from_msgpack(acervo.to_msgpack(value)), value)
    end
end)

t.test("arguments of the wrong type are INVALID", function()
    t.fails("INVALID", { acervo.from_msgpack(nil) })
    t.fails("INVALID", { acervo.from_msgpack({}) })
    t.fails("INVALID", { acervo.from_msgpack(true) })
end)

t.test("the database has the conversions too", function()
    local db = t.open()
    t.equal(db:to_msgpack({ 1 }), "\145\001")
    t.equal(db:from_msgpack("\145\001"), { 1 })
    t.fails("INVALID", { db:from_msgpack("\145") })
end)
