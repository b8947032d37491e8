//! The names of logs and journals on the device.
//!
//! What is synced into a file is lost with its name, and a name is on the
//! device when its directory was synced since it was made. SQLite does that
//! with the first sync of a log, and takes it for done when the directory could
//! not be opened or synced. Commits that are acknowledged after that would be
//! in a file that a power cut leaves without a name; worse, the name can lead to
//! the log of the session before, which was removed, over a database that has
//! moved on.
//!
//! So our VFS does it, also for a log that is there already: the process that
//! made it may have been killed before the sync. As long as it fails, each sync
//! of the log fails, and with it the commit or the move into the database.

use std::cell::Cell;
use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use rusqlite::ffi;

use super::sqlite::SystemCall;
use super::{errno, file};

type OpenDirectory = unsafe extern "C" fn(*const c_char, *mut c_int) -> c_int;

/// SQLite's own.
static BELOW: OnceLock<OpenDirectory> = OnceLock::new();

thread_local! {
    /// This thread syncs a file whose name is on the device.
    static IS_DONE: Cell<bool> = const { Cell::new(false) };
}

/// Has SQLite leave the directory to us in [`with_name_synced`].
///
/// # Safety
/// `vfs` is SQLite's VFS for Unix, and nobody uses it yet.
pub(super) unsafe fn install(vfs: *mut ffi::sqlite3_vfs) {
    const NAME: &CStr = c"openDirectory";
    // SAFETY: as promised; SQLite takes any system call for a function without
    // arguments, and casts back to the type that it has.
    unsafe {
        let (Some(get), Some(set)) = ((*vfs).xGetSystemCall, (*vfs).xSetSystemCall) else { return };
        let Some(below) = get(vfs, NAME.as_ptr()) else { return };
        BELOW.get_or_init(|| std::mem::transmute::<SystemCall, OpenDirectory>(below));
        let ours = std::mem::transmute::<OpenDirectory, SystemCall>(open_directory);
        set(vfs, NAME.as_ptr(), Some(ours));
    }
}

/// Syncs the directory of a file. Gives SQLite's code, with the errno set.
///
/// # Safety
/// `name` is a C string.
pub(super) unsafe fn sync(name: *const c_char) -> c_int {
    // SAFETY: as promised.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    match file::sync_name(path, || std::fs::File::open(path)) {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) => {
            errno::set(error.raw_os_error().unwrap_or(libc::EIO));
            ffi::SQLITE_IOERR_DIR_FSYNC
        }
    }
}

/// Syncs a file whose name is on the device already.
pub(super) fn with_name_synced(sync: impl FnOnce() -> c_int) -> c_int {
    IS_DONE.set(true);
    let code = sync();
    IS_DONE.set(false);
    code
}

unsafe extern "C" fn open_directory(path: *const c_char, out: *mut c_int) -> c_int {
    match BELOW.get() {
        // SAFETY: SQLite's own function, with the arguments that SQLite gives.
        Some(below) if !IS_DONE.get() => unsafe { below(path, out) },
        // Then it does without.
        _ => ffi::SQLITE_CANTOPEN,
    }
}
