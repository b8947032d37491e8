//! Options and databases.

use std::ffi::c_char;
use std::sync::Arc;

use super::error::acervo_error;
use super::raw::{self, Out};
use super::value::acervo_value;
use super::wall;
use crate::database::{Database, Options};

/// Options for acervo_open.
///
/// Threads: one at a time.
pub struct acervo_options {
    options: Options,
}

/// An open database file, or one in memory.
///
/// All handles of one file in a process share its state. Reference counted;
/// what is made from a handle keeps it alive, so any order of freeing is
/// right. After a fork every call on it in the child gives ACERVO_FORKED.
///
/// Threads: any.
pub struct acervo {
    pub(super) database: Database,
}

/// Options with nothing set: every option has its default. Owned: free with
/// acervo_options_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn acervo_options_new() -> *mut acervo_options {
    wall::or(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(acervo_options { options: Options::default() }))
    })
}

/// Sets one option: `durability` ("full", "normal", "off"),
/// `flush_interval_ms`, `max_unwritten_ms` (how far the file may be behind the
/// registry before puts wait for it; 0: no bound), `registry_persistent`,
/// `value_limit`, `memory_limit`,
/// `read_only`, `busy_timeout_ms`, `file_mode`, `history` (where the versions
/// of the entry registry are kept: "sqlite", "memory", "none"), `history_keep`
/// (how many; older ones are pruned), `handler_timeout_ms` (how long the answer
/// of a handler is waited for), `require_handler` (an entry whose kind has no
/// handler is refused), `internal_kinds` (an array of kinds that no handler is
/// asked about). See docs/operations.md.
///
/// ACERVO_INVALID naming the option: unknown, wrong type, out of range.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_options_set(
    options: *mut acervo_options,
    name: *const c_char,
    name_len: usize,
    value: *const acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_options_set", err, || {
            let options = raw::handle_mut(options, "options")?;
            let name = raw::utf8(name, name_len, "name")?;
            options.options.set(name, acervo_value::get(value, "value")?.view())
        })
    }
}

/// Frees options. NULL is accepted.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_options_free(options: *mut acervo_options) {
    if !options.is_null() {
        // SAFETY: it came from acervo_options_new, and the caller gives it up.
        wall::or((), || drop(unsafe { Box::from_raw(options) }));
    }
}

/// Opens the file at `path`, made if missing (its directory is not), or a new
/// database in memory for ":memory:". `options` may be NULL and can be freed
/// after the call. `out` is owned: free with acervo_free.
///
/// ACERVO_INVALID: a missing directory, an option that differs from the first
/// open's, a file of a newer version. ACERVO_PERMISSION_DENIED.
/// ACERVO_INTERNAL: no database, or damaged; it is left as it is.
/// ACERVO_UNAVAILABLE: locked by another process, I/O error, disk full.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_open(
    path: *const c_char,
    path_len: usize,
    options: *const acervo_options,
    out: *mut *mut acervo,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_open", err, || {
            out.needed()?;
            let path = raw::text(path, path_len, "path")?;
            let defaults = Options::default();
            let options = options.as_ref().map_or(&defaults, |options| &options.options);
            let database = Database::open(path, options)?;
            out.set(Arc::into_raw(Arc::new(acervo { database })).cast_mut());
            Ok(())
        })
    }
}

/// One more reference to the same handle. Owned: free with acervo_free. NULL
/// for NULL, and in a forked child.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_retain(db: *mut acervo) -> *mut acervo {
    wall::or(std::ptr::null_mut(), || {
        // SAFETY: NULL or a live handle.
        match unsafe { db.as_ref() } {
            Some(handle) if !handle.database.is_forked() => {
                // SAFETY: it came from Arc::into_raw and is alive.
                unsafe { Arc::increment_strong_count(db.cast_const()) };
                db
            }
            _ => std::ptr::null_mut(),
        }
    })
}

