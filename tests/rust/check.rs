//! A check finds every kind of damage and names it, and finds none where there
//! is none, whatever was done and is being done.

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use acervo::database::{Database, Options, Report, check_file};
use acervo::entries::{IdRef, Registry};
use acervo::error::Code;
use acervo::kv::Batch;
use acervo::value::{Number, Value};
use common::other::{Other, role, serve};
use common::work::{change, entry, fill};
use common::{Scratch, int, options, text};
use proptest::prelude::*;
use rusqlite::Connection;

fn sound(report: &Report) {
    assert!(report.is_sound(), "{:#?}", report.faults);
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A closed database with everything in it, the net and the skips too: made
/// once, as what is derived takes a thousand versions to come.
fn filled() -> Scratch {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let scratch = Scratch::new();
        let db = scratch.open_with(&options(&[("durability", text("off"))]));
        fill(&db);
        wait_for_net(&scratch, &db);
        db.close().unwrap();
        fs::read(scratch.file()).unwrap()
    });
    let scratch = Scratch::new();
    fs::write(scratch.file(), file).unwrap();
    scratch
}

/// Versions that change one entry: deriving begins when thousands are new.
fn many_versions(registry: &Registry, entry: usize) {
    for step in 0..200 {
        change(registry, [entry], step);
    }
}

/// Waits until what is derived has followed the versions.
fn wait_for_net(scratch: &Scratch, db: &Database) {
    let registry = db.entries().unwrap();
    eventually("the net follows", || {
        let reader = Connection::open(scratch.file()).unwrap();
        let net = "SELECT value FROM acervo_meta WHERE key = 'net_version'";
        let net: Option<i64> = reader.query_row(net, [], |row| row.get(0)).ok();
        let skips: i64 =
            reader.query_row("SELECT count(*) FROM acervo_skip", [], |row| row.get(0)).unwrap();
        many_versions(&registry, 0);
        net.is_some_and(|net| net > 100) && skips >= 2
    });
}

/// Damages a filled database and tells the kind of the first fault that is found,
/// with all faults as text.
fn damaged_by(sql: &str) -> (&'static str, String) {
    let scratch = filled();
    sound(&check_file(scratch.file()).unwrap());
    let connection = Connection::open(scratch.file()).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    // Not as another program would: that is allowed, and noticed.
    let triggers = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .collect::<rusqlite::Result<Vec<String>>>()
        .unwrap();
    for name in ["versions", "changesets"] {
        for event in ["INSERT", "UPDATE", "DELETE"] {
            connection.execute_batch(&format!("DROP TRIGGER acervo_{name}_{event}")).unwrap();
        }
    }
    assert!(connection.execute(sql, []).unwrap() > 0, "nothing was changed: {sql}");
    connection.execute_batch(&triggers.join(";")).unwrap();
    connection.close().unwrap();
    let before = fs::read(scratch.file()).unwrap();
    let report = check_file(scratch.file()).unwrap();
    assert!(fs::read(scratch.file()).unwrap() == before, "the file was touched");
    assert!(!report.is_sound(), "not found: {sql}");
    let what = report.faults[0].what;
    let texts: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    (what, texts.join("\n"))
}

#[track_caller]
fn finds(sql: &str, what: &str, parts: &[&str]) {
    let (found, text) = damaged_by(sql);
    assert_eq!(found, what, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part} is not told: {text}");
    }
}

