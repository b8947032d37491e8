---@meta acervo

-- Annotations for the Lua language server. Add this directory to
-- `workspace.library`; nothing here is ever run.

---The root module. Requiring it makes no globals.
---@class acervo
---@field null lightuserdata Stands for nil inside arrays and maps; equals `cjson.null`. On its own it is nil.
---@field errors acervo.errors
---@field _NAME "acervo"
---@field _VERSION string
local acervo = {}

---What can be stored. Tables with exactly the keys 1..n are arrays, others maps with keys of bool, number or string.
---On LuaJIT int64 and fitting uint64 cdata too.
---@alias acervo.value nil|boolean|number|string|table|lightuserdata

---@class acervo.options
---@field path string The database file, or ":memory:".
---@field durability? "full"|"normal"|"off" When a store put returns: flushed to the device (default), safe from a killed process, or at once.
---@field flush_interval_ms? integer The registry is written behind at most this long after a put. Default 100.
---@field max_unwritten_ms? integer How far the file may be behind the registry before puts wait for it; 0: no bound. Default 1000.
---@field registry_persistent? boolean false: the registry lives in memory only. Default true.
---@field history? "sqlite"|"memory"|"none"
---@field history_keep? integer
---@field handler_timeout_ms? integer
---@field require_handler? boolean
---@field internal_kinds? string[]
---@field value_limit? integer Bytes of one value. Default 16 MiB.
---@field memory_limit? integer Bytes of all data. Default none.
---@field read_only? boolean
---@field busy_timeout_ms? integer How long to wait for another process. Default 5000.
---@field file_mode? integer Mode of every file that is made. Default 0600 (384).
---@field big_int? "error"|"float"|"string" How an int beyond 2^53 reads in 5.1 and 5.2. Default "error".
---@field ident? string Namespace of this handle's store.
---@field actor? string

---An open database.
---@class acervo.database
---@field registry acervo.registry
---@field store acervo.store
---@field entries acervo.entries
local database = {}

---Opens a database. Every open gives its own handle on one shared instance per file.
---@param path_or_options string|acervo.options
---@return acervo.database? database
---@return acervo.error? err
function acervo.open(path_or_options) end

---The database the host bound to this state, else `$ACERVO_PATH`, else `./acervo.db`; opened at first use.
---@return acervo.database? database
---@return acervo.error? err
function acervo.default() end

---Makes the globals `registry`, `store` and `errors` over the default database, and lets scripts require "store" and
---"registry", which gives the entry registry.
function acervo.install() end

---Marks a table, so that it is stored as an array even when it is empty.
---@generic T: table
---@param list T
---@return T list The same table.
function acervo.array(list) end

---@param text string
---@return acervo.value value
---@return acervo.error? err
function acervo.from_json(text) end

---The same value always gives the same text.
---@param value acervo.value
---@return string? text
---@return acervo.error? err
function acervo.to_json(value) end

---@param bytes string
---@return acervo.value value
---@return acervo.error? err
function acervo.from_msgpack(bytes) end

---@param value acervo.value
---@return string? bytes
---@return acervo.error? err
function acervo.to_msgpack(value) end

---Returns when everything put before is on disk.
---@return true? done
---@return acervo.error? err
function database:flush() end

---Ends this handle; the file closes with the last one. Closing again has no effect.
---@return true? done
---@return acervo.error? err
function database:close() end

---@return table<string, any>? stats `keys`, `bytes`, `unwritten_keys`, `last_flush`, `last_error` and others.
---@return acervo.error? err
function database:stats() end

---@class acervo.fault
---@field what "file"|"schema"|"log"|"memory"|"version"|"head"|"changeset"|"net"|"skip"
---@field where string
---@field found string

---@class acervo.report
---@field ok boolean Whether nothing is wrong.
---@field count integer How many faults there are.
---@field faults acervo.fault[] At most 100 of them.
---@field checked table<string, integer> `pages`, `rows`, `keys`, `versions`, `checkpoints`, `entries`.

---Checks the whole file, and that memory holds what it says. Repairs nothing. Refused for the host's database, and under
---a policy.
---@return acervo.report? report Damage is in here.
---@return acervo.error? err It could not be checked.
function database:check() end

---Copies the database, as it is at one moment, to a new file. Refused in a state that the host attached, and under a policy.
---@param path string Where nothing is yet.
---@return true? done
---@return acervo.error? err
function database:backup(path) end

---The store of another ident. Refused in a state where the host bound one.
---@param ident string 1 to 256 bytes.
---@return acervo.store? store
---@return acervo.error? err
function database:namespace(ident) end

---@param text string
---@return acervo.value value
---@return acervo.error? err
function database:from_json(text) end

---@param value acervo.value
---@return string? text
---@return acervo.error? err
function database:to_json(value) end

---@param bytes string
---@return acervo.value value
---@return acervo.error? err
function database:from_msgpack(bytes) end

---@param value acervo.value
---@return string? bytes
---@return acervo.error? err
function database:to_msgpack(value) end

return acervo
