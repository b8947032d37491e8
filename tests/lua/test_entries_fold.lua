-- Several ops of one id in one changeset do what they say, one after the
-- other, and their version can be undone and done again.
local t = ...
local e = require("support_entries")

local function one(data, kind)
    return e.entry("a:x", { data = data, kind = kind })
end

-- before: data of a:x, false if it is missing; after: likewise; steps: the ops
-- they come down to.
local CASES = {
    { "create and update", before = false, after = 2, steps = { "create a:x" }, function(c)
        c:create(one(1)):update(one(2))
    end },
    { "create and delete", before = false, after = false, steps = {}, function(c)
        c:create(one(1)):delete("a:x")
    end },
    { "create, update and delete", before = false, after = false, steps = {}, function(c)
        c:create(one(1)):update(one(2)):delete("a:x")
    end },
    { "create, delete and create", before = false, after = 3, steps = { "create a:x" }, function(c)
        c:create(one(1)):delete("a:x"):create(one(3))
    end },
    { "update and update", before = 1, after = 3, steps = { "update a:x" }, function(c)
        c:update(one(2)):update(one(3))
    end },
    { "update and delete", before = 1, after = false, steps = { "delete a:x" }, function(c)
        c:update(one(2)):delete("a:x")
    end },
    { "delete and create", before = 1, after = 2, steps = { "update a:x" }, function(c)
        c:delete("a:x"):create(one(2))
    end },
    { "delete and create of another kind", before = 1, after = 2, kind = "other",
        steps = { "delete a:x", "create a:x" }, function(c)
        c:delete("a:x"):create(one(2, "other"))
    end },
    { "delete, create of another kind and update", before = 1, after = 3, kind = "other",
        steps = { "delete a:x", "create a:x" }, function(c)
        c:delete("a:x"):create(one(2, "other")):update(one(3, "other"))
    end },
    { "delete, create and delete", before = 1, after = false, steps = { "delete a:x" }, function(c)
        c:delete("a:x"):create(one(2)):delete("a:x")
    end },
    { "update, delete and create", before = 1, after = 3, steps = { "update a:x" }, function(c)
        c:update(one(2)):delete("a:x"):create(one(3))
    end },
    { "delete and create of what was there", before = 1, after = 1, steps = { "update a:x" }, function(c)
        c:delete("a:x"):create(one(1))
    end },
}

-- registry is the entry registry, or something with a get like it.
local function check(registry, data, kind)
    if data then
        t.equal(e.some(registry.get("a:x")), one(data, kind))
    else
        t.fails("NOT_FOUND", { registry.get("a:x") })
    end
end

for _, case in ipairs(CASES) do
    t.test(case[1] .. " of one id", function()
        local entries, db, path = e.open()
        e.create(entries, case.before and one(case.before) or "b:other", "c:third")
        local changes = e.changes(entries)
        case[2](changes)
        local ops = e.some(changes:apply({ dry_run = true }))
        t.equal(e.steps(ops), case.steps)
        if case.before and ops[1] then
            t.equal(ops[1].original, one(case.before), "the original is the entry before the apply")
        end
        local version = e.some(changes:apply())
        t.equal(version:id(), 2)
        check(entries, case.after, case.kind)
        e.some(entries.apply_version(1))
        check(entries, case.before)
        e.some(entries.apply_version(2))
        check(entries, case.after, case.kind)
        db:close()
        entries = e.open({ path = path })
        check(entries, case.after, case.kind)
        local old = e.some(entries.snapshot_at(1))
        check({ get = function(id) return old:get(id) end }, case.before)
        e.some(entries.apply_version(0))
        t.equal(e.now(entries), {})
        e.some(entries.apply_version(2))
        check(entries, case.after, case.kind)
    end)
end

-- Each op is checked against what the ones before it made.
for _, case in ipairs({
    { "create twice", false, "ALREADY_EXISTS", function(c) c:create(one(1)):create(one(2)) end },
    { "delete twice", 1, "NOT_FOUND", function(c) c:delete("a:x"):delete("a:x") end },
    { "update after the delete", 1, "NOT_FOUND", function(c) c:delete("a:x"):update(one(2)) end },
    { "update after create and delete", false, "NOT_FOUND",
        function(c) c:create(one(1)):delete("a:x"):update(one(2)) end },
    { "create after delete and create", 1, "ALREADY_EXISTS",
        function(c) c:delete("a:x"):create(one(1)):create(one(2)) end },
    { "update to the old kind after a create of another", 1, "INVALID",
        function(c) c:delete("a:x"):create(one(2, "other")):update(one(3)) end },
    { "update to a kind other than the create's", false, "INVALID",
        function(c) c:create(one(1)):update(one(2, "other")) end },
}) do
    t.test(case[1] .. " of one id is refused", function()
        local entries = e.open()
        e.create(entries, case[2] and one(case[2]) or "b:other")
        local before = e.now(entries)
        local changes = e.changes(entries)
        case[4](changes)
        t.fails(case[3], { changes:apply() }, "a:x")
        t.equal(e.now(entries), before)
        t.equal(entries.current_version():id(), 1)
    end)
end

t.test("a changeset of which nothing remains makes an empty version", function()
    local entries = e.open()
    e.create(entries, "a:b")
    local version = e.apply(entries, function(changes)
        changes:create(one(1)):delete("a:x")
    end, { message = "nothing" })
    t.equal(version:id(), 2)
    t.equal(version:message(), "nothing")
    t.equal(e.now(entries), { "a:b" })
    t.equal(e.some(version:previous()):id(), 1)
end)

t.test("ids that fold to nothing do not disturb the others", function()
    local entries = e.open()
    e.create(entries, "a:a", "a:b")
    e.apply(entries, function(changes)
        changes:create(one(1)):delete("a:a"):update(one(2)):create(e.entry("a:a", { data = 1 }))
        changes:delete("a:x"):delete("a:b")
    end)
    t.equal(e.now(entries), { "a:a" })
    t.equal(entries.get("a:a").data, 1)
end)
