//! The kernel's part: threads, and `membarrier`.
//!
//! `membarrier` is modelled as what it is: who calls it goes on when every
//! other thread that runs has executed a full fence, each wherever it is then.
//! Threads look before each of their atomic operations whether they are asked
//! for one; as the caller may ask at any moment, the fence stands between any
//! two operations. A thread that sleeps or has ended fenced when it stopped,
//! and does when it goes on.
//!
//! What this does not show is that the kernel keeps that promise.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::thread::{JoinHandle, yield_now};

use crate::local;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// As Linux does.
    Fences,
    /// It knows no such call, or a sandbox has none.
    Refuses,
    /// It has agreed, and then a sandbox is put up.
    RefusesLater,
    /// Broken: it says that all have fenced. A model has to notice.
    Lies,
}

/// Most threads at once, besides the first.
const THREADS: usize = 4;

const RUNS: usize = 0;
const IS_ASKED: usize = 1;
const SLEEPS: usize = 2;
const HAS_ENDED: usize = 3;

struct State {
    kernel: Kernel,
    /// What each is doing. Loom has something that reads and writes at once see
    /// the newest: they are never only read.
    threads: [AtomicUsize; THREADS],
    /// Which of them it ever asks.
    asks: [std::sync::atomic::AtomicBool; THREADS],
    flags: Mutex<Vec<[Arc<AtomicBool>; 2]>>,
    begun: std::sync::atomic::AtomicUsize,
}

static STATE: Mutex<Option<Arc<State>>> = Mutex::new(None);
static ORDERS: AtomicU64 = AtomicU64::new(0);

fn state() -> Arc<State> {
    STATE.lock().unwrap().clone().unwrap()
}

/// How many orders of threads were begun.
pub fn orders() -> u64 {
    ORDERS.load(Relaxed)
}

/// Another order of threads is run.
pub fn begin(kernel: Kernel) {
    ORDERS.fetch_add(1, Relaxed);
    let flags = || [false, true].map(|initial| Arc::new(AtomicBool::new(initial)));
    *STATE.lock().unwrap() = Some(Arc::new(State {
        kernel,
        threads: std::array::from_fn(|_| AtomicUsize::new(HAS_ENDED)),
        asks: Default::default(),
        flags: Mutex::new((0..2 * THREADS).map(|_| flags()).collect()),
        begun: Default::default(),
    }));
}

/// One that was made before the threads began, as those of statics are.
pub fn flag(initial: bool) -> Arc<AtomicBool> {
    let flags = state().flags.lock().unwrap().pop().unwrap();
    let [no, yes] = flags;
    if initial { yes } else { no }
}

loom::thread_local! {
    /// Nothing for the first thread, which only waits for the others.
    static THREAD: Cell<Option<usize>> = Cell::new(None);
}

/// A thread that reads.
pub fn reader(body: impl FnOnce() + 'static) -> JoinHandle<()> {
    spawn(RUNS, body)
}

/// One that does not. `membarrier` passes it over, as if it had fenced long ago:
/// less than the kernel does, and fewer orders to run.
pub fn writer(body: impl FnOnce() + 'static) -> JoinHandle<()> {
    spawn(HAS_ENDED, body)
}

fn spawn(is: usize, body: impl FnOnce() + 'static) -> JoinHandle<()> {
    let state = state();
    let number = state.begun.fetch_add(1, Relaxed);
    state.asks[number].store(is == RUNS, Relaxed);
    state.threads[number].store(is, Ordering::Relaxed);
    loom::thread::spawn(move || {
        THREAD.with(|thread| thread.set(Some(number)));
        body();
        local::drop_all();
        stop(HAS_ENDED);
    })
}

/// The number of this thread.
pub fn thread() -> Option<usize> {
    THREAD.try_with(Cell::get).ok().flatten()
}

fn this(work: impl FnOnce(&State, &AtomicUsize)) {
    if let Some(number) = thread() {
        let state = state();
        if state.asks[number].load(Relaxed) {
            work(&state, &state.threads[number]);
        }
    }
}

/// The moment in which the kernel may interrupt a thread.
pub fn interrupt() {
    this(|state, own| {
        if state.kernel == Kernel::Fences && own.fetch_add(0, Ordering::Relaxed) == IS_ASKED {
            fence(Ordering::SeqCst);
            own.swap(RUNS, Ordering::Relaxed);
        }
    });
}

/// This thread goes to sleep until [`wake`].
pub fn sleep() {
    stop(SLEEPS);
}

fn stop(state: usize) {
    this(|_, own| {
        fence(Ordering::SeqCst);
        own.swap(state, Ordering::Relaxed);
    });
}

pub fn wake() {
    this(|_, own| {
        own.swap(RUNS, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    });
}

/// As `platform/membarrier.rs`.
pub mod membarrier {
    use super::*;

    pub fn register() -> bool {
        state().kernel != Kernel::Refuses
    }

    pub fn fence_in_all() -> bool {
        let state = state();
        match state.kernel {
            Kernel::Refuses | Kernel::RefusesLater => return false,
            Kernel::Lies => return true,
            Kernel::Fences => {}
        }
        let own = thread();
        fence(Ordering::SeqCst);
        let others = || {
            let begun = 0..state.begun.load(Relaxed);
            begun.filter(|&other| Some(other) != own && state.asks[other].load(Relaxed))
        };
        let order = (Ordering::Relaxed, Ordering::Relaxed);
        for other in others() {
            let _ = state.threads[other].compare_exchange(RUNS, IS_ASKED, order.0, order.1);
        }
        for other in others() {
            while state.threads[other].fetch_add(0, Ordering::Relaxed) == IS_ASKED {
                interrupt();
                yield_now();
            }
        }
        fence(Ordering::SeqCst);
        true
    }
}
