//! A lock that processes take in turns.
//!
//! An open file description lock on a byte of a file beside the database: the
//! kernel frees it when the process ends, however it ends, and closing another
//! descriptor of the file does not (which it would with POSIX locks).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// How often a process looks whether another is done. The lock is held while
/// handlers run, and the kernel has no way to wait for it with a limit.
const POLL: Duration = Duration::from_micros(150);
/// Which byte is locked; the page before it is mapped.
const BYTE: libc::off_t = 1 << 20;

/// The descriptors of this process's locks, -1 where there is none. A forked
/// child shares the lock itself: if the parent died in its turn, a child that
/// lives on would keep it for ever. So children close them.
static DESCRIPTORS: [AtomicI32; 128] = [const { AtomicI32::new(-1) }; 128];

/// Closes what a forked child has of its parent's locks. Touches atomics and
/// makes system calls only.
pub(crate) fn let_go_in_child() {
    for descriptor in &DESCRIPTORS {
        let fd = descriptor.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: a copy of a descriptor of the parent's. The lock it
            // belongs to is out of reach here: the child's handles refuse to
            // work and are never dropped (`guard`).
            unsafe { libc::close(fd) };
        }
    }
}

/// The file whose lock it is.
pub(crate) struct TurnLock {
    file: File,
}

/// Holds the lock until dropped.
pub(crate) struct Turn<'a> {
    lock: &'a TurnLock,
}

impl TurnLock {
    /// The lock of this file, which must have a description of its own.
    pub(crate) fn new(file: File) -> Self {
        let fd = file.as_raw_fd();
        let order = (Ordering::Relaxed, Ordering::Relaxed);
        // With more files than places, a child keeps what is left.
        let _ = DESCRIPTORS.iter().find(|it| it.compare_exchange(-1, fd, order.0, order.1).is_ok());
        Self { file }
    }

    /// Takes the lock; `None` if it is not free until `deadline`. Calls
    /// `meanwhile` again and again while it waits.
    pub(crate) fn take_until(
        &self,
        deadline: Instant,
        meanwhile: impl Fn(),
    ) -> io::Result<Option<Turn<'_>>> {
        loop {
            match self.set(libc::F_WRLCK) {
                Ok(()) => return Ok(Some(Turn { lock: self })),
                Err(error) if is_held(&error) => {
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                    meanwhile();
                    std::thread::sleep(POLL);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn set(&self, kind: libc::c_int) -> io::Result<()> {
        // SAFETY: flock is plain data, for which zeroes are valid.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        range.l_type = kind as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
        range.l_start = BYTE;
        range.l_len = 1;
        // SAFETY: the descriptor is open while `self` is borrowed, and the
        // range lives through the call.
        match unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

impl Drop for TurnLock {
    fn drop(&mut self) {
        let fd = self.file.as_raw_fd();
        let order = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = DESCRIPTORS.iter().find(|it| it.compare_exchange(fd, -1, order.0, order.1).is_ok());
    }
}

fn is_held(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // It can only fail for a closed descriptor, and then it is free.
        let _ = self.lock.set(libc::F_UNLCK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_description_waits_for_another_until_it_is_done_or_the_time_is_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let open = || {
            let mut options = std::fs::OpenOptions::new();
            TurnLock::new(
                options.read(true).write(true).create(true).truncate(false).open(&path).unwrap(),
            )
        };
        let (first, second) = (open(), open());
        let soon = || Instant::now() + Duration::from_millis(2);
        let turn = first.take_until(soon(), || ()).unwrap().unwrap();
        assert!(second.take_until(soon(), || ()).unwrap().is_none());
        drop(turn);
        assert!(second.take_until(soon(), || ()).unwrap().is_some());
        assert!(first.take_until(soon(), || ()).unwrap().is_some());
    }
}
