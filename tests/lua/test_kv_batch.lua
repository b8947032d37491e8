-- put_all: all or nothing.
local t = ...
local acervo = require("acervo")

t.each_kv("put_all stores every pair", function(kv)
    kv.put("a", "old")
    kv.put_all({ a = 1, b = { 2 }, c = "three", ["d:e"] = false })
    t.equal(kv.get("a"), 1)
    t.equal(kv.get("b"), { 2 })
    t.equal(kv.get("c"), "three")
    t.equal(kv.get("d:e"), false)
    t.equal(kv.count(), 4)
end)

t.each_kv("put_all gives all keys a timestamp of now", function(kv)
    local before = os.time()
    kv.put_all({ a = 1, b = 2 })
    for _, key in ipairs({ "a", "b" }) do
        local _, timestamp = kv.get(key)
        t.ok(before <= timestamp and timestamp <= os.time())
    end
end)

t.each_kv("put_all of nothing does nothing", function(kv)
    kv.put("a", 1)
    kv.put_all({})
    t.equal(kv.keys(), { "a" })
end)

t.each_kv("acervo.null in put_all stores a nil", function(kv)
    kv.put_all({ a = acervo.null })
    local value, timestamp = kv.get("a")
    t.equal(value, nil)
    t.ok(timestamp)
end)

t.each_kv("one bad value or key and put_all stores nothing", function(kv)
    kv.put("a", "before")
    local label = kv.name .. ".put_all" .. kv.suffix .. ": "
    local many = {}
    for index = 1, 100 do
        many["k" .. index] = index
    end
    many.a = "after"
    local function tries(key, value)
        many[key] = value
        t.raises(function() kv.put_all(many) end, label)
        many[key] = nil
        t.equal(kv.keys(), { "a" })
        t.equal(kv.get("a"), "before")
    end
    tries("bad", function() end)
    tries("bad", { x = { print } })
    tries("", 1)
    tries(string.rep("k", 1025), 1)
    tries(1, "key is a number")
    tries(true, "key is a bool")
end)

t.each_kv("put_all wants a table", function(kv)
    local label = kv.name .. ".put_all" .. kv.suffix .. ": "
    for _, bad in ipairs({ "text", 1, true, print }) do
        t.raises(function() kv.put_all(bad) end, label)
    end
    t.raises(function() kv.put_all() end, label)
    t.raises(function() kv.put_all(nil) end, label)
end)

t.each_kv("put_all of many keys works", function(kv)
    local many = {}
    for index = 1, 5000 do
        many["k" .. index] = { index }
    end
    kv.put_all(many)
    t.equal(kv.count(), 5000)
    t.equal(kv.get("k4999"), { 4999 })
end)
