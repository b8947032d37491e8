-- Dependencies: patterns, dependents and dependencies, and the order of
-- operations that follows from them.
local t = ...
local e = require("support_entries")

local function needs(id, text)
    return e.entry(id, { meta = { depends_on = text } })
end

-- Every default pattern, as what an entry holds to depend on a:base.
local PATTERNS = {
    ["meta.depends_on"] = { meta = { depends_on = "a:base" } },
    ["meta.depends_on as an array"] = { meta = { depends_on = { "a:other", "a:base" } } },
    ["meta.depends_on as a map"] = { meta = { depends_on = { database = "a:base" } } },
    ["meta.parent"] = { meta = { parent = "a:base" } },
    ["meta.groups"] = { meta = { groups = { "a:base" } } },
    ["data.config"] = { data = { config = "a:base" } },
    ["data.groups"] = { data = { groups = { "a:base" } } },
    ["data.imports.*"] = { data = { imports = { base = "a:base" } } },
    ["data.imports.* in an array"] = { data = { imports = { "a:base" } } },
    ["data.*.depends_on"] = { data = { step = { depends_on = "a:base" } } },
    ["data.*.depends_on in an array"] = { data = { { x = 1 }, { depends_on = { "a:base" } } } },
}

for name, fields in e.sorted(PATTERNS) do
    t.test("default pattern " .. name, function()
        local entries = e.open()
        e.create(entries, "a:base", e.entry("z:user", fields))
        t.equal(e.some(entries.dependencies("z:user")), { "a:base" })
        t.equal(e.some(entries.dependents("a:base")), { "z:user" })
        t.equal(e.some(entries.dependents("z:user")), e.NONE)
    end)
end

t.test("other fields make no dependency", function()
    local entries = e.open()
    e.create(entries, "a:base", e.entry("z:user", {
        meta = { other = "a:base", deep = { depends_on = "a:base" } },
        data = { depends_on = "a:base", x = { y = { depends_on = "a:base" } } },
    }))
    t.equal(e.some(entries.dependencies("z:user")), e.NONE)
end)

t.test("a text without a colon is a name in the dependent's namespace", function()
    local entries = e.open()
    e.create(entries, "a:base", "b:base", "base", needs("a:user", "base"), needs("user", "base"))
    t.equal(entries.dependencies("a:user"), { "a:base" })
    t.equal(entries.dependencies("user"), { ":base" })
end)

t.test("ns:x stands for every entry of the namespace, but not those below", function()
    local entries = e.open()
    e.create(entries, "x:one", "x:two", "x.y:three", needs("a:user", "ns:x"))
    t.equal(entries.dependencies("a:user"), { "x:one", "x:two" })
    t.equal(entries.dependents("x:two"), { "a:user" })
end)

t.test("group:g stands for every entry with the group", function()
    local entries = e.open()
    e.create(entries, e.entry("x:one", { meta = { groups = { "g", "h" } } }),
        e.entry("y:two", { meta = { groups = { "g" } } }), e.entry("y:three", { meta = { groups = { "h" } } }),
        needs("a:user", "group:g"))
    t.equal(entries.dependencies("a:user"), { "x:one", "y:two" })
end)

t.test("an entry with exactly that id goes before namespace and group", function()
    local entries = e.open()
    e.create(entries, "x:one", "ns:x", "group:g", e.entry("y:two", { meta = { groups = { "g" } } }),
        needs("a:user", { "ns:x", "group:g" }))
    t.equal(entries.dependencies("a:user"), { "group:g", "ns:x" })
    e.delete(entries, "ns:x", "group:g")
    t.equal(entries.dependencies("a:user"), { "x:one", "y:two" })
end)

t.test("self references, missing entries and empty texts do not count", function()
    local entries = e.open()
    e.create(entries, needs("a:self", { "a:self", "self", "ns:a", "a:missing", "" }))
    t.equal(entries.dependencies("a:self"), e.NONE)
    t.equal(entries.dependents("a:self"), e.NONE)
    -- It does from the moment the entry is there.
    e.create(entries, "a:missing")
    t.equal(entries.dependencies("a:self"), { "a:missing" })
end)

