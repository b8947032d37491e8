//! From a path and options to an instance.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::instance::{self, Instance};
use super::options::Options;
use crate::entries::{self, HistoryKind};
use crate::error::Error;
use crate::kv::{Connections, Engine};
use crate::platform::shared_counter::SharedCounter;
use crate::platform::turn::TurnLock;
use crate::platform::{exit, file, fork};
use crate::storage::{self, Place, StorageError};

/// Why a database could not be opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// An option is unknown, of the wrong type, out of range, or differs from
    /// that of the first open.
    Option {
        /// The option.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The path names no file.
    Path {
        /// What is wrong with it.
        what: String,
    },
    /// The file.
    Storage(StorageError),
    /// The file has versions, and the option `history` has them not kept there.
    HoldsHistory {
        /// The file.
        path: PathBuf,
    },
    /// Another copy of this library in the process has it open.
    OtherCopy {
        /// The file.
        path: PathBuf,
    },
    /// It is being closed, and that waits for the handler that opens it.
    Closing {
        /// The file.
        path: PathBuf,
    },
}

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option { name, what } => write!(f, "option {name}: {what}"),
            Self::Path { what } => write!(f, "path: {what}"),
            Self::Storage(error) => error.fmt(f),
            Self::HoldsHistory { path } => write!(
                f,
                "option history: {} holds versions of entries, which need \"sqlite\"",
                path.display()
            ),
            Self::OtherCopy { path } => write!(
                f,
                "{} is open in another copy of libacervo.so.0 in this process; load one file \
                 everywhere, by a symbolic link",
                path.display()
            ),
            Self::Closing { path } => write!(
                f,
                "{} is being closed, which waits for this handler; open it after that",
                path.display()
            ),
        }
    }
}

impl std::error::Error for OpenError {}

/// The suffix of the file that processes share beside the database: the
/// counter of commits.
const LOCK_SUFFIX: &str = "-lock";

/// Opens `path` or joins those who have it open. Also tells whether the handle
/// is for reading only.
pub(super) fn open(path: &[u8], options: &Options) -> Result<(Arc<Instance>, bool), Error> {
    fork::watch();
    exit::at_exit(instance::flush_all_at_exit);
    let read_only = options.read_only.unwrap_or(false);
    if path == b":memory:" {
        let engine = Engine::open(options.settings(), None)?;
        return Ok((Instance::in_memory(engine, options.clone()), read_only));
    }
    let path = path_of(path)?;
    instance::join_or_open(&path, options, || open_engine(&path, options))
        .map(|instance| (instance, read_only))
}

/// The absolute path of a file, which need not exist; its directory has to.
pub(super) fn path_of(path: &[u8]) -> Result<PathBuf, Error> {
    if path.is_empty() || path.contains(&0) {
        let what = "it is empty or has a NUL byte in it".to_owned();
        return Err(OpenError::Path { what }.into());
    }
    file::absolute(path).map_err(|error| {
        let shown = PathBuf::from(String::from_utf8_lossy(path).into_owned());
        if error.kind() == std::io::ErrorKind::InvalidInput {
            let what = format!("{} names no file", shown.display());
            return OpenError::Path { what }.into();
        }
        StorageError::from_io(&error, &shown).into()
    })
}

fn open_engine(path: &Path, options: &Options) -> Result<Arc<Engine>, Error> {
    let place = place_of(path, options);
    let connections = if place.read_only { read(&place)? } else { write(&place, options)? };
    if options.history() != HistoryKind::Sqlite
        && storage::read_versions(&place)?.holds_history()?
    {
        return Err(OpenError::HoldsHistory { path: path.to_owned() }.into());
    }
    Ok(Engine::open(options.settings(), Some(connections))?)
}

pub(super) fn place_of(path: &Path, options: &Options) -> Place {
    Place {
        path: path.to_owned(),
        read_only: options.read_only.unwrap_or(false),
        file_mode: options.file_mode(),
        busy_timeout: options.busy_timeout(),
    }
}

fn write(place: &Place, options: &Options) -> Result<Connections, Error> {
    let writer = storage::open_writer(place, options.durability())?;
    Ok(Connections {
        writer: Some(writer),
        reader: storage::open_reader(place)?,
        counter: Some(open_counter(place)?),
    })
}

fn read(place: &Place) -> Result<Connections, Error> {
    Ok(Connections {
        writer: None,
        reader: storage::open_reader(place)?,
        // Without permission to share the counter, reads ask the file.
        counter: open_counter(place).ok(),
    })
}

/// Opens the entry registry of a file that is open, or one in memory.
pub(super) fn open_entries(
    path: Option<&Path>,
    options: &Options,
    kv: &Arc<Engine>,
) -> Result<Arc<entries::Engine>, Error> {
    let settings = options.entries();
    // The thread may outlive what it works for, or the other way round.
    let kv = Arc::downgrade(kv);
    let post = Box::new(move |task| {
        if let Some(kv) = kv.upgrade() {
            kv.post(task);
        }
    });
    let Some(path) = path.filter(|_| settings.history == HistoryKind::Sqlite) else {
        return Ok(entries::Engine::in_memory(settings, post)?);
    };
    let place = place_of(path, options);
    let reader = storage::read_versions(&place)?;
    let (writer, deriver) = if place.read_only {
        (None, None)
    } else {
        (
            Some(storage::open_versions(&place, options.durability())?),
            // What it writes can be made again: no reason to wait for a disk.
            Some(storage::open_versions(&place, options.durability().at_most_normal())?),
        )
    };
    let turns = if place.read_only { None } else { Some(TurnLock::new(open_lock(&place)?)) };
    let counter = match open_counter(&place) {
        Ok(counter) => Some(counter),
        Err(_) if place.read_only => None,
        Err(error) => return Err(error.into()),
    };
    let others = entries::Others::new(path.to_owned(), counter, turns, place.busy_timeout);
    let connections = entries::Connections { writer, deriver, reader };
    Ok(entries::Engine::on_file(settings, connections, others, post)?)
}

fn open_lock(place: &Place) -> Result<std::fs::File, StorageError> {
    let path = file::with_suffix(&place.path, LOCK_SUFFIX);
    file::open_beside(&path, place.file_mode).map_err(|error| StorageError::from_io(&error, &path))
}

fn open_counter(place: &Place) -> Result<SharedCounter, StorageError> {
    let file = open_lock(place)?;
    SharedCounter::map(&file, true).map_err(|error| StorageError::from_io(&error, &place.path))
}
