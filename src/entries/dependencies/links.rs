//! Who refers to whom, the other way round.

use crate::entries::entry::Entry;
use crate::entries::state::Entries;

/// The references of a state.
#[derive(Clone, Default)]
pub(in crate::entries) struct Links {}

impl Links {
    /// Follows a change of the entry at `slot`. `entries` holds the new state
    /// of all other slots; at `slot` it holds an entry with the id.
    pub(in crate::entries) fn replace(
        &mut self,
        entries: &Entries,
        slot: u32,
        old: Option<&Entry>,
        new: Option<&Entry>,
    ) {
        let _ = (entries, slot, old, new);
    }
}
