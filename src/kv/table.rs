//! The table: cells by key, in shards that are locked one by one.
//!
//! A slot is one pointer, and the cell behind it holds key, stamp and value in
//! one run of memory: a lookup costs one jump into the shard and one out of it.

mod dirty;
mod mark;
mod room;
mod sweep;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::KvError;
use super::edit::{self, Change, Edit, Outcome};
use super::expiry::Expiries;
use crate::platform::clock;
use crate::platform::sync::RwLock;
use crate::value::Value;
pub(super) use mark::Mark;
use mark::written;
pub(super) use room::Room;

/// Whether a cell says that its key was deleted.
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
fn is_visible(cell: &Value) -> bool {
    let expires_at = cell.stamp().expires_at;
    !is_tombstone(cell) && (expires_at == 0 || clock::now_millis() < expires_at)
}

/// Memory of a cell: its bytes, its head and its allocation.
const CELL_OVERHEAD: usize = 80;

pub(super) fn cost(cell: &Value) -> usize {
    cell.key_and_value().len() + CELL_OVERHEAD
}

/// Keeps two shards' locks out of one cache line.
#[repr(align(128))]
struct Padded<T>(T);

#[derive(Default)]
struct Shard {
    cells: HashTable<Value>,
    /// Hashes of the keys whose cells are dirty.
    dirty: Vec<u64>,
    expiries: Expiries,
    /// Cells that are no tombstones.
    live: usize,
    /// Cells that expire some day.
    expiring: usize,
    /// What all cells cost.
    bytes: usize,
}

impl Shard {
    fn find(&self, hash: u64, key: &[u8]) -> Option<&Value> {
        // With the wanted key first, its length is the one compared with: the
        // bytes are fetched without waiting for the cell's own length.
        self.cells.find(hash, |cell| key == cell.key())
    }

    fn count_in(&mut self, hash: u64, cell: &Value) {
        self.live += usize::from(!is_tombstone(cell));
        self.bytes += cost(cell);
        let expires_at = cell.stamp().expires_at;
        if expires_at != 0 {
            self.expiring += 1;
            self.expiries.add(expires_at, hash);
        }
    }

    /// Reminders outlive the cells they were set for. When they are too many,
    /// those go that no cell answers to.
    fn tidy_expiries(&mut self) {
        if self.expiries.len() > 2 * self.expiring + 64 {
            let cells = &self.cells;
            self.expiries
                .retain(|at, hash| cells.iter_hash(hash).any(|cell| cell.stamp().expires_at == at));
        }
    }

    fn count_out(&mut self, cell: &Value) {
        self.live -= usize::from(!is_tombstone(cell));
        self.bytes -= cost(cell);
        self.expiring -= usize::from(cell.stamp().expires_at != 0);
    }

    /// Puts `cell` in the place of its key's present one, which is returned.
    fn set(&mut self, hash: u64, cell: Value, hasher: &RandomState) -> Option<Value> {
        let rehash = |cell: &Value| hasher.hash_one(cell.key());
        self.count_in(hash, &cell);
        match self.cells.entry(hash, |other| other.key() == cell.key(), rehash) {
            Entry::Occupied(mut slot) => {
                let old = std::mem::replace(slot.get_mut(), cell);
                self.count_out(&old);
                self.tidy_expiries();
                Some(old)
            }
            Entry::Vacant(slot) => {
                slot.insert(cell);
                self.tidy_expiries();
                None
            }
        }
    }

    fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Value> {
        let slot = self.cells.find_entry(hash, |cell| cell.key() == key).ok()?;
        let (old, _) = slot.remove();
        self.count_out(&old);
        Some(old)
    }

    /// Decides on `key` and does what was decided. Also gives by how many bytes
    /// the shard grew, and the cell that went, to be freed without the lock.
    fn edit(
        &mut self,
        hash: u64,
        key: &[u8],
        edit: Edit,
        written_behind: bool,
        room: Room,
        hasher: &RandomState,
    ) -> Result<(Outcome, isize, Option<Value>), KvError> {
        let before = self.bytes;
        // A put needs no look at what is there.
        let (change, outcome) = if let Edit::Put(cell) = edit {
            (Change::Set(cell), Outcome::Done)
        } else {
            edit.decide(key, self.find(hash, key).filter(|cell| is_visible(cell)))?
        };
        if let (Some(_), Change::Set(cell)) = (room.bytes, &change) {
            room.check(cost(cell), self.find(hash, key).map_or(0, cost))?;
        }
        let replaced = match change {
            Change::Keep => None,
            Change::Set(cell) if written_behind => self.set_dirty(hash, cell, hasher),
            Change::Set(cell) => self.set(hash, cell, hasher),
            // A key that the file has, or may be about to have, leaves a
            // tombstone until the deletion is written too.
            Change::Remove if written_behind && self.find(hash, key).is_some() => {
                self.set_dirty(hash, edit::tombstone(key), hasher)
            }
            Change::Remove => self.remove(hash, key),
        };
        Ok((outcome, self.bytes as isize - before as isize, replaced))
    }

