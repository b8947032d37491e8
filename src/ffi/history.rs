//! Versions of the entry registry.

use super::database::acervo;
use super::dependencies::entries_of;
use super::entry::acervo_entry;
use super::error::acervo_error;
use super::raw::{self, Out};
use super::value::acervo_value;
use super::wall;
use crate::entries::{EntryError, Plain, Registry, Version};
use crate::error::Error;
use crate::value::{Value, begin_map, end_map, put_array_header, put_int, put_string};

/// The entry registry of a database.
///
/// # Safety
///
/// `db` is NULL or a live handle.
pub(super) unsafe fn registry_of<'a>(db: *mut acervo) -> Result<&'a Registry, Error> {
    // SAFETY: as promised by the caller.
    unsafe { raw::handle(db, "db") }?.database.entry_registry()
}

/// Fails for a number that no version can have.
pub(super) fn known_version(version: u64) -> Result<u64, EntryError> {
    if i64::try_from(version).is_err() {
        Err(EntryError::NoVersion { version })
    } else {
        Ok(version)
    }
}

/// Appends what is known about a version as a map.
fn append_version(out: &mut Vec<u8>, version: &Version) {
    let texts = [("author", &version.author), ("message", &version.message)];
    let numbers = [("parent", version.parent.map(|parent| parent as i64)), ("time", version.time)];
    let start = begin_map(out);
    let mut len = 1;
    put_string(out, b"id");
    put_int(out, version.id as i64);
    for (name, number) in numbers {
        if let Some(number) = number {
            put_string(out, name.as_bytes());
            put_int(out, number);
            len += 1;
        }
    }
    for (name, text) in texts {
        if let Some(text) = text {
            put_string(out, name.as_bytes());
            put_string(out, text);
            len += 1;
        }
    }
    end_map(out, start, len);
}

/// The current version of the entry registry; 0 before the first.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_current_version(
    db: *mut acervo,
    out: *mut u64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, 0, "out");
        wall::call("acervo_current_version", err, || {
            out.needed()?;
            out.set(registry_of(db)?.current_version()?);
            Ok(())
        })
    }
}

/// Makes `version` the current one, whatever branch it is on: what was done
/// since is undone, what leads to it is done again, as one. Makes no version.
///
/// ACERVO_NOT_FOUND: there is no such version, or it was pruned.
/// ACERVO_UNAVAILABLE: the database keeps no history; locked by another
/// process, I/O error, disk full. ACERVO_PERMISSION_DENIED: open for reading
/// only. Handlers are asked as in acervo_changes_apply.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_apply_version(
    db: *mut acervo,
    version: u64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_apply_version", err, || {
            Ok(registry_of(db)?.apply_version(known_version(version)?)?)
        })
    }
}

/// All versions, ascending: an array of maps of `id`, `parent`, `time` (seconds
/// since the Unix epoch), `author` and `message`; what is not known is left
/// out. `out_array` is owned: free with acervo_value_free.
///
/// ACERVO_UNAVAILABLE: the database keeps no history.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_versions(
    db: *mut acervo,
    out_array: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_array = Out::reset(out_array, std::ptr::null_mut(), "out_array");
        wall::call("acervo_versions", err, || {
            out_array.needed()?;
            let versions = registry_of(db)?.versions()?;
            let mut bytes = Vec::new();
            put_array_header(&mut bytes, versions.len() as u32);
            for version in &versions {
                append_version(&mut bytes, version);
            }
            out_array.set(acervo_value::owned(Value::try_from_canonical(&bytes)?));
            Ok(())
        })
    }
}

