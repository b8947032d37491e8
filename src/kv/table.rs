//! The table: cells by key, in shards that are locked one by one to change
//! them, and read without a lock.
//!
//! A slot is one pointer, and the cell behind it holds key, stamp and value in
//! one run of memory: a lookup costs one jump into the shard and one out of it.

mod cut;
mod hashing;
mod mark;
mod picture;
mod room;
mod shard;
mod sweep;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::atomic::{AtomicUsize, Ordering};

use super::KvError;
use super::edit::{self, Edit, Outcome};
use crate::platform::cells::{Cells, Found, Keyed};
use crate::platform::{clock, rcu};
use crate::sorting;
use crate::value::{Stamp, Value};
pub(super) use cut::fetched;
use hashing::Hashing;
pub(super) use mark::Mark;
use mark::{Parity, State, written};
pub(super) use room::Room;
use shard::{Kept, Shard};

/// Whether a cell says that its key was deleted.
#[inline]
pub(super) fn is_tombstone(cell: &Value) -> bool {
    cell.as_bytes().is_empty()
}

/// Whether `row`, taken in from the log, may be the row of `cell`. What has
/// expired comes in without its value.
fn is_row_of(row: &Value, cell: &Value) -> bool {
    let is_over = row.stamp().expires_at != 0 && is_tombstone(row);
    row.stamp() == cell.stamp() && (is_over || row.as_bytes() == cell.as_bytes())
}

/// Whether a read finds the cell: it is neither a tombstone nor expired.
#[inline]
fn is_visible(cell: &Value) -> bool {
    let expires_at = cell.stamp().expires_at;
    !is_tombstone(cell) && (expires_at == 0 || clock::now_millis() < expires_at)
}

/// Memory of a cell: its bytes, its head and its allocation.
const CELL_OVERHEAD: usize = 72;

#[inline]
pub(super) fn cost(cell: &Value) -> usize {
    cell.stored_len() + CELL_OVERHEAD
}

/// Keeps two shards out of one cache line.
#[repr(align(128))]
#[derive(Default)]
struct Padded<T>(T);

impl Keyed for Value {
    #[inline(always)]
    fn has_key(&self, key: &[u8]) -> bool {
        is_same_key(key, self.key())
    }
}

/// Keys are short: most are compared as two words.
#[inline(always)]
fn is_same_key(key: &[u8], other: &[u8]) -> bool {
    if key.len() != other.len() {
        return false;
    }
    let ends = |bytes: &[u8]| Some((*bytes.first_chunk::<8>()?, *bytes.last_chunk::<8>()?));
    match (ends(key), ends(other)) {
        (Some(ends), Some(other_ends)) if key.len() <= 16 => ends == other_ends,
        _ => are_equal(key, other),
    }
}

#[inline(never)]
fn are_equal(key: &[u8], other: &[u8]) -> bool {
    key == other
}

/// Cells by key, in shards that are changed by one thread at a time and read
/// by any number without a lock.
pub(super) struct Table {
    shards: Box<[Padded<Cells<Value, Kept>>]>,
    hashing: Hashing,
    /// How many cuts were begun ([`cut`]). Read under the lock of a shard.
    epoch: AtomicUsize,
    /// What waits for the next cut, about, in bytes.
    waiting_bytes: AtomicUsize,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) keys: usize,
    pub(super) bytes: usize,
    /// Cells that wait for a cut.
    pub(super) waiting: usize,
}

impl Table {
    /// A table of `shards` shards, a power of two.
    pub(super) fn new(shards: usize) -> Self {
        Self::with_hashing(shards, Hashing::default())
    }

    fn with_hashing(shards: usize, hashing: Hashing) -> Self {
        let shards = (0..shards).map(|_| Padded::default()).collect();
        let (epoch, waiting_bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { shards, hashing, epoch, waiting_bytes }
    }

    #[inline(always)]
    fn hash(&self, key: &[u8]) -> u64 {
        self.hashing.of(key)
    }

    #[inline]
    fn cells(&self, hash: u64) -> &Cells<Value, Kept> {
        &self.shards[self.shard_number(hash)].0
    }

    /// The right to change the shard of `hash`.
    #[inline]
    fn shard(&self, hash: u64) -> Shard<'_> {
        self.locked(self.cells(hash))
    }

    #[inline]
    fn locked<'a>(&'a self, cells: &'a Cells<Value, Kept>) -> Shard<'a> {
        // The epoch is read under the lock: a shard that a cut has been at
        // belongs to the next one.
        let cells = cells.lock();
        let current = self.current();
        Shard { cells, hashing: &self.hashing, current, waiting_bytes: &self.waiting_bytes }
    }

