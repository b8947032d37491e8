//! Changing the registry: from changes to a version.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::EntryError;
use super::changes::{ApplyOptions, Base, CHANGES_LIMIT, Change};
use super::dependencies::order;
use super::engine::Engine;
use super::fold::fold;
use super::handle::Applied;
use super::history::Changeset;
use super::id::Id;
use super::op::Op;
use super::state::State;
use super::transaction::{Caller, Transaction};
use super::version::Version;
use super::view::View;
use crate::platform::clock;
use crate::sorting;

impl Engine {
    /// Applies `changes`, taken on `base`, to the current state.
    pub(super) fn apply(
        self: &Arc<Self>,
        changes: &[Change],
        base: &View,
        options: &ApplyOptions,
        dry_run: bool,
        caller: &dyn Caller,
    ) -> Result<Applied, EntryError> {
        let turn = self.begin(caller)?;
        let current = self.published();
        let planned = check_base(options.base, changes, base, &current)
            .and_then(|()| fold(changes, &current))
            .map(|folded| self.plan(folded, &current.state));
        let (ops, next) = self.refuse_for_sure(planned)?;
        let version = Version {
            id: turn.stored.next()?,
            parent: Some(current.version),
            time: Some(clock::now_seconds()),
            author: options.author.clone(),
            message: options.message.clone(),
        };
        let transaction = Transaction::begin(self, caller, version.id, dry_run)?;
        let mut transaction = transaction.run(&ops)?;
        if dry_run {
            // What could not be undone was only tried.
            transaction.undo();
            return Ok(Applied { version: current.version, ops });
        }
        let view = Arc::new(View::new(version.id, next));
        transaction.commit(|events| {
            self.commit(
                || self.history.record(turn.stored, &version, &ops),
                view,
                events,
                || self.note_version(version.id, current.version),
            )
        })?;
        self.is_settled.store(true, Ordering::Release);
        drop(turn);
        self.keep_up();
        Ok(Applied { version: version.id, ops })
    }

    /// Folded operations in their order, and the state they make of `left`.
    pub(super) fn plan(&self, ops: Vec<Op>, left: &State) -> (Changeset, State) {
        let mut aimed = left.clone();
        aimed.replay(&ops);
        let ops = order(ops, &self.patterns.load(), left, &aimed);
        (ops.into(), aimed)
    }
}

/// Fails if `current` has moved on from `base` in a way that `rule` forbids.
fn check_base(
    rule: Base,
    changes: &[Change],
    base: &View,
    current: &View,
) -> Result<(), EntryError> {
    if rule == Base::Any || base.version == current.version {
        return Ok(());
    }
    let mut ids: Vec<Id> = changes
        .iter()
        .map(Change::id)
        .filter(|id| base.state.get(id.parts()) != current.state.get(id.parts()))
        .cloned()
        .collect();
    if rule == Base::Disjoint && ids.is_empty() {
        return Ok(());
    }
    sorting::sort(&mut ids);
    ids.dedup();
    debug_assert!(ids.len() <= CHANGES_LIMIT);
    Err(EntryError::Conflict { base: base.version, head: current.version, ids })
}
