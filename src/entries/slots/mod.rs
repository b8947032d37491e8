//! Slots: a small number for each id that is in use.
//!
//! States keep their entries by slot, and everything that refers to entries
//! (postings, links) holds slots, which cost nothing to copy. An id keeps its
//! slot as long as any state holds an entry under it; then the slot serves
//! another id. So a state never meets a slot that changed hands.

mod directory;

use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Weak};

use hashbrown::HashSet;

use self::directory::{Directory, Search};
use super::id::{Body, Id, IdRef};
use crate::hashing::Hashing;
use crate::platform::fork;
use crate::platform::sync::Mutex;

/// The slots of one registry.
pub(super) struct Slots {
    generation: u32,
    hasher: Hashing,
    directory: Directory,
    ids: Mutex<Ids>,
    kinds: Mutex<Kinds>,
}

/// The ids in use, and which slots are free.
#[derive(Default)]
struct Ids {
    by_slot: Vec<Known>,
    returned: Vec<u32>,
}

/// The kinds in use: few, of many entries.
#[derive(Default)]
struct Kinds {
    known: HashSet<Arc<[u8]>, Hashing>,
    /// How many there may be before those out of use are dropped.
    limit: usize,
}

/// An id in use.
#[derive(Default)]
struct Known {
    hash: u64,
    id: Weak<Body>,
}

/// The right of an id to its slot.
pub(super) struct Lease {
    slots: Arc<Slots>,
    hash: u64,
    slot: u32,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // In a forked child the locks may be held by threads that are not
        // there, and no slot will be asked for any more.
        if !self.slots.is_forked() {
            self.slots.give_back(self.hash, self.slot);
        }
    }
}

impl Slots {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            generation: fork::generation(),
            hasher: Hashing::default(),
            directory: Directory::new(),
            ids: Mutex::default(),
            kinds: Mutex::default(),
        })
    }

    /// Whether this process is a child of the one that made them.
    #[inline]
    pub(super) fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// The hash that the text of an id has, with its colon.
    #[inline]
    pub(super) fn hash_of(&self, text: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text);
        hasher.finish()
    }

    /// Gives the slots that may be `id`'s to `test` until it takes one. They
    /// are those of equal hashes: whoever asks compares the ids.
    #[inline]
    pub(super) fn find<T>(
        &self,
        id: IdRef<'_>,
        mut test: impl FnMut(u32) -> Option<T>,
    ) -> Option<T> {
        let hash = id.hash_by(&self.hasher);
        match self.directory.find(hash, &mut test) {
            Search::Found(found) => Some(found),
            Search::Nothing => None,
            Search::Unsure => self.find_locked(hash, test),
        }
    }

    #[cold]
    fn find_locked<T>(&self, hash: u64, test: impl FnMut(u32) -> Option<T>) -> Option<T> {
        let _nobody_changes_it = self.ids.lock();
        match self.directory.find(hash, test) {
            Search::Found(found) => Some(found),
            Search::Nothing | Search::Unsure => None,
        }
    }

    /// The id as this registry has it, and its slot.
    pub(super) fn intern(self: &Arc<Self>, id: &Id) -> (Id, u32) {
        if let Some(lease) = id.lease()
            && Arc::ptr_eq(&lease.slots, self)
        {
            return (id.clone(), lease.slot);
        }
        let wanted = id.parts();
        let hash = wanted.hash_by(&self.hasher);
        // What is looked at may lose its last reference here; it must not with
        // the lock held, which giving back takes.
        let mut looked_at = Vec::new();
        let mut ids = self.ids.lock();
        let known = self.directory.find(hash, |slot| {
            let body = ids.by_slot[slot as usize].id.upgrade()?;
            if body.parts() == wanted {
                return Some((Id::from_body(body), slot));
            }
            looked_at.push(body);
            None
        });
        if let Search::Found(known) = known {
            return known;
        }
        let slot = ids.take();
        let lease = Lease { slots: Arc::clone(self), hash, slot };
        let fresh = Id::leased(wanted, Some(lease));
        ids.by_slot[slot as usize] = Known { hash, id: Arc::downgrade(fresh.body()) };
        self.directory.insert(hash, slot, |slot| ids.hash_of(slot));
        (fresh, slot)
    }

    /// The one copy of this kind.
    pub(super) fn intern_kind(&self, kind: &Arc<[u8]>) -> Arc<[u8]> {
        let mut kinds = self.kinds.lock();
        if let Some(known) = kinds.known.get(&**kind) {
            return Arc::clone(known);
        }
        if kinds.known.len() >= kinds.limit {
            kinds.known.retain(|kind| Arc::strong_count(kind) > 1);
            kinds.limit = 2 * kinds.known.len() + 64;
        }
        kinds.known.insert(Arc::clone(kind));
        Arc::clone(kind)
    }

    fn give_back(&self, hash: u64, slot: u32) {
        let mut ids = self.ids.lock();
        self.directory.remove(hash, slot, |slot| ids.hash_of(slot));
        ids.by_slot[slot as usize] = Known::default();
        ids.returned.push(slot);
    }
}

