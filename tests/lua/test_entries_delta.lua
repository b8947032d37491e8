-- build_delta: the ops between two lists of entries.
local t = ...
local e = require("support_entries")

t.test("the delta of the documents", function()
    local entries = e.open()
    local from = { { id = "test:a", kind = "test", meta = {}, data = {} } }
    local to = { { id = "test:b", kind = "test", meta = {}, data = {} } }
    local ops = e.some(entries.build_delta(from, to))
    t.equal(e.steps(ops), { "delete test:a", "create test:b" })
    t.equal(ops[1].kind, "entry.delete")
    t.equal(ops[2].kind, "entry.create")
    t.equal(ops[2].entry, to[1])
end)

t.test("equal lists give no ops", function()
    local entries = e.open()
    local list = { e.entry("a:x", { meta = { a = { 1, 2 } }, data = { b = { c = "d" } } }), e.entry("a:y") }
    t.equal(e.some(entries.build_delta(list, { list[2], list[1] })), e.NONE)
    t.equal(e.some(entries.build_delta({}, {})), e.NONE)
    t.equal(e.some(entries.build_delta(list, list)), e.NONE)
end)

t.test("entries are equal by value, however they were written", function()
    local entries = e.open()
    t.equal(entries.build_delta({ { id = { ns = "a", name = "x" }, kind = "k" } },
        { { id = "a:x", kind = "k", meta = {} } }), e.NONE)
    t.equal(entries.build_delta({ { id = "x", kind = "k" } }, { { id = ":x", kind = "k" } }), e.NONE)
    local one, other = {}, {}
    for _, key in ipairs({ "p", "q", "r", "s" }) do
        one[key] = 1
    end
    for _, key in ipairs({ "s", "q", "r", "p" }) do
        other[key] = 1
    end
    t.equal(entries.build_delta({ e.entry("a:x", { meta = one }) }, { e.entry("a:x", { meta = other }) }), e.NONE)
end)

t.test("from nothing everything is created, to nothing everything is deleted", function()
    local entries = e.open()
    local list = { e.entry("b:x", { data = 1 }), e.entry("a:y", { data = 2 }) }
    local ops = e.some(entries.build_delta({}, list))
    t.equal(ops, { { kind = "entry.create", entry = list[2] }, { kind = "entry.create", entry = list[1] } })
    t.equal(e.steps(entries.build_delta(list, {})), { "delete a:y", "delete b:x" })
end)

