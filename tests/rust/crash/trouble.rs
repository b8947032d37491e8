//! What else can go wrong: no memory, files that are taken away, a lock that
//! another holds again and again, a clock that jumps.

use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use acervo::database::Database;
use acervo::error::{Code, Error};
use rusqlite::Connection;

use super::check::{open, settings};
use super::common::{as_int, int, text};
use super::disk::Disk;
use super::faults::{STEPS, compare_all, workers};
use super::memory;
use super::random::{Random, factor, seed};
use super::work::{Store, Versions, Worker, work};

// --------------------------------------------------------------------- memory

fn check_out_of_memory(error: &Error) {
    assert_eq!(error.code, Code::Internal, "{error}");
    assert!(error.message.contains("out of memory"), "{error}");
}

/// Does everything, with one allocation of SQLite failing, or all from one on.
/// Gives how many calls of ours failed.
fn work_without_memory(after: usize, lasting: bool) -> usize {
    let disk = Disk::new();
    let mut failed = 0;
    memory::fail_after(after, lasting);
    let path = disk.file();
    let path = path.as_os_str().as_bytes();
    let db = match Database::open(path, &settings("full")) {
        Ok(db) => db,
        Err(error) => {
            check_out_of_memory(&error);
            failed += 1;
            memory::work_again();
            Database::open(path, &settings("full")).unwrap()
        }
    };
    let workers = workers();
    for step in 1..=STEPS {
        for (number, worker) in workers.iter().enumerate() {
            while let Err(error) = worker.step(&db, step) {
                check_out_of_memory(&error);
                failed += 1;
                memory::work_again();
                let done = |other| step - usize::from(other >= number);
                let done: Vec<usize> = (0..workers.len()).map(done).collect();
                compare_all(&db, &workers, &done).unwrap();
            }
        }
    }
    memory::work_again();
    db.close().unwrap();
    let db = open(&disk, "full").unwrap();
    compare_all(&db, &workers, &vec![STEPS; workers.len()]).unwrap();
    db.close().unwrap();
    disk.forget();
    failed
}

#[test]
fn every_allocation_of_sqlite_that_fails_is_an_error_that_passes() {
    let mut random = Random::new(seed() + 30);
    memory::count();
    work_without_memory(usize::MAX, false);
    let count = memory::count();
    let tries = count.min(40 * factor());
    let mut failed = 0;
    for number in 0..tries {
        let after = if tries == count { number } else { random.below(count) };
        failed += work_without_memory(after, random.once_in(2));
    }
    println!("allocations: {tries} of {count} failed, {failed} calls of ours failed");
}

// ---------------------------------------------------------------------- files

/// A database with a key in the store, open.
fn filled(disk: &Disk) -> Database {
    let db = open(disk, "full").unwrap();
    db.global().put(b"k", int(1).as_bytes(), None).unwrap();
    db.registry().put(b"r", int(1).as_bytes(), None).unwrap();
    db.flush().unwrap();
    db
}

fn get(db: &Database, key: &[u8]) -> Option<i64> {
    db.global().get(key).unwrap().map(|value| as_int(&value))
}

/// Nothing is acknowledged that the path does not lead to.
fn check_moved(db: &Database) {
    let error = Error::from(db.global().put(b"k", int(2).as_bytes(), None).unwrap_err());
    assert!(error.code == Code::Unavailable && error.message.contains("moved"), "{error}");
    assert_eq!(get(db, b"k"), Some(1));
    let change = [("create", "a:1".to_owned(), 1)];
    let applied = db.entries().and_then(|registry| super::work::apply(&registry, &change));
    let error = applied.unwrap_err();
    assert!(error.code == Code::Unavailable && error.message.contains("moved"), "{error}");
}

#[test]
fn a_file_that_was_moved_works_again_when_it_is_back() {
    let disk = Disk::new();
    let db = filled(&disk);
    let registry = db.entries().unwrap();
    let aside = disk.directory().join("aside");
    std::fs::rename(disk.file(), &aside).unwrap();
    check_moved(&db);
    std::fs::rename(&aside, disk.file()).unwrap();
    db.global().put(b"k", int(3).as_bytes(), None).unwrap();
    super::work::apply(&registry, &[("create", "a:1".to_owned(), 1)]).unwrap();
    db.close().unwrap();
    let db = open(&disk, "full").unwrap();
    assert_eq!(get(&db, b"k"), Some(3));
    db.close().unwrap();
    disk.forget();
}

