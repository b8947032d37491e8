-- Keys: what they may be, and the calls that list and delete by prefix.
local t = ...

t.each_kv("keys of any content work", function(kv)
    local keys = { "a", "a b", "a:b", ":", "%", "a%3Ab", "\0", "a\0b", "a\0c", "\255\254", "chave\195\167",
        "with\nline", "'; DROP TABLE x; --", "%s", "_", "*", "a/b" }
    for index, key in ipairs(keys) do
        kv.put(key, index)
    end
    for index, key in ipairs(keys) do
        t.equal(kv.get(key), index, t.show(key))
    end
    t.equal(kv.count(), #keys)
    table.sort(keys)
    for _, key in ipairs(keys) do
        kv.delete(key)
        t.equal(kv.get(key), nil, t.show(key))
    end
    t.equal(kv.count(), 0)
end)

t.each_kv("keys of 1 and 1024 bytes work, without counting the ident", function(kv)
    kv.put("x", 1)
    local longest = string.rep("k", 1024)
    kv.put(longest, 2)
    t.equal(kv.get("x"), 1)
    t.equal(kv.get(longest), 2)
end)

t.each_kv("a key of 0 or 1025 bytes is refused by every call", function(kv)
    local s = kv.suffix
    for _, key in ipairs({ "", string.rep("k", 1025) }) do
        t.raises(function() kv.put(key, 1) end, kv.name .. ".put" .. s .. ": ")
        t.raises(function() kv.get(key) end, kv.name .. ".get" .. s .. ": ")
        t.raises(function() kv.delete(key) end, kv.name .. ".delete" .. s .. ": ")
        t.raises(function() kv.incr(key) end, kv.name .. ".incr" .. s .. ": ")
        t.raises(function() kv.cas(key, nil, 1) end, kv.name .. ".cas" .. s .. ": ")
        t.raises(function() kv.update(key, function() return 1 end) end, kv.name .. ".update" .. s .. ": ")
        t.raises(function() kv.put_all({ [key] = 1 }) end, kv.name .. ".put_all" .. s .. ": ")
    end
    t.equal(kv.count(), 0)
end)

t.each_kv("a key that is no string is refused by every call", function(kv)
    local s = kv.suffix
    for _, key in ipairs({ 1, 1.5, true, {}, print }) do
        t.raises(function() kv.put(key, 1) end, kv.name .. ".put" .. s .. ": ")
        t.raises(function() kv.get(key) end, kv.name .. ".get" .. s .. ": ")
        t.raises(function() kv.delete(key) end, kv.name .. ".delete" .. s .. ": ")
        t.raises(function() kv.incr(key) end, kv.name .. ".incr" .. s .. ": ")
        t.raises(function() kv.cas(key, nil, 1) end, kv.name .. ".cas" .. s .. ": ")
        t.raises(function() kv.update(key, function() return 1 end) end, kv.name .. ".update" .. s .. ": ")
    end
    t.equal(kv.count(), 0)
end)

t.each_kv("a missing key argument is refused", function(kv)
    local s = kv.suffix
    t.raises(function() kv.put() end, kv.name .. ".put" .. s .. ": ")
    t.raises(function() kv.get() end, kv.name .. ".get" .. s .. ": ")
    t.raises(function() kv.get(nil) end, kv.name .. ".get" .. s .. ": ")
    t.raises(function() kv.delete() end, kv.name .. ".delete" .. s .. ": ")
end)

t.each_kv("a missing value argument is refused, nil as value is not", function(kv)
    t.raises(function() kv.put("k") end, kv.name .. ".put" .. kv.suffix .. ": ")
    local value, timestamp = kv.get("k")
    t.equal(value, nil)
    t.equal(timestamp, nil)
    kv.put("k", nil)
    t.equal(kv.count(), 1)
end)

t.each_kv("a number never stands for the string key of the same text", function(kv)
    kv.put("1", "a")
    t.raises(function() kv.get(1) end)
    t.equal(kv.get("1"), "a")
end)

t.each_kv("keys gives the sorted keys", function(kv)
    t.equal(#kv.keys(), 0)
    for _, key in ipairs({ "b", "a", "c", "B", "a\0", "\255", "ab", "a:1" }) do
        kv.put(key, 1)
    end
    t.equal(kv.keys(), { "B", "a", "a\0", "a:1", "ab", "b", "c", "\255" })
end)

t.each_kv("keys with a prefix gives those that start with it", function(kv)
    for _, key in ipairs({ "a", "app", "app:1", "app:2", "apx", "b", "%", "%%a", "\255\255", "\255" }) do
        kv.put(key, 1)
    end
    t.equal(kv.keys("app"), { "app", "app:1", "app:2" })
    t.equal(kv.keys("app:"), { "app:1", "app:2" })
    t.equal(kv.keys("%"), { "%", "%%a" })
    t.equal(kv.keys("\255"), { "\255", "\255\255" })
    t.equal(#kv.keys("nothing"), 0)
    t.equal(kv.keys(""), kv.keys())
    t.equal(kv.keys(nil), kv.keys())
end)

t.each_kv("count counts live keys, with a prefix those that start with it", function(kv)
    t.equal(kv.count(), 0)
    kv.put_all({ a1 = 1, a2 = 2, b1 = 3 })
    kv.put("a3", nil)
    t.equal(kv.count(), 4)
    t.equal(kv.count("a"), 3)
    t.equal(kv.count("b1"), 1)
    t.equal(kv.count("z"), 0)
    t.equal(kv.count(""), 4)
    kv.delete("a1")
    t.equal(kv.count("a"), 2)
end)

t.each_kv("a prefix that is no string is refused", function(kv)
    local s = kv.suffix
    for _, prefix in ipairs({ 1, true, {} }) do
        t.raises(function() kv.keys(prefix) end, kv.name .. ".keys" .. s .. ": ")
        t.raises(function() kv.count(prefix) end, kv.name .. ".count" .. s .. ": ")
    end
end)

t.each_namespaced("pairs gives key, value and timestamp in key order", function(kv)
    kv.put("b", { 2 })
    kv.put("a", 1)
    kv.put("d", false)
    kv.put("c", nil)
    local seen = {}
    for key, value, timestamp in kv.pairs() do
        seen[#seen + 1] = key .. "=" .. (type(value) == "table" and value[1] or tostring(value))
        t.equal(type(timestamp), "number")
    end
    t.equal(seen, { "a=1", "b=2", "c=nil", "d=false" })
end)

t.each_namespaced("pairs with a prefix gives those that start with it", function(kv)
    kv.put_all({ ["x:1"] = 1, ["x:2"] = 2, ["y:1"] = 3 })
    local seen = {}
    for key in kv.pairs("x:") do
        seen[#seen + 1] = key
    end
    t.equal(seen, { "x:1", "x:2" })
    for _ in kv.pairs("z") do
        error("nothing starts with z", 0)
    end
end)

t.each_namespaced("pairs over nothing ends at once", function(kv)
    for _ in kv.pairs() do
        error("there is no key", 0)
    end
end)

t.each_namespaced("pairs visits once what is there during the whole walk", function(kv)
    local expected = {}
    for index = 1, 500 do
        kv.put(string.format("k%03d", index), index)
        if index % 2 == 0 then
            expected[#expected + 1] = string.format("k%03d", index)
        end
    end
    local visits = {}
    local step = 0
    for key in kv.pairs() do
        visits[key] = (visits[key] or 0) + 1
        step = step + 1
        -- Change the namespace under the walk: odd keys go, even ones are
        -- overwritten, others come.
        kv.delete(string.format("k%03d", step * 2 - 1 <= 500 and step * 2 - 1 or 1))
        kv.put(expected[step % #expected + 1], "changed")
        if step < 200 then
            kv.put("a" .. step, 1)
            kv.put("z" .. step, 1)
        end
    end
    for _, key in ipairs(expected) do
        t.equal(visits[key], 1, key)
    end
    for key, count in pairs(visits) do
        t.equal(count, 1, key)
    end
end)

t.each_namespaced("deleting each visited key empties the namespace", function(kv)
    for index = 1, 100 do
        kv.put("k" .. index, index)
    end
    for key in kv.pairs() do
        kv.delete(key)
    end
    t.equal(kv.count(), 0)
end)

t.each_namespaced("two walks at once do not disturb each other", function(kv)
    kv.put_all({ a = 1, b = 2, c = 3 })
    local seen = {}
    for outer in kv.pairs() do
        for inner in kv.pairs() do
            seen[#seen + 1] = outer .. inner
        end
    end
    t.equal(table.concat(seen, " "), "aa ab ac ba bb bc ca cb cc")
end)

t.each_namespaced("a walk can be left early", function(kv)
    for index = 1, 100 do
        kv.put("k" .. index, index)
    end
    for _ = 1, 50 do
        for _ in kv.pairs() do
            break
        end
    end
    collectgarbage()
    t.equal(kv.count(), 100)
end)

t.each_namespaced("delete_prefix deletes what starts with it and says how many", function(kv)
    kv.put_all({ ["cache:a"] = 1, ["cache:b"] = 2, ["cache"] = 3, ["other"] = 4 })
    kv.put("cache:c", nil)
    t.equal(kv.delete_prefix("cache:"), 3)
    t.equal(kv.keys(), { "cache", "other" })
    t.equal(kv.delete_prefix("cache:"), 0)
    t.equal(kv.delete_prefix("missing"), 0)
    t.equal(kv.count(), 2)
end)

t.each_namespaced("delete_prefix takes % and \\255 for what they are", function(kv)
    kv.put_all({ ["%a"] = 1, ["a"] = 2, ["\255a"] = 3, ["\255\255"] = 4, ["\254"] = 5 })
    t.equal(kv.delete_prefix("%"), 1)
    t.equal(kv.delete_prefix("\255"), 2)
    t.equal(kv.keys(), { "a", "\254" })
end)

t.each_namespaced("delete_prefix wants a string", function(kv)
    kv.put("k", 1)
    for _, prefix in ipairs({ 1, true, {} }) do
        t.raises(function() kv.delete_prefix(prefix) end, kv.name .. ".delete_prefix: ")
    end
    t.raises(function() kv.delete_prefix() end, kv.name .. ".delete_prefix: ")
    t.equal(kv.count(), 1)
end)

t.test("delete_prefix, keys, count and pairs of a store stay in its namespace", function()
    local db = t.open()
    local one, two = db:namespace("one"), db:namespace("two")
    one.put_all({ a = 1, b = 2 })
    two.put_all({ a = 3, c = 4 })
    db.store.put_global("a", 5)
    t.equal(one.keys(), { "a", "b" })
    t.equal(two.count(), 2)
    t.equal(db.store.keys_global(), { "a", "one:a", "one:b", "two:a", "two:c" })
    t.equal(db.store.count_global("one:"), 2)
    local sum = 0
    for _, value in two.pairs() do
        sum = sum + value
    end
    t.equal(sum, 7)
    t.equal(one.delete_prefix("a"), 1)
    t.equal(one.keys(), { "b" })
    t.equal(two.get("a"), 3)
    t.equal(db.store.get_global("a"), 5)
end)
