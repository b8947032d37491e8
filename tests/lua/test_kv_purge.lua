-- purge: deletes by age of the last write.
local t = ...

t.test("purge deletes what was not written for that long and says how many", function()
    -- One wait for registry and store together.
    local db = t.open({ ident = "me" })
    for _, kv in ipairs({ db.registry, db.store }) do
        kv.put_all({ old1 = 1, old2 = 2, rewritten = 3 })
    end
    db.store.put_global("outside", 1)
    local written = os.time()
    t.wait_until(function() return os.time() >= written + 2 end, "two seconds")
    for name, kv in pairs({ registry = db.registry, store = db.store }) do
        kv.put("new", 1)
        kv.put("rewritten", 4)
        t.equal(kv.purge(3600), 0, name)
        t.equal(kv.count(), 4, name)
        t.equal(kv.purge(1), 2, name)
        t.equal(kv.keys(), { "new", "rewritten" }, name)
        t.equal(kv.purge(1), 0, name)
    end
    t.equal(db.store.get_global("outside"), 1, "a key of another namespace")
end)

t.each_namespaced("purge wants a number", function(kv)
    kv.put("k", 1)
    local label = kv.name .. ".purge: "
    for _, bad in ipairs({ "1", true, {} }) do
        t.raises(function() kv.purge(bad) end, label)
    end
    t.raises(function() kv.purge() end, label)
    t.equal(kv.count(), 1)
end)

t.each_namespaced("purge of an empty namespace deletes nothing", function(kv)
    t.equal(kv.purge(1), 0)
end)
