-- The rows of Lua. Called by the bench program, for one row at a time:
--
--   lua rows.lua ROW DIRECTORY KEYS ROUNDS MILLISECONDS
--
-- Prints a line for each round: what, nanoseconds of ours, of the anchor.

local row, directory, count, rounds, slice = ...
count, rounds, slice = tonumber(count), tonumber(rounds), tonumber(slice) * 1e6

local acervo = require("acervo")
local anchor = require("anchor")
local now = anchor.now

local path = directory .. "/" .. row .. "-" .. tostring(now()) .. ".db"
local db = assert(acervo.open({ path = path, durability = "normal", ident = "bench" }))
local registry, store = db.registry, db.store

-- Keys in random order: a table of strings that both sides walk alike.
local keys = {}
for n = 1, count do keys[n] = string.format("sensor.%07d", n) end
local seed = 42
local function random(most)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed % most + 1
end
for n = count, 2, -1 do
    local other = random(n)
    keys[n], keys[other] = keys[other], keys[n]
end

local function four_fields(n)
    return { id = string.format("sensor-%05d", n), n = n, on = n % 2 == 0, ns = "plant.hall" .. n % 10 }
end

-- What is read goes here: what nobody keeps, LuaJIT does not make.
local kept = {}

-- Gives a function that does an operation so many times, each with a key.
local function getting(get)
    local at = 0
    return function(times)
        for _ = 1, times do
            at = at == count and 1 or at + 1
            kept[1] = get(keys[at])
        end
    end
end

-- As getting; puts numbers that differ each time.
local function putting_numbers(put)
    local at, value = 0, 0
    return function(times)
        for _ = 1, times do
            at = at == count and 1 or at + 1
            value = value + 1
            put(keys[at], value)
        end
    end
end

-- As getting; puts tables that differ each time. They are there already, so
-- that making them is not measured.
local function putting_tables(put)
    local tables, at, value = {}, 0, 0
    for n = 1, 256 do tables[n] = four_fields(n) end
    return function(times)
        for _ = 1, times do
            at = at == count and 1 or at + 1
            value = value + 1
            local t = tables[value % 256 + 1]
            t.n = value
            put(keys[at], t)
        end
    end
end

local function timed(work, times)
    local start = now()
    work(times)
    return (now() - start) / times
end

-- How many times fill a slice; warms up.
local function calibrate(work)
    local times = 1
    while true do
        local took = timed(work, times) * times
        if took * 3 >= slice then
            return math.max(1, math.floor(times * slice / took))
        end
        times = times * 2
    end
end

local function compare(what, ours, theirs)
    local mine, other = calibrate(ours), calibrate(theirs)
    for round = 1, rounds do
        local a, b
        -- Each side begins with an empty nursery.
        collectgarbage()
        if round % 2 == 0 then b = timed(theirs, other) collectgarbage() end
        a = timed(ours, mine)
        if round % 2 == 1 then collectgarbage() b = timed(theirs, other) end
        print(string.format("%s\t%.3f\t%.3f", what, a, b))
    end
end

local function fill(put, value)
    for n = 1, count do put(keys[n], value(n)) end
end

local function number(n) return n end

-- JSON in a table of the same Lua state.
local function json_table()
    local cjson, strings = require("cjson"), {}
    local encode, decode = cjson.encode, cjson.decode
    return function(key, value) strings[key] = encode(value) end,
        function(key) return decode(strings[key]) end
end

-- JSON in SQLite, with the pragmas of our file.
local function json_sqlite()
    local cjson = require("cjson")
    local encode, decode = cjson.encode, cjson.decode
    local connection = assert(require("luasql.sqlite3").sqlite3():connect(path .. ".luasql"))
    connection:execute("PRAGMA journal_mode = WAL")
    connection:execute("PRAGMA synchronous = NORMAL")
    connection:execute("PRAGMA wal_autocheckpoint = 1000")
    assert(connection:execute("CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"))
    local function put(key, value)
        connection:execute("REPLACE INTO kv VALUES ('" .. key .. "', '"
            .. connection:escape(encode(value)) .. "')")
    end
    local function get(key)
        local cursor = connection:execute("SELECT value FROM kv WHERE key = '" .. key .. "'")
        local value = cursor:fetch()
        cursor:close()
        return decode(value)
    end
    connection:execute("BEGIN")
    fill(put, four_fields)
    connection:execute("COMMIT")
    return put, get
end

local rows = {}

rows["lua-get-num"] = function()
    fill(registry.put, number)
    fill(anchor.put, number)
    compare("get a number", getting(registry.get), getting(anchor.get))
end

rows["lua-put-num"] = function()
    fill(registry.put, number)
    fill(anchor.put, number)
    compare("put a number", putting_numbers(registry.put), putting_numbers(anchor.put))
end

rows["lua-get-table"] = function()
    fill(registry.put, four_fields)
    fill(anchor.put, four_fields)
    compare("get 4 fields", getting(registry.get), getting(anchor.get))
end

rows["lua-put-table"] = function()
    fill(registry.put, four_fields)
    fill(anchor.put, four_fields)
    compare("put 4 fields", putting_tables(registry.put), putting_tables(anchor.put))
end

rows["lua-vs-cjson"] = function()
    local put, get = json_table()
    fill(registry.put, four_fields)
    fill(put, four_fields)
    compare("get 4 fields", getting(registry.get), getting(get))
    compare("put 4 fields", putting_tables(registry.put), putting_tables(put))
end

rows["lua-vs-luasql"] = function()
    local put, get = json_sqlite()
    for first = 1, count, 1000 do
        local batch = {}
        for n = first, math.min(count, first + 999) do batch[keys[n]] = four_fields(n) end
        store.put_all(batch)
    end
    compare("store put, normal", putting_tables(store.put), putting_tables(put))
    compare("store get", getting(store.get), getting(get))
end

rows[row]()
db:close()
