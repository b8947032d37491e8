//! Power cuts: the states they can leave, opened and compared with what was
//! acknowledged.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acervo::database::Database;
use acervo::error::Code;
use acervo::value::Value;
use rusqlite::Connection;

use super::check::{Promise, after, check, check_entries_go_on, disk_with, open};
use super::common::options;
use super::cut::{Files, Record};
use super::disk::{Call, Disk, Event, Fault};
use super::random::{Random, factor, seed};
use super::work::{Behind, Store, Versions, Worker, work};

/// What is cut, and how often.
pub struct Trial {
    pub record: Record,
    pub workers: Vec<Box<dyn Worker>>,
    pub promise: Promise,
}

#[derive(Default, Debug)]
struct Tried {
    cuts: usize,
    during_recovery: usize,
}

fn fingerprint(files: &Files) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}

impl Trial {
    /// Tries `cuts` different states; gives the first fault.
    fn run(&self, name: &str, cuts: usize, random: &mut Random) -> Result<Tried, String> {
        let cuts = cuts * factor();
        let mut seen = HashSet::new();
        let mut tried = Tried::default();
        // A cut between two acknowledgements matters as much as one between
        // two writes, and there are fewer of them.
        let acknowledged: Vec<usize> = (0..self.record.events.len())
            .filter(|&at| matches!(self.record.events[at], Event::Done { .. }))
            .map(|at| at + 1)
            .collect();
        // Files that were there before the record begins are its first events.
        let was_there = |event: &&Event| matches!(event, Event::Made { durable: true, .. });
        let begin = self.record.events.iter().take_while(was_there).count();
        for attempt in 0..cuts * 6 {
            if tried.cuts >= cuts {
                break;
            }
            let cut = match acknowledged.is_empty() || random.once_in(2) {
                true => begin + random.below(self.record.events.len() + 1 - begin),
                false => random.pick(&acknowledged),
            };
            let files = self.record.state(cut, random);
            if !seen.insert((fingerprint(&files), cut)) {
                continue;
            }
            tried.cuts += 1;
            let nested = random.once_in(8);
            let result = self.try_state(&files, cut, nested, &mut tried, random);
            if let Err(fault) = result {
                return Err(format!(
                    "{name}: cut {cut} of {}, attempt {attempt}, seed {}: {fault}\n{}",
                    self.record.events.len(),
                    seed(),
                    list(&files)
                ));
            }
        }
        println!("{name}: {} cuts, {} during recovery", tried.cuts, tried.during_recovery);
        Ok(tried)
    }

    fn try_state(
        &self,
        files: &Files,
        cut: usize,
        nested: bool,
        tried: &mut Tried,
        random: &mut Random,
    ) -> Result<(), String> {
        let disk = disk_with(files, random);
        if nested {
            disk.record();
        } else if files.keys().any(|name| name.ends_with("-journal")) {
            look(&disk)?;
        }
        check(&disk, &self.workers, &self.record, cut, self.promise, (0, 0))?;
        if !nested {
            if random.once_in(4) {
                check_entries_go_on(&disk)?;
            }
            disk.forget();
            return Ok(());
        }
        disk.forget();
        // The power fails again while the database recovers, or soon after.
        let again = Record::new(disk.events());
        for _ in 0..6 {
            let begin = files.len();
            let second = begin + random.below(again.events.len() + 1 - begin);
            let state = again.state(second, random);
            tried.during_recovery += 1;
            let disk = disk_with(&state, random);
            check(&disk, &self.workers, &self.record, cut, self.promise, after(&again, second))
                .map_err(|fault| format!("cut again at {second}: {fault}\n{}", list(&state)))?;
            disk.forget();
        }
        Ok(())
    }
}

/// What may not be written can be read, or it is said why not.
fn look(disk: &Disk) -> Result<(), String> {
    let path = disk.file();
    let read_only = options(&[("read_only", Value::from_json(b"true").unwrap())]);
    let opened = Database::open(path.as_os_str().as_bytes(), &read_only).map(drop);
    let checked = acervo::database::check_file(&path).map(drop);
    for error in [opened, checked].into_iter().filter_map(Result::err) {
        if !matches!(error.code, Code::Unavailable | Code::Invalid) {
            return Err(format!("read only: {:?}: {error}", error.code));
        }
    }
    Ok(())
}

