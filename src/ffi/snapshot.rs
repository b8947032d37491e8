//! The entry registry at one version.

use std::ffi::c_char;
use std::mem::ManuallyDrop;

use super::database::acervo;
use super::entry::{acervo_entries, acervo_entry};
use super::error::{ACERVO_NOT_FOUND, ACERVO_OK, acervo_error};
use super::history::{known_version, registry_of};
use super::raw::{self, Out};
use super::value::acervo_value;
use super::wall;
use crate::entries::{ID_LIMIT, IdRef, Snapshot};
use crate::error::Error;
use crate::platform::thin::Thin;

/// The entry registry at one version. Immutable.
///
/// Reference counted; free each reference with acervo_snapshot_free. Taking one
/// copies nothing. Snapshots stay usable after the database is closed, and in
/// a forked child.
///
/// Threads: any.
pub struct acervo_snapshot {
    // A pointer to one is a counted `Thin<Snapshot>`.
    _opaque: [u8; 0],
}

impl acervo_snapshot {
    fn owned(snapshot: Snapshot) -> *mut Self {
        Thin::new(snapshot, &[], &[]).into_raw().cast()
    }

    /// The snapshot behind a handle.
    ///
    /// # Safety
    ///
    /// `pointer` is NULL or a live handle, which outlives `'a`.
    pub(super) unsafe fn get<'a>(pointer: *const Self) -> Option<&'a Snapshot> {
        // SAFETY: as promised by the caller.
        (!pointer.is_null()).then(|| unsafe { Thin::head_at(pointer.cast()) })
    }
}

/// # Safety
///
/// As for [`acervo_snapshot::get`].
unsafe fn get<'a>(snapshot: *const acervo_snapshot) -> Result<&'a Snapshot, Error> {
    // SAFETY: as promised by the caller.
    unsafe { acervo_snapshot::get(snapshot) }.ok_or_else(|| raw::is_null("snapshot"))
}

/// The entry registry as it is now. `out` is owned: free with
/// acervo_snapshot_free.
///
/// ACERVO_INTERNAL: the database is closed, or its history is damaged.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_current(
    db: *mut acervo,
    out: *mut *mut acervo_snapshot,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_snapshot_current", err, || {
            out.needed()?;
            out.set(acervo_snapshot::owned(registry_of(db)?.snapshot()?));
            Ok(())
        })
    }
}

/// The entry registry as it was at `version`; 0 is the root, before any
/// version. `out` is owned: free with acervo_snapshot_free.
///
/// ACERVO_NOT_FOUND: there is no such version, or it was pruned.
/// ACERVO_UNAVAILABLE: the database keeps no history.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_at(
    db: *mut acervo,
    version: u64,
    out: *mut *mut acervo_snapshot,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_snapshot_at", err, || {
            out.needed()?;
            let registry = registry_of(db)?;
            out.set(acervo_snapshot::owned(registry.snapshot_at(known_version(version)?)?));
            Ok(())
        })
    }
}

/// One more reference to the same snapshot. Owned: free with
/// acervo_snapshot_free. NULL for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_retain(
    snapshot: *const acervo_snapshot,
) -> *mut acervo_snapshot {
    wall::or(std::ptr::null_mut(), || {
        if !snapshot.is_null() {
            // SAFETY: it came from `owned` and is alive; not dropping it leaves
            // the host's reference alone.
            let held = unsafe { Thin::<Snapshot>::from_raw(snapshot.cast_mut().cast()) };
            let held = ManuallyDrop::new(held);
            std::mem::forget(Thin::clone(&held));
        }
        snapshot.cast_mut()
    })
}

/// Frees one reference. NULL is accepted.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_free(snapshot: *mut acervo_snapshot) {
    if !snapshot.is_null() {
        // SAFETY: it came from `owned`, and the caller gives its reference up.
        wall::or((), || drop(unsafe { Thin::<Snapshot>::from_raw(snapshot.cast()) }));
    }
}

/// Its version; 0 for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_version(snapshot: *const acervo_snapshot) -> u64 {
    wall::or(0, || {
        // SAFETY: NULL or a live snapshot.
        unsafe { acervo_snapshot::get(snapshot) }.map_or(0, Snapshot::version)
    })
}

