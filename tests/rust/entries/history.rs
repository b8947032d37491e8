//! The history of entries against a model that copies everything.

use std::collections::BTreeMap;

use acervo::database::{Database, Options};
use acervo::entries::{Base, Entry, IdRef, OpKind, Registry};
use acervo::error::{Code, Error};
use acervo::value::{Value, View};
use proptest::prelude::*;

const KINDS: [&str; 2] = ["k.a", "k.b"];

/// An entry as the model has it: kind and number.
type Simple = (usize, i64);
type State = BTreeMap<String, Simple>;

fn id_of(number: usize) -> String {
    format!("n{}:e{}", number % 3, number)
}

fn entry(id: &str, (kind, number): Simple) -> Entry {
    let data = Value::from_json(number.to_string().as_bytes()).unwrap();
    let meta = Value::from_json(format!("{{\"half\": {}}}", number / 2).as_bytes()).unwrap();
    let id = IdRef::parse(id.as_bytes());
    Entry::new(id, KINDS[kind].as_bytes(), Some(meta), Some(data)).unwrap()
}

fn state_of<'a>(entries: impl Iterator<Item = &'a Entry>) -> State {
    entries
        .map(|entry| {
            let kind = KINDS.iter().position(|kind| kind.as_bytes() == entry.kind()).unwrap();
            let number = entry.data().unwrap().to_json().unwrap().parse().unwrap();
            (String::from_utf8(entry.id().text().to_vec()).unwrap(), (kind, number))
        })
        .collect()
}

/// A registry that keeps every version whole.
#[derive(Clone)]
struct Model {
    versions: BTreeMap<u64, (Option<u64>, State)>,
    head: u64,
    last: u64,
}

impl Model {
    fn new() -> Self {
        Self { versions: BTreeMap::from([(0, (None, State::new()))]), head: 0, last: 0 }
    }

    fn state(&self) -> &State {
        &self.versions[&self.head].1
    }

    fn descends(&self, version: u64, from: u64) -> bool {
        let mut at = Some(version);
        while let Some(version) = at {
            if version == from {
                return true;
            }
            at = self.versions[&version].0;
        }
        false
    }

    /// What the changes make of the state, or the first fault.
    fn apply(&mut self, changes: &[Queued]) -> Result<u64, Code> {
        let mut state = self.state().clone();
        for change in changes {
            let id = id_of(change.id);
            let present = state.get(&id).copied();
            match (change.kind, present) {
                (OpKind::Create, None) => state.insert(id, change.entry),
                (OpKind::Create, Some(_)) => return Err(Code::AlreadyExists),
                (_, None) => return Err(Code::NotFound),
                (OpKind::Update, Some((kind, _))) if kind != change.entry.0 => {
                    return Err(Code::Invalid);
                }
                (OpKind::Update, Some(_)) => state.insert(id, change.entry),
                (OpKind::Delete, Some(_)) => state.remove(&id),
            };
        }
        if changes.is_empty() {
            return Err(Code::Invalid);
        }
        self.last += 1;
        self.versions.insert(self.last, (Some(self.head), state));
        self.head = self.last;
        Ok(self.last)
    }

    fn prune(&mut self, version: u64) {
        if version == 0 {
            return;
        }
        let kept: Vec<u64> = self
            .versions
            .keys()
            .copied()
            .filter(|&other| other == 0 || self.descends(other, version))
            .collect();
        self.versions.retain(|other, _| kept.contains(other));
        self.versions.get_mut(&version).unwrap().0 = Some(0);
    }
}

#[derive(Clone, Debug)]
struct Queued {
    kind: OpKind,
    id: usize,
    entry: Simple,
}

#[derive(Clone, Debug)]
enum Step {
    /// Changes, most of them valid where they stand.
    Apply(Vec<Queued>),
    /// To the version at this place among all.
    Go(prop::sample::Index),
    Prune(prop::sample::Index),
    Reopen,
}