#[test]
fn rows_of_the_log_that_hold_what_they_cannot_are_found() {
    finds("UPDATE acervo_kv SET value = x'c1' WHERE seq = 5", "log", &["row 5", "0xc1"]);
    // 1 in two bytes: read, but not as it is written.
    finds("UPDATE acervo_kv SET value = x'cc01' WHERE seq = 6", "log", &["row 6", "canonical"]);
    finds("UPDATE acervo_kv SET value = x'91' WHERE seq = 7", "log", &["row 7", "value"]);
    finds("UPDATE acervo_kv SET value = 'text' WHERE seq = 8", "log", &["row 8", "a text"]);
    finds("UPDATE acervo_kv SET value = x'' WHERE seq = 8", "log", &["row 8", "empty"]);
    finds("UPDATE acervo_kv SET space = 7 WHERE seq = 9", "log", &["row 9", "space is 7"]);
    finds("UPDATE acervo_kv SET name = x'' WHERE seq = 10", "log", &["row 10", "0 bytes"]);
    finds("UPDATE acervo_kv SET expires = -1 WHERE seq = 11", "log", &["row 11", "expires"]);
    finds("DELETE FROM acervo_kv WHERE seq = 12", "log", &["row 13", "missing"]);
}

#[test]
fn faults_in_the_tree_of_versions_are_found() {
    finds("DELETE FROM versions WHERE id = 20", "version", &["row 21", "parent 20"]);
    finds("UPDATE versions SET parent_id = 60 WHERE id = 40", "version", &["row 40", "not older"]);
    finds("UPDATE versions SET parent_id = 40 WHERE id = 40", "version", &["row 40", "not older"]);
    finds("UPDATE versions SET parent_id = 7000 WHERE id = 7", "version", &["row 7", "7000"]);
    finds("UPDATE versions SET parent_id = 'x' WHERE id = 7", "version", &["row 7", "a text"]);
    finds(
        "UPDATE versions SET parent_id = 3 WHERE id = 0",
        "version",
        &["row 0", "the root has the parent 3"],
    );
    finds("INSERT INTO acervo_version (id) VALUES (9999)", "version", &["9999"]);
}

#[test]
fn a_head_that_is_no_version_is_found() {
    let set = |text: &str| format!("UPDATE metadata SET value = '{text}' WHERE key = 'head'");
    finds(&set("9999"), "head", &["9999", "not exist"]);
    finds(&set("latest"), "head", &["latest"]);
}

#[test]
fn changesets_that_cannot_be_read_are_found() {
    let set = |blob: &str| format!("UPDATE changesets SET data = {blob} WHERE version_id = 33");
    finds(&set("x'c1'"), "changeset", &["version 33"]);
    finds(&set("x'80'"), "changeset", &["version 33", "no array"]);
    finds(&set("x'9180'"), "changeset", &["version 33", "operation 1"]);
    finds(&set("'text'"), "changeset", &["version 33", "a text"]);
    finds("DELETE FROM changesets WHERE version_id = 33", "changeset", &["33", "missing"]);
    finds(
        "INSERT INTO changesets (version_id, data) VALUES (9999, x'90')",
        "changeset",
        &["9999", "no such version"],
    );
}

#[test]
fn checkpoints_that_are_not_what_the_versions_come_down_to_are_found() {
    let one = "(SELECT name FROM acervo_net WHERE entry IS NOT NULL LIMIT 1)";
    let other = "(SELECT entry FROM acervo_net WHERE entry IS NOT NULL ORDER BY name DESC LIMIT 1)";
    finds(
        &format!("UPDATE acervo_net SET entry = {other} WHERE name = {one}"),
        "net",
        &["acervo_net n", "not the entry"],
    );
    finds(&format!("UPDATE acervo_net SET entry = NULL WHERE name = {one}"), "net", &["deleted"]);
    finds(&format!("UPDATE acervo_net SET entry = x'c1' WHERE name = {one}"), "net", &["0xc1"]);
    finds(&format!("DELETE FROM acervo_net WHERE name = {one}"), "net", &["missing"]);
    finds(
        &format!("INSERT INTO acervo_net (ns, name, entry) VALUES (x'61', x'62', {other})"),
        "net",
        &["a:b", "none in the versions"],
    );
    finds("UPDATE acervo_meta SET value = 9999 WHERE key = 'net_version'", "net", &["9999"]);
    finds("UPDATE acervo_meta SET value = 50 WHERE key = 'net_version'", "net", &["up to 50"]);
    let skip = "(SELECT max(version) FROM acervo_skip)";
    finds(
        &format!("UPDATE acervo_skip SET data = x'90' WHERE version = {skip} AND level = 1"),
        "skip",
        &["level 1", "entry n"],
    );
    finds(
        &format!("UPDATE acervo_skip SET data = x'c1' WHERE version = {skip}"),
        "skip",
        &["0xc1"],
    );
    finds(
        &format!("UPDATE acervo_skip SET ancestor = ancestor - 1 WHERE version = {skip}"),
        "skip",
        &["level 1"],
    );
    finds(
        &format!("UPDATE acervo_skip SET ancestor = 9999 WHERE version = {skip}"),
        "skip",
        &["9999"],
    );
}

