//! The table against a map, with hashes that collide, and cuts beside puts.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::kv::blocks::Blocks;
use crate::value::put_int;

const ROOM: Room = Room { bytes: None, limit: usize::MAX };

/// What becomes of a hash.
type Weaken = fn(u64) -> u64;

/// Hashes that collide, each in another way.
const WEAK: [(&str, Weaken); 6] = [
    ("as it is", |hash| hash),
    ("three bits", |hash| (hash & 7) << 61 | (hash & 7)),
    ("constant", |_| 0x1234_5678_9abc_def0),
    ("zero", |_| 0),
    ("constant low bytes", |hash| hash & !0xffff | 0x4242),
    ("constant high byte", |hash| hash & !(0xff << 56)),
];

fn cell(key: &[u8], value: Option<i64>, expires_at: i64) -> Value {
    let mut bytes = Vec::new();
    if let Some(value) = value {
        put_int(&mut bytes, value);
    }
    Value::stored(key, &bytes, Stamp { timestamp: 7, expires_at })
}

fn number(cell: &Value) -> i64 {
    match cell.view().token() {
        crate::value::Token::Int(value) => value,
        other => panic!("not an int: {other:?}"),
    }
}

fn key(n: u64) -> Vec<u8> {
    format!("host:{n}:cpu").into_bytes()
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// What the file holds: rows are applied as a reader would.
#[derive(Default)]
struct File {
    keys: HashMap<Vec<u8>, i64>,
    rows: i64,
}

impl File {
    /// Writes a cut; gives the number of its first row.
    fn write(&mut self, cut: &Blocks<Value>) -> i64 {
        let first = self.rows + 1;
        self.rows += cut.len() as i64;
        for cell in cut.iter() {
            match is_tombstone(cell) {
                true => drop(self.keys.remove(cell.key())),
                false => drop(self.keys.insert(cell.key().to_vec(), number(cell))),
            }
        }
        first
    }
}

fn flush(table: &Table, file: &mut File) {
    let cut = table.take_cut();
    let first = file.write(&cut);
    table.land(cut.iter(), first);
}

fn visible(table: &Table) -> HashMap<Vec<u8>, i64> {
    let mut found = HashMap::new();
    table.scan(b"", |cell| assert!(found.insert(cell.key().to_vec(), number(cell)).is_none()));
    found
}

fn assert_nothing_is_forgotten(table: &Table) {
    let forgotten = table.picture(|_| false, |_, _| {});
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[test]
fn with_any_hash_the_file_gets_what_the_table_holds() {
    for (name, weaken) in WEAK {
        let table = Table::with_hashing(4, Hashing::weakened(weaken));
        let (mut file, mut model) = (File::default(), HashMap::new());
        let mut random = Random(1);
        // Cells that all collide are found one after the other.
        let keys = if name.contains("high") || name.contains("low") { 20_000 } else { 700 };
        for round in 0..30 {
            for step in 0..keys {
                let key = key(random.below(keys));
                if random.below(3) == 0 {
                    table.edit(&key, Edit::Delete, true, ROOM).unwrap();
                    model.remove(&key);
                } else {
                    let value = (round * keys + step) as i64;
                    table.edit(&key, Edit::Put(cell(&key, Some(value), 0)), true, ROOM).unwrap();
                    model.insert(key, value);
                }
                if step % 191 == 0 && random.below(2) == 0 {
                    flush(&table, &mut file);
                    assert_eq!(file.keys.len(), model.len(), "{name}, round {round}");
                }
            }
            assert_nothing_is_forgotten(&table);
            flush(&table, &mut file);
            assert_eq!(visible(&table), model, "{name}, round {round}");
            assert_eq!(file.keys, model, "{name}, round {round}");
            let usage = table.usage();
            assert_eq!((usage.keys, usage.waiting), (model.len(), 0), "{name}");
        }
        for key in model.keys() {
            table.edit(key, Edit::Delete, true, ROOM).unwrap();
        }
        flush(&table, &mut file);
        assert!(file.keys.is_empty(), "{name}");
        assert_eq!((table.usage().keys, table.usage().bytes), (0, 0), "{name}");
    }
}

#[test]
fn with_any_hash_what_expires_goes_and_nothing_else() {
    for (name, weaken) in WEAK {
        let table = Table::with_hashing(4, Hashing::weakened(weaken));
        let mut file = File::default();
        let far = clock::now_millis() + 1_000_000;
        let mut random = Random(2);
        let keys = if name.contains("high") || name.contains("low") { 20_000 } else { 700 };
        let mut due = BTreeMap::new();
        for n in 0..keys {
            // Some expire at the same time, some are put again with another.
            for _ in 0..=random.below(3) {
                let at = far + random.below(100) as i64;
                let cell = cell(&key(n), Some(n as i64), at);
                table.edit(&key(n), Edit::Put(cell), true, ROOM).unwrap();
                due.insert(n, at);
            }
        }
        flush(&table, &mut file);
        for now in (far - 1)..(far + 100) {
            let swept = table.sweep(now);
            due.retain(|_, at| *at > now);
            let mut left: Vec<Vec<u8>> = Vec::new();
            table.picture(|_| false, |cell, _| left.push(cell.key().to_vec()));
            left.sort();
            let mut expected: Vec<_> = due.keys().map(|&n| key(n)).collect();
            expected.sort();
            assert!(left == expected, "{name}: at {now} {} not {}", left.len(), expected.len());
            assert!(swept.next.is_none_or(|next| next > now), "{name}");
        }
        assert_eq!((table.usage().keys, table.usage().bytes), (0, 0), "{name}");
    }
}

#[test]
fn what_the_file_never_had_goes_without_a_tombstone() {
    let table = Table::new(4);
    let mut file = File::default();
    for n in 0..10_000 {
        let expires_at = if n % 2 == 0 { 0 } else { 1 };
        table.edit(&key(n), Edit::Put(cell(&key(n), Some(1), expires_at)), true, ROOM).unwrap();
        if n % 2 == 0 {
            table.edit(&key(n), Edit::Delete, true, ROOM).unwrap();
        }
    }
    table.sweep(2);
    let usage = table.usage();
    assert_eq!((usage.keys, usage.bytes, usage.waiting), (0, 0, 0));
    flush(&table, &mut file);
    assert_eq!(file.rows, 0);
    // What it may have leaves one: in the file, in flight, or displaced.
    for deleted_at in 0..3 {
        let put = |n| table.edit(b"k", Edit::Put(cell(b"k", Some(n), 0)), true, ROOM).unwrap();
        put(1);
        if deleted_at == 0 {
            flush(&table, &mut file);
        }
        let cut = table.take_cut();
        if deleted_at == 2 {
            put(2);
        }
        table.edit(b"k", Edit::Delete, true, ROOM).unwrap();
        let first = file.write(&cut);
        table.land(cut.iter(), first);
        flush(&table, &mut file);
        assert!(file.keys.is_empty(), "deleted at {deleted_at}");
        assert_eq!(table.usage().bytes, 0);
    }
}

#[test]
fn keys_that_come_and_go_before_they_are_written_leave_no_list_that_grows() {
    let table = Table::new(1);
    for n in 0..200_000 {
        let key = key(n % 10);
        table.edit(&key, Edit::Put(cell(&key, Some(1), 0)), true, ROOM).unwrap();
        table.edit(&key, Edit::Delete, true, ROOM).unwrap();
    }
    let shard = table.locked(&table.shards[0].0);
    assert!(shard.cells.waiting.hashes(shard.current).len() < 1000);
    drop(shard);
    table.edit(b"stays", Edit::Put(cell(b"stays", Some(1), 0)), true, ROOM).unwrap();
    assert_nothing_is_forgotten(&table);
    assert_eq!(table.take_cut().len(), 1);
}

#[test]
fn a_cut_is_the_state_of_one_moment() {
    // Each thread writes its keys in turn, with numbers that only grow, and
    // batches over shards; a cut must hold all that came before what it holds.
    const THREADS: u64 = 3;
    const KEYS: u64 = 40;
    let table = Table::new(64);
    let mut file = File::default();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (table, stop) = (&table, &stop);
            scope.spawn(move || {
                let name = |n: u64| format!("{thread}:{n}").into_bytes();
                let mut value = 0;
                while !stop.load(Ordering::Relaxed) {
                    value += 1;
                    let n = value as u64 % KEYS;
                    table.put(&name(n), &int(value), Stamp::default(), true, ROOM).unwrap();
                    let batch = (KEYS..KEYS + 8).map(|n| {
                        let cell = cell(&name(n), Some(value), 0);
                        (name(n).into_boxed_slice(), Edit::Put(cell))
                    });
                    table.edit_all(batch.collect(), true, ROOM).unwrap();
                }
            });
        }
        for _ in 0..400 {
            let cut = table.take_cut();
            let first = file.write(&cut);
            assert_is_one_moment(&file, THREADS, KEYS);
            table.land(cut.iter(), first);
        }
        stop.store(true, Ordering::Relaxed);
    });
    flush(&table, &mut file);
    assert_eq!(file.keys, visible(&table));
}

