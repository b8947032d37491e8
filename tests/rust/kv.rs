//! registry and store as a Rust caller sees them: what kv.md promises.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use acervo::database::{Database, Options};
use acervo::error::Code;
use acervo::kv::{Batch, Kv};
use acervo::value::{Number, Value};
use common::{Scratch, as_int, int, options, stat, text};

fn get(kv: &Kv, key: &str) -> Option<Value> {
    kv.get(key.as_bytes()).unwrap()
}

fn put(kv: &Kv, key: &str, value: &Value) {
    kv.put(key.as_bytes(), value.as_bytes(), None).unwrap();
}

/// Registry, a namespace and the raw keys: most of what holds for one holds
/// for all.
fn all_three(db: &Database) -> [(&'static str, Kv); 3] {
    [("registry", db.registry()), ("store", db.store(b"x").unwrap()), ("global", db.global())]
}

#[test]
fn what_was_put_is_read_back_with_its_type_and_time() {
    for db in [Scratch::memory(), Scratch::new().open()] {
        for (name, kv) in all_three(&db) {
            let before = acervo_now();
            put(&kv, "k", &int(3));
            let value = get(&kv, "k").unwrap();
            assert_eq!(value.as_bytes(), int(3).as_bytes(), "{name}");
            assert!((before..=acervo_now()).contains(&value.timestamp()), "{name}");
            put(&kv, "k", &Value::nil());
            assert_eq!(get(&kv, "k").unwrap().as_bytes(), Value::nil().as_bytes(), "{name}");
            kv.delete(b"k").unwrap();
            assert!(get(&kv, "k").is_none(), "{name}");
            kv.delete(b"k").unwrap();
        }
    }
}

fn acervo_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    // Timestamps come from the kernel's coarse clock, which may be a tick behind.
    (now - Duration::from_millis(10)).as_secs() as i64
}

#[test]
fn everything_survives_closing_and_opening() {
    let scratch = Scratch::new();
    let db = scratch.open();
    for (name, kv) in all_three(&db) {
        put(&kv, name, &text(name));
        put(&kv, "gone", &int(1));
        kv.delete(b"gone").unwrap();
    }
    db.close().unwrap();
    let db = scratch.open();
    for (name, kv) in all_three(&db) {
        assert_eq!(get(&kv, name), Some(text(name)));
        assert!(get(&kv, "gone").is_none(), "{name}");
    }
}

#[test]
fn the_registry_can_be_told_to_forget() {
    let scratch = Scratch::new();
    let volatile = options(&[("registry_persistent", Value::from_json(b"false").unwrap())]);
    let db = scratch.open_with(&volatile);
    put(&db.registry(), "k", &int(1));
    put(&db.global(), "k", &int(1));
    db.close().unwrap();
    let db = scratch.open_with(&volatile);
    assert!(get(&db.registry(), "k").is_none());
    assert!(get(&db.global(), "k").is_some());
}

#[test]
fn idents_keep_apart_and_global_keys_are_the_raw_ones() {
    let db = Scratch::memory();
    put(&db.store(b"monitor-cpu").unwrap(), "ultima", &int(1));
    put(&db.store(b"a:b").unwrap(), "c", &int(2));
    put(&db.store(b"a").unwrap(), "b:c", &int(3));
    assert_eq!(get(&db.global(), "monitor-cpu:ultima"), Some(int(1)));
    assert_eq!(get(&db.global(), "a%3Ab:c"), Some(int(2)));
    assert_eq!(get(&db.global(), "a:b:c"), Some(int(3)));
    put(&db.global(), "monitor-cpu:nova", &int(4));
    assert_eq!(get(&db.store(b"monitor-cpu").unwrap(), "nova"), Some(int(4)));
    let names: Vec<String> = names(&db.global(), "");
    assert_eq!(names, ["a%3Ab:c", "a:b:c", "monitor-cpu:nova", "monitor-cpu:ultima"]);
    assert_eq!(self::names(&db.global(), "monitor-cpu:u"), ["monitor-cpu:ultima"]);
    assert_eq!(self::names(&db.global(), "mon"), ["monitor-cpu:nova", "monitor-cpu:ultima"]);
    assert_eq!(db.global().count(b"a").unwrap(), 2);
}

fn names(kv: &Kv, prefix: &str) -> Vec<String> {
    let keys = kv.keys(prefix.as_bytes()).unwrap();
    keys.into_iter().map(|key| String::from_utf8(key.into_vec()).unwrap()).collect()
}

