//! How far the file may be behind the registry, and what is left in it of what
//! has gone.

mod common;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use acervo::database::{Database, Options};
use acervo::kv::{Batch, LogLevel};
use acervo::value::Value;
use common::other::{Other, role, serve};
use common::{Scratch, int, options, stat, text};

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Options that have puts wait soon.
fn tight() -> Options {
    options(&[
        ("durability", text("normal")),
        ("flush_interval_ms", int(10)),
        ("max_unwritten_ms", int(20)),
    ])
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

/// Puts come in groups, whose end is noted in a file: the number of puts and
/// the time, in microseconds.
const GROUP: u64 = 200;

/// Does what the test asks for, in a process of its own.
#[test]
fn the_other_process() {
    let Some(path) = role() else { return };
    let path = path.to_str().unwrap().as_bytes().to_vec();
    serve(|words| {
        let tight_ones = words[0] == "tight";
        let options = if tight_ones { tight() } else { Options::default() };
        let db = Database::open(&path, &options).unwrap();
        let notes = words[1].to_owned();
        // It goes on until it is killed.
        thread::spawn(move || {
            let registry = db.registry();
            let mut notes = std::fs::File::create(notes).unwrap();
            let value = text(&"v".repeat(64));
            for n in 0_u64.. {
                registry.put(format!("key:{n}").as_bytes(), value.as_bytes(), None).unwrap();
                if n % GROUP == GROUP - 1 {
                    let note = [(n + 1).to_le_bytes(), now().to_le_bytes()].concat();
                    notes.write_all(&note).unwrap();
                }
            }
        });
        "it puts".to_owned()
    });
}

/// When each group of puts was acknowledged.
fn read_notes(path: &std::path::Path) -> Vec<(u64, u64)> {
    let bytes = std::fs::read(path).unwrap();
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    bytes.chunks_exact(16).map(|note| (word(&note[..8]), word(&note[8..]))).collect()
}

#[test]
fn a_killed_process_loses_no_put_that_was_older_than_the_bound_at_full_speed() {
    for (how, bound) in [("usual", 1_000_000), ("tight", 20_000)] {
        for round in 0..4 {
            let scratch = Scratch::new();
            let notes = scratch.directory().join("notes");
            let mut other = Other::start(&scratch);
            other.ask(&format!("{how} {}", notes.display()));
            eventually("it has put a lot", || {
                std::fs::metadata(&notes).is_ok_and(|it| it.len() > 16 * (1000 + 500 * round))
            });
            other.kill();
            let notes = read_notes(&notes);
            let db = scratch.open();
            let registry = db.registry();
            let acknowledged = notes.last().unwrap().0;
            let is_there = |n: u64| registry.get(format!("key:{n}").as_bytes()).unwrap().is_some();
            // One thread puts them one after the other: what the file has is
            // all up to some moment.
            let lost = (0..acknowledged).position(|n| !is_there(n));
            let first_lost = lost.map_or(acknowledged, |n| n as u64);
            assert!((first_lost..acknowledged).all(|n| !is_there(n)), "holes behind {first_lost}");
            // No put was acknowledged while one that is lost was older than the
            // bound. The note of the group before it was written before it.
            let group = notes.partition_point(|(puts, _)| *puts <= first_lost);
            let (last, after) = (notes.last().unwrap().1, notes.get(group).map(|note| note.1));
            if let Some(after) = after {
                let age = last - after;
                assert!(
                    age <= bound,
                    "{how}: {} puts lost, up to {age} us",
                    acknowledged - first_lost
                );
            }
        }
    }
}

#[test]
fn puts_that_come_faster_than_the_file_takes_them_wait_and_are_told_of_once() {
    let scratch = Scratch::new();
    let db = scratch.open_with(&tight());
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    db.set_log(Some(Arc::new(move |level, text: &str| {
        hook.lock().unwrap().push((level, text.to_owned()));
    })))
    .unwrap();
    let registry = db.registry();
    // Nobody else may write the file: the writer waits, and puts for it.
    let blocker = rusqlite::Connection::open(scratch.file()).unwrap();
    let puts = AtomicUsize::new(0);
    thread::scope(|scope| {
        registry.put(b"first", int(1).as_bytes(), None).unwrap();
        registry.flush().unwrap();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        let writer = scope.spawn(|| {
            while stat(&db, "stalls") == 0 {
                let n = puts.fetch_add(1, Ordering::Relaxed);
                registry.put(format!("key{n}").as_bytes(), int(1).as_bytes(), None).unwrap();
            }
        });
        eventually("a put waits", || stat(&db, "stalls") > 0);
        assert!(stat(&db, "unwritten_ms") >= 20);
        assert!(stat(&db, "unwritten_keys") > 0);
        let before = puts.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(50));
        assert!(puts.load(Ordering::Relaxed) <= before + 1, "it does not wait");
        blocker.execute_batch("ROLLBACK").unwrap();
        writer.join().unwrap();
    });
    registry.flush().unwrap();
    assert_eq!((stat(&db, "unwritten_keys"), stat(&db, "unwritten_ms")), (0, 0));
    let told = told.lock().unwrap();
    let of_it: Vec<_> = told.iter().filter(|(_, text)| text.contains("max_unwritten_ms")).collect();
    assert_eq!(of_it.len(), 1, "{told:?}");
    assert_eq!(of_it[0].0, LogLevel::Warn);
}

#[test]
fn nobody_waits_for_an_interval_that_is_longer_than_the_bound() {
    let scratch = Scratch::new();
    let db = scratch.open_with(&options(&[
        ("flush_interval_ms", int(3_600_000)),
        ("max_unwritten_ms", int(1)),
    ]));
    let registry = db.registry();
    registry.put(b"first", int(1).as_bytes(), None).unwrap();
    thread::sleep(Duration::from_millis(20));
    registry.put(b"second", int(1).as_bytes(), None).unwrap();
    assert_eq!((stat(&db, "stalls"), stat(&db, "unwritten_keys")), (0, 2));
}

