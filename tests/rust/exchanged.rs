//! Files exchanged with the other program that has this layout of history.

mod common;

use acervo::database::{Database, Options};
use acervo::entries::{Entry, IdRef, Registry, Snapshot};
use acervo::error::{Code, Error};
use acervo::value::{Value, View};
use common::Scratch;
use rusqlite::Connection;

/// Made by tests/fixtures/exchanged.py from the description of the layout.
const FIXTURE: &[u8] = include_bytes!("../fixtures/exchanged.db");

fn fixture() -> Scratch {
    let scratch = Scratch::new();
    std::fs::write(scratch.file(), FIXTURE).unwrap();
    scratch
}

fn json(text: &str) -> Value {
    Value::from_json(text.as_bytes()).unwrap()
}

fn shown(entry: &Entry) -> String {
    let data = entry.data().map_or("-".to_owned(), |data| data.to_json().unwrap());
    let kind = String::from_utf8_lossy(entry.kind()).into_owned();
    format!("{} {kind} {} {data}", entry.id(), entry.meta().to_json().unwrap())
}

fn all(snapshot: &Snapshot) -> Vec<String> {
    snapshot.entries().iter().map(shown).collect()
}

fn at(registry: &Registry, version: u64) -> Vec<String> {
    all(&registry.snapshot_at(version).unwrap())
}

fn create(registry: &Registry, id: &str, meta: &str, data: &str) -> u64 {
    let mut changes = registry.snapshot().unwrap().changes();
    let id = IdRef::parse(id.as_bytes());
    changes.create(Entry::new(id, b"k", Some(json(meta)), Some(json(data))).unwrap()).unwrap();
    changes.apply().unwrap().version
}

const SERVER: &str = r#"app:server http.server {"port":8080,"tags":["a","b"]} {"tls":false}"#;
const SERVER_2: &str = r#"app:server http.server {"port":9090,"tags":[]} {"load":0.5,"tls":true}"#;
const ROUTE: &str = r#"app.api:route http.endpoint {"server":"app:server"} -"#;
const CONFIG: &str = r#"app:config config {} "{\"raw\": 1}""#;

fn check_fixture(registry: &Registry) {
    assert_eq!(at(registry, 0), [""; 0]);
    assert_eq!(at(registry, 1), [SERVER, ROUTE]);
    assert_eq!(at(registry, 2), [SERVER_2, ROUTE]);
    assert_eq!(at(registry, 3), [CONFIG, SERVER]);
    assert_eq!(at(registry, 4), [CONFIG]);
}

#[test]
fn its_files_open_here_and_can_be_written() {
    let scratch = fixture();
    let database = scratch.open();
    let registry = database.entries().unwrap();
    assert_eq!(registry.current_version().unwrap(), 3);
    check_fixture(&registry);
    let parents: Vec<_> = registry.versions().unwrap().iter().map(|v| (v.id, v.parent)).collect();
    assert_eq!(parents, [(0, None), (1, Some(0)), (2, Some(1)), (3, Some(1)), (4, Some(3))]);
    // Version 4 was rolled back: its number is not used again.
    assert_eq!(create(&registry, "a:b", "{}", "1"), 5);
    registry.apply_version(2).unwrap();
    database.close().unwrap();

    let database = scratch.open();
    let registry = database.entries().unwrap();
    assert_eq!(registry.current_version().unwrap(), 2);
    assert_eq!(all(&registry.snapshot().unwrap()), [SERVER_2, ROUTE]);
    check_fixture(&registry);
    assert_eq!(at(&registry, 5), ["a:b k {} 1", CONFIG, SERVER]);
}

#[test]
fn a_file_that_may_not_be_written_is_read_as_it_is() {
    let scratch = fixture();
    let mut options = Options::default();
    let yes = json("true");
    options.set("read_only", View::new(yes.as_bytes())).unwrap();
    let database = Database::open(scratch.path(), &options).unwrap();
    let registry = database.entries().unwrap();
    check_fixture(&registry);
    let mut changes = registry.snapshot().unwrap().changes();
    changes.delete(IdRef::parse(b"app:server")).unwrap();
    assert_eq!(Error::from(changes.apply().unwrap_err()).code, Code::PermissionDenied);
    drop((changes, registry));
    database.close().unwrap();
    assert_eq!(std::fs::read(scratch.file()).unwrap(), FIXTURE);
}

