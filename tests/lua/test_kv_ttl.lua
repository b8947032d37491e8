-- Values that expire.
local t = ...

local SHORT = { ttl = 0.05 }

local function expired(kv, key)
    t.wait_until(function()
        local _, timestamp = kv.get(key)
        return timestamp == nil
    end, key .. " to expire")
end

t.each_kv("a value with ttl is there and then reads as missing", function(kv)
    kv.put("k", "v", { ttl = 1000 })
    t.equal(kv.get("k"), "v")
    kv.put("k", "v", SHORT)
    expired(kv, "k")
    t.equal(kv.get("k"), nil)
    t.equal(kv.count(), 0)
    t.equal(#kv.keys(), 0)
end)

t.each_kv("a value without ttl outlives one with", function(kv)
    kv.put("stays", 1)
    kv.put("goes", 1, SHORT)
    expired(kv, "goes")
    t.equal(kv.get("stays"), 1)
    t.equal(kv.keys(), { "stays" })
    t.equal(kv.count(), 1)
end)

t.each_kv("an expired key is missing for incr, cas and update", function(kv)
    kv.put("a", 5, SHORT)
    kv.put("b", 5, SHORT)
    kv.put("c", 5, SHORT)
    expired(kv, "a")
    expired(kv, "b")
    expired(kv, "c")
    t.equal(kv.incr("a"), 1)
    t.equal(kv.cas("b", 5, 6), false)
    t.equal(kv.cas("b", nil, 7), true)
    local seen = "not called"
    kv.update("c", function(value, timestamp)
        seen = tostring(value) .. " " .. tostring(timestamp)
        return 1
    end)
    t.equal(seen, "nil nil")
end)

t.each_kv("put without ttl clears it", function(kv)
    kv.put("k", 1, { ttl = 0.3 })
    kv.put("k", 2)
    kv.put("witness", 1, { ttl = 0.4 })
    expired(kv, "witness")
    t.equal(kv.get("k"), 2)
end)

t.each_kv("put with ttl sets it on a key that had none", function(kv)
    kv.put("k", 1)
    kv.put("k", 2, SHORT)
    expired(kv, "k")
end)

t.each_kv("put with a longer ttl replaces a shorter one", function(kv)
    kv.put("k", 1, { ttl = 0.3 })
    kv.put("k", 2, { ttl = 1000 })
    kv.put("witness", 1, { ttl = 0.4 })
    expired(kv, "witness")
    t.equal(kv.get("k"), 2)
end)

t.each_kv("incr, cas and update keep the ttl", function(kv)
    kv.put_all({ a = 1, b = 1, c = 1 }, { ttl = 1 })
    kv.incr("a")
    kv.cas("b", 1, 2)
    kv.update("c", function() return 2 end)
    expired(kv, "a")
    expired(kv, "b")
    expired(kv, "c")
end)

t.each_kv("incr, cas and update set no ttl where there was none", function(kv)
    kv.put_all({ a = 1, b = 1, c = 1 })
    kv.put("witness", 1, SHORT)
    kv.incr("a")
    kv.cas("b", 1, 2)
    kv.update("c", function() return 2 end)
    expired(kv, "witness")
    t.equal(kv.count(), 3)
end)

t.each_kv("put_all gives its ttl to every key", function(kv)
    kv.put_all({ a = 1, b = 2 }, SHORT)
    expired(kv, "a")
    expired(kv, "b")
    t.equal(kv.count(), 0)
end)

t.each_kv("a ttl that is not positive or no number is refused", function(kv)
    kv.put("k", "before")
    local s = kv.suffix
    for _, ttl in ipairs({ 0, -1, -0.5, t.nan, "1", true, {} }) do
        t.raises(function() kv.put("k", 1, { ttl = ttl }) end, kv.name .. ".put" .. s .. ": ", "ttl")
        t.raises(function() kv.put_all({ k = 1 }, { ttl = ttl }) end, kv.name .. ".put_all" .. s .. ": ", "ttl")
    end
    t.equal(kv.get("k"), "before")
end)

t.each_kv("an options argument that is no table is refused", function(kv)
    t.raises(function() kv.put("k", 1, 5) end, kv.name .. ".put" .. kv.suffix .. ": ")
    t.raises(function() kv.put("k", 1, "ttl") end, kv.name .. ".put" .. kv.suffix .. ": ")
    t.equal(kv.count(), 0)
end)

t.each_kv("options without a ttl, and nil for options, set none", function(kv)
    kv.put("a", 1, {})
    kv.put("b", 1, nil)
    t.equal(kv.keys(), { "a", "b" })
end)

t.each_namespaced("pairs and delete_prefix pass over expired keys", function(kv)
    kv.put("a", 1, SHORT)
    kv.put("b", 2)
    expired(kv, "a")
    local seen = {}
    for key in kv.pairs() do
        seen[#seen + 1] = key
    end
    t.equal(seen, { "b" })
    kv.put("x1", 1, SHORT)
    kv.put("x2", 1)
    expired(kv, "x1")
    t.equal(kv.delete_prefix("x"), 1)
end)

t.test("a ttl goes on counting while the file is closed", function()
    local db, path = t.open()
    db.store.put("short", 1, { ttl = 0.2 })
    db.store.put("long", 1, { ttl = 1000 })
    db.registry.put("short", 1, { ttl = 0.2 })
    db.registry.put("long", 1, { ttl = 1000 })
    db:close()
    t.sleep(0.3)
    db = t.open({ path = path })
    t.equal(db.store.get("short"), nil)
    t.equal(db.registry.get("short"), nil)
    t.equal(db.store.keys(), { "long" })
    t.equal(db.registry.keys(), { "long" })
end)

t.each_kv("a ttl beyond the limit is refused with the limit", function(kv)
    for _, ttl in ipairs({ t.huge, 1e300 }) do
        t.raises(function() kv.put("k", 1, { ttl = ttl }) end, "ttl must be at most", "100000 years")
    end
    t.raises(function() kv.put("k", 1, { ttl = t.nan }) end, "ttl must be a positive number")
end)