fn int(value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_int(&mut bytes, value);
    bytes
}

fn assert_is_one_moment(file: &File, threads: u64, keys: u64) {
    for thread in 0..threads {
        let of = |n: u64| file.keys.get(format!("{thread}:{n}").as_bytes()).copied().unwrap_or(0);
        let batch: Vec<i64> = (keys..keys + 8).map(of).collect();
        assert!(batch.iter().all(|value| *value == batch[0]), "half a batch: {batch:?}");
        let mut singles: Vec<i64> = (0..keys).map(of).filter(|value| *value > 0).collect();
        singles.sort_unstable();
        let last = singles.last().copied().unwrap_or(0);
        // The batch after the last single write may be missing, no earlier one.
        assert!(last == batch[0] || last == batch[0] + 1, "{last} and batch {}", batch[0]);
        // And of the single ones there are the last so many, without a hole.
        let expected = (last - singles.len() as i64 + 1)..=last;
        assert!(singles.iter().copied().eq(expected), "holes in {singles:?}");
    }
}

#[test]
fn what_others_wrote_after_a_cell_on_its_way_is_later() {
    // A value or a deletion of ours, one of theirs; behind it or before it.
    for (ours, theirs, is_ours_later) in [
        (Some(1), Some(2), false),
        (Some(1), None, false),
        (None, Some(2), false),
        (Some(1), Some(2), true),
        (None, Some(2), true),
    ] {
        let table = Table::new(1);
        let cell = |value| cell(b"key", value, 0);
        table.edit(b"key", Edit::Put(cell(Some(0))), true, ROOM).unwrap();
        let cut = table.take_cut();
        table.land(cut.iter(), 1);
        match ours {
            Some(_) => table.edit(b"key", Edit::Put(cell(ours)), true, ROOM).unwrap(),
            None => table.edit(b"key", Edit::Delete, true, ROOM).unwrap(),
        };
        let cut = table.take_cut();
        assert_eq!(cut.len(), 1);
        // A reader sees the commit before the writer gets to publish.
        let taken = cut.iter().next().unwrap();
        let ours_as_row = Value::stored(b"key", taken.as_bytes(), taken.stamp());
        let mut rows = [ours_as_row, cell(theirs)];
        if is_ours_later {
            rows.reverse();
        }
        for (row, seq) in rows.into_iter().zip(2..) {
            let is_own = seq == if is_ours_later { 3 } else { 2 };
            table.take_in(row, seq, is_own);
        }
        table.land(cut.iter(), if is_ours_later { 3 } else { 2 });
        let expected = if is_ours_later { ours } else { theirs };
        let found = table.get(b"key").map(|cell| number(&cell));
        assert_eq!(found, expected, "{ours:?} {theirs:?} {is_ours_later}");
        assert_nothing_is_forgotten(&table);
    }
}

#[test]
fn a_row_of_others_that_says_the_same_as_a_cell_on_its_way_is_not_its_row() {
    for (is_put_again, is_followed) in [(false, false), (false, true), (true, false), (true, true)]
    {
        let table = Table::new(1);
        let cell = |value| cell(b"key", Some(value), 0);
        table.edit(b"key", Edit::Put(cell(1)), true, ROOM).unwrap();
        let cut = table.take_cut();
        // Theirs come first, and ours follows them.
        table.take_in(cell(1), 1, false);
        if is_followed {
            table.take_in(cell(7), 2, false);
        }
        if is_put_again {
            table.edit(b"key", Edit::Put(cell(2)), true, ROOM).unwrap();
        }
        table.land(cut.iter(), 3);
        assert_eq!(table.mark(b"key").unwrap().seq, 3);
        assert_eq!(number(&table.get(b"key").unwrap()), if is_put_again { 2 } else { 1 });
    }
}
