//! From what C passes to what Rust can hold.

use crate::error::Error;

/// As the length of a text: it ends at its NUL.
pub(super) const NTS: usize = usize::MAX;

/// The object behind a handle.
///
/// # Safety
///
/// `pointer` is NULL or a live handle of this type, which outlives `'a`.
#[inline]
pub(super) unsafe fn handle<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Error> {
    // SAFETY: as promised by the caller.
    unsafe { pointer.as_ref() }.ok_or_else(|| is_null(name))
}

/// As [`handle`], for a handle that one thread uses at a time.
///
/// # Safety
///
/// As for [`handle`], and nobody else uses it meanwhile.
pub(super) unsafe fn handle_mut<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T, Error> {
    // SAFETY: as promised by the caller.
    unsafe { pointer.as_mut() }.ok_or_else(|| is_null(name))
}

#[cold]
pub(super) fn is_null(name: &str) -> Error {
    Error::invalid(format!("{name} is NULL"))
}

/// A text: `len` bytes, or up to the NUL with ACERVO_NTS.
///
/// # Safety
///
/// `pointer` is NULL or points to that much readable memory, unchanged during
/// `'a`.
#[inline(always)]
pub(super) unsafe fn text<'a>(
    pointer: *const std::ffi::c_char,
    len: usize,
    name: &str,
) -> Result<&'a [u8], Error> {
    if pointer.is_null() || len > isize::MAX as usize {
        // SAFETY: as promised by the caller.
        return unsafe { other_text(pointer, len, name) };
    }
    // SAFETY: as promised by the caller; the length was checked.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), len) })
}

/// A text that ends at its NUL, nothing, or a mistake.
///
/// # Safety
///
/// As for [`text`].
#[cold]
unsafe fn other_text<'a>(
    pointer: *const std::ffi::c_char,
    len: usize,
    name: &str,
) -> Result<&'a [u8], Error> {
    if len == NTS && !pointer.is_null() {
        // SAFETY: the caller says it ends with a NUL.
        return Ok(unsafe { std::ffi::CStr::from_ptr(pointer) }.to_bytes());
    }
    no_bytes(pointer.is_null(), len, name)
}

/// Bytes: exactly `len`.
///
/// # Safety
///
/// As for [`text`].
#[inline(always)]
pub(super) unsafe fn bytes<'a>(
    pointer: *const u8,
    len: usize,
    name: &str,
) -> Result<&'a [u8], Error> {
    if pointer.is_null() || len > isize::MAX as usize {
        return no_bytes(pointer.is_null(), len, name);
    }
    // SAFETY: as promised by the caller; the length was checked.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// What is no run of bytes: nothing, or a mistake.
#[cold]
fn no_bytes<'a>(is_null: bool, len: usize, name: &str) -> Result<&'a [u8], Error> {
    match (is_null, len) {
        (true, 0) => Ok(&[]),
        (true, _) => Err(self::is_null(name)),
        (false, _) => Err(Error::invalid(format!("the length of {name} is above PTRDIFF_MAX"))),
    }
}

/// Memory of the caller's that is `cap` bytes large; only nothing may be NULL.
#[inline(always)]
pub(super) fn buffer(pointer: *mut u8, cap: usize, name: &str) -> Result<*mut u8, Error> {
    if pointer.is_null() {
        no_bytes(true, cap, name)?;
    }
    Ok(pointer)
}

/// As [`text`], for text that has to be UTF-8: names of ours.
///
/// # Safety
///
/// As for [`text`].
pub(super) unsafe fn utf8<'a>(
    pointer: *const std::ffi::c_char,
    len: usize,
    name: &str,
) -> Result<&'a str, Error> {
    // SAFETY: as promised by the caller.
    let text = unsafe { text(pointer, len, name) }?;
    std::str::from_utf8(text).map_err(|_| Error::invalid(format!("{name} is not UTF-8")))
}

/// An array of `len` handles.
///
/// # Safety
///
/// `pointer` is NULL or points to `len` handles, readable during `'a`.
pub(super) unsafe fn handles<'a, T>(
    pointer: *const *const T,
    len: usize,
    name: &str,
) -> Result<&'a [*const T], Error> {
    if pointer.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(is_null(name)) };
    }
    if len > isize::MAX as usize / size_of::<*const T>() {
        return Err(Error::invalid(format!("the number of {name} is too large")));
    }
    // SAFETY: as promised by the caller; the length was checked.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// An out parameter, reset when the call begins and written at its end.
pub(super) struct Out<T> {
    pointer: *mut T,
    name: &'static str,
}

impl<T> Out<T> {
    /// Resets what `pointer` points to.
    ///
    /// # Safety
    ///
    /// `pointer` is NULL or writable until the call ends.
    #[inline]
    pub(super) unsafe fn reset(pointer: *mut T, empty: T, name: &'static str) -> Self {
        if !pointer.is_null() {
            // SAFETY: writable, as promised by the caller.
            unsafe { pointer.write(empty) };
        }
        Self { pointer, name }
    }

    /// Fails if the caller gave no place for it.
    #[inline]
    pub(super) fn needed(&self) -> Result<(), Error> {
        if self.pointer.is_null() { Err(is_null(self.name)) } else { Ok(()) }
    }

    /// Whether the caller gave a place for it.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        !self.pointer.is_null()
    }

    /// Writes the result, if there is a place for it.
    #[inline]
    pub(super) fn set(&self, value: T) {
        if !self.pointer.is_null() {
            // SAFETY: writable, as promised to `reset`.
            unsafe { self.pointer.write(value) };
        }
    }
}

/// Data of the host's that goes with a callback. Its destroy runs once, when
/// this is dropped; not in a forked child, where it is the parent's.
pub(super) struct ForeignData {
    pub(super) userdata: *mut std::ffi::c_void,
    destroy: Option<unsafe extern "C" fn(*mut std::ffi::c_void)>,
    generation: u32,
}

// SAFETY: the header says that the callback is called from any thread, so the
// host has to make its data fit for that.
unsafe impl Send for ForeignData {}
// SAFETY: as above.
unsafe impl Sync for ForeignData {}

impl ForeignData {
    pub(super) fn new(
        userdata: *mut std::ffi::c_void,
        destroy: Option<unsafe extern "C" fn(*mut std::ffi::c_void)>,
    ) -> Self {
        Self { userdata, destroy, generation: crate::platform::fork::generation() }
    }
}

impl Drop for ForeignData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy
            && self.generation == crate::platform::fork::generation()
        {
            // SAFETY: the host gave both together, and this is the one call.
            unsafe { destroy(self.userdata) };
        }
    }
}
