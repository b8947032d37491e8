//! Several writes that become visible and durable together.

use super::edit::{self, Edit, check_size};
use super::error::KvError;
use super::key;
use crate::platform::clock;
use crate::value::{Stamp, Value};

/// Writes to one registry or store, collected in order. A later write of a key
/// replaces an earlier one.
///
/// Keys and values are checked, and their time begins, when they are added.
///
/// Threads: one at a time.
#[derive(Default)]
pub struct Batch {
    /// Cells under the keys they were given; a tombstone deletes.
    writes: Vec<Value>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put of canonical bytes, both copied. The time to live is in
    /// milliseconds. `value_limit`: that of the handle it will be committed to.
    ///
    /// # Errors
    ///
    /// A bad key, a value over the limit, a time to live that is not positive.
    pub fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        ttl_ms: Option<i64>,
        value_limit: usize,
    ) -> Result<(), KvError> {
        key::check(key)?;
        check_size(value, value_limit)?;
        self.add(edit::new_cell(key, value, edit::stamp_now(ttl_ms)?)?)
    }

    /// Adds a deletion.
    ///
    /// # Errors
    ///
    /// A bad key.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), KvError> {
        key::check(key)?;
        self.add(edit::tombstone(key))
    }

    fn add(&mut self, cell: Value) -> Result<(), KvError> {
        self.writes.try_reserve(1).map_err(|_| KvError::out_of_memory())?;
        self.writes.push(cell);
        Ok(())
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

    /// When the first of the puts expires, in milliseconds since the epoch.
    pub(super) fn first_expiry(&self) -> Option<i64> {
        self.writes.iter().map(|cell| cell.stamp().expires_at).filter(|&at| at != 0).min()
    }

    /// The writes as edits. `inner`: what of a key stands in the table.
    pub(super) fn edits(
        &self,
        inner: impl Fn(&[u8]) -> &[u8],
    ) -> impl Iterator<Item = Result<(&[u8], Edit), KvError>> {
        let now = clock::now_seconds();
        self.writes.iter().map(move |cell| {
            let edit = if cell.as_bytes().is_empty() {
                Edit::Delete
            } else {
                // A cell in a table is that table's own: it carries its mark.
                let stamp = Stamp { timestamp: now, ..cell.stamp() };
                let copy = Value::try_stored(inner(cell.key()), cell.as_bytes(), stamp);
                Edit::Put(copy.ok_or_else(KvError::out_of_memory)?)
            };
            Ok((cell.key(), edit))
        })
    }
}
