//! Two threads in one process, against a model of all they did.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use acervo::database::{Database, check_file};

use crate::common::{Scratch, options, stat, text};
use crate::model::{Keys, REGISTRY, SHORT, STORE, Sum, overhead};
use crate::{seed, times};

/// Threads of a process.
pub const THREADS: usize = 2;

/// What one thread writes: keys of its own in the registry and in the store.
pub struct Share {
    pub registry: Keys,
    pub store: Keys,
    ident: String,
}

/// How many keys a thread has.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub registry: usize,
    pub store: usize,
}

impl Share {
    pub fn new(name: &str, size: Size, seed: u64) -> Self {
        Self {
            registry: Keys::new(&format!("{name}:"), size.registry, seed),
            store: Keys::new("", size.store, seed * 31 + name.len() as u64),
            ident: name.to_owned(),
        }
    }

    fn kv(&self, db: &Database) -> acervo::kv::Kv {
        db.store(self.ident.as_bytes()).unwrap()
    }

    /// One round; without a database only the model changes.
    pub fn round(&mut self, db: Option<&Database>, round: usize, steps: usize) {
        let registry = db.map(Database::registry);
        let store = db.map(|db| self.kv(db));
        let (registry, store) = (registry.as_ref(), store.as_ref());
        for part in 0..4 {
            if round % 3 == 2 && part == 1 {
                let there = self.store.sum().keys as u64;
                self.store.clear();
                // Of what is short-lived some may be gone.
                let purged = store.map_or(0, |store| store.purge(0.0).unwrap());
                assert!(purged <= there, "{purged} of {there}");
            }
            self.registry.work(registry, steps / 4, REGISTRY);
            self.store.work(store, steps / 40, STORE);
        }
    }

    /// As [`Share::round`], a write for each key and nothing else.
    pub fn fill(&mut self, db: Option<&Database>) {
        let store = db.map(|db| self.kv(db));
        self.registry.put_all(db.map(Database::registry).as_ref());
        self.store.put_all_in_batches(store.as_ref());
    }

    pub fn delete_all(&mut self, db: Option<&Database>) {
        self.registry.delete_all(db.map(Database::registry).as_ref());
        if let Some(db) = db {
            assert_eq!(self.kv(db).delete_prefix(b"").unwrap(), self.store.sum().keys as u64);
        }
        self.store.clear();
    }

    pub fn settle(&mut self) {
        self.registry.settle();
        self.store.settle();
    }

    pub fn compare(&self, db: &Database) -> Result<(), String> {
        let registry =
            self.registry.compare(&db.registry()).map_err(|it| format!("registry: {it}"));
        let store = self.store.compare(&self.kv(db)).map_err(|it| format!("store: {it}"));
        registry.and(store)
    }
}

/// Does the work of each share in a thread of its own.
pub fn in_threads(shares: &mut [Share], work: impl Fn(&mut Share) + Sync) {
    thread::scope(|scope| {
        for share in shares {
            scope.spawn(|| work(share));
        }
    });
}

/// Waits until what is short-lived is over.
pub fn settle(shares: &mut [Share]) {
    thread::sleep(Duration::from_millis(SHORT + 20));
    shares.iter_mut().for_each(Share::settle);
}

