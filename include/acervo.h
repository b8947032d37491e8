/*
 * acervo: an embeddable registry, store and versioned entry registry for agents.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Generated from the Rust sources; do not edit. The conventions:
 *
 * - A function returns ACERVO_OK (0) or a negative code. On failure `err`, if
 *   not NULL, receives an error that the caller owns; otherwise it is NULL.
 * - Out parameters are reset when a call begins and written only on success.
 * - Text goes in as pointer and length; ACERVO_NTS as the length means "up to
 *   the NUL". NULL with length 0 is empty.
 * - "borrowed" (good until what is said), "owned" (free it with what is said)
 *   and "copied" say whose memory it is. Inputs are copied.
 * - Free functions accept NULL and never fail.
 * - "Threads: any" may be called from several threads at once, "one at a time"
 *   may move between threads.
 */

#ifndef ACERVO_H
#define ACERVO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As the length of a text: it ends at its NUL. */
#define ACERVO_NTS SIZE_MAX

/* The version of this header; compare with acervo_version_number(). */
#define ACERVO_VERSION_MAJOR 0
#define ACERVO_VERSION_MINOR 1
#define ACERVO_VERSION_PATCH 0
#define ACERVO_VERSION_STRING "0.1.0"

struct lua_State;


// The ABI: the number behind libacervo.so. Within one, functions are only
// added.
#define ACERVO_ABI_VERSION 0

// Success.
#define ACERVO_OK 0

// The input is wrong: a bad key, type, size, option, or state of call.
#define ACERVO_INVALID (-1)

// What was asked for does not exist.
#define ACERVO_NOT_FOUND (-2)

// What should be created exists.
#define ACERVO_ALREADY_EXISTS (-3)

// The system, the policy or a read-only handle forbids it.
#define ACERVO_PERMISSION_DENIED (-4)

// It cannot be done now: disk full, I/O error, locked, over a limit.
// Retryable.
#define ACERVO_UNAVAILABLE (-5)

// A fault inside, a damaged file, or use of something closed.
#define ACERVO_INTERNAL (-6)

// Given up on request.
#define ACERVO_CANCELED (-7)

// Somebody else was faster. Retryable.
#define ACERVO_CONFLICT (-8)

// No answer in time. Retryable.
#define ACERVO_TIMEOUT (-9)

// Too many calls. Retryable.
#define ACERVO_RATE_LIMITED (-10)

// No kind was given.
#define ACERVO_UNKNOWN (-11)

// A panic was caught at the boundary; kind "Internal". After one inside a
// write the database refuses writes until it is opened anew.
#define ACERVO_PANIC (-12)

// The handle was made before a fork, by the parent; kind "Internal".
#define ACERVO_FORKED (-13)

// The buffer is too small; kind "Invalid".
#define ACERVO_TOO_SMALL (-14)

// Nil.
#define ACERVO_TYPE_NIL 0

// A bool.
#define ACERVO_TYPE_BOOL 1

// A signed 64-bit integer.
#define ACERVO_TYPE_INT 2

// An IEEE double.
#define ACERVO_TYPE_FLOAT 3

// A byte string, of any content.
#define ACERVO_TYPE_STRING 4

// An ordered list of values.
#define ACERVO_TYPE_ARRAY 5

// A map; keys are bools, ints, floats or strings.
#define ACERVO_TYPE_MAP 6

// Something does not work.
#define ACERVO_LOG_ERROR 1

// Something may stop working.
#define ACERVO_LOG_WARN 2

// Something changed.
#define ACERVO_LOG_INFO 3

// For those who look for a fault.
#define ACERVO_LOG_DEBUG 4

// What a handler returns to say yes.
#define ACERVO_ACCEPT 0

// What a handler returns to answer later, with acervo_op_accept or
// acervo_op_reject.
#define ACERVO_PENDING 1

// An entry is created.
#define ACERVO_OP_CREATE 1

// An entry is replaced.
#define ACERVO_OP_UPDATE 2

// An entry is removed.
#define ACERVO_OP_DELETE 3

// A transaction begins.
#define ACERVO_OP_BEGIN 4

// Everything was accepted; the version is about to be written.
#define ACERVO_OP_COMMIT 5

// The transaction was given up, and what was accepted undone.
#define ACERVO_OP_DISCARD 6

// It undoes what the handler accepted before. A refusal stops nothing; it is
// told to who applied.
#define ACERVO_OP_FLAG_UNDO 1

// A dry run: it is undone in any case.
#define ACERVO_OP_FLAG_DRY_RUN 2

// Another process did it: the handler is told, not asked; its answer does not
// count.
#define ACERVO_OP_FLAG_FOREIGN 4

// The handler is also asked at begin and commit, and told about a discard,
// of every transaction, whatever that touches.
#define ACERVO_ON_TRANSACTION 1

// The handler is first asked about every matching entry that is there, as a
// create, dependencies first; and it is told what other processes do.
#define ACERVO_ON_REPLAY 2

// An open database file, or one in memory.
//
// All handles of one file in a process share its state. Reference counted;
// what is made from a handle keeps it alive, so any order of freeing is
// right. After a fork every call on it in the child gives ACERVO_FORKED.
//
// Threads: any.
typedef struct acervo acervo;

// Writes to one registry or store, collected in order and done together.
//
// Keeps its database alive.
//
// Threads: one at a time.
typedef struct acervo_batch acervo_batch;

// Creates, updates and deletes of entries, applied together, all or none.
//
// Keeps its snapshot and database alive.
//
// Threads: one at a time.
typedef struct acervo_changes acervo_changes;

// Entries of a snapshot, sorted by namespace and name. Immutable. Keeps what
// it needs of the snapshot alive.
//
// Threads: any.
typedef struct acervo_entries acervo_entries;

// A typed entry of the entry registry: id, kind, meta and data. Immutable.
//
// Reference counted; free each reference with acervo_entry_free. Entries stay
// usable after the database they came from is closed, and in a forked child.
//
// Threads: any.
typedef struct acervo_entry acervo_entry;

// A failure: code, kind, message, whether it is worth trying again.
//
// Owned by the caller, immutable. Free with acervo_error_free.
//
// Threads: any.
typedef struct acervo_error acervo_error;

// What happens to the entry registry from when it was made on. Keeps its
// database alive.
//
// Threads: one at a time.
typedef struct acervo_feed acervo_feed;

// The registry, the store of one ident, or the store's raw keys.
//
// Reads look into memory. Writes to the registry return when memory holds
// them, writes to the store when the disk does (option `durability`). Keys
// are 1 to 1024 bytes of any content. Keeps its database alive.
//
// Threads: any.
typedef struct acervo_kv acervo_kv;

