//! Ranks: the places of entries in the order of their ids.
//!
//! A base numbers its entries once. Of those that come later each has a rank
//! behind all others, wherever its id stands, until there are enough of them
//! to number everything anew.

use std::sync::Arc;

use crate::entries::entry::Entry;
use crate::entries::state::State;
use crate::sorting;

/// So many entries are few: they may have come, gone or changed before anything
/// is numbered anew. In tests it is soon.
const FEW: usize = if cfg!(test) { 8 } else { 64 };

/// A slot without a rank.
const NONE: u32 = u32::MAX;

/// The ranks of a base.
#[derive(Clone)]
pub(super) struct Numbering {
    /// Slots by rank, in the order of their ids.
    slots: Arc<[u32]>,
    by_slot: Arc<[u32]>,
    /// Entries by rank as they were when this was made.
    pub(super) entries: Arc<[Entry]>,
    /// The ranks whose entries are not that any more, a bit each.
    stale: Vec<u64>,
    stale_count: usize,
    /// Slots of those that came later.
    late: Vec<u32>,
    /// How many ranks have no entry any more.
    dead: usize,
}

impl Numbering {
    pub(super) fn of(state: &State) -> Self {
        let mut slots = Vec::with_capacity(state.len());
        let mut entries = Vec::with_capacity(state.len());
        let mut by_slot = Vec::new();
        for (&slot, ()) in state.slots() {
            let Some(entry) = state.entries.get(slot) else { continue };
            if by_slot.len() <= slot as usize {
                by_slot.resize(slot as usize + 1, NONE);
            }
            by_slot[slot as usize] = slots.len() as u32;
            slots.push(slot);
            entries.push(entry.clone());
        }
        let stale = vec![0; slots.len().div_ceil(64)];
        Self {
            slots: slots.into(),
            by_slot: by_slot.into(),
            entries: entries.into(),
            stale,
            stale_count: 0,
            late: Vec::new(),
            dead: 0,
        }
    }

    /// How many ranks are in the order of ids; later ones are not.
    pub(super) fn ordered(&self) -> u32 {
        self.slots.len() as u32
    }

    /// All ranks and their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        (0..).zip(self.slots.iter().chain(&self.late).copied())
    }

    /// The slot of a rank.
    #[inline]
    pub(super) fn slot(&self, rank: u32) -> u32 {
        match rank.checked_sub(self.ordered()) {
            None => self.slots[rank as usize],
            Some(late) => self.late[late as usize],
        }
    }

    /// Whether `entries` has what is there under this rank.
    #[inline]
    pub(super) fn is_as_made(&self, rank: u32) -> bool {
        rank < self.ordered() && self.stale[rank as usize / 64] & 1 << (rank % 64) == 0
    }

    /// Tells the rank of a slot that has an entry.
    pub(super) fn ranks(&self) -> Ranks<'_> {
        let mut late: Vec<(u32, u32)> =
            (self.ordered()..).zip(&self.late).map(|(r, &s)| (s, r)).collect();
        sorting::sort(&mut late);
        Ranks { by_slot: &self.by_slot, late }
    }

    /// Gives a slot that came a rank.
    pub(super) fn add(&mut self, slot: u32) -> u32 {
        self.late.push(slot);
        self.ordered() + self.late.len() as u32 - 1
    }

    /// Takes note that another entry stands under a rank, or none.
    pub(super) fn note_change(&mut self, rank: u32, is_gone: bool) {
        self.dead += usize::from(is_gone);
        if self.is_as_made(rank) {
            self.stale[rank as usize / 64] |= 1 << (rank % 64);
            self.stale_count += 1;
        }
    }

    /// Whether it is time to number everything anew. Each time costs as much
    /// as there are entries.
    pub(super) fn is_worn(&self) -> bool {
        self.late.len() + self.dead > FEW + self.slots.len() / 16
            || self.stale_count > FEW + self.slots.len() / 4
    }
}

/// The ranks of slots.
pub(super) struct Ranks<'a> {
    by_slot: &'a [u32],
    /// Slots that came later with their ranks, sorted. One that went and came
    /// again has several: the last counts.
    late: Vec<(u32, u32)>,
}

impl Ranks<'_> {
    pub(super) fn of(&self, slot: u32) -> Option<u32> {
        let behind = self.late.partition_point(|&(other, _)| other <= slot);
        match self.late[..behind].last() {
            Some(&(other, rank)) if other == slot => Some(rank),
            _ => self.by_slot.get(slot as usize).copied().filter(|&rank| rank != NONE),
        }
    }
}
