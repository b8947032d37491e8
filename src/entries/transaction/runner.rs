//! The sequence of a transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::caller::Caller;
use super::handler::{Handler, Responder, Response};
use super::question::{Circumstances, Question, Rejection, Step};
use crate::code::Code;
use crate::entries::EntryError;
use crate::entries::engine::Engine;
use crate::entries::feed::Event;
use crate::entries::op::Op;
use crate::guard::Unusable;

/// A transaction under way.
pub(in crate::entries) struct Transaction<'a> {
    engine: &'a Engine,
    caller: &'a dyn Caller,
    /// Those that are asked.
    handlers: Arc<Vec<Arc<Handler>>>,
    /// The version it makes or moves to.
    version: u64,
    dry_run: bool,
    /// Those that have accepted its begin, or had none to accept.
    begun: Vec<Arc<Handler>>,
    /// What was accepted, by whom.
    accepted: Vec<(Arc<Handler>, Op)>,
    /// What feeds are told at the end; `None` if there are none.
    events: Option<Vec<Event>>,
}

/// What became of a question: `None` if the handler is not there any more.
type Verdict = Option<Result<(), Rejection>>;

impl<'a> Transaction<'a> {
    /// Begins a transaction that makes, or moves to, `version`.
    pub(in crate::entries) fn begin(
        engine: &'a Engine,
        caller: &'a dyn Caller,
        version: u64,
        dry_run: bool,
    ) -> Result<Self, EntryError> {
        let mut transaction = Self::new(engine, caller, engine.handlers.all(), version, dry_run);
        if !dry_run && engine.feeds.any() {
            transaction.events = Some(vec![Event::of(&Step::Begin, version)]);
        }
        for handler in &*Arc::clone(&transaction.handlers) {
            if handler.wants.begin
                && let Some(Err(rejection)) = transaction.ask(handler, Step::Begin, false)
            {
                return Err(transaction.give_up(refused(None, rejection)));
            }
            transaction.begun.push(Arc::clone(handler));
        }
        Ok(transaction)
    }

    /// One that only `handler` is asked about, without begin and commit.
    pub(in crate::entries) fn for_one(
        engine: &'a Engine,
        caller: &'a dyn Caller,
        handler: &Arc<Handler>,
        version: u64,
    ) -> Self {
        Self::new(engine, caller, Arc::new(vec![Arc::clone(handler)]), version, false)
    }

    fn new(
        engine: &'a Engine,
        caller: &'a dyn Caller,
        handlers: Arc<Vec<Arc<Handler>>>,
        version: u64,
        dry_run: bool,
    ) -> Self {
        let (begun, accepted) = (Vec::new(), Vec::new());
        Self { engine, caller, handlers, version, dry_run, begun, accepted, events: None }
    }

    /// Asks about the operations, in order. What is refused because something
    /// is missing is asked again while others are accepted.
    pub(in crate::entries) fn run(mut self, ops: &[Op]) -> Result<Self, EntryError> {
        if self.handlers.is_empty() && !self.engine.settings.require_handler {
            if let Some(events) = &mut self.events {
                events.extend(ops.iter().map(|op| Event::of_op(op, self.version)));
            }
            return Ok(self);
        }
        // Each with those handlers that are still to be asked.
        let mut waiting: Vec<(&Op, Vec<Arc<Handler>>)> = Vec::with_capacity(ops.len());
        for op in ops {
            match self.handlers_of(op) {
                Ok(handlers) => waiting.push((op, handlers)),
                Err(error) => return Err(self.give_up(error)),
            }
        }
        while !waiting.is_empty() {
            let mut is_progress = false;
            let mut deferred = Vec::new();
            for (op, handlers) in waiting {
                let before = handlers.len();
                match self.ask_all(op, handlers) {
                    Ok(rest) if rest.is_empty() => {
                        is_progress = true;
                        if let Some(events) = &mut self.events {
                            events.push(Event::of_op(op, self.version));
                        }
                    }
                    Ok(rest) => {
                        // What one handler accepted may be what it, or another,
                        // needs to accept the rest.
                        is_progress |= rest.len() < before;
                        deferred.push((op, rest));
                    }
                    Err(error) => return Err(self.give_up(error)),
                }
            }
            if !is_progress {
                let ids = deferred.iter().map(|(op, _)| op.id().clone()).collect();
                return Err(self.give_up(EntryError::Unresolved { ids }));
            }
            waiting = deferred;
        }
        Ok(self)
    }

    /// Those to be asked about an operation.
    fn handlers_of(&self, op: &Op) -> Result<Vec<Arc<Handler>>, EntryError> {
        let kind = op.entry.kind();
        if self.engine.settings.is_internal(kind) {
            return Ok(Vec::new());
        }
        let handlers = self.handlers.iter().filter(|handler| handler.pattern.matches(kind));
        let handlers: Vec<_> = handlers.cloned().collect();
        if handlers.is_empty() && self.engine.settings.require_handler {
            return Err(EntryError::NoHandler {
                id: op.id().to_string(),
                kind: String::from_utf8_lossy(kind).into_owned(),
            });
        }
        Ok(handlers)
    }

    /// Asks handlers in turn; gives those that are left when one defers.
    fn ask_all(
        &mut self,
        op: &Op,
        handlers: Vec<Arc<Handler>>,
    ) -> Result<Vec<Arc<Handler>>, EntryError> {
        for (place, handler) in handlers.iter().enumerate() {
            match self.ask(handler, Step::Op(op.clone()), false) {
                Some(Ok(())) => self.accepted.push((Arc::clone(handler), op.clone())),
                None => {}
                Some(Err(rejection)) if rejection.code == Code::NotFound => {
                    return Ok(handlers[place..].to_vec());
                }
                Some(Err(rejection)) => {
                    return Err(refused(Some(op.id().to_string()), rejection));
                }
            }
        }
        Ok(Vec::new())
    }