#[test]
fn our_files_have_the_layout_byte_for_byte() {
    let scratch = Scratch::new();
    let database = scratch.open();
    let registry = database.entries().unwrap();
    create(&registry, "a:b", r#"{"x":1}"#, "[2.5]");
    let mut changes = registry.snapshot().unwrap().changes();
    let id = IdRef::parse(b"a:b");
    changes.update(Entry::new(id, b"k", None, None).unwrap()).unwrap();
    changes.apply().unwrap();
    let mut changes = registry.snapshot().unwrap().changes();
    changes.delete(id).unwrap();
    changes.apply().unwrap();
    registry.apply_version(2).unwrap();
    database.close().unwrap();

    let connection = Connection::open(scratch.file()).unwrap();
    let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(text("PRAGMA journal_mode"), "wal");
    assert_eq!(text("SELECT value FROM metadata WHERE key = 'head'"), "2");
    assert_eq!(text("SELECT typeof(value) FROM metadata WHERE key = 'head'"), "text");
    assert_eq!(text("SELECT value FROM metadata WHERE key = 'schema_version'"), "1");
    for (table, columns) in [
        ("metadata", "key:TEXT:0:1,value:TEXT:1:0"),
        ("versions", "id:INTEGER:0:1,parent_id:INTEGER:0:0"),
        ("changesets", "version_id:INTEGER:0:1,data:BLOB:1:0"),
    ] {
        let sql = format!(
            "SELECT group_concat(name || ':' || type || ':' || \"notnull\" || ':' || pk) \
             FROM pragma_table_info('{table}')"
        );
        assert_eq!(text(&sql), columns);
    }
    let foreign = "SELECT group_concat(\"table\" || ':' || \"from\" || ':' || \"to\" || ':' || on_delete) \
                   FROM pragma_foreign_key_list";
    assert_eq!(text(&format!("{foreign}('versions')")), "versions:parent_id:id:NO ACTION");
    assert_eq!(text(&format!("{foreign}('changesets')")), "versions:version_id:id:CASCADE");
    assert_eq!(
        text("SELECT sql FROM sqlite_schema WHERE name = 'idx_versions_parent'"),
        "CREATE INDEX idx_versions_parent ON versions(parent_id)"
    );
    let parents = "SELECT group_concat(id || '<' || ifnull(parent_id, 'NULL')) FROM versions";
    assert_eq!(text(parents), "0<NULL,1<0,2<1,3<2");

    let blob = |version: i64| -> Vec<u8> {
        let sql = "SELECT data FROM changesets WHERE version_id = ?1";
        connection.query_row(sql, [version], |row| row.get(0)).unwrap()
    };
    // Written out by hand, as MessagePack has it.
    let id = b"\xa2ID\x82\xa2ns\xa1a\xa4name\xa1b\xa4Kind\xa1k";
    let first: Vec<u8> = [
        b"\x84",
        &id[..],
        b"\xa4Meta\x81\xa1x\x01\xa4Data\x82\xa6Format\xaagolang/any\xa4Data\x91\xcb\x40\x04\0\0\0\0\0\0",
    ]
    .concat();
    let second: Vec<u8> = [b"\x84", &id[..], b"\xa4Meta\x80\xa4Data\xc0"].concat();
    let op = |entry: &[u8], original: &[u8], kind: &[u8]| -> Vec<u8> {
        let kind = [b"\xa4Kind\xac", kind].concat();
        [b"\x91\x83\xa5Entry", entry, b"\xadOriginalEntry", original, &kind].concat()
    };
    assert_eq!(blob(0), b"\x90");
    assert_eq!(blob(1), op(&first, b"\xc0", b"entry.create"));
    assert_eq!(blob(2), op(&second, &first, b"entry.update"));
    assert_eq!(blob(3), op(&second, &second, b"entry.delete"));
}

#[test]
fn another_format_of_data_is_kept_when_other_parts_change() {
    let scratch = fixture();
    let database = scratch.open();
    let registry = database.entries().unwrap();
    registry.prune(3).unwrap();
    database.close().unwrap();
    let connection = Connection::open(scratch.file()).unwrap();
    let sql = "SELECT data FROM changesets WHERE version_id = 3";
    let blob: Vec<u8> = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert!(String::from_utf8_lossy(&blob).contains("json/plain"));
    drop(connection);
    let registry = scratch.open().entries().unwrap();
    assert_eq!(at(&registry, 3), [CONFIG, SERVER]);
}

/// Does what the other program does: replaces rows without asking.
fn replace(scratch: &Scratch, version: i64, parent: i64, changeset_of: i64, head: &str) {
    let connection = Connection::open(scratch.file()).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection
        .execute("INSERT OR REPLACE INTO versions VALUES (?1, ?2)", [version, parent])
        .unwrap();
    connection
        .execute(
            "INSERT OR REPLACE INTO changesets SELECT ?1, data FROM changesets WHERE version_id = ?2",
            [version, changeset_of],
        )
        .unwrap();
    connection.execute("UPDATE metadata SET value = ?1 WHERE key = 'head'", [head]).unwrap();
}

#[test]
fn what_it_replaces_is_taken_in_and_what_was_derived_is_made_again() {
    let scratch = Scratch::new();
    let database = scratch.open();
    let registry = database.entries().unwrap();
    for number in 1..=4200 {
        create(&registry, &format!("n:{number:04}"), "{}", "0");
    }
    // What is derived is written behind, by 2048 versions at most.
    let connection = Connection::open(scratch.file()).unwrap();
    let noted = |key: &str| -> i64 {
        let sql = "SELECT ifnull((SELECT value FROM acervo_meta WHERE key = ?1), -1)";
        connection.query_row(sql, [key], |row| row.get(0)).unwrap()
    };
    let skips = || -> i64 {
        let sql = "SELECT count(*) FROM acervo_skip";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    // One over every 32 versions, and one over 32 of those.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while noted("net_version") < 4096 || skips() < 132 {
        assert!(
            std::time::Instant::now() < deadline,
            "the net is written at {} only, with {} skips",
            noted("net_version"),
            skips(),
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(noted("touched"), -1, "our own writes are announced");

    // v131 becomes a second create of n:0130.
    replace(&scratch, 131, 130, 130, "132");
    assert_eq!(noted("touched"), 131);
    let mut changes = registry.snapshot().unwrap().changes();
    changes.delete(IdRef::parse(b"n:0001")).unwrap();
    assert_eq!(changes.apply().unwrap().version, 4201);
    let expected: Vec<String> = (2..=132)
        .filter(|&number| number != 131)
        .map(|number| format!("n:{number:04} k {{}} 0"))
        .collect();
    assert_eq!(all(&registry.snapshot().unwrap()), expected);
    assert_eq!(noted("touched"), -1);
    assert!(skips() <= 4);
    assert_eq!(at(&registry, 131).len(), 130);
    assert_eq!(at(&registry, 4200).len(), 4199);
    database.close().unwrap();

    replace(&scratch, 100, 99, 99, "100");
    let registry = scratch.open().entries().unwrap();
    assert_eq!(all(&registry.snapshot().unwrap()).len(), 99);
    assert_eq!(at(&registry, 4200).len(), 4198);
}

#[test]
fn a_history_of_a_newer_layout_is_refused_and_left_alone() {
    let scratch = fixture();
    let connection = Connection::open(scratch.file()).unwrap();
    let sql = "UPDATE metadata SET value = '2' WHERE key = 'schema_version'";
    connection.execute(sql, []).unwrap();
    drop(connection);
    let database = scratch.open();
    let error = database.entries().err().unwrap();
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains("format 2"), "{}", error.message);
    // Keys and values are not concerned.
    database.registry().put(b"a", json("1").as_bytes(), None).unwrap();
}

#[test]
fn a_damaged_history_is_told_with_the_version_and_left_alone() {
    let scratch = fixture();
    let connection = Connection::open(scratch.file()).unwrap();
    let sql = "UPDATE changesets SET data = x'91c1' WHERE version_id = 1";
    connection.execute(sql, []).unwrap();
    drop(connection);
    let error = scratch.open().entries().err().unwrap();
    assert_eq!(error.code, Code::Internal);
    assert!(error.message.contains("changeset of version 1"), "{}", error.message);

    for sql in [
        "UPDATE versions SET parent_id = 3 WHERE id = 3",
        "UPDATE metadata SET value = 'x' WHERE key = 'head'",
        "DELETE FROM changesets WHERE version_id = 3",
        "UPDATE metadata SET value = '9' WHERE key = 'head'",
    ] {
        let scratch = fixture();
        Connection::open(scratch.file()).unwrap().execute(sql, []).unwrap();
        let error = scratch.open().entries().err().unwrap();
        assert_eq!(error.code, Code::Internal, "{sql}: {}", error.message);
    }
}

#[test]
fn a_file_with_versions_is_not_opened_without_them() {
    let scratch = fixture();
    for kind in ["memory", "none"] {
        let mut options = Options::default();
        let kind = Value::string(kind.as_bytes()).unwrap();
        options.set("history", View::new(kind.as_bytes())).unwrap();
        let error = Database::open(scratch.path(), &options).err().unwrap();
        assert_eq!(error.code, Code::Invalid);
        assert!(error.message.contains("option history"), "{}", error.message);
        let empty = Scratch::new();
        assert!(Database::open(empty.path(), &options).is_ok());
    }
}
