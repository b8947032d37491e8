//! Entries, and lists of them.

use std::ffi::c_char;
use std::mem::ManuallyDrop;

use super::error::acervo_error;
use super::raw::{self, Out};
use super::value::acervo_value;
use super::wall;
use crate::entries::{Entry, EntryBody, Found, IdRef};
use crate::error::Error;
use crate::platform::thin::{IsThin, Thin};
use crate::value::Value;

/// A typed entry of the entry registry: id, kind, meta and data. Immutable.
///
/// Reference counted; free each reference with acervo_entry_free. Entries stay
/// usable after the database they came from is closed, and in a forked child.
///
/// Threads: any.
pub struct acervo_entry {
    // A pointer to one is a counted `Thin<EntryBody>`: an entry that is lent to
    // the host costs nothing.
    _opaque: [u8; 0],
}

impl acervo_entry {
    /// A reference for the host.
    pub(super) fn owned(entry: Entry) -> *mut Self {
        entry.into_thin().into_raw().cast()
    }

    /// A pointer for the host, good while `entry` lives.
    pub(super) fn borrowed(entry: &Entry) -> *const Self {
        entry.as_thin().as_ptr().cast()
    }

    /// The entry behind a handle, without taking the host's reference; `None`
    /// for NULL.
    ///
    /// # Safety
    ///
    /// `pointer` is NULL or a live entry.
    pub(super) unsafe fn get(pointer: *const Self) -> Option<ManuallyDrop<Entry>> {
        if pointer.is_null() {
            return None;
        }
        // SAFETY: a handle is a `Thin<EntryBody>`, from `owned` or `borrowed`,
        // and alive; not dropping it leaves the host's reference alone.
        let body = unsafe { Thin::<EntryBody>::from_raw(pointer.cast_mut().cast()) };
        Some(ManuallyDrop::new(Entry::from_thin(body)))
    }

    /// The entry behind a handle, with a reference of its own.
    ///
    /// # Safety
    ///
    /// As for [`acervo_entry::get`].
    pub(super) unsafe fn share(pointer: *const Self, name: &str) -> Result<Entry, Error> {
        // SAFETY: as promised by the caller.
        match unsafe { Self::get(pointer) } {
            Some(entry) => Ok(Entry::clone(&entry)),
            None => Err(Error::invalid(format!("{name} is NULL"))),
        }
    }

    /// What `part` gives of the entry, as a pointer that is good while the
    /// host's reference is; NULL for NULL.
    ///
    /// # Safety
    ///
    /// As for [`acervo_entry::get`].
    unsafe fn part<T>(
        pointer: *const Self,
        part: impl FnOnce(&Entry) -> Option<*const T>,
    ) -> *const T {
        wall::or(std::ptr::null(), || {
            // SAFETY: as promised by the caller.
            let entry = unsafe { Self::get(pointer) };
            entry.and_then(|entry| part(&entry)).unwrap_or(std::ptr::null())
        })
    }
}

/// Gives out a text that has a NUL behind it.
fn text(with_nul: &[u8], out_len: &Out<usize>) -> *const c_char {
    out_len.set(with_nul.len() - 1);
    with_nul.as_ptr().cast()
}

/// An entry from its parts, copied. `id` is "namespace:name" of at most 512
/// bytes; without a colon the namespace is empty. `kind` has 1 to 256 bytes.
/// `meta` is a map with string keys, NULL for an empty one; `data` is any
/// value, absent if it is NULL or nil. `out` is owned: free with
/// acervo_entry_free.
///
/// ACERVO_INVALID: an id or kind that is empty, too long or has a control
/// byte, a meta that is no such map.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entry_new(
    id: *const c_char,
    id_len: usize,
    kind: *const c_char,
    kind_len: usize,
    meta: *const acervo_value,
    data: *const acervo_value,
    out: *mut *mut acervo_entry,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_entry_new", err, || {
            out.needed()?;
            let id = IdRef::parse(raw::text(id, id_len, "id")?);
            let kind = raw::text(kind, kind_len, "kind")?;
            let (meta, data) = (optional(meta), optional(data));
            out.set(acervo_entry::owned(Entry::new(id, kind, meta, data)?));
            Ok(())
        })
    }
}

