//! Changes: what is queued and then applied as one.

use std::ffi::c_char;

use super::entry::acervo_entry;
use super::error::acervo_error;
use super::raw::{self, Out};
use super::snapshot::acervo_snapshot;
use super::value::acervo_value;
use super::wall;
use crate::entries::{Changes, IdRef, Registry};
use crate::error::Error;
use crate::guard::Unusable;
use crate::value::Value;

/// Creates, updates and deletes of entries, applied together, all or none.
///
/// Keeps its snapshot and database alive.
///
/// Threads: one at a time.
pub struct acervo_changes {
    changes: Changes,
}

/// Fails if the changes were made before a fork.
fn check(changes: &Changes) -> Result<(), Error> {
    if changes.snapshot().registry().is_forked() { Err(Unusable::Forked.into()) } else { Ok(()) }
}

/// # Safety
///
/// `changes` is NULL or live, and nobody else uses it.
unsafe fn get_mut<'a>(changes: *mut acervo_changes) -> Result<&'a mut Changes, Error> {
    // SAFETY: as promised by the caller.
    let changes = &mut unsafe { raw::handle_mut(changes, "changes") }?.changes;
    check(changes)?;
    Ok(changes)
}

/// # Safety
///
/// `changes` is NULL or live, and nobody changes it.
unsafe fn get<'a>(changes: *const acervo_changes) -> Result<&'a Changes, Error> {
    // SAFETY: as promised by the caller.
    let changes = &unsafe { raw::handle(changes, "changes") }?.changes;
    check(changes)?;
    Ok(changes)
}

/// No changes yet, based on `base`. Owned: free with acervo_changes_free. NULL
/// for NULL, and for a snapshot that was made before a fork.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_changes_new(base: *const acervo_snapshot) -> *mut acervo_changes {
    wall::or(std::ptr::null_mut(), || {
        // SAFETY: NULL or a live snapshot.
        match unsafe { acervo_snapshot::get(base) } {
            Some(base) if !base.registry().is_forked() => {
                let changes = base.changes();
                Box::into_raw(Box::new(acervo_changes { changes }))
            }
            _ => std::ptr::null_mut(),
        }
    })
}

/// Frees the changes; what was not applied is forgotten. NULL is accepted.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_changes_free(changes: *mut acervo_changes) {
    if !changes.is_null() {
        // SAFETY: it came from acervo_changes_new, and the caller gives it up.
        wall::or((), || drop(unsafe { Box::from_raw(changes) }));
    }
}

/// Queues a create of `entry`, which the changes share. After a failure, what
/// was queued stays.
///
/// ACERVO_INVALID: meta or data over `value_limit`, more than 100000
/// operations, changes that were applied already.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_changes_create(
    changes: *mut acervo_changes,
    entry: *const acervo_entry,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_changes_create", err, || {
            let changes = get_mut(changes)?;
            Ok(changes.create(acervo_entry::share(entry, "entry")?)?)
        })
    }
}

/// Queues an update: the entry with the id of `entry` becomes `entry`, which
/// the changes share. Otherwise as acervo_changes_create.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_changes_update(
    changes: *mut acervo_changes,
    entry: *const acervo_entry,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_changes_update", err, || {
            let changes = get_mut(changes)?;
            Ok(changes.update(acervo_entry::share(entry, "entry")?)?)
        })
    }
}

/// Queues a delete of the entry with this id, copied. After a failure, what was
/// queued stays.
///
/// ACERVO_INVALID: more than 100000 operations, changes that were applied
/// already.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_changes_delete(
    changes: *mut acervo_changes,
    id: *const c_char,
    id_len: usize,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_changes_delete", err, || {
            let changes = get_mut(changes)?;
            Ok(changes.delete(IdRef::parse(raw::text(id, id_len, "id")?))?)
        })
    }
}

/// Sets one option of the apply; nil unsets it. `base`: "strict" (nobody
/// changed anything since the snapshot) or "disjoint" (nobody changed what is
/// touched). `author`, `message`: strings, kept with the version. `dry_run`:
/// true to try only.
///
/// ACERVO_INVALID naming the option: unknown, or a wrong value.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_changes_set(
    changes: *mut acervo_changes,
    option: *const c_char,
    option_len: usize,
    value: *const acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_changes_set", err, || {
            let changes = get_mut(changes)?;
            let option = raw::text(option, option_len, "option")?;
            let value = acervo_value::get(value, "value")?;
            Ok(changes.options.set(option, value.view())?)
        })
    }
}

/// What is queued, in call order: an array of maps of `kind` ("entry.create",
/// "entry.update", "entry.delete") and `entry` (a map of `id`, `kind`, `meta`,
/// `data`; of a delete `id` only). Works also after the apply. `out` is owned:
/// free with acervo_value_free.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_changes_ops(
    changes: *const acervo_changes,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_changes_ops", err, || {
            out.needed()?;
            let mut ops = Vec::new();
            get(changes)?.append_ops(&mut ops);
            out.set(acervo_value::owned(Value::try_from_canonical(&ops)?));
            Ok(())
        })
    }
}

/// What an apply would do now, as a dry run: the operations, folded to what
/// they come down to for each id and in the order in which they would be done,
/// as an array of maps of `kind`, `entry` and, for updates and deletes,
/// `original`. `out` is owned: free with acervo_value_free.
///
/// Fails as acervo_changes_apply does.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_changes_plan(
    changes: *const acervo_changes,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_changes_plan", err, || {
            out.needed()?;
            let planned = get(changes)?.plan()?;
            out.set(acervo_value::owned(Registry::value_of_ops(&planned.ops)));
            Ok(())
        })
    }
}

/// Applies the changes to the registry as it is now, all or none, and makes a
/// version, whose id `out_version` gets; it may be NULL. After a dry run that
/// is the current version. After success the changes are spent; after a failure
/// or a dry run they are as before.
///
/// ACERVO_INVALID: no changes, spent ones, an update that changes the kind.
/// ACERVO_ALREADY_EXISTS, ACERVO_NOT_FOUND: the first create of an entry that
/// is there, update or delete of one that is not, in call order.
/// ACERVO_CONFLICT: the option `base` forbids it; the error's details have
/// `ids`. ACERVO_PERMISSION_DENIED: open for reading only. ACERVO_UNAVAILABLE:
/// locked by another process, I/O error, disk full.
///
/// Handlers (acervo_on) are asked on this thread; if one refuses, what it gave
/// as its kind. ACERVO_NOT_FOUND: what one deferred stayed unresolved (the
/// details have `ids`), or `require_handler`. ACERVO_TIMEOUT: no answer in
/// time. ACERVO_INVALID: from inside a handler. If something could not be
/// undone, the details have `undo`, a list of maps of `id` and `message`.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_changes_apply(
    changes: *mut acervo_changes,
    out_version: *mut u64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_version = Out::reset(out_version, 0, "out_version");
        wall::call("acervo_changes_apply", err, || {
            out_version.set(get_mut(changes)?.apply()?.version);
            Ok(())
        })
    }
}
