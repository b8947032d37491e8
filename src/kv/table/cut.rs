//! Cuts: what the registry holds at one moment and the file does not have yet.
//!
//! A cut is what reaches the file in one commit. It must be the state of one
//! moment: if it holds a write, it holds all writes before that one, and all of
//! the batch that the write belongs to. So each cut has a number, the epoch,
//! and each waiting cell the parity of the epoch it belongs to. Taking a cut
//! begins with the next epoch; a shard that is locked after that belongs to the
//! next cut with everything it is given, and the cut takes what the shard has
//! of the epoch before. A cell of the cut that is replaced before the cut gets
//! to it is put aside for it.
//!
//! One cut is taken at a time, and has taken every cell when the next begins:
//! two parities are enough.

use std::sync::atomic::Ordering;

use super::mark::{Mark, Parity, State, written};
use super::shard::Shard;
use super::{Padded, Table, cost, is_tombstone};
use crate::kv::blocks::Blocks;
use crate::platform::cells::TakenOut;
use crate::platform::clock;
use crate::value::Value;

/// Cells taken or given back under a lock in one go: who wants to put meanwhile
/// spins, where it would go to sleep if it took longer.
const AT_A_TIME: usize = 8;
/// How many cells are fetched ahead.
const AHEAD: usize = 12;

impl Table {
    /// Takes everything that waits at this moment. The cells are in flight from
    /// then on: the caller keeps them until the file has them
    /// ([`Table::land`]). One at a time.
    pub(in crate::kv) fn take_cut(&self) -> Blocks<Value> {
        let closed = Parity::of(self.epoch.fetch_add(1, Ordering::Relaxed));
        let now = clock::now_millis();
        let mut cut = Blocks::default();
        for Padded(cells) in &self.shards {
            let hashes = cells.lock().waiting.take(closed, &self.waiting_bytes);
            for few in hashes.chunks(AT_A_TIME) {
                // Fetched at once, and not under the lock; puts get in between.
                few.iter().for_each(|&hash| cells.prefetch(hash));
                let mut shard = self.locked(cells);
                few.iter().for_each(|&hash| shard.take_off(hash, closed, now, &mut cut));
            }
            let mut shard = self.locked(cells);
            std::mem::take(&mut shard.cells.waiting.displaced)
                .into_iter()
                .for_each(|it| cut.push(it));
            shard.cells.waiting.reuse(closed, hashes);
        }
        cut
    }

    /// Cells of a cut are in the file, as the rows from `first` on. Tells how
    /// many bytes that freed: the names of deleted keys.
    pub(in crate::kv) fn land<'c>(
        &self,
        cells: impl Iterator<Item = &'c Value> + Clone,
        first: i64,
    ) -> usize {
        let mut freed = 0;
        let mut rows = fetched(cells).zip(first..);
        let mut gone = Vec::with_capacity(AT_A_TIME);
        let mut next = rows.next();
        while let Some((cell, _)) = next {
            // Neighbours in a cut are in one shard.
            let number = self.shard_number(self.hash(cell.key()));
            let mut shard = self.locked(&self.shards[number].0);
            for _ in 0..AT_A_TIME {
                let Some((cell, seq)) = next else { break };
                let hash = self.hash(cell.key());
                if self.shard_number(hash) != number {
                    break;
                }
                let old = shard.land(hash, cell, seq);
                freed += old.as_deref().map_or(0, cost);
                gone.extend(old);
                next = rows.next();
            }
            drop(shard);
            // Giving them up needs no lock.
            gone.clear();
        }
        freed
    }
}

/// Cells that the processor is asked for some time before they are given.
pub(in crate::kv) fn fetched<'c>(
    cells: impl Iterator<Item = &'c Value> + Clone,
) -> impl Iterator<Item = &'c Value> {
    let mut ahead = cells.clone();
    ahead.by_ref().take(AHEAD).for_each(Value::prefetch);
    cells.inspect(move |_| ahead.next().into_iter().for_each(Value::prefetch))
}

impl Shard<'_> {
    /// Puts a waiting cell with this hash in flight. Two keys can share a hash:
    /// both are listed then, and each entry takes one of them.
    fn take_off(&mut self, hash: u64, closed: Parity, now: i64, cut: &mut Blocks<Value>) {
        let waits = |cell: &Value| Mark::of(cell).state == State::Waiting(closed);
        let Some((_, cell)) = self.cells.find_hashed(hash, |it| self.hashing.of_cell(it), waits)
        else {
            return;
        };
        let mark = Mark::of(&cell);
        let expires_at = cell.stamp().expires_at;
        if mark.leaves_nothing() && expires_at != 0 && expires_at <= now {
            // Nobody sees it any more, and the file knows nothing of it.
            written(0).set(&cell);
        } else {
            Mark { state: State::InFlight, ..mark }.set(&cell);
            cut.push(cell.clone());
        }
        self.cells.waiting.leave(closed);
    }

    /// A cell of a cut is in the file. Gives it if it goes: a tombstone.
    fn land(&mut self, hash: u64, cell: &Value, seq: i64) -> Option<TakenOut<Value>> {
        match Mark::of(cell).state {
            State::InFlight if is_tombstone(cell) => return self.remove(hash, cell.key()),
            State::InFlight => written(seq).set(cell),
            State::Superseded => {
                if let Some(present) = self.find(hash, cell.key()) {
                    Mark { seq, ..Mark::of(&present) }.set(&present);
                }
            }
            // A reader met the row first and has told the table.
            State::Written | State::Waiting(_) => {}
        }
        None
    }
}
