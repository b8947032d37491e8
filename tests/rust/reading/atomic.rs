//! Atomics of loom as std's, which the kernel may interrupt, and which find out
//! who uses them when they are freed.

use std::sync::atomic;
use std::sync::{Arc, Mutex};

pub use loom::sync::atomic::{Ordering, fence};

use crate::kernel::{self, interrupt};

/// The compiler's order is the program's here.
pub fn compiler_fence(_: Ordering) {
    interrupt();
}

/// Where somebody is told that he uses what was freed.
#[derive(Default)]
struct Freed(atomic::AtomicBool);

impl Freed {
    fn check(&self) {
        assert!(!self.0.load(Ordering::Relaxed), "it was freed");
    }
}

macro_rules! atomic {
    ($name:ident $(<$t:ident>)?, $value:ty) => {
        pub struct $name$(<$t>)? {
            inner: loom::sync::atomic::$name$(<$t>)?,
            freed: Freed,
            exclusive: atomic::$name$(<$t>)?,
        }

        impl$(<$t>)? $name$(<$t>)? {
            pub fn new(value: $value) -> Self {
                Self {
                    inner: loom::sync::atomic::$name::new(value),
                    freed: Freed::default(),
                    exclusive: atomic::$name::new(value),
                }
            }

            fn with<R>(
                &self,
                work: impl FnOnce(&loom::sync::atomic::$name$(<$t>)?) -> R,
            ) -> R {
                self.freed.check();
                interrupt();
                let result = work(&self.inner);
                self.freed.check();
                result
            }

            pub fn load(&self, order: Ordering) -> $value {
                self.with(|inner| inner.load(order))
            }

            pub fn store(&self, value: $value, order: Ordering) {
                self.with(|inner| inner.store(value, order));
            }

            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.with(|inner| inner.compare_exchange(current, new, success, failure))
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.with(|inner| inner.swap(value, order))
            }

            /// To be read only.
            pub fn get_mut(&mut self) -> &mut $value {
                let value = self.inner.with_mut(|value| *value);
                *self.exclusive.get_mut() = value;
                self.exclusive.get_mut()
            }
        }

        impl$(<$t>)? Drop for $name$(<$t>)? {
            /// Whoever used it has to have done so before, for certain.
            fn drop(&mut self) {
                if !std::thread::panicking() {
                    self.freed.check();
                    self.inner.with_mut(|_| ());
                    self.freed.0.store(true, Ordering::Relaxed);
                }
            }
        }
    };
}

atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);
atomic!(AtomicPtr<T>, *mut T);

impl AtomicUsize {
    pub fn fetch_add(&self, value: usize, order: Ordering) -> usize {
        self.with(|inner| inner.fetch_add(value, order))
    }

    pub fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
        self.with(|inner| inner.fetch_sub(value, order))
    }
}

impl<T> AtomicPtr<T> {
    pub fn fetch_or(&self, bits: usize, order: Ordering) -> *mut T {
        self.with(|inner| {
            inner.update(order, Ordering::Relaxed, |it| it.map_addr(|address| address | bits))
        })
    }
}

impl Default for AtomicU64 {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> Default for AtomicPtr<T> {
    fn default() -> Self {
        Self::new(std::ptr::null_mut())
    }
}

/// One that may be static: it is another one in each order of threads.
pub struct AtomicBool {
    initial: bool,
    place: Mutex<(u64, Option<Arc<loom::sync::atomic::AtomicBool>>)>,
}

impl AtomicBool {
    pub const fn new(initial: bool) -> Self {
        Self { initial, place: Mutex::new((0, None)) }
    }

    fn with<R>(&self, work: impl FnOnce(&loom::sync::atomic::AtomicBool) -> R) -> R {
        interrupt();
        let mut place = self.place.lock().unwrap();
        if place.0 != kernel::orders() {
            *place = (kernel::orders(), None);
        }
        let inner = Arc::clone(place.1.get_or_insert_with(|| kernel::flag(self.initial)));
        drop(place);
        work(&inner)
    }

    pub fn load(&self, order: Ordering) -> bool {
        self.with(|inner| inner.load(order))
    }

    /// A swap: beside others' swaps, loom does not know which of the two came
    /// first for a store.
    pub fn store(&self, value: bool, order: Ordering) {
        self.swap(value, order);
    }

    pub fn swap(&self, value: bool, order: Ordering) -> bool {
        self.with(|inner| inner.swap(value, order))
    }
}
