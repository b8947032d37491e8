//! Other processes: taking turns with them, and taking in what they made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::EntryError;
use super::dependencies::delta;
use super::engine::Engine;
use super::feed::Event;
use super::history::{Changeset, Stored};
use super::squash::{Squash, inverse};
use super::transaction::{Caller, Plain, ThreadTurn, is_inside, is_inside_any};
use super::view::View;
use crate::fault;
use crate::guard::Unusable;
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
    pub(super) epoch: AtomicU64,
}

/// The right to change the registry, among threads and processes. A panic that
/// ends it has the registry refuse further writes.
pub(super) struct Held<'a> {
    _watch: PoisonOnPanic<'a>,
    _others: Option<Turn<'a>>,
    /// Let go late: the next thread finds the lock free.
    _threads: ThreadTurn<'a>,
    _end: EndOfTurn<'a>,
    /// What was stored when the turn began.
    pub(super) stored: Stored,
}

/// Does what a handler has asked for in the turn and could not be done in it.
/// Whoever takes the turn makes this first, so that it comes when the turn was
/// let go.
pub(super) struct EndOfTurn<'a> {
    pub(super) engine: &'a Engine,
}

impl Drop for EndOfTurn<'_> {
    fn drop(&mut self) {
        if self.engine.is_closing() {
            // Who closed it was told that it is closed; there is nobody else to
            // tell.
            let _ = self.engine.shut_if_free();
        }
    }
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
    fn wait(&self, at_most: Duration, caller: &dyn Caller) -> Result<Option<Turn<'_>>, EntryError> {
        let Some(turns) = &self.turns else { return Ok(None) };
        let deadline = Instant::now() + at_most;
        match turns.take_until(deadline, || caller.serve()) {
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
        loop {
            let count = others.count();
            let stored = self.history.stored()?;
            let taken_in = self.take_in(stored, &publishing);
            // Versions may have been taken out while we read them: then what
            // was read is no error, or no state. The epoch that was taken in
            // is the old one still, so the next round takes in everything.
            if self.history.stored()?.epoch == stored.epoch {
                taken_in?;
                others.note_seen(count, stored.epoch);
                return Ok(());
            }
        }
    }

    /// Reads of the history that belong together: done anew if versions were
    /// taken out meanwhile, by whomever.
    pub(super) fn read_history<T>(
        &self,
        read: impl Fn() -> Result<T, EntryError>,
    ) -> Result<T, EntryError> {
        loop {
            // What this process knows of the tree goes with what is stored: no
            // commit of ours is half done.
            let publishing = self.publishing.lock();
            let before = self.history.stored()?.epoch;
            drop(publishing);
            if let Some(others) = &self.others
                && others.epoch.load(Ordering::Acquire) != before
            {
                self.follow(others)?;
                continue;
            }
            let result = read();
            if self.history.stored()?.epoch == before {
                return result;
            }
        }
    }

    /// Publishes what is stored, if that was not taken in yet.
    fn take_in(&self, stored: Stored, publishing: &MutexGuard<'_, ()>) -> Result<(), EntryError> {
        let current = self.published();
        let epoch = match &self.others {
            Some(others) => others.epoch.load(Ordering::Acquire),
            // All that happens is known here.
            None => stored.epoch,
        };
        if stored.epoch != epoch {
            // Versions were taken out or replaced: nothing we know is sure.
            self.forget_lineage();
            self.recent.clear();
            let opened = self.history.open()?;
            self.is_closed.fetch_and(opened.is_closed, Ordering::AcqRel);
            let state = self.baseline.load().with(opened.net);
            let view = View::new(opened.stored.head, state);
            let told = self.is_listened_to().then(|| self.difference(&current, &view));
            return self.take_over(view, told.transpose()?, publishing);
        }
        if stored.head == self.known_head.load(Ordering::Acquire) {
            return Ok(());
        }
        let path = self.lineage(|lineage| lineage.path(current.version, stored.head))?;
        let mut state = current.state.clone();
        let back: Vec<u64> = path.back.iter().rev().copied().collect();
        let mut told = self.is_listened_to().then(Told::default);
        for changeset in self.history.changesets(&back)?.iter().rev() {
            if let Some(told) = &mut told {
                told.squash.extend(inverse(changeset));
            }
            state.replay_owned(inverse(changeset));
        }
        for &version in &path.forward {
            let changesets = self.history.changesets(&[version])?;
            for changeset in &changesets {
                state.replay(&**changeset);
            }
            if let Some(told) = &mut told {
                told.add(version, &changesets, path.back.is_empty());
            }
        }
        let told = told.map(|told| match told.versions.is_empty() {
            true => {
                let ops = told.squash.into_ops_on(&current.state);
                Ok(vec![(stored.head, self.plan(ops, &current.state).0)])
            }
            false => Ok::<_, EntryError>(told.versions),
        });
        self.take_over(View::new(stored.head, state), told.transpose()?, publishing)
    }

    /// Whether anybody wants to know what other processes do.
    fn is_listened_to(&self) -> bool {
        self.feeds.any() || self.handlers.any_replays()
    }

    /// Shows what another process made, and tells it.
    fn take_over(
        &self,
        view: View,
        told: Option<Vec<(u64, Changeset)>>,
        publishing: &MutexGuard<'_, ()>,
    ) -> Result<(), EntryError> {
        let told = told.unwrap_or_default();
        let events: Vec<Event> =
            told.iter().flat_map(|(version, ops)| Event::foreign(ops, *version)).collect();
        if self.handlers.any_replays() {
            self.news.lock().extend(told.into_iter().map(|(_, ops)| ops));
        }
        self.known_head.store(view.version, Ordering::Release);
        self.show(Arc::new(view), &events, publishing);
        Ok(())
    }

    /// What leads from one state to another that was made independently.
    fn difference(&self, from: &View, to: &View) -> Result<Vec<(u64, Changeset)>, EntryError> {
        let entries = |view: &View| view.state.iter().cloned().collect::<Vec<_>>();
        let ops = delta(&entries(from), &entries(to), &self.patterns.load())?;
        let is_nothing = ops.is_empty() && from.version == to.version;
        Ok(if is_nothing { Vec::new() } else { vec![(to.version, ops.into())] })
    }

    /// Takes the turn, and takes in what others made before.
    pub(super) fn begin(&self, caller: &dyn Caller) -> Result<Held<'_>, EntryError> {
        if is_inside(self.address()) {
            return Err(EntryError::InsideHandler);
        }
        // Two registries whose handlers change each other would wait for ever.
        let patience = self.others.as_ref().map_or(PATIENCE, |others| others.busy_timeout);
        let deadline = is_inside_any().then(|| Instant::now() + patience);
        let end = EndOfTurn { engine: self };
        let threads = self.turn.take(caller, deadline).ok_or(EntryError::TurnTaken)?;
        let turn = match &self.others {
            Some(others) => others.wait(others.busy_timeout, caller)?,
            None => None,
        };
        self.begin_with(end, threads, turn, caller)
    }

    /// As [`Engine::begin`]; `None` if it would have to wait.
    pub(super) fn begin_if_free(&self) -> Result<Option<Held<'_>>, EntryError> {
        let end = EndOfTurn { engine: self };
        let Some(threads) = self.turn.try_take() else { return Ok(None) };
        let caller = Plain::default();
        let turn = match &self.others {
            Some(others) => others.wait(Duration::ZERO, &caller)?,
            None => None,
        };
        self.begin_with(end, threads, turn, &caller).map(Some)
    }

    fn begin_with<'a>(
        &'a self,
        end: EndOfTurn<'a>,
        threads: ThreadTurn<'a>,
        turn: Option<Turn<'a>>,
        caller: &dyn Caller,
    ) -> Result<Held<'a>, EntryError> {
        self.check_poison()?;
        if self.is_closing() {
            return Err(Unusable::Closed.into());
        }
        let watch = PoisonOnPanic { engine: self, was_panicking: std::thread::panicking() };
        // Also what a program wrote that does not move the counter.
        let publishing = self.publishing.lock();
        let count = self.others.as_ref().map(Others::count);
        let stored = self.history.stored_in_turn()?;
        self.take_in(stored, &publishing)?;
        fault::point("turn begun");
        if let (Some(others), Some(count)) = (&self.others, count) {
            others.note_seen(count, stored.epoch);
        }
        drop(publishing);
        *self.holder.lock() = Some(Arc::clone(caller.signal()));
        let held = Held { _watch: watch, _others: turn, _threads: threads, _end: end, stored };
        self.tell_news(caller);
        Ok(held)
    }

    /// Makes durable what was read, before an answer that rests on it and makes no
    /// version: it is not known to be on the device if another process wrote it.
    pub(crate) fn sync_what_was_read(&self) -> Result<(), EntryError> {
        self.history.sync_what_was_read()
    }

    /// As [`Engine::sync_what_was_read`] if `found` refuses something for what
    /// was read; else gives it on.
    pub(super) fn refuse_for_sure<T>(&self, found: Result<T, EntryError>) -> Result<T, EntryError> {
        if found.is_err() {
            self.sync_what_was_read()?;
        }
        found
    }

    /// Writes to the history with `write`, and shows and tells what it made,
    /// before anybody else can take it for a stranger's.
    pub(super) fn commit(
        &self,
        write: impl FnOnce() -> Result<Stored, EntryError>,
        view: Arc<View>,
        events: &[Event],
        also: impl FnOnce(),
    ) -> Result<(), EntryError> {
        let publishing = self.publishing.lock();
        let stored = write()?;
        fault::point("version committed");
        also();
        self.known_head.store(stored.head, Ordering::Release);
        self.show(view, events, &publishing);
        if let Some(others) = &self.others {
            others.note_ours(stored.epoch);
        }
        Ok(())
    }
}

/// How long a handler of one registry waits for its turn in another, in memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is told about versions of another process: each by itself, or what
/// they come down to if it went back first.
#[derive(Default)]
struct Told {
    squash: Squash,
    versions: Vec<(u64, Changeset)>,
}

impl Told {
    fn add(&mut self, version: u64, changesets: &[Changeset], by_itself: bool) {
        match changesets {
            [changeset] if by_itself => self.versions.push((version, Arc::clone(changeset))),
            _ => {
                for changeset in changesets {
                    self.squash.extend(changeset.iter().cloned());
                }
            }
        }
    }
}
