//! Moving along the history: to the state of a version, and with the registry
//! itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::EntryError;
use super::engine::Engine;
use super::lineage::{Lineage, Path, ROOT};
use super::squash::{Squash, inverse};
use super::state::State;
use super::transaction::{Caller, Transaction};
use super::version::Version;
use super::view::View;

/// How to compute a state: from one that is at hand.
struct Way {
    from: Arc<View>,
    path: Path,
}

/// A state on a way, and how many operations it is behind the one before.
struct Stop {
    at: u64,
    state: State,
    weight: usize,
}

/// On a long way, a state is kept every so many versions, but only so many of
/// them: the next long way is shorter.
const STOP_AFTER: usize = 256;
const STOPS_ON_A_WAY: usize = 8;
/// Operations that the states kept for the way may be apart together, besides
/// a part of what is current.
const APART: usize = 4096;

impl Engine {
    /// What is known about a version.
    pub(super) fn version(&self, version: u64) -> Result<Version, EntryError> {
        if !self.history.keeps_versions() {
            return match self.current()?.version == version {
                true => self.history.version(version),
                false => Err(EntryError::NoHistory),
            };
        }
        self.lineage(|lineage| lineage.check(version))??;
        self.history.version(version)
    }

    /// The registry as it was at `version`.
    pub(super) fn view_at(&self, version: u64) -> Result<Arc<View>, EntryError> {
        let current = self.current()?;
        if !self.history.keeps_versions() {
            return Err(EntryError::NoHistory);
        }
        self.lineage(|lineage| lineage.check(version))??;
        if current.version == version {
            return Ok(current);
        }
        if let Some(known) = self.recent.asked(version) {
            return Ok(known);
        }
        let (view, stops) = self.read_history(|| self.compute(version))?;
        // Only now it is sure that they are what they seem.
        let limit = APART + current.state.len() / 8;
        for stop in stops {
            self.recent.keep_stop(stop.at, &stop.state, stop.weight, limit);
        }
        self.recent.keep(&view);
        self.pins.add(&view);
        Ok(view)
    }

    /// Computes an earlier state, while no version is taken out. Also gives
    /// states on the way, to be kept for the next one.
    fn compute(&self, version: u64) -> Result<(Arc<View>, Vec<Stop>), EntryError> {
        let current = self.current()?;
        let way = self.lineage(|lineage| {
            lineage.check(version)?;
            let is_far = current.version != version;
            Ok::<_, EntryError>(is_far.then(|| self.way_to(version, &current, lineage)))
        })??;
        let Some(Way { from, path }) = way else { return Ok((current, Vec::new())) };
        let mut state = from.state.without_indexes();
        let mut stops = Vec::new();
        let mut stop = |at: Option<&u64>, state: &State, weight| {
            // Where changesets are in memory, checkpoints are too.
            if let Some(&at) = at
                && !self.history.keeps_states()
            {
                stops.push(Stop { at, state: state.clone(), weight });
            }
        };
        let stages = |way: &[u64]| way.len().div_ceil(STOPS_ON_A_WAY).max(STOP_AFTER);
        let mut back = path.back.chunks(stages(&path.back)).peekable();
        while let Some(stage) = back.next() {
            let oldest_first: Vec<u64> = stage.iter().rev().copied().collect();
            let mut weight = 0;
            for changeset in self.history.changesets(&oldest_first)?.iter().rev() {
                weight += changeset.len();
                state.replay_owned(inverse(changeset));
            }
            // What is taken back next is where this leads.
            let target = path.forward.is_empty().then_some(&version);
            stop(back.peek().map_or(target, |next| next.first()), &state, weight);
        }
        for stage in path.forward.chunks(stages(&path.forward)) {
            let mut weight = 0;
            for changeset in self.history.changesets(stage)? {
                weight += changeset.len();
                state.replay(&*changeset);
            }
            stop(stage.last(), &state, weight);
        }
        Ok((Arc::new(View::new(version, state)), stops))
    }

