//! Queues: questions to handlers that only their owner may run.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::caller::Attention;
use super::handler::Handler;
use super::question::Question;
use crate::platform::fork;
use crate::platform::sync::Mutex;

/// The questions that wait for one owner, such as a Lua state.
pub struct Queue {
    /// The process it was made in: children leave its locks alone.
    generation: u32,
    attention: Attention,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    handlers: Vec<Weak<Handler>>,
    is_closed: bool,
}

/// A question that waits.
pub struct Item {
    handler: Arc<Handler>,
    /// What it is.
    pub question: Arc<Question>,
}

impl Item {
    /// By which its owner knows the handler.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.handler.key()
    }

    /// Answers it: runs `handler`, unless nobody waits for that any more or the
    /// handler was cancelled; tells whether it did. Something that is only told
    /// needs no answer.
    pub fn run(&self, handler: impl FnOnce(&Question) -> Result<(), super::Rejection>) -> bool {
        let is_told = self.question.circumstances().foreign;
        if !is_told && !self.question.is_open() {
            return false;
        }
        let Some(_running) = self.handler.enter() else {
            // Whoever is not there any more refuses nothing.
            let _ = self.question.answer(Ok(()));
            return false;
        };
        let answer = self.question.run(|| handler(&self.question));
        // Nobody may wait for it any more.
        let _ = self.question.answer(answer);
        true
    }
}

impl Default for Queue {
    fn default() -> Self {
        let (attention, inner) = (Attention::default(), Mutex::default());
        Self { generation: fork::generation(), attention, inner }
    }
}

impl Queue {
    /// What wakes its owner.
    #[must_use]
    pub fn attention(&self) -> &Attention {
        &self.attention
    }

    pub(super) fn add_handler(&self, handler: &Arc<Handler>) -> bool {
        let mut inner = self.inner.lock();
        inner.handlers.retain(|handler| handler.strong_count() > 0);
        inner.handlers.push(Arc::downgrade(handler));
        !inner.is_closed
    }

    /// Puts a question in; false if the owner is gone.
    pub(super) fn push(&self, handler: &Arc<Handler>, question: &Arc<Question>) -> bool {
        let mut inner = self.inner.lock();
        if inner.is_closed {
            return false;
        }
        inner
            .items
            .push_back(Item { handler: Arc::clone(handler), question: Arc::clone(question) });
        drop(inner);
        self.attention.0.raise();
        true
    }

    /// The next question.
    #[must_use]
    pub fn pop(&self) -> Option<Item> {
        self.inner.lock().items.pop_front()
    }

    /// Waits until something may be in it, until `deadline` at the latest.
    pub fn wait(&self, deadline: Option<std::time::Instant>) {
        let mark = self.attention.0.mark();
        if self.inner.lock().items.is_empty() {
            self.attention.0.wait(mark, deadline);
        }
    }

    /// Ends it: its handlers are cancelled, and refuse nothing any more. Does
    /// nothing in a forked child.
    pub fn close(&self) {
        if self.generation != fork::generation() {
            return;
        }
        let (items, handlers) = {
            let mut inner = self.inner.lock();
            inner.is_closed = true;
            (std::mem::take(&mut inner.items), std::mem::take(&mut inner.handlers))
        };
        for handler in handlers.iter().filter_map(Weak::upgrade) {
            handler.cancel();
        }
        for item in items {
            let _ = item.question.answer(Ok(()));
        }
    }
}