/// # Safety
///
/// `value` is NULL or a live value.
unsafe fn optional(value: *const acervo_value) -> Option<Value> {
    if value.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    unsafe { acervo_value::get(value, "value") }.ok().map(|value| Value::clone(&value))
}

/// One more reference to the same entry. Owned: free with acervo_entry_free.
/// NULL for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entry_retain(entry: *const acervo_entry) -> *mut acervo_entry {
    wall::or(std::ptr::null_mut(), || {
        if !entry.is_null() {
            // SAFETY: a handle that is alive.
            let held = unsafe { acervo_entry::get(entry) };
            std::mem::forget(held.as_deref().cloned());
        }
        entry.cast_mut()
    })
}

/// Frees one reference. NULL is accepted.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entry_free(entry: *mut acervo_entry) {
    if entry.is_null() {
        return;
    }
    wall::or((), move || {
        // SAFETY: a handle is a `Thin<EntryBody>`, and the caller gives its
        // reference up.
        let held = unsafe { Thin::<EntryBody>::from_raw(entry.cast()) };
        if let Some(last) = held.release() {
            free_last(last);
        }
    });
}

/// Most references are not the last one: this would have the others set up more
/// than they need.
#[cold]
#[inline(never)]
fn free_last(entry: Thin<EntryBody>) {
    drop(entry);
}

/// The id as "namespace:name", with the colon also where the namespace is
/// empty. Borrowed until the entry is freed, with NUL. `out_len` may be NULL.
/// NULL for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entry_id(
    entry: *const acervo_entry,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_len = Out::reset(out_len, 0, "out_len");
        acervo_entry::part(entry, |entry| Some(text(entry.id().text_with_nul(), &out_len)))
    }
}

/// The kind. Borrowed until the entry is freed, with NUL. `out_len` may be
/// NULL. NULL for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entry_kind(
    entry: *const acervo_entry,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_len = Out::reset(out_len, 0, "out_len");
        acervo_entry::part(entry, |entry| Some(text(entry.kind_with_nul(), &out_len)))
    }
}

/// The meta fields, a map. Borrowed until the entry is freed. NULL for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entry_meta(entry: *const acervo_entry) -> *const acervo_value {
    // SAFETY: NULL or a live entry.
    unsafe { acervo_entry::part(entry, |entry| Some(acervo_value::borrowed(entry.meta()))) }
}

/// The data. Borrowed until the entry is freed. NULL if the entry has none, or
/// is NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entry_data(entry: *const acervo_entry) -> *const acervo_value {
    // SAFETY: NULL or a live entry.
    unsafe { acervo_entry::part(entry, |entry| entry.data().map(acervo_value::borrowed)) }
}

/// Entries of a snapshot, sorted by namespace and name. Immutable. Keeps what
/// it needs of the snapshot alive.
///
/// Threads: any.
pub struct acervo_entries {
    found: Found,
}

impl acervo_entries {
    /// A list for the host.
    pub(super) fn owned(found: Found) -> *mut Self {
        Box::into_raw(Box::new(Self { found }))
    }
}

/// How many entries there are; 0 for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entries_len(entries: *const acervo_entries) -> usize {
    wall::or(0, || {
        // SAFETY: NULL or a live list.
        unsafe { entries.as_ref() }.map_or(0, |entries| entries.found.len())
    })
}

/// One of the entries, counted from 0. Borrowed until the list is freed; to
/// keep it longer: acervo_entry_retain. NULL past the end, and for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entries_at(
    entries: *const acervo_entries,
    index: usize,
) -> *const acervo_entry {
    wall::or(std::ptr::null(), || {
        // SAFETY: NULL or a live list.
        let entry = unsafe { entries.as_ref() }.and_then(|entries| entries.found.get(index));
        entry.map_or(std::ptr::null(), acervo_entry::borrowed)
    })
}

/// Frees a list. NULL is accepted.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_entries_free(entries: *mut acervo_entries) {
    if !entries.is_null() {
        // SAFETY: it came from `owned`, and the caller gives it up.
        wall::or((), || drop(unsafe { Box::from_raw(entries) }));
    }
}
