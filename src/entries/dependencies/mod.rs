//! What depends on what.

mod links;
mod order;
mod patterns;

pub(super) use links::Links;
pub(super) use order::{Known, order};
pub(super) use patterns::Patterns;

use super::state::State;
use super::{Entry, EntryError, Id, IdRef, Op};
use std::sync::Arc;
impl Known for State {
    fn has(&self, id: IdRef<'_>) -> bool {
        self.get(id).is_some()
    }
}
pub(in crate::entries) fn delta(
    _: &[Entry],
    to: &[Entry],
    _: &Patterns,
) -> Result<Vec<Op>, EntryError> {
    Ok(to.iter().cloned().map(Op::create).collect())
}
pub(in crate::entries) fn dependents(
    _: &State,
    _: IdRef<'_>,
    _: bool,
    _: &Arc<Patterns>,
) -> Vec<Id> {
    Vec::new()
}
pub(in crate::entries) fn dependencies(
    _: &State,
    _: IdRef<'_>,
    _: bool,
    _: &Arc<Patterns>,
) -> Vec<Id> {
    Vec::new()
}
