-- Random changesets, jumps between versions and reopenings, beside a model
-- that keeps every state whole. ACERVO_TEST_SEED repeats a run.
local t = ...
local e = require("support_entries")

local seed = tonumber(os.getenv("ACERVO_TEST_SEED") or "") or os.time() % 2147483646 + 1
seed = math.floor(seed)

-- Park and Miller's generator, whose products stay below 2^53 in every Lua.
local function generator(start)
    local state = start % 2147483646 + 1
    return function(limit)
        state = (state * 16807) % 2147483647
        return state % limit
    end
end

local function copy(state)
    local other = {}
    for id, entry in pairs(state) do
        other[id] = entry
    end
    return other
end

local function listed(state)
    local list = {}
    for _, entry in e.sorted(state) do
        list[#list + 1] = entry
    end
    return list
end

-- Queues one random op; gives the kind of its fault, if it has one, and does
-- it to the state if it has none.
local function random_op(random, changes, state)
    local id = "n" .. random(2) .. ":" .. random(5)
    local entry = e.entry(id, {
        kind = "k" .. (random(8) == 0 and 2 or 1),
        meta = { depends_on = "n" .. random(2) .. ":" .. random(5) },
        data = random(1000),
    })
    local which = random(3)
    local there = state[id]
    if which == 0 then
        changes:create(entry)
        if there then
            return "ALREADY_EXISTS"
        end
        state[id] = entry
    elseif which == 1 then
        changes:update(entry)
        if not there then
            return "NOT_FOUND"
        elseif there.kind ~= entry.kind then
            return "INVALID"
        end
        state[id] = entry
    else
        changes:delete(id)
        if not there then
            return "NOT_FOUND"
        end
        state[id] = nil
    end
end

local function run(random, options)
    local entries, db, path = e.open(options)
    local states, parents = { [0] = {} }, {}
    local head, newest = 0, 0

    local function random_version()
        while true do
            local version = random(newest + 1)
            if states[version] then
                return version
            end
        end
    end

    for _ = 1, t.many(300) do
        local step = random(20)
        if step < 12 then
            local state, fault = copy(states[head]), nil
            local changes = e.changes(entries)
            for _ = 0, random(4) do
                fault = random_op(random, changes, state)
                -- The first fault is the one reported.
                if fault then
                    break
                end
            end
            if fault then
                t.fails(fault, { changes:apply() })
            else
                newest = newest + 1
                t.equal(e.some(changes:apply()):id(), newest)
                states[newest], parents[newest], head = state, head, newest
            end
        elseif step < 16 then
            head = random_version()
            e.some(entries.apply_version(head))
        elseif step < 18 then
            local version = random_version()
            if version > 0 then
                t.equal(e.some(entries.snapshot_at(version)):entries(), #listed(states[version]) == 0 and e.NONE
                    or listed(states[version]), "v" .. version)
            end
        elseif step == 18 and path ~= ":memory:" then
            db:close()
            entries, db = e.open({ path = path })
        elseif head > 0 and random(10) == 0 then
            e.some(entries.prune(head))
            for version = 1, newest do
                local at = version
                while at and at ~= head do
                    at = parents[at]
                end
                if at ~= head and states[version] then
                    states[version] = nil
                end
            end
            parents[head] = 0
        end
        t.equal(entries.current_version():id(), head)
        local now = listed(states[head])
        t.equal(entries.snapshot():entries(), #now == 0 and e.NONE or now)
    end

    local kept = {}
    for version = 0, newest do
        if states[version] then
            kept[#kept + 1] = version
        else
            t.fails("NOT_FOUND", { entries.snapshot_at(version) }, "pruned")
        end
    end
    t.equal(e.numbers(entries.versions()), kept)
    for _, from in ipairs(kept) do
        e.some(entries.apply_version(from))
        local previous = entries.current_version():previous()
        t.equal(previous and previous:id(), parents[from])
        local now = listed(states[from])
        t.equal(entries.snapshot():entries(), #now == 0 and e.NONE or now, "v" .. from)
        -- The delta to a state leads there.
        local to = listed(states[kept[random(#kept) + 1]])
        local model = copy(states[from])
        for _, op in ipairs(e.some(entries.build_delta(now, to))) do
            local id = op.entry.id
            t.equal(model[id] ~= nil, op.kind ~= "entry.create", op.kind .. " " .. id)
            model[id] = op.kind ~= "entry.delete" and op.entry or nil
        end
        t.equal(listed(model), to)
    end
end

for name, options in e.sorted({ ["a file"] = {}, memory = { path = ":memory:" } }) do
    t.test("random changesets and jumps keep to the model, in " .. name, function()
        for round = 1, 3 do
            local ok, problem = pcall(run, generator(seed * 31 + round), options)
            if not ok then
                error(string.format("ACERVO_TEST_SEED=%d round %d: %s", seed, round, tostring(problem)), 0)
            end
        end
    end)
end
