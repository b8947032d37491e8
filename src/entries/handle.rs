//! The handle on a database's entry registry.

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::EntryError;
use super::changes::{ApplyOptions, Change};
use super::dependencies::{self, Patterns};
use super::engine::Engine;
use super::entry::Entry;
use super::feed::Feed;
use super::id::{Id, IdRef};
use super::op::Op;
use super::policy::Policy;
use super::snapshot::Snapshot;
use super::transaction::{Caller, Handler, Plain, Responder, Wants};
use super::version::Version;
use crate::guard::{Guard, Unusable};
use crate::value::{Value, put_array_header};

/// What an apply did, or would have done.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The version that was made; after a dry run the current one.
    pub version: u64,
    /// The operations in the order in which they were done.
    pub ops: Arc<[Op]>,
}

/// Figures of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Entries at the current version.
    pub entries: u64,
    /// The current version.
    pub head: u64,
    /// How many versions there are; `None` without a history.
    pub versions: Option<u64>,
    /// The oldest version that a snapshot holds in memory, or that is kept
    /// there for one.
    pub oldest_pinned_version: u64,
}

/// The entry registry of a database.
///
/// Reads look into memory and wait for nobody. Changes go through a snapshot's
/// [`super::Changes`].
///
/// Threads: any. Cloning is cheap and gives another reference to the same
/// handle.
#[derive(Clone)]
pub struct Registry {
    // One count, as every snapshot takes it.
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    guard: Arc<Guard>,
}

impl Registry {
    pub(crate) fn new(engine: Arc<Engine>, guard: Arc<Guard>) -> Self {
        Self { inner: Arc::new(Inner { engine, guard }) }
    }

    /// Fails if the handle is closed, or was made before a fork.
    ///
    /// # Errors
    ///
    /// [`EntryError::Unusable`].
    pub fn check(&self) -> Result<(), EntryError> {
        Ok(self.inner.guard.check()?)
    }

    /// A number that handles of one open registry have in common, and no
    /// others.
    #[must_use]
    pub fn address(&self) -> usize {
        self.inner.engine.address()
    }