#[test]
fn tables_that_are_missing_or_different_are_found() {
    for (sql, part) in [
        ("DROP TABLE acervo_kv", "acervo_kv"),
        ("DROP TABLE changesets", "changesets"),
        ("DROP TABLE acervo_net", "acervo_net"),
        ("DROP INDEX idx_versions_parent", "idx_versions_parent"),
        ("DROP TRIGGER acervo_versions_UPDATE", "acervo_versions_UPDATE"),
        ("ALTER TABLE acervo_kv RENAME COLUMN expires TO expired", "expires"),
    ] {
        let scratch = filled();
        Connection::open(scratch.file()).unwrap().execute_batch(sql).unwrap();
        let report = check_file(scratch.file()).unwrap();
        let found = |fault: &acervo::database::Fault| {
            fault.what == "schema" && fault.to_string().contains(part)
        };
        assert!(report.faults.iter().any(found), "{sql}: {:#?}", report.faults);
    }
}

#[test]
fn damaged_pages_are_found_wherever_they_are() {
    let scratch = filled();
    let whole = fs::read(scratch.file()).unwrap();
    let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    let pages = whole.len() / page;
    assert!(pages > 10, "{pages} pages");
    for number in 0..pages {
        let mut bytes = whole.clone();
        bytes[number * page..(number + 1) * page].fill(0xa5);
        fs::write(scratch.file(), &bytes).unwrap();
        // Free pages may hold anything.
        let report = check_file(scratch.file()).unwrap();
        let is_free = {
            fs::write(scratch.file(), &whole).unwrap();
            is_free_leaf(&whole, page, number + 1)
        };
        assert!(is_free || !report.is_sound(), "page {} of {pages}", number + 1);
    }
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 2 * page);
    fs::write(scratch.file(), &cut).unwrap();
    assert!(!check_file(scratch.file()).unwrap().is_sound());
    fs::write(scratch.file(), b"a letter, not a database\n".repeat(100)).unwrap();
    let report = check_file(scratch.file()).unwrap();
    assert!(report.faults[0].found.contains("not a database"), "{report:?}");
    // What cannot be opened can be checked, and is left as it was.
    assert!(Database::open(scratch.path(), &Options::default()).is_err());
}

/// Whether a page stands in the list of those that are free, without being part
/// of the list.
fn is_free_leaf(file: &[u8], page: usize, number: usize) -> bool {
    let word = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let mut trunk = word(32);
    while trunk != 0 {
        let at = (trunk - 1) * page;
        if (0..word(at + 4)).any(|leaf| word(at + 8 + 4 * leaf) == number) {
            return true;
        }
        trunk = word(at);
    }
    false
}

