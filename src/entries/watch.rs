//! Noticing what other processes do, for those who want to be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::follow::EndOfTurn;
use super::transaction::Plain;
use crate::platform::signal::Signal;
use crate::platform::signals::AllBlocked;

/// How often it is looked whether another process has made something: one load
/// from shared memory. There is no way to be woken by it.
const LOOK: Duration = Duration::from_millis(10);

/// The thread that looks.
#[derive(Default)]
pub(super) struct Watch {
    is_running: AtomicBool,
    /// Raised to have it look at once, or end.
    pub(super) signal: Arc<Signal>,
}

impl Engine {
    /// Starts the thread that looks, unless it runs, or there are no others.
    pub(super) fn watch(self: &Arc<Self>) {
        if self.others.is_none() || self.watch.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        let (engine, signal) = (Arc::downgrade(self), Arc::clone(&self.watch.signal));
        let look = move || {
            loop {
                let mark = signal.mark();
                let Some(engine) = engine.upgrade() else { return };
                if !engine.look() {
                    return;
                }
                drop(engine);
                signal.wait(mark, Some(Instant::now() + LOOK));
            }
        };
        let _blocked = AllBlocked::new();
        if thread::Builder::new().name("acervo-watch".to_owned()).spawn(look).is_err() {
            // Whoever changes the registry notices others too.
            self.watch.is_running.store(false, Ordering::Release);
        }
    }

    /// Takes in what is new and tells it; false if nobody wants to know.
    fn look(&self) -> bool {
        let is_wanted = || !self.is_closing() && (self.feeds.any() || self.handlers.any_replays());
        if !is_wanted() {
            self.watch.is_running.store(false, Ordering::Release);
            // Somebody may have come meanwhile, and found it running.
            return is_wanted() && !self.watch.is_running.swap(true, Ordering::AcqRel);
        }
        // What cannot be read now is read with the next look.
        let _ = self.current();
        if !self.news.lock().is_empty() {
            let caller = Plain::default();
            // One that is told may close the database.
            let _end = EndOfTurn { engine: self };
            // Not between the operations of a transaction.
            if let Some(_turn) = self.turn.take(&caller, None) {
                self.tell_news(&caller);
            }
        }
        true
    }
}
