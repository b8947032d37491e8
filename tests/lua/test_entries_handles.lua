-- The module of the default database, db.entries, install, and several
-- handles and instances side by side.
local t = ...
local e = require("support_entries")

t.test("two opens of one file share entries, head and history", function()
    local one, _, path = e.open()
    local two = e.open({ path = path })
    e.create(one, "a:x")
    t.equal(e.now(two), { "a:x" })
    t.equal(e.create(two, "a:y"):id(), 2)
    t.equal(one.current_version():id(), 2)
    e.some(two.apply_version(1))
    t.equal(e.now(one), { "a:x" })
    t.equal(e.numbers(one.versions()), { 0, 1, 2 })
    t.equal(one.current_version(), two.current_version(), "versions of one history are equal")
end)

t.test("a version of one handle is taken by another of the same file", function()
    local one, _, path = e.open()
    local two = e.open({ path = path })
    local version = e.create(one, "a:x")
    e.create(one, "a:y")
    t.equal(e.some(two.apply_version(version)), true)
    t.equal(e.now(one), { "a:x" })
    t.equal(e.ids(e.some(two.history():snapshot_at(version)):entries()), { "a:x" })
end)

t.test("changes conflict across handles", function()
    local one, _, path = e.open()
    local two = e.open({ path = path })
    local changes = e.changes(one)
    changes:create(e.entry("a:x"))
    e.create(two, "a:x")
    t.fails("CONFLICT", { changes:apply({ base = "disjoint" }) })
    t.fails("ALREADY_EXISTS", { changes:apply() })
end)

t.test("a registered pattern counts for all handles of the instance", function()
    local one, _, path = e.open()
    local two = e.open({ path = path })
    e.create(one, "a:x", e.entry("a:y", { meta = { server = "a:x" } }))
    e.some(one.register_pattern({ path = "meta.server", allow_wildcard = true }))
    t.equal(two.dependencies("a:y"), { "a:x" })
end)

t.test("databases have nothing of each other", function()
    local one, two, three = e.open(), e.open(), e.open({ path = ":memory:" })
    e.create(one, "a:one")
    e.create(two, "a:two")
    e.create(two, "b:two")
    t.equal(e.now(one), { "a:one" })
    t.equal(e.now(two), { "a:two", "b:two" })
    t.equal(e.now(three), {})
    t.equal(two.current_version():id(), 2)
    t.equal(one.current_version():id(), 1)
    e.some(one.register_pattern({ path = "meta.server", allow_wildcard = true }))
    e.create(two, e.entry("a:user", { meta = { server = "a:two" } }))
    t.equal(two.dependencies("a:user"), e.NONE)
end)

t.test("two memory databases are two", function()
    local one, two = e.open({ path = ":memory:" }), e.open({ path = ":memory:" })
    e.create(one, "a:x")
    t.equal(e.now(two), {})
end)

t.test("versions of different databases are not equal", function()
    local one, two = e.open(), e.open()
    local mine, theirs = e.create(one, "a:x"), e.create(two, "a:x")
    t.ok(mine ~= theirs, "v1 of one database equals v1 of another")
end)

t.test("close ends one handle only", function()
    local one, db, path = e.open()
    local two = e.open({ path = path })
    e.create(one, "a:x")
    db:close()
    t.fails("INTERNAL", { one.get("a:x") }, "closed")
    t.equal(e.now(two), { "a:x" })
    t.equal(e.create(two, "a:y"):id(), 2)
end)

t.test("the idents of a store have no part in entries", function()
    local one, _, path = e.open({ ident = "me" })
    local two = e.open({ path = path, ident = "you" })
    e.create(one, "a:x")
    t.equal(e.now(two), { "a:x" })
end)

t.test("the functions of db.entries need no self", function()
    local _, db = e.open()
    local get, snapshot = db.entries.get, db.entries.snapshot
    e.some(e.some(snapshot()):changes():create(e.entry("a:x")):apply())
    t.equal(e.some(get("a:x")).id, "a:x")
end)

t.test("a function that was called with a colon says INVALID and not something else", function()
    local entries = e.open()
    e.create(entries, "a:x")
    t.fails("INVALID", { entries:get("a:x") })
    t.fails("INVALID", { entries:find({ kind = "test" }) })
    t.fails("INVALID", { entries:snapshot_at(1) })
end)

t.test("the function given to update reads entries and writes none", function()
    local entries, db = e.open()
    e.create(entries, "a:x")
    local changes = e.changes(entries)
    changes:create(e.entry("a:y"))
    local results
    for _, kv in ipairs({ db.store, db.registry }) do
        kv.update("k", function()
            t.equal(e.now(entries), { "a:x" })
            results = { { changes:apply() }, { entries.apply_version(0) }, { entries.prune(1) } }
            return 1
        end)
        for _, result in ipairs(results) do
            t.fails("INVALID", result, "update")
        end
    end
    t.equal(entries.current_version():id(), 1)
    t.equal(e.some(changes:apply()):id(), 2)
end)

