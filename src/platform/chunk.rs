//! Large runs of pages from the system.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// How large a chunk is; its address is a multiple of it. A huge page.
pub(super) const CHUNK: usize = 2 << 20;

/// A new chunk of zeros; `None` if there is no memory. `is_huge`: the system
/// is asked to take up all of it at the first touch.
pub(super) fn map(is_huge: bool) -> Option<*mut u8> {
    // Twice the size holds an aligned one; what lies around it goes.
    let len = 2 * CHUNK;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: an anonymous mapping at a place that the kernel chooses.
    let memory = unsafe { libc::mmap(ptr::null_mut(), len, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        return None;
    }
    let before = memory.addr().next_multiple_of(CHUNK) - memory.addr();
    // SAFETY: both ends lie in the new mapping, and nobody knows of them.
    let chunk = unsafe {
        let chunk = memory.add(before);
        if before > 0 {
            libc::munmap(memory, before);
        }
        libc::munmap(chunk.add(CHUNK), CHUNK - before);
        if is_huge {
            // A wish: without it everything works, slower.
            libc::madvise(chunk, CHUNK, libc::MADV_HUGEPAGE);
        }
        chunk
    };
    tell_of(chunk, CHUNK);
    Some(chunk.cast())
}

/// Gives a chunk back.
///
/// # Safety
///
/// It is from [`map`], and nothing points into it any more.
pub(super) unsafe fn unmap(chunk: *mut u8) {
    tell_of_end(chunk.cast(), CHUNK);
    // SAFETY: as promised by the caller.
    unsafe { libc::munmap(chunk.cast(), CHUNK) };
}

/// Gives pages to the system; when they are touched again they are zeros.
///
/// # Safety
///
/// They lie in a chunk, begin with a page, and nobody needs what they hold.
pub(super) unsafe fn forget(pages: *mut u8, len: usize) {
    // SAFETY: as promised by the caller. If it fails they stay as they are.
    unsafe { libc::madvise(pages.cast(), len, libc::MADV_DONTNEED) };
}

/// What a function of LeakSanitizer is told about: memory where pointers are.
type Told = unsafe extern "C" fn(*const c_void, usize);

/// The two functions, once they were looked for.
static REGISTER: AtomicPtr<c_void> = AtomicPtr::new(UNKNOWN);
static UNREGISTER: AtomicPtr<c_void> = AtomicPtr::new(UNKNOWN);

/// Not looked for yet; no function is there.
const UNKNOWN: *mut c_void = ptr::without_provenance_mut(1);

/// Looks for LeakSanitizer in the host (`sanitizer/lsan_interface.h`). It looks
/// for pointers in what the allocator gave, and has to be told of other memory:
/// else what only cells point to would be lost to it.
///
/// To be called before [`map`], while no lock is held: the loader has a lock of
/// its own, which a thread may have that loads a library and waits for ours.
#[inline]
pub(super) fn find_leak_sanitizer() {
    if UNREGISTER.load(Ordering::Acquire) == UNKNOWN {
        // Several threads may; they find the same.
        REGISTER.store(find(c"__lsan_register_root_region"), Ordering::Release);
        UNREGISTER.store(find(c"__lsan_unregister_root_region"), Ordering::Release);
    }
}

/// A function of the process by its name, or null.
#[cold]
fn find(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with a NUL.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// Tells LeakSanitizer, if it is there, of pages that were mapped.
pub(super) fn tell_of(pages: *mut c_void, len: usize) {
    tell(&REGISTER, pages, len);
}

/// Tells it of pages that are about to be unmapped.
pub(super) fn tell_of_end(pages: *mut c_void, len: usize) {
    tell(&UNREGISTER, pages, len);
}

fn tell(function: &AtomicPtr<c_void>, pages: *mut c_void, len: usize) {
    let function = function.load(Ordering::Acquire);
    if !function.is_null() && function != UNKNOWN {
        // SAFETY: what has one of the two names is a function of this type. The
        // pages are mapped, before and after the call.
        unsafe { std::mem::transmute::<*mut c_void, Told>(function)(pages, len) };
    }
}
