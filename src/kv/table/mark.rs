//! The mark that a table keeps on a cell: how the cell stands to the file.

use std::sync::atomic::Ordering::Relaxed;

use crate::value::Value;

/// How a cell stands to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kv) enum State {
    /// The file has it, or it need not reach the file.
    Written,
    /// It waits to be written: the cut of this parity takes it.
    Waiting(Parity),
    /// A cut has taken it, and is not in the file yet.
    InFlight,
    /// A cut has taken it, and the table holds a later cell of the key.
    Superseded,
}

/// Which of two cuts that follow each other. While one is being taken, what is
/// written meanwhile waits for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kv) enum Parity {
    Even,
    Odd,
}

/// What the mark of a cell says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kv) struct Mark {
    /// Which row of the log is the latest of the key: 0 if there is none,
    /// [`Mark::TO_COME`] if the first is on its way.
    pub(in crate::kv) seq: i64,
    pub(in crate::kv) state: State,
}

impl Mark {
    /// The number of a row that has none yet: a cut has taken an earlier cell
    /// of the key.
    pub(in crate::kv) const TO_COME: i64 = (1 << 62) - 1;

    const SUPERSEDED: Self = Self { seq: Self::TO_COME, state: State::Superseded };

    #[inline]
    pub(in crate::kv) fn of(cell: &Value) -> Self {
        let bits = cell.mark().load(Relaxed);
        let seq = (bits >> 2) as i64;
        let state = match bits & 3 {
            0 if seq == Self::TO_COME => State::Superseded,
            0 => State::Written,
            1 => State::Waiting(Parity::Even),
            2 => State::Waiting(Parity::Odd),
            _ => State::InFlight,
        };
        Self { seq, state }
    }

    /// Only under the lock of the cell's shard, or while nobody else has the
    /// cell: the lock orders the accesses, the atomic only makes them legal.
    #[inline]
    pub(in crate::kv) fn set(self, cell: &Value) {
        let state = match self.state {
            State::Written | State::Superseded => 0,
            State::Waiting(Parity::Even) => 1,
            State::Waiting(Parity::Odd) => 2,
            State::InFlight => 3,
        };
        cell.mark().store((self.seq as u64) << 2 | state, Relaxed);
    }

    /// Whether the file does not have the cell yet: it must not be lost, and
    /// what comes from the file is older.
    #[inline]
    pub(in crate::kv) fn is_unwritten(self) -> bool {
        matches!(self.state, State::Waiting(_) | State::InFlight)
    }

    /// Whether the file knows nothing of the key, and will not because of an
    /// earlier cell: if this one goes, nothing has to be written.
    #[inline]
    pub(in crate::kv) fn leaves_nothing(self) -> bool {
        self.seq == 0
    }

    /// Says that a cut has the cell, and the table a later one of its key.
    #[inline]
    pub(super) fn supersede(cell: &Value) {
        Self::SUPERSEDED.set(cell);
    }

    /// What the cell that follows this one, which a cut has taken, inherits.
    #[inline]
    pub(super) fn seq_after_flight(self) -> i64 {
        if self.seq == 0 { Self::TO_COME } else { self.seq }
    }
}

/// A row that the log has as `seq`; 0: the cell is in no row.
#[inline]
pub(super) fn written(seq: i64) -> Mark {
    Mark { seq, state: State::Written }
}

impl Parity {
    #[inline]
    pub(super) fn of(epoch: usize) -> Self {
        if epoch & 1 == 0 { Self::Even } else { Self::Odd }
    }

    #[inline]
    pub(super) fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }
}
