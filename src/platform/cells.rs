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

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr;

use super::lock::{Lock, LockGuard};
use super::rcu::{self, Reading, Retired};
use super::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use super::thin::{IsThin, Thin};

/// Cells, and with them what the one who changes them keeps about them.
pub(crate) struct Cells<T: IsThin, S> {
    array: AtomicPtr<Bucket>,
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
        Self {
            array: AtomicPtr::new(ptr::null_mut()),
            owned: Lock::new(Owned { used: 0, live: 0, kept: S::default() }),
            _owns: PhantomData,
        }
    }
}

/// Slots of a bucket.
const WIDTH: usize = 7;

/// Slots in one cache line.
#[derive(Default)]
#[repr(align(64))]
struct Bucket {
    /// A byte for each slot: empty, a gap, or bits of its cell's hash.
    tags: AtomicU64,
    /// A cell with its count where the tag is one of a cell, null elsewhere.
    cells: [AtomicPtr<()>; WIDTH],
}

/// The tag of a slot that was never used: a search ends here.
const EMPTY: u8 = 0;
/// That of a slot whose cell was deleted: a search goes on.
const GAP: u8 = 1;

/// The highest bit of the byte of each slot.
const HIGH_BITS: u64 = 0x0080_8080_8080_8080;
const LOW_BITS: u64 = 0x0001_0101_0101_0101;

/// That of a cell.
#[inline]
fn tag_of(hash: u64) -> u8 {
    // The bits that neither choose a shard nor a bucket.
    ((hash >> 56) as u8).max(GAP + 1)
}

/// The highest bit of each byte that is 0; also of some that follow one.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

impl Bucket {
    /// The slots that may have this tag: the highest bits of their bytes.
    #[inline]
    fn look_for(&self, tag: u8) -> u64 {
        zero_bytes(self.tags.load(Ordering::Acquire) ^ (LOW_BITS * u64::from(tag)))
    }

    /// Whether a search ends here.
    #[inline]
    fn has_empty_slot(&self) -> bool {
        zero_bytes(self.tags.load(Ordering::Acquire)) != 0
    }

    fn tag(&self, slot: usize) -> u8 {
        (self.tags.load(Ordering::Relaxed) >> (slot * 8)) as u8
    }

    /// Only for the one who has the lock.
    fn set_tag(&self, slot: usize, tag: u8) {
        let tags = self.tags.load(Ordering::Relaxed) & !(0xff << (slot * 8));
        self.tags.store(tags | u64::from(tag) << (slot * 8), Ordering::Release);
    }

    /// The slots with cells.
    fn taken(&self) -> impl Iterator<Item = &AtomicPtr<()>> {
        self.cells.iter().filter(|cell| !cell.load(Ordering::Relaxed).is_null())
    }
}

/// Buckets as one pointer: their address; in its top byte, which no address of
/// user space has, the binary logarithm of how many there are; in its lowest
/// bit whether readers must wait.
#[derive(Clone, Copy)]
struct Array {
    tagged: *mut Bucket,
}

const HELD: usize = 1;
const SIZE_SHIFT: u32 = 56;

impl Array {
    const NONE: Self = Self { tagged: ptr::null_mut() };

    /// Buckets that are empty.
    fn new(buckets: usize) -> Self {
        let new: Box<[Bucket]> = (0..buckets).map(|_| Bucket::default()).collect();
        let size = (buckets.trailing_zeros() as usize) << SIZE_SHIFT;
        Self { tagged: Box::into_raw(new).cast::<Bucket>().map_addr(|address| address | size) }
    }

    #[inline]
    fn is_held(self) -> bool {
        self.tagged.addr() & HELD != 0
    }

    /// What it is when readers need not wait.
    #[inline]
    fn released(self) -> Self {
        Self { tagged: self.tagged.map_addr(|address| address & !HELD) }
    }

    /// # Safety
    ///
    /// During `'a` the array is reachable under a lock that is held, or was
    /// when a read began that is not over.
    #[inline]
    unsafe fn buckets<'a>(self) -> &'a [Bucket] {
        if self.released().tagged.is_null() {
            return &[];
        }
        // SAFETY: made by `new` with this length, not freed before the caller
        // is done.
        unsafe { &*self.slice() }
    }

    /// Not for [`Array::NONE`].
    #[inline]
    fn slice(self) -> *mut [Bucket] {
        let len = 1 << (self.tagged.addr() >> SIZE_SHIFT);
        let first = self.tagged.map_addr(|address| address & ((1 << SIZE_SHIFT) - 1) & !HELD);
        ptr::slice_from_raw_parts_mut(first, len)
    }
}

/// Where a cell is, until the next change.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    number: usize,
    slot: usize,
}

