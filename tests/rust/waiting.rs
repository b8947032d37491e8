//! The parts of a transaction that wait, run in every order that threads can
//! come in.
//!
//! The sources are those of the library; around them stands the little that
//! they use, with locks that loom knows.
#![allow(dead_code, unreachable_pub, unused_imports, missing_docs, reason = "a part of each")]

#[path = "../../src/platform"]
mod platform {
    pub mod signal;

    /// As the library's, of loom.
    pub mod sync {
        use std::time::Instant;

        pub use loom::sync::{MutexGuard, atomic};

        pub struct Mutex<T>(loom::sync::Mutex<T>);

        impl<T: Default> Default for Mutex<T> {
            fn default() -> Self {
                Self::new(T::default())
            }
        }

        impl<T> Mutex<T> {
            pub fn new(value: T) -> Self {
                Self(loom::sync::Mutex::new(value))
            }

            pub fn lock(&self) -> MutexGuard<'_, T> {
                self.0.lock().unwrap()
            }
        }

        pub struct Condvar(loom::sync::Condvar);

        impl Default for Condvar {
            fn default() -> Self {
                Self(loom::sync::Condvar::new())
            }
        }

        impl Condvar {
            pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
                self.0.wait(guard).unwrap()
            }

            /// The deadline has passed, or is so far away that it never comes:
            /// time is no thread here.
            pub fn wait_until<'a, T>(
                &self,
                guard: MutexGuard<'a, T>,
                deadline: Instant,
            ) -> (MutexGuard<'a, T>, bool) {
                match Instant::now() >= deadline {
                    true => (guard, true),
                    false => (self.wait(guard), false),
                }
            }

            pub fn notify_all(&self) {
                self.0.notify_all();
            }
        }
    }
}

mod code {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Code {
        Internal,
    }
}

#[path = "../../src/entries"]
mod entries {
    #[derive(Debug)]
    pub enum EntryError {
        TooLate,
    }

    pub mod entry {
        #[derive(Clone, Debug)]
        pub struct Entry;
    }

    pub mod op {
        use super::entry::Entry;

        #[derive(Clone, Copy, Debug)]
        pub struct OpKind;

        impl OpKind {
            pub fn name(self) -> &'static str {
                ""
            }
        }

        #[derive(Clone, Debug)]
        pub struct Op {
            pub kind: OpKind,
            pub entry: Entry,
            pub original: Option<Entry>,
        }
    }

    #[path = "transaction"]
    pub mod transaction {
        pub mod caller;
        pub mod question;
        pub mod queue;
        pub mod turns;

        pub use question::Rejection;

        /// No other registry is concerned.
        pub mod inside {
            pub fn within<R>(_: usize, handler: impl FnOnce() -> R) -> R {
                handler()
            }
        }

        /// A handler is there or cancelled; how long calls of it last is not
        /// what is looked at.
        pub mod handler {
            use std::sync::{Arc, Weak};

            use super::question::Question;
            use crate::platform::sync::Mutex;

            #[derive(Default)]
            pub struct Handler {
                gate: Mutex<(bool, Vec<Weak<Question>>)>,
            }

            impl Handler {
                pub fn key(&self) -> u64 {
                    0
                }

                pub fn enter(&self) -> Option<()> {
                    (!self.is_cancelled()).then_some(())
                }

                pub fn is_cancelled(&self) -> bool {
                    self.gate.lock().0
                }

                pub fn note_open(&self, question: &Arc<Question>) -> bool {
                    let mut gate = self.gate.lock();
                    gate.1.push(Arc::downgrade(question));
                    !gate.0
                }

                pub fn cancel(self: &Arc<Self>) {
                    let mut gate = self.gate.lock();
                    gate.0 = true;
                    let open = std::mem::take(&mut gate.1);
                    drop(gate);
                    for question in open.iter().filter_map(Weak::upgrade) {
                        let _ = question.answer(Ok(()));
                    }
                }
            }
        }

        /// How the library asks and waits.
        pub mod asking {
            use std::sync::Arc;
            use std::time::Instant;

            use super::caller::Caller;
            use super::handler::Handler;
            use super::question::{Circumstances, Question, Rejection, Step};
            use super::queue::Queue;

            pub fn question(caller: &dyn Caller) -> Arc<Question> {
                Question::new(Step::Begin, Circumstances::default(), 0, caller)
            }

            pub fn wait(
                question: &Question,
                caller: &dyn Caller,
                deadline: Instant,
            ) -> Option<Result<(), Rejection>> {
                question.wait(caller, deadline, || false)
            }

            pub fn has(queue: &Queue, handler: &Arc<Handler>) -> bool {
                queue.add_handler(handler)
            }

            /// The part of `Transaction::ask` that concerns a queue; `None` if
            /// the handler is not there any more.
            pub fn ask(
                queue: &Queue,
                handler: &Arc<Handler>,
                caller: &dyn Caller,
                deadline: Instant,
            ) -> Option<Result<(), Rejection>> {
                let question = question(caller);
                if !handler.note_open(&question) || !queue.push(handler, &question) {
                    return None;
                }
                let answer = wait(&question, caller, deadline);
                if handler.is_cancelled() { None } else { answer }
            }
        }
    }

    /// What of it the models use.
    pub mod parts {
        use std::time::Instant;

        use super::transaction::caller::Caller;
        use super::transaction::turns::Turns as Inner;

        #[derive(Default)]
        pub struct Turns(Inner);

        impl Turns {
            pub fn take<'a>(
                &'a self,
                caller: &dyn Caller,
                deadline: Option<Instant>,
            ) -> Option<impl Sized + use<'a>> {
                self.0.take(caller, deadline)
            }

            pub fn try_take(&self) -> Option<impl Sized> {
                self.0.try_take()
            }
        }
    }
}

