-- lua check_entries.lua CASE: runs an example of the documents of the entry
-- registry in this process, with the default database ($ACERVO_PATH) behind
-- what acervo.install() makes, and checks what the example's text promises.
-- test_documents.lua starts it once for each case.

local directory = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = directory .. "/../?.lua;" .. package.path

require("acervo").install()
local t = require("support")
local e = require("support_entries")
local entries = require("acervo.entries")
local report = print

local record

local function text_of(name)
    local file = assert(io.open(directory .. "/entries_" .. name .. ".lua", "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

-- One line of an example, counted from 1.
local function line_of(name, number)
    local text = text_of(name)
    for _ = 2, number do
        text = text:gsub("^[^\n]*\n", "")
    end
    return text:match("^[^\n]*")
end

-- Runs text behind the line of "Carregamento", which every example
-- presupposes; gives the variables of these names that it defines.
local function run(text, ...)
    record = dofile(directory .. "/fixture.lua")
    local names = table.concat({ ... }, ", ")
    local chunk = assert(t.load_text(text_of("loading") .. text .. "\nreturn " .. names, "@example"))
    return chunk("payload")
end

local function run_example(name, ...)
    return run(text_of(name), ...)
end

-- What the examples presuppose: entries of each kind that they name, and
-- versions up to 6, of which version 5 has entries that 6 has not.
local ASSERT = { id = "app.lib:assert", kind = "function.lua", meta = { type = "test" }, data = { source = "x" } }
local ROUTE = { id = "app.api:users", kind = "http.endpoint", meta = { path = "/api/users", tags = { "backend" } } }
local OTHER = { id = "app.admin:users", kind = "http.endpoint", meta = { path = "/admin/Handler", name = "user_x" } }
local EXISTING = { id = "test:existing", kind = "test.kind", meta = {} }
local OLD = { id = "test:old_entry", kind = "test.kind", meta = {} }

local function prepare()
    e.create(entries, ASSERT)
    e.create(entries, ROUTE)
    e.create(entries, OTHER)
    e.create(entries, EXISTING, OLD)
    e.create(entries, "app.lib:gone")
    e.delete(entries, "app.lib:gone")
end

local ALL = { OTHER.id, ROUTE.id, ASSERT.id, EXISTING.id, OLD.id }
local AT_5 = { OTHER.id, ROUTE.id, ASSERT.id, "app.lib:gone", EXISTING.id, OLD.id }

local cases = {}

---------------------------------------------------------------------------
-- The examples

function cases.loading()
    local loaded = run("", "registry")
    t.ok(rawequal(loaded, entries), "require(\"registry\") is not the entry registry")
    t.ok(not rawequal(loaded, rawget(_G, "registry")), "the global registry is the key-value one")
end

-- The table of the document is an entry as the registry takes it. `...` in it
-- is the argument of the chunk.
local function check_structure(name)
    local entry = assert(t.load_text("return " .. text_of(name), "@example"))("payload")
    e.create(entries, entry)
    t.equal(e.some(entries.get("app.lib:assert")),
        { id = "app.lib:assert", kind = "function.lua", meta = { type = "test" }, data = { "payload" } })
end

function cases.structure() check_structure("structure") end
function cases.structure_en() check_structure("structure_en") end

function cases.get()
    local entry, err = run_example("get", "entry", "err")
    t.fails("NOT_FOUND", { entry, err }, "app.lib:assert")
    prepare()
    entry, err = run_example("get", "entry", "err")
    t.equal(entry, ASSERT)
    t.equal(err, nil)
end

function cases.find()
    local list, err = run_example("find", "entries", "err")
    t.equal(list, e.NONE)
    t.equal(err, nil)
    prepare()
    list, err = run(line_of("find", 1), "entries", "err")
    t.equal(list, { ASSERT })
    t.equal(err, nil)
    list, err = run(line_of("find", 2), "entries", "err")
    t.equal(list, { ROUTE })
    t.equal(err, nil)
    t.equal(run_example("find", "entries"), { ROUTE })
end

function cases.parse_id()
    local id = run_example("parse_id", "id")
    t.equal(id.ns, "app.lib")
    t.equal(id.name, "assert")
end

local function check_snapshots(name)
    prepare()
    local snap, err = run(line_of(name, 1), "snap", "err")
    t.equal(e.ids(snap:entries()), ALL)
    t.equal(err, nil)
    snap, err = run_example(name, "snap", "err")
    t.equal(e.ids(snap:entries()), AT_5)
    t.equal(snap:version():id(), 5)
    t.equal(err, nil)
end

function cases.snapshots() check_snapshots("snapshots") end
function cases.snapshots_en() check_snapshots("snapshots_en") end

function cases.snapshot_at_a_version_that_is_not_there()
    local snap, err = run_example("snapshots", "snap", "err")
    t.fails("NOT_FOUND", { snap, err }, "5")
end

local function check_versions(name)
    prepare()
    local version, err = run(line_of(name, 1), "version", "err")
    t.equal(version:id(), 6)
    t.equal(err, nil)
    local versions, prev
    version, versions, prev, err = run_example(name, "version", "versions", "prev", "err")
    t.equal(e.numbers(versions), { 0, 1, 2, 3, 4, 5, 6 })
    t.equal(prev:id(), 5)
    t.equal(err, nil)
    t.equal(record.printed, { "6", "v6" })
    t.equal(version, versions[7])
end

function cases.versions() check_versions("versions") end
function cases.versions_en() check_versions("versions_en") end

function cases.versions_of_a_new_registry()
    local version, prev = run_example("versions", "version", "prev")
    t.equal(version:id(), 0)
    t.equal(prev, nil)
    t.equal(record.printed, { "0", "v0" })
end

function cases.history()
    prepare()
    local hist, versions, version, snap, err = run_example("history", "hist", "versions", "version", "snap", "err")
    t.equal(e.numbers(versions), { 0, 1, 2, 3, 4, 5, 6 })
    t.equal(version:id(), 5)
    t.equal(e.ids(snap:entries()), AT_5)
    t.equal(err, nil)
    t.equal(e.ids(hist:snapshot_at(versions[1]):entries()), {})
end

local function check_changed(registry)
    t.equal(registry.get("test:new_entry"),
        { id = "test:new_entry", kind = "test.kind", meta = { type = "test" }, data = { config = "value" } })
    t.equal(registry.get("test:existing"),
        { id = "test:existing", kind = "test.kind", meta = { updated = true }, data = { new_value = true } })
    t.fails("NOT_FOUND", { registry.get("test:old_entry") })
end

function cases.changesets()
    prepare()
    local new_version, err = run_example("changesets", "new_version", "err")
    t.equal(err, nil)
    t.equal(new_version:id(), 7)
    t.equal(new_version, entries.current_version())
    check_changed(entries)
end

-- In a process of its own, after cases.changesets in another.
function cases.changesets_after_restart()
    t.equal(entries.current_version():id(), 7)
    check_changed(entries)
end

function cases.changesets_that_do_not_fit()
    -- Without what the example updates and deletes nothing of it is done.
    local new_version, err = run_example("changesets", "new_version", "err")
    t.fails("NOT_FOUND", { new_version, err }, "test:existing")
    t.equal(e.now(entries), {})
    t.equal(entries.current_version():id(), 0)
end

function cases.apply_version()
    prepare()
    current_version = entries.current_version()
    local prev, ok, err = run_example("apply_version", "prev", "ok", "err")
    t.equal(prev:id(), 5)
    t.equal(ok, true)
    t.equal(err, nil)
    t.equal(e.now(entries), AT_5)
    t.equal(entries.current_version():id(), 5)
end

function cases.build_delta()
    local ops, err = run_example("build_delta", "ops", "err")
    t.equal(err, nil)
    t.equal(#ops, 2)
    t.equal(record.printed, { "entry.delete\ttest:a", "entry.create\ttest:b" })
end

---------------------------------------------------------------------------
-- The calls of the tables, as they stand there

function cases.calls_of_the_tables()
    prepare()
    local snap = entries.snapshot()
    local changes = snap:changes()
    local environment = { snap = snap, changes = changes, id = "app.lib:assert", filter = { kind = "test.kind" },
        ns = "app.api", entry = { id = "test:new_entry", kind = "test.kind" } }
    local function call(text)
        local names, values = {}, {}
        for name, value in pairs(environment) do
            names[#names + 1] = name
            values[#values + 1] = value
        end
        return assert(t.load_text("local " .. table.concat(names, ", ") .. " = ... return " .. text))(
            (table.unpack or unpack)(values))
    end
    t.equal(e.ids(call("snap:entries()")), ALL)
    t.equal(e.some(call("snap:get(id)")), ASSERT)
    t.equal(e.ids(call("snap:find(filter)")), { EXISTING.id, OLD.id })
    t.equal(e.ids(call("snap:namespace(ns)")), { ROUTE.id })
    t.equal(call("snap:version()"):id(), 6)
    t.equal(call("snap:changes()"):ops(), e.NONE)
    t.ok(rawequal(call("changes:create(entry)"), changes))
    environment.entry = { id = "test:existing", kind = "test.kind", data = 1 }
    t.ok(rawequal(call("changes:update(entry)"), changes))
    environment.id = "test:old_entry"
    t.ok(rawequal(call("changes:delete(id)"), changes))
    t.equal(e.steps(call("changes:ops()")),
        { "create test:new_entry", "update test:existing", "delete test:old_entry" })
    t.equal(call("changes:apply()"):id(), 7)
    -- "string ou `{ns, name}`": a table with these two fields.
    environment.changes = e.changes(entries)
    environment.id = { ns = "test", name = "new_entry" }
    call("changes:delete(id)")
    t.equal(call("changes:apply()"):id(), 8)
    t.fails("NOT_FOUND", { entries.get("test:new_entry") })
end

---------------------------------------------------------------------------
-- All in one script

function cases.all_in_one_script()
    prepare()
    current_version = entries.current_version()
    local parts = {}
    for _, name in ipairs({ "get", "find", "parse_id", "snapshots", "versions", "history", "changesets",
        "apply_version", "build_delta" }) do
        parts[#parts + 1] = text_of(name)
    end
    local new_version, prev, ok = run(table.concat(parts, "\n"), "new_version", "prev", "ok")
    t.equal(new_version:id(), 7)
    t.equal(prev:id(), 5)
    t.equal(ok, true)
    t.equal(record.printed, { "6", "v6", "entry.delete\ttest:a", "entry.create\ttest:b" })
    t.equal(e.now(entries), AT_5)
end

---------------------------------------------------------------------------
-- registry-internals: what it states that Lua can see

-- The table of operators of "Finder".
function cases.finder()
    e.create(entries, { id = "a:function", kind = "function.lua", meta = { path = "/api/x", tags = { "backend" } } },
        { id = "a:other", kind = "other", meta = { path = "/x/Handler", name = "user_1", tags = { "front" } } })
    for example, id in pairs({
        [".kind=function.*"] = "a:function",
        ["~meta.path=/api/.*"] = "a:function",
        ["*meta.tags=backend"] = "a:function",
        ["^meta.name=user"] = "a:other",
        ["$meta.path=Handler"] = "a:other",
    }) do
        local key, value = example:match("^([^=]*)=(.*)$")
        t.equal(e.ids(entries.find({ [key] = value })), { id }, example)
        t.equal(e.ids(entries.snapshot():find({ [key] = value })), { id }, example)
    end
end

-- The four lines of "Squashing", by what a dry run says.
function cases.squashing()
    e.create(entries, "a:there")
    local function squash(fn)
        return e.steps(fn(e.changes(entries)):apply({ dry_run = true }))
    end
    t.equal(squash(function(c) return c:create(e.entry("a:x")):update(e.entry("a:x")) end), { "create a:x" })
    t.equal(squash(function(c) return c:create(e.entry("a:x")):delete("a:x") end), {})
    t.equal(squash(function(c) return c:update(e.entry("a:there")):delete("a:there") end), { "delete a:there" })
    t.equal(squash(function(c) return c:delete("a:there"):create(e.entry("a:there")) end), { "update a:there" })
end

-- The two lines of "Navegação": v0 to v3 and v3 to v1.
function cases.navigation()
    for index = 1, 3 do
        e.create(entries, "a:" .. index)
    end
    e.some(entries.apply_version(0))
    t.equal(e.now(entries), {})
    e.some(entries.apply_version(3))
    t.equal(e.now(entries), { "a:1", "a:2", "a:3" })
    e.some(entries.apply_version(1))
    t.equal(e.now(entries), { "a:1" })
end

-- "meta.server" of "Resolução de Dependências".
function cases.resolver()
    e.some(entries.register_pattern({ path = "meta.server", allow_wildcard = true }))
    local list = { e.entry("app:a", { meta = { server = "app:web" } }), e.entry("app:web") }
    t.equal(e.steps(entries.build_delta({}, list)), { "create app:web", "create app:a" })
    t.equal(e.steps(entries.build_delta(list, {})), { "delete app:a", "delete app:web" })
end

-- "Transações": begin, each operation, commit; or discard and what was done undone.
function cases.transactions()
    prepare()
    local log = e.watch(entries)
    local feed = e.some(entries.events())
    local new_version = run_example("changesets", "new_version")
    t.equal(new_version:id(), 7)
    -- "loop Cada Operação": entry.create/update/delete, in order.
    t.equal(log, { "begin", "delete test:old_entry", "update test:existing", "create test:new_entry", "commit" })
    local function told(count)
        local kinds = {}
        for index = 1, count do
            kinds[index] = e.some(feed:next(0)).kind
        end
        t.fails("TIMEOUT", { feed:next(0) })
        return kinds
    end
    t.equal(told(5), { "registry.begin", "entry.delete", "entry.update", "entry.create", "registry.commit" })
    -- "Algum rejeitado": registry.discard, and the inverse delta.
    for index = #log, 1, -1 do
        log[index] = nil
    end
    local before = e.some(entries.snapshot()):entries()
    e.some(entries.on("**", function(op) return op.undo or op.kind ~= "entry.create", "rejeitado" end))
    current_version = entries.current_version()
    local prev, ok, err = run_example("apply_version", "prev", "ok", "err")
    t.equal(prev:id(), 6)
    t.fails("INVALID", { ok, err }, "rejeitado")
    t.equal(log, { "begin", "delete test:new_entry", "update test:existing", "create test:old_entry",
        "undo delete test:old_entry", "undo update test:existing", "undo create test:new_entry", "discard" })
    t.equal(entries.snapshot():entries(), before)
    t.equal(entries.current_version():id(), 7)
    t.equal(told(4), { "registry.begin", "entry.delete", "entry.update", "registry.discard" })
end

-- "Entradas que Não Propagam".
function cases.kinds_that_do_not_propagate()
    local log = e.watch(entries)
    e.create(entries, e.entry("app:config", { kind = "registry.entry" }), e.entry("app:needs", { kind = "ns.requirement" }),
        e.entry("app:module", { kind = "ns.dependency" }), e.entry("app:other", { kind = "ns.other" }))
    t.equal(log, { "begin", "create app:other", "commit" })
    t.equal(#e.now(entries), 4)
end

-- "LoadState() reproduz histórico de um baseline sem criar novas versões".
function cases.load_state_makes_a_history()
    prepare()
end

-- In a process of its own, after the case before.
function cases.load_state()
    local version = e.some(entries.load_state({ { id = "base:line", kind = "test.kind" } }))
    t.equal(version:id(), 6)
    t.equal(e.numbers(entries.versions()), { 0, 1, 2, 3, 4, 5, 6 })
    t.equal(e.now(entries), { OTHER.id, ROUTE.id, ASSERT.id, "base:line", EXISTING.id, OLD.id })
    -- The examples run on it.
    t.equal(run_example("changesets", "new_version"):id(), 7)
    check_changed(entries)
    e.some(entries.apply_version(0))
    t.equal(e.now(entries), { "base:line" })
end

---------------------------------------------------------------------------
-- "Permissoes": the table, and the lines at the calls

-- Denies what the table says: an action, and a resource for registry.get.
local function deny(action, resource)
    local asked = {}
    e.some(entries.set_policy(function(actor, what, on)
        asked[#asked + 1] = actor .. " " .. what .. " " .. on
        return not (what == action and (on == resource or resource == nil))
    end))
    return asked
end

-- "Ler entrada (tambem filtra resultados de find/entries)".
function cases.permission_to_get()
    prepare()
    local before = entries.snapshot()
    local asked = deny("registry.get", "app.lib:assert")
    local entry, err = run_example("get", "entry", "err")
    t.fails("PERMISSION_DENIED", { entry, err }, "app.lib:assert")
    t.equal(err:kind(), errors.PERMISSION_DENIED)
    t.equal(asked, { " registry.get app.lib:assert" })
    t.equal(run(line_of("find", 1), "entries"), e.NONE)
    t.equal(run_example("find", "entries"), { ROUTE })
    local rest = { OTHER.id, ROUTE.id, EXISTING.id, OLD.id }
    t.equal(e.now(entries), rest)
    t.equal(e.ids(before:entries()), rest)
    -- "Todas as entradas acessiveis", in version 5 too.
    t.equal(e.ids(run_example("snapshots", "snap"):entries()), { OTHER.id, ROUTE.id, "app.lib:gone", EXISTING.id, OLD.id })
end

function cases.permission_to_apply()
    prepare()
    local asked = deny("registry.apply")
    local new_version, err = run_example("changesets", "new_version", "err")
    t.fails("PERMISSION_DENIED", { new_version, err })
    -- "-": no resource.
    t.equal(asked, { " registry.apply " })
    t.equal(e.now(entries), ALL)
    t.equal(entries.current_version():id(), 6)
    -- The other permissions are others.
    e.some(entries.apply_version(5))
end

function cases.permission_to_apply_a_version()
    prepare()
    local asked = deny("registry.apply_version")
    current_version = entries.current_version()
    local prev, ok, err = run_example("apply_version", "prev", "ok", "err")
    t.equal(prev:id(), 5)
    t.fails("PERMISSION_DENIED", { ok, err })
    t.equal(asked, { " registry.apply_version " })
    t.equal(e.now(entries), ALL)
    t.equal(run_example("changesets", "new_version"):id(), 7)
end

local ok, fault = xpcall(assert(cases[arg[1]], "no such case"), debug.traceback)
if not ok then
    report(fault)
    os.exit(1)
end
report("ok")
