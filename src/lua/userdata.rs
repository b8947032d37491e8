//! Full userdata that hold Rust values.
//!
//! A userdata holds an `Option`: empty from the moment its finalizer has run.
//! Other finalizers may still reach it then (when a state closes, all run in
//! reverse order of creation), and find it empty instead of freed.

use std::ffi::c_int;
use std::ptr;

use super::context::Context;
use super::guard;
use super::runtimes::{Entry, runtime_of};
use super::state::{Lua, TYPE_USERDATA};

/// The kinds of userdata we make. The number is the place of the metatable in
/// the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Buffer,
    Error,
    Database,
    Part,
    Walk,
    Update,
    Entries,
    Snapshot,
    Changes,
    Version,
    History,
    Subscription,
    Feed,
}

impl Kind {
    pub(super) const COUNT: usize = 13;
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Buffer,
        Self::Error,
        Self::Database,
        Self::Part,
        Self::Walk,
        Self::Update,
        Self::Entries,
        Self::Snapshot,
        Self::Changes,
        Self::Version,
        Self::History,
        Self::Subscription,
        Self::Feed,
    ];

    /// `__name` of the metatable.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Buffer => "acervo.buffer",
            Self::Error => "acervo.error",
            Self::Database => "acervo.database",
            Self::Part => "acervo.part",
            Self::Walk => "acervo.pairs",
            Self::Update => "acervo.update",
            Self::Entries => "acervo.entries",
            Self::Snapshot => "registry.Snapshot",
            Self::Changes => "registry.Changes",
            Self::Version => "registry.Version",
            Self::History => "registry.History",
            Self::Subscription => "registry.Subscription",
            Self::Feed => "registry.Feed",
        }
    }
}

/// A Rust value that lives in a userdata.
pub(super) trait Held: Sized + 'static {
    const KIND: Kind;
}

/// Pushes a userdata that holds what `make` gives. `make` runs when nothing
/// can raise any more.
pub(super) fn push<T: Held>(
    lua: Lua,
    context: &Context,
    make: impl FnOnce() -> T,
) -> &'static mut T {
    push_empty::<T>(lua, context).insert(make())
}

/// Pushes a userdata to be filled later: what owns something is made when the
/// place it belongs to is there.
pub(super) fn push_empty<T: Held>(lua: Lua, context: &Context) -> &'static mut Option<T> {
    // Lua aligns userdata as doubles and pointers.
    const { assert!(align_of::<Option<T>>() <= 8) };
    let block = lua.new_userdata(size_of::<Option<T>>()).cast::<Option<T>>();
    // SAFETY: the block is fresh, large enough and aligned.
    unsafe { ptr::write(block, None) };
    context.push_metatable(lua, T::KIND);
    lua.set_metatable(-2);
    // SAFETY: just written. It lives as long as the userdata, which the caller
    // keeps on the stack while it uses the reference.
    unsafe { &mut *block }
}

/// The cell of the userdata at `index`, if it is one of ours of kind `T`.
/// Empty after its finalizer has run.
pub(super) fn cell<T: Held>(lua: Lua, context: &Context, index: c_int) -> Option<*mut Option<T>> {
    if lua.type_of(index) != TYPE_USERDATA || !lua.get_metatable(index) {
        return None;
    }
    let metatable = lua.pointer(-1);
    lua.pop(1);
    (metatable == context.metatable(T::KIND)).then(|| lua.userdata(index).cast())
}

/// The value of the userdata at `index`; None if it is not of kind `T` or
/// finalized. Its finalizer may run whenever Lua does (called by another
/// finalizer, at hand with `debug`, or in the same collection): the reference
/// is not kept across a call into Lua.
pub(super) fn get<T: Held>(lua: Lua, context: &Context, index: c_int) -> Option<&'static T> {
    // SAFETY: the metatable tells the type; the userdata is on the stack while
    // the caller uses the reference, and nobody changes it meanwhile.
    unsafe { &*cell::<T>(lua, context, index)? }.as_ref()
}

/// The value of the upvalue `number` of the running function, which must be a
/// userdata of kind `T`; None if it is finalized.
///
/// Its finalizer may run whenever Lua does, if the running function was called
/// by another finalizer: the reference is not kept across a call into Lua.
#[inline]
pub(super) fn upvalue<T: Held>(lua: Lua, number: c_int) -> Option<&'static mut T> {
    // SAFETY: see `upvalue_cell`.
    unsafe { (*upvalue_cell::<T>(lua, number)).as_mut() }
}

/// The place of that value; the running function keeps it alive, so it may be
/// kept as a pointer.
#[inline]
pub(super) fn upvalue_cell<T: Held>(lua: Lua, number: c_int) -> *mut Option<T> {
    // Our functions are made with the upvalues they ask for.
    lua.userdata(lua.upvalue(number)).cast()
}

/// Fills the metatable on top of the stack with `__name` and `__gc`, which is
/// the entry of [`finalize`] for the type. The context is at `context_index`.
pub(super) fn fill_metatable(lua: Lua, kind: Kind, finalize: &Entry, context_index: c_int) {
    let metatable = lua.top();
    lua.push_bytes(kind.name().as_bytes());
    lua.raw_set_name(metatable, "__name");
    // Scripts do not get at the finalizer.
    lua.push_bytes(kind.name().as_bytes());
    lua.raw_set_name(metatable, "__metatable");
    lua.push_value(context_index);
    lua.push_function(runtime_of(lua).function(finalize), 1);
    lua.raw_set_name(metatable, "__gc");
}

/// `__gc` of userdata of kind `T`.
pub(super) fn finalize<T: Held>(lua: Lua) -> c_int {
    if let Some(context) = Context::of_upvalue(lua) {
        empty::<T>(lua, context, 1);
    }
    0
}

/// Drops what the userdata at `index` holds, if it is one of kind `T`.
pub(super) fn empty<T: Held>(lua: Lua, context: &Context, index: c_int) {
    if let Some(cell) = cell::<T>(lua, context, index) {
        // SAFETY: as in `get`. Dropping runs no Lua.
        guard::discard(unsafe { &mut *cell }.take());
    }
}
