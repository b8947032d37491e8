//! The engine of one database's entry registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::EntryError;
use super::dependencies::Patterns;
use super::feed::{Event, Feeds};
use super::follow::Others;
use super::history::{Changeset, History, MemoryHistory, NoHistory, SqliteHistory};
use super::lineage::{Lineage, ROOT};
use super::pins::Pins;
use super::policy::Policy;
use super::recent::Recent;
use super::slots::Slots;
use super::state::{Entries, State};
use super::transaction::{Handlers, Plain, ThreadTurn, Turns, is_inside};
use super::upkeep::{Post, Upkeep};
use super::view::View;
use super::watch::Watch;
use crate::guard::{Guard, Unusable};
use crate::platform::newest::Line;
use crate::platform::signal::Signal;
use crate::platform::sync::{Mutex, MutexGuard};
use crate::storage::Versions;

/// Where versions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistoryKind {
    /// In the database file.
    Sqlite,
    /// In memory.
    Memory,
    /// Nowhere.
    None,
}

/// How an engine behaves; from the options of the first open.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where versions are kept.
    pub(crate) history: HistoryKind,
    /// How many versions are kept; older ones are pruned.
    pub(crate) history_keep: Option<u64>,
    /// Largest meta or data, in bytes of MessagePack.
    pub(crate) value_limit: usize,
    /// How long an answer of a handler is waited for.
    pub(crate) handler_timeout: Duration,
    /// Whether an entry of a kind that no handler is for is refused.
    pub(crate) require_handler: bool,
    /// Kinds that no handler is asked about.
    pub(crate) internal_kinds: Vec<Box<[u8]>>,
}

impl Settings {
    /// Whether no handler is asked about entries of this kind.
    pub(super) fn is_internal(&self, kind: &[u8]) -> bool {
        self.internal_kinds.iter().any(|internal| **internal == *kind)
    }
}

/// Numbers registries.
static SERIALS: AtomicUsize = AtomicUsize::new(1);

/// The entry registry of one database.
pub(crate) struct Engine {
    pub(super) settings: Settings,
    pub(super) slots: Arc<Slots>,
    /// What everybody sees.
    published: ArcSwap<View>,
    pub(super) patterns: ArcSwap<Patterns>,
    pub(super) history: Box<dyn History>,
    /// What connects us with other processes; `None` in memory.
    pub(super) others: Option<Others>,
    /// Whose turn it is to change the registry.
    pub(super) turn: Turns,
    /// Wakes who has the turn.
    pub(super) holder: Mutex<Option<Arc<Signal>>>,
    pub(super) handlers: Arc<Handlers>,
    pub(super) feeds: Feeds,
    /// What other processes did and handlers were not told yet.
    pub(super) news: Mutex<Vec<Changeset>>,
    pub(super) watch: Watch,
    pub(super) policy: Mutex<Option<Policy>>,
    pub(super) has_policy: AtomicBool,
    serial: usize,
    /// Held to publish, and to take in what others made.
    pub(super) publishing: Mutex<()>,
    /// Makes the short way to what is published.
    line: Mutex<Line<Entries>>,
    lineage: Mutex<Option<Lineage>>,
    /// States of earlier versions.
    pub(super) recent: Recent,
    /// The state at the root: what was there before any version.
    pub(super) baseline: ArcSwap<State>,
    /// Whether a state can be computed backwards from a later one: all that
    /// the history changed was created in it.
    pub(super) is_closed: AtomicBool,
    /// Views that snapshots may hold.
    pub(super) pins: Pins,
    /// What is done behind.
    pub(super) upkeep: Upkeep,
    poisoned: AtomicBool,
    /// The stored head that was taken in. What is published differs from it
    /// after an earlier version was loaded.
    pub(super) known_head: AtomicU64,
    /// It is too late to load a state.
    pub(super) is_settled: AtomicBool,
    closing: AtomicBool,
    is_shut: AtomicBool,
}

