-- Runs the Lua test suite, in whichever interpreter this is started with.
--
--   ACERVO_TEST_DIR=/tmp/x LUA_CPATH='/dir/?.so' lua5.4 tests/lua/run.lua [topic ...]
--
-- A topic is the name of a test file (`values`, `test_values.lua` or a path);
-- without one all of them run. Environment:
--   LUA_CPATH         where acervo.so is; absolute, since some tests start
--                     a second interpreter in another directory
--   ACERVO_TEST_DIR   a writable directory; every test makes its own files there
--   ACERVO_TEST_GC    1: run under garbage collector pressure
--   ACERVO_TEST_LUA   the interpreter for child processes (default: this one)
--   ACERVO_TEST_SEED  seed of the property tests (default: from the clock)
--   ACERVO_TEST_SLOW  1: print how long each test took, slowest last

local ALL = {
    "values", "numbers", "errors_in_values", "json", "msgpack", "property",
    "kv_basic", "kv_keys", "kv_ttl", "kv_batch", "kv_atomic", "kv_update", "kv_purge",
    "ident", "options", "handles", "persistence", "processes", "failures",
    "entries_basic", "entries_changes", "entries_fold", "entries_versions", "entries_snapshots", "entries_find",
    "entries_dependencies", "entries_delta", "entries_errors", "entries_values", "entries_persistence",
    "entries_handles", "entries_objects", "entries_property",
    "entries_handlers", "entries_queue", "entries_feed", "entries_load", "entries_policy",
    "raising", "errors", "modules", "coroutines", "collector",
    "exchange", "documents", "examples",
}

local directory = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = directory .. "/?.lua;" .. package.path

local t = require("support")
t.start(directory)

local chosen = {}
for _, name in ipairs(arg) do
    chosen[#chosen + 1] = name:match("([^/]+)$"):gsub("^test_", ""):gsub("%.lua$", "")
end
if #chosen == 0 then
    chosen = ALL
end

local passed, failed = 0, 0
local slow = {}

for _, topic in ipairs(chosen) do
    local file = directory .. "/test_" .. topic .. ".lua"
    local tests, problem = t.load(file)
    if not tests then
        failed = failed + 1
        print("FAIL " .. file .. ": " .. problem)
        tests = {}
    end
    for _, test in ipairs(tests) do
        local started = os.clock()
        local fault = t.run(file, test)
        slow[#slow + 1] = { seconds = os.clock() - started, name = topic .. ": " .. test.name }
        if fault then
            failed = failed + 1
            print("FAIL " .. fault)
        else
            passed = passed + 1
        end
    end
end

if os.getenv("ACERVO_TEST_SLOW") == "1" then
    table.sort(slow, function(a, b) return a.seconds < b.seconds end)
    for _, entry in ipairs(slow) do
        print(string.format("%8.3f s  %s", entry.seconds, entry.name))
    end
end

print(passed .. " passed, " .. failed .. " failed")
if failed > 0 or passed == 0 then
    os.exit(1, true)
end
-- On success the script just ends, so that lua_close runs in 5.1 too.