// What one handler is asked about once: an operation on an entry, or a step
// of the transaction.
//
// Reference counted. The handler's argument is borrowed for the call; one
// that is to be answered later is retained and then freed with acervo_op_free.
// Does not keep the database open.
//
// Threads: any.
typedef struct acervo_op acervo_op;

// Options for acervo_open.
//
// Threads: one at a time.
typedef struct acervo_options acervo_options;

// The entry registry at one version. Immutable.
//
// Reference counted; free each reference with acervo_snapshot_free. Taking one
// copies nothing. Snapshots stay usable after the database is closed, and in
// a forked child.
//
// Threads: any.
typedef struct acervo_snapshot acervo_snapshot;

// A handler that is registered. Keeps its database alive.
//
// Threads: one at a time.
typedef struct acervo_subscription acervo_subscription;

// An immutable value: nil, bool, int, float, string, array or map.
//
// Reference counted; free each reference with acervo_value_free. Values stay
// usable after the database they came from is closed, and in a forked child.
//
// Threads: any.
typedef struct acervo_value acervo_value;

// Takes a log line: `message_len` bytes, and a NUL behind them; borrowed for
// the call. Called on any thread, several at a time, with no lock held; it
// may call any function of this library but acervo_close.
typedef void (*acervo_log_fn)(void *userdata, int32_t level, const char *message, size_t message_len);

// Takes one key of a walk: `key_len` bytes, no NUL, and its value, both
// borrowed for the call. Other than 0 ends the walk. Called on the walking
// thread with no lock held; it may call anything.
typedef int32_t (*acervo_kv_each_fn)(void *userdata,
                                     const char *key,
                                     size_t key_len,
                                     const acervo_value *value,
                                     int64_t timestamp);

// Is asked about a change of the entry registry before it counts. Returns
// ACERVO_ACCEPT; ACERVO_PENDING, to answer later: retain `op` for that; or a
// negative code, the kind of its refusal: acervo_op_set_error before gives the
// reason. An operation that is refused as ACERVO_NOT_FOUND is asked about
// again when others were accepted. Any other number is a refusal as
// ACERVO_INTERNAL.
//
// `op` is borrowed for the call. Called on the thread that applies (or, with
// ACERVO_ON_REPLAY, registers, or on one of the library's that tells what
// other processes did), with no lock held, one call at a time. It may call
// everything but what changes entries of the same database: acervo_changes_apply,
// acervo_apply_version, acervo_load_state, acervo_prune and registering with a
// replay are ACERVO_INVALID there, and it sees the state before the
// transaction. It must not unwind.
typedef int32_t (*acervo_handler_fn)(void *userdata, acervo_op *op);

// Tells whether `actor` may do `action` on `resource`: "registry.get" on an
// entry's id; "registry.apply" and "registry.apply_version", where `resource`
// is empty. `actor` is empty for a script without one. Texts are borrowed for
// the call and have no NUL behind them.
//
// Called on the thread of the script, several at a time, with no lock held; it
// may call everything but acervo_close. It must not unwind.
typedef bool (*acervo_policy_fn)(void *userdata,
                                 const char *actor,
                                 size_t actor_len,
                                 const char *action,
                                 size_t action_len,
                                 const char *resource,
                                 size_t resource_len);

// The Lua C API as the host's compiler found it. Filled by `acervo_lua.h`.
//
// Threads: any.
typedef struct {
  // sizeof(acervo_lua_api): a later header may add fields.
  uint32_t size;
  // LUA_VERSION_NUM.
  uint32_t lua_version_num;
  // How many functions follow.
  uint32_t count;
  // Their names, NUL-terminated, in any order; unknown ones are ignored.
  const char *const *names;
  // The functions, each at the place of its name.
  void *const *functions;
} acervo_lua_api;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library that is loaded, as `"1.2.3"`. Static text.
//
// Threads: any.
const char *acervo_version_string(void);

// The same as one number: MAJOR * 1000000 + MINOR * 1000 + PATCH.
//
// Threads: any.
int32_t acervo_version_number(void);

// The ABI of the library that is loaded; compare with ACERVO_ABI_VERSION.
//
// Threads: any.
int32_t acervo_abi_version(void);

// The name of a code, as `"ACERVO_NOT_FOUND"`; `"ACERVO_?"` for a number that
// is none. Static text, with NUL.
//
// Threads: any.
const char *acervo_code_name(int32_t code);

// The error's code; ACERVO_INVALID for NULL.
//
// Threads: any.
int32_t acervo_error_code(const acervo_error *error);

// The error's kind as Lua's constants spell it, as `"NotFound"`; `""` if
// unknown. Static text, with NUL. NULL for NULL.
//
// Threads: any.
const char *acervo_error_kind(const acervo_error *error, size_t *out_len);

// What was wrong, where, and what to do. Borrowed until the error is freed,
// with NUL. NULL for NULL.
//
// Threads: any.
const char *acervo_error_message(const acervo_error *error, size_t *out_len);

// Whether the same call may succeed later; false for NULL.
//
// Threads: any.
bool acervo_error_retryable(const acervo_error *error);

// More about the failure, for programs: a map. Borrowed until the error is
// freed; NULL if there is none.
//
// Threads: any.
const acervo_value *acervo_error_details(const acervo_error *error);

// Frees an error. NULL is accepted.
//
// Threads: one at a time.
void acervo_error_free(acervo_error *error);

// A nil value. Owned: free with acervo_value_free.
//
// Threads: any.
acervo_value *acervo_value_nil(void);

// A bool value. Owned: free with acervo_value_free.
//
// Threads: any.
acervo_value *acervo_value_bool(bool value);

// An int value. Owned: free with acervo_value_free.
//
// Threads: any.
acervo_value *acervo_value_int(int64_t value);

// A float value; NaN, infinities and -0.0 are kept. Owned: free with
// acervo_value_free.
//
// Threads: any.
acervo_value *acervo_value_float(double value);

// A string value of `len` bytes (ACERVO_NTS: up to the NUL), copied; any
// content. Owned: free with acervo_value_free. NULL if the arguments are
// invalid or there is no memory.
//
// Threads: any.
acervo_value *acervo_value_string(const char *text, size_t len);

// An array of `n` values, copied. `out` is owned: free with
// acervo_value_free.
//
// ACERVO_INVALID: a NULL among the items, nesting deeper than 128.
//
// Threads: any.
int32_t acervo_value_array(const acervo_value *const *items,
                           size_t n,
                           acervo_value **out,
                           acervo_error **err);

