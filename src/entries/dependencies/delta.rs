//! The operations that turn one list of entries into another.

use std::borrow::Borrow;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::Patterns;
use super::order::{Known, order};
use crate::entries::EntryError;
use crate::entries::entry::Entry;
use crate::entries::id::IdRef;
use crate::entries::op::Op;
use crate::hashing::Hashing;

/// Entries of a list by their ids.
struct Listed<'a, E> {
    entries: &'a [E],
    hasher: Hashing,
    places: HashTable<u32>,
}

impl<'a, E: Borrow<Entry>> Listed<'a, E> {
    /// None of the list yet; room for `len`.
    fn new(entries: &'a [E], len: usize) -> Self {
        Self { entries, hasher: Hashing::default(), places: HashTable::with_capacity(len) }
    }

    fn id(&self, place: usize) -> IdRef<'a> {
        self.entries[place].borrow().id_parts()
    }

    /// Adds one. False if another one has its id.
    fn add(&mut self, place: usize) -> bool {
        let Self { entries, hasher, places } = self;
        let id = |place: u32| entries[place as usize].borrow().id_parts();
        let wanted = id(place as u32);
        let found = places.entry(
            wanted.hash_by(hasher),
            |&other| id(other) == wanted,
            |&other| id(other).hash_by(hasher),
        );
        match found {
            Place::Occupied(_) => false,
            Place::Vacant(vacant) => {
                vacant.insert(place as u32);
                true
            }
        }
    }

    fn find(&self, id: IdRef<'_>) -> Option<usize> {
        let is_it = |&place: &u32| self.id(place as usize) == id;
        self.places.find(id.hash_by(&self.hasher), is_it).map(|&place| place as usize)
    }
}

impl<E: Borrow<Entry>> Known for Listed<'_, E> {
    fn has(&self, id: IdRef<'_>) -> bool {
        self.find(id).is_some()
    }
}

/// The list that is aimed for: what stays of the other, and what is new.
struct Aimed<'a, E> {
    from: &'a Listed<'a, E>,
    /// Which of those stay.
    stay: Vec<bool>,
    new: Listed<'a, E>,
}

impl<E: Borrow<Entry>> Known for Aimed<'_, E> {
    fn has(&self, id: IdRef<'_>) -> bool {
        self.from.find(id).is_some_and(|place| self.stay[place]) || self.new.has(id)
    }
}

/// As few operations as it takes to make `to` of `from`, in their order.
pub(in crate::entries) fn delta<E: Borrow<Entry>>(
    from: &[E],
    to: &[E],
    patterns: &Patterns,
) -> Result<Vec<Op>, EntryError> {
    let twice = |list, place: usize, entry: &E| {
        let what = format!("the id {} stands twice in the list", entry.borrow().id());
        Err(EntryError::List { list, index: place + 1, what })
    };
    let mut left = Listed::new(from, from.len());
    for (place, entry) in from.iter().enumerate() {
        if !left.add(place) {
            return twice("from", place, entry);
        }
    }
    let mut aimed = Aimed { from: &left, stay: vec![false; from.len()], new: Listed::new(to, 0) };
    let mut ops = Vec::new();
    // Lists of what mostly stayed have it in the same order.
    let mut next = 0;
    for (place, entry) in to.iter().enumerate() {
        let new = entry.borrow();
        let id = new.id_parts();
        let is_next = next < from.len() && left.id(next) == id;
        let known = if is_next { Some(next) } else { left.find(id) };
        let Some(before) = known else {
            if !aimed.new.add(place) {
                return twice("to", place, entry);
            }
            ops.push(Op::create(new.clone()));
            continue;
        };
        if std::mem::replace(&mut aimed.stay[before], true) {
            return twice("to", place, entry);
        }
        next = before + 1;
        let old = from[before].borrow();
        if old.is_same(new) || old.has_same_content(new) {
            continue;
        }
        if old.kind() == new.kind() {
            ops.push(Op::update(new.clone(), old.clone()));
        } else {
            ops.extend([Op::delete(old.clone()), Op::create(new.clone())]);
        }
    }
    let gone = from.iter().zip(&aimed.stay).filter(|(_, stays)| !**stays);
    ops.extend(gone.map(|(old, _)| Op::delete(old.borrow().clone())));
    Ok(order(ops, patterns, &left, &aimed))
}