    /// The cut that takes what is written from now on.
    #[inline]
    fn current(&self) -> Parity {
        Parity::of(self.epoch.load(Ordering::Relaxed))
    }

    /// What waits for the next cut, about, in bytes.
    #[inline]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Every shard, one after the other.
    fn shards(&self) -> impl Iterator<Item = Shard<'_>> {
        self.shards.iter().map(|Padded(cells)| self.locked(cells))
    }

    #[inline]
    fn shard_number(&self, hash: u64) -> usize {
        // Neither the bits where a search begins nor those that the slots keep.
        hash as usize & (self.shards.len() - 1)
    }

    /// The cell of `key` if it is visible.
    #[inline(always)]
    pub(super) fn get(&self, key: &[u8]) -> Option<Found<Value>> {
        let hash = self.hash(key);
        let found = self.cells(hash).get(hash, key)?;
        is_visible(&found).then_some(found)
    }

    /// The mark of the cell of `key`, tombstones and expired cells too.
    pub(super) fn mark(&self, key: &[u8]) -> Option<Mark> {
        let hash = self.hash(key);
        self.cells(hash).get(hash, key).map(|cell| Mark::of(&cell))
    }

    /// Puts a new cell under `key`, whatever is there; key and value are copied.
    /// `written_behind`: it must reach the log later. Tells by how many bytes
    /// the table grew.
    #[inline(always)]
    pub(super) fn put(
        &self,
        key: &[u8],
        value: &[u8],
        stamp: Stamp,
        written_behind: bool,
        room: Room,
    ) -> Result<isize, KvError> {
        let hash = self.hash(key);
        let cells = self.cells(hash);
        // Making the new cell takes as long as fetching the old one.
        cells.prefetch(hash);
        let cell = edit::new_cell(key, value, stamp)?;
        let mut shard = self.locked(cells);
        if room.bytes.is_some() {
            room.check(cost(&cell), shard.cost_of(hash, key))?;
        }
        let before = shard.cells.bytes;
        let replaced = shard.put(hash, cell, written_behind);
        let grown = shard.cells.bytes as isize - before as isize;
        drop(shard);
        // Giving the old cell up needs no lock.
        drop(replaced);
        Ok(grown)
    }

    /// Decides on `key` and does what was decided, under the shard's lock.
    /// `written_behind`: what changes must reach the log later.
    /// Also tells by how many bytes the table grew or shrank.
    #[inline]
    pub(super) fn edit(
        &self,
        key: &[u8],
        edit: Edit,
        written_behind: bool,
        room: Room,
    ) -> Result<(Outcome, isize), KvError> {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let (outcome, grown, replaced) = shard.edit(hash, key, edit, written_behind, room)?;
        drop(shard);
        // Giving the old cell up needs no lock.
        drop(replaced);
        Ok((outcome, grown))
    }

    /// Does puts and deletions, visible together. Tells by how many bytes the
    /// table grew.
    pub(super) fn edit_all(
        &self,
        edits: Vec<(Box<[u8]>, Edit)>,
        written_behind: bool,
        room: Room,
    ) -> Result<isize, KvError> {
        let places: Vec<u64> = edits.iter().map(|(key, _)| self.hash(key)).collect();
        // Locked in their order, as everybody who locks several does.
        let mut wanted: Vec<usize> = places.iter().map(|&hash| self.shard_number(hash)).collect();
        sorting::sort(&mut wanted);
        wanted.dedup();
        let mut locked: Vec<Shard<'_>> =
            wanted.iter().map(|&number| self.locked(&self.shards[number].0)).collect();
        let place_of = |hash: u64| wanted.binary_search(&self.shard_number(hash)).unwrap_or(0);
        if room.bytes.is_some() {
            let (mut added, mut removed) = (0, 0);
            for ((key, edit), &hash) in edits.iter().zip(&places) {
                if let Edit::Put(cell) = edit {
                    added += cost(cell);
                    removed += locked[place_of(hash)].cost_of(hash, key);
                }
            }
            room.check(added, removed)?;
        }
        // All of them belong to one cut. A cut that has been at one of the
        // shards is known here; one that begins now waits for all of them.
        let current = self.current();
        locked.iter_mut().for_each(|shard| shard.current = current);
        // Who sees one of the changes sees all of them from then on.
        locked.iter_mut().for_each(|shard| shard.cells.hold_readers());
        // The sum was checked: from here on nothing is refused.
        let unlimited = Room { bytes: None, ..room };
        let mut total = 0;
        let mut replaced = Vec::with_capacity(edits.len());
        for ((key, edit), hash) in edits.into_iter().zip(places) {
            let shard = &mut locked[place_of(hash)];
            let (_, grown, old) = shard.edit(hash, &key, edit, written_behind, unlimited)?;
            total += grown;
            replaced.push(old);
        }
        drop(locked);
        Ok(total)
    }

    /// Takes in a row of the log: `cell` is the latest state of its key in the
    /// file, as row `seq`. A cell that is not written yet stays; it will be the
    /// later one. One that is on its way is written when its row comes by here
    /// (`is_own`: the row is of a cut of ours): what another process wrote after
    /// that is later. Tells by how many bytes the table grew.
    pub(super) fn take_in(&self, cell: Value, seq: i64, is_own: bool) -> isize {
        let hash = self.hash(cell.key());
        let mut shard = self.shard(hash);
        let before = shard.cells.bytes;
        let stays = shard.find(hash, cell.key()).is_some_and(|present| {
            let mark = Mark::of(&present);
            let is_row = is_own && mark.state == State::InFlight && is_row_of(&cell, &present);
            if is_row {
                // The cut finds nothing left to do.
                written(seq).set(&present);
                return !is_tombstone(&present);
            }
            if mark.is_unwritten() {
                Mark { seq, ..mark }.set(&present);
            }
            mark.is_unwritten()
        });
        let replaced = if stays {
            None
        } else if is_tombstone(&cell) {
            shard.remove(hash, cell.key())
        } else {
            shard.set(hash, cell, written(seq))
        };
        let grown = shard.cells.bytes as isize - before as isize;
        drop(shard);
        drop(replaced);
        grown
    }

    /// The row of `key` moved from `from` to `to`.
    pub(super) fn moved(&self, key: &[u8], from: i64, to: i64) {
        let hash = self.hash(key);
        let shard = self.shard(hash);
        if let Some(cell) = shard.find(hash, key) {
            let mark = Mark::of(&cell);
            if mark.seq == from {
                Mark { seq: to, ..mark }.set(&cell);
            }
        }
    }

    /// Calls `visit` with every visible cell whose key starts with `prefix`,
    /// in no order.
    pub(super) fn scan(&self, prefix: &[u8], mut visit: impl FnMut(&Value)) {
        for Padded(cells) in &self.shards {
            cells.for_each(|cell| {
                if cell.key().starts_with(prefix) && is_visible(cell) {
                    visit(cell);
                }
            });
        }
    }

    /// How many visible cells have keys that start with `prefix`.
    pub(super) fn count(&self, prefix: &[u8]) -> u64 {
        if prefix.is_empty() {
            let known =
                |shard: Shard<'_>| (shard.cells.expiring == 0).then_some(shard.cells.live as u64);
            if let Some(count) = self.shards().map(known).sum() {
                return count;
            }
        }
        let mut count = 0;
        self.scan(prefix, |_| count += 1);
        count
    }

    /// Forgets cells that came from the log and that `keep` refuses. Tells how
    /// many bytes that freed.
    pub(super) fn retain(&self, mut keep: impl FnMut(&Value) -> bool) -> usize {
        let mut freed = 0;
        for mut shard in self.shards() {
            let before = shard.cells.bytes;
            let gone: Vec<Value> = shard
                .cells
                .iter()
                .filter(|cell| !Mark::of(cell).is_unwritten() && !keep(cell))
                .map(|cell| cell.clone())
                .collect();
            let gone: Vec<_> =
                gone.iter().map(|cell| shard.remove(self.hash(cell.key()), cell.key())).collect();
            freed += before - shard.cells.bytes;
            // Giving them up needs no lock.
            drop(shard);
            drop(gone);
        }
        freed
    }

    /// Frees everything.
    pub(super) fn clear(&self) {
        for mut shard in self.shards() {
            *shard.cells = Kept::default();
            shard.cells.clear();
        }
        self.waiting_bytes.store(0, Ordering::Relaxed);
        rcu::tidy();
    }

    /// What the table holds.
    pub(super) fn usage(&self) -> Usage {
        self.shards().fold(Usage::default(), |sum, shard| Usage {
            keys: sum.keys + shard.cells.live,
            bytes: sum.bytes + shard.cells.bytes,
            waiting: sum.waiting + shard.cells.waiting.all_cells(),
        })
    }
}
