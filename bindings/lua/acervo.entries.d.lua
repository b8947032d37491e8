---@meta acervo.entries

-- All functions give a value, or nil and an error; a wrong argument is an error of
-- kind INVALID. Only a method on the wrong object raises.

---"namespace:name", or its parts. Without a colon the namespace is empty.
---@alias acervo.id string|acervo.id_parts

---@class acervo.id_parts
---@field ns string
---@field name string

---An entry as it is read.
---@class acervo.entry
---@field id string "namespace:name", at most 512 bytes.
---@field kind string 1 to 256 bytes.
---@field meta table<string, acervo.value> Searchable; empty if none was given.
---@field data acervo.value

---An entry as it is given. Other fields are refused.
---@class acervo.entry_fields
---@field id acervo.id
---@field kind string
---@field meta? table<string, acervo.value>
---@field data? acervo.value

---@alias acervo.op_kind "entry.create"|"entry.update"|"entry.delete"

---One operation of a delta or a dry run.
---@class acervo.op
---@field kind acervo.op_kind
---@field entry acervo.entry Of a delete: the entry that goes.
---@field original? acervo.entry Of updates and deletes: the entry before.

---One queued operation.
---@class acervo.queued_op
---@field kind acervo.op_kind
---@field entry acervo.entry Of a delete: its id only.

---Conditions that must all hold. Keys: `.kind .ns .name .id` or `kind ns namespace name id` (globs), `meta.x`, `x` or a
---nested `meta` (equality), `data.x` (equality); before a key `~` regular expression, `*` contains, `^` prefix, `$` suffix.
---@alias acervo.filter table<string, acervo.value>

---@class acervo.find_options
---@field limit? integer Not negative.
---@field offset? integer Not negative.

---@class acervo.apply_options
---@field base? "strict"|"disjoint" CONFLICT if anything, or one of the touched entries, changed since the snapshot.
---@field author? string Kept with the version.
---@field message? string Kept with the version.
---@field dry_run? false

---@class acervo.dry_run_options
---@field base? "strict"|"disjoint"
---@field dry_run true Nothing is changed; apply gives the ordered operations.

---@class acervo.pattern
---@field path string Segments between dots, from `meta` or `data`.
---@field allow_wildcard? boolean Segments may hold `*`, and visit the elements of arrays.

---@class acervo.dependency_options
---@field transitive? boolean Also through others.

---What a handler is asked about.
---@class acervo.handler_op
---@field kind acervo.op_kind
---@field entry acervo.entry Of a delete: the entry that goes.
---@field original? acervo.entry Of updates and deletes: the entry before.
---@field undo boolean It undoes what was accepted before.
---@field dry_run boolean It is only tried.
---@field foreign boolean Another process did it: the answer does not matter.

---What `begin`, `commit` and `discard` are given.
---@class acervo.handler_step
---@field kind "registry.begin"|"registry.commit"|"registry.discard"
---@field undo boolean
---@field dry_run boolean
---@field foreign boolean

---True or nothing accepts; false or nil with a reason refuses. An error object gives its kind to the refusal, NOT_FOUND
---has the operation be tried again.
---@alias acervo.handler fun(op: acervo.handler_op): boolean?, (string|acervo.error)?

---@class acervo.handler_options
---@field begin? fun(step: acervo.handler_step): boolean?, (string|acervo.error)? Asked before the first operation.
---@field commit? fun(step: acervo.handler_step): boolean?, (string|acervo.error)? Asked after the last one.
---@field discard? fun(step: acervo.handler_step) Told that the transaction was given up.
---@field replay? boolean Ask about what is there already, and tell what other processes do.

---@class acervo.feed_options
---@field capacity? integer Events that it holds, 1 to 2^24; 1024 unless told otherwise.

---@alias acervo.event_kind "registry.begin"|"registry.commit"|"registry.discard"|acervo.op_kind|"gap"

---Something that happened.
---@class acervo.event
---@field kind acervo.event_kind "gap": some were lost.
---@field version integer The one that the transaction makes or moves to; of a gap the current one.
---@field entry? acervo.entry
---@field original? acervo.entry
---@field foreign? true Another process did it.

