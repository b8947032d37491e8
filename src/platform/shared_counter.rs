//! Counters that every process with the file open can see.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// One page is mapped; the counters are its first words, a cache line apart.
const LEN: usize = 4096;
/// Words between two counters.
const APART: usize = 8;

/// Counters in a file that all openers map into their memory.
///
/// A load costs what any atomic load costs; no system call.
pub(crate) struct SharedCounter {
    page: NonNull<AtomicU64>,
    is_mapped: bool,
}

/// The counters of those who have no file to share: they never move.
static STILL: [AtomicU64; 2 * APART] = [const { AtomicU64::new(0) }; 2 * APART];

// SAFETY: the page is only reached through an atomic.
unsafe impl Send for SharedCounter {}
// SAFETY: as above.
unsafe impl Sync for SharedCounter {}

impl SharedCounter {
    /// Maps the counter in `file`, which is grown to one page if shorter. A file that cannot be written is mapped for reading only, when it has
    /// its page; the counter must not be written then.
    pub(crate) fn map(file: &File, writable: bool) -> io::Result<Self> {
        // A page that is only a hole in the file is a SIGBUS when the disk is
        // full, so it is allocated, also where an earlier crash left a hole.
        // SAFETY: the descriptor is open while `file` is borrowed.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, LEN as libc::off_t) } {
            0 => {}
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
        let access = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: a fresh shared mapping of a file at least that long; the
        // kernel picks the address and checks the descriptor.
        let page = unsafe {
            libc::mmap(std::ptr::null_mut(), LEN, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(page.cast())
            .map(|page| Self { page, is_mapped: true })
            .ok_or_else(io::Error::last_os_error)
    }

    /// Counters that nobody moves, and nobody may.
    pub(crate) fn still() -> Self {
        Self { page: NonNull::from(&STILL[0]), is_mapped: false }
    }

    /// Whether others can move them.
    pub(crate) fn is_mapped(&self) -> bool {
        self.is_mapped
    }

    /// Moves with every commit of key-value state.
    #[inline]
    pub(crate) fn commits(&self) -> &AtomicU64 {
        self.word(0)
    }

    /// Moves with every transaction of entries.
    #[inline]
    pub(crate) fn transactions(&self) -> &AtomicU64 {
        self.word(1)
    }

    #[inline]
    fn word(&self, number: usize) -> &AtomicU64 {
        // SAFETY: the page is mapped until drop or static, and larger than the
        // words named above, and all processes only use it as atomics.
        unsafe { self.page.add(number * APART).as_ref() }
    }
}

impl Drop for SharedCounter {
    fn drop(&mut self) {
        if self.is_mapped {
            // SAFETY: mapped by `map` with this length; nobody borrows it any
            // more.
            unsafe { libc::munmap(self.page.as_ptr().cast(), LEN) };
        }
    }
}
