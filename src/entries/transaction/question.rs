//! Questions: what a handler is asked.

use std::sync::Arc;
use std::time::Instant;

use super::caller::Caller;
use super::inside;
use crate::code::Code;
use crate::entries::EntryError;
use crate::entries::entry::Entry;
use crate::entries::op::{Op, OpKind};
use crate::platform::signal::Signal;
use crate::platform::sync::Mutex;

/// What a handler is asked about, or told.
#[derive(Clone, Debug)]
pub enum Step {
    /// A transaction begins.
    Begin,
    /// An operation is done.
    Op(Op),
    /// Everything was accepted; the version is about to be written.
    Commit,
    /// The transaction was given up, and what was done undone.
    Discard,
}

impl Step {
    /// As scripts and events name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Begin => "registry.begin",
            Self::Commit => "registry.commit",
            Self::Discard => "registry.discard",
            Self::Op(op) => op.kind.name(),
        }
    }

    /// The operation, if it is one.
    #[must_use]
    pub fn op(&self) -> Option<&Op> {
        match self {
            Self::Op(op) => Some(op),
            _ => None,
        }
    }

    /// What kind of operation it is, if it is one.
    #[must_use]
    pub fn op_kind(&self) -> Option<OpKind> {
        self.op().map(|op| op.kind)
    }

    /// The entry it is about.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        self.op().map(|op| &op.entry)
    }

    /// The entry as it was, for update and delete.
    #[must_use]
    pub fn original(&self) -> Option<&Entry> {
        self.op().and_then(|op| op.original.as_ref())
    }
}

/// Under which circumstances it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// It undoes what was accepted before.
    pub undo: bool,
    /// It is only tried.
    pub dry_run: bool,
    /// Another process did it: it is told, not asked.
    pub foreign: bool,
}

/// Why a handler refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The kind of the failure. [`Code::NotFound`] defers an operation: it is
    /// asked again when others were done.
    pub code: Code,
    /// The reason; may be empty.
    pub message: String,
}

/// One question to one handler.
pub struct Question {
    step: Step,
    circumstances: Circumstances,
    /// The registry that asks, by its address.
    engine: usize,
    /// Wakes who asked.
    asker: Arc<Signal>,
    answer: Mutex<Answer>,
    reason: Mutex<Option<Rejection>>,
}

#[derive(Clone)]
enum Answer {
    /// None yet.
    Open,
    Given(Result<(), Rejection>),
    /// Nobody waits for it any more.
    TooLate,
}

impl Question {
    pub(super) fn new(
        step: Step,
        circumstances: Circumstances,
        engine: usize,
        caller: &dyn Caller,
    ) -> Arc<Self> {
        Arc::new(Self {
            step,
            circumstances,
            engine,
            asker: Arc::clone(caller.signal()),
            answer: Mutex::new(Answer::Open),
            reason: Mutex::new(None),
        })
    }

    /// What it is about.
    #[must_use]
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// Under which circumstances it is asked.
    #[must_use]
    pub fn circumstances(&self) -> Circumstances {
        self.circumstances
    }

    /// Notes the reason of a refusal that is about to be given.
    pub fn set_reason(&self, reason: Rejection) {
        *self.reason.lock() = Some(reason);
    }

    /// The reason that was noted.
    #[must_use]
    pub fn reason(&self) -> Option<Rejection> {
        self.reason.lock().clone()
    }

    /// Gives the answer.
    ///
    /// # Errors
    ///
    /// [`EntryError::TooLate`]: it has one already, or nobody waits any more.
    pub fn answer(&self, answer: Result<(), Rejection>) -> Result<(), EntryError> {
        let mut given = self.answer.lock();
        if !matches!(*given, Answer::Open) {
            return Err(EntryError::TooLate);
        }
        *given = Answer::Given(answer);
        drop(given);
        self.asker.raise();
        Ok(())
    }

    /// Whether somebody waits for an answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(*self.answer.lock(), Answer::Open)
    }

    /// Runs the handler that answers: what it may not do inside is refused.
    pub fn run<R>(&self, handler: impl FnOnce() -> R) -> R {
        inside::within(self.engine, handler)
    }

    /// The answer, if there is one; no more are taken then.
    fn take(&self) -> Option<Result<(), Rejection>> {
        let mut answer = self.answer.lock();
        match std::mem::replace(&mut *answer, Answer::TooLate) {
            Answer::Given(given) => Some(given),
            before => {
                *answer = before;
                None
            }
        }
    }

    /// Takes no more answers.
    pub(super) fn expire(&self) {
        *self.answer.lock() = Answer::TooLate;
    }

    /// Waits for the answer until `deadline`, or until `is_over`.
    pub(super) fn wait(
        &self,
        caller: &dyn Caller,
        deadline: Instant,
        is_over: impl Fn() -> bool,
    ) -> Option<Result<(), Rejection>> {
        loop {
            let mark = caller.signal().mark();
            if let Some(answer) = self.take() {
                return Some(answer);
            }
            caller.serve();
            if let Some(answer) = self.take() {
                return Some(answer);
            }
            if Instant::now() >= deadline || is_over() {
                let mut answer = self.answer.lock();
                return match std::mem::replace(&mut *answer, Answer::TooLate) {
                    Answer::Given(given) => Some(given),
                    _ => None,
                };
            }
            caller.signal().wait(mark, Some(deadline));
        }
    }
}
