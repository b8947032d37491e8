-- Calls of everything there is, in any order, on right and wrong objects, with
-- odd arguments: whatever is called gives a value, an error that can be looked
-- at, or raises; and what was stored stays right. ACERVO_TEST_SEED repeats a
-- run, ACERVO_TEST_ROUNDS makes it longer.
local t = ...
local acervo = require("acervo")

local seed = tonumber(os.getenv("ACERVO_TEST_SEED") or "") or os.time() % 2147483646 + 1
seed = math.floor(seed)
local rounds = tonumber(os.getenv("ACERVO_TEST_ROUNDS") or "") or t.many(150)

-- Park and Miller's generator, whose products stay below 2^53 in every Lua.
local function generator(start)
    local state = start % 2147483646 + 1
    return function(limit)
        state = (state * 16807) % 2147483647
        return state % limit
    end
end

local METHODS = {
    -- modules
    "get", "set", "put", "put_all", "delete", "delete_prefix", "pairs", "incr", "cas", "cas_delete", "update", "keys", "list", "count",
    "each", "purge", "clear", "exists", "batch", "find", "parse_id", "snapshot", "snapshot_at",
    "current_version", "versions", "history", "apply_version", "build_delta", "on", "events",
    "load_state", "register_pattern", "dependents", "dependencies", "set_policy", "prune", "array",
    "from_json", "to_json", "from_msgpack", "to_msgpack", "new", "wrap", "is", "call_stack",
    -- objects
    "entries", "namespace", "version", "changes", "create", "ops", "apply", "plan", "id", "string",
    "previous", "next", "time", "author", "message", "fd", "close", "cancel", "kind", "retryable",
    "details", "stack", "flush", "stats", "commit", "__gc", "__tostring", "__index", "__close",
}

-- Nobody else writes, so that waiting for good would last for good.
local SHORT = { next = true, poll = true }

local STRINGS = {
    "", "a", "a:x", ":x", "a:", "a\0b", "\255\254", "k", ".kind", "~.name", "(", "**", "test",
    "{\"a\":[1,2.5]}", "\147\1\2\3", "value", ("x"):rep(300), "strict", "sqlite", "author",
}

local function cyclic()
    local table = {}
    table.table = table
    return table
end

local function hostile()
    return setmetatable({ id = "a:x", kind = "test" }, {
        __index = function() error("asked") end,
        __newindex = function() error("told") end,
        __len = function() error("counted") end,
        __tostring = function() error("shown") end,
    })
end

local function deep(levels)
    local inner = 1
    for _ = 1, levels do
        inner = { inner }
    end
    return inner
end

