-- Handlers: what they are asked, what they answer, and what becomes of it.
local t = ...
local e = require("support_entries")
local acervo = require("acervo")
local errors = require("acervo.errors")

-- Rejects with a reason what has this id, and accepts the rest.
local function rejecting(id, ...)
    local answer = { ... }
    local count = select("#", ...)
    return function(op)
        if op.entry.id == id and not op.undo then
            return (table.unpack or unpack)(answer, 1, count)
        end
        return true
    end
end

---------------------------------------------------------------------------
-- The sequence

t.test("a transaction is begin, the ops in their order, commit", function()
    local entries = e.open()
    local log = e.watch(entries)
    e.create(entries, e.entry("a:1", { meta = { depends_on = "a:2" } }), "a:2")
    t.equal(log, { "begin", "create a:2", "create a:1", "commit" })
    log[1], log[2], log[3], log[4] = nil, nil, nil, nil
    e.apply(entries, function(changes)
        changes:create(e.entry("a:3"))
        changes:update(e.entry("a:1", { data = 1 }))
        changes:delete("a:2")
    end)
    -- a:1 stops using a:2 before that goes.
    t.equal(log, { "begin", "update a:1", "delete a:2", "create a:3", "commit" })
end)

t.test("what is folded away is not asked about", function()
    local entries = e.open()
    local log = e.watch(entries)
    e.apply(entries, function(changes)
        changes:create(e.entry("a:gone")):delete("a:gone")
        changes:create(e.entry("a:x")):update(e.entry("a:x", { data = 2 }))
    end)
    t.equal(log, { "begin", "create a:x", "commit" })
    -- Nothing remains: a version all the same, and its begin and commit.
    e.apply(entries, function(changes) changes:create(e.entry("a:y")):delete("a:y") end)
    t.equal({ log[4], log[5], log[6] }, { "begin", "commit" })
end)

