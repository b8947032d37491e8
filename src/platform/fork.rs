//! Noticing that the process has forked.
//!
//! A child has the parent's memory but none of its threads, and file locks do
//! not pass to it. Handles remember the generation they were made in; in a
//! child the generation has moved, and they refuse to work. Reading an atomic
//! costs a fraction of what getpid would on every call.

use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between the process that loaded the library and this
/// one.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Has the generation move in every child from now on. Called by each open.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the three handlers are plain functions of a library that is
        // never unloaded; they only touch atomics and mutexes made for it.
        unsafe { libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child)) };
    });
}

unsafe extern "C" fn before() {
    super::sqlite::hold_mutexes();
}

unsafe extern "C" fn after_in_parent() {
    super::sqlite::release_mutexes();
}

unsafe extern "C" fn after_in_child() {
    super::sqlite::release_mutexes();
    super::turn::let_go_in_child();
    super::rcu::in_child();
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A static that every process has for itself: a forked child does not see
/// its parent's, whose locks may be held by threads that do not exist there.
pub(crate) struct PerProcess<T> {
    current: AtomicPtr<(u32, T)>,
}

impl<T: Default + Send + Sync> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { current: AtomicPtr::new(ptr::null_mut()) }
    }

    /// This process's value, made at the first call.
    pub(crate) fn get(&'static self) -> &'static T {
        let mut current = self.current.load(Ordering::Acquire);
        loop {
            // SAFETY: what was stored came from Box::into_raw and is never
            // freed: a parent's value stays where it is, out of reach.
            if let Some((generation, value)) = unsafe { current.as_ref() }
                && *generation == self::generation()
            {
                return value;
            }
            let fresh = Box::into_raw(Box::new((self::generation(), T::default())));
            let order = (Ordering::AcqRel, Ordering::Acquire);
            match self.current.compare_exchange(current, fresh, order.0, order.1) {
                Ok(_) => current = fresh,
                Err(other) => {
                    // SAFETY: nobody else has seen it.
                    drop(unsafe { Box::from_raw(fresh) });
                    current = other;
                }
            }
        }
    }
}
