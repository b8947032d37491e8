//! Whose turn it is to change the registry, among the threads of a process.
//!
//! Not a mutex: who waits may have to answer meanwhile what the transaction
//! under way asks of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::caller::Caller;
use crate::platform::signal::Signal;
use crate::platform::sync::Mutex;
use crate::platform::sync::atomic::{AtomicBool, Ordering};

/// The turns of a registry: first come, first served.
#[derive(Default)]
pub(in crate::entries) struct Turns {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    is_taken: bool,
    waiting: VecDeque<Arc<Waiting>>,
}

struct Waiting {
    signal: Arc<Signal>,
    is_next: AtomicBool,
}

/// The turn, until dropped.
pub(in crate::entries) struct ThreadTurn<'a> {
    turns: &'a Turns,
}

impl Turns {
    /// Takes the turn if nobody has it.
    pub(in crate::entries) fn try_take(&self) -> Option<ThreadTurn<'_>> {
        let mut inner = self.inner.lock();
        if inner.is_taken {
            return None;
        }
        inner.is_taken = true;
        Some(ThreadTurn { turns: self })
    }

    /// Waits for the turn; `None` if it does not come until `deadline`.
    pub(in crate::entries) fn take(
        &self,
        caller: &dyn Caller,
        deadline: Option<Instant>,
    ) -> Option<ThreadTurn<'_>> {
        if let Some(turn) = self.try_take() {
            return Some(turn);
        }
        let own = Waiting { signal: Arc::clone(caller.signal()), is_next: AtomicBool::new(false) };
        let own = Arc::new(own);
        {
            let mut inner = self.inner.lock();
            if !inner.is_taken {
                inner.is_taken = true;
                return Some(ThreadTurn { turns: self });
            }
            inner.waiting.push_back(Arc::clone(&own));
        }
        loop {
            let mark = own.signal.mark();
            if own.is_next.load(Ordering::Acquire) {
                return Some(ThreadTurn { turns: self });
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let mut inner = self.inner.lock();
                if own.is_next.load(Ordering::Acquire) {
                    return Some(ThreadTurn { turns: self });
                }
                inner.waiting.retain(|other| !Arc::ptr_eq(other, &own));
                return None;
            }
            caller.serve();
            if !own.is_next.load(Ordering::Acquire) {
                own.signal.wait(mark, deadline);
            }
        }
    }
}

impl Drop for ThreadTurn<'_> {
    fn drop(&mut self) {
        let mut inner = self.turns.inner.lock();
        match inner.waiting.pop_front() {
            // It is taken still, by the next.
            Some(next) => {
                next.is_next.store(true, Ordering::Release);
                drop(inner);
                next.signal.raise();
            }
            None => inner.is_taken = false,
        }
    }
}
