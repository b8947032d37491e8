//! Lua states of the host: what the inline functions of `acervo_lua.h` call.

use std::ffi::{CStr, c_char, c_void};

use super::database::acervo;
use super::error::acervo_error;
use super::raw;
use super::wall;
use crate::error::Error;
use crate::lua::{self, HostApi, State};

/// The Lua C API as the host's compiler found it. Filled by `acervo_lua.h`.
///
/// Threads: any.
#[repr(C)]
pub struct acervo_lua_api {
    /// sizeof(acervo_lua_api): a later header may add fields.
    pub size: u32,
    /// LUA_VERSION_NUM.
    pub lua_version_num: u32,
    /// How many functions follow.
    pub count: u32,
    /// Their names, NUL-terminated, in any order; unknown ones are ignored.
    pub names: *const *const c_char,
    /// The functions, each at the place of its name.
    pub functions: *const *mut c_void,
}

/// Calls `body` with what `api` describes.
///
/// # Safety
///
/// `api` is NULL or as `acervo_lua.h` fills it.
unsafe fn with_api<T>(
    api: *const acervo_lua_api,
    body: impl FnOnce(&HostApi<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    // SAFETY: as promised by the caller.
    unsafe {
        let api = raw::handle(api, "api")?;
        if (api.size as usize) < size_of::<acervo_lua_api>() {
            return Err(Error::invalid("api comes from another acervo_lua.h"));
        }
        let count = api.count as usize;
        let names = raw::handles(api.names, count, "names")?;
        let functions = raw::handles(api.functions.cast::<*const c_void>(), count, "functions")?;
        let names: Option<Vec<&CStr>> =
            names.iter().map(|&name| (!name.is_null()).then(|| CStr::from_ptr(name))).collect();
        let names = names.ok_or_else(|| Error::invalid("a name is NULL"))?;
        let functions: Vec<*mut c_void> = functions.iter().map(|it| it.cast_mut()).collect();
        body(&HostApi::new(api.lua_version_num, &names, &functions))
    }
}

/// Behind acervo_lua_attach of `acervo_lua.h`; call that.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_lua_attach_with(
    api: *const acervo_lua_api,
    state: *mut State,
    db: *mut acervo,
    ident: *const c_char,
    ident_len: usize,
    actor: *const c_char,
    actor_len: usize,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_lua_attach", err, || {
            raw::handle(state, "L")?;
            let database = &raw::handle(db, "db")?.database;
            database.check()?;
            let ident = optional(ident, ident_len, "ident")?;
            let actor = optional(actor, actor_len, "actor")?;
            with_api(api, |api| lua::attach(api, state, database, ident, actor))
        })
    }
}

/// Behind acervo_lua_set_ident of `acervo_lua.h`; call that.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_lua_set_ident_with(
    api: *const acervo_lua_api,
    state: *mut State,
    ident: *const c_char,
    ident_len: usize,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_lua_set_ident", err, || {
            raw::handle(state, "L")?;
            let ident = optional(ident, ident_len, "ident")?;
            with_api(api, |api| lua::set_ident(api, state, ident))
        })
    }
}

/// A text that is none if it is NULL with length 0.
///
/// # Safety
///
/// As for [`raw::text`].
unsafe fn optional<'a>(
    pointer: *const c_char,
    len: usize,
    name: &str,
) -> Result<Option<&'a [u8]>, Error> {
    if pointer.is_null() && len == 0 {
        return Ok(None);
    }
    // SAFETY: as promised by the caller.
    unsafe { raw::text(pointer, len, name) }.map(Some)
}