/// The connections of a registry with its history in a file.
pub(crate) struct Connections {
    /// Writes versions; `None` for a file open for reading only.
    pub(crate) writer: Option<Versions>,
    /// Writes what is derived from them.
    pub(crate) deriver: Option<Versions>,
    /// Reads what other processes wrote.
    pub(crate) reader: Versions,
}

impl Engine {
    /// An engine whose entries live in memory.
    pub(crate) fn in_memory(settings: Settings, post: Post) -> Result<Arc<Self>, EntryError> {
        let history: Box<dyn History> = match settings.history {
            HistoryKind::None => Box::new(NoHistory::default()),
            HistoryKind::Memory | HistoryKind::Sqlite => Box::new(MemoryHistory::default()),
        };
        Self::open(settings, history, None, post)
    }

    /// An engine with its history in a file. `post` has another thread do a
    /// task.
    pub(crate) fn on_file(
        settings: Settings,
        connections: Connections,
        others: Others,
        post: Post,
    ) -> Result<Arc<Self>, EntryError> {
        let Connections { writer, deriver, reader } = connections;
        let history = Box::new(SqliteHistory::new(writer, deriver, reader));
        Self::open(settings, history, Some(others), post)
    }

    pub(super) fn open(
        settings: Settings,
        history: Box<dyn History>,
        others: Option<Others>,
        post: Post,
    ) -> Result<Arc<Self>, EntryError> {
        let slots = Slots::new();
        let seen = others.as_ref().map(Others::count);
        let opened = history.open()?;
        let baseline = State::new(Arc::clone(&slots));
        let state = baseline.with(opened.net);
        if let (Some(others), Some(seen)) = (&others, seen) {
            others.note_seen(seen, opened.stored.epoch);
        }
        let mut line = Line::default();
        let view = View::new(opened.stored.head, state);
        view.make_quick(&mut line);
        Ok(Arc::new(Self {
            settings,
            published: ArcSwap::from_pointee(view),
            patterns: ArcSwap::default(),
            history,
            others,
            turn: Turns::default(),
            holder: Mutex::default(),
            handlers: Arc::default(),
            feeds: Feeds::default(),
            news: Mutex::default(),
            watch: Watch::default(),
            policy: Mutex::default(),
            has_policy: AtomicBool::new(false),
            serial: SERIALS.fetch_add(1, Ordering::Relaxed),
            publishing: Mutex::default(),
            line: Mutex::new(line),
            lineage: Mutex::default(),
            recent: Recent::default(),
            baseline: ArcSwap::from_pointee(baseline),
            slots,
            is_closed: AtomicBool::new(opened.is_closed),
            pins: Pins::default(),
            upkeep: Upkeep::new(post, opened.behind),
            poisoned: AtomicBool::new(false),
            known_head: AtomicU64::new(opened.stored.head),
            is_settled: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            is_shut: AtomicBool::new(false),
        }))
    }

    /// What this process has taken in.
    #[inline]
    pub(super) fn published(&self) -> Arc<View> {
        self.published.load_full()
    }

    /// Shows `view` to everybody from now on.
    pub(super) fn publish(&self, view: Arc<View>, _publishing: &MutexGuard<'_, ()>) {
        if self.history.keeps_states() {
            self.recent.checkpoint(&view);
        }
        self.pins.add(&view);
        let before = view.make_quick(&mut self.line.lock());
        self.published.store(view);
        drop(before);
    }

    /// As [`Engine::publish`], and tells feeds what happened.
    pub(super) fn show(&self, view: Arc<View>, events: &[Event], publishing: &MutexGuard<'_, ()>) {
        if self.feeds.any() {
            let held = self.feeds.hold();
            self.publish(view, publishing);
            held.push(events);
        } else {
            self.publish(view, publishing);
        }
    }

    /// A number that no other registry of this process has, or had.
    pub(super) fn address(&self) -> usize {
        self.serial
    }

