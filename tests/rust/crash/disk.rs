//! A disk that remembers: a layer between SQLite and the operating system.
//!
//! It is registered as SQLite's default VFS before the library opens anything,
//! so that every call for a file of a watched directory passes here, also the
//! library's own system calls that it puts below. The layer writes down each
//! write, truncation, creation, deletion and sync, in the order in which they
//! happened, and makes calls fail on demand. `cut` builds from the record what
//! a power cut could have left.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock};
use std::time::Duration;

use rusqlite::ffi;
use tempfile::TempDir;

/// Something that happened to a watched directory.
#[derive(Clone, Debug)]
pub enum Event {
    /// A name leads to a file. `durable`: it was there before.
    Made {
        inode: usize,
        name: String,
        content: Vec<u8>,
        durable: bool,
    },
    Write {
        inode: usize,
        offset: usize,
        bytes: Box<[u8]>,
    },
    Truncate {
        inode: usize,
        size: usize,
    },
    SyncStarted,
    /// What happened to the file before the event `start` is on the device.
    Synced {
        inode: usize,
        start: usize,
    },
    /// It may or may not be, and no later sync will tell: the kernel takes the
    /// pages for written.
    SyncFailed {
        inode: usize,
        start: usize,
    },
    /// Names are on the device as they were before the event `start`.
    DirectorySynced {
        start: usize,
    },
    Removed {
        name: String,
    },
    /// A worker calls the library for its step, counted from 1.
    Began {
        worker: usize,
        step: usize,
    },
    /// The library said that it is done.
    Done {
        worker: usize,
        step: usize,
    },
}

/// The calls of SQLite that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Open,
    Read,
    Write,
    /// A write of which the device takes half.
    ShortWrite,
    Sync,
    /// A sync of the directory, whoever makes it.
    DirectorySync,
    Truncate,
    Delete,
    FileSize,
    Lock,
    ShmMap,
    ShmLock,
}

impl Call {
    pub const ALL: [Self; 12] = [
        Self::Open,
        Self::Read,
        Self::Write,
        Self::ShortWrite,
        Self::Sync,
        Self::DirectorySync,
        Self::Truncate,
        Self::Delete,
        Self::FileSize,
        Self::Lock,
        Self::ShmMap,
        Self::ShmLock,
    ];

    fn code(self, errno: c_int) -> c_int {
        match self {
            Self::Open => ffi::SQLITE_CANTOPEN,
            // As SQLite's own: "the file system is corrupt".
            Self::Read if errno == libc::EIO => ffi::SQLITE_IOERR_CORRUPTFS,
            Self::Read => ffi::SQLITE_IOERR_READ,
            Self::Write if errno == libc::ENOSPC => ffi::SQLITE_FULL,
            Self::Write => ffi::SQLITE_IOERR_WRITE,
            Self::ShortWrite => ffi::SQLITE_FULL,
            Self::Sync => ffi::SQLITE_IOERR_FSYNC,
            Self::DirectorySync => ffi::SQLITE_IOERR_DIR_FSYNC,
            Self::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
            Self::Delete => ffi::SQLITE_IOERR_DELETE,
            Self::FileSize => ffi::SQLITE_IOERR_FSTAT,
            Self::Lock => ffi::SQLITE_IOERR_LOCK,
            Self::ShmMap => ffi::SQLITE_IOERR_SHMMAP,
            Self::ShmLock => ffi::SQLITE_IOERR_SHMLOCK,
        }
    }
}

/// Which calls fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub call: Call,
    /// How many of these calls still work.
    pub after: usize,
    /// Whether all that follow fail too.
    pub lasting: bool,
    pub errno: c_int,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    names: HashMap<String, usize>,
    inodes: usize,
    is_recording: bool,
    lies: bool,
    /// The directory's last sync failed: what stands in it may not be there
    /// after a cut.
    names_are_unsure: bool,
    fault: Option<Fault>,
    calls: HashMap<u8, usize>,
    tripped: usize,
}

/// A watched directory.
pub struct Disk {
    directory: TempDir,
    state: Mutex<State>,
    /// How long a sync takes at least: others come in between.
    sync_takes: Duration,
}

static DISKS: Mutex<Vec<Arc<Disk>>> = Mutex::new(Vec::new());

