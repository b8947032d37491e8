//! A shard of a table, for the one who changes it: what it counts, and what a
//! change does to its cells.

use std::sync::atomic::AtomicUsize;

use super::hashing::Hashing;
use super::mark::{Mark, Parity, State, written};
use super::waiting::Waiting;
use super::{Room, cost, is_tombstone, is_visible};
use crate::kv::KvError;
use crate::kv::edit::{self, Change, Edit, Outcome};
use crate::kv::expiry::Expiries;
use crate::platform::cells::{Locked, Place, Seen, TakenOut};
use crate::value::Value;

/// What a shard knows about its cells.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) waiting: Waiting,
    pub(super) expiries: Expiries,
    /// Cells that are no tombstones.
    pub(super) live: usize,
    /// Cells that expire some day.
    pub(super) expiring: usize,
    /// What all cells cost.
    pub(super) bytes: usize,
}

/// A shard, for the one who changes it.
pub(super) struct Shard<'a> {
    pub(super) cells: Locked<'a, Value, Kept>,
    pub(super) hashing: &'a Hashing,
    /// The cut that takes what is written now.
    pub(super) current: Parity,
    /// What waits in all shards, in bytes.
    pub(super) waiting_bytes: &'a AtomicUsize,
}

impl Shard<'_> {
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Seen<'_, Value>> {
        self.cells.find(hash, key).map(|(_, seen)| seen)
    }

    #[inline]
    fn count_in(&mut self, hash: u64, cell: &Value) {
        self.cells.live += usize::from(!is_tombstone(cell));
        self.cells.bytes += cost(cell);
        let expires_at = cell.stamp().expires_at;
        if expires_at != 0 {
            self.cells.expiring += 1;
            self.cells.expiries.add(expires_at, hash);
        }
    }

    #[inline]
    fn count_out(&mut self, cell: &Value) {
        self.cells.live -= usize::from(!is_tombstone(cell));
        self.cells.bytes -= cost(cell);
        self.cells.expiring -= usize::from(cell.stamp().expires_at != 0);
    }

    /// Reminders outlive the cells they were set for. When they are too many,
    /// they are made anew from the cells.
    #[inline]
    fn tidy_expiries(&mut self) {
        if self.cells.expiries.len() > 2 * self.cells.expiring + self.cells.live / 4 + 64 {
            self.remind_anew();
        }
    }

    #[cold]
    fn remind_anew(&mut self) {
        let mut expiries = std::mem::take(&mut self.cells.expiries);
        let reminder = |cell: &Value| (cell.stamp().expires_at, self.hashing.of_cell(cell));
        let expiring = self.cells.iter().filter(|cell| cell.stamp().expires_at != 0);
        expiries.renew(expiring.map(|cell| reminder(&cell)));
        self.cells.expiries = expiries;
    }

    /// Puts `cell`, whose mark is set, at the place of its key's present one,
    /// which is given back, or adds it.
    #[inline(always)]
    fn set_at(&mut self, place: Option<Place>, hash: u64, cell: Value) -> Option<TakenOut<Value>> {
        self.count_in(hash, &cell);
        let old = match place {
            Some(place) => {
                let old = self.cells.replace(place, cell);
                self.count_out(&old);
                Some(old)
            }
            None => {
                let hashing = self.hashing;
                self.cells.insert(hash, cell, |cell| hashing.of_cell(cell));
                None
            }
        };
        self.tidy_expiries();
        old
    }

    /// Puts `cell` with this mark in the place of its key's present one, which
    /// is given back.
    #[inline]
    pub(super) fn set(&mut self, hash: u64, cell: Value, mark: Mark) -> Option<TakenOut<Value>> {
        mark.set(&cell);
        let place = self.cells.find_here(hash, cell.key()).map(|(place, _)| place);
        self.set_at(place, hash, cell)
    }

    /// As [`Shard::set`], for a cell that has to be written to the log.
    #[inline]
    fn set_waiting(&mut self, hash: u64, cell: Value) -> Option<TakenOut<Value>> {
        let state = State::Waiting(self.current);
        let (mut seq, mut removed, mut is_listed) = (0, 0, false);
        let mut displaced = None;
        let present = self.cells.find_here(hash, cell.key());
        let place = present.map(|(place, present)| {
            let mark = Mark::of(&present);
            seq = mark.seq;
            match mark.state {
                State::Waiting(parity) if parity == self.current => {
                    (is_listed, removed) = (true, cost(&present));
                }
                // A cut has the present cell, or is about to take it.
                State::Waiting(_) => {
                    displaced = Some(present.clone());
                    seq = mark.seq_after_flight();
                    Mark::supersede(&present);
                }
                State::InFlight => {
                    seq = mark.seq_after_flight();
                    Mark::supersede(&present);
                }
                State::Written | State::Superseded => {}
            }
            place
        });
        Mark { seq, state }.set(&cell);
        if let Some(displaced) = displaced {
            self.displace(displaced);
        }
        let sum = self.waiting_bytes;
        let current = self.current;
        let waiting = &mut self.cells.waiting;
        waiting.grow(cost(&cell), removed, sum);
        if !is_listed {
            waiting.list(current, hash);
            self.tidy_waiting();
        }
        self.set_at(place, hash, cell)
    }

    /// Puts a cell aside for the cut that it belongs to, which has not come to
    /// it yet.
    #[cold]
    fn displace(&mut self, cell: Value) {
        let closed = self.current.other();
        self.cells.waiting.leave(closed);
        self.cells.waiting.displaced.push(cell);
    }

    /// Puts a new cell in the place of its key's present one, which is given
    /// back.
    #[inline]
    pub(super) fn put(
        &mut self,
        hash: u64,
        cell: Value,
        written_behind: bool,
    ) -> Option<TakenOut<Value>> {
        if written_behind { self.set_waiting(hash, cell) } else { self.set(hash, cell, written(0)) }
    }

    /// What the cell of `key` costs, if there is one.
    #[cold]
    pub(super) fn cost_of(&self, hash: u64, key: &[u8]) -> usize {
        self.find(hash, key).as_deref().map_or(0, cost)
    }

    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<TakenOut<Value>> {
        let (place, _) = self.cells.find(hash, key)?;
        Some(self.remove_at(place))
    }

    pub(super) fn remove_at(&mut self, place: Place) -> TakenOut<Value> {
        let hashing = self.hashing;
        let old = self.cells.remove(place, |cell| hashing.of_cell(cell));
        self.count_out(&old);
        if let State::Waiting(parity) = Mark::of(&old).state {
            // Its entry stays in the list, and finds nothing.
            self.cells.waiting.leave(parity);
        }
        old
    }

    /// Deletes a key of a table that is written behind. What the file has, or
    /// is about to have, leaves a tombstone until the deletion is written too.
    fn remove_waiting(&mut self, hash: u64, key: &[u8]) -> Option<TakenOut<Value>> {
        let (place, present) = self.cells.find(hash, key)?;
        let mark = Mark::of(&present);
        if is_tombstone(&present) {
            return None;
        }
        if mark.state == State::Waiting(self.current) && mark.leaves_nothing() {
            return Some(self.remove_at(place));
        }
        self.set_waiting(hash, edit::tombstone(key))
    }

    /// Decides on `key` and does what was decided. Also gives by how many bytes
    /// the shard grew, and the cell that went, to be given up without the lock.
    #[inline]
    pub(super) fn edit(
        &mut self,
        hash: u64,
        key: &[u8],
        edit: Edit,
        written_behind: bool,
        room: Room,
    ) -> Result<(Outcome, isize, Option<TakenOut<Value>>), KvError> {
        let before = self.cells.bytes;
        // A put needs no look at what is there.
        let (change, outcome) = if let Edit::Put(cell) = edit {
            (Change::Set(cell), Outcome::Done)
        } else {
            let seen = self.find(hash, key);
            edit.decide(key, seen.as_deref().filter(|cell| is_visible(cell)))?
        };
        if let (Some(_), Change::Set(cell)) = (room.bytes, &change) {
            room.check(cost(cell), self.cost_of(hash, key))?;
        }
        let replaced = match change {
            Change::Keep => None,
            Change::Set(cell) => self.put(hash, cell, written_behind),
            Change::Remove if written_behind => self.remove_waiting(hash, key),
            Change::Remove => self.remove(hash, key),
        };
        Ok((outcome, self.cells.bytes as isize - before as isize, replaced))
    }
}
