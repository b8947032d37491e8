//! Our VFS: the default one, but for what is said here and in `name`,
//! `fallback` and `reads`.
//!
//! # What a commit appends to the log is written at once
//!
//! SQLite appends each page by two writes, of its header and of itself. They
//! cross the borders of pages, and to the kernel each is as much work as a
//! whole block: ten of them take a tenth of the time of a sync. So our
//! connections open their files by a VFS that is the default one but for the
//! log. That keeps, while it is told to, what is written one behind the other,
//! and writes it in one piece before SQLite does anything else with the log: it
//! syncs, or reads, or writes elsewhere.
//!
//! To this connection that is as if it had been written. Others must not find
//! frames in the index of the log that are not in the log yet: they are there
//! where a sync comes before the index is changed, as in each commit with
//! `synchronous = FULL` (walFrames in SQLite's wal.c). For those, and nothing
//! else, it is told to ([`super::wal::commit_at_once`]).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use rusqlite::ffi;

use super::{errno, fallback, name, reads, wal};

/// The name of the VFS.
pub(super) const NAME: &CStr = c"acervo";

/// More than this is written in pieces.
const LIMIT: usize = 1 << 16;

/// The VFS under ours.
static BELOW: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());

/// How logs and journals are read and written.
static LOGS: OnceLock<Methods> = OnceLock::new();
/// How databases are.
static DATABASES: OnceLock<Methods> = OnceLock::new();

/// What is done with a file: as the VFS below does, and as ours does.
struct Methods {
    /// Where those of the VFS below are.
    address: usize,
    below: ffi::sqlite3_io_methods,
    ours: ffi::sqlite3_io_methods,
}

/// What is known about a log or a journal, and what it keeps; stands behind the
/// file of the VFS below.
struct Kept {
    /// Its name, which SQLite has for as long as the file is open.
    name: *const c_char,
    /// Whether the name is known to be on the device.
    is_named: bool,
    /// Whether anything is to be kept.
    keeps: bool,
    /// Where it is to be written.
    at: i64,
    bytes: Vec<u8>,
}

/// Makes the VFS.
///
/// # Safety
/// `below` is a VFS that is there for ever, with files of the layout of
/// `sqlite3_file`.
pub(super) unsafe fn register(below: *mut ffi::sqlite3_vfs) {
    // SAFETY: as promised; a copy of its own is registered, for ever too. The
    // functions of the VFS below use what is the same in both.
    unsafe {
        let mut ours = *below;
        ours.pNext = ptr::null_mut();
        ours.zName = NAME.as_ptr();
        ours.szOsFile = (place_of_kept(below) + size_of::<Kept>()) as c_int;
        ours.xOpen = Some(open);
        BELOW.store(below, Ordering::Release);
        ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0);
    }
}

/// How far behind the beginning of a file it stands.
///
/// # Safety
/// `below` is a VFS.
unsafe fn place_of_kept(below: *const ffi::sqlite3_vfs) -> usize {
    // SAFETY: as promised.
    let size = unsafe { (*below).szOsFile };
    usize::try_from(size).unwrap_or(0).next_multiple_of(align_of::<Kept>())
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let below = BELOW.load(Ordering::Acquire);
    // SAFETY: SQLite has room for a file of ours at `file`, aligned as malloc
    // does, and gives what the VFS below wants. Of the file it opened, the
    // methods stay for ever.
    unsafe {
        let Some(open_below) = (*below).xOpen else { return ffi::SQLITE_CANTOPEN };
        let mut found_flags = 0;
        fallback::begin();
        let code = open_below(below, name, file, flags, &raw mut found_flags);
        let failed = fallback::end();
        if code != ffi::SQLITE_OK || (*file).pMethods.is_null() {
            return code;
        }
        let is_read_only =
            flags & ffi::SQLITE_OPEN_READWRITE != 0 && found_flags & ffi::SQLITE_OPEN_READONLY != 0;
        if let Some(failed) = failed.filter(|_| is_read_only) {
            if let Some(close) = (*(*file).pMethods).xClose {
                close(file);
            }
            (*file).pMethods = ptr::null();
            errno::set(failed);
            return ffi::SQLITE_CANTOPEN;
        }
        if let Some(flags_out) = flags_out.as_mut() {
            *flags_out = found_flags;
        }
        if flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL) != 0 {
            if LOGS.get_or_init(|| methods_of_logs(*(*file).pMethods, (*file).pMethods)).set(file) {
                let place = file.cast::<u8>().add(place_of_kept(below)).cast::<Kept>();
                place.write(Kept { name, is_named: false, keeps: false, at: 0, bytes: Vec::new() });
            }
        } else if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
            DATABASES
                .get_or_init(|| methods_of_databases(*(*file).pMethods, (*file).pMethods))
                .set(file);
        }
        code
    }
}

