//! The entry registry as its users see it.

use acervo::database::{Database, Options};
use acervo::entries::{Entry, IdRef};
use acervo::value::Value;

fn in_memory() -> Database {
    Database::open(b":memory:", &Options::default()).unwrap()
}

fn entry(id: &str, kind: &str, data: i64) -> Entry {
    let data = Value::from_json(format!("{{\"n\": {data}}}").as_bytes()).unwrap();
    Entry::new(IdRef::parse(id.as_bytes()), kind.as_bytes(), None, Some(data)).unwrap()
}

#[test]
fn a_version_can_be_made_read_and_returned_to() {
    let registry = in_memory().entries().unwrap();
    let mut changes = registry.snapshot().unwrap().changes();
    changes.create(entry("a:b", "k", 1)).unwrap();
    assert_eq!(changes.apply().unwrap().version, 1);
    let mut changes = registry.snapshot().unwrap().changes();
    changes.update(entry("a:b", "k", 2)).unwrap();
    changes.create(entry("a:a", "k", 3)).unwrap();
    assert_eq!(changes.apply().unwrap().version, 2);

    let at = |version| registry.snapshot_at(version).unwrap();
    let id = IdRef::parse(b"a:b");
    assert_eq!(at(1).get(id), Some(&entry("a:b", "k", 1)));
    assert_eq!(at(2).get(id), Some(&entry("a:b", "k", 2)));
    assert_eq!((at(0).len(), at(1).len(), at(2).len()), (0, 1, 2));

    registry.apply_version(1).unwrap();
    assert_eq!(registry.snapshot().unwrap().len(), 1);
    let mut changes = registry.snapshot().unwrap().changes();
    changes.delete(id).unwrap();
    assert_eq!(changes.apply().unwrap().version, 3);
    registry.apply_version(2).unwrap();
    assert_eq!(registry.snapshot().unwrap().len(), 2);
    assert_eq!(registry.next(1).unwrap(), Some(2));
    assert_eq!(registry.previous(3).unwrap(), Some(1));
}
