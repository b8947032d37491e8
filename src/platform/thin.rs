//! A counted allocation behind one thin pointer: a head, and two runs of bytes
//! right behind it.
//!
//! What is put together from parts is written once, straight to where it
//! stays.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::sync::atomic::{AtomicUsize, Ordering, fence};

use super::pool;

/// A counted reference. Cloning copies nothing.
pub(crate) struct Thin<H> {
    block: NonNull<Block<H>>,
    _owns: PhantomData<Block<H>>,
}

/// What the allocation begins with; the bytes follow.
#[repr(C)]
struct Block<H> {
    count: AtomicUsize,
    /// How long the runs of bytes are.
    first: u32,
    second: u32,
    head: H,
}

/// A type that is a [`Thin`] and nothing else.
///
/// What the functions give must be what they were given: whoever keeps such a
/// pointer without its count relies on it.
pub(crate) trait IsThin {
    type Head;
    fn from_thin(thin: Thin<Self::Head>) -> Self;
    fn into_thin(self) -> Thin<Self::Head>;
}

// SAFETY: head and bytes are only given out as shared references, and the
// count is atomic.
unsafe impl<H: Send + Sync> Send for Thin<H> {}
// SAFETY: as above.
unsafe impl<H: Send + Sync> Sync for Thin<H> {}

impl<H> Thin<H> {
    /// A first run, and a second one that is the parts one after the other,
    /// copied. `None` if there is no memory, or a run is 4 GiB or longer.
    #[inline(always)]
    pub(crate) fn try_new(head: H, first: &[u8], second: [&[u8]; 2]) -> Option<Self> {
        let [part, rest] = second;
        let second_len = part.len().checked_add(rest.len())?;
        let (first_len, second_len) = (first.len().try_into().ok()?, second_len.try_into().ok()?);
        let layout = Self::layout(first_len, second_len)?;
        // SAFETY: a block is not empty.
        let block = NonNull::new(unsafe { pool::take(layout) }.cast::<Block<H>>())?;
        let count = AtomicUsize::new(1);
        // SAFETY: fresh memory, large enough and aligned for a block.
        unsafe { block.write(Block { count, first: first_len, second: second_len, head }) };
        let thin = Self { block, _owns: PhantomData };
        let bytes = thin.bytes_at();
        // SAFETY: the layout has room for all of them behind the block.
        unsafe {
            copy(first, bytes);
            copy(part, bytes.add(first.len()));
            copy(rest, bytes.add(first.len() + part.len()));
        }
        Some(thin)
    }

    /// As [`Thin::try_new`], for bytes that are known to fit: the process ends
    /// if there is no memory.
    #[inline]
    pub(crate) fn new(head: H, first: &[u8], second: &[u8]) -> Self {
        Self::try_new(head, first, [second, &[]])
            .unwrap_or_else(|| handle_alloc_error(Layout::new::<Block<H>>()))
    }

    #[inline]
    fn layout(first: u32, second: u32) -> Option<Layout> {
        let size =
            size_of::<Block<H>>().checked_add(first as usize)?.checked_add(second as usize)?;
        Layout::from_size_align(size, align_of::<Block<H>>()).ok()
    }

    #[inline]
    fn block(&self) -> &Block<H> {
        // SAFETY: alive while a reference counts it.
        unsafe { self.block.as_ref() }
    }

    #[inline]
    fn bytes_at(&self) -> *mut u8 {
        self.block.as_ptr().wrapping_add(1).cast()
    }

    #[inline]
    pub(crate) fn head(&self) -> &H {
        &self.block().head
    }

    #[inline]
    pub(crate) fn first(&self) -> &[u8] {
        // SAFETY: `try_new` wrote as many bytes there.
        unsafe { std::slice::from_raw_parts(self.bytes_at(), self.block().first as usize) }
    }

