//! Overwriting for long: the log is compacted again and again.

use acervo::database::{Database, check_file};
use rusqlite::Connection;

use crate::common::other::Other;
use crate::common::{Scratch, options, stat, text};
use crate::rounds::{Share, Size, THREADS, compare, compare_stats, in_threads, right, settle};
use crate::{seed, times};

/// So many times as many changes have to have left the log as are in it.
const TURNS: i64 = 10;

/// A number of all keys and values there are.
pub fn digest(db: &Database) -> u64 {
    let mut digest = 0_u64;
    for kv in [db.registry(), db.global()] {
        for step in kv.walk(b"").unwrap() {
            let (key, value) = step.unwrap();
            for &byte in key.iter().chain(value.as_bytes()) {
                digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    digest
}

#[test]
fn what_is_written_stays_while_the_log_is_compacted() {
    let scratch = Scratch::new();
    let open = || scratch.open_with(&options(&[("durability", text("normal"))]));
    let size = Size { registry: times(6000), store: times(2000) };
    let mut shares: Vec<Share> =
        (0..THREADS).map(|n| Share::new(&format!("c{n}"), size, seed() + n as u64)).collect();
    let mut db = open();
    // It has seen little when nothing of that is in the log any more.
    shares.iter_mut().for_each(|share| share.fill(Some(&db)));
    db.flush().unwrap();
    let mut behind = Other::start(&scratch);
    assert_eq!(behind.ask("digest"), digest(&db).to_string());
    let mut most = 0;
    for round in 0..18 {
        in_threads(&mut shares, |share| match round % 2 {
            0 => share.fill(Some(&db)),
            _ => share.round(Some(&db), round, size.registry),
        });
        settle(&mut shares);
        let when = |what: &str| format!("round {round} of churn, {what}");
        right(&when("in memory"), compare(&db, &shares));
        db.flush().unwrap();
        most = most.max(stat(&db, "log_rows"));
        if round % 6 == 5 {
            right(&when("flushed"), compare_stats(&db, &shares));
            db.close().unwrap();
            db = open();
            right(&when("opened again"), compare(&db, &shares));
            right(&when("opened again"), compare_stats(&db, &shares));
        }
    }
    assert_eq!(behind.ask("digest"), digest(&db).to_string(), "of a process far behind");
    behind.kill();
    db.close().unwrap();
    let (dropped, rows) = Connection::open(scratch.file())
        .unwrap()
        .query_row("SELECT min(seq) - 1, max(seq) - min(seq) + 1 FROM acervo_kv", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
        .unwrap();
    println!("{dropped} changes left the log, {rows} are in it; it had {most} rows at most");
    assert!(dropped >= TURNS * rows, "{dropped} changes left a log of {rows}: too few to tell");
    let report = check_file(scratch.file()).unwrap();
    assert!(report.is_sound(), "{:#?}", report.faults);
}
