//! Where SQLite meets the operating system in ways its own API leaves out:
//! the errno behind an error, and forks.
//!
//! # Forks
//!
//! SQLite keeps a process-wide list of open files with the POSIX locks that
//! the process holds on them. A forked child inherits the list but not the
//! locks, so a connection opened there would believe in locks it does not
//! have, and could lose data together with the parent. The list is keyed by
//! device and inode as fstat reports them. We give SQLite an fstat and a stat
//! that mix the fork generation into the device number: in a child every file
//! is new to it. The inherited connections are never touched again.
//!
//! SQLite's static mutexes could be held by another thread at the moment of
//! the fork and stay locked in the child for ever; so the fork waits for them
//! and passes them on unlocked.

use std::ffi::{CStr, CString, c_char, c_int, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Once;

use rusqlite::ffi;
use rusqlite::{Connection, OpenFlags};

use super::{errno, fallback, gather, name};

/// The errno of the system call that failed last on this connection; 0 if
/// none.
pub(crate) fn system_errno(connection: &Connection) -> i32 {
    // SAFETY: the handle is valid while the connection is borrowed.
    unsafe { ffi::sqlite3_system_errno(connection.handle()) }
}

/// Whether the path leads to another file now, or to none.
pub(crate) fn has_moved(connection: &Connection) -> bool {
    let mut moved: c_int = 0;
    let op = ffi::SQLITE_FCNTL_HAS_MOVED;
    // SAFETY: the handle is valid while the connection is borrowed, and this
    // control stores an int.
    unsafe {
        let out = (&raw mut moved).cast();
        ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), op, out);
    }
    moved != 0
}

/// A number that moves with every commit that the connection has noticed, its
/// own too. It notices those of others when it begins to read.
pub(crate) fn data_version(connection: &Connection) -> u32 {
    let mut version: c_uint = 0;
    let op = ffi::SQLITE_FCNTL_DATA_VERSION;
    // SAFETY: the handle is valid while the connection is borrowed, and this
    // control stores an unsigned int.
    unsafe {
        let out = (&raw mut version).cast();
        ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), op, out);
    }
    version
}

/// A connection to the file at `path`. A failure comes with the errno of the
/// system call behind it, or 0: a connection that could not be opened cannot be
/// asked for it.
pub(crate) fn open(path: &Path, flags: OpenFlags) -> Result<Connection, (rusqlite::Error, i32)> {
    prepare();
    let name = CString::new(path.as_os_str().as_bytes());
    let name = name.map_err(|error| (rusqlite::Error::from(error), 0))?;
    let flags = flags | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut handle = std::ptr::null_mut();
    // What SQLite refuses by itself has no errno, and is told with none.
    errno::set(0);
    // SAFETY: a C string, and a place for the handle, that live through the
    // call. SQLite gives a handle also when it fails, unless there is no
    // memory; nobody else has it, and it is closed, or given away.
    unsafe {
        let vfs = gather::NAME.as_ptr();
        let code = ffi::sqlite3_open_v2(name.as_ptr(), &raw mut handle, flags.bits(), vfs);
        if code == ffi::SQLITE_OK {
            return Connection::from_handle_owned(handle).map_err(|error| (error, 0));
        }
        let errno = if handle.is_null() { 0 } else { ffi::sqlite3_system_errno(handle) };
        ffi::sqlite3_close(handle);
        let text = CStr::from_ptr(ffi::sqlite3_errstr(code)).to_string_lossy().into_owned();
        Err((rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(text)), errno))
    }
}

/// Prepares SQLite for this process.
pub(crate) fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        // SAFETY: sqlite3_initialize is safe to call at any time; the default
        // VFS exists after it and is never unregistered by us. The system
        // calls are replaced by functions with their exact signatures.
        unsafe {
            ffi::sqlite3_initialize();
            let vfs = ffi::sqlite3_vfs_find(std::ptr::null());
            gather::register(vfs);
            fallback::install(vfs);
            name::install(vfs);
            let Some(set) = vfs.as_ref().and_then(|vfs| vfs.xSetSystemCall) else { return };
            let fstat: Fstat = fstat_by_generation;
            let stat: Stat = stat_by_generation;
            set(vfs, c"fstat".as_ptr(), Some(std::mem::transmute::<Fstat, SystemCall>(fstat)));
            set(vfs, c"stat".as_ptr(), Some(std::mem::transmute::<Stat, SystemCall>(stat)));
        }
    });
}

