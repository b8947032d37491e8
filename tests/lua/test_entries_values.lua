-- Values in entries: what meta and data may hold, and that it comes back as
-- it was, from memory, from a snapshot of an old version and from the file.
local t = ...
local acervo = require("acervo")
local e = require("support_entries")

local function nested(levels)
    local value = "bottom"
    for _ = 1, levels do
        value = { value }
    end
    return value
end

local function sparse()
    local value = {}
    value[1], value[3], value[100] = "a", "c", "z"
    return value
end

local VALUES = {
    ["true"] = true,
    ["false"] = false,
    zero = 0,
    int = 42,
    negative = -1,
    ["large int"] = t.two53 - 1,
    float = 45.625,
    ["small float"] = 5e-324,
    infinite = t.huge,
    ["no number"] = t.nan,
    ["minus zero"] = t.minus_zero,
    text = "configura\195\167\195\163o",
    ["empty text"] = "",
    bytes = "\255\0\254\128",
    ["long text"] = ("0123456789"):rep(7000),
    ["empty map"] = {},
    ["empty array"] = acervo.array({}),
    array = { 1, "two", { 3 }, true },
    map = { a = 1, b = { c = "d" } },
    ["mixed keys"] = { [1] = "one", x = "ex", [true] = "yes", [2.5] = "half" },
    sparse = sparse(),
    ["nil in an array"] = { 1, acervo.null, 3 },
    ["nil in a map"] = { a = acervo.null, b = 1 },
    deep = nested(126),
}

for name, value in e.sorted(VALUES) do
    t.test("round trip in data and meta: " .. name, function()
        local entries, db, path = e.open()
        e.create(entries, { id = "a:x", kind = "k", meta = { field = value }, data = value })
        e.update(entries, { id = "a:x", kind = "k", data = "later" })
        local function check(entry, where)
            t.equal(entry.data, value, where)
            t.equal(entry.meta, { field = value }, where)
        end
        check(e.some(entries.snapshot_at(1)):get("a:x"), "old version")
        local version = e.some(entries.apply_version(1))
        t.equal(version, true)
        check(e.some(entries.get("a:x")), "get")
        check(entries.find({ kind = "k" })[1], "find")
        check(entries.snapshot():entries()[1], "entries")
        check(e.some(entries.build_delta({}, { { id = "a:x", kind = "k", meta = { field = value }, data = value } }))[1]
            .entry, "build_delta")
        db:close()
        entries = e.open({ path = path })
        check(e.some(entries.get("a:x")), "reopened")
        t.equal(entries.snapshot_at(2):get("a:x").data, "later")
    end)
end

if t.subtypes then
    t.test("integers and floats stay what they are, to the last bit", function()
        local entries, db, path = e.open()
        local data = { math.maxinteger, math.mininteger, t.two53 + 1, 1.0, 2 ^ 53, 0.1, math.maxinteger + 0.0 }
        e.create(entries, e.entry("a:x", { data = data }))
        t.equal(entries.get("a:x").data, data)
        db:close()
        entries = e.open({ path = path })
        t.equal(entries.get("a:x").data, data)
    end)
end

t.test("data that is nil is absent", function()
    local entries = e.open()
    e.create(entries, { id = "a:x", kind = "k", data = acervo.null })
    t.equal(entries.get("a:x"), { id = "a:x", kind = "k", meta = {} })
    e.update(entries, { id = "a:x", kind = "k", data = 1 })
    t.equal(entries.get("a:x").data, 1)
    e.update(entries, { id = "a:x", kind = "k" })
    t.equal(entries.get("a:x").data, nil)
end)

t.test("ops tell the values as they were given", function()
    local entries = e.open()
    local changes = e.changes(entries)
    changes:create(e.entry("a:x", { data = { 1, acervo.null, "\255", { x = 1.5 } } }))
    t.equal(changes:ops()[1].entry.data, { 1, acervo.null, "\255", { x = 1.5 } })
end)

t.test("a missing key of an array of entries does not end its list", function()
    local entries = e.open()
    e.create(entries, e.entry("a:1", { data = { acervo.null } }), e.entry("a:2"))
    t.equal(#entries.snapshot():entries(), 2)
end)

---------------------------------------------------------------------------
-- What cannot be in an entry

local function refused(name, fields, ...)
    local parts = { ... }
    t.test(name .. " is refused with its path, and nothing is queued", function()
        local entries = e.open()
        local changes = e.changes(entries)
        local entry = e.entry("a:x", fields)
        for _, call in ipairs({ "create", "update" }) do
            local err = t.fails("INVALID", { changes[call](changes, entry) })
            for _, part in ipairs(parts) do
                t.contains(err:message(), part)
            end
        end
        t.equal(changes:ops(), e.NONE)
    end)
end

local loop = {}
loop.me = loop

refused("a function as data", { data = print }, "entry.data", "a function cannot be stored")
refused("a function in data", { data = { x = print } }, "entry.data.x: ", "a function cannot be stored")
refused("a function in an array", { data = { x = { 1, print } } }, "entry.data.x[2]: ", "a function cannot be stored")
refused("a thread in meta", { meta = { co = coroutine.create(function() end) } }, "entry.meta.co: ", "cannot be stored")
refused("a userdata in meta", { meta = { list = { io.stdout } } }, "entry.meta.list[1]: ", "cannot be stored")
refused("a cycle", { data = { loop = loop } }, "entry.data.loop.me")
refused("nesting over 128 levels", { data = nested(129) }, "entry.data[1][1]")
refused("a table as a key", { data = { [{}] = 1 } }, "entry.data")

t.test("a value over value_limit is INVALID, meta and data each", function()
    local entries = e.open({ value_limit = 1000 })
    local changes = e.changes(entries)
    t.fails("INVALID", { changes:create(e.entry("a:x", { data = ("x"):rep(1001) })) })
    t.fails("INVALID", { changes:create(e.entry("a:x", { meta = { x = ("x"):rep(1001) } })) })
    t.equal(changes:ops(), e.NONE)
    e.some(changes:create(e.entry("a:x", { data = ("x"):rep(900), meta = { x = ("x"):rep(900) } })))
    e.some(changes:apply())
    t.equal(#entries.get("a:x").data, 900)
end)

t.test("metamethods of the tables given are not asked", function()
    local entries = e.open()
    local asked = false
    local function ask()
        asked = true
    end
    local proxy = setmetatable({ id = "a:x", kind = "k" }, { __index = ask, __pairs = ask, __len = ask })
    proxy.data = setmetatable({ 1, 2 }, { __index = ask, __pairs = ask, __len = ask })
    e.create(entries, proxy)
    t.equal(asked, false)
    t.equal(entries.get("a:x").data, { 1, 2 })
end)