/// In memory where that can be had: what syncs do there nobody sees anyway.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { TempDir::new_in(memory).ok() } else { None };
    made.unwrap_or_else(|| TempDir::new().expect("a temporary directory"))
}

impl Disk {
    pub fn new() -> Arc<Self> {
        Self::with(&[], Duration::ZERO)
    }

    /// A disk whose syncs take a moment, so that threads meet.
    pub fn slow() -> Arc<Self> {
        Self::with(&[], Duration::from_micros(100))
    }

    /// A disk with these files, which are on the device.
    pub fn holding(files: &[(String, Vec<u8>)]) -> Arc<Self> {
        Self::with(files, Duration::ZERO)
    }

    fn with(files: &[(String, Vec<u8>)], sync_takes: Duration) -> Arc<Self> {
        install();
        let directory = directory();
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let disk = Arc::new(Self { directory, state: Mutex::default(), sync_takes });
        DISKS.lock().unwrap().push(Arc::clone(&disk));
        disk
    }

    /// Nobody has a file of it open any more.
    pub fn forget(&self) {
        DISKS.lock().unwrap().retain(|disk| !ptr::eq(&**disk, self));
    }

    pub fn file(&self) -> PathBuf {
        self.directory.path().join("test.db")
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Writes down what happens from now on. Nobody may have a file open.
    pub fn record(&self) {
        let mut state = self.state();
        state.is_recording = true;
        state.names.clear();
        for (name, content) in self.files().into_iter().filter(|(name, _)| is_data(name)) {
            let inode = state.inodes;
            state.inodes += 1;
            state.names.insert(name.clone(), inode);
            state.events.push(Event::Made { inode, name, content, durable: true });
        }
    }

    /// What was written down.
    pub fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.state().events)
    }

    pub fn note(&self, event: Event) {
        let mut state = self.state();
        if state.is_recording {
            state.events.push(event);
        }
    }

    /// From now on it says that it synced and does nothing.
    pub fn lie_about_syncs(&self) {
        self.state().lies = true;
    }

    /// Counts calls from now on.
    pub fn count_calls(&self) {
        self.state().calls.clear();
    }

    /// How many there were.
    pub fn calls(&self, call: Call) -> usize {
        let key = if call == Call::ShortWrite { Call::Write } else { call } as u8;
        self.state().calls.get(&key).copied().unwrap_or(0)
    }

    /// Makes calls fail from now on; `None`: all work again. Tells how many
    /// failed before.
    pub fn set_fault(&self, fault: Option<Fault>) -> usize {
        let mut state = self.state();
        state.fault = fault;
        std::mem::take(&mut state.tripped)
    }

    /// Whether a call still has to fail.
    pub fn is_failing(&self) -> bool {
        self.state().fault.is_some()
    }

    /// The files as they are now, as a killed process leaves them.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.directory()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.push((name, std::fs::read(entry.path()).unwrap()));
        }
        files
    }

    /// The code with which this call has to fail, if so.
    fn trip(&self, call: Call) -> Option<c_int> {
        let mut state = self.state();
        *state.calls.entry(call as u8).or_default() += 1;
        let fault = state.fault.as_mut()?;
        let is_meant =
            fault.call == call || (fault.call == Call::ShortWrite && call == Call::Write);
        if !is_meant {
            return None;
        }
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let fault = *fault;
        if !fault.lasting {
            state.fault = None;
        }
        state.tripped += 1;
        // SAFETY: the errno of this thread.
        unsafe { *libc::__errno_location() = fault.errno };
        Some(fault.call.code(fault.errno))
    }

    fn fails_short(&self) -> bool {
        self.state().fault.is_some_and(|fault| fault.call == Call::ShortWrite)
    }
}

/// What processes share in memory is in files too, but is no data.
fn is_data(name: &str) -> bool {
    !name.ends_with("-lock") && !name.ends_with("-shm")
}

/// The disk that a path is on.
fn disk_of(path: *const c_char) -> Option<(Arc<Disk>, String)> {
    if path.is_null() {
        return None;
    }
    // SAFETY: SQLite gives C strings.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
    let name = path.file_name()?.to_str()?.to_owned();
    let disks = DISKS.lock().unwrap();
    let disk = disks.iter().find(|disk| Some(disk.directory.path()) == path.parent())?;
    Some((Arc::clone(disk), name))
}