    /// Asks whether it may be written, and has `write` write and show it, and
    /// tell these events.
    pub(in crate::entries) fn commit(
        mut self,
        write: impl FnOnce(&[Event]) -> Result<(), EntryError>,
    ) -> Result<(), EntryError> {
        for handler in &*Arc::clone(&self.handlers) {
            if handler.wants.commit
                && let Some(Err(rejection)) = self.ask(handler, Step::Commit, false)
            {
                return Err(self.give_up(refused(None, rejection)));
            }
        }
        if self.engine.is_closing() {
            return Err(self.give_up(Unusable::Closed.into()));
        }
        let mut events = self.events.take();
        if let Some(events) = &mut events {
            events.push(Event::of(&Step::Commit, self.version));
        }
        write(events.as_deref().unwrap_or_default()).map_err(|why| {
            if let Some(events) = &mut events {
                // It did not come to the commit.
                events.pop();
            }
            self.events = events;
            self.give_up(why)
        })
    }

    /// Undoes what was accepted and ends the transaction; gives why, with what
    /// could not be undone.
    pub(in crate::entries) fn give_up(&mut self, why: EntryError) -> EntryError {
        let undo = self.undo();
        match undo.is_empty() {
            true => why,
            false => EntryError::Undone { why: Box::new(why), undo },
        }
    }

    /// As [`Transaction::give_up`], where nothing failed.
    pub(in crate::entries) fn undo(&mut self) -> Vec<(String, String)> {
        let mut refusals = Vec::new();
        for (handler, op) in std::mem::take(&mut self.accepted).into_iter().rev() {
            // A file may not say what was there before.
            let Some(inverse) = op.inverse() else { continue };
            if let Some(Err(rejection)) = self.ask(&handler, Step::Op(inverse), true) {
                refusals.push((op.id().to_string(), rejection.message));
            }
        }
        for handler in std::mem::take(&mut self.begun) {
            if handler.wants.discard {
                // There is nothing to refuse any more.
                let _ = self.ask(&handler, Step::Discard, false);
            }
        }
        if let Some(mut events) = self.events.take() {
            events.push(Event::of(&Step::Discard, self.version));
            self.engine.feeds.push(&events);
        }
        refusals
    }

    /// Asks one handler, and waits for its answer.
    fn ask(&self, handler: &Arc<Handler>, step: Step, undo: bool) -> Verdict {
        let circumstances = Circumstances { undo, dry_run: self.dry_run, foreign: false };
        let question = Question::new(step, circumstances, self.engine.address(), self.caller);
        if !handler.note_open(&question) {
            return None;
        }
        if let Some(queue) = handler.queue() {
            if !queue.push(handler, &question) {
                return None;
            }
        } else {
            match call(handler, &question)? {
                Response::Accept => {
                    question.expire();
                    return Some(Ok(()));
                }
                Response::Reject(rejection) => {
                    question.expire();
                    return Some(Err(rejection));
                }
                Response::Pending => {}
            }
        }
        // From now on: what ran here has taken the time that it needed.
        let deadline = Instant::now() + self.engine.settings.handler_timeout;
        let answer = question.wait(self.caller, deadline, || self.engine.is_closing());
        if handler.is_cancelled() {
            return None;
        }
        Some(answer.unwrap_or_else(|| Err(self.silence())))
    }

    /// What no answer comes down to.
    fn silence(&self) -> Rejection {
        if self.engine.is_closing() {
            let message = "the database is being closed".to_owned();
            return Rejection { code: Code::Internal, message };
        }
        let limit = self.engine.settings.handler_timeout.as_millis();
        let message = format!("no answer within {limit} ms (option handler_timeout_ms)");
        Rejection { code: Code::Timeout, message }
    }
}

/// Calls a direct handler. A panic in it is a refusal.
fn call(handler: &Handler, question: &Arc<Question>) -> Option<Response> {
    let running = handler.enter()?;
    let responder = handler.responder(&running)?;
    let Responder::Direct(direct) = &*responder else { return None };
    let response = catch_unwind(AssertUnwindSafe(|| question.run(|| direct(question))));
    Some(response.unwrap_or_else(|_| {
        let message = "the handler panicked".to_owned();
        Response::Reject(Rejection { code: Code::Internal, message })
    }))
}

fn refused(id: Option<String>, rejection: Rejection) -> EntryError {
    EntryError::Refused { id, code: rejection.code, reason: rejection.message }
}

impl Engine {
    /// Tells handlers what other processes did; they are not asked.
    pub(in crate::entries) fn tell_news(&self, caller: &dyn Caller) {
        let news = std::mem::take(&mut *self.news.lock());
        let circumstances = Circumstances { foreign: true, ..Circumstances::default() };
        for op in news.iter().flat_map(|changeset| changeset.iter()) {
            if self.settings.is_internal(op.entry.kind()) {
                continue;
            }
            for handler in &*self.handlers.all() {
                if !handler.wants.replay || !handler.pattern.matches(op.entry.kind()) {
                    continue;
                }
                let step = Step::Op(op.clone());
                let question = Question::new(step, circumstances, self.address(), caller);
                if let Some(queue) = handler.queue() {
                    queue.push(handler, &question);
                } else {
                    call(handler, &question);
                }
                // Nobody waits.
                question.expire();
            }
        }
    }
}
