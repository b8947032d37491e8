//! What can go wrong between us and the file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use crate::platform::wal;

/// A failure of the database file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StorageError {
    /// The disk is full. Nothing acknowledged is lost; works again when there
    /// is room.
    Full {
        /// What the system said.
        reason: String,
    },
    /// Reading or writing failed. Works again when the cause is gone.
    Io {
        /// What the system said.
        reason: String,
    },
    /// Another process held the lock longer than `busy_timeout_ms`.
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The system does not let us open or write it.
    NoPermission {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The directory that should hold the file does not exist.
    NoDirectory {
        /// The path asked for.
        path: PathBuf,
    },
    /// There is no file, and nothing may be written to make one.
    NoFile {
        /// The path asked for.
        path: PathBuf,
    },
    /// The system cannot follow the path: it is too long, or its links go in a
    /// circle.
    BadPath {
        /// The path asked for.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The path names something that is no file, such as a directory or a pipe.
    NotAFile {
        /// The path asked for.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// Not a database, or a damaged one. It is left as it is.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// Written by a later version of this library. It is left as it is.
    Newer {
        /// The file.
        path: PathBuf,
        /// The format the file has.
        format: i64,
        /// The latest format this library knows.
        known: i64,
    },
    /// A write to it was cut short, which is undone by whoever opens it for
    /// writing.
    Unfinished {
        /// The file.
        path: PathBuf,
    },
    /// SQLite could not get memory.
    OutOfMemory,
    /// Anything else SQLite reports; a fault on our side.
    Other(String),
}

impl StorageError {
    /// The error behind a failed call of SQLite on the file at `path`; `errno`
    /// as the connection has it, 0 if none. A failed sync is noted on the way.
    pub(super) fn from_sqlite(error: &rusqlite::Error, errno: i32, path: &Path) -> Self {
        let rusqlite::Error::SqliteFailure(code, message) = error else {
            return Self::Other(error.to_string());
        };
        wal::note_failure(code.extended_code);
        let text = match code.extended_code {
            ffi::SQLITE_IOERR_DIR_FSYNC => {
                format!("cannot sync the directory of {}", path.display())
            }
            _ => message.clone().unwrap_or_else(|| code.to_string()),
        };
        let reason = if errno == 0 {
            text.clone()
        } else {
            format!("{text}: {}", io::Error::from_raw_os_error(errno))
        };
        match code.code {
            // A full disk can also show as a failed write.
            ErrorCode::DiskFull => Self::Full { reason },
            ErrorCode::SystemIoFailure if errno == libc::ENOSPC => Self::Full { reason },
            ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed => {
                Self::Io { reason }
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                Self::Busy { path: path.to_owned() }
            }
            ErrorCode::ReadOnly if code.extended_code == ffi::SQLITE_READONLY_ROLLBACK => {
                Self::Unfinished { path: path.to_owned() }
            }
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
                Self::NoPermission { path: path.to_owned(), reason }
            }
            ErrorCode::CannotOpen => match errno {
                libc::ENOENT | libc::ENOTDIR => Self::NoDirectory { path: path.to_owned() },
                libc::EACCES | libc::EPERM | libc::EROFS => {
                    Self::NoPermission { path: path.to_owned(), reason }
                }
                libc::ENOSPC | libc::EDQUOT => Self::Full { reason },
                _ => Self::Io { reason },
            },
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => {
                Self::Damaged { path: path.to_owned(), found: text }
            }
            ErrorCode::OutOfMemory => Self::OutOfMemory,
            _ => Self::Other(reason),
        }
    }

    /// The path does not lead to the file that is open.
    pub(crate) fn moved(path: &Path) -> Self {
        let reason = format!(
            "{} was moved, replaced or deleted while it is open; put it back, or close it and \
             open it again",
            path.display()
        );
        Self::Io { reason }
    }

    /// The error behind a failed system call on `path`.
    pub(crate) fn from_io(error: &io::Error, path: &Path) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Self::NoDirectory { path: path.to_owned() },
            Some(libc::EACCES | libc::EPERM | libc::EROFS) => {
                Self::NoPermission { path: path.to_owned(), reason: error.to_string() }
            }
            Some(libc::ENAMETOOLONG | libc::ELOOP) => {
                Self::BadPath { path: path.to_owned(), reason: error.to_string() }
            }
            Some(libc::ENOSPC | libc::EDQUOT) => Self::Full { reason: error.to_string() },
            _ if error.kind() == io::ErrorKind::InvalidInput => {
                Self::BadPath { path: path.to_owned(), reason: error.to_string() }
            }
            _ => Self::Io { reason: error.to_string() },
        }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { reason } => {
                write!(f, "disk full: {reason}; make room and try again")
            }
            Self::Io { reason } => write!(f, "I/O error: {reason}"),
            Self::Busy { path } => write!(
                f,
                "{} is locked by another process for longer than busy_timeout_ms; try again",
                path.display()
            ),
            Self::NoPermission { path, reason } => {
                write!(f, "no permission for {}: {reason}", path.display())
            }
            Self::NoDirectory { path } => {
                write!(f, "the directory of {} does not exist; create it first", path.display())
            }
            Self::NoFile { path } => {
                write!(f, "{} does not exist, and read_only does not create it", path.display())
            }
            Self::BadPath { path, reason } => {
                write!(f, "{}: {reason}; use another path", path.display())
            }
            Self::NotAFile { path, found } => {
                write!(f, "{} is {found}, a database is a regular file", path.display())
            }
            Self::Damaged { path, found } => write!(
                f,
                "{} is not a database or is damaged: {found}; it was left as it is, restore it \
                 from a backup",
                path.display()
            ),
            Self::Newer { path, format, known } => write!(
                f,
                "{} has format {format}, this library knows up to format {known}; use a newer \
                 acervo",
                path.display()
            ),
            Self::Unfinished { path } => write!(
                f,
                "the making of {} was cut short, by a kill or a power cut, which opening it for \
                 writing undoes; open it once without read_only",
                path.display()
            ),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::Other(what) => write!(f, "unexpected database error: {what}"),
        }
    }
}

impl std::error::Error for StorageError {}
