-- put, get, delete: what the two documents promise.
local t = ...
local acervo = require("acervo")

t.each_kv("put and delete return nothing", function(kv)
    t.equal(select("#", kv.put("k", 1)), 0)
    t.equal(select("#", kv.delete("k")), 0)
end)

t.each_kv("get gives value and timestamp", function(kv)
    local before = os.time()
    kv.put("k", "v")
    local after = os.time()
    local value, timestamp = kv.get("k")
    t.equal(value, "v")
    t.equal(type(timestamp), "number")
    t.ok(before <= timestamp and timestamp <= after, "timestamp " .. tostring(timestamp))
    t.equal(timestamp, math.floor(timestamp), "whole seconds")
end)

t.each_kv("get of a missing key gives nil, nil", function(kv)
    t.equal(select("#", kv.get("missing")), 2)
    local value, timestamp = kv.get("missing")
    t.equal(value, nil)
    t.equal(timestamp, nil)
end)

t.each_kv("a stored nil has a timestamp, a missing key has none", function(kv)
    kv.put("k", nil)
    local value, timestamp = kv.get("k")
    t.equal(value, nil)
    t.equal(type(timestamp), "number")
    kv.delete("k")
    value, timestamp = kv.get("k")
    t.equal(value, nil)
    t.equal(timestamp, nil)
end)

t.each_kv("the last writer wins", function(kv)
    kv.put("k", 1)
    kv.put("k", { a = 1 })
    kv.put("k", "last")
    t.equal(kv.get("k"), "last")
    t.equal(kv.count(), 1)
end)

t.each_kv("every write sets the timestamp", function(kv)
    kv.put("k", 1)
    local _, first = kv.get("k")
    t.wait_until(function() return os.time() > first end, "the next second")
    kv.put("k", 1)
    local _, second = kv.get("k")
    t.ok(second > first, "the timestamp did not move")
    t.ok(second <= os.time())
end)

t.each_kv("delete removes a key and is no error for a missing one", function(kv)
    kv.put("k", 1)
    kv.delete("k")
    kv.delete("k")
    kv.delete("never there")
    t.equal(kv.get("k"), nil)
    t.equal(kv.count(), 0)
end)

t.each_kv("a key can be put again after its delete", function(kv)
    kv.put("k", 1)
    kv.delete("k")
    kv.put("k", 2)
    t.equal(kv.get("k"), 2)
    t.equal(kv.count(), 1)
end)

t.each_kv("the read-modify-write of the documents counts", function(kv)
    kv.put("contador", 1)
    local value = kv.get("contador")
    kv.put("contador", (value or 0) + 1)
    t.equal(kv.get("contador"), 2)
end)

t.test("registry and store do not share keys", function()
    local db = t.open()
    db.registry.put("k", "registry")
    db.store.put("k", "store")
    t.equal(db.registry.get("k"), "registry")
    t.equal(db.store.get("k"), "store")
    db.registry.delete("k")
    t.equal(db.store.get("k"), "store")
    t.equal(db.registry.count(), 0)
    t.equal(db.store.count_global(), 1)
end)

t.test("delete_global deletes the raw key and no other", function()
    local db = t.open({ ident = "me" })
    db.store.put("k", 1)
    db.store.put_global("k", 2)
    db.store.delete_global("k")
    t.equal(db.store.get_global("k"), nil)
    t.equal(db.store.get("k"), 1)
    db.store.delete_global("me:k")
    t.equal(db.store.get("k"), nil)
end)

t.each_kv("many keys are all there", function(kv)
    for index = 1, 2000 do
        kv.put("key" .. index, index)
    end
    t.equal(kv.count(), 2000)
    for index = 1, 2000, 2 do
        kv.delete("key" .. index)
    end
    t.equal(kv.count(), 1000)
    for index = 1, 2000 do
        local expected = nil
        if index % 2 == 0 then
            expected = index
        end
        t.equal(kv.get("key" .. index), expected)
    end
end)

t.test("flush gives nothing to complain about, on the registry and the database", function()
    local db, path = t.open({ flush_interval_ms = 3600000 })
    db.registry.put("k", "flushed")
    db.registry.flush()
    -- Another process sees what was flushed.
    local output = t.child_ok({
        code = [[
            local db = assert(require("acervo").open({ path = arg[1], durability = "normal" }))
            print(db.registry.get("k"))
        ]],
        args = { path },
    })
    t.contains(output, "flushed")
    db.registry.put("k", "again")
    t.equal(db:flush(), true)
    t.equal(db.registry.get("k"), "again")
end)

t.test("the modules of a database are tables of plain functions", function()
    local db = t.open()
    local put, get = db.store.put, db.store.get
    put("k", 1)
    t.equal(get("k"), 1)
    t.equal(type(db.registry.put), "function")
    t.equal(type(acervo.open), "function")
end)
