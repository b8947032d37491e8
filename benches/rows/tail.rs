//! The slowest of a thousand: gets and puts of the registry while everything
//! happens that happens behind them.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::api::{Db, Kv};
use crate::data::{Bytes, Keys};
use crate::harness::{pair, quantile};
use crate::report::Line;
use crate::rows::Bench;
use crate::rows::registry::fill;

const KEYS: usize = 100_000;
/// Keys that expire while it is measured.
const EXPIRING: usize = 10_000;

/// How long each get and each put took, in nanoseconds.
#[derive(Default)]
struct Times {
    gets: Vec<f64>,
    puts: Vec<f64>,
}

/// p99.9 of a get and of a put, while 100 000 dirty keys are written, a
/// checkpoint runs (their rows are more than the 1000 frames that start one)
/// and keys expire; against the same with nothing behind.
pub fn tail(bench: &mut Bench) {
    let keys = bench.effort.scale(KEYS);
    let path = bench.file("tail.db");
    // Flushed when this says so, not before.
    let db = Db::open(&path, &[("flush_interval_ms", "86400000")]);
    let kv = db.registry();
    let mut walk = Keys::new(keys);
    fill(&kv, &walk);
    db.flush();

    let (mut gets, mut puts) = (Vec::new(), Vec::new());
    for _ in 0..bench.effort.rounds() {
        fill(&kv, &walk);
        expire(&kv, bench.effort.scale(EXPIRING));
        let busy = while_flushing(&db, &kv, &mut walk);
        let idle = sample(&kv, &mut walk, |count| count >= busy.gets.len());
        gets.push((p999(busy.gets), p999(idle.gets)));
        puts.push((p999(busy.puts), p999(idle.puts)));
        db.flush();
    }
    bench.push(Line::time("kv-tail", "p99.9 of a get, busy : idle", pair(&gets), (3.0, 1.5)));
    bench.push(Line::time("kv-tail", "p99.9 of a put, busy : idle", pair(&puts), (3.0, 1.5)));
}

/// Keys that go within the next tenth of a second.
fn expire(kv: &Kv, count: usize) {
    let mut bytes = Bytes::new();
    for n in 0..count {
        kv.put_ttl(format!("expiring.{n}").as_bytes(), bytes.next(), 1 + n as i64 % 100);
    }
}

fn while_flushing(db: &Db, kv: &Kv, walk: &mut Keys) -> Times {
    let flushed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            db.flush();
            flushed.store(true, Ordering::Relaxed);
        });
        sample(kv, walk, |count| flushed.load(Ordering::Relaxed) && count >= 1000)
    })
}

/// Times gets and puts one by one until enough were.
fn sample(kv: &Kv, walk: &mut Keys, enough: impl Fn(usize) -> bool) -> Times {
    let mut times = Times::default();
    let mut bytes = Bytes::new();
    let mut buffer = [0; 128];
    while !enough(times.gets.len()) {
        let key = walk.walk();
        let start = Instant::now();
        black_box(kv.get_into(key, black_box(&mut buffer)));
        times.gets.push(start.elapsed().as_nanos() as f64);
        let key = walk.walk();
        let value = bytes.next();
        let start = Instant::now();
        kv.put(key, value);
        times.puts.push(start.elapsed().as_nanos() as f64);
    }
    times
}

fn p999(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    quantile(&times, 0.999)
}
