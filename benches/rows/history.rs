//! Opening a file with many versions, and going back to an old one.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::anchors::replay::Replay;
use crate::api::Db;
use crate::data::{fill_by, mix};
use crate::harness::{compare_rounds, pair};
use crate::report::Line;
use crate::rows::apply::Updates;
use crate::rows::{Bench, in_child};

const ENTRIES: usize = 100_000;

/// A file with so many entries and versions: ten that create everything, the
/// others of one update each.
pub fn build(path: &str, entries: usize, versions: usize) {
    let db = Db::open(path, &[("durability", "\"off\"")]);
    fill_by(&db, entries, entries.div_ceil(10));
    let mut updates = Updates::new(entries);
    for _ in db.version()..versions as u64 {
        updates.apply(&db, 1);
    }
    settle(path);
}

/// Waits until nothing writes the file any more: what is derived from the
/// versions is written behind their backs.
fn settle(path: &str) {
    let state = || {
        [path.to_owned(), format!("{path}-wal")].map(|path| {
            let data = std::fs::metadata(Path::new(&path)).ok();
            data.map(|data| (data.len(), data.modified().ok()))
        })
    };
    let start = Instant::now();
    let mut before = state();
    loop {
        std::thread::sleep(Duration::from_millis(700));
        let now = state();
        if now == before || start.elapsed() > Duration::from_secs(120) {
            return;
        }
        before = now;
    }
}

/// Opens, takes a snapshot (which reads the entries) and tells how long it took.
pub fn child_open(path: &str) -> f64 {
    let start = Instant::now();
    let db = Db::open(path, &[]);
    let entries = db.snapshot().len();
    let elapsed = start.elapsed();
    assert!(entries > 0);
    elapsed.as_nanos() as f64
}

pub fn open(bench: &mut Bench) {
    let entries = bench.effort.scale(ENTRIES);
    let sizes = [(10, "10"), (1000, "1 k"), (100_000, "100 k")];
    let files: Vec<String> = sizes
        .iter()
        .map(|(versions, _)| {
            let path = bench.file("open.db");
            build(&path, entries, bench.effort.scale(*versions).min(*versions));
            path
        })
        .collect();
    // The first start warms the page cache.
    let mut samples = vec![Vec::new(); files.len()];
    for round in 0..=bench.effort.rounds().max(5) {
        let times: Vec<f64> = files.iter().map(|path| in_child(&["open", path])).collect();
        if round > 0 {
            times.iter().zip(&mut samples).for_each(|(time, all)| all.push((*time, times[0])));
        }
    }
    for ((_, name), samples) in sizes.iter().zip(&samples).skip(1) {
        let what = format!("with {name} versions : with 10");
        bench.push(Line::time("open", what, pair(samples), (2.0, 1.2)));
    }
}

pub fn snapshot_at(bench: &mut Bench) {
    let (entries, versions) = (bench.effort.scale(ENTRIES), bench.effort.scale(10_000));
    let path = bench.file("old.db");
    build(&path, entries, versions);
    let db = Db::open(&path, &[]);
    let replay = Replay::new(Path::new(&path));
    assert_eq!(replay.entries_at(versions as u64), db.snapshot_at(versions as u64).len());
    let at = |turn: u64| 10 + mix(turn) % (versions as u64 - 10);
    let (mut turn, mut other) = (0, 0);
    let pair = compare_rounds(
        bench.effort,
        bench.effort.rounds().min(5),
        &mut |count| {
            for _ in 0..count {
                turn += 1;
                black_box(db.snapshot_at(at(turn)).len());
            }
        },
        &mut |count| {
            for _ in 0..count {
                other += 1;
                black_box(replay.entries_at(at(other)));
            }
        },
    );
    bench.push(Line::time(
        "snap-at",
        "any of 10 k versions : replay",
        pair,
        (1.0 / 20.0, 1.0 / 200.0),
    ));
}
