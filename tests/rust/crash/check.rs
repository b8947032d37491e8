//! Opening what a crash left, and comparing it with what was done.

use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use acervo::database::{Database, Options};
use rusqlite::Connection;

use super::common::{as_int, int, options, text};
use super::cut::{Files, Record};
use super::disk::{Disk, Event};
use super::random::Random;
use super::work::{Worker, apply};

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// All that was acknowledged is there.
    All,
    /// What is there is what was there at some moment.
    Prefix,
}

pub fn settings(durability: &str) -> Options {
    options(&[("durability", text(durability)), ("flush_interval_ms", int(20))])
}

pub fn open(disk: &Disk, durability: &str) -> Result<Database, String> {
    let path = disk.file();
    Database::open(path.as_os_str().as_bytes(), &settings(durability))
        .map_err(|error| format!("it does not open: {error}"))
}

/// A disk with these files, and beside them what is no data: after a power cut
/// the page that processes share, and SQLite's index, can hold anything.
pub fn disk_with(files: &Files, random: &mut Random) -> std::sync::Arc<Disk> {
    let mut files: Vec<(String, Vec<u8>)> =
        files.iter().map(|(name, content)| (name.clone(), content.clone())).collect();
    for (name, len) in [("test.db-lock", 4096), ("test.db-shm", 32768)] {
        match random.below(4) {
            0 => files.push((name.to_owned(), Vec::new())),
            1 => files.push((name.to_owned(), (0..len).map(|_| random.next() as u8).collect())),
            2 => files.push((name.to_owned(), vec![0; random.below(len)])),
            _ => {}
        }
    }
    Disk::holding(&files)
}

/// The number of writes that were made after an earlier crash of the same run.
const AFTER: usize = 1000;

/// Opens the disk and checks everything; writes again, and checks that. What
/// it does is recorded if the disk records.
pub fn check(
    disk: &Disk,
    workers: &[Box<dyn Worker>],
    record: &Record,
    cut: usize,
    promise: Promise,
    after: (usize, usize),
) -> Result<(), String> {
    let result =
        catch_unwind(AssertUnwindSafe(|| try_check(disk, workers, record, cut, promise, after)));
    result.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or(panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", message.unwrap_or("?")))
    })
}

fn try_check(
    disk: &Disk,
    workers: &[Box<dyn Worker>],
    record: &Record,
    cut: usize,
    promise: Promise,
    (after_began, after_done): (usize, usize),
) -> Result<(), String> {
    let durability = if promise == Promise::All { "full" } else { "normal" };
    let db = open(disk, durability)?;
    // Of what is missing the earliest acknowledgement, of what is there the
    // latest beginning: nothing is there that began after something missing
    // was done.
    let (mut first_missing, mut last_there) = (usize::MAX, 0);
    for (number, worker) in workers.iter().enumerate() {
        let (began, done) = record.progress(cut, number);
        let floor = if promise == Promise::All { done } else { 0 };
        let steps = worker.found(&db, floor, began)?;
        let (Some(&least), Some(&most)) = (steps.first(), steps.last()) else { continue };
        for (at, event) in record.events[..cut].iter().enumerate() {
            match *event {
                Event::Began { worker, step } if worker == number && step == least => {
                    last_there = last_there.max(at);
                }
                Event::Done { worker, step } if worker == number && step == most + 1 => {
                    first_missing = first_missing.min(at);
                }
                _ => {}
            }
        }
    }
    if first_missing < last_there {
        return Err(format!(
            "event {last_there} is there, and event {first_missing}, done before it, is not"
        ));
    }
    // What was written after an earlier recovery.
    let store = db.store(b"after").map_err(|error| error.to_string())?;
    let found = store.get(b"n").map_err(|error| error.to_string())?.map_or(0, |it| as_int(&it));
    let floor = if promise == Promise::All { after_done } else { 0 };
    if found < floor as i64 || found > after_began as i64 {
        return Err(format!("the writes after a recovery: {found}, not {floor}..{after_began}"));
    }
    // It takes writes again.
    for n in 1..=2 {
        disk.note(Event::Began { worker: AFTER, step: after_began + n });
        store
            .put(b"n", int((after_began + n) as i64).as_bytes(), None)
            .map_err(|error| format!("no put after the crash: {error}"))?;
        disk.note(Event::Done { worker: AFTER, step: after_began + n });
    }
    integrity(disk)?;
    db.close().map_err(|error| format!("closing after the crash: {error}"))?;
    Ok(())
}

fn integrity(disk: &Disk) -> Result<(), String> {
    let connection = Connection::open(disk.file()).map_err(|error| error.to_string())?;
    let found: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| format!("integrity check: {error}"))?;
    match &*found {
        "ok" => Ok(()),
        found => Err(format!("integrity check: {found}")),
    }
}

/// The entries take a new version, which is there after opening again.
pub fn check_entries_go_on(disk: &Disk) -> Result<(), String> {
    let db = open(disk, "full")?;
    let registry = db.entries().map_err(|error| error.to_string())?;
    let last = registry.versions().map_err(|error| error.to_string())?.last().map(|it| it.id);
    let change = [("create", "after:the.crash".to_owned(), 1)];
    let made = apply(&registry, &change).map_err(|error| format!("no apply: {error}"))?;
    db.close().map_err(|error| error.to_string())?;
    drop(registry);
    if Some(made) <= last {
        return Err(format!("v{made} was made after {last:?}"));
    }
    let db = open(disk, "full")?;
    let registry = db.entries().map_err(|error| error.to_string())?;
    let head = registry.current_version().map_err(|error| error.to_string())?;
    let entries = registry.snapshot().map_err(|error| error.to_string())?.len();
    db.close().map_err(|error| error.to_string())?;
    match head == made && entries > 0 {
        true => Ok(()),
        false => Err(format!("the head is v{head} after v{made} was made")),
    }
}

/// The writes after a recovery that had begun and that were done before a cut
/// of its own record.
pub fn after(record: &Record, cut: usize) -> (usize, usize) {
    record.progress(cut, AFTER)
}
