//! Freeing what has expired.

use super::mark::Mark;
use super::{Padded, Shard, Table, cost};
use crate::platform::cells::{TakenOut, give_back_taken_out};
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
            loop {
                let mut gone = Vec::new();
                let has_more = self.sweep_portion(&mut self.locked(cells), now, &mut gone);
                swept.freed += gone.iter().map(|cell| cost(cell)).sum::<usize>();
                give_back_taken_out(gone);
                if !has_more {
                    break;
                }
            }
            swept.next = swept.next.into_iter().chain(cells.lock().expiries.next()).min();
        }
        swept
    }

    /// Takes some expired cells out; true if there may be more.
    fn sweep_portion(
        &self,
        shard: &mut Shard<'_>,
        now: i64,
        gone: &mut Vec<TakenOut<Value>>,
    ) -> bool {
        const PORTION: usize = 8;
        for _ in 0..PORTION {
            let Some(hash) = shard.cells.expiries.take_due(now) else { return false };
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
                let hash = self.hash(cell.key());
                gone.extend(shard.remove(hash, cell.key()));
            }
        }
        true
    }
}
