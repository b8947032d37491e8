//! Processes that are killed after a flush: the file has what their models
//! have.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use acervo::database::{Database, check_file};

use crate::common::other::{self, Other};
use crate::common::{Scratch, options, stat, text};
use crate::rounds::{Share, Size, THREADS, compare, compare_stats, in_threads, right, settle};
use crate::{batches, churn, seed, sharing, times, together};

fn open(path: &Path) -> Database {
    let path = path.as_os_str().as_bytes();
    Database::open(path, &options(&[("durability", text("normal"))])).unwrap()
}

/// What a process does in a round.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Puts every key.
    Fill,
    /// Everything, so often.
    Work {
        steps: usize,
    },
    Delete,
}

/// The threads of one process.
fn shares(process: usize, size: Size) -> Vec<Share> {
    let name = |thread| format!("p{process}t{thread}");
    (0..THREADS).map(|thread| Share::new(&name(thread), size, seed() + thread as u64)).collect()
}

/// What is done in a round, as words.
fn words(step: Step) -> String {
    match step {
        Step::Fill => "fill 0".to_owned(),
        Step::Work { steps } => format!("work {steps}"),
        Step::Delete => "delete 0".to_owned(),
    }
}

fn step_of(name: &str, number: &str) -> Step {
    match name {
        "fill" => Step::Fill,
        "work" => Step::Work { steps: number.parse().unwrap() },
        _ => Step::Delete,
    }
}

/// One round in the models, and in the database if there is one.
fn round(shares: &mut [Share], db: Option<&Database>, round: usize, step: Step) {
    in_threads(shares, |share| match step {
        Step::Fill => share.fill(db),
        Step::Work { steps } => share.round(db, round, steps),
        Step::Delete => share.delete_all(db),
    });
    if db.is_some() {
        settle(shares);
    } else {
        shares.iter_mut().for_each(Share::settle);
    }
}

/// Tells an error instead of a panic that nobody would see the reason of.
fn told(result: Result<(), String>) -> String {
    match result {
        Ok(()) => "right".to_owned(),
        Err(wrong) => wrong.replace('\n', " | "),
    }
}

/// What the other process does.
pub fn serve(path: &Path) {
    let db = open(path);
    let mut own = Vec::new();
    let mut done = 0;
    other::serve(|words| match words {
        ["be", process, registry, store] => {
            let (registry, store) = (registry.parse().unwrap(), store.parse().unwrap());
            own = shares(process.parse().unwrap(), Size { registry, store });
            "done".to_owned()
        }
        // What a process did that was killed since.
        ["was", name, number] => {
            round(&mut own, None, done, step_of(name, number));
            done += 1;
            "done".to_owned()
        }
        ["do", name, number] => {
            round(&mut own, Some(&db), done, step_of(name, number));
            done += 1;
            told(compare(&db, &own))
        }
        ["flush"] => told(db.flush().map_err(|error| error.to_string())),
        ["count", steps, seed] => {
            together::count(&db.global(), steps.parse().unwrap(), seed.parse().unwrap());
            "done".to_owned()
        }
        ["digest"] => churn::digest(&db).to_string(),
        ["entries", process] => {
            let registry = db.entries().unwrap();
            sharing::apply(Some(&registry), process.parse().unwrap());
            "done".to_owned()
        }
        ["batches", size] => batches::write_for_ever(&db, size.parse().unwrap()),
        words => panic!("unknown command {words:?}"),
    });
}

/// Has processes do all steps one after the other, and kills them after each.
fn run(processes: usize, size: Size, steps: &[Step]) {
    let scratch = Scratch::new();
    let mut models: Vec<Vec<Share>> = (0..processes).map(|n| shares(n, size)).collect();
    for (number, &step) in steps.iter().enumerate() {
        let when = |what: &str| format!("{processes} processes, round {number}, {step:?}, {what}");
        let begin = Instant::now();
        let mut others: Vec<Other> = (0..processes).map(|_| Other::start(&scratch)).collect();
        for (process, other) in others.iter_mut().enumerate() {
            other.ask(&format!("be {process} {} {}", size.registry, size.store));
            for &before in &steps[..number] {
                other.say(&format!("was {}", words(before)));
            }
            other.say(&format!("do {}", words(step)));
        }
        for model in &mut models {
            round(model, None, number, step);
        }
        for other in &mut others {
            (0..number).for_each(|_| assert_eq!(other.hear(), "done"));
            assert_eq!(other.hear(), "right", "{}", when("in memory"));
        }
        others.iter_mut().for_each(|other| other.say("flush"));
        for other in &mut others {
            assert_eq!(other.hear(), "right", "{}", when("flush"));
        }
        others.iter_mut().for_each(Other::kill);
        let db = open(scratch.file());
        for model in &models {
            right(&when("flushed and killed"), compare(&db, model));
        }
        let all: Vec<Share> = models.into_iter().flatten().collect();
        right(&when("flushed and killed"), compare_stats(&db, &all));
        let bytes = stat(&db, "bytes");
        db.close().unwrap();
        let db = open(scratch.file());
        assert_eq!(stat(&db, "bytes"), bytes, "{}", when("closed and opened"));
        db.close().unwrap();
        let mut all = all.into_iter();
        models = (0..processes).map(|_| all.by_ref().take(THREADS).collect()).collect();
        println!("{} took {:?}", when("all"), begin.elapsed());
    }
    let report = check_file(scratch.file()).unwrap();
    assert!(report.is_sound(), "{:#?}", report.faults);
}

#[test]
fn what_three_processes_flushed_is_there_when_they_are_killed() {
    let size = Size { registry: times(24_000), store: times(10_000) };
    let work = Step::Work { steps: size.registry };
    run(3, size, &[Step::Fill, work, Step::Delete, work]);
}

#[test]
fn a_million_keys_are_there_when_their_process_is_killed() {
    let size = Size { registry: times(400_000), store: times(100_000) };
    let work = Step::Work { steps: size.registry / 4 };
    run(1, size, &[Step::Fill, work]);
}
