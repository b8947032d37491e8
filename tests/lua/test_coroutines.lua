-- Everything works inside coroutines.
local t = ...

t.each_namespaced("every call works inside a coroutine", function(kv)
    local co = coroutine.wrap(function()
        kv.put("k", { 1 })
        coroutine.yield(1)
        kv.put_all({ a = 1, b = 2 })
        coroutine.yield(kv.get("k"))
        kv.incr("n")
        coroutine.yield(kv.cas("n", 1, 2))
        kv.update("n", function(value) return value + 1 end)
        coroutine.yield((kv.get("n")))
        kv.delete("k")
        return kv.keys()
    end)
    t.equal(co(), 1)
    t.equal(kv.get("k"), { 1 })
    t.equal((co()), { 1 })
    t.equal(co(), true)
    t.equal(co(), 3)
    t.equal(co(), { "a", "b", "n" })
end)

t.each_namespaced("a walk may be spread over yields, with writes between", function(kv)
    kv.put_all({ a = 1, b = 2, c = 3 })
    local co = coroutine.wrap(function()
        for key, value in kv.pairs() do
            coroutine.yield(key .. value)
        end
        return "end"
    end)
    t.equal(co(), "a1")
    kv.put("other", 1)
    kv.delete("other")
    t.equal(co(), "b2")
    t.equal(co(), "c3")
    t.equal(co(), "end")
end)

t.each_namespaced("a walk begun in one coroutine may go on in another", function(kv)
    kv.put_all({ a = 1, b = 2 })
    local step, state, control
    coroutine.wrap(function()
        step, state, control = kv.pairs()
        control = step(state, control)
    end)()
    t.equal(control, "a")
    coroutine.wrap(function() control = step(state, control) end)()
    t.equal(control, "b")
    t.equal(step(state, control), nil)
end)

t.each_namespaced("errors raised inside a coroutine come out of resume as plain strings", function(kv)
    local co = coroutine.create(function() kv.put("", 1) end)
    local ok, fault = coroutine.resume(co)
    t.equal(ok, false)
    t.equal(type(fault), "string")
    t.contains(fault, "test_coroutines.lua:")
    t.contains(fault, kv.name .. ".put: ")
    t.equal(coroutine.status(co), "dead")
end)

t.test("a database opened in a coroutine outlives it", function()
    local db
    local co = coroutine.create(function()
        db = t.open()
        db.store.put("k", 1)
    end)
    assert(coroutine.resume(co))
    co = nil
    collectgarbage()
    collectgarbage()
    t.equal(db.store.get("k"), 1)
    db.store.put("k", 2)
    t.equal(db.store.get("k"), 2)
end)

t.test("EXEC_IDENT holds inside coroutines too", function()
    local db = t.open()
    rawset(_G, "EXEC_IDENT", "me")
    coroutine.wrap(function() db.store.put("k", 1) end)()
    t.equal(db.store.keys_global(), { "me:k" })
end)

t.each_namespaced("a hundred coroutines take turns", function(kv)
    local all = {}
    for index = 1, 100 do
        all[index] = coroutine.create(function()
            for _ = 1, 10 do
                kv.incr("n")
                coroutine.yield()
            end
        end)
    end
    for _ = 1, 10 do
        for _, co in ipairs(all) do
            assert(coroutine.resume(co))
        end
    end
    t.equal(kv.get("n"), 1000)
end)

t.each_namespaced("an update inside an update's coroutine is a write and refused", function(kv)
    kv.put("k", 1)
    kv.update("k", function(value)
        local co = coroutine.create(function() kv.put("other", 1) end)
        local ok, fault = coroutine.resume(co)
        t.equal(ok, false)
        t.contains(fault, kv.name .. ".put: ")
        return value + 1
    end)
    t.equal(kv.keys(), { "k" })
    t.equal(kv.get("k"), 2)
end)
