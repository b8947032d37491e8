-- Every example of the two reference documents, as it stands there, in a state
-- of its own: see documents/README.md.
local t = ...

local function check(path, case, script)
    local output = t.child_ok({
        file = t.here() .. "/documents/" .. (script or "check.lua"),
        args = { case },
        env = { ACERVO_PATH = path },
    })
    t.equal(output, "ok\n")
end

for _, case in ipairs({
    "registry_get_of_nothing", "registry_get_of_what_is_there", "registry_delete", "registry_delete_functions",
    "store_put_without_ident", "store_get_of_nothing", "store_get_of_what_is_there", "store_delete",
    "store_delete_functions", "store_get_global_of_nothing", "store_get_global_of_what_is_there",
    "all_in_one_state",
}) do
    t.test("example " .. case, function()
        check(t.path(), case)
    end)
end

-- "Persistência entre reinícios do agente": a second process reads.
for _, case in ipairs({ "registry_put", "store_put", "store_put_global" }) do
    t.test("example " .. case .. ", and what it stored after a restart", function()
        local path = t.path()
        check(path, case)
        check(path, case .. "_after_restart")
    end)
end

---------------------------------------------------------------------------
-- The entry registry

for _, case in ipairs({
    "loading", "structure", "structure_en", "get", "find", "parse_id", "snapshots", "snapshots_en",
    "snapshot_at_a_version_that_is_not_there", "versions", "versions_en", "versions_of_a_new_registry", "history",
    "changesets_that_do_not_fit", "apply_version", "build_delta", "calls_of_the_tables", "all_in_one_script",
    "finder", "squashing", "navigation", "resolver", "transactions", "kinds_that_do_not_propagate",
    "permission_to_get", "permission_to_apply", "permission_to_apply_a_version",
}) do
    t.test("entry registry, example " .. case, function()
        check(t.path(), case, "check_entries.lua")
    end)
end

t.test("entry registry, example changesets, and what it applied after a restart", function()
    local path = t.path()
    check(path, "changesets", "check_entries.lua")
    check(path, "changesets_after_restart", "check_entries.lua")
end)

t.test("entry registry, LoadState on a history that another process made", function()
    local path = t.path()
    check(path, "load_state_makes_a_history", "check_entries.lua")
    check(path, "load_state", "check_entries.lua")
end)
