//! What is stored and searched: the same for both sides of a row.

use std::sync::Arc;

use crate::api::{Db, Entry, Value};

/// A number that looks random, always the same for the same `n`.
pub fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Keys of 14 bytes in one piece of memory, walked in random order.
pub struct Keys {
    bytes: Vec<u8>,
    order: Vec<u32>,
    next: usize,
}

const KEY: usize = 14;

impl Keys {
    pub fn new(count: usize) -> Keys {
        let mut bytes = Vec::with_capacity(count * KEY);
        for n in 0..count {
            bytes.extend_from_slice(format!("sensor.{n:07}").as_bytes());
        }
        Keys { bytes, order: shuffled(count), next: 0 }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn key(&self, n: usize) -> &[u8] {
        &self.bytes[n * KEY..][..KEY]
    }

    /// The next one in random order.
    pub fn walk(&mut self) -> &[u8] {
        self.next = if self.next + 1 == self.order.len() { 0 } else { self.next + 1 };
        self.key(self.order[self.next] as usize)
    }

    /// All in random order, from anywhere on and without an end: for one
    /// thread of several.
    pub fn endless(&self, start: usize) -> impl Iterator<Item = &[u8]> {
        self.order.iter().cycle().skip(start % self.order.len()).map(|&n| self.key(n as usize))
    }
}

/// All numbers below `count`, in random order.
pub fn shuffled(count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    for n in (1..count).rev() {
        order.swap(n, (mix(n as u64) % (n as u64 + 1)) as usize);
    }
    order
}

/// 100 bytes that differ each time: SQLite writes nothing for a row that is
/// overwritten with what it holds.
pub struct Bytes {
    buffer: [u8; 100],
    count: u64,
}

impl Bytes {
    pub fn new() -> Bytes {
        Bytes { buffer: [b'v'; 100], count: 0 }
    }

    pub fn next(&mut self) -> &[u8] {
        self.count += 1;
        self.buffer[..8].copy_from_slice(&self.count.to_le_bytes());
        // Bytes that are text: a string stays a string.
        for byte in &mut self.buffer[..8] {
            *byte = b' ' + (*byte & 63);
        }
        &self.buffer
    }
}

/// A map of four fields, as agents store it.
pub fn four_fields(n: usize) -> String {
    format!(
        r#"{{"id":"sensor-{n:05}","n":{n},"on":{},"ns":"plant.hall{}"}}"#,
        n.is_multiple_of(2),
        n % 10
    )
}

/// How many kinds there are, each of one entry in a hundred.
pub const KINDS: usize = 100;
const FAMILIES: [&str; 7] = ["http", "function", "service", "config", "store", "queue", "timer"];

/// What one entry holds, before it is the library's or an anchor's.
pub struct Content {
    pub n: usize,
    /// Kind, type, group, public, level, owner: small numbers.
    pub fields: [u32; 6],
    pub path: String,
}

impl Content {
    /// Entry `n`; another `change` gives it other data.
    pub fn new(n: usize) -> Content {
        let pick = |salt: u64, of: u64| (mix(n as u64 * 8 + salt) % of) as u32;
        let fields = [
            pick(1, KINDS as u64),
            pick(2, 10),
            pick(3, 100),
            pick(4, 2),
            pick(5, 7),
            pick(6, 997),
        ];
        let path = format!(
            "p{:02}/{n:07}-w{:02}x/{:04}.s{:02}",
            pick(7, 100),
            pick(8, 100),
            n % 7919,
            pick(9, 100)
        );
        Content { n, fields, path }
    }

    pub fn id(&self) -> String {
        format!("app.ns{:03}:entry-{:07}", self.n % 1000, self.n)
    }

    pub fn kind(&self) -> String {
        kind(self.fields[0] as usize)
    }

    pub fn meta(&self) -> String {
        let [_, kind, group, public, level, owner] = self.fields;
        format!(
            r#"{{"type":"t{kind}","group":"g{group:02}","path":"{}","public":{},"level":{level},"owner":"o{owner:03}"}}"#,
            self.path,
            public == 1
        )
    }

    /// As an entry of the library.
    pub fn entry(&self, change: usize) -> Entry {
        let data = format!(r#"{{"n":{},"change":{change}}}"#, self.n);
        Entry::new(&self.id(), &self.kind(), &self.meta(), &data)
    }
}

fn kind(number: usize) -> String {
    format!("{}.k{number:02}", FAMILIES[number % FAMILIES.len()])
}

/// An entry as one would write it by hand.
pub struct Plain {
    pub id: Box<str>,
    pub kind: Box<str>,
    pub path: Box<str>,
    pub fields: [u32; 6],
}

impl Plain {
    pub fn new(n: usize) -> Arc<Plain> {
        let content = Content::new(n);
        let (id, kind) = (content.id().into(), content.kind().into());
        Arc::new(Plain { id, kind, path: content.path.into(), fields: content.fields })
    }
}

/// Creates entries 0 to `count`.
pub fn fill(db: &Db, count: usize) {
    fill_by(db, count, 10_000);
}

/// As `fill`, so many in each changeset.
pub fn fill_by(db: &Db, count: usize, step: usize) {
    for start in (0..count).step_by(step) {
        let entries: Vec<Entry> =
            (start..count.min(start + step)).map(|n| Content::new(n).entry(0)).collect();
        db.apply(&entries, true);
    }
}

/// Filters, each other than the 64 before it, so that no result is cached.
pub fn filters(texts: impl Iterator<Item = String>) -> Vec<Value> {
    let filters: Vec<Value> = texts.map(|text| Value::json(&text)).collect();
    assert!(filters.len() > 64, "too few filters to keep the cache out");
    filters
}

/// Prefixes of kinds that 14 or 15 kinds of 100 share.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.into_iter()
}

/// All kinds.
pub fn kinds() -> impl Iterator<Item = String> {
    (0..KINDS).map(kind)
}
