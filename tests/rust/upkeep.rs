//! What happens behind the calls: compaction, expiry, memory limits, closing
//! under load. Nothing of it may be noticed.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use acervo::database::Database;
use acervo::kv::{Batch, Kv};
use acervo::value::{Number, Value};
use common::{Scratch, int, options, stat, text};

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn batch_of(count: i64, prefix: &str) -> Batch {
    let mut batch = Batch::new();
    for n in 0..count {
        batch.put(format!("{prefix}{n}").as_bytes(), int(n).as_bytes(), None, 1 << 20).unwrap();
    }
    batch
}

#[test]
fn compaction_leaves_what_the_same_commit_writes() {
    let part = |db: &Database, registry| {
        if registry { db.registry() } else { db.store(b"x").unwrap() }
    };
    let lazy = options(&[("flush_interval_ms", int(60_000)), ("durability", text("off"))]);
    let big = text(&"b".repeat(1 << 20));
    // Few rows, many bytes: the old end of the log is close to its new end.
    for puts in [5, 9, 10, 18, 19] {
        for registry in [false, true] {
            let scratch = Scratch::new();
            let db = scratch.open_with(&lazy);
            let kv = part(&db, registry);
            for _ in 0..puts {
                kv.put(b"big", big.as_bytes(), None).unwrap();
                kv.flush().unwrap();
            }
            kv.commit(&batch_of(50, "k")).unwrap();
            kv.flush().unwrap();
            db.close().unwrap();
            let kv = part(&scratch.open(), registry);
            assert_eq!(kv.count(b"k").unwrap(), 50, "registry {registry}, {puts} puts before");
            assert_eq!(kv.get(b"big").unwrap(), Some(big.clone()));
        }
    }
}

#[test]
fn compaction_leaves_the_registry_that_is_not_in_memory() {
    let scratch = Scratch::new();
    let db = scratch.open();
    db.registry().commit(&batch_of(100, "k")).unwrap();
    db.close().unwrap();
    let volatile = Value::from_json(b"false").unwrap();
    let db = scratch
        .open_with(&options(&[("registry_persistent", volatile), ("durability", text("off"))]));
    assert_eq!(db.registry().count(b"").unwrap(), 0);
    let store = db.store(b"x").unwrap();
    for round in 0..100 {
        store.commit(&batch_of(200, "k")).unwrap();
        store.put(b"round", int(round).as_bytes(), None).unwrap();
    }
    assert!(stat(&db, "log_rows") < 10_000, "nothing was compacted");
    db.close().unwrap();
    assert_eq!(scratch.open().registry().count(b"").unwrap(), 100);
}

#[test]
fn large_values_that_are_needed_are_not_written_over_and_over() {
    let scratch = Scratch::new();
    let db = scratch.open_with(&options(&[("durability", text("off"))]));
    let store = db.store(b"x").unwrap();
    let big = text(&"b".repeat(256 << 10));
    let before = stat(&db, "log_rows");
    for n in 0..200 {
        store.put(format!("{n}").as_bytes(), big.as_bytes(), None).unwrap();
    }
    // Each row that is appended again takes a number of its own.
    db.close().unwrap();
    let file = rusqlite::Connection::open(scratch.file()).unwrap();
    let last: i64 = file.query_row("SELECT max(seq) FROM acervo_kv", [], |row| row.get(0)).unwrap();
    assert!(last - before < 260, "200 puts made {last} rows");
}

