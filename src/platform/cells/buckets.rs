//! Buckets: slots for pointers to cells, and what tells them apart.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr;

use crate::platform::pages;
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
#[inline(always)]
pub(super) fn tag_of(hash: u64) -> u8 {
    // Bits that neither choose a shard nor a bucket.
    ((hash >> 8) as u8).max(GAP + 1)
}

/// The highest bit of each byte that is 0; also of some that follow one.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

impl Bucket {
    /// The slots that may have this tag: the highest bits of their bytes.
    #[inline(always)]
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

/// An array of buckets as one pointer: its address; in its top byte, which no
/// address of user space has, how far a hash is shifted to give the number of
/// a bucket; in its lowest bit whether readers must wait.
///
/// What a search has to know about the array is in the pointer, as a line in
/// front of each array would lie in the same few sets of the cache.
#[derive(Clone, Copy)]
pub(super) struct Array {
    pub(super) tagged: *mut Bucket,
}

pub(super) const HELD: usize = 1;
const SHIFT_AT: u32 = 56;

/// A shift by all bits is none.
pub(super) const FEWEST: usize = 2;

impl Array {
    /// Buckets that are empty, a power of two of them, [`FEWEST`] or more.
    pub(super) fn new(buckets: usize) -> Self {
        let shift = (u64::BITS - buckets.trailing_zeros()) as usize;
        let len = buckets * size_of::<Bucket>();
        let address = if pages::serves(len) {
            let address = pages::map(len).cast::<Bucket>();
            if address.is_null() {
                handle_alloc_error(Layout::new::<Bucket>());
            }
            // Zeros are empty buckets: no tags, and null pointers.
            address
        } else {
            let new: Box<[Bucket]> = (0..buckets).map(|_| Bucket::default()).collect();
            Box::into_raw(new).cast::<Bucket>()
        };
        Self { tagged: address.map_addr(|address| address | shift << SHIFT_AT) }
    }

    #[inline(always)]
    pub(super) fn is_held(self) -> bool {
        self.tagged.addr() & HELD != 0
    }

    /// What it is when readers need not wait.
    #[inline]
    pub(super) fn released(self) -> Self {
        Self { tagged: self.tagged.map_addr(|address| address & !HELD) }
    }

    /// The array must not be held.
    ///
    /// # Safety
    ///
    /// During `'a` the array is reachable under a lock that is held, or was
    /// when a read began that is not over.
    #[inline(always)]
    pub(super) unsafe fn buckets<'a>(self) -> Buckets<'a> {
        let first = self.tagged.map_addr(|address| address << 8 >> 8);
        Buckets { first, shift: (self.tagged.addr() >> SHIFT_AT) as u8, _array: PhantomData }
    }

    /// The memory that [`Array::new`] took, for [`free`]. Its address is
    /// as it is: tools that look for leaks take a pointer with something in its
    /// top byte for none.
    pub(super) fn memory(self) -> *mut [Bucket] {
        let address = self.tagged.map_addr(|address| (address & !HELD) << 8 >> 8);
        let shift = (self.tagged.addr() >> SHIFT_AT) as u32;
        ptr::slice_from_raw_parts_mut(address, 1 << (u64::BITS - shift))
    }
}

/// Frees the memory of an array; what is in its slots is not looked at.
///
/// # Safety
///
/// It is from [`Array::memory`], and nobody has the array any more.
pub(super) unsafe fn free(memory: *mut [Bucket]) {
    let len = memory.len() * size_of::<Bucket>();
    // SAFETY: as promised by the caller; `Array::new` chose by the same length.
    unsafe {
        if pages::serves(len) {
            pages::unmap(memory.cast(), len);
        } else {
            drop(Box::from_raw(memory));
        }
    }
}

/// The buckets of an array.
#[derive(Clone, Copy)]
pub(super) struct Buckets<'a> {
    first: *const Bucket,
    shift: u8,
    _array: PhantomData<&'a [Bucket]>,
}

impl<'a> Buckets<'a> {
    /// How many there are.
    pub(super) fn len(self) -> usize {
        self.last() + 1
    }

    #[inline]
    fn last(self) -> usize {
        (u64::MAX >> (self.shift & 63)) as usize
    }

    /// The number of the bucket where a search for a hash begins. It goes on
    /// with the numbers after that.
    #[inline(always)]
    pub(super) fn home(self, hash: u64) -> usize {
        (hash >> (self.shift & 63)) as usize
    }

    /// The bucket of that number.
    #[inline(always)]
    pub(super) fn at_home(self, hash: u64) -> &'a Bucket {
        // SAFETY: so many bits of the hash are left that there are as many, for
        // as long as the array is borrowed.
        unsafe { &*self.first.add(self.home(hash)) }
    }

    /// The bucket with a number; behind the last comes the first again.
    #[inline]
    pub(super) fn at(self, number: usize) -> &'a Bucket {
        // SAFETY: as above.
        unsafe { &*self.first.add(number & self.last()) }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'a Bucket> {
        (0..self.len()).map(move |number| self.at(number))
    }
}

/// Where a cell is, until the next change.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(super) number: usize,
    pub(super) slot: usize,
}

/// The first place for a new cell with this hash. There must be one.
pub(super) fn free_place(buckets: Buckets<'_>, hash: u64) -> Place {
    let mut number = buckets.home(hash);
    loop {
        let bucket = buckets.at(number);
        if let Some(slot) = (0..WIDTH).find(|&slot| bucket.tag(slot) <= GAP) {
            return Place { number, slot };
        }
        number += 1;
    }
}
