//! A box that is filled at first use and takes one word until then.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Empty, or a box for good. Several threads may fill it at once; one wins.
pub(crate) struct OnceBox<T> {
    place: AtomicPtr<T>,
}

impl<T> Default for OnceBox<T> {
    fn default() -> Self {
        Self { place: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl<T: Send + Sync> OnceBox<T> {
    /// What it holds; made by `make` at first use.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
        let mut place = self.place.load(Ordering::Acquire);
        if place.is_null() {
            let made = Box::into_raw(make());
            let (won, lost) = (Ordering::AcqRel, Ordering::Acquire);
            place = match self.place.compare_exchange(ptr::null_mut(), made, won, lost) {
                Ok(_) => made,
                Err(other) => {
                    // SAFETY: nobody else has seen it.
                    drop(unsafe { Box::from_raw(made) });
                    other
                }
            };
        }
        // SAFETY: from a box, which stays until this is dropped.
        unsafe { &*place }
    }
}

impl<T> Drop for OnceBox<T> {
    #[inline]
    fn drop(&mut self) {
        let place = *self.place.get_mut();
        if !place.is_null() {
            // SAFETY: from a box, given up once.
            drop(unsafe { Box::from_raw(place) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_see_the_one_that_won() {
        let once = OnceBox::default();
        let seen: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4_usize)
                .map(|n| {
                    scope.spawn({
                        let once = &once;
                        move || *once.get_or_init(|| Box::new(n))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(seen.iter().all(|&n| n == seen[0]), "{seen:?}");
    }
}
