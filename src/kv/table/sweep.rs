//! Freeing what has expired.

use std::hash::BuildHasher;

use super::mark::Mark;
use super::{Padded, Shard, Table};
use crate::value::Value;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kv) struct Swept {
    /// Bytes that were freed.
    pub(in crate::kv) freed: usize,
    /// When the next cell expires, in milliseconds since the epoch.
    pub(in crate::kv) next: Option<i64>,
}

impl Table {
    /// Frees cells that expired before `now` (milliseconds).
    pub(in crate::kv) fn sweep(&self, now: i64) -> Swept {
        let mut swept = Swept::default();
        for Padded(cells) in &self.shards {
            // In portions, so that others get in between.
            while self.sweep_portion(&mut self.locked(cells), now, &mut swept.freed) {}
            swept.next = swept.next.into_iter().chain(cells.lock().expiries.next()).min();
        }
        swept
    }

    /// Frees some expired cells; true if there may be more.
    fn sweep_portion(&self, shard: &mut Shard<'_>, now: i64, freed: &mut usize) -> bool {
        const PORTION: usize = 32;
        let before = shard.cells.bytes;
        let mut is_done = false;
        for _ in 0..PORTION {
            let Some(hash) = shard.cells.expiries.take_due(now) else {
                is_done = true;
                break;
            };
            let is_expired = |cell: &Value| {
                let expires_at = cell.stamp().expires_at;
                expires_at != 0 && expires_at <= now
            };
            let Some(cell) = shard.cells.find(hash, is_expired).map(|(_, cell)| cell.clone())
            else {
                continue;
            };
            if Mark::of(&cell).is_unwritten() {
                // The file still has an older state that must not come back.
                shard.cells.expiries.add(now + 1000, hash);
            } else {
                let hash = self.hasher.hash_one(cell.key());
                shard.remove(hash, cell.key());
            }
        }
        *freed += before - shard.cells.bytes;
        !is_done
    }
}
