//! The algebra of changesets: many as one, and backwards.
//!
//! Operations on one id come down to its net effect: what was there before the
//! first, what is there after the last. Folding the changes of an apply,
//! squashing the versions of a path and reversing both are all this.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::entry::Entry;
use super::id::{Id, IdRef};
use super::op::{Op, OpKind};
use super::state::State;

/// What several operations on one id come down to.
#[derive(Clone, Debug)]
pub(super) enum Net {
    /// As if there had been none: created and deleted again. The entry that
    /// was there meanwhile.
    Nothing(Entry),
    Create(Entry),
    Update {
        entry: Entry,
        original: Option<Entry>,
    },
    Delete {
        original: Entry,
    },
    /// Deleted, and created with another kind.
    Replace {
        original: Entry,
        entry: Entry,
    },
}

impl Net {
    /// The effect of one operation.
    pub(super) fn of(op: Op) -> Self {
        match op.kind {
            OpKind::Create => Self::Create(op.entry),
            OpKind::Update => Self::Update { entry: op.entry, original: op.original },
            OpKind::Delete => match op.original {
                Some(original) => Self::Delete { original },
                // That is how a squash says it.
                None => Self::Nothing(op.entry),
            },
        }
    }

    /// This and then `op`.
    pub(super) fn then(self, op: Op) -> Self {
        let entry = op.entry;
        match (self, op.kind) {
            (Self::Nothing(_) | Self::Create(_), OpKind::Delete) => Self::Nothing(entry),
            (Self::Nothing(_) | Self::Create(_), _) => Self::Create(entry),
            (
                Self::Update { original: Some(original), .. }
                | Self::Replace { original, .. }
                | Self::Delete { original },
                OpKind::Delete,
            ) => Self::Delete { original },
            // A file may lack an original.
            (Self::Update { original: None, .. }, OpKind::Delete) => {
                Self::Delete { original: entry }
            }
            (Self::Update { original, .. }, _) => Self::Update { entry, original },
            (Self::Delete { original } | Self::Replace { original, .. }, _) => {
                if original.kind() == entry.kind() {
                    Self::Update { entry, original: Some(original) }
                } else {
                    Self::Replace { original, entry }
                }
            }
        }
    }

    /// The entry that is there afterwards.
    pub(super) fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Nothing(_) | Self::Delete { .. } => None,
            Self::Create(entry) | Self::Update { entry, .. } | Self::Replace { entry, .. } => {
                Some(entry)
            }
        }
    }

    /// Appends the operations that have this effect; a delete before a create.
    fn push_to(self, ops: &mut Vec<Op>) {
        match self {
            Self::Nothing(_) => {}
            Self::Create(entry) => ops.push(Op::create(entry)),
            Self::Update { entry, original } => {
                ops.push(Op { kind: OpKind::Update, entry, original });
            }
            Self::Delete { original } => ops.push(Op::delete(original)),
            Self::Replace { original, entry } => {
                ops.push(Op::delete(original));
                ops.push(Op::create(entry));
            }
        }
    }
}

/// The net effects of operations, by id, in the order in which the ids came
/// up.
#[derive(Default)]
pub(super) struct Squash {
    hasher: RandomState,
    nets: Vec<(Id, Net)>,
    by_id: HashTable<usize>,
}

impl Squash {
    fn hash(&self, id: IdRef<'_>) -> u64 {
        self.hasher.hash_one((id.ns, id.name))
    }

    fn place(&self, id: IdRef<'_>) -> Option<usize> {
        let same = |&place: &usize| self.nets[place].0.parts() == id;
        self.by_id.find(self.hash(id), same).copied()
    }

    /// What the operations on this id come down to so far; `None` if there
    /// were none.
    pub(super) fn get(&self, id: IdRef<'_>) -> Option<&Net> {
        self.place(id).map(|place| &self.nets[place].1)
    }

    /// Adds an operation behind the others.
    pub(super) fn push(&mut self, op: Op) {
        if let Some(place) = self.place(op.id().parts()) {
            let net = &mut self.nets[place].1;
            let before = std::mem::replace(net, Net::Nothing(op.entry.clone()));
            *net = before.then(op);
            return;
        }
        let (hash, place, id) = (self.hash(op.id().parts()), self.nets.len(), op.id().clone());
        self.nets.push((id, Net::of(op)));
        let Self { hasher, nets, by_id } = self;
        by_id.insert_unique(hash, place, |&place| {
            let id = nets[place].0.parts();
            hasher.hash_one((id.ns, id.name))
        });
    }

    /// As [`Squash::into_ops`], but what was created and deleted again is a
    /// delete without an original: whatever may stand under the id in the
    /// state that this is replayed on, it is gone afterwards.
    pub(super) fn into_lasting_ops(self) -> Vec<Op> {
        let mut ops = Vec::with_capacity(self.nets.len());
        for (_, net) in self.nets {
            match net {
                Net::Nothing(entry) => {
                    ops.push(Op { kind: OpKind::Delete, entry, original: None });
                }
                net => net.push_to(&mut ops),
            }
        }
        ops
    }

    /// At most one operation per id, or one delete and one create, in no
    /// particular order; a delete stands before the create of its id.
    pub(super) fn into_ops(self) -> Vec<Op> {
        let mut ops = Vec::with_capacity(self.nets.len());
        for (_, net) in self.nets {
            net.push_to(&mut ops);
        }
        ops
    }
}

impl Squash {
    /// As [`Squash::into_ops`], as operations on `state`, whose entries need
    /// not be what the originals were.
    pub(super) fn into_ops_on(self, state: &State) -> Vec<Op> {
        let mut ops = Vec::with_capacity(self.nets.len());
        for (id, net) in self.nets {
            let net = match (state.get(id.parts()), net.entry()) {
                (None, None) => continue,
                (None, Some(entry)) => Net::Create(entry.clone()),
                (Some(present), None) => Net::of(Op::delete(present.clone())),
                (Some(present), Some(entry)) => {
                    Net::of(Op::delete(present.clone())).then(Op::create(entry.clone()))
                }
            };
            net.push_to(&mut ops);
        }
        ops
    }
}

impl Extend<Op> for Squash {
    fn extend<T: IntoIterator<Item = Op>>(&mut self, ops: T) {
        for op in ops {
            self.push(op);
        }
    }
}

/// What undoes `ops`: the inverses in reverse order.
pub(super) fn inverse(ops: &[Op]) -> impl Iterator<Item = Op> + '_ {
    ops.iter().rev().filter_map(Op::inverse)
}
