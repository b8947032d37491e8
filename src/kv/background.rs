//! The one thread of an open file: `acervo-flush`.
//!
//! It writes the registry behind and frees what has expired. It starts at the
//! first write and sleeps until there is something to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::platform::sync::{Condvar, Mutex};

use super::engine::Engine;
use super::stats::LogLevel;
use crate::platform::clock;
use crate::platform::signals::AllBlocked;

/// How often empty namespaces are looked for while there are writes.
const UPKEEP: Duration = Duration::from_secs(10);
/// Waits longer than any real one.
const NEVER: i64 = i64::MAX;

pub(super) struct Background {
    /// Set while the thread has, or will soon have, something to write.
    awake: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// When the next key expires, in milliseconds since the epoch.
    next_expiry: AtomicI64,
}

#[derive(Default)]
struct State {
    thread: Option<JoinHandle<()>>,
    stopping: bool,
    /// A note that arrived while the thread was at work.
    woken: bool,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            awake: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            next_expiry: AtomicI64::new(NEVER),
        }
    }
}

impl Background {
    #[inline]
    pub(super) fn is_awake(&self) -> bool {
        self.awake.load(Ordering::Relaxed)
    }

    /// Has the thread look after the engine soon; starts it if need be.
    #[cold]
    pub(super) fn wake(&self, engine: &Arc<Engine>) {
        let mut state = self.state.lock();
        if self.awake.swap(true, Ordering::AcqRel) || state.stopping {
            return;
        }
        state.woken = true;
        if state.thread.is_none() {
            state.thread = start(engine);
        }
        self.changed.notify_all();
    }

    /// Has the thread look for expired keys at `at` (milliseconds).
    pub(super) fn expect_expiry(&self, engine: &Arc<Engine>, at: i64) {
        if self.next_expiry.fetch_min(at, Ordering::AcqRel) > at {
            // It may be asleep with a later date in mind.
            self.awake.store(false, Ordering::Release);
            self.wake(engine);
        }
    }

    /// Ends the thread and waits for it, unless it is the caller.
    pub(super) fn stop(&self) {
        let thread = {
            let mut state = self.state.lock();
            state.stopping = true;
            self.changed.notify_all();
            state.thread.take()
        };
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // It catches its panics; there is nothing to learn from joining.
            let _ = thread.join();
        }
    }

    /// Sleeps until woken or until the next key expires. False: stop.
    fn sleep(&self) -> bool {
        let mut state = self.state.lock();
        while !state.stopping && !state.woken {
            let due = self.next_expiry.load(Ordering::Acquire);
            if due == NEVER {
                state = self.changed.wait(state);
                continue;
            }
            let wait = due.saturating_sub(clock::now_millis()).clamp(0, 60_000);
            if wait == 0 {
                break;
            }
            let deadline = Instant::now() + Duration::from_millis(wait as u64);
            (state, _) = self.changed.wait_until(state, deadline);
        }
        state.woken = false;
        !state.stopping
    }

    /// Lets writes gather for the rest of the flush interval. False: stop.
    fn linger(&self, interval: Duration) -> bool {
        let deadline = Instant::now() + interval;
        let mut state = self.state.lock();
        let mut is_over = false;
        while !state.stopping && !is_over {
            (state, is_over) = self.changed.wait_until(state, deadline);
        }
        !state.stopping
    }
}

/// Starts the thread, with every signal blocked. Without one, flush and close
/// still write everything.
fn start(engine: &Arc<Engine>) -> Option<JoinHandle<()>> {
    let _blocked = AllBlocked::new();
    let own = Arc::clone(engine);
    let started =
        std::thread::Builder::new().name("acervo-flush".to_owned()).spawn(move || own.look_after());
    match started {
        Ok(thread) => Some(thread),
        Err(error) => {
            engine.log_hook.write(
                LogLevel::Error,
                &format!("cannot start the background thread: {error}; call flush yourself"),
            );
            None
        }
    }
}

impl Engine {
    /// The thread's life.
    fn look_after(&self) {
        let mut last_upkeep: Option<Instant> = None;
        while self.background.sleep() {
            let work = || {
                if !self.background.linger(self.settings.flush_interval) {
                    return;
                }
                // Before looking for what to write: a write that comes later
                // wakes again.
                self.background.awake.store(false, Ordering::Release);
                // Kept for stats, told to the log hook, tried again below.
                let failed = self.flush().is_err();
                self.sweep();
                if last_upkeep.is_none_or(|last| last.elapsed() >= UPKEEP) {
                    self.spaces.drop_empty_namespaces();
                    last_upkeep = Some(Instant::now());
                }
                if failed {
                    let mut state = self.background.state.lock();
                    state.woken = true;
                }
            };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
                self.poison();
                self.log_hook.write(LogLevel::Error, "the background thread met a panic");
                return;
            }
        }
    }

    /// Frees what has expired and notes when the next is due.
    fn sweep(&self) {
        let now = clock::now_millis();
        if self.background.next_expiry.load(Ordering::Acquire) > now {
            return;
        }
        self.background.next_expiry.store(NEVER, Ordering::Release);
        let mut next = self.spaces.registry.sweep(now);
        for namespace in self.spaces.namespaces() {
            if let Some(due) = namespace.table.sweep(now) {
                next = Some(next.map_or(due, |next: i64| next.min(due)));
            }
        }
        if let Some(due) = next {
            self.background.next_expiry.fetch_min(due, Ordering::AcqRel);
        }
    }
}