    #[inline]
    pub(crate) fn second(&self) -> &[u8] {
        let at = self.bytes_at().wrapping_add(self.block().first as usize);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(at, self.block().second as usize) }
    }

    /// How many bytes both runs have.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.block().first as usize + self.block().second as usize
    }

    /// Whether both are references to one allocation.
    #[inline]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.block == other.block
    }

    /// Gives the reference up; gives it back if it was the last.
    #[inline]
    pub(crate) fn release(self) -> Option<Self> {
        let kept = std::mem::ManuallyDrop::new(self);
        let count = &kept.block().count;
        if count.load(Ordering::Acquire) != 1 && count.fetch_sub(1, Ordering::AcqRel) != 1 {
            return None;
        }
        // Whoever had another is done with it: this is the only one again.
        count.store(1, Ordering::Relaxed);
        Some(Self { block: kept.block, _owns: PhantomData })
    }

    /// # Safety
    ///
    /// This is the last reference, and is not used again.
    #[inline(never)]
    unsafe fn free(&mut self) {
        fence(Ordering::Acquire);
        let layout = Self::layout(self.block().first, self.block().second);
        // SAFETY: as promised by the caller.
        unsafe {
            ptr::drop_in_place(&raw mut (*self.block.as_ptr()).head);
            // `try_new` computed the same layout, so there is one.
            if let Some(layout) = layout {
                pool::give(self.block.as_ptr().cast(), layout);
            }
        }
    }

    /// Where it is, for as long as it is counted.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *const () {
        self.block.as_ptr().cast()
    }

    /// The reference as a pointer, with its count.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut () {
        std::mem::ManuallyDrop::new(self).block.as_ptr().cast()
    }

    /// The head behind such a pointer.
    ///
    /// # Safety
    ///
    /// The pointer is from [`Thin::into_raw`], of the same type, and counted during
    /// `'a`.
    #[inline]
    pub(crate) unsafe fn head_at<'a>(pointer: *const ()) -> &'a H {
        // SAFETY: as promised by the caller.
        unsafe { &(*pointer.cast::<Block<H>>()).head }
    }

    /// The reverse of [`Thin::into_raw`].
    ///
    /// # Safety
    ///
    /// The pointer is from there, of the same type, and its count the caller's;
    /// or the result is not dropped.
    #[inline]
    pub(crate) unsafe fn from_raw(pointer: *mut ()) -> Self {
        // SAFETY: never NULL, as promised by the caller.
        Self { block: unsafe { NonNull::new_unchecked(pointer.cast()) }, _owns: PhantomData }
    }

    /// Has the processor fetch the first bytes of what is at `pointer` together
    /// with the head, instead of one after the other.
    #[inline]
    pub(crate) fn prefetch(pointer: *const ()) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let at: *const i8 = pointer.cast::<Block<H>>().wrapping_add(1).cast();
            // SAFETY: a prefetch never faults, whatever the address.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(pointer.cast());
                _mm_prefetch::<_MM_HINT_T0>(at);
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64));
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(112));
            }
        }
    }
}

/// Keys and heads are short: most are copied as two words.
///
/// # Safety
///
/// `to` is fresh memory with room for them.
#[inline]
unsafe fn copy(from: &[u8], to: *mut u8) {
    let len = from.len();
    match (from.first_chunk::<8>(), from.last_chunk::<8>()) {
        // SAFETY: as promised by the caller.
        (Some(first), Some(last)) if len <= 16 => unsafe {
            to.cast::<[u8; 8]>().write(*first);
            to.add(len - 8).cast::<[u8; 8]>().write(*last);
        },
        _ if len == 0 => {}
        // SAFETY: as promised by the caller; fresh memory does not overlap.
        _ => unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, len) },
    }
}

impl<H> Clone for Thin<H> {
    #[inline]
    fn clone(&self) -> Self {
        // Relaxed is enough, as for std's Arc.
        if self.block().count.fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
            // Leaked that often, the count would start anew.
            std::process::abort();
        }
        Self { block: self.block, _owns: PhantomData }
    }
}

impl<H> Drop for Thin<H> {
    #[inline]
    fn drop(&mut self) {
        let count = &self.block().count;
        // The only reference cannot be cloned meanwhile: no need to count down.
        if count.load(Ordering::Acquire) == 1 || count.fetch_sub(1, Ordering::Release) == 1 {
            // SAFETY: this was the last reference.
            unsafe { self.free() };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn parts_stand_one_after_the_other() {
        let thin = Thin::try_new(7_u64, b"key", [b"val", b"ue"]).unwrap();
        assert_eq!((thin.first(), thin.second(), thin.len()), (&b"key"[..], &b"value"[..], 8));
        assert_eq!(*thin.head(), 7);
        let empty = Thin::new((), b"", b"");
        assert_eq!((empty.first(), empty.second()), (&b""[..], &b""[..]));
    }

    #[test]
    fn runs_of_any_length_are_copied_whole() {
        let bytes: Vec<u8> = (0..300_u32).map(|n| n as u8).collect();
        for first in (0..40).chain([200]) {
            for second in (0..40).chain([200]) {
                let parts = [&bytes[first..first + second / 3], &bytes[3..3 + second]];
                let thin = Thin::try_new((), &bytes[..first], parts).unwrap();
                assert_eq!((thin.first(), thin.second()), (&bytes[..first], &*parts.concat()));
            }
        }
    }

    #[test]
    fn the_last_reference_drops_the_head() {
        let head = Arc::new(());
        let thin = Thin::new(Arc::clone(&head), b"", b"x");
        let other = thin.clone();
        assert!(other.is_same(&thin));
        drop(thin);
        assert_eq!(Arc::strong_count(&head), 2);
        let raw = other.into_raw();
        // SAFETY: from `into_raw` above.
        drop(unsafe { Thin::<Arc<()>>::from_raw(raw) });
        assert_eq!(Arc::strong_count(&head), 1);
    }

    #[test]
    fn only_the_last_reference_is_given_back() {
        let thin = Thin::new((), b"k", b"v");
        assert!(thin.clone().release().is_none());
        let last = thin.release().unwrap();
        assert_eq!(last.first(), b"k");
    }

    #[test]
    fn references_are_counted_across_threads() {
        let head = Arc::new(());
        let thin = Thin::new(Arc::clone(&head), b"k", b"v");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| drop(thin.clone())));
            }
        });
        drop(thin);
        assert_eq!(Arc::strong_count(&head), 1);
    }
}
