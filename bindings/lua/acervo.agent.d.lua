---@meta acervo.agent

-- Requiring this calls `acervo.install()`: `lua5.4 -l acervo.agent script.lua`.

return {}
