//! The time of day.

/// Whole seconds since the Unix epoch, as `time(2)` gives them.
///
/// The kernel's coarse clock: at most a tick behind, and the same source as
/// the host's own `time(NULL)` and `os.time()`, so that a timestamp is never
/// earlier than a time the script has just asked for.
#[inline]
pub(crate) fn now_seconds() -> i64 {
    now(libc::CLOCK_REALTIME_COARSE).tv_sec
}

/// Nanoseconds since the Unix epoch, of the clock of [`now_seconds`].
#[inline]
pub(crate) fn now_coarse() -> i64 {
    let now = now(libc::CLOCK_REALTIME_COARSE);
    // Until the year 2262.
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_millis() -> i64 {
    let now = now(libc::CLOCK_REALTIME);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

#[inline]
fn now(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec that lives through the call. Both clocks
    // exist on every supported kernel, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now
}
