//! What wakes whom when keys are written, run in every order that threads can
//! come in: group commit, and the thread that writes the registry behind.
//!
//! The sources are those of the library; around them stands the little that
//! they use, with locks and threads that loom knows.
#![allow(dead_code, unreachable_pub, unused_imports, missing_docs, reason = "a part of each")]

mod platform {
    /// No time passes.
    pub mod clock {
        pub fn now_millis() -> i64 {
            0
        }
    }

    /// No signal comes.
    pub mod signals {
        pub struct AllBlocked;

        impl AllBlocked {
            pub fn new() -> Self {
                Self
            }
        }
    }

    /// As the library's, of loom.
    pub mod sync {
        use std::time::Instant;

        pub use loom::sync::{MutexGuard, atomic};

        /// Threads of loom. Parking is made here: loom's own forgets who is
        /// unparked while it waits for a lock, which std's does not.
        pub mod thread {
            use std::sync::Arc;

            pub use loom::thread::{Builder, JoinHandle, ThreadId};

            #[derive(Clone)]
            pub struct Thread {
                id: ThreadId,
                token: Arc<(loom::sync::Mutex<bool>, loom::sync::Condvar)>,
            }

            loom::thread_local! {
                static CURRENT: Thread = Thread {
                    id: loom::thread::current().id(),
                    token: Arc::new((loom::sync::Mutex::new(false), loom::sync::Condvar::new())),
                };
            }

            pub fn current() -> Thread {
                CURRENT.with(Clone::clone)
            }

            pub fn park() {
                let Thread { token, .. } = current();
                let mut is_there = token.0.lock().unwrap();
                while !*is_there {
                    is_there = token.1.wait(is_there).unwrap();
                }
                *is_there = false;
            }

            impl Thread {
                pub fn id(&self) -> ThreadId {
                    self.id
                }

                pub fn unpark(&self) {
                    *self.token.0.lock().unwrap() = true;
                    self.token.1.notify_one();
                }
            }
        }

        pub struct Mutex<T>(loom::sync::Mutex<T>);

        impl<T> Mutex<T> {
            pub fn new(value: T) -> Self {
                Self(loom::sync::Mutex::new(value))
            }

            pub fn lock(&self) -> MutexGuard<'_, T> {
                self.0.lock().unwrap()
            }

            pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
                self.0.try_lock().ok()
            }
        }

        pub struct Condvar(loom::sync::Condvar);

        impl Condvar {
            pub fn new() -> Self {
                Self(loom::sync::Condvar::new())
            }

            pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
                self.0.wait(guard).unwrap()
            }

            /// Whoever waits until some time is woken before.
            pub fn wait_until<'a, T>(
                &self,
                guard: MutexGuard<'a, T>,
                _: Instant,
            ) -> (MutexGuard<'a, T>, bool) {
                (self.wait(guard), false)
            }

            pub fn notify_one(&self) {
                self.0.notify_one();
            }

            pub fn notify_all(&self) {
                self.0.notify_all();
            }
        }
    }
}

mod guard {
    use std::any::Any;

    #[derive(Clone, Copy, Debug)]
    pub enum Unusable {
        Poisoned,
    }

    pub fn what_panicked(_: &(dyn Any + Send)) -> &str {
        "it panicked"
    }
}

mod storage {
    pub struct Log;

    impl Log {
        pub fn roll_back(&self) {}
    }
}

#[path = "../../src/kv"]
mod kv {
    pub mod background;
    pub mod commit;

    use crate::guard::Unusable;

    #[derive(Clone, Debug)]
    pub enum KvError {
        Unusable(Unusable),
        Panicked { what: String },
    }

    impl From<Unusable> for KvError {
        fn from(why: Unusable) -> Self {
            Self::Unusable(why)
        }
    }

    pub mod edit {
        pub struct Edit;

        #[derive(Debug)]
        pub enum Outcome {
            Done,
        }
    }

    pub mod space {
        #[derive(Default)]
        pub struct Namespace {
            pub table: Table,
        }

        /// Nothing expires.
        #[derive(Default)]
        pub struct Table;

        #[derive(Default)]
        pub struct Swept {
            pub freed: usize,
            pub next: Option<i64>,
        }

        impl Table {
            pub fn sweep(&self, _: i64) -> Swept {
                Swept::default()
            }
        }
    }

    pub mod stats {
        pub enum LogLevel {
            Error,
        }
    }

    /// What of the two the models use.
    pub mod parts {
        use super::KvError;
        use super::commit::Job;
        use super::engine::Engine;

        pub fn submit(engine: &Engine) -> Result<(), KvError> {
            engine.submit(Job::Flush { cuts: false }).map(drop)
        }

        pub fn end(engine: &Engine) {
            let _ = engine.committer.take_log();
        }

        pub fn stop(engine: &Engine) {
            engine.background.stop();
        }
    }

    /// What of the library's engine the two use.
    pub mod engine {
        use std::sync::Arc;
        use std::time::Duration;

        use super::background::Background;
        use super::commit::{Committer, Job};
        use super::edit::Outcome;
        use super::space::{Namespace, Table};
        use super::stats::LogLevel;
        use super::{KvError, Unusable};
        use crate::platform::sync::Mutex;
        use crate::platform::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
        use crate::storage::Log;

