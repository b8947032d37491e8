//! Whether a handle may still be used.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::platform::fork;

/// Why a handle, or the database behind it, may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The handle or the file is open for reading only.
    ReadOnly,
    /// The handle is closed.
    Closed,
    /// The handle belongs to the parent of this process.
    Forked,
    /// A panic was caught inside an earlier write.
    Poisoned,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "the database is open read-only",
            Self::Closed => "database is closed",
            Self::Forked => {
                "this handle was made before a fork, by the parent process; open the database \
                 anew in the child"
            }
            Self::Poisoned => {
                "an earlier write ended in a panic; close and open the database to write again"
            }
        })
    }
}

impl std::error::Error for Unusable {}

/// What a caught panic says.
pub(crate) fn what_panicked(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of unknown cause")
}

/// No generation: there are never that many forks one inside the other.
const CLOSED: u32 = u32::MAX;

/// The state of one opened handle, shared by everything made from it. When the
/// last of those goes without the handle having been closed, it is released.
pub(crate) struct Guard {
    generation: u32,
    /// The same until the handle is closed, then [`CLOSED`].
    open_in: AtomicU32,
    read_only: bool,
    release: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let release = self.release.take();
        if self.is_forked() {
            // What it holds is the parent's: no lock, no file, no callback of
            // it may be touched here.
            std::mem::forget(release);
        } else if self.close()
            && let Some(release) = release
        {
            release();
        }
    }
}

impl Guard {
    /// A guard that calls `release` if nobody closes it.
    pub(crate) fn new(read_only: bool, release: impl Fn() + Send + Sync + 'static) -> Self {
        let generation = fork::generation();
        Self {
            generation,
            open_in: AtomicU32::new(generation),
            read_only,
            release: Some(Box::new(release)),
        }
    }

    /// Whether this process is a child of the one that made the handle.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Whether the handle is open and of this process.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.open_in.load(Ordering::Acquire) == fork::generation()
    }

    /// Whether a call may write.
    #[inline(always)]
    pub(crate) fn is_writable(&self) -> bool {
        self.is_open() && !self.read_only
    }

    /// Fails if the handle is closed or was made by the parent process.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Unusable> {
        if self.is_open() { Ok(()) } else { Err(self.why_unusable()) }
    }

    /// As [`Guard::check`], for a call that writes.
    #[inline]
    pub(crate) fn check_write(&self) -> Result<(), Unusable> {
        if self.is_writable() { Ok(()) } else { Err(self.why_unusable()) }
    }

    #[cold]
    fn why_unusable(&self) -> Unusable {
        if self.is_forked() {
            Unusable::Forked
        } else if self.open_in.load(Ordering::Acquire) == CLOSED {
            Unusable::Closed
        } else {
            Unusable::ReadOnly
        }
    }

    /// Closes the handle; true if it was open.
    pub(crate) fn close(&self) -> bool {
        self.open_in.swap(CLOSED, Ordering::AcqRel) != CLOSED
    }
}