// A map of `n` pairs, copied, in this order. `out` is owned: free with
// acervo_value_free.
//
// ACERVO_INVALID: a NULL among keys or values, a key that is nil, NaN, an
// array or a map, two equal keys (1 and 1.0 are), nesting deeper than 128.
//
// Threads: any.
int32_t acervo_value_map(const acervo_value *const *keys,
                         const acervo_value *const *values,
                         size_t n,
                         acervo_value **out,
                         acervo_error **err);

// One more reference to the same value. Owned: free with acervo_value_free.
// NULL for NULL.
//
// Threads: any.
acervo_value *acervo_value_retain(const acervo_value *value);

// Frees one reference. NULL is accepted.
//
// Threads: any.
void acervo_value_free(acervo_value *value);

// The type, ACERVO_TYPE_NIL to ACERVO_TYPE_MAP; ACERVO_INVALID for NULL.
//
// Threads: any.
int32_t acervo_value_type(const acervo_value *value);

// The bool. ACERVO_INVALID for any other type.
//
// Threads: any.
int32_t acervo_value_as_bool(const acervo_value *value, bool *out, acervo_error **err);

// The int; a float too if it stands for exactly one. ACERVO_INVALID
// otherwise.
//
// Threads: any.
int32_t acervo_value_as_int(const acervo_value *value, int64_t *out, acervo_error **err);

// The float; an int too if a double holds it exactly. ACERVO_INVALID
// otherwise.
//
// Threads: any.
int32_t acervo_value_as_float(const acervo_value *value, double *out, acervo_error **err);

// The string's bytes, without NUL. Borrowed until the value is freed.
// ACERVO_INVALID for any other type. `out_len` may not be NULL.
//
// Threads: any.
int32_t acervo_value_as_string(const acervo_value *value,
                               const char **out,
                               size_t *out_len,
                               acervo_error **err);

// Elements of an array, pairs of a map, bytes of a string; 0 for others and
// for NULL.
//
// Threads: any.
size_t acervo_value_len(const acervo_value *value);

// An array's element, counted from 0. `out` is owned: free with
// acervo_value_free.
//
// ACERVO_INVALID: no array. ACERVO_NOT_FOUND: past the end.
//
// Threads: any.
int32_t acervo_value_at(const acervo_value *array,
                        size_t index,
                        acervo_value **out,
                        acervo_error **err);

// What a map holds under a string key. `out` is owned: free with
// acervo_value_free.
//
// ACERVO_INVALID: no map. ACERVO_NOT_FOUND: no such key.
//
// Threads: any.
int32_t acervo_value_get(const acervo_value *map,
                         const char *key,
                         size_t key_len,
                         acervo_value **out,
                         acervo_error **err);

// A map's key and value, counted from 0 in the order they are stored in.
// Both are owned: free with acervo_value_free.
//
// ACERVO_INVALID: no map. ACERVO_NOT_FOUND: past the end.
//
// Threads: any.
int32_t acervo_value_entry_at(const acervo_value *map,
                              size_t index,
                              acervo_value **out_key,
                              acervo_value **out_value,
                              acervo_error **err);

// Whether both are the same value: numbers by exact numeric value across int
// and float, maps regardless of the order of keys, NaN equal to NaN. NULL
// equals nothing.
//
// Threads: any.
bool acervo_value_equal(const acervo_value *a, const acervo_value *b);

// Reads a JSON text. `out` is owned: free with acervo_value_free.
//
// ACERVO_INVALID with line and column: not JSON, a key twice in one object,
// a number beyond a double, nesting deeper than 128.
//
// Threads: any.
int32_t acervo_value_from_json(const char *text,
                               size_t len,
                               acervo_value **out,
                               acervo_error **err);

// Writes JSON, map keys in byte order, no spaces. `out_string` is a string
// value, owned: free with acervo_value_free.
//
// ACERVO_INVALID: NaN, infinities, strings that are not UTF-8, map keys that
// render alike.
//
// Threads: any.
int32_t acervo_value_to_json(const acervo_value *value,
                             acervo_value **out_string,
                             acervo_error **err);

// Reads one MessagePack value that fills `len` bytes. `out` is owned: free
// with acervo_value_free.
//
// ACERVO_INVALID with the offset: extension types, integers above 2^63 - 1,
// duplicate, nil or NaN keys, nesting deeper than 128, trailing bytes.
//
// Threads: any.
int32_t acervo_value_from_msgpack(const uint8_t *bytes,
                                  size_t len,
                                  acervo_value **out,
                                  acervo_error **err);

// The value as MessagePack. Borrowed until the value is freed.
//
// Threads: any.
int32_t acervo_value_msgpack(const acervo_value *value,
                             const uint8_t **out,
                             size_t *out_len,
                             acervo_error **err);

// Options with nothing set: every option has its default. Owned: free with
// acervo_options_free.
//
// Threads: any.
acervo_options *acervo_options_new(void);

// Sets one option: `durability` ("full", "normal", "off"),
// `flush_interval_ms`, `max_unwritten_ms` (how far the file may be behind the
// registry before puts wait for it; 0: no bound), `registry_persistent`,
// `value_limit`, `memory_limit`,
// `read_only`, `busy_timeout_ms`, `file_mode`, `history` (where the versions
// of the entry registry are kept: "sqlite", "memory", "none"), `history_keep`
// (how many; older ones are pruned), `handler_timeout_ms` (how long the answer
// of a handler is waited for), `require_handler` (an entry whose kind has no
// handler is refused), `internal_kinds` (an array of kinds that no handler is
// asked about). See docs/operations.md.
//
// ACERVO_INVALID naming the option: unknown, wrong type, out of range.
//
// Threads: one at a time.
int32_t acervo_options_set(acervo_options *options,
                           const char *name,
                           size_t name_len,
                           const acervo_value *value,
                           acervo_error **err);

// Frees options. NULL is accepted.
//
// Threads: one at a time.
void acervo_options_free(acervo_options *options);

// Opens the file at `path`, made if missing (its directory is not), or a new
// database in memory for ":memory:". `options` may be NULL and can be freed
// after the call. `out` is owned: free with acervo_free.
//
// ACERVO_INVALID: a missing directory, an option that differs from the first
// open's, a file of a newer version. ACERVO_PERMISSION_DENIED.
// ACERVO_INTERNAL: no database, or damaged; it is left as it is.
// ACERVO_UNAVAILABLE: locked by another process, I/O error, disk full.
//
// Threads: any.
int32_t acervo_open(const char *path,
                    size_t path_len,
                    const acervo_options *options,
                    acervo **out,
                    acervo_error **err);