fn queued() -> impl Strategy<Value = Queued> {
    let kind = prop_oneof![Just(OpKind::Create), Just(OpKind::Update), Just(OpKind::Delete)];
    (kind, 0..10_usize, (0..2_usize, 0..50_i64)).prop_map(|(kind, id, entry)| Queued {
        kind,
        id,
        entry,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(queued(), 0..6).prop_map(Step::Apply),
        3 => any::<prop::sample::Index>().prop_map(Step::Go),
        1 => any::<prop::sample::Index>().prop_map(Step::Prune),
        1 => Just(Step::Reopen),
    ]
}

fn code<T>(result: Result<T, acervo::entries::EntryError>) -> Result<T, Code> {
    result.map_err(|error| Error::from(error).code)
}

fn submit(registry: &Registry, changes: &[Queued]) -> Result<u64, Code> {
    let mut queue = registry.snapshot().unwrap().changes();
    for change in changes {
        let id = id_of(change.id);
        match change.kind {
            OpKind::Create => queue.create(entry(&id, change.entry)).unwrap(),
            OpKind::Update => queue.update(entry(&id, change.entry)).unwrap(),
            OpKind::Delete => queue.delete(IdRef::parse(id.as_bytes())).unwrap(),
        }
    }
    code(queue.apply()).map(|applied| applied.version)
}

/// Drops what cannot be done, so that most changesets are applied.
fn made_valid(changes: Vec<Queued>, state: &State) -> Vec<Queued> {
    let mut state = state.clone();
    let mut valid = Vec::new();
    for mut change in changes {
        let id = id_of(change.id);
        match (change.kind, state.get(&id).copied()) {
            (OpKind::Create | OpKind::Update, None) => change.kind = OpKind::Create,
            (OpKind::Create | OpKind::Update, Some((kind, _))) => {
                change.kind = OpKind::Update;
                change.entry.0 = kind;
            }
            (OpKind::Delete, None) => continue,
            (OpKind::Delete, Some(_)) => {}
        }
        if change.kind == OpKind::Delete {
            state.remove(&id);
        } else {
            state.insert(id, change.entry);
        }
        valid.push(change);
    }
    valid
}

fn compare(registry: &Registry, model: &Model) {
    assert_eq!(registry.current_version().unwrap(), model.head);
    let versions = registry.versions().unwrap();
    let listed: Vec<_> = versions.iter().map(|version| (version.id, version.parent)).collect();
    let expected: Vec<_> = model.versions.iter().map(|(&id, (parent, _))| (id, *parent)).collect();
    assert_eq!(listed, expected);
    let snapshot = registry.snapshot().unwrap();
    assert_eq!(&state_of(snapshot.entries().iter()), model.state());
    assert_eq!(snapshot.len(), model.state().len());
}

fn compare_all(registry: &Registry, model: &Model) {
    compare(registry, model);
    for (&version, (parent, state)) in &model.versions {
        let snapshot = registry.snapshot_at(version).unwrap();
        assert_eq!(snapshot.version(), version);
        assert_eq!(&state_of(snapshot.entries().iter()), state, "v{version}");
        for (id, simple) in state {
            assert_eq!(snapshot.get(IdRef::parse(id.as_bytes())), Some(&entry(id, *simple)));
        }
        assert_eq!(registry.previous(version).unwrap(), *parent);
        let next = registry.next(version).unwrap();
        let children = model.versions.iter().filter(|(_, (parent, _))| *parent == Some(version));
        let children: Vec<u64> = children.map(|(&id, _)| id).collect();
        let towards = children.iter().copied().find(|&child| model.descends(model.head, child));
        assert_eq!(next, towards.or(children.last().copied()));
    }
    let gone = (1..=model.last).filter(|version| !model.versions.contains_key(version));
    for version in gone {
        assert_eq!(code(registry.snapshot_at(version)).err(), Some(Code::NotFound));
    }
    assert_eq!(code(registry.snapshot_at(model.last + 1)).err(), Some(Code::NotFound));
}

/// Runs the steps on a registry and on the model. `reopen` gives the registry
/// as another process would see it.
fn run(steps: Vec<Step>, mut registry: Registry, mut reopen: impl FnMut(Registry) -> Registry) {
    let mut model = Model::new();
    let mut held = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Apply(changes) => {
                let changes =
                    if number % 5 == 0 { changes } else { made_valid(changes, model.state()) };
                assert_eq!(submit(&registry, &changes), model.apply(&changes));
            }
            Step::Go(index) => {
                let versions: Vec<u64> = model.versions.keys().copied().collect();
                let version = *index.get(&versions);
                registry.apply_version(version).unwrap();
                model.head = version;
            }
            Step::Prune(index) => {
                let versions: Vec<u64> = model.versions.keys().copied().collect();
                let version = *index.get(&versions);
                let result = code(registry.prune(version));
                if model.descends(model.head, version) {
                    assert_eq!(result, Ok(()));
                    model.prune(version);
                } else {
                    assert_eq!(result, Err(Code::Invalid));
                }
            }
            Step::Reopen => {
                registry = reopen(registry);
                compare_all(&registry, &model);
            }
        }
        compare(&registry, &model);
        held.push((registry.snapshot().unwrap(), model.state().clone()));
    }
    compare_all(&registry, &model);
    let registry = reopen(registry);
    compare_all(&registry, &model);
    // Snapshots show what they showed, whatever happened since.
    for (snapshot, state) in held {
        assert_eq!(state_of(snapshot.entries().iter()), state);
    }
}

