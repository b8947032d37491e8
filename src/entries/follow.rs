//! Other processes: taking turns with them, and taking in what they made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::EntryError;
use super::engine::Engine;
use super::history::Stored;
use super::squash::inverse;
use super::view::View;
use crate::platform::shared_counter::SharedCounter;
use crate::platform::sync::MutexGuard;
use crate::platform::turn::{Turn, TurnLock};
use crate::storage::StorageError;

/// What the processes with a file share.
pub(crate) struct Others {
    pub(super) path: std::path::PathBuf,
    /// Moves with every transaction of every process; `None` where it cannot be
    /// had, for reading only.
    pub(super) counter: Option<SharedCounter>,
    /// Who changes the registry; `None` where nothing may be written.
    pub(super) turns: Option<TurnLock>,
    pub(super) busy_timeout: Duration,
    /// The counter as it was when everything was taken in.
    seen: AtomicU64,
    /// The epoch of what was taken in.
    epoch: AtomicU64,
}

/// The right to change the registry, among threads and processes. A panic that
/// ends it has the registry refuse further writes.
pub(super) struct Held<'a> {
    _watch: PoisonOnPanic<'a>,
    _others: Option<Turn<'a>>,
    /// Let go last: the next thread finds the lock free.
    _threads: MutexGuard<'a, ()>,
    /// What was stored when the turn began.
    pub(super) stored: Stored,
}

struct PoisonOnPanic<'a> {
    engine: &'a Engine,
    /// A host may write while it unwinds from a panic of its own.
    was_panicking: bool,
}

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.was_panicking {
            self.engine.poison();
        }
    }
}

impl Others {
    pub(crate) fn new(
        path: std::path::PathBuf,
        counter: Option<SharedCounter>,
        turns: Option<TurnLock>,
        busy_timeout: Duration,
    ) -> Self {
        let (seen, epoch) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { path, counter, turns, busy_timeout, seen, epoch }
    }

    /// The counter.
    #[inline]
    pub(super) fn count(&self) -> u64 {
        self.counter.as_ref().map_or(0, |counter| counter.transactions().load(Ordering::Acquire))
    }

    pub(super) fn note_seen(&self, count: u64, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
        self.seen.store(count, Ordering::Release);
    }

    /// Tells every process that there is something new; this one has it.
    fn note_ours(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
        let Some(counter) = &self.counter else { return };
        let before = counter.transactions().fetch_add(1, Ordering::AcqRel);
        // Nobody else could write in our turn.
        self.seen.store(before + 1, Ordering::Release);
    }

    /// Waits until no other process has the turn.
    fn wait(&self, at_most: Duration) -> Result<Option<Turn<'_>>, EntryError> {
        let Some(turns) = &self.turns else { return Ok(None) };
        let deadline = Instant::now() + at_most;
        match turns.take_until(deadline) {
            Ok(Some(turn)) => Ok(Some(turn)),
            Ok(None) => Err(StorageError::Busy { path: self.path.clone() }.into()),
            Err(error) => Err(StorageError::from_io(&error, &self.path).into()),
        }
    }
}

impl Engine {
    /// The registry as it is now, with what other processes made. One atomic
    /// load when that is nothing new.
    #[inline]
    pub(super) fn current(&self) -> Result<Arc<View>, EntryError> {
        if let Some(others) = &self.others {
            // Where the counter cannot be had, asking the file is slower, and
            // right.
            let is_new = others.count() != others.seen.load(Ordering::Acquire);
            if is_new || others.counter.is_none() {
                self.follow(others)?;
            }
        }
        Ok(self.published())
    }

    #[cold]
    fn follow(&self, others: &Others) -> Result<(), EntryError> {
        let publishing = self.publishing.lock();
        let count = others.count();
        let stored = self.history.stored()?;
        self.take_in(stored, &publishing)?;
        others.note_seen(count, stored.epoch);
        Ok(())
    }

    /// Publishes what is stored, if that is not what is published.
    fn take_in(&self, stored: Stored, publishing: &MutexGuard<'_, ()>) -> Result<(), EntryError> {
        let current = self.published();
        let epoch = self.others.as_ref().map_or(0, |others| others.epoch.load(Ordering::Acquire));
        if stored.epoch != epoch {
            // Versions were taken out or replaced: nothing we know is sure.
            self.forget_lineage();
            self.recent.clear();
            let opened = self.history.open()?;
            self.is_closed.fetch_and(opened.is_closed, Ordering::AcqRel);
            let state = self.baseline.load().with(opened.net);
            self.publish(Arc::new(View::new(opened.stored.head, state)), publishing);
            return Ok(());
        }
        if stored.head == current.version {
            return Ok(());
        }
        let path = self.lineage(|lineage| lineage.path(current.version, stored.head))?;
        let mut state = current.state.clone();
        let back: Vec<u64> = path.back.iter().rev().copied().collect();
        for changeset in self.history.changesets(&back)?.iter().rev() {
            state.replay_owned(inverse(changeset));
        }
        for changeset in self.history.changesets(&path.forward)? {
            state.replay(&*changeset);
        }
        self.publish(Arc::new(View::new(stored.head, state)), publishing);
        Ok(())
    }

    /// Takes the turn, and takes in what others made before.
    pub(super) fn begin(&self) -> Result<Held<'_>, EntryError> {
        let threads = self.turn.lock();
        let turn = match &self.others {
            Some(others) => others.wait(others.busy_timeout)?,
            None => None,
        };
        self.begin_with(threads, turn)
    }

    /// As [`Engine::begin`]; `None` if it would have to wait.
    pub(super) fn begin_if_free(&self) -> Result<Option<Held<'_>>, EntryError> {
        let Some(threads) = self.turn.try_lock() else { return Ok(None) };
        let turn = match &self.others {
            Some(others) => others.wait(Duration::ZERO)?,
            None => None,
        };
        self.begin_with(threads, turn).map(Some)
    }

    fn begin_with<'a>(
        &'a self,
        threads: MutexGuard<'a, ()>,
        turn: Option<Turn<'a>>,
    ) -> Result<Held<'a>, EntryError> {
        self.check_poison()?;
        // Also what a program wrote that does not move the counter.
        let publishing = self.publishing.lock();
        let count = self.others.as_ref().map(Others::count);
        let stored = self.history.stored()?;
        self.take_in(stored, &publishing)?;
        if let (Some(others), Some(count)) = (&self.others, count) {
            others.note_seen(count, stored.epoch);
        }
        drop(publishing);
        let watch = PoisonOnPanic { engine: self, was_panicking: std::thread::panicking() };
        Ok(Held { _watch: watch, _others: turn, _threads: threads, stored })
    }

    /// Writes to the history with `write`, and shows what it made, before
    /// anybody else can take it for a stranger's.
    pub(super) fn commit(
        &self,
        write: impl FnOnce() -> Result<Stored, EntryError>,
        view: Arc<View>,
        also: impl FnOnce(),
    ) -> Result<(), EntryError> {
        let publishing = self.publishing.lock();
        let stored = write()?;
        also();
        self.publish(view, &publishing);
        if let Some(others) = &self.others {
            others.note_ours(stored.epoch);
        }
        Ok(())
    }
}
