//! Several processes on one file.
//!
//! A test runs this same program again as the other process; what that one is
//! to do stands in its environment.

mod common;

use std::os::unix::ffi::OsStrExt;

use acervo::database::Database;
use acervo::kv::{Batch, Kv};
use acervo::value::{Number, Value};
use common::other::{Other, role, serve};
use common::{Scratch, int, options, text};

fn open(path: &[u8]) -> Database {
    Database::open(path, &options(&[("durability", text("normal"))])).unwrap()
}

fn show(value: Option<Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), |value| value.to_json().unwrap())
}

/// Not a test of its own: what [`Other`] runs.
#[test]
fn the_other_process() {
    let Some(path) = role() else { return };
    let db = open(path.as_os_str().as_bytes());
    serve(|words| obey(&db, words));
}

fn obey(db: &Database, words: &[&str]) -> String {
    let kv = |name: &str| if name == "registry" { db.registry() } else { db.global() };
    match words {
        ["get", part, key] => show(kv(part).get(key.as_bytes()).unwrap()),
        ["put", part, key, number] => {
            let number = int(number.parse().unwrap());
            kv(part).put(key.as_bytes(), number.as_bytes(), None).unwrap();
            "done".to_owned()
        }
        ["delete", part, key] => {
            kv(part).delete(key.as_bytes()).unwrap();
            "done".to_owned()
        }
        ["count", part] => kv(part).count(b"").unwrap().to_string(),
        ["flush"] => db.flush().map(|()| "done".to_owned()).unwrap(),
        ["fill", rounds] => {
            for round in 0..rounds.parse().unwrap() {
                let mut batch = Batch::new();
                for n in 0..200 {
                    let key = format!("new{n}");
                    batch.put(key.as_bytes(), int(round).as_bytes(), None, 100).unwrap();
                }
                db.global().commit(&batch).unwrap();
            }
            "done".to_owned()
        }
        ["incr", times] => {
            for _ in 0..times.parse().unwrap() {
                db.global().incr(b"n", Number::Int(1)).unwrap();
            }
            "done".to_owned()
        }
        other => panic!("unknown command {other:?}"),
    }
}

fn get(kv: &Kv, key: &str) -> String {
    show(kv.get(key.as_bytes()).unwrap())
}

#[test]
fn a_store_write_is_seen_by_the_next_read_everywhere() {
    let scratch = Scratch::new();
    let db = open(scratch.path());
    let mut other = Other::start(&scratch);
    let store = db.global();
    for round in 0..200 {
        store.put(b"here", int(round).as_bytes(), None).unwrap();
        assert_eq!(other.ask("get store here"), round.to_string());
        other.ask(&format!("put store there {round}"));
        assert_eq!(get(&store, "there"), round.to_string());
    }
    other.ask("delete store here");
    assert_eq!(get(&store, "here"), "missing");
}

#[test]
fn registry_writes_are_seen_when_flushed_and_the_last_flush_wins() {
    let scratch = Scratch::new();
    let db = open(scratch.path());
    let mut other = Other::start(&scratch);
    let registry = db.registry();
    registry.put(b"k", int(1).as_bytes(), None).unwrap();
    db.flush().unwrap();
    assert_eq!(other.ask("get registry k"), "1");
    other.ask("put registry k 2");
    other.ask("flush");
    assert_eq!(get(&registry, "k"), "2");
    other.ask("delete registry k");
    other.ask("flush");
    assert_eq!(get(&registry, "k"), "missing");
    registry.put(b"k", int(3).as_bytes(), None).unwrap();
    db.flush().unwrap();
    assert_eq!(other.ask("get registry k"), "3");
}

#[test]
fn increments_of_two_processes_all_count() {
    let scratch = Scratch::new();
    let db = open(scratch.path());
    let mut other = Other::start(&scratch);
    assert_eq!(other.ask("get store n"), "missing");
    let store = db.global();
    std::thread::scope(|scope| {
        let there = scope.spawn(|| other.ask("incr 2000"));
        for _ in 0..2000 {
            store.incr(b"n", Number::Int(1)).unwrap();
        }
        assert_eq!(there.join().unwrap(), "done");
    });
    assert_eq!(get(&store, "n"), "4000");
}

