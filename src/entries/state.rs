//! The state of the registry at one version.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::dependencies::Links;
use super::entry::{Body as EntryBody, Entry};
use super::find::Indexes;
use super::history::NetEntry;
use super::id::IdRef;
use super::op::{Op, OpKind};
use super::persistent::{Iter, Tree, Vector};
use super::slots::Slots;
use crate::platform::newest::{Change, Version};
use crate::sorting;

/// Slots side by side in a sorted set of them: copying as many is one run of
/// memory.
const SIDE_BY_SIDE: usize = 128;

/// A set of slots, in the order of the ids they stand for.
pub(super) type SlotSet = Tree<u32, (), SIDE_BY_SIDE>;

/// Every entry at one version. A clone is a few pointers; a change copies the
/// paths to what it changes.
#[derive(Clone)]
pub(super) struct State {
    slots: Arc<Slots>,
    pub(super) entries: Entries,
    /// All slots in use.
    order: SlotSet,
    /// What `find` looks into, as far as it was asked for.
    pub(super) indexes: Arc<Indexes>,
    /// What depends on what, once it was asked for.
    pub(super) links: Links,
}

/// Entries by their slot.
#[derive(Clone, Default)]
pub(super) struct Entries {
    by_slot: Vector<Entry>,
}

impl Entries {
    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.by_slot.get(slot)
    }

    /// Gives the slots at which others have another entry, or only one side has
    /// one; ascending.
    pub(super) fn differences(
        &self,
        others: &Self,
        give: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.by_slot.differences(&others.by_slot, &Entry::is_same, &mut |slot, _, _| give(slot))
    }

    /// How the id at `slot` stands to `id`.
    #[inline]
    pub(super) fn compare(&self, slot: u32, id: IdRef<'_>) -> Ordering {
        // Sets hold no slots without entries.
        self.get(slot).map_or(Ordering::Less, |entry| entry.id_parts().cmp(&id))
    }
}

impl Version for Entries {
    type Head = EntryBody;

    fn differences(&self, before: &Self, give: &mut dyn FnMut(Change<'_, EntryBody>)) {
        let (before, now) = (&before.by_slot, &self.by_slot);
        let flow = before.differences(now, &Entry::is_same, &mut |_, before, now| {
            let [before, now] = [before, now].map(|it| it.map(Entry::as_thin));
            give(Change { before, now });
            ControlFlow::Continue(())
        });
        debug_assert!(flow.is_continue());
    }
}

impl State {
    pub(super) fn new(slots: Arc<Slots>) -> Self {
        Self {
            slots,
            entries: Entries::default(),
            order: SlotSet::default(),
            indexes: Arc::default(),
            links: Links::default(),
        }
    }

    /// Whether this process is a child of the one that made the state. No lock
    /// may be taken then: its holder may not exist here.
    pub(super) fn is_forked(&self) -> bool {
        self.slots.is_forked()
    }

    /// The hash that the text of an id has.
    #[inline]
    pub(super) fn hash_of(&self, id: &[u8]) -> u64 {
        self.slots.hash_of(id)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The entry with this id.
    #[inline]
    pub(super) fn get(&self, id: IdRef<'_>) -> Option<&Entry> {
        self.find(id).map(|(_, entry)| entry)
    }

    /// The slot of the entry with this id.
    #[inline]
    pub(super) fn slot_of(&self, id: IdRef<'_>) -> Option<u32> {
        self.find(id).map(|(slot, _)| slot)
    }

    #[inline]
    fn find(&self, id: IdRef<'_>) -> Option<(u32, &Entry)> {
        let with_entry = |slot| Some((slot, self.entries.get(slot)?));
        if self.is_forked() {
            let (&slot, ()) = self.order.get(|&slot| self.entries.compare(slot, id))?;
            return with_entry(slot);
        }
        self.slots.find(id, |slot| with_entry(slot).filter(|(_, entry)| entry.id_parts() == id))
    }

    /// The slots of all entries, by their ids.
    pub(super) fn slots(&self) -> Iter<'_, u32, (), SIDE_BY_SIDE> {
        self.order.iter()
    }

