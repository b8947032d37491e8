//! Panics on order, for the tests of what a panic may leave behind.
//!
//! [`point`] marks a place where one can be ordered. In the library it is
//! nothing; in the unit tests, which are compiled from the same sources, it
//! panics once if the thread has ordered it. So every wall and every write can
//! be tried without a second build and without a line of code in the first.

#[cfg(not(test))]
#[inline(always)]
pub(crate) fn point(_place: &'static str) {}

#[cfg(test)]
pub(crate) use on_order::{order, point, was_met};

#[cfg(test)]
mod on_order {
    use std::cell::Cell;

    thread_local! {
        static ORDERED: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Panics if this thread has ordered it at this place.
    pub(crate) fn point(place: &'static str) {
        if ORDERED.get() == Some(place) {
            ORDERED.set(None);
            // Without a message on stderr.
            std::panic::resume_unwind(Box::new("a fault on order"));
        }
    }

    /// The next time this thread comes to `place`, it panics there.
    pub(crate) fn order(place: &'static str) {
        ORDERED.set(Some(place));
    }

    /// Whether it came there since.
    pub(crate) fn was_met() -> bool {
        ORDERED.take().is_none()
    }
}