// One more reference to the same handle. Owned: free with acervo_free. NULL
// for NULL, and in a forked child.
//
// Threads: any.
acervo *acervo_retain(acervo *db);

// Frees one reference. NULL is accepted. Does no I/O: if it was the last use
// of the file, a thread writes what is left and closes it.
//
// Threads: any.
void acervo_free(acervo *db);

// Returns when everything put before is in the file.
//
// ACERVO_UNAVAILABLE: the file; what could not be written is kept and tried
// again.
//
// Threads: any.
int32_t acervo_flush(acervo *db, acervo_error **err);

// Ends the use of this handle and of what was made from it; it still has to
// be freed. The last handle of a file writes what is left, closes the file
// and reports. Again: no effect.
//
// Threads: any.
int32_t acervo_close(acervo *db, acervo_error **err);

// Figures of the database as a map: keys, registry_keys, store_keys, bytes,
// unwritten_keys (registry writes that are not in the file; dirty_keys is the
// same), unwritten_ms (how long the oldest of them waits), stalls (registry
// writes that waited for the file), commits, log_rows, log_bytes, last_flush
// (seconds since the epoch or nil), last_error (text or nil), path, read_only, sqlite. `out` is
// owned: free with acervo_value_free.
//
// Threads: any.
int32_t acervo_stats(acervo *db, acervo_value **out, acervo_error **err);

// Checks the whole file as it is at one moment: SQLite's own check of its
// pages, our tables, every row of the log of keys and values, the versions of
// entries with their changesets, what was derived from those; and that memory
// holds what the file says, where nothing waits to be written. Repairs
// nothing; others read and write meanwhile. Takes as long as reading all of
// it, and memory for every key.
//
// `out_report` is a map, owned: free with acervo_value_free. `ok` is true for
// a sound database; `faults` is an array of maps of `what` (file, schema, log,
// memory, version, head, changeset, net, skip), `where` and `found`, all
// texts, at most 100; `count` is how many faults there are; `checked` is a map
// of how many pages, rows, keys, versions, checkpoints and entries were looked
// at.
//
// What is damaged is in the report, and the call is ACERVO_OK. A failure means
// that it could not be checked: ACERVO_UNAVAILABLE: I/O error, or another file
// has the name by now. A file that is too damaged to be opened is checked by
// the program, `acervo check FILE`.
//
// Threads: any.
int32_t acervo_check(acervo *db, acervo_value **out_report, acervo_error **err);

// Copies the database to a new file at `path`, as it is at one moment: all
// that was acknowledged before the call, registry writes too. When it returns
// the copy and its name are on the device; it is a database like any other.
// Others read and write meanwhile. What is in memory only, by the options
// `registry_persistent` and `history`, is not copied. The copy has the option
// `file_mode`.
//
// ACERVO_ALREADY_EXISTS: something is at `path`, a symbolic link to nothing
// too. ACERVO_INVALID: its directory is missing. ACERVO_PERMISSION_DENIED.
// ACERVO_UNAVAILABLE: a database in memory; disk full, I/O error. Nothing is
// left at `path` then.
//
// Threads: any.
int32_t acervo_backup(acervo *db, const char *path, size_t path_len, acervo_error **err);

// Sends the database's log lines to `function` from now on; NULL: nowhere, as
// at first. Holds for all handles of the file. `destroy` (may be NULL) runs
// once: when another hook takes the place, when the database goes, or if this
// fails.
//
// Threads: any.
int32_t acervo_set_log(acervo *db,
                       acervo_log_fn function,
                       void *userdata,
                       void (*destroy)(void *userdata),
                       acervo_error **err);

// The key-value state shared by all scripts. `out` is owned: free with
// acervo_kv_free.
//
// Threads: any.
int32_t acervo_kv_registry(acervo *db, acervo_kv **out, acervo_error **err);

// The durable state of one ident of 1 to 256 bytes; NULL with length 0: the
// store's keys as they are. `out` is owned: free with acervo_kv_free.
//
// Threads: any.
int32_t acervo_kv_store(acervo *db,
                        const char *ident,
                        size_t ident_len,
                        acervo_kv **out,
                        acervo_error **err);

// Frees the handle. NULL is accepted.
//
// Threads: one at a time.
void acervo_kv_free(acervo_kv *kv);

// Stores a value, copied; the key does not expire. Last writer wins.
//
// ACERVO_INVALID: a bad key, a value over `value_limit`.
// ACERVO_UNAVAILABLE: `memory_limit` reached, disk full, I/O error.
// ACERVO_PERMISSION_DENIED: open for reading only.
//
// Threads: any.
int32_t acervo_kv_put(acervo_kv *kv,
                      const char *key,
                      size_t key_len,
                      const acervo_value *value,
                      acervo_error **err);

// As acervo_kv_put; after `ttl_ms` milliseconds (1 or more) the key reads as
// missing.
//
// Threads: any.
int32_t acervo_kv_put_ttl(acervo_kv *kv,
                          const char *key,
                          size_t key_len,
                          const acervo_value *value,
                          int64_t ttl_ms,
                          acervo_error **err);

// The value and the time it was written, in seconds since the Unix epoch.
// Either out may be NULL. `out` is owned: free with acervo_value_free; it
// shares the stored bytes.
//
// ACERVO_NOT_FOUND, without an error: the key is missing or expired.
//
// Threads: any.
int32_t acervo_kv_get(acervo_kv *kv,
                      const char *key,
                      size_t key_len,
                      acervo_value **out,
                      int64_t *out_timestamp,
                      acervo_error **err);

// Copies the value into `buf`: bool, int and float as their bytes (1, 8, 8),
// a string as it is, nil as length 0, arrays and maps as MessagePack. Every
// out may be NULL; `buf` too, with `cap` 0.
//
// ACERVO_NOT_FOUND, without an error: the key is missing or expired.
// ACERVO_TOO_SMALL: `cap` is; `out_len` is set, nothing is copied.
//
// Threads: any.
int32_t acervo_kv_get_into(acervo_kv *kv,
                           const char *key,
                           size_t key_len,
                           void *buf,
                           size_t cap,
                           size_t *out_len,
                           int32_t *out_type,
                           int64_t *out_timestamp,
                           acervo_error **err);

// Deletes a key; a missing one is no error.
//
// Threads: any.
int32_t acervo_kv_delete(acervo_kv *kv, const char *key, size_t key_len, acervo_error **err);

