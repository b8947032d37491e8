//! The operations that turn one list of entries into another.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::Patterns;
use super::order::{Known, order};
use crate::entries::EntryError;
use crate::entries::entry::Entry;
use crate::entries::id::IdRef;
use crate::entries::op::Op;

/// A list of entries by their ids.
struct Listed<'a> {
    by_id: HashMap<IdRef<'a>, &'a Entry, RandomState>,
}

impl<'a> Listed<'a> {
    fn new(entries: &'a [Entry], list: &'static str) -> Result<Self, EntryError> {
        let mut by_id = HashMap::with_capacity_and_hasher(entries.len(), RandomState::default());
        for (place, entry) in entries.iter().enumerate() {
            if by_id.insert(entry.id().parts(), entry).is_some() {
                let what = format!("the id {} stands twice in the list", entry.id());
                return Err(EntryError::List { list, index: place + 1, what });
            }
        }
        Ok(Self { by_id })
    }
}

impl Known for Listed<'_> {
    fn has(&self, id: IdRef<'_>) -> bool {
        self.by_id.contains_key(&id)
    }
}

/// As few operations as it takes to make `to` of `from`, in their order.
pub(in crate::entries) fn delta(
    from: &[Entry],
    to: &[Entry],
    patterns: &Patterns,
) -> Result<Vec<Op>, EntryError> {
    let left = Listed::new(from, "from")?;
    let aimed = Listed::new(to, "to")?;
    let mut ops = Vec::new();
    for entry in to {
        match left.by_id.get(&entry.id().parts()) {
            None => ops.push(Op::create(entry.clone())),
            Some(&old) if old == entry => {}
            Some(&old) if old.kind() == entry.kind() => {
                ops.push(Op::update(entry.clone(), old.clone()));
            }
            Some(&old) => ops.extend([Op::delete(old.clone()), Op::create(entry.clone())]),
        }
    }
    let gone = from.iter().filter(|old| !aimed.has(old.id().parts()));
    ops.extend(gone.cloned().map(Op::delete));
    order(ops, patterns, &left, &aimed)
}
