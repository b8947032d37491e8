//! Fifty thousand entries against copies of every version.

use std::collections::BTreeMap;

use acervo::database::{Database, check_file};
use acervo::entries::{Entry, IdRef, Registry, Snapshot};
use acervo::value::Value;
use serde_json::json;

use crate::common::random::Random;
use crate::common::{Scratch, options, text};
use crate::find::{Filter, Known};
use crate::{seed, times};

const KINDS: [&str; 6] =
    ["function.lua", "function.py", "http.endpoint", "http.router", "db.table", "k"];
/// Largest changeset.
const LARGEST: usize = 2000;
/// So many versions are told by what they changed, then one is copied whole.
const DIFFS: usize = 16;

/// The number of an id that no entry has.
const NONE: u32 = 0;

fn known(n: usize, made: u64) -> Known {
    let mut random = Random::new(made);
    let r = random.below(1 << 30);
    let mut meta = json!({
        "tag": format!("t{}", r % 50),
        "path": format!("/api/v{}/é{}/{}", r % 5, r / 5 % 60, r / 300 % 300),
        "public": r.is_multiple_of(3),
        "tags": [format!("a{}", r % 5), format!("b{}", r % 7), r % 11],
        "weight": if r.is_multiple_of(2) { json!(r % 20) } else { json!((r % 40) as f64 / 2.0) },
    });
    match r % 4 {
        0 => meta["x"] = json!({"y": r % 20}),
        1 => meta["x.y"] = json!(r % 20),
        _ => {}
    }
    let data = match r % 5 {
        0 => json!(null),
        1 => json!(r),
        _ => json!({
            "port": r % 1000,
            "deep": {"list": [r % 30, {"of": r % 3}]},
            "text": format!("w{} w{} of {n}", r % 500, r / 500 % 500),
        }),
    };
    Known { ns: format!("app{}", n % 97), name: format!("e{n}"), kind: KINDS[r % 6], meta, data }
}

fn id(n: usize) -> String {
    format!("app{}:e{n}", n % 97)
}

/// `kind`: that of the entry it replaces, which stays.
fn entry(n: usize, made: u64, kind: Option<&[u8]>) -> Entry {
    let known = known(n, made);
    let kind = kind.unwrap_or(known.kind.as_bytes());
    let value = |json: &serde_json::Value| Value::from_json(json.to_string().as_bytes()).unwrap();
    let (meta, data) = (value(&known.meta), value(&known.data));
    let id = id(n);
    Entry::new(IdRef::parse(id.as_bytes()), kind, Some(meta), Some(data)).unwrap()
}

/// What an id has, by number: the entry that was made so, counted from 1.
type State = Vec<u32>;

/// A version as the model keeps it.
enum Kept {
    Whole(State),
    /// What differs from the parent.
    Diff {
        parent: u64,
        changes: Vec<(u32, u32)>,
    },
}

struct Model {
    random: Random,
    /// Ids in their order, with their numbers.
    order: Vec<(String, u32)>,
    /// All entries that were ever made.
    made: Vec<Entry>,
    versions: BTreeMap<u64, Kept>,
    parents: BTreeMap<u64, Option<u64>>,
    head: u64,
    now: State,
}

impl Model {
    fn new(ids: usize) -> Self {
        let mut order: Vec<(String, u32)> = (0..ids as u32).map(|n| (id(n as usize), n)).collect();
        let key = |(_, n): &(String, u32)| (format!("app{}", n % 97), format!("e{n}"));
        order.sort_by_cached_key(key);
        let now = vec![NONE; ids];
        Self {
            random: Random::new(seed()),
            order,
            made: Vec::new(),
            versions: BTreeMap::from([(0, Kept::Whole(now.clone()))]),
            parents: BTreeMap::from([(0, None)]),
            head: 0,
            now,
        }
    }

    fn state(&self, version: u64) -> State {
        let mut diffs = Vec::new();
        let mut at = version;
        let mut state = loop {
            match &self.versions[&at] {
                Kept::Whole(state) => break state.clone(),
                Kept::Diff { parent, changes } => {
                    diffs.push(changes);
                    at = *parent;
                }
            }
        };
        for &(n, made) in diffs.into_iter().rev().flatten() {
            state[n as usize] = made;
        }
        state
    }

    fn make(&mut self, n: usize) -> (u32, Entry) {
        let seed = self.random.next();
        let entry = entry(n, seed, self.entry(self.now[n]).map(Entry::kind));
        self.made.push(entry.clone());
        (self.made.len() as u32, entry)
    }