#[test]
fn a_database_that_is_tidied_before_it_writes_closes() {
    let scratch = Scratch::new();
    let db = scratch.open_with(&options(&[("flush_interval_ms", int(3_600_000))]));
    let registry = db.registry();
    registry.put(b"first", int(1).as_bytes(), None).unwrap();
    // The thread has an hour until it writes, and tidies before.
    registry.flush().unwrap();
    db.store(b"s").unwrap().put(b"k", int(1).as_bytes(), None).unwrap();
    crowd(&db, 0, 3000);
    eventually("their rows have gone", || {
        registry.put(b"again", int(2).as_bytes(), None).unwrap();
        stat(&db, "log_rows") <= 300
    });
    thread::sleep(Duration::from_millis(600));
    db.close().unwrap();
    assert_eq!(scratch.open().registry().get(b"again").unwrap(), Some(int(2)));
}

#[test]
fn a_log_hook_that_puts_while_puts_wait_does_not_wait_for_itself() {
    let scratch = Scratch::new();
    let db = Arc::new(scratch.open_with(&tight()));
    let (is_told, kv) = (Arc::new(AtomicBool::new(false)), db.registry());
    let flag = Arc::clone(&is_told);
    db.set_log(Some(Arc::new(move |_, text: &str| {
        let value = Value::from_canonical(&[0xc3]);
        kv.put(format!("told:{}", text.len()).as_bytes(), value.as_bytes(), None).unwrap();
        flag.store(true, Ordering::Release);
    })))
    .unwrap();
    let registry = db.registry();
    let blocker = rusqlite::Connection::open(scratch.file()).unwrap();
    thread::scope(|scope| {
        registry.put(b"first", int(1).as_bytes(), None).unwrap();
        registry.flush().unwrap();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        scope.spawn(|| {
            for n in 0.. {
                if is_told.load(Ordering::Acquire) {
                    break;
                }
                registry.put(format!("key{n}").as_bytes(), int(1).as_bytes(), None).unwrap();
            }
        });
        eventually("a put waits", || stat(&db, "stalls") > 0);
        blocker.execute_batch("ROLLBACK").unwrap();
    });
    assert!(is_told.load(Ordering::Acquire));
    // The hook holds a handle.
    db.set_log(None).unwrap();
}

/// Keys of the registry and of a store that expire at once, many of them.
fn crowd(db: &Database, round: u64, count: u64) {
    for kv in [db.registry(), db.store(b"crowd").unwrap()] {
        let mut batch = Batch::new();
        for n in 0..count {
            let key = format!("session:{round}:{n}");
            batch.put(key.as_bytes(), text(&"v".repeat(64)).as_bytes(), Some(20), 1 << 20).unwrap();
        }
        kv.commit(&batch).unwrap();
        kv.flush().unwrap();
    }
}

#[test]
fn what_has_gone_leaves_neither_rows_nor_pages_when_nobody_writes() {
    let scratch = Scratch::new();
    let db = scratch.open_with(&options(&[("durability", text("normal"))]));
    let kept = db.store(b"kept").unwrap();
    for n in 0..500 {
        kept.put(format!("{n}").as_bytes(), int(n).as_bytes(), None).unwrap();
    }
    for round in 0..3 {
        crowd(&db, round, 30_000);
    }
    let most = |name: &str, limit: i64| stat(&db, name) <= limit;
    eventually("the crowd has gone", || most("keys", 500));
    eventually("their rows have gone", || most("log_rows", 1200));
    let len = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |it| it.len());
    eventually("their pages have gone", || {
        let file = rusqlite::Connection::open(scratch.file()).unwrap();
        let figure = |name: &str| {
            file.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap()
        };
        figure("page_count") < 400
    });
    assert!(db.check_integrity().unwrap().is_sound());
    for n in 0..500 {
        assert_eq!(kept.get(format!("{n}").as_bytes()).unwrap(), Some(int(n)));
    }
    db.close().unwrap();
    assert!(len(scratch.file()) < 400 * 4096);
    let db = scratch.open();
    assert_eq!(stat(&db, "keys"), 500);
    assert!(stat(&db, "log_rows") <= 1200);
}

#[test]
fn a_file_that_keeps_no_track_of_its_pages_is_written_anew() {
    let scratch = Scratch::new();
    {
        let file = rusqlite::Connection::open(scratch.file()).unwrap();
        file.execute_batch("PRAGMA auto_vacuum = NONE; CREATE TABLE theirs (n)").unwrap();
    }
    let db = scratch.open_with(&options(&[("durability", text("normal"))]));
    crowd(&db, 0, 30_000);
    eventually("their pages have gone", || {
        let file = rusqlite::Connection::open(scratch.file()).unwrap();
        file.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap() < 400
    });
    assert!(db.check_integrity().unwrap().is_sound());
}

#[test]
fn an_earlier_version_reads_a_file_until_it_has_packs_and_then_is_told() {
    let format = |scratch: &Scratch| {
        let file = rusqlite::Connection::open(scratch.file()).unwrap();
        let sql = "SELECT value FROM acervo_meta WHERE key = 'format'";
        file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let scratch = Scratch::new();
    let db = scratch.open();
    for n in 0..50 {
        db.registry().put(format!("{n}").as_bytes(), int(n).as_bytes(), None).unwrap();
    }
    db.flush().unwrap();
    assert_eq!(format(&scratch), 1);
    crowd(&db, 0, 1000);
    assert_eq!(format(&scratch), 2);
}
