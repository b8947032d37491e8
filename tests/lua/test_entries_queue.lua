-- What waits for a state: poll, what other processes did, turns between
-- processes.
local t = ...
local e = require("support_entries")

local OPEN = [[
    local acervo = require("acervo")
    local function open(options)
        options.path, options.durability = arg[1], "normal"
        return assert(acervo.open(options))
    end
    local function entry(id, data) return { id = id, kind = "test", data = data } end
    local function apply(db, fn)
        local changes = db.entries.snapshot():changes()
        fn(changes)
        local version, err = changes:apply()
        if not version then error(tostring(err)) end
        return version
    end
]]

-- Starts a child in the background; gives the file that has what it printed.
local function background(code, ...)
    local file, out = t.path("background.lua"), t.path("background.out")
    t.write_file(file, OPEN .. code)
    t.child_ok({ args = { file, out, ... }, code = [[
        local index = 0
        while arg[index - 1] do index = index - 1 end
        local words = { "'" .. arg[index] .. "'", "'" .. arg[1] .. "'" }
        for place = 3, #arg do words[#words + 1] = "'" .. arg[place] .. "'" end
        os.execute(table.concat(words, " ") .. " > '" .. arg[2] .. "' 2>&1 &")
    ]] })
    return out
end

local function wait_for(path, text)
    local found
    t.wait_until(function()
        found = t.read_file(path)
        return found and found:find(text, 1, true)
    end, text)
    return found
end

---------------------------------------------------------------------------
-- poll

t.test("poll gives 0 if nothing waits, at once or in time", function()
    local entries = e.open()
    e.watch(entries)
    t.equal(entries.poll(), 0)
    t.equal(entries.poll(0), 0)
    t.equal(entries.poll(0.02), 0)
    -- What this state applies is answered inside apply.
    e.create(entries, "a:x")
    t.equal(entries.poll(), 0)
end)

t.test("poll takes a number of seconds of at least 0", function()
    local entries, db = e.open()
    for _, wrong in ipairs({ -1, t.nan, "1", true, {} }) do
        t.fails("INVALID", { entries.poll(wrong) }, "seconds")
    end
    t.fails("INVALID", { entries:poll() })
    db:close()
    t.fails("INTERNAL", { entries.poll() }, "closed")
end)

t.test("poll works inside a handler and in a coroutine", function()
    local entries = e.open()
    local polled
    e.some(entries.on("**", function() polled = entries.poll(0) end))
    e.create(entries, "a:x")
    t.equal(polled, 0)
    t.equal(coroutine.wrap(function() return entries.poll(0) end)(), 0)
end)

---------------------------------------------------------------------------
-- What other processes did