// Adds to an int atomically; a missing key counts as 0. Keeps the time to
// live. `out` may be NULL.
//
// ACERVO_INVALID: the value is no int, or the sum leaves its range.
//
// Threads: any.
int32_t acervo_kv_incr(acervo_kv *kv,
                       const char *key,
                       size_t key_len,
                       int64_t by,
                       int64_t *out,
                       acervo_error **err);

// As acervo_kv_incr, for floats: adds to an int or a float and stores a
// float.
//
// Threads: any.
int32_t acervo_kv_incr_float(acervo_kv *kv,
                             const char *key,
                             size_t key_len,
                             double by,
                             double *out,
                             acervo_error **err);

// Stores `value` if the present one equals `expected` (NULL: if the key is
// missing; a nil value: if nil is stored). Keeps the time to live.
// `out_stored` may be NULL.
//
// Threads: any.
int32_t acervo_kv_cas(acervo_kv *kv,
                      const char *key,
                      size_t key_len,
                      const acervo_value *expected,
                      const acervo_value *value,
                      bool *out_stored,
                      acervo_error **err);

// Deletes the key if its value equals `expected`. `out_deleted` may be NULL.
//
// Threads: any.
int32_t acervo_kv_cas_delete(acervo_kv *kv,
                             const char *key,
                             size_t key_len,
                             const acervo_value *expected,
                             bool *out_deleted,
                             acervo_error **err);

// The keys that start with `prefix` (NULL with length 0: all), sorted by
// their bytes, as an array of strings. `out_array` is owned: free with
// acervo_value_free.
//
// Threads: any.
int32_t acervo_kv_keys(acervo_kv *kv,
                       const char *prefix,
                       size_t prefix_len,
                       acervo_value **out_array,
                       acervo_error **err);

// How many keys start with `prefix` (NULL with length 0: all).
//
// Threads: any.
int32_t acervo_kv_count(acervo_kv *kv,
                        const char *prefix,
                        size_t prefix_len,
                        uint64_t *out,
                        acervo_error **err);

// Calls `function` for each key that starts with `prefix` (NULL with length
// 0: all), in key order. A key that is there during the whole walk is met
// once. What `function` returns other than 0 ends the walk and is returned as
// it is, without an error. `destroy` (may be NULL) runs once, at the end.
//
// Threads: any.
int32_t acervo_kv_each(acervo_kv *kv,
                       const char *prefix,
                       size_t prefix_len,
                       acervo_kv_each_fn function,
                       void *userdata,
                       void (*destroy)(void *userdata),
                       acervo_error **err);

// Deletes every key that starts with `prefix` (NULL with length 0: all), at
// once. `out`, how many, may be NULL.
//
// Threads: any.
int32_t acervo_kv_delete_prefix(acervo_kv *kv,
                                const char *prefix,
                                size_t prefix_len,
                                uint64_t *out,
                                acervo_error **err);

// Deletes every key that has not been written for `seconds` (0 or more).
// `out`, how many, may be NULL.
//
// Threads: any.
int32_t acervo_kv_purge(acervo_kv *kv, double seconds, uint64_t *out, acervo_error **err);

// Returns when everything put before is in the file.
//
// ACERVO_UNAVAILABLE: the file; what could not be written is kept and tried
// again.
//
// Threads: any.
int32_t acervo_kv_flush(acervo_kv *kv, acervo_error **err);

// An empty batch for `kv`. Owned: free with acervo_batch_free. NULL for NULL,
// and in a forked child.
//
// Threads: any.
acervo_batch *acervo_batch_new(acervo_kv *kv);

// Frees the batch; what was not committed is forgotten. NULL is accepted.
//
// Threads: one at a time.
void acervo_batch_free(acervo_batch *batch);

// Adds a put; key and value are copied and checked at the commit.
//
// Threads: one at a time.
int32_t acervo_batch_put(acervo_batch *batch,
                         const char *key,
                         size_t key_len,
                         const acervo_value *value,
                         acervo_error **err);

// As acervo_batch_put; `ttl_ms` milliseconds (1 or more) after this call the
// key reads as missing.
//
// Threads: one at a time.
int32_t acervo_batch_put_ttl(acervo_batch *batch,
                             const char *key,
                             size_t key_len,
                             const acervo_value *value,
                             int64_t ttl_ms,
                             acervo_error **err);

// Adds a deletion; a missing key is no error.
//
// Threads: one at a time.
int32_t acervo_batch_delete(acervo_batch *batch,
                            const char *key,
                            size_t key_len,
                            acervo_error **err);

// Does all writes of the batch or none, with one sync, and leaves it empty.
// After a failure the batch is as it was.
//
// Threads: one at a time.
int32_t acervo_batch_commit(acervo_batch *batch, acervo_error **err);

// An entry from its parts, copied. `id` is "namespace:name" of at most 512
// bytes; without a colon the namespace is empty. `kind` has 1 to 256 bytes.
// `meta` is a map with string keys, NULL for an empty one; `data` is any
// value, absent if it is NULL or nil. `out` is owned: free with
// acervo_entry_free.
//
// ACERVO_INVALID: an id or kind that is empty, too long or has a control
// byte, a meta that is no such map.
//
// Threads: any.
int32_t acervo_entry_new(const char *id,
                         size_t id_len,
                         const char *kind,
                         size_t kind_len,
                         const acervo_value *meta,
                         const acervo_value *data,
                         acervo_entry **out,
                         acervo_error **err);

// One more reference to the same entry. Owned: free with acervo_entry_free.
// NULL for NULL.
//
// Threads: any.
acervo_entry *acervo_entry_retain(const acervo_entry *entry);

// Frees one reference. NULL is accepted.
//
// Threads: any.
void acervo_entry_free(acervo_entry *entry);

// The id as "namespace:name", with the colon also where the namespace is
// empty. Borrowed until the entry is freed, with NUL. `out_len` may be NULL.
// NULL for NULL.
//
// Threads: any.
const char *acervo_entry_id(const acervo_entry *entry, size_t *out_len);

// The kind. Borrowed until the entry is freed, with NUL. `out_len` may be
// NULL. NULL for NULL.
//
// Threads: any.
const char *acervo_entry_kind(const acervo_entry *entry, size_t *out_len);

// The meta fields, a map. Borrowed until the entry is freed. NULL for NULL.
//
// Threads: any.
const acervo_value *acervo_entry_meta(const acervo_entry *entry);

// The data. Borrowed until the entry is freed. NULL if the entry has none, or
// is NULL.
//
// Threads: any.
const acervo_value *acervo_entry_data(const acervo_entry *entry);