    /// All entries, by their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots().filter_map(|(&slot, ())| self.entries.get(slot))
    }

    /// The slots of a namespace, by their ids.
    pub(super) fn namespace<'a>(&'a self, ns: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        let from = IdRef { ns, name: b"" };
        self.order
            .iter_from(|&slot| self.entries.compare(slot, from))
            .map(|(&slot, ())| slot)
            .take_while(move |&slot| {
                self.entries.get(slot).is_some_and(|it| it.id_parts().ns == ns)
            })
    }

    /// The entry with its slot in this registry, sharing id and kind with
    /// others.
    pub(super) fn intern(&self, entry: &Entry) -> (u32, Entry) {
        let (id, slot) = self.slots.intern(entry.id());
        // An entry that came from this registry is kept as it is.
        if Arc::ptr_eq(entry.id().body(), id.body()) {
            return (slot, entry.clone());
        }
        let kind = self.slots.intern_kind(entry.shared_kind());
        (slot, entry.sharing(id, kind))
    }

    /// Adds the entry, or replaces the one with its id.
    pub(super) fn put(&mut self, entry: &Entry) {
        let (slot, entry) = self.intern(entry);
        let old = self.entries.by_slot.set(slot, Some(entry.clone()));
        if old.is_none() {
            let id = entry.id().parts();
            self.order.insert(slot, (), |&other| self.entries.compare(other, id));
        }
        self.indexes.note_change(self.len());
        self.links.replace(&self.entries, slot, old.as_ref(), Some(&entry));
    }

    /// Takes the entry with this id away.
    pub(super) fn remove(&mut self, id: IdRef<'_>) {
        let Some(slot) = self.slot_of(id) else { return };
        let Some(old) = self.entries.get(slot).cloned() else { return };
        // While the entry is there: its id is what the sets are sorted by.
        self.order.remove(|&other| self.entries.compare(other, id));
        self.indexes.note_change(self.len());
        self.links.replace(&self.entries, slot, Some(&old), None);
        self.entries.by_slot.set(slot, None);
    }

    /// This state with what `net` says on top: the entry of each id, or none.
    pub(super) fn with(&self, mut net: Vec<NetEntry>) -> Self {
        if self.len() > 0 {
            let mut state = self.clone();
            for (id, entry) in net {
                match entry {
                    Some(entry) => state.put(&entry),
                    None => state.remove(id.parts()),
                }
            }
            return state;
        }
        // Much faster than one after the other.
        let mut state = Self::new(Arc::clone(&self.slots));
        sorting::sort_by(&mut net, |a, b| a.0.cmp(&b.0));
        let mut order = Vec::with_capacity(net.len());
        for (_, entry) in net {
            let Some(entry) = entry else { continue };
            let (slot, entry) = state.intern(&entry);
            order.push((slot, ()));
            state.entries.by_slot.set(slot, Some(entry));
        }
        state.order = SlotSet::from_sorted(order);
        state
    }

    /// This state without what was only made to search it.
    pub(super) fn without_indexes(&self) -> Self {
        Self { indexes: Arc::default(), links: Links::default(), ..self.clone() }
    }

    /// Does what a changeset says: upsert and remove.
    pub(super) fn replay<'a>(&mut self, ops: impl IntoIterator<Item = &'a Op>) {
        for op in ops {
            self.replay_one(op);
        }
    }

    /// As [`State::replay`], for operations made on the way.
    pub(super) fn replay_owned(&mut self, ops: impl IntoIterator<Item = Op>) {
        for op in ops {
            self.replay_one(&op);
        }
    }

    fn replay_one(&mut self, op: &Op) {
        match op.kind {
            OpKind::Create | OpKind::Update => self.put(&op.entry),
            OpKind::Delete => self.remove(op.id().parts()),
        }
    }
}
