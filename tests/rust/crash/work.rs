//! What is done to a database, step by step, and what it must hold then.
//!
//! A worker has a fixed list of steps and, for each number of steps, the state
//! they come to. So what is found in a file tells how many of them it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use acervo::database::Database;
use acervo::entries::{IdRef, Registry};
use acervo::error::Error;
use acervo::kv::{Batch, Kv};
use acervo::value::{Number, Value};

use super::common::handlers::{Facts, entry, facts, state_of};
use super::common::{int, text};
use super::disk::{Disk, Event};
use super::random::Random;

/// How many steps a file may hold: those that match what was found.
pub type Found = Result<Vec<usize>, String>;

/// Somebody who works on a database.
pub trait Worker: Send + Sync {
    fn steps(&self) -> usize;
    /// Does a step, counted from 1.
    fn step(&self, db: &Database, step: usize) -> Result<(), Error>;
    /// Which numbers of steps give what is there. `floor`: at least so many.
    fn found(&self, db: &Database, floor: usize, began: usize) -> Found;
}

/// Does all steps of all workers, each on a thread of its own, and notes when.
/// A step that fails is tried again.
pub fn work(disk: &Disk, db: &Database, workers: &[Box<dyn Worker>]) {
    std::thread::scope(|scope| {
        for (number, worker) in workers.iter().enumerate() {
            let db = db.clone();
            scope.spawn(move || {
                for step in 1..=worker.steps() {
                    disk.note(Event::Began { worker: number, step });
                    let mut attempts = 0;
                    while let Err(error) = worker.step(&db, step) {
                        attempts += 1;
                        assert!(attempts < 10, "{error}");
                    }
                    disk.note(Event::Done { worker: number, step });
                }
            });
        }
    });
}

// ------------------------------------------------------------------ the store

type Cells = BTreeMap<Vec<u8>, Value>;

