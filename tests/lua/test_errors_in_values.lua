-- What cannot be stored is refused, names its path, and changes nothing.
local t = ...
local acervo = require("acervo")

local function refused(name, make, ...)
    local parts = { ... }
    t.each_namespaced(name .. " is refused with its path and nothing changes", function(kv, db)
        kv.put("k", "before")
        local value = make()
        local label = kv.name .. ".put: "
        local message = t.raises(function() kv.put("k", value) end, label)
        for _, part in ipairs(parts) do
            t.contains(message, part)
        end
        t.equal(kv.get("k"), "before")
        t.ok(db:stats(), "the database still works")
    end)
end

local function fn() end

refused("a function", function() return fn end, "value: a function cannot be stored")
refused("a function in a map", function() return { limites = { cpu = fn } } end,
    "value.limites.cpu: a function cannot be stored")
refused("a function in an array", function() return { lista = { 1, 2, fn } } end,
    "value.lista[3]: a function cannot be stored")
refused("a function in a map in an array", function() return { { 1 }, { a = { fn } } } end,
    "value[2].a[1]: a function cannot be stored")
refused("a C function", function() return { f = print } end, "value.f: a function cannot be stored")
refused("a thread", function() return { co = coroutine.create(fn) } end, "value.co: ", "cannot be stored")
refused("a userdata", function() return { file = io.stdout } end, "value.file: ", "cannot be stored")
refused("a table as a key", function() return { [{}] = 1 } end)
refused("a function as a key", function() return { inner = { [fn] = 1 } } end)
refused("acervo.null as a key", function() return { [acervo.null] = 1 } end)
refused("a table that holds itself", function()
    local loop = {}
    loop.me = loop
    return loop
end, "value.me")
refused("a cycle over two tables", function()
    local a, b = {}, {}
    a.b, b.a = b, a
    return { a }
end, "value[1].b")
refused("nesting of 129 levels", function()
    local value = {}
    for _ = 1, 128 do
        value = { value }
    end
    return value
end, "value[1][1]")
refused("nesting of far too many levels", function()
    local value = {}
    for _ = 1, t.many(100000) do
        value = { a = value }
    end
    return value
end, "value.a.a")

t.each_namespaced("a value over value_limit is refused and one below it is stored", { value_limit = 1000 },
    function(kv)
        kv.put("k", string.rep("x", 900))
        t.raises(function() kv.put("k", string.rep("y", 2000)) end, kv.name .. ".put: ", "value")
        local wide = {}
        for index = 1, 200 do
            wide[index] = "some text"
        end
        t.raises(function() kv.put("k", wide) end, kv.name .. ".put: ", "value")
        t.equal(kv.get("k"), string.rep("x", 900))
    end)

t.each_namespaced("a value over 16 MiB is refused by default", function(kv)
    t.raises(function() kv.put("k", string.rep("x", 16 * 1024 * 1024 + 1)) end, kv.name .. ".put: ")
    t.equal(kv.get("k"), nil)
end)

t.test("a bad value is refused by put_all and nothing of it is stored", function()
    local db = t.open()
    t.raises(function() db.store.put_all({ a = 1, b = { x = fn } }) end, "store.put_all: ",
        "a function cannot be stored")
    t.equal(db.store.count(), 0)
end)

t.test("a bad value is refused by cas, as the expected one too", function()
    local db = t.open()
    db.store.put("k", 1)
    t.raises(function() db.store.cas("k", 1, fn) end, "store.cas: ", "a function cannot be stored")
    t.raises(function() db.store.cas("k", fn, 2) end, "store.cas: ", "a function cannot be stored")
    t.equal(db.store.get("k"), 1)
end)

t.test("a bad value from update's function leaves the value", function()
    local db = t.open()
    db.store.put("k", 1)
    t.raises(function() db.store.update("k", function() return fn end) end, "store.update: ",
        "a function cannot be stored")
    t.equal(db.store.get("k"), 1)
end)

t.test("to_json and to_msgpack refuse with an error object and the path", function()
    t.fails("INVALID", { acervo.to_json({ a = { fn } }) }, "value.a[1]: a function cannot be stored")
    t.fails("INVALID", { acervo.to_msgpack({ a = { fn } }) }, "value.a[1]: a function cannot be stored")
    local loop = {}
    loop.x = loop
    t.fails("INVALID", { acervo.to_json(loop) }, "value.x")
    t.fails("INVALID", { acervo.to_msgpack(loop) }, "value.x")
end)

t.test("a value that was refused a thousand times leaves no harm", function()
    local db = t.open()
    local value = { list = { 1, 2, { deep = string.rep("x", 1000) } }, bad = fn }
    for _ = 1, 1000 do
        t.ok(not pcall(db.registry.put, "k", value))
    end
    value.bad = nil
    db.registry.put("k", value)
    t.equal(db.registry.get("k"), value)
end)
