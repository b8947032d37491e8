//! The Lua runtimes of this process: one API table each.
//!
//! A `lua_CFunction` gets a state and nothing else, and a state does not tell
//! which runtime it belongs to. So every function of ours exists once per
//! runtime slot, by a const generic, and knows its table by the slot's number.

use std::ffi::c_int;
use std::sync::OnceLock;

use crate::platform::sync::Mutex;

use super::api::{Api, CFunction, State};
use super::state::Lua;
use super::version::Version;

/// How many different Lua runtimes one process can have.
pub(super) const SLOTS: usize = 4;

static RUNTIMES: [OnceLock<Api>; SLOTS] = [const { OnceLock::new() }; SLOTS];

/// Serialises giving out slots.
static REGISTERING: Mutex<()> = Mutex::new(());

/// A bound runtime.
#[derive(Clone, Copy)]
pub(super) struct Runtime {
    slot: usize,
    api: &'static Api,
}

/// All slots are taken by other runtimes.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooManyRuntimes;

impl Runtime {
    /// The slot of the runtime that `api` belongs to; takes one if it is new.
    pub(super) fn register(api: &Api) -> Result<Self, TooManyRuntimes> {
        let _guard = REGISTERING.lock();
        for (slot, cell) in RUNTIMES.iter().enumerate() {
            let known = cell.get_or_init(|| *api);
            if same_runtime(known, api) {
                return Ok(Self { slot, api: known });
            }
        }
        Err(TooManyRuntimes)
    }

    /// The function of `entry` for this runtime.
    pub(super) fn function(self, entry: &Entry) -> CFunction {
        entry[self.slot]
    }

    pub(super) fn api(self) -> &'static Api {
        self.api
    }

    /// # Safety
    /// As for [`Lua::new`].
    pub(super) unsafe fn state(self, state: *mut State) -> Lua {
        // SAFETY: the caller's promise.
        unsafe { Lua::new(self.api, state) }
    }
}

/// Two runtimes differ where their functions do. LuaJIT bound by a host may
/// first look like 5.1, so the version counts too.
fn same_runtime(a: &Api, b: &Api) -> bool {
    std::ptr::fn_addr_eq(a.gettop, b.gettop)
        && std::ptr::fn_addr_eq(a.pushcclosure, b.pushcclosure)
        && a.version == b.version
}

/// One of our functions, as the C functions of all slots.
pub(super) type Entry = [CFunction; SLOTS];

/// The body of one of our functions: takes its arguments from the stack,
/// pushes results and gives their number, as a `lua_CFunction` does.
pub(super) type Body = fn(Lua) -> c_int;

/// Calls a body with the table of a slot.
///
/// # Safety
/// Only to be called by the C functions that [`entry!`] makes.
#[inline(always)]
pub(super) unsafe fn enter(slot: usize, state: *mut State, body: Body) -> c_int {
    match RUNTIMES[slot].get() {
        // SAFETY: Lua called the function of this slot, so the state is one of
        // the slot's runtime and ours to use for the duration of the call.
        // Bodies keep to the rules of `Lua`.
        Some(api) => body(unsafe { Lua::new(api, state) }),
        // Functions are handed to Lua by a registered runtime only.
        None => 0,
    }
}

/// The [`Entry`] of a body: one C function per slot.
macro_rules! entry {
    ($body:expr) => {{
        unsafe extern "C-unwind" fn function<const SLOT: usize>(
            state: *mut $crate::lua::api::State,
        ) -> std::ffi::c_int {
            // SAFETY: this is such a C function.
            unsafe { $crate::lua::runtimes::enter(SLOT, state, $body) }
        }
        const ENTRY: $crate::lua::runtimes::Entry =
            [function::<0>, function::<1>, function::<2>, function::<3>];
        &ENTRY
    }};
}
pub(super) use entry;

/// The slot a state's runtime sits in, for functions made inside a call.
pub(super) fn runtime_of(lua: Lua) -> Runtime {
    let api = lua.api();
    let slot = RUNTIMES
        .iter()
        .position(|cell| cell.get().is_some_and(|known| std::ptr::eq(known, api)))
        .unwrap_or(0);
    Runtime { slot, api }
}

/// Whether a runtime bound by a host as 5.1 is really LuaJIT: then `jit` is
/// among its loaded modules. Leaves the stack as it was.
pub(super) fn is_luajit(lua: Lua) -> bool {
    if lua.version() != Version::Lua51 {
        return lua.version() == Version::LuaJit;
    }
    let top = lua.top();
    lua.raw_get_name(lua.registry_index(), "_LOADED");
    let mut found = false;
    if lua.is_table(-1) {
        lua.raw_get_name(top + 1, "jit");
        found = lua.is_table(-1);
    }
    if !found {
        lua.push_globals();
        let globals = lua.top();
        lua.raw_get_name(globals, "jit");
        found = lua.is_table(-1);
    }
    lua.set_top(top);
    found
}
