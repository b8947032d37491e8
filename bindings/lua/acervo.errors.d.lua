---@meta acervo.errors

---@class acervo.errors
---@field NOT_FOUND "NotFound"
---@field ALREADY_EXISTS "AlreadyExists"
---@field INVALID "Invalid"
---@field PERMISSION_DENIED "PermissionDenied"
---@field UNAVAILABLE "Unavailable"
---@field INTERNAL "Internal"
---@field CANCELED "Canceled"
---@field CONFLICT "Conflict"
---@field TIMEOUT "Timeout"
---@field RATE_LIMITED "RateLimited"
---@field UNKNOWN ""
local errors = {}

---@alias acervo.kind
---| "NotFound"
---| "AlreadyExists"
---| "Invalid"
---| "PermissionDenied"
---| "Unavailable"
---| "Internal"
---| "Canceled"
---| "Conflict"
---| "Timeout"
---| "RateLimited"
---| ""

---An error object: what open, close, flush, stats, the conversions and entries give beside nil. registry and store raise plain
---strings instead.
---@class acervo.error: userdata
---@operator concat(any): string
local err = {}

---@return acervo.kind kind
function err:kind() end

---@return string message
function err:message() end

---Whether trying again may help; nil when nobody knows (kind UNKNOWN).
---@return boolean? retryable
function err:retryable() end

---@return table? details A new table at every call.
function err:details() end

---@return any stack
function err:stack() end

---@class acervo.error_fields
---@field message string
---@field kind? acervo.kind Default UNKNOWN.
---@field retryable? boolean Default: by the kind.
---@field details? table

---@class acervo.frame
---@field source string
---@field line integer
---@field name? string

---@class acervo.call_stack
---@field thread any
---@field frames acervo.frame[]

---@param message_or_fields string|acervo.error_fields
---@return acervo.error
function errors.new(message_or_fields) end

---Keeps kind, retryable, details and message; the context shows in tostring.
---@param err acervo.error
---@param context string
---@return acervo.error
function errors.wrap(err, context) end

---@param err any
---@param kind acervo.kind
---@return boolean
function errors.is(err, kind) end

---@param err acervo.error
---@return acervo.call_stack
function errors.call_stack(err) end

return errors
