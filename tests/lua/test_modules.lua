-- The modules, the default database, install and the agent module.
local t = ...
local acervo = require("acervo")

local function lines(text)
    local list = {}
    for line in text:gmatch("[^\n]+") do
        list[#list + 1] = line
    end
    return list
end

t.test("the root has its members", function()
    for _, name in ipairs({ "open", "default", "install", "array", "from_json", "to_json", "from_msgpack",
        "to_msgpack" }) do
        t.equal(type(acervo[name]), "function", name)
    end
    t.equal(type(acervo.null), "userdata")
    t.equal(type(acervo.errors), "table")
    t.equal(acervo._NAME, "acervo")
    t.ok(tostring(acervo._VERSION):find("%d+%.%d+%.%d+"), tostring(acervo._VERSION))
end)

t.test("requiring again gives the same tables", function()
    for _, name in ipairs({ "acervo", "acervo.registry", "acervo.store", "acervo.errors" }) do
        t.equal(type(require(name)), "table", name)
        t.ok(rawequal(require(name), require(name)), name)
    end
end)

t.test("registry and store have all their calls", function()
    local shared = { "put", "get", "delete", "keys", "count", "put_all", "incr", "cas", "update" }
    local named = { "pairs", "delete_prefix", "purge" }
    local db = t.open()
    for module_name, module in pairs({ registry = require("acervo.registry"), store = require("acervo.store"),
        ["db.registry"] = db.registry, ["db.store"] = db.store, namespace = db:namespace("x") }) do
        for _, name in ipairs(shared) do
            t.equal(type(module[name]), "function", module_name .. "." .. name)
        end
        for _, name in ipairs(named) do
            t.equal(type(module[name]), "function", module_name .. "." .. name)
        end
    end
    for _, name in ipairs(shared) do
        t.equal(type(db.store[name .. "_global"]), "function", name .. "_global")
    end
    t.equal(type(db.registry.flush), "function")
end)

t.test("requiring makes no globals and no files", function()
    local directory = t.directory()
    local output = t.child_ok({
        cwd = directory,
        code = [[
            local before = {}
            for name in pairs(_G) do before[name] = true end
            local string_before = {}
            for name in pairs(string) do string_before[name] = true end
            local function check(when)
                for name in pairs(_G) do
                    if not before[name] then print(when .. ": new global " .. tostring(name)) end
                end
                for name in pairs(string) do
                    if not string_before[name] then print(when .. ": new in string: " .. tostring(name)) end
                end
            end
            require("acervo")
            check("acervo")
            require("acervo.registry")
            require("acervo.store")
            require("acervo.errors")
            check("modules")
            local db = assert(require("acervo").open(":memory:"))
            db.store.put("k", 1)
            db:close()
            check("use")
        ]],
    })
    t.equal(output, "")
    t.equal(t.command("ls " .. t.quote(directory)), nil, "files made")
end)

t.test("the default database is $ACERVO_PATH, opened at first use", function()
    local path = t.path()
    t.child_ok({
        env = { ACERVO_PATH = path },
        args = { path },
        code = [[
            local acervo = require("acervo")
            local registry, store = require("acervo.registry"), require("acervo.store")
            assert(not io.open(arg[1]), "opened before use")
            store.put("k", 1)
            registry.put("k", 2)
            assert(io.open(arg[1]), "not made")
            local db = assert(acervo.default())
            assert(db.store.get("k") == 1)
            assert(db.registry.get("k") == 2)
            db.store.put("k", 3)
            assert(store.get("k") == 3)
            assert(acervo.default().store.get("k") == 3)
        ]],
    })
    local db = t.open({ path = path })
    t.equal(db.store.get("k"), 3)
    t.equal(db.registry.get("k"), 2)
end)

t.test("the default database is ./acervo.db without ACERVO_PATH", function()
    local directory = t.directory()
    t.child_ok({ cwd = directory, code = [[ require("acervo.store").put("k", "default") ]] })
    local db = t.open({ path = directory .. "/acervo.db" })
    t.equal(db.store.get("k"), "default")
end)

t.test("a default database that cannot be opened raises at use, not at require", function()
    local path = t.path("missing") .. "/x.db"
    t.child_ok({
        env = { ACERVO_PATH = path },
        args = { path },
        code = [[
            local acervo = require("acervo")
            local registry, store = require("acervo.registry"), require("acervo.store")
            for _ = 1, 2 do
                local ok, fault = pcall(function() store.put("k", 1) end)
                assert(not ok, "put worked")
                assert(type(fault) == "string", type(fault))
                assert(fault:find("store.put: ", 1, true), fault)
                assert(fault:find(arg[1], 1, true), fault)
                ok, fault = pcall(function() registry.get("k") end)
                assert(not ok and fault:find("registry.get: ", 1, true), fault)
            end
            local db, err = acervo.default()
            assert(db == nil and type(err) == "userdata")
            -- Other databases are no worse for it.
            local other = assert(acervo.open(":memory:"))
            other.store.put("k", 1)
            assert(other.store.get("k") == 1)
        ]],
    })
end)

t.test("install makes the globals registry, store and errors, and nothing else", function()
    local output = t.child_ok({
        env = { ACERVO_PATH = t.path() },
        code = [[
            local before = {}
            for name in pairs(_G) do before[name] = true end
            require("acervo").install()
            local new = {}
            for name in pairs(_G) do
                if not before[name] then new[#new + 1] = name end
            end
            table.sort(new)
            print(table.concat(new, " "))
            registry.put("k", 1)
            store.put("k", 2)
            print(registry.get("k") + store.get("k"))
            print(errors.INVALID)
            print((require("acervo.registry").get("k")))
            print((require("store").get("k")))
        ]],
    })
    local list = lines(output)
    t.equal(list[1], "errors registry store")
    t.equal(list[2], "3")
    t.equal(list[3], "Invalid")
    t.equal(list[4], "1")
    t.equal(list[5], "2")
end)

t.test("install twice is as once", function()
    t.child_ok({
        env = { ACERVO_PATH = t.path() },
        code = [[
            local acervo = require("acervo")
            acervo.install()
            local first = store
            store.put("k", 1)
            acervo.install()
            assert(store.get("k") == 1)
            assert(require("store").get("k") == 1)
        ]],
    })
end)

t.test("-l acervo.agent gives a script the globals", function()
    local path = t.path()
    local output = t.child_ok({
        env = { ACERVO_PATH = path },
        flags = "-l acervo.agent",
        code = [[
            EXEC_IDENT = "monitor-cpu"
            store.put("k", { 1 })
            registry.put("k", "v")
            print(store.get_global("monitor-cpu:k")[1], (registry.get("k")), type(errors))
        ]],
    })
    t.equal(output, "1\tv\ttable\n")
    local db = t.open({ path = path, ident = "monitor-cpu" })
    t.equal(db.store.get("k"), { 1 })
end)

t.test("requiring acervo.agent installs", function()
    t.child_ok({
        env = { ACERVO_PATH = t.path() },
        code = [[
            assert(rawget(_G, "store") == nil)
            require("acervo.agent")
            store.put("k", 1)
            assert(store.get("k") == 1)
        ]],
    })
end)

t.test("any module may be the first that is required", function()
    for _, name in ipairs({ "acervo", "acervo.registry", "acervo.store", "acervo.errors", "acervo.agent" }) do
        t.child_ok({
            env = { ACERVO_PATH = t.path() },
            args = { name },
            code = [[
                assert(require(arg[1]))
                local db = assert(require("acervo").open(":memory:"))
                db.store.put("k", 1)
                assert(db.store.get("k") == 1)
                assert(rawequal(require("acervo").errors, require("acervo.errors")))
            ]],
        })
    end
end)

t.test("the environment variable EXEC_IDENT reaches the default store", function()
    local path = t.path()
    t.child_ok({
        env = { ACERVO_PATH = path, EXEC_IDENT = "from-environment" },
        code = [[ require("acervo.store").put("k", 1) ]],
    })
    t.equal(t.open({ path = path }).store.keys_global(), { "from-environment:k" })
end)
