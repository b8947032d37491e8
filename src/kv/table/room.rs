//! The memory limit, as one write sees it.

use crate::kv::KvError;

/// How much memory may still be taken.
#[derive(Clone, Copy, Debug)]
pub(in crate::kv) struct Room {
    /// Bytes; `None`: as much as there is.
    pub(in crate::kv) bytes: Option<usize>,
    /// What the limit is, for the error.
    pub(in crate::kv) limit: usize,
}

impl Room {
    /// Fails if `added` bytes in the place of `removed` do not fit.
    pub(in crate::kv) fn check(self, added: usize, removed: usize) -> Result<(), KvError> {
        match self.bytes {
            Some(bytes) if added.saturating_sub(removed) > bytes => {
                Err(KvError::MemoryLimit { limit: self.limit })
            }
            _ => Ok(()),
        }
    }
}