    /// Whether this process is a child of the one that made the handle.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        self.inner.guard.is_forked()
    }

    pub(super) fn check_not_forked(&self) -> Result<(), EntryError> {
        if self.is_forked() { Err(Unusable::Forked.into()) } else { Ok(()) }
    }

    /// Fails if meta or data of the entry is larger than `value_limit`.
    pub(super) fn check_size(&self, entry: &Entry) -> Result<(), EntryError> {
        let limit = self.inner.engine.settings.value_limit;
        for (part, value) in [("meta", Some(entry.meta())), ("data", entry.data())] {
            let len = value.map_or(0, |value| value.as_bytes().len());
            if len > limit {
                let id = entry.id().to_string();
                return Err(EntryError::TooLarge { id, part, len, limit });
            }
        }
        Ok(())
    }

    /// The registry as it is now. O(1).
    ///
    /// # Errors
    ///
    /// A closed or inherited handle; the file, if another process has written
    /// and its versions cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, EntryError> {
        self.inner.guard.check()?;
        Ok(Snapshot::new(self.inner.engine.current()?, self.clone()))
    }

    /// The registry as it was at a version; the root is 0.
    ///
    /// # Errors
    ///
    /// [`EntryError::NoVersion`], [`EntryError::Pruned`],
    /// [`EntryError::NoHistory`], the file.
    pub fn snapshot_at(&self, version: u64) -> Result<Snapshot, EntryError> {
        self.inner.guard.check()?;
        Ok(Snapshot::new(self.inner.engine.view_at(version)?, self.clone()))
    }

    /// The current version.
    ///
    /// # Errors
    ///
    /// As [`Registry::snapshot`].
    pub fn current_version(&self) -> Result<u64, EntryError> {
        self.inner.guard.check()?;
        Ok(self.inner.engine.current()?.version)
    }

    /// All versions, ascending.
    ///
    /// # Errors
    ///
    /// [`EntryError::NoHistory`], the file.
    pub fn versions(&self) -> Result<Vec<Version>, EntryError> {
        self.inner.guard.check()?;
        self.inner.engine.history.versions()
    }

    /// What is known about a version.
    ///
    /// # Errors
    ///
    /// As [`Registry::snapshot_at`].
    pub fn version(&self, version: u64) -> Result<Version, EntryError> {
        self.inner.guard.check()?;
        self.inner.engine.version(version)
    }

    /// The version that `version` was made from; `None` for the root.
    ///
    /// # Errors
    ///
    /// As [`Registry::snapshot_at`].
    pub fn previous(&self, version: u64) -> Result<Option<u64>, EntryError> {
        self.inner.guard.check()?;
        self.inner.engine.lineage(|lineage| {
            lineage.check(version)?;
            Ok(lineage.parent(version))
        })?
    }

    /// The child of `version` on the way to the current one, else its newest;
    /// `None` if it has none.
    ///
    /// # Errors
    ///
    /// As [`Registry::snapshot_at`].
    pub fn next(&self, version: u64) -> Result<Option<u64>, EntryError> {
        self.inner.guard.check()?;
        let head = self.inner.engine.current()?.version;
        self.inner.engine.lineage(|lineage| {
            lineage.check(version)?;
            Ok(lineage.next(version, head))
        })?
    }

    pub(super) fn apply(
        &self,
        changes: &[Change],
        base: &Snapshot,
        options: &ApplyOptions,
        dry_run: bool,
        caller: &dyn Caller,
    ) -> Result<Applied, EntryError> {
        self.inner.guard.check()?;
        // First: it is the caller's fault whoever the caller is.
        if changes.is_empty() {
            return Err(EntryError::NoChanges);
        }
        self.inner.guard.check_write()?;
        self.inner.engine.apply(changes, base.view(), options, dry_run, caller)
    }

    /// Makes `version` the current one: what was done since is undone, what
    /// leads to it is done again. No version is made.
    ///
    /// # Errors
    ///
    /// As [`Registry::snapshot_at`].
    pub fn apply_version(&self, version: u64) -> Result<(), EntryError> {
        self.apply_version_as(version, &Plain::default())
    }

    /// As [`Registry::apply_version`], for a caller who answers questions while
    /// it waits.
    ///
    /// # Errors
    ///
    /// As [`Registry::apply_version`].
    pub fn apply_version_as(&self, version: u64, caller: &dyn Caller) -> Result<(), EntryError> {
        self.inner.guard.check_write()?;
        self.inner.engine.apply_version(version, caller)
    }

    /// Replays the history up to `version`, else up to the stored head, on top
    /// of a baseline, and makes that the current state; gives its version. No
    /// version is made, and the stored head stays. Handlers are asked about
    /// every entry there is then.
    ///
    /// # Errors
    ///
    /// [`EntryError::TooLateToLoad`]: a state was loaded or changed before;
    /// [`EntryError::List`]: an id twice; as [`Registry::snapshot_at`]; what
    /// handlers refuse.
    pub fn load_state(
        &self,
        baseline: &[Entry],
        version: Option<u64>,
        caller: &dyn Caller,
    ) -> Result<u64, EntryError> {
        self.inner.guard.check()?;
        baseline.iter().try_for_each(|entry| self.check_size(entry))?;
        self.inner.engine.load_state(baseline, version, caller)
    }

    /// Registers a handler for kinds that match `pattern`. One that wants a
    /// replay is asked about every entry that is there, before this returns.
    ///
    /// # Errors
    ///
    /// [`EntryError::KindPattern`]; what it refuses of a replay, after which it
    /// is not registered; [`EntryError::InsideHandler`] for a replay.
    pub fn on(
        &self,
        pattern: &[u8],
        wants: Wants,
        responder: Responder,
        caller: &dyn Caller,
    ) -> Result<Arc<Handler>, EntryError> {
        self.inner.guard.check()?;
        self.inner.engine.subscribe(pattern, wants, responder, caller)
    }

    /// A stream of what happens from now on, of which up to `capacity` events
    /// wait to be read.
    ///
    /// # Errors
    ///
    /// A closed or inherited handle.
    pub fn events(&self, capacity: usize) -> Result<Feed, EntryError> {
        self.inner.guard.check()?;
        Ok(Feed::new(Arc::clone(&self.inner.engine), Arc::clone(&self.inner.guard), capacity))
    }

    /// Has reads of scripts be checked by a policy; `None`: all may everything.
    ///
    /// # Errors
    ///
    /// A closed or inherited handle.
    pub fn set_policy(&self, policy: Option<Policy>) -> Result<(), EntryError> {
        self.inner.guard.check()?;
        let mut current = self.inner.engine.policy.lock();
        self.inner.engine.has_policy.store(policy.is_some(), Ordering::Release);
        let before = std::mem::replace(&mut *current, policy);
        drop(current);
        drop(before);
        Ok(())
    }

    /// Whether there is a policy.
    #[must_use]
    #[inline]
    pub fn has_policy(&self) -> bool {
        self.inner.engine.has_policy.load(Ordering::Acquire)
    }

    /// The policy that reads of scripts are checked by.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        if self.is_forked() { None } else { self.inner.engine.policy.lock().clone() }
    }

    /// Takes every version out that does not descend from `version`, which is
    /// the current one or one that it comes from, and makes it a child of the
    /// root.
    ///
    /// # Errors
    ///
    /// As [`Registry::snapshot_at`]; [`EntryError::NotAnAncestor`].
    pub fn prune(&self, version: u64) -> Result<(), EntryError> {
        self.inner.guard.check_write()?;
        self.inner.engine.prune(version)
    }

    /// The operations that turn one list of entries into another, in the order
    /// of a transaction.
    ///
    /// # Errors
    ///
    /// [`EntryError::List`]: an id twice in one list; a closed or inherited
    /// handle.
    pub fn build_delta<E: Borrow<Entry>>(
        &self,
        from: &[E],
        to: &[E],
    ) -> Result<Vec<Op>, EntryError> {
        self.inner.guard.check()?;
        dependencies::delta(from, to, &self.inner.engine.patterns.load())
    }

    /// Has dependencies be read from one more place.
    ///
    /// # Errors
    ///
    /// [`EntryError::Pattern`].
    pub fn register_pattern(&self, path: &str, allow_wildcard: bool) -> Result<(), EntryError> {
        self.inner.guard.check()?;
        let _one_at_a_time = self.inner.engine.publishing.lock();
        let mut patterns = Patterns::clone(&self.inner.engine.patterns.load());
        patterns.register(path, allow_wildcard)?;
        self.inner.engine.patterns.store(Arc::new(patterns));
        Ok(())
    }

    /// What depends on the entry, directly or through others; sorted.
    ///
    /// # Errors
    ///
    /// [`EntryError::NoEntry`]; as [`Registry::snapshot`].
    pub fn dependents(&self, id: IdRef<'_>, transitive: bool) -> Result<Vec<Id>, EntryError> {
        self.inner.guard.check()?;
        let view = self.inner.engine.current()?;
        view.state.get(id).ok_or_else(|| EntryError::NoEntry { id: id.to_string() })?;
        let patterns = self.inner.engine.patterns.load_full();
        Ok(dependencies::dependents(&view.state, id, transitive, &patterns))
    }

    /// What the entry depends on, directly or through others; sorted.
    ///
    /// # Errors
    ///
    /// As [`Registry::dependents`].
    pub fn dependencies(&self, id: IdRef<'_>, transitive: bool) -> Result<Vec<Id>, EntryError> {
        self.inner.guard.check()?;
        let view = self.inner.engine.current()?;
        view.state.get(id).ok_or_else(|| EntryError::NoEntry { id: id.to_string() })?;
        let patterns = self.inner.engine.patterns.load_full();
        Ok(dependencies::dependencies(&view.state, id, transitive, &patterns))
    }

    /// Figures of the registry.
    ///
    /// # Errors
    ///
    /// As [`Registry::snapshot`].
    pub fn figures(&self) -> Result<Figures, EntryError> {
        self.inner.guard.check()?;
        let view = self.inner.engine.current()?;
        let versions = match self.inner.engine.lineage(|lineage| lineage.len() as u64) {
            Ok(versions) => Some(versions),
            Err(EntryError::NoHistory) => None,
            Err(error) => return Err(error),
        };
        let oldest = self.inner.engine.pins.oldest().unwrap_or(view.version);
        Ok(Figures {
            entries: view.state.len() as u64,
            head: view.version,
            versions,
            oldest_pinned_version: oldest.min(view.version),
        })
    }

    /// Operations as an array of maps of `kind`, `entry` and, where there is
    /// one, `original`.
    #[must_use]
    pub fn value_of_ops(ops: &[Op]) -> Value {
        // Growing would copy what may be large several times.
        let sizes = ops.iter().flat_map(|op| [Some(&op.entry), op.original.as_ref()]);
        let size: usize = sizes.flatten().map(|entry| entry.size() + 64).sum();
        let mut out = Vec::with_capacity(size + 8);
        put_array_header(&mut out, ops.len() as u32);
        for op in ops {
            op.append_map(&mut out);
        }
        Value::from_canonical(&out)
    }
}

/// For the tests of what a registry is made of.
#[cfg(test)]
impl Registry {
    /// One in memory that nobody looks after, with its engine.
    pub(super) fn in_memory() -> (Arc<Engine>, Self) {
        Self::in_memory_with(Box::new(|_| {}))
    }

    /// As [`Registry::in_memory`], with what becomes of work for later.
    pub(super) fn in_memory_with(post: super::upkeep::Post) -> (Arc<Engine>, Self) {
        let settings = super::engine::Settings {
            history: super::engine::HistoryKind::Memory,
            history_keep: None,
            value_limit: 1 << 20,
            handler_timeout: std::time::Duration::from_secs(1),
            require_handler: false,
            internal_kinds: Vec::new(),
        };
        let engine = Engine::in_memory(settings, post).unwrap();
        let registry = Self::new(Arc::clone(&engine), Arc::new(Guard::new(false, || {})));
        (engine, registry)
    }
}