---@alias acervo.action "registry.get"|"registry.apply"|"registry.apply_version"

---Only true allows. The resource is an id, or "" where the action is not "registry.get".
---@alias acervo.policy fun(actor: string, action: acervo.action, resource: string): boolean

---Versioned, transactional registry of typed entries.
---@class acervo.entries
local entries = {}

---A version of the registry. Handles of one version are equal; `<` and `<=` order by id.
---@class acervo.version: userdata
local version = {}

---An immutable view of one version; valid after the database was closed. Can be a `<close>` variable on 5.4.
---@class acervo.snapshot: userdata
local snapshot = {}

---Queued operations.
---@class acervo.changes: userdata
local changes = {}

---@class acervo.history: userdata
local history = {}

---A registered handler; it stays registered when this is let go. Can be a `<close>` variable on 5.4.
---@class acervo.subscription: userdata
local subscription = {}

---A stream of events. Can be a `<close>` variable on 5.4.
---@class acervo.feed: userdata
local feed = {}

---@param id acervo.id Any text; what is not there is NOT_FOUND.
---@return acervo.entry? entry A new table at every call.
---@return acervo.error? err
function entries.get(id) end

---The entries that match, sorted by namespace and name.
---@param filter acervo.filter
---@param options? acervo.find_options
---@return acervo.entry[]? list
---@return acervo.error? err INVALID naming the key.
function entries.find(filter, options) end

---Splits at the first colon; never fails on a string.
---@param text string
---@return acervo.id_parts? id
---@return acervo.error? err
function entries.parse_id(text) end

---The registry as it is now.
---@return acervo.snapshot? snapshot
---@return acervo.error? err
function entries.snapshot() end

---The registry as it was at a version.
---@param number integer From 1; for v0 there is `history:snapshot_at`.
---@return acervo.snapshot? snapshot
---@return acervo.error? err INVALID, NOT_FOUND; UNAVAILABLE without a history.
function entries.snapshot_at(number) end

---@return acervo.version? version v0 before the first apply.
---@return acervo.error? err
function entries.current_version() end

---All versions, ascending, from v0.
---@return acervo.version[]? list
---@return acervo.error? err UNAVAILABLE without a history.
function entries.versions() end

---@return acervo.history? history
---@return acervo.error? err
function entries.history() end

---Makes a version the current one, over any branching. Makes no version.
---@param to acervo.version|integer
---@return true? done
---@return acervo.error? err NOT_FOUND; UNAVAILABLE without a history.
function entries.apply_version(to) end

---The operations that turn one list of entries into another, in the order of an apply. Equal entries give none.
---@param from acervo.entry_fields[]
---@param to acervo.entry_fields[]
---@return acervo.op[]? ops
---@return acervo.error? err INVALID naming the element, as `from[2]`.
function entries.build_delta(from, to) end

---Has dependencies be read from one more place in entries.
---@param pattern acervo.pattern
---@return true? done
---@return acervo.error? err
function entries.register_pattern(pattern) end

---The entries that depend on this one: what breaks if it goes.
---@param id acervo.id
---@param options? acervo.dependency_options
---@return string[]? ids Sorted, without the id itself.
---@return acervo.error? err
function entries.dependents(id, options) end

---The entries that this one depends on.
---@param id acervo.id
---@param options? acervo.dependency_options
---@return string[]? ids Sorted, without the id itself.
---@return acervo.error? err
function entries.dependencies(id, options) end

---Takes every version out of the history that does not descend from this one, but v0.
---@param up_to acervo.version|integer The current version or an ancestor of it.
---@return true? done
---@return acervo.error? err
function entries.prune(up_to) end

---Has a function be asked about every change of entries of some kinds before it counts.
---@param kinds string Segments between dots; `*` is any one, `**` any number, `(a|b)` a choice.
---@param fn acervo.handler It may read, not change entries.
---@param options? acervo.handler_options
---@return acervo.subscription? subscription
---@return acervo.error? err INVALID; with `replay` what the handler refuses.
function entries.on(kinds, fn, options) end

