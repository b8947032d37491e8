-- find: every field and every operator, of the registry and of snapshots.
local t = ...
local acervo = require("acervo")
local e = require("support_entries")

local LIST = {
    { id = "app.api:get_user", kind = "http.endpoint",
        meta = { type = "route", path = "/api/users", tags = { "backend", "public" }, name = "user_get", rank = 1,
            public = true, limits = { cpu = 80 }, ["a.b"] = "literal", a = { b = "path" } },
        data = { method = "GET", pool = { size = 4 }, hosts = { "h1", "h2" } } },
    { id = "app.api:put_user", kind = "http.endpoint",
        meta = { type = "route", path = "/api/users/Handler", tags = { "backend" }, name = "user_put", rank = 2,
            public = false },
        data = { method = "PUT", pool = { size = 8 } } },
    { id = "app.lib:assert", kind = "function.lua",
        meta = { type = "test", name = "assert", kind = "inner", tags = "backend", a = { b = "path" } },
        data = "return assert" },
    { id = "app.lib:n\195\163o", kind = "function.wasm", meta = { type = "test", bytes = "\255\0x" } },
    { id = "config", kind = "registry.entry", meta = { tags = {}, rank = "1" }, data = { 1, 2, 3 } },
}

local GET, PUT, ASSERT, NAO, CONFIG =
    "app.api:get_user", "app.api:put_user", "app.lib:assert", "app.lib:n\195\163o", ":config"

local function filled(options)
    local entries, db, path = e.open(options)
    e.create(entries, LIST[4], LIST[2], LIST[5], LIST[1], LIST[3])
    return entries, db, path
end

local function finds(name, filter, ...)
    local expected = { ... }
    t.test(name, function()
        local entries = filled()
        t.equal(e.ids(entries.find(filter)), expected)
        t.equal(e.ids(entries.snapshot():find(filter)), expected, "snapshot")
        t.equal(e.ids(entries.snapshot_at(1):find(filter)), expected, "snapshot_at")
    end)
end

finds("an empty filter finds everything, sorted", {}, CONFIG, GET, PUT, ASSERT, NAO)

-- The entry's own fields.
finds("kind is compared", { kind = "function.lua" }, ASSERT)
finds(".kind is the same", { [".kind"] = "function.lua" }, ASSERT)
finds("kind is a glob", { [".kind"] = "function.*" }, ASSERT, NAO)
finds("a glob matches the whole field", { kind = "function" })
finds("a star matches the empty run and any text", { kind = "*http*endpoint*" }, GET, PUT)
finds("a question mark is one character", { name = "?et_user" }, GET)
finds("a question mark is one UTF-8 character, not one byte", { name = "n?o" }, NAO)
finds("a question mark is not none", { name = "assert?" })
finds("ns", { ns = "app.api" }, GET, PUT)
finds(".ns as a glob", { [".ns"] = "app.*" }, GET, PUT, ASSERT, NAO)
finds("namespace", { namespace = "app.lib" }, ASSERT, NAO)
finds("the empty namespace", { namespace = "" }, CONFIG)
finds("name", { name = "assert" }, ASSERT)
finds(".name as a glob", { [".name"] = "*_user" }, GET, PUT)
finds("id", { id = "app.lib:assert" }, ASSERT)
finds(".id as a glob", { [".id"] = "app.*:*e*" }, GET, PUT, ASSERT)
finds("an id without a namespace has its colon", { id = ":config" }, CONFIG)
finds("all conditions must hold", { kind = "http.endpoint", namespace = "app.api", name = "put*" }, PUT)
finds("conditions that exclude each other find nothing", { kind = "http.endpoint", namespace = "app.lib" })

-- Meta.
finds("a bare field is one of meta", { type = "test" }, ASSERT, NAO)
finds("meta.field", { ["meta.type"] = "route" }, GET, PUT)
finds("meta as a table", { meta = { type = "route", public = true } }, GET)
finds("in meta as a table, kind is a field of meta", { meta = { kind = "inner" } }, ASSERT)
finds("meta.kind too", { ["meta.kind"] = "inner" }, ASSERT)
finds("meta is equality, not glob", { type = "t*" })
finds("a path into meta", { ["meta.limits.cpu"] = 80 }, GET)
finds("a bare path into meta", { ["limits.cpu"] = 80 }, GET)
finds("a dotted key is first the literal key", { ["meta.a.b"] = "literal" }, GET)
finds("and only then a path", { ["meta.a.b"] = "path" }, ASSERT)
finds("numbers", { rank = 2 }, PUT)
finds("a number is no text", { rank = "1" }, CONFIG)
finds("true", { public = true }, GET)
finds("false", { public = false }, PUT)
finds("bytes", { bytes = "\255\0x" }, NAO)
finds("a map", { limits = { cpu = 80 } }, GET)
finds("an array: every expected element is there", { tags = { "public", "backend" } }, GET)
finds("an array: some of the elements do", { tags = { "backend" } }, GET, PUT)
finds("an array: one that is missing does not", { tags = { "backend", "other" } })
finds("a scalar never equals an array", { tags = "backend" }, ASSERT)
finds("a missing field never matches", { nowhere = "x" })
finds("a missing path never matches", { ["meta.type.x.y"] = "x" })

