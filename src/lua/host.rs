//! Hosts that embed Lua and bind it themselves.
//!
//! A host that links Lua statically and exports nothing passes the addresses
//! of the functions its own compiler found. What it binds to a state (database,
//! ident, actor) is the host's to decide: scripts cannot choose others.

use std::ffi::{CStr, c_int, c_void};
use std::sync::Arc;

use crate::database::Database;
use crate::error::{Code, Error};

use super::api::{Api, State};
use super::context::{Context, Host};
use super::guard::guard;
use super::handle::{Handle, Owner};
use super::modules;
use super::runtimes::{self, Runtime, entry};
use super::state::{Lua, TYPE_STRING};
use super::version::Version;

/// A Lua API as its host knows it.
#[derive(Clone, Copy, Debug)]
pub struct HostApi<'a> {
    version: u32,
    names: &'a [&'a CStr],
    functions: &'a [*mut c_void],
}

impl<'a> HostApi<'a> {
    /// From `LUA_VERSION_NUM` and the functions, each under the name at the
    /// same place in `names`, in any order. Functions that are not needed are
    /// ignored; one that is needed and missing is named by [`attach`].
    ///
    /// # Safety
    /// Each function is the one its name says, of a Lua of this version, and
    /// stays loaded as long as the process runs.
    #[must_use]
    pub unsafe fn new(version: u32, names: &'a [&'a CStr], functions: &'a [*mut c_void]) -> Self {
        Self { version, names, functions }
    }

    fn find(&self, name: &CStr) -> *mut c_void {
        self.names
            .iter()
            .position(|known| *known == name)
            .and_then(|at| self.functions.get(at).copied())
            .unwrap_or(std::ptr::null_mut())
    }

    fn load(&self, version: Version) -> Result<Api, Error> {
        // SAFETY: `new` was promised that the functions are what they are
        // called.
        unsafe { Api::load(version, |name| self.find(name)) }.map_err(|missing| {
            Error::invalid(format!("the Lua API that the host passed lacks {missing}"))
        })
    }

    /// The runtime of this API, which `state` belongs to.
    ///
    /// # Safety
    /// As for [`attach`].
    unsafe fn bind(&self, state: *mut State) -> Result<Runtime, Error> {
        let version = Version::from_number(self.version).ok_or_else(|| {
            Error::invalid(format!("Lua version {} is not supported", self.version))
        })?;
        // LuaJIT calls itself 5.1 too. Its host may pass what tells them apart.
        let version = match version {
            Version::Lua51 if !self.find(c"luaopen_jit").is_null() => Version::LuaJit,
            version => version,
        };
        let api = self.load(version)?;
        let runtime = register(&api)?;
        if version != Version::Lua51 {
            return Ok(runtime);
        }
        let mut is_luajit = false;
        // SAFETY: the caller's promise; the bool outlives the call.
        unsafe {
            run_protected(&api, runtime, state, entry!(ask_luajit), (&raw mut is_luajit).cast())?;
        }
        if is_luajit { register(&self.load(Version::LuaJit)?) } else { Ok(runtime) }
    }
}

fn register(api: &Api) -> Result<Runtime, Error> {
    Runtime::register(api).map_err(|_| {
        Error::new(
            Code::Unavailable,
            "four other Lua runtimes use this library in this process already",
        )
    })
}

/// What [`attach`] binds.
struct Binding<'a> {
    database: &'a Database,
    ident: Option<&'a [u8]>,
    actor: Option<&'a [u8]>,
}

/// Binds a database to a Lua state, makes the modules known to `require`, and
/// names the ident and the actor of its scripts, if the host has any for them.
///
/// # Safety
/// `state` is a live state of the runtime behind `api`, and the current thread
/// may use it.
pub unsafe fn attach(
    api: &HostApi<'_>,
    state: *mut State,
    database: &Database,
    ident: Option<&[u8]>,
    actor: Option<&[u8]>,
) -> Result<(), Error> {
    check_ident(database, ident)?;
    let mut binding = Binding { database, ident, actor };
    // SAFETY: the caller's promise; `binding` outlives the call.
    unsafe {
        let runtime = api.bind(state)?;
        let entry = entry!(bind_state);
        run_protected(runtime.api(), runtime, state, entry, (&raw mut binding).cast())
    }
}

