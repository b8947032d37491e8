//! Files that were damaged, and what may be done with them: they open or say
//! why not, they read or say why not, and they end.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use acervo::database::{Database, Options};
use acervo::entries::{Entry, IdRef, Registry};
use acervo::error::Error;
use acervo::value::Value;

/// A file with a history, keys, and a WAL that was not moved into it.
pub struct Template {
    pub main: Vec<u8>,
    pub wal: Vec<u8>,
}

/// A directory of this process's own.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let make = || {
        // Memory, if there is a file system of it: nothing here is to last.
        let memory = Path::new("/dev/shm");
        match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        }
        .expect("a directory")
    };
    DIRECTORY.get_or_init(make).path()
}

/// Removes a file with those beside it.
pub fn remove(path: &Path) {
    for behind in ["", "-wal", "-shm", "-lock", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(behind);
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

pub fn options() -> Options {
    let mut options = Options::default();
    let set = |options: &mut Options, name: &str, json: &str| {
        options.set(name, Value::from_json(json.as_bytes()).unwrap().view()).unwrap();
    };
    set(&mut options, "durability", "\"off\"");
    set(&mut options, "busy_timeout_ms", "100");
    set(&mut options, "handler_timeout_ms", "1000");
    options
}

fn value(json: &str) -> Value {
    Value::from_json(json.as_bytes()).unwrap()
}

fn entry(id: &str, data: &str) -> Entry {
    let (meta, data) = (Some(value(r#"{"m": [1, "x"]}"#)), Some(value(data)));
    Entry::new(IdRef::parse(id.as_bytes()), b"test.kind", meta, data).unwrap()
}

/// What every input damages.
pub fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let path = directory().join("template.db");
        remove(&path);
        let name = path.to_str().unwrap().to_owned();
        let db = Database::open(name.as_bytes(), &options()).unwrap();
        let registry = db.entries().unwrap();
        for round in 0..6 {
            let mut changes = registry.snapshot().unwrap().changes();
            changes.create(entry(&format!("a:n{round}"), "{\"d\": [1, 2.5, null]}")).unwrap();
            if round > 2 {
                changes.update(entry("a:n0", &round.to_string())).unwrap();
                changes.delete(IdRef::parse(format!("a:n{}", round - 2).as_bytes())).unwrap();
            }
            changes.apply().unwrap();
            db.registry()
                .put(format!("key{round}").as_bytes(), value("[1,2]").as_bytes(), None)
                .unwrap();
            db.store(b"me").unwrap().put(b"key", value("\"text\"").as_bytes(), None).unwrap();
        }
        db.flush().unwrap();
        // As a crash leaves it: with its WAL.
        let wal = std::fs::read(directory().join("template.db-wal")).unwrap_or_default();
        let main = std::fs::read(&path).unwrap();
        db.close().unwrap();
        Template { main, wal }
    })
}

/// An error may come from anywhere, a panic from nowhere.
fn fine<T>(result: Result<T, impl Into<Error>>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let error: Error = error.into();
            assert_ne!(error.code, acervo::error::Code::Panic, "{error}");
            None
        }
    }
}

/// Opens, reads all there is, writes, and closes.
pub fn use_all(path: &Path) {
    let name = path.to_str().unwrap();
    let Some(db) = fine(Database::open(name.as_bytes(), &options())) else { return };
    for kv in [Some(db.registry()), fine(db.store(b"me")), Some(db.global())].into_iter().flatten()
    {
        for key in fine(kv.keys(b"")).unwrap_or_default() {
            if let Some(value) = fine(kv.get(&key)).flatten() {
                let again = Value::from_msgpack(value.as_bytes()).expect("what is read is a value");
                assert_eq!(again.as_bytes(), value.as_bytes(), "and canonical");
            }
        }
        let _ = fine(kv.put(b"new", value("1").as_bytes(), None));
        let _ = fine(kv.delete(b"key"));
    }
    if let Some(registry) = fine(db.entries()) {
        entries(&registry);
    }
    let _ = fine(db.stats());
    let _ = fine(db.flush());
    let _ = fine(db.close());
}

fn entries(registry: &Registry) {
    let versions = fine(registry.versions()).unwrap_or_default();
    for version in versions.iter().take(20) {
        if let Some(snapshot) = fine(registry.snapshot_at(version.id)) {
            read(&snapshot);
        }
        let _ = fine(registry.previous(version.id));
        let _ = fine(registry.next(version.id));
    }
    if let Some(snapshot) = fine(registry.snapshot()) {
        read(&snapshot);
        let mut changes = snapshot.changes();
        changes.create(entry("b:new", "1")).unwrap();
        if snapshot.get(IdRef::parse(b"a:n0")).is_some() {
            changes.delete(IdRef::parse(b"a:n0")).unwrap();
        }
        if fine(changes.apply()).is_some() {
            let after = fine(registry.snapshot()).expect("it was written");
            assert!(after.get(IdRef::parse(b"b:new")).is_some());
            assert!(after.get(IdRef::parse(b"a:n0")).is_none());
        }
    }
    for version in versions.iter().take(5) {
        let _ = fine(registry.apply_version(version.id));
    }
    if let Some(version) = versions.get(versions.len() / 2) {
        let _ = fine(registry.prune(version.id));
    }
}

/// What a snapshot shows fits together.
fn read(snapshot: &acervo::entries::Snapshot) {
    let all = snapshot.entries();
    assert_eq!(all.len(), snapshot.len());
    let mut last: Option<Vec<u8>> = None;
    for entry in all.iter().take(200) {
        assert!(snapshot.get(entry.id().parts()).is_some_and(|found| found == entry));
        let place = [entry.id().ns(), b"\0", entry.id().name()].concat();
        assert!(last.as_ref().is_none_or(|last| *last < place) || entry.id().text().contains(&0));
        last = Some(place);
        for part in [Some(entry.meta()), entry.data()].into_iter().flatten() {
            assert!(Value::from_msgpack(part.as_bytes()).is_ok(), "what is read is a value");
        }
    }
    let filter = value(r#"{"meta.m": ["x"], ".kind": "test.*"}"#);
    let _ = fine(snapshot.find(filter.as_bytes(), None));
}
