-- The error table of the reference documents, and how errors look. What
-- belongs to permissions and handlers is tested where these are.
local t = ...
local acervo = require("acervo")
local errors = acervo.errors
local e = require("support_entries")

-- An error of the library, with everything that scripts may ask of it.
local function complete(err, kind, retryable)
    t.equal(type(err), "userdata")
    t.equal(err:kind(), errors[kind])
    t.equal(errors.is(err, errors[kind]), true)
    t.equal(err:retryable(), retryable)
    t.equal(type(err:message()), "string")
    t.ok(#err:message() > 0, "an empty message")
    t.contains(tostring(err), err:message())
    t.contains("failed: " .. err, err:message())
    t.ok(err:details() == nil or type(err:details()) == "table", "details")
    t.equal(type(errors.call_stack(err).frames), "table")
end

t.test("entry not found: NOT_FOUND", function()
    local entries = e.open()
    local value, err = entries.get("app.lib:assert")
    t.equal(value, nil)
    complete(err, "NOT_FOUND", false)
    t.contains(err:message(), "app.lib:assert")
    value, err = entries.snapshot():get("app.lib:assert")
    t.equal(value, nil)
    complete(err, "NOT_FOUND", false)
    t.contains(err:message(), "app.lib:assert")
end)

t.test("version not found: NOT_FOUND", function()
    local entries = e.open()
    for _, results in ipairs({ { entries.snapshot_at(5) }, { entries.history():get_version(5) },
        { entries.apply_version(5) }, { entries.prune(5) } }) do
        t.equal(results[1], nil)
        complete(results[2], "NOT_FOUND", false)
        t.contains(results[2]:message(), "5")
    end
end)

t.test("invalid parameter: INVALID", function()
    local entries = e.open()
    for _, results in ipairs({ { entries.get(true) }, { entries.find(true) }, { entries.parse_id(true) },
        { entries.snapshot_at("5") }, { entries.snapshot_at(0) }, { entries.apply_version(true) },
        { entries.build_delta(1, 2) }, { e.changes(entries):create("a:b") }, { entries.history():snapshot_at(true) } }) do
        t.equal(results[1], nil)
        complete(results[2], "INVALID", false)
    end
end)

t.test("no changes to apply: INVALID", function()
    local value, err = e.changes((e.open())):apply()
    t.equal(value, nil)
    complete(err, "INVALID", false)
    t.equal(err:message(), "no changes to apply")
end)

t.test("registry not available: INTERNAL, from what asks a closed database", function()
    local entries, db = e.open()
    e.create(entries, "a:x")
    local history = entries.history()
    local version = entries.current_version()
    local changes = e.changes(entries)
    changes:create(e.entry("a:y"))
    db:close()
    for name, results in pairs({
        get = { entries.get("a:x") },
        find = { entries.find({}) },
        snapshot = { entries.snapshot() },
        snapshot_at = { entries.snapshot_at(1) },
        current_version = { entries.current_version() },
        versions = { entries.versions() },
        history = { history:versions() },
        get_version = { history:get_version(1) },
        ["history:snapshot_at"] = { history:snapshot_at(version) },
        apply = { changes:apply() },
        apply_version = { entries.apply_version(1) },
        register_pattern = { entries.register_pattern({ path = "meta.x" }) },
        previous = { version:previous() },
        next = { version:next() },
        ["dry run"] = { changes:apply({ dry_run = true }) },
        build_delta = { entries.build_delta({}, {}) },
        dependents = { entries.dependents("a:x") },
        dependencies = { entries.dependencies("a:x") },
        prune = { entries.prune(1) },
    }) do
        t.equal(results[1], nil, name)
        t.ok(results[2] ~= nil, name .. " gave no error")
        complete(results[2], "INTERNAL", false)
        t.contains(results[2]:message(), "closed", name)
    end
    -- What needs no database still works.
    t.equal(version:id(), 1)
    t.equal(tostring(version), "registry.Version{v1}")
    t.equal(e.steps(changes:ops()), { "create a:y" })
    t.equal(e.some(entries.parse_id("a:b")).name, "b")
end)

t.test("registry not available: INTERNAL when the default database cannot be opened", function()
    local output = t.child_ok({
        env = { ACERVO_PATH = t.path("no-directory") .. "/x/y.db" },
        code = [[
            local registry = require("acervo.entries")
            local value, err = registry.get("a:b")
            print(value, type(err), err:kind() == require("acervo").errors.INTERNAL)
            value, err = registry.snapshot()
            print(value, type(err), err:kind() == require("acervo").errors.INTERNAL)
        ]],
    })
    t.equal(output, "nil\tuserdata\ttrue\nnil\tuserdata\ttrue\n")
end)

t.test("a conflict can be tried again", function()
    local entries = e.open()
    local changes = e.changes(entries)
    changes:create(e.entry("a:x"))
    e.create(entries, "a:x")
    local _, err = changes:apply({ base = "disjoint" })
    complete(err, "CONFLICT", true)
    t.equal(err:details().ids, { "a:x" })
end)

t.test("applying to a database open for reading only is PERMISSION_DENIED, reading is not", function()
    local entries, db, path = e.open()
    e.create(entries, "a:x")
    db:close()
    local reading = e.open({ path = path, read_only = true })
    t.equal(e.some(reading.get("a:x")).id, "a:x")
    t.equal(e.numbers(reading.versions()), { 0, 1 })
    local changes = e.changes(reading)
    changes:create(e.entry("a:y"))
    t.fails("PERMISSION_DENIED", { changes:apply() })
    t.fails("PERMISSION_DENIED", { reading.apply_version(0) })
    t.fails("PERMISSION_DENIED", { reading.prune(1) })
    t.equal(e.now(reading), { "a:x" })
end)

t.test("errors know where the call stood", function()
    local entries = e.open()
    local line = debug.getinfo(1, "l").currentline + 1
    local _, err = entries.get("a:missing")
    local found = false
    for _, frame in ipairs(errors.call_stack(err).frames) do
        if tostring(frame.source):find("test_entries_errors.lua", 1, true) and frame.line == line then
            found = true
        end
    end
    t.ok(found, "no frame for the line of the call: " .. t.show(errors.call_stack(err)))
end)

t.test("no function of the module raises, whatever it is given", function()
    local entries = e.open()
    local values = { [1] = nil, [2] = true, [3] = -1, [4] = 1.5, [5] = "", [6] = {}, [7] = print,
        [8] = io.stdout, [9] = acervo.null, [10] = t.nan, [11] = { {} }, [12] = entries.snapshot() }
    for _, name in ipairs({ "get", "find", "parse_id", "snapshot", "snapshot_at", "current_version", "versions",
        "history", "apply_version", "build_delta", "register_pattern", "dependents", "dependencies", "prune" }) do
        for i = 1, 12 do
            for j = 1, 12 do
                local ok, fault = pcall(entries[name], values[i], values[j])
                t.ok(ok, name .. " raised: " .. tostring(fault))
            end
        end
    end
    t.equal(entries.current_version():id(), 0)
end)

t.test("a function that fails gives nil, and one that works no error", function()
    local entries = e.open()
    t.equal(select("#", entries.get("a:missing")), 2)
    local value, err = e.create(entries, "a:x"), nil
    t.ok(value ~= nil and err == nil)
    for name, results in pairs({ get = { entries.get("a:x") }, find = { entries.find({}) },
        snapshot = { entries.snapshot() }, versions = { entries.versions() }, history = { entries.history() },
        current_version = { entries.current_version() }, apply_version = { entries.apply_version(1) } }) do
        t.ok(results[1] ~= nil and results[1] ~= false, name)
        t.equal(results[2], nil, name)
    end
end)
