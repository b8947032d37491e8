//! Batches of the registry in the file of a killed process: whole or not there,
//! and in their order with what came before and after.

use std::time::Duration;

use acervo::database::Database;
use acervo::kv::{Batch, Kv};
use acervo::value::Value;

use crate::common::other::Other;
use crate::common::random::Random;
use crate::common::{Scratch, as_int, int};
use crate::{seed, times};

/// The largest is several portions of a flush.
const SIZES: [usize; 4] = [8, 300, 1025, 3000];

fn key(n: usize) -> String {
    format!("batch:{n}:of the round")
}

/// Puts the number of the round before, in and after a batch, for ever.
pub fn write_for_ever(db: &Database, size: usize) -> String {
    let registry = db.registry();
    for round in 1.. {
        let number = int(round);
        registry.put(b"before", number.as_bytes(), None).unwrap();
        let mut batch = Batch::new();
        for n in 0..size {
            batch.put(key(n).as_bytes(), number.as_bytes(), None, 100).unwrap();
        }
        registry.commit(&batch).unwrap();
        registry.put(b"after", number.as_bytes(), None).unwrap();
        // What makes a flush long, and moves on while it runs.
        for n in 0..50 {
            let key = format!("other:{}", (round * 50 + n) % 100_000);
            registry.put(key.as_bytes(), number.as_bytes(), None).unwrap();
        }
    }
    String::new()
}

fn number(kv: &Kv, key: &str) -> i64 {
    kv.get(key.as_bytes()).unwrap().as_ref().map_or(0, |value: &Value| as_int(value))
}

#[test]
fn a_batch_is_in_the_file_of_a_killed_process_as_one() {
    let mut random = Random::new(seed());
    let mut wrong = Vec::new();
    let mut kills = 0;
    for size in SIZES {
        for _ in 0..times(6) {
            let scratch = Scratch::new();
            let mut other = Other::start(&scratch);
            other.say(&format!("batches {size}"));
            std::thread::sleep(Duration::from_millis(230 + random.below(200) as u64));
            other.kill();
            let db = scratch.open();
            let registry = db.registry();
            let numbers: Vec<i64> = (0..size).map(|n| number(&registry, &key(n))).collect();
            let (least, most) = (numbers.iter().min().unwrap(), numbers.iter().max().unwrap());
            let (before, after) = (number(&registry, "before"), number(&registry, "after"));
            kills += 1;
            if least != most || before < *most || after > *least {
                wrong.push(format!(
                    "a batch of {size} has {least} to {most}, {before} came before, {after} after"
                ));
            }
        }
    }
    println!("{kills} kills, {} batches in part", wrong.len());
    assert!(wrong.is_empty(), "seed {}: {wrong:#?}", seed());
}
