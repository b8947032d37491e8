//! Writing the registry: into memory, and marked for the file.

use std::sync::Arc;

use super::KvError;
use super::edit::{Edit, Outcome};
use super::engine::Engine;
use crate::fault;
use crate::value::Stamp;

impl Engine {
    /// Puts a new cell under `key`, whatever is there.
    #[inline]
    pub(super) fn put_registry(
        self: &Arc<Self>,
        key: &[u8],
        value: &[u8],
        stamp: Stamp,
    ) -> Result<(), KvError> {
        self.check_poison()?;
        let _watch = self.poison_on_panic();
        let written_behind = self.registry_is_written_behind();
        let grown = self.spaces.registry.put(key, value, stamp, written_behind, self.room())?;
        fault::point("registry edited");
        self.note_growth(grown);
        if written_behind {
            self.note_dirty();
        }
        Ok(())
    }

    /// Does one write that depends on what is there.
    #[inline]
    pub(super) fn edit_registry(
        self: &Arc<Self>,
        key: &[u8],
        edit: Edit,
    ) -> Result<Outcome, KvError> {
        self.check_poison()?;
        let _watch = self.poison_on_panic();
        // What others wrote comes before what we write on top of it.
        self.follow()?;
        let written_behind = self.registry_is_written_behind();
        let (outcome, grown) = self.spaces.registry.edit(key, edit, written_behind, self.room())?;
        fault::point("registry edited");
        self.note_growth(grown);
        if written_behind {
            self.note_dirty();
        }
        Ok(outcome)
    }

    /// Does puts and deletions, visible together.
    pub(super) fn edit_registry_batch(
        self: &Arc<Self>,
        edits: Vec<(Box<[u8]>, Edit)>,
    ) -> Result<(), KvError> {
        self.check_poison()?;
        let _watch = self.poison_on_panic();
        // A deletion leaves a tombstone only where something is.
        self.follow()?;
        let written_behind = self.registry_is_written_behind();
        let grown = self.spaces.registry.edit_all(edits, written_behind, self.room())?;
        fault::point("registry edited");
        self.note_growth(grown);
        if written_behind {
            self.note_dirty();
        }
        Ok(())
    }

    /// Deletes what starts with `prefix` and, if so asked, was written before
    /// that second. Tells how many.
    pub(super) fn clear_registry(
        self: &Arc<Self>,
        prefix: &[u8],
        before: Option<i64>,
    ) -> Result<u64, KvError> {
        self.follow()?;
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        self.spaces.registry.scan(prefix, |cell| {
            if before.is_none_or(|before| cell.timestamp() < before) {
                keys.push(cell.key().into());
            }
        });
        let mut gone = 0;
        for key in keys {
            let outcome = match before {
                None => self.edit_registry(&key, Edit::Delete)?,
                Some(before) => self.edit_registry(&key, Edit::DeleteOlder { before })?,
            };
            gone += u64::from(matches!(outcome, Outcome::Stored(true)));
        }
        Ok(gone)
    }
}
