//! Which cells of a shard expire, soonest first.

use crate::sorting;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Points in time (milliseconds) with the hash of the key that expires then.
///
/// An entry is a reminder to look, not a promise: the key may have been
/// written again since.
#[derive(Default)]
pub(super) struct Expiries {
    due: BinaryHeap<Reverse<(i64, u64)>>,
}

impl Expiries {
    pub(super) fn add(&mut self, at: i64, hash: u64) {
        self.due.push(Reverse((at, hash)));
    }

    /// Keeps the reminders, each once, that `keep` wants.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(i64, u64) -> bool) {
        let mut all = std::mem::take(&mut self.due).into_vec();
        sorting::sort(&mut all);
        all.dedup();
        all.retain(|&Reverse((at, hash))| keep(at, hash));
        self.due = all.into();
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// When the next reminder is due.
    pub(super) fn next(&self) -> Option<i64> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// The hash of a reminder that is due at `now`.
    pub(super) fn take_due(&mut self, now: i64) -> Option<u64> {
        if self.next()? > now {
            return None;
        }
        self.due.pop().map(|Reverse((_, hash))| hash)
    }
}
