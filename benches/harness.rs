//! Measuring one thing against another: the two take turns, slice by slice, so
//! that what the machine does meanwhile hits both, and medians are taken.

use std::time::{Duration, Instant};

/// How long to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Only to see that it runs.
    Smoke,
    /// A few minutes for everything.
    Quick,
    /// What the documents quote.
    Full,
}

impl Effort {
    /// How many turns each side has.
    pub fn rounds(self) -> usize {
        match self {
            Effort::Smoke => 1,
            Effort::Quick => 5,
            Effort::Full => 11,
        }
    }

    /// How long a turn takes.
    pub fn slice(self) -> Duration {
        Duration::from_millis(match self {
            Effort::Smoke => 2,
            Effort::Quick => 60,
            Effort::Full => 300,
        })
    }

    /// How large a data set is that has `full` elements in the tables.
    pub fn scale(self, full: usize) -> usize {
        if self == Effort::Smoke { (full / 1000).max(20) } else { full }
    }
}

/// What a comparison gave. Times are nanoseconds for one operation.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub ours: f64,
    pub anchor: f64,
    /// Median over the rounds of ours divided by the anchor.
    pub ratio: f64,
    /// The quartiles of that.
    pub low: f64,
    pub high: f64,
    pub rounds: usize,
}

impl Pair {
    /// What was measured was so many operations each time.
    pub fn divided(mut self, operations: usize) -> Pair {
        self.ours /= operations as f64;
        self.anchor /= operations as f64;
        self
    }
}

/// Something that does an operation a number of times.
pub type Work<'a> = &'a mut dyn FnMut(usize);

/// Measures both, in turns.
pub fn compare(effort: Effort, ours: Work<'_>, anchor: Work<'_>) -> Pair {
    compare_rounds(effort, effort.rounds(), ours, anchor)
}

/// As `compare`, with another number of rounds.
pub fn compare_rounds(effort: Effort, rounds: usize, ours: Work<'_>, anchor: Work<'_>) -> Pair {
    compare_settled(effort, rounds, ours, anchor, &mut || {})
}

/// As `compare_rounds`; after each of our turns `settle` waits, untimed, until
/// what that left to threads behind it is done, so that it is not the anchor
/// that pays.
pub fn compare_settled(
    effort: Effort,
    rounds: usize,
    ours: Work<'_>,
    anchor: Work<'_>,
    settle: &mut dyn FnMut(),
) -> Pair {
    let ours_count = calibrate(effort.slice(), ours);
    settle();
    let anchor_count = calibrate(effort.slice(), anchor);
    let mut samples = Vec::with_capacity(rounds);
    for round in 0..rounds {
        // Who goes first changes, as the second finds the machine warmer.
        let first_is_ours = round % 2 == 0;
        let mut times = [0.0; 2];
        for turn in 0..2 {
            if (turn == 0) == first_is_ours {
                times[0] = timed(ours, ours_count);
                settle();
            } else {
                times[1] = timed(anchor, anchor_count);
            }
        }
        samples.push((times[0], times[1]));
    }
    pair(&samples)
}

/// The medians of what was sampled: ours and anchor of each round.
pub fn pair(samples: &[(f64, f64)]) -> Pair {
    let ratios = sorted(samples.iter().map(|(ours, anchor)| ours / anchor));
    Pair {
        ours: median(samples.iter().map(|sample| sample.0)),
        anchor: median(samples.iter().map(|sample| sample.1)),
        ratio: quantile(&ratios, 0.5),
        low: quantile(&ratios, 0.25),
        high: quantile(&ratios, 0.75),
        rounds: samples.len(),
    }
}

/// The median time of one operation, for curves.
pub fn time(effort: Effort, work: Work<'_>) -> f64 {
    let count = calibrate(effort.slice() / 2, work);
    let rounds = effort.rounds().min(5);
    let times: Vec<f64> = (0..rounds).map(|_| timed(work, count)).collect();
    median(times.into_iter())
}

/// How many operations fill a slice. Warms up on the way.
fn calibrate(slice: Duration, work: Work<'_>) -> usize {
    // What is made at first use (an index, a cached result) is no measure.
    (0..3).for_each(|_| work(1));
    let mut count = 1;
    loop {
        let start = Instant::now();
        work(count);
        let elapsed = start.elapsed();
        if elapsed * 3 >= slice {
            let scaled = count as f64 * slice.as_secs_f64() / elapsed.as_secs_f64();
            return (scaled as usize).max(1);
        }
        count *= 2;
    }
}

fn timed(work: Work<'_>, count: usize) -> f64 {
    let start = Instant::now();
    work(count);
    start.elapsed().as_nanos() as f64 / count as f64
}

/// The middle one.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(&sorted(values), 0.5)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// What `share` of the sorted values are not above.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted[(last as f64 * share).round() as usize]
}
