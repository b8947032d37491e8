//! Where the random numbers begin, and how much is done.

pub use crate::common::random::Random;
use crate::common::random::number;

/// `ACERVO_CRASH_SEED`, or a fixed one.
pub fn seed() -> u64 {
    number("ACERVO_CRASH_SEED", 1)
}

/// How many times as much as in the short form: `ACERVO_CRASH_FACTOR`.
pub fn factor() -> usize {
    number("ACERVO_CRASH_FACTOR", 1) as usize
}
