//! Opening connections.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::schema::{self, State};
use super::session::{CHECKPOINT_FRAMES, Session};
use super::{Log, StorageError, Versions, shrink};
use crate::platform::{file, sqlite, wal};

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The device has the data: survives a power cut.
    Full,
    /// The kernel has the data: survives a killed process.
    Normal,
    /// As normal, and checkpoints do not sync either.
    Off,
}

impl Durability {
    /// The same for what can be made again.
    pub(crate) fn at_most_normal(self) -> Self {
        match self {
            Self::Full | Self::Normal => Self::Normal,
            Self::Off => Self::Off,
        }
    }
}

/// Which file, and how to treat it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Absolute path.
    pub(crate) path: PathBuf,
    /// Nothing may be written.
    pub(crate) read_only: bool,
    /// Permissions of files we create.
    pub(crate) file_mode: u32,
    /// How long to wait for another process.
    pub(crate) busy_timeout: Duration,
}

/// Opens the file for writing; creates it and its tables if missing.
///
/// A file that is damaged, not ours or newer than this library is left as it
/// was.
pub(crate) fn open_writer(place: &Place, durability: Durability) -> Result<Log, StorageError> {
    write(place, durability).map(Log::new)
}

fn write(place: &Place, durability: Durability) -> Result<Session, StorageError> {
    file::create(&place.path, place.file_mode)
        .map_err(|error| StorageError::from_io(&error, &place.path))?;
    regular_file(&place.path).map_err(|error| match error {
        // It was made just now, unless its name is taken.
        StorageError::NoFile { path } => {
            StorageError::BadPath { path, reason: "it is a symbolic link to nothing".to_owned() }
        }
        other => other,
    })?;
    let mut connection = connect(place, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let result = retry_while_busy(place.busy_timeout, || {
        // Until the format is known, closing must not move the WAL into the
        // file either.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let state = schema::inspect(&connection)?;
        if let State::Format(format) = state
            && format > schema::FORMAT
        {
            return Ok(Err(Refusal::Newer(format)));
        }
        if matches!(state, State::Empty) {
            shrink::prepare(&connection)?;
        }
        let mode = set_wal(&connection)?;
        if mode != "wal" {
            return Ok(Err(Refusal::NoWal(mode)));
        }
        connection.pragma_update(
            None,
            "synchronous",
            match durability {
                Durability::Full => "FULL",
                Durability::Normal => "NORMAL",
                Durability::Off => "OFF",
            },
        )?;
        connection.pragma_update(None, "foreign_keys", false)?;
        wal::checkpoint_every(&connection, CHECKPOINT_FRAMES);
        if matches!(state, State::Empty) {
            schema::create(&mut connection)?;
        }
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        // From here on Session::begin does the waiting.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(Ok(()))
    });
    let mut session = finish(result, connection, place)?;
    // One system call, which does not count beside a sync.
    session.is_for_device = durability == Durability::Full;
    session.waits.set(durability == Durability::Full);
    Ok(session)
}

/// Has SQLite keep a write-ahead log; gives the journal mode it has now. The
/// statement gives its row first and writes then: whoever does not run it to
/// its end is not told that the write failed.
fn set_wal(connection: &Connection) -> rusqlite::Result<String> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mut mode = String::new();
    while let Some(row) = rows.next()? {
        mode = row.get(0)?;
    }
    Ok(mode)
}

/// Opens an existing file for reading.
pub(crate) fn open_reader(place: &Place) -> Result<Log, StorageError> {
    read(place).map(Log::new)
}

/// Opens the versions of a file that is open, for writing.
pub(crate) fn open_versions(
    place: &Place,
    durability: Durability,
) -> Result<Versions, StorageError> {
    let session = write(place, durability)?;
    session.without_triggers()?;
    Ok(Versions::new(session))
}

/// Opens the versions of a file that is open, for reading.
pub(crate) fn read_versions(place: &Place) -> Result<Versions, StorageError> {
    read(place).map(Versions::new)
}

fn read(place: &Place) -> Result<Session, StorageError> {
    regular_file(&place.path)?;
    let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let result = retry_while_busy(place.busy_timeout, || match schema::inspect(&connection)? {
        State::Format(format) if format > schema::FORMAT => Ok(Err(Refusal::Newer(format))),
        _ => Ok(Ok(())),
    });
    finish(result, connection, place)
}

/// Fails unless there is a file. What is none, such as a pipe, would be waited
/// for without end when it is opened.
pub(super) fn regular_file(path: &Path) -> Result<(), StorageError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) => {
            let found = file::describe(metadata.file_type());
            Err(StorageError::NotAFile { path: path.to_owned(), found })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(StorageError::NoFile { path: path.to_owned() })
        }
        Err(error) => Err(StorageError::from_io(&error, path)),
    }
}

/// Why a readable file is not used.
enum Refusal {
    /// It has a later format than we know.
    Newer(i64),
    /// SQLite stayed in another journal mode.
    NoWal(String),
}

fn finish(
    result: rusqlite::Result<Result<(), Refusal>>,
    connection: Connection,
    place: &Place,
) -> Result<Session, StorageError> {
    match result {
        Ok(Ok(())) => Ok(Session::new(connection, place)),
        Ok(Err(Refusal::Newer(format))) => {
            Err(StorageError::Newer { path: place.path.clone(), format, known: schema::FORMAT })
        }
        Ok(Err(Refusal::NoWal(mode))) => Err(StorageError::Io {
            reason: format!(
                "the file system of {} cannot have a write-ahead log (journal mode {mode})",
                place.path.display()
            ),
        }),
        Err(error) => {
            let errno = sqlite::system_errno(&connection);
            Err(StorageError::from_sqlite(&error, errno, &place.path))
        }
    }
}

pub(super) fn connect(place: &Place, access: OpenFlags) -> Result<Connection, StorageError> {
    // Every connection is used by one thread at a time: our locks see to it.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = sqlite::open(&place.path, flags)
        .map_err(|(error, errno)| from_open(&error, errno, &place.path))?;
    connection.busy_timeout(place.busy_timeout).map_err(|error| {
        StorageError::from_sqlite(&error, sqlite::system_errno(&connection), &place.path)
    })?;
    Ok(connection)
}

/// What a failed open says about the file itself comes first.
fn from_open(error: &rusqlite::Error, errno: i32, path: &Path) -> StorageError {
    if let Err(io_error) = std::fs::File::open(path.parent().unwrap_or(path)) {
        return StorageError::from_io(&io_error, path);
    }
    match std::fs::metadata(path) {
        Err(io_error) => StorageError::from_io(&io_error, path),
        Ok(_) => match file::check_access(path) {
            Err(io_error) => StorageError::from_io(&io_error, path),
            Ok(()) => StorageError::from_sqlite(error, errno, path),
        },
    }
}

/// SQLite does not call the busy handler where waiting could deadlock, as in
/// changing the journal mode; trying again from the start is the way there.
fn retry_while_busy<T>(
    timeout: Duration,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        match attempt() {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            result => return result,
        }
    }
}