// How many entries there are; 0 for NULL.
//
// Threads: any.
size_t acervo_entries_len(const acervo_entries *entries);

// One of the entries, counted from 0. Borrowed until the list is freed; to
// keep it longer: acervo_entry_retain. NULL past the end, and for NULL.
//
// Threads: any.
const acervo_entry *acervo_entries_at(const acervo_entries *entries, size_t index);

// Frees a list. NULL is accepted.
//
// Threads: one at a time.
void acervo_entries_free(acervo_entries *entries);

// The entry registry as it is now. `out` is owned: free with
// acervo_snapshot_free.
//
// ACERVO_INTERNAL: the database is closed, or its history is damaged.
//
// Threads: any.
int32_t acervo_snapshot_current(acervo *db, acervo_snapshot **out, acervo_error **err);

// The entry registry as it was at `version`; 0 is the root, before any
// version. `out` is owned: free with acervo_snapshot_free.
//
// ACERVO_NOT_FOUND: there is no such version, or it was pruned.
// ACERVO_UNAVAILABLE: the database keeps no history.
//
// Threads: any.
int32_t acervo_snapshot_at(acervo *db, uint64_t version, acervo_snapshot **out, acervo_error **err);

// One more reference to the same snapshot. Owned: free with
// acervo_snapshot_free. NULL for NULL.
//
// Threads: any.
acervo_snapshot *acervo_snapshot_retain(const acervo_snapshot *snapshot);

// Frees one reference. NULL is accepted.
//
// Threads: any.
void acervo_snapshot_free(acervo_snapshot *snapshot);

// Its version; 0 for NULL.
//
// Threads: any.
uint64_t acervo_snapshot_version(const acervo_snapshot *snapshot);

// How many entries it has; 0 for NULL.
//
// Threads: any.
size_t acervo_snapshot_len(const acervo_snapshot *snapshot);

// The entry with this id; any text may be asked for. `out` is owned: free
// with acervo_entry_free; it shares what the registry holds.
//
// ACERVO_NOT_FOUND, without an error: there is none.
//
// Threads: any.
int32_t acervo_snapshot_get(const acervo_snapshot *snapshot,
                            const char *id,
                            size_t id_len,
                            acervo_entry **out,
                            acervo_error **err);

// The entries that match all conditions of `filter`, a map from fields with
// an optional operator in front (`.kind`, `~.name`, `meta.x`, `^data.x`) to
// what they are compared with; see docs/c.md. `options` is NULL or a map
// of `limit` and `offset`. `out` is owned: free with acervo_entries_free.
//
// ACERVO_INVALID naming the key: an unknown field, a bad pattern, an operator
// with something that is no string; an unknown or negative option.
//
// Threads: any.
int32_t acervo_snapshot_find(const acervo_snapshot *snapshot,
                             const acervo_value *filter,
                             const acervo_value *options,
                             acervo_entries **out,
                             acervo_error **err);

// All entries. `out` is owned: free with acervo_entries_free.
//
// Threads: any.
int32_t acervo_snapshot_entries(const acervo_snapshot *snapshot,
                                acervo_entries **out,
                                acervo_error **err);

// The entries of exactly this namespace (NULL with length 0: the empty one).
// `out` is owned: free with acervo_entries_free.
//
// Threads: any.
int32_t acervo_snapshot_namespace(const acervo_snapshot *snapshot,
                                  const char *ns,
                                  size_t ns_len,
                                  acervo_entries **out,
                                  acervo_error **err);

// No changes yet, based on `base`. Owned: free with acervo_changes_free. NULL
// for NULL, and for a snapshot that was made before a fork.
//
// Threads: any.
acervo_changes *acervo_changes_new(const acervo_snapshot *base);

// Frees the changes; what was not applied is forgotten. NULL is accepted.
//
// Threads: one at a time.
void acervo_changes_free(acervo_changes *changes);

// Queues a create of `entry`, which the changes share. After a failure, what
// was queued stays.
//
// ACERVO_INVALID: meta or data over `value_limit`, more than 100000
// operations, changes that were applied already.
//
// Threads: one at a time.
int32_t acervo_changes_create(acervo_changes *changes,
                              const acervo_entry *entry,
                              acervo_error **err);

// Queues an update: the entry with the id of `entry` becomes `entry`, which
// the changes share. Otherwise as acervo_changes_create.
//
// Threads: one at a time.
int32_t acervo_changes_update(acervo_changes *changes,
                              const acervo_entry *entry,
                              acervo_error **err);

// Queues a delete of the entry with this id, copied. After a failure, what was
// queued stays.
//
// ACERVO_INVALID: more than 100000 operations, changes that were applied
// already.
//
// Threads: one at a time.
int32_t acervo_changes_delete(acervo_changes *changes,
                              const char *id,
                              size_t id_len,
                              acervo_error **err);

// Sets one option of the apply; nil unsets it. `base`: "strict" (nobody
// changed anything since the snapshot) or "disjoint" (nobody changed what is
// touched). `author`, `message`: strings, kept with the version. `dry_run`:
// true to try only.
//
// ACERVO_INVALID naming the option: unknown, or a wrong value.
//
// Threads: one at a time.
int32_t acervo_changes_set(acervo_changes *changes,
                           const char *option,
                           size_t option_len,
                           const acervo_value *value,
                           acervo_error **err);

// What is queued, in call order: an array of maps of `kind` ("entry.create",
// "entry.update", "entry.delete") and `entry` (a map of `id`, `kind`, `meta`,
// `data`; of a delete `id` only). Works also after the apply. `out` is owned:
// free with acervo_value_free.
//
// Threads: one at a time.
int32_t acervo_changes_ops(const acervo_changes *changes, acervo_value **out, acervo_error **err);

// What an apply would do now, as a dry run: the operations, folded to what
// they come down to for each id and in the order in which they would be done,
// as an array of maps of `kind`, `entry` and, for updates and deletes,
// `original`. `out` is owned: free with acervo_value_free.
//
// Fails as acervo_changes_apply does.
//
// Threads: one at a time.
int32_t acervo_changes_plan(const acervo_changes *changes, acervo_value **out, acervo_error **err);

