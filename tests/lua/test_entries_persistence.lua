-- Entries over reopening, restarts and kills, and between processes.
local t = ...
local e = require("support_entries")

t.test("entries, head and history are there after reopening", function()
    local entries, db, path = e.open()
    e.create(entries, e.entry("a:x", { meta = { n = 1 }, data = { 1, 2 } }), "a:y")
    e.update(entries, e.entry("a:x", { data = "new" }))
    e.delete(entries, "a:y")
    db:close()
    entries = e.open({ path = path })
    t.equal(entries.current_version():id(), 3)
    t.equal(e.numbers(entries.versions()), { 0, 1, 2, 3 })
    t.equal(entries.snapshot():entries(), { e.entry("a:x", { data = "new" }) })
    t.equal(entries.snapshot_at(1):get("a:x"), e.entry("a:x", { meta = { n = 1 }, data = { 1, 2 } }))
    t.equal(e.ids(entries.snapshot_at(2):entries()), { "a:x", "a:y" })
    e.some(entries.apply_version(1))
    t.equal(e.now(entries), { "a:x", "a:y" })
end)

t.test("time, author and message are there after reopening", function()
    local entries, db, path = e.open()
    local made = e.apply(entries, function(changes) changes:create(e.entry("a:x")) end,
        { author = "\255 me", message = "" })
    local time = made:time()
    db:close()
    entries = e.open({ path = path })
    local again = entries.current_version()
    t.equal({ again:author(), again:message(), again:time() }, { "\255 me", "", time })
end)

t.test("a rolled-back head is there after reopening, and numbers are not used again", function()
    local entries, db, path = e.open()
    e.create(entries, "a:1")
    e.create(entries, "a:2")
    e.create(entries, "a:3")
    e.some(entries.apply_version(1))
    db:close()
    entries, db = e.open({ path = path })
    t.equal(entries.current_version():id(), 1)
    t.equal(e.now(entries), { "a:1" })
    local made = e.create(entries, "b:4")
    t.equal(made:id(), 4)
    t.equal(made:previous():id(), 1)
    db:close()
    entries = e.open({ path = path })
    t.equal(e.numbers(entries.versions()), { 0, 1, 2, 3, 4 })
    e.some(entries.apply_version(3))
    t.equal(e.now(entries), { "a:1", "a:2", "a:3" })
end)

t.test("v0 as head is there after reopening", function()
    local entries, db, path = e.open()
    e.create(entries, "a:1")
    e.some(entries.apply_version(0))
    db:close()
    entries = e.open({ path = path })
    t.equal(entries.current_version():id(), 0)
    t.equal(e.now(entries), {})
    t.equal(e.create(entries, "a:1"):id(), 2)
end)

