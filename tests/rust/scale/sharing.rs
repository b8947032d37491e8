//! Entries of two processes, of baselines, and what depends on what, by the
//! thousands.

use std::collections::{BTreeMap, BTreeSet};

use acervo::entries::{Entry, IdRef, OpKind, Plain, Registry};
use acervo::value::Value;

use crate::common::other::Other;
use crate::common::random::Random;
use crate::common::{Scratch, options, text};
use crate::{seed, times};

/// Ids of one process, and the changesets it makes.
const IDS: usize = 8000;
const CHANGESETS: usize = 60;
const LARGEST: usize = 400;

type Model = BTreeMap<String, i64>;

fn id(process: usize, n: usize) -> String {
    format!("p{process}n{}:e{n}", n % 13)
}

fn entry(id: &str, number: i64) -> Entry {
    let data = Value::from_json(number.to_string().as_bytes()).unwrap();
    Entry::new(IdRef::parse(id.as_bytes()), b"k", None, Some(data)).unwrap()
}

/// Applies the changesets of one process; without a registry the result alone.
pub fn apply(registry: Option<&Registry>, process: usize) -> Model {
    let mut random = Random::new(seed() + process as u64);
    let mut model = Model::new();
    for _ in 0..CHANGESETS {
        let mut changes = registry.map(|registry| registry.snapshot().unwrap().changes());
        for _ in 0..1 + random.below(LARGEST) {
            let id = id(process, random.below(IDS));
            let number = random.next() as i64 >> 20;
            let is_there = model.contains_key(&id);
            if is_there && random.once_in(3) {
                model.remove(&id);
                if let Some(changes) = &mut changes {
                    changes.delete(IdRef::parse(id.as_bytes())).unwrap();
                }
            } else {
                match &mut changes {
                    Some(changes) if is_there => changes.update(entry(&id, number)).unwrap(),
                    Some(changes) => changes.create(entry(&id, number)).unwrap(),
                    None => {}
                }
                model.insert(id, number);
            }
        }
        if let Some(mut changes) = changes {
            changes.apply().unwrap();
        }
    }
    model
}

fn compare(registry: &Registry, model: &Model, what: &str) {
    let snapshot = registry.snapshot().unwrap();
    for (id, &number) in model {
        let found = snapshot.get(IdRef::parse(id.as_bytes()));
        assert_eq!(found, Some(&entry(id, number)), "{what}, {id}, seed {}", seed());
    }
    assert_eq!(snapshot.len(), model.len(), "{what}");
}

#[test]
fn what_two_processes_applied_is_there_when_they_are_killed() {
    let scratch = Scratch::new();
    let open = || scratch.open_with(&options(&[("durability", text("normal"))]));
    let db = open();
    let registry = db.entries().unwrap();
    let mut others: Vec<Other> = (0..2).map(|_| Other::start(&scratch)).collect();
    for (process, other) in others.iter_mut().enumerate() {
        other.say(&format!("entries {process}"));
    }
    let mut model = apply(Some(&registry), 2);
    for (process, other) in others.iter_mut().enumerate() {
        model.extend(apply(None, process));
        assert_eq!(other.hear(), "done");
    }
    compare(&registry, &model, "in memory");
    assert_eq!(registry.versions().unwrap().len(), 1 + 3 * CHANGESETS);
    others.iter_mut().for_each(Other::kill);
    drop(registry);
    db.close().unwrap();
    let db = open();
    compare(&db.entries().unwrap(), &model, "in the file");
}