#[test]
fn memory_that_is_not_what_the_file_says_is_found() {
    let scratch = filled();
    let db = scratch.open();
    let registry = db.entries().unwrap();
    assert!(registry.snapshot().unwrap().len() > 1);
    sound(&db.check_integrity().unwrap());
    let connection = Connection::open(scratch.file()).unwrap();
    // A key of the store and one of the registry, and a changeset below the head.
    for (sql, part) in [
        (
            "UPDATE acervo_kv SET value = x'07' WHERE name = CAST('key1' AS BLOB) AND space = 0",
            "registry key \"key1\"",
        ),
        (
            "UPDATE acervo_kv SET written = 7 WHERE name = CAST('ident:key1' AS BLOB)",
            "store key \"ident:key1\"",
        ),
        (
            "UPDATE acervo_kv SET value = NULL WHERE name = CAST('key2' AS BLOB) AND space = 1",
            "store key \"key2\"",
        ),
        (
            "UPDATE acervo_kv SET name = CAST('gone' AS BLOB) WHERE name = CAST('key4' AS BLOB) \
          AND space = 1",
            "store key \"gone\"",
        ),
    ] {
        assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
        let report = db.check_integrity().unwrap();
        let found = |fault: &acervo::database::Fault| fault.what == "memory" && fault.place == part;
        assert!(report.faults.iter().any(found), "{sql}: {:#?}", report.faults);
    }
    // Nothing was read anew, so memory is still what it was.
    assert_eq!(db.registry().get(b"key1").unwrap(), Some(int(1)));
}

#[test]
fn a_sound_database_has_no_fault_open_or_closed() {
    let scratch = filled();
    let report = check_file(scratch.file()).unwrap();
    sound(&report);
    let checked = report.checked;
    assert!(checked.pages > 0 && checked.rows > 500 && checked.versions > 150, "{checked:?}");
    assert!(checked.checkpoints > 10 && checked.entries > 5, "{checked:?}");
    let db = scratch.open();
    let report = db.check_integrity().unwrap();
    sound(&report);
    assert!(report.checked.keys > 300, "{report:?}");
    let registry = db.entries().unwrap();
    for version in [50, 120, 31, 0, 150] {
        registry.apply_version(version).unwrap();
        sound(&db.check_integrity().unwrap());
    }
    registry.prune(130).unwrap();
    sound(&db.check_integrity().unwrap());
    wait_for_net(&scratch, &db);
    sound(&db.check_integrity().unwrap());
    // A reader alone, and one without the entries.
    let truth = Value::from_json(b"true").unwrap();
    db.close().unwrap();
    let db = scratch.open_with(&options(&[("read_only", truth)]));
    sound(&db.check_integrity().unwrap());
}

#[test]
fn databases_with_little_in_them_have_no_fault() {
    let scratch = Scratch::new();
    let db = scratch.open();
    sound(&db.check_integrity().unwrap());
    db.close().unwrap();
    sound(&check_file(scratch.file()).unwrap());
    // An empty file, and one of another program.
    fs::write(scratch.file(), b"").unwrap();
    sound(&check_file(scratch.file()).unwrap());
    let connection = Connection::open(scratch.file()).unwrap();
    connection.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (7)").unwrap();
    connection.close().unwrap();
    sound(&check_file(scratch.file()).unwrap());
    sound(&Scratch::memory().check_integrity().unwrap());
}

#[test]
fn what_cannot_be_checked_is_an_error() {
    let scratch = Scratch::new();
    let error = check_file(scratch.file()).unwrap_err();
    assert_eq!(error.code, Code::Invalid, "{error}");
    let error = check_file(scratch.directory()).unwrap_err();
    assert!(error.message.contains("directory"), "{error}");
    let db = scratch.open();
    db.global().put(b"k", int(1).as_bytes(), None).unwrap();
    let connection = Connection::open(scratch.file()).unwrap();
    connection.execute("UPDATE acervo_meta SET value = 99 WHERE key = 'format'", []).unwrap();
    let error = check_file(scratch.file()).unwrap_err();
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains("99"), "{error}");
    connection.execute("UPDATE acervo_meta SET value = 1 WHERE key = 'format'", []).unwrap();
    drop(connection);
    // Another file under the name: what is in memory is not its.
    let aside = scratch.directory().join("aside.db");
    fs::rename(scratch.file(), &aside).unwrap();
    fs::write(scratch.file(), b"").unwrap();
    let error = db.check_integrity().unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("replaced"), "{error}");
    fs::remove_file(scratch.file()).unwrap();
    fs::rename(&aside, scratch.file()).unwrap();
    sound(&db.check_integrity().unwrap());
    db.close().unwrap();
    assert_eq!(db.check_integrity().unwrap_err().code, Code::Internal);
}