fn open(path: &std::path::Path) -> Database {
    let mut options = Options::default();
    let off = Value::string(b"off").unwrap();
    options.set("durability", View::new(off.as_bytes())).unwrap();
    Database::open(path.to_str().unwrap().as_bytes(), &options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn in_memory_every_version_is_what_the_model_says(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let database = Database::open(b":memory:", &Options::default()).unwrap();
        run(steps, database.entries().unwrap(), |registry| registry);
    }

    #[test]
    fn in_a_file_every_version_is_what_the_model_says_also_when_reopened(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("entries.db");
        let mut database = Some(open(&path));
        let registry = database.as_ref().unwrap().entries().unwrap();
        run(steps, registry, |registry| {
            drop(registry);
            database.take().unwrap().close().unwrap();
            database.insert(open(&path)).entries().unwrap()
        });
    }
}

#[test]
fn far_ways_through_a_long_history_are_what_the_model_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("entries.db");
    let database = open(&path);
    let registry = database.entries().unwrap();
    let mut model = Model::new();
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for round in 0..2600_u64 {
        if round % 701 == 700 {
            let version = next(model.last);
            registry.apply_version(version).unwrap();
            model.head = version;
        }
        let change = Queued {
            kind: [OpKind::Create, OpKind::Delete, OpKind::Update][next(3) as usize],
            id: next(40) as usize,
            entry: (next(2) as usize, next(1000) as i64),
        };
        let changes = made_valid(vec![change], model.state());
        assert_eq!(submit(&registry, &changes), model.apply(&changes));
    }
    let check = |registry: &Registry| {
        for version in (0..model.last).step_by(97).chain([model.last]) {
            let state = state_of(registry.snapshot_at(version).unwrap().entries().iter());
            assert_eq!(state, model.versions[&version].1, "v{version}");
        }
    };
    check(&registry);
    database.close().unwrap();
    let database = open(&path);
    let registry = database.entries().unwrap();
    compare(&registry, &model);
    check(&registry);
    for version in [0, 1900, 650, model.last] {
        registry.apply_version(version).unwrap();
        let state = state_of(registry.snapshot().unwrap().entries().iter());
        assert_eq!(state, model.versions[&version].1);
    }
}

#[test]
fn conflicts_are_told_as_the_base_asks_for() {
    let database = Database::open(b":memory:", &Options::default()).unwrap();
    let registry = database.entries().unwrap();
    let number = |id, number| Queued { kind: OpKind::Create, id, entry: (0, number) };
    submit(&registry, &[number(1, 1), number(2, 2)]).unwrap();
    let old = registry.snapshot().unwrap();
    submit(&registry, &[Queued { kind: OpKind::Update, id: 1, entry: (0, 10) }]).unwrap();

    let apply = |id: usize, base: Base| {
        let mut changes = old.changes();
        changes.update(entry(&id_of(id), (0, 77))).unwrap();
        changes.options.base = base;
        changes.apply().map_err(Error::from)
    };
    let conflict = apply(1, Base::Disjoint).unwrap_err();
    assert_eq!((conflict.code, conflict.retryable), (Code::Conflict, true));
    let details = conflict.details.unwrap().to_json().unwrap();
    assert_eq!(details, r#"{"ids":["n1:e1"]}"#);
    let strict = apply(2, Base::Strict).unwrap_err();
    assert_eq!(strict.code, Code::Conflict);
    assert_eq!(strict.details.unwrap().to_json().unwrap(), r#"{"ids":[]}"#);
    assert_eq!(apply(2, Base::Disjoint).unwrap().version, 3);
    assert_eq!(apply(1, Base::Any).unwrap().version, 4);
}
