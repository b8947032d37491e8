-- What each monitor of the demo's agent does: it runs the examples of the
-- reference documents as they stand there. The agent has bound its database
-- and the monitor's ident to this state.
local documents, increments = ...

-- The globals that the documents' scripts use.
require("acervo").install()

-- What the examples presuppose (log, processar, ...); it records what they print.
local record = dofile(documents .. "/fixture.lua")

for _, example in ipairs({
    "registry_put", "store_put", "store_put_global",
    "registry_get", "store_get", "store_get_global",
    "registry_delete", "store_delete",
}) do
    dofile(documents .. "/" .. example .. ".lua")
end

-- All monitors add to one number at the same time.
for _ = 1, increments do
    registry.incr("demo.total")
end

return table.concat(record.printed, "\n")
