//! Threads of ours must not take the host's signals.

/// Blocks every signal while it lives; threads started meanwhile inherit that.
pub(crate) struct AllBlocked {
    before: libc::sigset_t,
}

impl AllBlocked {
    /// Blocks all signals of the calling thread until dropped.
    pub(crate) fn new() -> Self {
        // SAFETY: sigset_t is plain data; sigfillset and pthread_sigmask fill
        // and read the two sets, which live through the calls.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            Self { before }
        }
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        // SAFETY: `before` was filled by pthread_sigmask.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}