    /// Whether the host has a policy for what scripts may see.
    pub(crate) fn is_under_policy(&self) -> bool {
        self.policy.lock().is_some()
    }

    /// Whether a handler of this registry runs on this thread.
    pub(crate) fn is_inside_handler(&self) -> bool {
        is_inside(self.address())
    }

    /// Tells the feeds of a handle that it is closed.
    pub(crate) fn end_feeds_of(&self, guard: &Guard) {
        self.feeds.end_of(guard);
    }

    /// Whether it is being closed: nothing is waited for any more.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Calls `with` with the tree of versions.
    pub(super) fn lineage<T>(&self, with: impl FnOnce(&mut Lineage) -> T) -> Result<T, EntryError> {
        let mut lineage = self.lineage.lock();
        let known = match lineage.take() {
            Some(mut known) => {
                self.history.extend(&mut known)?;
                known
            }
            None => self.history.lineage()?,
        };
        Ok(with(lineage.insert(known)))
    }

    /// Adds a version to the tree, if it was read.
    pub(super) fn note_version(&self, version: u64, parent: u64) {
        let mut lineage = self.lineage.lock();
        // A tree that does not take it is read again when it is needed.
        if let Some(known) = &mut *lineage
            && known.add(version, parent).is_err()
        {
            *lineage = None;
        }
    }

    /// Replaces the tree after one of our own changes to it.
    pub(super) fn replace_lineage(&self, lineage: Lineage) {
        *self.lineage.lock() = Some(lineage);
    }

    /// Has the tree be read again.
    pub(super) fn forget_lineage(&self) {
        *self.lineage.lock() = None;
    }

    /// The view at the root.
    pub(super) fn root(&self) -> Arc<View> {
        Arc::new(View::new(ROOT, State::clone(&self.baseline.load())))
    }

    /// Fails after a panic inside a write.
    pub(super) fn check_poison(&self) -> Result<(), EntryError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Unusable::Poisoned.into());
        }
        Ok(())
    }

    /// Refuses every further write.
    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Ends what runs behind, closes the file and gives memory back; snapshots
    /// keep what they show. A transaction under way is given up first; if this
    /// is called by a handler in it, it ends when the transaction has.
    pub(crate) fn shut_down(&self) -> Result<(), EntryError> {
        self.closing.store(true, Ordering::Release);
        if let Some(holder) = &*self.holder.lock() {
            holder.raise();
        }
        self.watch.signal.raise();
        // A handler that runs on its owner's thread may do this when no
        // transaction is under way.
        if self.is_inside_handler() { self.shut_if_free() } else { self.shut() }
    }

    /// Waits for the last transaction, and shuts down.
    fn shut(&self) -> Result<(), EntryError> {
        let turn = self.turn.take(&Plain::default(), None);
        turn.map_or(Ok(()), |turn| self.shut_in(turn))
    }

    /// Shuts down unless somebody has the turn, who does so at its end.
    pub(super) fn shut_if_free(&self) -> Result<(), EntryError> {
        self.turn.try_take().map_or(Ok(()), |turn| self.shut_in(turn))
    }

    /// What is left to do when the last transaction has ended.
    fn shut_in(&self, turn: ThreadTurn<'_>) -> Result<(), EntryError> {
        if self.is_shut.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        for handler in &*self.handlers.all() {
            handler.cancel();
        }
        self.feeds.end_all();
        // Not with the lock: it may run something of the host's.
        let policy = self.policy.lock().take();
        drop(policy);
        let result = self.history.close();
        self.recent.clear();
        let empty = State::new(Arc::clone(&self.slots));
        self.baseline.store(Arc::new(empty.clone()));
        self.published().state.indexes.forget();
        let version = self.published().version;
        self.published.store(Arc::new(View::new(version, empty)));
        let line = std::mem::take(&mut *self.line.lock());
        drop(line);
        drop(turn);
        result
    }
}
