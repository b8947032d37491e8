//! Memory in which what is freed too soon is found, instead of anything
//! happening.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

use loom::cell::UnsafeCell;

/// Keeps what the models free until the next order of threads is run, so that
/// a model that reads it meets the marks of its end.
struct Late;

#[global_allocator]
static LATE: Late = Late;

static FREED: Mutex<Vec<(usize, Layout)>> = Mutex::new(Vec::new());

/// The arrays of cells have it, and so has everything with a [`Mark`].
const ALIGN: usize = 64;

// SAFETY: System's memory, each piece of which is given back once.
unsafe impl GlobalAlloc for Late {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if layout.align() == ALIGN {
            // It grows in memory that is aligned otherwise.
            FREED.lock().unwrap().push((memory.addr(), layout));
        } else {
            // SAFETY: as promised by the caller.
            unsafe { System.dealloc(memory, layout) };
        }
    }
}

/// Nobody has what was freed any more.
pub fn begin() {
    LIVE.store(0, Ordering::Relaxed);
    for (address, layout) in std::mem::take(&mut *FREED.lock().unwrap()) {
        // SAFETY: `dealloc` was given it, and the threads of then are gone.
        unsafe { System.dealloc(std::ptr::with_exposed_provenance_mut(address), layout) };
    }
}

static LIVE: AtomicIsize = AtomicIsize::new(0);

/// How many there are that were not freed.
pub fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

/// What something begins with that threads read and one frees.
#[repr(align(64))]
pub struct Mark {
    is_gone: AtomicBool,
    /// Loom knows who touched it and whether that was before it is dropped.
    touched: UnsafeCell<()>,
}

impl Mark {
    pub fn new() -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self { is_gone: AtomicBool::new(false), touched: UnsafeCell::new(()) }
    }

    /// What is marked is read.
    pub fn touch(&self) {
        assert!(!self.is_gone.load(Ordering::Relaxed), "it was freed");
        self.touched.with(|_| ());
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        assert!(!self.is_gone.swap(true, Ordering::Relaxed), "it is freed twice");
        self.touched.with_mut(|_| ());
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}
