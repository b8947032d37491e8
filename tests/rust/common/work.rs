//! Work on a database, of every kind there is.

use acervo::database::Database;
use acervo::entries::{Entry, IdRef, Registry};
use acervo::value::Value;

use super::int;

pub fn entry(id: &str, number: i64) -> Entry {
    let data = Value::from_json(number.to_string().as_bytes()).unwrap();
    Entry::new(IdRef::parse(id.as_bytes()), b"k", None, Some(data)).unwrap()
}

/// Makes one version in which these entries have this number; one that has it
/// already goes.
pub fn change(registry: &Registry, numbers: impl IntoIterator<Item = usize>, number: i64) -> u64 {
    let snapshot = registry.snapshot().unwrap();
    let mut changes = snapshot.changes();
    for n in numbers {
        let id = format!("n{}:e{n}", n % 3);
        let wanted = entry(&id, number);
        match snapshot.get(IdRef::parse(id.as_bytes())) {
            None => changes.create(wanted).unwrap(),
            Some(present) if *present == wanted => {
                changes.delete(IdRef::parse(id.as_bytes())).unwrap();
            }
            Some(_) => changes.update(wanted).unwrap(),
        }
    }
    changes.apply().unwrap().version
}

/// Keys of registry and store that were put, deleted, cleared and expired; versions
/// on several branches, enough of them for skips.
pub fn fill(db: &Database) {
    let store = db.store(b"ident").unwrap();
    for n in 0..200 {
        let key = format!("key{n}");
        db.registry().put(key.as_bytes(), int(n).as_bytes(), None).unwrap();
        store.put(key.as_bytes(), int(n).as_bytes(), (n % 7 == 0).then_some(1 + n)).unwrap();
        db.global().put(key.as_bytes(), int(n).as_bytes(), None).unwrap();
        if n % 5 == 0 {
            db.registry().delete(key.as_bytes()).unwrap();
            store.delete(key.as_bytes()).unwrap();
        }
    }
    store.delete_prefix(b"key3").unwrap();
    db.flush().unwrap();
    let registry = db.entries().unwrap();
    for round in 0..80 {
        change(&registry, (0..round % 10 + 1).map(|n| n * 3 + round % 4), round as i64);
    }
    registry.apply_version(30).unwrap();
    for round in 0..70 {
        change(&registry, [round, round + 1], 1000 + round as i64);
    }
}