#[test]
fn a_batch_deletes_what_another_process_flushed() {
    let scratch = Scratch::new();
    let db = open(scratch.path());
    let mut other = Other::start(&scratch);
    other.ask("put registry shared 7");
    other.ask("flush");
    let mut batch = Batch::new();
    batch.delete(b"shared").unwrap();
    db.registry().commit(&batch).unwrap();
    assert_eq!(get(&db.registry(), "shared"), "missing");
    db.flush().unwrap();
    assert_eq!(other.ask("get registry shared"), "missing");
}

#[test]
fn a_put_is_there_while_it_is_written_by_a_process_far_behind() {
    for _ in 0..10 {
        let scratch = Scratch::new();
        let db = open(scratch.path());
        let registry = db.registry();
        registry.put(b"first", int(1).as_bytes(), None).unwrap();
        db.flush().unwrap();
        let mut other = Other::start(&scratch);
        // More than compaction leaves of it.
        assert_eq!(other.ask("fill 60"), "done");
        registry.put(b"n", int(1).as_bytes(), None).unwrap();
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| db.flush().unwrap());
            while !flush.is_finished() {
                assert_eq!(get(&registry, "n"), "1");
            }
        });
        assert!(registry.incr(b"n", Number::Int(1)).unwrap().equals(Number::Int(2)));
        assert_eq!(get(&registry, "first"), "1");
    }
}

#[test]
fn a_process_that_writes_all_the_time_lets_others_in() {
    let scratch = Scratch::new();
    let db = open(scratch.path());
    let mut other = Other::start(&scratch);
    let store = db.global();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let relaxed = std::sync::atomic::Ordering::Relaxed;
            for round in 0.. {
                if stop.load(relaxed) {
                    break;
                }
                store.put(b"mine", int(round).as_bytes(), None).unwrap();
            }
        });
        // Each waits for the lock anew; none may come to its timeout.
        assert_eq!(other.ask("incr 300"), "done");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(get(&store, "n"), "300");
}

#[test]
fn a_process_that_fell_behind_compaction_catches_up_exactly() {
    let scratch = Scratch::new();
    let db = open(scratch.path());
    let store = db.global();
    for n in 0..50 {
        store.put(format!("old{n}").as_bytes(), int(n).as_bytes(), None).unwrap();
        db.registry().put(format!("old{n}").as_bytes(), int(n).as_bytes(), None).unwrap();
    }
    db.flush().unwrap();
    let mut other = Other::start(&scratch);
    assert_eq!(other.ask("count store"), "50");
    assert_eq!(other.ask("count registry"), "50");
    // Deletions that are themselves compacted away before the other looks.
    for n in 0..25 {
        store.delete(format!("old{n}").as_bytes()).unwrap();
        db.registry().delete(format!("old{n}").as_bytes()).unwrap();
    }
    db.flush().unwrap();
    for round in 0..100 {
        let mut batch = Batch::new();
        for n in 0..200 {
            let value = int(round * 1000 + n);
            batch.put(format!("new{n}").as_bytes(), value.as_bytes(), None, 100).unwrap();
        }
        store.commit(&batch).unwrap();
    }
    assert_eq!(other.ask("get store old3"), "missing");
    assert_eq!(other.ask("get registry old3"), "missing");
    assert_eq!(other.ask("get store old30"), "30");
    assert_eq!(other.ask("get registry old30"), "30");
    assert_eq!(other.ask("get store new7"), "99007");
    assert_eq!(other.ask("count store"), "225");
    assert_eq!(other.ask("count registry"), "25");
    // And goes on writing from there.
    other.ask("put store from_other 1");
    assert_eq!(get(&store, "from_other"), "1");
}