t.test("pruned versions stay away after reopening", function()
    local entries, db, path = e.open()
    for index = 1, 5 do
        e.create(entries, "a:" .. index)
    end
    e.some(entries.prune(4))
    db:close()
    entries = e.open({ path = path })
    t.equal(e.numbers(entries.versions()), { 0, 4, 5 })
    t.fails("NOT_FOUND", { entries.snapshot_at(2) }, "pruned")
    e.some(entries.apply_version(0))
    t.equal(e.now(entries), {})
    e.some(entries.apply_version(4))
    t.equal(#e.now(entries), 4)
    t.equal(e.create(entries, "b:6"):id(), 6)
end)

t.test("a failed apply leaves nothing in the file", function()
    local entries, db, path = e.open()
    e.create(entries, "a:1")
    local changes = e.changes(entries)
    changes:create(e.entry("a:2")):create(e.entry("a:1"))
    t.fails("ALREADY_EXISTS", { changes:apply() })
    changes = e.changes(entries)
    changes:create(e.entry("a:3"))
    e.some(changes:apply({ dry_run = true }))
    db:close()
    entries = e.open({ path = path })
    t.equal(e.now(entries), { "a:1" })
    t.equal(e.numbers(entries.versions()), { 0, 1 })
    t.equal(e.create(entries, "a:4"):id(), 2)
end)

t.test("a long history opens at its head", function()
    local entries, db, path = e.open({ durability = "off" })
    local count = t.many(600)
    for index = 1, count do
        e.apply(entries, function(changes)
            changes:create(e.entry(("a:%04d"):format(index)))
            if index > 10 then
                changes:delete(("a:%04d"):format(index - 10))
            end
        end)
    end
    local last = e.now(entries)
    db:close()
    entries = e.open({ path = path })
    t.equal(e.now(entries), last)
    t.equal(entries.current_version():id(), count)
    t.equal(#entries.versions(), count + 1)
    t.equal(e.ids(entries.snapshot_at(3):entries()), { "a:0001", "a:0002", "a:0003" })
end)

t.test("entries and keys share a file and not their names", function()
    local entries, db, path = e.open()
    e.create(entries, "k")
    db.store.put("k", "store")
    db.registry.put("k", "registry")
    db:close()
    entries, db = e.open({ path = path })
    t.equal(e.now(entries), { ":k" })
    t.equal(db.store.get("k"), "store")
    t.equal(db.registry.get("k"), "registry")
    e.some(entries.apply_version(0))
    t.equal(db.store.get("k"), "store")
end)

t.test("a memory history and a memory database end with their handle", function()
    local entries, db = e.open({ path = ":memory:" })
    e.create(entries, "a:x")
    db:close()
    entries = e.open({ path = ":memory:" })
    t.equal(e.now(entries), {})
    t.equal(entries.current_version():id(), 0)
end)

t.test("with history memory on a file the entries are gone and the keys are not", function()
    local entries, db, path = e.open({ history = "memory" })
    e.create(entries, "a:x")
    db.store.put("k", 1)
    db:close()
    entries, db = e.open({ path = path, history = "memory" })
    t.equal(e.now(entries), {})
    t.equal(db.store.get("k"), 1)
end)

t.test("a file that holds versions opens with sqlite only", function()
    local entries, db, path = e.open()
    e.create(entries, "a:x")
    db:close()
    for _, history in ipairs({ "memory", "none" }) do
        local other, err = require("acervo").open({ path = path, history = history })
        t.fails("INVALID", { other, err }, "history")
    end
    t.equal(e.now((e.open({ path = path, history = "sqlite" }))), { "a:x" })
end)

---------------------------------------------------------------------------
-- Other processes

local CHILD = [[
    local db = assert(require("acervo").open({ path = arg[1], durability = "normal" }))
    local registry = db.entries
    local function create(id, data)
        local changes = assert(registry.snapshot()):changes()
        assert(changes:create({ id = id, kind = "child", data = data }))
        return assert(changes:apply())
    end
]]

t.test("what one process applies the next read of another sees", function()
    local entries, _, path = e.open()
    e.create(entries, "a:parent")
    local output = t.child_ok({ args = { path }, code = CHILD .. [[
        print(assert(registry.get("a:parent")).id, create("a:child", { 1 }):id())
    ]] })
    t.equal(output, "a:parent\t2\n")
    t.equal(e.some(entries.get("a:child")), { id = "a:child", kind = "child", meta = {}, data = { 1 } })
    t.equal(entries.current_version():id(), 2)
    t.equal(e.numbers(entries.versions()), { 0, 1, 2 })
    t.equal(e.create(entries, "a:next"):id(), 3)
end)

t.test("strict and disjoint see what another process did", function()
    local entries, _, path = e.open()
    local strict, disjoint = e.changes(entries), e.changes(entries)
    strict:create(e.entry("a:child"))
    disjoint:create(e.entry("a:other"))
    t.child_ok({ args = { path }, code = CHILD .. [[ create("a:child") ]] })
    t.fails("CONFLICT", { strict:apply({ base = "strict" }) })
    t.fails("CONFLICT", { strict:apply({ base = "disjoint" }) })
    e.some(disjoint:apply({ base = "disjoint" }))
    t.equal(e.now(entries), { "a:child", "a:other" })
end)

t.test("a snapshot keeps its version while another process goes on", function()
    local entries, _, path = e.open()
    e.create(entries, "a:x")
    local snap = entries.snapshot()
    t.child_ok({ args = { path }, code = CHILD .. [[
        create("a:y")
        assert(registry.apply_version(0))
    ]] })
    t.equal(e.ids(snap:entries()), { "a:x" })
    t.equal(e.now(entries), {})
    t.equal(#entries.versions(), 3)
end)

t.test("what an apply gave survives an exit without closing", function()
    local path = t.path()
    t.child_ok({ args = { path }, code = CHILD .. [[
        create("a:x")
        create("a:y")
        io.stdout:flush()
        os.exit(0, false)
    ]] })
    local entries = e.open({ path = path })
    t.equal(e.now(entries), { "a:x", "a:y" })
end)

t.test("what an apply gave survives a kill, and each version is whole", function()
    local path = t.path()
    local _, code = t.child({ args = { path }, code = CHILD .. [[
        for index = 1, 20 do
            local changes = assert(registry.snapshot()):changes()
            for n = 1, 10 do
                changes:create({ id = index .. ":" .. n, kind = "child" })
            end
            assert(changes:apply())
        end
        os.execute("kill -9 $PPID")
    ]] })
    t.ok(code ~= 0, "the child was not killed")
    local entries = e.open({ path = path })
    t.equal(entries.current_version():id(), 20)
    t.equal(#e.now(entries), 200)
    t.equal(#entries.snapshot_at(7):entries(), 70)
end)

t.test("two processes that apply in turns lose nothing", function()
    local entries, _, path = e.open()
    local count = t.many(40)
    local script = t.path("worker.lua")
    t.write_file(script, CHILD .. [[
        for index = 1, tonumber(arg[3]) do
            create(arg[2] .. ":" .. index)
        end
    ]])
    local output = t.child_ok({ args = { path, script, tostring(count) }, code = [[
        local lowest = 0
        while arg[lowest - 1] do lowest = lowest - 1 end
        local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
        local command = {}
        for _, name in ipairs({ "p", "q" }) do
            command[#command + 1] = "{ " .. quote(arg[lowest]) .. " " .. quote(arg[2]) .. " " .. quote(arg[1]) ..
                " " .. name .. " " .. arg[3] .. " || echo " .. name .. " failed; } &"
        end
        os.execute(table.concat(command, " ") .. " wait")
    ]] })
    t.equal(output, "")
    t.equal(#e.now(entries), 2 * count)
    t.equal(entries.current_version():id(), 2 * count)
    t.equal(#entries.snapshot():namespace("p"), count)
end)