t.test("an op has its kind, the entry, what it was before, and three marks", function()
    local entries = e.open()
    local ops = {}
    e.some(entries.on("**", function(op) ops[#ops + 1] = op end))
    local before = e.entry("a:x", { meta = { n = 1 }, data = { 1, { y = "z" } } })
    local after = e.entry("a:x", { data = "new" })
    e.create(entries, before)
    e.update(entries, after)
    e.delete(entries, "a:x")
    local function op(kind, entry, original)
        return { kind = kind, entry = entry, original = original, undo = false, dry_run = false, foreign = false }
    end
    t.equal(ops, {
        op("entry.create", before),
        op("entry.update", after, before),
        -- Both are the entry that goes.
        op("entry.delete", after, after),
    })
end)

t.test("begin, commit and discard have a kind and no entry", function()
    local entries = e.open()
    local ops = {}
    local function keep(op) ops[#ops + 1] = op end
    e.some(entries.on("none", keep, { begin = keep, commit = keep, discard = keep }))
    e.create(entries, "a:x")
    e.some(e.changes(entries):delete("a:x"):apply({ dry_run = true }))
    local function step(kind, dry_run)
        return { kind = kind, undo = false, dry_run = dry_run, foreign = false }
    end
    t.equal(ops, {
        step("registry.begin", false), step("registry.commit", false),
        step("registry.begin", true), step("registry.discard", true),
    })
end)

t.test("a change of kind is a delete of the one and a create of the other", function()
    local entries = e.open()
    e.create(entries, e.entry("a:x", { kind = "one" }))
    local one, two = e.watch(entries, "one"), e.watch(entries, "two")
    e.apply(entries, function(changes)
        changes:delete("a:x"):create(e.entry("a:x", { kind = "two" }))
    end)
    t.equal(one, { "begin", "delete a:x", "commit" })
    t.equal(two, { "begin", "create a:x", "commit" })
end)

t.test("apply_version asks about the way there, as squashed", function()
    local entries = e.open()
    e.create(entries, e.entry("a:x", { data = 1 }), "a:y")
    e.update(entries, e.entry("a:x", { data = 2 }))
    e.update(entries, e.entry("a:x", { data = 3 }))
    e.delete(entries, "a:y")
    local ops = {}
    local log = e.watch(entries)
    e.some(entries.on("**", function(op) ops[#ops + 1] = op end))
    e.some(entries.apply_version(1))
    t.equal(log, { "begin", "update a:x", "create a:y", "commit" })
    t.equal({ ops[1].entry.data, ops[1].original.data }, { 1, 3 })
    -- To where it is already: nothing to ask.
    e.some(entries.apply_version(1))
    t.equal(#log, 4)
    e.some(entries.apply_version(0))
    t.equal({ log[5], log[6], log[7], log[8] }, { "begin", "delete a:x", "delete a:y", "commit" })
end)

t.test("a refused apply_version leaves state and head", function()
    local entries = e.open()
    e.create(entries, "a:1")
    e.create(entries, "a:2")
    local subscription = e.some(entries.on("**", function() return false, "stay" end))
    t.fails("INVALID", { entries.apply_version(1) }, "stay")
    t.equal(entries.current_version():id(), 2)
    t.equal(e.now(entries), { "a:1", "a:2" })
    subscription:cancel()
    e.some(entries.apply_version(1))
    t.equal(e.now(entries), { "a:1" })
end)

t.test("handlers are asked in the order of registration, op by op", function()
    local entries = e.open()
    local log = {}
    for _, name in ipairs({ "one", "two", "three" }) do
        e.watch(entries, "**", name, log)
    end
    e.create(entries, "a:1", "a:2")
    t.equal(log, {
        "one: begin", "two: begin", "three: begin",
        "one: create a:1", "two: create a:1", "three: create a:1",
        "one: create a:2", "two: create a:2", "three: create a:2",
        "one: commit", "two: commit", "three: commit",
    })
end)

t.test("begin and commit come whatever the transaction touches", function()
    local entries = e.open()
    local log = e.watch(entries, "only.this")
    e.create(entries, "a:x")
    t.equal(log, { "begin", "commit" })
end)

---------------------------------------------------------------------------
-- Patterns

for pattern, case in e.sorted({
    ["http.router"] = { yes = { "http.router" }, no = { "http", "http.router.x", "http.route", "xhttp.router" } },
    ["http.*"] = { yes = { "http.router", "http.x" }, no = { "http", "http.a.b", "https.a" } },
    ["*"] = { yes = { "a", "http" }, no = { "a.b" } },
    ["*.lua"] = { yes = { "function.lua" }, no = { "lua", "a.b.lua", "function.luax" } },
    ["**"] = { yes = { "a", "a.b", "a.b.c" }, no = {} },
    ["http.**"] = { yes = { "http", "http.a", "http.a.b" }, no = { "https", "a.http" } },
    ["**.lua"] = { yes = { "lua", "a.lua", "a.b.lua" }, no = { "lua.a", "a.xlua" } },
    ["a.**.z"] = { yes = { "a.z", "a.b.z", "a.b.c.z", "a.z.z" }, no = { "a", "z", "a.z.b" } },
    ["**.b.**"] = { yes = { "b", "a.b", "b.c", "a.b.c", "a.a.b.b" }, no = { "a", "ab", "a.c" } },
    ["a.*.**"] = { yes = { "a.b", "a.b.c" }, no = { "a" } },
    ["(http|grpc).server"] = { yes = { "http.server", "grpc.server" }, no = { "http", "(http|grpc).server", "x.server" } },
    ["x.(a|b|c)"] = { yes = { "x.a", "x.b", "x.c" }, no = { "x.d", "x.ab", "x" } },
    ["a+b.[c]"] = { yes = { "a+b.[c]" }, no = { "aab.c" } },
}) do
    t.test("pattern " .. pattern .. " takes the kinds that it should, and no others", function()
        local entries = e.open()
        local expected, index = {}, 0
        local changes = e.changes(entries)
        for _, kinds in ipairs({ case.yes, case.no }) do
            for _, kind in ipairs(kinds) do
                index = index + 1
                changes:create(e.entry(string.format("a:%02d", index), { kind = kind }))
                if kinds == case.yes then
                    expected[#expected + 1] = kind
                end
            end
        end
        local seen = {}
        e.some(entries.on(pattern, function(op) seen[#seen + 1] = op.entry.kind end))
        e.some(changes:apply())
        t.equal(seen, expected)
    end)
end

t.test("a pattern that cannot be is INVALID", function()
    local entries = e.open()
    local function nothing() end
    for _, pattern in ipairs({ "", ".", "a.", ".a", "a..b", "a*", "*a", "a.***", "(a", "a)", "(a|)", "()", "(a|b)c", "(*|a)" }) do
        t.fails("INVALID", { entries.on(pattern, nothing) }, "pattern")
    end
end)

t.test("wrong arguments of on are INVALID, and register nothing", function()
    local entries = e.open()
    local count = 0
    local function fn() count = count + 1 end
    t.fails("INVALID", { entries.on() })
    t.fails("INVALID", { entries.on("**") }, "handler")
    t.fails("INVALID", { entries.on("**", {}) }, "handler")
    t.fails("INVALID", { entries.on(nil, fn) })
    t.fails("INVALID", { entries.on({}, fn) })
    t.fails("INVALID", { entries:on("**", fn) }, "dot")
    t.fails("INVALID", { entries.on("**", fn, true) }, "options")
    t.fails("INVALID", { entries.on("**", fn, { begin = true }) }, "begin")
    t.fails("INVALID", { entries.on("**", fn, { discard = "x" }) }, "discard")
    t.fails("INVALID", { entries.on("**", fn, { replay = 1 }) }, "replay")
    t.fails("INVALID", { entries.on("**", fn, { commits = fn }) }, "commits")
    e.create(entries, "a:x")
    t.equal(count, 0)
end)

---------------------------------------------------------------------------
-- Answers

for name, answer in e.sorted({
    ["true"] = function() return true end,
    ["nothing"] = function() end,
    ["nil"] = function() return nil end,
    ["nil and nil"] = function() return nil, nil end,
    ["true with something behind it"] = function() return true, "ignored" end,
}) do
    t.test("the answer " .. name .. " accepts", function()
        local entries = e.open()
        e.some(entries.on("**", answer, { begin = answer, commit = answer }))
        t.equal(e.create(entries, "a:x"):id(), 1)
        t.equal(e.now(entries), { "a:x" })
    end)
end

local function raise_a_table() error({}) end

for name, case in e.sorted({
    ["false"] = { "INVALID", function() return false end },
    ["false and a reason"] = { "INVALID", function() return false, "not today" end, "not today" },
    ["nil and a reason"] = { "INVALID", function() return nil, "not today" end, "not today" },
    ["nil and an error"] = { "CONFLICT", function()
        return nil, errors.new({ message = "not today", kind = errors.CONFLICT })
    end, "not today" },
    ["false and an error"] = { "RATE_LIMITED", function()
        return false, errors.new({ message = "not today", kind = errors.RATE_LIMITED })
    end, "not today" },
    ["false and a wrapped error"] = { "PERMISSION_DENIED", function()
        return false, errors.wrap(errors.new({ message = "not today", kind = errors.PERMISSION_DENIED }), "outer")
    end, "not today" },
    ["a raised text"] = { "INTERNAL", function() error("not today") end, "not today" },
    ["a raised error"] = { "INTERNAL", function()
        error(errors.new({ message = "not today", kind = errors.NOT_FOUND }))
    end, "not today" },
    ["a raised table"] = { "INTERNAL", raise_a_table },
    ["a raised nil"] = { "INTERNAL", function() error(nil) end },
    ["a yield"] = { "INTERNAL", function() coroutine.yield(true) end },
    ["a number"] = { "INTERNAL", function() return 1 end, "number" },
    ["a text"] = { "INTERNAL", function() return "yes" end, "string" },
    ["a table"] = { "INTERNAL", function() return {} end, "table" },
}) do
    local kind, answer, part = case[1], case[2], case[3] or "refused"
    t.test("the answer " .. name .. " rejects, as " .. kind .. ", in a coroutine too", function()
        local entries = e.open()
        e.create(entries, "a:there")
        local subscription = e.some(entries.on("**", answer))
        local function attempt()
            local changes = e.changes(entries):create(e.entry("a:x"))
            local err = t.fails(kind, { changes:apply() }, "a:x", part)
            t.equal(err:retryable(), kind == "CONFLICT" or kind == "RATE_LIMITED")
            t.equal(e.now(entries), { "a:there" })
            t.equal(entries.current_version():id(), 1)
        end
        attempt()
        local routine = coroutine.create(attempt)
        local ok, fault = coroutine.resume(routine)
        t.ok(ok, fault)
        t.equal(coroutine.status(routine), "dead")
        -- No number was used, and nothing is left behind.
        subscription:cancel()
        t.equal(e.create(entries, "a:y"):id(), 2)
    end)
    t.test("the answer " .. name .. " refuses begin and commit, as " .. kind, function()
        for _, step in ipairs({ "begin", "commit" }) do
            local entries = e.open()
            local subscription = e.some(entries.on("**", function() end, { [step] = answer }))
            t.fails(kind, { e.changes(entries):create(e.entry("a:x")):apply() }, part)
            t.equal(e.now(entries), {})
            subscription:cancel()
            t.equal(e.create(entries, "a:x"):id(), 1)
        end
    end)
end

t.test("a rejection has the kind of its error object, whichever that is", function()
    local entries = e.open()
    local wanted
    e.some(entries.on("**", function()
        return false, errors.new({ message = "m", kind = errors[wanted] })
    end))
    for _, kind in ipairs({ "ALREADY_EXISTS", "INVALID", "PERMISSION_DENIED", "UNAVAILABLE", "INTERNAL", "CANCELED",
        "CONFLICT", "TIMEOUT", "RATE_LIMITED", "UNKNOWN" }) do
        wanted = kind
        t.fails(kind, { e.changes(entries):create(e.entry("a:x")):apply() })
    end
end)

t.test("all handlers of an op must accept, and none is asked after a refusal", function()
    local entries = e.open()
    local log = {}
    e.watch(entries, "**", "one", log)
    e.some(entries.on("**", rejecting("a:2", false, "no")))
    e.watch(entries, "**", "three", log)
    t.fails("INVALID", { e.changes(entries):create(e.entry("a:1")):create(e.entry("a:2")):create(e.entry("a:3")):apply() },
        "a:2", "no")
    t.equal(log, {
        "one: begin", "three: begin",
        "one: create a:1", "three: create a:1", "one: create a:2",
        -- Newest first.
        "one: undo delete a:2", "three: undo delete a:1", "one: undo delete a:1",
        "one: discard", "three: discard",
    })
end)

t.test("a kind without a handler is accepted", function()
    local entries = e.open()
    e.some(entries.on("other", function() return false end))
    e.create(entries, "a:x")
    t.equal(e.now(entries), { "a:x" })
end)

t.test("require_handler makes a kind without a handler NOT_FOUND", function()
    local entries = e.open({ require_handler = true })
    t.fails("NOT_FOUND", { e.changes(entries):create(e.entry("a:x")):apply() }, "a:x", "require_handler")
    local log, subscription = e.watch(entries, "test")
    e.create(entries, "a:x")
    t.fails("NOT_FOUND", { e.changes(entries):create(e.entry("b:y", { kind = "other" })):delete("a:x"):apply() }, "b:y")
    t.equal(e.now(entries), { "a:x" })
    -- What is never dispatched needs none.
    e.create(entries, e.entry("n:d", { kind = "ns.dependency" }))
    subscription:cancel()
    t.fails("NOT_FOUND", { entries.apply_version(0) })
    t.equal(e.now(entries), { "a:x", "n:d" })
    t.equal(log[2], "create a:x")
end)

for _, kind in ipairs({ "registry.entry", "ns.requirement", "ns.dependency", "ns.definition" }) do
    t.test("entries of kind " .. kind .. " are not dispatched; begin and commit are", function()
        local entries = e.open()
        local log = e.watch(entries)
        e.create(entries, e.entry("a:x", { kind = kind }))
        e.update(entries, e.entry("a:x", { kind = kind, data = 1 }))
        e.some(entries.on("**", function() return false end, { replay = true }))
        e.delete(entries, "a:x")
        t.equal(log, { "begin", "commit", "begin", "commit", "begin", "commit" })
    end)
end

t.test("internal_kinds replaces the list of kinds that are not dispatched", function()
    local entries = e.open({ internal_kinds = acervo.array({ "quiet", "very.quiet" }) })
    local log = e.watch(entries)
    e.create(entries, e.entry("a:1", { kind = "quiet" }), e.entry("a:2", { kind = "very.quiet" }),
        e.entry("a:3", { kind = "registry.entry" }), e.entry("a:4", { kind = "quiet.not" }))
    t.equal(log, { "begin", "create a:3", "create a:4", "commit" })
end)

---------------------------------------------------------------------------
-- Undo

t.test("undo gives each handler the inverse of what it accepted, newest first", function()
    local entries = e.open()
    local one, new = e.entry("a:1", { data = "one" }), e.entry("a:1", { data = "new" })
    local two = e.entry("a:2", { data = "two" })
    e.create(entries, one, two)
    local ops = {}
    local subscription = e.some(entries.on("**", function(op) ops[#ops + 1] = op end, {
        commit = function() return false, "not now" end,
    }))
    t.fails("INVALID", { e.changes(entries):update(new):delete("a:2"):create(e.entry("a:3")):apply() }, "not now")
    subscription:cancel()
    t.equal(#ops, 6)
    local undone = { ops[4], ops[5], ops[6] }
    local function undo(kind, entry, original)
        return { kind = kind, entry = entry, original = original, undo = true, dry_run = false, foreign = false }
    end
    local inverse = {
        ["create a:3"] = undo("entry.delete", e.entry("a:3"), e.entry("a:3")),
        ["delete a:2"] = undo("entry.create", two),
        ["update a:1"] = undo("entry.update", one, new),
    }
    for place = 1, 3 do
        t.equal(undone[place], inverse[e.told(ops[4 - place])], e.told(ops[4 - place]))
    end
    t.equal(e.now(entries), { "a:1", "a:2" })
    t.equal(entries.get("a:1"), one)
end)

t.test("a refused begin gives discard to those before it, and to no others", function()
    local entries = e.open()
    local log = {}
    e.watch(entries, "**", "one", log)
    -- Has no begin to accept.
    e.some(entries.on("**", function() end, { discard = function() log[#log + 1] = "two: discard" end }))
    e.some(entries.on("**", function() end, {
        begin = function() return false, "closed today" end,
        discard = function() log[#log + 1] = "three: discard" end,
    }))
    e.watch(entries, "**", "four", log)
    t.fails("INVALID", { e.changes(entries):create(e.entry("a:x")):apply() }, "closed today")
    t.equal(log, { "one: begin", "one: discard", "two: discard" })
end)

t.test("a refused commit undoes everything and discards for all", function()
    local entries = e.open()
    local log = {}
    e.watch(entries, "**", "one", log)
    e.some(entries.on("**", function() end, { commit = function() return nil, "no" end }))
    e.watch(entries, "**", "three", log)
    t.fails("INVALID", { e.changes(entries):create(e.entry("a:x")):apply() }, "no")
    t.equal(log, {
        "one: begin", "three: begin", "one: create a:x", "three: create a:x", "one: commit",
        "three: undo delete a:x", "one: undo delete a:x", "one: discard", "three: discard",
    })
end)

t.test("a refused undo is told in the details and does not stop the rest", function()
    local entries = e.open()
    local log = {}
    e.watch(entries, "**", "one", log)
    e.some(entries.on("**", function(op)
        if op.undo then
            if op.entry.id == "a:1" then
                return false, "broken"
            end
            error("even more broken")
        end
        return op.entry.id ~= "a:3"
    end, { discard = function() return false, "ignored" end }))
    local err = t.fails("INVALID",
        { e.changes(entries):create(e.entry("a:1")):create(e.entry("a:2")):create(e.entry("a:3")):apply() }, "a:3")
    local undo = err:details().undo
    t.equal({ #undo, undo[1].id, undo[2].id, undo[2].message }, { 2, "a:2", "a:1", "broken" })
    t.contains(undo[1].message, "even more broken")
    t.equal({ log[5], log[6], log[7], log[8] },
        { "one: undo delete a:3", "one: undo delete a:2", "one: undo delete a:1", "one: discard" })
    t.equal(e.now(entries), {})
end)

t.test("without a refused undo there are no details", function()
    local entries = e.open()
    e.some(entries.on("**", rejecting("a:2", false)))
    local err = t.fails("INVALID", { e.changes(entries):create(e.entry("a:1")):create(e.entry("a:2")):apply() })
    t.equal(err:details(), nil)
end)

---------------------------------------------------------------------------
-- Deferral

local function missing(what)
    return false, errors.new({ message = what .. " is missing", kind = errors.NOT_FOUND })
end

t.test("what is rejected as NOT_FOUND is tried again while others are accepted", function()
    local entries = e.open()
    local log, seen = {}, {}
    e.watch(entries, "**", "first", log)
    -- Each needs the next one, which the order does not know.
    e.some(entries.on("**", function(op)
        local number = tonumber(op.entry.id:match("%d+"))
        log[#log + 1] = "second: " .. op.entry.id
        if number < 3 and not seen[number + 1] then
            return missing("a:" .. number + 1)
        end
        seen[number] = true
    end))
    e.create(entries, "a:1", "a:2", "a:3")
    t.equal(log, {
        "first: begin",
        "first: create a:1", "second: a:1", "first: create a:2", "second: a:2", "first: create a:3", "second: a:3",
        -- Only who has not accepted is asked again.
        "second: a:1", "second: a:2", "second: a:1",
        "first: commit",
    })
    t.equal(e.now(entries), { "a:1", "a:2", "a:3" })
end)

t.test("what stays unresolved is NOT_FOUND with its ids, and is undone", function()
    local entries = e.open()
    local log = {}
    e.watch(entries, "**", nil, log)
    e.some(entries.on("**", function(op)
        if op.entry.id ~= "a:2" and not op.undo then
            return missing("something")
        end
    end))
    local err = t.fails("NOT_FOUND",
        { e.changes(entries):create(e.entry("a:1")):create(e.entry("a:2")):create(e.entry("a:3")):apply() },
        "unresolved dependencies after retry: a:1, a:3")
    t.equal(err:details().ids, acervo.array({ "a:1", "a:3" }))
    t.equal(err:retryable(), false)
    t.equal(log, { "begin", "create a:1", "create a:2", "create a:3",
        "undo delete a:3", "undo delete a:2", "undo delete a:1", "discard" })
    t.equal(e.now(entries), {})
end)

t.test("another rejection of a deferred op ends the transaction", function()
    local entries = e.open()
    local asked = 0
    e.some(entries.on("**", function(op)
        if op.entry.id == "a:1" and not op.undo then
            asked = asked + 1
            if asked == 1 then
                return missing("a:2")
            end
            return false, "never"
        end
    end))
    t.fails("INVALID", { e.changes(entries):create(e.entry("a:1")):create(e.entry("a:2")):apply() }, "a:1", "never")
    t.equal(asked, 2)
end)

t.test("begin and commit are not deferred", function()
    for _, step in ipairs({ "begin", "commit" }) do
        local entries = e.open()
        local asked = 0
        e.some(entries.on("**", function() end, { [step] = function()
            asked = asked + 1
            return missing("all")
        end }))
        local err = t.fails("NOT_FOUND", { e.changes(entries):create(e.entry("a:1")):apply() }, "all is missing")
        t.equal(asked, 1)
        t.equal(err:details(), nil)
    end
end)

---------------------------------------------------------------------------
-- Dry runs

t.test("a dry run asks with op.dry_run, undoes, discards and does not commit", function()
    local entries = e.open()
    e.create(entries, "a:1")
    local log = e.watch(entries)
    local ops = e.some(e.changes(entries):create(e.entry("a:2")):delete("a:1"):apply({ dry_run = true }))
    t.equal(e.steps(ops), { "delete a:1", "create a:2" })
    t.equal(log, {
        "dry_run begin", "dry_run delete a:1", "dry_run create a:2",
        "dry_run undo delete a:2", "dry_run undo create a:1", "dry_run discard",
    })
    t.equal(e.now(entries), { "a:1" })
    t.equal(entries.current_version():id(), 1)
end)

t.test("a handler can refuse a dry run", function()
    local entries = e.open()
    e.some(entries.on("**", function(op) return not op.dry_run or op.undo, "only a try" end))
    local changes = e.changes(entries):create(e.entry("a:x"))
    t.fails("INVALID", { changes:apply({ dry_run = true }) }, "only a try")
    t.equal(e.some(changes:apply()):id(), 1)
end)

---------------------------------------------------------------------------
-- What a handler may do

t.test("a handler sees the state before the transaction", function()
    local entries = e.open()
    e.create(entries, e.entry("a:1", { data = "old" }), "a:2")
    local looked = 0
    local function look()
        looked = looked + 1
        t.equal(e.now(entries), { "a:1", "a:2" })
        t.equal(entries.get("a:1").data, "old")
        t.fails("NOT_FOUND", { entries.get("a:3") })
        t.equal(e.ids(entries.find({ kind = "test" })), { "a:1", "a:2" })
        t.equal(entries.current_version():id(), 1)
        t.equal(#entries.versions(), 2)
        t.equal(entries.dependents("a:1"), e.NONE)
        t.equal(e.ids(entries.snapshot_at(1):entries()), { "a:1", "a:2" })
    end
    e.some(entries.on("**", look, { begin = look, commit = look }))
    e.apply(entries, function(changes)
        changes:update(e.entry("a:1", { data = "new" })):delete("a:2"):create(e.entry("a:3"))
    end)
    t.equal(looked, 5)
    t.equal(e.now(entries), { "a:1", "a:3" })
end)

t.test("a change of entries from inside is INVALID, whatever it is", function()
    local entries = e.open()
    e.create(entries, "a:there")
    local prepared = e.changes(entries):create(e.entry("a:inner"))
    local tried = 0
    local function try()
        tried = tried + 1
        t.fails("INVALID", { prepared:apply() }, "apply inside a handler")
        t.fails("INVALID", { prepared:apply({ dry_run = true }) }, "apply inside a handler")
        t.fails("INVALID", { e.changes(entries):delete("a:there"):apply() }, "apply inside a handler")
        t.fails("INVALID", { entries.apply_version(0) }, "apply inside a handler")
        t.fails("INVALID", { entries.prune(1) }, "apply inside a handler")
        t.fails("INVALID", { entries.load_state({}) })
        t.fails("INVALID", { entries.on("**", function() end, { replay = true }) }, "apply inside a handler")
    end
    local subscription = e.some(entries.on("**", try, { begin = try, commit = try, discard = try }))
    e.create(entries, "a:x")
    t.equal(tried, 3)
    e.some(e.changes(entries):delete("a:x"):apply({ dry_run = true }))
    t.equal(tried, 3 + 4)
    subscription:cancel()
    t.equal(e.now(entries), { "a:there", "a:x" })
    -- It was not spent by that.
    t.equal(e.some(prepared:apply()):id(), 3)
end)

t.test("changes cannot be used while they are applied", function()
    local entries = e.open()
    local changes = e.changes(entries):create(e.entry("a:x"))
    local tried = 0
    e.some(entries.on("**", function()
        tried = tried + 1
        t.fails("INVALID", { changes:create(e.entry("a:y")) }, "applied")
        t.fails("INVALID", { changes:delete("a:y") }, "applied")
        t.fails("INVALID", { changes:ops() }, "applied")
        t.fails("INVALID", { changes:apply() })
        t.ok(tostring(changes):find("^registry%.Changes"), tostring(changes))
    end))
    e.some(changes:apply())
    t.equal(tried, 1)
    t.equal(e.now(entries), { "a:x" })
    t.equal(e.steps(changes:ops()), { "create a:x" })
end)

t.test("registry and store are free inside a handler", function()
    local entries, db = e.open({ ident = "suite" })
    e.some(entries.on("**", function(op)
        db.registry.put("last", op.entry.id)
        db.store.put("last", op.entry.data)
        db.store.incr("n")
        db.store.update("list", function(list)
            list = list or {}
            list[#list + 1] = op.entry.id
            return list
        end)
        t.equal(db.registry.get("last"), op.entry.id)
    end))
    e.create(entries, e.entry("a:1", { data = { 1 } }), e.entry("a:2", { data = { 2 } }))
    t.equal(db.registry.get("last"), "a:2")
    t.equal(db.store.get("last"), { 2 })
    t.equal(db.store.get("n"), 2)
    t.equal(db.store.get("list"), { "a:1", "a:2" })
end)

t.test("what a handler does with its op changes nothing", function()
    local entries = e.open()
    e.some(entries.on("**", function(op)
        op.entry.id, op.entry.data.n, op.kind, op.undo = "b:y", 2, "entry.delete", true
    end))
    local log = e.watch(entries)
    e.create(entries, e.entry("a:x", { data = { n = 1 } }))
    t.equal(log[2], "create a:x")
    t.equal(entries.get("a:x").data, { n = 1 })
end)

t.test("an apply inside the function given to update is refused, and asks nobody", function()
    local entries, db = e.open()
    local log = e.watch(entries)
    db.store.update("k", function()
        t.fails("INVALID", { e.changes(entries):create(e.entry("a:x")):apply() }, "update")
        t.fails("INVALID", { entries.load_state({}) }, "update")
        return 1
    end)
    t.equal(log, {})
    t.equal(db.store.get("k"), 1)
end)

t.test("a handler may queue changes for later", function()
    local entries = e.open()
    local later = {}
    local subscription = e.some(entries.on("**", function(op)
        later[#later + 1] = e.some(entries.snapshot():changes():create(e.entry("log:" .. op.entry.id:match("[^:]*$"))))
    end))
    e.create(entries, "a:x")
    subscription:cancel()
    e.some(later[1]:apply())
    t.equal(e.now(entries), { "a:x", "log:x" })
end)

t.test("the database can be closed inside a handler", function()
    local entries, db, path = e.open()
    e.create(entries, "a:there")
    e.some(entries.on("**", function() db:close() end))
    t.fails("INTERNAL", { e.changes(entries):create(e.entry("a:x")):apply() })
    t.fails("INTERNAL", { entries.get("a:there") })
    t.equal(e.now((e.open({ path = path }))), { "a:there" })
end)

---------------------------------------------------------------------------
-- Replay

t.test("replay gives on a create for every matching entry, dependencies first", function()
    local entries = e.open()
    e.create(entries, e.entry("a:1", { meta = { depends_on = "z:9" } }), "a:2", "z:9",
        e.entry("a:3", { kind = "other" }), e.entry("a:4", { kind = "registry.entry" }))
    e.update(entries, e.entry("a:2", { data = 2 }))
    local ops = {}
    local subscription = e.some(entries.on("test", function(op) ops[#ops + 1] = op end, {
        replay = true,
        begin = function() error("no transaction is under way") end,
        commit = function() error("no transaction is under way") end,
    }))
    t.equal(e.steps(ops), { "create a:2", "create z:9", "create a:1" })
    t.equal(ops[1], { kind = "entry.create", entry = e.entry("a:2", { data = 2 }),
        undo = false, dry_run = false, foreign = false })
    t.equal(tostring(subscription), "registry.Subscription{}")
    -- It dispatches nothing to others, and makes no version.
    t.equal(entries.current_version():id(), 2)
end)

t.test("without replay a handler is not told what is there", function()
    local entries = e.open()
    e.create(entries, "a:x")
    local log = e.watch(entries)
    t.equal(log, {})
end)

t.test("if a replay is refused, what was accepted is undone and on fails", function()
    local entries = e.open()
    e.create(entries, "a:1", "a:2", "a:3")
    local log = {}
    local function fn(op)
        log[#log + 1] = e.told(op)
        if op.entry.id == "a:3" then
            return false, "too many"
        end
    end
    t.fails("INVALID", { entries.on("**", fn, { replay = true }) }, "a:3", "too many")
    t.equal(log, { "create a:1", "create a:2", "create a:3", "undo delete a:2", "undo delete a:1" })
    -- It is not registered.
    e.create(entries, "a:4")
    t.equal(#log, 5)
end)

t.test("a replay defers too", function()
    local entries = e.open()
    e.create(entries, "a:1", "a:2")
    local seen, log = {}, {}
    local function fn(op)
        log[#log + 1] = op.entry.id
        if op.entry.id == "a:1" and not seen["a:2"] then
            return missing("a:2")
        end
        seen[op.entry.id] = true
    end
    e.some(entries.on("**", fn, { replay = true }))
    t.equal(log, { "a:1", "a:2", "a:1" })
    t.fails("NOT_FOUND", { entries.on("**", function() return missing("everything") end, { replay = true }) },
        "unresolved dependencies after retry: a:1, a:2")
end)

---------------------------------------------------------------------------
-- Subscriptions

t.test("a cancelled handler is not asked any more; cancelling again does nothing", function()
    local entries = e.open()
    local log, subscription = e.watch(entries)
    e.create(entries, "a:1")
    t.equal(subscription:cancel(), true)
    e.create(entries, "a:2")
    t.equal(#log, 3)
    t.equal(subscription:cancel(), true)
    t.raises(function() subscription.cancel({}) end, "subscription")
end)

t.test("a handler stays when the subscription is let go", function()
    local entries = e.open()
    local log = e.watch(entries)
    collectgarbage()
    collectgarbage()
    e.create(entries, "a:x")
    t.equal(log, { "begin", "create a:x", "commit" })
end)

t.test("a cancelled handler lets go of its functions", function()
    local entries = e.open()
    local kept = setmetatable({}, { __mode = "v" })
    local subscription
    do
        local big = { "what the handler holds" }
        kept[1] = big
        subscription = e.some(entries.on("**", function() return big ~= nil end))
    end
    collectgarbage()
    collectgarbage()
    t.ok(kept[1], "a registered handler was collected")
    subscription:cancel()
    collectgarbage()
    collectgarbage()
    t.equal(kept[1], nil)
end)

t.test("a handler may cancel itself: its answer counts, and it is not asked to undo", function()
    local entries = e.open()
    local log = {}
    local subscription
    subscription = e.some(entries.on("**", function(op)
        log[#log + 1] = e.told(op)
        subscription:cancel()
    end, { discard = function() log[#log + 1] = "discard" end }))
    e.some(entries.on("**", rejecting("a:2", false, "no")))
    t.fails("INVALID", { e.changes(entries):create(e.entry("a:1")):create(e.entry("a:2")):apply() }, "no")
    t.equal(log, { "create a:1" })
    e.create(entries, "a:3")
    t.equal(log, { "create a:1" })
end)

t.test("a handler that cancels another has it not be asked in the same transaction", function()
    local entries = e.open()
    local log = {}
    local other
    e.some(entries.on("**", function() other:cancel() end))
    log, other = e.watch(entries)
    e.create(entries, "a:1", "a:2")
    t.equal(log, { "begin" })
    t.equal(e.now(entries), { "a:1", "a:2" })
end)

t.test("a handler that is registered inside another is asked from the next transaction on", function()
    local entries = e.open()
    local log
    e.some(entries.on("**", function()
        if not log then
            log = e.watch(entries)
        end
    end))
    e.create(entries, "a:1", "a:2")
    t.equal(log, {})
    e.create(entries, "a:3")
    t.equal(log, { "begin", "create a:3", "commit" })
end)

if t.version >= 5.4 then
    t.test("a subscription that leaves its scope is cancelled", function()
        local entries = e.open()
        local log = t.load_text([[
            local entries, e = ...
            local log = {}
            do
                local subscription <close> = entries.on("**", function(op) log[#log + 1] = e.told(op) end)
                e.create(entries, "a:1")
            end
            e.create(entries, "a:2")
            return log
        ]])(entries, e)
        t.equal(log, { "create a:1" })
    end)
end

t.test("a subscription is a userdata that tells what it is", function()
    local entries = e.open()
    local _, subscription = e.watch(entries)
    t.equal(type(subscription), "userdata")
    t.equal(tostring(subscription), "registry.Subscription{}")
end)

t.test("handlers end with their database, and come not back with the next", function()
    local entries, db, path = e.open()
    local log, subscription = e.watch(entries)
    db:close()
    t.fails("INTERNAL", { entries.on("**", function() end) })
    local again = e.open({ path = path })
    e.create(again, "a:x")
    t.equal(log, {})
    t.equal(subscription:cancel(), true)
end)

t.test("many handlers come and go", function()
    local entries = e.open()
    local asked = 0
    for _ = 1, t.many(500) do
        local subscription = e.some(entries.on("**", function() asked = asked + 1 end))
        subscription:cancel()
    end
    local kept = {}
    for index = 1, 50 do
        kept[index] = e.some(entries.on("**", function() asked = asked + 1 end))
    end
    e.create(entries, "a:x")
    t.equal(asked, 50)
    for index = 1, 50, 2 do
        kept[index]:cancel()
    end
    e.create(entries, "a:y")
    t.equal(asked, 75)
end)

---------------------------------------------------------------------------
-- Coroutines and databases

t.test("a handler runs on the coroutine that applies, whichever registered it", function()
    local entries = e.open()
    local ran
    coroutine.wrap(function()
        e.some(entries.on("**", function() ran = coroutine.running() or "main" end))
    end)()
    collectgarbage()
    collectgarbage()
    e.create(entries, "a:1")
    t.ok(ran == (coroutine.running() or "main"), "not on the one that applies")
    local applier
    local routine = coroutine.create(function()
        applier = coroutine.running()
        e.create(entries, "a:2")
        coroutine.yield()
        e.create(entries, "a:3")
    end)
    assert(coroutine.resume(routine))
    t.ok(ran == applier, "not on the coroutine")
    ran = nil
    assert(coroutine.resume(routine))
    t.ok(ran == applier, "not on the coroutine, resumed")
    t.equal(e.now(entries), { "a:1", "a:2", "a:3" })
end)

t.test("a handler may run coroutines of its own", function()
    local entries = e.open()
    local seen = {}
    e.some(entries.on("**", function(op)
        for word in coroutine.wrap(function()
            coroutine.yield(op.entry.id)
            coroutine.yield(#e.now(entries))
        end) do
            seen[#seen + 1] = word
        end
    end))
    e.create(entries, "a:1")
    t.equal(seen, { "a:1", 0 })
end)

t.test("handlers of two databases do not hear of each other", function()
    local one, two = e.open(), (e.open())
    local log = {}
    e.watch(one, "**", "one", log)
    e.watch(two, "**", "two", log)
    e.create(one, "a:1")
    e.create(two, "a:2")
    t.equal(log, { "one: begin", "one: create a:1", "one: commit", "two: begin", "two: create a:2", "two: commit" })
end)

t.test("two handles of one file share its handlers", function()
    local one, _, path = e.open()
    local two = e.open({ path = path })
    local log = e.watch(one)
    e.create(two, "a:1")
    t.equal(log, { "begin", "create a:1", "commit" })
end)

t.test("a handler may change another database, whose handlers may not change this one", function()
    local one, two = e.open(), (e.open())
    local inner = 0
    e.some(one.on("**", function(op)
        if not op.undo then
            e.create(two, op.entry.id)
        end
    end))
    e.some(two.on("**", function()
        inner = inner + 1
        t.fails("INVALID", { e.changes(one):create(e.entry("b:x")):apply() }, "apply inside a handler")
        t.fails("INVALID", { e.changes(two):create(e.entry("b:x")):apply() }, "apply inside a handler")
    end))
    e.create(one, "a:1", "a:2")
    t.equal(inner, 2)
    t.equal(e.now(one), { "a:1", "a:2" })
    t.equal(e.now(two), { "a:1", "a:2" })
    t.equal(two.current_version():id(), 2)
end)
