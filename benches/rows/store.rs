//! The store from C, against SQLite by hand and against the bare device.

use std::hint::black_box;

use crate::anchors::disk::Disk;
use crate::anchors::gather::Gather;
use crate::anchors::sqlite::Sqlite;
use crate::api::{Db, Kv, Value, api};
use crate::data::{Bytes, Keys, four_fields};
use crate::harness::{Pair, compare};
use crate::report::Line;
use crate::rows::Bench;
use crate::{call, plain};

const KEYS: usize = 100_000;

/// A store with every key, filled in batches.
pub fn filled(path: &str, durability: &str, keys: &Keys) -> (Db, Kv) {
    let db = Db::open(path, &[("durability", &format!("\"{durability}\""))]);
    let kv = db.store("bench");
    let mut bytes = Bytes::new();
    for start in (0..keys.len()).step_by(1000) {
        let end = keys.len().min(start + 1000);
        commit(&kv, (start..end).map(|n| keys.key(n)), &mut bytes);
    }
    (db, kv)
}

/// One batch.
fn commit<'a>(kv: &Kv, keys: impl Iterator<Item = &'a [u8]>, bytes: &mut Bytes) {
    let api = api();
    let batch = plain!(api, batch_new(kv.0));
    for key in keys {
        let text = bytes.next();
        let value = plain!(api, value_string(text.as_ptr(), text.len()));
        call!(api, batch_put(batch, key.as_ptr(), key.len(), value));
        plain!(api, value_free(value));
    }
    call!(api, batch_commit(batch));
    plain!(api, batch_free(batch));
}

fn sqlite(bench: &mut Bench, synchronous: &str, keys: &Keys) -> Sqlite {
    let name = bench.file("sqlite.db");
    let sqlite = Sqlite::new(bench.directory(), &name, synchronous);
    let mut bytes = Bytes::new();
    sqlite.begin();
    for n in 0..keys.len() {
        sqlite.put(keys.key(n), bytes.next());
    }
    sqlite.commit();
    sqlite
}

pub fn get(bench: &mut Bench) {
    let size = bench.effort.scale(KEYS);
    let (mut ours, mut theirs) = (Keys::new(size), Keys::new(size));
    let path = bench.file("store.db");
    let (_db, kv) = filled(&path, "off", &ours);
    let name = bench.file("sqlite.db");
    let sqlite = Sqlite::new(bench.directory(), &name, "NORMAL");
    sqlite.begin();
    for n in 0..size {
        let json = four_fields(n);
        kv.put_value(ours.key(n), &Value::json(&json));
        sqlite.put(theirs.key(n), json.as_bytes());
    }
    sqlite.commit();
    let mut buffer = [0; 256];
    let pair = compare(
        bench.effort,
        &mut |count| {
            for _ in 0..count {
                black_box(kv.get_and_free(ours.walk()));
            }
        },
        &mut |count| {
            for _ in 0..count {
                black_box(sqlite.get(theirs.walk(), black_box(&mut buffer)));
            }
        },
    );
    bench.push(Line::time("store-get", "4-field map of 100 k : SQLite", pair, (0.25, 0.05)));
}

pub fn put_1(bench: &mut Bench) {
    let mut keys = Keys::new(bench.effort.scale(KEYS));
    let path = bench.file("store.db");
    let (_db, kv) = filled(&path, "full", &keys);
    let mut disk = Disk::new(bench.directory());
    let (mut bytes, mut others) = (Bytes::new(), Bytes::new());
    let pair = compare(
        bench.effort,
        &mut |count| {
            for _ in 0..count {
                kv.put(keys.walk(), bytes.next());
            }
        },
        &mut |count| {
            for _ in 0..count {
                disk.write(others.next());
            }
        },
    );
    bench.push(Line::rate("store-put-1", "durable puts, 1 thread", pair, (0.75, 0.95)));
}

pub fn put_16(bench: &mut Bench) {
    let keys = Keys::new(bench.effort.scale(KEYS));
    let path = bench.file("store.db");
    let (_db, kv) = filled(&path, "full", &keys);
    let gather = Gather::new(bench.directory());
    let pair = by_threads(bench, &kv, &keys, &gather, 16);
    bench.push(Line::rate("store-put-16", "durable puts, 16 threads", pair, (0.60, 0.75)));
}

/// Durable puts of so many threads.
pub fn by_threads(bench: &Bench, kv: &Kv, keys: &Keys, gather: &Gather, threads: usize) -> Pair {
    compare(
        bench.effort,
        &mut |count| {
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    scope.spawn(move || {
                        let mut bytes = Bytes::new();
                        for key in keys.endless(thread * 6151).take(count.div_ceil(threads)) {
                            kv.put(key, bytes.next());
                        }
                    });
                }
            });
        },
        &mut |count| {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(move || {
                        let mut bytes = Bytes::new();
                        for _ in 0..count.div_ceil(threads) {
                            gather.put(bytes.next());
                        }
                    });
                }
            });
        },
    )
}

pub fn put_normal(bench: &mut Bench) {
    let size = bench.effort.scale(KEYS);
    let (mut ours, mut theirs) = (Keys::new(size), Keys::new(size));
    let path = bench.file("store.db");
    let (_db, kv) = filled(&path, "normal", &ours);
    let sqlite = sqlite(bench, "NORMAL", &theirs);
    let (mut bytes, mut others) = (Bytes::new(), Bytes::new());
    let pair = compare(
        bench.effort,
        &mut |count| {
            for _ in 0..count {
                kv.put(ours.walk(), bytes.next());
            }
        },
        &mut |count| {
            for _ in 0..count {
                sqlite.put(theirs.walk(), others.next());
            }
        },
    );
    bench.push(Line::time("store-put-normal", "1 put, normal : SQLite", pair, (1.1, 0.35)));
}

pub fn batch(bench: &mut Bench) {
    let size = bench.effort.scale(KEYS);
    let (mut ours, mut theirs) = (Keys::new(size), Keys::new(size));
    let path = bench.file("store.db");
    let (_db, kv) = filled(&path, "full", &ours);
    let sqlite = sqlite(bench, "FULL", &theirs);
    let (mut bytes, mut others) = (Bytes::new(), Bytes::new());
    let pair = compare(
        bench.effort,
        &mut |count| {
            for _ in 0..count {
                // The walk lends its keys one at a time.
                let keys: Vec<[u8; 14]> =
                    (0..1000).map(|_| ours.walk().try_into().expect("14 bytes")).collect();
                commit(&kv, keys.iter().map(|key| &key[..]), &mut bytes);
            }
        },
        &mut |count| {
            for _ in 0..count {
                sqlite.begin();
                for _ in 0..1000 {
                    sqlite.put(theirs.walk(), others.next());
                }
                sqlite.commit();
            }
        },
    );
    bench.push(Line::time("store-batch", "1000 puts, full : SQLite", pair, (1.1, 0.20)));
}
