//! The entry registry shared by threads and by processes.

mod common;

use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use acervo::database::Database;
use acervo::entries::{Base, Entry, IdRef, Registry, Snapshot};
use acervo::error::{Code, Error};
use acervo::value::Value;
use common::other::{Other, role, serve};
use common::{Scratch, options, text};

fn open(path: &[u8]) -> Database {
    Database::open(path, &options(&[("durability", text("normal"))])).unwrap()
}

fn entry(id: &str, number: i64) -> Entry {
    let data = Value::from_json(number.to_string().as_bytes()).unwrap();
    Entry::new(IdRef::parse(id.as_bytes()), b"k", None, Some(data)).unwrap()
}

fn number(entry: &Entry) -> i64 {
    entry.data().unwrap().to_json().unwrap().parse().unwrap()
}

/// Creates or updates the entry; gives the version.
fn put(registry: &Registry, id: &str, number: i64) -> Result<u64, Error> {
    put_on(&registry.snapshot().map_err(Error::from)?, id, number)
}

fn put_on(snapshot: &Snapshot, id: &str, number: i64) -> Result<u64, Error> {
    let mut changes = snapshot.changes();
    if snapshot.get(IdRef::parse(id.as_bytes())).is_some() {
        changes.update(entry(id, number)).unwrap();
    } else {
        changes.create(entry(id, number)).unwrap();
    }
    changes.options.base = Base::Disjoint;
    changes.apply().map(|applied| applied.version).map_err(Error::from)
}

fn get(registry: &Registry, id: &str) -> Option<i64> {
    registry.snapshot().unwrap().get(IdRef::parse(id.as_bytes())).map(number)
}

#[test]
fn the_other_process() {
    let Some(path) = role() else { return };
    let database = open(path.as_os_str().as_bytes());
    let registry = database.entries().unwrap();
    let mut held = None;
    serve(|words| match words {
        ["put", id, number] => {
            format!("{:?}", put(&registry, id, number.parse().unwrap()).map_err(|error| error.code))
        }
        ["get", id] => format!("{:?}", get(&registry, id)),
        ["version"] => registry.current_version().unwrap().to_string(),
        ["go", version] => {
            format!("{:?}", registry.apply_version(version.parse().unwrap()).is_ok())
        }
        ["prune", version] => format!("{:?}", registry.prune(version.parse().unwrap()).is_ok()),
        ["hold"] => {
            held = Some(registry.snapshot().unwrap());
            "done".to_owned()
        }
        ["update-held", base, id, number] => {
            let mut changes = held.as_ref().unwrap().changes();
            changes.update(entry(id, number.parse().unwrap())).unwrap();
            changes.options.base = if *base == "strict" { Base::Strict } else { Base::Disjoint };
            format!("{:?}", changes.apply().map(|it| it.version).map_err(|it| Error::from(it).code))
        }
        ["count-up", id, times] => {
            for _ in 0..times.parse::<u32>().unwrap() {
                count_up(&registry, id);
            }
            "done".to_owned()
        }
        _ => panic!("{words:?}"),
    });
}

/// Adds one to the entry's number, again until nobody came in between.
fn count_up(registry: &Registry, id: &str) {
    loop {
        // Read and changed on one snapshot: what comes in between is a conflict.
        let snapshot = registry.snapshot().unwrap();
        let next = snapshot.get(IdRef::parse(id.as_bytes())).map_or(0, number) + 1;
        match put_on(&snapshot, id, next) {
            Ok(_) => return,
            Err(error) => {
                assert!(matches!(error.code, Code::Conflict | Code::AlreadyExists), "{error}")
            }
        }
    }
}

#[test]
fn what_one_process_applies_the_next_read_of_another_sees() {
    let scratch = Scratch::new();
    let database = open(scratch.path());
    let registry = database.entries().unwrap();
    let mut other = Other::start(&scratch);
    assert_eq!(other.ask("get a:b"), "None");
    put(&registry, "a:b", 1).unwrap();
    assert_eq!(other.ask("get a:b"), "Some(1)");
    assert_eq!(other.ask("put a:b 2"), "Ok(2)");
    assert_eq!(get(&registry, "a:b"), Some(2));
    assert_eq!(other.ask("put a:c 3"), "Ok(3)");
    assert_eq!(registry.current_version().unwrap(), 3);
    assert_eq!(registry.versions().unwrap().len(), 4);
    assert_eq!(other.ask("go 1"), "true");
    assert_eq!((get(&registry, "a:b"), get(&registry, "a:c")), (Some(1), None));
    // Numbers go on behind the highest ever used, whoever used it.
    assert_eq!(put(&registry, "a:d", 4).unwrap(), 4);
    assert_eq!(other.ask("version"), "4");
    assert_eq!(registry.next(1).unwrap(), Some(4));
    assert_eq!(other.ask("go 3"), "true");
    assert_eq!(registry.next(1).unwrap(), Some(2));
    assert_eq!(other.ask("prune 2"), "true");
    assert_eq!(registry.current_version().unwrap(), 3);
    let ids: Vec<u64> = registry.versions().unwrap().iter().map(|version| version.id).collect();
    assert_eq!(ids, [0, 2, 3]);
    assert_eq!(get(&registry, "a:c"), Some(3));
    assert_eq!(Error::from(registry.snapshot_at(4).err().unwrap()).code, Code::NotFound);
    assert_eq!(put(&registry, "a:e", 5).unwrap(), 5);
    assert_eq!(other.ask("get a:e"), "Some(5)");
}

