-- Options of acervo.open.
local t = ...
local acervo = require("acervo")

local function open(options)
    options.path = options.path or t.path()
    local db, err = acervo.open(options)
    return db, err
end

t.test("a path alone opens a database", function()
    local path = t.path()
    local db = assert(acervo.open(path))
    db.store.put("k", 1)
    db:close()
    db = assert(acervo.open({ path = path }))
    t.equal(db.store.get("k"), 1)
    db:close()
end)

t.test("an unknown option is INVALID and named", function()
    for _, name in ipairs({ "durabilty", "Durability", "timeout", "" }) do
        t.fails("INVALID", { open({ [name] = "full" }) }, name)
    end
    t.fails("INVALID", { open({ [1] = "x" }) })
    t.fails("INVALID", { open({ [true] = "x" }) })
end)

t.test("an option of the wrong type is INVALID and named", function()
    local wrong = {
        durability = { 1, true, {}, "ful", "" },
        flush_interval_ms = { "100", true, {}, 1.5 },
        max_unwritten_ms = { "100", true, {}, 1.5 },
        registry_persistent = { 1, "true", {} },
        history = { 1, true, "disk" },
        value_limit = { "1", true, {}, 1.5 },
        memory_limit = { "1", true, {}, 1.5 },
        read_only = { 1, "true", {} },
        busy_timeout_ms = { "1", true, {}, 1.5 },
        file_mode = { "0600", true, {}, 1.5 },
        big_int = { 1, true, "strings", "" },
        ident = { 1, true, {} },
        actor = { 1, true, {} },
    }
    for name, values in pairs(wrong) do
        for _, value in ipairs(values) do
            local path = t.path()
            t.fails("INVALID", { open({ path = path, [name] = value }) }, name)
            t.equal(t.read_file(path), nil, name .. ": a file was made")
        end
    end
end)

t.test("negative limits and times are INVALID and named", function()
    for _, name in ipairs({ "flush_interval_ms", "max_unwritten_ms", "value_limit", "memory_limit", "busy_timeout_ms", "file_mode" }) do
        t.fails("INVALID", { open({ [name] = -1 }) }, name)
    end
end)

t.test("open without a usable path is INVALID", function()
    t.fails("INVALID", { acervo.open({}) }, "path")
    t.fails("INVALID", { acervo.open({ path = 5 }) }, "path")
    t.fails("INVALID", { acervo.open({ path = "" }) })
    t.fails("INVALID", { acervo.open("") })
    t.fails("INVALID", { acervo.open("a\0b") })
end)

t.test("every durability works", function()
    for _, durability in ipairs({ "full", "normal", "off" }) do
        local db, path = t.open({ durability = durability })
        db.store.put("k", durability)
        db.registry.put("k", durability)
        db:close()
        db = t.open({ path = path, durability = durability })
        t.equal(db.store.get("k"), durability)
        t.equal(db.registry.get("k"), durability)
        db:close()
    end
end)

t.test("an option that cannot differ from the first open's is INVALID and named", function()
    local db, path = t.open({ durability = "normal", registry_persistent = true })
    t.fails("INVALID", { acervo.open({ path = path, durability = "normal", registry_persistent = false }) },
        "registry_persistent")
    db.registry.put("k", 1)
    t.equal(db.registry.get("k"), 1)
    -- The same value is no conflict.
    local second = t.open({ path = path, registry_persistent = true })
    t.equal(second.registry.get("k"), 1)
end)

t.test("after the last close the next open decides the options anew", function()
    local db, path = t.open({ registry_persistent = true })
    db.registry.put("k", 1)
    db:close()
    db = t.open({ path = path, registry_persistent = false })
    db.registry.put("k2", 2)
    t.equal(db.registry.get("k2"), 2)
end)

t.test("registry_persistent = false keeps the registry in memory only", function()
    local db, path = t.open({ registry_persistent = false })
    db.registry.put("k", 1)
    db.store.put("k", 2)
    local second = t.open({ path = path, registry_persistent = false })
    t.equal(second.registry.get("k"), 1)
    second:close()
    t.equal(db.registry.get("k"), 1)
    db:close()
    db = t.open({ path = path, registry_persistent = false })
    t.equal(db.registry.get("k"), nil)
    t.equal(db.store.get("k"), 2)
end)

