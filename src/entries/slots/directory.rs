//! Where ids lead: a hash table of slots that is read without a lock.
//!
//! One writer at a time changes it in place, and readers notice: who finds
//! what it looks for has compared the id, so only a search that found nothing
//! has to know whether the table moved meanwhile.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

/// Places in the smallest table.
const SMALLEST: usize = 64;
/// Tables, each twice as large as the one before: the last holds more than
/// there are slots.
const SIZES: usize = 27;

/// Slots by the hashes of their ids; several may have the same.
pub(super) struct Directory {
    /// Tables as they were needed. One that became too small stays, as
    /// somebody may read it; all of them together are as large as the last.
    tables: [OnceLock<Box<[AtomicU64]>>; SIZES],
    /// Which of them is in use.
    size: AtomicUsize,
    len: AtomicUsize,
    /// Odd while something is changed.
    changes: AtomicU64,
}

/// What a search came to.
pub(super) enum Search<T> {
    Found(T),
    Nothing,
    /// Nothing, but the table was changed meanwhile.
    Unsure,
}

/// A place without a slot.
const EMPTY: u64 = 0;

/// A place: the upper half of the hash, and the slot counted from 1.
fn word(hash: u64, slot: u32) -> u64 {
    hash >> 32 << 32 | (u64::from(slot) + 1)
}

fn slot_of(word: u64) -> u32 {
    (word as u32).wrapping_sub(1)
}

impl Directory {
    pub(super) fn new() -> Self {
        Self {
            tables: [const { OnceLock::new() }; SIZES],
            size: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
        }
    }

    #[inline]
    fn table(&self, size: usize) -> &[AtomicU64] {
        self.tables[size]
            .get_or_init(|| (0..SMALLEST << size).map(|_| AtomicU64::new(EMPTY)).collect())
    }

    /// Gives the slots of ids that may have this hash to `test` until it takes
    /// one.
    #[inline]
    pub(super) fn find<T>(&self, hash: u64, mut test: impl FnMut(u32) -> Option<T>) -> Search<T> {
        let before = self.changes.load(Ordering::Acquire);
        let table = self.table(self.size.load(Ordering::Acquire));
        let mask = table.len() - 1;
        let home = hash as usize & mask;
        // There are empty places, but the reader of a table that is changed may
        // miss them.
        for step in 0..table.len() {
            let word = table[(home + step) & mask].load(Ordering::Relaxed);
            if word == EMPTY {
                break;
            }
            if word >> 32 == hash >> 32
                && let Some(found) = test(slot_of(word))
            {
                return Search::Found(found);
            }
        }
        fence(Ordering::Acquire);
        if before.is_multiple_of(2) && self.changes.load(Ordering::Relaxed) == before {
            Search::Nothing
        } else {
            Search::Unsure
        }
    }

    /// How many slots there are.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Adds a slot. One writer at a time: who holds the lock of the slots.
    /// `hash_of` tells the hash of each slot that is there.
    pub(super) fn insert(&self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        self.change(|| {
            let size = self.size.load(Ordering::Relaxed);
            let table = self.table(size);
            // Fuller, searches become long; emptier, they look at more memory.
            if (self.len() + 1) * 5 > table.len() * 4 && size + 1 < SIZES {
                let larger = self.table(size + 1);
                for word in table.iter().map(|place| place.load(Ordering::Relaxed)) {
                    if word != EMPTY {
                        put(larger, hash_of(slot_of(word)), word);
                    }
                }
                self.size.store(size + 1, Ordering::Release);
                put(larger, hash, word(hash, slot));
            } else {
                put(table, hash, word(hash, slot));
            }
            self.len.store(self.len() + 1, Ordering::Relaxed);
        });
    }

