//! What entries depend on, and the operations from one state to another.

use std::borrow::Borrow;
use std::ffi::c_char;
use std::mem::ManuallyDrop;

use super::database::acervo;
use super::entry::acervo_entry;
use super::error::acervo_error;
use super::history::registry_of;
use super::raw::{self, Out};
use super::value::acervo_value;
use super::wall;
use crate::entries::{Entry, EntryError, Id, IdRef, Registry};
use crate::error::{Code, Error};
use crate::value::{Value, put_array_header, put_string};

/// The entries behind an array of handles, named `list`.
///
/// # Safety
///
/// `pointer` is NULL or points to `len` handles, each NULL or live.
pub(super) unsafe fn entries_of(
    pointer: *const *const acervo_entry,
    len: usize,
    list: &'static str,
) -> Result<Vec<Entry>, Error> {
    // SAFETY: as promised by the caller.
    let lent = unsafe { lent_entries(pointer, len, list) }?;
    Ok(lent.iter().map(|entry| Entry::clone(&entry.0)).collect())
}

/// An entry of the host's, for as long as the call takes.
struct Lent(ManuallyDrop<Entry>);

impl Borrow<Entry> for Lent {
    fn borrow(&self) -> &Entry {
        &self.0
    }
}

/// As [`entries_of`], without taking references.
///
/// # Safety
///
/// As for [`entries_of`]; the entries outlive what this gives.
unsafe fn lent_entries(
    pointer: *const *const acervo_entry,
    len: usize,
    list: &'static str,
) -> Result<Vec<Lent>, Error> {
    // SAFETY: as promised by the caller.
    let handles = unsafe { raw::handles(pointer, len, list) }?;
    let mut entries = Vec::new();
    entries.try_reserve_exact(len).map_err(|_| Error::new(Code::Internal, "out of memory"))?;
    for (place, &handle) in handles.iter().enumerate() {
        // SAFETY: as promised by the caller.
        let Some(entry) = (unsafe { acervo_entry::get(handle) }) else {
            let what = "it is NULL".to_owned();
            return Err(EntryError::List { list, index: place + 1, what }.into());
        };
        entries.push(Lent(entry));
    }
    Ok(entries)
}

/// The operations that turn one list of entries into another, in the order of
/// an apply: an array of maps of `kind`, `entry` and, for updates and deletes,
/// `original`. Equal entries give none. NULL with length 0 is an empty list.
/// `out_ops` is owned: free with acervo_value_free.
///
/// ACERVO_INVALID naming the element, as `from[1]` for the first: it is NULL,
/// or its id is in the list twice.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_build_delta(
    db: *mut acervo,
    from: *const *const acervo_entry,
    from_len: usize,
    to: *const *const acervo_entry,
    to_len: usize,
    out_ops: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_ops = Out::reset(out_ops, std::ptr::null_mut(), "out_ops");
        wall::call("acervo_build_delta", err, || {
            out_ops.needed()?;
            let registry = registry_of(db)?;
            let from = lent_entries(from, from_len, "from")?;
            let to = lent_entries(to, to_len, "to")?;
            let ops = registry.build_delta(&from, &to)?;
            out_ops.set(acervo_value::owned(Registry::value_of_ops(&ops)));
            Ok(())
        })
    }
}

/// Has dependencies be read from one more place in entries: `path` is made of
/// segments separated by dots, from `meta` or `data`; with `allow_wildcard` a
/// segment may hold `*`. A path that is there already changes nothing.
///
/// ACERVO_INVALID: an empty or wrong path.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_register_pattern(
    db: *mut acervo,
    path: *const c_char,
    path_len: usize,
    allow_wildcard: bool,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_register_pattern", err, || {
            let registry = registry_of(db)?;
            Ok(registry.register_pattern(raw::utf8(path, path_len, "path")?, allow_wildcard)?)
        })
    }
}

/// The ids of the entries that depend on this one, with `transitive` also
/// through others, sorted, as an array of strings: what breaks if it goes.
/// `out_ids` is owned: free with acervo_value_free.
///
/// ACERVO_NOT_FOUND: there is no entry with this id.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_dependents(
    db: *mut acervo,
    id: *const c_char,
    id_len: usize,
    transitive: bool,
    out_ids: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        related("acervo_dependents", db, id, id_len, out_ids, err, |registry, id| {
            registry.dependents(id, transitive)
        })
    }
}

/// The ids of the entries that this one depends on, with `transitive` also
/// through others, sorted, as an array of strings. `out_ids` is owned: free
/// with acervo_value_free.
///
/// ACERVO_NOT_FOUND: there is no entry with this id.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_dependencies(
    db: *mut acervo,
    id: *const c_char,
    id_len: usize,
    transitive: bool,
    out_ids: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        related("acervo_dependencies", db, id, id_len, out_ids, err, |registry, id| {
            registry.dependencies(id, transitive)
        })
    }
}

/// # Safety
///
/// The pointers are as the header asks for.
unsafe fn related(
    function: &str,
    db: *mut acervo,
    id: *const c_char,
    id_len: usize,
    out_ids: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
    find: impl FnOnce(&Registry, IdRef<'_>) -> Result<Vec<Id>, EntryError>,
) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe {
        let out_ids = Out::reset(out_ids, std::ptr::null_mut(), "out_ids");
        wall::call(function, err, || {
            out_ids.needed()?;
            let registry = registry_of(db)?;
            let ids = find(registry, IdRef::parse(raw::text(id, id_len, "id")?))?;
            let mut bytes = Vec::new();
            put_array_header(&mut bytes, ids.len() as u32);
            for id in &ids {
                put_string(&mut bytes, id.text());
            }
            out_ids.set(acervo_value::owned(Value::try_from_canonical(&bytes)?));
            Ok(())
        })
    }
}