use std::sync::Arc;
use std::time::{Duration, Instant};

use code::Code;
use entries::parts::Turns;
use entries::transaction::Rejection;
use entries::transaction::asking::{ask, has, question, wait};
use entries::transaction::caller::{Attention, Caller};
use entries::transaction::handler::Handler;
use entries::transaction::queue::Queue;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// A caller of whom nothing is asked.
#[derive(Default)]
struct Waiting(Attention);

impl Caller for Waiting {
    fn attention(&self) -> &Attention {
        &self.0
    }
}

/// A caller who serves a queue while it waits.
struct Serving(Arc<Queue>);

impl Caller for Serving {
    fn attention(&self) -> &Attention {
        self.0.attention()
    }

    fn serve(&self) {
        while let Some(item) = self.0.pop() {
            item.run(|_| Ok(()));
        }
    }
}

fn never() -> Instant {
    Instant::now() + Duration::from_secs(36_000)
}

/// Every order with up to so many switches that nobody asked for.
fn model(switches: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.check(run);
}

#[test]
fn one_at_a_time_has_the_turn_and_all_get_it() {
    model(3, || {
        let (turns, inside) = (Arc::new(Turns::default()), Arc::new(AtomicUsize::new(0)));
        let take = |turns: Arc<Turns>, inside: Arc<AtomicUsize>| {
            move || {
                let turn = turns.take(&Waiting::default(), None).unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                assert_eq!(inside.fetch_sub(1, Ordering::Relaxed), 1);
                drop(turn);
            }
        };
        let others = [0, 1].map(|_| thread::spawn(take(Arc::clone(&turns), Arc::clone(&inside))));
        take(Arc::clone(&turns), inside)();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(turns.try_take().is_some());
    });
}

#[test]
fn a_turn_is_not_lost_with_one_who_gives_up_waiting() {
    model(3, || {
        let turns = Arc::new(Turns::default());
        let (first, patient) = (Arc::clone(&turns), Arc::clone(&turns));
        let first = thread::spawn(move || drop(first.take(&Waiting::default(), None).unwrap()));
        let patient = thread::spawn(move || drop(patient.take(&Waiting::default(), None).unwrap()));
        drop(turns.take(&Waiting::default(), Some(Instant::now())));
        first.join().unwrap();
        patient.join().unwrap();
        assert!(turns.try_take().is_some());
    });
}

