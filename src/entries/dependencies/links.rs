//! Who depends on whom, in both directions.

use std::sync::Arc;

use crate::hashing::Hashing;
use hashbrown::{HashMap, HashSet};

use super::Patterns;
use super::order::Known;
use super::target::{Target, groups, id_of, targets};
use crate::entries::entry::Entry;
use crate::entries::id::{Id, IdRef};
use crate::entries::persistent::Tree;
use crate::entries::state::{Entries, SlotSet, State};
use crate::platform::sync::Mutex;
use crate::sorting;

/// The references of a state, built when somebody asks for the first time and
/// kept up from then on.
#[derive(Default)]
pub(in crate::entries) struct Links {
    built: Mutex<Option<Arc<Built>>>,
}

/// Slots by what their entries name.
type Postings = Tree<Id, SlotSet, 32>;

#[derive(Clone)]
struct Built {
    patterns: Arc<Patterns>,
    /// By the full id that a text names.
    by_text: Postings,
    /// By the groups that an entry is in, each as an id without a namespace.
    by_group: Postings,
}

impl Clone for Links {
    fn clone(&self) -> Self {
        // Whoever builds at this moment builds for the old state only.
        let built = self.built.try_lock().and_then(|built| built.clone());
        Self { built: Mutex::new(built) }
    }
}

impl Links {
    /// Follows a change of the entry at `slot`. `entries` holds the new state
    /// of all other slots; at `slot` it holds an entry with the id.
    pub(in crate::entries) fn replace(
        &mut self,
        entries: &Entries,
        slot: u32,
        old: Option<&Entry>,
        new: Option<&Entry>,
    ) {
        let Some(built) = self.built.get_mut() else { return };
        let Some(id) = new.or(old).map(Entry::id) else { return };
        let built = Arc::make_mut(built);
        let patterns = Arc::clone(&built.patterns);
        let (left, come) = (named(old, &patterns), named(new, &patterns));
        move_slot(&mut built.by_text, entries, (slot, id), left, come);
        move_slot(&mut built.by_group, entries, (slot, id), groups_of(old), groups_of(new));
    }

    /// The references of `state`, whose links these are.
    fn of(&self, state: &State, patterns: &Arc<Patterns>) -> Arc<Built> {
        let is_current = |built: &&Arc<Built>| Arc::ptr_eq(&built.patterns, patterns);
        if state.is_forked() {
            return Arc::new(Built::of(state, patterns));
        }
        if let Some(built) = self.built.lock().as_ref().filter(is_current) {
            return Arc::clone(built);
        }
        // Built without the lock: an apply clones the state meanwhile.
        let built = Arc::new(Built::of(state, patterns));
        *self.built.lock() = Some(Arc::clone(&built));
        built
    }
}

/// The full ids that the entry names, each once, sorted.
fn named<'a>(entry: Option<&'a Entry>, patterns: &Patterns) -> Vec<IdRef<'a>> {
    let mut ids = Vec::new();
    if let Some(entry) = entry {
        patterns.texts(entry, |text| ids.push(id_of(text, entry)));
    }
    sorting::sort(&mut ids);
    ids.dedup();
    ids
}

/// The groups that the entry is in, each once, sorted.
fn groups_of(entry: Option<&Entry>) -> Vec<IdRef<'_>> {
    let mut ids = Vec::new();
    if let Some(entry) = entry {
        groups(entry, |group| ids.push(IdRef { ns: b"", name: group }));
    }
    sorting::sort(&mut ids);
    ids.dedup();
    ids
}

/// Takes the slot from the postings of `old` to those of `new`.
fn move_slot(
    postings: &mut Postings,
    entries: &Entries,
    (slot, id): (u32, &Id),
    old: Vec<IdRef<'_>>,
    new: Vec<IdRef<'_>>,
) {
    for key in old.iter().filter(|key| new.binary_search(key).is_err()) {
        let Some(slots) = postings.get_mut(|other| other.parts().cmp(key)) else { continue };
        slots.remove(|&other| entries.compare(other, id.parts()));
        if slots.len() == 0 {
            postings.remove(|other| other.parts().cmp(key));
        }
    }
    for key in new.iter().filter(|key| old.binary_search(key).is_err()) {
        match postings.get_mut(|other| other.parts().cmp(key)) {
            Some(slots) => {
                slots.insert(slot, (), |&other| entries.compare(other, id.parts()));
            }
            None => {
                let slots = SlotSet::from_sorted([(slot, ())]);
                postings.insert(Id::new(*key), slots, |other| other.parts().cmp(key));
            }
        }
    }
}

