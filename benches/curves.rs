//! Cost against size: keys, threads, entries, versions.

use std::hint::black_box;
use std::path::Path;

use crate::anchors::gather::Gather;
use crate::anchors::hash::Hash;
use crate::anchors::replay::Replay;
use crate::api::{Db, Value};
use crate::data::{Bytes, Content, Keys, mix, shuffled};
use crate::harness::{Effort, median, time};
use crate::report::progress;
use crate::rows::apply::Updates;
use crate::rows::{Bench, history, in_child, registry, store};
use crate::svg::{Curve, Plot};

/// Measures and writes every plot.
pub fn draw_all(effort: Effort, directory: &Path) {
    std::fs::create_dir_all(directory).expect("the directory can be made");
    let mut bench = Bench::new(effort);
    for (name, draw) in [
        ("keys", keys as fn(&mut Bench) -> Plot),
        ("threads", threads),
        ("threads-durable", threads_durable),
        ("entries", entries),
        ("versions", versions),
    ] {
        progress(&format!("plot: {name}"));
        let path = directory.join(format!("{name}.svg"));
        std::fs::write(&path, draw(&mut bench).draw()).expect("the plot can be written");
    }
}

/// A curve that grows by one point for each size.
fn curve(name: &str) -> Curve {
    Curve { name: name.to_owned(), points: Vec::new() }
}

fn sizes(bench: &Bench, sizes: &[usize]) -> Vec<usize> {
    let mut sizes: Vec<usize> =
        sizes.iter().map(|&size| bench.effort.scale(size).min(size)).collect();
    sizes.dedup();
    sizes
}

fn keys(bench: &mut Bench) -> Plot {
    let mut curves = ["registry get", "registry put", "hash map get", "hash map put"].map(curve);
    for size in sizes(bench, &[100, 1000, 10_000, 100_000, 1_000_000]) {
        let path = bench.file("keys.db");
        let db = Db::open(&path, &[("registry_persistent", "false")]);
        let kv = db.registry();
        let mut keys = Keys::new(size);
        registry::fill(&kv, &keys);
        let mut hash = Hash::filled(&keys);
        let (mut bytes, mut buffer) = (Bytes::new(), [0; 128]);
        let effort = bench.effort;
        let times = [
            time(effort, &mut |count| {
                for _ in 0..count {
                    black_box(kv.get_into(keys.walk(), black_box(&mut buffer)));
                }
            }),
            time(effort, &mut |count| {
                for _ in 0..count {
                    kv.put(keys.walk(), bytes.next());
                }
            }),
            time(effort, &mut |count| {
                for _ in 0..count {
                    black_box(hash.get(keys.walk(), black_box(&mut buffer)));
                }
            }),
            time(effort, &mut |count| {
                for _ in 0..count {
                    hash.put(keys.walk(), black_box(bytes.next()));
                }
            }),
        ];
        add(&mut curves, size, times);
    }
    let title = "Registry: one operation with 100 bytes".to_owned();
    Plot { title, across: "keys", upwards: "ns", curves: curves.into() }
}

fn threads(bench: &mut Bench) -> Plot {
    let mut curves = ["registry, 95 % get 5 % put"].map(curve);
    let path = bench.file("threads.db");
    let db = Db::open(&path, &[("registry_persistent", "false")]);
    let kv = db.registry();
    let keys = Keys::new(bench.effort.scale(100_000));
    registry::fill(&kv, &keys);
    for threads in [1, 2, 4, 8, 16] {
        let one = time(bench.effort, &mut |count| registry::mixed(&kv, &keys, threads, count));
        add(&mut curves, threads, [1e9 / one]);
    }
    let title = "Registry: all threads together, 100 k keys".to_owned();
    Plot { title, across: "threads", upwards: "operations/s", curves: curves.into() }
}

fn threads_durable(bench: &mut Bench) -> Plot {
    let mut curves =
        ["store put, durability full", "one sync for all who wait, by hand"].map(curve);
    let path = bench.file("durable.db");
    let keys = Keys::new(bench.effort.scale(100_000));
    let (_db, kv) = store::filled(&path, "full", &keys);
    let gather = Gather::new(bench.directory());
    for threads in [1, 2, 4, 8, 16, 32, 64] {
        let pair = store::by_threads(bench, &kv, &keys, &gather, threads);
        add(&mut curves, threads, [1e9 / pair.ours, 1e9 / pair.anchor]);
    }
    let title = "Store: durable puts of all threads together".to_owned();
    Plot { title, across: "threads", upwards: "puts/s", curves: curves.into() }
}

fn entries(bench: &mut Bench) -> Plot {
    let names = ["snapshot", "get by id", "apply of 1 update", "find, 1 % hits", "find again"];
    let mut curves = names.map(curve);
    for size in sizes(bench, &[100, 1000, 10_000, 100_000, 1_000_000]) {
        let db = bench.world(size);
        let effort = bench.effort;
        let snapshot = db.snapshot();
        let order = shuffled(size);
        let ids = order.iter().take(50_000).map(|&n| Content::new(n as usize).id());
        let ids: Vec<String> = ids.collect();
        let mut ids = ids.iter().cycle();
        let filters: Vec<Value> =
            (0..100).map(|n| Value::json(&format!(r#"{{"meta.group":"g{n:02}"}}"#))).collect();
        let (mut turn, mut updates) = (0, Updates::new(size));
        let times = [
            time(effort, &mut |count| (0..count).for_each(|_| drop(black_box(db.snapshot())))),
            time(effort, &mut |count| {
                for id in ids.by_ref().take(count) {
                    black_box(snapshot.kind_len(id.as_bytes()));
                }
            }),
            time(effort, &mut |count| (0..count).for_each(|_| updates.apply(&db, 1))),
            time(effort, &mut |count| {
                for _ in 0..count {
                    turn += 1;
                    black_box(snapshot.find(&filters[turn % filters.len()], true));
                }
            }),
            time(effort, &mut |count| {
                for _ in 0..count {
                    black_box(snapshot.find(&filters[0], false));
                }
            }),
        ];
        add(&mut curves, size, times);
        bench.forget(size);
    }
    let title = "Entries with six meta fields: one call".to_owned();
    Plot { title, across: "entries", upwards: "ns", curves: curves.into() }
}

fn versions(bench: &mut Bench) -> Plot {
    let mut curves =
        ["open and first snapshot", "snapshot_at, any version", "replay by hand"].map(curve);
    for size in sizes(bench, &[10, 100, 1000, 10_000, 100_000]) {
        let path = bench.file("versions.db");
        let entries = bench.effort.scale(10_000);
        history::build(&path, entries, size.max(11));
        let opened = median((0..5).map(|_| in_child(&["open", &path])));
        let db = Db::open(&path, &[]);
        let replay = Replay::new(Path::new(&path));
        let mut turn = 0;
        let mut at = || {
            turn += 1;
            10 + mix(turn) % (size.max(11) as u64 - 10)
        };
        let back = time(bench.effort, &mut |count| {
            (0..count).for_each(|_| drop(black_box(db.snapshot_at(at()))));
        });
        let by_hand = time(bench.effort, &mut |count| {
            for _ in 0..count {
                black_box(replay.entries_at(at()));
            }
        });
        add(&mut curves, size, [opened, back, by_hand]);
    }
    let title = "Versions of 10 k entries: open, and go back".to_owned();
    Plot { title, across: "versions", upwards: "ns", curves: curves.into() }
}

fn add<const N: usize>(curves: &mut [Curve; N], size: usize, values: [f64; N]) {
    for (curve, value) in curves.iter_mut().zip(values) {
        curve.points.push((size as f64, value));
    }
}
