//! Slots: a small number for each id that is in use.
//!
//! States keep their entries by slot, and everything that refers to entries
//! (postings, links) holds slots, which cost nothing to copy. An id keeps its
//! slot as long as any state holds an entry under it; then the slot serves
//! another id. So a state never meets a slot that changed hands.

use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use hashbrown::{HashSet, HashTable};

use super::id::{Body, Id, IdRef};
use crate::platform::fork;
use crate::platform::sync::{Mutex, RwLock};

/// More than threads that look up at a time.
const SHARDS: usize = 64;

/// The slots of one registry.
pub(super) struct Slots {
    generation: u32,
    hasher: RandomState,
    shards: [RwLock<HashTable<Known>>; SHARDS],
    free: Mutex<Free>,
    kinds: Mutex<Kinds>,
}

/// The kinds in use: few, of many entries.
#[derive(Default)]
struct Kinds {
    known: HashSet<Arc<[u8]>, RandomState>,
    /// How many there may be before those out of use are dropped.
    limit: usize,
}

/// An id in use.
struct Known {
    hash: u64,
    slot: u32,
    id: Weak<Body>,
}

/// Which slots are free.
#[derive(Default)]
struct Free {
    returned: Vec<u32>,
    /// From here on none was used yet.
    next: u32,
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
            hasher: RandomState::default(),
            shards: std::array::from_fn(|_| RwLock::default()),
            free: Mutex::default(),
            kinds: Mutex::default(),
        })
    }

    /// Whether this process is a child of the one that made them.
    pub(super) fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    #[inline]
    fn hash(&self, id: IdRef<'_>) -> u64 {
        self.hasher.hash_one((id.ns, id.name))
    }

    #[inline]
    fn shard(&self, hash: u64) -> &RwLock<HashTable<Known>> {
        // The table uses the low and the highest bits.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    /// Gives the slots that may be `id`'s to `test` until it takes one. They
    /// are those of equal hashes: whoever asks compares the ids.
    #[inline]
    pub(super) fn find<T>(
        &self,
        id: IdRef<'_>,
        mut test: impl FnMut(u32) -> Option<T>,
    ) -> Option<T> {
        let hash = self.hash(id);
        let shard = self.shard(hash).read();
        shard.iter_hash(hash).find_map(
            |known| {
                if known.hash == hash { test(known.slot) } else { None }
            },
        )
    }

    /// The id as this registry has it, and its slot.
    pub(super) fn intern(self: &Arc<Self>, id: &Id) -> (Id, u32) {
        if let Some(lease) = id.lease()
            && Arc::ptr_eq(&lease.slots, self)
        {
            return (id.clone(), lease.slot);
        }
        let wanted = id.parts();
        let hash = self.hash(wanted);
        // What is looked at may lose its last reference here; it must not with
        // the lock held, which giving back takes.
        let mut looked_at = Vec::new();
        let mut shard = self.shard(hash).write();
        for known in shard.iter_hash(hash) {
            if let Some(body) = known.id.upgrade() {
                if body.parts() == wanted {
                    let slot = known.slot;
                    drop(shard);
                    return (Id::from_body(body), slot);
                }
                looked_at.push(body);
            }
        }
        let slot = self.take();
        let lease = Lease { slots: Arc::clone(self), hash, slot };
        let fresh = Id::leased(wanted, Some(lease));
        let known = Known { hash, slot, id: Arc::downgrade(fresh.body()) };
        shard.insert_unique(hash, known, |known| known.hash);
        drop(shard);
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

    fn take(&self) -> u32 {
        let mut free = self.free.lock();
        free.returned.pop().unwrap_or_else(|| {
            free.next += 1;
            free.next - 1
        })
    }

    fn give_back(&self, hash: u64, slot: u32) {
        let mut shard = self.shard(hash).write();
        if let Ok(entry) = shard.find_entry(hash, |known| known.slot == slot) {
            entry.remove();
        }
        drop(shard);
        self.free.lock().returned.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(slots.shards.iter().all(|shard| shard.read().is_empty()));
        let free = slots.free.lock();
        assert_eq!(free.returned.len(), free.next as usize);
    }
}
