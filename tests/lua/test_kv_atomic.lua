-- incr and cas.
local t = ...
local acervo = require("acervo")

t.each_kv("incr adds one, from 0 for a missing key, and gives the new value", function(kv)
    t.equal(kv.incr("k"), 1)
    t.equal(kv.incr("k"), 2)
    t.equal(kv.get("k"), 2)
end)

t.each_kv("incr adds what it is given", function(kv)
    t.equal(kv.incr("k", 10), 10)
    t.equal(kv.incr("k", -3), 7)
    t.equal(kv.incr("k", 0), 7)
    t.equal(kv.get("k"), 7)
end)

t.each_kv("incr with nil for the amount adds one", function(kv)
    t.equal(kv.incr("k", nil), 1)
end)

t.each_kv("incr adds floats", function(kv)
    t.equal(kv.incr("k", 0.5), 0.5)
    t.equal(kv.incr("k", 0.25), 0.75)
    kv.put("f", 2.5)
    t.equal(kv.incr("f"), 3.5)
end)

if t.subtypes then
    t.each_kv("an int stays an int and a float stays a float", function(kv)
        kv.put("i", 1)
        t.equal(kv.incr("i", 2), 3)
        kv.put("f", 1.0)
        t.equal(kv.incr("f", 2), 3.0)
        kv.put("m", 1)
        t.equal(kv.incr("m", 2.0), 3.0)
    end)
end

t.each_kv("incr sets the timestamp", function(kv)
    local before = os.time()
    kv.incr("k")
    local _, timestamp = kv.get("k")
    t.ok(before <= timestamp and timestamp <= os.time())
end)

t.each_kv("an int overflow is refused and leaves the value", { big_int = "string" }, function(kv)
    local label = kv.name .. ".incr" .. kv.suffix .. ": "
    -- 1023 * 2^53 + (2^53 - 1) is the largest int.
    for _ = 1, 1023 do
        kv.incr("high", t.two53)
        kv.incr("low", -t.two53)
    end
    kv.incr("high", t.two53 - 1)
    kv.incr("low", -t.two53)
    local high, low = kv.get("high"), kv.get("low")
    t.contains(tostring(high), "9223372036854775807")
    t.contains(tostring(low), "-9223372036854775808")
    t.raises(function() kv.incr("high") end, label)
    t.raises(function() kv.incr("low", -1) end, label)
    t.equal(kv.get("high"), high)
    t.equal(kv.get("low"), low)
    kv.incr("high", -1)
    t.contains(tostring(kv.get("high")), "9223372036854775806")
end)

t.each_kv("incr of what is no number is refused and leaves the value", function(kv)
    local label = kv.name .. ".incr" .. kv.suffix .. ": "
    for _, value in ipairs({ "1", true, false, { 1 }, acervo.null }) do
        kv.put("k", value)
        local before, stamp = kv.get("k")
        t.raises(function() kv.incr("k") end, label)
        local after, stamp_after = kv.get("k")
        t.equal(after, before)
        t.equal(stamp_after, stamp)
    end
end)

t.each_kv("incr by what is no number is refused", function(kv)
    local label = kv.name .. ".incr" .. kv.suffix .. ": "
    for _, by in ipairs({ "1", true, {}, print }) do
        t.raises(function() kv.incr("k", by) end, label)
    end
    t.equal(kv.count(), 0)
end)

t.each_kv("cas stores only over the expected value", function(kv)
    kv.put("k", "a")
    t.equal(kv.cas("k", "b", "c"), false)
    t.equal(kv.get("k"), "a")
    t.equal(kv.cas("k", "a", "c"), true)
    t.equal(kv.get("k"), "c")
end)

t.each_kv("cas with nil expects a missing key", function(kv)
    t.equal(kv.cas("k", nil, 1), true)
    t.equal(kv.cas("k", nil, 2), false)
    t.equal(kv.get("k"), 1)
    kv.delete("k")
    t.equal(kv.cas("k", nil, 3), true)
    t.equal(kv.get("k"), 3)
end)

t.each_kv("cas with acervo.null expects a stored nil, which nil does not", function(kv)
    t.equal(kv.cas("k", acervo.null, 1), false)
    kv.put("k", nil)
    t.equal(kv.cas("k", nil, 1), false)
    t.equal(kv.cas("k", acervo.null, 2), true)
    t.equal(kv.get("k"), 2)
    t.equal(kv.cas("k", acervo.null, 3), false)
end)

t.each_kv("cas of a missing key with a value expected stores nothing", function(kv)
    t.equal(kv.cas("k", 1, 2), false)
    t.equal(kv.count(), 0)
end)

t.each_kv("cas compares tables by content", function(kv)
    kv.put("k", { list = { 1, 2 }, name = "x" })
    t.equal(kv.cas("k", { name = "x", list = { 1, 3 } }, 1), false)
    t.equal(kv.cas("k", { name = "x", list = { 1, 2 }, more = 1 }, 1), false)
    t.equal(kv.cas("k", { name = "x", list = { 1, 2 } }, "done"), true)
    t.equal(kv.get("k"), "done")
end)

t.each_kv("a cas that stores sets the timestamp, one that does not leaves it", function(kv)
    kv.put("k", 1)
    local _, first = kv.get("k")
    t.wait_until(function() return os.time() > first end, "the next second")
    kv.cas("k", 2, 3)
    local _, second = kv.get("k")
    t.equal(second, first)
    kv.cas("k", 1, 3)
    local _, third = kv.get("k")
    t.ok(third > first, "the timestamp did not move")
end)

t.each_kv("a lock by cas is taken once", function(kv)
    local taken = 0
    for _ = 1, 10 do
        if kv.cas("lock", nil, true) then
            taken = taken + 1
        end
    end
    t.equal(taken, 1)
    kv.delete("lock")
    t.equal(kv.cas("lock", nil, true), true)
end)

if not t.subtypes and not t.jit then
    t.each_kv("an incr whose sum cannot be given is refused and leaves the value", function(kv)
        kv.put("k", t.two53 - 1)
        t.equal(kv.incr("k"), t.two53)
        t.raises(function() kv.incr("k") end, "big_int")
        t.raises(function() kv.incr("k", t.two53) end, "big_int")
        t.equal(kv.get("k"), t.two53)
        t.equal(kv.incr("k", -1), t.two53 - 1)
        kv.put("n", -t.two53)
        t.raises(function() kv.incr("n", -1) end, "big_int")
        t.equal(kv.get("n"), -t.two53)
    end)

    t.each_kv("an incr near the limit keeps the ttl", function(kv)
        kv.put("k", t.two53 - 1, { ttl = 0.3 })
        kv.incr("k")
        t.sleep(0.5)
        t.equal(kv.get("k"), nil)
    end)
end

t.each_kv("incr by a function says what the amount must be", function(kv)
    t.raises(function() kv.incr("k", print) end, "the amount must be a number, got function")
end)