// Applies the changes to the registry as it is now, all or none, and makes a
// version, whose id `out_version` gets; it may be NULL. After a dry run that
// is the current version. After success the changes are spent; after a failure
// or a dry run they are as before.
//
// ACERVO_INVALID: no changes, spent ones, an update that changes the kind.
// ACERVO_ALREADY_EXISTS, ACERVO_NOT_FOUND: the first create of an entry that
// is there, update or delete of one that is not, in call order.
// ACERVO_CONFLICT: the option `base` forbids it; the error's details have
// `ids`. ACERVO_PERMISSION_DENIED: open for reading only. ACERVO_UNAVAILABLE:
// locked by another process, I/O error, disk full.
//
// Handlers (acervo_on) are asked on this thread; if one refuses, what it gave
// as its kind. ACERVO_NOT_FOUND: what one deferred stayed unresolved (the
// details have `ids`), or `require_handler`. ACERVO_TIMEOUT: no answer in
// time. ACERVO_INVALID: from inside a handler. If something could not be
// undone, the details have `undo`, a list of maps of `id` and `message`.
//
// Threads: one at a time.
int32_t acervo_changes_apply(acervo_changes *changes, uint64_t *out_version, acervo_error **err);

// The current version of the entry registry; 0 before the first.
//
// Threads: any.
int32_t acervo_current_version(acervo *db, uint64_t *out, acervo_error **err);

// Makes `version` the current one, whatever branch it is on: what was done
// since is undone, what leads to it is done again, as one. Makes no version.
//
// ACERVO_NOT_FOUND: there is no such version, or it was pruned.
// ACERVO_UNAVAILABLE: the database keeps no history; locked by another
// process, I/O error, disk full. ACERVO_PERMISSION_DENIED: open for reading
// only. Handlers are asked as in acervo_changes_apply.
//
// Threads: any.
int32_t acervo_apply_version(acervo *db, uint64_t version, acervo_error **err);

// All versions, ascending: an array of maps of `id`, `parent`, `time` (seconds
// since the Unix epoch), `author` and `message`; what is not known is left
// out. `out_array` is owned: free with acervo_value_free.
//
// ACERVO_UNAVAILABLE: the database keeps no history.
//
// Threads: any.
int32_t acervo_versions(acervo *db, acervo_value **out_array, acervo_error **err);

// What is known about one version: a map as in acervo_versions. `out` is
// owned: free with acervo_value_free.
//
// ACERVO_NOT_FOUND: there is no such version, or it was pruned.
// ACERVO_UNAVAILABLE: the database keeps no history.
//
// Threads: any.
int32_t acervo_version_info(acervo *db, uint64_t version, acervo_value **out, acervo_error **err);

// The version that `version` was made from. `out_found` is false for the
// root, which comes from none.
//
// ACERVO_NOT_FOUND: there is no version `version`, or it was pruned.
// ACERVO_UNAVAILABLE: the database keeps no history.
//
// Threads: any.
int32_t acervo_version_previous(acervo *db,
                                uint64_t version,
                                uint64_t *out,
                                bool *out_found,
                                acervo_error **err);

// The version that follows `version`: on the way to the current one, else the
// newest that was made from it. `out_found` is false if none was.
//
// Fails as acervo_version_previous does.
//
// Threads: any.
int32_t acervo_version_next(acervo *db,
                            uint64_t version,
                            uint64_t *out,
                            bool *out_found,
                            acervo_error **err);

// Takes every version out of the history that does not descend from `version`,
// except the root; `version` then comes from the root. Snapshots stay whole.
//
// ACERVO_INVALID: `version` is neither the current one nor one that it comes
// from. ACERVO_NOT_FOUND: there is no such version, or it was pruned.
// ACERVO_UNAVAILABLE: the database keeps no history; locked by another
// process, I/O error, disk full. ACERVO_PERMISSION_DENIED: open for reading
// only.
//
// Threads: any.
int32_t acervo_prune(acervo *db, uint64_t version, acervo_error **err);

// Replays the history up to `version` (NULL: the stored head) on top of
// `entries`, a baseline that is in no version, and makes that the current
// state. For boot: once, before the first apply, by any handle of the file.
// Handlers are asked about every entry there is then, as creates in one
// transaction, dependencies first. Makes no version and does not move the
// stored head. `out_version`, the version that is current now, may be NULL.
//
// ACERVO_INVALID: a state was loaded or changed before (a refused load does
// not count); an element that is NULL or whose id is there twice, named as
// `baseline[1]` for the first; from inside a handler. ACERVO_NOT_FOUND: there
// is no such version, or it was pruned. ACERVO_UNAVAILABLE: the database keeps
// no history; locked by another process, I/O error. Else what a handler
// refuses.
//
// Threads: any.
int32_t acervo_load_state(acervo *db,
                          const acervo_entry *const *entries,
                          size_t len,
                          const uint64_t *version,
                          uint64_t *out_version,
                          acervo_error **err);

// The operations that turn one list of entries into another, in the order of
// an apply: an array of maps of `kind`, `entry` and, for updates and deletes,
// `original`. Equal entries give none. NULL with length 0 is an empty list.
// `out_ops` is owned: free with acervo_value_free.
//
// ACERVO_INVALID naming the element, as `from[1]` for the first: it is NULL,
// or its id is in the list twice.
//
// Threads: any.
int32_t acervo_build_delta(acervo *db,
                           const acervo_entry *const *from,
                           size_t from_len,
                           const acervo_entry *const *to,
                           size_t to_len,
                           acervo_value **out_ops,
                           acervo_error **err);

// Has dependencies be read from one more place in entries: `path` is made of
// segments separated by dots, from `meta` or `data`; with `allow_wildcard` a
// segment may hold `*`. A path that is there already changes nothing.
//
// ACERVO_INVALID: an empty or wrong path.
//
// Threads: any.
int32_t acervo_register_pattern(acervo *db,
                                const char *path,
                                size_t path_len,
                                bool allow_wildcard,
                                acervo_error **err);

// The ids of the entries that depend on this one, with `transitive` also
// through others, sorted, as an array of strings: what breaks if it goes.
// `out_ids` is owned: free with acervo_value_free.
//
// ACERVO_NOT_FOUND: there is no entry with this id.
//
// Threads: any.
int32_t acervo_dependents(acervo *db,
                          const char *id,
                          size_t id_len,
                          bool transitive,
                          acervo_value **out_ids,
                          acervo_error **err);

// The ids of the entries that this one depends on, with `transitive` also
// through others, sorted, as an array of strings. `out_ids` is owned: free
// with acervo_value_free.
//
// ACERVO_NOT_FOUND: there is no entry with this id.
//
// Threads: any.
int32_t acervo_dependencies(acervo *db,
                            const char *id,
                            size_t id_len,
                            bool transitive,
                            acervo_value **out_ids,
                            acervo_error **err);

