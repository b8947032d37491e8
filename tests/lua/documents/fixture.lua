-- What the examples presuppose, and a record of what they did with it. Loaded
-- by check.lua before an example runs.

local record = { printed = {}, logged = {}, processed = {}, initialized = 0 }

local function text(...)
    local parts = {}
    for index = 1, select("#", ...) do
        parts[index] = tostring((select(index, ...)))
    end
    return table.concat(parts, "\t")
end

-- The standard print, into the record.
function print(...)
    record.printed[#record.printed + 1] = text(...)
end

log = {}
for _, level in ipairs({ "debug", "info", "warn", "error" }) do
    log[level] = function(...)
        record.logged[#record.logged + 1] = level .. "\t" .. text(...)
    end
end

function processar(dados)
    record.processed[#record.processed + 1] = dados
    return "resultado"
end

processar_dados = processar

function inicializar_dados()
    record.initialized = record.initialized + 1
    return { itens = {}, criado = true }
end

return record