t.test("entries may be written while keys are walked", function()
    local entries, db = e.open()
    db.store.put_all({ a = 1, b = 2, c = 3 })
    for key in db.store.pairs() do
        e.create(entries, key)
    end
    t.equal(e.now(entries), { ":a", ":b", ":c" })
end)

---------------------------------------------------------------------------
-- The default database, in processes of their own

t.test("acervo.entries is the registry of the default database, opened at first use", function()
    local path = t.path()
    local output = t.child_ok({ env = { ACERVO_PATH = path }, args = { path }, code = [[
        local before = {}
        for name in pairs(_G) do before[name] = true end
        local registry = require("acervo.entries")
        assert(rawequal(registry, require("acervo.entries")))
        assert(registry.parse_id("a:b").ns == "a")
        for name in pairs(_G) do assert(before[name], "new global " .. tostring(name)) end
        assert(assert(registry.snapshot()):changes():create({ id = "a:x", kind = "k" }):apply())
        assert(io.open(arg[1]), "not made")
        print(assert(require("acervo").default()).entries.get("a:x").id)
        print(assert(require("acervo").open(arg[1])).entries.get("a:x").id)
    ]] })
    t.equal(output, "a:x\na:x\n")
    t.equal(e.now((e.open({ path = path }))), { "a:x" })
end)

t.test("requiring acervo.entries opens nothing", function()
    local path = t.path()
    t.child_ok({ env = { ACERVO_PATH = path }, args = { path }, code = [[
        require("acervo.entries")
        require("acervo").install()
        require("registry")
        assert(not io.open(arg[1]), "opened before use")
    ]] })
end)

t.test("after install require(\"registry\") is the entry registry, and the global is the key-value one", function()
    local path = t.path()
    local output = t.child_ok({ env = { ACERVO_PATH = path }, code = [[
        require("acervo").install()
        do
            local registry = require("registry")
            assert(rawequal(registry, require("acervo.entries")))
            assert(type(registry.snapshot) == "function")
            assert(assert(registry.snapshot()):changes():create({ id = "a:x", kind = "k" }):apply())
            print(assert(registry.get("a:x")).kind)
        end
        registry.put("a:x", "key")
        print((registry.get("a:x")))
        assert(registry.snapshot == nil)
        print(require("registry").get("missing:one"))
    ]] })
    t.contains(output, "k\nkey\nnil\t")
    local entries, db = e.open({ path = path })
    t.equal(e.now(entries), { "a:x" })
    t.equal(db.registry.get("a:x"), "key")
end)

t.test("without install there is no module registry", function()
    t.child_ok({ code = [[
        require("acervo")
        require("acervo.entries")
        assert(package.preload.registry == nil and package.loaded.registry == nil)
        assert(rawget(_G, "registry") == nil)
    ]] })
end)

t.test("acervo.entries may be the first module that is required", function()
    t.child_ok({ env = { ACERVO_PATH = ":memory:" }, code = [[
        local registry = require("acervo.entries")
        assert(assert(registry.current_version()):id() == 0)
        local value, err = registry.get("a:b")
        assert(value == nil)
        assert(err:kind() == require("acervo.errors").NOT_FOUND)
    ]] })
end)

t.test("a script under -l acervo.agent has both registries", function()
    local output = t.child_ok({ env = { ACERVO_PATH = t.path() }, flags = "-l acervo.agent", code = [[
        registry.put("k", 1)
        local entries = require("registry")
        assert(entries.snapshot():changes():create({ id = "a:x", kind = "k" }):apply())
        print((registry.get("k")), #entries.find({}))
    ]] })
    t.equal(output, "1\t1\n")
end)

t.test("every function works inside coroutines, with yields between", function()
    local entries = e.open()
    local co = coroutine.wrap(function()
        local snap = entries.snapshot()
        coroutine.yield(snap:version():id())
        local changes = snap:changes()
        changes:create(e.entry("a:x"))
        coroutine.yield(#changes:ops())
        coroutine.yield(changes:apply():id())
        coroutine.yield(#entries.find({ kind = "test" }))
        coroutine.yield(select(2, entries.get("a:missing")):kind())
        return entries.apply_version(0)
    end)
    t.equal(co(), 0)
    t.equal(co(), 1)
    t.equal(co(), 1)
    t.equal(e.now(entries), { "a:x" })
    t.equal(co(), 1)
    t.equal(co(), "NotFound")
    t.equal(co(), true)
    t.equal(e.now(entries), {})
end)
