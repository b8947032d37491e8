//! Searching 100 000 entries, every hit looked at. No filter comes again while
//! its result is kept, so everything but `find-hit` is searched for anew.

use std::hint::black_box;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::api::{Snapshot, Value};
use crate::data::{Content, KINDS, Plain, families, filters, kinds};
use crate::harness::compare;
use crate::report::Line;
use crate::rows::Bench;

const ENTRIES: usize = 100_000;

/// The entries by hand: a list, each with its fields as interned pairs.
struct List {
    entries: Vec<Arc<Interned>>,
}

struct Interned {
    entry: Arc<Plain>,
    fields: Box<[(u32, u32)]>,
}

impl List {
    fn new(count: usize) -> List {
        let interned = |n| {
            let entry = Plain::new(n);
            let fields = (0..).zip(entry.fields).collect();
            Arc::new(Interned { entry, fields })
        };
        List { entries: (0..count).map(interned).collect() }
    }

    /// Looks at every entry, and at every hit what the other side looks at.
    fn scan(&self, holds: impl Fn(&Interned) -> bool) -> usize {
        let hits: Vec<_> =
            self.entries.iter().filter(|entry| holds(entry)).map(Arc::clone).collect();
        for hit in &hits {
            black_box(hit.entry.kind.as_ptr());
        }
        hits.len()
    }

    /// The entries whose field has this value.
    fn equal(&self, field: u32, value: u32) -> usize {
        self.scan(|entry| entry.fields.contains(&(field, value)))
    }
}

/// Searches with one filter after the other.
fn find(snapshot: &Snapshot, filters: &[Value], next: &mut usize) {
    *next = (*next + 1) % filters.len();
    black_box(snapshot.find(&filters[*next], true));
}

/// A row: filters against a scan, which is told the number of the turn.
fn row(
    bench: &mut Bench,
    name: &'static str,
    what: &str,
    limits: (f64, f64),
    texts: Vec<String>,
    scan: &dyn Fn(&List, usize) -> usize,
) {
    let count = bench.effort.scale(ENTRIES);
    let snapshot = bench.world(count).snapshot();
    let list = List::new(count);
    let filters = filters(texts.into_iter());
    let (mut next, mut turn) = (0, 0);
    let pair = compare(
        bench.effort,
        &mut |count| (0..count).for_each(|_| find(&snapshot, &filters, &mut next)),
        &mut |count| {
            for _ in 0..count {
                turn += 1;
                black_box(scan(&list, turn));
            }
        },
    );
    bench.push(Line::time(name, what, pair, limits));
}

pub fn eq(bench: &mut Bench) {
    const LIMITS: (f64, f64) = (1.0 / 30.0, 1.0 / 60.0);
    let texts = kinds().map(|kind| format!(r#"{{"kind":"{kind}"}}"#)).collect();
    row(bench, "find-eq", "kind, 1 % hits : scan", LIMITS, texts, &|list, turn| {
        list.equal(0, (turn % KINDS) as u32)
    });
    let texts = (0..100).map(|n| format!(r#"{{"meta.group":"g{n:02}"}}"#)).collect();
    row(bench, "find-eq", "meta, 1 % hits : scan", LIMITS, texts, &|list, turn| {
        list.equal(2, (turn % 100) as u32)
    });
}

/// What all kinds of a family begin with, by number.
fn family(turn: usize) -> &'static str {
    families().nth(turn % 7).expect("there are seven")
}

fn by_prefix(list: &List, turn: usize) -> usize {
    let family = family(turn);
    list.scan(|entry| entry.entry.kind.starts_with(family))
}

pub fn glob(bench: &mut Bench) {
    let shapes = [
        "NAME.*", "NAME*", "NAME.k*", "*NAME.*", "NAM?.*", "N?ME.k*", "NAME?*", "*NAME.k*",
        "NAME.k??", "NAM?*", "N*ME.*",
    ];
    let glob = |shape: &str, name: &str| {
        let pattern = shape
            .replace("NAME", name)
            .replace("NAM?", &format!("{}?", &name[..name.len() - 1]))
            .replace("N?ME", &format!("{}?{}", &name[..1], &name[2..]))
            .replace("N*ME", &format!("{}*{}", &name[..1], &name[2..]));
        format!(r#"{{"kind":"{pattern}"}}"#)
    };
    let texts = shapes.iter().flat_map(|shape| families().map(move |name| glob(shape, name)));
    let texts = texts.collect();
    row(bench, "find-glob", "kind, 14 % hits : starts_with", (1.0, 0.45), texts, &by_prefix);
}

pub fn regex(bench: &mut Bench) {
    let shapes = [
        r"^NAME\\.",
        "^NAME",
        r"^NAME\\.k",
        r"^NAME\\.k[0-9]",
        r"^NAME\\.k[0-9][0-9]$",
        "NAME",
        r"NAME\\.",
        r"^(NAME)\\.",
        r"^NAME\\.k\\d+",
        r"^NAME\\.[k]",
        r"^NAME.k",
    ];
    let text =
        |shape: &str, name: &str| format!(r#"{{"~kind":"{}"}}"#, shape.replace("NAME", name));
    let texts = shapes.iter().flat_map(|shape| families().map(move |name| text(shape, name)));
    let texts = texts.collect();
    row(bench, "find-regex", "kind, 14 % hits : starts_with", (1.0, 0.45), texts, &by_prefix);
}

pub fn text(bench: &mut Bench) {
    for (what, operator, shape) in [
        ("contains, 1 % hits : str::contains", "*", "-wNNx/"),
        ("prefix, 1 % hits : str::contains", "^", "pNN/"),
        ("suffix, 1 % hits : str::contains", "$", ".sNN"),
    ] {
        let texts: Vec<String> =
            (0..100).map(|n| shape.replace("NN", &format!("{n:02}"))).collect();
        let filters = texts.iter().map(|text| format!(r#"{{"{operator}meta.path":"{text}"}}"#));
        row(bench, "find-text", what, (1.1, 0.12), filters.collect(), &|list, turn| {
            let text = texts[turn % texts.len()].as_str();
            list.scan(|entry| entry.entry.path.contains(text))
        });
    }
}

pub fn hit(bench: &mut Bench) {
    let count = bench.effort.scale(ENTRIES);
    let snapshot = bench.world(count).snapshot();
    let filter = Value::json(r#"{"meta.group":"g42"}"#);
    let map: HashMap<Box<str>, usize, RandomState> =
        (0..count).map(|n| (Content::new(n).id().into(), n)).collect();
    let ids: Vec<String> = (0..1000).map(|n| Content::new(n * 7 % count).id()).collect();
    let mut ids = ids.iter().cycle();
    let pair = compare(
        bench.effort,
        &mut |count| {
            for _ in 0..count {
                black_box(snapshot.find(&filter, false));
            }
        },
        &mut |count| {
            for id in ids.by_ref().take(count) {
                black_box(map.get(id.as_str()));
            }
        },
    );
    bench.push(Line::time("find-hit", "meta, 1 % hits, again", pair, (5.0, 3.0)));
}
