-- Versions: the history, navigation over branches, prune.
local t = ...
local e = require("support_entries")

-- One version per number: version n has created a:n.
local function chain(entries, count)
    for index = 1, count do
        t.equal(e.create(entries, "a:" .. index):id(), index)
    end
end

-- v0 - v1 - v2 - v3
--         \ v4 - v5      (head)
--              \ v6
local function branches(options)
    local entries, db, path = e.open(options)
    chain(entries, 3)
    e.some(entries.apply_version(1))
    t.equal(e.create(entries, "b:4"):id(), 4)
    t.equal(e.create(entries, "b:5"):id(), 5)
    e.some(entries.apply_version(4))
    t.equal(e.create(entries, "c:6"):id(), 6)
    e.some(entries.apply_version(5))
    return entries, db, path
end

local STATES = {
    [0] = {},
    { "a:1" },
    { "a:1", "a:2" },
    { "a:1", "a:2", "a:3" },
    { "a:1", "b:4" },
    { "a:1", "b:4", "b:5" },
    { "a:1", "b:4", "c:6" },
}

local function version(entries, id)
    return e.some(entries.history():get_version(id))
end

t.test("a new registry is at v0, which has no parent", function()
    local entries = e.open()
    local root = e.some(entries.current_version())
    t.equal(root:id(), 0)
    t.equal(root:string(), "v0")
    t.equal(root:previous(), nil)
    t.equal(root:next(), nil)
    t.equal(root:author(), nil)
    t.equal(root:message(), nil)
    t.equal(e.numbers(entries.versions()), { 0 })
end)

t.test("a version tells its number as an integer and as a text", function()
    local entries = e.open()
    local made = e.create(entries, "a:b")
    t.equal(made:id(), 1)
    if t.subtypes then
        t.equal(math.type(made:id()), "integer")
        t.equal(math.type(made:time()), "integer")
    end
    t.equal(made:string(), "v1")
    t.equal(tostring(made), "registry.Version{v1}")
end)

t.test("versions are listed in ascending order, from v0", function()
    local entries = branches()
    t.equal(e.numbers(entries.versions()), { 0, 1, 2, 3, 4, 5, 6 })
    t.equal(e.numbers(entries.history():versions()), { 0, 1, 2, 3, 4, 5, 6 })
end)

t.test("handles of one version are equal and versions are ordered by id", function()
    local entries = branches()
    local list = entries.versions()
    for i = 1, #list do
        for j = 1, #list do
            local a, b = list[i], version(entries, j - 1)
            t.equal(a == b, i == j, i .. " == " .. j)
            t.equal(a < b, i < j, i .. " < " .. j)
            t.equal(a <= b, i <= j, i .. " <= " .. j)
            t.equal(a > b, i > j, i .. " > " .. j)
        end
    end
    t.ok(list[1] ~= 0 and list[2] ~= "v1", "a version is no number and no text")
end)

t.test("previous is the parent, whatever the head is", function()
    local entries = branches()
    local parents = { 0, 1, 2, 1, 4, 4 }
    for id, parent in ipairs(parents) do
        t.equal(e.some(version(entries, id):previous()):id(), parent, "previous of " .. id)
    end
    t.equal(version(entries, 0):previous(), nil)
end)

t.test("next goes towards the head, else to the newest child", function()
    local entries = branches()
    local function following(id)
        local found = version(entries, id):next()
        return found and found:id()
    end
    t.equal(following(0), 1)
    t.equal(following(1), 4)
    t.equal(following(2), 3)
    t.equal(following(3), nil)
    t.equal(following(4), 5)
    t.equal(following(5), nil)
    t.equal(following(6), nil)
    e.some(entries.apply_version(2))
    t.equal(following(1), 2)
    -- Off the way to the head.
    t.equal(following(4), 6)
    e.some(entries.apply_version(0))
    t.equal(following(1), 4)
end)

t.test("previous and next of a handle see what happened since", function()
    local entries = e.open()
    local first = e.create(entries, "a:1")
    t.equal(first:next(), nil)
    e.create(entries, "a:2")
    t.equal(e.some(first:next()):id(), 2)
    e.some(entries.apply_version(1))
    e.create(entries, "a:3")
    t.equal(e.some(first:next()):id(), 3)
end)

