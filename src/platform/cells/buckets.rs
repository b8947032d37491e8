//! Buckets: slots for pointers to cells, and what tells them apart.

use std::ptr;

use crate::platform::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Slots of a bucket.
pub(super) const WIDTH: usize = 7;

/// Slots in one cache line.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Bucket {
    /// A byte for each slot: empty, a gap, or bits of its cell's hash.
    tags: AtomicU64,
    /// A cell with its count where the tag is one of a cell, null elsewhere.
    pub(super) cells: [AtomicPtr<()>; WIDTH],
}

/// The tag of a slot that was never used: a search ends here.
pub(super) const EMPTY: u8 = 0;
/// That of a slot whose cell was deleted: a search goes on.
pub(super) const GAP: u8 = 1;

/// The highest bit of the byte of each slot.
const HIGH_BITS: u64 = 0x0080_8080_8080_8080;
const LOW_BITS: u64 = 0x0001_0101_0101_0101;

/// That of a cell.
#[inline]
pub(super) fn tag_of(hash: u64) -> u8 {
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
    pub(super) fn look_for(&self, tag: u8) -> u64 {
        zero_bytes(self.tags.load(Ordering::Acquire) ^ (LOW_BITS * u64::from(tag)))
    }

    /// Whether a search ends here.
    #[inline]
    pub(super) fn has_empty_slot(&self) -> bool {
        zero_bytes(self.tags.load(Ordering::Acquire)) != 0
    }

    pub(super) fn tag(&self, slot: usize) -> u8 {
        (self.tags.load(Ordering::Relaxed) >> (slot * 8)) as u8
    }

    /// Only for the one who has the lock.
    pub(super) fn set_tag(&self, slot: usize, tag: u8) {
        let tags = self.tags.load(Ordering::Relaxed) & !(0xff << (slot * 8));
        self.tags.store(tags | u64::from(tag) << (slot * 8), Ordering::Release);
    }

    /// The slots with cells.
    pub(super) fn taken(&self) -> impl Iterator<Item = &AtomicPtr<()>> {
        self.cells.iter().filter(|cell| !cell.load(Ordering::Relaxed).is_null())
    }
}

/// Buckets as one pointer: their address; in its top byte, which no address of
/// user space has, the binary logarithm of how many there are; in its lowest
/// bit whether readers must wait.
#[derive(Clone, Copy)]
pub(super) struct Array {
    pub(super) tagged: *mut Bucket,
}

pub(super) const HELD: usize = 1;
const SIZE_SHIFT: u32 = 56;

impl Array {
    pub(super) const NONE: Self = Self { tagged: ptr::null_mut() };

    /// Buckets that are empty.
    pub(super) fn new(buckets: usize) -> Self {
        let new: Box<[Bucket]> = (0..buckets).map(|_| Bucket::default()).collect();
        let size = (buckets.trailing_zeros() as usize) << SIZE_SHIFT;
        Self { tagged: Box::into_raw(new).cast::<Bucket>().map_addr(|address| address | size) }
    }

    #[inline]
    pub(super) fn is_held(self) -> bool {
        self.tagged.addr() & HELD != 0
    }

    /// What it is when readers need not wait.
    #[inline]
    pub(super) fn released(self) -> Self {
        Self { tagged: self.tagged.map_addr(|address| address & !HELD) }
    }

    /// # Safety
    ///
    /// During `'a` the array is reachable under a lock that is held, or was
    /// when a read began that is not over.
    #[inline]
    pub(super) unsafe fn buckets<'a>(self) -> &'a [Bucket] {
        if self.released().tagged.is_null() {
            return &[];
        }
        // SAFETY: made by `new` with this length, not freed before the caller
        // is done.
        unsafe { &*self.slice() }
    }

    /// Not for [`Array::NONE`].
    #[inline]
    pub(super) fn slice(self) -> *mut [Bucket] {
        let len = 1 << (self.tagged.addr() >> SIZE_SHIFT);
        let first = self.tagged.map_addr(|address| address & ((1 << SIZE_SHIFT) - 1) & !HELD);
        ptr::slice_from_raw_parts_mut(first, len)
    }
}

/// Where a cell is, until the next change.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(super) number: usize,
    pub(super) slot: usize,
}

/// Where a search for a hash begins.
#[inline]
pub(super) fn first_bucket(hash: u64, buckets: &[Bucket]) -> usize {
    hash as usize & buckets.len().wrapping_sub(1)
}

/// The first place for a new cell with this hash. There must be one.
pub(super) fn free_place(buckets: &[Bucket], hash: u64) -> Place {
    let mut number = first_bucket(hash, buckets);
    loop {
        let bucket = &buckets[number];
        if let Some(slot) = (0..WIDTH).find(|&slot| bucket.tag(slot) <= GAP) {
            return Place { number, slot };
        }
        number = (number + 1) & (buckets.len() - 1);
    }
}