    /// Takes a slot away. Who may, and `hash_of`: as for
    /// [`Directory::insert`].
    pub(super) fn remove(&self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let table = self.table(self.size.load(Ordering::Relaxed));
        let mask = table.len() - 1;
        let wanted = word(hash, slot);
        let home = hash as usize & mask;
        let found = (home..home + table.len())
            .map(|at| at & mask)
            .map_while(|at| {
                Some((at, table[at].load(Ordering::Relaxed))).filter(|it| it.1 != EMPTY)
            })
            .find(|&(_, word)| word == wanted);
        let Some((mut hole, _)) = found else { return };
        self.change(|| {
            // What stands behind moves up, so that no search ends at a hole.
            let mut at = hole;
            loop {
                at = (at + 1) & mask;
                let word = table[at].load(Ordering::Relaxed);
                if word == EMPTY {
                    break;
                }
                let home = hash_of(slot_of(word)) as usize & mask;
                // Whether its search comes by the hole.
                if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                    table[hole].store(word, Ordering::Relaxed);
                    hole = at;
                }
            }
            table[hole].store(EMPTY, Ordering::Relaxed);
            self.len.store(self.len() - 1, Ordering::Relaxed);
        });
    }

    fn change(&self, change: impl FnOnce()) {
        let before = self.changes.load(Ordering::Relaxed);
        self.changes.store(before + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        change();
        self.changes.store(before + 2, Ordering::Release);
    }
}

/// Puts a word into the first free place of its search.
fn put(table: &[AtomicU64], hash: u64, word: u64) {
    let mask = table.len() - 1;
    let mut at = hash as usize & mask;
    while table[at].load(Ordering::Relaxed) != EMPTY {
        at = (at + 1) & mask;
    }
    table[at].store(word, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;

    use super::*;
    use crate::hashing::WEAK;

    fn find(directory: &Directory, hash: u64, slot: u32) -> bool {
        match directory.find(hash, |found| (found == slot).then_some(())) {
            Search::Found(()) => true,
            Search::Nothing => false,
            Search::Unsure => panic!("nobody changes it"),
        }
    }

    proptest! {
        #[test]
        fn it_holds_what_a_set_holds(
            // Few hashes, so that many collide and wrap around the end.
            changes in prop::collection::vec((0..300_u32, any::<bool>(), 0..4_u64), 0..900),
            weak in prop::option::of(0..WEAK.len()),
        ) {
            let hash_of = |slot: u32| match weak {
                None => (u64::from(slot) % 5) << 32 | (60 + u64::from(slot) % 7),
                Some(weak) => WEAK[weak].1(u64::from(slot).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            };
            let (directory, mut model) = (Directory::new(), BTreeSet::new());
            for (slot, comes, _) in changes {
                if comes && model.insert(slot) {
                    directory.insert(hash_of(slot), slot, hash_of);
                } else if !comes && model.remove(&slot) {
                    directory.remove(hash_of(slot), slot, hash_of);
                }
                prop_assert_eq!(directory.len(), model.len());
            }
            for slot in 0..300 {
                prop_assert_eq!(find(&directory, hash_of(slot), slot), model.contains(&slot));
            }
        }
    }

    #[test]
    fn what_stays_is_found_while_others_come_and_go() {
        let hash_of = |slot: u32| u64::from(slot % 16) << 32 | u64::from(slot % 50);
        let directory = Directory::new();
        (0..20).for_each(|slot| directory.insert(hash_of(slot), slot, hash_of));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..200 {
                    (20..400 + round)
                        .for_each(|slot| directory.insert(hash_of(slot), slot, hash_of));
                    (20..400 + round)
                        .for_each(|slot| directory.remove(hash_of(slot), slot, hash_of));
                }
                is_over.store(true, Ordering::Release);
            });
            while !is_over.load(Ordering::Acquire) {
                for slot in 0..20 {
                    let found = directory.find(hash_of(slot), |it| (it == slot).then_some(()));
                    assert!(!matches!(found, Search::Nothing), "slot {slot} was not found");
                }
            }
        });
    }
}
