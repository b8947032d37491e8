//! Something to do when the process ends normally.

use std::sync::OnceLock;

static AT_EXIT: OnceLock<fn()> = OnceLock::new();

/// Runs `hook` when the process calls `exit` or returns from `main`. Only the
/// first hook of the process counts; the library has one.
pub(crate) fn at_exit(hook: fn()) {
    AT_EXIT.get_or_init(|| {
        // SAFETY: `run` is a plain function of a library that is never
        // unloaded (-z nodelete), so the address stays good until exit.
        unsafe { libc::atexit(run) };
        hook
    });
}

extern "C" fn run() {
    if let Some(hook) = AT_EXIT.get() {
        // A panic must not unwind into exit(); there is nobody to tell.
        let _ = std::panic::catch_unwind(hook);
    }
}
