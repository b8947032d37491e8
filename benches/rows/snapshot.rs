//! Taking a snapshot, and reading an entry of one.

use std::hint::black_box;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::data::{Content, Plain, shuffled};
use crate::harness::{compare, pair};
use crate::report::Line;
use crate::rows::Bench;

pub fn snap(bench: &mut Bench) {
    let mut times = Vec::new();
    for (count, name) in [(1000, "1 k"), (100_000, "100 k"), (1_000_000, "1 M")] {
        let db = bench.world(bench.effort.scale(count));
        let anchor = Arc::new(Plain::new(0));
        let pair = compare(
            bench.effort,
            &mut |count| {
                for _ in 0..count {
                    drop(black_box(db.snapshot()));
                }
            },
            &mut |count| {
                for _ in 0..count {
                    drop(black_box(Arc::clone(black_box(&anchor))));
                }
            },
        );
        times.push(pair.ours);
        bench.push(Line::time("snap", format!("of {name} entries : Arc clone"), pair, (5.0, 2.0)));
    }
    let same = pair(&[(times[2], times[0])]);
    bench.push(Line::time("snap", "of 1 M entries : of 1 k", same, (1.2, 1.2)));
}

pub fn entry_get(bench: &mut Bench) {
    let count = bench.effort.scale(100_000);
    let db = bench.world(count);
    let snapshot = db.snapshot();
    let map: HashMap<Box<str>, Arc<Plain>, RandomState> = (0..count)
        .map(|n| {
            let entry = Plain::new(n);
            (entry.id.clone(), entry)
        })
        .collect();
    let order = shuffled(count);
    let ids: Vec<String> = order.iter().map(|&n| Content::new(n as usize).id()).collect();
    let (mut mine, mut other) = (ids.iter().cycle(), ids.iter().cycle());
    let pair = compare(
        bench.effort,
        &mut |count| {
            for id in mine.by_ref().take(count) {
                black_box(snapshot.kind_len(id.as_bytes()));
            }
        },
        &mut |count| {
            for id in other.by_ref().take(count) {
                black_box(map.get(id.as_str()).map(|entry| entry.kind.len()));
            }
        },
    );
    bench.push(Line::time("entry-get", "get by id + free, of 100 k", pair, (2.5, 1.3)));
}