---Answers what other states and the host ask the handlers of this state, and tells them what other processes did.
---@param seconds? number How long to wait for the first; not at all if absent.
---@return integer? count
---@return acervo.error? err
function entries.poll(seconds) end

---What happens from now on, as a stream.
---@param options? acervo.feed_options
---@return acervo.feed? feed
---@return acervo.error? err
function entries.events(options) end

---Replays the history on top of entries that are in no version. Once, before the first apply.
---@param baseline acervo.entry_fields[]
---@param version? acervo.version|integer The stored head if absent.
---@return acervo.version? version The current one.
---@return acervo.error? err INVALID naming the element, as `baseline[2]`; PERMISSION_DENIED in a state that a host attached.
function entries.load_state(baseline, version) end

---Has a function be asked what scripts of this state may see and do. Once per database.
---@param fn acervo.policy
---@return true? done
---@return acervo.error? err PERMISSION_DENIED in a state that a host attached.
function entries.set_policy(fn) end

---It is not asked any more. Again does nothing.
---@return true done
function subscription:cancel() end

---@param seconds? number How long to wait; for good if absent.
---@return acervo.event? event
---@return acervo.error? err TIMEOUT if none came; INTERNAL when the database was closed.
function feed:next(seconds) end

---A descriptor that poll(2) finds readable while there is something; not to be read or closed.
---@return integer? fd
---@return acervo.error? err
function feed:fd() end

---@return true done
function feed:close() end

---@return acervo.entry[]? list Sorted by namespace and name.
---@return acervo.error? err
function snapshot:entries() end

---@param id acervo.id
---@return acervo.entry? entry
---@return acervo.error? err
function snapshot:get(id) end

---@param filter acervo.filter
---@param options? acervo.find_options
---@return acervo.entry[]? list
---@return acervo.error? err
function snapshot:find(filter, options) end

---The entries of exactly this namespace.
---@param ns string
---@return acervo.entry[]? list
---@return acervo.error? err
function snapshot:namespace(ns) end

---@return acervo.version? version
---@return acervo.error? err
function snapshot:version() end

---No changes yet, based on this snapshot.
---@return acervo.changes? changes
---@return acervo.error? err
function snapshot:changes() end

---Frees what only this snapshot holds; then every method gives nil and INVALID.
---@return true done
function snapshot:close() end

---@param entry acervo.entry_fields
---@return acervo.changes? changes The same changes.
---@return acervo.error? err What was queued stays.
function changes:create(entry) end

---Replaces the entry with this id.
---@param entry acervo.entry_fields
---@return acervo.changes? changes The same changes.
---@return acervo.error? err What was queued stays.
function changes:update(entry) end

---@param id acervo.id
---@return acervo.changes? changes The same changes.
---@return acervo.error? err What was queued stays.
function changes:delete(id) end

---What is queued, in call order.
---@return acervo.queued_op[]? ops
---@return acervo.error? err
function changes:ops() end

---Applies all or nothing to the registry as it is now. After success the changes are spent.
---@param options? acervo.apply_options
---@return acervo.version? version
---@return acervo.error? err
---@overload fun(self: acervo.changes, options: acervo.dry_run_options): acervo.op[]?, acervo.error?
function changes:apply(options) end

---@return integer id
function version:id() end

---@return string text As "v3".
function version:string() end

---The version this one was made from; nil for v0.
---@return acervo.version? version
---@return acervo.error? err
function version:previous() end

---The version that follows on the way to the current one, else the newest made from this one.
---@return acervo.version? version
---@return acervo.error? err
function version:next() end

---@return integer? seconds Since the Unix epoch.
---@return acervo.error? err
function version:time() end

---@return string? author As given to apply.
---@return acervo.error? err
function version:author() end

---@return string? message As given to apply.
---@return acervo.error? err
function version:message() end

---All versions, ascending, from v0.
---@return acervo.version[]? list
---@return acervo.error? err
function history:versions() end

---@param number integer
---@return acervo.version? version
---@return acervo.error? err
function history:get_version(number) end

---The registry as it was at a version, v0 too.
---@param version acervo.version
---@return acervo.snapshot? snapshot
---@return acervo.error? err
function history:snapshot_at(version) end

return entries