// ------------------------------------------------------------ SQLite's side

/// The VFS below.
struct Inner(*mut ffi::sqlite3_vfs);
// SAFETY: SQLite's VFS may be called from any thread.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

static INNER: OnceLock<Inner> = OnceLock::new();

fn inner() -> *mut ffi::sqlite3_vfs {
    INNER.get().expect("installed").0
}

/// A file, with the one of the VFS below right behind it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// `None`: not watched.
    watched: Option<Box<(Arc<Disk>, usize)>>,
}

impl File {
    /// SAFETY: `file` is one that `open` has made.
    unsafe fn of<'a>(file: *mut ffi::sqlite3_file) -> (&'a File, *mut ffi::sqlite3_file) {
        // SAFETY: see above; the inner file stands behind ours.
        unsafe {
            let own = file.cast::<File>();
            (&*own, own.add(1).cast::<ffi::sqlite3_file>())
        }
    }
}

/// Calls a method of the file below.
macro_rules! below {
    ($inner:expr, $method:ident $(, $argument:expr)*) => {
        // SAFETY: SQLite calls methods of open files only, and those of the
        // unix VFS are all there.
        unsafe { ((*(*$inner).pMethods).$method.unwrap())($inner $(, $argument)*) }
    };
}

// ------------------------------------------------- syncs of the directory

/// In the place of the C library's, for the whole program: the name of a file
/// is made durable by a sync of its directory, which passes by SQLite's VFS.
///
/// # Safety
///
/// As that one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    sync_descriptor(libc::SYS_fsync, descriptor)
}

/// As [`fsync`].
///
/// # Safety
///
/// As that one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    sync_descriptor(libc::SYS_fdatasync, descriptor)
}

fn sync_descriptor(call: libc::c_long, descriptor: c_int) -> c_int {
    // SAFETY: a system call without pointers.
    let sync = || unsafe { libc::syscall(call, descriptor) as c_int };
    let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{descriptor}")) else {
        return sync();
    };
    let disk = {
        let disks = DISKS.lock().unwrap();
        disks.iter().find(|disk| disk.directory.path() == path).cloned()
    };
    let Some(disk) = disk else { return sync() };
    let start = {
        let state = disk.state();
        if state.lies {
            return 0;
        }
        state.events.len()
    };
    if disk.trip(Call::DirectorySync).is_some() {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        disk.state().names_are_unsure = true;
        // SAFETY: the errno of this thread.
        unsafe { *libc::__errno_location() = errno };
        return -1;
    }
    let result = sync();
    if result == 0 {
        disk.state().names_are_unsure = false;
        disk.note(Event::DirectorySynced { start });
    }
    result
}

type SystemCall = unsafe extern "C" fn();

