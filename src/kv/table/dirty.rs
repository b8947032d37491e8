//! Cells on their way to the file.

use super::mark::Mark;
use super::{Padded, Shard, Table, cost, is_tombstone};
use crate::platform::cells::give_back;
use crate::value::Value;

/// Cells taken under a lock in one go: who wants to put meanwhile spins, where
/// it would go to sleep if it took longer.
const AT_A_TIME: usize = 8;

impl Table {
    /// Gives the cells that wait to be written to `write`, in portions of about
    /// `limit`, until it fails. Each key is given once; while `write` has a
    /// cell it is in flight, and nobody takes it for written. Also tells how
    /// many bytes that freed: the names of deleted keys.
    pub(in crate::kv) fn write_dirty<E>(
        &self,
        limit: usize,
        mut write: impl FnMut(&[Value]) -> Result<(), E>,
    ) -> (Result<(), E>, usize) {
        let mut portion = Vec::new();
        let mut result = Ok(());
        let mut freed = 0;
        for Padded(cells) in &self.shards {
            // What is marked from here on is for the next time: no key may
            // come twice, or its earlier cell would follow its later one.
            let mut listed = std::mem::take(&mut cells.lock().dirty);
            while !listed.is_empty() && result.is_ok() {
                // Few at a time, so that puts get in between.
                let few = AT_A_TIME.min(limit - portion.len());
                let hashes = listed.split_off(listed.len().saturating_sub(few));
                take_off(&self.locked(cells), &hashes, &mut portion);
                if portion.len() >= limit {
                    result = write(&portion);
                    freed += self.landed(&portion, result.is_ok());
                    give_back(&mut portion);
                }
            }
            if result.is_err() {
                cells.lock().dirty.append(&mut listed);
                break;
            }
        }
        if result.is_ok() && !portion.is_empty() {
            result = write(&portion);
        }
        freed += self.landed(&portion, result.is_ok());
        give_back(&mut portion);
        (result, freed)
    }

    /// Cells come out of flight: they are in the file, or wait again. Tells
    /// how many bytes were freed.
    fn landed(&self, cells: &[Value], is_written: bool) -> usize {
        let mut freed = 0;
        for cell in cells {
            let hash = self.hash(cell.key());
            let mut shard = self.shard(hash);
            // If the key has another cell by now, that one is listed already.
            if shard.cells.find(hash, |present| present.is_same_cell(cell)).is_none() {
                continue;
            }
            Mark { in_flight: false, dirty: !is_written, ..Mark::of(cell) }.set(cell);
            if !is_written {
                shard.cells.dirty.push(hash);
            } else if is_tombstone(cell) {
                let gone = shard.remove(hash, cell.key());
                freed += cost(cell);
                // Giving it up needs no lock.
                drop(shard);
                drop(gone);
            }
        }
        freed
    }
}

/// Puts the dirty cells with these hashes in flight.
fn take_off(shard: &Shard<'_>, hashes: &[u64], portion: &mut Vec<Value>) {
    for &hash in hashes {
        // Two keys can share a hash; both are listed then.
        if let Some((_, cell)) = shard.cells.find(hash, |cell| Mark::of(cell).dirty) {
            Mark { dirty: false, in_flight: true, ..Mark::of(&cell) }.set(&cell);
            portion.push(cell.clone());
        }
    }
}
