//! The wall around everything that is not a Lua call.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Error;

/// Runs safe Rust; a panic becomes an error. `work` must not call Lua, which
/// could leave it by `longjmp`.
#[inline]
pub(super) fn guard<R>(work: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    // A state half changed by a panic is the engine's concern: it refuses
    // writes after one. Ours are buffers, which every use clears first.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => Err(panic_error(panic)),
    }
}

/// Drops a value; a panic while doing so is swallowed, there is nobody to
/// tell.
pub(super) fn discard<T>(value: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

#[cold]
fn panic_error(panic: Box<dyn Any + Send>) -> Error {
    let error = Error::from_panic(panic.as_ref());
    discard(panic);
    error
}
