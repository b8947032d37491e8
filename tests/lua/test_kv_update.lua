-- update: read, modify, write.
local t = ...
local acervo = require("acervo")

t.each_kv("update gives the function value and timestamp and stores what it returns", function(kv)
    kv.put("k", { n = 1 })
    local _, stamp = kv.get("k")
    local seen
    local result = kv.update("k", function(value, timestamp)
        seen = timestamp
        value.n = value.n + 1
        return value
    end)
    t.equal(seen, stamp)
    t.equal(result, { n = 2 })
    t.equal(kv.get("k"), { n = 2 })
end)

t.each_kv("update of a missing key gives nil, nil to the function", function(kv)
    local result = kv.update("k", function(value, timestamp)
        t.equal(value, nil)
        t.equal(timestamp, nil)
        return "made"
    end)
    t.equal(result, "made")
    t.equal(kv.get("k"), "made")
end)

t.each_kv("nil from the function deletes", function(kv)
    kv.put("k", 1)
    t.equal(kv.update("k", function() return nil end), nil)
    local value, timestamp = kv.get("k")
    t.equal(value, nil)
    t.equal(timestamp, nil)
    kv.put("k", 1)
    kv.update("k", function() end)
    t.equal(kv.count(), 0)
    kv.update("missing", function() end)
    t.equal(kv.count(), 0)
end)

t.each_kv("acervo.null from the function stores a nil", function(kv)
    kv.update("k", function() return acervo.null end)
    local value, timestamp = kv.get("k")
    t.equal(value, nil)
    t.ok(timestamp, "not stored")
end)

t.each_kv("false from the function is stored", function(kv)
    t.equal(kv.update("k", function() return false end), false)
    t.equal(kv.get("k"), false)
end)

t.each_kv("changing the value in place without returning it changes nothing", function(kv)
    kv.put("k", { n = 1 })
    kv.put("copy", { n = 1 })
    kv.update("k", function(value)
        value.n = 99
        return "other"
    end)
    t.equal(kv.get("k"), "other")
    t.equal(kv.get("copy"), { n = 1 })
end)

t.each_kv("a function that raises leaves the value and its error comes out", function(kv)
    kv.put("k", "before")
    local ok, fault = pcall(function()
        kv.update("k", function() error("the function's own reason") end)
    end)
    t.equal(ok, false)
    t.contains(tostring(fault), "the function's own reason")
    t.equal(kv.get("k"), "before")
    t.equal(kv.update("k", function() return "works" end), "works")
end)

t.each_kv("the function may read", function(kv)
    kv.put("other", 5)
    kv.put("k", 1)
    kv.update("k", function(value)
        t.equal(kv.keys(), { "k", "other" })
        t.equal(kv.count(), 2)
        return value + kv.get("other") + kv.get("k")
    end)
    t.equal(kv.get("k"), 7)
end)

t.each_kv("the function may not write", function(kv)
    kv.put("k", 1)
    local s = kv.suffix
    local writes = {
        put = function() kv.put("other", 1) end,
        delete = function() kv.delete("k") end,
        put_all = function() kv.put_all({ other = 1 }) end,
        incr = function() kv.incr("other") end,
        cas = function() kv.cas("other", nil, 1) end,
        update = function() kv.update("other", function() return 1 end) end,
    }
    for name, write in pairs(writes) do
        local result = kv.update("k", function(value)
            t.raises(write, kv.name .. "." .. name .. s .. ": ")
            return value + 1
        end)
        t.equal(type(result), "number")
        t.equal(kv.keys(), { "k" }, name)
    end
    t.equal(kv.get("k"), 7)
end)

t.each_namespaced("the function may not write by delete_prefix and purge", function(kv)
    kv.put("k", 1)
    kv.update("k", function(value)
        t.raises(function() kv.delete_prefix("k") end, kv.name .. ".delete_prefix: ")
        t.raises(function() kv.purge(1) end, kv.name .. ".purge: ")
        return value + 1
    end)
    t.equal(kv.get("k"), 2)
end)

t.test("the function may not write to the other module either", function()
    local db = t.open()
    db.store.update("k", function()
        t.raises(function() db.registry.put("x", 1) end, "registry.put: ")
        return 1
    end)
    db.registry.update("k", function()
        t.raises(function() db.store.put("x", 1) end, "store.put: ")
        t.raises(function() db.store.put_global("x", 1) end, "store.put_global: ")
        return 1
    end)
    t.equal(db.registry.get("x"), nil)
    t.equal(db.store.get("x"), nil)
end)

t.each_kv("a write that the function lets through as an error leaves everything", function(kv)
    kv.put("k", 1)
    t.raises(function()
        kv.update("k", function()
            kv.put("other", 1)
            return 2
        end)
    end)
    t.equal(kv.get("k"), 1)
    t.equal(kv.get("other"), nil)
    kv.put("other", "works again")
    t.equal(kv.get("other"), "works again")
end)

t.each_kv("writes work again after an update, also after one that raised", function(kv)
    kv.update("k", function() return 1 end)
    kv.put("k", 2)
    pcall(kv.update, "k", function() error("no") end)
    kv.put("k", 3)
    t.equal(kv.get("k"), 3)
end)

t.each_kv("update wants a function", function(kv)
    local label = kv.name .. ".update" .. kv.suffix .. ": "
    kv.put("k", 1)
    for _, bad in ipairs({ 1, "text", true, {} }) do
        t.raises(function() kv.update("k", bad) end, label)
    end
    t.raises(function() kv.update("k") end, label)
    t.equal(kv.get("k"), 1)
end)

t.each_kv("the function may not yield, and the value stays", function(kv)
    kv.put("k", 1)
    local co = coroutine.create(function()
        kv.update("k", function(value)
            coroutine.yield("out")
            return value + 1
        end)
    end)
    local ok = coroutine.resume(co)
    t.equal(ok, false, "the yield went through")
    t.equal(kv.get("k"), 1)
    kv.put("k", 2)
    t.equal(kv.get("k"), 2)
end)

-- A writer in another process is the only one that can come between in a
-- single-threaded test.
local WRITER = [[
    local db = assert(require("acervo").open({ path = arg[1], durability = "normal" }))
    db.store.put_global("k", arg[2])
]]

t.test("the function runs again when another process wrote between", function()
    local db, path = t.open()
    db.store.put("k", "first")
    local seen = {}
    local result = db.store.update("k", function(value)
        seen[#seen + 1] = value
        if #seen == 1 then
            t.child_ok({ code = WRITER, args = { path, "from outside" } })
        end
        return value .. "!"
    end)
    t.equal(seen, { "first", "from outside" })
    t.equal(result, "from outside!")
    t.equal(db.store.get("k"), "from outside!")
end)

t.test("update gives up with an error after 64 rounds", function()
    local db, path = t.open()
    db.store.put("k", "0")
    local rounds = 0
    t.raises(function()
        db.store.update("k", function()
            rounds = rounds + 1
            t.child_ok({ code = WRITER, args = { path, "other " .. rounds } })
            return "mine"
        end)
    end, "store.update: ")
    t.equal(rounds, 64)
    t.equal(db.store.get("k"), "other 64")
end)