/// All that is wrong, as one text.
pub fn compare(db: &Database, shares: &[Share]) -> Result<(), String> {
    let wrong: Vec<String> = shares.iter().filter_map(|share| share.compare(db).err()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// What is wrong in the figures of `stats`, once what has expired was swept.
pub fn compare_stats(db: &Database, shares: &[Share]) -> Result<(), String> {
    let total = |part: fn(&Share) -> &Keys| {
        shares
            .iter()
            .map(|share| part(share).sum())
            .fold(Sum::default(), |a, b| Sum { keys: a.keys + b.keys, bytes: a.bytes + b.bytes })
    };
    let (registry, store) = (total(|it| &it.registry), total(|it| &it.store));
    let keys = registry.keys + store.keys;
    let expected = [
        ("registry_keys", registry.keys),
        ("store_keys", store.keys),
        ("bytes", registry.bytes + store.bytes + keys * overhead()),
    ];
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = expected.map(|(name, _)| (name, stat(db, name) as usize));
        if found == expected {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("stats are {found:?}, not {expected:?}"));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Panics with what is wrong, when, and the seed.
pub fn right(when: &str, result: Result<(), String>) {
    if let Err(wrong) = result {
        panic!("{when}, seed {}:\n{wrong}", seed());
    }
}

/// Purges the older half of the registry. The model goes by the time that the
/// library tells of each key.
fn purge(db: &Database, shares: &mut [Share]) {
    let registry = db.registry();
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let times: Vec<i64> = shares.iter().flat_map(|it| it.registry.times(&registry)).collect();
    let (oldest, newest) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    let old = oldest.midpoint(*newest) + 1;
    let gone: u64 = shares
        .iter_mut()
        .map(|it| it.registry.forget(&registry, |value| value.timestamp() < old))
        .sum();
    loop {
        // Early in a second, so that it is the one that the purge goes by.
        let second = now().as_secs() + 1;
        let begin = Duration::from_secs(second) + Duration::from_millis(50);
        thread::sleep(begin.saturating_sub(now()));
        if now() - Duration::from_secs(second) < Duration::from_millis(700) {
            let age = second as i64 - old;
            assert_eq!(registry.purge(age as f64).unwrap(), gone, "purged");
            println!("purged {gone} of {} keys", times.len());
            return;
        }
    }
}

#[test]
fn registry_and_store_are_what_was_written() {
    let scratch = Scratch::new();
    let open = || scratch.open_with(&options(&[("durability", text("normal"))]));
    let size = Size { registry: times(65_000), store: times(35_000) };
    let mut shares: Vec<Share> =
        (0..THREADS).map(|n| Share::new(&format!("t{n}"), size, seed() + n as u64)).collect();
    let mut db = open();
    let mut wrong = Vec::new();
    for round in 0..5 {
        in_threads(&mut shares, |share| share.round(Some(&db), round, size.registry));
        settle(&mut shares);
        if round % 3 == 1 {
            purge(&db, &mut shares);
        }
        right(&format!("round {round}, in memory"), compare(&db, &shares));
        db.flush().unwrap();
        assert_eq!(stat(&db, "dirty_keys"), 0, "after a flush");
        right(&format!("round {round}, flushed"), compare_stats(&db, &shares));
        if round == 2 {
            let copy = scratch.directory().join("copy.db");
            let path = copy.to_str().unwrap().as_bytes();
            db.backup(path).unwrap();
            let copy = Database::open(path, &options(&[])).unwrap();
            right("a copy", compare(&copy, &shares).and_then(|()| compare_stats(&copy, &shares)));
            copy.close().unwrap();
        }
        let report = db.check_integrity().unwrap();
        let rows = stat(&db, "log_rows");
        db.close().unwrap();
        db = open();
        // What is lost in the file is in it from then on: all rounds are told.
        let read = compare(&db, &shares).and_then(|()| compare_stats(&db, &shares));
        if let Err(it) = read {
            let sound = if report.is_sound() { "sound" } else { "damaged" };
            wrong.push(format!("round {round}, opened again ({rows} rows, {sound} before): {it}"));
            break;
        }
        assert!(report.is_sound(), "{:#?}", report.faults);
    }
    right("in the file", if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) });

    // Nothing is left of it in memory, and nothing comes back.
    in_threads(&mut shares, |share| share.delete_all(Some(&db)));
    db.flush().unwrap();
    right("all deleted", compare_stats(&db, &shares));
    db.close().unwrap();
    let db = open();
    right("all deleted and opened", compare(&db, &shares));
    assert_eq!(["keys", "bytes"].map(|name| stat(&db, name)), [0, 0]);
    db.close().unwrap();
    let report = check_file(scratch.file()).unwrap();
    assert!(report.is_sound(), "{:#?}", report.faults);
}
