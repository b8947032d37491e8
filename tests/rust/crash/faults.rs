//! Calls of the system that fail: the error of the spec, memory and file that
//! agree, nothing acknowledged lost, and everything works again afterwards.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use acervo::database::Database;
use acervo::error::{Code, Error};

use rusqlite::Connection;

use super::check::{check_entries_go_on, open, settings};
use super::disk::{Call, Disk, Fault};
use super::random::{Random, factor, seed};
use super::work::{Behind, Store, Versions, Worker};

pub const STEPS: usize = 10;

pub fn workers() -> Vec<Box<dyn Worker>> {
    let mut random = Random::new(7);
    vec![
        Store::new("one", STEPS, 6000, &mut random),
        Behind::new(STEPS, &mut random),
        Versions::new(STEPS, &mut random),
    ]
}

/// Compares what each worker did with what is there.
pub fn compare_all(
    db: &Database,
    workers: &[Box<dyn Worker>],
    done: &[usize],
) -> Result<(), String> {
    for (worker, &done) in workers.iter().zip(done) {
        worker.found(db, done, done)?;
    }
    Ok(())
}

/// How often a step is tried while the fault lasts.
const ATTEMPTS: usize = 3;

struct Run {
    disk: Arc<Disk>,
    workers: Vec<Box<dyn Worker>>,
    /// How many steps each worker has done.
    done: Vec<usize>,
    failed: usize,
}

/// What an I/O error comes out as.
fn check_error(error: &Error, fault: Fault) -> Result<(), String> {
    let is_right = error.code == Code::Unavailable
        // The system says that the directory is not there, or no permission.
        || fault.call == Call::Open && matches!(error.code, Code::Invalid | Code::PermissionDenied);
    if !is_right {
        return Err(format!("it comes out as {:?}: {error}", error.code));
    }
    if !error.retryable {
        return Err(format!("not retryable: {error}"));
    }
    // The system's own words are in it; for a full disk SQLite has its own.
    let words = match fault.errno {
        libc::ENOSPC => "disk full".to_owned(),
        errno => std::io::Error::from_raw_os_error(errno).to_string(),
    };
    let words = words.split(" (os").next().unwrap_or_default();
    if !error.message.contains(words) {
        return Err(format!("no \"{words}\" in: {error}"));
    }
    Ok(())
}

impl Run {
    fn new(disk: Arc<Disk>) -> Self {
        let workers = workers();
        let done = vec![0; workers.len()];
        Self { disk, workers, done, failed: 0 }
    }

    /// All that was done is there, and what was not is not. `running`: that
    /// worker's next step may be there.
    fn compare(&self, db: &Database, running: Option<usize>) -> Result<(), String> {
        for (number, worker) in self.workers.iter().enumerate() {
            let done = self.done[number];
            let began = done + usize::from(running == Some(number));
            worker.found(db, done, began)?;
        }
        Ok(())
    }

    /// What a process that is killed now leaves.
    fn compare_killed(&self, running: usize) -> Result<(), String> {
        let disk = Disk::holding(&self.disk.files());
        let db = open(&disk, "full")?;
        // What was written behind may be older.
        let result = [0, 2].into_iter().try_for_each(|number| {
            let done = self.done[number];
            let began = done + usize::from(running == number);
            self.workers[number].found(&db, done, began).map(drop)
        });
        db.close().map_err(|error| error.to_string())?;
        disk.forget();
        result.map_err(|fault| format!("after a kill: {fault}"))
    }

    fn open(&mut self, fault: Fault) -> Result<Database, String> {
        let path = self.disk.file();
        let path = path.as_os_str().as_bytes();
        match Database::open(path, &settings("full")) {
            Ok(db) => Ok(db),
            Err(error) => {
                self.failed += 1;
                check_error(&error, fault)?;
                self.disk.set_fault(None);
                Database::open(path, &settings("full"))
                    .map_err(|error| format!("it does not open afterwards: {error}"))
            }
        }
    }

