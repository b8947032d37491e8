//! The wall that no panic crosses.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{ACERVO_OK, acervo_error};
use crate::error::Error;
use crate::fault;

/// Runs `body`. A failure becomes its code, and an error for `err` whose
/// message begins with the function's name; a panic becomes ACERVO_PANIC.
///
/// # Safety
///
/// `err` is NULL or points to a writable pointer.
#[inline]
pub(super) unsafe fn call(
    function: &str,
    err: *mut *mut acervo_error,
    body: impl FnOnce() -> Result<(), Error>,
) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe { call_quietly(function, err, || body().map(|()| ACERVO_OK)) }
}

/// As [`call`], for functions with outcomes that are no errors: the code that
/// `body` gives is returned as it is.
///
/// # Safety
///
/// As for [`call`].
#[inline(always)]
pub(super) unsafe fn call_quietly(
    function: &str,
    err: *mut *mut acervo_error,
    body: impl FnOnce() -> Result<i32, Error>,
) -> i32 {
    if !err.is_null() {
        // SAFETY: writable, as promised by the caller.
        unsafe { *err = std::ptr::null_mut() };
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        fault::point("wall");
        body()
    }));
    match result {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            // SAFETY: as above.
            unsafe { fail(function, err, error) }
        }
        Err(panic) => {
            // SAFETY: as above.
            unsafe { fail(function, err, Error::from_panic(panic.as_ref())) }
        }
    }
}

/// For functions without a code: what `body` gives, or `fallback` if it
/// panics.
#[inline]
pub(super) fn or<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    let body = AssertUnwindSafe(|| {
        fault::point("wall");
        body()
    });
    catch_unwind(body).unwrap_or(fallback)
}

/// # Safety
///
/// As for [`call`].
#[cold]
unsafe fn fail(function: &str, err: *mut *mut acervo_error, mut error: Error) -> i32 {
    let code = error.code as i32;
    if !err.is_null() {
        error.message = format!("{function}: {}", error.message);
        // SAFETY: writable, as promised by the caller.
        unsafe { *err = acervo_error::into_raw(error) };
    }
    code
}