#[test]
fn lists_counts_and_walks_are_sorted_and_follow_the_prefix() {
    let db = Scratch::memory();
    for (name, kv) in all_three(&db) {
        for key in ["b2", "a1", "b1", "c"] {
            put(&kv, key, &text(key));
        }
        let own = |key: &String| !key.contains(':');
        let listed: Vec<String> = names(&kv, "").into_iter().filter(own).collect();
        assert_eq!(listed, ["a1", "b1", "b2", "c"], "{name}");
        assert_eq!(names(&kv, "b"), ["b1", "b2"]);
        assert_eq!(kv.count(b"b").unwrap(), 2);
        let walked: Vec<Value> = kv.walk(b"b").unwrap().map(|step| step.unwrap().1).collect();
        assert_eq!(walked, [text("b1"), text("b2")]);
        assert_eq!(kv.delete_prefix(b"b").unwrap(), 2, "{name}");
        assert_eq!(kv.delete_prefix(b"b").unwrap(), 0, "{name}");
        assert!(get(&kv, "b1").is_none() && get(&kv, "a1").is_some());
    }
}

#[test]
fn incr_adds_exactly_or_says_why_not() {
    let db = Scratch::memory();
    for (name, kv) in all_three(&db) {
        assert!(kv.incr(b"n", Number::Int(2)).unwrap().equals(Number::Int(2)));
        assert!(kv.incr(b"n", Number::Float(0.5)).unwrap().equals(Number::Float(2.5)));
        assert_eq!(
            Code::Invalid,
            acervo::error::Error::from(kv.incr_int(b"n", 1).unwrap_err()).code
        );
        put(&kv, "max", &int(i64::MAX));
        assert!(kv.incr(b"max", Number::Int(1)).is_err(), "{name}");
        assert_eq!(get(&kv, "max"), Some(int(i64::MAX)), "a failed incr changes nothing");
        put(&kv, "s", &text("x"));
        assert!(kv.incr(b"s", Number::Int(1)).is_err());
    }
}

#[test]
fn cas_compares_by_value_and_missing_is_not_nil() {
    let db = Scratch::memory();
    for (_, kv) in all_three(&db) {
        let one = Value::from_json(b"{\"a\":1,\"b\":[2]}").unwrap();
        let same = Value::from_json(b"{\"b\":[2.0],\"a\":1.0}").unwrap();
        assert!(!kv.cas(b"k", Some(Value::nil().as_bytes()), one.as_bytes()).unwrap());
        assert!(kv.cas(b"k", None, one.as_bytes()).unwrap());
        assert!(!kv.cas(b"k", None, one.as_bytes()).unwrap());
        assert!(kv.cas(b"k", Some(same.as_bytes()), int(1).as_bytes()).unwrap());
        put(&kv, "k", &Value::nil());
        assert!(kv.cas(b"k", Some(Value::nil().as_bytes()), int(2).as_bytes()).unwrap());
    }
}

#[test]
fn a_time_to_live_ends_and_is_kept_by_everything_but_put() {
    let scratch = Scratch::new();
    let db = scratch.open();
    for (name, kv) in all_three(&db) {
        kv.put(b"short", int(1).as_bytes(), Some(40)).unwrap();
        kv.incr(b"short", Number::Int(1)).unwrap();
        assert!(kv.cas(b"short", Some(int(2).as_bytes()), int(3).as_bytes()).unwrap());
        kv.put(b"cleared", int(1).as_bytes(), Some(40)).unwrap();
        put(&kv, "cleared", &int(2));
        eventually(|| get(&kv, "short").is_none());
        assert_eq!(get(&kv, "cleared"), Some(int(2)), "{name}");
        assert_eq!(names(&kv, "short"), [""; 0]);
        assert_eq!(kv.count(b"short").unwrap(), 0);
        assert!(kv.cas(b"short", None, int(9).as_bytes()).unwrap(), "expired is missing");
        assert!(kv.put(b"k", int(1).as_bytes(), Some(0)).is_err());
    }
}

fn eventually(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen within 10 s");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn expired_keys_are_freed_and_stay_away_after_a_restart() {
    let scratch = Scratch::new();
    let db = scratch.open();
    for (_, kv) in all_three(&db) {
        put(&kv, "k", &int(1));
        db.flush().unwrap();
        kv.put(b"k", int(2).as_bytes(), Some(20)).unwrap();
    }
    eventually(|| stat(&db, "keys") == 0);
    db.close().unwrap();
    let db = scratch.open();
    for (name, kv) in all_three(&db) {
        assert!(get(&kv, "k").is_none(), "{name}");
    }
}

#[test]
fn purge_deletes_what_was_not_written_for_long() {
    let db = Scratch::memory();
    for (name, kv) in all_three(&db) {
        put(&kv, "k", &int(1));
        assert_eq!(kv.purge(3600.0).unwrap(), 0, "{name}");
        assert_eq!(kv.purge(0.0).unwrap(), 1, "{name}");
        assert!(kv.purge(-1.0).is_err() && kv.purge(f64::NAN).is_err());
    }
}

