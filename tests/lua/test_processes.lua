-- Several processes on one file.
local t = ...

local OPEN = [[
    local db = assert(require("acervo").open({ path = arg[1], durability = "normal", flush_interval_ms = 20 }))
]]

t.test("a store write is seen by the next read in another process", function()
    local db, path = t.open()
    db.store.put("k", "ours")
    for round = 1, 5 do
        local output = t.child_ok({
            args = { path, tostring(round) },
            code = OPEN .. [[
                print((db.store.get("k")))
                db.store.put("k", "theirs " .. arg[2])
                db.store.put("made" .. arg[2], { tonumber(arg[2]) })
                db.store.delete("made" .. tonumber(arg[2]) - 1)
            ]],
        })
        t.contains(output, round == 1 and "ours" or "ours " .. round)
        t.equal(db.store.get("k"), "theirs " .. round)
        t.equal(type(db.store.get("made" .. round)), "table")
        t.equal(db.store.count("made"), 1)
        db.store.put("k", "ours " .. round + 1)
    end
end)

t.test("a registry write is seen by another process once flushed", function()
    local db, path = t.open({ flush_interval_ms = 20 })
    db.registry.put("k", "ours")
    db.registry.flush()
    local output = t.child_ok({
        args = { path },
        code = OPEN .. [[
            print((db.registry.get("k")))
            db.registry.put("k", "theirs")
            db.registry.put("new", 1)
            db.registry.flush()
        ]],
    })
    t.contains(output, "ours")
    t.wait_until(function() return db.registry.get("k") == "theirs" and db.registry.get("new") == 1 end,
        "the other process's flush to be seen")
end)

t.test("processes that count together lose no count", function()
    local path = t.path()
    local file = t.path("counter.lua")
    t.write_file(file, OPEN .. [[
        for _ = 1, 200 do
            db.store.incr("n")
            local done = false
            while not done do
                local old = db.store.get("c")
                done = db.store.cas("c", old, (old or 0) + 1)
            end
            db.store.update("u", function(value) return (value or 0) + 1 end)
        end
    ]])
    -- Four at once: the child starts three more of itself.
    local output = t.child_ok({
        args = { path, file },
        code = [[
            local index = 0
            while arg[index - 1] do index = index - 1 end
            local one = arg[index] .. " '" .. arg[2] .. "' '" .. arg[1] .. "'"
            local all = {}
            for n = 1, 4 do all[n] = "{ " .. one .. " || echo failed; } &" end
            os.execute(table.concat(all, " ") .. " wait")
        ]],
    })
    t.equal(output, "")
    local db = t.open({ path = path, flush_interval_ms = 20 })
    t.equal(db.store.get("n"), 800)
    t.equal(db.store.get("c"), 800)
    t.equal(db.store.get("u"), 800)
end)

t.test("only one of several processes gets the lock", function()
    local path = t.path()
    local winners = 0
    for _ = 1, 4 do
        local output = t.child_ok({
            args = { path },
            code = OPEN .. [[ print(db.store.cas("lock", nil, true)) ]],
        })
        if output:find("true", 1, true) then
            winners = winners + 1
        end
    end
    t.equal(winners, 1)
end)
