//! The lock of what every put changes.
//!
//! As std's (`sync`): a word, and the kernel for who has to wait. Taking it
//! where nobody has it is so short here that it stands where it is needed.
//!
//! After U. Drepper, "Futexes Are Tricky", 2011, section 5.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

/// A lock for one at a time.
#[derive(Default)]
pub(super) struct Lock<T> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// Taken, and somebody may wait.
const AWAITED: u32 = 2;

/// How often somebody looks before it asks the kernel to be woken.
const SPINS: usize = 100;

// SAFETY: what is inside is one thread's at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

/// The right to what is inside, until it is dropped.
pub(super) struct LockGuard<'a, T> {
    lock: &'a Lock<T>,
}

// SAFETY: it is a reference to what is inside, and whoever drops it frees the
// lock, which belongs to no thread.
unsafe impl<T: Sync> Sync for LockGuard<'_, T> {}

impl<T> Lock<T> {
    pub(super) const fn new(value: T) -> Self {
        Self { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Waits until nobody has it.
    #[inline(always)]
    pub(super) fn lock(&self) -> LockGuard<'_, T> {
        if !self.take() {
            self.wait();
        }
        LockGuard { lock: self }
    }

    /// Takes it if nobody has it.
    #[inline(always)]
    fn take(&self) -> bool {
        self.state.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn wait(&self) {
        for _ in 0..SPINS {
            match self.state.load(Ordering::Relaxed) {
                FREE if self.take() => return,
                // Others sleep already.
                AWAITED => break,
                _ => spin_loop(),
            }
        }
        // Nobody knows who else waits, so from here on it is taken as awaited.
        while self.state.swap(AWAITED, Ordering::Acquire) != FREE {
            futex(&self.state, libc::FUTEX_WAIT, AWAITED);
        }
    }

    #[cold]
    fn wake(&self) {
        futex(&self.state, libc::FUTEX_WAKE, 1);
    }
}

/// Waits while `word` has this value, or wakes so many who wait. Either may be
/// in vain.
fn futex(word: &AtomicU32, operation: i32, value: u32) {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    let forever = ptr::null::<libc::timespec>();
    // SAFETY: the word lives through the call, which only reads it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, forever) };
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this guard's alone until it is dropped.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for LockGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.lock.state.swap(FREE, Ordering::Release) == AWAITED {
            self.lock.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time_has_it() {
        let lock = Lock::new(0_u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100_000).for_each(|_| *lock.lock() += 1));
            }
        });
        assert_eq!(*lock.lock(), 400_000);
    }

    #[test]
    fn who_sleeps_for_it_is_woken() {
        let lock = Lock::new(());
        for _ in 0..50 {
            let guard = lock.lock();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| drop(lock.lock()));
                }
                // Long enough for all of them to ask the kernel.
                std::thread::sleep(std::time::Duration::from_millis(2));
                drop(guard);
            });
        }
    }
}
