//! No history: versions have numbers, and that is all.

use super::{Changeset, History, Opened, Stored};
use crate::entries::EntryError;
use crate::entries::lineage::Lineage;
use crate::entries::version::Version;
use crate::platform::sync::Mutex;

/// Keeps nothing but the current number.
#[derive(Default)]
pub(in crate::entries) struct NoHistory {
    head: Mutex<u64>,
}

impl History for NoHistory {
    fn open(&self) -> Result<Opened, EntryError> {
        Ok(Opened { stored: self.stored()?, net: Vec::new(), is_closed: true, behind: 0 })
    }

    fn stored(&self) -> Result<Stored, EntryError> {
        let head = *self.head.lock();
        Ok(Stored { head, last: head, epoch: 0 })
    }

    fn keeps_versions(&self) -> bool {
        false
    }

    fn lineage(&self) -> Result<Lineage, EntryError> {
        Err(EntryError::NoHistory)
    }

    fn extend(&self, _: &mut Lineage) -> Result<(), EntryError> {
        Ok(())
    }

    fn versions(&self) -> Result<Vec<Version>, EntryError> {
        Err(EntryError::NoHistory)
    }

    fn version(&self, version: u64) -> Result<Version, EntryError> {
        Ok(Version { id: version, ..Version::default() })
    }

    fn changesets(&self, _: &[u64]) -> Result<Vec<Changeset>, EntryError> {
        Err(EntryError::NoHistory)
    }

    fn record(&self, _: Stored, version: &Version, _: &Changeset) -> Result<Stored, EntryError> {
        *self.head.lock() = version.id;
        self.stored()
    }

    fn move_head(&self, _: Stored, _: u64) -> Result<Stored, EntryError> {
        Err(EntryError::NoHistory)
    }

    fn prune(&self, _: Stored, _: u64, _: &Changeset, _: &[u64]) -> Result<Stored, EntryError> {
        Err(EntryError::NoHistory)
    }
}
