-- Snapshots: immutable views of one version.
local t = ...
local e = require("support_entries")

t.test("a snapshot does not see what is applied later", function()
    local entries = e.open()
    e.create(entries, e.entry("a:x", { data = 1 }), "a:y")
    local snap = e.some(entries.snapshot())
    e.update(entries, e.entry("a:x", { data = 2 }))
    e.delete(entries, "a:y")
    e.create(entries, "a:z")
    t.equal(e.ids(snap:entries()), { "a:x", "a:y" })
    t.equal(e.some(snap:get("a:x")).data, 1)
    t.equal(e.some(snap:get("a:y")).id, "a:y")
    t.fails("NOT_FOUND", { snap:get("a:z") }, "a:z")
    t.equal(e.ids(snap:find({ kind = "test" })), { "a:x", "a:y" })
    t.equal(e.ids(snap:namespace("a")), { "a:x", "a:y" })
    t.equal(snap:version():id(), 1)
end)

t.test("a snapshot does not see a rollback", function()
    local entries = e.open()
    e.create(entries, "a:x")
    local snap = entries.snapshot()
    e.some(entries.apply_version(0))
    t.equal(e.ids(snap:entries()), { "a:x" })
    t.equal(e.now(entries), {})
end)

t.test("a snapshot of the current version is the state of now", function()
    local entries = e.open()
    e.create(entries, "a:x")
    local snap = e.some(entries.snapshot())
    t.equal(snap:version(), entries.current_version())
    t.equal(e.ids(snap:entries()), { "a:x" })
    t.equal(tostring(snap), "registry.Snapshot{version=v1}")
end)