        pub struct Settings {
            pub synced: bool,
            pub flush_interval: Duration,
        }

        pub struct Hook;

        impl Hook {
            pub fn write(&self, _: LogLevel, what: &str) {
                panic!("{what}");
            }
        }

        #[derive(Default)]
        pub struct Spaces {
            pub registry: Table,
        }

        impl Spaces {
            pub fn drop_empty_namespaces(&self) {}

            pub fn namespaces(&self) -> Vec<Arc<Namespace>> {
                Vec::new()
            }
        }

        pub struct Engine {
            pub(super) committer: Committer,
            pub(super) background: Background,
            pub settings: Settings,
            pub log_hook: Hook,
            pub spaces: Spaces,
            pub poisoned: AtomicBool,
            /// How many jobs are done; of how many threads at a time.
            pub done: AtomicUsize,
            pub inside: AtomicUsize,
            pub panics: bool,
            /// What is marked as dirty, and what was written of it.
            pub dirty: Mutex<usize>,
            pub written: AtomicUsize,
        }

        impl Engine {
            pub fn new(panics: bool) -> Arc<Self> {
                Arc::new(Self {
                    committer: Committer::new(Some(Log)),
                    background: Background::default(),
                    settings: Settings { synced: false, flush_interval: Duration::ZERO },
                    log_hook: Hook,
                    spaces: Spaces::default(),
                    poisoned: AtomicBool::new(false),
                    done: AtomicUsize::new(0),
                    inside: AtomicUsize::new(0),
                    panics,
                    dirty: Mutex::new(0),
                    written: AtomicUsize::new(0),
                })
            }

            pub fn check_poison(&self) -> Result<(), KvError> {
                match self.poisoned.load(Ordering::Acquire) {
                    true => Err(Unusable::Poisoned.into()),
                    false => Ok(()),
                }
            }

            pub fn poison(&self) {
                self.poisoned.store(true, Ordering::Release);
            }

            pub(super) fn transact(
                &self,
                log: Option<&Log>,
                jobs: Vec<Job>,
            ) -> Result<Vec<Result<Outcome, KvError>>, KvError> {
                assert_eq!(self.inside.fetch_add(1, Ordering::Relaxed), 0, "one leads at a time");
                self.done.fetch_add(jobs.len(), Ordering::Relaxed);
                self.inside.fetch_sub(1, Ordering::Relaxed);
                if self.panics {
                    std::panic::resume_unwind(Box::new("a fault"));
                }
                if log.is_none() {
                    return Err(Unusable::Poisoned.into());
                }
                Ok(jobs.iter().map(|_| Ok(Outcome::Done)).collect())
            }

            /// What a write to the registry does, as far as it is about waking.
            pub fn put(self: &Arc<Self>) {
                *self.dirty.lock() += 1;
                if !self.background.is_awake() {
                    self.background.wake(self);
                }
            }

            pub fn flush(&self) -> Result<(), KvError> {
                let taken = std::mem::take(&mut *self.dirty.lock());
                self.written.fetch_add(taken, Ordering::Release);
                Ok(())
            }

            pub fn note_growth(&self, _: isize) {}

            pub fn note_rest(&self) {}

            pub fn tidy(&self) -> bool {
                false
            }
        }
    }
}

use std::sync::Arc;

use kv::KvError;
use kv::engine::Engine;
use kv::parts::{end, stop, submit};
use loom::sync::atomic::Ordering;
use loom::thread;

/// Every order with up to so many switches that nobody asked for.
fn model(switches: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.check(run);
}

#[test]
fn every_writer_is_led_once_and_gets_its_answer() {
    model(3, || {
        let engine = Engine::new(false);
        let others = [0, 1].map(|_| {
            let engine = Arc::clone(&engine);
            thread::spawn(move || submit(&engine).unwrap())
        });
        submit(&engine).unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(engine.done.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn a_panic_of_the_leader_keeps_no_writer_waiting() {
    model(3, || {
        let engine = Engine::new(true);
        let other = Arc::clone(&engine);
        let other = thread::spawn(move || submit(&other));
        let results = [submit(&engine), other.join().unwrap()];
        let panicked = |it: &Result<(), KvError>| matches!(it, Err(KvError::Panicked { .. }));
        assert!(results.iter().all(Result::is_err));
        assert!(results.iter().any(panicked), "the one whose write it was is told");
    });
}

#[test]
fn closing_keeps_no_writer_waiting() {
    model(3, || {
        let engine = Engine::new(false);
        let other = Arc::clone(&engine);
        let other = thread::spawn(move || drop(submit(&other)));
        end(&engine);
        drop(submit(&engine));
        other.join().unwrap();
    });
}

#[test]
fn what_is_put_is_written_behind_or_by_the_closing() {
    model(3, || {
        let engine = Engine::new(false);
        let other = Arc::clone(&engine);
        let other = thread::spawn(move || other.put());
        engine.put();
        other.join().unwrap();
        // Nobody writes any more: either the thread was woken for each of them,
        // or it would sleep for good here.
        while engine.written.load(Ordering::Acquire) < 2 {
            thread::yield_now();
        }
        stop(&engine);
    });
}
