-- Entries and ids: get, parse_id, what a create takes.
local t = ...
local e = require("support_entries")

t.test("an entry reads as it was created", function()
    local entries = e.open()
    local entry = {
        id = "app.lib:assert",
        kind = "function.lua",
        meta = { type = "test" },
        data = { source = "return 1", pool = { size = 2 } },
    }
    e.create(entries, entry)
    t.equal(e.some(entries.get("app.lib:assert")), entry)
end)

t.test("nothing is there before the first version", function()
    local entries = e.open()
    t.fails("NOT_FOUND", { entries.get("app.lib:assert") }, "app.lib:assert")
    t.equal(e.now(entries), {})
    t.equal(e.some(entries.find({})), e.NONE)
    t.equal(e.some(entries.current_version()):id(), 0)
end)

t.test("an entry without meta has an empty one, one without data has none", function()
    local entries = e.open()
    e.create(entries, { id = "a:b", kind = "k" })
    t.equal(entries.get("a:b"), { id = "a:b", kind = "k", meta = {} })
    t.equal(entries.find({ kind = "k" })[1], { id = "a:b", kind = "k", meta = {} })
end)

t.test("every get gives tables of its own", function()
    local entries = e.open()
    e.create(entries, e.entry("a:b", { meta = { list = { 1 } }, data = { x = { y = 1 } } }))
    local first = entries.get("a:b")
    first.kind = "changed"
    first.meta.list[1] = "changed"
    first.data.x = nil
    t.equal(entries.get("a:b"), e.entry("a:b", { meta = { list = { 1 } }, data = { x = { y = 1 } } }))
end)

t.test("a create keeps what the table held at that time", function()
    local entries = e.open()
    local changes = e.changes(entries)
    local entry = e.entry("a:b", { meta = { n = 1 }, data = { list = { 1 } } })
    e.some(changes:create(entry))
    entry.kind = "changed"
    entry.meta.n = 2
    entry.data.list[2] = 2
    e.some(changes:apply())
    t.equal(entries.get("a:b"), e.entry("a:b", { meta = { n = 1 }, data = { list = { 1 } } }))
end)

t.test("parse_id splits at the first colon", function()
    local entries = e.open()
    for text, expected in pairs({
        ["app.lib:assert"] = { "app.lib", "assert" },
        ["a:b:c"] = { "a", "b:c" },
        ["justname"] = { "", "justname" },
        [":justname"] = { "", "justname" },
        ["ns:"] = { "ns", "" },
        [""] = { "", "" },
        [":"] = { "", "" },
        ["::"] = { "", ":" },
        ["a\0b:c\255"] = { "a\0b", "c\255" },
    }) do
        local id = e.some(entries.parse_id(text))
        t.equal(id.ns, expected[1], "ns of " .. t.show(text))
        t.equal(id.name, expected[2], "name of " .. t.show(text))
    end
end)