/// How many entries it has; 0 for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_len(snapshot: *const acervo_snapshot) -> usize {
    wall::or(0, || {
        // SAFETY: NULL or a live snapshot.
        unsafe { acervo_snapshot::get(snapshot) }.map_or(0, Snapshot::len)
    })
}

/// The entry with this id; any text may be asked for. `out` is owned: free
/// with acervo_entry_free; it shares what the registry holds.
///
/// ACERVO_NOT_FOUND, without an error: there is none.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_get(
    snapshot: *const acervo_snapshot,
    id: *const c_char,
    id_len: usize,
    out: *mut *mut acervo_entry,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        Out::reset(out, std::ptr::null_mut(), "out");
        wall::call_quietly("acervo_snapshot_get", err, move || {
            let are_given = !out.is_null() && !id.is_null() && !snapshot.is_null();
            // So many bytes, and not ACERVO_NTS.
            if are_given && id_len <= ID_LIMIT {
                let id = std::slice::from_raw_parts(id.cast(), id_len);
                let snapshot = Thin::<Snapshot>::head_at(snapshot.cast());
                // The way of most.
                if let Some(entry) = snapshot.find_quickly(id) {
                    *out = acervo_entry::owned(entry);
                    return Ok(ACERVO_OK);
                }
            }
            find_slowly(snapshot, id, id_len, out)
        })
    }
}

/// # Safety
///
/// As the header asks for.
#[cold]
#[inline(never)]
unsafe fn find_slowly(
    snapshot: *const acervo_snapshot,
    id: *const c_char,
    id_len: usize,
    out: *mut *mut acervo_entry,
) -> Result<i32, Error> {
    // SAFETY: as promised by the caller.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        out.needed()?;
        let id = raw::text(id, id_len, "id")?;
        let snapshot = get(snapshot)?;
        // A text that ends with its NUL comes here.
        let quick = snapshot.find_quickly(id);
        let entry = quick.or_else(|| snapshot.get(IdRef::parse(id)).cloned());
        let Some(entry) = entry else { return Ok(ACERVO_NOT_FOUND) };
        out.set(acervo_entry::owned(entry));
        Ok(ACERVO_OK)
    }
}

/// The entries that match all conditions of `filter`, a map from fields with
/// an optional operator in front (`.kind`, `~.name`, `meta.x`, `^data.x`) to
/// what they are compared with; see docs/c.md. `options` is NULL or a map
/// of `limit` and `offset`. `out` is owned: free with acervo_entries_free.
///
/// ACERVO_INVALID naming the key: an unknown field, a bad pattern, an operator
/// with something that is no string; an unknown or negative option.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_find(
    snapshot: *const acervo_snapshot,
    filter: *const acervo_value,
    options: *const acervo_value,
    out: *mut *mut acervo_entries,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_snapshot_find", err, || {
            out.needed()?;
            let snapshot = get(snapshot)?;
            let filter = acervo_value::get(filter, "filter")?;
            let options = match options.is_null() {
                true => None,
                false => Some(acervo_value::get(options, "options")?),
            };
            let options = options.as_ref().map(|options| options.as_bytes());
            out.set(acervo_entries::owned(snapshot.find(filter.as_bytes(), options)?));
            Ok(())
        })
    }
}

/// All entries. `out` is owned: free with acervo_entries_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_entries(
    snapshot: *const acervo_snapshot,
    out: *mut *mut acervo_entries,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_snapshot_entries", err, || {
            out.needed()?;
            out.set(acervo_entries::owned(get(snapshot)?.entries()));
            Ok(())
        })
    }
}

/// The entries of exactly this namespace (NULL with length 0: the empty one).
/// `out` is owned: free with acervo_entries_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_snapshot_namespace(
    snapshot: *const acervo_snapshot,
    ns: *const c_char,
    ns_len: usize,
    out: *mut *mut acervo_entries,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_snapshot_namespace", err, || {
            out.needed()?;
            let snapshot = get(snapshot)?;
            out.set(acervo_entries::owned(snapshot.namespace(raw::text(ns, ns_len, "ns")?)));
            Ok(())
        })
    }
}
