//! One open file of the process, and everybody who uses it.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::OpenError;
use super::finishing;
use super::options::Options;
use crate::entries;
use crate::error::{Code, Error};
use crate::guard::Guard;
use crate::kv::Engine;
use crate::platform::file::FileId;
use crate::platform::fork::PerProcess;
use crate::platform::sync::{Condvar, Mutex};
use crate::report::Report;
use crate::storage::{Place, StorageError};

/// An open file, or a database in memory.
pub(super) struct Instance {
    engine: Arc<Engine>,
    /// The entry registry, opened when it is first asked for: who keeps only
    /// keys and values does not load it.
    entries: OnceLock<Arc<entries::Engine>>,
    /// One at a time opens it.
    opening_entries: Mutex<()>,
    /// The options of the first open.
    options: Options,
    /// `None` in memory.
    file: Option<(FileId, PathBuf)>,
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// This many handles use it.
    Open {
        handles: usize,
    },
    /// The last one went; what is left is being written.
    Closing,
    Closed,
}

/// What became of joining.
enum Joined {
    Yes,
    /// The last handle went; the file is being closed.
    Closing,
    Closed,
}

/// The open files of one process.
#[derive(Default)]
struct Instances {
    by_file: Mutex<HashMap<FileId, Arc<Instance>>>,
    /// One open at a time, so that two of one file do not make two instances.
    opening: Mutex<()>,
}

/// The instances of this process. In a forked child the parent's are left
/// behind, locked or not, and the child begins with none.
fn instances() -> &'static Instances {
    static INSTANCES: PerProcess<Instances> = PerProcess::new();
    INSTANCES.get()
}

pub(super) fn has_open(file: FileId) -> bool {
    instances().by_file.lock().contains_key(&file)
}

/// The instance of the file at `path`; opened with `open` if there is none.
pub(super) fn join_or_open(
    path: &Path,
    options: &Options,
    open: impl FnOnce() -> Result<Arc<Engine>, Error>,
) -> Result<Arc<Instance>, Error> {
    let instances = instances();
    let _opening = loop {
        let opening = instances.opening.lock();
        let Ok(file) = FileId::of(path) else { break opening };
        let present = instances.by_file.lock().get(&file).cloned();
        match present.as_ref().map(|instance| (instance, instance.join())) {
            Some((instance, Joined::Yes)) => {
                return match instance.refuses(options) {
                    None => Ok(Arc::clone(instance)),
                    Some(refusal) => {
                        drop(opening);
                        let left = instance.release();
                        left.and(Err(refusal.into()))
                    }
                };
            }
            // Not with the lock: what closes may call the host, and that us.
            Some((instance, Joined::Closing)) => {
                drop(opening);
                if instance.entries.get().is_some_and(|entries| entries.is_inside_handler()) {
                    // Closing waits for this handler.
                    return Err(OpenError::Closing { path: path.to_owned() }.into());
                }
                instance.wait_until_closed();
            }
            Some((_, Joined::Closed)) | None => {
                if crate::lua::is_open_in_another_copy(file.dev, file.ino) {
                    return Err(OpenError::OtherCopy { path: path.to_owned() }.into());
                }
                break opening;
            }
        }
    };
    let engine = open()?;
    let file = FileId::of(path).map_err(|error| StorageError::from_io(&error, path))?;
    let instance = Instance::new(engine, options.clone(), Some((file, path.to_owned())));
    instances.by_file.lock().insert(file, Arc::clone(&instance));
    Ok(instance)
}

/// How long a normal exit of the process waits for what is left.
const AT_EXIT: Duration = Duration::from_secs(2);

/// Writes what every instance has left, when the process ends normally.
pub(super) fn flush_all_at_exit() {
    let open: Vec<Arc<Instance>> = instances().by_file.lock().values().cloned().collect();
    for instance in open.into_iter().filter(|instance| instance.engine.has_unwritten()) {
        // There is nobody left to tell.
        let flush = move || drop(instance.engine.flush());
        if finishing::begin("acervo-exit", flush).is_err() {
            break;
        }
    }
    finishing::wait(Instant::now() + AT_EXIT);
}

impl Instance {
    pub(super) fn in_memory(engine: Arc<Engine>, options: Options) -> Arc<Self> {
        Self::new(engine, options, None)
    }

