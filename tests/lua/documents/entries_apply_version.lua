local prev = current_version:previous()
local ok, err = registry.apply_version(prev)
