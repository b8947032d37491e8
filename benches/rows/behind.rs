//! Writing the registry behind: how fast, how far behind, and what is left of
//! names that come and go.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::anchors::sqlite::Rows;
use crate::api::Db;
use crate::data::Keys;
use crate::harness::{Effort, median, pair};
use crate::machine::resident;
use crate::report::Line;
use crate::rows::Bench;

/// Values of so many bytes, with the head of a string.
const VALUE: usize = 64;

/// Puts of distinct keys, as fast as one thread can, until flush returns;
/// against the same rows appended by SQLite in transactions of 16 384.
pub fn behind(bench: &mut Bench) {
    let count = bench.effort.scale(2_000_000);
    let keys = Keys::new(count);
    let value = "v".repeat(VALUE);
    let mut samples = Vec::new();
    for round in 0..bench.effort.rounds().min(5) {
        let each = |elapsed: Duration| elapsed.as_nanos() as f64 / count as f64;
        let ours = || {
            let db = Db::open(&bench_file(bench.directory(), "behind", round), &[]);
            let kv = db.registry();
            let start = Instant::now();
            for n in 0..count {
                kv.put(keys.key(n), value.as_bytes());
            }
            db.flush();
            each(start.elapsed())
        };
        let theirs = || {
            let rows = Rows::new(bench.directory(), &format!("rows-{round}.db"));
            let start = Instant::now();
            for first in (0..count).step_by(16_384) {
                rows.append(
                    (first..count.min(first + 16_384)).map(|n| keys.key(n)),
                    value.as_bytes(),
                );
            }
            each(start.elapsed())
        };
        // Who goes first changes.
        let (ours, theirs) = if round % 2 == 0 {
            let ours = ours();
            (ours, theirs())
        } else {
            let theirs = theirs();
            (ours(), theirs)
        };
        samples.push((ours, theirs));
    }
    let what = "2 M distinct puts until flush returns : SQLite, 16 k rows a commit";
    bench.push(Line::rate("kv-behind", what, pair(&samples), (1.0, 2.0)));
}

fn bench_file(directory: &std::path::Path, name: &str, round: usize) -> String {
    directory.join(format!("{name}-{round}.db")).into_os_string().into_string().expect("UTF-8")
}

/// Default of `flush_interval_ms`.
const INTERVAL: f64 = 100e6;
const RATE: u64 = 300_000;
/// Puts between two looks at the clock.
const GROUP: u64 = 100;

/// How old the oldest put is that a `kill -9` takes while distinct keys come at
/// some rate, against the flush interval; and as fast as one thread puts.
pub fn lag(bench: &mut Bench) {
    let seconds = if bench.effort == Effort::Smoke { 0.2 } else { 10.0 };
    for (rate, what) in [(RATE, "300 k puts a second"), (0, "as fast as it can")] {
        let mut samples = Vec::new();
        for _ in 0..bench.effort.rounds().min(5) {
            samples.push((lost(bench, rate, seconds), INTERVAL));
        }
        let what = format!("oldest put lost by kill -9, {what} : flush interval");
        let line = Line::time("kv-lag", what, pair(&samples), (3.0, 1.5));
        bench.push(if rate == 0 { line.informs() } else { line });
    }
}

/// Kills a process that puts; gives the age of the oldest lost put.
fn lost(bench: &mut Bench, rate: u64, seconds: f64) -> f64 {
    let (path, notes) = (bench.file("lag.db"), bench.file("notes"));
    let program = std::env::current_exe().expect("Linux tells");
    let mut child = Command::new(program)
        .args(["--child", "lag", &path, &notes, &rate.to_string()])
        .spawn()
        .expect("it can run again");
    std::thread::sleep(Duration::from_secs_f64(seconds));
    child.kill().expect("it runs");
    let killed = now();
    child.wait().expect("it ran");
    let notes = std::fs::read(notes).expect("it has noted its puts");
    let times: Vec<u64> =
        notes.chunks_exact(8).map(|it| u64::from_le_bytes(it.try_into().expect("8"))).collect();
    let db = Db::open(&path, &[]);
    let kv = db.registry();
    let mut buffer = [0; 128];
    // What the file has is all up to some moment.
    let is_there = |n: u64, buffer: &mut [u8]| kv.get_into(format!("k:{n}").as_bytes(), buffer) > 0;
    let (mut low, mut high) = (0, times.len() as u64 * GROUP);
    while low < high {
        let middle = low.midpoint(high);
        if is_there(middle, &mut buffer) { low = middle + 1 } else { high = middle }
    }
    times.get((low / GROUP) as usize).map_or(0.0, |&at| killed.saturating_sub(at) as f64)
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_nanos() as u64
}

