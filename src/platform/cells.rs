//! Cells by the hash of their keys: one thread at a time changes them, any
//! number read them without a lock.
//!
//! Open addressing over buckets. A bucket is a cache line: seven pointers to
//! cells, and a word with eight bits of the hash of each. A lookup compares the
//! seven at once, without a branch that could be guessed wrong, and goes
//! straight to the wanted cell. A cell stays in its slot for as long as the
//! array lasts, and a deleted one leaves a gap, so that readers never miss a
//! key that is there. Gaps go when the array is made anew. What is taken out
//! (a cell, an array) is freed when no reader can see it any more
//! ([`rcu`](super::rcu)).

mod buckets;
mod slot;
mod taken_out;

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr;

use super::lock::{Lock, LockGuard};
use super::rcu;
use super::sync::atomic::{AtomicPtr, Ordering};
use super::thin::{IsThin, Thin};
pub(crate) use buckets::Place;
use buckets::{Array, Bucket, Buckets, EMPTY, FEWEST, GAP, HELD, WIDTH, free_place, tag_of};
use slot::into_slot;
pub(crate) use slot::{Found, Seen};
pub(crate) use taken_out::{TakenOut, give_back, give_back_taken_out};
use taken_out::{retired_array, retired_with_cells};

/// A cell that knows its key.
///
/// A search by hash alone finds candidates: cells that share a byte of the hash
/// and a bucket. Only the key tells which of them is the wanted one, so every
/// search of [`Cells`] takes either the key, or the whole hash together with
/// the function that computes it from a cell ([`Locked::find_hashed`]).
pub(crate) trait Keyed: IsThin {
    /// Whether this is the cell of `key`.
    fn has_key(&self, key: &[u8]) -> bool;
}

/// Cells, and with them what the one who changes them keeps about them.
pub(crate) struct Cells<T: IsThin, S> {
    array: AtomicPtr<Bucket>,
    /// Where the array is, for tools that look for leaks ([`Array::memory`]).
    memory: AtomicPtr<Bucket>,
    owned: Lock<Owned<S>>,
    _owns: PhantomData<T>,
}

struct Owned<S> {
    /// Slots that are not empty: cells and gaps.
    used: usize,
    live: usize,
    kept: S,
}

impl<T: IsThin, S: Default> Default for Cells<T, S> {
    fn default() -> Self {
        let array = Array::new(FEWEST);
        Self {
            array: AtomicPtr::new(array.tagged),
            memory: AtomicPtr::new(array.memory().cast()),
            owned: Lock::new(Owned { used: 0, live: 0, kept: S::default() }),
            _owns: PhantomData,
        }
    }
}

/// The place and the cell with this hash that `is` the wanted one.
///
/// # Safety
///
/// The cells that are in the buckets now are not freed during `'a`.
#[inline(always)]
unsafe fn find<'a, T: IsThin>(
    buckets: Buckets<'a>,
    hash: u64,
    is: impl Fn(&T) -> bool,
) -> Option<(Place, Seen<'a, T>)> {
    // Nearly always it is the first that it may be.
    let bucket = buckets.at_home(hash);
    let candidates = bucket.look_for(tag_of(hash));
    if candidates != 0 {
        // SAFETY: as promised by the caller.
        let found = unsafe { test(bucket, candidates, &is) };
        if let Some((slot, seen)) = found {
            return Some((Place { number: buckets.home(hash), slot }, seen));
        }
    }
    // SAFETY: as promised by the caller.
    unsafe { search(buckets, hash, &is) }
}

/// As [`find`], one candidate after the other.
///
/// # Safety
///
/// As for [`find`].
#[inline(never)]
unsafe fn search<'a, T: IsThin>(
    buckets: Buckets<'a>,
    hash: u64,
    is: &impl Fn(&T) -> bool,
) -> Option<(Place, Seen<'a, T>)> {
    let tag = tag_of(hash);
    let mut number = buckets.home(hash);
    loop {
        let bucket = buckets.at(number);
        let mut candidates = bucket.look_for(tag);
        while candidates != 0 {
            // SAFETY: as promised by the caller.
            if let Some((slot, seen)) = unsafe { test(bucket, candidates, is) } {
                return Some((Place { number, slot }, seen));
            }
            candidates &= candidates - 1;
        }
        if bucket.has_empty_slot() {
            return None;
        }
        number += 1;
    }
}