/// The place and the cell with this hash that `is` the wanted one.
///
/// # Safety
///
/// The cells that are in the buckets now are not freed during `'a`.
#[inline(always)]
unsafe fn find<T: IsThin>(
    buckets: &[Bucket],
    hash: u64,
    is: impl Fn(&T) -> bool,
) -> Option<(Place, Seen<'_, T>)> {
    let tag = tag_of(hash);
    let mut number = first_bucket(hash, buckets);
    loop {
        let bucket = buckets.get(number)?;
        let mut candidates = bucket.look_for(tag);
        while candidates != 0 {
            let slot = candidates.trailing_zeros() as usize / 8;
            // The cell may have been changed for another since: then that one
            // has the same key, or is not the wanted one.
            let cell = bucket.cells[slot].load(Ordering::Acquire);
            if !cell.is_null() {
                Thin::<T::Head>::prefetch(cell);
                // SAFETY: as promised by the caller.
                let seen = unsafe { Seen::new(cell) };
                if is(&seen) {
                    return Some((Place { number, slot }, seen));
                }
            }
            candidates &= candidates - 1;
        }
        if bucket.has_empty_slot() {
            return None;
        }
        number = (number + 1) & (buckets.len() - 1);
    }
}

/// Where a search for a hash begins.
#[inline]
fn first_bucket(hash: u64, buckets: &[Bucket]) -> usize {
    hash as usize & buckets.len().wrapping_sub(1)
}

/// The first place for a new cell with this hash. There must be one.
fn free_place(buckets: &[Bucket], hash: u64) -> Place {
    let mut number = first_bucket(hash, buckets);
    loop {
        let bucket = &buckets[number];
        if let Some(slot) = (0..WIDTH).find(|&slot| bucket.tag(slot) <= GAP) {
            return Place { number, slot };
        }
        number = (number + 1) & (buckets.len() - 1);
    }
}

/// Every cell.
///
/// # Safety
///
/// As for [`find`].
unsafe fn every<'a, T: IsThin + 'a>(buckets: &'a [Bucket]) -> impl Iterator<Item = Seen<'a, T>> {
    let cells = buckets.iter().flat_map(|bucket| &bucket.cells);
    let cells = cells.map(|cell| cell.load(Ordering::Acquire)).filter(|cell| !cell.is_null());
    // SAFETY: as promised by the caller.
    cells.map(|cell| unsafe { Seen::new(cell) })
}

/// A slot's pointer to `cell`, which takes its count along.
#[inline]
fn into_slot<T: IsThin>(cell: T) -> *mut () {
    cell.into_thin().into_raw()
}

/// The reverse.
///
/// # Safety
///
/// The pointer is from [`into_slot`], and its count the caller's, or the result
/// is not dropped.
#[inline]
unsafe fn from_slot<T: IsThin>(cell: *mut ()) -> T {
    // SAFETY: as promised by the caller.
    T::from_thin(unsafe { Thin::from_raw(cell) })
}

/// A cell in a slot, for as long as it is sure to be there.
pub(crate) struct Seen<'a, T> {
    cell: ManuallyDrop<T>,
    _reachable: PhantomData<&'a T>,
}

impl<T: IsThin> Seen<'_, T> {
    /// # Safety
    ///
    /// The slot's cell is not freed during the lifetime.
    #[inline]
    unsafe fn new(cell: *mut ()) -> Self {
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
pub(crate) struct Found<'a, T> {
    seen: Seen<'a, T>,
    _reading: Reading,
}

