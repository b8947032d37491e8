//! Loading a state: a baseline, and the history on top of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::EntryError;
use super::engine::Engine;
use super::entry::Entry;
use super::history::Changeset;
use super::lineage::ROOT;
use super::op::Op;
use super::state::State;
use super::transaction::{Caller, Transaction};
use super::view::View;

impl Engine {
    /// Replays the history up to `version`, else to the stored head, on top of
    /// `baseline`; handlers are asked about every entry there is then.
    pub(super) fn load_state(
        self: &Arc<Self>,
        baseline: &[Entry],
        version: Option<u64>,
        caller: &dyn Caller,
    ) -> Result<u64, EntryError> {
        let turn = self.begin(caller)?;
        if self.is_settled.load(Ordering::Acquire) {
            return Err(EntryError::TooLateToLoad);
        }
        let mut root = State::new(Arc::clone(&self.slots));
        for (place, entry) in baseline.iter().enumerate() {
            let refuse = |what| EntryError::List { list: "baseline", index: place + 1, what };
            if root.get(entry.id().parts()).is_some() {
                return Err(refuse(format!("there are two entries {}", entry.id())));
            }
            root.put(entry);
        }
        let version = version.unwrap_or(turn.stored.head);
        let mut state = root.clone();
        if !self.history.keeps_versions() {
            if version != turn.stored.head {
                return Err(EntryError::NoHistory);
            }
        } else if version == turn.stored.head {
            state = state.with(self.history.open()?.net);
        } else {
            let path = self.lineage(|lineage| {
                lineage.check(version)?;
                Ok::<_, EntryError>(lineage.path(ROOT, version))
            })??;
            for changeset in self.history.changesets(&path.forward)? {
                state.replay(&*changeset);
            }
        }
        let ops = self.creation(state.iter());
        let is_closed = self.is_closed.load(Ordering::Acquire) && baseline.is_empty();
        let transaction = Transaction::begin(self, caller, version, false)?;
        transaction.run(&ops)?.commit(|events| {
            self.baseline.store(Arc::new(root));
            self.is_closed.store(is_closed, Ordering::Release);
            self.recent.clear();
            self.is_settled.store(true, Ordering::Release);
            let publishing = self.publishing.lock();
            self.show(Arc::new(View::new(version, state)), events, &publishing);
            Ok(())
        })?;
        Ok(version)
    }

    /// The creates of entries that are all that there is, dependencies first.
    pub(super) fn creation<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> Changeset {
        let empty = State::new(Arc::clone(&self.slots));
        self.plan(entries.cloned().map(Op::create).collect(), &empty).0
    }
}