/// The first candidate of a bucket and its slot, if it `is` the wanted one.
///
/// # Safety
///
/// As for [`find`].
#[inline(always)]
unsafe fn test<'a, T: IsThin>(
    bucket: &'a Bucket,
    candidates: u64,
    is: &impl Fn(&T) -> bool,
) -> Option<(usize, Seen<'a, T>)> {
    let slot = candidates.trailing_zeros() as usize / 8;
    // The cell may have been changed for another since: then that one has the
    // same key, or is not the wanted one.
    let cell = bucket.cells[slot].load(Ordering::Acquire);
    if cell.is_null() {
        return None;
    }
    Thin::<T::Head>::prefetch(cell);
    // SAFETY: as promised by the caller.
    let seen = unsafe { Seen::new(cell) };
    is(&seen).then_some((slot, seen))
}

/// Every cell.
///
/// # Safety
///
/// As for [`find`].
unsafe fn every<'a, T: IsThin + 'a>(buckets: Buckets<'a>) -> impl Iterator<Item = Seen<'a, T>> {
    let cells = buckets.iter().flat_map(|bucket| &bucket.cells);
    let cells = cells.map(|cell| cell.load(Ordering::Acquire)).filter(|cell| !cell.is_null());
    // SAFETY: as promised by the caller.
    cells.map(|cell| unsafe { Seen::new(cell) })
}

impl<T: IsThin, S> Cells<T, S> {
    /// The array, as a reader may see it.
    #[inline(always)]
    fn array(&self) -> Array {
        let array = Array { tagged: self.array.load(Ordering::Acquire) };
        if array.is_held() { self.wait() } else { array }
    }

    /// Waits until all changes that are made at once are made.
    #[cold]
    fn wait(&self) -> Array {
        self.lock().array().released()
    }

    /// The cell of `key`, whose hash this is. Waits for nobody, unless somebody
    /// makes several changes at once.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, key: &[u8]) -> Option<Found<T>>
    where
        T: Keyed + 'static,
    {
        let reading = rcu::enter();
        // SAFETY: both were reachable after the read began, and it lasts for
        // as long as what is found.
        let (_, seen) = unsafe { find(self.array().buckets(), hash, |it: &T| it.has_key(key)) }?;
        Some(Found { seen, _reading: reading })
    }

    /// Has the processor fetch the cell with this hash, for a change that comes.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        let _reading = rcu::enter();
        // SAFETY: it was reachable after the read began.
        let buckets = unsafe { self.array().buckets() };
        let bucket = buckets.at_home(hash);
        let candidates = bucket.look_for(tag_of(hash));
        if candidates != 0 {
            let slot = candidates.trailing_zeros() as usize / 8;
            Thin::<T::Head>::prefetch(bucket.cells[slot].load(Ordering::Relaxed));
        }
    }

    /// Calls `visit` with every cell; one that is there all the while is
    /// visited once.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&T)) {
        rcu::read(|| {
            // SAFETY: as in `read`.
            unsafe { every::<T>(self.array().buckets()) }.for_each(|seen| visit(&seen));
        });
    }

    /// The right to change them.
    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, T, S> {
        Locked { cells: self, owned: self.owned.lock() }
    }
}

impl<T: IsThin, S> Drop for Cells<T, S> {
    fn drop(&mut self) {
        let array = Array { tagged: *self.array.get_mut() };
        // SAFETY: readers borrow the cells, so nobody looks into the array.
        for slot in unsafe { array.released().buckets() }.iter().flat_map(Bucket::taken) {
            // What was found there somebody may still have.
            // SAFETY: no slot has it any more.
            drop(unsafe { TakenOut::<T>::new(slot.load(Ordering::Relaxed)) });
        }
        // SAFETY: as above; its cells are gone.
        unsafe { buckets::free(array.memory()) };
    }
}

/// The cells, for the one who may change them.
pub(crate) struct Locked<'a, T: IsThin, S> {
    cells: &'a Cells<T, S>,
    owned: LockGuard<'a, Owned<S>>,
}

impl<T: IsThin, S> Deref for Locked<'_, T, S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.owned.kept
    }
}

impl<T: IsThin, S> DerefMut for Locked<'_, T, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.owned.kept
    }
}

