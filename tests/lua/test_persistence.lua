-- What survives a close, an exit and a kill.
local t = ...
local acervo = require("acervo")

local VALUES = {
    text = "configura\195\167\195\163o",
    bytes = "\255\0\254",
    number = 45.6,
    int = 42,
    yes = true,
    no = false,
    list = { 1, 2, { x = "y" } },
    empty = {},
    marked = acervo.array({}),
}

t.test("values, types and timestamps are there after reopening", function()
    local db, path = t.open({ ident = "me" })
    for key, value in pairs(VALUES) do
        db.store.put(key, value)
        db.registry.put(key, value)
        db.store.put_global(key, value)
    end
    db.store.put("nothing", nil)
    db.registry.put("nothing", nil)
    local stamps = {}
    for key in pairs(VALUES) do
        stamps[key] = { select(2, db.store.get(key)), select(2, db.registry.get(key)) }
    end
    local closed = os.time()
    db:close()
    t.wait_until(function() return os.time() > closed end, "the next second")
    db = t.open({ path = path, ident = "me" })
    for key, value in pairs(VALUES) do
        t.equal(db.store.get(key), value, key)
        t.equal(db.registry.get(key), value, key)
        t.equal(db.store.get_global(key), value, key)
        t.equal({ select(2, db.store.get(key)), select(2, db.registry.get(key)) }, stamps[key], key)
    end
    local value, timestamp = db.store.get("nothing")
    t.equal(value, nil)
    t.equal(type(timestamp), "number")
    value, timestamp = db.registry.get("nothing")
    t.equal(value, nil)
    t.equal(type(timestamp), "number")
end)

t.test("what was deleted stays deleted after reopening", function()
    local db, path = t.open()
    for _, kv in ipairs({ db.store, db.registry }) do
        kv.put_all({ a = 1, b = 2, ["c:1"] = 3, ["c:2"] = 4, u = 5 })
        kv.delete("a")
        kv.delete_prefix("c:")
        kv.update("u", function() end)
    end
    db:close()
    db = t.open({ path = path })
    t.equal(db.store.keys(), { "b" })
    t.equal(db.registry.keys(), { "b" })
end)

t.test("what was deleted in an earlier session stays deleted", function()
    local db, path = t.open()
    db.registry.put_all({ a = 1, b = 2 })
    db.store.put_all({ a = 1, b = 2 })
    db:close()
    db = t.open({ path = path })
    db.registry.delete("a")
    db.store.delete("a")
    db:close()
    db = t.open({ path = path })
    t.equal(db.registry.keys(), { "b" })
    t.equal(db.store.keys(), { "b" })
end)

t.test("the last of many writes is what is read after reopening", function()
    local db, path = t.open()
    for index = 1, 1000 do
        db.store.put("k", index)
        db.registry.put("k", index)
        db.registry.put("k" .. index % 7, index)
    end
    db:close()
    db = t.open({ path = path })
    t.equal(db.store.get("k"), 1000)
    t.equal(db.registry.get("k"), 1000)
    t.equal(db.registry.get("k0"), 994)
    t.equal(db.registry.count(), 8)
end)

t.test("a ttl that has time left is kept over reopening", function()
    local db, path = t.open()
    db.store.put("k", 1, { ttl = 1000 })
    db.registry.put("k", 1, { ttl = 1000 })
    db:close()
    db = t.open({ path = path })
    t.equal(db.store.get("k"), 1)
    t.equal(db.registry.get("k"), 1)
end)

local function child_writes(ending)
    local path = t.path()
    local output, code = t.child({
        args = { path },
        code = [[
            local db = assert(require("acervo").open({ path = arg[1] }))
            for index = 1, 100 do
                db.store.put("k" .. index, index)
                db.registry.put("k" .. index, index)
            end
        ]] .. ending,
    })
    return path, output, code
end

t.test("a process that just ends leaves everything, the registry too", function()
    local path, output, code = child_writes("")
    t.equal(code, 0, output)
    local db = t.open({ path = path })
    t.equal(db.store.count(), 100)
    t.equal(db.registry.count(), 100)
end)

t.test("os.exit without closing the state leaves everything, the registry too", function()
    local path, output, code = child_writes("os.exit(0)")
    t.equal(code, 0, output)
    local db = t.open({ path = path })
    t.equal(db.store.count(), 100)
    t.equal(db.registry.count(), 100)
end)

t.test("a process that fails with an error leaves everything", function()
    local path, output, code = child_writes("error('on purpose')")
    t.equal(code, 1, output)
    local db = t.open({ path = path })
    t.equal(db.store.count(), 100)
    t.equal(db.registry.count(), 100)
end)

t.test("kill -9 loses nothing that the store acknowledged, nor what was flushed", function()
    local path = t.path()
    local out = t.child({
        args = { path },
        code = [[
            local db = assert(require("acervo").open({ path = arg[1], flush_interval_ms = 3600000 }))
            for index = 1, 50 do
                db.store.put("k" .. index, index)
                db.registry.put("k" .. index, index)
            end
            db.registry.flush()
            db.registry.put("unflushed", 1)
            io.stdout:write("written\n")
            io.stdout:flush()
            os.execute("kill -9 $PPID")
        ]],
    })
    t.contains(out, "written")
    local db = t.open({ path = path })
    t.equal(db.store.count(), 50)
    for index = 1, 50 do
        t.equal(db.store.get("k" .. index), index)
        t.equal(db.registry.get("k" .. index), index)
    end
end)

t.test("the registry is written behind within its interval", function()
    local db, path = t.open({ flush_interval_ms = 20 })
    db.registry.put("k", "behind")
    t.wait_until(function()
        return t.child_ok({
            args = { path },
            code = [[
                local db = assert(require("acervo").open({ path = arg[1], durability = "normal" }))
                print((db.registry.get("k")))
            ]],
        }):find("behind", 1, true)
    end, "the put to be written behind")
    t.equal(db.registry.get("k"), "behind")
end)
