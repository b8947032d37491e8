//! `acervo check` and `acervo backup`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use acervo::database::{Database, Options};
use acervo::value::{Value, put_int};

struct Output {
    code: Option<i32>,
    out: String,
    err: String,
}

fn acervo(directory: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_acervo"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("ACERVO_PATH")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A directory with a database of some keys, closed.
fn filled() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let db = open(&path);
    for n in 0..100 {
        let mut number = Vec::new();
        put_int(&mut number, n);
        db.global().put(format!("key{n}").as_bytes(), &number, None).unwrap();
    }
    db.close().unwrap();
    (directory, path)
}

fn open(path: &Path) -> Database {
    Database::open(path.as_os_str().as_bytes(), &Options::default()).unwrap()
}

#[test]
fn the_exit_code_is_the_verdict() {
    let (directory, path) = filled();
    let sound = acervo(directory.path(), &["check", "a.db"]);
    assert_eq!(sound.code, Some(0), "{}{}", sound.out, sound.err);
    assert!(sound.out.contains("a.db: sound;") && sound.out.contains("rows 100"), "{}", sound.out);
    assert_eq!(sound.err, "");
    // Also while it is in use.
    let db = open(&path);
    assert_eq!(acervo(directory.path(), &["check", "a.db"]).code, Some(0));
    db.close().unwrap();
    // Too damaged to be opened.
    let mut bytes = fs::read(&path).unwrap();
    let len = bytes.len();
    bytes[1000..len - 100].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    let damaged = acervo(directory.path(), &["check", "a.db"]);
    assert_eq!(damaged.code, Some(1), "{}{}", damaged.out, damaged.err);
    assert!(damaged.out.contains("file: ") && damaged.out.contains("fault"), "{}", damaged.out);
    assert!(fs::read(&path).unwrap() == bytes, "the file was touched");
    fs::write(&path, "a letter\n".repeat(500)).unwrap();
    assert_eq!(acervo(directory.path(), &["check", "a.db"]).code, Some(1));
    // Nothing that could be checked.
    for missing in [&["check", "b.db"][..], &["check", "."], &["check"]] {
        let missing = acervo(directory.path(), missing);
        assert_eq!(missing.code, Some(2), "{}{}", missing.out, missing.err);
        assert!(missing.out.is_empty() && missing.err.starts_with("acervo: "), "{}", missing.err);
    }
}

#[test]
fn a_backup_is_a_new_database() {
    let (directory, path) = filled();
    let made = acervo(directory.path(), &["backup", "a.db", "b.db"]);
    assert_eq!((made.code, made.err.as_str()), (Some(0), ""));
    assert_eq!(acervo(directory.path(), &["check", "b.db"]).code, Some(0));
    let copy = open(&directory.path().join("b.db"));
    let value: Option<Value> = copy.global().get(b"key42").unwrap();
    assert_eq!(value.unwrap().to_json().unwrap(), "42");
    let again = acervo(directory.path(), &["backup", "a.db", "b.db"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("exists already"), "{}", again.err);
    let missing = acervo(directory.path(), &["backup", "no.db", "c.db"]);
    assert_eq!(missing.code, Some(1));
    assert!(!directory.path().join("no.db").exists() && !directory.path().join("c.db").exists());
    drop(path);
}