impl<T> Deref for Found<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.seen
    }
}

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
    unsafe fn new(cell: *mut ()) -> Self {
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
    fn len(&self) -> usize {
        self.bytes
    }

    fn retired(self) -> Retired {
        ManuallyDrop::new(self).take()
    }

    /// Only once, and nothing after it.
    #[inline]
    fn take(&mut self) -> Retired {
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
const SMALL: usize = 1024;

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
unsafe fn free_cell<T: IsThin>(cell: *mut ()) {
    // SAFETY: as promised by the caller.
    drop(unsafe { from_slot::<T>(cell) });
}

/// # Safety
///
/// The pointer is that of an array that nobody else has; its cells were moved
/// to another.
unsafe fn free_array(tagged: *mut ()) {
    // SAFETY: made by `Array::new`, given up by the caller.
    drop(unsafe { Box::from_raw(Array { tagged: tagged.cast() }.slice()) });
}

/// # Safety
///
/// The pointer is that of an array that nobody else has, with its cells.
unsafe fn free_with_cells<T: IsThin>(tagged: *mut ()) {
    let array = Array { tagged: tagged.cast() };
    // SAFETY: as promised by the caller.
    for cell in unsafe { array.buckets() }.iter().flat_map(Bucket::taken) {
        // SAFETY: the count goes with the slot.
        drop(unsafe { from_slot::<T>(cell.load(Ordering::Relaxed)) });
    }
    // SAFETY: as promised by the caller.
    unsafe { free_array(tagged) };
}

impl<T: IsThin, S> Cells<T, S> {
    /// The array, as a reader may see it.
    #[inline]
    fn array(&self) -> Array {
        let array = Array { tagged: self.array.load(Ordering::Acquire) };
        if array.is_held() { self.wait() } else { array }
    }

    /// Waits until all changes that are made at once are made.
    #[cold]
    fn wait(&self) -> Array {
        self.lock().array().released()
    }

    /// The cell that has this hash and `is` the wanted one. Waits for nobody,
    /// unless somebody makes several changes at once.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<Found<'_, T>> {
        let reading = rcu::enter();
        // SAFETY: both were reachable after the read began, and it lasts for
        // as long as what is found.
        let (_, seen) = unsafe { find(self.array().buckets(), hash, is) }?;
        Some(Found { seen, _reading: reading })
    }

    /// Has the processor fetch the cell with this hash, for a change that comes.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        let _reading = rcu::enter();
        // SAFETY: it was reachable after the read began.
        let buckets = unsafe { self.array().buckets() };
        let Some(bucket) = buckets.get(first_bucket(hash, buckets)) else { return };
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
        let tagged = *self.array.get_mut();
        if !tagged.is_null() {
            // SAFETY: readers borrow the cells, so there are none.
            unsafe { free_with_cells::<T>(tagged.cast()) };
        }
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
    fn buckets(&self) -> &[Bucket] {
        // SAFETY: only who has the lock takes the array out.
        unsafe { self.array().buckets() }
    }

    /// Shows readers another array; gives the one before.
    fn set_array(&self, array: Array) -> Array {
        let before = self.array();
        let held = before.tagged.addr() & HELD;
        self.cells.array.store(array.tagged.map_addr(|address| address | held), Ordering::Release);
        before.released()
    }

    /// The cell with this hash that `is` the wanted one, and its place.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<(Place, Seen<'_, T>)> {
        // SAFETY: only who has the lock takes something out.
        unsafe { find(self.buckets(), hash, is) }
    }

    /// Every cell.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Seen<'_, T>> {
        // SAFETY: as in `find`.
        unsafe { every(self.buckets()) }
    }

    /// Puts `cell`, which has the same key, in the place of the one there.
    #[inline]
    pub(crate) fn replace(&mut self, place: Place, cell: T) -> TakenOut<T> {
        let slot = &self.buckets()[place.number].cells[place.slot];
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
        let bucket = &self.buckets()[place.number];
        let was_empty = bucket.tag(place.slot) == EMPTY;
        // Who sees the tag sees the cell.
        bucket.cells[place.slot].store(into_slot(cell), Ordering::Release);
        bucket.set_tag(place.slot, tag_of(hash));
        self.owned.used += usize::from(was_empty);
        self.owned.live += 1;
    }

    /// Takes the cell out.
    pub(crate) fn remove(&mut self, place: Place, hash_of: impl Fn(&T) -> u64) -> TakenOut<T> {
        let bucket = &self.buckets()[place.number];
        let slot = &bucket.cells[place.slot];
        let old = slot.load(Ordering::Relaxed);
        slot.store(ptr::null_mut(), Ordering::Release);
        bucket.set_tag(place.slot, GAP);
        self.owned.live -= 1;
        if self.owned.live * 8 < self.buckets().len() * WIDTH && self.buckets().len() > 1 {
            self.renew(hash_of);
        }
        // SAFETY: a place has a cell until the next change.
        unsafe { TakenOut::new(old) }
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) {
        (self.owned.used, self.owned.live) = (0, 0);
        let old = self.set_array(Array::NONE);
        if !old.tagged.is_null() {
            // SAFETY: no longer reachable, and its cells with it.
            let retired = unsafe { Retired::new(old.tagged.cast(), free_with_cells::<T>) };
            rcu::retire(retired, usize::MAX / 2);
        }
    }

    /// Moves the cells to an array of the right size, without gaps.
    #[cold]
    fn renew(&mut self, hash_of: impl Fn(&T) -> u64) {
        let live = self.owned.live;
        self.owned.used = live;
        let new = Array::new(((live + 1) * 2).div_ceil(WIDTH).next_power_of_two());
        // SAFETY: just made.
        let buckets = unsafe { new.buckets() };
        for seen in self.iter() {
            let hash = hash_of(&seen);
            let place = free_place(buckets, hash);
            let bucket = &buckets[place.number];
            // The slot's count moves along.
            let cell = into_slot(ManuallyDrop::into_inner(seen.cell));
            bucket.cells[place.slot].store(cell, Ordering::Relaxed);
            bucket.set_tag(place.slot, tag_of(hash));
        }
        let bytes = size_of_val(buckets);
        let old = self.set_array(new);
        if !old.tagged.is_null() {
            // SAFETY: no longer reachable; the new array has its cells.
            rcu::retire(unsafe { Retired::new(old.tagged.cast(), free_array) }, bytes);
        }
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
