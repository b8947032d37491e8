//! Where versions are kept.

mod check;
mod codec;
mod derive;
mod memory;
mod none;
mod sqlite;

use std::sync::Arc;

pub(super) use check::{Memory, check_history};
pub(super) use memory::MemoryHistory;
pub(super) use none::NoHistory;
pub(super) use sqlite::SqliteHistory;

use super::EntryError;
use super::entry::Entry;
use super::id::Id;
use super::lineage::Lineage;
use super::op::Op;
use super::version::Version;

/// The operations that made a version, in the order in which they were done.
pub(super) type Changeset = Arc<[Op]>;

/// What versions come down to for one id; no entry: it was deleted.
pub(super) type NetEntry = (Id, Option<Entry>);

/// What a history holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// The current version.
    pub(super) head: u64,
    /// The highest version ever used.
    pub(super) last: u64,
    /// Moves when versions left, or others replaced what was there.
    pub(super) epoch: u64,
}

impl Stored {
    /// The number of the next version.
    pub(super) fn next(&self) -> Result<u64, EntryError> {
        // Files number versions in 63 bits.
        let next = self.last.checked_add(1).filter(|&next| i64::try_from(next).is_ok());
        let found = || format!("version {} is the last that can be", self.last);
        next.ok_or_else(|| EntryError::Damaged { found: found() })
    }
}

/// What a history gives at open.
pub(super) struct Opened {
    pub(super) stored: Stored,
    /// What the versions up to the head come down to: per id the last entry,
    /// or none if it was deleted.
    pub(super) net: Vec<NetEntry>,
    /// Whether every entry that the history changes was created in it. If not,
    /// there was a baseline that is not known now.
    pub(super) is_closed: bool,
    /// How many versions nothing is derived from yet.
    pub(super) behind: u64,
}

/// A backend of the history. Writes come one at a time, from whoever has the
/// turn; reads at any time.
pub(super) trait History: Send + Sync {
    /// What it takes to build the state at the head.
    fn open(&self) -> Result<Opened, EntryError>;

    /// What is stored now; others may have written.
    fn stored(&self) -> Result<Stored, EntryError>;

    /// As [`History::stored`], for whoever has the turn and will write.
    fn stored_in_turn(&self) -> Result<Stored, EntryError> {
        self.stored()
    }

    /// Whether earlier versions can be asked for.
    fn keeps_versions(&self) -> bool {
        true
    }

    /// The tree of versions.
    fn lineage(&self) -> Result<Lineage, EntryError>;

    /// Adds to `lineage` what was made since it was read.
    fn extend(&self, lineage: &mut Lineage) -> Result<(), EntryError>;

    /// What is known about every version, ascending.
    fn versions(&self) -> Result<Vec<Version>, EntryError>;

    /// What is known about a version that exists.
    fn version(&self, version: u64) -> Result<Version, EntryError>;

    /// Changesets that one after the other do what `versions` did, a chain of
    /// them, oldest first. They may be fewer.
    fn changesets(&self, versions: &[u64]) -> Result<Vec<Changeset>, EntryError>;

    /// Makes a version the head, in one step. `expected` is what the state was
    /// computed from; fails if a stranger wrote since. Gives what is stored
    /// then, here and below.
    fn record(
        &self,
        expected: Stored,
        version: &Version,
        changeset: &Changeset,
    ) -> Result<Stored, EntryError>;

    /// Moves the head to a version that exists.
    fn move_head(&self, expected: Stored, head: u64) -> Result<Stored, EntryError>;

    /// Makes `version` a child of the root with this changeset and takes out
    /// the versions in `gone`.
    fn prune(
        &self,
        expected: Stored,
        version: u64,
        changeset: &Changeset,
        gone: &[u64],
    ) -> Result<Stored, EntryError>;

    /// Makes durable what was read, where versions are when they are made; for
    /// an answer that rests on it and makes none.
    fn sync_what_was_read(&self) -> Result<(), EntryError> {
        Ok(())
    }

    /// Whether a state on the way is worth keeping in memory.
    fn keeps_states(&self) -> bool {
        false
    }

    /// Writes some of what is written behind; tells whether more is left.
    fn derive(&self) -> Result<bool, EntryError> {
        Ok(false)
    }

    /// Ends what runs behind and closes the file.
    fn close(&self) -> Result<(), EntryError> {
        Ok(())
    }
}
