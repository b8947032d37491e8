---@meta acervo.store

-- All calls raise a plain string, `file:line: store.put: reason`, on bad input and
-- on failure.

---Durable state of one script: put returns when the disk holds the value. Keys are `ident:key`; the ident is the host's,
---else the handle's, else the global `EXEC_IDENT`, else the environment variable of that name.
---@class acervo.store
local store = {}

---Stores a value; the last writer wins. Without `ttl` the key does not expire.
---@param key string 1 to 1024 bytes, any content.
---@param value acervo.value
---@param options? acervo.put_options
function store.put(key, value, options) end

---Value and timestamp; nil, nil for a missing key.
---@param key string
---@return acervo.value value A new table at every call.
---@return integer? timestamp Seconds since the Unix epoch of the last write; nil for a missing key.
function store.get(key) end

---No error for a missing key.
---@param key string
function store.delete(key) end

---The keys of this namespace.
---@param prefix? string
---@return string[] keys Sorted.
function store.keys(prefix) end

---How many live keys there are.
---@param prefix? string
---@return integer count
function store.count(prefix) end

---Stores all or nothing.
---@param values table<string, acervo.value>
---@param options? acervo.put_options
function store.put_all(values, options) end

---Adds to a number, atomically; a missing key counts as 0.
---@param key string
---@param by? number Default 1.
---@return number value The new value.
function store.incr(key, by) end

---Stores only if the current value equals `expected`.
---@param key string
---@param expected acervo.value nil: missing; `acervo.null`: a stored nil.
---@param value acervo.value
---@return boolean stored
function store.cas(key, expected, value) end

---Stores what `fn` makes of the current value; nil deletes. `fn` may run again when another writer came between: it may
---read, but not write and not yield.
---@param key string
---@param fn fun(value: acervo.value, timestamp: integer?): acervo.value
---@return acervo.value value What was stored.
function store.update(key, fn) end

---Iterates over key, value, timestamp in key order. A key present during the whole walk is visited once.
---@param prefix? string
---@return fun(state: any, key: string?): string?, acervo.value, integer? step
---@return any state
---@return string? key
function store.pairs(prefix) end

---Deletes every key that starts with `prefix`, at once.
---@param prefix string
---@return integer deleted
function store.delete_prefix(prefix) end

---Deletes what has not been written for that long.
---@param seconds number
---@return integer deleted
function store.purge(seconds) end

---Stores a value under the key as it is, without ident; the last writer wins. Without `ttl` the key does not expire.
---@param key string 1 to 1024 bytes, any content.
---@param value acervo.value
---@param options? acervo.put_options
function store.put_global(key, value, options) end

---Value and timestamp; nil, nil for a missing key.
---@param key string
---@return acervo.value value A new table at every call.
---@return integer? timestamp Seconds since the Unix epoch of the last write; nil for a missing key.
function store.get_global(key) end

---No error for a missing key.
---@param key string
function store.delete_global(key) end

---All keys as they are, those of idents too.
---@param prefix? string
---@return string[] keys Sorted.
function store.keys_global(prefix) end

---How many live keys there are.
---@param prefix? string
---@return integer count
function store.count_global(prefix) end

---Stores all or nothing.
---@param values table<string, acervo.value>
---@param options? acervo.put_options
function store.put_all_global(values, options) end

---Adds to a number, atomically; a missing key counts as 0.
---@param key string
---@param by? number Default 1.
---@return number value The new value.
function store.incr_global(key, by) end

---Stores only if the current value equals `expected`.
---@param key string
---@param expected acervo.value nil: missing; `acervo.null`: a stored nil.
---@param value acervo.value
---@return boolean stored
function store.cas_global(key, expected, value) end

---Stores what `fn` makes of the current value; nil deletes. `fn` may run again when another writer came between: it may
---read, but not write and not yield.
---@param key string
---@param fn fun(value: acervo.value, timestamp: integer?): acervo.value
---@return acervo.value value What was stored.
function store.update_global(key, fn) end

return store
