//! Locks.
//!
//! std's, without poisoning: a panic inside a write is caught at a boundary
//! of ours, which has the database refuse further writes.
//!
//! They are futexes and nothing else. That matters after a fork: parking_lot
//! keeps the threads that wait in a table of the process, where a child finds
//! its parent's threads, on stacks that its own new threads are given.

use std::sync::{PoisonError, TryLockError};
use std::time::Instant;

pub(crate) use std::sync::{MutexGuard, OnceLock, atomic};
pub(crate) use std::{thread, thread_local};

/// A lock for one at a time.
#[derive(Default)]
pub(crate) struct Mutex<T> {
    inner: std::sync::Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { inner: std::sync::Mutex::new(value) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        tsan::acquired(&self.inner);
        guard
    }

    /// What is inside, for who has the lock alone anyway.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, if nobody has it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.inner.try_lock() {
            Ok(guard) => {
                tsan::acquired(&self.inner);
                Some(guard)
            }
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A lock for many who read or one who writes.
#[derive(Default)]
pub(crate) struct RwLock<T> {
    inner: std::sync::RwLock<T>,
}

impl<T> RwLock<T> {
    #[inline]
    pub(crate) fn read(&self) -> std::sync::RwLockReadGuard<'_, T> {
        let guard = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        tsan::acquired(&self.inner);
        guard
    }

    #[inline]
    pub(crate) fn write(&self) -> std::sync::RwLockWriteGuard<'_, T> {
        let guard = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        tsan::acquired(&self.inner);
        guard
    }
}

/// Something to wait for, with a [`Mutex`].
#[derive(Default)]
pub(crate) struct Condvar {
    inner: std::sync::Condvar,
}

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self { inner: std::sync::Condvar::new() }
    }

    /// Waits until notified; may return without.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let lock = tsan::released(&guard);
        let guard = self.inner.wait(guard).unwrap_or_else(PoisonError::into_inner);
        tsan::acquired_at(lock);
        guard
    }

    /// As [`Condvar::wait`], until `deadline` at the latest. Also tells whether
    /// that has passed.
    pub(crate) fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> (MutexGuard<'a, T>, bool) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (guard, true);
        }
        let lock = tsan::released(&guard);
        let waited = self.inner.wait_timeout(guard, left);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        tsan::acquired_at(lock);
        (guard, Instant::now() >= deadline)
    }

    pub(crate) fn notify_one(&self) {
        self.inner.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.inner.notify_all();
    }
}

/// What ThreadSanitizer has to be told (`scripts/sanitize threads`): of a lock
/// that had to be waited for it sees nothing, because that part of std comes
/// compiled without it. Nothing in any other build.
#[cfg(not(acervo_tsan))]
mod tsan {
    use super::MutexGuard;

    #[inline(always)]
    pub(super) fn acquired<T>(_lock: &T) {}

    pub(super) struct Lock;

    #[inline(always)]
    pub(super) fn released<T>(_guard: &MutexGuard<'_, T>) -> Lock {
        Lock
    }

    #[inline(always)]
    pub(super) fn acquired_at(_lock: Lock) {}
}

#[cfg(acervo_tsan)]
mod tsan {
    use std::ffi::c_void;

    use super::MutexGuard;

    unsafe extern "C" {
        fn __tsan_acquire(address: *const c_void);
        fn __tsan_release(address: *const c_void);
    }

    /// What std's locks begin with is the word that it sees them released by.
    pub(super) fn acquired<T>(lock: &T) {
        acquired_at(std::ptr::from_ref(lock).cast());
    }

    /// A condition lets go of the lock out of its sight. Gives the lock.
    pub(super) fn released<T>(guard: &MutexGuard<'_, T>) -> *const c_void {
        // SAFETY: a guard begins with a pointer to its lock; where that is not
        // so, the build of the sanitizer reports races that are none.
        let lock = unsafe { std::ptr::from_ref(guard).cast::<*const c_void>().read() };
        // SAFETY: it takes any address.
        unsafe { __tsan_release(lock) };
        lock
    }

    pub(super) fn acquired_at(lock: *const c_void) {
        // SAFETY: it takes any address.
        unsafe { __tsan_acquire(lock) };
    }
}
