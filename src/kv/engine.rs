//! The engine of one open file: memory, log, and the thread that connects
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::KvError;
use super::background::{Background, Task};
use super::behind::Behind;
use super::commit::Committer;
use super::compact::Held;
use super::follow::{Follower, News, Shared};
use super::space::Spaces;
use super::stats::Log as LogHook;
use super::table::Room;
use crate::guard::Unusable;
use crate::platform::shared_counter::SharedCounter;
use crate::platform::sync::Mutex;
use crate::storage::Log;

/// How an engine behaves; from the options of the first open.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// A commit waits for the device, so that gathering writers pays.
    pub(crate) synced: bool,
    /// How long a registry write may stay in memory only.
    pub(crate) flush_interval: Duration,
    /// How long it may where more is written than the file takes, before
    /// writes wait; `None`: as long as it takes.
    pub(crate) max_unwritten: Option<Duration>,
    /// Whether registry writes reach the file at all.
    pub(crate) registry_persistent: bool,
    /// Largest value, in bytes of MessagePack.
    pub(crate) value_limit: usize,
    /// Largest total of keys and values in memory.
    pub(crate) memory_limit: Option<usize>,
}

/// The connections of an engine with a file.
pub(crate) struct Connections {
    /// Writes; `None` for a file open for reading only.
    pub(crate) writer: Option<Log>,
    /// Reads what other processes wrote.
    pub(crate) reader: Log,
    /// Moves with every commit of every process.
    pub(crate) counter: Option<SharedCounter>,
}

/// Key-value state of one file.
pub(crate) struct Engine {
    pub(super) settings: Settings,
    pub(super) spaces: Spaces,
    pub(super) committer: Committer,
    /// What connects us with other processes; `None` in memory.
    pub(super) shared: Option<Shared>,
    pub(super) news: News,
    pub(super) background: Background,
    /// How far the file is behind the registry.
    pub(super) behind: Behind,
    pub(super) log_hook: LogHook,
    /// Bytes in memory; kept only when there is a limit.
    pub(super) memory_used: AtomicUsize,
    /// A panic was caught inside a write.
    pub(super) poisoned: AtomicBool,
    /// Seconds since the epoch of the last complete flush; 0 if none.
    pub(super) last_flush: AtomicI64,
    /// Writes acknowledged since open, for stats.
    pub(super) commits: AtomicU64,
    /// The last failure of writing behind, until it works again.
    pub(super) flush_error: Mutex<Option<String>>,
    /// What memory held when compaction last counted.
    pub(super) held: Mutex<Held>,
    /// One flush at a time.
    pub(super) flushing: Mutex<()>,
}

impl Engine {
    /// An engine that has taken in what the file holds.
    pub(crate) fn open(
        settings: Settings,
        connections: Option<Connections>,
    ) -> Result<Arc<Self>, KvError> {
        let (writer, shared, news) = match connections {
            None => (None, None, News::none()),
            Some(Connections { writer, reader, counter }) => {
                let is_for_device = settings.synced && writer.is_some();
                let follower = Follower::new(reader, is_for_device);
                (writer, Some(Shared::new(follower)), News::of_file(counter))
            }
        };
        let engine = Arc::new(Self {
            committer: Committer::new(writer),
            behind: Behind::new(settings.max_unwritten),
            settings,
            spaces: Spaces::new(),
            shared,
            news,
            background: Background::default(),
            log_hook: LogHook::default(),
            memory_used: AtomicUsize::new(0),
            poisoned: AtomicBool::new(false),
            last_flush: AtomicI64::new(0),
            commits: AtomicU64::new(0),
            flush_error: Mutex::new(None),
            held: Mutex::new(Held::default()),
            flushing: Mutex::new(()),
        });
        if let Err(error) = engine.load() {
            // What was taken in goes now, not when something else is freed.
            engine.spaces.clear();
            return Err(error);
        }
        engine.note_opened();
        Ok(engine)
    }

    /// Whether a panic ended a write: what is in memory may not be what is on
    /// disk.
    #[inline(always)]
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Fails if it is.
    #[inline]
    pub(super) fn check_poison(&self) -> Result<(), KvError> {
        if self.is_poisoned() { Err(Unusable::Poisoned.into()) } else { Ok(()) }
    }

    /// Refuses every further write.
    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Begins a write. Every further one is refused if what this gives is
    /// dropped instead of ended: a panic is on its way, whoever catches it.
    #[inline(always)]
    pub(super) fn begin_write(&self) -> Writing<'_> {
        Writing { engine: self }
    }

    /// Notes that memory grew (or shrank).
    #[inline]
    pub(super) fn note_growth(&self, grown: isize) {
        if self.settings.memory_limit.is_some() && grown != 0 {
            self.memory_used.fetch_add(grown as usize, Ordering::Relaxed);
        }
    }

    /// How much memory may still be taken.
    #[inline]
    pub(super) fn room(&self) -> Room {
        let used = self.memory_used.load(Ordering::Relaxed);
        Room {
            bytes: self.settings.memory_limit.map(|limit| limit.saturating_sub(used)),
            limit: self.settings.memory_limit.unwrap_or(usize::MAX),
        }
    }

    /// Has the background thread do `task` soon.
    pub(crate) fn post(self: &Arc<Self>, task: Task) {
        self.background.post(self, task);
    }

    /// Ends the background thread and the connections, after a last flush.
    /// Gives what the flush or the closing met.
    pub(crate) fn shut_down(&self) -> Result<(), KvError> {
        let flushed = self.flush();
        self.background.stop();
        // What came in while the thread ended.
        let flushed = flushed.and_then(|()| self.flush());
        let closed = self.close_connections();
        // Handles may stay around for long, above all in Lua.
        self.spaces.clear();
        flushed.and(closed)
    }

    fn close_connections(&self) -> Result<(), KvError> {
        let mut result = Ok(());
        let logs = [
            self.shared.as_ref().and_then(Shared::take_reader),
            // The writer last: the last connection moves the WAL into the file.
            self.committer.take_log(),
        ];
        for log in logs.into_iter().flatten() {
            result = result.and(log.close().map_err(KvError::from));
        }
        result
    }
}

/// A write that is under way.
pub(super) struct Writing<'a> {
    engine: &'a Engine,
}

impl Writing<'_> {
    /// It came to its end, whether or not something was written.
    #[inline(always)]
    pub(super) fn end(self) {
        std::mem::forget(self);
    }
}

impl Drop for Writing<'_> {
    #[cold]
    fn drop(&mut self) {
        self.engine.poison();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    fn in_memory() -> Arc<Engine> {
        let settings = Settings {
            synced: false,
            flush_interval: Duration::from_millis(100),
            max_unwritten: None,
            registry_persistent: true,
            value_limit: 1000,
            memory_limit: None,
        };
        Engine::open(settings, None).unwrap()
    }

    #[test]
    fn only_a_panic_inside_a_write_refuses_further_writes() {
        let engine = in_memory();
        engine.begin_write().end();
        assert!(engine.check_poison().is_ok());
        let write = AssertUnwindSafe(|| {
            let _writing = engine.begin_write();
            // Without a message on stderr.
            resume_unwind(Box::new("a fault"));
        });
        assert!(catch_unwind(write).is_err());
        assert!(matches!(engine.check_poison(), Err(KvError::Unusable(Unusable::Poisoned))));
    }
}