    /// Applies one changeset of so many operations; some are on one id.
    fn apply(&mut self, registry: &Registry, len: usize, fills: bool) {
        let snapshot = registry.snapshot().unwrap();
        let mut changes = snapshot.changes();
        let before = self.now.clone();
        let mut touched = Vec::new();
        let mut next = self.random.below(self.now.len());
        for _ in 0..len {
            let again = self.random.once_in(20);
            let n = match touched.last() {
                Some(&last) if again => last,
                _ if fills => {
                    next = (next + 1) % self.now.len();
                    next
                }
                _ => self.random.below(self.now.len()),
            };
            let is_there = self.now[n] != NONE;
            if is_there && !fills && self.random.once_in(3) {
                changes.delete(IdRef::parse(id(n).as_bytes())).unwrap();
                self.now[n] = NONE;
            } else {
                let (made, entry) = self.make(n);
                match is_there {
                    true => changes.update(entry).unwrap(),
                    false => changes.create(entry).unwrap(),
                }
                self.now[n] = made;
            }
            touched.push(n);
        }
        let version = changes.apply().unwrap().version;
        touched.sort_unstable();
        touched.dedup();
        touched.retain(|&n| self.now[n] != before[n]);
        // A version is made of changes that come down to nothing, too.
        assert!(version > *self.versions.keys().last().unwrap(), "{version} is new");
        let kept = match self.versions.len() % DIFFS {
            0 => Kept::Whole(self.now.clone()),
            _ => {
                let changes = touched.iter().map(|&n| (n as u32, self.now[n])).collect();
                Kept::Diff { parent: self.head, changes }
            }
        };
        self.versions.insert(version, kept);
        self.parents.insert(version, Some(self.head));
        self.head = version;
        let snapshot = registry.snapshot().unwrap();
        for n in touched {
            assert_eq!(snapshot.get(IdRef::parse(id(n).as_bytes())), self.entry(self.now[n]));
        }
    }

    fn entry(&self, made: u32) -> Option<&Entry> {
        Some(&self.made[(made as usize).checked_sub(1)?])
    }

    fn some_version(&mut self) -> u64 {
        let at = self.random.below(self.versions.len());
        *self.versions.keys().nth(at).unwrap()
    }

    fn go_to(&mut self, registry: &Registry, version: u64) {
        registry.apply_version(version).unwrap();
        self.now = self.state(version);
        self.head = version;
    }

    /// All entries of a state have to be there, in their order, and found by
    /// their ids; and no others.
    fn compare(&self, snapshot: &Snapshot, state: &State, what: &str) {
        let what = format!("version {}, {what}, seed {}", snapshot.version(), seed());
        let all = snapshot.entries();
        let mut found = all.iter();
        for (id, n) in &self.order {
            let wanted = self.entry(state[*n as usize]);
            assert_eq!(snapshot.get(IdRef::parse(id.as_bytes())), wanted, "{what}, {id}");
            if wanted.is_some() {
                assert_eq!(found.next(), wanted, "{what}, all in order");
            }
        }
        assert_eq!(found.next(), None, "{what}, all in order");
        assert_eq!(snapshot.len(), all.len(), "{what}");
    }

    /// So many filters. Tells how many found something.
    fn search(&mut self, snapshot: &Snapshot, state: &State, filters: usize) -> usize {
        let known: Vec<Known> = self
            .order
            .iter()
            .filter_map(|(_, n)| self.entry(state[*n as usize]).map(known_of))
            .collect();
        let mut found = 0;
        for _ in 0..filters {
            let filter = Filter::random(&mut self.random);
            match filter.compare(snapshot, known.iter()) {
                Ok(count) => found += usize::from(count > 0),
                Err(wrong) => panic!("version {}, seed {}: {wrong}", snapshot.version(), seed()),
            }
        }
        found
    }

    fn compare_tree(&self, registry: &Registry) {
        let versions = registry.versions().unwrap();
        let found: BTreeMap<u64, Option<u64>> =
            versions.iter().map(|it| (it.id, it.parent)).collect();
        assert_eq!(found, self.parents, "the tree of versions");
        assert_eq!(registry.current_version().unwrap(), self.head);
    }

    /// Forgets what does not descend from `version`.
    fn prune(&mut self, registry: &Registry, version: u64) {
        registry.prune(version).unwrap();
        let states: Vec<(u64, State)> = self
            .parents
            .keys()
            .filter(|&&it| it == version || self.descends(it, version))
            .map(|&it| (it, self.state(it)))
            .collect();
        let mut parents = BTreeMap::from([(0, None)]);
        let root = Kept::Whole(vec![NONE; self.now.len()]);
        self.versions = BTreeMap::from([(0, root)]);
        for (it, state) in states {
            parents.insert(it, if it == version { Some(0) } else { self.parents[&it] });
            self.versions.insert(it, Kept::Whole(state));
        }
        self.parents = parents;
    }

