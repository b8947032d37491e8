-- The garbage collector may take handles in any order.
local t = ...
local acervo = require("acervo")

local function collect()
    for _ = 1, 3 do
        collectgarbage()
    end
end

local function open(path)
    return assert(acervo.open({ path = path, durability = "normal" }))
end

t.test("a module keeps its database alive", function()
    local store = open(t.path()).store
    collect()
    store.put("k", 1)
    collect()
    t.equal(store.get("k"), 1)
end)

t.test("a single function keeps its database alive", function()
    local path = t.path()
    local put, get = open(path).store.put, open(path).store.get
    collect()
    put("k", { 1 })
    collect()
    t.equal(get("k"), { 1 })
end)

t.test("a namespace's store keeps its database alive", function()
    local store = open(t.path()):namespace("x")
    collect()
    store.put("k", 1)
    t.equal(store.get("k"), 1)
end)

t.test("a walk keeps its database alive", function()
    local step, state, control
    do
        local db = open(t.path())
        db.store.put_all({ a = 1, b = 2, c = 3 })
        step, state, control = db.store.pairs()
    end
    collect()
    local seen = {}
    for key in step, state, control do
        collect()
        seen[#seen + 1] = key
    end
    t.equal(seen, { "a", "b", "c" })
end)

t.test("what a collected handle wrote is there, with no close called", function()
    local path = t.path()
    do
        local db = open(path)
        db.store.put("k", 1)
        db.registry.put("k", 2)
    end
    collect()
    local db = open(path)
    t.equal(db.store.get("k"), 1)
    t.equal(db.registry.get("k"), 2)
    db:close()
end)

t.test("one handle's end does not close another's", function()
    local path = t.path()
    local kept = open(path)
    for round = 1, 20 do
        open(path).store.put("k", round)
        collect()
        t.equal(kept.store.get("k"), round)
    end
    kept:close()
end)

t.test("handles, modules, walks and errors go in every order", function()
    local path = t.path()
    for order = 0, 23 do
        local db = open(path)
        db.store.put("k", order)
        local parts = {
            db,
            db.store,
            { db.store.pairs() },
            select(2, db:from_json("{")),
        }
        db = nil
        local left = { 1, 2, 3, 4 }
        local rest = order
        for size = 4, 1, -1 do
            local pick = table.remove(left, rest % size + 1)
            rest = math.floor(rest / size)
            parts[pick] = nil
            collect()
        end
    end
    local db = open(path)
    t.equal(db.store.get("k"), 23)
    db:close()
end)

t.test("a closed handle is collected without harm", function()
    local path = t.path()
    for _ = 1, 20 do
        local db = open(path)
        local store = db.store
        db:close()
        db = nil
        collect()
        t.raises(function() store.get("k") end, "database is closed")
    end
end)

t.test("values read in a loop do not pile up", function()
    local db = t.open()
    db.store.put("k", { text = string.rep("x", 10000), list = { 1, 2, 3 } })
    collect()
    for _ = 1, 200 do
        db.store.get("k")
    end
    collect()
    local before = collectgarbage("count")
    for _ = 1, 2000 do
        db.store.get("k")
    end
    collect()
    t.ok(collectgarbage("count") < before + 500, "memory grew")
end)

t.test("a step of the collector at every call does no harm", function()
    local db = t.open()
    local value = { a = { 1, 2, { b = "c" } }, d = acervo.array({}) }
    for index = 1, 300 do
        collectgarbage("step")
        db.registry.put("k" .. index % 10, value)
        collectgarbage("step")
        t.equal(db.registry.get("k" .. index % 10), value)
        pcall(db.registry.put, "", value)
    end
end)

t.test("a finalizer may use a database", function()
    local db = t.open()
    local proxy
    if rawget(_G, "newproxy") then
        proxy = newproxy(true)
        getmetatable(proxy).__gc = function() db.registry.incr("finalized") end
    else
        proxy = setmetatable({}, { __gc = function() db.registry.incr("finalized") end })
    end
    proxy = nil
    collect()
    t.equal(db.registry.get("finalized"), 1)
end)

t.test("a state that ends with everything open ends well", function()
    t.child_ok({
        args = { t.path() },
        code = [[
            local acervo = require("acervo")
            kept = {}
            for index = 1, 5 do
                local db = assert(acervo.open({ path = arg[1], durability = "normal" }))
                db.store.put("k", index)
                kept[#kept + 1] = db
                kept[#kept + 1] = db.store
                kept[#kept + 1] = { db.store.pairs() }
                kept[#kept + 1] = select(2, acervo.from_json("{"))
            end
            local co = coroutine.wrap(function()
                for key in kept[1].store.pairs() do coroutine.yield(key) end
            end)
            co()
            kept[#kept + 1] = co
        ]],
    })
end)

local WITH_GC = [[
    local function with_gc(fn)
        if rawget(_G, "newproxy") then
            local proxy = newproxy(true)
            getmetatable(proxy).__gc = fn
            return proxy
        end
        return setmetatable({}, { __gc = fn })
    end
]]

t.test("an update made by a finalizer survives the finalizer of its module", function()
    local output = t.child_ok({ code = WITH_GC .. [[
        local acervo = require("acervo")
        local outcomes = 0
        local function make()
            local store
            do store = acervo.open(":memory:").store end
            store.put("k", 1)
            local cycle = { store = store }
            cycle.guard = with_gc(function()
                local ok, fault = pcall(cycle.store.update, "k", function(value)
                    collectgarbage()
                    collectgarbage()
                    local garbage = {}
                    for index = 1, 1000 do garbage[index] = ("y"):rep(index) .. index end
                    return { value = value, text = ("z"):rep(100) }
                end)
                assert(ok or fault:find("database is closed", 1, true), fault)
                outcomes = outcomes + 1
            end)
        end
        for _ = 1, 10 do
            make()
            collectgarbage()
            collectgarbage()
        end
        assert(outcomes == 10, outcomes)
        print("done")
    ]] })
    t.equal(output, "done\n")
end)

t.test("scripts cannot reach the finalizers of objects", function()
    local db = t.open()
    local _, err = acervo.from_json("{")
    for _, object in ipairs({ db, err }) do
        t.equal(type(getmetatable(object)), "string")
        t.ok(not pcall(setmetatable, object, {}))
    end
end)

t.test("an error finalized in the middle of its methods harms nothing", function()
    local output = t.child_ok({ code = WITH_GC .. [[
        local errors = require("acervo").errors
        pcall(collectgarbage, "setpause", 100)
        pcall(collectgarbage, "setstepmul", 10000)
        local function make(depth)
            if depth == 0 then
                return errors.new({ message = ("m"):rep(5000),
                    details = { a = ("x"):rep(3000), b = { 1, 2, ("y"):rep(3000) } } })
            end
            local err = make(depth - 1)
            return err
        end
        for round = 1, 300 do
            local err = make(25)
            local finalize = debug.getmetatable(err).__gc
            for _ = 1, round % 40 do with_gc(function() finalize(err) end) end
            pcall(errors.call_stack, err)
            pcall(err.details, err)
            pcall(err.message, err)
            pcall(err.stack, err)
            pcall(tostring, err)
        end
        print("done")
    ]] })
    t.equal(output, "done\n")
end)