t.test("read_only refuses every write and reads what is there", function()
    local db, path = t.open()
    db.store.put("k", 1)
    db.registry.put("k", { 2 })
    db:close()
    db = t.open({ path = path, read_only = true })
    for name, kv in pairs({ store = db.store, registry = db.registry }) do
        local label = name .. "."
        t.raises(function() kv.put("k", 9) end, label .. "put: ")
        t.raises(function() kv.delete("k") end, label .. "delete: ")
        t.raises(function() kv.put_all({ k = 9 }) end, label .. "put_all: ")
        t.raises(function() kv.incr("n") end, label .. "incr: ")
        t.raises(function() kv.cas("n", nil, 1) end, label .. "cas: ")
        t.raises(function() kv.update("n", function() return 1 end) end, label .. "update: ")
        t.raises(function() kv.delete_prefix("k") end, label .. "delete_prefix: ")
        t.raises(function() kv.purge(1) end, label .. "purge: ")
    end
    t.raises(function() db.store.put_global("k", 9) end, "store.put_global: ")
    t.equal(db.store.get("k"), 1)
    t.equal(db.registry.get("k"), { 2 })
    t.equal(db.store.keys(), { "k" })
    db:close()
    db = t.open({ path = path })
    t.equal(db.store.get("k"), 1)
    t.equal(db.registry.get("k"), { 2 })
    t.equal(db.store.count_global(), 1)
end)

t.test("memory_limit refuses a put beyond it and leaves what is there", function()
    local db = t.open({ memory_limit = 1024 * 1024 })
    local stored = 0
    local message
    for index = 1, 40 do
        local ok, fault = pcall(db.store.put, "k" .. index, string.rep(string.char(64 + index), 100 * 1024))
        if not ok then
            message = fault
            break
        end
        stored = index
    end
    t.contains(message, "memory limit")
    t.ok(stored >= 1 and stored <= 10, stored .. " values of 100 KiB in 1 MiB")
    for index = 1, stored do
        t.equal(db.store.get("k" .. index), string.rep(string.char(64 + index), 100 * 1024))
    end
    for index = 1, stored do
        db.store.delete("k" .. index)
    end
    db.store.put("again", string.rep("x", 100 * 1024))
    t.equal(#db.store.get("again"), 100 * 1024)
end)

t.test("files are made with mode 0600, or as file_mode says", function()
    local db, path = t.open()
    db.store.put("k", 1)
    t.equal(t.command("stat -c %a " .. t.quote(path)), "600")
    db, path = t.open({ file_mode = 416 }) -- 0640
    db.store.put("k", 1)
    t.equal(t.command("stat -c %a " .. t.quote(path)), "640")
end)

t.test("every file beside the database has its mode", function()
    local directory = t.directory()
    local db = t.open({ path = directory .. "/x.db" })
    db.store.put("k", 1)
    db.registry.put("k", 1)
    db:flush()
    t.equal(t.command("stat -c %a " .. t.quote(directory) .. "/* | sort -u | tr '\\n' ' '"), "600 ")
end)

t.test(":memory: databases are each their own", function()
    local one, two = t.open({ path = ":memory:" }), t.open({ path = ":memory:" })
    one.store.put("k", 1)
    one.registry.put("k", 1)
    t.equal(two.store.get("k"), nil)
    t.equal(two.registry.get("k"), nil)
    t.equal(one.store.get("k"), 1)
    t.equal(one.registry.get("k"), 1)
    t.equal(one:flush(), true)
end)

t.test("a path is never read as a URI, and a relative one is of the current directory", function()
    local directory = t.directory()
    t.child_ok({
        cwd = directory,
        code = [[
            local acervo = require("acervo")
            for _, path in ipairs({ "file:x.db?mode=memory", "plain.db" }) do
                local db = assert(acervo.open({ path = path, durability = "normal" }))
                db.store.put("k", path)
                assert(db:close())
            end
        ]],
    })
    t.ok(t.read_file(directory .. "/file:x.db?mode=memory"), "the file of that name is missing")
    local db = t.open({ path = directory .. "/file:x.db?mode=memory" })
    t.equal(db.store.get("k"), "file:x.db?mode=memory")
    db = t.open({ path = directory .. "/plain.db" })
    t.equal(db.store.get("k"), "plain.db")
end)

t.test("the options table is not changed and may be used again", function()
    local options = { path = t.path(), durability = "normal", ident = "x" }
    local one = assert(acervo.open(options))
    local two = assert(acervo.open(options))
    t.equal(options.durability, "normal")
    t.equal(options.ident, "x")
    local count = 0
    for _ in pairs(options) do
        count = count + 1
    end
    t.equal(count, 3)
    one:close()
    two:close()
end)

t.test("open by what is neither path nor table says what it needs", function()
    for _, bad in ipairs({ print, 5, true }) do
        t.fails("INVALID", { acervo.open(bad) }, "a path or a table of options is needed", type(bad))
    end
    t.fails("INVALID", { acervo.open() }, "a path or a table of options is needed")
end)