#[test]
fn a_batch_is_done_whole_or_not_at_all() {
    let db = Scratch::memory();
    for (_, kv) in all_three(&db) {
        put(&kv, "gone", &int(0));
        let mut batch = Batch::new();
        batch.put(b"a", int(1).as_bytes(), None, 100).unwrap();
        batch.put(b"a", int(2).as_bytes(), None, 100).unwrap();
        batch.delete(b"gone").unwrap();
        kv.commit(&batch).unwrap();
        assert_eq!(get(&kv, "a"), Some(int(2)));
        assert!(get(&kv, "gone").is_none());
        let mut batch = Batch::new();
        assert!(batch.put(b"", int(1).as_bytes(), None, 100).is_err());
        assert!(batch.put(b"b", text("xx").as_bytes(), None, 2).is_err());
        assert!(batch.is_empty());
        kv.commit(&Batch::new()).unwrap();
    }
}

#[test]
fn bad_keys_values_and_limits_are_named() {
    let scratch = Scratch::new();
    let limits = [("value_limit", int(100)), ("memory_limit", int(2000))];
    let db = scratch.open_with(&options(&limits));
    for (_, kv) in all_three(&db) {
        let code = |result: Result<(), acervo::kv::KvError>| {
            acervo::error::Error::from(result.unwrap_err()).code
        };
        let one = int(1);
        assert_eq!(code(kv.put(b"", one.as_bytes(), None)), Code::Invalid);
        assert_eq!(code(kv.put(&[7; 1025], one.as_bytes(), None)), Code::Invalid);
        kv.put(&[7; 1024], one.as_bytes(), None).unwrap();
        kv.delete(&[7; 1024]).unwrap();
        // The registry keeps the name until the deletion is written.
        db.flush().unwrap();
        assert_eq!(code(kv.put(b"k", text(&"x".repeat(101)).as_bytes(), None)), Code::Invalid);
        db.flush().unwrap();
        let mut last = Ok(());
        for n in 0..100 {
            last = kv.put(format!("k{n}").as_bytes(), one.as_bytes(), None);
            if last.is_err() {
                break;
            }
        }
        assert_eq!(code(last), Code::Unavailable);
        kv.delete_prefix(b"").unwrap();
        db.flush().unwrap();
        kv.put(b"k", one.as_bytes(), None).unwrap();
        kv.delete(b"k").unwrap();
        db.flush().unwrap();
    }
}

#[test]
fn two_opens_share_one_state_and_close_one_by_one() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.open(), scratch.open());
    put(&one.registry(), "k", &int(1));
    assert_eq!(get(&two.registry(), "k"), Some(int(1)));
    one.close().unwrap();
    one.close().unwrap();
    let error: acervo::error::Error = one.registry().get(b"k").unwrap_err().into();
    assert_eq!((error.code, error.retryable), (Code::Internal, false));
    assert_eq!(error.message, "database is closed");
    assert_eq!(get(&two.registry(), "k"), Some(int(1)));
    let differing = options(&[("durability", text("off"))]);
    let error = Database::open(scratch.path(), &differing).err().unwrap();
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains("durability"), "{}", error.message);
    let same = options(&[("durability", text("full"))]);
    Database::open(scratch.path(), &same).unwrap();
}

#[test]
fn dropping_the_last_handle_keeps_what_was_put() {
    let scratch = Scratch::new();
    for round in 0..20 {
        let db = scratch.open();
        assert_eq!(get(&db.registry(), "k"), (round > 0).then(|| int(round - 1)));
        put(&db.registry(), "k", &int(round));
    }
}

#[test]
fn writers_on_many_threads_lose_nothing() {
    let scratch = Scratch::new();
    let db = scratch.open_with(&options(&[("durability", text("normal"))]));
    let kvs: Vec<Kv> = all_three(&db).into_iter().map(|(_, kv)| kv).collect();
    thread::scope(|scope| {
        for _ in 0..8 {
            for kv in &kvs {
                scope.spawn(move || {
                    for _ in 0..200 {
                        kv.incr(b"n", Number::Int(1)).unwrap();
                    }
                });
            }
        }
    });
    for kv in &kvs {
        assert_eq!(get(kv, "n"), Some(int(1600)));
    }
    db.close().unwrap();
    let db = scratch.open_with(&options(&[("durability", text("normal"))]));
    for (_, kv) in all_three(&db) {
        assert_eq!(get(&kv, "n"), Some(int(1600)));
    }
}

