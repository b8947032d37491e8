local id = registry.parse_id("app.lib:assert")
-- id.ns = "app.lib", id.name = "assert"
