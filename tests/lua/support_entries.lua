-- What the tests of the entry registry share.
local t = require("support")

local e = {}

-- An empty list, as the registry gives it: an array, also when it is stored.
e.NONE = require("acervo").array({})

-- A database's entry registry, closed when the test ends.
function e.open(options)
    local db, path = t.open(options)
    return db.entries, db, path
end

-- The results of a call that must give something.
function e.some(value, err, ...)
    if value == nil then
        error("expected a value, got nil and " .. tostring(err), 0)
    end
    if err ~= nil then
        error("expected no error beside the value, got " .. tostring(err), 0)
    end
    return value, err, ...
end

-- An entry table with every field; the kind is "test" if none is given.
function e.entry(id, fields)
    local entry = { id = id, kind = "test", meta = {}, data = nil }
    for name, value in pairs(fields or {}) do
        entry[name] = value
    end
    return entry
end

-- Applies what fn queues on changes of the current snapshot; gives the version.
function e.apply(entries, fn, options)
    local snap = e.some(entries.snapshot())
    local changes = e.some(snap:changes())
    fn(changes)
    return e.some(changes:apply(options))
end

-- Creates entries, given as tables or as ids, in one version.
function e.create(entries, ...)
    local list = { ... }
    return e.apply(entries, function(changes)
        for _, one in ipairs(list) do
            e.some(changes:create(type(one) == "string" and e.entry(one) or one))
        end
    end)
end

-- Updates entries, given as tables, in one version.
function e.update(entries, ...)
    local list = { ... }
    return e.apply(entries, function(changes)
        for _, one in ipairs(list) do
            e.some(changes:update(one))
        end
    end)
end

-- Deletes ids in one version.
function e.delete(entries, ...)
    local list = { ... }
    return e.apply(entries, function(changes)
        for _, id in ipairs(list) do
            e.some(changes:delete(id))
        end
    end)
end

-- Changes of the current snapshot.
function e.changes(entries)
    return e.some(e.some(entries.snapshot()):changes())
end

-- The ids of a list of entries, in its order.
function e.ids(list, err)
    e.some(list, err)
    local ids = {}
    for index, entry in ipairs(list) do
        ids[index] = entry.id
    end
    return ids
end

-- The ids that the registry holds now.
function e.now(entries)
    return e.ids(e.some(entries.snapshot()):entries())
end

-- The ids of a list of versions, in its order.
function e.numbers(list, err)
    e.some(list, err)
    local numbers = {}
    for index, version in ipairs(list) do
        numbers[index] = version:id()
    end
    return numbers
end

-- pairs in the order of the keys, so that every run has its tests in one order.
function e.sorted(map)
    local keys = {}
    for key in pairs(map) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    local index = 0
    return function()
        index = index + 1
        return keys[index], map[keys[index]]
    end
end

-- Operations as texts like "create a:b", in their order.
function e.steps(ops, err)
    e.some(ops, err)
    local steps = {}
    for index, op in ipairs(ops) do
        steps[index] = op.kind:gsub("^entry%.", "") .. " " .. op.entry.id
    end
    return steps
end

-- What a handler is told as a text like "undo create a:b" or "begin".
function e.told(op)
    local words = {}
    for _, mark in ipairs({ "foreign", "dry_run", "undo" }) do
        if op[mark] then
            words[#words + 1] = mark
        end
    end
    words[#words + 1] = op.kind:match("^%w+%.(.*)$")
    words[#words + 1] = op.entry and op.entry.id
    return table.concat(words, " ")
end

-- Options for `on` that note begin, commit and discard in a log, under a name.
function e.noting(log, name)
    local function note(op)
        log[#log + 1] = (name and name .. ": " or "") .. e.told(op)
    end
    return { begin = note, commit = note, discard = note }, note
end

-- Registers a handler of all kinds that notes everything and accepts; gives the
-- log and the subscription.
function e.watch(entries, pattern, name, log)
    log = log or {}
    local options, note = e.noting(log, name)
    return log, e.some(entries.on(pattern or "**", note, options))
end

return e
