---@meta acervo.registry

-- All calls raise a plain string, `file:line: registry.put: reason`, on bad input
-- and on failure.

---@class acervo.put_options
---@field ttl? number Seconds, fractions allowed, positive: from then on the key reads as missing.

---Fast state shared by all scripts: put returns when memory holds the value.
---@class acervo.registry
local registry = {}

---Stores a value; the last writer wins. Without `ttl` the key does not expire.
---@param key string 1 to 1024 bytes, any content.
---@param value acervo.value
---@param options? acervo.put_options
function registry.put(key, value, options) end

---Value and timestamp; nil, nil for a missing key.
---@param key string
---@return acervo.value value A new table at every call.
---@return integer? timestamp Seconds since the Unix epoch of the last write; nil for a missing key.
function registry.get(key) end

---No error for a missing key.
---@param key string
function registry.delete(key) end

---The keys of this namespace.
---@param prefix? string
---@return string[] keys Sorted.
function registry.keys(prefix) end

---How many live keys there are.
---@param prefix? string
---@return integer count
function registry.count(prefix) end

---Stores all or nothing.
---@param values table<string, acervo.value>
---@param options? acervo.put_options
function registry.put_all(values, options) end

---Adds to a number, atomically; a missing key counts as 0.
---@param key string
---@param by? number Default 1.
---@return number value The new value.
function registry.incr(key, by) end

---Stores only if the current value equals `expected`.
---@param key string
---@param expected acervo.value nil: missing; `acervo.null`: a stored nil.
---@param value acervo.value
---@return boolean stored
function registry.cas(key, expected, value) end

---Stores what `fn` makes of the current value; nil deletes. `fn` may run again when another writer came between: it may
---read, but not write and not yield.
---@param key string
---@param fn fun(value: acervo.value, timestamp: integer?): acervo.value
---@return acervo.value value What was stored.
function registry.update(key, fn) end

---Iterates over key, value, timestamp in key order. A key present during the whole walk is visited once.
---@param prefix? string
---@return fun(state: any, key: string?): string?, acervo.value, integer? step
---@return any state
---@return string? key
function registry.pairs(prefix) end

---Deletes every key that starts with `prefix`, at once.
---@param prefix string
---@return integer deleted
function registry.delete_prefix(prefix) end

---Deletes what has not been written for that long.
---@param seconds number
---@return integer deleted
function registry.purge(seconds) end

---Returns when everything put before is on disk.
function registry.flush() end

return registry