t.test("the walk of the documents goes back to v0", function()
    local entries = branches()
    local seen = {}
    local at = entries.current_version()
    while at do
        seen[#seen + 1] = at:id()
        at = at:previous()
    end
    t.equal(seen, { 5, 4, 1, 0 })
end)

---------------------------------------------------------------------------
-- apply_version

t.test("apply_version reaches every version from every other one", function()
    local entries = branches()
    for from = 0, 6 do
        for to = 0, 6 do
            t.equal(e.some(entries.apply_version(from)), true)
            t.equal(e.now(entries), STATES[from])
            t.equal(e.some(entries.apply_version(to)), true)
            t.equal(e.now(entries), STATES[to], from .. " to " .. to)
            t.equal(entries.current_version():id(), to)
        end
    end
    t.equal(#entries.versions(), 7)
end)

t.test("apply_version takes a version or its number", function()
    local entries = branches()
    t.equal(e.some(entries.apply_version(version(entries, 2))), true)
    t.equal(entries.current_version():id(), 2)
    t.equal(e.some(entries.apply_version(entries.current_version():previous())), true)
    t.equal(entries.current_version():id(), 1)
    t.equal(e.some(entries.apply_version(6)), true)
    t.equal(e.now(entries), STATES[6])
end)

t.test("apply_version of the current version is true and does nothing", function()
    local entries = branches()
    t.equal(e.some(entries.apply_version(5)), true)
    t.equal(entries.current_version():id(), 5)
    t.equal(e.now(entries), STATES[5])
end)

t.test("apply_version takes updates and deletes back, and does them again", function()
    local entries = e.open()
    e.create(entries, e.entry("a:x", { data = 1 }), e.entry("a:y", { data = 1 }))
    e.update(entries, e.entry("a:x", { data = 2, meta = { m = 1 } }))
    e.delete(entries, "a:y")
    e.apply(entries, function(changes)
        changes:delete("a:x"):create(e.entry("a:x", { kind = "other", data = 3 })):create(e.entry("a:y", { data = 4 }))
    end)
    local function state()
        return { (entries.get("a:x")) or false, (entries.get("a:y")) or false }
    end
    local states = {
        [0] = { false, false },
        { e.entry("a:x", { data = 1 }), e.entry("a:y", { data = 1 }) },
        { e.entry("a:x", { data = 2, meta = { m = 1 } }), e.entry("a:y", { data = 1 }) },
        { e.entry("a:x", { data = 2, meta = { m = 1 } }), false },
        { e.entry("a:x", { kind = "other", data = 3 }), e.entry("a:y", { data = 4 }) },
    }
    for _, to in ipairs({ 4, 3, 2, 1, 0, 4, 1, 3, 0, 2, 4, 2 }) do
        e.some(entries.apply_version(to))
        t.equal(state(), states[to], "v" .. to)
    end
end)

t.test("an unknown version is NOT_FOUND and leaves everything", function()
    local entries = branches()
    t.fails("NOT_FOUND", { entries.apply_version(7) }, "7")
    t.fails("NOT_FOUND", { entries.apply_version(1000000) })
    t.equal(entries.current_version():id(), 5)
    t.equal(e.now(entries), STATES[5])
end)

t.test("what is no version is INVALID", function()
    local entries = branches()
    for _, bad in ipairs({ -1, 1.5, "v1", {}, true, t.huge, t.nan }) do
        t.fails("INVALID", { entries.apply_version(bad) })
        t.fails("INVALID", { entries.prune(bad) })
    end
    t.fails("INVALID", { entries.apply_version() })
    t.fails("INVALID", { entries.apply_version(entries.snapshot()) })
    t.equal(entries.current_version():id(), 5)
end)

t.test("applying after a rollback makes a branch; the old one stays reachable", function()
    local entries = e.open()
    chain(entries, 3)
    e.some(entries.apply_version(1))
    local made = e.create(entries, "b:4")
    t.equal(made:id(), 4)
    t.equal(made:previous():id(), 1)
    t.equal(e.numbers(entries.versions()), { 0, 1, 2, 3, 4 })
    e.some(entries.apply_version(3))
    t.equal(e.now(entries), { "a:1", "a:2", "a:3" })
end)

---------------------------------------------------------------------------
-- History

t.test("the history finds a version by its number", function()
    local entries = branches()
    local history = e.some(entries.history())
    t.equal(tostring(history), "registry.History{}")
    for id = 0, 6 do
        t.equal(e.some(history:get_version(id)):id(), id)
    end
    t.fails("NOT_FOUND", { history:get_version(7) }, "7")
    t.fails("INVALID", { history:get_version("2") })
    t.fails("INVALID", { history:get_version() })
    t.fails("INVALID", { history:get_version(1.5) })
    t.fails("INVALID", { history:get_version(-1) })
end)

t.test("the history gives the snapshot of every version, v0 too", function()
    local entries = branches()
    local history = entries.history()
    for id = 0, 6 do
        local snap = e.some(history:snapshot_at(version(entries, id)))
        t.equal(e.ids(snap:entries()), STATES[id], "v" .. id)
        t.equal(snap:version():id(), id)
    end
    t.fails("INVALID", { history:snapshot_at() })
    t.fails("INVALID", { history:snapshot_at("v1") })
end)

t.test("a history object sees versions made after it", function()
    local entries = e.open()
    local history = entries.history()
    chain(entries, 2)
    t.equal(e.numbers(history:versions()), { 0, 1, 2 })
    t.equal(e.some(history:get_version(2)):string(), "v2")
end)

---------------------------------------------------------------------------
-- prune

t.test("prune takes out what does not descend from the version, except v0", function()
    local entries = branches()
    t.equal(e.some(entries.prune(4)), true)
    t.equal(e.numbers(entries.versions()), { 0, 4, 5, 6 })
    t.equal(version(entries, 4):previous():id(), 0)
    t.equal(version(entries, 0):next():id(), 4)
    for _, id in ipairs({ 4, 5, 6 }) do
        t.equal(e.ids(e.some(entries.snapshot_at(id)):entries()), STATES[id], "v" .. id)
    end
    for _, to in ipairs({ 6, 0, 4, 0, 5 }) do
        e.some(entries.apply_version(to))
        t.equal(e.now(entries), STATES[to], "v" .. to)
    end
end)

t.test("a pruned version is NOT_FOUND and says that it was pruned", function()
    local entries = branches()
    local gone = version(entries, 2)
    e.some(entries.prune(version(entries, 4)))
    t.fails("NOT_FOUND", { entries.snapshot_at(2) }, "pruned")
    t.fails("NOT_FOUND", { entries.apply_version(1) }, "pruned")
    t.fails("NOT_FOUND", { entries.apply_version(gone) }, "pruned")
    t.fails("NOT_FOUND", { entries.history():get_version(3) }, "pruned")
    t.fails("NOT_FOUND", { entries.prune(1) }, "pruned")
    t.equal(gone:id(), 2)
    local err = t.fails("NOT_FOUND", { entries.snapshot_at(7) })
    t.ok(not tostring(err):find("pruned", 1, true), "v7 never was: " .. tostring(err))
end)

t.test("only the head and its ancestors can be pruned up to", function()
    local entries = branches()
    t.fails("INVALID", { entries.prune(2) })
    t.fails("INVALID", { entries.prune(6) })
    t.fails("NOT_FOUND", { entries.prune(9) })
    t.equal(#entries.versions(), 7)
    t.equal(e.some(entries.prune(5)), true)
    t.equal(e.numbers(entries.versions()), { 0, 5 })
    t.equal(e.some(entries.prune(5)), true)
    t.equal(e.now(entries), STATES[5])
end)

t.test("prune keeps snapshots whole and numbers unused", function()
    local entries = branches()
    local snap = entries.snapshot_at(3)
    e.some(entries.prune(5))
    t.equal(e.ids(snap:entries()), STATES[3])
    t.equal(snap:version():id(), 3)
    t.equal(e.create(entries, "d:7"):id(), 7)
end)

t.test("prune keeps author, message and time of what stays", function()
    local entries = e.open()
    chain(entries, 1)
    local made = e.apply(entries, function(changes) changes:create(e.entry("b:b")) end,
        { author = "a", message = "m" })
    local time = made:time()
    e.some(entries.prune(2))
    made = version(entries, 2)
    t.equal({ made:author(), made:message(), made:time() }, { "a", "m", time })
end)

---------------------------------------------------------------------------
-- Backends

t.test("a memory history has versions and branches too", function()
    local entries = branches({ path = ":memory:" })
    for _, to in ipairs({ 3, 6, 0, 5 }) do
        e.some(entries.apply_version(to))
        t.equal(e.now(entries), STATES[to])
    end
    t.equal(#entries.versions(), 7)
end)

t.test("without a history versions are numbered and the rest is UNAVAILABLE", function()
    local entries = e.open({ path = ":memory:", history = "none" })
    chain(entries, 2)
    t.equal(entries.current_version():id(), 2)
    t.equal(e.now(entries), { "a:1", "a:2" })
    local err = t.fails("UNAVAILABLE", { entries.versions() })
    t.equal(err:retryable(), true)
    t.fails("UNAVAILABLE", { entries.snapshot_at(1) })
    t.fails("UNAVAILABLE", { entries.apply_version(1) })
    t.equal(entries.current_version():id(), 2)
end)

t.test("history_keep prunes what is older", function()
    local entries = e.open({ history_keep = 3 })
    chain(entries, 10)
    t.wait_until(function() return #entries.versions() <= 5 end, "the old versions to go")
    t.equal(e.some(entries.snapshot_at(10)):version():id(), 10)
    t.fails("NOT_FOUND", { entries.snapshot_at(1) }, "pruned")
    t.equal(#e.now(entries), 10)
end)
