//! Memory and size. What takes memory does so in a process of its own.

use std::process::Command;

use crate::api::Db;
use crate::data::{self, Keys};
use crate::harness::{Pair, median};
use crate::machine::{library, resident};
use crate::report::Line;
use crate::rows::apply::Updates;
use crate::rows::{Bench, in_child, registry, store};

const MEGABYTE: f64 = 1e6;

pub fn kv(bench: &mut Bench) {
    let keys = bench.effort.scale(1_000_000).to_string();
    for space in ["registry", "store"] {
        let path = bench.file("memory.db");
        for what in ["filled", "opened"] {
            let bytes = in_child(&["kv", space, &path, if what == "filled" { &keys } else { "0" }]);
            let what = format!("{space}, 1 M keys of 100 B, {what}");
            bench.push(Line::size("mem-kv", what, bytes, 250.0 * MEGABYTE));
        }
    }
}

/// The memory with so many keys; 0: with those of the file.
pub fn child_kv(space: &str, path: &str, count: usize) -> f64 {
    let keys = Keys::new(count);
    let own = resident();
    let _db = if count == 0 {
        let db = Db::open(path, &[]);
        let mut buffer = [0; 128];
        let key = Keys::new(1);
        let kv = if space == "store" { db.store("bench") } else { db.registry() };
        assert_eq!(kv.get_into(key.key(0), &mut buffer), 100);
        db
    } else if space == "store" {
        store::filled(path, "off", &keys).0
    } else {
        let db = Db::open(path, &[]);
        registry::fill(&db.registry(), &keys);
        db.flush();
        db
    };
    // The list of keys is this program's.
    resident() - if count == 0 { 0.0 } else { own }
}

pub fn entries(bench: &mut Bench) {
    let count = bench.effort.scale(100_000).to_string();
    let bytes = in_child(&["entries", &count]);
    let what = "100 k entries, 6 meta fields, indexed";
    bench.push(Line::size("mem-entries", what, bytes, 120.0 * MEGABYTE));
}

/// The memory with so many entries, every field indexed.
pub fn child_entries(count: usize) -> f64 {
    let db = Db::open(":memory:", &[("history", "\"none\"")]);
    data::fill_by(&db, count, 1000);
    let snapshot = db.snapshot();
    for filter in super::apply::searches() {
        for _ in 0..3 {
            snapshot.find(&filter, false);
        }
    }
    resident()
}

pub fn versions(bench: &mut Bench) {
    let (entries, count) = (bench.effort.scale(100_000), bench.effort.scale(10_000));
    let bytes = in_child(&["versions", &entries.to_string(), &count.to_string()]);
    bench.push(Line::size("mem-versions", "each of 10 k kept in memory", bytes, 3000.0));
}

/// What each of so many versions adds.
pub fn child_versions(entries: usize, count: usize) -> f64 {
    let db = Db::open(":memory:", &[("history", "\"memory\"")]);
    data::fill(&db, entries);
    let mut updates = Updates::new(entries);
    let before = resident();
    for _ in 0..count {
        updates.apply(&db, 1);
    }
    (resident() - before) / count as f64
}

pub fn size(bench: &mut Bench) {
    let stripped = bench.file("libacervo.so");
    let done = Command::new("strip").args(["-o", &stripped]).arg(library()).status();
    assert!(done.is_ok_and(|status| status.success()), "strip is missing (binutils)");
    let bytes = std::fs::metadata(&stripped).expect("strip wrote it").len() as f64;
    bench.push(Line::size("size", "libacervo.so, stripped", bytes, 4.2 * MEGABYTE));
}

pub fn load(bench: &mut Bench) {
    let times = (0..bench.effort.rounds().max(5)).map(|_| in_child(&["load"]));
    let most = 1e6;
    let ours = median(times);
    let ratio = ours / most;
    let pair =
        Pair { ours, anchor: most, ratio, low: ratio, high: ratio, rounds: bench.effort.rounds() };
    bench.push(Line::time("load", "dlopen in a new process : 1 ms", pair, (1.0, 1.0)));
}