fn methods_of_logs(
    below: ffi::sqlite3_io_methods,
    address: *const ffi::sqlite3_io_methods,
) -> Methods {
    let mut ours = below;
    ours.xClose = Some(close);
    ours.xRead = Some(read);
    ours.xWrite = Some(write);
    ours.xTruncate = Some(truncate);
    ours.xSync = Some(sync);
    ours.xFileSize = Some(file_size);
    // Nobody maps a log; this way nobody can.
    ours.iVersion = ours.iVersion.min(2);
    Methods { address: address.addr(), below, ours }
}

fn methods_of_databases(
    below: ffi::sqlite3_io_methods,
    address: *const ffi::sqlite3_io_methods,
) -> Methods {
    let mut ours = below;
    ours.xRead = Some(read_database);
    Methods { address: address.addr(), below, ours }
}

impl Methods {
    /// Has a file use ours. Those of the VFS below are the same for all files of
    /// a kind; one with others is left as it is. Tells whether it is not.
    ///
    /// # Safety
    /// The file was just opened by the VFS below, and nobody else has it.
    unsafe fn set(&'static self, file: *mut ffi::sqlite3_file) -> bool {
        // SAFETY: as promised.
        unsafe {
            let is_known = self.address == (*file).pMethods.addr();
            if is_known {
                (*file).pMethods = &raw const self.ours;
            }
            is_known
        }
    }
}

/// What stands behind a file; `None` for what is no log of ours.
///
/// # Safety
/// The file is open, and nobody else uses it while the reference lives.
unsafe fn kept<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a mut Kept> {
    let methods = LOGS.get()?;
    // SAFETY: the file is open; with our methods it is one that `open` gave
    // what it keeps.
    unsafe {
        if !ptr::eq((*file).pMethods, &raw const methods.ours) {
            return None;
        }
        let place = place_of_kept(BELOW.load(Ordering::Acquire));
        Some(&mut *file.cast::<u8>().add(place).cast::<Kept>())
    }
}

/// Has a log keep what is written from now on.
///
/// # Safety
/// The file is open, and no other thread uses it.
pub(super) unsafe fn keep(file: *mut ffi::sqlite3_file) {
    // SAFETY: as promised.
    if let Some(kept) = unsafe { kept(file) } {
        kept.keeps = true;
    }
}

/// Has it write at once again. What was not written by now belongs to nothing
/// that was committed.
///
/// # Safety
/// As [`keep`].
pub(super) unsafe fn keep_nothing(file: *mut ffi::sqlite3_file) {
    // SAFETY: as promised.
    if let Some(kept) = unsafe { kept(file) } {
        kept.keeps = false;
        kept.bytes.clear();
    }
}

/// Calls a method of the VFS below, of a log or of a database.
macro_rules! below {
    ($method:ident($($argument:expr),*)) => {
        below!(LOGS, $method($($argument),*))
    };
    ($kind:ident, $method:ident($($argument:expr),*)) => {
        match $kind.get().and_then(|methods| methods.below.$method) {
            // SAFETY: SQLite, or `write_kept`, gives what the method wants.
            Some(method) => unsafe { method($($argument),*) },
            None => ffi::SQLITE_INTERNAL,
        }
    };
}

/// Writes what is kept. If that fails nothing of it is kept any more, as SQLite
/// gives the commit up.
fn write_kept(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: called by our methods only, with SQLite's open file.
    let Some(kept) = (unsafe { kept(file) }) else { return ffi::SQLITE_OK };
    if kept.bytes.is_empty() {
        return ffi::SQLITE_OK;
    }
    let len = kept.bytes.len() as c_int;
    let code = below!(xWrite(file, kept.bytes.as_ptr().cast(), len, kept.at));
    kept.bytes.clear();
    code
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    len: c_int,
    at: i64,
) -> c_int {
    let size = usize::try_from(len).unwrap_or(0);
    // SAFETY: SQLite's open file.
    if let Some(kept) = unsafe { kept(file) }
        && kept.keeps
        && size <= LIMIT
    {
        let goes_on = at == kept.at + kept.bytes.len() as i64;
        if !goes_on || kept.bytes.len() + size > LIMIT {
            let code = write_kept(file);
            if code != ffi::SQLITE_OK {
                return code;
            }
        }
        if kept.bytes.try_reserve(size).is_ok() {
            if kept.bytes.is_empty() {
                kept.at = at;
            }
            // SAFETY: SQLite gives so many bytes.
            let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size) };
            kept.bytes.extend_from_slice(bytes);
            return ffi::SQLITE_OK;
        }
    }
    match write_kept(file) {
        ffi::SQLITE_OK => below!(xWrite(file, bytes, len, at)),
        code => code,
    }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    len: c_int,
    at: i64,
) -> c_int {
    match write_kept(file) {
        ffi::SQLITE_OK => reads::told(below!(xRead(file, into, len, at))),
        code => code,
    }
}

