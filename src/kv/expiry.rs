//! Which cells of a shard expire, soonest first.

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

    /// Reminders for these, and no others.
    pub(super) fn renew(&mut self, reminders: impl Iterator<Item = (i64, u64)>) {
        self.due = reminders.map(Reverse).collect();
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
        let Reverse((_, hash)) = self.due.pop()?;
        // A crowd that has gone leaves no memory behind.
        if self.due.capacity() > 64 && self.due.len() * 4 < self.due.capacity() {
            self.due.shrink_to(self.due.len() * 2);
        }
        Some(hash)
    }
}
