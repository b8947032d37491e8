//! The `luaopen` entry points.
//!
//! They are naked functions because the first thing they need is the address
//! they were called from: it tells which Lua did. Everything else is the same
//! for all of them.

use std::arch::naked_asm;
use std::ffi::{c_int, c_void};
use std::io::Write;

use super::api::{RaiseText, State};
use super::runtimes::Runtime;
use super::symbols::{self, LookupError};
use super::{copies, modules};

/// The modules a script can require.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Module {
    Root = 0,
    Registry = 1,
    Store = 2,
    Errors = 3,
    Agent = 4,
    Entries = 5,
}

impl Module {
    pub(super) const ALL: [Self; 6] =
        [Self::Root, Self::Registry, Self::Store, Self::Errors, Self::Agent, Self::Entries];

    /// The name scripts require it by.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Root => "acervo",
            Self::Registry => "acervo.registry",
            Self::Store => "acervo.store",
            Self::Errors => "acervo.errors",
            Self::Agent => "acervo.agent",
            Self::Entries => "acervo.entries",
        }
    }
}

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("acervo's Lua modules need Linux on x86-64 or AArch64");

macro_rules! luaopen {
    ($($name:ident = $module:literal, $doc:literal;)*) => { $(
        #[doc = $doc]
        ///
        /// # Safety
        /// To be called by Lua, as a `lua_CFunction`.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C-unwind" fn $name(_state: *mut State) -> c_int {
            #[cfg(target_arch = "x86_64")]
            naked_asm!(
                "mov esi, {module}",
                "mov rdx, qword ptr [rsp]",
                "jmp {open}",
                module = const $module,
                open = sym open_called_from,
            );
            #[cfg(target_arch = "aarch64")]
            naked_asm!(
                "mov w1, #{module}",
                "mov x2, x30",
                "b {open}",
                module = const $module,
                open = sym open_called_from,
            );
        }
    )* };
}

luaopen! {
    luaopen_acervo = 0, "Opens the Lua module `acervo`.";
    luaopen_acervo_registry = 1, "Opens the Lua module `acervo.registry`.";
    luaopen_acervo_store = 2, "Opens the Lua module `acervo.store`.";
    luaopen_acervo_errors = 3, "Opens the Lua module `acervo.errors`.";
    luaopen_acervo_agent = 4, "Opens the Lua module `acervo.agent`.";
    luaopen_acervo_entries = 5, "Opens the Lua module `acervo.entries`.";
}

/// Opens a module for the Lua that `caller` lies in; in the first loaded copy
/// of this library, if this is another.
unsafe extern "C-unwind" fn open_called_from(
    state: *mut State,
    module: c_int,
    caller: *const c_void,
) -> c_int {
    let module = module_of(module);
    match copies::first_copy() {
        // SAFETY: Lua called us with a state of its own.
        Some(first) => unsafe { copies::hand_over(first, state, module, caller) },
        // SAFETY: as above.
        None => unsafe { open(state, module, caller) },
    }
}

/// Opens a module that another copy of this library was asked for.
///
/// # Safety
/// `state` is a state of the Lua that `caller` lies in.
pub(super) unsafe extern "C-unwind" fn open_handed_over(
    state: *mut State,
    module: c_int,
    caller: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { open(state, module_of(module), caller) }
}

fn module_of(number: c_int) -> Module {
    Module::ALL.into_iter().find(|module| *module as c_int == number).unwrap_or(Module::Root)
}

/// # Safety
/// `state` is a state of the Lua that `caller` lies in.
unsafe fn open(state: *mut State, module: Module, caller: *const c_void) -> c_int {
    let api = match symbols::bind(caller) {
        Ok(api) => api,
        Err(LookupError::Missing(missing, Some(raise))) => {
            let mut text = [0; 128];
            let mut rest = &mut text[..];
            // Longer names than this do not exist; one would be cut off.
            let _ = write!(rest, "acervo: this Lua lacks the function {}", missing);
            let left = rest.len();
            // SAFETY: the functions come from the state's Lua; nothing here
            // has a destructor.
            return unsafe { raise.raise(state, &text[..text.len() - left]) };
        }
        Err(error) => {
            report_unbound(error);
            return 0;
        }
    };
    match Runtime::register(&api) {
        Ok(runtime) => {
            // SAFETY: the caller's promise; nothing with a destructor is alive
            // here or in the frames above.
            let lua = unsafe { runtime.state(state) };
            lua.check_number_types();
            modules::push(lua, module)
        }
        Err(_) => {
            const TEXT: &[u8] = b"acervo: four other Lua runtimes use this library in this \
                process already, a fifth cannot be served";
            // SAFETY: the table is that of the state's runtime, and nothing
            // with a destructor is alive when the error is raised.
            unsafe { RaiseText::from(&api).raise(state, TEXT) }
        }
    }
}

/// Without an API nothing can be raised, so this is the one place where the
/// library writes to stderr.
fn report_unbound(error: LookupError) {
    let mut stderr = std::io::stderr().lock();
    // There is nobody left to tell if stderr is gone too.
    let _ = match error {
        LookupError::NotFound => writeln!(
            stderr,
            "acervo: no Lua API found in this process; a program that links Lua without \
             exporting it attaches its states with acervo_lua.h"
        ),
        LookupError::Ambiguous => writeln!(
            stderr,
            "acervo: several Lua runtimes in this process and none of them is the caller; \
             attach the state with acervo_lua.h"
        ),
        LookupError::Missing(missing, _) => writeln!(
            stderr,
            "acervo: this Lua lacks the function {missing}; attach the state with acervo_lua.h"
        ),
    };
}
