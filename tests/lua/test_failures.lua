-- Files and directories that cannot be opened.
local t = ...
local acervo = require("acervo")

local function garbage(length)
    local bytes = {}
    local state = 12345
    for index = 1, length do
        state = state * 16807 % 2147483647
        bytes[index] = string.char(state % 256)
    end
    return table.concat(bytes)
end

local function refused_untouched(name, make)
    t.test(name .. " is refused, named and not touched", function()
        local path = t.path("damaged.db")
        local bytes = make(path)
        t.write_file(path, bytes)
        t.fails("INTERNAL", { acervo.open(path) }, path)
        t.ok(t.read_file(path) == bytes, "the file was changed")
        -- Again, with options, and after that others still open.
        t.fails("INTERNAL", { acervo.open({ path = path, durability = "normal" }) }, path)
        t.ok(t.read_file(path) == bytes, "the file was changed")
        local db = t.open()
        db.store.put("k", 1)
        t.equal(db.store.get("k"), 1)
    end)
end

refused_untouched("a file of random bytes", function() return garbage(8192) end)
refused_untouched("a short text file", function() return "this is no database\n" end)
refused_untouched("a long text file", function() return string.rep("key = value\n", 5000) end)
refused_untouched("a file with the head of a database and garbage behind", function()
    return "SQLite format 3\0" .. garbage(8192)
end)
refused_untouched("a database whose first page is overwritten behind the head", function()
    local path = t.path()
    local db = assert(acervo.open({ path = path, durability = "normal" }))
    for index = 1, 200 do
        db.store.put("k" .. index, string.rep("v", 100))
    end
    assert(db:close())
    local bytes = t.read_file(path)
    t.ok(#bytes >= 4096, "the database has no pages")
    return bytes:sub(1, 100) .. garbage(3996) .. bytes:sub(4097)
end)

t.test("an error about a damaged file is not retryable", function()
    local path = t.path("damaged.db")
    t.write_file(path, garbage(4096))
    local _, err = acervo.open(path)
    t.equal(err:retryable(), false)
end)

t.test("a missing directory is INVALID with the path", function()
    local path = t.path("missing") .. "/x.db"
    t.fails("INVALID", { acervo.open(path) }, path)
    t.fails("INVALID", { acervo.open({ path = path, read_only = true }) }, path)
end)

t.test("a directory as the file is refused with the path", function()
    local path = t.directory()
    local db, err = acervo.open(path)
    t.equal(db, nil)
    t.contains(tostring(err), path)
end)

if t.command("id -u") ~= "0" then
    t.test("a directory that may not be written is PERMISSION_DENIED with the path", function()
        local directory = t.directory()
        os.execute("chmod 555 " .. t.quote(directory))
        t.fails("PERMISSION_DENIED", { acervo.open(directory .. "/x.db") }, directory)
    end)

    t.test("a file that may not be read is PERMISSION_DENIED with the path", function()
        local path = t.path()
        local db = assert(acervo.open(path))
        db:close()
        os.execute("chmod 000 " .. t.quote(path))
        t.fails("PERMISSION_DENIED", { acervo.open(path) }, path)
    end)
end

t.test("a failed open leaves nothing behind that a later one would meet", function()
    local directory = t.path("later")
    local path = directory .. "/x.db"
    t.fails("INVALID", { acervo.open(path) })
    os.execute("mkdir " .. t.quote(directory))
    local db = t.open({ path = path })
    db.store.put("k", 1)
    t.equal(db.store.get("k"), 1)
end)

t.test("a full disk is no harm to what was acknowledged", function()
    -- A file size limit stands in for a full disk: writes beyond it fail.
    local path = t.path()
    local file = t.path("fill.lua")
    t.write_file(file, [[
        local db = assert(require("acervo").open({ path = arg[1], durability = "normal" }))
        local acknowledged = 0
        local fault
        for index = 1, 2000 do
            local ok, message = pcall(db.store.put, "k" .. index, string.rep("v", 10000))
            if not ok then
                fault = message
                break
            end
            acknowledged = index
        end
        assert(db.store.get("k" .. acknowledged) == string.rep("v", 10000))
        assert(type(fault) == "string", "20 MB went through the limit")
        assert(fault:find("store.put: ", 1, true), fault)
        assert(db.store.get("k" .. acknowledged + 1) == nil, "a refused put is visible")
        print(acknowledged)
    ]])
    local output = t.child_ok({
        args = { path, file },
        code = [[
            local index = 0
            while arg[index - 1] do index = index - 1 end
            -- SIGXFSZ ignored: the write fails with EFBIG instead.
            os.execute("trap '' XFSZ; ulimit -f 8192; " .. arg[index] .. " '" .. arg[2] .. "' '" .. arg[1] .. "'")
        ]],
    })
    local acknowledged = tonumber(output:match("^(%d+)"))
    t.ok(acknowledged, output)
    local db = t.open({ path = path })
    t.equal(db.store.count(), acknowledged)
    t.equal(db.store.get("k" .. acknowledged), string.rep("v", 10000))
    db.store.put("works", "again")
    t.equal(db.store.get("works"), "again")
end)