/// Gives a state that was attached another ident, or none.
///
/// # Safety
/// As for [`attach`].
pub unsafe fn set_ident(
    api: &HostApi<'_>,
    state: *mut State,
    ident: Option<&[u8]>,
) -> Result<(), Error> {
    let mut change = Change { ident, result: Ok(()) };
    // SAFETY: the caller's promise; `change` outlives the call.
    unsafe {
        let runtime = api.bind(state)?;
        let entry = entry!(change_ident);
        run_protected(runtime.api(), runtime, state, entry, (&raw mut change).cast())?;
    }
    change.result
}

struct Change<'a> {
    ident: Option<&'a [u8]>,
    result: Result<(), Error>,
}

fn check_ident(database: &Database, ident: Option<&[u8]>) -> Result<(), Error> {
    guard(|| {
        if let Some(ident) = ident {
            database.store(ident)?;
        }
        Ok(())
    })
}

/// The data that [`run_protected`] was given.
fn data<T>(lua: Lua) -> *mut T {
    lua.userdata(1).cast()
}

fn ask_luajit(lua: Lua) -> c_int {
    // SAFETY: `bind` passes a bool.
    unsafe { *data::<bool>(lua) = runtimes::is_luajit(lua) };
    0
}

fn bind_state(lua: Lua) -> c_int {
    // SAFETY: `attach` passes a binding.
    let binding = unsafe { &*data::<Binding<'_>>(lua) };
    lua.check_number_types();
    let context = Context::of_state(lua);
    modules::preload_all(lua);
    // From here on nothing raises.
    let mut handle = Handle::new(binding.database.clone(), Owner::Host);
    handle.actor = binding.actor.map(Into::into);
    let host = Host { handle: Arc::new(handle), ident: binding.ident.map(Into::into) };
    let before = context.host.replace(Some(host));
    context.rebind();
    super::guard::discard(before);
    0
}

fn change_ident(lua: Lua) -> c_int {
    // SAFETY: `set_ident` passes a change.
    let change = unsafe { &mut *data::<Change<'_>>(lua) };
    let context = Context::of_state(lua);
    let mut host = context.host.borrow_mut();
    change.result = match &mut *host {
        Some(host) => check_ident(&host.handle.database, change.ident)
            .map(|()| host.ident = change.ident.map(Into::into)),
        None => Err(Error::invalid("the state is not attached")),
    };
    drop(host);
    context.rebind();
    0
}

/// Calls a function of ours in protected mode, with `data` as its argument.
///
/// # Safety
/// `state` is a live state of the runtime, the current thread may use it, and
/// `data` is what the function expects.
unsafe fn run_protected(
    api: &Api,
    runtime: Runtime,
    state: *mut State,
    entry: &runtimes::Entry,
    data: *mut c_void,
) -> Result<(), Error> {
    let function = runtime.function(entry);
    // SAFETY: the caller's promise. What is called unprotected here raises
    // nothing: lua_cpcall protects itself; since 5.2 pushing a function
    // without upvalues allocates nothing and lua_checkstack does not raise.
    unsafe {
        let status = if let Some(cpcall) = api.cpcall.filter(|_| api.version.is_51()) {
            cpcall(state, function, data)
        } else {
            if (api.checkstack)(state, 4) == 0 {
                return Err(Error::new(Code::Internal, "Lua stack overflow"));
            }
            (api.pushcclosure)(state, function, 0);
            (api.pushlightuserdata)(state, data);
            (api.pcallk)(state, 1, 0, 0, 0, None)
        };
        if status == 0 {
            return Ok(());
        }
        // The error value is on the stack; reading a string does not raise.
        let mut message = String::from("Lua error while attaching");
        if (api.type_of)(state, -1) == TYPE_STRING {
            let mut len = 0;
            let start = (api.tolstring)(state, -1, &raw mut len);
            let bytes = std::slice::from_raw_parts(start.cast::<u8>(), len);
            message = String::from_utf8_lossy(bytes).into_owned();
        }
        (api.settop)(state, -2);
        Err(Error::new(Code::Internal, message))
    }
}
