-- lua check.lua CASE: runs an example of the documents in this process, with
-- the default database ($ACERVO_PATH) behind the globals that acervo.install()
-- makes, and checks what the example's text promises.
-- test_documents.lua starts it once for each case.

local directory = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = directory .. "/../?.lua;" .. package.path

require("acervo").install()
local t = require("support")
local report = print

local record

local function fixture()
    record = dofile(directory .. "/fixture.lua")
    return record
end

-- The text exactly as the file has it.
local function run(name)
    fixture()
    local chunk = assert(loadfile(directory .. "/" .. name .. ".lua"))
    return chunk()
end

-- The text, and behind it a line that hands out the functions it defines and
-- never calls.
local function run_for_functions(name, ...)
    fixture()
    local file = assert(io.open(directory .. "/" .. name .. ".lua", "rb"))
    local text = file:read("*a")
    file:close()
    return assert(t.load_text(text .. "\nreturn " .. table.concat({ ... }, ", "), "@" .. name .. ".lua"))()
end

local function now(value, since)
    return type(value) == "number" and value >= since and value <= os.time()
end

local started = os.time()
local cases = {}

---------------------------------------------------------------------------
-- registry

local function check_registry_put()
    t.ok(now(registry.get("ultima_execucao"), 0))
    t.equal(registry.get("hostname"), "servidor-producao")
    t.equal(registry.get("ativo"), true)
    t.equal(registry.get("versao"), 2.5)
    t.equal(registry.get("configuracao_monitoramento"), {
        timeout = 30,
        retries = 3,
        servidores = { "srv1", "srv2", "srv3" },
        limites = { cpu = 80, memoria = 90, disco = 95 },
    })
    local metricas = registry.get("metricas_recentes")
    t.ok(now(metricas.timestamp, 0))
    metricas.timestamp = nil
    t.equal(metricas, { cpu_usage = 45.6, memory_usage = 78.3, disk_usage = 62.1 })
    t.equal(registry.get("contador"), 2)
end

function cases.registry_put()
    run("registry_put")
    check_registry_put()
    for _, key in ipairs({ "ultima_execucao", "hostname", "metricas_recentes", "contador" }) do
        local _, timestamp = registry.get(key)
        t.ok(now(timestamp, started), key .. ": timestamp " .. tostring(timestamp))
    end
    t.equal(registry.count(), 7)
    -- The example stores 1 first, so running it again gives 2 again.
    run("registry_put")
    check_registry_put()
    t.equal(registry.count(), 7)
end

-- In a process of its own, after cases.registry_put in another.
function cases.registry_put_after_restart()
    check_registry_put()
    t.equal(registry.count(), 7)
end

