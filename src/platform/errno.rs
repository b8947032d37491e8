//! The errno of this thread, which SQLite asks for after a call that failed.

use std::ffi::c_int;

/// The errno of the system call that failed last.
pub(super) fn get() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Sets it. A method of a file ends with this, as what it did after the call
/// that failed may have changed it.
pub(super) fn set(errno: c_int) {
    // SAFETY: the address of this thread's errno.
    unsafe { *libc::__errno_location() = errno };
}
