local entry, err = registry.get("app.lib:assert")
