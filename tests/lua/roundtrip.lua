-- Reads MessagePack values from a file, takes each through Lua, the registry
-- and the store, and writes what comes back.
--
--   luaX tests/lua/roundtrip.lua INPUT OUTPUT
--
-- Both files: for each value four bytes of length, most significant first, and
-- the bytes. Driven by tests/rust/exchange.rs.
local acervo = require("acervo")

local input = assert(io.open(arg[1], "rb"))
local output = assert(io.open(arg[2], "wb"))
local db = assert(acervo.open({ path = ":memory:", ident = "roundtrip" }))

local function read_length()
    local bytes = input:read(4)
    if not bytes then
        return nil
    end
    local a, b, c, d = bytes:byte(1, 4)
    return ((a * 256 + b) * 256 + c) * 256 + d
end

local function write(bytes)
    local n = #bytes
    local d = n % 256; n = (n - d) / 256
    local c = n % 256; n = (n - c) / 256
    local b = n % 256; n = (n - b) / 256
    output:write(string.char(n, b, c, d), bytes)
end

local length = read_length()
while length do
    local bytes = length > 0 and input:read(length) or ""
    local value = db:from_msgpack(bytes)
    db.registry.put("value", value)
    db.store.put("value", (db.registry.get("value")))
    write(assert(db:to_msgpack((db.store.get("value")))))
    length = read_length()
end

output:close()
db:close()