    /// As [`Shard::set`], for a cell that has to be written to the log.
    fn set_dirty(&mut self, hash: u64, cell: Value, hasher: &RandomState) -> Option<Value> {
        let rehash = |cell: &Value| hasher.hash_one(cell.key());
        self.count_in(hash, &cell);
        match self.cells.entry(hash, |other| other.key() == cell.key(), rehash) {
            Entry::Occupied(mut slot) => {
                let mark = Mark::of(slot.get());
                Mark { dirty: true, ..written(mark.seq) }.set(&cell);
                let old = std::mem::replace(slot.get_mut(), cell);
                if !mark.dirty {
                    self.dirty.push(hash);
                }
                self.count_out(&old);
                self.tidy_expiries();
                Some(old)
            }
            Entry::Vacant(slot) => {
                Mark { dirty: true, ..written(0) }.set(&cell);
                slot.insert(cell);
                self.dirty.push(hash);
                self.tidy_expiries();
                None
            }
        }
    }
}

/// Cells by key. Every call locks one shard for as long as it takes.
pub(super) struct Table {
    shards: Box<[Padded<RwLock<Shard>>]>,
    hasher: RandomState,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) keys: usize,
    pub(super) bytes: usize,
    pub(super) dirty: usize,
}

impl Table {
    /// A table of `shards` shards, a power of two.
    pub(super) fn new(shards: usize) -> Self {
        let shards = (0..shards).map(|_| Padded(RwLock::new(Shard::default()))).collect();
        Self { shards, hasher: RandomState::default() }
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[self.shard_number(hash)].0
    }

    fn shard_number(&self, hash: u64) -> usize {
        // The bits next to those that hashbrown takes for its tags.
        (hash >> 44) as usize & (self.shards.len() - 1)
    }

    /// Calls `read` with the cell of `key` if it is visible.
    pub(super) fn read<R>(&self, key: &[u8], read: impl FnOnce(&Value) -> R) -> Option<R> {
        let hash = self.hasher.hash_one(key);
        let shard = self.shard(hash).read();
        let cell = shard.find(hash, key)?;
        is_visible(cell).then(|| read(cell))
    }