#[test]
fn a_flush_never_hides_or_undoes_an_increment() {
    let scratch = Scratch::new();
    let lazy = options(&[("flush_interval_ms", int(60_000)), ("durability", text("off"))]);
    let db = scratch.open_with(&lazy);
    let registry = db.registry();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                registry.flush().unwrap();
            }
        });
        for wanted in 1..=100_000 {
            let sum = registry.incr(b"n", Number::Int(1)).unwrap();
            assert!(sum.equals(Number::Int(wanted)), "{sum:?} instead of {wanted}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    db.close().unwrap();
    assert_eq!(scratch.open().registry().get(b"n").unwrap(), Some(int(100_000)));
}

#[test]
fn closing_leaves_no_writer_waiting() {
    for round in 0..60 {
        let scratch = Scratch::new();
        let db = scratch.open_with(&options(&[("durability", text("normal"))]));
        let ended = Arc::new(AtomicUsize::new(0));
        let writers = 5;
        for writer in 0..writers {
            let (kv, ended) = (db.store(b"x").unwrap(), Arc::clone(&ended));
            thread::spawn(move || {
                let batch = batch_of(500, &format!("{writer}:"));
                while kv.commit(&batch).is_ok() {}
                ended.fetch_add(1, Ordering::SeqCst);
            });
        }
        thread::sleep(Duration::from_micros(3000 + 613 * (round % 11)));
        db.close().unwrap();
        eventually("every writer ends", || ended.load(Ordering::SeqCst) == writers);
    }
}

/// Parts of a database under a limit that writes at once and in the background.
fn limited(scratch: &Scratch, limit: i64) -> (Database, [Kv; 2]) {
    let limits = [("memory_limit", int(limit)), ("flush_interval_ms", int(5))];
    let db = scratch.open_with(&options(&limits));
    let parts = [db.registry(), db.store(b"x").unwrap()];
    (db, parts)
}

#[test]
fn what_expires_gives_its_memory_back_to_the_limit() {
    let value = text(&"v".repeat(1000));
    for part in 0..2 {
        let scratch = Scratch::new();
        let (db, parts) = limited(&scratch, 100_000);
        for n in 0..80 {
            parts[part].put(format!("{n}").as_bytes(), value.as_bytes(), Some(30)).unwrap();
        }
        eventually("expired keys are freed", || stat(&db, "keys") == 0);
        for n in 0..80 {
            parts[part].put(format!("new{n}").as_bytes(), value.as_bytes(), None).unwrap();
        }
    }
}

#[test]
fn the_memory_limit_holds_for_every_write_and_counts_what_is_replaced() {
    let scratch = Scratch::new();
    let (db, parts) = limited(&scratch, 10_000);
    let (small, large) = (text(&"v".repeat(1000)), text(&"v".repeat(6000)));
    for kv in &parts {
        kv.put(b"k", large.as_bytes(), None).unwrap();
        kv.put(b"k", large.as_bytes(), None).expect("it takes no more memory");
        let stored = (0..100)
            .take_while(|n| kv.cas(format!("{n}").as_bytes(), None, small.as_bytes()).is_ok())
            .count();
        assert!(stored < 10, "{stored} stored by cas");
        assert!(stat(&db, "bytes") <= 10_000);
        kv.delete_prefix(b"").unwrap();
        db.flush().unwrap();
    }
}

#[test]
fn a_batch_over_the_memory_limit_does_nothing() {
    let scratch = Scratch::new();
    let (db, parts) = limited(&scratch, 100_000);
    for kv in &parts {
        kv.commit(&batch_of(100, "k")).unwrap();
        let mut batch = Batch::new();
        for n in 0..100 {
            batch.delete(format!("k{n}").as_bytes()).unwrap();
        }
        let room = 100_000 - stat(&db, "bytes") + 1;
        let value = text(&"v".repeat(room as usize));
        batch.put(b"new", value.as_bytes(), None, 1 << 20).unwrap();
        assert!(kv.commit(&batch).is_err());
        assert_eq!(kv.count(b"k").unwrap(), 100);
        kv.delete_prefix(b"").unwrap();
        db.flush().unwrap();
    }
}

#[test]
fn keys_that_were_loaded_are_freed_when_they_expire() {
    let scratch = Scratch::new();
    let db = scratch.open();
    for n in 0..100 {
        let key = format!("{n}");
        db.store(b"x").unwrap().put(key.as_bytes(), int(n).as_bytes(), Some(600)).unwrap();
    }
    db.close().unwrap();
    let db = scratch.open();
    assert_eq!(stat(&db, "keys"), 100);
    db.global().put(b"starts the thread", int(1).as_bytes(), None).unwrap();
    eventually("only what does not expire is left", || stat(&db, "keys") == 1);
}

#[test]
fn many_keys_that_expire_together_are_freed_together() {
    let slow = options(&[("flush_interval_ms", int(60_000)), ("durability", text("off"))]);
    let scratch = Scratch::new();
    let db = scratch.open_with(&slow);
    let store = db.store(b"x").unwrap();
    for group in 0..20 {
        let mut batch = Batch::new();
        for n in 0..1000 {
            let key = format!("{group}:{n}");
            batch.put(key.as_bytes(), int(n).as_bytes(), Some(50), 1 << 20).unwrap();
        }
        store.commit(&batch).unwrap();
    }
    // Before the thread is to write again.
    eventually("all are freed", || stat(&db, "keys") == 0);
}

#[test]
fn a_read_that_races_with_closing_finds_the_value_or_says_closed() {
    for _ in 0..50 {
        let db = Scratch::memory();
        let registry = db.registry();
        registry.put(b"k", int(1).as_bytes(), None).unwrap();
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while let Ok(found) = registry.get(b"k") {
                    assert_eq!(found, Some(int(1)));
                    assert!(!matches!(registry.count(b""), Ok(0)));
                }
            });
            thread::sleep(Duration::from_micros(200));
            db.close().unwrap();
            reader.join().unwrap();
        });
    }
}
