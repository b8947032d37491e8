//! Files: who they are, and making them with the right permissions.

use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What makes two paths the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    /// The device.
    pub(crate) dev: u64,
    /// The inode.
    pub(crate) ino: u64,
}

impl FileId {
    /// The id of the file at `path`, without opening it: closing a descriptor
    /// of a database file would drop the locks SQLite holds on it.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self { dev: metadata.dev(), ino: metadata.ino() })
    }
}

/// The path as an absolute one with its directory's links resolved; the file
/// itself need not exist.
pub(crate) fn absolute(path: &[u8]) -> io::Result<PathBuf> {
    let path = Path::new(OsStr::from_bytes(path));
    if let Ok(resolved) = path.canonicalize() {
        return Ok(resolved);
    }
    let name = path
        .file_name()
        // What ends like a directory is none that could be made.
        .filter(|_| !path.as_os_str().as_bytes().ends_with(b"/"))
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok(directory.canonicalize()?.join(name))
}

/// Makes an empty file with exactly these permissions. An existing file is
/// left as it is.
pub(crate) fn create(path: &Path, mode: u32) -> io::Result<()> {
    match create_new(path, mode) {
        Ok(file) => sync_name(path, || Ok(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The umask may have taken bits away.
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

/// Makes the name of a file durable: it must survive a power cut as well as
/// what is written under it. `open` gives the file itself, for a directory that
/// cannot be opened or synced by anybody like us; the whole file system is
/// synced then.
pub(super) fn sync_name(path: &Path, open: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    match synced {
        Err(error) if is_never_synced(&error) => {
            let file = open()?;
            // SAFETY: an open descriptor.
            match unsafe { libc::syncfs(file.as_raw_fd()) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        }
        synced => synced,
    }
}

/// Whether a directory that could not be synced never will be: we may not read
/// it, or its file system does not sync directories.
fn is_never_synced(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EACCES | libc::EPERM | libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)
    )
}

/// A file that gets its name when it is complete, and goes if it does not come
/// to that. Until then it stands beside, as `.acervo-backup-...`.
pub(crate) struct Draft {
    path: PathBuf,
    name: PathBuf,
}

impl Draft {
    /// An empty file with these permissions, which is to be called `name`.
    pub(crate) fn create(name: &Path, mode: u32) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let own = format!(".acervo-backup-{}-{number}", std::process::id());
            let path = name.with_file_name(own);
            match create_new(&path, mode) {
                Ok(_) => return Ok(Self { path, name: name.to_owned() }),
                // Left behind by another process that had our number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it stands meanwhile.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, unless something has that, and returns when file and
    /// name are on the device.
    pub(crate) fn publish(self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        rename_new(&self.path, &self.name)?;
        let synced = sync_name(&self.name, || File::open(&self.name));
        if synced.is_err() {
            // Whether the name would be there after a power cut is not known.
            let _ = std::fs::remove_file(&self.name);
        }
        synced
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It is not there any more when it was published.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Renames a file; fails if something has the new name.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let (from_text, to_text) =
        (CString::new(from.as_os_str().as_bytes())?, CString::new(to.as_os_str().as_bytes())?);
    // SAFETY: two C strings that live through the call.
    let renamed = unsafe {
        libc::renameat2(
            libc::AT_FDCWD,
            from_text.as_ptr(),
            libc::AT_FDCWD,
            to_text.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if renamed == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Some file systems cannot; a second name does not replace either.
        error if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        error => Err(error),
    }
}

/// What something that is no regular file is.
pub(crate) fn describe(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "not a file"
    }
}

/// Of a path that no longer leads to an open file: whether that is known. A
/// process that gave up its permissions may not be able to look.
pub(crate) fn is_elsewhere(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(_) => true,
        Err(error) => matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)),
    }
}

/// Whether this process may read and write the file, without opening it.
pub(crate) fn check_access(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a C string that lives through the call.
    match unsafe { libc::access(path.as_ptr(), libc::R_OK | libc::W_OK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Opens a file beside the database for reading and writing, made if missing.
/// Who may make files there must not have us write to another one: a link is
/// not followed, and what is no file is refused.
pub(crate) fn open_beside(path: &Path, mode: u32) -> io::Result<File> {
    create(path, mode)?;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// `path` with `suffix` behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
