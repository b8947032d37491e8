//! The algebra of changesets: many as one, and backwards.
//!
//! Operations on one id come down to its net effect: what was there before the
//! first, what is there after the last. Folding the changes of an apply,
//! squashing the versions of a path and reversing both are all this.

use std::convert::Infallible;

use hashbrown::HashTable;

use super::entry::Entry;
use super::id::{Id, IdRef};
use super::op::{Op, OpKind};
use super::state::State;
use crate::hashing::Hashing;

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
    hasher: Hashing,
    nets: Vec<(Id, Net)>,
    by_id: HashTable<usize>,
}

impl Squash {
    /// Adds an operation behind the others.
    pub(super) fn push(&mut self, op: Op) {
        let id = op.id().clone();
        let added = self.push_with(id.parts(), |_| Ok::<_, Infallible>(op));
        let Ok(()) = added;
    }

    /// As [`Squash::push`], for an operation on `id` that depends on what those
    /// before it come down to; `None` if there were none.
    pub(super) fn push_with<E>(
        &mut self,
        id: IdRef<'_>,
        op: impl FnOnce(Option<&Net>) -> Result<Op, E>,
    ) -> Result<(), E> {
        let Self { hasher, nets, by_id } = self;
        let hash = id.hash_by(hasher);
        if let Some(&place) = by_id.find(hash, |&place| nets[place].0.parts() == id) {
            let net = &mut nets[place].1;
            let op = op(Some(net))?;
            let before = std::mem::replace(net, Net::Nothing(op.entry.clone()));
            *net = before.then(op);
            return Ok(());
        }
        let op = op(None)?;
        nets.push((op.id().clone(), Net::of(op)));
        by_id.insert_unique(hash, nets.len() - 1, |&place| nets[place].0.parts().hash_by(hasher));
        Ok(())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::slots::Slots;
    use super::*;
    use crate::hashing::{WEAK, weaken, with_weak};
    use crate::value::Value;

    const KINDS: [&[u8]; 2] = [b"k.a", b"k.b"];

    fn entry(id: usize, kind: usize, number: i64) -> Entry {
        let data = Value::from_json(number.to_string().as_bytes()).unwrap();
        let id = format!("n:{id}");
        Entry::new(IdRef::parse(id.as_bytes()), KINDS[kind], None, Some(data)).unwrap()
    }

    /// Operations that can be done one after another on `state`, which they
    /// change.
    fn ops(state: &mut State, wishes: &[(usize, usize, Option<i64>)]) -> Vec<Op> {
        let mut done = Vec::new();
        for &(id, kind, number) in wishes {
            let wanted = number.map(|number| entry(id, kind, number));
            let present = state.get(entry(id, 0, 0).id().parts()).cloned();
            let op = match (present, wanted) {
                (None, None) => continue,
                (None, Some(entry)) => Op::create(entry),
                (Some(present), Some(entry)) if present.kind() == entry.kind() => {
                    Op::update(entry, present)
                }
                // Another kind needs a delete first.
                (Some(present), _) => Op::delete(present),
            };
            state.replay([&op]);
            done.push(op);
        }
        done
    }

    fn entries(state: &State) -> Vec<Entry> {
        state.iter().cloned().collect()
    }

    fn wishes() -> impl Strategy<Value = Vec<(usize, usize, Option<i64>)>> {
        prop::collection::vec((0..6_usize, 0..2_usize, prop::option::of(0..5_i64)), 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn a_squash_does_what_its_parts_do(
            before in wishes(),
            parts in wishes(),
            weak in 0..WEAK.len(),
        ) {
            let _weak = weaken(WEAK[weak].1);
            let mut state = State::new(Slots::new());
            ops(&mut state, &before);
            let left = state.clone();
            let parts = ops(&mut state, &parts);
            let mut squash = Squash::default();
            squash.extend(parts);
            let squashed = squash.into_ops();
            let mut again = left.clone();
            again.replay(&squashed);
            prop_assert_eq!(entries(&again), entries(&state));
            // Originals are what was there before the first part.
            for op in &squashed {
                match op.kind {
                    OpKind::Create => prop_assert!(op.original.is_none()),
                    OpKind::Update | OpKind::Delete => {
                        let present = left.get(op.id().parts());
                        prop_assert_eq!(op.original.as_ref(), present);
                    }
                }
            }
            // At most one per id, or a delete and a create.
            for (place, op) in squashed.iter().enumerate() {
                let later = squashed[place + 1..].iter().filter(|other| other.id() == op.id());
                for other in later {
                    prop_assert_eq!((op.kind, other.kind), (OpKind::Delete, OpKind::Create));
                    prop_assert_ne!(op.entry.kind(), other.entry.kind());
                }
            }
        }

        #[test]
        fn a_changeset_and_its_inverse_change_nothing(
            before in wishes(),
            parts in wishes(),
            weak in 0..WEAK.len(),
        ) {
            let _weak = weaken(WEAK[weak].1);
            let mut state = State::new(Slots::new());
            ops(&mut state, &before);
            let left = state.clone();
            let parts = ops(&mut state, &parts);
            let mut back = state.clone();
            back.replay_owned(inverse(&parts));
            prop_assert_eq!(entries(&back), entries(&left));
            // The same squashed, and squashed together.
            let mut squash = Squash::default();
            squash.extend(parts.iter().cloned());
            let squashed = squash.into_ops();
            let mut back = state.clone();
            back.replay_owned(inverse(&squashed));
            prop_assert_eq!(entries(&back), entries(&left));
            let mut both = Squash::default();
            both.extend(parts.iter().cloned());
            both.extend(inverse(&parts));
            for op in both.into_ops() {
                prop_assert_eq!(op.kind, OpKind::Update);
                prop_assert_eq!(Some(&op.entry), op.original.as_ref());
            }
        }

        #[test]
        fn a_lasting_squash_removes_what_it_created_and_deleted(
            parts in wishes(),
            other in wishes(),
            weak in 0..WEAK.len(),
        ) {
            let _weak = weaken(WEAK[weak].1);
            let mut state = State::new(Slots::new());
            let parts = ops(&mut state, &parts);
            let mut squash = Squash::default();
            squash.extend(parts.iter().cloned());
            let lasting = squash.into_lasting_ops();
            // On another baseline: upsert and remove, as one after the other.
            let mut baseline = State::new(Slots::new());
            ops(&mut baseline, &other);
            let (mut one_by_one, mut at_once) = (baseline.clone(), baseline.clone());
            one_by_one.replay(&parts);
            at_once.replay(&lasting);
            prop_assert_eq!(entries(&at_once), entries(&one_by_one));
            // Squashed once more, as over longer spans.
            let mut again = Squash::default();
            again.extend(lasting.iter().cloned());
            let mut at_once = baseline.clone();
            at_once.replay(&again.into_lasting_ops());
            prop_assert_eq!(entries(&at_once), entries(&one_by_one));
            // And backwards where nothing was there before.
            let mut back = state.clone();
            back.replay_owned(inverse(&lasting));
            prop_assert_eq!(back.len(), 0);
        }
    }

    #[test]
    fn thousands_of_ids_are_squashed_each_for_itself_by_weak_hashes() {
        with_weak(|| {
            let (mut state, mut squash) = (State::new(Slots::new()), Squash::default());
            for round in 0..4 {
                let wish = |n: usize| {
                    (n * 7 % 2000, 0, (!n.is_multiple_of(3)).then_some((n + round) as i64))
                };
                let wishes: Vec<_> = (round * 300..1700 + round * 100).map(wish).collect();
                squash.extend(ops(&mut state, &wishes));
            }
            let mut again = State::new(Slots::new());
            again.replay_owned(squash.into_ops());
            assert_eq!(entries(&again), entries(&state));
        });
    }

    #[test]
    fn the_table_of_squashing_holds() {
        let (a, b) = (entry(1, 0, 1), entry(1, 0, 2));
        let other_kind = entry(1, 1, 3);
        let squash = |ops: &[Op]| {
            let mut squash = Squash::default();
            squash.extend(ops.iter().cloned());
            squash.into_ops()
        };
        let (create, update) = (Op::create(a.clone()), Op::update(b.clone(), a.clone()));
        assert_eq!(squash(&[create.clone(), update.clone()]), [Op::create(b.clone())]);
        assert_eq!(squash(&[create, Op::delete(a.clone())]), []);
        assert_eq!(squash(&[update.clone(), Op::delete(b.clone())]), [Op::delete(a.clone())]);
        let back = Op::update(a.clone(), b.clone());
        assert_eq!(squash(&[update, back]), [Op::update(a.clone(), a.clone())]);
        let recreated = [Op::delete(a.clone()), Op::create(b.clone())];
        assert_eq!(squash(&recreated), [Op::update(b, a.clone())]);
        let replaced = [Op::delete(a), Op::create(other_kind)];
        assert_eq!(squash(&replaced), replaced);
    }
}
