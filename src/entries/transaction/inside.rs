//! Which registries have a handler running on this thread.

use std::cell::RefCell;

thread_local! {
    static RUNNING: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Runs a handler of the registry at this address.
pub(super) fn within<R>(engine: usize, handler: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            RUNNING.with_borrow_mut(|running| running.pop());
        }
    }
    RUNNING.with_borrow_mut(|running| running.push(engine));
    let _leave = Leave;
    handler()
}

/// Whether a handler of the registry at this address runs on this thread.
pub(in crate::entries) fn is_inside(engine: usize) -> bool {
    RUNNING.with_borrow(|running| running.contains(&engine))
}

/// Whether any handler runs on this thread.
pub(in crate::entries) fn is_inside_any() -> bool {
    RUNNING.with_borrow(|running| !running.is_empty())
}
