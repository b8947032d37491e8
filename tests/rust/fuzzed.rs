//! The targets of fuzz/ without libFuzzer: over their corpora, over a number of
//! mutations of those from a seed that is always the same, and over others for
//! a time, some seconds each, from a seed that is new each time and printed.
//!
//! ACERVO_FUZZ_SEED and ACERVO_FUZZ_ROUNDS choose other ones; with rounds no
//! time counts.
#![allow(missing_docs, unreachable_pub, reason = "the targets are a module of several programs")]
#![allow(clippy::print_stdout, reason = "seeds, to repeat a run with")]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../../fuzz/targets/mod.rs"]
mod targets;

use targets::TARGETS;

/// A generator of numbers: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// An input that comes from the corpus, or from nothing.
fn mutated(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = match random.below(8) {
        0 => {
            let most = 8 << random.below(8);
            (0..random.below(most)).map(|_| random.next() as u8).collect()
        }
        _ => corpus.get(random.below(corpus.len())).cloned().unwrap_or_default(),
    };
    for _ in 0..random.below(6) {
        let (place, other) = (random.below(input.len() + 1), random.below(input.len() + 1));
        let (from, to) = (place.min(other), place.max(other));
        match random.below(7) {
            0 if place < input.len() => input[place] ^= 1 << random.below(8),
            1 if place < input.len() => input[place] = random.next() as u8,
            2 => input.insert(place, random.next() as u8),
            3 => drop(input.drain(from..to.min(from + 8))),
            4 => {
                let part = input[from..to.min(from + 16)].to_vec();
                input.splice(place..place, part);
            }
            5 => {
                // A part of another one.
                let other = corpus.get(random.below(corpus.len())).map_or(&[][..], |it| it);
                let start = random.below(other.len() + 1);
                input.truncate(place);
                input.extend_from_slice(&other[start..]);
            }
            _ => input.truncate(place),
        }
    }
    input.truncate(4096);
    input
}

fn fuzz(name: &str, rounds: usize, seconds: u64) {
    let run = TARGETS.iter().find(|target| target.0 == name).expect("a target").1;
    let corpus = corpus(name);
    for input in &corpus {
        run(input);
    }
    let fresh = RandomState::new().build_hasher().finish();
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let fresh = setting("ACERVO_FUZZ_SEED").unwrap_or(fresh);
    let asked = setting("ACERVO_FUZZ_ROUNDS").map(|rounds| rounds as usize);
    println!("{name}: {} of the corpus; mutations from seeds 1 and {fresh}", corpus.len());
    let mut done = 0;
    for (seed, has_time) in [(1, false), (fresh, asked.is_none())] {
        let (mut random, begin) = (Random(seed), Instant::now());
        let mut round = 0;
        while round < asked.unwrap_or(rounds)
            || (has_time && begin.elapsed() < Duration::from_secs(seconds))
        {
            let input = mutated(&mut random, &corpus);
            let result = std::panic::catch_unwind(|| run(&input));
            if let Err(panic) = result {
                let shown: String = input.iter().map(|byte| format!("\\x{byte:02x}")).collect();
                println!(
                    "{name}: seed {seed}, round {round}: printf '{shown}' > fuzz/corpus/{name}/new"
                );
                std::panic::resume_unwind(panic);
            }
            round += 1;
        }
        done += round;
    }
    println!("{name}: {done} mutations");
}

macro_rules! fuzzed {
    ($($name:ident: $rounds:expr, $seconds:expr;)*) => {
        $(#[test] fn $name() { fuzz(stringify!($name), $rounds, $seconds); })*

        #[test]
        fn no_target_is_forgotten() {
            assert_eq!([$(stringify!($name)),*], TARGETS.map(|target| target.0));
        }
    };
}

// Rounds from either seed at least, and seconds from the new one: the readers of
// bytes do a hundred thousand in one, what opens databases some hundred.
fuzzed! {
    msgpack: 20000, 1;
    json: 20000, 1;
    find: 4000, 2;
    ids: 20000, 1;
    kinds: 4000, 1;
    changeset: 150, 7;
    file: 150, 5;
    calls: 1500, 7;
}