-- Any value, mostly a plain one.
local function argument(random, pool)
    local choice = random(20)
    if choice < 4 then
        return STRINGS[random(#STRINGS) + 1]
    elseif choice < 7 then
        return pool[random(#pool) + 1]
    elseif choice == 7 then
        return random(5) - 1
    elseif choice == 8 then
        return ({ 0.5, -1, t.nan, t.huge, -t.huge, t.two53, 1e300, 2 ^ 63, -2 ^ 63 })[random(9) + 1]
    elseif choice == 9 then
        return nil
    elseif choice == 10 then
        return random(2) == 0
    elseif choice == 11 then
        return { id = STRINGS[random(#STRINGS) + 1], kind = "test", meta = { a = 1 }, data = random(9) }
    elseif choice == 12 then
        return { { id = "a:x", kind = "test" }, { id = "a:y", kind = "test", data = { 1, "b" } } }
    elseif choice == 13 then
        return { [STRINGS[random(#STRINGS) + 1]] = argument(random, pool) }
    elseif choice == 14 then
        return acervo.null
    elseif choice == 15 then
        local answers = { true, false, "a reason", acervo.null, {} }
        local answer = answers[random(6) + 1]
        local raises = random(4) == 0
        return function() if raises then error("from inside", 0) end return answer end
    elseif choice == 16 then
        return ({ cyclic, hostile })[random(2) + 1]()
    elseif choice == 17 then
        return ({ io.stdout, coroutine.create(function() end), type })[random(3) + 1]
    elseif choice == 18 then
        return deep(random(3) == 0 and 200 or random(20))
    end
    return { limit = random(4) - 1, offset = random(3), ttl = random(3), dry_run = random(2) == 0 }
end

local KINDS = {}
for _, kind in pairs(acervo.errors) do
    if type(kind) == "string" then
        KINDS[kind] = true
    end
end

-- Errors can be looked at, and none of them is a panic.
local function check_error(problem)
    local text = tostring(problem)
    if text:find("panic", 1, true) then
        error("a panic: " .. text, 0)
    end
    if type(problem) == "userdata" then
        local ok, kind = pcall(function() return problem:kind() end)
        if ok and not KINDS[kind] then
            error("an error of the kind " .. tostring(kind), 0)
        end
    end
end

local function one_call(random, pool, trace)
    local object = pool[random(#pool) + 1]
    local name = METHODS[random(#METHODS) + 1]
    local as_method = random(2) == 0
    local count = random(4)
    local list = { argument(random, pool), argument(random, pool), argument(random, pool) }
    trace[#trace + 1] = tostring(type(object)) .. (as_method and ":" or ".") .. name .. "/" .. count
    local results = { pcall(function()
        local fn = object[name]
        if as_method then
            if SHORT[name] then
                return fn(object, 0)
            end
            return fn(object, (table.unpack or unpack)(list, 1, count))
        elseif SHORT[name] then
            return fn(0)
        end
        return fn((table.unpack or unpack)(list, 1, count))
    end) }
    if not results[1] then
        local shown = pcall(tostring, results[2])
        if shown then
            check_error(results[2])
        end
    elseif results[2] == nil and results[3] ~= nil and type(results[3]) == "userdata" then
        check_error(results[3])
    end
    for place = 2, 3 do
        local result = results[place]
        local kept = type(result) == "userdata" or type(result) == "table" or type(result) == "string"
        if results[1] and kept and result ~= _G then
            if #pool < 40 then
                pool[#pool + 1] = result
            else
                -- The modules stay.
                pool[8 + random(32) + 1] = result
            end
        end
    end
end

-- What was put on the way in is still the value, and can be put again.
local function check_alive(db)
    local registry, entries = db.registry, db.entries
    registry.put("own key of this test", { 1, "two" })
    t.equal(registry.get("own key of this test"), { 1, "two" })
    local snapshot, problem = entries.snapshot()
    if snapshot == nil then
        error("no snapshot: " .. tostring(problem), 0)
    end
    local listed = 0
    for _, entry in ipairs(snapshot:entries()) do
        listed = listed + 1
        if snapshot:get(entry.id) == nil then
            error("listed and not found: " .. tostring(entry.id), 0)
        end
    end
    t.equal(#snapshot:find({}), listed)
    local stats, why = db:stats()
    if stats == nil then
        error("no stats: " .. tostring(why), 0)
    end
end

t.test("random calls give values, errors or raise", function()
    local shared = t.open({ handler_timeout_ms = 200 })
    for round = 1, rounds do
        local random = generator(seed * 31 % 1000003 + round * 7919)
        local db = round % 3 == 0 and shared or
            t.open({ path = ":memory:", handler_timeout_ms = 200, value_limit = 100000 })
        local trace = {}
        local pool = { db, db.registry, db.store, db.entries, acervo.errors, db.registry, db.entries, db.entries }
        -- Without what makes files and globals.
        pool[#pool + 1] = { array = acervo.array, from_json = acervo.from_json, to_json = acervo.to_json,
            from_msgpack = acervo.from_msgpack, to_msgpack = acervo.to_msgpack }
        local function program()
            for _ = 1, 60 do
                one_call(random, pool, trace)
            end
        end
        local ok, problem
        if random(3) == 0 then
            local thread = coroutine.create(program)
            ok, problem = coroutine.resume(thread)
            if ok and coroutine.status(thread) ~= "dead" then
                ok, problem = false, "it yielded"
            end
        else
            ok, problem = pcall(program)
        end
        if not ok then
            error("ACERVO_TEST_SEED=" .. string.format("%d", seed) .. " round " .. round .. ": " ..
                tostring(problem) .. "\n" .. table.concat(trace, " "), 0)
        end
        -- What closes, and hooks that refuse, may be among the calls.
        local again = t.open({ path = ":memory:" })
        check_alive(again)
        again:close()
        if db ~= shared then
            pcall(db.close, db)
        end
        pool = nil
        if round % 10 == 0 then
            collectgarbage()
        end
    end
end)