function cases.registry_get_of_nothing()
    run("registry_get")
    t.equal(record.printed, { "Configura\195\167\195\163o n\195\163o encontrada" })
    t.equal(record.initialized, 1)
    t.equal(#record.processed, 0)
    t.equal(registry.get("dados_processamento").criado, true)
    t.equal(registry.count(), 1)
    -- The second time the data is there and is processed.
    run("registry_get")
    t.equal(record.initialized, 0)
    t.equal(#record.processed, 1)
    t.equal(record.processed[1].criado, true)
end

function cases.registry_get_of_what_is_there()
    registry.put("config_timeout", 30)
    registry.put("configuracao_sistema", { modo = "ativo", nivel = 3 })
    registry.put("dados_processamento", { itens = { 1, 2 } })
    registry.put("limite_cpu", 95)
    run("registry_get")
    t.equal(#record.printed, 5)
    local _, timestamp = registry.get("config_timeout")
    t.equal(record.printed[1], "Timeout configurado: \t30\tdesde\t" .. os.date("%H:%M:%S", timestamp))
    t.equal(record.printed[2], "Configura\195\167\195\163o carregada:")
    local pairs_printed = { record.printed[3], record.printed[4] }
    table.sort(pairs_printed)
    t.equal(pairs_printed, { "  \tmodo\t=\tativo", "  \tnivel\t=\t3" })
    _, timestamp = registry.get("configuracao_sistema")
    t.equal(record.printed[5],
        "\195\154ltima atualiza\195\167\195\163o: \t" .. os.date("%Y-%m-%d %H:%M:%S", timestamp))
    t.equal(record.processed, { { itens = { 1, 2 } } })
    t.equal(record.initialized, 0)
    t.equal(run_for_functions("registry_get", "limite"), 95)
    registry.delete("limite_cpu")
    t.equal(run_for_functions("registry_get", "limite"), 80)
end

function cases.registry_delete()
    registry.put("cache_temporario", { 1 })
    registry.put("outro", 1)
    run("registry_delete")
    t.equal(record.printed, { "Cache tempor\195\161rio removido" })
    local value, timestamp = registry.get("cache_temporario")
    t.equal(value, nil)
    t.equal(timestamp, nil)
    t.equal(registry.keys(), { "outro" })
    -- Deleting what is missing does nothing.
    run("registry_delete")
    t.equal(registry.keys(), { "outro" })
end

function cases.registry_delete_functions()
    registry.put_all({
        app_cache_dns = 1, app_cache_http = 2, app_metricas = 3, app_config = 4, app_outro = 5, dados = { x = 1 },
    })
    local limpar_prefixo, limpar_expirados, processar_e_limpar = run_for_functions("registry_delete",
        "limpar_prefixo", "limpar_expirados", "processar_e_limpar")
    limpar_prefixo("app")
    t.equal(registry.keys(), { "app_outro", "dados" })
    t.equal(#record.logged, 5)
    t.equal(record.logged[1], "info\tLimpando entradas com prefixo:\tapp")
    t.equal(record.logged[2], "debug\tRemovido:\tapp_cache_dns")
    limpar_expirados(60)
    t.equal(#record.logged, 7)
    t.equal(processar_e_limpar("dados"), "resultado")
    t.equal(record.processed, { { x = 1 } })
    t.equal(record.logged[8], "info\tDados processados e removidos:\tdados")
    t.equal(registry.keys(), { "app_outro" })
    t.equal(processar_e_limpar("dados"), nil)
    t.equal(record.logged[9], "warn\tChave n\195\163o encontrada:\tdados")
    t.equal(#record.processed, 1)
end

---------------------------------------------------------------------------
-- store

local function check_store_put()
    t.ok(now(store.get("ultima_execucao"), 0))
    t.equal(store.get("contador_falhas"), 0)
    t.equal(store.get("config"), { timeout = 30, intervalo = 60, alertas = true })
end

function cases.store_put()
    EXEC_IDENT = "monitor-cpu"
    run("store_put")
    check_store_put()
    local _, timestamp = store.get("ultima_execucao")
    t.ok(now(timestamp, started))
    t.equal(store.keys_global(),
        { "monitor-cpu:config", "monitor-cpu:contador_falhas", "monitor-cpu:ultima_execucao" })
    t.equal(store.get_global("monitor-cpu:ultima_execucao"), (store.get("ultima_execucao")))
    -- Another script sees none of it.
    EXEC_IDENT = "monitor-disco"
    t.equal(store.get("config"), nil)
    t.equal(#store.keys(), 0)
end

function cases.store_put_after_restart()
    EXEC_IDENT = "monitor-cpu"
    check_store_put()
    t.equal(store.count(), 3)
end

function cases.store_put_without_ident()
    run("store_put")
    check_store_put()
    t.equal(store.keys_global(), { "config", "contador_falhas", "ultima_execucao" })
end

function cases.store_get_of_nothing()
    EXEC_IDENT = "monitor-cpu"
    store.put_global("configuracao", { shared = true })
    run("store_get")
    t.equal(#record.printed, 0)
    t.equal(run_for_functions("store_get", "limite"), 70)
end

function cases.store_get_of_what_is_there()
    EXEC_IDENT = "monitor-cpu"
    store.put("ultima_execucao", started)
    store.put("configuracao", { timeout = 30 })
    store.put("limite_temperatura", 65)
    run("store_get")
    t.equal(#record.printed, 3)
    local seconds = record.printed[1]:match("^\195\154ltima execu\195\167\195\163o h\195\161\t(%d+)\tsegundos$")
    t.ok(seconds and tonumber(seconds) <= os.time() - started, record.printed[1])
    local _, timestamp = store.get("configuracao")
    t.equal(record.printed[2], "Configura\195\167\195\163o carregada (atualizada em\t" ..
        os.date("%H: %M: %S", timestamp) .. "\t)")
    t.equal(record.printed[3], " \ttimeout\t=\t30")
    t.equal(run_for_functions("store_get", "limite"), 65)
end

function cases.store_delete()
    EXEC_IDENT = "outro"
    store.put("cache_temporario", "of another script")
    EXEC_IDENT = "monitor-cpu"
    store.put_all({ cache_temporario = 1, dados_processados = 2, estado = 3 })
    store.put_global("dados_processados", "global")
    run("store_delete")
    t.equal(store.keys(), { "estado" })
    t.equal(store.get_global("dados_processados"), "global")
    EXEC_IDENT = "outro"
    t.equal(store.get("cache_temporario"), "of another script")
end

function cases.store_delete_functions()
    EXEC_IDENT = "monitor-cpu"
    store.put_all({ configuracao = 1, cache = 2, estado = 3, historico = 4, lock_backup = 5, outro = 6, dados = { 7 } })
    local limpar_dados_script, processar_e_limpar =
        run_for_functions("store_delete", "limpar_dados_script", "processar_e_limpar")
    limpar_dados_script()
    t.equal(store.keys(), { "dados", "outro" })
    t.equal(record.logged[1], "debug\tRemovido: \tconfiguracao")
    t.equal(#record.logged, 5)
    t.equal(processar_e_limpar("dados"), "resultado")
    t.equal(record.processed, { { 7 } })
    t.equal(record.logged[6], "info\tDados processados e removidos:\tdados")
    t.equal(store.keys(), { "outro" })
    t.equal(processar_e_limpar("dados"), nil)
    t.equal(record.logged[7], "warn\tChave n\195\163o encontrada:\tdados")
end

local function check_put_global()
    t.equal(store.get_global("versao_agente"), "2.5.1")
    t.ok(now(store.get_global("ultima_atualizacao"), 0))
    t.equal(store.get_global("config_global"),
        { timezone = "America/Sao_Paulo", log_level = "info", retencao_logs = 30 })
end

function cases.store_put_global()
    EXEC_IDENT = "monitor-cpu"
    run("store_put_global")
    check_put_global()
    t.equal(store.get("versao_agente"), nil)
    t.equal(store.keys_global(), { "config_global", "ultima_atualizacao", "versao_agente" })
    EXEC_IDENT = "monitor-disco"
    check_put_global()
end

function cases.store_put_global_after_restart()
    check_put_global()
end

function cases.store_get_global_of_nothing()
    EXEC_IDENT = "monitor-cpu"
    store.put("versao_agente", "not global")
    run("store_get_global")
    t.equal(record.printed, { "Timezone configurado:\tUTC" })
    t.equal(#record.logged, 0)
end

function cases.store_get_global_of_what_is_there()
    EXEC_IDENT = "monitor-cpu"
    run("store_put_global")
    store.put_global("config_global", { log_level = "info" })
    store.put_global("timezone", "America/Sao_Paulo")
    store.put_global("modo_manutencao", true)
    t.equal(select("#", run("store_get_global")), 0)
    local _, timestamp = store.get_global("versao_agente")
    t.equal(record.printed, {
        "Vers\195\163o do agente:\t2.5.1\t(atualizada em\t" .. os.date("%Y-%m-%d %H:%M:%S", timestamp) .. "\t)",
        "Configura\195\167\195\163o global carregada:",
        "  \tlog_level\t=\tinfo",
        "Timezone configurado:\tAmerica/Sao_Paulo",
    })
    _, timestamp = store.get_global("modo_manutencao")
    t.equal(record.logged, { "warn\tSistema em modo de manuten\195\167\195\163o desde\t" ..
        os.date("%H:%M:%S", timestamp) })
    store.put_global("modo_manutencao", false)
    run("store_get_global")
    t.equal(#record.logged, 0)
end

---------------------------------------------------------------------------
-- Everything after each other in one state

function cases.all_in_one_state()
    EXEC_IDENT = "monitor-cpu"
    for _ = 1, 2 do
        for _, name in ipairs({ "registry_put", "registry_get", "registry_delete", "store_put", "store_get",
            "store_delete", "store_put_global", "store_get_global" }) do
            run(name)
        end
    end
    check_registry_put()
    check_store_put()
    check_put_global()
end

local ok, fault = xpcall(assert(cases[arg[1]], "no such case"), debug.traceback)
if not ok then
    report(fault)
    os.exit(1)
end
report("ok")