t.test("snapshot_at gives the state of any version", function()
    local entries = e.open()
    for index = 1, 6 do
        e.apply(entries, function(changes)
            changes:create(e.entry("a:" .. index))
            if index > 1 then
                changes:update(e.entry("a:1", { data = index }))
            end
        end)
    end
    for index = 1, 6 do
        local snap = e.some(entries.snapshot_at(index))
        t.equal(snap:version():id(), index)
        t.equal(#snap:entries(), index)
        t.equal(snap:get("a:1").data, index > 1 and index or nil)
    end
end)

t.test("snapshot_at works far back in a long history", function()
    local entries = e.open({ durability = "off" })
    local count = t.many(700)
    for index = 1, count do
        e.apply(entries, function(changes)
            if index % 3 == 0 then
                changes:delete("a:" .. (index - 1))
            end
            changes:create(e.entry("a:" .. index, { data = index }))
        end)
    end
    for index = 1, count, math.max(1, math.floor(count / 23)) do
        local expected = {}
        for past = 1, index do
            if not (past % 3 == 2 and past + 1 <= index) then
                expected[#expected + 1] = "a:" .. past
            end
        end
        table.sort(expected)
        t.equal(#e.ids(e.some(entries.snapshot_at(index)):entries()), #expected, "v" .. index)
        t.equal(e.ids(entries.snapshot_at(index):entries()), expected, "v" .. index)
    end
end)

t.test("snapshot_at refuses what is no version after v0", function()
    local entries = e.open()
    e.create(entries, "a:x")
    for _, bad in ipairs({ 0, -1, -1000, 1.5, t.huge, t.nan, "1", "v1", {}, true }) do
        t.fails("INVALID", { entries.snapshot_at(bad) })
    end
    t.fails("INVALID", { entries.snapshot_at() })
    t.fails("NOT_FOUND", { entries.snapshot_at(2) }, "2")
    t.fails("NOT_FOUND", { entries.snapshot_at(t.two53 - 1) })
end)

t.test("lists are sorted by namespace and name", function()
    local entries = e.open()
    e.create(entries, "b:a", "a:b", "a:a", "a.b:z", "z", "a-b:c", "a:B", "a:a:a")
    -- By bytes of the namespace first: "a" before "a-b", which the text of
    -- the ids has the other way round.
    local sorted = { ":z", "a:B", "a:a", "a:a:a", "a:b", "a-b:c", "a.b:z", "b:a" }
    t.equal(e.now(entries), sorted)
    t.equal(e.ids(entries.find({})), sorted)
    t.equal(e.ids(entries.snapshot():find({ kind = "test" })), sorted)
    t.equal(e.ids(entries.snapshot():namespace("a")), { "a:B", "a:a", "a:a:a", "a:b" })
end)

t.test("namespace is exact", function()
    local entries = e.open()
    e.create(entries, "app:x", "app.api:y", "app.api.v1:z", "application:w", "root")
    local snap = entries.snapshot()
    t.equal(e.ids(snap:namespace("app.api")), { "app.api:y" })
    t.equal(e.ids(snap:namespace("app")), { "app:x" })
    t.equal(e.ids(snap:namespace("")), { ":root" })
    t.equal(e.ids(snap:namespace("app.*")), {})
    t.equal(e.ids(snap:namespace("none")), {})
    t.equal(e.ids(snap:namespace("app:x")), {})
    t.fails("INVALID", { snap:namespace() })
    t.fails("INVALID", { snap:namespace({}) })
end)

t.test("the lists of a snapshot are copies", function()
    local entries = e.open()
    e.create(entries, e.entry("a:x", { meta = { n = 1 }, data = { 1 } }))
    local snap = entries.snapshot()
    for _, list in ipairs({ snap:entries(), snap:find({}), snap:namespace("a") }) do
        list[1].meta.n = 2
        list[1].data[1] = 2
        list[1].id = "changed"
        list[2] = "more"
    end
    t.equal(snap:entries(), { e.entry("a:x", { meta = { n = 1 }, data = { 1 } }) })
    t.equal(snap:get("a:x").data, { 1 })
end)

t.test("get of a snapshot takes an id as a table and refuses what is none", function()
    local entries = e.open()
    e.create(entries, "a:x")
    local snap = entries.snapshot()
    t.equal(e.some(snap:get({ ns = "a", name = "x" })).id, "a:x")
    t.fails("INVALID", { snap:get() })
    t.fails("INVALID", { snap:get({}) })
    t.fails("INVALID", { snap:get(true) })
end)

t.test("changes of a snapshot of an old version apply to now", function()
    local entries = e.open()
    e.create(entries, "a:x")
    e.create(entries, "a:y")
    local changes = entries.snapshot_at(1):changes()
    changes:delete("a:y")
    t.equal(e.some(changes:apply()):id(), 3)
    t.equal(e.now(entries), { "a:x" })
end)

t.test("changes outlive their snapshot", function()
    local entries = e.open()
    local snap = entries.snapshot()
    local changes = snap:changes()
    snap:close()
    changes:create(e.entry("a:x"))
    t.equal(e.some(changes:apply({ base = "strict" })):id(), 1)
end)

t.test("every method of a closed snapshot says so", function()
    local entries = e.open()
    e.create(entries, "a:x")
    local snap = entries.snapshot()
    snap:close()
    snap:close()
    t.fails("INVALID", { snap:entries() }, "snapshot is closed")
    t.fails("INVALID", { snap:get("a:x") }, "snapshot is closed")
    t.fails("INVALID", { snap:find({}) }, "snapshot is closed")
    t.fails("INVALID", { snap:namespace("a") }, "snapshot is closed")
    t.fails("INVALID", { snap:version() }, "snapshot is closed")
    t.fails("INVALID", { snap:changes() }, "snapshot is closed")
    t.equal(type(tostring(snap)), "string")
    t.equal(e.now(entries), { "a:x" })
end)

t.test("closing one snapshot leaves the others of its version", function()
    local entries = e.open()
    e.create(entries, "a:x")
    local one, two = entries.snapshot(), entries.snapshot()
    one:close()
    t.equal(e.ids(two:entries()), { "a:x" })
end)

t.test("a snapshot is valid after the database was closed", function()
    local entries, db = e.open()
    e.create(entries, e.entry("a:x", { data = { 1 } }))
    local snap, old = entries.snapshot(), entries.snapshot_at(1)
    db:close()
    for _, one in ipairs({ snap, old }) do
        t.equal(one:entries(), { e.entry("a:x", { data = { 1 } }) })
        t.equal(e.ids(one:find({ [".id"] = "a:*" })), { "a:x" })
        t.equal(one:version():id(), 1)
        t.equal(one:version():string(), "v1")
    end
end)

t.test("an old snapshot is whole after many changes", function()
    local entries = e.open({ durability = "off" })
    local list = {}
    for index = 1, 300 do
        list[index] = e.entry(string.format("a:%03d", index), { data = index })
    end
    e.apply(entries, function(changes)
        for _, entry in ipairs(list) do
            changes:create(entry)
        end
    end)
    local snap = entries.snapshot()
    for round = 1, t.many(100) do
        e.apply(entries, function(changes)
            local id = string.format("a:%03d", round)
            changes:delete(id):create(e.entry("b:" .. round)):update(e.entry("a:300", { data = -round }))
        end)
    end
    t.equal(snap:entries(), list)
end)
