//! Reads that fail are told as what they are.
//!
//! SQLite takes the EIO of a read for a file system that is damaged
//! (`SQLITE_IOERR_CORRUPTFS`), and tells that as a damaged database. A device
//! that has a bad moment reads the same page a moment later, so it is a failed
//! read to us, with the system's words.

use std::cell::Cell;
use std::ffi::c_int;

use rusqlite::ffi;

use super::errno;

thread_local! {
    /// The errno of the last read of this thread that failed.
    static FAILED: Cell<Option<c_int>> = const { Cell::new(None) };
}

/// What a read that ended with `code` is told as.
pub(super) fn told(code: c_int) -> c_int {
    match code {
        ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_READ => {
            FAILED.set(Some(errno::get()));
            ffi::SQLITE_IOERR_READ
        }
        other => other,
    }
}

/// The errno of a read that failed on this thread since this was last called:
/// for statements that go on after it, as SQLite's check of a file.
pub(crate) fn take_failure() -> Option<c_int> {
    FAILED.take()
}
