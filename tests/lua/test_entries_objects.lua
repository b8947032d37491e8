-- Snapshots, changes, versions and histories as objects: texts, wrong selves,
-- and the collector.
local t = ...
local acervo = require("acervo")
local e = require("support_entries")

local METHODS = {
    snapshot = { "entries", "get", "find", "namespace", "version", "changes", "close" },
    changes = { "create", "update", "delete", "ops", "apply" },
    version = { "id", "string", "previous", "next", "time", "author", "message" },
    history = { "versions", "get_version", "snapshot_at" },
}

local function objects(options)
    local entries, db = e.open(options)
    e.create(entries, "a:x")
    return {
        snapshot = entries.snapshot(), changes = e.changes(entries), version = entries.current_version(),
        history = entries.history(),
    }, entries, db
end

local function collect()
    for _ = 1, 3 do
        collectgarbage()
    end
end

t.test("objects are userdata with their methods", function()
    for name, object in pairs((objects())) do
        t.equal(type(object), "userdata", name)
        for _, method in ipairs(METHODS[name]) do
            t.equal(type(object[method]), "function", name .. ":" .. method)
        end
        t.equal(object.nothing, nil)
    end
end)

t.test("tostring tells what they are", function()
    local all, entries = objects()
    t.equal(tostring(all.snapshot), "registry.Snapshot{version=v1}")
    t.equal(tostring(all.changes), "registry.Changes{ops=0}")
    t.equal(tostring(all.version), "registry.Version{v1}")
    t.equal(tostring(all.history), "registry.History{}")
    all.changes:create(e.entry("a:y"))
    all.changes:delete("a:x")
    t.equal(tostring(all.changes), "registry.Changes{ops=2}")
    e.some(all.changes:apply())
    t.equal(tostring(all.snapshot), "registry.Snapshot{version=v1}")
    t.equal(tostring(entries.snapshot()), "registry.Snapshot{version=v2}")
    t.equal(tostring(entries.history():get_version(0)), "registry.Version{v0}")
end)

t.test("a method on the wrong object raises and does no harm", function()
    local all = objects()
    for name, methods in pairs(METHODS) do
        for _, method in ipairs(methods) do
            local fn = all[name][method]
            for other_name, other in pairs(all) do
                if other_name ~= name then
                    t.ok(not pcall(fn, other), name .. ":" .. method .. " on a " .. other_name)
                end
            end
            for _, bad in ipairs({ {}, 1, "text", true, io.stdout, acervo.null, acervo.errors.new("x") }) do
                t.ok(not pcall(fn, bad), name .. ":" .. method .. " on a " .. type(bad))
            end
            t.ok(not pcall(fn), name .. ":" .. method .. " on nothing")
        end
    end
    t.equal(e.ids(all.snapshot:entries()), { "a:x" })
    t.equal(all.changes:ops(), e.NONE)
end)

t.test("objects cannot be changed by assignment", function()
    for name, object in pairs((objects())) do
        t.ok(not pcall(function() object.x = 1 end), name)
    end
end)

t.test("an object keeps what it needs when everything else is collected", function()
    local all
    do
        local db = assert(acervo.open({ path = t.path(), durability = "normal" }))
        e.create(db.entries, "a:x")
        all = { snapshot = db.entries.snapshot(), changes = e.changes(db.entries),
            version = db.entries.current_version(), history = db.entries.history() }
    end
    collect()
    t.equal(e.ids(all.snapshot:entries()), { "a:x" })
    t.equal(e.some(all.version:previous()):id(), 0)
    t.equal(e.numbers(all.history:versions()), { 0, 1 })
    all.changes:create(e.entry("a:y"))
    all.snapshot = nil
    collect()
    t.equal(e.some(all.changes:apply()):id(), 2)
    t.equal(e.some(all.version:next()):id(), 2)
end)

t.test("a function keeps its database alive", function()
    local get, snapshot
    do
        local db = assert(acervo.open({ path = t.path(), durability = "normal" }))
        get, snapshot = db.entries.get, db.entries.snapshot
    end
    collect()
    e.some(snapshot():changes():create(e.entry("a:x")):apply())
    collect()
    t.equal(e.some(get("a:x")).id, "a:x")
end)

t.test("objects go in every order, before and after their database", function()
    for order = 1, 6 do
        local all, _, db = objects()
        all.changes:create(e.entry("a:z"))
        for _, name in ipairs(order % 2 == 0 and { "snapshot", "version", "changes", "history" }
            or { "history", "changes", "version", "snapshot" }) do
            all[name] = nil
            if order > 2 then
                collect()
            end
        end
        if order > 4 then
            db:close()
        end
        all = nil
        collect()
        if order <= 4 then
            t.equal(e.now(db.entries), { "a:x" })
        end
    end
end)

t.test("collecting many snapshots leaves the registry as it is", function()
    local entries = e.open({ durability = "off" })
    for round = 1, t.many(300) do
        e.create(entries, "a:" .. round)
        for _ = 1, 3 do
            entries.snapshot():changes()
        end
        if round % 50 == 0 then
            collect()
        end
    end
    t.equal(#e.now(entries), t.many(300))
end)

if t.version >= 5.4 then
    t.test("<close> closes a snapshot", function()
        local entries = e.open()
        local chunk = assert(load([[
            local snap <close> = ...
            return snap
        ]]))
        local snap = chunk(e.some(entries.snapshot()))
        t.fails("INVALID", { snap:entries() }, "snapshot is closed")
    end)
end
