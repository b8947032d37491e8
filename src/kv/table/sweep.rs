//! Freeing what has expired.

use super::mark::{Mark, State};
use super::shard::Shard;
use super::{Padded, Table, cost};
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

/// Cells freed under a lock in one go, so that others get in between.
const PORTION: usize = 8;
/// How long a cell stays that the file has to be told of first (milliseconds).
const LATER: i64 = 1000;

impl Table {
    /// Frees cells that expired before `now` (milliseconds).
    pub(in crate::kv) fn sweep(&self, now: i64) -> Swept {
        let mut swept = Swept::default();
        for Padded(cells) in &self.shards {
            loop {
                let mut gone = Vec::new();
                let has_more = self.locked(cells).sweep(now, &mut gone);
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
}

impl Shard<'_> {
    /// Takes some expired cells out; true if there may be more.
    fn sweep(&mut self, now: i64, gone: &mut Vec<TakenOut<Value>>) -> bool {
        for _ in 0..PORTION {
            let Some(hash) = self.cells.expiries.take_due(now) else { return false };
            let is_expired = |cell: &Value| {
                let expires_at = cell.stamp().expires_at;
                expires_at != 0 && expires_at <= now
            };
            let found = self.cells.find_hashed(hash, |it| self.hashing.of_cell(it), is_expired);
            let Some((place, cell)) = found else { continue };
            let mark = Mark::of(&cell);
            let goes = match mark.state {
                State::Written | State::Superseded => true,
                // Otherwise the file has an older state that must not come
                // back, or is about to have one.
                State::Waiting(parity) => parity == self.current && mark.leaves_nothing(),
                State::InFlight => false,
            };
            if goes {
                gone.push(self.remove_at(place));
            } else {
                self.cells.expiries.add(now + LATER, hash);
            }
        }
        true
    }
}