#[test]
fn a_conflict_with_another_process_is_told() {
    let scratch = Scratch::new();
    let database = open(scratch.path());
    let registry = database.entries().unwrap();
    put(&registry, "a:b", 1).unwrap();
    put(&registry, "a:c", 1).unwrap();
    let mut other = Other::start(&scratch);
    other.ask("hold");
    put(&registry, "a:b", 2).unwrap();
    assert_eq!(other.ask("update-held disjoint a:b 9"), "Err(Conflict)");
    assert_eq!(other.ask("update-held strict a:c 9"), "Err(Conflict)");
    assert_eq!(other.ask("update-held disjoint a:c 9"), "Ok(4)");
    assert_eq!(get(&registry, "a:c"), Some(9));
}

#[test]
fn processes_that_apply_at_the_same_time_lose_no_change_and_use_no_number_twice() {
    const TIMES: i64 = 150;
    let scratch = Scratch::new();
    let database = open(scratch.path());
    let registry = database.entries().unwrap();
    let mut others: Vec<Other> = (0..2).map(|_| Other::start(&scratch)).collect();
    std::thread::scope(|scope| {
        for other in &mut others {
            scope.spawn(|| other.ask(&format!("count-up a:n {TIMES}")));
        }
        for _ in 0..2 {
            scope.spawn(|| (0..TIMES).for_each(|_| count_up(&registry, "a:n")));
        }
    });
    assert_eq!(get(&registry, "a:n"), Some(4 * TIMES));
    let versions = registry.versions().unwrap();
    assert_eq!(versions.len() as i64, 4 * TIMES + 1);
    for (place, version) in versions.iter().enumerate() {
        assert_eq!(version.id, place as u64);
        assert_eq!(version.parent, version.id.checked_sub(1));
        let seen = registry.snapshot_at(version.id).unwrap();
        assert_eq!(seen.get(IdRef::parse(b"a:n")).map_or(0, number), place as i64);
    }
}

#[test]
fn a_process_that_dies_in_its_turn_leaves_the_turn_to_the_others() {
    let scratch = Scratch::new();
    let database = open(scratch.path());
    let registry = database.entries().unwrap();
    for round in 0..10 {
        let mut other = Other::start(&scratch);
        other.ask("version");
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| {
                // It is killed somewhere in here.
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(10 + 3 * round) {
                    std::hint::spin_loop();
                }
            });
            other.say("count-up a:n 100000");
            busy.join().unwrap();
            other.kill();
        });
        // A version that was written and not announced any more is seen by
        // whoever changes the registry next.
        count_up(&registry, "a:n");
        let before = get(&registry, "a:n").unwrap_or(0);
        count_up(&registry, "a:n");
        assert_eq!(get(&registry, "a:n"), Some(before + 1));
        assert_eq!(registry.current_version().unwrap() as i64, before + 1);
    }
    drop(registry);
    database.close().unwrap();
    let registry = open(scratch.path()).entries().unwrap();
    assert_eq!(registry.current_version().unwrap() as i64, get(&registry, "a:n").unwrap());
}

#[test]
fn readers_never_wait_and_never_see_half_a_change() {
    const READERS: usize = 3;
    let scratch = Scratch::new();
    let database = open(scratch.path());
    let registry = database.entries().unwrap();
    let done = AtomicBool::new(false);
    let set_all = |round: i64| {
        let snapshot = registry.snapshot().unwrap();
        let mut changes = snapshot.changes();
        for id in 0..20 {
            let id = format!("n:{id}");
            if snapshot.is_empty() {
                changes.create(entry(&id, round)).unwrap();
            } else {
                changes.update(entry(&id, round)).unwrap();
            }
        }
        changes.apply().unwrap();
    };
    set_all(0);
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut last = (0, 0);
                while !done.load(Ordering::Relaxed) {
                    let snapshot = registry.snapshot().unwrap();
                    let numbers: Vec<i64> = snapshot.entries().iter().map(number).collect();
                    assert_eq!(numbers, [numbers[0]; 20]);
                    let now = (snapshot.version(), numbers[0]);
                    assert!(now >= last, "time runs backwards: {last:?}, {now:?}");
                    last = now;
                }
            });
        }
        for round in 1..400 {
            set_all(round);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_turn_that_another_process_holds_too_long_is_told_as_unavailable() {
    let scratch = Scratch::new();
    let short = options(&[("busy_timeout_ms", common::int(30))]);
    let database = scratch.open_with(&short);
    let registry = database.entries().unwrap();
    put(&registry, "a:b", 1).unwrap();
    // What another process does for its turn: a lock on this byte.
    let mut path = scratch.file().as_os_str().to_owned();
    path.push("-lock");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    // SAFETY: flock is plain data, for which zeroes are valid.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::F_WRLCK as libc::c_short;
    range.l_start = 1 << 20;
    range.l_len = 1;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: the descriptor is open and the range lives through the call.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &raw const range) }, 0);
    let refused = put(&registry, "a:b", 2).unwrap_err();
    assert_eq!((refused.code, refused.retryable), (Code::Unavailable, true));
    // Reads and key-value writes are not concerned.
    assert_eq!(get(&registry, "a:b"), Some(1));
    database.global().put(b"a", common::int(1).as_bytes(), None).unwrap();
    drop(file);
    assert_eq!(put(&registry, "a:b", 2).unwrap(), 2);
}
