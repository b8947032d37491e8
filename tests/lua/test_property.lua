-- Random values go through registry, store, JSON and MessagePack unchanged.
local t = ...
local acervo = require("acervo")

local seed = tonumber(os.getenv("ACERVO_TEST_SEED") or "") or os.time() % 2147483646 + 1
seed = math.floor(seed)

-- The same numbers from the same seed in every Lua: Park and Miller's
-- generator, whose products stay below 2^53.
local function generator(start)
    local state = start % 2147483646 + 1
    return function(limit)
        state = (state * 16807) % 2147483647
        return state % limit
    end
end

local STRINGS = { "", "a", "k", "text", "with space", "a\0b", "\195\167", "\226\130\172", "1", "true", "x.y", ":%" }

local function random_string(random, utf8_only)
    local choice = random(6)
    if choice < 3 then
        return STRINGS[random(#STRINGS) + 1]
    end
    local length = random(choice == 5 and 300 or 12)
    local bytes = {}
    for index = 1, length do
        bytes[index] = string.char(random(utf8_only and 128 or 256))
    end
    return table.concat(bytes)
end

local function random_int(random)
    local choice = random(4)
    if choice == 0 then
        return random(300) - 150
    elseif choice == 1 then
        return random(2147483647) - 1073741823
    elseif choice == 2 then
        return t.two53 - random(1000) -- 2^53 and less
    end
    -- All 64 bits where Lua has integers, a large float where it has not.
    return (random(2147483647) - 1073741823) * 4294967296 + random(2147483647)
end

local function random_float(random, finite)
    local choice = random(finite and 4 or 8)
    if choice == 0 then
        return (random(2000001) - 1000000) / 1000
    elseif choice == 1 then
        return t.minus_zero
    elseif choice == 2 then
        return (random(2147483647) + 0.5) * 2.0 ^ (random(600) - 300)
    elseif choice == 3 then
        return (random(1000) - 500) * 1.0
    elseif choice == 4 then
        return t.nan
    elseif choice == 5 then
        return t.huge
    elseif choice == 6 then
        return -t.huge
    end
    return 2.0 ^ (random(2000) - 1000)
end

local random_value

local function random_key(random, json)
    local choice = json and 3 or random(5)
    if choice == 0 then
        return random(2) == 0
    elseif choice == 1 then
        return random_int(random)
    elseif choice == 2 then
        return random(1000) + 0.5
    end
    return random_string(random, json)
end

-- json: only what has a JSON form.
function random_value(random, json, depth)
    local choice = random(depth > 4 and 8 or 12)
    if choice == 0 then
        return random(2) == 0
    elseif choice < 3 then
        return random_int(random)
    elseif choice < 5 then
        return random_float(random, json)
    elseif choice < 8 then
        return random_string(random, json)
    elseif choice < 10 then
        local array = {}
        for index = 1, random(6) do
            array[index] = random(8) == 0 and acervo.null or random_value(random, json, depth + 1)
        end
        return #array == 0 and acervo.array(array) or array
    end
    local map = {}
    for _ = 1, random(6) do
        map[random_key(random, json)] = random(8) == 0 and acervo.null or random_value(random, json, depth + 1)
    end
    return map
end

local function for_random_values(json, check)
    for round = 1, 300 do
        -- A seed of its own for each value, so that one can be made again.
        local random = generator(seed * 31 % 1000003 + round * 7919)
        local value = random_value(random, json, 0)
        local ok, problem = pcall(check, value, round)
        if not ok then
            error("ACERVO_TEST_SEED=" .. string.format("%d", seed) .. " round " .. round .. ": " ..
                tostring(problem) .. " with " .. t.show(value), 0)
        end
    end
end

t.test("random values come back from registry and store as they went in", function()
    local db, path = t.open()
    local kept = {}
    for_random_values(false, function(value, round)
        local key = "k" .. round
        kept[key] = value
        db.registry.put(key, value)
        db.store.put(key, value)
        t.equal(db.registry.get(key), value, "registry")
        t.equal(db.store.get(key), value, "store")
    end)
    db:close()
    db = t.open({ path = path })
    for_random_values(false, function(_, round)
        local key = "k" .. round
        t.equal(db.registry.get(key), kept[key], "registry after reopening")
        t.equal(db.store.get(key), kept[key], "store after reopening")
    end)
end)

t.test("random values come back from MessagePack as they went in", function()
    for_random_values(false, function(value)
        t.equal(acervo.from_msgpack(assert(acervo.to_msgpack(value))), value)
    end)
end)

t.test("random values with a JSON form come back from it as they went in", function()
    for_random_values(true, function(value)
        local text = assert(acervo.to_json(value))
        t.equal(acervo.from_json(text), value, text)
        t.equal(acervo.to_json((acervo.from_json(text))), text)
    end)
end)

t.test("a random value equals itself for cas and not a wrapped one", function()
    local db = t.open()
    for_random_values(false, function(value)
        db.registry.put("k", value)
        t.equal(db.registry.cas("k", { value }, 0), false)
        t.equal(db.registry.cas("k", value, 0), true)
    end)
end)
