//! The registry as it is at one version.

use super::entry::{Body, Entry};
use super::find::Cache;
use super::id::Id;
use super::state::{Entries, State};
use crate::platform::newest::{Line, Shown};
use crate::platform::sync::OnceLock;
use crate::platform::thin::IsThin;

/// A state with its version: what is published, and what snapshots hold.
pub(super) struct View {
    pub(super) version: u64,
    pub(super) state: State,
    /// What was found in it before.
    pub(super) cache: Cache,
    /// The short way to its entries; of what was published.
    pub(super) shown: OnceLock<Shown<Entries>>,
}

impl View {
    pub(super) fn new(version: u64, state: State) -> Self {
        Self { version, state, cache: Cache::default(), shown: OnceLock::new() }
    }

    /// Has its entries be found quickly, before it is published. Gives those that
    /// were published last, to be freed when nobody waits for it.
    pub(super) fn make_quick(&self, line: &mut Line<Entries>) -> Option<Entries> {
        let mut last = None;
        // What is published once more is as it was.
        self.shown.get_or_init(|| {
            let hash = |body: &Body| self.state.hash_of(body.id_text());
            let (shown, before) = line.show(self.state.entries.clone(), hash);
            last = Some(before);
            shown
        });
        last
    }

    /// The entry with this text as its id, counted. It may be there and not be
    /// found so: then it is in the state.
    #[inline(always)]
    pub(super) fn find_quickly(&self, id: &[u8]) -> Option<Entry> {
        let found = self.shown.get()?.find(self.state.hash_of(id), |body| body.has_id(id))?;
        Some(Entry::from_thin(found))
    }