    /// The shorter way to `version`: forward from the closest ancestor whose
    /// state is at hand, or around from the closest later one. The latter only
    /// where what was changed was also created, so that the originals are what
    /// was there.
    fn way_to(&self, version: u64, current: &Arc<View>, lineage: &Lineage) -> Way {
        let is_current_above = current.version > version;
        let above = self
            .recent
            .above(version)
            .filter(|above| !is_current_above || above.version < current.version)
            .unwrap_or_else(|| Arc::clone(current));
        let around = lineage.path(above.version, version);
        // Each version changes about one entry; from the root on, all have to
        // be made.
        let around_len = around.back.len() + around.forward.len();
        let from_root = current.state.len();
        let is_closed = self.is_closed.load(Ordering::Acquire);
        let mut forward = Vec::new();
        let mut at = version;
        loop {
            let known = if at == current.version {
                Some(Arc::clone(current))
            } else if at == ROOT {
                Some(self.root())
            } else {
                self.recent.near(at)
            };
            let cost = forward.len() + if at == ROOT { from_root } else { 0 };
            if is_closed && cost >= around_len {
                return Way { from: above, path: around };
            }
            if let Some(from) = known {
                forward.reverse();
                return Way { from, path: Path { back: Vec::new(), forward } };
            }
            forward.push(at);
            at = lineage.parent(at).unwrap_or(ROOT);
        }
    }

    /// Moves the registry to `version`.
    pub(super) fn apply_version(
        self: &Arc<Self>,
        version: u64,
        caller: &dyn Caller,
    ) -> Result<(), EntryError> {
        let turn = self.begin(caller)?;
        let current = self.published();
        if current.version == version {
            return self.sync_what_was_read();
        }
        if !self.history.keeps_versions() {
            return Err(EntryError::NoHistory);
        }
        let path = self.refuse_for_sure(self.lineage(|lineage| {
            lineage.check(version)?;
            Ok::<_, EntryError>(lineage.path(current.version, version))
        })?)?;
        let mut squash = Squash::default();
        let back: Vec<u64> = path.back.into_iter().rev().collect();
        for changeset in self.history.changesets(&back)?.iter().rev() {
            squash.extend(inverse(changeset));
        }
        for changeset in self.history.changesets(&path.forward)? {
            squash.extend(changeset.iter().cloned());
        }
        let (ops, next) = self.plan(squash.into_ops_on(&current.state), &current.state);
        let view = Arc::new(View::new(version, next));
        let transaction = Transaction::begin(self, caller, version, false)?;
        transaction.run(&ops)?.commit(|events| {
            self.commit(|| self.history.move_head(turn.stored, version), view, events, || {})
        })?;
        self.is_settled.store(true, Ordering::Release);
        drop(turn);
        self.keep_up();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::entries::entry::Entry;
    use crate::entries::handle::Registry;
    use crate::entries::id::IdRef;
    use crate::value::Value;

    use super::*;

    #[test]
    fn what_searches_leave_in_an_old_version_goes_with_its_snapshots() {
        let (_, registry) = Registry::in_memory();
        for n in 0..100 {
            let mut changes = registry.snapshot().unwrap().changes();
            let id = format!("a:{n}");
            changes
                .create(Entry::new(IdRef::parse(id.as_bytes()), b"k", None, None).unwrap())
                .unwrap();
            changes.apply().unwrap();
        }
        let filter = Value::from_json(br#"{"kind": "k"}"#).unwrap();
        let mut left = Vec::new();
        for version in 1..100 {
            let snapshot = registry.snapshot_at(version).unwrap();
            assert_eq!(snapshot.find(filter.as_bytes(), None).unwrap().len(), version as usize);
            left.push((version, Arc::downgrade(snapshot.view())));
        }
        left.retain(|(_, view)| view.strong_count() > 0);
        let versions: Vec<u64> = left.iter().map(|&(version, _)| version).collect();
        assert_eq!(versions, [96, 97, 98, 99]);
    }
}