impl Built {
    fn of(state: &State, patterns: &Arc<Patterns>) -> Self {
        let mut by_text: Lists<'_> = HashMap::default();
        let mut by_group: Lists<'_> = HashMap::default();
        // By id, so that each list comes out sorted.
        for (&slot, ()) in state.slots() {
            let Some(entry) = state.entries.get(slot) else { continue };
            for key in named(Some(entry), patterns) {
                by_text.entry(key).or_default().push(slot);
            }
            for key in groups_of(Some(entry)) {
                by_group.entry(key).or_default().push(slot);
            }
        }
        let (by_text, by_group) = (postings(by_text), postings(by_group));
        Self { patterns: Arc::clone(patterns), by_text, by_group }
    }
}

type Lists<'a> = HashMap<IdRef<'a>, Vec<u32>, Hashing>;

fn postings(lists: Lists<'_>) -> Postings {
    let mut lists: Vec<_> = lists.into_iter().collect();
    sorting::sort_by(&mut lists, |a, b| a.0.cmp(&b.0));
    Tree::from_sorted(lists.into_iter().map(|(key, slots)| {
        (Id::new(key), SlotSet::from_sorted(slots.into_iter().map(|slot| (slot, ()))))
    }))
}

/// Gives the slots that stand under `key`.
fn each(postings: &Postings, key: IdRef<'_>, give: &mut dyn FnMut(u32)) {
    if let Some((_, slots)) = postings.get(|other| other.parts().cmp(&key)) {
        slots.iter().for_each(|(&slot, ())| give(slot));
    }
}

/// What depends on the entry with this id in `state`, directly or also through
/// others; sorted, without itself.
pub(in crate::entries) fn dependents(
    state: &State,
    id: IdRef<'_>,
    transitive: bool,
    patterns: &Arc<Patterns>,
) -> Vec<Id> {
    let built = state.links.of(state, patterns);
    walk(state, id, transitive, |walk, entry| {
        let id = entry.id().parts();
        let all = IdRef { ns: b"ns", name: id.ns };
        walk.all(Target::One(id), |give| each(&built.by_text, id, give));
        walk.all(Target::Namespace(id.ns), |give| {
            if !state.has(all) {
                each(&built.by_text, all, give);
            }
        });
        groups(entry, |group| {
            let all = IdRef { ns: b"group", name: group };
            walk.all(Target::Group(group), |give| {
                if !state.has(all) {
                    each(&built.by_text, all, give);
                }
            });
        });
    })
}

/// What the entry with this id depends on in `state`, directly or also through
/// others; sorted, without itself.
pub(in crate::entries) fn dependencies(
    state: &State,
    id: IdRef<'_>,
    transitive: bool,
    patterns: &Arc<Patterns>,
) -> Vec<Id> {
    let built = state.links.of(state, patterns);
    walk(state, id, transitive, |walk, entry| {
        targets(entry, patterns, state, |target| {
            walk.all(target, |give| match target {
                Target::One(id) => {
                    if let Some(slot) = state.slot_of(id) {
                        give(slot);
                    }
                }
                Target::Namespace(ns) => state.namespace(ns).for_each(give),
                Target::Group(group) => {
                    each(&built.by_group, IdRef { ns: b"", name: group }, give);
                }
            });
        });
    })
}

/// What was found on the way from one entry to others.
struct Walk<'a> {
    state: &'a State,
    seen: HashSet<u32, Hashing>,
    /// What was followed already: all who are in a namespace lead to the same.
    followed: HashSet<Target<'a>, Hashing>,
    /// What is to be looked at.
    waiting: Vec<u32>,
    found: Vec<Id>,
}

impl<'a> Walk<'a> {
    /// Takes in what a target leads to, `slots`, if nobody has yet.
    fn all(&mut self, target: Target<'a>, slots: impl FnOnce(&mut dyn FnMut(u32))) {
        if !self.followed.insert(target) {
            return;
        }
        slots(&mut |slot| {
            if self.seen.insert(slot) {
                self.found.extend(self.state.entries.get(slot).map(|entry| entry.id().clone()));
                self.waiting.push(slot);
            }
        });
    }
}

/// The entries that `follow` leads to from the one with this id.
fn walk<'a>(
    state: &'a State,
    id: IdRef<'_>,
    transitive: bool,
    follow: impl Fn(&mut Walk<'a>, &'a Entry),
) -> Vec<Id> {
    let Some(start) = state.slot_of(id) else { return Vec::new() };
    let mut walk = Walk {
        state,
        seen: HashSet::default(),
        followed: HashSet::default(),
        waiting: vec![start],
        found: Vec::new(),
    };
    walk.seen.insert(start);
    while let Some(slot) = walk.waiting.pop() {
        if let Some(entry) = state.entries.get(slot) {
            follow(&mut walk, entry);
        }
        if !transitive {
            break;
        }
    }
    let mut found = walk.found;
    sorting::sort(&mut found);
    found
}