impl<T: IsThin, S> Locked<'_, T, S> {
    /// Has readers wait until this ends, so that they see all changes or none.
    pub(crate) fn hold_readers(&mut self) {
        self.cells.array.fetch_or(HELD, Ordering::Release);
    }

    #[inline]
    fn array(&self) -> Array {
        Array { tagged: self.cells.array.load(Ordering::Relaxed) }
    }

    #[inline]
    fn buckets(&self) -> Buckets<'_> {
        // SAFETY: only who has the lock takes the array out.
        unsafe { self.array().released().buckets() }
    }

    /// Shows readers another array; gives the one before.
    fn set_array(&self, array: Array) -> Array {
        let before = self.array();
        let held = before.tagged.addr() & HELD;
        self.cells.array.store(array.tagged.map_addr(|address| address | held), Ordering::Release);
        self.cells.memory.store(array.memory().cast(), Ordering::Relaxed);
        before.released()
    }

    /// The cell of `key`, whose hash this is, and its place.
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<(Place, Seen<'_, T>)>
    where
        T: Keyed,
    {
        // SAFETY: only who has the lock takes something out.
        unsafe { search(self.buckets(), hash, &|it: &T| it.has_key(key)) }
    }

    /// As [`Locked::find`], for puts.
    #[inline(always)]
    pub(crate) fn find_here(&self, hash: u64, key: &[u8]) -> Option<(Place, Seen<'_, T>)>
    where
        T: Keyed,
    {
        // SAFETY: as above.
        unsafe { find(self.buckets(), hash, |it: &T| it.has_key(key)) }
    }

    /// A cell that `is` wanted and whose whole hash, as `hash_of` computes it
    /// from the cell, is this one. Where several are, it is any of them.
    pub(crate) fn find_hashed(
        &self,
        hash: u64,
        hash_of: impl Fn(&T) -> u64,
        is: impl Fn(&T) -> bool,
    ) -> Option<(Place, Seen<'_, T>)> {
        // SAFETY: as above.
        unsafe { search(self.buckets(), hash, &|it: &T| is(it) && hash_of(it) == hash) }
    }

    /// Every cell.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Seen<'_, T>> {
        // SAFETY: as in `find`.
        unsafe { every(self.buckets()) }
    }

    /// Puts `cell`, which has the same key, in the place of the one there.
    #[inline]
    pub(crate) fn replace(&mut self, place: Place, cell: T) -> TakenOut<T> {
        let slot = &self.buckets().at(place.number).cells[place.slot];
        let old = slot.load(Ordering::Relaxed);
        slot.store(into_slot(cell), Ordering::Release);
        // SAFETY: a place has a cell until the next change.
        unsafe { TakenOut::new(old) }
    }

    /// Adds a cell whose key is not there.
    pub(crate) fn insert(&mut self, hash: u64, cell: T, hash_of: impl Fn(&T) -> u64) {
        // A quarter stays empty, so that searches end soon.
        if (self.owned.used + 1) * 4 > self.buckets().len() * WIDTH * 3 {
            self.renew(hash_of);
        }
        let place = free_place(self.buckets(), hash);
        let bucket = self.buckets().at(place.number);
        let was_empty = bucket.tag(place.slot) == EMPTY;
        // Who sees the tag sees the cell.
        bucket.cells[place.slot].store(into_slot(cell), Ordering::Release);
        bucket.set_tag(place.slot, tag_of(hash));
        self.owned.used += usize::from(was_empty);
        self.owned.live += 1;
    }

    /// Takes the cell out.
    pub(crate) fn remove(&mut self, place: Place, hash_of: impl Fn(&T) -> u64) -> TakenOut<T> {
        let bucket = self.buckets().at(place.number);
        let slot = &bucket.cells[place.slot];
        let old = slot.load(Ordering::Relaxed);
        slot.store(ptr::null_mut(), Ordering::Release);
        bucket.set_tag(place.slot, GAP);
        self.owned.live -= 1;
        if self.owned.live * 8 < self.buckets().len() * WIDTH && self.buckets().len() > FEWEST {
            self.renew(hash_of);
        }
        // SAFETY: a place has a cell until the next change.
        unsafe { TakenOut::new(old) }
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) {
        (self.owned.used, self.owned.live) = (0, 0);
        let old = self.set_array(Array::new(FEWEST));
        // SAFETY: no longer reachable, and its cells with it.
        rcu::retire(unsafe { retired_with_cells::<T>(old) }, usize::MAX / 2);
    }

    /// Moves the cells to an array of the right size, without gaps.
    #[cold]
    fn renew(&mut self, hash_of: impl Fn(&T) -> u64) {
        let live = self.owned.live;
        self.owned.used = live;
        let new = Array::new(((live + 1) * 2).div_ceil(WIDTH).next_power_of_two().max(FEWEST));
        // SAFETY: just made.
        let buckets = unsafe { new.buckets() };
        for seen in self.iter() {
            let hash = hash_of(&seen);
            let place = free_place(buckets, hash);
            let bucket = buckets.at(place.number);
            // The slot's count moves along.
            let cell = into_slot(ManuallyDrop::into_inner(seen.cell));
            bucket.cells[place.slot].store(cell, Ordering::Relaxed);
            bucket.set_tag(place.slot, tag_of(hash));
        }
        let bytes = buckets.len() * size_of::<Bucket>();
        let old = self.set_array(new);
        // SAFETY: no longer reachable; the new array has its cells.
        rcu::retire(unsafe { retired_array(old) }, bytes);
    }
}

impl<T: IsThin, S> Drop for Locked<'_, T, S> {
    #[inline]
    fn drop(&mut self) {
        if self.array().is_held() {
            self.cells.array.store(self.array().released().tagged, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
