-- lua exchange_read.lua DBFILE: checks what exchange_write.lua wrote, in
-- whichever interpreter. Prints one line for each difference; exit code 1 if
-- there was one.

local directory = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = directory .. "/?.lua;" .. package.path

local acervo = require("acervo")
local exchange = require("exchange_cases")
local t = require("support")

local path = assert(arg[1], "no database file given")
local db = assert(acervo.open({ path = path }))
local this = exchange.this
local checked, wrong = 0, 0

local function check(what, condition, detail)
    checked = checked + 1
    if not condition then
        wrong = wrong + 1
        print(what .. ": " .. detail)
    end
end

local writer, written_at = db.store.get_global("writer")
assert(type(writer) == "table", "nothing was written to this file")
check("timestamp", math.abs(written_at - writer.time) <= 60, tostring(written_at))

-- How 5.1 and 5.2 see an int that a double cannot hold.
local function check_big(what, place, key, digits)
    local kv, suffix = place.of(db)
    local ok, fault = pcall(kv["get" .. suffix], key)
    check(what .. " by default", not ok and type(fault) == "string" and fault:find(key, 1, true),
        "no error that names the key: " .. tostring(fault))
    for mode, expected in pairs({ string = digits, float = tonumber(digits) }) do
        local other = assert(acervo.open({ path = path, big_int = mode }))
        kv, suffix = place.of(other)
        local value = kv["get" .. suffix](key)
        check(what .. " with big_int = " .. mode, t.same(value, expected),
            "expected " .. t.show(expected) .. ", got " .. t.show(value))
        other:close()
    end
end

for _, place in ipairs(exchange.places) do
    local kv, suffix = place.of(db)
    local get = kv["get" .. suffix]
    local there = {}
    for _, name in ipairs((get("cases"))) do
        there[name] = true
    end
    for _, case in ipairs(exchange) do
        local what = place.name .. ": " .. case.name
        local key = "case " .. case.name
        if not there[case.name] then
            check(what, case.big and not writer.integers and not writer.cdata, "was not written")
        elseif case.big and not this.integers and not this.cdata then
            check_big(what, place, key, case.big)
        else
            local expected = case.expect(this, writer)
            local ok, value, timestamp = pcall(get, key)
            check(what, ok and t.same(value, expected),
                "expected " .. t.show(expected) .. ", got " .. t.show(value))
            check(what, ok and type(timestamp) == "number", "no timestamp")
        end
    end
    for index, key in ipairs(exchange.keys) do
        local value = get(key)
        check(place.name .. ": key " .. t.show(key), t.same(value, index), "got " .. t.show(value))
    end
end

db:close()
print(string.format("%s read what %s wrote: %d checks, %d wrong", this.name, writer.name, checked, wrong))
if wrong > 0 then
    os.exit(1)
end