    fn new(engine: Arc<Engine>, options: Options, file: Option<(FileId, PathBuf)>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            entries: OnceLock::new(),
            opening_entries: Mutex::new(()),
            options,
            file,
            state: Mutex::new(State::Open { handles: 1 }),
            closed: Condvar::new(),
        })
    }

    /// The entry registry, opened at the first call.
    pub(super) fn entries(&self) -> Result<Arc<entries::Engine>, Error> {
        if let Some(entries) = self.entries.get() {
            return Ok(Arc::clone(entries));
        }
        let _one_at_a_time = self.opening_entries.lock();
        if let Some(entries) = self.entries.get() {
            return Ok(Arc::clone(entries));
        }
        if let Some((file, path)) = &self.file
            && FileId::of(path).ok() != Some(*file)
        {
            // SQLite would read the log of one file into the other.
            return Err(StorageError::moved(path).into());
        }
        let path = self.file.as_ref().map(|(_, path)| path.as_path());
        let opened = super::open::open_entries(path, &self.options, &self.engine)?;
        Ok(Arc::clone(self.entries.get_or_init(|| opened)))
    }

    pub(super) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    /// Whether a policy is set on its entries.
    pub(super) fn has_policy(&self) -> bool {
        self.entries.get().is_some_and(|entries| entries.is_under_policy())
    }

    /// Checks the file, and memory against it.
    pub(super) fn check(&self) -> Result<Report, Error> {
        // A database in memory has nothing that could be damaged.
        let Some(place) = self.place()? else { return Ok(Report::default()) };
        // What waits is written, so that all of it is compared; where it cannot
        // be written, that is for flush to tell.
        let _ = self.engine.flush();
        let entries = self.entries.get().map(Arc::as_ref);
        super::check::check(&place, Some(&self.engine), entries)
    }

    /// Returns when all that was written, or read before a write that had nothing
    /// to do, is in the file as `durability` says.
    pub(super) fn flush_for_sure(&self) -> Result<(), Error> {
        self.engine.flush_for_sure()?;
        if let Some(entries) = self.entries.get() {
            entries.sync_what_was_read()?;
        }
        Ok(())
    }

    /// Copies the file to a new one.
    pub(super) fn backup(&self, path: &[u8]) -> Result<(), Error> {
        let Some(place) = self.place()? else {
            let message = "a database in memory has no file to copy; open a file to keep its state";
            return Err(Error::new(Code::Unavailable, message));
        };
        self.engine.flush()?;
        super::backup::backup(&place, path)
    }

    /// The file; fails if another one has its name by now.
    fn place(&self) -> Result<Option<Place>, Error> {
        let Some((file, path)) = &self.file else { return Ok(None) };
        if FileId::of(path).ok() == Some(*file) {
            return Ok(Some(super::open::place_of(path, &self.options)));
        }
        let message = format!(
            "{} is not the file that was opened any more: it was moved, removed or replaced",
            path.display()
        );
        Err(Error::new(Code::Unavailable, message))
    }

    pub(super) fn path_bytes(&self) -> &[u8] {
        self.file.as_ref().map_or(b":memory:", |(_, path)| path.as_os_str().as_bytes())
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.options.read_only.unwrap_or(false)
    }

    /// One more handle, if it is open.
    fn join(&self) -> Joined {
        let mut state = self.state.lock();
        match &mut *state {
            State::Open { handles } => {
                *handles += 1;
                Joined::Yes
            }
            State::Closing => Joined::Closing,
            State::Closed => Joined::Closed,
        }
    }

    fn wait_until_closed(&self) {
        let mut state = self.state.lock();
        while *state == State::Closing {
            state = self.closed.wait(state);
        }
    }

    fn refuses(&self, options: &Options) -> Option<OpenError> {
        let differs = |name: &str| OpenError::Option {
            name: name.to_owned(),
            what: "it differs from the first open of this file, and cannot".to_owned(),
        };
        if self.is_read_only() && !options.read_only.unwrap_or(false) {
            return Some(differs("read_only"));
        }
        options.differs_from(&self.options).map(differs)
    }

    /// One handle less; true for the last.
    fn leave(&self) -> bool {
        let mut state = self.state.lock();
        match &mut *state {
            State::Open { handles } if *handles > 1 => {
                *handles -= 1;
                false
            }
            State::Open { .. } => {
                *state = State::Closing;
                true
            }
            State::Closing | State::Closed => false,
        }
    }

    /// Ends a handle; the last one closes the file and reports.
    pub(super) fn release(self: &Arc<Self>) -> Result<(), Error> {
        if self.leave() { self.finish() } else { Ok(()) }
    }

    /// Ends a handle without doing any I/O here: the last one has a thread
    /// close the file.
    pub(super) fn release_later(self: &Arc<Self>) {
        if !self.leave() {
            return;
        }
        let own = Arc::clone(self);
        if finishing::begin("acervo-flush", move || drop(own.finish())).is_err() {
            // No thread is to be had: better slow than lost.
            let _ = self.finish();
        }
    }

    /// Tells who waits at a feed of a handle that it is closed.
    pub(super) fn end_feeds_of(&self, guard: &Guard) {
        if let Some(entries) = self.entries.get() {
            entries.end_feeds_of(guard);
        }
    }

    fn finish(&self) -> Result<(), Error> {
        let _one_at_a_time = self.opening_entries.lock();
        let entries = self.entries.get().map_or(Ok(()), |entries| entries.shut_down());
        let result = self.engine.shut_down();
        if let Some((file, _)) = &self.file {
            instances().by_file.lock().remove(file);
        }
        *self.state.lock() = State::Closed;
        self.closed.notify_all();
        entries?;
        Ok(result?)
    }
}
