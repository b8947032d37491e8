//! History in memory: gone with the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Changeset, History, Opened, Stored};
use crate::entries::EntryError;
use crate::entries::lineage::{Lineage, ROOT};
use crate::entries::version::Version;
use crate::platform::sync::Mutex;

/// Versions with their changesets.
pub(in crate::entries) struct MemoryHistory {
    kept: Mutex<Kept>,
}

struct Kept {
    versions: BTreeMap<u64, (Version, Changeset)>,
    stored: Stored,
}

impl Default for MemoryHistory {
    fn default() -> Self {
        let root = (Version::default(), Changeset::from([]));
        let versions = BTreeMap::from([(ROOT, root)]);
        Self { kept: Mutex::new(Kept { versions, stored: Stored::default() }) }
    }
}

impl History for MemoryHistory {
    fn open(&self) -> Result<Opened, EntryError> {
        Ok(Opened { stored: self.stored()?, net: Vec::new(), is_closed: true, behind: 0 })
    }

    fn stored(&self) -> Result<Stored, EntryError> {
        Ok(self.kept.lock().stored)
    }

    fn lineage(&self) -> Result<Lineage, EntryError> {
        let kept = self.kept.lock();
        let mut lineage = Lineage::new(kept.stored.last);
        for (version, _) in kept.versions.values() {
            if let Some(parent) = version.parent {
                lineage.add(version.id, parent)?;
            }
        }
        Ok(lineage)
    }

    fn extend(&self, _: &mut Lineage) -> Result<(), EntryError> {
        // Nobody else writes here.
        Ok(())
    }

    fn versions(&self) -> Result<Vec<Version>, EntryError> {
        Ok(self.kept.lock().versions.values().map(|(version, _)| version.clone()).collect())
    }

    fn version(&self, version: u64) -> Result<Version, EntryError> {
        let kept = self.kept.lock();
        let found = kept.versions.get(&version).map(|(version, _)| version.clone());
        found.ok_or(EntryError::NoVersion { version })
    }

    fn changesets(&self, versions: &[u64]) -> Result<Vec<Changeset>, EntryError> {
        let kept = self.kept.lock();
        let of = |&version: &u64| match kept.versions.get(&version) {
            Some((_, changeset)) => Ok(Arc::clone(changeset)),
            None => Err(EntryError::NoVersion { version }),
        };
        versions.iter().map(of).collect()
    }

    fn record(
        &self,
        _: Stored,
        version: &Version,
        changeset: &Changeset,
    ) -> Result<Stored, EntryError> {
        let mut kept = self.kept.lock();
        kept.versions.insert(version.id, (version.clone(), Arc::clone(changeset)));
        kept.stored = Stored { head: version.id, last: version.id, ..kept.stored };
        Ok(kept.stored)
    }

    fn move_head(&self, _: Stored, head: u64) -> Result<Stored, EntryError> {
        let mut kept = self.kept.lock();
        kept.stored.head = head;
        Ok(kept.stored)
    }

    fn prune(
        &self,
        _: Stored,
        version: u64,
        changeset: &Changeset,
        gone: &[u64],
    ) -> Result<Stored, EntryError> {
        let mut kept = self.kept.lock();
        for version in gone {
            kept.versions.remove(version);
        }
        if version != ROOT
            && let Some((about, made_by)) = kept.versions.get_mut(&version)
        {
            about.parent = Some(ROOT);
            *made_by = Arc::clone(changeset);
        }
        kept.stored.epoch += 1;
        Ok(kept.stored)
    }

    fn keeps_states(&self) -> bool {
        true
    }
}
