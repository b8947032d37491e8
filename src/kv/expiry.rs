//! Which cells of a shard expire, soonest first.

use super::blocks::Queue;

/// Points in time (milliseconds) with the hash of the key that expires then.
///
/// An entry is a reminder to look, not a promise: the key may have been
/// written again since.
#[derive(Default)]
pub(super) struct Expiries {
    due: Queue<(i64, u64)>,
}

impl Expiries {
    pub(super) fn add(&mut self, at: i64, hash: u64) {
        self.due.push((at, hash));
    }

    /// Reminders for these, and no others.
    pub(super) fn renew(&mut self, reminders: impl Iterator<Item = (i64, u64)>) {
        self.due = Queue::default();
        reminders.for_each(|(at, hash)| self.add(at, hash));
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// When the next reminder is due.
    pub(super) fn next(&self) -> Option<i64> {
        self.due.peek().map(|(at, _)| *at)
    }

    /// The hash of a reminder that is due at `now`.
    pub(super) fn take_due(&mut self, now: i64) -> Option<u64> {
        if self.next()? > now {
            return None;
        }
        self.due.pop().map(|(_, hash)| hash)
    }
}
