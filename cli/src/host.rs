//! This program as a host of acervo: it links Lua statically, so it hands the
//! library the addresses of its Lua's functions.

use std::ffi::{CStr, c_void};

use acervo::database::Database;
use acervo::error::Error;
use acervo::lua::{self, HostApi};
use mlua::{Lua, ffi};

macro_rules! functions {
    ($($name:ident)*) => {
        (
            [$( {
                const NAME: &CStr = match CStr::from_bytes_with_nul(
                    concat!(stringify!($name), "\0").as_bytes(),
                ) {
                    Ok(name) => name,
                    Err(_) => c"",
                };
                NAME
            } ),*],
            [$( ffi::$name as *const () as *mut c_void ),*],
        )
    };
}

/// The Lua that mlua is built with, see Cargo.toml.
const LUA_VERSION_NUM: u32 = 504;

/// A Lua state with the whole standard library, as the `lua` program has it.
pub(crate) fn new_state() -> Lua {
    // SAFETY: scripts get `debug` and C modules, as in any Lua interpreter;
    // they are the user's own.
    unsafe { Lua::unsafe_new() }
}

/// Binds the database to a state of this program's Lua.
pub(crate) fn attach(
    state: &Lua,
    database: &Database,
    ident: Option<&[u8]>,
) -> Result<(), crate::script::Failure> {
    let (names, functions) = functions! {
        lua_gettop lua_settop lua_pushvalue lua_rotate lua_checkstack lua_type lua_typename
        lua_toboolean lua_tolstring lua_tonumberx lua_tointegerx lua_isinteger lua_touserdata
        lua_topointer lua_rawlen lua_next lua_pushnil lua_pushnumber lua_pushinteger
        lua_pushboolean lua_pushlstring lua_pushlightuserdata lua_pushcclosure lua_rawget
        lua_rawgeti lua_rawset lua_rawseti lua_createtable lua_getmetatable lua_setmetatable
        lua_newuserdatauv lua_callk lua_pcallk lua_error lua_getstack lua_getinfo
    };
    let mut attached: Result<(), Error> = Ok(());
    // SAFETY: the functions are those of the Lua that mlua links, by name and
    // version; the state is live and used by this thread only; attaching
    // raises nothing.
    unsafe {
        let api = HostApi::new(LUA_VERSION_NUM, &names, &functions);
        state.exec_raw::<()>((), |raw| {
            attached = lua::attach(&api, raw.cast(), database, ident, None);
        })?;
    }
    Ok(attached?)
}