t.test("transitive goes on to what these depend on", function()
    local entries = e.open()
    e.create(entries, "a:1", needs("a:2", "a:1"), needs("a:3", "a:2"), needs("a:4", { "a:2", "a:3" }), "a:5")
    t.equal(entries.dependencies("a:4"), { "a:2", "a:3" })
    t.equal(entries.dependencies("a:4", { transitive = true }), { "a:1", "a:2", "a:3" })
    t.equal(entries.dependencies("a:4", { transitive = false }), { "a:2", "a:3" })
    t.equal(entries.dependents("a:1"), { "a:2" })
    t.equal(entries.dependents("a:1", { transitive = true }), { "a:2", "a:3", "a:4" })
    t.equal(entries.dependents("a:5", { transitive = true }), e.NONE)
end)

t.test("transitive ends in a cycle and leaves out the id itself", function()
    local entries = e.open()
    e.create(entries, needs("a:1", "a:3"), needs("a:2", "a:1"), needs("a:3", "a:2"))
    t.equal(entries.dependents("a:1", { transitive = true }), { "a:2", "a:3" })
    t.equal(entries.dependencies("a:1", { transitive = true }), { "a:2", "a:3" })
end)

t.test("the lists are sorted by namespace and name", function()
    local entries = e.open()
    e.create(entries, "a:base", needs("b:z", "a:base"), needs("a-b:x", "a:base"), needs("a:z", "a:base"),
        needs("a:b", "a:base"), needs("x", "a:base"))
    t.equal(entries.dependents("a:base"), { ":x", "a:b", "a:z", "a-b:x", "b:z" })
end)

t.test("dependents follow updates, deletes and rollbacks", function()
    local entries = e.open()
    e.create(entries, "a:base", "a:other", needs("a:user", "a:base"))
    e.update(entries, needs("a:user", "a:other"))
    t.equal(entries.dependents("a:base"), e.NONE)
    t.equal(entries.dependents("a:other"), { "a:user" })
    e.some(entries.apply_version(1))
    t.equal(entries.dependents("a:base"), { "a:user" })
    e.delete(entries, "a:user")
    t.equal(entries.dependents("a:base"), e.NONE)
end)

t.test("dependents and dependencies of an unknown id are NOT_FOUND", function()
    local entries = e.open()
    e.create(entries, needs("a:user", "a:missing"))
    t.fails("NOT_FOUND", { entries.dependents("a:missing") }, "a:missing")
    t.fails("NOT_FOUND", { entries.dependencies("a:missing") }, "a:missing")
end)

t.test("wrong arguments are INVALID", function()
    local entries = e.open()
    e.create(entries, "a:x")
    for _, name in ipairs({ "dependents", "dependencies" }) do
        t.fails("INVALID", { entries[name]() })
        t.fails("INVALID", { entries[name]({}) })
        t.fails("INVALID", { entries[name]("a:x", { transitve = true }) }, "transitve")
        t.fails("INVALID", { entries[name]("a:x", { transitive = "yes" }) }, "transitive")
        t.fails("INVALID", { entries[name]("a:x", true) })
    end
end)

---------------------------------------------------------------------------
-- register_pattern

t.test("a registered pattern counts for what is there and what comes", function()
    local entries = e.open()
    e.create(entries, "a:base", e.entry("a:user", { meta = { server = "a:base" } }))
    t.equal(entries.dependencies("a:user"), e.NONE)
    t.equal(e.some(entries.register_pattern({ path = "meta.server", allow_wildcard = true })), true)
    t.equal(entries.dependencies("a:user"), { "a:base" })
    e.create(entries, e.entry("a:more", { meta = { server = { "a:base" } } }))
    t.equal(entries.dependents("a:base"), { "a:more", "a:user" })
end)

t.test("wildcards match map keys by their pattern", function()
    local entries = e.open()
    e.some(entries.register_pattern({ path = "data.*_env.use", allow_wildcard = true }))
    e.some(entries.register_pattern({ path = "data.app*.a*b", allow_wildcard = true }))
    e.create(entries, "t:1", "t:2", "t:3", "t:4", e.entry("a:user", { data = {
        prod_env = { use = "t:1" }, env = { use = "t:4" }, app_x = { ab = "t:2", axxb = "t:3", ba = "t:4" },
        xapp = { ab = "t:4" },
    } }))
    t.equal(entries.dependencies("a:user"), { "t:1", "t:2", "t:3" })
end)

t.test("without allow_wildcard a star is a key like another", function()
    local entries = e.open()
    e.some(entries.register_pattern({ path = "meta.x.*", allow_wildcard = false }))
    e.create(entries, "t:1", "t:2", e.entry("a:user", { meta = { x = { y = "t:1", ["*"] = "t:2" } } }))
    local found = entries.dependencies("a:user")
    t.ok(found[1] ~= "t:1", "the star matched")
end)