fn list(files: &Files) -> String {
    let one = |(name, content): (&String, &Vec<u8>)| format!("{name} {} bytes", content.len());
    files.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Runs workers on a new disk, recorded from `from_creation` or from when the
/// database was there.
fn recorded(
    workers: Vec<Box<dyn Worker>>,
    durability: &str,
    from_creation: bool,
    also: impl FnOnce(&Arc<Disk>) + Send,
) -> Trial {
    let disk = Disk::slow();
    if !from_creation {
        open(&disk, durability).unwrap().close().unwrap();
    }
    disk.record();
    let db = open(&disk, durability).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| also(&disk));
        work(&disk, &db, &workers);
    });
    db.close().unwrap();
    disk.forget();
    let promise = if durability == "full" { Promise::All } else { Promise::Prefix };
    Trial { record: Record::new(disk.events()), workers, promise }
}

fn passes(name: &str, trial: &Trial, cuts: usize, random: &mut Random) {
    if let Err(fault) = trial.run(name, cuts, random) {
        panic!("{fault}");
    }
}

fn mixed(random: &mut Random) -> Vec<Box<dyn Worker>> {
    vec![
        Store::new("one", 60, 3000, random),
        Store::new("two", 60, 300, random),
        Store::new("three", 60, 300, random),
        Behind::new(60, random),
        Versions::new(60, random),
    ]
}

#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    let mut random = Random::new(seed());
    let trial = recorded(mixed(&mut random), "full", false, |_| {});
    passes("full", &trial, 50, &mut random);
}

#[test]
fn at_normal_a_power_cut_leaves_what_was_there_at_some_moment() {
    let mut random = Random::new(seed() + 1);
    let trial = recorded(mixed(&mut random), "normal", false, |_| {});
    passes("normal", &trial, 30, &mut random);
}

