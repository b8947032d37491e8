-- What one process writes another reads. Between different interpreters the
-- driver runs exchange_write.lua and exchange_read.lua itself.
local t = ...

t.test("every kind of value goes from one process to another", function()
    local path = t.path()
    local output = t.child_ok({ file = t.here() .. "/exchange_write.lua", args = { path } })
    t.ok(output:find("wrote %d%d%d? values"), output)
    output = t.child_ok({ file = t.here() .. "/exchange_read.lua", args = { path } })
    t.contains(output, " 0 wrong")
end)

t.test("the reader notices a value that differs", function()
    local path = t.path()
    t.child_ok({ file = t.here() .. "/exchange_write.lua", args = { path } })
    local db = t.open({ path = path, durability = "full" })
    db.store.put_global("case map", { timeout = 31 })
    db:close()
    local output, code = t.child({ file = t.here() .. "/exchange_read.lua", args = { path } })
    t.equal(code, 1, output)
    t.contains(output, "global store: map")
end)
