-- Which ident a store works under, and what the raw key is.
local t = ...

local function set_exec_ident(value)
    rawset(_G, "EXEC_IDENT", value) -- the runner clears it after each test
end

t.test("without any ident the key is used as it is", function()
    local db = t.open()
    db.store.put("k", 1)
    t.equal(db.store.keys_global(), { "k" })
    t.equal(db.store.get_global("k"), 1)
end)

t.test("the raw global EXEC_IDENT prefixes the key, as the document says", function()
    local db = t.open()
    set_exec_ident("monitor-cpu")
    db.store.put("ultima_execucao", 7)
    t.equal(db.store.get_global("monitor-cpu:ultima_execucao"), 7)
    t.equal(db.store.get_global("ultima_execucao"), nil)
    t.equal(db.store.get("ultima_execucao"), 7)
end)

t.test("the ident is looked up at each call", function()
    local db = t.open()
    local put, get = db.store.put, db.store.get
    for _, ident in ipairs({ "one", "two", "three" }) do
        set_exec_ident(ident)
        put("k", ident)
    end
    for _, ident in ipairs({ "one", "two", "three" }) do
        set_exec_ident(ident)
        t.equal(get("k"), ident)
    end
    set_exec_ident(nil)
    t.equal(get("k"), nil)
    t.equal(db.store.keys_global(), { "one:k", "three:k", "two:k" })
end)

t.test("the handle's ident comes before EXEC_IDENT", function()
    local db = t.open({ ident = "handle" })
    set_exec_ident("from-script")
    db.store.put("k", 1)
    t.equal(db.store.keys_global(), { "handle:k" })
end)

t.test("two handles of one file have each their ident", function()
    local one, path = t.open({ ident = "one" })
    local two = t.open({ path = path, ident = "two" })
    local plain = t.open({ path = path })
    one.store.put("k", 1)
    two.store.put("k", 2)
    t.equal(one.store.get("k"), 1)
    t.equal(two.store.get("k"), 2)
    t.equal(plain.store.get("k"), nil)
    t.equal(plain.store.keys_global(), { "one:k", "two:k" })
end)

t.test("EXEC_IDENT of another type is refused, and the _global calls do not look at it", function()
    local db = t.open()
    for _, bad in ipairs({ 5, true, {}, print }) do
        set_exec_ident(bad)
        t.raises(function() db.store.put("k", 1) end, "store.put: ", "EXEC_IDENT")
        t.raises(function() db.store.get("k") end, "store.get: ", "EXEC_IDENT")
        db.store.put_global("global", 1)
        t.equal(db.store.get_global("global"), 1)
        db.registry.put("k", 1)
        t.equal(db.registry.get("k"), 1)
    end
    t.equal(db.store.keys_global(), { "global" })
end)

t.test("EXEC_IDENT is read raw: no metamethod of the globals is called", function()
    local db = t.open()
    local before = getmetatable(_G)
    setmetatable(_G, { __index = function(_, name)
        if name == "EXEC_IDENT" then
            return "by metamethod"
        end
    end })
    local ok, fault = pcall(db.store.put, "k", 1)
    setmetatable(_G, before)
    t.ok(ok, tostring(fault))
    t.equal(db.store.keys_global(), { "k" })
end)

t.test("the environment variable EXEC_IDENT comes last, and as it was at open", function()
    local path = t.path()
    t.child_ok({
        env = { EXEC_IDENT = "from-environment" },
        args = { path },
        code = [[
            local acervo = require("acervo")
            local db = assert(acervo.open({ path = arg[1], durability = "normal" }))
            db.store.put("a", 1)
            EXEC_IDENT = "from-script"
            db.store.put("b", 2)
            EXEC_IDENT = nil
            db.store.put("c", 3)
            local own = assert(acervo.open({ path = arg[1], durability = "normal", ident = "handle" }))
            own.store.put("d", 4)
        ]],
    })
    local db = t.open({ path = path })
    t.equal(db.store.keys_global(), { "from-environment:a", "from-environment:c", "from-script:b", "handle:d" })
end)