/// What is known about one version: a map as in acervo_versions. `out` is
/// owned: free with acervo_value_free.
///
/// ACERVO_NOT_FOUND: there is no such version, or it was pruned.
/// ACERVO_UNAVAILABLE: the database keeps no history.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_version_info(
    db: *mut acervo,
    version: u64,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_version_info", err, || {
            out.needed()?;
            let version = registry_of(db)?.version(known_version(version)?)?;
            let mut bytes = Vec::new();
            append_version(&mut bytes, &version);
            out.set(acervo_value::owned(Value::try_from_canonical(&bytes)?));
            Ok(())
        })
    }
}

/// The version that `version` was made from. `out_found` is false for the
/// root, which comes from none.
///
/// ACERVO_NOT_FOUND: there is no version `version`, or it was pruned.
/// ACERVO_UNAVAILABLE: the database keeps no history.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_version_previous(
    db: *mut acervo,
    version: u64,
    out: *mut u64,
    out_found: *mut bool,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        neighbour("acervo_version_previous", db, version, out, out_found, err, Registry::previous)
    }
}

/// The version that follows `version`: on the way to the current one, else the
/// newest that was made from it. `out_found` is false if none was.
///
/// Fails as acervo_version_previous does.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_version_next(
    db: *mut acervo,
    version: u64,
    out: *mut u64,
    out_found: *mut bool,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe { neighbour("acervo_version_next", db, version, out, out_found, err, Registry::next) }
}

/// # Safety
///
/// The pointers are as the header asks for.
unsafe fn neighbour(
    function: &str,
    db: *mut acervo,
    version: u64,
    out: *mut u64,
    out_found: *mut bool,
    err: *mut *mut acervo_error,
    find: impl FnOnce(&Registry, u64) -> Result<Option<u64>, EntryError>,
) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe {
        let out = Out::reset(out, 0, "out");
        let out_found = Out::reset(out_found, false, "out_found");
        wall::call(function, err, || {
            out.needed()?;
            out_found.needed()?;
            let found = find(registry_of(db)?, known_version(version)?)?;
            out.set(found.unwrap_or_default());
            out_found.set(found.is_some());
            Ok(())
        })
    }
}

/// Takes every version out of the history that does not descend from `version`,
/// except the root; `version` then comes from the root. Snapshots stay whole.
///
/// ACERVO_INVALID: `version` is neither the current one nor one that it comes
/// from. ACERVO_NOT_FOUND: there is no such version, or it was pruned.
/// ACERVO_UNAVAILABLE: the database keeps no history; locked by another
/// process, I/O error, disk full. ACERVO_PERMISSION_DENIED: open for reading
/// only.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_prune(
    db: *mut acervo,
    version: u64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_prune", err, || Ok(registry_of(db)?.prune(known_version(version)?)?))
    }
}

/// Replays the history up to `version` (NULL: the stored head) on top of
/// `entries`, a baseline that is in no version, and makes that the current
/// state. For boot: once, before the first apply, by any handle of the file.
/// Handlers are asked about every entry there is then, as creates in one
/// transaction, dependencies first. Makes no version and does not move the
/// stored head. `out_version`, the version that is current now, may be NULL.
///
/// ACERVO_INVALID: a state was loaded or changed before (a refused load does
/// not count); an element that is NULL or whose id is there twice, named as
/// `baseline[1]` for the first; from inside a handler. ACERVO_NOT_FOUND: there
/// is no such version, or it was pruned. ACERVO_UNAVAILABLE: the database keeps
/// no history; locked by another process, I/O error. Else what a handler
/// refuses.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_load_state(
    db: *mut acervo,
    entries: *const *const acervo_entry,
    len: usize,
    version: *const u64,
    out_version: *mut u64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        // Read first: it may be the same place.
        let version = version.as_ref().copied();
        let out_version = Out::reset(out_version, 0, "out_version");
        wall::call("acervo_load_state", err, || {
            let registry = registry_of(db)?;
            let baseline = entries_of(entries, len, "baseline")?;
            let version = version.map(known_version).transpose()?;
            out_version.set(registry.load_state(&baseline, version, &Plain::default())?);
            Ok(())
        })
    }
}
