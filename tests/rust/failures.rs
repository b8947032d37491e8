//! Files that cannot be used: the error says which and why, and the file stays
//! as it was.

mod common;

use std::fs;

use acervo::database::{Database, Options};
use acervo::error::{Code, Error};
use acervo::value::Value;
use common::{Scratch, int, options, text};
use rusqlite::Connection;

fn refusal(scratch: &Scratch) -> Error {
    Database::open(scratch.path(), &Options::default()).err().expect("a refusal")
}

/// Opens, expects a failure that names the file, and compares the bytes.
fn refused_and_untouched(scratch: &Scratch, code: Code, what: &str) {
    let before = fs::read(scratch.file()).unwrap();
    let error = refusal(scratch);
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains("test.db"), "{error}");
    assert!(error.message.contains(what), "{error}");
    assert!(fs::read(scratch.file()).unwrap() == before, "the file was touched");
}

/// A database with one key in the registry and one in the store.
fn filled() -> Scratch {
    let scratch = Scratch::new();
    let db = scratch.open();
    db.registry().put(b"r", int(1).as_bytes(), None).unwrap();
    db.global().put(b"s", text("x").as_bytes(), None).unwrap();
    db.close().unwrap();
    scratch
}

#[test]
fn what_is_no_database_is_left_as_it_is() {
    let scratch = Scratch::new();
    fs::write(scratch.file(), b"this is a letter, not a database\n".repeat(100)).unwrap();
    refused_and_untouched(&scratch, Code::Internal, "not a database");
}

#[test]
fn a_damaged_database_is_left_as_it_is() {
    let scratch = filled();
    let mut bytes = fs::read(scratch.file()).unwrap();
    let len = bytes.len();
    bytes[1000..len - 100].fill(0xa5);
    fs::write(scratch.file(), bytes).unwrap();
    refused_and_untouched(&scratch, Code::Internal, "damaged");
}

#[test]
fn a_value_that_is_damaged_inside_its_row_is_noticed() {
    let scratch = filled();
    let connection = Connection::open(scratch.file()).unwrap();
    connection.execute("UPDATE acervo_kv SET value = x'c1' WHERE space = 1", []).unwrap();
    connection.close().unwrap();
    refused_and_untouched(&scratch, Code::Internal, "row");
}

#[test]
fn a_file_of_a_newer_version_is_left_as_it_is() {
    let scratch = filled();
    let connection = Connection::open(scratch.file()).unwrap();
    connection.execute("UPDATE acervo_meta SET value = 99 WHERE key = 'format'", []).unwrap();
    connection.close().unwrap();
    refused_and_untouched(&scratch, Code::Invalid, "99");
}

#[test]
fn a_database_of_another_program_keeps_its_tables() {
    let scratch = Scratch::new();
    let connection = Connection::open(scratch.file()).unwrap();
    connection.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (7)").unwrap();
    connection.close().unwrap();
    let db = scratch.open();
    db.global().put(b"k", int(1).as_bytes(), None).unwrap();
    db.close().unwrap();
    let connection = Connection::open(scratch.file()).unwrap();
    let seven: i64 = connection.query_row("SELECT a FROM theirs", [], |row| row.get(0)).unwrap();
    assert_eq!(seven, 7);
}

#[test]
fn a_missing_directory_and_a_bad_path_are_invalid() {
    let missing = Database::open(b"/nonexistent-directory/x.db", &Options::default());
    let error = missing.err().unwrap();
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains("/nonexistent-directory/x.db"), "{error}");
    for path in [&b""[..], b"a\0b"] {
        let error = Database::open(path, &Options::default()).err().unwrap();
        assert_eq!(error.code, Code::Invalid, "{error}");
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.file()).unwrap();
    assert!(refusal(&scratch).message.contains("directory"));
}

/// A database whose making was killed while SQLite's journal was needed to undo
/// it: the journal is there, and pages of the file are written.
fn cut_short() -> Scratch {
    let made = filled();
    let connection = Connection::open(made.file()).unwrap();
    let sql = "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN IMMEDIATE;
               CREATE TABLE more (b); WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n
               LIMIT 100) INSERT INTO more SELECT randomblob(1000) FROM n";
    connection.execute_batch(sql).unwrap();
    let scratch = Scratch::new();
    for end in ["", "-journal"] {
        let name = |scratch: &Scratch| format!("{}{end}", scratch.file().display());
        fs::copy(name(&made), name(&scratch)).unwrap();
    }
    scratch
}

#[test]
fn a_file_whose_making_was_cut_short_says_so_until_it_is_opened_for_writing() {
    let scratch = cut_short();
    let before = fs::read(scratch.file()).unwrap();
    let read_only = options(&[("read_only", Value::from_json(b"true").unwrap())]);
    let opened = Database::open(scratch.path(), &read_only).err().expect("a refusal");
    let checked = acervo::database::check_file(scratch.file()).expect_err("a refusal");
    for error in [opened, checked] {
        assert_eq!(error.code, Code::Unavailable, "{error}");
        assert!(error.retryable, "{error}");
        for part in ["test.db", "cut short", "open it once without read_only"] {
            assert!(error.message.contains(part), "{error}");
        }
    }
    assert!(fs::read(scratch.file()).unwrap() == before, "the file was touched");
    scratch.open().close().unwrap();
    let db = scratch.open_with(&read_only);
    assert!(db.global().get(b"s").unwrap().is_some());
    db.close().unwrap();
    let report = acervo::database::check_file(scratch.file()).unwrap();
    assert!(report.faults.is_empty(), "{report:?}");
}

#[test]
fn options_are_refused_by_name() {
    let refused = |name: &str, value: &str| {
        let value = acervo::value::Value::from_json(value.as_bytes()).unwrap();
        let error = Options::default().set(name, value.view()).unwrap_err();
        assert_eq!(error.code, Code::Invalid);
        assert!(error.message.contains(name), "{error}");
    };
    refused("no_such_option", "1");
    refused("durability", "\"half\"");
    refused("durability", "1");
    refused("flush_interval_ms", "\"100\"");
    refused("flush_interval_ms", "0");
    refused("flush_interval_ms", "1.5");
    refused("max_unwritten_ms", "-1");
    refused("max_unwritten_ms", "\"1\"");
    refused("registry_persistent", "1");
    refused("value_limit", "-1");
    refused("memory_limit", "0");
    refused("read_only", "\"yes\"");
    refused("busy_timeout_ms", "-1");
    refused("file_mode", "4096");
    // Known to Lua only.
    refused("ident", "\"x\"");
    refused("big_int", "\"float\"");
}

#[test]
fn files_have_the_mode_that_was_asked_for_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    for (asked, mode) in [(None, 0o600), (Some(0o660), 0o660)] {
        let scratch = Scratch::new();
        let db = match asked {
            None => scratch.open(),
            Some(mode) => scratch.open_with(&options(&[("file_mode", int(mode))])),
        };
        db.global().put(b"k", int(1).as_bytes(), None).unwrap();
        let mut files = 0;
        for entry in fs::read_dir(scratch.directory()).unwrap() {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{:?}", entry.file_name());
            files += 1;
        }
        assert!(files >= 3, "{files} files");
    }
}
