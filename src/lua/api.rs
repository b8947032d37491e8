//! The table of Lua API functions of one Lua runtime.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::version::Version;

/// A Lua state (`lua_State`); exists behind pointers only.
#[repr(C)]
pub struct State {
    _opaque: [u8; 0],
}

/// A C function as Lua calls it (`lua_CFunction`).
pub(super) type CFunction = unsafe extern "C-unwind" fn(*mut State) -> c_int;

/// A `lua_KFunction`, which is never given: our functions do not yield.
type Continuation = Option<unsafe extern "C-unwind" fn(*mut State, c_int, isize) -> c_int>;

/// A symbol that the runtime does not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissingSymbol(pub(super) &'static CStr);

impl std::fmt::Display for MissingSymbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

macro_rules! api {
    (
        every { $( $(#[$doc:meta])* $field:ident = $symbol:literal ( $($arg:ty),* ) $(-> $ret:ty)?; )* }
        some { $( $(#[$some_doc:meta])* $some_field:ident = $some_symbol:literal ( $($some_arg:ty),* ) $(-> $some_ret:ty)?; )* }
    ) => {
        /// The Lua API of one runtime, by the names of 5.4. See
        /// [`super::version`] for what older versions have instead.
        #[derive(Clone, Copy)]
        pub(super) struct Api {
            pub(super) version: Version,
            $( $(#[$doc])* pub(super) $field: unsafe extern "C-unwind" fn(*mut State $(, $arg)*) $(-> $ret)?, )*
            $( $(#[$some_doc])* pub(super) $some_field: Option<unsafe extern "C-unwind" fn(*mut State $(, $some_arg)*) $(-> $some_ret)?>, )*
        }

        impl Api {
            /// Fills the table from `find`, which gives a symbol's address or
            /// null.
            ///
            /// # Safety
            /// An address that `find` gives for a name must be that function
            /// of a Lua of this version, and stay loaded.
            pub(super) unsafe fn load(
                version: Version,
                find: impl Fn(&CStr) -> *mut c_void,
            ) -> Result<Self, MissingSymbol> {
                let api = Self {
                    version,
                    $( $field: {
                        let name = version.symbol($symbol);
                        let address = find(name);
                        if address.is_null() {
                            return Err(MissingSymbol(name));
                        }
                        // SAFETY: the caller vouches for the function behind
                        // the name; `version` says how its type may differ.
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C-unwind" fn(*mut State $(, $arg)*) $(-> $ret)?,
                            >(address)
                        }
                    }, )*
                    $( $some_field: {
                        let address = find($some_symbol);
                        // SAFETY: as above; null becomes None.
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                Option<unsafe extern "C-unwind" fn(*mut State $(, $some_arg)*) $(-> $some_ret)?>,
                            >(address)
                        }
                    }, )*
                };
                if version.has_integers() && api.isinteger.is_none() {
                    return Err(MissingSymbol(c"lua_isinteger"));
                }
                if version.has_integers() && api.tointegerx.is_none() {
                    return Err(MissingSymbol(c"lua_tointegerx"));
                }
                Ok(api)
            }
        }
    };
}

api! {
    every {
        gettop = c"lua_gettop"() -> c_int;
        settop = c"lua_settop"(c_int);
        pushvalue = c"lua_pushvalue"(c_int);
        checkstack = c"lua_checkstack"(c_int) -> c_int;
        type_of = c"lua_type"(c_int) -> c_int;
        typename = c"lua_typename"(c_int) -> *const c_char;
        toboolean = c"lua_toboolean"(c_int) -> c_int;
        tolstring = c"lua_tolstring"(c_int, *mut usize) -> *const c_char;
        tonumberx = c"lua_tonumberx"(c_int, *mut c_int) -> f64;
        touserdata = c"lua_touserdata"(c_int) -> *mut c_void;
        topointer = c"lua_topointer"(c_int) -> *const c_void;
        rawlen = c"lua_rawlen"(c_int) -> usize;
        /// `lua_remove` before 5.3: see [`super::state::Lua::remove`].
        rotate = c"lua_rotate"(c_int, c_int);
        next = c"lua_next"(c_int) -> c_int;
        pushnil = c"lua_pushnil"();
        pushnumber = c"lua_pushnumber"(f64);
        pushinteger = c"lua_pushinteger"(i64);
        pushboolean = c"lua_pushboolean"(c_int);
        pushlstring = c"lua_pushlstring"(*const c_char, usize);
        pushlightuserdata = c"lua_pushlightuserdata"(*mut c_void);
        pushcclosure = c"lua_pushcclosure"(CFunction, c_int);
        rawget = c"lua_rawget"(c_int);
        rawgeti = c"lua_rawgeti"(c_int, i64);
        rawset = c"lua_rawset"(c_int);
        rawseti = c"lua_rawseti"(c_int, i64);
        createtable = c"lua_createtable"(c_int, c_int);
        getmetatable = c"lua_getmetatable"(c_int) -> c_int;
        setmetatable = c"lua_setmetatable"(c_int) -> c_int;
        newuserdatauv = c"lua_newuserdatauv"(usize, c_int) -> *mut c_void;
        callk = c"lua_callk"(c_int, c_int, isize, Continuation);
        pcallk = c"lua_pcallk"(c_int, c_int, c_int, isize, Continuation) -> c_int;
        error = c"lua_error"() -> c_int;
        getstack = c"lua_getstack"(c_int, *mut c_void) -> c_int;
        getinfo = c"lua_getinfo"(*const c_char, *mut c_void) -> c_int;
    }
    some {
        /// 5.3 and later.
        isinteger = c"lua_isinteger"(c_int) -> c_int;
        /// Read on 5.3 and later only.
        tointegerx = c"lua_tointegerx"(c_int, *mut c_int) -> i64;
        /// 5.1 and LuaJIT.
        cpcall = c"lua_cpcall"(CFunction, *mut c_void) -> c_int;
        /// Called on 5.3 and later only.
        checkversion = c"luaL_checkversion_"(f64, usize);
    }
}

/// Just enough of an API to raise an error with a text.
#[derive(Clone, Copy)]
pub(super) struct RaiseText {
    pushlstring: unsafe extern "C-unwind" fn(*mut State, *const c_char, usize),
    error: unsafe extern "C-unwind" fn(*mut State) -> c_int,
}

impl RaiseText {
    /// From the functions' addresses, if both are there.
    ///
    /// # Safety
    /// `find` gives addresses of functions of one Lua.
    pub(super) unsafe fn load(find: impl Fn(&CStr) -> *mut c_void) -> Option<Self> {
        let (pushlstring, error) = (find(c"lua_pushlstring"), find(c"lua_error"));
        if pushlstring.is_null() || error.is_null() {
            return None;
        }
        // SAFETY: not null, and the caller vouches for what they are.
        unsafe {
            Some(Self {
                pushlstring: std::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C-unwind" fn(*mut State, *const c_char, usize),
                >(pushlstring),
                error: std::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C-unwind" fn(*mut State) -> c_int,
                >(error),
            })
        }
    }

    /// Raises `text`; does not return.
    ///
    /// # Safety
    /// `state` belongs to the Lua of the functions, and no value with a
    /// destructor is alive in the frames above.
    pub(super) unsafe fn raise(self, state: *mut State, text: &[u8]) -> c_int {
        // SAFETY: the caller's promise.
        unsafe {
            (self.pushlstring)(state, text.as_ptr().cast(), text.len());
            (self.error)(state)
        }
    }
}

impl From<&Api> for RaiseText {
    fn from(api: &Api) -> Self {
        Self { pushlstring: api.pushlstring, error: api.error }
    }
}
