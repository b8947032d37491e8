//! Writing the registry: into memory, and marked for the file.

use std::sync::Arc;

use super::KvError;
use super::edit::{Edit, Outcome};
use super::engine::Engine;
use crate::fault;
use crate::platform::clock;
use crate::value::Stamp;

impl Engine {
    /// Puts a new cell under `key`, whatever is there. `now`: of the coarse
    /// clock.
    #[inline(always)]
    pub(super) fn put_registry(
        self: &Arc<Self>,
        key: &[u8],
        value: &[u8],
        stamp: Stamp,
        now: i64,
    ) -> Result<(), KvError> {
        self.check_poison()?;
        let written_behind = self.registry_is_written_behind();
        let writing = self.begin_write();
        let grown = self.spaces.registry.put(key, value, stamp, written_behind, self.room());
        fault::point("registry edited");
        writing.end();
        self.note_edit(written_behind, grown?, now);
        Ok(())
    }

    /// `now`: of the coarse clock.
    #[inline(always)]
    fn note_edit(self: &Arc<Self>, written_behind: bool, grown: isize, now: i64) {
        self.note_growth(grown);
        if written_behind {
            self.note_unwritten(now);
        }
    }

    /// Does one write that depends on what is there.
    #[inline]
    pub(super) fn edit_registry(
        self: &Arc<Self>,
        key: &[u8],
        edit: Edit,
    ) -> Result<Outcome, KvError> {
        self.check_poison()?;
        let written_behind = self.registry_is_written_behind();
        let writing = self.begin_write();
        // What others wrote comes before what we write on top of it.
        let edited = self
            .follow()
            .and_then(|()| self.spaces.registry.edit(key, edit, written_behind, self.room()));
        fault::point("registry edited");
        writing.end();
        let (outcome, grown) = edited?;
        self.note_edit(written_behind, grown, clock::now_coarse());
        Ok(outcome)
    }

    /// Does puts and deletions, visible together.
    pub(super) fn edit_registry_batch(
        self: &Arc<Self>,
        edits: Vec<(Box<[u8]>, Edit)>,
    ) -> Result<(), KvError> {
        self.check_poison()?;
        let written_behind = self.registry_is_written_behind();
        let writing = self.begin_write();
        // A deletion leaves a tombstone only where something is.
        let grown = self
            .follow()
            .and_then(|()| self.spaces.registry.edit_all(edits, written_behind, self.room()));
        fault::point("registry edited");
        writing.end();
        self.note_edit(written_behind, grown?, clock::now_coarse());
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