#[test]
fn what_another_program_replaced_is_no_fault() {
    let scratch = filled();
    let connection = Connection::open(scratch.file()).unwrap();
    // As that program does it, triggers and all.
    connection
        .execute("INSERT OR REPLACE INTO changesets (version_id, data) VALUES (40, x'90')", [])
        .unwrap();
    connection.close().unwrap();
    sound(&check_file(scratch.file()).unwrap());
    let db = scratch.open();
    change(&db.entries().unwrap(), [1], 77);
    sound(&db.check_integrity().unwrap());
}

#[test]
fn a_step_of_the_net_that_was_left_half_done_is_finished_wherever_the_head_went() {
    left_half_done(0);
}

#[test]
fn a_step_of_the_net_over_several_versions_is_finished_too() {
    left_half_done(3);
}

/// A step over one large version, and so many small ones behind it.
fn left_half_done(behind: usize) {
    // What a killed process leaves: a part of a large version in the net.
    let scratch = Scratch::new();
    let db = scratch.open_with(&options(&[("durability", text("off"))]));
    let registry = db.entries().unwrap();
    for round in 0..70 {
        change(&registry, [round], 1);
    }
    eventually("a net", || {
        many_versions(&registry, 100);
        let reader = Connection::open(scratch.file()).unwrap();
        let sql = "SELECT count(*) FROM acervo_meta WHERE key = 'net_version'";
        reader.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 1
    });
    db.close().unwrap();
    let connection = Connection::open(scratch.file()).unwrap();
    let noted = |key: &str| -> u64 {
        let sql = "SELECT value FROM acervo_meta WHERE key = ?1";
        connection.query_row(sql, [key], |row| row.get::<_, i64>(0)).unwrap() as u64
    };
    let at = noted("net_version");
    let db = scratch.open_with(&options(&[("durability", text("off"))]));
    let registry = db.entries().unwrap();
    registry.apply_version(at).unwrap();
    let large = change(&registry, 200..800, 7);
    let end = (0..behind).fold(large, |_, number| change(&registry, [200 + number, 5], 8));
    registry.apply_version(at).unwrap();
    let aside = change(&registry, [3], 9);
    db.close().unwrap();
    assert_eq!(noted("net_version"), at, "the net did not wait");
    // The first 256 operations of the large version, as they would be written.
    let changeset: Vec<u8> = connection
        .query_row("SELECT data FROM changesets WHERE version_id = ?1", [large as i64], |row| {
            row.get(0)
        })
        .unwrap();
    for (ns, name, entry) in entries_of(&changeset).into_iter().take(256) {
        connection
            .execute(
                "INSERT INTO acervo_net (ns, name, entry) VALUES (?1, ?2, ?3)",
                rusqlite::params![ns, name, entry],
            )
            .unwrap();
    }
    connection
        .execute("INSERT INTO acervo_meta (key, value) VALUES ('net_next', ?1)", [end as i64])
        .unwrap();
    sound(&check_file(scratch.file()).unwrap());
    // The head is beside it. Whoever goes on must not build on the half.
    let db = scratch.open_with(&options(&[("durability", text("off"))]));
    let registry = db.entries().unwrap();
    assert_eq!(registry.current_version().unwrap(), aside);
    for round in 0..70 {
        change(&registry, [4], 20 + round);
    }
    eventually("the net follows", || {
        many_versions(&registry, 4);
        noted("net_version") > aside
    });
    sound(&db.check_integrity().unwrap());
    let wanted = registry.snapshot().unwrap().len();
    db.close().unwrap();
    let db = scratch.open();
    assert_eq!(db.entries().unwrap().snapshot().unwrap().len(), wanted);
    sound(&db.check_integrity().unwrap());
}

