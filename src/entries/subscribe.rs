//! Registering handlers.

use std::sync::Arc;

use super::EntryError;
use super::engine::Engine;
use super::transaction::{Caller, Handler, KindPattern, Responder, Transaction, Wants};
use crate::guard::Unusable;

impl Engine {
    /// Registers a handler. One that wants a replay is asked first about every
    /// entry that is there; if it refuses one, it is not registered.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        pattern: &[u8],
        wants: Wants,
        responder: Responder,
        caller: &dyn Caller,
    ) -> Result<Arc<Handler>, EntryError> {
        let pattern = KindPattern::parse(pattern).map_err(|what| EntryError::KindPattern {
            pattern: String::from_utf8_lossy(pattern).into_owned(),
            what,
        })?;
        let handler = self.handlers.make(pattern, wants, responder);
        if !wants.replay {
            self.handlers.add(&handler);
            if self.is_closing() {
                // It may have come too late to be ended with the others.
                handler.cancel();
                return Err(Unusable::Closed.into());
            }
            return Ok(handler);
        }
        let replayed = self.replay(&handler, caller);
        match replayed {
            Ok(()) => {
                self.watch();
                Ok(handler)
            }
            Err(error) => {
                handler.cancel();
                Err(error)
            }
        }
    }

    fn replay(&self, handler: &Arc<Handler>, caller: &dyn Caller) -> Result<(), EntryError> {
        // Between transactions: what is made from now on it is asked about.
        let _turn = self.begin(caller)?;
        let view = self.published();
        let matching = view.state.iter().filter(|entry| {
            handler.pattern.matches(entry.kind()) && !self.settings.is_internal(entry.kind())
        });
        let ops = self.creation(matching);
        Transaction::for_one(self, caller, handler, view.version).run(&ops)?;
        self.handlers.add(handler);
        Ok(())
    }
}
