//! Opening a file for writing either works or fails.
//!
//! When SQLite cannot open a file for reading and writing, it tries the same
//! file for reading only, whatever the reason. That is right where we may not
//! write: no permission, a file system that is mounted read-only. After a
//! failure that passes, such as a process without a free descriptor, the second
//! attempt can succeed, and the database, its log or the log's index is open for
//! reading only for as long as the connection lives: every write is refused.
//! If the second attempt fails too, it is its errno that SQLite tells: that of
//! a log that is not there yet, say.
//!
//! So SQLite's `open` is replaced. The attempt for reading that follows a
//! failure that passes fails as the first one did.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use rusqlite::ffi;

use super::errno;
use super::sqlite::SystemCall;

type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;

/// SQLite's own.
static BELOW: OnceLock<Open> = OnceLock::new();

thread_local! {
    /// Why this thread could not open a file for writing just now. The next
    /// file that it opens for reading is the same one.
    static FAILED: Cell<Option<c_int>> = const { Cell::new(None) };
}

/// Replaces the `open` of a VFS.
///
/// # Safety
/// `vfs` is SQLite's VFS for Unix, and nobody uses it yet.
pub(super) unsafe fn install(vfs: *mut ffi::sqlite3_vfs) {
    const NAME: &CStr = c"open";
    // SAFETY: as promised; SQLite takes any system call for a function without
    // arguments, and casts back to the type that it has.
    unsafe {
        let (Some(get), Some(set)) = ((*vfs).xGetSystemCall, (*vfs).xSetSystemCall) else { return };
        let Some(below) = get(vfs, NAME.as_ptr()) else { return };
        BELOW.get_or_init(|| std::mem::transmute::<SystemCall, Open>(below));
        set(vfs, NAME.as_ptr(), Some(std::mem::transmute::<Open, SystemCall>(open)));
    }
}

/// Begins an open: nothing has failed yet.
pub(super) fn begin() {
    FAILED.set(None);
}

/// Ends it. Gives why the file could not be opened for writing, if that passes
/// and SQLite has taken a descriptor for reading that it had.
pub(super) fn end() -> Option<c_int> {
    FAILED.take()
}

/// Whether a file that cannot be opened for writing may be opened for reading:
/// it is not ours to write. SQLite itself does not try where there is a
/// directory, and tries a call that was interrupted again.
fn may_read_instead(errno: c_int) -> bool {
    matches!(errno, libc::EACCES | libc::EPERM | libc::EROFS | libc::EISDIR | libc::EINTR)
}

unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let is_for_writing = flags & libc::O_ACCMODE != libc::O_RDONLY;
    if let Some(failed) = FAILED.take()
        && !is_for_writing
    {
        errno::set(failed);
        return -1;
    }
    let Some(below) = BELOW.get() else { return -1 };
    // SAFETY: SQLite's own function, with the arguments that SQLite gives.
    let descriptor = unsafe { below(path, flags, mode) };
    if is_for_writing && descriptor < 0 {
        let failed = errno::get();
        FAILED.set((!may_read_instead(failed)).then_some(failed));
    }
    descriptor
}