#[test]
fn versions_on_a_baseline_of_many_entries_are_what_was_applied() {
    let scratch = Scratch::new();
    let count = times(30_000);
    let baseline: Vec<Entry> = (0..count).map(|n| entry(&id(9, n), n as i64)).collect();
    let mut model: Model = (0..count).map(|n| (id(9, n), n as i64)).collect();
    let mut random = Random::new(seed());
    for round in 0..3 {
        let db = scratch.open_with(&options(&[("durability", text("off"))]));
        let registry = db.entries().unwrap();
        registry.load_state(&baseline, None, &Plain::default()).unwrap();
        compare(&registry, &model, &format!("loaded, round {round}"));
        let before = registry.snapshot().unwrap();
        let old = model.clone();
        for _ in 0..10 {
            let mut changes = registry.snapshot().unwrap().changes();
            for _ in 0..1 + random.below(LARGEST) {
                let id = id(9, random.below(count));
                match model.contains_key(&id) {
                    true if random.once_in(3) => {
                        changes.delete(IdRef::parse(id.as_bytes())).unwrap();
                        model.remove(&id);
                        continue;
                    }
                    true => changes.update(entry(&id, round)).unwrap(),
                    false => changes.create(entry(&id, round)).unwrap(),
                }
                model.insert(id, round);
            }
            changes.apply().unwrap();
        }
        compare(&registry, &model, &format!("applied, round {round}"));

        // What leads from one list to the other is as little as it can be.
        let list = |snapshot: &acervo::entries::Snapshot| -> Vec<Entry> {
            snapshot.entries().iter().cloned().collect()
        };
        let now = registry.snapshot().unwrap();
        let ops = registry.build_delta(&list(&before), &list(&now)).unwrap();
        let mut made = old.clone();
        for op in &ops {
            let id = op.id().to_string();
            let was = match op.kind {
                OpKind::Delete => made.remove(&id),
                _ => {
                    let number = op.entry.data().unwrap().to_json().unwrap().parse().unwrap();
                    made.insert(id, number)
                }
            };
            assert_eq!(was.is_some(), op.kind != OpKind::Create);
        }
        assert_eq!(made, model);
        let ids: BTreeSet<&String> = old.keys().chain(model.keys()).collect();
        let changed = ids.into_iter().filter(|id| old.get(*id) != model.get(*id)).count();
        assert_eq!(ops.len(), changed);
    }
}

#[test]
fn dependents_of_many_entries_are_what_a_scan_finds() {
    let count = times(20_000);
    let mut random = Random::new(seed());
    let db = Scratch::memory();
    let registry = db.entries().unwrap();
    let mut depends: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); count];
    let of = |n: usize, on: &BTreeSet<usize>| {
        let on: Vec<String> = on.iter().map(|&n| format!("\"{}\"", id(0, n))).collect();
        let meta = format!(r#"{{"depends_on": [{}]}}"#, on.join(","));
        let meta = Value::from_json(meta.as_bytes()).unwrap();
        Entry::new(IdRef::parse(id(0, n).as_bytes()), b"k", Some(meta), None).unwrap()
    };
    for round in 0..4 {
        let mut changes = registry.snapshot().unwrap().changes();
        for (n, on) in depends.iter_mut().enumerate() {
            if round > 0 && n % 7 != round {
                continue;
            }
            *on = (0..random.below(4)).map(|_| random.below(count)).collect();
            match round {
                0 => changes.create(of(n, on)).unwrap(),
                _ => changes.update(of(n, on)).unwrap(),
            }
        }
        changes.apply().unwrap();
        let mut dependents: Vec<BTreeSet<String>> = vec![BTreeSet::new(); count];
        for (n, on) in depends.iter().enumerate() {
            // What an entry says about itself is ignored.
            on.iter().filter(|&&on| on != n).for_each(|&on| _ = dependents[on].insert(id(0, n)));
        }
        for _ in 0..3000 {
            let n = random.below(count);
            let text = id(0, n);
            let wanted = IdRef::parse(text.as_bytes());
            let found = registry.dependents(wanted, false).unwrap();
            let found: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, dependents[n], "of {text}, seed {}", seed());
            let found = registry.dependencies(wanted, false).unwrap();
            let found: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
            let expected: BTreeSet<String> =
                depends[n].iter().filter(|&&on| on != n).map(|&on| id(0, on)).collect();
            assert_eq!(found, expected, "of {text}, seed {}", seed());
        }
    }
}
