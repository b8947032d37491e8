//! Several writes that become visible and durable together.

use super::edit::Edit;
use super::{KvError, key};

/// One write of a batch, not yet bound to a namespace.
pub(super) struct BatchWrite {
    pub(super) key: Box<[u8]>,
    pub(super) edit: BatchEdit,
}

pub(super) enum BatchEdit {
    Put { value: Box<[u8]>, ttl_ms: Option<i64> },
    Delete,
}

/// Writes to one registry or store, collected in order. A later write of a key
/// replaces an earlier one.
///
/// Threads: one at a time.
#[derive(Default)]
pub struct Batch {
    pub(super) writes: Vec<BatchWrite>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put of canonical bytes, both copied. The time to live is in
    /// milliseconds.
    pub fn put(&mut self, key: &[u8], value: &[u8], ttl_ms: Option<i64>) {
        let edit = BatchEdit::Put { value: value.into(), ttl_ms };
        self.writes.push(BatchWrite { key: key.into(), edit });
    }

    /// Adds a deletion.
    pub fn delete(&mut self, key: &[u8]) {
        self.writes.push(BatchWrite { key: key.into(), edit: BatchEdit::Delete });
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// How many writes were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Forgets what was added.
    pub fn clear(&mut self) {
        self.writes.clear();
    }

    /// The shortest time to live among the puts, in milliseconds.
    pub(super) fn soonest_ttl(&self) -> Option<i64> {
        let ttl = |write: &BatchWrite| match &write.edit {
            BatchEdit::Put { ttl_ms, .. } => *ttl_ms,
            BatchEdit::Delete => None,
        };
        self.writes.iter().filter_map(ttl).min()
    }

    /// Checks every key and value and makes the edits. `inner`: what of a key
    /// stands in the table.
    pub(super) fn into_edits(
        self,
        value_limit: usize,
        inner: impl Fn(&[u8]) -> &[u8],
    ) -> Result<Vec<(Box<[u8]>, Edit)>, KvError> {
        self.writes
            .into_iter()
            .map(|write| {
                key::check(&write.key)?;
                let edit = match write.edit {
                    BatchEdit::Put { value, ttl_ms } => {
                        Edit::put(inner(&write.key), &value, ttl_ms, value_limit)?
                    }
                    BatchEdit::Delete => Edit::Delete,
                };
                Ok((write.key, edit))
            })
            .collect()
    }
}
