//! The mark that a table keeps on a cell.

use std::sync::atomic::Ordering::Relaxed;

use crate::value::Value;

/// What the mark of a cell says: whether it waits to be written or is being
/// written, and which row of the log is the latest of its key (0: none).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kv) struct Mark {
    pub(in crate::kv) seq: i64,
    pub(in crate::kv) dirty: bool,
    pub(in crate::kv) in_flight: bool,
}

impl Mark {
    #[inline]
    pub(in crate::kv) fn of(cell: &Value) -> Self {
        let bits = cell.mark().load(Relaxed);
        Self { seq: (bits >> 2) as i64, dirty: bits & 1 != 0, in_flight: bits & 2 != 0 }
    }

    /// Only under the lock of the cell's shard, or while nobody else has the
    /// cell: the lock orders the accesses, the atomic only makes them legal.
    #[inline]
    pub(in crate::kv) fn set(self, cell: &Value) {
        let bits = (self.seq as u64) << 2 | u64::from(self.in_flight) << 1 | u64::from(self.dirty);
        cell.mark().store(bits, Relaxed);
    }

    /// Whether the file does not have the cell yet: it must not be lost, and
    /// what comes from the file is older.
    #[inline]
    pub(in crate::kv) fn is_unwritten(self) -> bool {
        self.dirty || self.in_flight
    }
}

/// A row that the log has as `seq`.
#[inline]
pub(super) fn written(seq: i64) -> Mark {
    Mark { seq, ..Mark::default() }
}