t.test("a changed entry is one update, which tells the old one", function()
    local entries = e.open()
    local old, new = e.entry("a:x", { data = 1 }), e.entry("a:x", { data = 2 })
    t.equal(e.some(entries.build_delta({ old, e.entry("a:y") }, { new, e.entry("a:y") })),
        { { kind = "entry.update", entry = new, original = old } })
    t.equal(#entries.build_delta({ old }, { e.entry("a:x", { data = 1, meta = { m = 1 } }) }), 1)
    t.equal(#entries.build_delta({ old }, { e.entry("a:x") }), 1)
    t.equal(#entries.build_delta({ old }, { e.entry("a:x", { data = "1" }) }), 1)
end)

t.test("a changed kind is a delete and a create", function()
    local entries = e.open()
    local ops = entries.build_delta({ e.entry("a:x", { data = 1 }) }, { e.entry("a:x", { kind = "other", data = 1 }) })
    t.equal(e.steps(ops), { "delete a:x", "create a:x" })
    t.equal(ops[1].original or ops[1].entry, e.entry("a:x", { data = 1 }))
    t.equal(ops[2].entry.kind, "other")
end)

t.test("dependencies order a delta: created after, deleted before", function()
    local entries = e.open()
    local list = {
        e.entry("a:1", { meta = { depends_on = "b:2" } }), e.entry("b:2", { meta = { depends_on = "c:3" } }),
        e.entry("c:3"),
    }
    t.equal(e.steps(entries.build_delta({}, list)), { "create c:3", "create b:2", "create a:1" })
    t.equal(e.steps(entries.build_delta(list, {})), { "delete a:1", "delete b:2", "delete c:3" })
end)

t.test("an entry stops being used before it is deleted", function()
    local entries = e.open()
    t.equal(e.steps(entries.build_delta(
        { e.entry("a:base"), e.entry("b:user", { meta = { parent = "a:base" } }) }, { e.entry("b:user") })),
        { "update b:user", "delete a:base" })
end)

t.test("the order does not depend on the order of the lists", function()
    local entries = e.open()
    local from, to = {}, {}
    for index = 1, 30 do
        from[index] = e.entry("f:" .. index, { meta = { parent = "f:" .. (index * 7 % 30 + 1) } })
        to[index] = e.entry(index % 2 == 0 and "f:" .. index or "t:" .. index,
            { meta = { parent = "t:" .. (index * 11 % 30 + 1) } })
    end
    local expected = e.steps(entries.build_delta(from, to))
    local seed = 42
    for _ = 1, 10 do
        for _, list in ipairs({ from, to }) do
            for index = #list, 2, -1 do
                seed = (seed * 1103515245 % 2147483648 + 12345) % 2147483648
                local other = seed % index + 1
                list[index], list[other] = list[other], list[index]
            end
        end
        t.equal(e.steps(entries.build_delta(from, to)), expected)
    end
end)

t.test("a registered pattern orders deltas too", function()
    local entries = e.open()
    local list = { e.entry("a:1", { meta = { server = "b:2" } }), e.entry("b:2") }
    t.equal(e.steps(entries.build_delta({}, list)), { "create a:1", "create b:2" })
    e.some(entries.register_pattern({ path = "meta.server", allow_wildcard = true }))
    t.equal(e.steps(entries.build_delta({}, list)), { "create b:2", "create a:1" })
end)

t.test("applying the delta of two states leads from one to the other", function()
    local entries = e.open()
    e.create(entries, e.entry("a:1", { data = 1 }), e.entry("a:2", { data = 2 }), e.entry("a:3", { data = 3 }))
    local snap = entries.snapshot()
    local to = { e.entry("a:1", { data = 10 }), e.entry("a:3", { data = 3 }), e.entry("a:4"),
        e.entry("b:5", { meta = { parent = "a:4" } }) }
    local changes = snap:changes()
    for _, op in ipairs(e.some(entries.build_delta(snap:entries(), to))) do
        if op.kind == "entry.delete" then
            changes:delete(op.entry.id)
        elseif op.kind == "entry.update" then
            changes:update(op.entry)
        else
            changes:create(op.entry)
        end
    end
    e.some(changes:apply())
    t.equal(entries.snapshot():entries(), to)
    t.equal(entries.build_delta(entries.snapshot():entries(), to), e.NONE)
end)

t.test("a delta does not touch the registry", function()
    local entries = e.open()
    e.some(entries.build_delta({}, { e.entry("a:x") }))
    t.equal(e.now(entries), {})
    t.equal(entries.current_version():id(), 0)
end)

t.test("an element that is no entry is INVALID, by its index", function()
    local entries = e.open()
    local good = e.entry("a:x")
    for _, bad in ipairs({ "text", true, {}, { id = "a:y" }, { id = "a:y", kind = "" }, { id = "", kind = "k" },
        { id = "a:y", kind = "k", extra = 1 }, { id = "a:y", kind = "k", data = print } }) do
        t.fails("INVALID", { entries.build_delta({ good, bad }, {}) }, "from[2]")
        t.fails("INVALID", { entries.build_delta({}, { bad, good }) }, "to[1]")
    end
end)

t.test("an id twice in one list is INVALID, by its index", function()
    local entries = e.open()
    t.fails("INVALID", { entries.build_delta({ e.entry("a:x"), e.entry("a:y"), e.entry("a:x") }, {}) },
        "from[3]", "a:x")
    t.fails("INVALID", { entries.build_delta({}, { e.entry("x"), e.entry(":x") }) }, "to[2]")
end)

t.test("what is no list is INVALID", function()
    local entries = e.open()
    t.fails("INVALID", { entries.build_delta() })
    t.fails("INVALID", { entries.build_delta({}) })
    t.fails("INVALID", { entries.build_delta({}, "to") })
    t.fails("INVALID", { entries.build_delta(true, {}) })
    t.fails("INVALID", { entries.build_delta({ x = e.entry("a:x") }, {}) })
end)
