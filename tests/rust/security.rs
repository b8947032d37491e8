//! What an attacker, or an accident, can put in: paths, links, limits, depth,
//! idents. Nothing hangs, takes memory that was only announced, or reaches
//! what is another's.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use acervo::database::{Database, Options, check_file};
use acervo::entries::{IdRef, KindPattern};
use acervo::error::{Code, Error};
use acervo::kv::{Batch, Kv};
use acervo::value::Value;
use common::work::entry;
use common::{Scratch, int, options, text};
use proptest::prelude::*;

thread_local! {
    /// What this thread has asked for at once, at most, since it was set to 0.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's, noting the largest request.
struct Noting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Noting = Noting;

/// The largest request for memory while `work` runs.
fn largest_request<T>(work: impl FnOnce() -> T) -> (T, usize) {
    LARGEST.set(0);
    let done = work();
    (done, LARGEST.get())
}

fn open(path: &Path) -> Result<Database, Error> {
    Database::open(path.as_os_str().as_bytes(), &Options::default())
}

#[track_caller]
fn refused(path: &Path, code: Code, part: &str) {
    let error = open(path).err().expect("a refusal");
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(part), "{error}");
}

fn make_pipe(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a C string that lives through the call.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

#[test]
fn what_is_no_file_is_refused_and_never_waited_for() {
    let scratch = Scratch::new();
    let beside = |name: &str| scratch.directory().join(name);
    make_pipe(&beside("pipe"));
    symlink("pipe", beside("to pipe")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(beside("socket")).unwrap();
    for (path, part) in [
        (beside("pipe"), "a pipe"),
        (beside("to pipe"), "a pipe"),
        (beside("socket"), "a socket"),
        (scratch.directory().to_owned(), "a directory"),
        ("/dev/null".into(), "a device"),
        ("/dev/zero".into(), "a device"),
        ("/dev/tty".into(), "a device"),
    ] {
        if !path.exists() {
            continue;
        }
        refused(&path, Code::Invalid, part);
        let error = check_file(&path).unwrap_err();
        assert!(error.message.contains(part), "{error}");
        let truth = Value::from_json(b"true").unwrap();
        let reader = options(&[("read_only", truth)]);
        let error = Database::open(path.as_os_str().as_bytes(), &reader).err().unwrap();
        assert!(error.message.contains(part), "{error}");
        let error = scratch.open().backup(path.as_os_str().as_bytes()).unwrap_err();
        assert_eq!(error.code, Code::AlreadyExists, "{error}");
    }
    refused(Path::new("a\0b"), Code::Invalid, "NUL");
    refused(Path::new(""), Code::Invalid, "empty");
    refused(Path::new("/"), Code::Invalid, "a directory");
    refused(&beside("new/"), Code::Invalid, "names no file");
    refused(&beside("no/../../x"), Code::Invalid, "directory");
    refused(&beside(&"n".repeat(300)), Code::Invalid, "too long");
}

#[test]
fn links_to_a_file_are_the_file_and_others_are_refused() {
    let scratch = Scratch::new();
    let beside = |name: &str| scratch.directory().join(name);
    let db = scratch.open();
    db.global().put(b"k", int(1).as_bytes(), None).unwrap();
    symlink("test.db", beside("link")).unwrap();
    let other = open(&beside("link")).unwrap();
    assert!(db.is_same_file(&other));
    assert!(!beside("link-wal").exists() && !beside("link-lock").exists());
    // As a shell passes files.
    let file = fs::File::open(scratch.file()).unwrap();
    let by_number = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    assert!(db.is_same_file(&open(Path::new(&by_number)).unwrap()));
    // It would drop the locks of this process on the file.
    std::mem::forget(file);
    symlink("nowhere", beside("dangling")).unwrap();
    refused(&beside("dangling"), Code::Invalid, "link to nothing");
    assert!(!beside("nowhere").exists());
    symlink("circle", beside("circle")).unwrap();
    refused(&beside("circle"), Code::Invalid, "");
}

#[test]
fn files_beside_are_not_written_through_links() {
    for suffix in ["-lock", "-wal", "-shm"] {
        for is_new in [true, false] {
            let scratch = Scratch::new();
            let beside = scratch.directory().join(format!("test.db{suffix}"));
            if !is_new {
                let db = scratch.open();
                db.global().put(b"k", int(1).as_bytes(), None).unwrap();
                db.close().unwrap();
                let _ = fs::remove_file(&beside);
            }
            let victim = scratch.directory().join("victim");
            fs::write(&victim, b"precious").unwrap();
            symlink("victim", &beside).unwrap();
            let result = open(scratch.file())
                .and_then(|db| Ok(db.global().put(b"k", int(1).as_bytes(), None)?));
            // SQLite takes the WAL of an empty file away, link or not.
            assert!(result.is_err() || !beside.is_symlink(), "{suffix}");
            assert_eq!(fs::read(&victim).unwrap(), b"precious", "{suffix}");
        }
    }
    let scratch = Scratch::new();
    make_pipe(&scratch.directory().join("test.db-lock"));
    refused(scratch.file(), Code::Invalid, "regular file");
}

#[test]
fn a_relative_path_is_that_of_its_open() {
    // The only test of this program with relative paths.
    let scratch = Scratch::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let before = std::env::current_dir().unwrap();
    std::env::set_current_dir(scratch.directory()).unwrap();
    let db = open(Path::new("relative.db")).unwrap();
    db.global().put(b"k", int(1).as_bytes(), None).unwrap();
    std::env::set_current_dir(elsewhere.path()).unwrap();
    // Entries, a check and a backup open the file again.
    let snapshot = db.entries().unwrap().snapshot().unwrap();
    let mut changes = snapshot.changes();
    changes.create(entry("a:b", 1)).unwrap();
    changes.apply().unwrap();
    assert!(db.check_integrity().unwrap().is_sound());
    db.backup(b"copy.db").unwrap();
    assert!(elsewhere.path().join("copy.db").exists());
    db.close().unwrap();
    let made: Vec<_> = fs::read_dir(elsewhere.path()).unwrap().collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(scratch.directory().join("relative.db").exists());
    std::env::set_current_dir(before).unwrap();
}

#[test]
fn every_file_has_the_mode_asked_for_and_none_is_ever_wider() {
    for (asked, mode) in [(None, 0o600), (Some(0o640), 0o640), (Some(0o400), 0o400)] {
        let scratch = Scratch::new();
        let mut all = vec![("flush_interval_ms", int(1))];
        all.extend(asked.map(|mode| ("file_mode", int(mode))));
        let Ok(db) = Database::open(scratch.path(), &options(&all)) else {
            // Who is not root cannot write to what it may only read.
            continue;
        };
        db.global().put(b"k", int(1).as_bytes(), None).unwrap();
        db.registry().put(b"k", int(1).as_bytes(), None).unwrap();
        let snapshot = db.entries().unwrap().snapshot().unwrap();
        let mut changes = snapshot.changes();
        changes.create(entry("a:b", 1)).unwrap();
        changes.apply().unwrap();
        let copy = scratch.directory().join("copy.db");
        db.backup(copy.as_os_str().as_bytes()).unwrap();
        let mut names = Vec::new();
        for found in fs::read_dir(scratch.directory()).unwrap() {
            let found = found.unwrap();
            let name = found.file_name().into_string().unwrap();
            let bits = found.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(bits, mode, "{name}");
            names.push(name);
        }
        names.sort();
        assert_eq!(names, ["copy.db", "test.db", "test.db-lock", "test.db-shm", "test.db-wal"]);
    }
}

#[test]
fn memory_is_not_taken_for_what_is_only_announced() {
    const LITTLE: usize = 64 << 10;
    // Arrays, maps, strings and binaries of 4 GiB, of which nothing comes.
    for announced in [
        &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0, 0xc0],
        &[0xdf, 0x7f, 0xff, 0xff, 0xff, 0x01, 0xdf, 0x7f, 0xff, 0xff, 0xff],
        &[0x92, 0x01, 0xdc, 0xff, 0xff],
    ] {
        let (result, largest) = largest_request(|| Value::from_msgpack(announced));
        assert!(result.is_err());
        assert!(largest < LITTLE, "{largest} bytes for {announced:x?}");
    }
    // A value over the limit is refused before it is copied.
    let limited = options(&[("value_limit", int(1000)), ("memory_limit", int(1 << 20))]);
    let db = Database::open(b":memory:", &limited).unwrap();
    let large = text(&"x".repeat(1 << 20));
    for kv in [db.registry(), db.global()] {
        let (result, largest) = largest_request(|| kv.put(b"k", large.as_bytes(), None));
        assert!(result.unwrap_err().to_string().contains("value_limit"));
        assert!(largest < LITTLE, "{largest}");
        let long = vec![b'k'; 1 << 20];
        let (result, largest) = largest_request(|| kv.put(&long, int(1).as_bytes(), None));
        assert!(result.is_err() && largest < LITTLE, "{largest}");
        let (result, largest) = largest_request(|| kv.get(&long));
        assert!(result.is_err() && largest < LITTLE, "{largest}");
        let mut batch = Batch::new();
        let (result, largest) =
            largest_request(|| batch.put(b"k", large.as_bytes(), None, kv.value_limit()));
        assert!(result.is_err() && largest < LITTLE, "{largest}");
    }
    let long = vec![b'i'; 1 << 20];
    let (result, largest) = largest_request(|| db.store(&long).is_err());
    assert!(result && largest < LITTLE, "{largest}");
    // A pattern that is too long, one that would be large, and one too deep.
    let snapshot = db.entries().unwrap().snapshot().unwrap();
    for pattern in ["x".repeat(1 << 20), "(".repeat(4000), "(a{1000}){1000}".to_owned()] {
        let filter = Value::map([(&text("~meta.x"), &text(&pattern))].into_iter()).unwrap();
        let (result, largest) =
            largest_request(|| snapshot.find(filter.as_bytes(), None).map(|found| found.len()));
        assert!(result.is_err(), "{result:?}");
        assert!(largest < 32 << 20, "{largest}");
    }
}

#[test]
fn nothing_goes_as_deep_as_its_input() {
    // A stack that any recursion by the input would run out of.
    let work = || {
        for depth in [129, 10_000, 1_000_000] {
            let json = "[".repeat(depth);
            assert!(Value::from_json(json.as_bytes()).is_err());
            let json = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(Value::from_json(json.as_bytes()).is_err());
            let json = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
            assert!(Value::from_json(json.as_bytes()).is_err());
            let mut packed = vec![0x91; depth];
            packed.push(0xc0);
            assert!(Value::from_msgpack(&packed).is_err());
            let packed = [0x81, 0x01].repeat(depth);
            assert!(Value::from_msgpack(&packed).is_err());
        }
        // Values made one around the other.
        let mut value = int(1);
        let mut levels = 0;
        while let Ok(outer) = Value::array([&value].into_iter()) {
            value = outer;
            levels += 1;
        }
        assert_eq!(levels, 128);
        assert!(value.to_json().unwrap().len() > 256);
        // Patterns of many segments, matched against many.
        let pattern = vec!["**"; 100].join(".x.");
        let pattern = KindPattern::parse(pattern.as_bytes()).unwrap();
        assert!(!pattern.matches("a.".repeat(100_000).as_bytes()));
        let db = Scratch::memory();
        let entries = db.entries().unwrap();
        let path = format!("meta.{}", vec!["*"; 10_000].join("."));
        entries.register_pattern(&path, true).unwrap();
        let snapshot = entries.snapshot().unwrap();
        let mut changes = snapshot.changes();
        changes
            .create(
                acervo::entries::Entry::new(
                    IdRef::parse(b"a:b"),
                    b"k",
                    Some(
                        Value::map([(&text("x"), &value)].into_iter())
                            .unwrap_or_else(|_| Value::from_json(b"{}").unwrap()),
                    ),
                    Some(value.clone()),
                )
                .unwrap(),
            )
            .unwrap();
        changes.apply().unwrap();
        let snapshot = entries.snapshot().unwrap();
        for filter in [
            format!("{{\"{}\": 1}}", "a.".repeat(100_000) + "a"),
            format!("{{\"name\": \"{}\"}}", "*a".repeat(50_000)),
            format!("{{\"data.x\": {}1{}}}", "[".repeat(126), "]".repeat(126)),
            format!(
                "{{\"meta\": {{\"meta\": {{\"x\": {}1{}}}}}}}",
                "[".repeat(120),
                "]".repeat(120)
            ),
        ] {
            let filter = Value::from_json(filter.as_bytes()).unwrap();
            if let Ok(found) = snapshot.find(filter.as_bytes(), None) {
                assert_eq!(found.len(), 0);
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap();
    thread.join().unwrap();
}

/// Idents and keys that try to look like each other's.
fn name(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b":".to_vec()),
        Just(b"%".to_vec()),
        Just(b"%3A".to_vec()),
        Just(b"%25".to_vec()),
        Just(b"%3a".to_vec()),
        Just(b"a".to_vec()),
        Just(b"b".to_vec()),
        Just(b"\0".to_vec()),
        Just(b"\xff".to_vec()),
    ];
    prop::collection::vec(part, 1..most).prop_map(|parts| parts.concat())
}

fn keys(kv: &Kv) -> Vec<Box<[u8]>> {
    let mut keys = kv.keys(b"").unwrap();
    keys.sort();
    keys
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_ident_reaches_what_is_anothers(
        one in name(6),
        other in name(6),
        mine in prop::collection::vec(name(6), 1..6),
        theirs in prop::collection::vec(name(6), 1..6),
        prefix in name(3),
    ) {
        prop_assume!(one != other);
        let db = Scratch::memory();
        let (a, b) = (db.store(&one).unwrap(), db.store(&other).unwrap());
        for key in &theirs {
            b.put(key, int(7).as_bytes(), None).unwrap();
        }
        let before = keys(&b);
        for key in mine.iter().chain(&theirs) {
            prop_assert!(a.get(key).unwrap().is_none());
        }
        for key in &mine {
            a.put(key, int(1).as_bytes(), None).unwrap();
        }
        let mut expected: Vec<Box<[u8]>> = mine.iter().map(|key| key[..].into()).collect();
        expected.sort();
        expected.dedup();
        prop_assert_eq!(keys(&a), expected.clone());
        prop_assert_eq!(a.count(b"").unwrap(), expected.len() as u64);
        prop_assert_eq!(keys(&b), before.clone());
        for key in &theirs {
            a.delete(key).unwrap();
            let _ = a.cas(key, None, int(9).as_bytes()).unwrap();
            prop_assert_eq!(b.get(key).unwrap(), Some(int(7)));
        }
        a.delete_prefix(&prefix).unwrap();
        a.purge(0.0).unwrap();
        a.delete_prefix(b"").unwrap();
        prop_assert_eq!(keys(&b), before.clone());
        prop_assert_eq!(a.count(b"").unwrap(), 0);
        // The registry is another space.
        prop_assert_eq!(db.registry().count(b"").unwrap(), 0);
        prop_assert_eq!(db.global().count(b"").unwrap(), before.len() as u64);
    }
}