#[test]
fn a_file_that_is_deleted_under_us_takes_nothing_down() {
    let disk = Disk::new();
    let db = filled(&disk);
    for name in ["test.db", "test.db-wal", "test.db-shm", "test.db-lock"] {
        std::fs::remove_file(disk.directory().join(name)).unwrap();
    }
    assert_eq!(get(&db, b"k"), Some(1));
    check_moved(&db);
    // The name leads to another database now, which is as it should be.
    let other = open(&disk, "full").unwrap();
    assert!(!db.is_same_file(&other));
    assert_eq!(get(&other, b"k"), None);
    other.global().put(b"k", int(7).as_bytes(), None).unwrap();
    other.close().unwrap();
    let _ = db.close();
    let again = open(&disk, "full").unwrap();
    assert_eq!(get(&again, b"k"), Some(7));
    again.close().unwrap();
    disk.forget();
}

#[test]
fn a_file_that_is_cut_short_under_us_is_an_error_and_reads_go_on() {
    for name in ["test.db", "test.db-wal"] {
        let disk = Disk::new();
        filled(&disk).close().unwrap();
        let db = filled(&disk);
        let file = std::fs::OpenOptions::new().write(true).open(disk.directory().join(name));
        // Not closed: that would drop SQLite's locks.
        let file = std::mem::ManuallyDrop::new(file.unwrap());
        file.set_len(0).unwrap();
        for number in 0..3 {
            if let Err(error) = db.global().put(b"k", int(number).as_bytes(), None) {
                let error = Error::from(error);
                let codes = [Code::Unavailable, Code::Internal];
                assert!(codes.contains(&error.code), "{error}");
            }
            assert!(get(&db, b"k").is_some());
        }
        let _ = db.entries().and_then(|entries| Ok(entries.snapshot()?.len()));
        let _ = db.close();
        disk.forget();
    }
}

#[test]
fn a_file_that_is_replaced_under_us_is_left_as_it_is() {
    let disk = Disk::new();
    let other = Disk::new();
    let theirs = filled(&other);
    theirs.global().put(b"k", int(99).as_bytes(), None).unwrap();
    theirs.close().unwrap();
    let db = filled(&disk);
    std::fs::rename(other.file(), disk.file()).unwrap();
    check_moved(&db);
    let _ = db.close();
    // What was in the log of the other file is nobody's.
    let _ = std::fs::remove_file(disk.directory().join("test.db-wal"));
    let db = open(&disk, "full").unwrap();
    assert_eq!(get(&db, b"k"), Some(99));
    db.close().unwrap();
    disk.forget();
    other.forget();
}

// ----------------------------------------------------------------------- locks

#[test]
fn a_lock_that_another_takes_again_and_again_delays_and_loses_nothing() {
    let mut random = Random::new(seed() + 31);
    let disk = Disk::new();
    let db = open(&disk, "full").unwrap();
    let workers: Vec<Box<dyn Worker>> = vec![
        Store::new("one", 40, 300, &mut random),
        Store::new("two", 40, 300, &mut random),
        Versions::new(40, &mut random),
    ];
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let connection = Connection::open(disk.file()).unwrap();
            connection.busy_timeout(Duration::from_secs(60)).unwrap();
            while !is_over.load(Ordering::Acquire) {
                if connection.execute_batch("BEGIN IMMEDIATE").is_ok() {
                    std::thread::sleep(Duration::from_micros(800));
                    connection.execute_batch("ROLLBACK").unwrap();
                }
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        work(&disk, &db, &workers);
        is_over.store(true, Ordering::Release);
    });
    let done: Vec<usize> = workers.iter().map(|worker| worker.steps()).collect();
    compare_all(&db, &workers, &done).unwrap();
    db.close().unwrap();
    let db = open(&disk, "full").unwrap();
    compare_all(&db, &workers, &done).unwrap();
    db.close().unwrap();
    disk.forget();
}

