-- What the test files share: assertions, scratch files, child processes.
-- Plain Lua that 5.1 to 5.5 and LuaJIT all read.

local acervo = require("acervo")

local t = {}

t.jit = rawget(_G, "jit") ~= nil
-- 5.3 and later tell integers from floats.
t.subtypes = math.type ~= nil
t.load_text = rawget(_G, "loadstring") or load

local function number_of_version()
    return tonumber(_VERSION:match("(%d+%.%d+)"))
end
t.version = number_of_version()

-- Built at run time: 5.1 may merge the constants 0 and -0.
t.huge = math.huge
t.nan = t.huge - t.huge
t.minus_zero = -1 / t.huge
t.two53 = 9007199254740992

local directory, scratch, prefix
local interpreter
local counter = 0
local current_file, current_tests, opened

---------------------------------------------------------------------------
-- Running

local function fatal(message)
    print(message)
    print("0 passed, 1 failed")
    os.exit(1)
end

local function lowest_argument()
    local index = 0
    while arg[index - 1] do
        index = index - 1
    end
    return arg[index]
end

local function first_line(command)
    local pipe = assert(io.popen(command))
    local line = pipe:read("*l")
    pipe:close()
    return line
end

function t.start(test_directory)
    scratch = os.getenv("ACERVO_TEST_DIR")
    if not scratch or scratch == "" then
        fatal("ACERVO_TEST_DIR must name a writable directory")
    end
    if os.getenv("EXEC_IDENT") then
        fatal("EXEC_IDENT is set: the tests need an environment without it")
    end
    local here = first_line("pwd")
    local function absolute(path)
        return path:sub(1, 1) == "/" and path or here .. "/" .. path
    end
    directory = absolute(test_directory)
    scratch = absolute(scratch)
    interpreter = os.getenv("ACERVO_TEST_LUA") or lowest_argument()
    if interpreter:find("/", 1, true) then
        interpreter = absolute(interpreter)
    end
    -- Several interpreters may share the directory at the same time.
    prefix = string.format("%s%s-%d-%s", t.jit and "jit" or "lua", _VERSION:match("%d+%.%d+"),
        os.time(), tostring({}):match("0x0*(%x+)") or tostring({}):match("%w+$"))
    local probe, problem = io.open(t.path("probe"), "w")
    if not probe then
        fatal("ACERVO_TEST_DIR is not writable: " .. tostring(problem))
    end
    probe:close()
    if os.getenv("ACERVO_TEST_GC") == "1" then
        -- 5.5 has only "param", the others only the first two.
        pcall(collectgarbage, "setpause", 1)
        pcall(collectgarbage, "setstepmul", 400)
        pcall(collectgarbage, "param", "pause", 1)
        pcall(collectgarbage, "param", "stepmul", 400)
    end
end