// What is done: ACERVO_OP_CREATE and so on; ACERVO_INVALID for NULL.
//
// Threads: any.
int32_t acervo_op_kind(const acervo_op *op);

// Under which circumstances: ACERVO_OP_FLAG_UNDO and so on, or-ed; 0 for none,
// and for NULL.
//
// Threads: any.
uint32_t acervo_op_flags(const acervo_op *op);

// The entry as it will be; for a delete the entry that goes. Borrowed until
// the op is freed; to keep it longer: acervo_entry_retain. NULL for begin,
// commit and discard, and for NULL.
//
// Threads: any.
const acervo_entry *acervo_op_entry(const acervo_op *op);

// The entry as it was, for updates and deletes. Borrowed until the op is
// freed. NULL for everything else, and for NULL.
//
// Threads: any.
const acervo_entry *acervo_op_original(const acervo_op *op);

// Notes why it will be refused; refuses nothing yet. `message`, copied, goes
// with what the handler returns, which then is the kind; or, with the kind
// `code`, with acervo_op_reject. Again: replaces it.
//
// ACERVO_INVALID: NULL, a `code` that is none or no failure, a bad text.
// ACERVO_FORKED. There is no error object.
//
// Threads: any.
int32_t acervo_op_set_error(acervo_op *op, int32_t code, const char *message, size_t message_len);

// One more reference to the same op. Owned: free with acervo_op_free. NULL for
// NULL.
//
// Threads: any.
acervo_op *acervo_op_retain(acervo_op *op);

// Frees one reference. NULL is accepted. Answers nothing: an op that is
// pending stays so.
//
// Threads: any.
void acervo_op_free(acervo_op *op);

// Says yes to a pending op; may come before the handler has returned
// ACERVO_PENDING.
//
// ACERVO_INVALID "too late": it was answered before, or nobody waits any more.
//
// Threads: any.
int32_t acervo_op_accept(acervo_op *op, acervo_error **err);

// Says no to a pending op, with what acervo_op_set_error has noted; else as
// ACERVO_INVALID without a reason. Otherwise as acervo_op_accept.
//
// Threads: any.
int32_t acervo_op_reject(acervo_op *op, acervo_error **err);

// Has `function` be asked about every change of an entry whose kind matches
// `kind_pattern`: segments between dots, `*` for any one, `**` for any number,
// `(a|b)` for a choice. Handlers are asked in the order in which they were
// registered. `flags`: ACERVO_ON_TRANSACTION, ACERVO_ON_REPLAY, or-ed.
//
// `out` is owned: free with acervo_subscription_cancel. It may be NULL: the
// handler then stays until the last handle of the file is closed. `destroy`
// (may be NULL) runs once: when the handler was cancelled and no call of it
// runs, when the database goes, or if this fails; on any thread, and it may
// call what a handler may.
//
// ACERVO_INVALID: a NULL function, a bad pattern, unknown flags; a replay from
// inside a handler. With ACERVO_ON_REPLAY also what the handler refuses; it is
// not registered then.
//
// Threads: any.
int32_t acervo_on(acervo *db,
                  const char *kind_pattern,
                  size_t len,
                  uint32_t flags,
                  acervo_handler_fn function,
                  void *userdata,
                  void (*destroy)(void *userdata),
                  acervo_subscription **out,
                  acervo_error **err);

// Has the handler not be asked any more, and frees the subscription. Waits for
// a running call of the handler, unless made from inside it: when this
// returns, none runs and `destroy` has run; from inside it that runs when the
// call has ended. What the handler has left pending counts as accepted. NULL
// is accepted, and a subscription whose database was closed.
//
// Threads: one at a time.
void acervo_subscription_cancel(acervo_subscription *subscription);

// A stream of what happens to the entry registry from now on. Up to `capacity`
// events (1 or more) wait to be read; a transaction that does not fit is lost,
// with what comes behind it, and told as one event "gap". Never holds up an
// apply. `out` is owned: free with acervo_feed_free.
//
// ACERVO_INVALID: a capacity of 0.
//
// Threads: any.
int32_t acervo_events(acervo *db, uint32_t capacity, acervo_feed **out, acervo_error **err);

// The next event; waits for it up to `timeout_ms` milliseconds, below 0 for
// good. A map of `kind` ("registry.begin", "entry.create", "entry.update",
// "entry.delete", "registry.commit", "registry.discard", "gap"), `version`
// (the one that the transaction makes or moves to; of a gap the current one)
// and, where there are any, `entry`, `original` and `foreign` (true: another
// process did it). The events of a transaction come together, when it has
// ended. `out_event` is owned: free with acervo_value_free.
//
// ACERVO_TIMEOUT: none came. ACERVO_INTERNAL: the database is closed, also
// while this waits; what had come before can be read first.
//
// Threads: one at a time.
int32_t acervo_feed_next(acervo_feed *feed,
                         int64_t timeout_ms,
                         acervo_value **out_event,
                         acervo_error **err);

// A descriptor for poll(2) and its like, readable while acervo_feed_next has
// something to give: an event, or that the database is closed. Borrowed until
// the feed is freed; neither read from it nor close it. -1 for NULL, in a
// forked child, and if the process has no descriptors left.
//
// Threads: one at a time.
int acervo_feed_fd(const acervo_feed *feed);

// Frees a feed, with what was not read. NULL is accepted.
//
// Threads: one at a time.
void acervo_feed_free(acervo_feed *feed);

// Has `function` be asked about what scripts do with entries, from now on;
// NULL: they may do everything, as at first. Holds for all handles of the
// file. Calls of this header are the host's own and never asked about.
// `destroy` (may be NULL) runs once: when another policy takes the place and
// no call runs, when the database goes, or if this fails.
//
// Threads: any.
int32_t acervo_set_policy(acervo *db,
                          acervo_policy_fn function,
                          void *userdata,
                          void (*destroy)(void *userdata),
                          acervo_error **err);

// Behind acervo_lua_attach of `acervo_lua.h`; call that.
//
// Threads: one at a time.
int32_t acervo_lua_attach_with(const acervo_lua_api *api,
                               struct lua_State *state,
                               acervo *db,
                               const char *ident,
                               size_t ident_len,
                               const char *actor,
                               size_t actor_len,
                               acervo_error **err);

// Behind acervo_lua_set_ident of `acervo_lua.h`; call that.
//
// Threads: one at a time.
int32_t acervo_lua_set_ident_with(const acervo_lua_api *api,
                                  struct lua_State *state,
                                  const char *ident,
                                  size_t ident_len,
                                  acervo_error **err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ACERVO_H */