    /// The mark of the cell of `key`, tombstones and expired cells too.
    pub(super) fn mark(&self, key: &[u8]) -> Option<Mark> {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).read().find(hash, key).map(Mark::of)
    }

    /// Decides on `key` and does what was decided, under the shard's lock.
    /// `written_behind`: what changes must reach the log later.
    /// Also tells by how many bytes the table grew or shrank.
    pub(super) fn edit(
        &self,
        key: &[u8],
        edit: Edit,
        written_behind: bool,
        room: Room,
    ) -> Result<(Outcome, isize), KvError> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash).write();
        let (outcome, grown, replaced) =
            shard.edit(hash, key, edit, written_behind, room, &self.hasher)?;
        drop(shard);
        // Freeing the old cell needs no lock.
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
        let places: Vec<u64> = edits.iter().map(|(key, _)| self.hasher.hash_one(&**key)).collect();
        // Locked in their order, as everybody who locks several does.
        let mut wanted: Vec<usize> = places.iter().map(|&hash| self.shard_number(hash)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut locked: Vec<_> =
            wanted.iter().map(|&number| self.shards[number].0.write()).collect();
        let place_of = |hash: u64| wanted.binary_search(&self.shard_number(hash)).unwrap_or(0);
        if room.bytes.is_some() {
            let (mut added, mut removed) = (0, 0);
            for ((key, edit), &hash) in edits.iter().zip(&places) {
                if let Edit::Put(cell) = edit {
                    added += cost(cell);
                    removed += locked[place_of(hash)].find(hash, key).map_or(0, cost);
                }
            }
            room.check(added, removed)?;
        }
        // The sum was checked: from here on nothing is refused.
        let unlimited = Room { bytes: None, ..room };
        let mut total = 0;
        let mut replaced = Vec::with_capacity(edits.len());
        for ((key, edit), hash) in edits.into_iter().zip(places) {
            let shard = &mut locked[place_of(hash)];
            let (_, grown, old) =
                shard.edit(hash, &key, edit, written_behind, unlimited, &self.hasher)?;
            total += grown;
            replaced.push(old);
        }
        drop(locked);
        Ok(total)
    }

    /// Takes in a row of the log: `cell` is the latest state of its key in the
    /// file, as row `seq`. A cell that is not written yet stays; it will be the
    /// later one. One that is on its way is written when its row comes by here:
    /// what another process wrote after that is later. Tells by how many bytes
    /// the table grew.
    pub(super) fn take_in(&self, cell: Value, seq: i64) -> isize {
        let hash = self.hasher.hash_one(cell.key());
        let mut shard = self.shard(hash).write();
        let before = shard.bytes;
        let replaced = match shard.find(hash, cell.key()) {
            Some(present)
                if Mark::of(present).is_unwritten()
                    && !(Mark::of(present).in_flight && is_row_of(&cell, present)) =>
            {
                Mark { seq, ..Mark::of(present) }.set(present);
                None
            }
            _ if is_tombstone(&cell) => shard.remove(hash, cell.key()),
            _ => {
                written(seq).set(&cell);
                shard.set(hash, cell, &self.hasher)
            }
        };
        let grown = shard.bytes as isize - before as isize;
        drop(shard);
        drop(replaced);
        grown
    }

    /// The row of `key` moved from `from` to `to`.
    pub(super) fn moved(&self, key: &[u8], from: i64, to: i64) {
        let hash = self.hasher.hash_one(key);
        let shard = self.shard(hash).write();
        if let Some(cell) = shard.find(hash, key) {
            let mark = Mark::of(cell);
            if mark.seq == from {
                Mark { seq: to, ..mark }.set(cell);
            }
        }
    }

    /// Calls `visit` with every visible cell whose key starts with `prefix`,
    /// in no order, one shard locked at a time.
    pub(super) fn scan(&self, prefix: &[u8], mut visit: impl FnMut(&Value)) {
        for Padded(shard) in &self.shards {
            let shard = shard.read();
            for cell in &shard.cells {
                if cell.key().starts_with(prefix) && is_visible(cell) {
                    visit(cell);
                }
            }
        }
    }

    /// Calls `visit` with every cell and its mark, visible or not, in no order,
    /// one shard locked at a time.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&Value, Mark)) {
        for Padded(shard) in &self.shards {
            for cell in &shard.read().cells {
                visit(cell, Mark::of(cell));
            }
        }
    }

    /// How many visible cells have keys that start with `prefix`.
    pub(super) fn count(&self, prefix: &[u8]) -> u64 {
        let all_visible = |shard: &Shard| prefix.is_empty() && shard.expiring == 0;
        let visible = |shard: &Shard| {
            let wanted = |cell: &&Value| cell.key().starts_with(prefix) && is_visible(cell);
            shard.cells.iter().filter(wanted).count()
        };
        self.shards
            .iter()
            .map(|Padded(shard)| {
                let shard = shard.read();
                if all_visible(&shard) { shard.live as u64 } else { visible(&shard) as u64 }
            })
            .sum()
    }

    /// Forgets cells that came from the log and that `keep` refuses. Tells how
    /// many bytes that freed.
    pub(super) fn retain(&self, mut keep: impl FnMut(&Value) -> bool) -> usize {
        let mut freed = 0;
        for Padded(shard) in &self.shards {
            let mut shard = shard.write();
            let before = shard.bytes;
            let gone: Vec<Value> = shard
                .cells
                .iter()
                .filter(|cell| !Mark::of(cell).is_unwritten() && !keep(cell))
                .cloned()
                .collect();
            for cell in gone {
                let hash = self.hasher.hash_one(cell.key());
                shard.remove(hash, cell.key());
            }
            freed += before - shard.bytes;
        }
        freed
    }

    /// Frees everything.
    pub(super) fn clear(&self) {
        for Padded(shard) in &self.shards {
            let cells = std::mem::take(&mut *shard.write());
            drop(cells);
        }
    }

    /// What the table holds.
    pub(super) fn usage(&self) -> Usage {
        self.shards.iter().fold(Usage::default(), |sum, Padded(shard)| {
            let shard = shard.read();
            Usage {
                keys: sum.keys + shard.live,
                bytes: sum.bytes + shard.bytes,
                dirty: sum.dirty + shard.dirty.len(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Stamp, put_int};

    fn cell(value: Option<i64>) -> Value {
        let mut bytes = b"key".to_vec();
        if let Some(value) = value {
            put_int(&mut bytes, value);
        }
        Value::stored(&bytes, 3, Stamp { timestamp: 7, expires_at: 0 })
    }

    #[test]
    fn what_others_wrote_after_a_cell_on_its_way_is_later() {
        let room = Room { bytes: None, limit: usize::MAX };
        // A value or a deletion of ours, one of theirs; behind it or before it.
        for (ours, theirs, is_ours_later) in [
            (Some(1), Some(2), false),
            (Some(1), None, false),
            (None, Some(2), false),
            (Some(1), Some(2), true),
            (None, Some(2), true),
        ] {
            let table = Table::new(1);
            table.edit(b"key", Edit::Put(cell(Some(0))), true, room).unwrap();
            table.edit(b"key", Edit::Put(cell(ours)), true, room).unwrap();
            let (written, _) = table.write_dirty(10, |cells| {
                // A reader sees the commit before the writer gets to publish.
                let mut rows = [cell(ours), cell(theirs)];
                if is_ours_later {
                    rows.reverse();
                }
                for (row, seq) in rows.into_iter().zip(1..) {
                    table.take_in(row, seq);
                }
                assert_eq!(cells.len(), 1);
                Ok::<_, ()>(())
            });
            written.unwrap();
            let expected = if is_ours_later { ours } else { theirs };
            let expected = expected.map(|value| cell(Some(value)).as_bytes().to_vec());
            let found = table.read(b"key", |cell| cell.as_bytes().to_vec());
            assert_eq!(found, expected, "{ours:?} {theirs:?} {is_ours_later}");
        }
    }
}
