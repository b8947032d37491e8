//! Every cell of a table, and whether what waits to be written is held by
//! anything that will write it.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::Table;
use super::mark::{Mark, State};
use crate::value::Value;

impl Table {
    /// Calls `visit` with every cell and its mark, visible or not, in no order,
    /// one shard locked at a time. Not while a cut is taken.
    ///
    /// `is_held` tells whether a cut has the cell. Gives the keys of cells that
    /// say they wait or are in flight, while no list and no cut has them: they
    /// would never be written.
    pub(in crate::kv) fn picture(
        &self,
        is_held: impl Fn(&Value) -> bool,
        mut visit: impl FnMut(&Value, Mark),
    ) -> Vec<Box<[u8]>> {
        let mut forgotten = Vec::new();
        for shard in self.shards() {
            let mut entries = HashMap::<u64, usize, RandomState>::default();
            for &hash in shard.cells.waiting.hashes(shard.current) {
                *entries.entry(hash).or_default() += 1;
            }
            for cell in shard.cells.iter() {
                let mark = Mark::of(&cell);
                let is_safe = match mark.state {
                    State::Written => true,
                    State::InFlight => is_held(&cell),
                    State::Waiting(parity) if parity == shard.current => {
                        let entry = entries.get_mut(&self.hash(cell.key()));
                        entry.filter(|left| **left > 0).map(|left| *left -= 1).is_some()
                    }
                    // No cut is being taken; and in a table is the latest cell.
                    State::Waiting(_) | State::Superseded => false,
                };
                if !is_safe {
                    forgotten.push(cell.key().into());
                }
                visit(&cell, mark);
            }
        }
        forgotten
    }
}
