//! SQLite's write-ahead log after a sync that failed.
//!
//! When fdatasync fails the kernel has thrown away, or may have, what it could
//! not write, and takes it for written: the next fdatasync succeeds and says
//! nothing about it. SQLite tries again as if it did. A commit whose sync
//! fails is not the problem: its frames are written anew by the next one. But
//! in front of them may be frames that nobody has synced yet, those of
//! connections and processes with `durability = "normal"` and of what is
//! derived. If they are missing on the device, a power cut loses everything
//! behind them, and a checkpoint that believes in them damages the file.
//!
//! So after a failed sync the log is written again, as it is, and synced,
//! before anything is appended to it.
//!
//! Also here: what else is asked of the log and its index.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::ffi;

use super::gather;

/// Syncs of this process that failed, on any file.
static FAILED_SYNCS: AtomicU64 = AtomicU64::new(0);

/// How many syncs failed in this process so far. When it moves, what was
/// written before is not known to be on the device.
#[inline]
pub(crate) fn failed_syncs() -> u64 {
    FAILED_SYNCS.load(Ordering::Acquire)
}

/// Notes a failed sync if `code` is one.
pub(crate) fn note_failure(code: c_int) {
    if code == ffi::SQLITE_IOERR_FSYNC {
        FAILED_SYNCS.fetch_add(1, Ordering::AcqRel);
    }
}

thread_local! {
    /// How many had failed before what this thread is at; there everything
    /// written before them was on the device.
    static FAILED_BEFORE: Cell<Option<u64>> = const { Cell::new(None) };
    static IS_MOVING: Cell<bool> = const { Cell::new(false) };
}

/// This thread writes on top of what is known to be on the device, if no sync
/// fails any more after so many; `None`: it is done.
pub(crate) fn builds_on(failed: Option<u64>) {
    FAILED_BEFORE.set(failed);
}

/// Whether a sync failed since, whoever's.
fn has_failed_since() -> bool {
    FAILED_BEFORE.get().is_some_and(|before| failed_syncs() != before)
}

/// Whether this thread moves a log into the file, and a sync failed since it
/// began to: one of its own that says it succeeded says nothing then, as the
/// kernel takes for written what it could not write.
pub(super) fn is_move_in_doubt() -> bool {
    IS_MOVING.get() && has_failed_since()
}

/// Has commits on this connection move the log into the file when it has so
/// many frames. As SQLite's own `wal_autocheckpoint`, but that keeps a failed
/// sync to itself.
pub(crate) fn checkpoint_every(connection: &Connection, frames: u16) {
    let frames = std::ptr::without_provenance_mut::<c_void>(usize::from(frames));
    // SAFETY: the handle is valid while the connection is borrowed; the hook
    // lives for ever, and its argument is a number.
    unsafe { ffi::sqlite3_wal_hook(connection.handle(), Some(committed), frames) };
}

unsafe extern "C" fn committed(
    limit: *mut c_void,
    handle: *mut ffi::sqlite3,
    name: *const c_char,
    frames: c_int,
) -> c_int {
    if usize::try_from(frames).is_ok_and(|frames| frames >= limit.addr()) {
        // SAFETY: SQLite gives its handle and the name of the database.
        unsafe { move_into_file(handle, name) };
    }
    // The commit is done, whatever became of this.
    ffi::SQLITE_OK
}

/// Has commits on this connection leave the log as it is: whoever uses it calls
/// [`checkpoint`] where nobody waits for it.
pub(crate) fn checkpoint_apart(connection: &Connection) {
    // SAFETY: the handle is valid while the connection is borrowed.
    unsafe { ffi::sqlite3_wal_hook(connection.handle(), None, std::ptr::null_mut()) };
}

/// Moves the log into the file if it has so many frames. Others may write
/// meanwhile; what they add is left to them.
pub(crate) fn checkpoint(connection: &Connection, frames: u16) {
    if Mark::new(connection).is_ok_and(|mark| mark.frames() >= u32::from(frames)) {
        // SAFETY: the handle is valid while the connection is borrowed.
        unsafe { move_into_file(connection.handle(), c"main".as_ptr()) };
    }
}