-- Data.
finds("data.field", { ["data.method"] = "PUT" }, PUT)
finds("a path into data", { ["data.pool.size"] = 4 }, GET)
finds("an array in data", { ["data.hosts"] = { "h2" } }, GET)
finds("a field of data that is no table", { ["data.method.x"] = "PUT" })

-- Operators.
finds("regex on meta", { ["~meta.path"] = "/api/.*" }, GET, PUT)
finds("regex is unanchored", { ["~meta.path"] = "users$" }, GET)
finds("regex on own fields", { ["~.name"] = "^(get|put)_" }, GET, PUT)
finds("regex on a bare own field", { ["~kind"] = "lua|wasm" }, ASSERT, NAO)
finds("regex on data", { ["~data.method"] = "^[GP]" }, GET, PUT)
finds("regex that nothing matches", { ["~meta.path"] = "^/v1" })
finds("contains on an array", { ["*meta.tags"] = "backend" }, GET, PUT, ASSERT)
finds("contains in a text", { ["*meta.path"] = "user" }, GET, PUT)
finds("contains in an element", { ["*meta.tags"] = "publ" }, GET)
finds("contains on own fields", { ["*.id"] = "lib:" }, ASSERT, NAO)
finds("contains in data", { ["*data.hosts"] = "h2" }, GET)
finds("prefix on meta", { ["^meta.name"] = "user" }, GET, PUT)
finds("prefix on own fields", { ["^.ns"] = "app.a" }, GET, PUT)
finds("prefix of a bare field", { ["^path"] = "/api/users/" }, PUT)
finds("prefix by bytes", { ["^meta.bytes"] = "\255\0" }, NAO)
finds("suffix on meta", { ["$meta.path"] = "Handler" }, PUT)
finds("suffix on own fields", { ["$name"] = "user" }, GET, PUT)
finds("suffix on data", { ["$data.method"] = "T" }, GET, PUT)
finds("an operator inside a meta table", { meta = { ["^name"] = "user_p" } }, PUT)
finds("operators are literal where they are no prefix", { ["^meta.path"] = "/api/.*" })
finds("operators on a number never match", { ["^meta.rank"] = "2" })
finds("operators and equality together",
    { [".kind"] = "http.*", ["*meta.tags"] = "backend", ["meta.public"] = false }, PUT)

---------------------------------------------------------------------------
-- What is refused

for key, value in e.sorted({
    [".unknown"] = "x", [".meta"] = "x", ["~.unknown"] = "x", ["~.name"] = "(", ["~meta.x"] = "[a-",
    ["~meta.long"] = ("a"):rep(4097), ["~meta.n"] = 5, ["*meta.n"] = 5, ["^meta.n"] = true, ["$meta.n"] = { "x" },
    ["^data.n"] = 1, ["^.name"] = 1, [".kind"] = 5, ["kind"] = { "a" },
}) do
    t.test("find refuses " .. key .. " = " .. t.show(value):sub(1, 20), function()
        local entries = filled()
        local filter = { type = "test", [key] = value }
        t.fails("INVALID", { entries.find(filter) }, key)
        t.fails("INVALID", { entries.snapshot():find(filter) }, key)
        -- Also where nothing else would match.
        t.fails("INVALID", { (e.open()).find({ [key] = value }) }, key)
    end)
end

t.test("a pattern of 4096 bytes is taken", function()
    t.equal(e.ids(filled().find({ ["~meta.path"] = ("a"):rep(4096) })), {})
end)

t.test("a filter has names as keys", function()
    local entries = filled()
    t.fails("INVALID", { entries.find({ "test" }) })
    t.fails("INVALID", { entries.find({ [true] = "test" }) })
    t.fails("INVALID", { entries.find("test") })
    t.fails("INVALID", { entries.find({ meta = { "test" } }) })
end)