t.test("% and : inside an ident are escaped, so that two idents never meet", function()
    local db = t.open()
    set_exec_ident("a:b")
    db.store.put("c", 1)
    set_exec_ident("a")
    db.store.put("b:c", 2)
    set_exec_ident("a%3Ab")
    db.store.put("c", 3)
    set_exec_ident("100%")
    db.store.put("c", 4)
    t.equal(db.store.keys_global(), { "100%25:c", "a%253Ab:c", "a%3Ab:c", "a:b:c" })
    set_exec_ident("a:b")
    t.equal(db.store.get("c"), 1)
    t.equal(db.store.keys(), { "c" })
    set_exec_ident("a")
    t.equal(db.store.get("b:c"), 2)
    t.equal(db.store.keys(), { "b:c" })
    set_exec_ident("a%3Ab")
    t.equal(db.store.get("c"), 3)
end)

t.test("an ident that begins like another one is another namespace", function()
    local db = t.open()
    db:namespace("app").put("k", 1)
    db:namespace("app2").put("k", 2)
    db:namespace("ap").put("k", 3)
    t.equal(db:namespace("app").keys(), { "k" })
    t.equal(db:namespace("app").count(), 1)
    t.equal(db:namespace("app").delete_prefix("k"), 1)
    t.equal(db:namespace("app2").get("k"), 2)
    t.equal(db:namespace("ap").get("k"), 3)
end)

t.test("idents of any bytes work", function()
    local db = t.open()
    for index, ident in ipairs({ "a b", "m\195\169trica", "a\0b", "\255", ":", "%", "/etc/x" }) do
        local store = db:namespace(ident)
        store.put("k", index)
        t.equal(store.get("k"), index)
        t.equal(store.keys(), { "k" })
    end
    t.equal(db.store.count_global(), 7)
end)

t.test("an ident has 1 to 256 bytes", function()
    local db = t.open()
    local longest = string.rep("i", 256)
    set_exec_ident(longest)
    db.store.put("k", 1)
    t.equal(db.store.get_global(longest .. ":k"), 1)
    local long_key = string.rep("k", 1024)
    db.store.put(long_key, 2)
    t.equal(db.store.get(long_key), 2)
    set_exec_ident(longest .. "i")
    t.raises(function() db.store.put("k", 1) end, "store.put: ")
    t.equal(db.store.count_global(), 2)
    local path = t.path()
    local handle, err = require("acervo").open({ path = path, ident = longest .. "i" })
    t.fails("INVALID", { handle, err }, "ident")
    handle, err = require("acervo").open({ path = path, ident = "" })
    t.fails("INVALID", { handle, err }, "ident")
end)

t.test("db:namespace gives the store of a name, whatever EXEC_IDENT says", function()
    local db = t.open()
    local other = db:namespace("other")
    set_exec_ident("mine")
    other.put("k", 1)
    db.store.put("k", 2)
    t.equal(other.get("k"), 1)
    t.equal(db.store.keys_global(), { "mine:k", "other:k" })
    set_exec_ident("other")
    t.equal(db.store.get("k"), 1)
end)

t.test("db:namespace comes before the handle's ident", function()
    local db = t.open({ ident = "handle" })
    db:namespace("other").put("k", 1)
    t.equal(db.store.keys_global(), { "other:k" })
end)

t.test("the _global calls of a namespace's store use the raw key", function()
    local db = t.open()
    local other = db:namespace("other")
    other.put_global("k", 1)
    t.equal(db.store.get_global("k"), 1)
    t.equal(other.get("k"), nil)
    t.equal(other.get_global("k"), 1)
end)

t.test("db:namespace of what is no ident gives no store", function()
    local db = t.open()
    for _, bad in ipairs({ "", string.rep("i", 257), 5, true, {} }) do
        local ok, store, err = pcall(db.namespace, db, bad)
        if ok then
            t.fails("INVALID", { store, err })
        end
    end
    t.ok(db:namespace("good"))
end)

t.test("the store does not touch the keys of another script", function()
    local db = t.open()
    set_exec_ident("a")
    db.store.put("k", "a")
    set_exec_ident("b")
    t.equal(db.store.get("k"), nil)
    db.store.delete("k")
    t.equal(db.store.delete_prefix("k"), 0)
    t.equal(db.store.incr("k"), 1)
    set_exec_ident("a")
    t.equal(db.store.get("k"), "a")
end)

t.test("registry keys have no ident", function()
    local db = t.open()
    set_exec_ident("a")
    db.registry.put("k", 1)
    set_exec_ident("b")
    t.equal(db.registry.get("k"), 1)
    t.equal(db.registry.keys(), { "k" })
end)
