//! Many entries: loading, snapshots, changes and searches stay within a bound
//! of memory. `scripts/capacity` runs it with a million.
#![allow(missing_docs)]

mod common;

use acervo::entries::{CHANGES_LIMIT, Entry, IdRef, Registry};
use acervo::value::Value;
use common::Scratch;

/// How many entries: `ACERVO_CAPACITY`, else few enough for every run.
fn count() -> usize {
    std::env::var("ACERVO_CAPACITY").ok().and_then(|count| count.parse().ok()).unwrap_or(50_000)
}

/// The most memory this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn entry(n: usize, changed: bool) -> Entry {
    let id = format!("app.ns{:03}:entry-{n:07}", n % 1000);
    let kind = ["function.lua", "http.endpoint", "service", "config"][n % 4];
    let meta = format!(
        r#"{{"type": "t{}", "group": "g{}", "path": "/api/{n}/x", "public": {}, "level": {}, "owner": "o{}"}}"#,
        n % 10,
        n % 100,
        n.is_multiple_of(2),
        n % 7,
        n % 997
    );
    let data = format!(r#"{{"n": {n}, "changed": {changed}}}"#);
    let value = |json: &str| Some(Value::from_json(json.as_bytes()).unwrap());
    Entry::new(IdRef::parse(id.as_bytes()), kind.as_bytes(), value(&meta), value(&data)).unwrap()
}

fn found(registry: &Registry, filter: &str) -> usize {
    let filter = Value::from_json(filter.as_bytes()).unwrap();
    registry.snapshot().unwrap().find(filter.as_bytes(), None).unwrap().len()
}

#[test]
fn many_entries_are_loaded_changed_and_searched_within_two_kilobytes_each() {
    let count = count();
    let scratch = Scratch::new();
    let database = scratch.open();
    let registry = database.entries().unwrap();
    for start in (0..count).step_by(CHANGES_LIMIT) {
        let mut changes = registry.snapshot().unwrap().changes();
        for n in start..count.min(start + CHANGES_LIMIT) {
            changes.create(entry(n, false)).unwrap();
        }
        changes.apply().unwrap();
    }
    drop(registry);
    database.close().unwrap();

    let database = scratch.open();
    let registry = database.entries().unwrap();
    let before = registry.snapshot().unwrap();
    assert_eq!(before.len(), count);
    let mut snapshots = Vec::new();
    for round in 0..500 {
        let mut changes = registry.snapshot().unwrap().changes();
        changes.update(entry(round * (count / 500), true)).unwrap();
        changes.apply().unwrap();
        snapshots.push(registry.snapshot().unwrap());
        let n = count / 1000;
        // Each twice and more, so that every field is indexed.
        assert_eq!(found(&registry, r#"{"kind": "http.*"}"#), count / 4);
        assert_eq!(found(&registry, r#"{"ns": "app.ns007", "level": 3}"#) / (n / 7).max(1), 1);
        assert_eq!(found(&registry, r#"{"type": "t3", "kind": "service"}"#), 0);
        assert_eq!(found(&registry, r#"{"^path": "/api/77/"}"#), 1);
        assert_eq!(found(&registry, r#"{"*path": "/0123/"}"#), 0);
        assert_eq!(found(&registry, r#"{"data.changed": true}"#), round + 1);
    }
    let changed = IdRef::parse(b"app.ns000:entry-0000000");
    assert_ne!(before.get(changed), snapshots[0].get(changed));
    assert_eq!(before.len(), count);

    // Few have to share what the process takes anyhow.
    let limit = (2000 * count as u64).max(256 << 20);
    let peak = peak();
    assert!(peak < limit, "{count} entries took {peak} bytes, the limit is {limit}");
}
