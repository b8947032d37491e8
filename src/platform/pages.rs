//! Whole pages from the system, for what is large and comes and goes.
//!
//! An allocator keeps what was freed, and what it keeps between other pieces it
//! cannot give back: a table that grew and shrank leaves holes for ever. Pages
//! go back to the system when they are given up.

use std::ffi::c_void;
use std::ptr;

use super::{arena, chunk};

/// From so many bytes on memory comes from here.
const SMALLEST: usize = 64 << 10;

/// Whether memory of so many bytes comes from here.
#[inline]
pub(super) fn serves(len: usize) -> bool {
    len >= SMALLEST && arena::is_on()
}

/// New zeros, aligned to a page; null if there is no memory.
pub(super) fn map(len: usize) -> *mut u8 {
    chunk::find_leak_sanitizer();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // All of it is about to be written, in no order: a fault for each page, and
    // another one where it was read first, would take longer.
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: an anonymous mapping at a place that the kernel chooses.
    let memory = unsafe { libc::mmap(ptr::null_mut(), len, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    chunk::tell_of(memory, len);
    memory.cast()
}

/// Gives memory back.
///
/// # Safety
///
/// It is from [`map`], of this length, and nothing points into it any more.
pub(super) unsafe fn unmap(memory: *mut u8, len: usize) {
    let memory = memory.cast::<c_void>();
    chunk::tell_of_end(memory, len);
    // SAFETY: as promised by the caller.
    unsafe { libc::munmap(memory, len) };
}