/// Puts until it is killed, and notes when each group was put.
pub fn child_lag(path: &str, notes: &str, rate: u64) -> ! {
    let db = Db::open(path, &[]);
    let kv = db.registry();
    let mut notes = std::fs::File::create(notes).expect("a file for notes");
    let value = "v".repeat(VALUE);
    let start = Instant::now();
    for n in 0_u64.. {
        kv.put(format!("k:{n}").as_bytes(), value.as_bytes());
        if n % GROUP == GROUP - 1 {
            notes.write_all(&now().to_le_bytes()).expect("room for notes");
            if let Some(due) = ((n + 1) * 1_000_000_000).checked_div(rate) {
                std::thread::sleep(Duration::from_nanos(due).saturating_sub(start.elapsed()));
            }
        }
    }
    unreachable!("there are not so many numbers")
}

/// Resident memory and the time to open the file, after twenty rounds of names
/// that expire, against after two.
pub fn churn(bench: &mut Bench) {
    let keys = bench.effort.scale(1_000_000);
    let rounds = if bench.effort == Effort::Full { 20 } else { 8 };
    let (few, _) = churned(bench, keys, 2);
    let (many, memory) = churned(bench, keys, rounds);
    // The middle of some rounds, as the moment of the look matters.
    let middle = |memory: &[f64]| median(memory.iter().copied());
    let memory = (middle(&memory[rounds - 3..]), middle(&memory[1..4]));
    let what = format!("resident after {rounds} rounds of 1 M expiring names : after 2");
    bench.push(Line::time("churn", what, pair(&[memory]), (1.05, 1.0)).in_bytes());
    let what = format!("opening the file after {rounds} rounds : after 2");
    bench.push(Line::time("churn", what, pair(&[(many, few)]), (1.05, 1.0)).informs());
}

/// The time to open the file after some rounds, and the memory after each.
fn churned(bench: &mut Bench, keys: usize, rounds: usize) -> (f64, Vec<f64>) {
    let path = bench.file("churn.db");
    let program = std::env::current_exe().expect("Linux tells");
    let output = Command::new(program)
        .args(["--child", "churn", &path, &keys.to_string(), &rounds.to_string()])
        .output()
        .expect("it can run again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures = text.split_whitespace().map(|it| it.parse::<f64>().expect("a number"));
    let mut figures: Vec<f64> = figures.collect();
    let open = figures.pop().expect("the last one");
    (open, figures)
}

/// Gives the memory after each round, and the time of an open at the end.
pub fn child_churn(path: &str, keys: usize, rounds: usize) -> String {
    let mut figures = Vec::new();
    let mut buffer = [0; 128];
    let db = Db::open(path, &[]);
    let kv = db.registry();
    let value = "v".repeat(VALUE);
    for round in 0..rounds {
        for n in 0..keys {
            kv.put_ttl(format!("session:{round}:{n}").as_bytes(), value.as_bytes(), 300);
        }
        db.flush();
        // Until all has gone, and a while that things may settle in.
        let last = format!("session:{round}:{}", keys - 1);
        while kv.get_into(last.as_bytes(), &mut buffer) > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(2500));
        figures.push(resident());
    }
    drop((kv, db));
    let start = Instant::now();
    let db = Db::open(path, &[]);
    figures.push(start.elapsed().as_nanos() as f64);
    drop(db);
    figures.iter().map(|it| format!("{it} ")).collect()
}