/// What SQLite takes any system call for; it casts back to the real type.
pub(super) type SystemCall = unsafe extern "C" fn();
type Fstat = unsafe extern "C" fn(c_int, *mut libc::stat) -> c_int;
type Stat = unsafe extern "C" fn(*const c_char, *mut libc::stat) -> c_int;

/// Device numbers use the low 32 bits; the generation goes above them.
fn mark_generation(stat: &mut libc::stat) {
    stat.st_dev ^= libc::dev_t::from(super::fork::generation()) << 32;
}

unsafe extern "C" fn fstat_by_generation(fd: c_int, out: *mut libc::stat) -> c_int {
    // SAFETY: SQLite passes an open descriptor and a stat buffer of its own.
    unsafe {
        let result = libc::fstat(fd, out);
        if let (0, Some(out)) = (result, out.as_mut()) {
            mark_generation(out);
        }
        result
    }
}

unsafe extern "C" fn stat_by_generation(path: *const c_char, out: *mut libc::stat) -> c_int {
    // SAFETY: SQLite passes a C string and a stat buffer of its own.
    unsafe {
        let result = libc::stat(path, out);
        if let (0, Some(out)) = (result, out.as_mut()) {
            mark_generation(out);
        }
        result
    }
}

/// The static mutexes that SQLite takes in opening, reading and writing, in
/// the order in which it nests them: OPEN, the three of the VFS, PRNG, MAIN,
/// LRU, PMEM, MEM. The name of a temporary file is made of a random number
/// under the first of the VFS, and who seeds those looks for the VFS under
/// MAIN.
const MUTEXES: [c_int; 9] = [4, 11, 12, 13, 5, 2, 6, 7, 3];

/// Takes SQLite's static mutexes, so that no other thread holds one.
pub(crate) fn hold_mutexes() {
    for id in MUTEXES {
        // SAFETY: for ids of static mutexes sqlite3_mutex_alloc returns the
        // mutex itself and allocates nothing.
        unsafe { ffi::sqlite3_mutex_enter(ffi::sqlite3_mutex_alloc(id)) };
    }
}

/// Gives back what [`hold_mutexes`] took, in the parent and in the child.
pub(crate) fn release_mutexes() {
    for id in MUTEXES.into_iter().rev() {
        // SAFETY: this thread, or the thread it is the copy of, entered them.
        unsafe { ffi::sqlite3_mutex_leave(ffi::sqlite3_mutex_alloc(id)) };
    }
}

/// The version of the SQLite that is built in.
pub(crate) fn version() -> &'static str {
    // SAFETY: sqlite3_libversion returns a static C string.
    unsafe { CStr::from_ptr(ffi::sqlite3_libversion()) }.to_str().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use std::ptr;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fork_waits_for_no_thread_that_waits_for_it() {
        /// Ends both threads when one of them has.
        static IS_OVER: AtomicBool = AtomicBool::new(false);
        prepare();
        let (ended, wait) = mpsc::channel();
        let seeder_ended = ended.clone();
        std::thread::spawn(move || {
            let mut byte = 0_u8;
            while !IS_OVER.load(Ordering::Relaxed) {
                // SAFETY: the first forgets the seed and writes nothing; the
                // second seeds anew, as the first open of a process does, and
                // writes one byte.
                unsafe {
                    ffi::sqlite3_randomness(0, ptr::null_mut());
                    ffi::sqlite3_randomness(1, (&raw mut byte).cast());
                }
            }
            seeder_ended.send(()).unwrap();
        });
        std::thread::spawn(move || {
            for _ in 0..20_000 {
                hold_mutexes();
                release_mutexes();
            }
            IS_OVER.store(true, Ordering::Relaxed);
            ended.send(()).unwrap();
        });
        for _ in 0..2 {
            let result = wait.recv_timeout(Duration::from_secs(60));
            assert!(result.is_ok(), "the two wait for each other");
        }
    }
}
