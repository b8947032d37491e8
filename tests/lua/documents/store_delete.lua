-- Remover dados específicos do script
store.delete("cache_temporario")
store.delete("dados_processados")

-- Limpar todos os dados do script atual
local function limpar_dados_script()
  -- Nota: Não há listagem direta de chaves
  -- É necessário conhecer as chaves usadas
  local chaves_conhecidas = {
    "configuracao",
    "cache",
    "estado",
    "historico",
    "lock_backup"
  }

  for _, chave in ipairs(chaves_conhecidas) do
    store.delete(chave)
    log.debug("Removido: ", chave)
    end
end

-- Remover após processamento
local function processar_e_limpar(chave)
    local dados, timestamp = store.get(chave)

    if dados then
        -- Processar dados
        local resultado = processar_dados(dados)

        -- Remover após processamento
        store.delete(chave)
        log.info("Dados processados e removidos:", chave)

        return resultado
    else
        log.warn("Chave não encontrada:", chave)
        return nil
    end
end
