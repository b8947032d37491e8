//! What was taken out of the cells, on its way to be freed.

use std::mem::ManuallyDrop;
use std::ops::Deref;

use super::buckets::{self, Array, Bucket};
use super::slot::from_slot;
use crate::platform::rcu::{self, Retired};
use crate::platform::sync::atomic::Ordering;
use crate::platform::thin::{IsThin, Thin};

/// A cell that was taken out. Readers may still see it; it is freed after them.
pub(crate) struct TakenOut<T: IsThin> {
    cell: ManuallyDrop<T>,
    bytes: usize,
}

impl<T: IsThin> TakenOut<T> {
    /// # Safety
    ///
    /// The pointer was a slot's, which has it no more.
    #[inline]
    pub(super) unsafe fn new(cell: *mut ()) -> Self {
        // SAFETY: the count was the slot's.
        let thin = unsafe { Thin::<T::Head>::from_raw(cell) };
        let bytes = thin.len();
        Self { cell: ManuallyDrop::new(T::from_thin(thin)), bytes }
    }
}

impl<T: IsThin> Deref for TakenOut<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.cell
    }
}

impl<T: IsThin> TakenOut<T> {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn retired(self) -> Retired {
        ManuallyDrop::new(self).take()
    }

    /// Only once, and nothing after it.
    #[inline]
    pub(super) fn take(&mut self) -> Retired {
        // SAFETY: `cell` is not used again.
        let cell = unsafe { ManuallyDrop::take(&mut self.cell) }.into_thin();
        // SAFETY: the count was the slot's and is this one's; no slot has it.
        unsafe { Retired::new(cell.into_raw(), free_cell::<T>) }
    }
}

impl<T: IsThin> Drop for TakenOut<T> {
    #[inline]
    fn drop(&mut self) {
        let bytes = self.bytes;
        rcu::retire(self.take(), bytes);
    }
}

/// Larger cells do not wait for another thread to free them.
pub(super) const SMALL: usize = 1024;

/// As dropping them, for cells that other threads have allocated: these free
/// them, except for large ones.
pub(crate) fn give_back_taken_out<T: IsThin>(cells: Vec<TakenOut<T>>) {
    let mut given = Vec::new();
    for cell in cells {
        // What is large goes as it would go alone.
        if cell.len() <= SMALL {
            given.push(cell.retired());
        }
    }
    if !given.is_empty() {
        rcu::give_away(given);
    }
}

/// Gives up cells that other threads have allocated. They free those that
/// nobody else has, except for large ones.
pub(crate) fn give_back<T: IsThin>(cells: &mut Vec<T>) {
    let mut given = Vec::new();
    for cell in cells.drain(..) {
        if let Some(last) = cell.into_thin().release()
            && last.len() <= SMALL
        {
            // SAFETY: this was the only reference, and its count goes along.
            given.push(unsafe { Retired::new(last.into_raw(), free_cell::<T>) });
        }
    }
    if !given.is_empty() {
        rcu::give_away(given);
    }
}

/// # Safety
///
/// As for [`from_slot`].
pub(super) unsafe fn free_cell<T: IsThin>(cell: *mut ()) {
    // SAFETY: as promised by the caller.
    drop(unsafe { from_slot::<T>(cell) });
}

/// An array that was taken out; its cells were moved to another one.
///
/// # Safety
///
/// Nobody can reach the array from now on, and it is retired once.
pub(super) unsafe fn retired_array(array: Array) -> Retired {
    // SAFETY: as promised by the caller.
    unsafe { Retired::new(boxed(array), free_array) }
}

/// An array that was taken out with its cells.
///
/// # Safety
///
/// As for [`retired_array`]; what is in its slots counts as its own.
pub(super) unsafe fn retired_with_cells<T: IsThin>(array: Array) -> Retired {
    // SAFETY: as promised by the caller.
    unsafe { Retired::new(boxed(array), free_with_cells::<T>) }
}

/// Where an array is and how long it is, behind one pointer.
fn boxed(array: Array) -> *mut () {
    Box::into_raw(Box::new(array.memory())).cast()
}

/// # Safety
///
/// The pointer is from [`boxed`] and is not used again.
unsafe fn unboxed(memory: *mut ()) -> *mut [Bucket] {
    // SAFETY: as promised by the caller.
    *unsafe { Box::from_raw(memory.cast::<*mut [Bucket]>()) }
}

/// # Safety
///
/// As for [`unboxed`]; nobody has the array.
unsafe fn free_array(memory: *mut ()) {
    // SAFETY: as promised by the caller.
    unsafe { buckets::free(unboxed(memory)) };
}

/// # Safety
///
/// As for [`free_array`]; the cells go with the array.
unsafe fn free_with_cells<T: IsThin>(memory: *mut ()) {
    // SAFETY: as promised by the caller.
    let array = unsafe { unboxed(memory) };
    // SAFETY: it lives until it is freed below.
    for cell in unsafe { &*array }.iter().flat_map(Bucket::taken) {
        // SAFETY: the count goes with the slot.
        drop(unsafe { from_slot::<T>(cell.load(Ordering::Relaxed)) });
    }
    // SAFETY: as promised by the caller.
    unsafe { buckets::free(array) };
}
