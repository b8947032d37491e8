//! A memory barrier that the one who seldom needs it pays for, alone.
//!
//! The kernel has every other thread of the process execute a full fence, by
//! interrupting its processor ([`membarrier`]). Who stores something and then reads
//! needs no fence of its own then, where another thread looks at what was
//! stored only after such a call: either its store is seen, or it reads after
//! the call and sees what was stored before that. Where the kernel refuses,
//! both use fences.

use std::time::{Duration, Instant};

use super::membarrier;
use super::sync::OnceLock;
use super::sync::atomic::{AtomicBool, AtomicU64, Ordering, compiler_fence, fence};

/// Whether readers have to use a fence.
static FENCED: AtomicBool = AtomicBool::new(false);

/// The barrier of a process.
pub(super) struct Barrier {
    /// Readers have used fences ever since there are any.
    always_fenced: bool,
    /// Since when they do, in a kernel that refuses later on.
    fenced: OnceLock<Instant>,
}

impl Default for Barrier {
    fn default() -> Self {
        if !membarrier::register() {
            FENCED.store(true, Ordering::SeqCst);
        }
        Self { always_fenced: FENCED.load(Ordering::Relaxed), fenced: OnceLock::new() }
    }
}

impl Barrier {
    /// Makes what every thread stored before visible here, and what this one
    /// stored visible to them. False: that is not sure.
    pub(super) fn in_all(&self) -> bool {
        if !FENCED.load(Ordering::Relaxed) {
            if membarrier::fence_in_all() {
                return true;
            }
            // A sandbox was put up after we began. From now on readers fence;
            // one that does not know yet has shown its counter within the time
            // in which a processor empties its store buffer.
            FENCED.store(true, Ordering::SeqCst);
            let _ = self.fenced.set(Instant::now());
        }
        fence(Ordering::SeqCst);
        // Before it is set, another thread has only just begun to tell them.
        let is_long_ago = |since: &Instant| since.elapsed() > Duration::from_secs(1);
        self.always_fenced || self.fenced.get().is_some_and(is_long_ago)
    }
}

/// Stores what tells that this thread reads, before what it reads then.
#[inline]
pub(super) fn begin_to_read(count: &AtomicU64, value: u64) {
    if FENCED.load(Ordering::Relaxed) {
        // Who sees it takes an earlier read for done, and there is no barrier
        // of his that would make that sure.
        count.store(value, Ordering::Release);
        fence(Ordering::SeqCst);
    } else {
        count.store(value, Ordering::Relaxed);
        // The barrier of the other is the fence.
        compiler_fence(Ordering::SeqCst);
    }
}
