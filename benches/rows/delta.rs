//! What turns one list of entries into another, and puts that in order.

use std::hint::black_box;
use std::ptr::null_mut;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::api::{Entry, Object, api};
use crate::data::Content;
use crate::harness::compare;
use crate::report::Line;
use crate::rows::Bench;
use crate::{call, plain};

const ENTRIES: usize = 5000;

/// An entry by hand: what was read from somewhere, not yet decoded.
struct Document {
    id: String,
    kind: String,
    meta: String,
    data: String,
}

impl Document {
    fn new(n: usize, change: usize) -> Document {
        let content = Content::new(n);
        let data = format!(r#"{{"n":{n},"change":{change}}}"#);
        Document { id: content.id(), kind: content.kind(), meta: content.meta(), data }
    }

    fn differs(&self, other: &Document) -> bool {
        self.kind != other.kind || self.meta != other.meta || self.data != other.data
    }
}

/// Puts one list into a map and looks every element of the other up in it.
fn by_hand<'a>(
    from: &'a [Document],
    to: &'a [Document],
) -> Vec<(&'a Document, Option<&'a Document>)> {
    let mut before: HashMap<&str, &Document, RandomState> =
        from.iter().map(|document| (document.id.as_str(), document)).collect();
    let mut operations = Vec::new();
    for document in to {
        match before.remove(document.id.as_str()) {
            Some(original) if !original.differs(document) => {}
            original => operations.push((document, original)),
        }
    }
    operations.extend(before.into_values().map(|gone| (gone, Some(gone))));
    operations
}

pub fn delta(bench: &mut Bench) {
    let count = bench.effort.scale(ENTRIES);
    let db = bench.world(bench.effort.scale(1000));
    let changed = |n: usize| usize::from(n.is_multiple_of(10));
    // Every entry is there twice, so that nobody compares addresses.
    let from: Vec<Entry> = (0..count).map(|n| Content::new(n).entry(0)).collect();
    let to: Vec<Entry> = (0..count).map(|n| Content::new(n).entry(changed(n))).collect();
    let from_objects: Vec<Object> = from.iter().map(|entry| entry.0).collect();
    let to_objects: Vec<Object> = to.iter().map(|entry| entry.0).collect();
    let before: Vec<Document> = (0..count).map(|n| Document::new(n, 0)).collect();
    let after: Vec<Document> = (0..count).map(|n| Document::new(n, changed(n))).collect();
    let pair = compare(
        bench.effort,
        &mut |count| {
            for _ in 0..count {
                let (api, mut operations) = (api(), null_mut());
                let (from, to) = (&from_objects, &to_objects);
                let out = &raw mut operations;
                call!(
                    api,
                    build_delta(db.0, from.as_ptr(), from.len(), to.as_ptr(), to.len(), out)
                );
                plain!(api, value_free(operations));
            }
        },
        &mut |count| (0..count).for_each(|_| drop(black_box(by_hand(&before, &after)))),
    );
    bench.push(Line::time("delta", "5 k entries, 10 % changed : one pass", pair, (3.0, 1.5)));
}

/// Creates of entries that depend on their namespace, or on nothing.
struct Plan {
    entries: Vec<Entry>,
    objects: Vec<Object>,
}

impl Plan {
    fn new(count: usize, meta: &str) -> Plan {
        let entries: Vec<Entry> =
            (0..count).map(|n| Entry::new(&format!("d:{n:06}"), "k", meta, "1")).collect();
        let objects = entries.iter().map(|entry| entry.0).collect();
        Plan { entries, objects }
    }

    fn make(&self, db: Object, count: usize) {
        assert_eq!(self.entries.len(), self.objects.len());
        for _ in 0..count {
            let (api, mut operations) = (api(), null_mut());
            let (from, to) = (std::ptr::null(), &self.objects);
            call!(api, build_delta(db, from, 0, to.as_ptr(), to.len(), &raw mut operations));
            plain!(api, value_free(operations));
        }
    }
}

pub fn order(bench: &mut Bench) {
    let count = bench.effort.scale(100_000);
    let db = bench.world(bench.effort.scale(1000));
    // The same size, so that the difference is what depends.
    let dependent = Plan::new(count, r#"{"depends_on":"ns:d"}"#);
    let free = Plan::new(count, r#"{"depended_by":"ns"}"#);
    let pair = compare(bench.effort, &mut |count| dependent.make(db.0, count), &mut |count| {
        free.make(db.0, count)
    });
    bench.push(Line::time("order", "100 k that depend on their ns : on nothing", pair, (2.0, 1.3)));
}
