-- Permissions: what an actor may see and do.
local t = ...
local e = require("support_entries")
local acervo = require("acervo")

-- A policy that denies reading these ids; the table may be changed later.
local function hiding(...)
    local denied = {}
    for _, id in ipairs({ ... }) do
        denied[id] = true
    end
    return function(_, action, resource)
        return action ~= "registry.get" or not denied[resource]
    end, denied
end

-- A registry of a:1 to a:4, of which a:2 and a:3 are hidden.
local function half_hidden(options)
    local entries, db, path = e.open(options)
    e.create(entries, e.entry("a:1", { meta = { n = 1 } }), e.entry("a:2", { meta = { n = 1 } }),
        e.entry("a:3"), e.entry("a:4", { meta = { n = 1 } }))
    local policy, denied = hiding("a:2", "a:3")
    t.equal(e.some(entries.set_policy(policy)), true)
    return entries, db, path, denied
end

---------------------------------------------------------------------------
-- What is asked

t.test("without a policy everything is allowed", function()
    local entries = e.open({ actor = "nobody" })
    e.create(entries, "a:1")
    e.some(entries.apply_version(0))
    t.equal(e.now(entries), {})
end)

t.test("a policy is asked with actor, action and resource", function()
    local entries = e.open({ actor = "ana" })
    e.create(entries, "a:1")
    local asked = {}
    e.some(entries.set_policy(function(...)
        asked[#asked + 1] = { select("#", ...), ... }
        return true
    end))
    local function last()
        local all = asked
        asked = {}
        return all
    end
    e.some(entries.get("a:1"))
    t.equal(last(), { { 3, "ana", "registry.get", "a:1" } })
    -- The resource is the id as it reads back.
    t.fails("NOT_FOUND", { entries.get("bare") })
    t.fails("NOT_FOUND", { entries.get({ ns = "x", name = "y:z" }) })
    t.equal(last(), { { 3, "ana", "registry.get", ":bare" }, { 3, "ana", "registry.get", "x:y:z" } })
    e.create(entries, "a:2")
    t.equal(last(), { { 3, "ana", "registry.apply", "" } })
    e.some(e.changes(entries):delete("a:2"):apply({ dry_run = true }))
    t.equal(last(), { { 3, "ana", "registry.apply", "" }, { 3, "ana", "registry.get", "a:2" } })
    e.some(entries.apply_version(1))
    t.equal(last(), { { 3, "ana", "registry.apply_version", "" } })
    -- What has nothing to do with entries is not asked about.
    e.some(entries.current_version()):previous()
    e.some(entries.versions())
    e.some(entries.snapshot()):changes()
    e.some(entries.parse_id("a:1"))
    e.some(entries.build_delta({}, { e.entry("a:1") }))
    t.equal(last(), {})
end)

t.test("without an actor a policy is asked with an empty one", function()
    local entries = e.open()
    local actor
    e.some(entries.set_policy(function(who)
        actor = who
        return true
    end))
    entries.get("a:1")
    t.equal(actor, "")
end)

t.test("an actor is any text, and each handle has its own", function()
    local one, _, path = e.open({ actor = "\255\0 ana" })
    local two, three = e.open({ path = path, actor = "bia" }), (e.open({ path = path }))
    e.create(one, "a:1", "a:2")
    e.some(one.set_policy(function(actor, _, resource)
        return resource == "" or actor == "\255\0 ana" and resource == "a:1" or actor == "bia" and resource == "a:2"
    end))
    t.equal(e.now(one), { "a:1" })
    t.equal(e.now(two), { "a:2" })
    t.equal(e.now(three), {})
    -- An object keeps the actor of the handle that it came from.
    local snap = e.some(one.snapshot())
    t.equal(e.ids(two.history():snapshot_at(1):entries()), { "a:2" })
    t.equal(e.ids(snap:entries()), { "a:1" })
end)

t.test("an actor that is not a text is INVALID", function()
    for _, actor in ipairs({ 1, true, { "ana" } }) do
        t.fails("INVALID", { acervo.open({ path = t.path(), actor = actor }) }, "actor")
    end
end)

---------------------------------------------------------------------------
-- What a policy answers

for name, answer in e.sorted({
    ["false"] = function() return false end,
    ["nothing"] = function() end,
    ["nil and a reason"] = function() return nil, "no" end,
    ["0"] = function() return 0 end,
    ["1"] = function() return 1 end,
    ["a text"] = function() return "denied" end,
    ["a table"] = function() return {} end,
    ["a raised text"] = function() error("no") end,
    ["a raised table"] = function() error({}) end,
    ["a raised nil"] = function() error(nil) end,
    ["a yield"] = function()
        coroutine.yield(true)
        return true
    end,
}) do
    t.test("a policy that answers with " .. name .. " denies, in a coroutine too", function()
        local entries, db = e.open()
        e.create(entries, "a:1")
        local snap = e.some(entries.snapshot())
        e.some(entries.set_policy(answer))
        local function attempt()
            t.fails("PERMISSION_DENIED", { entries.get("a:1") }, "registry.get", "a:1")
            t.fails("PERMISSION_DENIED", { snap:get("a:1") })
            t.equal(entries.find({}), e.NONE)
            t.equal(snap:entries(), e.NONE)
            t.fails("PERMISSION_DENIED", { snap:changes():create(e.entry("a:2")):apply() }, "registry.apply")
            t.fails("PERMISSION_DENIED", { entries.apply_version(0) }, "registry.apply_version")
            t.equal(db:stats().entries, 0)
        end
        attempt()
        local routine = coroutine.create(attempt)
        local ok, fault = coroutine.resume(routine)
        t.ok(ok, fault)
        t.equal(coroutine.status(routine), "dead")
        t.equal(entries.current_version():id(), 1)
    end)
end

t.test("a policy that reads what it is asked about denies, and takes nothing down", function()
    local entries = e.open()
    e.create(entries, "a:1")
    e.some(entries.set_policy(function(_, _, id)
        return entries.get(id) ~= nil
    end))
    t.fails("PERMISSION_DENIED", { entries.get("a:1") })
    t.equal(entries.find({}), e.NONE)
end)

-- LuaJIT would go on to the end of the C stack, and the process with it.
t.test("a policy that reads what it is asked about is asked 16 times at most", function()
    local entries = e.open()
    e.create(entries, "a:1")
    local depth, most = 0, 0
    e.some(entries.set_policy(function(_, _, id)
        depth = depth + 1
        most = math.max(most, depth)
        entries.get(id)
        depth = depth - 1
        return true
    end))
    e.some(entries.get("a:1"))
    t.equal(most, 16)
end)

t.test("a policy may read elsewhere, and keep count in the store", function()
    local entries, db = e.open({ ident = "suite" })
    local rules = e.open()
    e.create(entries, "a:1", "a:2")
    e.create(rules, "a:2")
    e.some(entries.set_policy(function(_, _, id)
        db.store.incr("asked")
        return rules.get(id) ~= nil
    end))
    t.equal(e.now(entries), { "a:2" })
    t.equal(db.store.get("asked"), 2)
end)

t.test("a policy is asked again each time: nothing that it said is kept", function()
    local entries, _, _, denied = half_hidden()
    local snap = e.some(entries.snapshot())
    for _ = 1, 2 do
        t.equal(e.ids(entries.find({ n = 1 })), { "a:1", "a:4" })
        t.equal(e.ids(snap:find({ n = 1 })), { "a:1", "a:4" })
    end
    denied["a:2"], denied["a:4"] = nil, true
    t.equal(e.ids(entries.find({ n = 1 })), { "a:1", "a:2" })
    t.equal(e.ids(snap:find({ n = 1 })), { "a:1", "a:2" })
    t.fails("PERMISSION_DENIED", { entries.get("a:4") })
    e.some(entries.get("a:2"))
end)

t.test("a policy that closes the database or collects garbage does no harm", function()
    local entries, db = e.open()
    e.create(entries, "a:1", "a:2")
    local snap = e.some(entries.snapshot())
    e.some(entries.set_policy(function()
        collectgarbage()
        snap:close()
        db:close()
        return true
    end))
    t.equal(e.ids(snap:entries()), { "a:1", "a:2" })
    t.fails("INTERNAL", { entries.get("a:1") })
    t.fails("INVALID", { snap:entries() }, "closed")
end)

---------------------------------------------------------------------------
-- set_policy

t.test("set_policy is INVALID the second time, through every handle of the file", function()
    local entries, _, path = e.open()
    local function yes() return true end
    local other = e.open({ path = path, actor = "other" })
    t.fails("INVALID", { entries.set_policy() }, "policy")
    t.fails("INVALID", { entries.set_policy(true) }, "policy")
    t.fails("INVALID", { entries:set_policy(yes) }, "policy")
    -- Those did not count.
    e.some(entries.set_policy(function() return false end))
    t.fails("INVALID", { entries.set_policy(yes) })
    t.fails("INVALID", { other.set_policy(yes) })
    t.fails("INVALID", { entries.set_policy(nil) })
    t.fails("PERMISSION_DENIED", { other.get("a:1") })
    t.fails("PERMISSION_DENIED", { e.open({ path = path }).get("a:1") })
end)

t.test("each database has its own policy", function()
    local one, two = e.open(), (e.open())
    e.create(one, "a:1")
    e.create(two, "a:1")
    e.some(one.set_policy(function() return false end))
    t.equal(e.now(one), {})
    t.equal(e.now(two), { "a:1" })
    e.some(two.set_policy(function() return true end))
    t.equal(e.now(two), { "a:1" })
end)

t.test("a policy ends when the last handle of the file is closed", function()
    local entries, db, path = half_hidden()
    local other, other_db = e.open({ path = path })
    db:close()
    t.fails("PERMISSION_DENIED", { other.get("a:2") })
    other_db:close()
    t.fails("INTERNAL", { entries.get("a:1") })
    local again = e.open({ path = path })
    t.equal(e.now(again), { "a:1", "a:2", "a:3", "a:4" })
    e.some(again.set_policy((hiding("a:4"))))
    t.equal(e.now(again), { "a:1", "a:2", "a:3" })
end)

t.test("a policy is not collected", function()
    local entries = half_hidden()
    collectgarbage()
    collectgarbage()
    t.equal(e.now(entries), { "a:1", "a:4" })
end)

t.test("set_policy of a closed database is INTERNAL", function()
    local entries, db = e.open()
    db:close()
    t.fails("INTERNAL", { entries.set_policy(function() return true end) })
end)

---------------------------------------------------------------------------
-- Reading

t.test("get of a denied id is PERMISSION_DENIED, whether or not it is there", function()
    local entries = e.open()
    e.create(entries, "a:there")
    local snap = e.some(entries.snapshot())
    e.some(entries.set_policy((hiding("a:there", "a:gone"))))
    for _, get in ipairs({ entries.get, function(id) return snap:get(id) end }) do
        local there = t.fails("PERMISSION_DENIED", { get("a:there") })
        local gone = t.fails("PERMISSION_DENIED", { get("a:gone") })
        t.equal(tostring(there):gsub("a:there", "ID"), (tostring(gone):gsub("a:gone", "ID")))
        t.equal(there:retryable(), false)
        t.equal(there:details(), gone:details())
        t.fails("PERMISSION_DENIED", { get({ ns = "a", name = "there" }) })
        -- Of what may be seen it is told that it is not there.
        t.fails("NOT_FOUND", { get("a:other") })
    end
end)

t.test("lists leave denied entries out", function()
    local entries = half_hidden()
    t.equal(e.ids(entries.find({})), { "a:1", "a:4" })
    t.equal(e.ids(entries.find({ n = 1 })), { "a:1", "a:4" })
    t.equal(entries.find({ id = "a:2" }), e.NONE)
    for _, snap in ipairs({ entries.snapshot(), (entries.snapshot_at(1)),
        (entries.history():snapshot_at(entries.current_version())) }) do
        t.equal(e.ids(snap:entries()), { "a:1", "a:4" })
        t.equal(e.ids(snap:namespace("a")), { "a:1", "a:4" })
        t.equal(e.ids(snap:find({ kind = "test" })), { "a:1", "a:4" })
    end
end)

t.test("a snapshot that was taken before set_policy is under it too", function()
    local entries = e.open()
    e.create(entries, "a:1", "a:2")
    local snap = e.some(entries.snapshot())
    t.equal(e.ids(snap:entries()), { "a:1", "a:2" })
    e.some(entries.set_policy((hiding("a:2"))))
    t.equal(e.ids(snap:entries()), { "a:1" })
    t.equal(e.ids(snap:find({})), { "a:1" })
    t.equal(e.ids(snap:namespace("a")), { "a:1" })
    t.fails("PERMISSION_DENIED", { snap:get("a:2") })
end)

t.test("a snapshot stays under its policy when the database is closed", function()
    local entries, db = half_hidden()
    local snap = e.some(entries.snapshot())
    db:close()
    t.equal(e.ids(snap:entries()), { "a:1", "a:4" })
    t.fails("PERMISSION_DENIED", { snap:get("a:2") })
end)

t.test("limit and offset count what the actor may see", function()
    local entries = half_hidden()
    local snap = e.some(entries.snapshot())
    for _, find in ipairs({ entries.find, function(...) return snap:find(...) end }) do
        t.equal(e.ids(find({}, { limit = 1 })), { "a:1" })
        t.equal(e.ids(find({}, { limit = 2 })), { "a:1", "a:4" })
        t.equal(e.ids(find({}, { offset = 1 })), { "a:4" })
        t.equal(e.ids(find({}, { offset = 1, limit = 1 })), { "a:4" })
        t.equal(find({}, { offset = 2 }), e.NONE)
    end
end)

t.test("dependents and dependencies leave denied ids out, and refuse a denied one", function()
    local entries = e.open()
    e.create(entries, "a:base", e.entry("a:hidden", { meta = { depends_on = "base" } }),
        e.entry("a:seen", { meta = { depends_on = { "base", "hidden" } } }))
    local _, denied = hiding()
    e.some(entries.set_policy(function(_, _, id) return not denied[id] end))
    t.equal(#entries.dependents("a:base"), 2)
    denied["a:hidden"] = true
    for _, options in ipairs({ {}, { transitive = true } }) do
        t.equal(entries.dependents("a:base", options), acervo.array({ "a:seen" }))
        t.equal(entries.dependencies("a:seen", options), acervo.array({ "a:base" }))
        for _, id in ipairs({ "a:hidden", "a:missing" }) do
            denied[id] = true
            t.fails("PERMISSION_DENIED", { entries.dependents(id, options) }, id)
            t.fails("PERMISSION_DENIED", { entries.dependencies(id, options) }, id)
        end
    end
    t.fails("NOT_FOUND", { entries.dependents("a:other") })
end)

t.test("stats count what the actor may see", function()
    local _, db, path, denied = half_hidden({ actor = "ana" })
    t.equal(db:stats().entries, 2)
    denied["a:2"] = nil
    t.equal(db:stats().entries, 3)
    -- The rest is there.
    t.equal({ db:stats().head, db:stats().versions }, { 1, 2 })
    local other = t.open({ path = path, actor = "bia" })
    t.equal(other:stats().entries, 3)
    local free = t.open()
    e.create(free.entries, "a:1")
    t.equal(free:stats().entries, 1)
end)

t.test("no text of an object tells how much there is", function()
    local entries = half_hidden()
    local snap = e.some(entries.snapshot())
    t.equal(tostring(snap), "registry.Snapshot{version=v1}")
    t.equal(tostring(snap:changes()), "registry.Changes{ops=0}")
    t.ok(not pcall(function() return #snap end), "a snapshot has a length")
end)

---------------------------------------------------------------------------
-- Changing

t.test("a denied apply changes nothing, asks nobody and spends nothing", function()
    local entries = e.open()
    local may = false
    e.some(entries.set_policy(function(_, action) return action ~= "registry.apply" or may end))
    local log = e.watch(entries)
    local feed = e.some(entries.events())
    local changes = e.changes(entries):create(e.entry("a:1"))
    t.fails("PERMISSION_DENIED", { changes:apply() }, "registry.apply")
    t.fails("PERMISSION_DENIED", { changes:apply({ dry_run = true }) }, "registry.apply")
    -- Before what is wrong with the changes.
    t.fails("PERMISSION_DENIED", { e.changes(entries):delete("a:missing"):apply() })
    t.equal(log, {})
    t.fails("TIMEOUT", { feed:next(0) })
    t.equal(entries.current_version():id(), 0)
    may = true
    t.equal(e.some(changes:apply()):id(), 1)
end)

t.test("that there are no changes is told before what is permitted", function()
    local entries = e.open()
    e.some(entries.set_policy(function() return false end))
    t.fails("INVALID", { e.changes(entries):apply() }, "no changes to apply")
end)

t.test("apply_version, prune and load_state need registry.apply_version", function()
    local entries = e.open()
    e.create(entries, "a:1")
    e.create(entries, "a:2")
    e.some(entries.set_policy(function(_, action) return action ~= "registry.apply_version" end))
    t.fails("PERMISSION_DENIED", { entries.apply_version(1) }, "registry.apply_version")
    -- Whether or not there is such a version.
    t.fails("PERMISSION_DENIED", { entries.apply_version(99) }, "registry.apply_version")
    t.fails("PERMISSION_DENIED", { entries.prune(1) }, "registry.apply_version")
    t.equal(e.now(entries), { "a:1", "a:2" })
    t.equal(e.numbers(entries.versions()), { 0, 1, 2 })
    t.equal(e.create(entries, "a:3"):id(), 3)
    local fresh = e.open()
    e.some(fresh.set_policy(function(_, action) return action ~= "registry.apply_version" end))
    t.fails("PERMISSION_DENIED", { fresh.load_state({ e.entry("a:1") }) }, "registry.apply_version")
    t.equal(e.now(fresh), {})
end)

t.test("apply is not checked per entry, and its errors may name what is hidden", function()
    local entries, _, _, denied = half_hidden()
    t.fails("ALREADY_EXISTS", { e.changes(entries):create(e.entry("a:2")):apply() }, "a:2")
    e.delete(entries, "a:2", "a:4")
    t.equal(e.now(entries), { "a:1" })
    denied["a:3"] = nil
    t.equal(e.now(entries), { "a:1", "a:3" })
end)

t.test("the ops of a dry run leave denied entries out", function()
    local entries = half_hidden()
    local ops = e.some(e.changes(entries):delete("a:2"):update(e.entry("a:1")):update(e.entry("a:3"))
        :create(e.entry("a:5")):apply({ dry_run = true }))
    t.equal(e.steps(ops), { "update a:1", "create a:5" })
end)

t.test("a policy that is set inside a handler holds for the dry run under way", function()
    local entries = e.open()
    e.create(entries, "a:1", "a:2")
    e.some(entries.on("**", function(op)
        if op.kind == "entry.create" and not op.undo then
            e.some(entries.set_policy((hiding("a:2"))))
        end
    end))
    local ops = e.some(e.changes(entries):delete("a:1"):delete("a:2"):create(e.entry("a:3")):apply({ dry_run = true }))
    t.equal(e.steps(ops), { "delete a:1", "create a:3" })
end)

---------------------------------------------------------------------------
-- Being told

t.test("a feed leaves events of denied entries out", function()
    local entries = half_hidden()
    local feed = e.some(entries.events())
    e.apply(entries, function(changes)
        changes:delete("a:2"):update(e.entry("a:1")):create(e.entry("a:5"))
    end)
    e.delete(entries, "a:3")
    local texts = {}
    for index = 1, 6 do
        local event = e.some(feed:next(0))
        texts[index] = event.kind .. (event.entry and " " .. event.entry.id or "")
    end
    t.equal(texts, { "registry.begin", "entry.update a:1", "entry.create a:5", "registry.commit",
        "registry.begin", "registry.commit" })
    t.fails("TIMEOUT", { feed:next(0) })
end)

t.test("a handler is not asked about denied entries, which are accepted", function()
    local entries = half_hidden()
    local log = e.watch(entries)
    e.apply(entries, function(changes)
        changes:delete("a:2"):update(e.entry("a:1")):create(e.entry("a:5"))
    end)
    t.equal(log, { "begin", "update a:1", "create a:5", "commit" })
    local replayed = {}
    e.some(entries.on("**", function(op) replayed[#replayed + 1] = e.told(op) end, { replay = true }))
    t.equal(replayed, { "create a:1", "create a:4", "create a:5" })
end)

t.test("a handler is under the actor of the handle that registered it", function()
    local ana, _, path = e.open({ actor = "ana" })
    local bia = e.open({ path = path, actor = "bia" })
    e.some(ana.set_policy(function(actor, action, id)
        return action ~= "registry.get" or actor == id:match("^%w+")
    end))
    local log = {}
    e.watch(ana, "**", "ana", log)
    e.watch(bia, "**", "bia", log)
    e.create(ana, "ana:x", "bia:x", "other:x")
    t.equal(log, { "ana: begin", "bia: begin", "ana: create ana:x", "bia: create bia:x", "ana: commit", "bia: commit" })
    t.equal(e.now(bia), { "bia:x" })
end)

---------------------------------------------------------------------------
-- Random policies over random entries

local seed = math.floor(tonumber(os.getenv("ACERVO_TEST_SEED") or "") or os.time() % 2147483646 + 1)

-- Park and Miller's generator, whose products stay below 2^53 in every Lua.
local function generator(start)
    local state = start % 2147483646 + 1
    return function(limit)
        state = (state * 16807) % 2147483647
        return state % limit
    end
end

-- Fails if a denied id is a string anywhere in a value.
local function check_clean(value, denied, where)
    if type(value) == "table" then
        for key, inner in pairs(value) do
            check_clean(key, denied, where)
            check_clean(inner, denied, where)
        end
    elseif type(value) == "userdata" then
        check_clean(tostring(value), denied, where)
    elseif type(value) == "string" then
        for id in pairs(denied) do
            -- Behind an id comes no other digit.
            t.ok(not value:find(id .. "%f[^%w]"), where .. " tells " .. id .. ": " .. value)
        end
    end
end

local KINDS = { "one", "two", "registry.entry" }

-- References are by name alone, so that no entry holds the id of another.
local function random_entry(random, ns, index)
    return e.entry(ns .. ":" .. index, {
        kind = KINDS[random(#KINDS) + 1],
        meta = { n = random(3), depends_on = acervo.array({ tostring(random(12)), tostring(random(12)) }) },
        data = random(100),
    })
end

local function run(start)
    local random = generator(start)
    local entries, db = e.open()
    local log = {}
    local model = {}
    local function listed(accept)
        local ids = {}
        for id in pairs(model) do
            if accept(model[id]) then
                ids[#ids + 1] = id
            end
        end
        -- As the registry sorts: by namespace, then by name.
        table.sort(ids, function(a, b)
            local a_ns, a_name = a:match("^(.-):(.*)$")
            local b_ns, b_name = b:match("^(.-):(.*)$")
            if a_ns ~= b_ns then
                return a_ns < b_ns
            end
            return a_name < b_name
        end)
        return ids
    end
    e.apply(entries, function(changes)
        for index = 0, 23 do
            if random(3) > 0 then
                local entry = random_entry(random, index < 12 and "a" or "b", index % 12)
                changes:create(entry)
                model[entry.id] = entry
            end
        end
        changes:create(e.entry("z:last"))
        model["z:last"] = e.entry("z:last")
    end)
    local denied = {}
    for _, ns in ipairs({ "a", "b" }) do
        for index = 0, 11 do
            if random(2) == 0 then
                denied[ns .. ":" .. index] = true
            end
        end
    end
    local full = {}
    for id in pairs(model) do
        full[id] = { entries.dependents(id), entries.dependencies(id), entries.dependents(id, { transitive = true }) }
    end
    local before = e.some(entries.snapshot())
    local feed = e.some(entries.events())
    e.some(entries.on("**", function(op) log[#log + 1] = op end))
    e.some(entries.set_policy(function(_, action, id) return action ~= "registry.get" or not denied[id] end))
    local function visible(entry) return not denied[entry.id] end
    local function check(result, expected, where)
        check_clean(result, denied, where)
        t.equal(e.ids(e.some(result)), expected, where)
    end
    local function allowed(ids)
        local list = {}
        for _, id in ipairs(ids) do
            if not denied[id] then
                list[#list + 1] = id
            end
        end
        return acervo.array(list)
    end

    local everything = listed(visible)
    local history = e.some(entries.history())
    for where, snap in e.sorted({ before = before, now = (entries.snapshot()), at = (entries.snapshot_at(1)),
        of_history = (history:snapshot_at(entries.current_version())) }) do
        check(snap:entries(), everything, where .. " entries")
        for _, ns in ipairs({ "a", "b", "z", "none" }) do
            check(snap:namespace(ns), listed(function(one)
                return visible(one) and one.id:match("^%w+") == ns
            end), where .. " namespace")
        end
        for id in pairs(model) do
            if denied[id] then
                t.fails("PERMISSION_DENIED", { snap:get(id) }, id)
            else
                t.equal(e.some(snap:get(id)), model[id], where .. " get")
            end
        end
    end
    for index = 0, 12 do
        local id = "a:" .. index
        local result, err = entries.get(id)
        if denied[id] then
            t.fails("PERMISSION_DENIED", { result, err })
        elseif not model[id] then
            t.fails("NOT_FOUND", { result, err })
        else
            t.equal(result, model[id])
        end
    end
    for number = 0, 2 do
        for _, filter in ipairs({
            { matches = function(one) return one.meta.n == number end, filter = { n = number } },
            { matches = function(one) return one.kind == KINDS[number + 1] end, filter = { kind = KINDS[number + 1] } },
            { matches = function() return true end, filter = {} },
            { matches = function(one) return one.id:find("^a:1") ~= nil end, filter = { ["^id"] = "a:1" } },
        }) do
            local found = listed(function(one) return visible(one) and filter.matches(one) end)
            check(entries.find(filter.filter), found, "find")
            check(before:find(filter.filter), found, "snap:find")
            local offset, limit = random(#found + 2), random(#found + 2)
            local window = {}
            for index = offset + 1, math.min(offset + limit, #found) do
                window[#window + 1] = found[index]
            end
            local options = { offset = offset, limit = limit }
            check(entries.find(filter.filter, options), window, "find with limit")
            check(before:find(filter.filter, options), window, "snap:find with limit")
        end
    end
    for id, lists in e.sorted(full) do
        local results = { { entries.dependents(id) }, { entries.dependencies(id) },
            { entries.dependents(id, { transitive = true }) } }
        for place, result in ipairs(results) do
            if denied[id] then
                t.fails("PERMISSION_DENIED", result, id)
            else
                check_clean(result, denied, "dependents")
                t.equal(result[1], allowed(lists[place]), "dependents " .. place)
            end
        end
    end
    t.equal(db:stats().entries, #everything)

    -- One change of everything, tried and done.
    local changes = e.changes(entries)
    local steps = {}
    for _, id in ipairs(listed(function() return true end)) do
        if random(2) == 0 then
            changes:delete(id)
            steps[id] = "delete " .. id
        else
            local entry = e.entry(id, { kind = model[id].kind, data = "new" })
            changes:update(entry)
            steps[id] = "update " .. id
        end
    end
    for index = 12, 15 do
        changes:create(e.entry("b:" .. index))
        steps["b:" .. index] = "create b:" .. index
        if random(2) == 0 then
            denied["b:" .. index] = true
        end
    end
    local expected = {}
    for id, step in pairs(steps) do
        if not denied[id] then
            expected[#expected + 1] = step
        end
    end
    table.sort(expected)
    local function sorted_steps(list)
        check_clean(list, denied, "ops")
        local found = {}
        for _, op in ipairs(list) do
            if type(op) == "table" and op.entry and not op.undo then
                found[#found + 1] = (op.kind:gsub("^entry%.", "")) .. " " .. op.entry.id
            end
        end
        table.sort(found)
        return found
    end
    t.equal(sorted_steps(e.some(changes:apply({ dry_run = true }))), expected, "dry run")
    -- Handlers are asked about the same, but for what is not dispatched.
    local dispatched = {}
    for _, step in ipairs(expected) do
        local known = model[step:match(" (.*)$")]
        if not known or known.kind ~= "registry.entry" then
            dispatched[#dispatched + 1] = step
        end
    end
    t.equal(sorted_steps(log), dispatched, "handlers of a dry run")
    for index = #log, 1, -1 do
        log[index] = nil
    end
    e.some(changes:apply())
    t.equal(sorted_steps(log), dispatched, "handlers")
    local logged = {}
    repeat
        local event = feed:next(0)
        logged[#logged + 1] = event
    until event == nil
    t.equal(sorted_steps(logged), expected, "feed")
    local replayed = {}
    e.some(entries.on("**", function(op) replayed[#replayed + 1] = op end, { replay = true }))
    check_clean(replayed, denied, "replay")
    for _, op in ipairs(replayed) do
        t.equal(e.some(entries.get(op.entry.id)), op.entry)
    end
end

t.test("no read path tells a denied entry, and none leaves out another", function()
    for round = 1, t.many(20) do
        local ok, fault = pcall(run, seed + round)
        if not ok then
            error("seed " .. seed .. ", round " .. round .. ": " .. tostring(fault), 0)
        end
    end
end)