/// The entries of a changeset with their ids, as bytes.
fn entries_of(changeset: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let changeset = Value::from_msgpack(changeset).unwrap();
    let field = |value: &Value, name: &str| {
        Value::from_canonical(value.lookup(text(name).as_bytes()).unwrap())
    };
    let bytes = |value: Value| match value.view().token() {
        acervo::value::Token::String(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    };
    (0..changeset.len())
        .map(|place| {
            let op = Value::from_canonical(changeset.element(place).unwrap());
            let entry = field(&op, "Entry");
            let id = field(&entry, "ID");
            (bytes(field(&id, "ns")), bytes(field(&id, "name")), entry.as_bytes().to_vec())
        })
        .collect()
}

/// Not a test of its own: what [`Other`] runs.
#[test]
fn the_other_process() {
    let Some(path) = role() else { return };
    let options = options(&[("durability", text("off")), ("flush_interval_ms", int(2))]);
    let db = Database::open(path.as_os_str().as_bytes(), &options).unwrap();
    serve(|words| {
        let rounds: i64 = words[1].parse().unwrap();
        work(&db, rounds, 1);
        let report = db.check_integrity().unwrap();
        format!("{:?}", report.faults)
    });
}

/// Writes of all kinds, many on the same keys.
fn work(db: &Database, rounds: i64, salt: i64) {
    let (store, registry) = (db.store(b"x:y%").unwrap(), db.registry());
    let entries = db.entries().unwrap();
    for round in 0..rounds {
        let mut batch = Batch::new();
        for n in 0..40 {
            let key = format!("b{}", (n * salt + round) % 300);
            batch.put(key.as_bytes(), int(round).as_bytes(), None, 1 << 20).unwrap();
        }
        store.commit(&batch).unwrap();
        let key = format!("k{}", round % 50);
        registry.put(key.as_bytes(), int(round).as_bytes(), (round % 3 == 0).then_some(5)).unwrap();
        registry.delete(format!("k{}", (round + 7) % 50).as_bytes()).unwrap();
        store.put(key.as_bytes(), int(round).as_bytes(), (round % 4 == 0).then_some(3)).unwrap();
        store.delete(format!("k{}", (round + 3) % 50).as_bytes()).unwrap();
        store.incr(b"n", Number::Int(1)).unwrap();
        if round % 50 == 49 {
            store.delete_prefix(b"b1").unwrap();
        }
        // Others may have been faster with the same entries.
        let snapshot = entries.snapshot().unwrap();
        let mut changes = snapshot.changes();
        for n in [round % 30, 30 + (round * salt) % 11] {
            let id = format!("a:{n}");
            let id = IdRef::parse(id.as_bytes());
            let wanted = entry(&format!("a:{n}"), round);
            match snapshot.get(id) {
                None => changes.create(wanted).unwrap(),
                Some(_) if round % 5 == 0 => changes.delete(id).unwrap(),
                Some(_) => changes.update(wanted).unwrap(),
            }
        }
        let _ = changes.apply();
        if round % 40 == 39 {
            let versions = entries.versions().unwrap();
            let target = versions[versions.len() / 2].id;
            let _ = entries.apply_version(target);
        }
        if round % 90 == 89 {
            let _ = entries.prune(entries.current_version().unwrap());
        }
    }
}

#[test]
fn checks_while_threads_and_another_process_work_find_no_fault() {
    let scratch = Scratch::new();
    let options = options(&[("durability", text("off")), ("flush_interval_ms", int(1))]);
    let db = scratch.open_with(&options);
    let mut other = Other::start(&scratch);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let there = scope.spawn(|| other.ask("work 300"));
        let here: Vec<_> = (2..4)
            .map(|salt| {
                scope.spawn({
                    let db = db.clone();
                    move || work(&db, 300, salt)
                })
            })
            .collect();
        let checks = scope.spawn(|| {
            let mut checks = 0;
            while !done.load(Ordering::Relaxed) || checks < 5 {
                sound(&db.check_integrity().unwrap());
                checks += 1;
            }
        });
        for worker in here {
            worker.join().unwrap();
        }
        assert_eq!(there.join().unwrap(), "[]");
        done.store(true, Ordering::Relaxed);
        checks.join().unwrap();
    });
    db.flush().unwrap();
    sound(&db.check_integrity().unwrap());
    db.close().unwrap();
    drop(other);
    sound(&check_file(scratch.file()).unwrap());
}

