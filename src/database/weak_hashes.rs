//! Entries in a file, with hashes that collide in every table there is.

use std::os::unix::ffi::OsStrExt;

use super::{Database, Options};
use crate::entries::{Entry, IdRef, Registry};
use crate::hashing::with_weak;
use crate::value::Value;

const IDS: usize = 1200;

fn id(n: usize) -> String {
    format!("n{}:e{n}", n % 7)
}

fn entry(n: usize, number: usize) -> Entry {
    let data = Value::from_json(number.to_string().as_bytes()).unwrap();
    Entry::new(IdRef::parse(id(n).as_bytes()), b"k", None, Some(data)).unwrap()
}

type Model = Vec<Option<usize>>;

fn is_right(registry: &Registry, version: u64, model: &Model) {
    let snapshot = registry.snapshot_at(version).unwrap();
    assert_eq!(snapshot.len(), model.iter().flatten().count(), "version {version}");
    for (n, number) in model.iter().enumerate() {
        let wanted = number.map(|number| entry(n, number));
        assert_eq!(snapshot.get(IdRef::parse(id(n).as_bytes())), wanted.as_ref());
    }
}

#[test]
fn a_history_in_a_file_is_what_was_applied_by_weak_hashes() {
    with_weak(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weak.db");
        let open = || Database::open(path.as_os_str().as_bytes(), &Options::default()).unwrap();
        let mut db = open();
        let mut model: Model = vec![None; IDS];
        let mut kept = Vec::new();
        for round in 0..6 {
            let registry = db.entries().unwrap();
            let mut changes = registry.snapshot().unwrap().changes();
            for n in (0..IDS).filter(|n| (n * 31 + round * 17) % 5 < 3) {
                if model[n].is_none() {
                    changes.create(entry(n, round)).unwrap();
                    model[n] = Some(round);
                } else if n % 3 == 0 {
                    changes.delete(IdRef::parse(id(n).as_bytes())).unwrap();
                    model[n] = None;
                } else {
                    changes.update(entry(n, round)).unwrap();
                    model[n] = Some(round);
                }
            }
            let version = changes.apply().unwrap().version;
            kept.push((version, model.clone()));
            for (version, model) in &kept {
                is_right(&registry, *version, model);
            }
            let report = db.check_integrity().unwrap();
            assert!(report.is_sound(), "{:#?}", report.faults);
            drop((changes, registry));
            if round % 2 == 1 {
                db.close().unwrap();
                db = open();
            }
        }
    });
}