t.test("registering a pattern twice changes nothing", function()
    local entries = e.open()
    for _ = 1, 2 do
        t.equal(e.some(entries.register_pattern({ path = "meta.server", allow_wildcard = true })), true)
    end
    e.create(entries, "a:base", e.entry("a:user", { meta = { server = "a:base" } }))
    t.equal(entries.dependencies("a:user"), { "a:base" })
end)

t.test("a pattern must be a path into meta or data", function()
    local entries = e.open()
    t.fails("INVALID", { entries.register_pattern({ path = "" }) })
    t.fails("INVALID", { entries.register_pattern({}) }, "path")
    t.fails("INVALID", { entries.register_pattern({ path = 5.5 }) }, "path")
    t.fails("INVALID", { entries.register_pattern({ path = "other.x" }) })
    t.fails("INVALID", { entries.register_pattern({ path = "meta.x", allow_wildcard = "yes" }) }, "allow_wildcard")
    t.fails("INVALID", { entries.register_pattern({ path = "meta.x", wildcard = true }) }, "wildcard")
    t.fails("INVALID", { entries.register_pattern("meta.x") })
    t.fails("INVALID", { entries.register_pattern() })
end)

---------------------------------------------------------------------------
-- The order of operations, as a dry run tells it

-- The order in which what fn queues would be done.
local function order(entries, fn)
    local changes = e.changes(entries)
    fn(changes)
    return e.steps(changes:apply({ dry_run = true }))
end

t.test("creates go after what they depend on", function()
    local entries = e.open()
    t.equal(order(entries, function(c)
        c:create(needs("a:1", "b:2")):create(needs("b:2", "c:3")):create(e.entry("c:3"))
    end), { "create c:3", "create b:2", "create a:1" })
end)

t.test("deletes go before the deletes of what they depend on", function()
    local entries = e.open()
    e.create(entries, "a:1", needs("b:2", "a:1"), needs("c:3", "b:2"))
    t.equal(order(entries, function(c)
        c:delete("a:1"):delete("b:2"):delete("c:3")
    end), { "delete c:3", "delete b:2", "delete a:1" })
end)

t.test("without dependencies deletes go first, then all by id", function()
    local entries = e.open()
    e.create(entries, "m:1", "z:1", "b:1")
    local expected = { "delete m:1", "delete z:1", "create a:2", "update b:1", "create x:2" }
    t.equal(order(entries, function(c)
        c:create(e.entry("x:2")):update(e.entry("b:1")):delete("z:1"):create(e.entry("a:2")):delete("m:1")
    end), expected)
    t.equal(order(entries, function(c)
        c:delete("m:1"):create(e.entry("a:2")):delete("z:1"):create(e.entry("x:2")):update(e.entry("b:1"))
    end), expected)
end)

t.test("an update that stops using an entry goes before its delete", function()
    local entries = e.open()
    e.create(entries, "a:base", needs("b:user", "a:base"))
    t.equal(order(entries, function(c)
        c:delete("a:base"):update(e.entry("b:user"))
    end), { "update b:user", "delete a:base" })
end)

t.test("updates go after the creates they come to depend on", function()
    local entries = e.open()
    e.create(entries, "a:user")
    t.equal(order(entries, function(c)
        c:update(needs("a:user", "z:new")):create(e.entry("z:new"))
    end), { "create z:new", "update a:user" })
end)

t.test("an id that changes its kind is deleted before it is created", function()
    local entries = e.open()
    e.create(entries, "a:x")
    t.equal(order(entries, function(c)
        c:create(needs("a:a", "a:x")):delete("a:x"):create(e.entry("a:x", { kind = "other" }))
    end), { "delete a:x", "create a:x", "create a:a" })
end)

t.test("a cycle is broken at its smallest target, and all ops are done", function()
    local entries = e.open()
    local steps = order(entries, function(c)
        c:create(needs("a:1", "a:2")):create(needs("a:2", "a:3")):create(needs("a:3", "a:1"))
    end)
    -- What goes is the use of a:1, by a:3.
    t.equal(steps, { "create a:3", "create a:2", "create a:1" })
    e.create(entries, needs("a:1", "a:2"), needs("a:2", "a:3"), needs("a:3", "a:1"))
    t.equal(#e.now(entries), 3)
end)

t.test("what is missing does not hold up the order", function()
    local entries = e.open()
    t.equal(order(entries, function(c)
        c:create(needs("a:1", "x:missing")):create(needs("a:0", "a:1"))
    end), { "create a:1", "create a:0" })
end)