#[test]
fn a_registry_batch_is_never_seen_half_done() {
    let db = Scratch::memory();
    let registry = db.registry();
    let stop = Arc::new(AtomicBool::new(false));
    let keys: Vec<String> = (0..20).map(|n| format!("key{n}")).collect();
    thread::scope(|scope| {
        let writer_stop = Arc::clone(&stop);
        let (writer, names) = (registry.clone(), keys.clone());
        scope.spawn(move || {
            for round in 1.. {
                if writer_stop.load(Ordering::Relaxed) {
                    break;
                }
                let mut batch = Batch::new();
                for key in &names {
                    batch.put(key.as_bytes(), int(round).as_bytes(), None, 100).unwrap();
                }
                writer.commit(&batch).unwrap();
            }
        });
        let number = |key: &String| get(&registry, key).map_or(0, |value| as_int(&value));
        for _ in 0..2000 {
            // Read backwards: what is read later may be newer, never older.
            let first = number(&keys[19]);
            let second = number(&keys[0]);
            assert!(second >= first);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_file_does_not_grow_with_the_number_of_writes() {
    let scratch = Scratch::new();
    let fast = options(&[("durability", text("off"))]);
    let db = scratch.open_with(&fast);
    let (store, registry) = (db.store(b"x").unwrap(), db.registry());
    for n in 0..40 {
        put(&store, &format!("kept{n}"), &int(n));
        put(&registry, &format!("kept{n}"), &int(n));
    }
    for round in 0..300 {
        let mut batch = Batch::new();
        for n in 0..200 {
            batch
                .put(format!("k{n}").as_bytes(), int(round * 1000 + n).as_bytes(), None, 100)
                .unwrap();
        }
        store.commit(&batch).unwrap();
    }
    assert!(stat(&db, "log_rows") < 10_000, "{} rows", stat(&db, "log_rows"));
    for n in 0..200 {
        store.delete(format!("k{n}").as_bytes()).unwrap();
    }
    db.close().unwrap();
    let size = std::fs::metadata(scratch.file()).unwrap().len();
    assert!(size < 2 << 20, "60 000 writes of 200 keys left a file of {size} bytes");
    let db = scratch.open_with(&fast);
    for n in 0..40 {
        assert_eq!(get(&db.store(b"x").unwrap(), &format!("kept{n}")), Some(int(n)));
        assert_eq!(get(&db.registry(), &format!("kept{n}")), Some(int(n)));
    }
    assert_eq!(db.store(b"x").unwrap().count(b"").unwrap(), 40);
}

#[test]
fn a_read_only_handle_reads_and_writes_nothing() {
    let scratch = Scratch::new();
    put(&scratch.open().registry(), "k", &int(1));
    let read_only = options(&[("read_only", Value::from_json(b"true").unwrap())]);
    let db = scratch.open_with(&read_only);
    for (_, kv) in all_three(&db) {
        let error: acervo::error::Error = kv.put(b"k", int(1).as_bytes(), None).unwrap_err().into();
        assert_eq!(error.code, Code::PermissionDenied);
    }
    assert_eq!(get(&db.registry(), "k"), Some(int(1)));
    let error = Database::open(scratch.path(), &Options::default()).err().unwrap();
    assert!(error.message.contains("read_only"), "{}", error.message);
}

#[test]
fn a_deletion_can_be_conditional() {
    let scratch = Scratch::new();
    let db = scratch.open();
    for (name, kv) in all_three(&db) {
        assert!(!kv.cas_delete(b"k", int(1).as_bytes()).unwrap(), "{name}");
        put(&kv, "k", &int(1));
        assert!(!kv.cas_delete(b"k", int(2).as_bytes()).unwrap(), "{name}");
        let seen = get(&kv, "k");
        assert!(kv.replace(b"k", seen.as_ref(), Some(int(2).as_bytes())).unwrap());
        assert!(!kv.replace(b"k", seen.as_ref(), None).unwrap(), "it was written since");
        assert!(kv.cas_delete(b"k", int(2).as_bytes()).unwrap(), "{name}");
        assert!(get(&kv, "k").is_none(), "{name}");
        assert!(kv.replace(b"k", None, None).unwrap(), "still missing");
    }
}

#[test]
fn every_name_that_is_listed_is_walked() {
    let db = Scratch::memory();
    let store = db.store(b"x").unwrap();
    // The raw key of no key, and one whose whole name is over the limit.
    put(&db.global(), "x:", &int(1));
    put(&store, &"l".repeat(1024), &int(2));
    assert_eq!(names(&store, "").len(), 1);
    assert_eq!(store.count(b"").unwrap(), 1);
    assert_eq!(store.walk(b"").unwrap().filter(Result::is_ok).count(), 1);
    let walked: Vec<usize> =
        db.global().walk(b"").unwrap().map(|step| step.unwrap().0.len()).collect();
    assert_eq!(walked, [2, 1026]);
}