    fn descends(&self, version: u64, from: u64) -> bool {
        let mut at = Some(version);
        while let Some(version) = at {
            if version == from {
                return true;
            }
            at = self.parents[&version];
        }
        false
    }
}

/// An entry as it was given, read from its parts.
fn known_of(entry: &Entry) -> Known {
    let json = |value: &Value| serde_json::from_str(&value.to_json().unwrap()).unwrap();
    let kind = KINDS.into_iter().find(|kind| kind.as_bytes() == entry.kind()).unwrap();
    Known {
        ns: String::from_utf8(entry.id().ns().to_vec()).unwrap(),
        name: String::from_utf8(entry.id().name().to_vec()).unwrap(),
        kind,
        meta: json(entry.meta()),
        data: entry.data().map_or(json!(null), json),
    }
}

#[test]
fn versions_of_many_entries_are_what_was_applied() {
    let scratch = Scratch::new();
    let open = || -> (Database, Registry) {
        let db = scratch.open_with(&options(&[("durability", text("off"))]));
        let registry = db.entries().unwrap();
        (db, registry)
    };
    let (mut db, mut registry) = open();
    let ids = times(50_000);
    let mut model = Model::new(ids);
    while model.now.iter().filter(|&&made| made != NONE).count() < ids * 9 / 10 {
        let len = 1 + model.random.below(LARGEST);
        model.apply(&registry, len, true);
    }
    println!("{} versions for the first entries", model.versions.len());
    let mut held: Vec<(Snapshot, State)> = Vec::new();
    let mut found = 0;
    for round in 0..6 {
        for step in 0..25 {
            let len = match model.random.below(10) {
                0 => 1 + model.random.below(LARGEST),
                1..4 => 1 + model.random.below(100),
                _ => 1 + model.random.below(8),
            };
            model.apply(&registry, len, false);
            if step % 10 == 9 {
                let version = model.some_version();
                model.go_to(&registry, version);
            }
        }
        // Searched now and held, to be looked at when much has changed since.
        let now = registry.snapshot().unwrap();
        model.compare(&now, &model.now, "current");
        let state = model.now.clone();
        found += model.search(&now, &state, 30);
        held.push((now, state));
        // A little later, where indexes are those of before and what differs is
        // tested by itself.
        model.apply(&registry, 20, false);
        let now = registry.snapshot().unwrap();
        let state = model.now.clone();
        found += model.search(&now, &state, 15);
        let old = model.some_version();
        let state = model.state(old);
        let snapshot = registry.snapshot_at(old).unwrap();
        model.compare(&snapshot, &state, "of before");
        found += model.search(&snapshot, &state, 5);
        for (snapshot, state) in &held {
            model.compare(snapshot, state, "held");
        }
        if round % 3 == 2 {
            let (snapshot, state) = held.remove(0);
            found += model.search(&snapshot, &state, 5);
            held.clear();
            drop(registry);
            db.close().unwrap();
            (db, registry) = open();
            model.compare_tree(&registry);
            model.compare(&registry.snapshot().unwrap(), &model.now, "opened again");
        }
    }
    assert!(found > 120, "{found} searches found something");

    // Many small versions: what is derived from them is made and read.
    let versions = model.versions.len();
    for step in 0..times(2600) {
        let len = 1 + model.random.below(3);
        model.apply(&registry, len, false);
        if step % 500 == 499 {
            let version = model.some_version();
            model.go_to(&registry, version);
        }
    }
    println!("{versions} versions, then {}; {found} searches found some", model.versions.len());
    for what in ["made", "opened again", "pruned", "pruned and opened"] {
        model.compare_tree(&registry);
        model.compare(&registry.snapshot().unwrap(), &model.now, what);
        for _ in 0..4 {
            let version = model.some_version();
            let snapshot = registry.snapshot_at(version).unwrap();
            model.compare(&snapshot, &model.state(version), what);
        }
        if what == "opened again" {
            let mut ancestor = model.head;
            for _ in 0..60 {
                ancestor = model.parents[&ancestor].filter(|&it| it > 0).unwrap_or(ancestor);
            }
            model.prune(&registry, ancestor);
        } else {
            drop(registry);
            db.close().unwrap();
            (db, registry) = open();
        }
    }
    drop(registry);
    db.close().unwrap();
    let report = check_file(scratch.file()).unwrap();
    assert!(report.is_sound(), "{:#?}", report.faults);
}