/// Moves the log into the database again and again, as a full log does.
fn checkpoint(disk: &Disk, synchronous: &str) {
    let connection = Connection::open(disk.file()).unwrap();
    connection.pragma_update(None, "synchronous", synchronous).unwrap();
    for round in 0..40 {
        let mode = ["PASSIVE", "RESTART", "TRUNCATE", "FULL"][round % 4];
        // A writer may be in the way, which is no fault.
        let _ = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_power_cut_in_a_checkpoint_loses_nothing_acknowledged() {
    for (durability, cuts) in [("full", 25), ("normal", 20)] {
        let mut random = Random::new(seed() + 2);
        let trial =
            recorded(mixed(&mut random), durability, false, |disk| checkpoint(disk, "NORMAL"));
        passes(&format!("checkpoints, {durability}"), &trial, cuts, &mut random);
    }
}

/// As much data as fills SQLite's log, so that commits move it into the file.
#[test]
fn a_power_cut_when_the_log_is_full_loses_nothing_acknowledged() {
    for (durability, cuts) in [("full", 12), ("normal", 12)] {
        let mut random = Random::new(seed() + 20);
        let workers: Vec<Box<dyn Worker>> = vec![
            Store::new("one", 100, 60_000, &mut random),
            Store::new("two", 100, 60_000, &mut random),
            Versions::new(100, &mut random),
        ];
        let trial = recorded(workers, durability, false, |_| {});
        passes(&format!("full log, {durability}"), &trial, cuts, &mut random);
    }
}

#[test]
fn a_power_cut_in_the_creation_leaves_nothing_or_a_database() {
    let mut random = Random::new(seed() + 3);
    let workers: Vec<Box<dyn Worker>> =
        vec![Store::new("one", 4, 300, &mut random), Versions::new(4, &mut random)];
    let trial = recorded(workers, "full", true, |_| {});
    passes("creation", &trial, 50, &mut random);
}

#[test]
fn a_power_cut_while_derived_data_is_written_loses_no_version() {
    let mut random = Random::new(seed() + 4);
    // It comes when so many versions are new: some steps after these.
    let versions = Versions::on_top_of(2040, 40, &mut random);
    let disk = Disk::new();
    let db = open(&disk, "normal").unwrap();
    versions.fill(&db);
    db.close().unwrap();
    disk.record();
    let db = open(&disk, "full").unwrap();
    let workers: Vec<Box<dyn Worker>> = vec![versions];
    work(&disk, &db, &workers);
    // In parts: there are more entries than are written at once.
    let noted = |key: &str| {
        let connection = Connection::open(disk.file()).unwrap();
        let sql = "SELECT count(*) FROM acervo_meta WHERE key = ?1";
        connection.query_row(sql, [key], |row| row.get::<_, i64>(0)).unwrap() > 0
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !noted("net_version") {
        assert!(Instant::now() < deadline, "nothing was derived");
        std::thread::sleep(Duration::from_millis(5));
    }
    db.close().unwrap();
    disk.forget();
    let trial = Trial { record: Record::new(disk.events()), workers, promise: Promise::All };
    passes("derived data", &trial, 40, &mut random);
}

#[test]
fn a_power_cut_while_the_log_is_compacted_loses_nothing_acknowledged() {
    let mut random = Random::new(seed() + 5);
    let workers: Vec<Box<dyn Worker>> = vec![Store::new("one", 40, 3000, &mut random)];
    let disk = Disk::slow();
    // As much garbage as has it compact with every commit.
    let db = open(&disk, "normal").unwrap();
    let store = db.store(b"garbage").unwrap();
    for round in 0..24 {
        let mut batch = acervo::kv::Batch::new();
        for n in 0..200 {
            let value = super::common::int(round * 1000 + n);
            batch.put(format!("k{n}").as_bytes(), value.as_bytes(), None, 100).unwrap();
        }
        store.commit(&batch).unwrap();
    }
    db.close().unwrap();
    disk.record();
    let db = open(&disk, "full").unwrap();
    let before = super::common::stat(&db, "log_rows");
    work(&disk, &db, &workers);
    assert!(super::common::stat(&db, "log_rows") < before, "nothing was compacted");
    db.close().unwrap();
    disk.forget();
    let trial = Trial { record: Record::new(disk.events()), workers, promise: Promise::All };
    passes("compaction", &trial, 25, &mut random);
}

#[test]
fn opening_and_closing_again_and_again_survives_power_cuts() {
    let mut random = Random::new(seed() + 6);
    let workers: Vec<Box<dyn Worker>> =
        vec![Store::new("one", 40, 300, &mut random), Versions::new(40, &mut random)];
    let disk = Disk::new();
    open(&disk, "full").unwrap().close().unwrap();
    disk.record();
    for step in 1..=40 {
        let db = open(&disk, "full").unwrap();
        for (number, worker) in workers.iter().enumerate() {
            // Not always both: each has connections of its own.
            disk.note(Event::Began { worker: number, step });
            worker.step(&db, step).unwrap();
            disk.note(Event::Done { worker: number, step });
        }
        db.close().unwrap();
    }
    disk.forget();
    let trial = Trial { record: Record::new(disk.events()), workers, promise: Promise::All };
    passes("reopening", &trial, 30, &mut random);
}

/// Lets syncs fail now and then, and writes all the time what nobody syncs, as
/// a process with `normal` does.
fn fail_syncs(disk: &Disk) {
    let connection = Connection::open(disk.file()).unwrap();
    connection.pragma_update(None, "synchronous", "NORMAL").unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection.execute("CREATE TABLE other (n)", []).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    for after in [3, 7, 5, 9, 1, 8, 4, 6] {
        let errno = libc::EIO;
        let fault = Fault { call: Call::Sync, after, lasting: false, errno };
        let mut written = 0;
        while written < 5 || disk.is_failing() {
            // Others are in the way, and it is hit by the failures too.
            written += usize::from(connection.execute("INSERT INTO other VALUES (1)", []).is_ok());
            if written == 2 {
                disk.set_fault(Some(fault));
                written += 1;
            }
            std::thread::sleep(Duration::from_micros(30));
        }
    }
}

/// A failed sync says nothing about what it was to write, and a later one
/// nothing either: the kernel takes the pages for written.
#[test]
fn what_is_acknowledged_after_a_failed_sync_survives_a_power_cut() {
    for round in 0..3 {
        let mut random = Random::new(seed() + 10 + round as u64);
        let workers: Vec<Box<dyn Worker>> = vec![
            Store::new("one", 80, 3000, &mut random),
            Store::new("two", 80, 300, &mut random),
            Behind::new(80, &mut random),
            Versions::new(80, &mut random),
        ];
        let trial = recorded(workers, "full", false, |disk| fail_syncs(disk));
        let failed = |event: &&Event| matches!(event, Event::SyncFailed { .. });
        assert!(trial.record.events.iter().filter(failed).count() > 3);
        passes("failed syncs", &trial, 15, &mut random);
    }
}

/// Also not what was there when the file was made.
#[test]
fn a_failed_sync_in_the_creation_takes_nothing_with_it_later() {
    for after in 0..6 {
        let mut random = Random::new(seed() + 40 + after as u64);
        let workers: Vec<Box<dyn Worker>> =
            vec![Store::new("one", 6, 300, &mut random), Versions::new(6, &mut random)];
        let disk = Disk::new();
        disk.record();
        let errno = libc::EIO;
        disk.set_fault(Some(Fault { call: Call::Sync, after, lasting: false, errno }));
        let db = (0..3).find_map(|_| open(&disk, "full").ok()).unwrap();
        work(&disk, &db, &workers);
        db.close().unwrap();
        disk.forget();
        let trial = Trial { record: Record::new(disk.events()), workers, promise: Promise::All };
        passes(&format!("failed sync {after} in the creation"), &trial, 10, &mut random);
    }
}

/// Names that were not synced are lost by a cut, and with the name of the log
/// all that was committed to it: also when it is the sync of the directory that
/// fails, in the creation and each time the file is opened.
#[test]
fn a_directory_that_could_not_be_synced_takes_nothing_acknowledged_with_it() {
    for is_new in [true, false] {
        for after in 0..3 {
            let mut random = Random::new(seed() + 50 + after as u64);
            let workers: Vec<Box<dyn Worker>> = vec![Store::new("one", 12, 300, &mut random)];
            let disk = Disk::new();
            if !is_new {
                open(&disk, "full").unwrap().close().unwrap();
            }
            disk.record();
            let errno = if after == 1 { libc::EMFILE } else { libc::EIO };
            disk.set_fault(Some(Fault { call: Call::DirectorySync, after, lasting: false, errno }));
            let db = (0..3).find_map(|_| open(&disk, "full").ok()).unwrap();
            work(&disk, &db, &workers);
            db.close().unwrap();
            disk.forget();
            let trial =
                Trial { record: Record::new(disk.events()), workers, promise: Promise::All };
            let name = format!("failed sync {after} of the directory, new file {is_new}");
            passes(&name, &trial, 20, &mut random);
        }
    }
}

/// The check of the check: a disk that says it synced and did not loses what
/// was acknowledged, and that is found.
#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let mut random = Random::new(seed() + 7);
    let disk = Disk::slow();
    open(&disk, "full").unwrap().close().unwrap();
    disk.lie_about_syncs();
    disk.record();
    let workers = mixed(&mut random);
    let db = open(&disk, "full").unwrap();
    work(&disk, &db, &workers);
    db.close().unwrap();
    disk.forget();
    let trial = Trial { record: Record::new(disk.events()), workers, promise: Promise::All };
    let found = trial.run("lying disk", 60, &mut random);
    assert!(found.is_err(), "{found:?}");
}

/// So is a library that syncs too little: `normal` does not keep the promise
/// of `full`, and `off` not that of `normal`. How threads run decides whether a
/// record has a moment that shows it, so there are some.
#[test]
fn a_lower_durability_does_not_pass_for_a_higher_one() {
    const RECORDS: u64 = 8;
    let is_found = |what, cuts, trial: &dyn Fn(&mut Random) -> Trial| {
        (0..RECORDS).any(|record| {
            let mut random = Random::new(seed() + 8 + record);
            trial(&mut random).run(what, cuts, &mut random).is_err()
        })
    };
    assert!(is_found("normal for full", 60, &|random| {
        let trial = recorded(mixed(random), "normal", false, |_| {});
        Trial { promise: Promise::All, ..trial }
    }));
    assert!(is_found("off for normal", 400, &|random| {
        recorded(mixed(random), "off", false, |disk| checkpoint(disk, "OFF"))
    }));
}