-- Lengths around the borders of the encoding. Under collector pressure, where
-- 5.2 and 5.3 look at everything alive with every allocation, the small ones.
function t.border_lengths(small)
    if os.getenv("ACERVO_TEST_GC") ~= "1" then
        small[#small + 1] = 65535
        small[#small + 1] = 65536
    end
    return small
end

-- How often something is repeated that makes garbage.
function t.many(count)
    return os.getenv("ACERVO_TEST_GC") == "1" and math.ceil(count / 100) or count
end

-- Loads a test file and gives the list of its tests.
function t.load(file)
    current_file, current_tests = file, {}
    local chunk, problem = loadfile(file)
    if not chunk then
        return nil, problem
    end
    local ok, fault = pcall(chunk, t)
    if not ok then
        return nil, tostring(fault)
    end
    if #current_tests == 0 then
        return nil, "no test in it"
    end
    return current_tests
end

function t.test(name, fn)
    current_tests[#current_tests + 1] = { name = name, fn = fn }
end

local function one_line(value)
    return (tostring(value):gsub("%s*\n%s*", " | "))
end

-- Runs one test; gives nil, or one line with location, name and reason.
function t.run(file, test)
    opened = {}
    local ok, fault = xpcall(test.fn, function(reason)
        -- The lines of the test file on the stack, innermost first.
        local lines = {}
        local level = 2
        while true do
            local info = debug.getinfo(level, "Sl")
            if not info then
                break
            end
            if info.source == "@" .. file then
                lines[#lines + 1] = info.currentline
            end
            level = level + 1
        end
        return { lines = lines, reason = reason }
    end)
    rawset(_G, "EXEC_IDENT", nil)
    for index = #opened, 1, -1 do
        opened[index]:close()
    end
    opened = nil
    if ok then
        return nil
    end
    local place = file .. ":" .. tostring(table.remove(fault.lines, 1) or "?")
    if #fault.lines > 0 then
        place = place .. " (from " .. table.concat(fault.lines, ", ") .. ")"
    end
    return string.format("%s: %s: %s", place, test.name, one_line(fault.reason))
end

---------------------------------------------------------------------------
-- Assertions

-- Text of any value, for messages.
function t.show(value, depth)
    depth = depth or 0
    local kind = type(value)
    if kind == "string" then
        local text = value:gsub("[%c\128-\255\"\\]", function(c)
            return string.format("\\%03d", c:byte())
        end)
        if #text > 200 then
            text = text:sub(1, 200) .. "..."
        end
        return '"' .. text .. '"'
    elseif kind == "number" then
        if t.subtypes and math.type(value) == "integer" then
            return string.format("%d", value)
        end
        return string.format("%.17g", value) .. (t.subtypes and " (float)" or "")
    elseif kind == "table" then
        if depth > 4 then
            return "{...}"
        end
        local parts = {}
        for k, v in next, value do
            parts[#parts + 1] = "[" .. t.show(k, depth + 1) .. "] = " .. t.show(v, depth + 1)
            if #parts > 20 then
                parts[#parts + 1] = "..."
                break
            end
        end
        return "{" .. table.concat(parts, ", ") .. "}"
    end
    return tostring(value)
end

local function same_number(a, b)
    if t.subtypes and math.type(a) ~= math.type(b) then
        return false
    end
    if a ~= a or b ~= b then
        return a ~= a and b ~= b
    end
    return a == b and (a ~= 0 or t.subtypes and math.type(a) == "integer" or 1 / a == 1 / b)
end

-- Whether two values are the same: number subtype, sign of zero, NaN, keys,
-- and the mark of an empty array count; other metatables do not.
function t.same(a, b)
    if type(a) ~= type(b) then
        return false
    elseif type(a) == "number" then
        return same_number(a, b)
    elseif type(a) == "cdata" then
        return tostring(a) == tostring(b)
    elseif type(a) ~= "table" then
        return a == b
    end
    local count = 0
    for k, v in next, a do
        count = count + 1
        if not t.same(v, rawget(b, k)) then
            return false
        end
    end
    for _ in next, b do
        count = count - 1
    end
    if count ~= 0 then
        return false
    end
    if next(a) == nil then
        return acervo.to_json(a) == acervo.to_json(b)
    end
    return true
end

function t.equal(actual, expected, what)
    if not t.same(actual, expected) then
        error((what and what .. ": " or "") .. "expected " .. t.show(expected) .. ", got " ..
            t.show(actual), 0)
    end
end

function t.ok(condition, what)
    if not condition then
        error(what or "not true", 0)
    end
end

function t.contains(text, part, what)
    if type(text) ~= "string" or not text:find(part, 1, true) then
        error((what and what .. ": " or "") .. "expected a text with " .. t.show(part) ..
            ", got " .. t.show(text), 0)
    end
end

-- fn must raise a plain string that holds each of the parts.
function t.raises(fn, ...)
    local ok, fault = pcall(fn)
    if ok then
        error("nothing was raised", 0)
    end
    if type(fault) ~= "string" then
        error("raised a " .. type(fault) .. ", not a string: " .. tostring(fault), 0)
    end
    for index = 1, select("#", ...) do
        t.contains(fault, (select(index, ...)), "raised")
    end
    return fault
end

-- `t.fails("INVALID", {call()}, part ...)`: the call gave nil and an error
-- object of that kind whose text holds the parts.
function t.fails(kind, results, ...)
    if results[1] ~= nil then
        error("expected nil and an error, got " .. t.show(results[1]), 0)
    end
    local err = results[2]
    if type(err) ~= "userdata" then
        error("expected an error object, got " .. t.show(err), 0)
    end
    if err:kind() ~= acervo.errors[kind] then
        error("expected kind " .. kind .. ", got " .. t.show(err:kind()) .. ": " .. tostring(err), 0)
    end
    for index = 1, select("#", ...) do
        t.contains(tostring(err), (select(index, ...)), "error")
    end
    return err
end

---------------------------------------------------------------------------
-- Databases and files

-- A path no other test has.
function t.path(name)
    counter = counter + 1
    return string.format("%s/%s-%d-%s", scratch, prefix, counter, name or "test.db")
end

-- Opens a database that is closed when the test ends.
function t.open(options)
    local given = { path = nil, durability = "normal" }
    for k, v in pairs(options or {}) do
        given[k] = v
    end
    given.path = given.path or t.path()
    local db, err = acervo.open(given)
    if not db then
        error("cannot open " .. given.path .. ": " .. tostring(err), 0)
    end
    opened[#opened + 1] = db
    return db, given.path
end

function t.read_file(path)
    local file, problem = io.open(path, "rb")
    if not file then
        return nil, problem
    end
    local bytes = file:read("*a")
    file:close()
    return bytes
end

function t.write_file(path, bytes)
    local file = assert(io.open(path, "wb"))
    file:write(bytes)
    file:close()
end

function t.sleep(seconds)
    os.execute("sleep " .. string.format("%.3f", seconds))
end

-- Asks fn until it gives true, for at most ten seconds.
function t.wait_until(fn, what)
    local deadline = os.time() + 10
    while not fn() do
        if os.time() > deadline then
            error("waited in vain: " .. what, 0)
        end
        t.sleep(0.02)
    end
end

-- A temporary directory of its own.
function t.directory(name)
    local path = t.path(name or "dir")
    os.execute("mkdir " .. t.quote(path))
    return path
end

function t.quote(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- First line that a shell command prints.
t.command = first_line

function t.here()
    return directory
end

---------------------------------------------------------------------------
-- Child processes

-- Runs Lua in a new process of the same interpreter and waits for it.
-- Fields: code (text) or file, env (table), args (list), flags (text), cwd.
-- Gives what it printed (stdout and stderr) and its exit code.
function t.child(spec)
    local out = t.path("child.out")
    local file = spec.file
    if not file then
        file = t.path("child.lua")
        t.write_file(file, spec.code)
    end
    local words = { "env", "-u", "EXEC_IDENT", "-u", "ACERVO_PATH" }
    for name, value in pairs(spec.env or {}) do
        words[#words + 1] = name .. "=" .. t.quote(value)
    end
    words[#words + 1] = t.quote(interpreter)
    words[#words + 1] = spec.flags
    words[#words + 1] = t.quote(file)
    for _, value in ipairs(spec.args or {}) do
        words[#words + 1] = t.quote(value)
    end
    local command = table.concat(words, " ")
    if spec.cwd then
        command = "cd " .. t.quote(spec.cwd) .. " && " .. command
    end
    os.execute("{ " .. command .. "; } >" .. out .. " 2>&1; echo $? >" .. out .. ".code")
    local code = tonumber((t.read_file(out .. ".code"):match("%d+")))
    return t.read_file(out), code
end

-- Runs a child that must succeed; gives what it printed.
function t.child_ok(spec)
    local output, code = t.child(spec)
    if code ~= 0 then
        error("child process failed (" .. tostring(code) .. "): " .. output, 0)
    end
    return output
end

---------------------------------------------------------------------------
-- registry, store and the global keys of the store, by one set of names

local SHARED = { "put", "get", "delete", "keys", "count", "put_all", "incr", "cas", "update" }
local NAMESPACED = { "pairs", "delete_prefix", "purge" }

local function flavour(name, module, suffix)
    local kv = { name = name, suffix = suffix }
    for _, call in ipairs(SHARED) do
        kv[call] = module[call .. suffix]
        if type(kv[call]) ~= "function" then
            error(name .. "." .. call .. suffix .. " is missing", 0)
        end
    end
    if suffix == "" then
        for _, call in ipairs(NAMESPACED) do
            kv[call] = module[call]
            if type(kv[call]) ~= "function" then
                error(name .. "." .. call .. " is missing", 0)
            end
        end
    end
    return kv
end

t.flavours = {
    { name = "registry", make = function(db) return flavour("registry", db.registry, "") end },
    { name = "store", make = function(db) return flavour("store", db.store, "") end },
    { name = "global store", make = function(db) return flavour("store", db.store, "_global") end },
}

local function each(flavours, name, options, fn)
    if type(options) == "function" then
        options, fn = nil, options
    end
    for _, one in ipairs(flavours) do
        t.test(one.name .. ": " .. name, function()
            local given = {}
            for k, v in pairs(options or {}) do
                given[k] = v
            end
            if one.name == "store" then
                given.ident = "suite"
            end
            local db, path = t.open(given)
            fn(one.make(db), db, path)
        end)
    end
end

-- One test for each of registry, store with an ident, and global keys.
function t.each_kv(name, options, fn)
    each(t.flavours, name, options, fn)
end

-- For the calls that have no _global form.
function t.each_namespaced(name, options, fn)
    each({ t.flavours[1], t.flavours[2] }, name, options, fn)
end

return t
