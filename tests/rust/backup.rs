//! A backup is a database that holds all that was acknowledged before, from one
//! moment, whoever writes meanwhile; or it is not there.

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use acervo::database::{Database, Options, check_file};
use acervo::entries::IdRef;
use acervo::error::{Code, Error};
use acervo::kv::Batch;
use acervo::value::{Number, Value};
use common::other::{Other, role, serve};
use common::work::{change, entry, fill};
use common::{Scratch, as_int, int, options, text};

fn open(path: &Path) -> Database {
    Database::open(path.as_os_str().as_bytes(), &Options::default()).unwrap()
}

fn backup(db: &Database, to: &Path) -> Result<(), Error> {
    db.backup(to.as_os_str().as_bytes())
}

/// What is in a directory.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Everything a database holds, as text.
fn contents(db: &Database) -> Vec<String> {
    let mut lines = Vec::new();
    for (part, kv) in [("registry", db.registry()), ("store", db.global())] {
        for key in kv.keys(b"").unwrap() {
            // What expires may do so between two looks.
            let value = kv.get(&key).unwrap().filter(|value| value.stamp().expires_at == 0);
            if let Some(value) = value {
                let stamp = value.stamp();
                lines.push(format!(
                    "{part} {:?} {value:?} {stamp:?}",
                    String::from_utf8_lossy(&key)
                ));
            }
        }
    }
    let entries = db.entries().unwrap();
    for version in entries.versions().unwrap() {
        lines.push(format!("{version:?}"));
        let snapshot = entries.snapshot_at(version.id.max(1));
        if let Ok(snapshot) = snapshot {
            for entry in snapshot.entries().iter() {
                lines.push(format!("{} {:?}", entry.id(), entry.data()));
            }
        }
    }
    lines
}

#[test]
fn a_copy_holds_what_the_original_does_and_goes_on() {
    let scratch = Scratch::new();
    let db = scratch.open_with(&options(&[("flush_interval_ms", int(3_600_000))]));
    fill(&db);
    db.registry().put(b"not flushed yet", int(7).as_bytes(), None).unwrap();
    let to = scratch.directory().join("copy.db");
    backup(&db, &to).unwrap();
    assert!(check_file(&to).unwrap().is_sound());
    assert!(contents(&db) == contents(&open(&to)));
    // It is a database like any other, and each goes its own way.
    let copy = open(&to);
    copy.global().put(b"only here", int(1).as_bytes(), None).unwrap();
    let version = change(&copy.entries().unwrap(), [1, 2], 5);
    assert_eq!(version, db.entries().unwrap().current_version().unwrap() + 1);
    assert!(db.global().get(b"only here").unwrap().is_none());
    assert!(copy.check_integrity().unwrap().is_sound());
    let again = scratch.directory().join("copy of the copy.db");
    backup(&copy, &again).unwrap();
    assert!(contents(&copy) == contents(&open(&again)));
}

#[test]
fn a_reader_can_make_a_copy_and_a_database_in_memory_cannot() {
    let scratch = Scratch::new();
    fill(&scratch.open());
    let truth = Value::from_json(b"true").unwrap();
    let db = scratch.open_with(&options(&[("read_only", truth)]));
    let to = scratch.directory().join("copy.db");
    backup(&db, &to).unwrap();
    assert!(contents(&db) == contents(&open(&to)));
    let error = backup(&Scratch::memory(), &scratch.directory().join("other.db")).unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("memory"), "{error}");
    db.close().unwrap();
    let error = backup(&db, &scratch.directory().join("other.db")).unwrap_err();
    assert_eq!(error.code, Code::Internal);
    assert!(!scratch.directory().join("other.db").exists());
}

#[test]
fn nothing_is_replaced_and_nothing_is_left_behind() {
    let scratch = Scratch::new();
    let db = scratch.open();
    db.global().put(b"k", int(1).as_bytes(), None).unwrap();
    let beside = |name: &str| scratch.directory().join(name);
    fs::write(beside("file"), b"mine").unwrap();
    fs::create_dir(beside("directory")).unwrap();
    symlink("nowhere", beside("dangling")).unwrap();
    symlink("file", beside("link")).unwrap();
    let before = names(scratch.directory());
    let refused = |path: &Path, code: Code, part: &str| {
        let error = backup(&db, path).unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(part), "{error}");
    };
    for name in ["file", "directory", "dangling", "link", "test.db", "test.db-wal"] {
        refused(&beside(name), Code::AlreadyExists, "exists already");
    }
    refused(&beside("no/such"), Code::Invalid, "directory");
    refused(&beside("file/under"), Code::Invalid, "directory");
    refused(&beside("new/"), Code::Invalid, "names no file");
    refused(Path::new(""), Code::Invalid, "empty");
    refused(Path::new("a\0b"), Code::Invalid, "NUL");
    refused(Path::new(".."), Code::AlreadyExists, "exists already");
    refused(Path::new(":memory:"), Code::Invalid, ":memory:");
    let long = "n".repeat(300);
    refused(&beside(&long), Code::Invalid, "too long");
    assert_eq!(names(scratch.directory()), before);
    assert_eq!(fs::read(beside("file")).unwrap(), b"mine");
    assert!(fs::symlink_metadata(beside("nowhere")).is_err());
    // As long as a name may be with what is put behind it.
    let long = "n".repeat(250);
    backup(&db, &beside(&long)).unwrap();
    assert!(check_file(&beside(&long)).unwrap().is_sound());
}

