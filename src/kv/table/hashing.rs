//! The hash of a key.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use crate::value::Value;

/// How a table hashes keys.
#[derive(Default)]
pub(super) struct Hashing {
    state: RandomState,
    /// What tests make of a hash, so that collisions are the rule.
    #[cfg(test)]
    weakened: Option<fn(u64) -> u64>,
}

impl Hashing {
    /// The hash of a key. Keys are hashed alone, so their length, which the
    /// hash knows, need not be mixed in once more.
    #[inline(always)]
    pub(super) fn of(&self, key: &[u8]) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(key);
        let hash = hasher.finish();
        #[cfg(test)]
        let hash = self.weakened.map_or(hash, |weaken| weaken(hash));
        hash
    }

    #[inline(always)]
    pub(super) fn of_cell(&self, cell: &Value) -> u64 {
        self.of(cell.key())
    }

    #[cfg(test)]
    pub(super) fn weakened(weaken: fn(u64) -> u64) -> Self {
        Self { weakened: Some(weaken), ..Self::default() }
    }
}