#[test]
fn a_lock_that_is_held_too_long_is_unavailable_and_nothing_is_done() {
    let disk = Disk::new();
    let mut options = settings("full");
    options.set("busy_timeout_ms", int(30).view()).unwrap();
    let db = Database::open(disk.file().as_os_str().as_bytes(), &options).unwrap();
    db.global().put(b"k", int(1).as_bytes(), None).unwrap();
    let registry = db.entries().unwrap();
    let apply = |number| super::work::apply(&registry, &[("create", format!("a:{number}"), 1)]);
    apply(1).unwrap();
    let connection = Connection::open(disk.file()).unwrap();
    for round in 0..5 {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = Error::from(db.global().put(b"k", int(2).as_bytes(), None).unwrap_err());
        assert!(error.code == Code::Unavailable && error.retryable, "{error}");
        let error = apply(10 + round).unwrap_err();
        assert!(error.code == Code::Unavailable && error.retryable, "{error}");
        db.registry().put(b"r", text("x").as_bytes(), None).unwrap();
        assert_eq!(db.flush().unwrap_err().code, Code::Unavailable);
        assert_eq!(get(&db, b"k"), Some(1 + round));
        connection.execute_batch("ROLLBACK").unwrap();
        db.flush().unwrap();
        db.global().put(b"k", int(2 + round).as_bytes(), None).unwrap();
        assert_eq!(apply(20 + round).unwrap(), 2 + round as u64);
    }
    drop(connection);
    db.close().unwrap();
    disk.forget();
}

// ------------------------------------------------------------------- the clock

/// By how many seconds the clock is wrong.
static CLOCK_IS_OFF_BY: AtomicI64 = AtomicI64::new(0);

/// In the place of the C library's, for the whole program.
///
/// # Safety
///
/// As that one: `time` has room for a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    // SAFETY: the system call behind it, with its arguments.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    let is_wall = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE);
    if result == 0 && is_wall {
        // SAFETY: the call filled it.
        unsafe { (*time).tv_sec += CLOCK_IS_OFF_BY.load(Ordering::Relaxed) };
    }
    result as libc::c_int
}

const HOUR: i64 = 3600;

#[test]
fn a_clock_that_jumps_back_delays_no_expiry_and_loses_nothing() {
    let disk = Disk::new();
    let db = open(&disk, "full").unwrap();
    let registry = db.registry();
    let there = |kv: &acervo::kv::Kv, key: &[u8]| kv.get(key).unwrap().is_some();
    for kv in [db.global(), registry.clone()] {
        kv.put(b"long", int(1).as_bytes(), Some(100_000)).unwrap();
        kv.put(b"plain", int(1).as_bytes(), None).unwrap();
    }
    let written = db.global().get(b"plain").unwrap().unwrap().timestamp();
    CLOCK_IS_OFF_BY.store(-HOUR, Ordering::Relaxed);
    for kv in [db.global(), registry.clone()] {
        // What was there stays, and what is written now is written now.
        assert!(there(&kv, b"long") && there(&kv, b"plain"));
        kv.put(b"plain", int(2).as_bytes(), None).unwrap();
        let now = kv.get(b"plain").unwrap().unwrap().timestamp();
        assert!(now < written && now > written - 2 * HOUR, "{now}");
        // The expiries that come first now are not waited for behind others.
        kv.put(b"short", int(1).as_bytes(), Some(50)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while there(&kv, b"short") {
            assert!(Instant::now() < deadline, "it does not expire");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Nothing was written before an hour ago, to this clock.
        assert_eq!(kv.purge(2.0 * HOUR as f64).unwrap(), 0);
    }
    super::work::apply(&db.entries().unwrap(), &[("create", "a:1".to_owned(), 1)]).unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    let db = open(&disk, "full").unwrap();
    for kv in [db.global(), db.registry()] {
        assert!(there(&kv, b"long"));
        assert_eq!(as_int(&kv.get(b"plain").unwrap().unwrap()), 2);
    }
    CLOCK_IS_OFF_BY.store(HOUR, Ordering::Relaxed);
    for kv in [db.global(), db.registry()] {
        assert!(!there(&kv, b"long") && there(&kv, b"plain"));
    }
    db.close().unwrap();
    CLOCK_IS_OFF_BY.store(0, Ordering::Relaxed);
    let db = open(&disk, "full").unwrap();
    assert_eq!(get(&db, b"plain"), Some(2));
    db.close().unwrap();
    disk.forget();
}
