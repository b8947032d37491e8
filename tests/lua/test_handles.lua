-- Handles on one file: shared state, close, use after close, stats.
local t = ...
local acervo = require("acervo")

t.test("two opens of one file share their state", function()
    local one, path = t.open()
    local two = t.open({ path = path })
    one.store.put("k", { 1 })
    one.registry.put("k", { 2 })
    t.equal(two.store.get("k"), { 1 })
    t.equal(two.registry.get("k"), { 2 })
    two.store.incr("n")
    one.store.incr("n")
    t.equal(two.store.get("n"), 2)
    two.registry.incr("n")
    one.registry.incr("n")
    t.equal(one.registry.get("n"), 2)
end)

t.test("two paths to one file share their state", function()
    local directory = t.directory()
    local one = t.open({ path = directory .. "/x.db" })
    one.registry.put("k", 1)
    os.execute("ln -s x.db " .. t.quote(directory) .. "/link.db")
    for _, path in ipairs({ directory .. "/./x.db", directory .. "/../" .. directory:match("[^/]+$") .. "/x.db",
        directory .. "/link.db" }) do
        local other = t.open({ path = path })
        t.equal(other.registry.get("k"), 1, path)
        other.registry.incr("k")
        t.equal(one.registry.get("k"), 2, path)
        one.registry.put("k", 1)
    end
end)

t.test("close ends one handle only", function()
    local one, path = t.open()
    local two = t.open({ path = path })
    one.store.put("k", 1)
    t.equal(one:close(), true)
    t.equal(two.store.get("k"), 1)
    two.store.put("k", 2)
    t.equal(two.store.get("k"), 2)
    local three = t.open({ path = path })
    t.equal(three.store.get("k"), 2)
end)

t.test("closing again has no effect", function()
    local db = t.open()
    t.equal(db:close(), true)
    t.equal(db:close(), true)
    t.equal(db:close(), true)
end)

t.test("every call after close says that the database is closed", function()
    local db = t.open({ ident = "me" })
    local other = db:namespace("other")
    local modules = { registry = db.registry, store = db.store }
    db:close()
    modules.namespace = other
    for name, kv in pairs(modules) do
        local label = (name == "registry" and "registry" or "store") .. "."
        t.raises(function() kv.put("k", 1) end, label .. "put: ", "database is closed")
        t.raises(function() kv.get("k") end, label .. "get: ", "database is closed")
        t.raises(function() kv.delete("k") end, label .. "delete: ", "database is closed")
        t.raises(function() kv.keys() end, label .. "keys: ", "database is closed")
        t.raises(function() kv.count() end, label .. "count: ", "database is closed")
        t.raises(function() kv.pairs() end, label .. "pairs: ", "database is closed")
        t.raises(function() kv.delete_prefix("k") end, label .. "delete_prefix: ", "database is closed")
        t.raises(function() kv.purge(1) end, label .. "purge: ", "database is closed")
        t.raises(function() kv.put_all({ k = 1 }) end, label .. "put_all: ", "database is closed")
        t.raises(function() kv.incr("k") end, label .. "incr: ", "database is closed")
        t.raises(function() kv.cas("k", nil, 1) end, label .. "cas: ", "database is closed")
        t.raises(function() kv.update("k", function() return 1 end) end, label .. "update: ", "database is closed")
    end
    t.raises(function() modules.registry.flush() end, "registry.flush: ", "database is closed")
    t.raises(function() modules.store.get_global("k") end, "store.get_global: ", "database is closed")
end)

t.test("the database's own calls after close give an INTERNAL error that is not retryable", function()
    local db = t.open()
    db:close()
    local err = t.fails("INTERNAL", { db:flush() }, "database is closed")
    t.equal(err:retryable(), false)
    t.fails("INTERNAL", { db:stats() }, "database is closed")
end)

t.test("a walk that outlives its handle's close raises instead of going on", function()
    local db = t.open()
    for index = 1, 1000 do
        db.registry.put("k" .. index, index)
    end
    local step, state, control = db.registry.pairs()
    local first = step(state, control)
    t.equal(type(first), "string")
    db:close()
    -- What it read ahead it may still give; it must end or raise, not crash.
    local ok, fault = true, nil
    local rounds = 0
    local key = first
    while ok and key ~= nil and rounds < 2000 do
        rounds = rounds + 1
        ok, fault = pcall(step, state, key)
        key = fault
    end
    if not ok then
        t.contains(fault, "database is closed")
    end
    t.ok(rounds < 2000, "the walk does not end")
end)

t.test("stats tells of keys and unflushed ones", function()
    local db = t.open({ flush_interval_ms = 3600000 })
    db.store.put("a", 1)
    db.store.put("b", 2)
    db.registry.put("c", 3)
    local stats = db:stats()
    t.equal(type(stats), "table")
    t.equal(stats.keys, 3)
    t.ok(stats.bytes > 0)
    t.equal(stats.dirty_keys, 1)
    db:flush()
    t.equal(db:stats().dirty_keys, 0)
end)

t.test("tostring of a database tells what it is and works after close", function()
    local db = t.open()
    t.equal(type(tostring(db)), "string")
    db:close()
    t.equal(type(tostring(db)), "string")
end)

t.test("methods called on the wrong object raise", function()
    local db = t.open()
    for _, bad in ipairs({ {}, 1, "text", io.stdout, acervo.null }) do
        t.ok(not pcall(db.close, bad), "close of " .. type(bad))
        t.ok(not pcall(db.flush, bad), "flush of " .. type(bad))
        t.ok(not pcall(db.namespace, bad, "x"), "namespace of " .. type(bad))
    end
    db.store.put("k", 1)
    t.equal(db.store.get("k"), 1)
end)

t.test("many opens and closes of one file lose nothing", function()
    local path = t.path()
    for round = 1, 50 do
        local db = assert(acervo.open({ path = path, durability = "normal" }))
        t.equal(db.store.incr("n"), round)
        t.equal(db.registry.incr("n"), round)
        t.ok(db:close())
    end
end)

if t.version >= 5.4 then
    t.test("a to-be-closed variable closes its database", function()
        local path = t.path()
        local store = t.load_text([[
            local path = ...
            local kept
            do
                local db <close> = assert(require("acervo").open({ path = path, durability = "normal" }))
                db.store.put("k", 1)
                kept = db.store
            end
            return kept
        ]])(path)
        t.raises(function() store.get("k") end, "database is closed")
    end)

    t.test("a to-be-closed variable closes its database when an error leaves the block", function()
        local path = t.path()
        local store
        local ok = pcall(t.load_text([[
            local path, keep = ...
            local db <close> = assert(require("acervo").open({ path = path, durability = "normal" }))
            keep(db.store)
            error("out")
        ]]), path, function(kept) store = kept end)
        t.equal(ok, false)
        t.raises(function() store.get("k") end, "database is closed")
    end)
end

t.test("a namespace of a closed database is refused", function()
    local db = t.open()
    db:close()
    t.fails("INTERNAL", { db:namespace("x") }, "database is closed")
end)
