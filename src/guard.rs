//! Whether a handle may still be used.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// The state of one opened handle, shared by everything made from it. When the
/// last of those goes without the handle having been closed, it is released.
pub(crate) struct Guard {
    generation: u32,
    closed: AtomicBool,
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
        Self {
            generation: fork::generation(),
            closed: AtomicBool::new(false),
            read_only,
            release: Some(Box::new(release)),
        }
    }

    /// Whether this process is a child of the one that made the handle.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Fails if the handle is closed or was made by the parent process.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Unusable> {
        if self.is_forked() {
            Err(Unusable::Forked)
        } else if self.closed.load(Ordering::Acquire) {
            Err(Unusable::Closed)
        } else {
            Ok(())
        }
    }

    /// As [`Guard::check`], for a call that writes.
    #[inline]
    pub(crate) fn check_write(&self) -> Result<(), Unusable> {
        self.check()?;
        if self.read_only { Err(Unusable::ReadOnly) } else { Ok(()) }
    }

    /// Closes the handle; true if it was open.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}
