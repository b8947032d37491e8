//! Which library this is.

use std::ffi::{CStr, c_char};

use super::wall;

/// Major version.
pub const ACERVO_VERSION_MAJOR: i32 = 0;
/// Minor version.
pub const ACERVO_VERSION_MINOR: i32 = 1;
/// Patch version.
pub const ACERVO_VERSION_PATCH: i32 = 0;
/// The ABI: the number behind libacervo.so. Within one, functions are only
/// added.
pub const ACERVO_ABI_VERSION: i32 = 0;

/// The version as text, NUL-terminated.
pub(super) const STRING: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    };

/// The version of the library that is loaded, as `"1.2.3"`. Static text.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn acervo_version_string() -> *const c_char {
    wall::or(std::ptr::null(), || STRING.as_ptr())
}

/// The same as one number: MAJOR * 1000000 + MINOR * 1000 + PATCH.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn acervo_version_number() -> i32 {
    wall::or(0, || {
        ACERVO_VERSION_MAJOR * 1_000_000 + ACERVO_VERSION_MINOR * 1000 + ACERVO_VERSION_PATCH
    })
}

/// The ABI of the library that is loaded; compare with ACERVO_ABI_VERSION.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn acervo_abi_version() -> i32 {
    wall::or(0, || ACERVO_ABI_VERSION)
}
