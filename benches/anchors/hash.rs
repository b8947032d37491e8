//! A hash map that one thread has for itself.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::data::{Bytes, Keys};

/// Boxed bytes under boxed keys: no lock, no time, no expiry.
pub struct Hash(HashMap<Box<[u8]>, Box<[u8]>, RandomState>);

impl Hash {
    /// With these keys, 100 bytes each.
    pub fn filled(keys: &Keys) -> Hash {
        let mut bytes = Bytes::new();
        let pairs = (0..keys.len()).map(|n| (keys.key(n).into(), bytes.next().into()));
        Hash(pairs.collect())
    }

    /// Copies a value out.
    pub fn get(&self, key: &[u8], buffer: &mut [u8]) -> usize {
        match self.0.get(key) {
            Some(value) => {
                buffer[..value.len()].copy_from_slice(value);
                value.len()
            }
            None => 0,
        }
    }

    /// Allocates the new value and frees the old one.
    pub fn put(&mut self, key: &[u8], bytes: &[u8]) {
        if let Some(value) = self.0.get_mut(key) {
            *value = bytes.into();
        } else {
            self.0.insert(key.into(), bytes.into());
        }
    }
}
