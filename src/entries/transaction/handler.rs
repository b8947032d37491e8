//! Handlers: who is asked about changes.

use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};

use arc_swap::ArcSwap;

use super::kind_pattern::KindPattern;
use super::question::{Question, Rejection};
use super::queue::Queue;
use crate::platform::fork;
use crate::platform::sync::{Condvar, Mutex};

/// What a handler wants to be asked beside operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// When a transaction begins.
    pub begin: bool,
    /// Before it is written.
    pub commit: bool,
    /// When it was given up.
    pub discard: bool,
    /// What is there already, as creates, when it is registered; and what
    /// other processes did.
    pub replay: bool,
}

/// What a handler answers at once.
#[derive(Clone, Debug)]
pub enum Response {
    /// The change may be.
    Accept,
    /// It may not.
    Reject(Rejection),
    /// The answer comes later, from any thread.
    Pending,
}

/// A handler that is called on the thread that asks.
pub type Direct = Box<dyn Fn(&Arc<Question>) -> Response + Send + Sync>;

/// How a handler is reached.
pub enum Responder {
    /// Called on the thread that asks.
    Direct(Direct),
    /// Through the queue of its owner, who knows it by the number.
    Queued(Arc<Queue>, u64),
}

/// A registered handler.
pub struct Handler {
    /// The process it is registered in: children leave its locks alone.
    generation: u32,
    pub(in crate::entries) pattern: KindPattern,
    pub(super) wants: Wants,
    responder: Mutex<Option<Arc<Responder>>>,
    gate: Mutex<Gate>,
    left: Condvar,
    list: Weak<Handlers>,
}

#[derive(Default)]
struct Gate {
    is_cancelled: bool,
    /// The threads on which it runs.
    running: Vec<ThreadId>,
    /// What it has not answered yet.
    open: Vec<Weak<Question>>,
}

/// While a handler runs.
pub(super) struct Running<'a> {
    handler: &'a Handler,
}

impl Handler {
    /// By which its owner knows it.
    pub(super) fn key(&self) -> u64 {
        match self.responder.lock().as_deref() {
            Some(Responder::Queued(_, key)) => *key,
            _ => 0,
        }
    }

    /// The queue through which it is asked, if it is.
    pub(super) fn queue(&self) -> Option<Arc<Queue>> {
        match self.responder.lock().as_deref() {
            Some(Responder::Queued(queue, _)) => Some(Arc::clone(queue)),
            _ => None,
        }
    }

    /// How it is reached. Not to be held when the call has ended: whoever
    /// cancels it relies on it being gone then.
    pub(super) fn responder(&self, _running: &Running<'_>) -> Option<Arc<Responder>> {
        self.responder.lock().clone()
    }

    /// Begins a call; `None` if it was cancelled.
    pub(super) fn enter(&self) -> Option<Running<'_>> {
        let mut gate = self.gate.lock();
        if gate.is_cancelled {
            return None;
        }
        gate.running.push(thread::current().id());
        Some(Running { handler: self })
    }

    /// Takes note of a question whose answer is waited for; false if it was
    /// cancelled.
    pub(super) fn note_open(&self, question: &Arc<Question>) -> bool {
        let mut gate = self.gate.lock();
        gate.open.retain(|question| question.strong_count() > 0);
        gate.open.push(Arc::downgrade(question));
        !gate.is_cancelled
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.gate.lock().is_cancelled
    }

    /// Has it not be asked any more, and waits until calls of it on other
    /// threads have ended. What it has not answered counts as accepted. Does
    /// nothing in a forked child.
    pub fn cancel(self: &Arc<Self>) {
        if self.generation != fork::generation() {
            return;
        }
        let own = thread::current().id();
        let mut gate = self.gate.lock();
        gate.is_cancelled = true;
        let open = std::mem::take(&mut gate.open);
        drop(gate);
        if let Some(list) = self.list.upgrade() {
            list.remove(self);
        }
        for question in open.iter().filter_map(Weak::upgrade) {
            // It may have been answered.
            let _ = question.answer(Ok(()));
        }
        let mut gate = self.gate.lock();
        while gate.running.iter().any(|thread| *thread != own) {
            gate = self.left.wait(gate);
        }
        if gate.running.is_empty() {
            gate.running.push(own);
            drop(gate);
            // Ends it as the last call would. Another one who cancels it waits
            // for that too.
            drop(Running { handler: self });
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let own = thread::current().id();
        let mut gate = self.handler.gate.lock();
        if gate.is_cancelled && gate.running.len() == 1 {
            drop(gate);
            // Runs what the owner gave to be run at the end, before those who
            // wait for the end go on.
            let responder = self.handler.responder.lock().take();
            drop(responder);
            gate = self.handler.gate.lock();
        }
        if let Some(place) = gate.running.iter().rposition(|thread| *thread == own) {
            gate.running.remove(place);
        }
        drop(gate);
        self.handler.left.notify_all();
    }
}

/// The handlers of a registry, in the order in which they were registered.
#[derive(Default)]
pub(in crate::entries) struct Handlers {
    list: ArcSwap<Vec<Arc<Handler>>>,
    changing: Mutex<()>,
}

impl Handlers {
    /// Those that are registered now.
    pub(in crate::entries) fn all(&self) -> Arc<Vec<Arc<Handler>>> {
        self.list.load_full()
    }

    /// Whether one wants to know what other processes did.
    pub(in crate::entries) fn any_replays(&self) -> bool {
        self.list.load().iter().any(|handler| handler.wants.replay)
    }

    /// Makes a handler, not asked yet.
    pub(in crate::entries) fn make(
        self: &Arc<Self>,
        pattern: KindPattern,
        wants: Wants,
        responder: Responder,
    ) -> Arc<Handler> {
        let responder = Arc::new(responder);
        let handler = Arc::new(Handler {
            generation: fork::generation(),
            pattern,
            wants,
            responder: Mutex::new(Some(Arc::clone(&responder))),
            gate: Mutex::default(),
            left: Condvar::new(),
            list: Arc::downgrade(self),
        });
        if let Responder::Queued(queue, _) = &*responder
            && !queue.add_handler(&handler)
        {
            handler.gate.lock().is_cancelled = true;
        }
        handler
    }

    /// Has it be asked from the next transaction on, unless it was cancelled
    /// meanwhile.
    pub(in crate::entries) fn add(&self, handler: &Arc<Handler>) {
        let _one_at_a_time = self.changing.lock();
        if handler.is_cancelled() {
            return;
        }
        let mut list = Vec::clone(&self.list.load());
        list.push(Arc::clone(handler));
        self.list.store(Arc::new(list));
    }

    fn remove(&self, handler: &Arc<Handler>) {
        let _one_at_a_time = self.changing.lock();
        let mut list = Vec::clone(&self.list.load());
        list.retain(|other| !Arc::ptr_eq(other, handler));
        self.list.store(Arc::new(list));
    }
}
