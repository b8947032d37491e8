//! Waking a thread that waits for one of several things.

use std::time::Instant;

use super::sync::{Condvar, Mutex};

/// Raised whenever something happened that its owner may wait for.
///
/// The owner takes a mark, looks at what it waits for, and waits for the
/// signal to be raised since the mark: nothing gets lost in between.
#[derive(Default)]
pub(crate) struct Signal {
    raised: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    /// How often it was raised so far.
    pub(crate) fn mark(&self) -> u64 {
        *self.raised.lock()
    }

    /// Wakes the owner.
    pub(crate) fn raise(&self) {
        *self.raised.lock() += 1;
        self.changed.notify_all();
    }

    /// Waits until it is raised again after `mark`, until `deadline` at the
    /// latest.
    pub(crate) fn wait(&self, mark: u64, deadline: Option<Instant>) {
        let mut raised = self.raised.lock();
        while *raised == mark {
            match deadline {
                None => raised = self.changed.wait(raised),
                Some(deadline) => {
                    let (again, is_late) = self.changed.wait_until(raised, deadline);
                    raised = again;
                    if is_late {
                        return;
                    }
                }
            }
        }
    }
}
