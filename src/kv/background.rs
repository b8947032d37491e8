//! The one thread of an open file: `acervo-flush`.
//!
//! It writes the registry behind and frees what has expired. It starts at the
//! first write and sleeps until there is something to do.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::stats::LogLevel;
use crate::platform::clock;
use crate::platform::signals::AllBlocked;
use crate::platform::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use crate::platform::sync::thread::{self, JoinHandle};
use crate::platform::sync::{Condvar, Mutex, MutexGuard};

/// How often empty namespaces are looked for while there are writes.
const UPKEEP: Duration = Duration::from_secs(10);
/// How long nothing was written or freed when the log is tidied.
const REST: Duration = Duration::from_millis(500);
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
    /// Work of others, in portions.
    tasks: VecDeque<Task>,
    /// When the log is looked at, if nothing else comes; `None`: it is tidy.
    tidy_at: Option<Instant>,
}

/// A portion of work for the thread.
pub(crate) type Task = Box<dyn FnOnce() + Send>;

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

    /// Has the thread write soon what was marked.
    #[cold]
    pub(super) fn wake(&self, engine: &Arc<Engine>) {
        let mut state = self.state.lock();
        if self.awake.swap(true, Ordering::AcqRel) {
            return;
        }
        state.woken = true;
        self.alert(engine, state);
    }

    /// Has the thread look for expired keys at `at` (milliseconds).
    pub(super) fn expect_expiry(&self, engine: &Arc<Engine>, at: i64) {
        if self.next_expiry.fetch_min(at, Ordering::AcqRel) > at {
            // It may be asleep with a later date in mind.
            self.alert(engine, self.state.lock());
        }
    }

    /// Has the thread do `task` soon; if none can be started, when one is for
    /// what comes later.
    pub(super) fn post(&self, engine: &Arc<Engine>, task: Task) {
        let mut state = self.state.lock();
        if state.stopping {
            return;
        }
        state.tasks.push_back(task);
        self.alert(engine, state);
    }

    /// As [`Background::expect_expiry`], where no thread is to be started:
    /// whoever sweeps next takes it along.
    pub(super) fn note_expiry(&self, at: i64) {
        if self.next_expiry.fetch_min(at, Ordering::AcqRel) > at {
            let _state = self.state.lock();
            self.changed.notify_all();
        }
    }

    /// Has the thread look at what changed; starts it if there is none.
    fn alert(&self, engine: &Arc<Engine>, mut state: MutexGuard<'_, State>) {
        if state.thread.is_none() && !state.stopping {
            match start(engine) {
                Ok(thread) => state.thread = Some(thread),
                Err(error) => {
                    // Tried again at the next write; flush and close work.
                    self.awake.store(false, Ordering::Release);
                    drop(state);
                    let what = format!("cannot start the background thread: {error}");
                    engine.log_hook.write(LogLevel::Error, &what);
                    return;
                }
            }
        }
        self.changed.notify_all();
    }

    /// Ends the thread and waits for it, unless it is the caller.
    pub(super) fn stop(&self) {
        let (thread, tasks) = {
            let mut state = self.state.lock();
            state.stopping = true;
            self.changed.notify_all();
            (state.thread.take(), std::mem::take(&mut state.tasks))
        };
        // Tasks hold what they work on: they go without the lock.
        drop(tasks);
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            // It catches its panics; there is nothing to learn from joining.
            let _ = thread.join();
        }
    }

    /// Sleeps until there is something to do. Writes gather for `interval`
    /// after the first; `write_at` says until when.
    fn sleep(&self, interval: Duration, write_at: &mut Option<Instant>) -> Due {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return Due::Stop;
            }
            let now = Instant::now();
            if std::mem::take(&mut state.woken) {
                write_at.get_or_insert(now + interval);
            }
            if write_at.is_some_and(|at| at <= now) {
                *write_at = None;
                return Due::Write;
            }
            if let Some(task) = state.tasks.pop_front() {
                return Due::Task(task);
            }
            let sweep_in = self.until_expiry();
            if sweep_in == Some(Duration::ZERO) {
                return Due::Sweep;
            }
            if state.tidy_at.is_some_and(|at| at <= now) {
                state.tidy_at = None;
                return Due::Tidy;
            }
            let sweep_at = sweep_in.map(|wait| now + wait);
            let tidy_at = state.tidy_at;
            state = match write_at.iter().copied().chain(sweep_at).chain(tidy_at).min() {
                Some(deadline) => self.changed.wait_until(state, deadline).0,
                None => self.changed.wait(state),
            };
        }
    }

    /// Has the thread look at the log when nothing was to do for so long.
    fn tidy_after(&self, rest: Duration) {
        self.state.lock().tidy_at = Some(Instant::now() + rest);
    }

    /// How long until the next key expires. At most a minute: the clock may be
    /// set meanwhile.
    fn until_expiry(&self) -> Option<Duration> {
        let due = self.next_expiry.load(Ordering::Acquire);
        let wait = due.saturating_sub(clock::now_millis()).clamp(0, 60_000);
        (due != NEVER).then(|| Duration::from_millis(wait.unsigned_abs()))
    }
}

