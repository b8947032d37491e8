-- JSON in both directions.
local t = ...
local acervo = require("acervo")

local function reads(text, expected)
    local value, err = acervo.from_json(text)
    if err ~= nil then
        error(t.show(text) .. ": " .. tostring(err), 0)
    end
    t.equal(value, expected, text)
end

local function number(text)
    return assert(t.load_text("return " .. text))()
end

t.test("scalars are read", function()
    reads("true", true)
    reads("false", false)
    reads('"text"', "text")
    reads("0", 0)
    reads("-17", -17)
    reads("2.5", 2.5)
    reads(" \t\r\n1 \n", 1)
end)

t.test("null is nil on its own and acervo.null inside", function()
    reads("null", nil)
    reads("[null]", { acervo.null })
    reads('{"a":null}', { a = acervo.null })
end)

t.test("arrays and objects are read, empty ones as what they are", function()
    reads("[1,[2,[3]]]", { 1, { 2, { 3 } } })
    reads('{"a":{"b":[1]},"c":""}', { a = { b = { 1 } }, c = "" })
    reads("[]", acervo.array({}))
    reads("{}", {})
    t.equal(acervo.to_json((acervo.from_json('[[],{}]'))), "[[],{}]")
end)

t.test("a number without dot and exponent that fits is an int, every other a float", function()
    reads("3", 3)
    reads("3.0", number("3.0"))
    reads("1e2", number("100.0"))
    reads("1E+2", number("100.0"))
    reads("-0.0", t.minus_zero)
    reads("-0", 0)
    reads("9223372036854775808", 2.0 ^ 63)
    reads("-9223372036854775809", -(2.0 ^ 63))
    reads("123456789012345678901234567890", 123456789012345678901234567890.0)
end)

if t.subtypes then
    t.test("ints of 64 bits are exact", function()
        reads("9223372036854775807", math.maxinteger)
        reads("-9223372036854775808", math.mininteger)
        reads("9007199254740993", t.two53 + 1)
        t.equal(acervo.to_json(math.maxinteger), "9223372036854775807")
        t.equal(acervo.to_json(math.mininteger), "-9223372036854775808")
    end)

    t.test("an integral float is written with a dot or an exponent", function()
        t.equal(acervo.to_json(3.0), "3.0")
        t.equal(acervo.to_json(-0.0), "-0.0")
        t.equal(acervo.to_json(3), "3")
        for _, value in ipairs({ 1e15, 1e16, 1e21, 1e300, 2.0 ^ 53, 2.0 ^ 63 }) do
            local text = acervo.to_json(value)
            t.ok(text:find("[.eE]"), text)
            t.equal(acervo.from_json(text), value, text)
        end
    end)
end

t.test("floats are written so that they read back exactly", function()
    for _, value in ipairs({ 0.1, 1 / 3, 45.6, 5e-324, 1.7976931348623157e308, 2.5e-8, 123456.789 }) do
        local text = acervo.to_json(value)
        t.equal(acervo.from_json(text), value, text)
    end
    t.equal(acervo.to_json(2.5), "2.5")
end)

t.test("string escapes are read", function()
    reads([["a\"b\\c\/d\b\f\n\r\t"]], "a\"b\\c/d\b\f\n\r\t")
    reads([["\u0041\u00e7\u20ac"]], "A\195\167\226\130\172")
    reads([["\ud83e\udd8a"]], "\240\159\166\138")
    reads([["a\u0000b"]], "a\0b")
end)

t.test("strings with control characters, NUL and UTF-8 go through JSON", function()
    for _, text in ipairs({ "", "a\0b", "\1\2\31\127", "tab\tline\n\"quote\"\\", "configura\195\167\195\163o" }) do
        local json = acervo.to_json(text)
        for index = 1, #json do
            t.ok(json:byte(index) >= 32, "a bare control character")
        end
        t.equal(acervo.from_json(json), text)
    end
end)

t.test("the same value always gives the same text: keys in byte order, no spaces", function()
    t.equal(acervo.to_json({ b = 1, a = { 1, 2, acervo.null }, [""] = true, B = "x", ["a b"] = {} }),
        '{"":true,"B":"x","a":[1,2,null],"a b":{},"b":1}')
    t.equal(acervo.to_json({ ["\195\167"] = 1, z = 2 }), '{"z":2,"\195\167":1}')
end)

t.test("nil and acervo.null are written as null", function()
    t.equal(acervo.to_json(nil), "null")
    t.equal(acervo.to_json(acervo.null), "null")
end)