enum Write {
    Put(&'static str, Value),
    Batch(Vec<(&'static str, Option<Value>)>),
    Delete(&'static str),
    Incr(&'static str),
}

/// Puts, batches, deletions and counting in a store of its own.
pub struct Store {
    ident: Vec<u8>,
    writes: Vec<Write>,
    states: Vec<Cells>,
}

const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A value that tells the step, and takes room.
fn value(step: usize, random: &mut Random, largest: usize) -> Value {
    let len = if random.once_in(3) { random.below(largest) } else { random.below(40) };
    text(&format!("{step}:{}", "x".repeat(len)))
}

impl Store {
    pub fn new(ident: &str, steps: usize, largest: usize, random: &mut Random) -> Box<Self> {
        let mut state = Cells::new();
        let (mut writes, mut states) = (Vec::new(), vec![state.clone()]);
        let mut count = 0;
        for step in 1..=steps {
            let write = match random.below(8) {
                0 | 1 => {
                    let keys = &KEYS[random.below(4)..];
                    let write = |key: &&'static str| {
                        let put = !random.once_in(4);
                        (*key, put.then(|| value(step, random, largest)))
                    };
                    Write::Batch(keys.iter().map(write).collect())
                }
                2 => Write::Delete(random.pick(&KEYS)),
                3 => Write::Incr("n"),
                _ => Write::Put(random.pick(&KEYS), value(step, random, largest)),
            };
            let mut set = |key: &str, value: Option<Value>| match value {
                Some(value) => drop(state.insert(key.as_bytes().to_vec(), value)),
                None => drop(state.remove(key.as_bytes())),
            };
            match &write {
                Write::Put(key, value) => set(key, Some(value.clone())),
                Write::Batch(list) => list.iter().for_each(|(key, value)| set(key, value.clone())),
                Write::Delete(key) => set(key, None),
                Write::Incr(key) => {
                    count += 1;
                    set(key, Some(int(count)));
                }
            }
            writes.push(write);
            states.push(state.clone());
        }
        Box::new(Self { ident: ident.as_bytes().to_vec(), writes, states })
    }

    fn kv(&self, db: &Database) -> Kv {
        db.store(&self.ident).unwrap()
    }
}

fn cells(kv: &Kv) -> Result<Cells, String> {
    let mut cells = Cells::new();
    for key in kv.keys(b"").map_err(|error| error.to_string())? {
        let value = kv.get(&key).map_err(|error| error.to_string())?;
        cells.insert(key.to_vec(), value.ok_or("a key without a value")?);
    }
    Ok(cells)
}

fn show(cells: &Cells) -> String {
    let one = |(key, value): (&Vec<u8>, &Value)| {
        let json = value.to_json().unwrap();
        format!("{}={}", String::from_utf8_lossy(key), json.chars().take(12).collect::<String>())
    };
    cells.iter().map(one).collect::<Vec<_>>().join(" ")
}

impl Worker for Store {
    fn steps(&self) -> usize {
        self.writes.len()
    }

    fn step(&self, db: &Database, step: usize) -> Result<(), Error> {
        let kv = self.kv(db);
        match &self.writes[step - 1] {
            Write::Put(key, value) => kv.put(key.as_bytes(), value.as_bytes(), None)?,
            Write::Delete(key) => kv.delete(key.as_bytes())?,
            Write::Incr(key) => {
                kv.incr(key.as_bytes(), Number::Int(1))?;
            }
            Write::Batch(list) => {
                let mut batch = Batch::new();
                for (key, value) in list {
                    match value {
                        Some(value) => {
                            batch.put(key.as_bytes(), value.as_bytes(), None, 1 << 20)?;
                        }
                        None => batch.delete(key.as_bytes())?,
                    }
                }
                kv.commit(&batch)?;
            }
        }
        Ok(())
    }

    fn found(&self, db: &Database, floor: usize, began: usize) -> Found {
        let found = cells(&self.kv(db))?;
        let steps: Vec<usize> = (0..=began).filter(|&step| self.states[step] == found).collect();
        match steps.iter().any(|&step| step >= floor) {
            true => Ok(steps.into_iter().filter(|&step| step >= floor).collect()),
            false => Err(format!(
                "the store {} holds what {steps:?} steps make, of {floor} done and {began} begun:\n\
                 found    {}\nexpected {}",
                String::from_utf8_lossy(&self.ident),
                show(&found),
                show(&self.states[floor])
            )),
        }
    }
}

// --------------------------------------------------------------- the registry

/// Puts and deletions in the registry, written behind, and flushes.
pub struct Behind {
    writes: Vec<Option<(&'static str, Option<Value>)>>,
    states: Vec<Cells>,
}

impl Behind {
    pub fn new(steps: usize, random: &mut Random) -> Box<Self> {
        let mut state = Cells::new();
        let (mut writes, mut states) = (Vec::new(), vec![state.clone()]);
        for step in 1..=steps {
            let key = random.pick(&KEYS);
            let write = match random.below(6) {
                0 => None,
                1 => Some((key, None)),
                _ => Some((key, Some(value(step, random, 300)))),
            };
            match &write {
                None => {}
                Some((key, None)) => drop(state.remove(key.as_bytes())),
                Some((key, Some(value))) => {
                    state.insert(key.as_bytes().to_vec(), value.clone());
                }
            }
            writes.push(write);
            states.push(state.clone());
        }
        Box::new(Self { writes, states })
    }
}

impl Worker for Behind {
    fn steps(&self) -> usize {
        self.writes.len()
    }

    fn step(&self, db: &Database, step: usize) -> Result<(), Error> {
        match &self.writes[step - 1] {
            None => db.flush()?,
            Some((key, None)) => db.registry().delete(key.as_bytes())?,
            Some((key, Some(value))) => {
                db.registry().put(key.as_bytes(), value.as_bytes(), None)?;
            }
        }
        Ok(())
    }

    /// Keys may be of different age, but none older than the last flush.
    fn found(&self, db: &Database, floor: usize, began: usize) -> Found {
        let found = cells(&db.registry())?;
        let floor = (1..=floor).rev().find(|&step| self.writes[step - 1].is_none()).unwrap_or(0);
        for key in KEYS {
            let here = found.get(key.as_bytes());
            if (floor..=began).all(|step| self.states[step].get(key.as_bytes()) != here) {
                return Err(format!(
                    "the registry holds {here:?} under {key}; flushed after {floor} steps, {began} \
                     begun"
                ));
            }
        }
        Ok(Vec::new())
    }
}

// ---------------------------------------------------------------- the entries

enum Move {
    /// What to create, update and delete.
    Apply(Vec<(&'static str, String, i64)>),
    Go(u64),
    Prune(u64),
}

type Entries = BTreeMap<String, i64>;

#[derive(Clone)]
struct History {
    head: u64,
    last: u64,
    /// By version: parent and state.
    versions: BTreeMap<u64, (Option<u64>, Arc<Entries>)>,
}

/// Changes, going back and forth with branches, and pruning.
pub struct Versions {
    /// What there was before, made by [`Versions::fill`].
    fill: Vec<Move>,
    moves: Vec<Move>,
    states: Vec<History>,
}

impl Versions {
    pub fn new(steps: usize, random: &mut Random) -> Box<Self> {
        let mut history = History::new();
        let (mut moves, mut states) = (Vec::new(), vec![history.clone()]);
        for step in 1..=steps {
            let all: Vec<u64> = history.versions.keys().copied().collect();
            let action = match random.below(16) {
                0 | 1 if all.len() > 3 => Move::Go(random.pick(&all)),
                2 if all.len() > 40 && history.head != 0 => Move::Prune(history.ancestor(20)),
                _ => Move::Apply(history.changes(step as i64, random)),
            };
            history.follow(&action);
            moves.push(action);
            states.push(history.clone());
        }
        Box::new(Self { fill: Vec::new(), moves, states })
    }

    /// On top of `fill` versions: one with many entries, and then others not
    /// far from it.
    pub fn on_top_of(fill: usize, steps: usize, random: &mut Random) -> Box<Self> {
        let mut history = History::new();
        let mut filling = Vec::new();
        for step in 1..=fill {
            let action = Move::Apply(history.changes(step as i64, random));
            history.follow(&action);
            filling.push(action);
        }
        let (mut moves, mut states) = (Vec::new(), vec![history.clone()]);
        for step in 1..=steps {
            let action = match random.below(8) {
                _ if step == 1 => {
                    Move::Apply((0..600).map(|n| ("create", format!("many:{n}"), n)).collect())
                }
                0 => Move::Go(history.ancestor(random.below(4)).max(fill as u64 + 1)),
                _ => Move::Apply(history.changes((fill + step) as i64, random)),
            };
            history.follow(&action);
            moves.push(action);
            states.push(history.clone());
        }
        Box::new(Self { fill: filling, moves, states })
    }

    /// Makes the versions that it goes on from.
    pub fn fill(&self, db: &Database) {
        let registry = db.entries().unwrap();
        for action in &self.fill {
            if let Move::Apply(changes) = action {
                apply(&registry, changes).unwrap();
            }
        }
    }
}

impl History {
    fn new() -> Self {
        Self { head: 0, last: 0, versions: BTreeMap::from([(0, (None, Arc::default()))]) }
    }

    fn state(&self) -> &Entries {
        &self.versions[&self.head].1
    }

    /// Up to so many versions back from the head, the root excluded.
    fn ancestor(&self, back: usize) -> u64 {
        let mut at = self.head;
        for _ in 0..back {
            match self.versions[&at].0 {
                Some(parent) if parent != 0 => at = parent,
                _ => break,
            }
        }
        at
    }

    /// Two ids that always have the same number, and others.
    fn changes(&self, step: i64, random: &mut Random) -> Vec<(&'static str, String, i64)> {
        let mut ids = vec!["pair:x".to_owned(), "pair:y".to_owned()];
        for _ in 0..random.below(3) {
            let id = format!("one:{}", random.below(12));
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let change = |(place, id): (usize, String)| {
            let verb = match self.state().contains_key(&id) {
                false => "create",
                true if place >= 2 && random.once_in(3) => "delete",
                true => "update",
            };
            (verb, id, step)
        };
        ids.into_iter().enumerate().map(change).collect()
    }

    fn follow(&mut self, action: &Move) {
        match action {
            Move::Apply(changes) => {
                let mut state = Entries::clone(self.state());
                for (verb, id, number) in changes {
                    match *verb {
                        "delete" => drop(state.remove(id)),
                        _ => drop(state.insert(id.clone(), *number)),
                    }
                }
                self.last += 1;
                self.versions.insert(self.last, (Some(self.head), Arc::new(state)));
                self.head = self.last;
            }
            Move::Go(version) => self.head = *version,
            Move::Prune(kept) => {
                let descends = |versions: &BTreeMap<u64, (Option<u64>, Arc<Entries>)>,
                                mut at: u64| {
                    while at > *kept {
                        at = versions[&at].0.unwrap_or(0);
                    }
                    at == *kept
                };
                let before = self.versions.clone();
                self.versions.retain(|&version, _| version == 0 || descends(&before, version));
                self.versions.get_mut(kept).expect("kept").0 = Some(0);
            }
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            state: show_entries(self.state()),
            head: self.head,
            versions: self.versions.iter().map(|(id, (parent, _))| (*id, *parent)).collect(),
        }
    }
}

fn show_entries(entries: &Entries) -> String {
    // As the registry sorts: by namespace and name.
    let mut list: Vec<(&str, &str, i64)> = entries
        .iter()
        .map(|(id, number)| {
            let (ns, name) = id.split_once(':').expect("an id");
            (ns, name, *number)
        })
        .collect();
    list.sort_unstable();
    let one = |(ns, name, number): &(&str, &str, i64)| format!("{ns}:{name}={number}");
    list.iter().map(one).collect::<Vec<_>>().join(" ")
}

pub fn apply(registry: &Registry, changes: &[(&str, String, i64)]) -> Result<u64, Error> {
    let mut queued = registry.snapshot()?.changes();
    for (verb, id, number) in changes {
        match *verb {
            "create" => queued.create(entry("k", id, *number))?,
            "update" => queued.update(entry("k", id, *number))?,
            _ => queued.delete(IdRef::parse(id.as_bytes()))?,
        }
    }
    Ok(queued.apply()?.version)
}

impl Worker for Versions {
    fn steps(&self) -> usize {
        self.moves.len()
    }

    fn step(&self, db: &Database, step: usize) -> Result<(), Error> {
        let registry = db.entries()?;
        match &self.moves[step - 1] {
            Move::Apply(changes) => {
                let version = apply(&registry, changes)?;
                assert_eq!(version, self.states[step].head);
            }
            Move::Go(version) => registry.apply_version(*version)?,
            Move::Prune(version) => registry.prune(*version)?,
        }
        Ok(())
    }

    fn found(&self, db: &Database, floor: usize, began: usize) -> Found {
        let registry = db.entries().map_err(|error| error.to_string())?;
        let found = facts(&registry);
        let steps: Vec<usize> =
            (floor..=began).filter(|&step| self.states[step].facts() == found).collect();
        let Some(&step) = steps.last() else {
            return Err(format!(
                "the entries are not what {floor} to {began} steps make:\nfound    {found:?}\n\
                 expected {:?}",
                self.states[floor].facts()
            ));
        };
        let history = &self.states[step];
        // The oldest, the newest and some between them.
        let every = history.versions.len() / 6 + 1;
        for (version, (_, state)) in history.versions.iter().skip(1).step_by(every) {
            let snapshot = registry.snapshot_at(*version).map_err(|error| error.to_string())?;
            let found = state_of(snapshot.entries().iter());
            if found != show_entries(state) {
                return Err(format!("v{version} is {found}, not {}", show_entries(state)));
            }
        }
        Ok(steps)
    }
}