t.test("values that cannot be are INVALID with their path", function()
    local entries = filled()
    t.fails("INVALID", { entries.find({ type = print }) }, "type")
    t.fails("INVALID", { entries.find({ ["meta.x"] = { y = print } }) }, "y")
end)

---------------------------------------------------------------------------
-- limit and offset

t.test("limit and offset cut the sorted list", function()
    local entries = filled()
    local all = { CONFIG, GET, PUT, ASSERT, NAO }
    for offset = 0, 6 do
        for limit = 0, 6 do
            local expected = {}
            for index = offset + 1, math.min(offset + limit, #all) do
                expected[#expected + 1] = all[index]
            end
            local options = { limit = limit, offset = offset }
            t.equal(e.ids(entries.find({}, options)), expected, offset .. "+" .. limit)
            t.equal(e.ids(entries.snapshot():find({}, options)), expected, offset .. "+" .. limit)
        end
    end
    t.equal(e.ids(entries.find({}, { offset = 3 })), { ASSERT, NAO })
    t.equal(e.ids(entries.find({}, { limit = 2 })), { CONFIG, GET })
    t.equal(e.ids(entries.find({}, {})), all)
    t.equal(e.ids(entries.find({ kind = "http.*" }, { offset = 1, limit = 1 })), { PUT })
end)

t.test("limit and offset must be whole and not negative, and the only options", function()
    local entries = filled()
    for _, options in ipairs({ { limit = -1 }, { offset = -1 }, { limit = 1.5 }, { offset = "1" }, { limit = true },
        { limti = 1 } }) do
        t.fails("INVALID", { entries.find({}, options) }, (next(options)))
        t.fails("INVALID", { entries.snapshot():find({}, options) }, (next(options)))
    end
    t.fails("INVALID", { entries.find({}, 5) })
end)

---------------------------------------------------------------------------
-- Freshness

t.test("the same filter sees every new version", function()
    local entries = e.open()
    local filter = { [".kind"] = "t*", ["meta.on"] = true }
    for index = 1, 5 do
        t.equal(#e.some(entries.find(filter)), index - 1)
        t.equal(#e.some(entries.find(filter)), index - 1)
        e.create(entries, e.entry("a:" .. index, { meta = { on = true } }))
    end
    e.update(entries, e.entry("a:3", { meta = { on = false } }))
    t.equal(e.ids(entries.find(filter)), { "a:1", "a:2", "a:4", "a:5" })
    e.some(entries.apply_version(2))
    t.equal(e.ids(entries.find(filter)), { "a:1", "a:2" })
    t.equal(e.ids(entries.snapshot_at(5):find(filter)), { "a:1", "a:2", "a:3", "a:4", "a:5" })
end)

t.test("what find gives may be changed without harm to the next find", function()
    local entries = filled()
    local filter = { kind = "function.lua" }
    local list = entries.find(filter)
    list[1].meta.type = "changed"
    list[1].data = nil
    list[2] = {}
    t.equal(entries.find(filter), { LIST[3] })
end)

t.test("find agrees with a plain search over many entries", function()
    local entries = e.open()
    local all = {}
    e.apply(entries, function(changes)
        for index = 1, t.many(3000) do
            local entry = e.entry(("ns%d:e%04d"):format(index % 7, index), {
                kind = index % 3 == 0 and "kind.a" or "kind.b",
                meta = { mod = index % 5, tags = { "t" .. index % 4, "u" .. index % 6 } },
            })
            all[#all + 1] = entry
            changes:create(entry)
        end
    end)
    table.sort(all, function(a, b) return a.id < b.id end)
    for _, case in ipairs({
        { { kind = "kind.a", mod = 2 }, function(x) return x.kind == "kind.a" and x.meta.mod == 2 end },
        { { ["*meta.tags"] = "t1", ns = "ns3" }, function(x) return x.meta.tags[1] == "t1" and x.id:find("^ns3:") end },
        { { ["$.name"] = "7" }, function(x) return x.id:find("7$") end },
        { { tags = { "u5", "t3" } }, function(x) return x.meta.tags[1] == "t3" and x.meta.tags[2] == "u5" end },
    }) do
        local expected = {}
        for _, entry in ipairs(all) do
            if case[2](entry) then
                expected[#expected + 1] = entry
            end
        end
        t.equal(#e.some(entries.find(case[1])), #expected)
        for index, entry in ipairs(entries.find(case[1])) do
            t.equal(entry, expected[index])
        end
    end
end)

t.test("acervo.array makes no difference to a condition", function()
    local entries = filled()
    t.equal(e.ids(entries.find({ tags = acervo.array({ "public" }) })), { GET })
end)
