//! Forgetting old versions.

use super::EntryError;
use super::dependencies::delta;
use super::engine::Engine;
use super::entry::Entry;
use super::follow::Held;
use super::history::Changeset;
use super::lineage::ROOT;
use super::transaction::Plain;

impl Engine {
    /// Takes out what does not descend from `version`, which becomes a child
    /// of the root that makes its state at once.
    pub(super) fn prune(&self, version: u64) -> Result<(), EntryError> {
        self.prune_in(self.begin(&Plain::default())?, version)
    }

    /// As [`Engine::prune`], unless somebody has the turn.
    pub(super) fn prune_if_free(&self, version: u64) -> Result<(), EntryError> {
        match self.begin_if_free()? {
            Some(turn) => self.prune_in(turn, version),
            None => Ok(()),
        }
    }

    fn prune_in(&self, turn: Held<'_>, version: u64) -> Result<(), EntryError> {
        let current = self.published();
        if !self.history.keeps_versions() {
            return Err(EntryError::NoHistory);
        }
        self.refuse_for_sure(self.lineage(|lineage| {
            lineage.check(version)?;
            if lineage.is_ancestor(version, current.version) {
                Ok(())
            } else {
                Err(EntryError::NotAnAncestor { version, head: current.version })
            }
        })?)?;
        if version == ROOT {
            // Everything descends from the root.
            return Ok(());
        }
        let baseline: Vec<Entry> = self.baseline.load().iter().cloned().collect();
        let kept: Vec<Entry> = self.view_at(version)?.state.iter().cloned().collect();
        let changeset = Changeset::from(delta(&baseline, &kept, &self.patterns.load())?);
        // On a copy: nothing has happened until it is written.
        let mut lineage = self.lineage(|lineage| lineage.clone())?;
        let gone = lineage.prune(version);
        self.commit(
            || self.history.prune(turn.stored, version, &changeset, &gone),
            current,
            &[],
            || {
                self.replace_lineage(lineage);
                let is_gone = |version: u64| gone.binary_search(&version).is_ok();
                self.recent.forget(is_gone);
            },
        )
    }
}