#[test]
fn who_waits_for_a_turn_answers_what_its_holder_asks() {
    model(3, || {
        let (turns, queue) = (Arc::new(Turns::default()), Arc::new(Queue::default()));
        let handler = Arc::new(Handler::default());
        assert!(has(&queue, &handler));
        let (asker_turns, asked) = (Arc::clone(&turns), Arc::clone(&queue));
        // Held before the other begins to wait, as the model has nobody who
        // serves otherwise.
        let is_held = Arc::new(AtomicUsize::new(0));
        let holds = Arc::clone(&is_held);
        let asker = thread::spawn(move || {
            let caller = Waiting::default();
            let turn = asker_turns.take(&caller, None).unwrap();
            holds.store(1, Ordering::Release);
            let answer = ask(&asked, &handler, &caller, never());
            assert_eq!(answer, Some(Ok(())));
            drop(turn);
        });
        while is_held.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        drop(turns.take(&Serving(queue), None).unwrap());
        asker.join().unwrap();
    });
}

#[test]
fn of_two_answers_one_counts_and_is_the_one_that_the_asker_gets() {
    model(4, || {
        let caller = Waiting::default();
        let question = question(&caller);
        let other = Arc::clone(&question);
        let refuses = Rejection { code: Code::Internal, message: String::new() };
        let refusal = refuses.clone();
        let refusing = thread::spawn(move || other.answer(Err(refusal)).is_ok());
        let other = Arc::clone(&question);
        let accepting = thread::spawn(move || other.answer(Ok(())).is_ok());
        let answer = wait(&question, &caller, never());
        let taken = (accepting.join().unwrap(), refusing.join().unwrap());
        match answer {
            Some(Ok(())) => assert_eq!(taken, (true, false)),
            Some(Err(reason)) => {
                assert_eq!(reason, refuses);
                assert_eq!(taken, (false, true));
            }
            None => panic!("it had time"),
        }
    });
}

#[test]
fn an_answer_at_the_deadline_is_taken_by_both_or_by_none() {
    model(4, || {
        let caller = Waiting::default();
        let question = question(&caller);
        let other = Arc::clone(&question);
        let answering = thread::spawn(move || other.answer(Ok(())).is_ok());
        let answer = wait(&question, &caller, Instant::now());
        assert_eq!(answer.is_some(), answering.join().unwrap());
        assert!(!question.is_open());
    });
}

#[test]
fn a_question_to_a_queue_that_is_served_or_closed_is_answered() {
    for closes in [false, true] {
        model(3, move || {
            let queue = Arc::new(Queue::default());
            let handler = Arc::new(Handler::default());
            assert!(has(&queue, &handler));
            let (own, asked) = (Arc::clone(&queue), Arc::clone(&handler));
            let owner = thread::spawn(move || {
                if closes {
                    own.close();
                    return;
                }
                loop {
                    own.wait(None);
                    if let Some(item) = own.pop() {
                        item.run(|_| Ok(()));
                        return;
                    }
                }
            });
            let answer = ask(&queue, &asked, &Waiting::default(), never());
            if closes {
                // Nobody who is gone refuses.
                assert_eq!(answer, None);
            } else {
                assert_eq!(answer, Some(Ok(())));
            }
            owner.join().unwrap();
            assert!(queue.pop().is_none());
        });
    }
}

#[test]
fn a_handler_cancelled_while_it_is_asked_keeps_nobody_waiting() {
    model(3, || {
        let queue = Arc::new(Queue::default());
        let handler = Arc::new(Handler::default());
        assert!(has(&queue, &handler));
        let cancelled = Arc::clone(&handler);
        let cancelling = thread::spawn(move || cancelled.cancel());
        assert_eq!(ask(&queue, &handler, &Waiting::default(), never()), None);
        cancelling.join().unwrap();
        // What is left in the queue is not run.
        while let Some(item) = queue.pop() {
            item.run(|_| panic!("it is run"));
        }
    });
}
