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

pub(crate) use std::sync::{MutexGuard, atomic};

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
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is inside, for who has the lock alone anyway.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, if nobody has it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.inner.try_lock() {
            Ok(guard) => Some(guard),
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
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn write(&self) -> std::sync::RwLockWriteGuard<'_, T> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
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
        self.inner.wait(guard).unwrap_or_else(PoisonError::into_inner)
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
        let waited = self.inner.wait_timeout(guard, left);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (guard, Instant::now() >= deadline)
    }

    pub(crate) fn notify_one(&self) {
        self.inner.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.inner.notify_all();
    }
}
