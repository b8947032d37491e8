//! The byte buffer that values pass through.
//!
//! Each state has one, in its context userdata, so that a Lua error frees
//! nothing and leaks nothing. While a value is pushed from it, Lua may collect
//! garbage and run a finalizer that calls us again; that call must not write
//! over what the outer one still reads. It gets a buffer of its own, as a
//! userdata on its stack.

use std::cell::{Cell, UnsafeCell};

use crate::error::{Code, Error};

use super::context::Context;
use super::state::Lua;
use super::userdata::{Held, Kind};

/// Larger buffers are given back to the allocator after use.
const KEEP: usize = 64 * 1024;

/// The buffer of a state.
pub(super) struct Scratch {
    bytes: UnsafeCell<Vec<u8>>,
    /// Where on the machine stack the current user was when it took the
    /// buffer; 0 if it is free. A user that left by a Lua error never gave it
    /// back: its frame was deeper in the stack than that of whoever asks next,
    /// while a call nested in the user's own is deeper than the user.
    taken_at: Cell<usize>,
}

/// A taken buffer. Give it back with [`Buffer::release`]; no destructor does.
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    bytes: *mut Vec<u8>,
    /// Set if it is the state's own.
    owner: Option<&'static Scratch>,
}

/// Appends bytes whose number a script has chosen.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Error> {
    out.try_reserve(bytes.len()).map_err(|_| out_of_memory())?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// The bytes of all `parts`, one behind the other.
pub(super) fn concat(parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    out.try_reserve_exact(parts.iter().map(|part| part.len()).sum())
        .map_err(|_| out_of_memory())?;
    parts.iter().for_each(|part| out.extend_from_slice(part));
    Ok(out)
}

#[cold]
pub(super) fn out_of_memory() -> Error {
    Error::new(Code::Internal, "out of memory")
}

/// A buffer for a nested call.
pub(super) struct NestedBuffer(Vec<u8>);

impl Held for NestedBuffer {
    const KIND: Kind = Kind::Buffer;
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self { bytes: UnsafeCell::new(Vec::new()), taken_at: Cell::new(0) }
    }

    /// Gives the memory back, unless a call further out reads it.
    pub(super) fn free(&self) {
        if self.taken_at.get() == 0 {
            // SAFETY: nobody has the buffer, and a state is used by one thread
            // at a time.
            unsafe { *self.bytes.get() = Vec::new() };
        }
    }
}

impl Buffer {
    /// Takes the state's buffer, empty. May push a userdata.
    #[inline]
    pub(super) fn take(lua: Lua, context: &'static Context) -> Self {
        let scratch = &context.scratch;
        let marker = 0_u8;
        let here = (&raw const marker).addr();
        let taken_at = scratch.taken_at.get();
        let mut buffer = if taken_at == 0 || taken_at <= here {
            scratch.taken_at.set(here);
            Self { bytes: scratch.bytes.get(), owner: Some(scratch) }
        } else {
            let held = super::userdata::push(lua, context, || NestedBuffer(Vec::new()));
            Self { bytes: &raw mut held.0, owner: None }
        };
        buffer.bytes().clear();
        buffer
    }

    /// The bytes. Do not keep the reference across a call into Lua: take it
    /// again, or use [`Buffer::read`].
    #[inline]
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        // SAFETY: the buffer is ours until `release`, see `Scratch::taken_at`;
        // Buffer is handled by one call at a time.
        unsafe { &mut *self.bytes }
    }

    /// The content, valid until the buffer is written to or released.
    #[inline]
    pub(super) fn read<'a>(self) -> &'a [u8] {
        // SAFETY: as above; the caller keeps to what is said there.
        unsafe { (*self.bytes).as_slice() }
    }

    /// Appends bytes whose number a script has chosen.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        append(self.bytes(), bytes)
    }

    /// Gives the buffer back.
    #[inline]
    pub(super) fn release(mut self) {
        if self.bytes().capacity() > KEEP {
            *self.bytes() = Vec::new();
        }
        if let Some(owner) = self.owner {
            owner.taken_at.set(0);
        }
    }
}
