//! Cells on their way to the file.

use std::hash::BuildHasher;

use super::mark::Mark;
use super::{Padded, Shard, Table, cost, is_tombstone};
use crate::value::Value;

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
        for Padded(shard) in &self.shards {
            // What is marked from here on is for the next time: no key may
            // come twice, or its earlier cell would follow its later one.
            let mut listed = std::mem::take(&mut shard.write().dirty);
            while !listed.is_empty() && result.is_ok() {
                let room = limit - portion.len();
                let hashes = listed.split_off(listed.len().saturating_sub(room));
                take_off(&shard.write(), &hashes, &mut portion);
                if portion.len() >= limit {
                    result = write(&portion);
                    freed += self.landed(&portion, result.is_ok());
                    portion.clear();
                }
            }
            if result.is_err() {
                shard.write().dirty.append(&mut listed);
                break;
            }
        }
        if result.is_ok() && !portion.is_empty() {
            result = write(&portion);
        }
        freed += self.landed(&portion, result.is_ok());
        (result, freed)
    }

    /// Cells come out of flight: they are in the file, or wait again. Tells
    /// how many bytes were freed.
    fn landed(&self, cells: &[Value], is_written: bool) -> usize {
        let mut freed = 0;
        for cell in cells {
            let hash = self.hasher.hash_one(cell.key());
            let mut shard = self.shard(hash).write();
            // If the key has another cell by now, that one is listed already.
            let Some(present) = shard.find(hash, cell.key()).filter(|it| it.is_same_cell(cell))
            else {
                continue;
            };
            let mark = Mark { in_flight: false, dirty: !is_written, ..Mark::of(present) };
            mark.set(present);
            if !is_written {
                shard.dirty.push(hash);
            } else if is_tombstone(cell) {
                shard.remove(hash, cell.key());
                freed += cost(cell);
            }
        }
        freed
    }
}

/// Puts the dirty cells with these hashes in flight.
fn take_off(shard: &Shard, hashes: &[u64], portion: &mut Vec<Value>) {
    for &hash in hashes {
        // Two keys can share a hash; both may be listed.
        for cell in shard.cells.iter_hash(hash) {
            let mark = Mark::of(cell);
            if mark.dirty {
                Mark { dirty: false, in_flight: true, ..mark }.set(cell);
                portion.push(cell.clone());
            }
        }
    }
}
