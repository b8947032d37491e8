//! The registry from C: one key, 100 bytes, 100 000 keys, against a hash map
//! that one thread has for itself.

use std::hint::black_box;

use crate::anchors::hash::Hash;
use crate::api::{Db, Kv, Value};
use crate::data::{Bytes, Keys, mix};
use crate::harness::{Pair, compare, compare_settled};
use crate::report::Line;
use crate::rows::Bench;

const KEYS: usize = 100_000;

/// A registry in a file, with the options that one gets without asking.
fn usual(bench: &mut Bench, keys: &Keys) -> (Db, Kv) {
    let path = bench.file("registry.db");
    filled(Db::open(&path, &[]), keys)
}

/// One that is memory only.
fn unwritten(bench: &mut Bench, keys: &Keys) -> (Db, Kv) {
    let path = bench.file("memory.db");
    filled(Db::open(&path, &[("registry_persistent", "false")]), keys)
}

fn filled(db: Db, keys: &Keys) -> (Db, Kv) {
    let kv = db.registry();
    fill(&kv, keys);
    db.flush();
    (db, kv)
}

/// Puts every key.
pub fn fill(kv: &Kv, keys: &Keys) {
    let mut bytes = Bytes::new();
    for n in 0..keys.len() {
        kv.put(keys.key(n), bytes.next());
    }
}

pub fn get(bench: &mut Bench) {
    let (mut ours, mut theirs) = two_walks(bench);
    let (_db, kv) = usual(bench, &ours);
    let hash = Hash::filled(&theirs);
    let (mut buffer, mut other) = ([0; 128], [0; 128]);
    let pair = compare(
        bench.effort,
        &mut |count| {
            for _ in 0..count {
                black_box(kv.get_into(ours.walk(), black_box(&mut buffer)));
            }
        },
        &mut |count| {
            for _ in 0..count {
                black_box(hash.get(theirs.walk(), black_box(&mut other)));
            }
        },
    );
    bench.push(Line::time("kv-get", "get_into, 100 B of 100 k", pair, (1.6, 1.2)));
}

pub fn get_value(bench: &mut Bench) {
    let (mut ours, mut theirs) = two_walks(bench);
    let (_db, kv) = usual(bench, &ours);
    let hash = Hash::filled(&theirs);
    let mut buffer = [0; 128];
    let pair = compare(
        bench.effort,
        &mut |count| {
            for _ in 0..count {
                black_box(kv.get_and_free(ours.walk()));
            }
        },
        &mut |count| {
            for _ in 0..count {
                black_box(hash.get(theirs.walk(), black_box(&mut buffer)));
            }
        },
    );
    bench.push(Line::time("kv-get-value", "get + free, 100 B of 100 k", pair, (2.2, 1.6)));
}

pub fn put(bench: &mut Bench) {
    const LIMITS: (f64, f64) = (1.5, 1.2);
    let (ours, _) = two_walks(bench);
    let (db, kv) = usual(bench, &ours);
    let pair = put_by(bench, &db, &mut |key, bytes| kv.put(key, bytes));
    bench.push(Line::time("kv-put", "value made, put, freed", pair, LIMITS));

    let values: Vec<Value> = (0..997).map(|n| Value::json(&format!("\"{n:0100}\""))).collect();
    let mut next = 0;
    let pair = put_by(bench, &db, &mut |key, _| {
        next = (next + 1) % values.len();
        kv.put_value(key, &values[next]);
    });
    bench.push(Line::time("kv-put", "put of a value that is there", pair, LIMITS));

    let (db, kv) = unwritten(bench, &ours);
    let pair = put_by(bench, &db, &mut |key, bytes| kv.put(key, bytes));
    bench.push(Line::time("kv-put", "made, put, freed; memory only", pair, LIMITS).informs());
}

fn put_by(bench: &Bench, db: &Db, put: &mut dyn FnMut(&[u8], &[u8])) -> Pair {
    let (mut ours, mut theirs) = two_walks(bench);
    let mut hash = Hash::filled(&theirs);
    let (mut bytes, mut others) = (Bytes::new(), Bytes::new());
    compare_settled(
        bench.effort,
        bench.effort.rounds(),
        &mut |count| {
            for _ in 0..count {
                put(ours.walk(), bytes.next());
            }
        },
        &mut |count| {
            for _ in 0..count {
                hash.put(theirs.walk(), black_box(others.next()));
            }
        },
        &mut || db.flush(),
    )
}

/// 95 % get, 5 % put: the rate of two threads over that of one.
pub fn two_threads(bench: &mut Bench) {
    const LIMITS: (f64, f64) = (1.5, 1.9);
    let (keys, _) = two_walks(bench);
    // With a thread that writes the file there would be three on two cores.
    let (_db, kv) = unwritten(bench, &keys);
    let pair = scaling(bench, &kv, &keys);
    bench.push(Line::rate("kv-2t", "95 % get 5 % put, memory only", pair, LIMITS));
    let (_db, kv) = usual(bench, &keys);
    let pair = scaling(bench, &kv, &keys);
    bench.push(Line::rate("kv-2t", "the same while it is flushed", pair, LIMITS).informs());
}

fn scaling(bench: &Bench, kv: &Kv, keys: &Keys) -> Pair {
    let mut two = |count| mixed(kv, keys, 2, count);
    let mut one = |count| mixed(kv, keys, 1, count);
    compare(bench.effort, &mut two, &mut one)
}

/// `count` operations by some threads together.
pub fn mixed(kv: &Kv, keys: &Keys, threads: usize, count: usize) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut bytes = Bytes::new();
                let mut buffer = [0; 128];
                let own = keys.endless(thread * 7919).take(count.div_ceil(threads));
                for (n, key) in own.enumerate() {
                    if mix(n as u64).is_multiple_of(20) {
                        kv.put(key, bytes.next());
                    } else {
                        black_box(kv.get_into(key, black_box(&mut buffer)));
                    }
                }
            });
        }
    });
}

/// The same keys, walked alike by both sides.
fn two_walks(bench: &Bench) -> (Keys, Keys) {
    let size = bench.effort.scale(KEYS);
    (Keys::new(size), Keys::new(size))
}
