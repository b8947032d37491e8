//! A descriptor that can be read while something is there.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An eventfd used as a flag.
pub(crate) struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    /// A flag that is not set.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: makes a descriptor from flags.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is fresh, and nobody else has it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Makes it readable, or not.
    pub(crate) fn set(&self, is_set: bool) {
        let mut count = 1_u64;
        let fd = self.fd.as_raw_fd();
        // Neither can fail but by being in that state already: it does not
        // block, and nobody writes 2^64 times.
        if is_set {
            // SAFETY: eight bytes are read from `count`.
            unsafe { libc::write(fd, (&raw const count).cast(), 8) };
        } else {
            // SAFETY: eight bytes are written to `count`.
            unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
        }
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
