//! Codes and error objects.

use std::ffi::{CStr, CString, c_char};

use super::raw::Out;
use super::value::acervo_value;
use super::wall;
use crate::error::{Code, Error};

/// Success.
pub const ACERVO_OK: i32 = 0;
/// The input is wrong: a bad key, type, size, option, or state of call.
pub const ACERVO_INVALID: i32 = -1;
/// What was asked for does not exist.
pub const ACERVO_NOT_FOUND: i32 = -2;
/// What should be created exists.
pub const ACERVO_ALREADY_EXISTS: i32 = -3;
/// The system, the policy or a read-only handle forbids it.
pub const ACERVO_PERMISSION_DENIED: i32 = -4;
/// It cannot be done now: disk full, I/O error, locked, over a limit.
/// Retryable.
pub const ACERVO_UNAVAILABLE: i32 = -5;
/// A fault inside, a damaged file, or use of something closed.
pub const ACERVO_INTERNAL: i32 = -6;
/// Given up on request.
pub const ACERVO_CANCELED: i32 = -7;
/// Somebody else was faster. Retryable.
pub const ACERVO_CONFLICT: i32 = -8;
/// No answer in time. Retryable.
pub const ACERVO_TIMEOUT: i32 = -9;
/// Too many calls. Retryable.
pub const ACERVO_RATE_LIMITED: i32 = -10;
/// No kind was given.
pub const ACERVO_UNKNOWN: i32 = -11;
/// A panic was caught at the boundary; kind "Internal". After one inside a
/// write the database refuses writes until it is opened anew.
pub const ACERVO_PANIC: i32 = -12;
/// The handle was made before a fork, by the parent; kind "Internal".
pub const ACERVO_FORKED: i32 = -13;
/// The buffer is too small; kind "Invalid".
pub const ACERVO_TOO_SMALL: i32 = -14;

/// The header's numbers are the codes'.
const _: () = {
    let named = [
        ACERVO_INVALID,
        ACERVO_NOT_FOUND,
        ACERVO_ALREADY_EXISTS,
        ACERVO_PERMISSION_DENIED,
        ACERVO_UNAVAILABLE,
        ACERVO_INTERNAL,
        ACERVO_CANCELED,
        ACERVO_CONFLICT,
        ACERVO_TIMEOUT,
        ACERVO_RATE_LIMITED,
        ACERVO_UNKNOWN,
        ACERVO_PANIC,
        ACERVO_FORKED,
        ACERVO_TOO_SMALL,
    ];
    let mut place = 0;
    while place < named.len() {
        assert!(named[place] == Code::ALL[place] as i32);
        place += 1;
    }
};

/// A failure: code, kind, message, whether it is worth trying again.
///
/// Owned by the caller, immutable. Free with acervo_error_free.
///
/// Threads: any.
pub struct acervo_error {
    error: Error,
    message: CString,
}

impl acervo_error {
    pub(super) fn into_raw(error: Error) -> *mut Self {
        // Messages quote keys and paths, which may hold anything.
        let text = error.message.replace('\0', "\u{fffd}");
        let message = CString::new(text).unwrap_or_default();
        Box::into_raw(Box::new(Self { error, message }))
    }
}

/// The name of a code, as `"ACERVO_NOT_FOUND"`; `"ACERVO_?"` for a number that
/// is none. Static text, with NUL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn acervo_code_name(code: i32) -> *const c_char {
    wall::or(std::ptr::null(), || name_of(code).as_ptr())
}

fn name_of(code: i32) -> &'static CStr {
    match code {
        ACERVO_OK => c"ACERVO_OK",
        ACERVO_INVALID => c"ACERVO_INVALID",
        ACERVO_NOT_FOUND => c"ACERVO_NOT_FOUND",
        ACERVO_ALREADY_EXISTS => c"ACERVO_ALREADY_EXISTS",
        ACERVO_PERMISSION_DENIED => c"ACERVO_PERMISSION_DENIED",
        ACERVO_UNAVAILABLE => c"ACERVO_UNAVAILABLE",
        ACERVO_INTERNAL => c"ACERVO_INTERNAL",
        ACERVO_CANCELED => c"ACERVO_CANCELED",
        ACERVO_CONFLICT => c"ACERVO_CONFLICT",
        ACERVO_TIMEOUT => c"ACERVO_TIMEOUT",
        ACERVO_RATE_LIMITED => c"ACERVO_RATE_LIMITED",
        ACERVO_UNKNOWN => c"ACERVO_UNKNOWN",
        ACERVO_PANIC => c"ACERVO_PANIC",
        ACERVO_FORKED => c"ACERVO_FORKED",
        ACERVO_TOO_SMALL => c"ACERVO_TOO_SMALL",
        _ => c"ACERVO_?",
    }
}

/// The error's code; ACERVO_INVALID for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_error_code(error: *const acervo_error) -> i32 {
    wall::or(ACERVO_PANIC, || {
        // SAFETY: NULL or a live error.
        unsafe { error.as_ref() }.map_or(ACERVO_INVALID, |error| error.error.code as i32)
    })
}

/// The error's kind as Lua's constants spell it, as `"NotFound"`; `""` if
/// unknown. Static text, with NUL. NULL for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_error_kind(
    error: *const acervo_error,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: NULL or writable.
    let out_len = unsafe { Out::reset(out_len, 0, "out_len") };
    wall::or(std::ptr::null(), || {
        // SAFETY: NULL or a live error.
        let Some(error) = (unsafe { error.as_ref() }) else { return std::ptr::null() };
        let kind = error.error.code.kind_text();
        out_len.set(kind.count_bytes());
        kind.as_ptr()
    })
}

/// What was wrong, where, and what to do. Borrowed until the error is freed,
/// with NUL. NULL for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_error_message(
    error: *const acervo_error,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: NULL or writable.
    let out_len = unsafe { Out::reset(out_len, 0, "out_len") };
    wall::or(std::ptr::null(), || {
        // SAFETY: NULL or a live error.
        let Some(error) = (unsafe { error.as_ref() }) else { return std::ptr::null() };
        out_len.set(error.message.as_bytes().len());
        error.message.as_ptr()
    })
}

/// Whether the same call may succeed later; false for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_error_retryable(error: *const acervo_error) -> bool {
    wall::or(false, || {
        // SAFETY: NULL or a live error.
        unsafe { error.as_ref() }.is_some_and(|error| error.error.retryable)
    })
}

/// More about the failure, for programs: a map. Borrowed until the error is
/// freed; NULL if there is none.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_error_details(error: *const acervo_error) -> *const acervo_value {
    wall::or(std::ptr::null(), || {
        // SAFETY: NULL or a live error.
        let details = unsafe { error.as_ref() }.and_then(|error| error.error.details.as_ref());
        details.map_or(std::ptr::null(), acervo_value::borrowed)
    })
}

/// Frees an error. NULL is accepted.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_error_free(error: *mut acervo_error) {
    if !error.is_null() {
        // SAFETY: it came from into_raw, and the caller gives it up.
        wall::or((), || drop(unsafe { Box::from_raw(error) }));
    }
}