/// One step of random work.
#[derive(Clone, Debug)]
enum Step {
    Put { part: usize, key: usize, number: i64, ttl: Option<i64> },
    Delete { part: usize, key: usize },
    Clear { part: usize, prefix: usize },
    Many { part: usize },
    Flush,
    Change { from: usize, len: usize, number: i64 },
    Go { to: usize },
    Prune { to: usize },
    Reopen,
    Check,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize, 0..30_usize, 0..9_i64, prop::option::of(1..20_i64)).prop_map(
            |(part, key, number, ttl)| Step::Put { part, key, number, ttl }
        ),
        3 => (0..4_usize, 0..30_usize).prop_map(|(part, key)| Step::Delete { part, key }),
        1 => (0..4_usize, 0..4_usize).prop_map(|(part, prefix)| Step::Clear { part, prefix }),
        1 => (0..4_usize).prop_map(|part| Step::Many { part }),
        1 => Just(Step::Flush),
        8 => (0..20_usize, 1..9_usize, 0..4_i64).prop_map(
            |(from, len, number)| Step::Change { from, len, number }
        ),
        2 => (0..1000_usize).prop_map(|to| Step::Go { to }),
        1 => (0..1000_usize).prop_map(|to| Step::Prune { to }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Check),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn after_any_work_a_check_is_clean(steps in prop::collection::vec(step(), 1..120)) {
        let scratch = Scratch::new();
        let options = options(&[("durability", text("off")), ("flush_interval_ms", int(1))]);
        let mut db = scratch.open_with(&options);
        for step in steps {
            let part = |part: usize| match part {
                0 => db.registry(),
                1 => db.global(),
                part => db.store(format!("i{part}").as_bytes()).unwrap(),
            };
            let entries = || db.entries().unwrap();
            match step {
                Step::Put { part: at, key, number, ttl } => {
                    part(at).put(format!("k{key}").as_bytes(), int(number).as_bytes(), ttl).unwrap();
                }
                Step::Delete { part: at, key } => {
                    part(at).delete(format!("k{key}").as_bytes()).unwrap();
                }
                Step::Clear { part: at, prefix } => {
                    part(at).delete_prefix(format!("k{prefix}").as_bytes()).unwrap();
                }
                Step::Many { part: at } => {
                    for round in 0..4 {
                        let mut batch = Batch::new();
                        for n in 0..700 {
                            let key = format!("m{n}");
                            batch.put(key.as_bytes(), int(round).as_bytes(), None, 100).unwrap();
                        }
                        part(at).commit(&batch).unwrap();
                    }
                }
                Step::Flush => db.flush().unwrap(),
                Step::Change { from, len, number } => {
                    // Often enough to have something derived.
                    for round in 0..9 {
                        change(&entries(), (from..from + len).step_by(2), number + round % 3);
                    }
                }
                Step::Go { to } => {
                    let versions = entries().versions().unwrap();
                    entries().apply_version(versions[to % versions.len()].id).unwrap();
                }
                Step::Prune { to } => {
                    let versions = entries().versions().unwrap();
                    // Only an ancestor of the head can be asked for.
                    let _ = entries().prune(versions[to % versions.len()].id);
                }
                Step::Reopen => {
                    db.close().unwrap();
                    db = scratch.open_with(&options);
                }
                Step::Check => sound(&db.check_integrity().unwrap()),
            }
        }
        sound(&db.check_integrity().unwrap());
        db.close().unwrap();
        sound(&check_file(scratch.file()).unwrap());
    }
}
