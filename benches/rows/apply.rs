//! Changing entries: one or a hundred of many thousands, in memory and on disk.

use std::hint::black_box;
use std::sync::Arc;

use imbl::OrdMap;

use crate::anchors::disk::Disk;
use crate::api::{Db, Entry, Value, api};
use crate::data::{Bytes, Content, Plain, shuffled};
use crate::harness::compare;
use crate::report::Line;
use crate::rows::Bench;
use crate::{call, plain};

/// How many entries are changed in turn.
const TOUCHED: usize = 20_000;
/// A search comes after so many changes, so that what moving the indexes
/// along costs is in the figure.
const SEARCHES: usize = 100;

/// Updates in random order; the second time round with other data.
pub struct Updates {
    entries: Vec<Entry>,
    next: usize,
}

impl Updates {
    pub fn new(count: usize) -> Updates {
        let order = touched(count);
        let update = |change| move |n: &u32| Content::new(*n as usize).entry(change);
        let entries = order.iter().map(update(1)).chain(order.iter().map(update(2))).collect();
        Updates { entries, next: 0 }
    }

    /// The next one.
    pub fn next(&mut self) -> &Entry {
        self.next = (self.next + 1) % self.entries.len();
        &self.entries[self.next]
    }

    /// Applies the next `size` of them as one changeset.
    pub fn apply(&mut self, db: &Db, size: usize) {
        let api = api();
        let snapshot = db.snapshot();
        let changes = plain!(api, changes_new(snapshot.0));
        for _ in 0..size {
            let entry = self.next().0;
            call!(api, changes_update(changes, entry));
        }
        call!(api, changes_apply(changes, std::ptr::null_mut()));
        plain!(api, changes_free(changes));
    }
}

fn touched(count: usize) -> Vec<u32> {
    let mut order = shuffled(count);
    order.truncate(TOUCHED);
    order
}

/// A sorted persistent map, the old state kept until the new one is there.
struct Anchor {
    map: OrdMap<Arc<str>, Arc<Plain>>,
    updates: Vec<(Arc<str>, Arc<Plain>)>,
    next: usize,
}

impl Anchor {
    fn new(count: usize) -> Anchor {
        let pair = |n: usize| {
            let entry = Plain::new(n);
            (Arc::from(&*entry.id), entry)
        };
        let map = (0..count).map(pair).collect();
        let updates = touched(count).into_iter().map(|n| pair(n as usize)).collect();
        Anchor { map, updates, next: 0 }
    }

    fn apply(&mut self, size: usize) {
        let before = self.map.clone();
        for _ in 0..size {
            self.next = (self.next + 1) % self.updates.len();
            let (id, entry) = &self.updates[self.next];
            self.map.insert(Arc::clone(id), Arc::clone(entry));
        }
        drop(black_box(before));
    }
}

/// One search by each field that is indexed, for what no entry has: hits cost
/// what they cost in the rows of `find`.
pub fn searches() -> Vec<Value> {
    let texts = [
        r#"{"kind":"none"}"#,
        r#"{"meta.group":"none"}"#,
        r#"{"meta.owner":"none"}"#,
        r#"{"meta.type":"none"}"#,
        r#"{"meta.level":99}"#,
        r#"{"meta.public":"none"}"#,
        r#"{"^meta.path":"none"}"#,
    ];
    texts.map(Value::json).into()
}

fn against_ordmap(bench: &mut Bench, size: usize, row: &'static str, limits: (f64, f64)) {
    let count = bench.effort.scale(100_000);
    let db = bench.world(count);
    let mut updates = Updates::new(count);
    let mut anchor = Anchor::new(count);
    let filters = searches();
    // Asked for twice, a field is indexed.
    for _ in 0..3 {
        for filter in &filters {
            black_box(db.snapshot().find(filter, false));
        }
    }
    let mut turn = 0;
    for (every, searched, what, judged) in [
        (SEARCHES, true, format!("{size} op, a search after every {SEARCHES}"), true),
        (1, true, format!("{size} op and a search each time"), false),
        (1, false, format!("{size} op, never a search"), false),
    ] {
        let pair = compare(
            bench.effort,
            &mut |count| {
                for _ in 0..count {
                    (0..every).for_each(|_| updates.apply(&db, size));
                    if searched {
                        turn += 1;
                        black_box(db.snapshot().find(&filters[turn % filters.len()], false));
                    }
                }
            },
            &mut |count| (0..count * every).for_each(|_| anchor.apply(size)),
        )
        .divided(every);
        let line = Line::time(row, what, pair, limits);
        bench.push(if judged { line } else { line.informs() });
    }
}

pub fn one(bench: &mut Bench) {
    against_ordmap(bench, 1, "apply-1", (3.0, 1.5));
}

pub fn hundred(bench: &mut Bench) {
    against_ordmap(bench, 100, "apply-100", (2.0, 1.0));
}

pub fn grow(bench: &mut Bench) {
    let (many, few) = (bench.effort.scale(1_000_000), bench.effort.scale(1000));
    let (large, small) = (bench.world(many), bench.world(few));
    let (mut at_large, mut at_small) = (Updates::new(many), Updates::new(few));
    let pair = compare(
        bench.effort,
        &mut |count| (0..count).for_each(|_| at_large.apply(&large, 1)),
        &mut |count| (0..count).for_each(|_| at_small.apply(&small, 1)),
    );
    bench.push(Line::time("apply-grow", "1 op at 1 M entries : at 1 k", pair, (6.0, 3.0)));
    drop(large);
    bench.forget(many);
}

pub fn durable(bench: &mut Bench) {
    let count = bench.effort.scale(10_000);
    let path = bench.file("versions.db");
    let db = Db::open(&path, &[]);
    crate::data::fill(&db, count);
    let mut updates = Updates::new(count);
    let mut disk = Disk::new(bench.directory());
    let mut bytes = Bytes::new();
    let pair = compare(
        bench.effort,
        &mut |count| (0..count).for_each(|_| updates.apply(&db, 1)),
        &mut |count| (0..count).for_each(|_| disk.write(bytes.next())),
    );
    bench.push(Line::rate("apply-durable", "1 op, history in the file, full", pair, (0.80, 0.95)));
}
