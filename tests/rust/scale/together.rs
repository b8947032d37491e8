//! What several threads and processes do to the same keys.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use acervo::database::{Database, check_file};
use acervo::kv::{Batch, Kv};
use acervo::value::{Number, Value};

use crate::common::other::Other;
use crate::common::random::Random;
use crate::common::{Scratch, as_int, int, options, stat, text};
use crate::{seed, times};

/// Keys that everybody counts in.
const COUNTERS: usize = 5000;

fn counter(n: usize) -> String {
    format!("counter:{n}")
}

/// Adds one to so many counters, in an order of its own.
pub fn count(kv: &Kv, steps: usize, seed: u64) {
    let mut random = Random::new(seed);
    for _ in 0..steps {
        let n = random.below(COUNTERS);
        kv.incr(counter(n).as_bytes(), Number::Int(1)).unwrap();
    }
}

/// What [`count`] adds to each counter.
fn add_to(counts: &mut [i64], steps: usize, seed: u64) {
    let mut random = Random::new(seed);
    (0..steps).for_each(|_| counts[random.below(COUNTERS)] += 1);
}

fn number(kv: &Kv, key: &str) -> i64 {
    kv.get(key.as_bytes()).unwrap().as_ref().map_or(0, |value: &Value| as_int(value))
}

fn are_counted(kv: &Kv, counts: &[i64], what: &str) {
    for (n, &count) in counts.iter().enumerate() {
        assert_eq!(number(kv, &counter(n)), count, "{what}, counter {n}, seed {}", seed());
    }
}

#[test]
fn increments_of_threads_and_processes_all_count() {
    let scratch = Scratch::new();
    let open = || scratch.open_with(&options(&[("durability", text("normal"))]));
    let db = open();
    let (steps, in_registry) = (times(6000), times(100_000));
    let mut others: Vec<Other> = (0..2).map(|_| Other::start(&scratch)).collect();
    for (n, other) in others.iter_mut().enumerate() {
        other.say(&format!("count {steps} {}", seed() + n as u64));
    }
    thread::scope(|scope| {
        for n in 2..4 {
            let db = &db;
            scope.spawn(move || {
                count(&db.global(), steps, seed() + n);
                count(&db.registry(), in_registry, seed() + n);
            });
        }
    });
    let mut counts = vec![0; COUNTERS];
    (0..4).for_each(|n| add_to(&mut counts, steps, seed() + n));
    for other in &mut others {
        assert_eq!(other.hear(), "done");
    }
    let mut counts_of_registry = vec![0; COUNTERS];
    (2..4).for_each(|n| add_to(&mut counts_of_registry, in_registry, seed() + n));
    are_counted(&db.global(), &counts, "in memory");
    are_counted(&db.registry(), &counts_of_registry, "in memory");
    db.close().unwrap();
    others.iter_mut().for_each(Other::kill);
    let db = open();
    are_counted(&db.global(), &counts, "in the file");
    are_counted(&db.registry(), &counts_of_registry, "in the file");
}

/// Keys of a batch: of all shards, and of several portions.
const TOGETHER: usize = 2500;

fn put_together(kv: &Kv, round: i64) {
    let mut batch = Batch::new();
    for n in 0..TOGETHER {
        let key = format!("together:{n}");
        batch.put(key.as_bytes(), int(round).as_bytes(), None, 100).unwrap();
    }
    kv.commit(&batch).unwrap();
}

/// Reads what is put together, one after the other. Tells the least and the
/// highest number, and how often an older one is behind a newer one.
fn read_together(kv: &Kv) -> (i64, i64, usize) {
    let numbers: Vec<i64> = (0..TOGETHER).map(|n| number(kv, &format!("together:{n}"))).collect();
    let falls = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    (*numbers.iter().min().unwrap(), *numbers.iter().max().unwrap(), falls)
}

/// Ends a thread, also when the test has failed meanwhile.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn large_batches_are_seen_and_copied_whole_while_they_are_written() {
    for in_registry in [true, false] {
        let scratch = Scratch::new();
        let db = scratch.open_with(&options(&[("durability", text("off"))]));
        let part = |db: &Database| if in_registry { db.registry() } else { db.global() };
        put_together(&part(&db), 1);
        let is_over = AtomicBool::new(false);
        let written = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let kv = part(&db);
                let mut round = 1;
                while !is_over.load(Ordering::Relaxed) {
                    round += 1;
                    put_together(&kv, round);
                    // The table grows meanwhile.
                    for n in 0..20 {
                        let key = format!("more:{}", round * 20 + n);
                        kv.put(key.as_bytes(), int(round).as_bytes(), None).unwrap();
                    }
                }
                round
            });
            let over = Over(&is_over);
            let mut moved = 0;
            for copy in 0..3 {
                for _ in 0..times(500) {
                    let (least, most, falls) = read_together(&part(&db));
                    moved += usize::from(least != most);
                    // A batch of the store is done whole in the file; memory
                    // takes it in row by row.
                    assert!(falls == 0 || !in_registry, "a batch is seen in part");
                }
                let to = scratch.directory().join(format!("copy{copy}.db"));
                let path = to.to_str().unwrap().as_bytes();
                let before = number(&part(&db), "together:0");
                db.backup(path).unwrap();
                let copied = Database::open(path, &options(&[])).unwrap();
                let (least, most, _) = read_together(&part(&copied));
                assert_eq!(least, most, "a batch is copied in part");
                assert!(least >= before, "what was there before is copied");
                copied.close().unwrap();
            }
            drop(over);
            println!("{moved} reads in the middle of batches");
            writer.join().unwrap()
        });
        assert_eq!(read_together(&part(&db)), (written, written, 0));
        db.close().unwrap();
        let report = check_file(scratch.file()).unwrap();
        assert!(report.is_sound(), "{:#?}", report.faults);
    }
}

#[test]
fn the_memory_limit_is_the_sum_of_what_is_held() {
    let limit = times(250_000) as i64;
    let scratch = Scratch::new();
    let limits = [("memory_limit", int(limit)), ("durability", text("off"))];
    let db = scratch.open_with(&options(&limits));
    // A write of the store is a commit.
    for (kv, steps) in [(db.registry(), 120_000), (db.global(), 12_000), (db.registry(), 120_000)] {
        let mut random = Random::new(seed());
        let (mut stored, mut refused) = (0, 0);
        // Over and over, so that most of what is put replaces something.
        for n in 0..times(steps) {
            let key = format!("key:{}", random.below(times(steps / 2)));
            let value = text(&"v".repeat(random.below(80)));
            let ttl = (n % 3 == 0).then_some(20);
            match kv.put(key.as_bytes(), value.as_bytes(), ttl) {
                Ok(()) => stored += 1,
                Err(_) => refused += 1,
            }
            if n % 5 == 0 {
                kv.delete(key.as_bytes()).unwrap();
            }
        }
        let bytes = stat(&db, "bytes");
        assert!(bytes <= limit, "{bytes} of {limit}");
        assert!(stored > 1000 && refused > 100, "{stored} stored, {refused} refused");
        kv.delete_prefix(b"").unwrap();
        db.flush().unwrap();
        // What was counted is given back to the last byte, or less fits now;
        // what has expired, when it was swept.
        let large = text(&"v".repeat(limit as usize - 200));
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = kv.put(b"large", large.as_bytes(), None) {
            assert!(Instant::now() < deadline, "{error}, {} bytes", stat(&db, "bytes"));
            thread::sleep(Duration::from_millis(5));
        }
        kv.delete(b"large").unwrap();
        db.flush().unwrap();
    }
}
