-- lua visitor.lua FILE NAME: a stock interpreter on the file that the agent has
-- open. Reads what the monitors stored and leaves something of its own.
local path, name = arg[1], arg[2]

local acervo = require("acervo")
local db = assert(acervo.open(path))

-- What C and Lua 5.4 wrote, with its types.
assert(db.registry.get("hostname") == "servidor-producao")
assert(db.registry.get("ativo") == true)
assert(db.registry.get("versao") == 2.5)
local config = db.registry.get("configuracao_monitoramento")
assert(config.servidores[3] == "srv3" and config.limites.disco == 95)
assert(db:namespace("monitor-cpu").get("config").intervalo == 60)
local version, written = db.store.get_global("versao_agente")
assert(version == "2.5.1" and written <= os.time())

local read = 0
for _ in db.registry.pairs() do
    read = read + 1
end

db.store.put_global("visita." .. name, { texto = "olá", inteiro = 42, real = 2.5, lista = { 1, "dois", true } })
db.store.incr_global("visitas")
db.registry.put("visita." .. name, "registrado")
assert(db:close())

print(string.format("%-8s read %2d registry keys, wrote 2 keys and a count", _VERSION, read))