/// Frees one reference. NULL is accepted. Does no I/O: if it was the last use
/// of the file, a thread writes what is left and closes it.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_free(db: *mut acervo) {
    if !db.is_null() {
        // SAFETY: it came from Arc::into_raw, and the caller gives it up.
        wall::or((), || drop(unsafe { Arc::from_raw(db.cast_const()) }));
    }
}

/// Returns when everything put before is in the file.
///
/// ACERVO_UNAVAILABLE: the file; what could not be written is kept and tried
/// again.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_flush(db: *mut acervo, err: *mut *mut acervo_error) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe { wall::call("acervo_flush", err, || raw::handle(db, "db")?.database.flush()) }
}

/// Ends the use of this handle and of what was made from it; it still has to
/// be freed. The last handle of a file writes what is left, closes the file
/// and reports. Again: no effect.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_close(db: *mut acervo, err: *mut *mut acervo_error) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe { wall::call("acervo_close", err, || raw::handle(db, "db")?.database.close()) }
}

/// Figures of the database as a map: keys, registry_keys, store_keys, bytes,
/// unwritten_keys (registry writes that are not in the file; dirty_keys is the
/// same), unwritten_ms (how long the oldest of them waits), stalls (registry
/// writes that waited for the file), commits, log_rows, log_bytes, last_flush
/// (seconds since the epoch or nil), last_error (text or nil), path, read_only, sqlite. `out` is
/// owned: free with acervo_value_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_stats(
    db: *mut acervo,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_stats", err, || {
            out.needed()?;
            out.set(acervo_value::owned(raw::handle(db, "db")?.database.stats()?));
            Ok(())
        })
    }
}

/// Checks the whole file as it is at one moment: SQLite's own check of its
/// pages, our tables, every row of the log of keys and values, the versions of
/// entries with their changesets, what was derived from those; and that memory
/// holds what the file says, where nothing waits to be written. Repairs
/// nothing; others read and write meanwhile. Takes as long as reading all of
/// it, and memory for every key.
///
/// `out_report` is a map, owned: free with acervo_value_free. `ok` is true for
/// a sound database; `faults` is an array of maps of `what` (file, schema, log,
/// memory, version, head, changeset, net, skip), `where` and `found`, all
/// texts, at most 100; `count` is how many faults there are; `checked` is a map
/// of how many pages, rows, keys, versions, checkpoints and entries were looked
/// at.
///
/// What is damaged is in the report, and the call is ACERVO_OK. A failure means
/// that it could not be checked: ACERVO_UNAVAILABLE: I/O error, or another file
/// has the name by now. A file that is too damaged to be opened is checked by
/// the program, `acervo check FILE`.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_check(
    db: *mut acervo,
    out_report: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_report = Out::reset(out_report, std::ptr::null_mut(), "out_report");
        wall::call("acervo_check", err, || {
            out_report.needed()?;
            let report = raw::handle(db, "db")?.database.check_integrity()?;
            out_report.set(acervo_value::owned(report.to_value()));
            Ok(())
        })
    }
}

/// Copies the database to a new file at `path`, as it is at one moment: all
/// that was acknowledged before the call, registry writes too. When it returns
/// the copy and its name are on the device; it is a database like any other.
/// Others read and write meanwhile. What is in memory only, by the options
/// `registry_persistent` and `history`, is not copied. The copy has the option
/// `file_mode`.
///
/// ACERVO_ALREADY_EXISTS: something is at `path`, a symbolic link to nothing
/// too. ACERVO_INVALID: its directory is missing. ACERVO_PERMISSION_DENIED.
/// ACERVO_UNAVAILABLE: a database in memory; disk full, I/O error. Nothing is
/// left at `path` then.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_backup(
    db: *mut acervo,
    path: *const c_char,
    path_len: usize,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_backup", err, || {
            let path = raw::text(path, path_len, "path")?;
            raw::handle(db, "db")?.database.backup(path)
        })
    }
}