unsafe extern "C" fn read_database(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    len: c_int,
    at: i64,
) -> c_int {
    reads::told(below!(DATABASES, xRead(file, into, len, at)))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    match write_kept(file) {
        ffi::SQLITE_OK => below!(xTruncate(file, size)),
        code => code,
    }
}

/// Makes the name of a log durable, unless it is. If that fails nothing is kept
/// any more: of a commit that fails for its name nothing is in the file.
fn sync_name(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: called by our methods only, with SQLite's open file.
    let Some(kept) = (unsafe { kept(file) }) else { return ffi::SQLITE_OK };
    if kept.is_named {
        return ffi::SQLITE_OK;
    }
    // SAFETY: SQLite has the name for as long as the file is open.
    let code = unsafe { name::sync(kept.name) };
    kept.is_named = code == ffi::SQLITE_OK;
    if !kept.is_named {
        kept.bytes.clear();
    }
    code
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let code = match sync_name(file) {
        ffi::SQLITE_OK => write_kept(file),
        code => return code,
    };
    let code = match code {
        ffi::SQLITE_OK => name::with_name_synced(|| below!(xSync(file, flags))),
        code => code,
    };
    wal::note_failure(code);
    // Then the file is left as it is.
    if code == ffi::SQLITE_OK && wal::is_move_in_doubt() { ffi::SQLITE_BUSY } else { code }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    match write_kept(file) {
        ffi::SQLITE_OK => below!(xFileSize(file, size)),
        code => code,
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite's open file, which it does not use any more.
    if let Some(kept) = unsafe { kept(file) } {
        // SAFETY: it was written by `open`, and is not used after this.
        unsafe { ptr::drop_in_place(kept) };
    }
    below!(xClose(file))
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, OpenFlags};

    use super::super::{sqlite, wal};

    /// Commits of one page and of many, with pages that went to the log before
    /// the commit; what each leaves is what a power cut would leave.
    #[test]
    fn what_was_committed_is_in_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = sqlite::open(&path, flags).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = 20;
                 PRAGMA wal_autocheckpoint = 100; CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)",
            )
            .unwrap();
        let others = Connection::open(&path).unwrap();
        let mut rows = 0;
        for size in [1, 3, 40, 2, 400, 1, 7, 90, 1, 300, 5] {
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            for _ in 0..size {
                rows += 1;
                let sql = "INSERT INTO t VALUES (?1, randomblob(1500))";
                connection.execute(sql, [rows]).unwrap();
                let sql = "UPDATE t SET b = randomblob(1500) WHERE n = ?1";
                connection.execute(sql, [rows / 2]).unwrap();
            }
            wal::commit_at_once(&connection, || connection.execute_batch("COMMIT")).unwrap();
            let copy = directory.path().join(format!("{rows}.db"));
            for end in ["", "-wal"] {
                let name = |path: &std::path::Path| format!("{}{end}", path.display());
                std::fs::copy(name(&path), name(&copy)).unwrap();
            }
            for connection in [&others, &Connection::open(&copy).unwrap()] {
                let sql = "SELECT count(*), (SELECT * FROM pragma_integrity_check) FROM t";
                let found = connection.query_row(sql, [], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
                });
                assert_eq!(found.unwrap(), (rows, "ok".to_owned()));
            }
        }
    }

    #[test]
    fn a_commit_is_one_write_and_one_that_does_not_wait_keeps_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = sqlite::open(&path, flags).unwrap();
        let sql = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                   CREATE TABLE t (n INTEGER PRIMARY KEY); CREATE TABLE u (n INTEGER PRIMARY KEY)";
        connection.execute_batch(sql).unwrap();
        let writes = |number: i64, synchronous: &str, at_once: bool| {
            connection.execute_batch(&format!("PRAGMA synchronous = {synchronous}")).unwrap();
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            connection.execute("INSERT INTO t VALUES (?1)", [number]).unwrap();
            connection.execute("INSERT INTO u VALUES (?1)", [number]).unwrap();
            let before = write_calls();
            let commit = || connection.execute_batch("COMMIT").unwrap();
            if at_once {
                wal::commit_at_once(&connection, commit)
            } else {
                commit()
            }
            write_calls() - before
        };
        assert_eq!(writes(1, "FULL", true), 1);
        assert_eq!(writes(2, "FULL", false), 4);
        assert_eq!(writes(3, "NORMAL", false), 4);
        let others = Connection::open(&path).unwrap();
        let found: i64 = others.query_row("SELECT max(n) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(found, 3);
    }

    /// How often this thread has written.
    fn write_calls() -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("syscw: ")).unwrap();
        line.parse().unwrap()
    }
}