t.test("parse_id takes a text of any length", function()
    local entries = e.open()
    local id = e.some(entries.parse_id(("n"):rep(1000) .. ":" .. ("m"):rep(1000)))
    t.equal(#id.ns, 1000)
    t.equal(#id.name, 1000)
end)

t.test("parse_id of what is no text is INVALID", function()
    local entries = e.open()
    t.fails("INVALID", { entries.parse_id() })
    t.fails("INVALID", { entries.parse_id(nil) })
    t.fails("INVALID", { entries.parse_id(true) })
    t.fails("INVALID", { entries.parse_id(print) })
end)

t.test("what parse_id gives is taken as an id", function()
    local entries = e.open()
    e.create(entries, "a:b:c")
    local id = entries.parse_id("a:b:c")
    t.equal(e.some(entries.get({ ns = id.ns, name = id.name })).id, "a:b:c")
    t.equal(e.some(entries.get(id)).id, "a:b:c")
end)

t.test("an id without a colon is in the empty namespace and reads with one", function()
    local entries = e.open()
    e.create(entries, "justname")
    t.equal(e.some(entries.get("justname")).id, ":justname")
    t.equal(e.some(entries.get(":justname")).id, ":justname")
    t.equal(e.some(entries.get({ ns = "", name = "justname" })).id, ":justname")
    t.equal(e.ids(entries.snapshot():namespace("")), { ":justname" })
end)

t.test("an id as a table stands for its text wherever an id is", function()
    local entries = e.open()
    local id = { ns = "app", name = "x" }
    e.create(entries, { id = id, kind = "test" }, e.entry("app:y", { meta = { parent = "app:x" } }))
    t.equal(e.some(entries.get(id)).id, "app:x")
    t.equal(e.some(entries.snapshot():get(id)).id, "app:x")
    t.equal(e.some(entries.dependents(id)), { "app:y" })
    t.equal(e.some(entries.dependencies({ ns = "app", name = "y" })), { "app:x" })
    e.update(entries, { id = id, kind = "test", data = 2 })
    t.equal(entries.get(id).data, 2)
    e.delete(entries, id)
    t.fails("NOT_FOUND", { entries.get(id) })
end)

t.test("the namespace of an id as a table is not split again", function()
    local entries = e.open()
    e.create(entries, "a:b:c")
    t.fails("NOT_FOUND", { entries.get({ ns = "a:b", name = "c" }) })
    t.equal(e.some(entries.get({ ns = "a", name = "b:c" })).id, "a:b:c")
end)

t.test("namespaces and names keep apart what the text would join", function()
    local entries = e.open()
    e.create(entries, "a:bc", "ab:c", "abc")
    t.equal(e.now(entries), { ":abc", "a:bc", "ab:c" })
    t.equal(entries.get("a:bc").id, "a:bc")
    t.equal(entries.get("ab:c").id, "ab:c")
end)

t.test("get takes any text: what cannot be created is just not there", function()
    local entries = e.open()
    e.create(entries, "a:b")
    for _, text in ipairs({ "", ":", "a:", "a:b\n", "a\0:b", "A:b", ("x"):rep(5000) }) do
        t.fails("NOT_FOUND", { entries.get(text) })
    end
end)

t.test("get of what is no id is INVALID", function()
    local entries = e.open()
    t.fails("INVALID", { entries.get() })
    t.fails("INVALID", { entries.get(true) })
    t.fails("INVALID", { entries.get(print) })
    t.fails("INVALID", { entries.get({}) })
    t.fails("INVALID", { entries.get({ ns = "a" }) })
    t.fails("INVALID", { entries.get({ name = "a" }) })
    t.fails("INVALID", { entries.get({ ns = true, name = "a" }) })
    t.fails("INVALID", { entries.get({ ns = "a", name = {} }) })
    t.fails("INVALID", { entries.get({ "a", "b" }) })
end)

-- What create must refuse, by what makes it wrong.
local WRONG = {
    ["no table"] = { "text" },
    ["no id"] = { { kind = "k" }, "id" },
    ["an id that is none"] = { { id = true, kind = "k" }, "id" },
    ["an empty id"] = { { id = "", kind = "k" } },
    ["an empty name"] = { { id = "a:", kind = "k" } },
    ["an id over 512 bytes"] = { { id = "a:" .. ("x"):rep(511), kind = "k" } },
    ["a namespace with a colon"] = { { id = { ns = "a:b", name = "c" }, kind = "k" } },
    ["a newline in the id"] = { { id = "a:b\n", kind = "k" } },
    ["a NUL in the id"] = { { id = "a\0:b", kind = "k" } },
    ["a DEL in the id"] = { { id = "a:\127", kind = "k" } },
    ["no kind"] = { { id = "a:b" }, "kind" },
    ["an empty kind"] = { { id = "a:b", kind = "" }, "kind" },
    ["a kind that is no text"] = { { id = "a:b", kind = {} }, "kind" },
    ["a kind over 256 bytes"] = { { id = "a:b", kind = ("k"):rep(257) }, "kind" },
    ["a tab in the kind"] = { { id = "a:b", kind = "k\t" }, "kind" },
    ["a meta that is no table"] = { { id = "a:b", kind = "k", meta = "m" }, "meta" },
    ["a meta that is an array"] = { { id = "a:b", kind = "k", meta = { "m" } }, "meta" },
    ["a key of meta that is no text"] = { { id = "a:b", kind = "k", meta = { a = 1, [true] = 2 } }, "meta" },
    ["an unknown field"] = { { id = "a:b", kind = "k", dta = 1 }, "dta" },
    ["a field that is a number"] = { { "a:b", id = "a:b", kind = "k" }, "[1]" },
}

for name, case in e.sorted(WRONG) do
    t.test("create and update refuse " .. name .. ", and what was queued stays", function()
        local entries = e.open()
        local changes = e.changes(entries)
        e.some(changes:create(e.entry("a:ok")))
        for _, call in ipairs({ "create", "update" }) do
            local err = t.fails("INVALID", { changes[call](changes, case[1]) })
            if case[2] then
                t.contains(tostring(err), case[2])
            end
        end
        t.equal(#changes:ops(), 1)
        e.some(changes:apply())
        t.equal(e.now(entries), { "a:ok" })
    end)
end

t.test("create and update of nothing are INVALID", function()
    local changes = e.changes((e.open()))
    t.fails("INVALID", { changes:create() })
    t.fails("INVALID", { changes:update() })
    t.fails("INVALID", { changes:delete() })
    t.equal(changes:ops(), e.NONE)
end)

t.test("ids of 512 bytes and kinds of 256 are taken", function()
    local entries = e.open()
    local id, kind = "a:" .. ("x"):rep(510), ("k"):rep(256)
    e.create(entries, { id = id, kind = kind })
    t.equal(e.some(entries.get(id)).kind, kind)
    -- An id without a colon gets one, and that counts.
    e.create(entries, { id = ("y"):rep(511), kind = kind })
    t.fails("INVALID", { e.changes(entries):create({ id = ("z"):rep(512), kind = kind }) })
end)

t.test("ids and kinds are any bytes but control bytes", function()
    local entries = e.open()
    local id = "configura\195\167\195\163o \255:n\195\163o ~ é*"
    e.create(entries, { id = id, kind = "tipo \254" })
    t.equal(e.some(entries.get(id)), { id = id, kind = "tipo \254", meta = {} })
    t.equal(e.now(entries), { id })
end)

t.test("delete takes an id that no create would take", function()
    local entries = e.open()
    local changes = e.changes(entries)
    t.ok(rawequal(e.some(changes:delete("a:\n")), changes))
    t.fails("NOT_FOUND", { changes:apply() })
end)

t.test("wrong arguments give an error and raise nothing", function()
    local entries = e.open()
    for _, name in ipairs({ "get", "find", "parse_id", "snapshot_at", "apply_version", "build_delta",
        "register_pattern", "dependents", "dependencies", "prune" }) do
        for _, bad in ipairs({ true, print, io.stdout, coroutine.create(function() end) }) do
            t.fails("INVALID", { entries[name](bad) })
        end
    end
end)

t.test("the module is a table of plain functions", function()
    local entries = e.open()
    for _, name in ipairs({ "get", "find", "parse_id", "snapshot", "snapshot_at", "current_version", "versions",
        "history", "apply_version", "build_delta", "register_pattern", "dependents", "dependencies", "prune" }) do
        t.equal(type(entries[name]), "function", name)
    end
end)
