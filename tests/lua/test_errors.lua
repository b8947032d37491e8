-- The errors module and error objects.
local t = ...
local acervo = require("acervo")
local errors = require("acervo.errors")

local KINDS = {
    NOT_FOUND = "NotFound", ALREADY_EXISTS = "AlreadyExists", INVALID = "Invalid",
    PERMISSION_DENIED = "PermissionDenied", UNAVAILABLE = "Unavailable", INTERNAL = "Internal",
    CANCELED = "Canceled", CONFLICT = "Conflict", TIMEOUT = "Timeout", RATE_LIMITED = "RateLimited",
    UNKNOWN = "",
}
local RETRYABLE = { TIMEOUT = true, UNAVAILABLE = true, CONFLICT = true, RATE_LIMITED = true }

t.test("acervo.errors is the same module by field and by require", function()
    t.ok(rawequal(acervo.errors, errors))
end)

t.test("the kind constants have their values", function()
    for name, value in pairs(KINDS) do
        t.equal(errors[name], value, name)
    end
end)

t.test("new of a message is an error of kind UNKNOWN that does not know if to retry", function()
    local err = errors.new("it broke")
    t.equal(type(err), "userdata")
    t.equal(err:message(), "it broke")
    t.equal(err:kind(), errors.UNKNOWN)
    t.equal(err:retryable(), nil)
    t.equal(err:details(), nil)
    t.contains(tostring(err), "it broke")
end)

t.test("new of a table takes message, kind, retryable and details", function()
    local err = errors.new({ message = "busy", kind = errors.TIMEOUT, retryable = false,
        details = { ids = { "a", "b" }, n = 3 } })
    t.equal(err:message(), "busy")
    t.equal(err:kind(), errors.TIMEOUT)
    t.equal(err:retryable(), false)
    t.equal(err:details(), { ids = { "a", "b" }, n = 3 })
    t.equal(errors.new({ message = "x" }):kind(), errors.UNKNOWN)
    t.equal(errors.new({ message = "x", retryable = true }):retryable(), true)
end)

t.test("retryable follows the kind", function()
    for name in pairs(KINDS) do
        local err = errors.new({ message = "x", kind = errors[name] })
        if name == "UNKNOWN" then
            t.equal(err:retryable(), nil, name)
        else
            t.equal(err:retryable(), RETRYABLE[name] or false, name)
        end
    end
end)

t.test("details are a copy, on the way in and on each way out", function()
    local details = { list = { 1 } }
    local err = errors.new({ message = "x", details = details })
    details.list[1] = "changed"
    t.equal(err:details(), { list = { 1 } })
    local out = err:details()
    out.list = nil
    t.equal(err:details(), { list = { 1 } })
end)

t.test("wrap keeps kind, retryable, details and message; the context shows in tostring", function()
    local inner = errors.new({ message = "no such key", kind = errors.NOT_FOUND, details = { key = "k" } })
    local outer = errors.wrap(inner, "loading the configuration")
    t.equal(outer:kind(), errors.NOT_FOUND)
    t.equal(outer:retryable(), false)
    t.equal(outer:details(), { key = "k" })
    t.equal(outer:message(), "no such key")
    t.contains(tostring(outer), "loading the configuration")
    t.contains(tostring(outer), "no such key")
    t.ok(not tostring(inner):find("loading", 1, true), "the wrapped error changed")
    local again = errors.wrap(outer, "starting")
    t.equal(again:kind(), errors.NOT_FOUND)
    for _, part in ipairs({ "starting", "loading the configuration", "no such key" }) do
        t.contains(tostring(again), part)
    end
end)

t.test("wrap keeps a retryable that differs from the kind's", function()
    local inner = errors.new({ message = "x", kind = errors.TIMEOUT, retryable = false })
    t.equal(errors.wrap(inner, "context"):retryable(), false)
end)

t.test("is compares the kind, through wrapping", function()
    local err = errors.new({ message = "x", kind = errors.CONFLICT })
    t.equal(errors.is(err, errors.CONFLICT), true)
    t.equal(errors.is(err, errors.INVALID), false)
    t.equal(errors.is(errors.wrap(err, "context"), errors.CONFLICT), true)
    t.equal(errors.is(errors.new("x"), errors.UNKNOWN), true)
    t.equal(errors.is(errors.new("x"), errors.INVALID), false)
end)

t.test("is of what is no error is false", function()
    for _, other in ipairs({ "text", 5, true, {}, io.stdout }) do
        t.equal(errors.is(other, errors.INVALID), false)
    end
    t.equal(errors.is(nil, errors.INVALID), false)
end)

t.test("the library's own errors answer to is", function()
    local _, err = acervo.from_json("{")
    t.equal(errors.is(err, errors.INVALID), true)
    t.equal(errors.is(err, errors.INTERNAL), false)
    t.equal(err:retryable(), false)
    t.equal(type(err:message()), "string")
    t.contains(tostring(err), err:message())
end)

t.test("an error concatenates on either side", function()
    local err = errors.new("it broke")
    t.equal("reason: " .. err, "reason: " .. tostring(err))
    t.equal(err .. "!", tostring(err) .. "!")
    t.equal(err .. err, tostring(err) .. tostring(err))
    t.equal("a " .. err .. " b", "a " .. tostring(err) .. " b")
    t.equal(1 .. err, "1" .. tostring(err))
end)

t.test("messages are any bytes", function()
    local text = "configura\195\167\195\163o \255 a\0b"
    t.equal(errors.new(text):message(), text)
    t.equal(errors.new({ message = text }):message(), text)
end)

t.test("call_stack tells where the error was made", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local err = errors.new("x")
    local stack = errors.call_stack(err)
    t.equal(type(stack), "table")
    t.equal(type(stack.frames), "table")
    t.ok(stack.thread ~= nil, "no thread")
    local found = false
    for _, frame in ipairs(stack.frames) do
        t.equal(type(frame), "table")
        if type(frame.source) == "string" and frame.source:find("test_errors.lua", 1, true) and frame.line == line then
            found = true
        end
    end
    t.ok(found, "no frame for the line that made it: " .. t.show(stack))
end)

t.test("the library's own errors know where the call stood", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local _, err = acervo.from_json("{")
    local found = false
    for _, frame in ipairs(errors.call_stack(err).frames) do
        if tostring(frame.source):find("test_errors.lua", 1, true) and frame.line == line then
            found = true
        end
    end
    t.ok(found, "no frame for the line of the call")
end)

t.test("stack is there for people to read", function()
    local function deep() return errors.new("x"), nil end
    local err = deep()
    t.ok(err:stack() ~= nil)
    t.contains(tostring(err:stack()), "test_errors.lua")
end)

t.test("an error can be raised and caught as it is", function()
    local err = errors.new({ message = "x", kind = errors.CANCELED })
    local ok, caught = pcall(error, err)
    t.equal(ok, false)
    t.ok(rawequal(caught, err))
    t.equal(caught:kind(), errors.CANCELED)
end)

t.test("methods called on the wrong object raise and do no harm", function()
    local err = errors.new("x")
    for _, bad in ipairs({ {}, 1, "text", io.stdout, acervo.null }) do
        t.ok(not pcall(err.kind, bad), "kind of " .. type(bad))
        t.ok(not pcall(err.message, bad), "message of " .. type(bad))
    end
    t.equal(err:message(), "x")
end)

t.test("an error outlives the database it came from", function()
    local db = t.open()
    local _, err = db:from_json("{")
    db:close()
    db = nil
    collectgarbage()
    collectgarbage()
    t.equal(err:kind(), errors.INVALID)
    t.equal(type(err:message()), "string")
end)
