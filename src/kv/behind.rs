//! How far the file is behind the registry: the cuts on their way, since when
//! the oldest write waits, and when a put has to wait for the writer.
//!
//! A put looks at one number, [`Behind::is_due`]. It is due where nobody is
//! awake to write it, and where the oldest write has waited for as long as
//! `max_unwritten_ms` allows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::blocks::Blocks;
use super::table::{cost, fetched};
use crate::platform::clock;
use crate::platform::sync::Mutex;
use crate::platform::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use crate::value::Value;

/// What the registry held at one moment and the file did not have.
pub(super) struct Cut {
    pub(super) cells: Blocks<Value>,
    /// What they cost.
    pub(super) bytes: usize,
    /// Since when the oldest of the writes waits, about.
    since: Instant,
}

impl Cut {
    pub(super) fn new(cells: Blocks<Value>, since: Instant) -> Self {
        let bytes = fetched(cells.iter()).map(cost).sum();
        Self { cells, bytes, since }
    }
}

/// How far the file is behind.
pub(super) struct Behind {
    /// From when on puts look closer (the coarse clock's nanoseconds).
    due: AtomicI64,
    /// How long a write may wait; `None`: as long as it takes.
    bound: Option<Duration>,
    state: Mutex<State>,
    /// How many puts have waited for the writer.
    stalls: AtomicU64,
    /// Whether the host was told that puts wait, since they last did not.
    is_told: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Oldest first. They stay here until the file has them.
    cuts: VecDeque<Arc<Cut>>,
    /// Since when the oldest write of a cut waits that is being taken.
    taken: Option<Instant>,
    /// Since when the oldest write waits that is in no cut, about.
    waiting: Option<Instant>,
    /// The file cannot be written: writes stay in memory, and nobody waits.
    is_failing: bool,
}

impl State {
    fn oldest(&self) -> Option<Instant> {
        self.cuts.front().map(|cut| cut.since).or(self.taken).or(self.waiting)
    }
}

/// Bytes that may wait.
const BYTES: usize = 256 << 20;
const ALWAYS: i64 = i64::MIN;
const NEVER: i64 = i64::MAX;

impl Behind {
    pub(super) fn new(bound: Option<Duration>) -> Self {
        Self {
            due: AtomicI64::new(ALWAYS),
            bound,
            state: Mutex::new(State::default()),
            stalls: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
        }
    }

    /// Whether a put has to look closer at `now`, of the coarse clock, with so
    /// many bytes that wait for a cut.
    #[inline(always)]
    pub(super) fn is_due(&self, now: i64, waiting_bytes: usize) -> bool {
        now >= self.due.load(Ordering::Relaxed) || waiting_bytes > BYTES
    }

    /// A write waits, and somebody is awake to write it.
    pub(super) fn note_write(&self) {
        let mut state = self.state.lock();
        state.waiting.get_or_insert_with(Instant::now);
        self.set_due(&state);
    }

    fn set_due(&self, state: &State) {
        let due = match (state.oldest(), self.bound) {
            // The next write says when it came.
            (None, _) => ALWAYS,
            (Some(_), _) if state.is_failing => NEVER,
            (Some(_), None) => NEVER,
            (Some(oldest), Some(bound)) => {
                let left = (oldest + bound).saturating_duration_since(Instant::now());
                let left = i64::try_from(left.as_nanos()).unwrap_or(NEVER);
                clock::now_coarse().saturating_add(left)
            }
        };
        self.due.store(due, Ordering::Release);
    }

    /// Whether a put has to wait for the writer.
    pub(super) fn is_late(&self, waiting_bytes: usize) -> bool {
        let state = self.state.lock();
        // The clock that puts look at may have been set.
        self.set_due(&state);
        let bytes: usize = state.cuts.iter().map(|cut| cut.bytes).sum();
        let age = state.oldest().map(|oldest| oldest.elapsed());
        !state.is_failing
            && (waiting_bytes + bytes > BYTES
                || age.zip(self.bound).is_some_and(|(age, bound)| age >= bound))
    }

    /// Takes a cut by `take` and keeps it, unless nothing waits. Every write
    /// that is not in the cut has to say when it came, and to wake who writes.
    pub(super) fn cut(&self, take: impl FnOnce() -> Blocks<Value>) {
        self.due.store(ALWAYS, Ordering::Release);
        let since = {
            let mut state = self.state.lock();
            state.taken = state.waiting.take();
            state.taken.unwrap_or_else(Instant::now)
        };
        let cut = Cut::new(take(), since);
        let mut state = self.state.lock();
        state.taken = None;
        if !cut.cells.is_empty() {
            state.cuts.push_back(Arc::new(cut));
        }
    }