t.test("keys that are no strings are written as strings", function()
    t.equal(acervo.to_json({ [1] = "a", [3] = "c" }), '{"1":"a","3":"c"}')
    t.equal(acervo.to_json({ [true] = 1, [false] = 2 }), '{"false":2,"true":1}')
    t.equal(acervo.to_json({ [1.5] = 1 }), '{"1.5":1}')
    t.equal(acervo.to_json({ [-7] = 1 }), '{"-7":1}')
end)

t.test("rendered keys stand in byte order too", function()
    t.equal(acervo.to_json({ [2] = "b", [10] = "j", a = 1 }), '{"10":"j","2":"b","a":1}')
end)

t.test("two keys that render alike have no JSON form", function()
    t.fails("INVALID", { acervo.to_json({ [1] = "a", ["1"] = "b" }) })
    t.fails("INVALID", { acervo.to_json({ x = { [true] = "a", ["true"] = "b" } }) })
end)

t.test("a string that is not UTF-8 has no JSON form", function()
    t.fails("INVALID", { acervo.to_json("\255") })
    t.fails("INVALID", { acervo.to_json({ a = { "\195" } }) })
    t.fails("INVALID", { acervo.to_json({ ["\255"] = 1 }) })
end)

t.test("NaN and infinities have no JSON form", function()
    t.fails("INVALID", { acervo.to_json(t.nan) })
    t.fails("INVALID", { acervo.to_json({ t.huge }) })
    t.fails("INVALID", { acervo.to_json({ a = -t.huge }) })
    t.fails("INVALID", { acervo.to_json({ [t.huge] = 1 }) })
end)

t.test("texts that are no JSON are INVALID", function()
    for _, text in ipairs({ "", " ", "{", "[1,]", "[1 2]", '{"a"}', '{"a":1,}', "{a:1}", "'a'", "tru", "nul",
        "01", "1.", ".5", "+1", "1e", "NaN", "Infinity", "-", '"open', '"\n"', '"\\x"', '"\\u12"',
        "1 2", "[] []", "true x", "\0", "// c\n1" }) do
        t.fails("INVALID", { acervo.from_json(text) })
    end
end)

t.test("a JSON text that is not UTF-8 is INVALID", function()
    t.fails("INVALID", { acervo.from_json('"\255"') })
end)

t.test("duplicate keys in a text are INVALID", function()
    t.fails("INVALID", { acervo.from_json('{"a":1,"b":2,"a":3}') })
    t.fails("INVALID", { acervo.from_json('[{"a":1,"\\u0061":2}]') })
end)

t.test("nesting of 128 levels is read and written, 129 is INVALID", function()
    local text = string.rep("[", 128) .. string.rep("]", 128)
    local value = acervo.from_json(text)
    t.equal(type(value), "table")
    t.equal(acervo.to_json(value), text)
    t.fails("INVALID", { acervo.from_json("[" .. text .. "]") })
    t.fails("INVALID", { acervo.from_json(string.rep('{"a":', 129) .. "1" .. string.rep("}", 129)) })
    t.fails("INVALID", { acervo.from_json(string.rep("[", 1000000)) })
end)

t.test("to_json of what from_json gave is the same text", function()
    local text = '{"a":[1,2.5,"x",null,true,{"b":[]}],"empty":{},"z":"\195\167"}'
    t.equal(acervo.to_json((acervo.from_json(text))), text)
end)

t.test("arguments of the wrong type are INVALID", function()
    t.fails("INVALID", { acervo.from_json(nil) })
    t.fails("INVALID", { acervo.from_json({}) })
    t.fails("INVALID", { acervo.from_json(true) })
end)

t.test("the database has the conversions too", function()
    local db = t.open()
    t.equal(db:to_json({ a = 1 }), '{"a":1}')
    t.equal(db:from_json('{"a":[]}'), { a = acervo.array({}) })
    t.fails("INVALID", { db:from_json("{") })
end)

if not t.subtypes and not t.jit then
    t.test("big_int of the handle holds for its conversions", function()
        t.equal(t.open({ big_int = "string" }):from_json("[9007199254740993]"), { "9007199254740993" })
        t.equal(t.open({ big_int = "float" }):from_json("[9007199254740993]"), { t.two53 })
        local value, err = t.open():from_json("[9007199254740993]")
        t.equal(value, nil)
        t.equal(type(err), "userdata")
    end)
end
