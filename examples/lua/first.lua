-- lua5.4 first.lua: a first program. It counts its own runs.
local acervo = require("acervo")

local db = assert(acervo.open({ path = "first.db", ident = "first" }))

-- The registry: fast state, shared by all scripts.
db.registry.put("hostname", "server-1")
print(db.registry.get("hostname")) -- value and time of the last write

-- The store: durable state of this ident. put returns when the disk holds it.
db.store.put("config", { timeout = 30, servers = { "srv1", "srv2" } })
print("servers:", table.concat(db.store.get("config").servers, ", "))
print("runs:", db.store.incr("runs"))

db:close()