    /// The oldest cuts that are not in the file: up to so many bytes, but one
    /// at least if there is one.
    pub(super) fn cuts(&self, bytes: usize) -> Vec<Arc<Cut>> {
        let mut left = bytes;
        let mut cuts = Vec::new();
        for cut in &self.state.lock().cuts {
            if !cuts.is_empty() && cut.bytes > left {
                break;
            }
            left = left.saturating_sub(cut.bytes);
            cuts.push(Arc::clone(cut));
        }
        cuts
    }

    /// Whether there are cuts that are not in the file.
    pub(super) fn has_cuts(&self) -> bool {
        !self.state.lock().cuts.is_empty()
    }

    /// So many of the oldest cuts are in the file.
    pub(super) fn landed(&self, cuts: usize) {
        self.state.lock().cuts.drain(..cuts);
    }

    /// What was tried to be written is, or could not be.
    pub(super) fn note_flush(&self, has_failed: bool) {
        let mut state = self.state.lock();
        state.is_failing = has_failed;
        // Writes that have come meanwhile and those that come look anew.
        if state.oldest().is_some() {
            self.set_due(&state);
        }
    }

    /// How many cells are in cuts, and since when the oldest write waits.
    pub(super) fn figures(&self) -> (usize, Option<Duration>) {
        let state = self.state.lock();
        let cells = state.cuts.iter().map(|cut| cut.cells.len()).sum();
        (cells, state.oldest().map(|oldest| oldest.elapsed()))
    }

    pub(super) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// A put waits; whether that is news.
    pub(super) fn note_stall(&self) -> bool {
        self.stalls.fetch_add(1, Ordering::Relaxed);
        !self.is_told.swap(true, Ordering::Relaxed)
    }

    /// Nothing waits any more.
    pub(super) fn note_rest(&self) {
        self.is_told.store(false, Ordering::Relaxed);
    }

    /// How long a write may wait.
    pub(super) fn bound(&self) -> Option<Duration> {
        self.bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Stamp;

    const SOON: Option<Duration> = Some(Duration::from_millis(20));

    /// A cell with so many bytes.
    fn one(len: usize) -> Blocks<Value> {
        let mut cells = Blocks::default();
        cells.push(Value::stored(b"key", &vec![0xc0; len], Stamp::default()));
        cells
    }

    #[test]
    fn as_many_cuts_are_given_as_fit_and_always_one() {
        let behind = Behind::new(None);
        assert!(behind.cuts(usize::MAX).is_empty() && !behind.has_cuts());
        behind.cut(Blocks::default);
        assert!(!behind.has_cuts());
        for _ in 0..5 {
            behind.cut(|| one(1000));
        }
        let counts = [0, 1, 2500, 1 << 20].map(|bytes| behind.cuts(bytes).len());
        assert_eq!(counts, [1, 1, 2, 5]);
        behind.landed(3);
        assert_eq!(behind.cuts(usize::MAX).len(), 2);
        assert_eq!(behind.figures().0, 2);
    }

    fn is_due(behind: &Behind) -> bool {
        behind.is_due(clock::now_coarse(), 0)
    }

    #[test]
    fn a_put_is_due_until_somebody_is_awake_and_again_when_the_file_is_far_behind() {
        let behind = Behind::new(SOON);
        assert!(is_due(&behind) && !behind.is_late(0));
        behind.note_write();
        assert!(!is_due(&behind) && !behind.is_late(0));
        std::thread::sleep(Duration::from_millis(40));
        assert!(is_due(&behind) && behind.is_late(0));
        behind.cut(|| one(100));
        // Its writes still wait, also where newer ones have come.
        behind.note_write();
        assert!(is_due(&behind) && behind.is_late(0));
        behind.landed(1);
        behind.note_flush(false);
        assert!(!behind.is_late(0));
    }

    #[test]
    fn nobody_waits_for_a_file_that_cannot_be_written() {
        let behind = Behind::new(SOON);
        behind.note_write();
        behind.cut(|| one(100));
        behind.note_write();
        assert!(behind.is_late(BYTES));
        behind.note_flush(true);
        std::thread::sleep(Duration::from_millis(40));
        assert!(!is_due(&behind) && !behind.is_late(BYTES + 1));
        behind.landed(1);
        behind.note_flush(false);
        assert!(behind.is_late(BYTES + 1));
    }

    #[test]
    fn without_a_bound_only_bytes_count() {
        let behind = Behind::new(None);
        behind.note_write();
        std::thread::sleep(Duration::from_millis(20));
        assert!(!is_due(&behind) && !behind.is_late(0));
        assert!(behind.is_due(0, BYTES + 1) && behind.is_late(BYTES + 1));
    }
}
