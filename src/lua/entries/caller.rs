//! A Lua state as the maker of a transaction.

use std::cell::Cell;
use std::sync::Arc;

use super::access::Access;
use super::home::Home;
use super::protected::Doorway;
use crate::entries::{Attention, Caller, Queue};
use crate::lua::context::Context;

/// A call of a Lua state that may have to wait: meanwhile the state's own
/// handlers answer what is asked of them.
pub(super) struct StateCaller {
    doorway: Doorway,
    context: &'static Context,
    queue: Arc<Queue>,
    served: Cell<u64>,
}

impl StateCaller {
    pub(super) fn new(doorway: Doorway, context: &'static Context) -> Self {
        Self { doorway, context, queue: context.queue(), served: Cell::new(0) }
    }

    /// What the actor may see and do now: a policy may have been set since the
    /// call began.
    pub(super) fn access<'a>(&self, home: &'a Home) -> Access<'a> {
        Access::new(self.doorway, self.context, home)
    }

    /// How many questions were answered.
    pub(super) fn served(&self) -> u64 {
        self.served.get()
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Caller for StateCaller {
    fn attention(&self) -> &Attention {
        self.queue.attention()
    }

    fn serve(&self) {
        while let Some(item) = self.queue.pop() {
            // A handler that is not known any more has nothing to say.
            let Some(home) = self.context.handler_home(item.key()) else { continue };
            let access = self.access(&home);
            let is_answered = item.run(|question| {
                // What its actor may not see does not concern it.
                match question.step().entry() {
                    Some(entry) if !access.allows_entry(entry) => Ok(()),
                    _ => self.doorway.ask(question, item.key(), &home),
                }
            });
            self.served.set(self.served.get() + u64::from(is_answered));
        }
    }
}
