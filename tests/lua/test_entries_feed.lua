-- Feeds: what happens to the registry, as a stream of events.
local t = ...
local e = require("support_entries")

-- An event as a text like "v2 update a:b".
local function text_of(event)
    local words = { "v" .. event.version }
    if event.foreign then
        words[2] = "foreign"
    end
    words[#words + 1] = event.kind:gsub("^%w+%.", "")
    words[#words + 1] = event.entry and event.entry.id
    return table.concat(words, " ")
end

-- Everything that a feed has now.
local function drain(feed)
    local texts = {}
    while true do
        local event, err = feed:next(0)
        if event == nil then
            t.fails("TIMEOUT", { event, err })
            return texts
        end
        texts[#texts + 1] = text_of(event)
    end
end

t.test("a feed tells each transaction as begin, its ops in their order, commit", function()
    local entries = e.open()
    e.create(entries, "a:before")
    local feed = e.some(entries.events())
    t.equal(drain(feed), {})
    e.create(entries, e.entry("a:1", { meta = { depends_on = "a:2" } }), "a:2")
    t.equal(drain(feed), { "v2 begin", "v2 create a:2", "v2 create a:1", "v2 commit" })
    e.apply(entries, function(changes)
        changes:create(e.entry("a:3")):update(e.entry("a:1")):delete("a:2")
    end)
    e.delete(entries, "a:1")
    t.equal(drain(feed), {
        "v3 begin", "v3 update a:1", "v3 delete a:2", "v3 create a:3", "v3 commit",
        "v4 begin", "v4 delete a:1", "v4 commit",
    })
end)

t.test("an event has kind, version, entry and original, and nothing else", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    local old, new = e.entry("a:x", { meta = { n = 1 }, data = { 1, { y = "z" } } }), e.entry("a:x", { data = "new" })
    e.create(entries, old)
    e.update(entries, new)
    e.delete(entries, "a:x")
    local events = {}
    for index = 1, 9 do
        events[index] = e.some(feed:next(0))
    end
    t.equal(events, {
        { kind = "registry.begin", version = 1 },
        { kind = "entry.create", version = 1, entry = old },
        { kind = "registry.commit", version = 1 },
        { kind = "registry.begin", version = 2 },
        { kind = "entry.update", version = 2, entry = new, original = old },
        { kind = "registry.commit", version = 2 },
        { kind = "registry.begin", version = 3 },
        { kind = "entry.delete", version = 3, entry = new, original = new },
        { kind = "registry.commit", version = 3 },
    })
end)

t.test("apply_version is told with the version that it moves to", function()
    local entries = e.open()
    e.create(entries, "a:1")
    e.create(entries, "a:2")
    local feed = e.some(entries.events())
    e.some(entries.apply_version(0))
    e.some(entries.apply_version(2))
    -- To where it is already: nothing happens.
    e.some(entries.apply_version(2))
    t.equal(drain(feed), {
        "v0 begin", "v0 delete a:1", "v0 delete a:2", "v0 commit",
        "v2 begin", "v2 create a:1", "v2 create a:2", "v2 commit",
    })
end)

t.test("what was refused ends in discard, with the ops that were accepted before", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    e.some(entries.on("**", function(op) return op.undo or op.entry.id ~= "a:2" end))
    t.fails("INVALID", { e.changes(entries):create(e.entry("a:1")):create(e.entry("a:2")):create(e.entry("a:3")):apply() })
    t.equal(drain(feed), { "v1 begin", "v1 create a:1", "v1 discard" })
    e.create(entries, "a:3")
    t.equal(drain(feed), { "v1 begin", "v1 create a:3", "v1 commit" })
end)

t.test("a refused begin and a refused commit are told as discarded", function()
    for step, expected in e.sorted({
        begin = { "v1 begin", "v1 discard" },
        commit = { "v1 begin", "v1 create a:x", "v1 discard" },
    }) do
        local entries = e.open()
        local feed = e.some(entries.events())
        e.some(entries.on("**", function() end, { [step] = function() return false end }))
        t.fails("INVALID", { e.changes(entries):create(e.entry("a:x")):apply() })
        t.equal(drain(feed), expected, step)
    end
end)

t.test("dry runs, replays and what fails before its begin are not told", function()
    local entries = e.open()
    e.create(entries, "a:there")
    local feed = e.some(entries.events())
    e.some(e.changes(entries):delete("a:there"):apply({ dry_run = true }))
    e.some(entries.on("**", function() end, { replay = true }))
    t.fails("NOT_FOUND", { e.changes(entries):delete("a:missing"):apply() })
    t.fails("INVALID", { e.changes(entries):apply() })
    t.equal(drain(feed), {})
end)

t.test("kinds that are not dispatched are told too", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    e.create(entries, e.entry("a:x", { kind = "registry.entry" }), e.entry("a:y", { kind = "ns.dependency" }))
    t.equal(drain(feed), { "v1 begin", "v1 create a:x", "v1 create a:y", "v1 commit" })
end)

t.test("events are told in the order in which handlers accepted", function()
    local entries = e.open()
    local errors = require("acervo.errors")
    local feed = e.some(entries.events())
    local seen = {}
    e.some(entries.on("**", function(op)
        if op.entry.id == "a:1" and not seen["a:2"] then
            return false, errors.new({ message = "a:2 first", kind = errors.NOT_FOUND })
        end
        seen[op.entry.id] = true
    end))
    e.create(entries, "a:1", "a:2")
    t.equal(drain(feed), { "v1 begin", "v1 create a:2", "v1 create a:1", "v1 commit" })
end)

t.test("a transaction is told when what it made can be seen, not before", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    local looked = 0
    local function look()
        looked = looked + 1
        t.fails("TIMEOUT", { feed:next(0) })
    end
    e.some(entries.on("**", look, { begin = look, commit = look }))
    e.create(entries, "a:x")
    t.equal(looked, 3)
    t.equal(#drain(feed), 3)
end)

t.test("each feed has all events from when it was made on", function()
    local entries = e.open()
    local one = e.some(entries.events())
    e.create(entries, "a:1")
    local two = e.some(entries.events())
    e.create(entries, "a:2")
    t.equal(drain(two), { "v2 begin", "v2 create a:2", "v2 commit" })
    t.equal(#drain(one), 6)
end)

t.test("what a reader does with an event changes nothing", function()
    local entries = e.open()
    local one, two = e.some(entries.events()), e.some(entries.events())
    e.create(entries, e.entry("a:x", { data = { n = 1 } }))
    one:next()
    one:next().entry.data.n = 2
    two:next()
    t.equal(two:next().entry.data, { n = 1 })
    t.equal(entries.get("a:x").data, { n = 1 })
end)

t.test("next waits as long as it is told, then gives TIMEOUT, which is retryable", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    for _, seconds in ipairs({ 0, 0.01, 0.05 }) do
        local err = t.fails("TIMEOUT", { feed:next(seconds) })
        t.equal(err:retryable(), true)
    end
    e.create(entries, "a:x")
    t.equal(e.some(feed:next(600)).kind, "registry.begin")
    -- Without an argument too: there is something.
    t.equal(e.some(feed:next()).kind, "entry.create")
    t.equal(e.some(feed:next(t.huge)).kind, "registry.commit")
end)

t.test("next takes a number of seconds of at least 0", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    for _, wrong in ipairs({ -1, -0.001, t.nan, "1", true, {} }) do
        t.fails("INVALID", { feed:next(wrong) }, "seconds")
    end
end)

---------------------------------------------------------------------------
-- Capacity

t.test("what does not fit is one gap, with the version that is current when it is read", function()
    local entries = e.open()
    local feed = e.some(entries.events({ capacity = 4 }))
    for index = 1, 5 do
        e.create(entries, "a:" .. index)
    end
    local events = { e.some(feed:next(0)), e.some(feed:next(0)), e.some(feed:next(0)) }
    t.equal({ events[1].kind, events[2].entry.id, events[3].kind }, { "registry.begin", "a:1", "registry.commit" })
    e.some(entries.apply_version(3))
    t.equal(e.some(feed:next(0)), { kind = "gap", version = 3 })
    t.fails("TIMEOUT", { feed:next(0) })
    -- It goes on behind the gap.
    e.create(entries, "b:x")
    t.equal(drain(feed), { "v6 begin", "v6 create b:x", "v6 commit" })
end)

t.test("a transaction larger than the capacity is a gap, never a part of it", function()
    local entries = e.open()
    for _, capacity in ipairs({ 1, 2, 4, 11 }) do
        local feed = e.some(entries.events({ capacity = capacity }))
        local version = e.apply(entries, function(changes)
            for index = 1, 10 do
                changes:create(e.entry("a:" .. capacity .. "." .. index))
            end
        end)
        t.equal(e.some(feed:next(0)), { kind = "gap", version = version:id() })
        t.fails("TIMEOUT", { feed:next(0) })
    end
    local feed = e.some(entries.events({ capacity = 12 }))
    e.apply(entries, function(changes)
        for index = 1, 10 do
            changes:create(e.entry("b:" .. index))
        end
    end)
    t.equal(#drain(feed), 12)
end)

t.test("a feed that nobody reads holds nothing up", function()
    local entries = e.open()
    local feed = e.some(entries.events({ capacity = 1 }))
    for index = 1, t.many(300) do
        e.create(entries, "a:" .. index)
    end
    t.equal(e.some(feed:next()).kind, "gap")
    -- One by default has room for more than these.
    local default = e.some(entries.events())
    for index = 1, 100 do
        e.create(entries, "b:" .. index)
    end
    local texts = drain(default)
    t.equal(#texts, 300)
    t.contains(texts[300], "commit")
end)

t.test("wrong options of events are INVALID", function()
    local entries = e.open()
    for _, capacity in ipairs({ 0, -1, 1.5, t.huge, t.nan, "10", true }) do
        t.fails("INVALID", { entries.events({ capacity = capacity }) }, "capacity")
    end
    t.fails("INVALID", { entries.events({ size = 1 }) }, "size")
    t.fails("INVALID", { entries.events(10) }, "options")
    t.fails("INVALID", { entries:events() })
end)

---------------------------------------------------------------------------
-- The object

t.test("fd is a descriptor, the same at every call", function()
    local entries = e.open()
    local one, two = e.some(entries.events()), e.some(entries.events())
    local fd = e.some(one:fd())
    t.ok(type(fd) == "number" and fd > 2 and fd % 1 == 0, t.show(fd))
    t.equal(one:fd(), fd)
    t.ok(two:fd() ~= fd, "two feeds have one descriptor")
    e.create(entries, "a:x")
    t.equal(one:fd(), fd)
end)

if t.command("readlink /proc/self/exe") then
    t.test("the descriptor is open while the feed is, and no longer", function()
        local entries = e.open()
        local feed = e.some(entries.events())
        local fd = t.show(feed:fd()):match("%d+")
        -- The number may be used again at once, by the pipe to the command.
        local function is_open()
            return (t.command("readlink /proc/$PPID/fd/" .. fd) or ""):find("anon_inode", 1, true) ~= nil
        end
        t.ok(is_open(), "the descriptor is not open")
        feed:close()
        t.ok(not is_open(), "the descriptor is open still")
    end)
end

t.test("a closed feed is INVALID, closing again is not", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    e.create(entries, "a:x")
    t.equal(feed:close(), true)
    t.equal(feed:close(), true)
    t.fails("INVALID", { feed:next(0) }, "closed")
    t.fails("INVALID", { feed:fd() }, "closed")
    e.create(entries, "a:y")
end)

t.test("a feed is a userdata that tells what it is", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    t.equal(type(feed), "userdata")
    t.equal(tostring(feed), "registry.Feed{}")
    t.raises(function() feed.next({}) end, "feed")
    t.raises(function() feed.close(nil) end, "feed")
end)

t.test("when the database closes, a feed gives what it had, then INTERNAL", function()
    local entries, db = e.open()
    local feed, empty = e.some(entries.events()), e.some(entries.events())
    e.create(entries, "a:x")
    for _ = 1, 3 do
        e.some(empty:next(0))
    end
    db:close()
    for _, kind in ipairs({ "registry.begin", "entry.create", "registry.commit" }) do
        t.equal(e.some(feed:next()).kind, kind)
    end
    -- Without an argument: it does not wait for what cannot come.
    t.fails("INTERNAL", { feed:next() }, "closed")
    t.fails("INTERNAL", { empty:next() }, "closed")
    t.fails("INTERNAL", { entries.events() }, "closed")
    feed:close()
end)

t.test("a feed does not end with another handle of the file", function()
    local entries, _, path = e.open()
    local other, other_db = e.open({ path = path })
    local feed = e.some(entries.events())
    e.create(other, "a:1")
    other_db:close()
    e.create(entries, "a:2")
    t.equal(#drain(feed), 6)
end)

t.test("feeds that are let go are collected, read or not", function()
    local entries = e.open()
    for _ = 1, t.many(300) do
        e.some(entries.events()):fd()
        e.create(entries, "a:x")
        e.delete(entries, "a:x")
    end
    collectgarbage()
    collectgarbage()
    t.equal(e.now(entries), {})
end)

t.test("a feed is read in coroutines too", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    local next_event = coroutine.wrap(function()
        while true do
            coroutine.yield(e.some(feed:next(0)))
        end
    end)
    e.create(entries, "a:x")
    t.equal({ next_event().kind, next_event().kind, next_event().kind },
        { "registry.begin", "entry.create", "registry.commit" })
end)

t.test("a feed can be read inside a handler, where what came before is there", function()
    local entries = e.open()
    local feed = e.some(entries.events())
    e.create(entries, "a:1")
    local read
    e.some(entries.on("**", function() read = read or drain(feed) end))
    e.create(entries, "a:2")
    t.equal(read, { "v1 begin", "v1 create a:1", "v1 commit" })
    t.equal(drain(feed), { "v2 begin", "v2 create a:2", "v2 commit" })
end)

t.test("a feed works in memory, and without a history", function()
    for _, options in ipairs({ { path = ":memory:" }, { history = "none" }, { history = "memory" } }) do
        local entries = e.open(options)
        local feed = e.some(entries.events())
        e.create(entries, "a:x")
        e.delete(entries, "a:x")
        t.equal(drain(feed), { "v1 begin", "v1 create a:x", "v1 commit", "v2 begin", "v2 delete a:x", "v2 commit" })
    end
end)

---------------------------------------------------------------------------
-- Other processes

local OPEN = [[
    local db = assert(require("acervo").open({ path = arg[1], durability = "normal" }))
    local function apply(fn)
        local changes = db.entries.snapshot():changes()
        fn(changes)
        local version, err = changes:apply()
        if not version then error(tostring(err)) end
    end
]]

t.test("what another process did is told as foreign, in order", function()
    local entries, _, path = e.open()
    e.create(entries, e.entry("a:1", { data = 1 }))
    local feed = e.some(entries.events())
    t.child_ok({ args = { path }, code = OPEN .. [[
        apply(function(c) c:update({ id = "a:1", kind = "test", data = 2 }):create({ id = "a:2", kind = "registry.entry" }) end)
        apply(function(c) c:delete("a:1") end)
        local ok, err = db.entries.apply_version(1)
        if not ok then error(tostring(err)) end
    ]] })
    -- What this process does comes behind it.
    e.create(entries, "a:3")
    local events = {}
    repeat
        events[#events + 1] = e.some(feed:next(60))
    until events[#events].kind == "registry.commit" and events[#events].version == 4
    local texts = {}
    for index, event in ipairs(events) do
        texts[index] = text_of(event)
    end
    -- Whatever was seen at once is one transaction, with the last of the
    -- versions: here everything, or each apply, or anything between.
    t.equal({ texts[#texts - 2], texts[#texts - 1], texts[#texts] }, { "v4 begin", "v4 create a:3", "v4 commit" })
    local state = { ["a:1"] = 1 }
    for index = 1, #events - 3 do
        local event = events[index]
        t.equal(event.foreign, true)
        if event.kind == "entry.delete" then
            state[event.entry.id] = nil
        elseif event.entry then
            state[event.entry.id] = event.entry.data or "none"
        end
    end
    t.equal(state, { ["a:1"] = 1 })
    t.equal(events[#events].foreign, nil)
end)

t.test("next wakes for what another process does while it waits", function()
    local entries, _, path = e.open()
    local feed = e.some(entries.events())
    -- The child is started in the background, and waits until it is waited for.
    local file, out = t.path("late.lua"), t.path("late.out")
    t.write_file(file, OPEN .. [[
        os.execute("sleep 0.2")
        apply(function(c) c:create({ id = "a:late", kind = "test" }) end)
    ]])
    t.child_ok({ args = { file, path, out }, code = [[
        local index = 0
        while arg[index - 1] do index = index - 1 end
        os.execute(string.format("%s '%s' '%s' > '%s' 2>&1 &", arg[index], arg[1], arg[2], arg[3]))
    ]] })
    local event, err = feed:next(60)
    if not event then
        error(tostring(err) .. ": " .. tostring(t.read_file(out)), 0)
    end
    t.equal(event, { kind = "registry.begin", version = 1, foreign = true })
    t.equal(e.some(feed:next(60)),
        { kind = "entry.create", version = 1, foreign = true, entry = e.entry("a:late") })
    t.equal(e.some(feed:next(60)), { kind = "registry.commit", version = 1, foreign = true })
    t.equal(e.now(entries), { "a:late" })
end)
