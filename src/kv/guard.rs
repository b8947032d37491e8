//! Whether a handle may still be used.

use std::sync::atomic::{AtomicBool, Ordering};

use super::KvError;
use crate::platform::fork;

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
    pub(crate) fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Fails if the handle is closed or was made by the parent process.
    pub(crate) fn check(&self) -> Result<(), KvError> {
        if self.is_forked() {
            Err(KvError::Forked)
        } else if self.closed.load(Ordering::Acquire) {
            Err(KvError::Closed)
        } else {
            Ok(())
        }
    }

    /// As [`Guard::check`], for a call that writes.
    pub(crate) fn check_write(&self) -> Result<(), KvError> {
        self.check()?;
        if self.read_only { Err(KvError::ReadOnly) } else { Ok(()) }
    }

    /// Closes the handle; true if it was open.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}
