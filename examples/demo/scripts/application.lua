-- lua application.lua FILE: a small application described by entries. Each
-- changeset is a version; the script builds four of them, looks around, goes
-- back and forward again, and leaves a branch behind.
local path = arg[1]

local acervo = require("acervo")
local errors = acervo.errors
local db = assert(acervo.open(path))
local registry = db.entries

local function show(version)
    print(string.format("   %-4s %s", version:string(), version:message() or ""))
    for _, entry in ipairs(assert(registry.snapshot_at(version:id())):entries()) do
        print(string.format("          %-18s %-15s %s", entry.id, entry.kind, db:to_json(entry.data)))
    end
end

local function apply(message, build)
    local changes = assert(registry.snapshot()):changes()
    build(changes)
    local version = assert(changes:apply({ author = "application.lua", message = message }))
    show(version)
    return version
end

local function ids(entries)
    local list = {}
    for _, entry in ipairs(entries) do
        list[#list + 1] = type(entry) == "table" and entry.id or entry
    end
    return table.concat(list, ", ")
end

-- The order of the calls does not matter: an entry is made after what it
-- depends on.
apply("a web service with one endpoint", function(changes)
    assert(changes:create({
        id = "app.api:status",
        kind = "http.endpoint",
        meta = { depends_on = { "app:web", "app.lib:status" }, public = true },
        data = { method = "GET", path = "/status" },
    }))
    assert(changes:create({
        id = "app.lib:status",
        kind = "function.lua",
        meta = { type = "handler" },
        data = { source = "return 'ok'" },
    }))
    assert(changes:create({
        id = "app:web",
        kind = "service",
        meta = { depends_on = "app:config" },
        data = { port = 8080 },
    }))
    assert(changes:create({ id = "app:config", kind = "config", data = { log = "info" } }))
end)

local before = assert(registry.current_version())

apply("another port, and a function that can be called", function(changes)
    assert(changes:update({
        id = "app:web",
        kind = "service",
        meta = { depends_on = "app:config" },
        data = { port = 9090 },
    }))
    assert(changes:create({
        id = "app.lib:metrics",
        kind = "function.lua",
        meta = { type = "handler" },
        data = { source = "return count()" },
    }))
end)

apply("an endpoint for it", function(changes)
    assert(changes:create({
        id = "app.api:metrics",
        kind = "http.endpoint",
        meta = { depends_on = { "app:web", "app.lib:metrics" }, public = false },
        data = { method = "GET", path = "/metrics" },
    }))
end)

print("\n   What is there")
print("          endpoints:             " .. ids(assert(registry.find({ kind = "http.*" }))))
print("          public ones:           " .. ids(assert(registry.find({ kind = "http.*", public = true }))))
print("          paths beginning /met:  " .. ids(assert(registry.find({ ["^data.path"] = "/met" }))))
print("          if app:config goes:    " .. ids(assert(registry.dependents("app:config", { transitive = true }))))

-- What cannot be done is told and changes nothing.
local changes = assert(registry.snapshot()):changes()
assert(changes:delete("app.lib:metrics"))
assert(changes:delete("app.lib:unknown"))
local none, err = changes:apply()
assert(none == nil and errors.is(err, errors.NOT_FOUND))
print("\n   A changeset with a fault: " .. tostring(err))
assert(registry.get("app.lib:metrics"))

-- Back to the first version, and on from there: a branch.
local newest = assert(registry.current_version())
assert(registry.apply_version(before))
assert(registry.get("app:web").data.port == 8080)
assert(registry.get("app.lib:metrics") == nil)
print("\n   Back at " .. before:string() .. ", and on from there")
local branch = apply("a quieter log instead", function(changes)
    assert(changes:update({ id = "app:config", kind = "config", data = { log = "warn" } }))
end)
assert(branch:previous() == before)

-- Forward to the newest version of the other branch.
assert(registry.apply_version(newest))
assert(registry.get("app:web").data.port == 9090)
assert(registry.get("app:config").data.log == "info")
print("\n   Forward at " .. newest:string() .. ": " .. #assert(registry.snapshot()):entries() .. " entries")

assert(db:close())