/// What the thread wakes up for.
enum Due {
    /// Something was written.
    Write,
    /// A key has expired.
    Sweep,
    /// Somebody posted a portion of work.
    Task(Task),
    /// Nobody has written for a while.
    Tidy,
    /// The file closes.
    Stop,
}

/// Starts the thread, with every signal blocked.
fn start(engine: &Arc<Engine>) -> std::io::Result<JoinHandle<()>> {
    let _blocked = AllBlocked::new();
    let own = Arc::clone(engine);
    thread::Builder::new().name("acervo-flush".to_owned()).spawn(move || own.look_after())
}

impl Engine {
    /// The thread's life.
    fn look_after(&self) {
        let mut last_upkeep: Option<Instant> = None;
        let mut write_at = None;
        loop {
            // Half of the interval, so that writing is done within the whole.
            let due = self.background.sleep(self.settings.flush_interval / 2, &mut write_at);
            if matches!(due, Due::Stop) {
                return;
            }
            let work = || match due {
                Due::Stop => {}
                Due::Sweep => {
                    self.sweep();
                    self.background.tidy_after(REST);
                }
                Due::Task(task) => task(),
                Due::Tidy => {
                    if self.tidy() {
                        self.background.tidy_after(Duration::ZERO);
                    }
                }
                Due::Write => {
                    self.write_behind();
                    self.background.tidy_after(REST);
                    if last_upkeep.is_none_or(|last| last.elapsed() >= UPKEEP) {
                        self.spaces.drop_empty_namespaces();
                        last_upkeep = Some(Instant::now());
                    }
                }
            };
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                self.poison();
                self.log_hook.write(LogLevel::Error, "the background thread met a panic");
                return;
            }
        }
    }

    fn write_behind(&self) {
        // Before looking for what to write: a write that comes later wakes
        // again.
        self.background.awake.store(false, Ordering::Release);
        self.note_rest();
        // A failure is kept for stats, told to the log hook, and tried again.
        if self.flush().is_err() {
            self.background.state.lock().woken = true;
        }
        self.sweep();
    }

    /// Frees what has expired and notes when the next is due.
    pub(super) fn sweep(&self) {
        let now = clock::now_millis();
        if self.background.next_expiry.load(Ordering::Acquire) > now {
            return;
        }
        self.background.next_expiry.store(NEVER, Ordering::Release);
        let mut swept = self.spaces.registry.sweep(now);
        for namespace in self.spaces.namespaces() {
            let more = namespace.table.sweep(now);
            swept.freed += more.freed;
            swept.next = swept.next.into_iter().chain(more.next).min();
        }
        self.note_growth(-(swept.freed as isize));
        if let Some(due) = swept.next {
            self.background.next_expiry.fetch_min(due, Ordering::AcqRel);
        }
    }
}
