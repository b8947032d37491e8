-- lua exchange_write.lua DBFILE: writes every kind of value to a database, for
-- exchange_read.lua in another interpreter to check.

local directory = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = directory .. "/?.lua;" .. package.path

local acervo = require("acervo")
local exchange = require("exchange_cases")

local db = assert(acervo.open({ path = assert(arg[1], "no database file given") }))
local written = 0

for _, place in ipairs(exchange.places) do
    local kv, suffix = place.of(db)
    local names = acervo.array({})
    for _, case in ipairs(exchange) do
        local value = case.make(exchange.this)
        if value ~= nil then
            kv["put" .. suffix]("case " .. case.name, value)
            names[#names + 1] = case.name
            written = written + 1
        end
    end
    for index, key in ipairs(exchange.keys) do
        kv["put" .. suffix](key, index)
    end
    kv["put" .. suffix]("cases", names)
end

db.store.put_global("writer", {
    integers = exchange.this.integers,
    cdata = exchange.this.cdata,
    name = exchange.this.name,
    time = os.time(),
})
assert(db:close())
print(string.format("%s wrote %d values", exchange.this.name, written))