impl Ids {
    fn take(&mut self) -> u32 {
        self.returned.pop().unwrap_or_else(|| {
            self.by_slot.push(Known::default());
            self.by_slot.len() as u32 - 1
        })
    }

    fn hash_of(&self, slot: u32) -> u64 {
        self.by_slot[slot as usize].hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::hashing::with_weak;

    #[test]
    fn thousands_of_ids_have_a_slot_each_whatever_their_hashes_are() {
        const IDS: usize = 3000;
        with_weak(|| {
            let slots = Slots::new();
            let texts: Vec<String> = (0..IDS).map(|n| format!("n{}:e{n}", n % 7)).collect();
            let id = |n: usize| IdRef::parse(texts[n].as_bytes());
            let mut held: Vec<Option<(Id, u32)>> = vec![None; IDS];
            for round in 0..3 {
                for (n, held) in held.iter_mut().enumerate() {
                    *held = None;
                    if (n + round) % 3 != 0 {
                        *held = Some(slots.intern(&Id::new(id(n))));
                    }
                }
                assert_eq!(slots.directory.len(), held.iter().flatten().count());
                let by_slot: HashMap<u32, &Id> =
                    held.iter().flatten().map(|(id, slot)| (*slot, id)).collect();
                assert_eq!(by_slot.len(), slots.directory.len(), "a slot of two ids");
                for (n, held) in held.iter().enumerate() {
                    let wanted = id(n);
                    let found = slots.find(wanted, |slot| {
                        by_slot.get(&slot).filter(|it| it.parts() == wanted).map(|_| slot)
                    });
                    assert_eq!(found, held.as_ref().map(|it| it.1), "{}", texts[n]);
                    if let Some((id, slot)) = held {
                        let (again, same) = slots.intern(&Id::new(wanted));
                        assert!(Arc::ptr_eq(again.body(), id.body()) && same == *slot);
                    }
                }
                let kinds: Vec<Arc<[u8]>> =
                    (0..300_u32).map(|n| slots.intern_kind(&n.to_le_bytes()[..].into())).collect();
                for (n, kind) in kinds.iter().enumerate() {
                    assert_eq!(**kind, (n as u32).to_le_bytes());
                    assert!(Arc::ptr_eq(&slots.intern_kind(&kind[..].into()), kind));
                }
            }
            drop(held);
            assert_eq!(slots.directory.len(), 0);
        });
    }

    #[test]
    fn an_id_has_one_slot_while_anybody_holds_it_and_then_gives_it_back() {
        let slots = Slots::new();
        let (first, slot) = slots.intern(&Id::new(IdRef::parse(b"a:b")));
        let (again, same) = slots.intern(&Id::new(IdRef::parse(b"a:b")));
        assert_eq!(slot, same);
        assert!(Arc::ptr_eq(first.body(), again.body()));
        let (_other, another) = slots.intern(&Id::new(IdRef::parse(b"a:c")));
        assert_ne!(slot, another);

        drop((first, again));
        assert_eq!(slots.find(IdRef::parse(b"a:b"), Some), None);
        let (_next, reused) = slots.intern(&Id::new(IdRef::parse(b"x:y")));
        assert_eq!(reused, slot);
        assert_eq!(slots.find(IdRef::parse(b"x:y"), Some), Some(slot));
    }

    #[test]
    fn threads_that_come_and_go_with_the_same_ids_agree_on_their_slots() {
        let slots = Slots::new();
        let ids: Vec<Id> =
            (0..8).map(|n| Id::new(IdRef::parse(format!("n:{n}").as_bytes()))).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..2000 {
                        let id = &ids[round % ids.len()];
                        let (held, slot) = slots.intern(id);
                        let (_same, again) = slots.intern(id);
                        assert_eq!(slot, again);
                        assert!(held == *id);
                    }
                });
            }
        });
        assert_eq!(slots.directory.len(), 0);
        let ids = slots.ids.lock();
        assert_eq!(ids.returned.len(), ids.by_slot.len());
    }
}