    fn step(&mut self, db: &Database, number: usize, fault: Fault) -> Result<(), String> {
        let step = self.done[number] + 1;
        let mut attempts = 0;
        while let Err(error) = self.workers[number].step(db, step) {
            self.failed += 1;
            attempts += 1;
            check_error(&error, fault)?;
            if attempts > ATTEMPTS {
                return Err(format!("it does not work afterwards: {error}"));
            }
            if attempts == 1 {
                self.compare_killed(number)?;
            }
            if attempts == ATTEMPTS || !fault.lasting {
                self.disk.set_fault(None);
                attempts = ATTEMPTS;
                // Nothing of it was done, in memory either.
                self.compare(db, None)?;
            }
        }
        self.done[number] = step;
        Ok(())
    }

    fn run(&mut self, fault: Fault) -> Result<(), String> {
        let db = self.open(fault)?;
        for _ in 1..=STEPS {
            for number in 0..self.workers.len() {
                self.step(&db, number, fault)?;
            }
        }
        self.disk.set_fault(None);
        self.compare(&db, None)?;
        let mode: String = Connection::open(self.disk.file())
            .and_then(|it| it.pragma_query_value(None, "journal_mode", |row| row.get(0)))
            .map_err(|error| error.to_string())?;
        if mode != "wal" {
            return Err(format!("the journal mode is {mode}"));
        }
        db.close().map_err(|error| format!("closing: {error}"))?;
        let db = open(&self.disk, "full")?;
        let report = self.compare(&db, None).map_err(|fault| format!("after opening: {fault}"));
        db.close().map_err(|error| error.to_string())?;
        report?;
        check_entries_go_on(&self.disk)
    }
}

/// A file that holds something, closed.
fn prepared() -> Vec<(String, Vec<u8>)> {
    let disk = Disk::new();
    let db = open(&disk, "full").unwrap();
    db.global().put(b"k", super::common::int(1).as_bytes(), None).unwrap();
    db.close().unwrap();
    let files = disk.files();
    disk.forget();
    files
}

fn no_fault() -> Fault {
    Fault { call: Call::Open, after: 0, lasting: false, errno: libc::EIO }
}

/// How many calls of each kind the whole takes.
fn calls(files: &[(String, Vec<u8>)]) -> Vec<usize> {
    let disk = Disk::holding(files);
    disk.count_calls();
    let mut run = Run::new(Arc::clone(&disk));
    run.run(no_fault()).unwrap();
    disk.forget();
    Call::ALL.iter().map(|&call| disk.calls(call)).collect()
}

#[test]
fn every_call_that_fails_is_an_error_that_passes() {
    let mut random = Random::new(seed());
    let files = prepared();
    for new in [true, false] {
        let start: &[(String, Vec<u8>)] = if new { &[] } else { &files };
        let counts = calls(start);
        let (mut injected, mut failed) = (0, 0);
        for (&call, &count) in Call::ALL.iter().zip(&counts) {
            for lasting in [false, true] {
                let tries = count.min(3 * factor());
                for number in 0..tries {
                    let after = match count == tries {
                        true => number,
                        false => random.below(count),
                    };
                    let errno = match call {
                        Call::Write if random.once_in(2) => libc::ENOSPC,
                        Call::ShortWrite => libc::ENOSPC,
                        Call::Open if random.once_in(2) => libc::EMFILE,
                        _ => libc::EIO,
                    };
                    let fault = Fault { call, after, lasting, errno };
                    let disk = Disk::holding(start);
                    disk.set_fault(Some(fault));
                    let mut run = Run::new(Arc::clone(&disk));
                    if let Err(what) = run.run(fault) {
                        panic!("new {new}, {fault:?}, done {:?}: {what}", run.done);
                    }
                    injected += 1;
                    failed += run.failed;
                    disk.forget();
                }
            }
        }
        println!("faults, new file {new}: {injected} injected, {failed} calls of ours failed");
    }
}
