//! What a slot holds: a cell with its count, as a pointer.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;

use crate::platform::rcu::Reading;
use crate::platform::thin::{IsThin, Thin};

/// A slot's pointer to `cell`, which takes its count along.
#[inline]
pub(super) fn into_slot<T: IsThin>(cell: T) -> *mut () {
    cell.into_thin().into_raw()
}

/// The reverse.
///
/// # Safety
///
/// The pointer is from [`into_slot`], and its count the caller's, or the result
/// is not dropped.
#[inline]
pub(super) unsafe fn from_slot<T: IsThin>(cell: *mut ()) -> T {
    // SAFETY: as promised by the caller.
    T::from_thin(unsafe { Thin::from_raw(cell) })
}

/// A cell in a slot, for as long as it is sure to be there.
pub(crate) struct Seen<'a, T> {
    pub(super) cell: ManuallyDrop<T>,
    _reachable: PhantomData<&'a T>,
}

impl<T: IsThin> Seen<'_, T> {
    /// # Safety
    ///
    /// The slot's cell is not freed during the lifetime.
    #[inline]
    pub(super) unsafe fn new(cell: *mut ()) -> Self {
        // SAFETY: the count stays the slot's, as this is never dropped.
        let cell = ManuallyDrop::new(unsafe { from_slot(cell) });
        Self { cell, _reachable: PhantomData }
    }
}

impl<T> Deref for Seen<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.cell
    }
}

/// A cell that a reader has found; it is not freed as long as this is there.
/// To be held for short: what others take out meanwhile waits.
pub(crate) struct Found<T: 'static> {
    /// Not for ever, but as long as the read lasts: also when the cells it was
    /// found in go meanwhile.
    pub(super) seen: Seen<'static, T>,
    pub(super) _reading: Reading,
}

impl<T> Deref for Found<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.seen
    }
}