/// Puts the layer in place, before SQLite is used.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        super::memory::install();
        // SAFETY: the default VFS is there after sqlite3_initialize and is
        // never taken away; ours lives for ever.
        unsafe {
            assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
            let below = ffi::sqlite3_vfs_find(ptr::null());
            INNER.get_or_init(|| Inner(below));
            let size = size_of::<File>() as c_int + (*below).szOsFile;
            let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
                szOsFile: size,
                zName: c"acervo-test".as_ptr(),
                pNext: ptr::null_mut(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                xFullPathname: Some(full_path),
                xRandomness: Some(randomness),
                xSleep: Some(sleep),
                xCurrentTime: Some(current_time),
                xGetLastError: Some(last_error),
                xCurrentTimeInt64: Some(current_time_int),
                xSetSystemCall: Some(set_system_call),
                xGetSystemCall: Some(get_system_call),
                xNextSystemCall: Some(next_system_call),
                ..*below
            }));
            assert_eq!(ffi::sqlite3_vfs_register(vfs, 1), ffi::SQLITE_OK);
        }
    });
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives szOsFile bytes of its own; `watched` is written
    // before anything reads it, and pMethods is null until the file is open.
    unsafe {
        let own = file.cast::<File>();
        (*own).base.pMethods = ptr::null();
        ptr::write(&raw mut (*own).watched, None);
        let below = own.add(1).cast::<ffi::sqlite3_file>();
        let open_below = |out| (*inner()).xOpen.unwrap()(inner(), path, below, flags, out);
        let found = disk_of(path);
        if let Some((disk, _)) = &found
            && let Some(code) = disk.trip(Call::Open)
        {
            return code;
        }
        let code = match found {
            None => open_below(out_flags),
            Some((disk, name)) => {
                let mut state = disk.state();
                let place = disk.directory.path().join(&name);
                // Only before anybody opened it: closing a descriptor of a
                // database would drop the process's locks on it.
                let before = match state.names.get(&name) {
                    Some(_) => None,
                    None => Some(std::fs::read(&place).ok()),
                };
                let code = open_below(out_flags);
                if code == ffi::SQLITE_OK {
                    if let Some(before) = before {
                        let inode = state.inodes;
                        state.inodes += 1;
                        state.names.insert(name.clone(), inode);
                        if state.is_recording {
                            let durable = before.is_some() && !state.names_are_unsure;
                            let content = before.unwrap_or_default();
                            state.events.push(Event::Made {
                                inode,
                                name: name.clone(),
                                content,
                                durable,
                            });
                        }
                    }
                    let inode = state.names[&name];
                    drop(state);
                    (*own).watched = Some(Box::new((disk, inode)));
                }
                code
            }
        };
        if code == ffi::SQLITE_OK {
            (*own).base.pMethods = &raw const METHODS;
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, path: *const c_char, sync: c_int) -> c_int {
    let found = disk_of(path);
    if let Some((disk, _)) = &found
        && let Some(code) = disk.trip(Call::Delete)
    {
        return code;
    }
    // SAFETY: the call as it came, but for the sync.
    let delete_below = |sync| unsafe { (*inner()).xDelete.unwrap()(inner(), path, sync) };
    let Some((disk, name)) = found else { return delete_below(sync) };
    let mut state = disk.state();
    let code = delete_below(0);
    if code == ffi::SQLITE_OK && state.names.remove(&name).is_some() && state.is_recording {
        state.events.push(Event::Removed { name });
    }
    drop(state);
    // As SQLite does it: a directory that cannot be opened is not synced.
    if code == ffi::SQLITE_OK
        && sync != 0
        && let Ok(directory) = std::fs::File::open(disk.directory())
        && directory.sync_all().is_err()
    {
        return ffi::SQLITE_IOERR_DIR_FSYNC;
    }
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: a file of ours.
    let (_, inner) = unsafe { File::of(file) };
    let code = below!(inner, xClose);
    // SAFETY: nothing of ours is used after this, and SQLite closes once.
    unsafe { (*file.cast::<File>()).watched = None };
    code
}

/// Fails the call if it has to.
macro_rules! may_fail {
    ($file:expr, $call:expr) => {
        if let Some(watched) = &$file.watched
            && let Some(code) = watched.0.trip($call)
        {
            return code;
        }
    };
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: a file of ours.
    let (own, inner) = unsafe { File::of(file) };
    may_fail!(own, Call::Read);
    below!(inner, xRead, out, amount, offset)
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: a file of ours.
    let (own, inner) = unsafe { File::of(file) };
    let Some(watched) = &own.watched else { return below!(inner, xWrite, bytes, amount, offset) };
    let (disk, inode) = &**watched;
    let is_short = disk.fails_short();
    let failed = disk.trip(Call::Write);
    if let (Some(code), false) = (failed, is_short) {
        return code;
    }
    let amount = if failed.is_some() { amount / 2 } else { amount };
    let mut state = disk.state();
    let code = below!(inner, xWrite, bytes, amount, offset);
    if state.is_recording && code == ffi::SQLITE_OK {
        // SAFETY: SQLite gives that many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), amount as usize) };
        let (inode, offset, bytes) = (*inode, offset as usize, bytes.into());
        state.events.push(Event::Write { inode, offset, bytes });
    }
    failed.unwrap_or(code)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: a file of ours.
    let (own, inner) = unsafe { File::of(file) };
    may_fail!(own, Call::Truncate);
    let Some(watched) = &own.watched else { return below!(inner, xTruncate, size) };
    let (disk, inode) = &**watched;
    let mut state = disk.state();
    let code = below!(inner, xTruncate, size);
    if state.is_recording && code == ffi::SQLITE_OK {
        state.events.push(Event::Truncate { inode: *inode, size: size as usize });
    }
    code
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: a file of ours.
    let (own, inner) = unsafe { File::of(file) };
    let Some(watched) = &own.watched else { return below!(inner, xSync, flags) };
    let (disk, inode) = (&watched.0, watched.1);
    let start = {
        let mut state = disk.state();
        if state.lies {
            return ffi::SQLITE_OK;
        }
        let start = state.events.len();
        if state.is_recording {
            state.events.push(Event::SyncStarted);
        }
        start
    };
    if let Some(code) = disk.trip(Call::Sync) {
        disk.note(Event::SyncFailed { inode, start });
        return code;
    }
    if !disk.sync_takes.is_zero() {
        std::thread::sleep(disk.sync_takes);
    }
    let code = below!(inner, xSync, flags);
    if code == ffi::SQLITE_OK {
        disk.note(Event::Synced { inode, start });
    }
    code
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: a file of ours.
    let (own, inner) = unsafe { File::of(file) };
    may_fail!(own, Call::FileSize);
    below!(inner, xFileSize, out)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: a file of ours.
    let (own, inner) = unsafe { File::of(file) };
    may_fail!(own, Call::Lock);
    below!(inner, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: a file of ours.
    let (_, inner) = unsafe { File::of(file) };
    below!(inner, xUnlock, level)
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: a file of ours.
    let (_, inner) = unsafe { File::of(file) };
    below!(inner, xCheckReservedLock, out)
}

unsafe extern "C" fn control(file: *mut ffi::sqlite3_file, op: c_int, arg: *mut c_void) -> c_int {
    // SAFETY: a file of ours.
    let (_, inner) = unsafe { File::of(file) };
    below!(inner, xFileControl, op, arg)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: a file of ours.
    let (_, inner) = unsafe { File::of(file) };
    below!(inner, xSectorSize)
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: a file of ours.
    let (_, inner) = unsafe { File::of(file) };
    below!(inner, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: a file of ours.
    let (own, inner) = unsafe { File::of(file) };
    may_fail!(own, Call::ShmMap);
    below!(inner, xShmMap, page, size, extend, out)
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: a file of ours.
    let (own, inner) = unsafe { File::of(file) };
    if flags & ffi::SQLITE_SHM_LOCK != 0 {
        may_fail!(own, Call::ShmLock);
    }
    below!(inner, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: a file of ours.
    let (_, inner) = unsafe { File::of(file) };
    below!(inner, xShmBarrier)
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: a file of ours.
    let (_, inner) = unsafe { File::of(file) };
    below!(inner, xShmUnmap, delete)
}

/// Version 2: nothing is mapped, so that every read and write passes here.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Passes a call of the VFS on.
macro_rules! pass {
    ($name:ident, $method:ident, ($($argument:ident: $type:ty),*) -> $result:ty) => {
        unsafe extern "C" fn $name(_: *mut ffi::sqlite3_vfs $(, $argument: $type)*) -> $result {
            // SAFETY: the call as it came, to the VFS below.
            unsafe { (*inner()).$method.unwrap()(inner() $(, $argument)*) }
        }
    };
}

pass!(access, xAccess, (path: *const c_char, flags: c_int, out: *mut c_int) -> c_int);
pass!(full_path, xFullPathname, (path: *const c_char, len: c_int, out: *mut c_char) -> c_int);
pass!(randomness, xRandomness, (len: c_int, out: *mut c_char) -> c_int);
pass!(sleep, xSleep, (micros: c_int) -> c_int);
pass!(current_time, xCurrentTime, (out: *mut f64) -> c_int);
pass!(last_error, xGetLastError, (len: c_int, out: *mut c_char) -> c_int);
pass!(current_time_int, xCurrentTimeInt64, (out: *mut i64) -> c_int);
pass!(set_system_call, xSetSystemCall, (name: *const c_char, call: Option<SystemCall>) -> c_int);
pass!(get_system_call, xGetSystemCall, (name: *const c_char) -> Option<SystemCall>);
pass!(next_system_call, xNextSystemCall, (name: *const c_char) -> *const c_char);