#[test]
fn a_copy_has_the_mode_of_the_other_files_whatever_the_umask() {
    for (asked, mode) in [(None, 0o600), (Some(0o640), 0o640)] {
        let scratch = Scratch::new();
        let db = match asked {
            None => scratch.open(),
            Some(mode) => scratch.open_with(&options(&[("file_mode", int(mode))])),
        };
        let to = scratch.directory().join("copy.db");
        backup(&db, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_told() {
    let scratch = Scratch::new();
    let db = scratch.open();
    // Also root may not make files there.
    let error = backup(&db, Path::new("/proc/copy.db")).unwrap_err();
    assert!(matches!(error.code, Code::Invalid | Code::PermissionDenied), "{error}");
    assert!(error.message.contains("/proc"), "{error}");
}

/// Not a test of its own: what [`Other`] runs.
#[test]
fn the_other_process() {
    let Some(path) = role() else { return };
    let options = options(&[("durability", text("off")), ("flush_interval_ms", int(2))]);
    let db = Database::open(path.as_os_str().as_bytes(), &options).unwrap();
    serve(|words| {
        for round in 0..words[1].parse().unwrap() {
            write_together(&db, "there", round);
        }
        "done".to_owned()
    });
}

const TOGETHER: i64 = 50;

/// A batch of keys with one number, and a version of entries with one.
fn write_together(db: &Database, prefix: &str, round: i64) {
    let mut batch = Batch::new();
    for n in 0..TOGETHER {
        batch.put(format!("{prefix}{n}").as_bytes(), int(round).as_bytes(), None, 100).unwrap();
    }
    db.global().commit(&batch).unwrap();
    let registry = db.entries().unwrap();
    let snapshot = registry.snapshot().unwrap();
    let mut changes = snapshot.changes();
    for n in 0..7 {
        let id = format!("{prefix}:{n}");
        let wanted = entry(&id, round);
        match snapshot.get(IdRef::parse(id.as_bytes())) {
            None => changes.create(wanted).unwrap(),
            Some(_) => changes.update(wanted).unwrap(),
        }
    }
    changes.apply().unwrap();
}

/// The one number of a batch, and the one of a version; 0: not there yet.
fn read_together(db: &Database, prefix: &str) -> (i64, i64) {
    let number = |value: Option<Value>| value.map_or(0, |value| as_int(&value));
    let numbers: Vec<i64> = (0..TOGETHER)
        .map(|n| number(db.global().get(format!("{prefix}{n}").as_bytes()).unwrap()))
        .collect();
    assert!(numbers.iter().all(|it| *it == numbers[0]), "half a batch: {numbers:?}");
    let snapshot = db.entries().unwrap().snapshot().unwrap();
    let entries: Vec<i64> = (0..7)
        .map(|n| {
            let id = format!("{prefix}:{n}");
            number(snapshot.get(IdRef::parse(id.as_bytes())).and_then(|it| it.data().cloned()))
        })
        .collect();
    assert!(entries.iter().all(|it| *it == entries[0]), "half a version: {entries:?}");
    (numbers[0], entries[0])
}

#[test]
fn copies_under_load_hold_all_before_and_nothing_by_half() {
    let scratch = Scratch::new();
    let options = options(&[("durability", text("off")), ("flush_interval_ms", int(50))]);
    let db = scratch.open_with(&options);
    let mut other = Other::start(&scratch);
    let written = AtomicI64::new(0);
    let done = AtomicBool::new(false);
    let copies: Vec<(PathBuf, i64)> = thread::scope(|scope| {
        let there = scope.spawn(|| other.ask("write 400"));
        let here = scope.spawn(|| {
            for round in 1.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                write_together(&db, "here", round);
                // Written behind: a copy has it all the same.
                db.registry().put(b"last", int(round).as_bytes(), None).unwrap();
                written.store(round, Ordering::Release);
            }
        });
        // A writer of small things, without a pause.
        let small = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                db.global().incr(b"n", Number::Int(1)).unwrap();
            }
        });
        let copies = (0..12)
            .map(|number| {
                let to = scratch.directory().join(format!("copy{number}.db"));
                let before = written.load(Ordering::Acquire);
                backup(&db, &to).unwrap();
                (to, before)
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        here.join().unwrap();
        small.join().unwrap();
        assert_eq!(there.join().unwrap(), "done");
        copies
    });
    for (copy, before) in copies {
        let report = check_file(&copy).unwrap();
        assert!(report.is_sound(), "{:#?}", report.faults);
        let copy = open(&copy);
        let (batch, version) = read_together(&copy, "here");
        assert!(batch >= before && version >= before, "{batch} {version}, {before} was before");
        // One moment for keys and entries: a version follows its batch.
        assert!(batch == version || batch == version + 1, "{batch} {version}");
        let last = copy.registry().get(b"last").unwrap().map_or(0, |value| as_int(&value));
        assert!(last >= before && last <= batch, "{last}, {before} was before");
        let (batch, version) = read_together(&copy, "there");
        assert!(batch == version || batch == version + 1, "{batch} {version}");
    }
    let left: Vec<String> = names(scratch.directory());
    assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
}

#[test]
fn several_copies_at_once_to_one_name_give_one() {
    let scratch = Scratch::new();
    let db = scratch.open();
    fill(&db);
    let to = scratch.directory().join("copy.db");
    let results: Vec<Result<(), Error>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| backup(&db, &to))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let refused = |error: &Error| error.code == Code::AlreadyExists;
    assert!(results.iter().filter_map(|it| it.as_ref().err()).all(refused));
    assert!(contents(&db) == contents(&open(&to)));
    assert!(!names(scratch.directory()).iter().any(|name| name.starts_with('.')));
}