/// # Safety
/// The connection is open, with a database of this name.
unsafe fn move_into_file(handle: *mut ffi::sqlite3, name: *const c_char) {
    if has_failed_since() {
        // What the log holds is not known to be on the device, and what is
        // built on it in the file would be.
        return;
    }
    let mode = ffi::SQLITE_CHECKPOINT_PASSIVE;
    let none = std::ptr::null_mut();
    IS_MOVING.set(true);
    // SAFETY: as promised.
    let code = unsafe { ffi::sqlite3_wal_checkpoint_v2(handle, name, mode, none, none) };
    IS_MOVING.set(false);
    note_failure(code);
}

/// Commits with `commit`, having what it appends written at once. Only for a
/// commit that waits for the device, with `synchronous = FULL`: there SQLite
/// syncs the log before it tells others of what is in it, unless the device
/// could damage what stands beside what is written.
pub(crate) fn commit_at_once<T>(connection: &Connection, commit: impl FnOnce() -> T) -> T {
    let log = file(connection, ffi::SQLITE_FCNTL_JOURNAL_POINTER);
    let Some(log) = log.ok().filter(|_| is_overwritten_safely(connection)) else { return commit() };
    // SAFETY: the log is open for as long as the connection, which is used by
    // this thread.
    unsafe { gather::keep(log.0) };
    let result = commit();
    // SAFETY: as above.
    unsafe { gather::keep_nothing(log.0) };
    result
}

/// Whether a write changes nothing beside itself. If not, SQLite fills the
/// log's last block up, a part of that after the sync.
fn is_overwritten_safely(connection: &Connection) -> bool {
    let Ok(database) = file(connection, ffi::SQLITE_FCNTL_FILE_POINTER) else { return false };
    // SAFETY: an open file with its methods.
    let traits = unsafe {
        let methods = &*(*database.0).pMethods;
        methods.xDeviceCharacteristics.map_or(0, |ask| ask(database.0))
    };
    traits & ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE != 0
}

/// A failure of SQLite, and the errno behind it.
type Failure = (rusqlite::Error, i32);

/// Writes the log again and syncs it, so that all that was committed is on the
/// device; of a commit that failed nothing is left. Only with the write lock.
pub(crate) fn write_again(connection: &Connection) -> Result<(), Failure> {
    let log = file(connection, ffi::SQLITE_FCNTL_JOURNAL_POINTER)?;
    let end = committed_end(connection)?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < end {
        let len = PIECE.min(usize::try_from(end - at).unwrap_or(PIECE));
        log.read(&mut piece[..len], at)?;
        log.write(&piece[..len], at)?;
        at += len as i64;
    }
    if log.size()? > end {
        // Without the header of its first frame nothing behind it counts.
        log.write(&[0; FRAME_HEADER as usize], end)?;
    }
    log.sync()
}

/// Syncs the log, so that all that was committed is on the device. Only in a
/// transaction.
pub(crate) fn sync(connection: &Connection) -> Result<(), Failure> {
    file(connection, ffi::SQLITE_FCNTL_JOURNAL_POINTER)?.sync()
}

const PIECE: usize = 1 << 16;
/// Before the first frame, and before the page of each.
const LOG_HEADER: i64 = 32;
const FRAME_HEADER: i64 = 24;
/// SQLite's index of the log comes in pieces of this size.
const INDEX_PIECE: c_int = 32768;

/// Where the frames of the last commit end.
fn committed_end(connection: &Connection) -> Result<i64, Failure> {
    let mark = Mark::new(connection)?;
    let [.., high, low] = mark.header[3].to_ne_bytes();
    let page = i64::from(u16::from_ne_bytes([high, low]));
    // 65536 does not fit, and is written as 1.
    let page = if page == 1 { 65536 } else { page };
    let frames = i64::from(mark.frames());
    Ok(if frames == 0 { 0 } else { LOG_HEADER + frames * (FRAME_HEADER + page) })
}

