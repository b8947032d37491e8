-- registry and store raise plain strings that name place and call.
local t = ...
local acervo = require("acervo")

local file = "test_raising.lua"

local function line_here()
    return debug.getinfo(2, "l").currentline
end

-- fn raises at the line it returned through `at` before.
local function raises_at(fn, label)
    local line
    local ok, fault = pcall(fn, function(n) line = n end)
    t.equal(ok, false, "raised")
    t.equal(type(fault), "string", "type of what was raised")
    local place = file .. ":" .. line .. ": " .. label .. ": "
    t.contains(fault, place)
    t.ok(#fault >= fault:find(place, 1, true) + #place, "no reason after the label")
end

t.test("a bad put names file, line and call", function()
    local db = t.open()
    raises_at(function(at)
        at(line_here() + 1)
        db.store.put("", 1)
    end, "store.put")
    raises_at(function(at)
        at(line_here() + 1)
        db.registry.put("k", print)
    end, "registry.put")
    raises_at(function(at)
        at(line_here() + 1)
        db.store.put_global(5, 1)
    end, "store.put_global")
end)

t.test("every call raises with its own name", function()
    local db = t.open()
    for _, name in ipairs({ "get", "delete", "incr", "get_global", "incr_global", "delete_global" }) do
        raises_at(function(at)
            at(line_here() + 1)
            db.store[name]("")
        end, "store." .. name)
    end
    for _, name in ipairs({ "get", "delete", "incr", "put", "cas", "update", "put_all", "purge", "delete_prefix" }) do
        raises_at(function(at)
            at(line_here() + 1)
            db.registry[name]()
        end, "registry." .. name)
    end
end)

t.test("a namespace's store raises as store", function()
    local db = t.open()
    raises_at(function(at)
        at(line_here() + 1)
        db:namespace("x").put("", 1)
    end, "store.put")
end)

t.test("the path in a value follows place and call", function()
    local db = t.open()
    local fault = t.raises(function() db.store.put("k", { limites = { cpu = print } }) end)
    t.ok(fault:find("test_raising%.lua:%d+: store%.put: value%.limites%.cpu: a function cannot be stored"), fault)
end)

t.test("a call straight from pcall raises a plain string with the call's name", function()
    local db = t.open()
    local ok, fault = pcall(db.store.put, "", 1)
    t.equal(ok, false)
    t.equal(type(fault), "string")
    t.contains(fault, "store.put: ")
end)

t.test("a failure, not only bad input, is a plain string", function()
    local db = t.open()
    local store = db.store
    db:close()
    raises_at(function(at)
        at(line_here() + 1)
        store.put("k", 1)
    end, "store.put")
end)

t.test("the message goes through xpcall, error and another pcall unchanged", function()
    local db = t.open()
    local _, inner = pcall(function()
        local ok, fault = pcall(function() db.store.put("", 1) end)
        t.equal(ok, false)
        error(fault, 0)
    end)
    t.contains(inner, "store.put: ")
    local _, handled = xpcall(function() db.store.put("", 1) end, function(fault) return "handled " .. fault end)
    t.contains(handled, "handled ")
    t.contains(handled, "store.put: ")
end)

t.test("ten thousand raised errors leave the database working", function()
    local db = t.open()
    for _ = 1, 10000 do
        t.ok(not pcall(db.registry.put, "", 1))
    end
    db.registry.put("k", 1)
    t.equal(db.registry.get("k"), 1)
end)

t.test("open, close, flush and the conversions give nil and an error instead", function()
    t.equal(type(select(2, acervo.open({ nonsense = 1 }))), "userdata")
    t.equal(type(select(2, acervo.from_json("{"))), "userdata")
    t.equal(type(select(2, acervo.to_msgpack(print))), "userdata")
end)

t.test("a call with a colon is told to use a dot", function()
    local db = t.open()
    local store = db.store
    for _, call in ipairs({
        function() store:put("k", 1) end,
        function() store:get("k") end,
        function() store:keys("k") end,
        function() store:put_all({ k = 1 }) end,
        function() store:delete_prefix("k") end,
        function() store:purge(1) end,
    }) do
        t.raises(call, "call with a dot")
    end
    local fault = t.raises(function() store.get({}) end, "key must be a string, got table")
    t.ok(not fault:find("call with a dot", 1, true))
end)