    /// The entry with this id, counted.
    pub(super) fn get(&self, id: &Id) -> Option<Entry> {
        let wanted = id.parts();
        // The text of an id whose namespace has a colon means another one.
        let quick = self.find_quickly(id.text()).filter(|entry| entry.id_parts() == wanted);
        quick.or_else(|| self.state.get(wanted).cloned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::entries::entry::empty_map;
    use crate::entries::handle::Registry;
    use crate::entries::id::IdRef;
    use crate::entries::snapshot::Snapshot;
    use crate::hashing::{WEAK, weaken, with_weak};

    use super::*;
    use crate::value::Value;

    /// What changes the registry.
    #[derive(Clone, Debug)]
    enum Step {
        /// Each of these comes, or goes.
        Change(BTreeMap<u8, bool>),
        MoveTo(u8),
        Prune(u8),
    }

    fn change(snapshot: &Snapshot, ids: &BTreeMap<u8, bool>) {
        let mut changes = snapshot.changes();
        for (&n, &comes) in ids {
            let id = id(n);
            let id = IdRef::parse(&id);
            let entry = Entry::new(id, b"k", None, None).unwrap();
            match (comes, snapshot.get(id).is_some()) {
                (true, true) => changes.update(entry).unwrap(),
                (true, false) => changes.create(entry).unwrap(),
                (false, true) => changes.delete(id).unwrap(),
                (false, false) => {}
            }
        }
        if !changes.queued().is_empty() {
            changes.apply().unwrap();
        }
    }

    fn ids() -> impl Iterator<Item = Vec<u8>> {
        // Also one that is longer than what stands in an entry.
        (0..20_u8)
            .map(|n| format!("n{}:{}{n}", n % 3, "x".repeat(n as usize % 5 * 15)).into_bytes())
    }

    fn id(n: u8) -> Vec<u8> {
        ids().nth(n as usize).unwrap()
    }

    /// How many are found quickly; they are what the state has.
    fn quick(snapshot: &Snapshot) -> usize {
        let is_quick = |id: &Vec<u8>| {
            let has = snapshot.get(IdRef::parse(id));
            let found = snapshot.find_quickly(id);
            if let Some(found) = &found {
                assert!(has.is_some_and(|has| has.is_same(found)));
            }
            found.is_some()
        };
        ids().filter(is_quick).count()
    }

    proptest! {
        #[test]
        fn what_is_found_quickly_is_what_each_version_has(
            steps in prop::collection::vec(
                prop_oneof![
                    6 => prop::collection::btree_map(0..20_u8, any::<bool>(), 1..8)
                        .prop_map(Step::Change),
                    1 => any::<u8>().prop_map(Step::MoveTo),
                    1 => any::<u8>().prop_map(Step::Prune),
                ],
                0..60,
            ),
            weak in 0..WEAK.len(),
        ) {
            let _weak = weaken(WEAK[weak].1);
            let (_, registry) = Registry::in_memory();
            let mut kept = vec![registry.snapshot().unwrap()];
            for (at, step) in steps.iter().enumerate() {
                let now = registry.snapshot().unwrap();
                // Not all of them can be.
                match step {
                    Step::Change(ids) => change(&now, ids),
                    Step::MoveTo(n) => {
                        _ = registry.apply_version(u64::from(*n) % (now.version() + 3));
                    }
                    Step::Prune(n) => _ = registry.prune(u64::from(*n) % (now.version() + 1)),
                }
                let snapshot = registry.snapshot().unwrap();
                prop_assert_eq!(quick(&snapshot), snapshot.len());
                kept.push(snapshot);
                if at % 3 == 2 {
                    kept.remove(at / 3 % kept.len());
                }
                for snapshot in &kept {
                    quick(snapshot);
                }
            }
        }
    }

    #[test]
    fn thousands_are_found_by_weak_hashes_at_every_version() {
        const IDS: usize = 1500;
        with_weak(|| {
            let (_, registry) = Registry::in_memory();
            let texts: Vec<String> = (0..IDS).map(|n| format!("n{}:e{n}", n % 7)).collect();
            let id = |n: usize| IdRef::parse(texts[n].as_bytes());
            let entry = |n: usize, number: u64| {
                let data = Value::from_json(number.to_string().as_bytes()).unwrap();
                Entry::new(id(n), b"k", None, Some(data)).unwrap()
            };
            let mut model: Vec<Option<u64>> = vec![None; IDS];
            let mut kept = Vec::new();
            for round in 0..6_usize {
                let mut changes = registry.snapshot().unwrap().changes();
                for n in (0..IDS).filter(|n| (n * 31 + round * 17) % 5 < 3) {
                    let number = (round * IDS + n) as u64;
                    if model[n].is_none() {
                        changes.create(entry(n, number)).unwrap();
                        model[n] = Some(number);
                    } else if n % 3 == 0 {
                        changes.delete(id(n)).unwrap();
                        model[n] = None;
                    } else {
                        changes.update(entry(n, number)).unwrap();
                        model[n] = Some(number);
                    }
                }
                changes.apply().unwrap();
                kept.push((registry.snapshot().unwrap(), model.clone()));
                if round == 4 {
                    registry.apply_version(2).unwrap();
                    model = kept[1].1.clone();
                }
            }
            for (snapshot, model) in &kept {
                let number = |entry: &Entry| entry.data().unwrap().to_json().unwrap();
                for (n, wanted) in model.iter().enumerate() {
                    let wanted = wanted.map(|it| it.to_string());
                    assert_eq!(snapshot.get(id(n)).map(number), wanted);
                    if let Some(found) = snapshot.find_quickly(texts[n].as_bytes()) {
                        assert_eq!(Some(number(&found)), wanted);
                    }
                }
                assert_eq!(snapshot.len(), model.iter().flatten().count());
            }
            let last = &kept.last().unwrap().0;
            let quick = texts.iter().filter(|it| last.find_quickly(it.as_bytes()).is_some());
            assert_eq!(quick.count(), last.len());
        });
    }

    #[test]
    fn a_namespace_with_a_colon_is_not_that_of_the_id_with_the_same_text() {
        let (_, registry) = Registry::in_memory();
        let (usual, other) = (IdRef::parse(b"a:b:c"), IdRef { ns: b"a:b", name: b"c" });
        let mut changes = registry.snapshot().unwrap().changes();
        changes.create(Entry::new(usual, b"k", None, None).unwrap()).unwrap();
        changes.apply().unwrap();
        let snapshot = registry.snapshot().unwrap();
        assert!(snapshot.get(other).is_none());
        let mut changes = snapshot.changes();
        changes.delete(other).unwrap();
        assert!(changes.apply().is_err());
        assert_eq!(registry.snapshot().unwrap().len(), 1);

        // As a file of the other program may hold it.
        let entry = |id: IdRef<'_>| Entry::from_parts(Id::new(id), b"k", empty_map(), None, None);
        let mut state = snapshot.view().state.clone();
        state.remove(usual);
        state.put(&entry(other));
        let view = View::new(2, state.clone());
        view.make_quick(&mut Line::default());
        assert!(view.find_quickly(b"a:b:c").is_none() && view.get(&Id::new(usual)).is_none());
        assert!(view.get(&Id::new(other)).is_some());
        state.put(&entry(usual));
        let view = View::new(3, state);
        view.make_quick(&mut Line::default());
        assert_eq!(view.find_quickly(b"a:b:c").unwrap().id_parts(), usual);
        for id in [usual, other] {
            assert_eq!(view.get(&Id::new(id)).unwrap().id_parts(), id);
        }
    }

    #[test]
    fn what_was_found_quickly_is_so_after_the_registry_was_closed() {
        let (engine, registry) = Registry::in_memory();
        let mut changes = registry.snapshot().unwrap().changes();
        for id in ids() {
            changes.create(Entry::new(IdRef::parse(&id), b"k", None, None).unwrap()).unwrap();
        }
        changes.apply().unwrap();
        let snapshot = registry.snapshot().unwrap();
        engine.shut_down().unwrap();
        drop((changes, registry, engine));
        assert_eq!(quick(&snapshot), 20);
    }
}