/// The header of the log's index, in shared memory: another after each commit,
/// of whomever (sqlite.org/walformat.html). It is read without a lock, so it is
/// nothing but what it is compared with: half of one and half of another is
/// neither.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    header: [u32; 12],
}

impl Mark {
    /// As it is now. The connection has read, or written.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let database = file(connection, ffi::SQLITE_FCNTL_FILE_POINTER)?;
        let mut index = std::ptr::null_mut();
        // SAFETY: an open file with its methods; the first piece of the index
        // is mapped already, and stays where it is while the file is open. It
        // is aligned to a page, longer than the header, and changed by other
        // processes in whole words.
        unsafe {
            let methods = &*(*database.0).pMethods;
            let Some(map) = methods.xShmMap else { return Err(failure(ffi::SQLITE_INTERNAL)) };
            check(map(database.0, 0, INDEX_PIECE, 0, &raw mut index))?;
            if index.is_null() {
                return Err(failure(ffi::SQLITE_INTERNAL));
            }
            let words = index.cast::<AtomicU32>().cast_const();
            let header = std::array::from_fn(|word| (*words.add(word)).load(Ordering::Acquire));
            Ok(Self { header })
        }
    }

    /// The frames of the log.
    fn frames(&self) -> u32 {
        self.header[4]
    }

    /// Whether the log holds nothing: all that was committed is in the database,
    /// and was synced there before the log was begun anew.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames() == 0
    }

    /// Whether one commit lies between.
    pub(crate) fn is_next_of(&self, before: &Self) -> bool {
        // SQLite's count of commits.
        self.header[2] == before.header[2].wrapping_add(1)
    }
}

/// One of the files of a connection, as SQLite has it open.
struct File(*mut ffi::sqlite3_file);

fn file(connection: &Connection, which: c_int) -> Result<File, Failure> {
    let mut file = std::ptr::null_mut::<ffi::sqlite3_file>();
    // SAFETY: the handle is valid while the connection is borrowed, and these
    // two controls store a pointer.
    unsafe {
        let out = (&raw mut file).cast();
        check(ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), which, out))?;
        match file.as_ref().map(|file| file.pMethods.is_null()) {
            Some(false) => Ok(File(file)),
            // In a transaction both are open.
            _ => Err(failure(ffi::SQLITE_INTERNAL)),
        }
    }
}

fn failure(code: c_int) -> Failure {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    (rusqlite::Error::SqliteFailure(ffi::Error::new(code), None), errno)
}

fn check(code: c_int) -> Result<(), Failure> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(failure(code)) }
}

/// Calls one of the methods that every open file has.
macro_rules! call {
    ($file:expr, $method:ident $(, $argument:expr)*) => {
        // SAFETY: the file is open while the transaction is; the buffers live
        // through the call and have the length that is given.
        unsafe {
            match (*(*$file.0).pMethods).$method {
                Some(method) => check(method($file.0 $(, $argument)*)),
                None => Err(failure(ffi::SQLITE_INTERNAL)),
            }
        }
    };
}

impl File {
    fn read(&self, into: &mut [u8], at: i64) -> Result<(), Failure> {
        call!(self, xRead, into.as_mut_ptr().cast(), into.len() as c_int, at)
    }

    fn write(&self, bytes: &[u8], at: i64) -> Result<(), Failure> {
        call!(self, xWrite, bytes.as_ptr().cast(), bytes.len() as c_int, at)
    }

    fn size(&self) -> Result<i64, Failure> {
        let mut size = 0;
        call!(self, xFileSize, &raw mut size)?;
        Ok(size)
    }

    fn sync(&self) -> Result<(), Failure> {
        call!(self, xSync, ffi::SQLITE_SYNC_NORMAL)
    }
}