t.test("poll tells replay handlers what another process applied, as foreign", function()
    local entries, _, path = e.open()
    e.create(entries, e.entry("a:1", { data = 1 }))
    local ops = {}
    e.some(entries.on("**", function(op) ops[#ops + 1] = op end, { replay = true }))
    -- One without replay is not told.
    local other = e.watch(entries)
    t.equal(e.steps(ops), { "create a:1" })
    t.child_ok({ args = { path }, code = OPEN .. [[
        apply(open({}), function(c)
            c:update(entry("a:1", 2)):create(entry("a:2")):create({ id = "a:3", kind = "registry.entry" })
        end)
    ]] })
    -- Kinds that are not dispatched are not told.
    t.wait_until(function()
        entries.poll(1)
        return #ops >= 3
    end, "the other process's ops")
    t.equal(#ops, 3)
    t.equal(ops[2], { kind = "entry.update", entry = e.entry("a:1", { data = 2 }),
        original = e.entry("a:1", { data = 1 }), foreign = true, undo = false, dry_run = false })
    t.equal(e.told(ops[3]), "foreign create a:2")
    t.equal(other, {})
    t.equal(entries.poll(), 0)
end)

t.test("poll gives how many ops it told", function()
    local entries, _, path = e.open()
    local log = {}
    e.some(entries.on("**", function(op) log[#log + 1] = e.told(op) end, { replay = true }))
    t.child_ok({ args = { path }, code = OPEN .. [[
        apply(open({}), function(c) c:create(entry("a:1")):create(entry("a:2")) end)
    ]] })
    local told = 0
    t.wait_until(function()
        told = told + e.some(entries.poll(1))
        return told >= 2
    end, "two ops")
    t.equal(told, 2)
    t.equal(log, { "foreign create a:1", "foreign create a:2" })
end)

t.test("poll wakes for what another process does while it waits", function()
    local entries, _, path = e.open()
    local log = {}
    e.some(entries.on("**", function(op) log[#log + 1] = e.told(op) end, { replay = true }))
    background([[
        os.execute("sleep 0.2")
        apply(open({}), function(c) c:create(entry("a:late")) end)
    ]], path)
    t.equal(entries.poll(60), 1)
    t.equal(log, { "foreign create a:late" })
end)

t.test("what another process did is told before what this one does next", function()
    local entries, _, path = e.open()
    local log = {}
    e.some(entries.on("**", function(op) log[#log + 1] = e.told(op) end, { replay = true }))
    t.child_ok({ args = { path }, code = OPEN .. [[
        apply(open({}), function(c) c:create(entry("a:theirs")) end)
    ]] })
    e.create(entries, "a:ours")
    t.equal(log, { "foreign create a:theirs", "create a:ours" })
    e.some(entries.apply_version(0))
    t.equal({ log[3], log[4], log[5] }, { "delete a:ours", "delete a:theirs" })
end)

t.test("a refusal of what another process did is nothing", function()
    local entries, _, path = e.open()
    local told = 0
    local function refusing(fn)
        e.some(entries.on("**", function()
            told = told + 1
            return fn()
        end, { replay = true }))
    end
    refusing(function() return false, "no" end)
    refusing(function() error("no") end)
    refusing(function() coroutine.yield() end)
    t.child_ok({ args = { path }, code = OPEN .. [[
        apply(open({}), function(c) c:create(entry("a:1")) end)
    ]] })
    t.wait_until(function()
        entries.poll(1)
        return told >= 3
    end, "three refusals")
    t.equal(e.now(entries), { "a:1" })
    t.equal(entries.current_version():id(), 1)
end)

t.test("a handler that is told sees what the other process made, and may not change it", function()
    local entries, db, path = e.open()
    local seen
    e.some(entries.on("**", function(op)
        seen = e.now(entries)
        db.registry.put("told", op.entry.id)
        t.fails("INVALID", { e.changes(entries):create(e.entry("b:x")):apply() }, "apply inside a handler")
    end, { replay = true }))
    t.child_ok({ args = { path }, code = OPEN .. [[
        apply(open({}), function(c) c:create(entry("a:1")) end)
    ]] })
    t.wait_until(function()
        entries.poll(1)
        return seen
    end, "the op")
    t.equal(seen, { "a:1" })
    t.equal(db.registry.get("told"), "a:1")
end)

t.test("a policy hides what another process did, too", function()
    local entries, _, path = e.open()
    e.some(entries.set_policy(function(_, _, id) return id ~= "a:hidden" end))
    local log = {}
    e.some(entries.on("**", function(op) log[#log + 1] = e.told(op) end, { replay = true }))
    t.child_ok({ args = { path }, code = OPEN .. [[
        apply(open({}), function(c) c:create(entry("a:hidden")):create(entry("a:seen")) end)
    ]] })
    t.wait_until(function()
        entries.poll(1)
        return #log > 0
    end, "the op that may be seen")
    t.equal(log, { "foreign create a:seen" })
end)

t.test("a cancelled replay handler is told nothing any more", function()
    local entries, _, path = e.open()
    local told = {}
    local one = e.some(entries.on("**", function() told.one = true end, { replay = true }))
    e.some(entries.on("**", function() told.two = true end, { replay = true }))
    t.child_ok({ args = { path }, code = OPEN .. [[
        apply(open({}), function(c) c:create(entry("a:1")) end)
    ]] })
    one:cancel()
    t.wait_until(function()
        entries.poll(1)
        return told.two
    end, "the op")
    t.equal(told.one, nil)
end)

---------------------------------------------------------------------------
-- Turns

t.test("a handler that takes longer than handler_timeout_ms counts when it has answered", function()
    local entries = e.open({ handler_timeout_ms = 10 })
    e.some(entries.on("**", function() t.sleep(0.1) end, { commit = function() t.sleep(0.05) end }))
    e.create(entries, "a:x")
    t.equal(e.now(entries), { "a:x" })
    local late = e.some(entries.on("**", function()
        t.sleep(0.05)
        return false, "late but clear"
    end))
    t.fails("INVALID", { e.changes(entries):create(e.entry("a:y")):apply() }, "late but clear")
    late:cancel()
end)

t.test("while a handler runs, others read and write the store; their applies wait", function()
    local entries, db, path = e.open()
    e.create(entries, "a:there")
    local done
    local subscription
    subscription = e.some(entries.on("**", function()
        t.equal(t.child_ok({ args = { path }, code = OPEN .. [[
            local db = open({ busy_timeout_ms = 30 })
            db.store.put("k", "from a handler's time")
            print(#db.entries.snapshot():entries(), db.entries.current_version():string())
            local version, err = db.entries.snapshot():changes():create(entry("a:impatient")):apply()
            print(version, err:kind(), err:retryable())
        ]] }), "1\tv1\nnil\tUnavailable\ttrue\n")
        done = background([[
            local db = open({})
            print("started")
            io.stdout:flush()
            print("made " .. apply(db, function(c) c:create(entry("a:patient")) end):string())
        ]], path)
        wait_for(done, "started")
        t.sleep(0.1)
        t.ok(not t.read_file(done):find("made", 1, true), "it did not wait for its turn")
    end))
    t.equal(e.create(entries, "a:ours"):id(), 2)
    subscription:cancel()
    t.contains(wait_for(done, "made"), "made v3")
    t.equal(db.store.get("k"), "from a handler's time")
    t.equal(e.now(entries), { "a:ours", "a:patient", "a:there" })
end)

for _, way in ipairs({ "os.exit(7)", "os.execute('kill -9 $PPID') os.execute('sleep 5')" }) do
    for _, step in ipairs({ "begin", "op", "commit" }) do
        t.test("a process that ends by " .. way:match("^[%w.]+") .. " in " .. step ..
            " leaves the old version, and its turn", function()
            local entries, _, path = e.open({ busy_timeout_ms = 60000 })
            e.create(entries, "a:there")
            local _, code = t.child({ args = { path, step }, code = OPEN .. [[
                local db = open({})
                local function die() ]] .. way .. [[ end
                local options, fn = {}, function() end
                if arg[2] == "op" then fn = die else options[arg[2] ] = die end
                assert(db.entries.on("**", fn, options))
                apply(db, function(c) c:create(entry("a:new")):delete("a:there") end)
            ]] })
            t.ok(code ~= 0, "the child went on")
            t.equal(e.now(entries), { "a:there" })
            t.equal(e.create(entries, "a:next"):id(), 2)
        end)
    end
end

t.test("an apply that waited for its turn tells first what was made meanwhile", function()
    local entries, _, path = e.open()
    local log = {}
    e.some(entries.on("**", function(op) log[#log + 1] = e.told(op) end, { replay = true }))
    -- The child makes one version, and takes a while over the next.
    local out = background([[
        local db = open({})
        apply(db, function(c) c:create(entry("a:1")) end)
        assert(db.entries.on("**", function()
            print("slow")
            io.stdout:flush()
            os.execute("sleep 0.3")
        end))
        apply(db, function(c) c:create(entry("a:2")) end)
    ]], path)
    wait_for(out, "slow")
    t.equal(e.create(entries, "a:3"):id(), 3)
    t.equal(log, { "foreign create a:1", "foreign create a:2", "create a:3" })
    t.equal(e.now(entries), { "a:1", "a:2", "a:3" })
end)

t.test("processes that apply with handlers at the same time lose nothing", function()
    local path = t.path()
    local file = t.path("applier.lua")
    t.write_file(file, OPEN .. [[
        local db = open({})
        local asked = 0
        assert(db.entries.on("**", function(op) if not op.foreign then asked = asked + 1 end end, { replay = true }))
        local before = asked
        for index = 1, 20 do
            apply(db, function(c) c:create(entry(arg[2] .. ":" .. index)) end)
        end
        if asked - before < 20 then print("asked about " .. asked - before) end
    ]])
    local output = t.child_ok({ args = { path, file }, code = [[
        local index = 0
        while arg[index - 1] do index = index - 1 end
        local all = {}
        for n = 1, 3 do
            all[n] = string.format("{ %s '%s' '%s' p%d || echo failed; } &", arg[index], arg[2], arg[1], n)
        end
        os.execute(table.concat(all, " ") .. " wait")
    ]] })
    t.equal(output, "")
    local entries = e.open({ path = path })
    t.equal(#e.now(entries), 60)
    t.equal(entries.current_version():id(), 60)
end)
