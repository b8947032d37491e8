//! What of a shard waits to be written to the file.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::mark::{Mark, Parity, State};
use super::shard::Shard;
use crate::value::Value;

/// The cells of a shard that wait to be written.
///
/// They are listed by their hashes, in the order of their first change. A list
/// has an entry for each waiting cell of its parity: entries whose cell went
/// are left over and find nothing.
#[derive(Default)]
pub(super) struct Waiting {
    lists: [List; 2],
    /// Cells that were replaced after the cut they belong to was begun, and
    /// before it took them.
    pub(super) displaced: Vec<Value>,
    /// What the cells cost that wait for the next cut.
    bytes: usize,
    /// What of `bytes` the sum of all shards knows.
    published: usize,
}

/// What waits for one cut.
#[derive(Default)]
struct List {
    hashes: Vec<u64>,
    /// How many cells wait.
    cells: usize,
}

/// Bytes that a shard gathers before it adds them to the sum of all.
const PUBLISHED_AT: usize = 8 << 10;
/// Room for so many hashes is kept from one cut to the next.
const KEPT: usize = 1024;

fn index(parity: Parity) -> usize {
    match parity {
        Parity::Even => 0,
        Parity::Odd => 1,
    }
}

impl Waiting {
    /// How many cells wait, for whichever cut.
    pub(super) fn all_cells(&self) -> usize {
        self.lists.iter().map(|list| list.cells).sum()
    }

    /// The hashes listed for the cut of a parity.
    pub(super) fn hashes(&self, parity: Parity) -> &[u64] {
        &self.lists[index(parity)].hashes
    }

    #[inline]
    pub(super) fn list(&mut self, parity: Parity, hash: u64) {
        let list = &mut self.lists[index(parity)];
        list.hashes.push(hash);
        list.cells += 1;
    }

    /// A waiting cell has gone, or a cut has it; its entry stays.
    #[inline]
    pub(super) fn leave(&mut self, parity: Parity) {
        self.lists[index(parity)].cells -= 1;
    }

    /// Accounts for a cell that waits in the place of another one, or of none.
    #[inline]
    pub(super) fn grow(&mut self, added: usize, removed: usize, sum: &AtomicUsize) {
        self.bytes = (self.bytes + added).saturating_sub(removed);
        if self.bytes >= self.published + PUBLISHED_AT {
            sum.fetch_add(self.bytes - self.published, Ordering::Relaxed);
            self.published = self.bytes;
        }
    }

    /// The hashes listed for a cut, which takes them now. What waits for the
    /// next cut is counted anew.
    pub(super) fn take(&mut self, parity: Parity, sum: &AtomicUsize) -> Vec<u64> {
        sum.fetch_sub(self.published, Ordering::Relaxed);
        (self.bytes, self.published) = (0, 0);
        std::mem::take(&mut self.lists[index(parity)].hashes)
    }

    /// Takes the room of a list back that a cut is done with.
    pub(super) fn reuse(&mut self, parity: Parity, mut hashes: Vec<u64>) {
        let list = &mut self.lists[index(parity)].hashes;
        if list.capacity() == 0 && hashes.capacity() <= KEPT {
            hashes.clear();
            *list = hashes;
        }
    }
}

impl Shard<'_> {
    /// Entries outlive cells that went before they were written. When they are
    /// too many, the list is made anew from the cells.
    #[inline]
    pub(super) fn tidy_waiting(&mut self) {
        let list = &self.cells.waiting.lists[index(self.current)];
        if list.hashes.len() > 2 * list.cells + self.cells.live / 4 + 64 {
            self.list_anew();
        }
    }

    #[cold]
    fn list_anew(&mut self) {
        let is_waiting = |cell: &Value| Mark::of(cell).state == State::Waiting(self.current);
        let waiting = self.cells.iter().filter(|cell| is_waiting(cell));
        let hashes: Vec<u64> = waiting.map(|cell| self.hashing.of_cell(&cell)).collect();
        let current = index(self.current);
        self.cells.waiting.lists[current].hashes = hashes;
    }
}
