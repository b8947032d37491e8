//! A Lua state together with the functions to use it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::api::{Api, CFunction, State};
use super::version::{Globals, Version};

pub(super) const TYPE_NONE: c_int = -1;
pub(super) const TYPE_NIL: c_int = 0;
pub(super) const TYPE_BOOLEAN: c_int = 1;
pub(super) const TYPE_LIGHT_USERDATA: c_int = 2;
pub(super) const TYPE_NUMBER: c_int = 3;
pub(super) const TYPE_STRING: c_int = 4;
pub(super) const TYPE_TABLE: c_int = 5;
pub(super) const TYPE_FUNCTION: c_int = 6;
pub(super) const TYPE_USERDATA: c_int = 7;

/// A Lua state inside a call of one of our functions.
///
/// Making one is unsafe; what it does is not marked so. Whoever holds one
/// takes on the rules for raw functions, because most of its methods may raise
/// a Lua error, which leaves by `longjmp`:
///
/// 1. no value with a destructor is alive in any Rust frame when a method is
///    called (what must live longer belongs to a userdata);
/// 2. no method is called inside `catch_unwind`;
/// 3. stack indices and types are those the method's Lua function asks for.
#[derive(Clone, Copy)]
pub(super) struct Lua {
    api: &'static Api,
    state: *mut State,
}

/// Wraps calls of the API table. One comment for all of them: the table holds
/// the functions of the runtime the state belongs to, and the holder of the
/// [`Lua`] keeps to the rules stated there.
macro_rules! call {
    ($lua:expr, $name:ident $(, $arg:expr)*) => {
        // SAFETY: see above.
        unsafe { ($lua.api.$name)($lua.state $(, $arg)*) }
    };
}

impl Lua {
    /// # Safety
    /// `state` is a live state of the runtime that `api` was filled from, the
    /// current thread may use it, and the holder keeps to the type's rules.
    #[inline]
    pub(super) unsafe fn new(api: &'static Api, state: *mut State) -> Self {
        Self { api, state }
    }

    pub(super) fn state(self) -> *mut State {
        self.state
    }

    pub(super) fn api(self) -> &'static Api {
        self.api
    }

    pub(super) fn version(self) -> Version {
        self.api.version
    }

    /// `lua_upvalueindex`.
    #[inline]
    pub(super) fn upvalue(self, number: c_int) -> c_int {
        self.api.version.upvalue_base() - number
    }

    #[inline]
    pub(super) fn top(self) -> c_int {
        call!(self, gettop)
    }

    #[inline]
    pub(super) fn set_top(self, top: c_int) {
        call!(self, settop, top);
    }

    #[inline]
    pub(super) fn pop(self, count: c_int) {
        call!(self, settop, -count - 1);
    }

    /// Takes the value at `index` out; those above move down.
    pub(super) fn remove(self, index: c_int) {
        // `lua_rotate`, or `lua_remove` in versions that have no such thing.
        call!(self, rotate, index, -1);
        if self.api.version.has_integers() {
            self.pop(1);
        }
    }

    /// Whether `extra` more slots could be had.
    #[inline]
    pub(super) fn check_stack(self, extra: c_int) -> bool {
        call!(self, checkstack, extra) != 0
    }

    #[inline]
    pub(super) fn type_of(self, index: c_int) -> c_int {
        call!(self, type_of, index)
    }

    /// The name of the type of the value at `index`, as Lua has it.
    pub(super) fn type_name(self, index: c_int) -> &'static str {
        let type_of = self.type_of(index);
        let name = call!(self, typename, type_of);
        // SAFETY: Lua's type names are NUL-terminated constants of the runtime,
        // which stays loaded while we are called by it.
        unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("value")
    }

    #[inline]
    pub(super) fn is_string(self, index: c_int) -> bool {
        self.type_of(index) == TYPE_STRING
    }

    #[inline]
    pub(super) fn is_table(self, index: c_int) -> bool {
        self.type_of(index) == TYPE_TABLE
    }

    /// Whether the value is nil or not there.
    #[inline]
    pub(super) fn is_none_or_nil(self, index: c_int) -> bool {
        self.type_of(index) <= TYPE_NIL
    }

    #[inline]
    pub(super) fn to_bool(self, index: c_int) -> bool {
        call!(self, toboolean, index) != 0
    }

    /// The bytes of the string at `index`, which must be one. They stay valid
    /// while the string is on the stack or an upvalue; Lua strings do not move.
    #[inline]
    pub(super) fn bytes<'a>(self, index: c_int) -> &'a [u8] {
        let mut len = 0;
        let start = call!(self, tolstring, index, &raw mut len);
        if start.is_null() {
            return &[];
        }
        // SAFETY: Lua gives a pointer to `len` bytes; the caller keeps the
        // string where the collector sees it.
        unsafe { std::slice::from_raw_parts(start.cast(), len) }
    }

    /// The number at `index`, which must be one.
    #[inline]
    pub(super) fn number(self, index: c_int) -> f64 {
        call!(self, tonumberx, index, ptr::null_mut())
    }

    /// The integer at `index` if the version has integers and the number is
    /// one.
    #[inline]
    pub(super) fn integer(self, index: c_int) -> Option<i64> {
        if !self.api.version.has_integers() {
            return None;
        }
        let (is_integer, to_integer) = (self.api.isinteger?, self.api.tointegerx?);
        // SAFETY: as for all calls of the table.
        unsafe {
            (is_integer(self.state, index) != 0)
                .then(|| to_integer(self.state, index, ptr::null_mut()))
        }
    }

    #[inline]
    pub(super) fn userdata(self, index: c_int) -> *mut c_void {
        call!(self, touserdata, index)
    }

    #[inline]
    pub(super) fn pointer(self, index: c_int) -> *const c_void {
        call!(self, topointer, index)
    }

    #[inline]
    pub(super) fn raw_len(self, index: c_int) -> usize {
        call!(self, rawlen, index)
    }

    /// Pops a key and pushes the next pair of the table, if there is one.
    #[inline]
    pub(super) fn next(self, table: c_int) -> bool {
        call!(self, next, table) != 0
    }

    #[inline]
    pub(super) fn push_value(self, index: c_int) {
        call!(self, pushvalue, index);
    }

    #[inline]
    pub(super) fn push_nil(self) {
        call!(self, pushnil);
    }

    #[inline]
    pub(super) fn push_bool(self, value: bool) {
        call!(self, pushboolean, c_int::from(value));
    }

    #[inline]
    pub(super) fn push_float(self, value: f64) {
        call!(self, pushnumber, value);
    }

    /// Pushes an integer that every version can hold: at most 2^53 in
    /// magnitude, unless the version has integers.
    #[inline]
    pub(super) fn push_integer(self, value: i64) {
        if self.api.version.has_integers() {
            call!(self, pushinteger, value);
        } else {
            call!(self, pushnumber, value as f64);
        }
    }

    #[inline]
    pub(super) fn push_bytes(self, bytes: &[u8]) {
        call!(self, pushlstring, bytes.as_ptr().cast::<c_char>(), bytes.len());
    }

    pub(super) fn push_light(self, address: *const c_void) {
        call!(self, pushlightuserdata, address.cast_mut());
    }

    /// Pops `upvalues` values and pushes a function that has them.
    pub(super) fn push_function(self, function: CFunction, upvalues: c_int) {
        call!(self, pushcclosure, function, upvalues);
    }

    /// Pops a key and pushes the table's value, without metamethods.
    #[inline]
    pub(super) fn raw_get(self, table: c_int) {
        call!(self, rawget, table);
    }

    #[inline]
    pub(super) fn raw_get_index(self, table: c_int, index: i64) {
        call!(self, rawgeti, table, index);
    }

    /// Pops a value, then a key, and stores them in the table.
    #[inline]
    pub(super) fn raw_set(self, table: c_int) {
        call!(self, rawset, table);
    }

    /// Pops a value and stores it in the table.
    #[inline]
    pub(super) fn raw_set_index(self, table: c_int, index: i64) {
        call!(self, rawseti, table, index);
    }

    /// Pushes `table[name]`; `table` must be an absolute or pseudo-index.
    pub(super) fn raw_get_name(self, table: c_int, name: &str) {
        self.push_bytes(name.as_bytes());
        self.raw_get(table);
    }

    /// Pops a value and stores it as `table[name]`; `table` must be an
    /// absolute or pseudo-index.
    pub(super) fn raw_set_name(self, table: c_int, name: &str) {
        self.push_bytes(name.as_bytes());
        self.push_value(-2);
        self.raw_set(table);
        self.pop(1);
    }

    #[inline]
    pub(super) fn create_table(self, array_len: u32, map_len: u32) {
        let clamp = |len: u32| c_int::try_from(len).unwrap_or(c_int::MAX);
        call!(self, createtable, clamp(array_len), clamp(map_len));
    }

    /// Pushes the metatable of the value, if it has one.
    pub(super) fn get_metatable(self, index: c_int) -> bool {
        call!(self, getmetatable, index) != 0
    }

    /// Pops a table and makes it the metatable of the value.
    pub(super) fn set_metatable(self, index: c_int) {
        call!(self, setmetatable, index);
    }

    pub(super) fn new_userdata(self, size: usize) -> *mut c_void {
        call!(self, newuserdatauv, size, 0)
    }

    pub(super) fn call(self, arguments: c_int, results: c_int) {
        call!(self, callk, arguments, results, 0, None);
    }

    /// Calls in protected mode; false leaves the error value on the stack.
    pub(super) fn protected_call(self, arguments: c_int, results: c_int) -> bool {
        call!(self, pcallk, arguments, results, 0, 0, None) == 0
    }

    /// Raises the value on top of the stack.
    pub(super) fn raise(self) -> ! {
        call!(self, error);
        // lua_error does not return.
        std::process::abort()
    }

    pub(super) fn registry_index(self) -> c_int {
        self.api.version.registry_index()
    }

    /// Pushes the table of globals.
    #[inline]
    pub(super) fn push_globals(self) {
        match self.api.version.globals() {
            Globals::Index(index) => self.push_value(index),
            Globals::InRegistry(number) => self.raw_get_index(self.registry_index(), number),
        }
    }

    /// Raises if the runtime was built with other number types than ours.
    pub(super) fn check_number_types(self) {
        if !self.version().has_integers() {
            return;
        }
        if let Some(check) = self.api.checkversion {
            let number = match self.version() {
                Version::Lua53 => 503.0,
                Version::Lua54 => 504.0,
                _ => 505.0,
            };
            // LUAL_NUMSIZES
            let sizes = size_of::<i64>() * 16 + size_of::<f64>();
            // SAFETY: as for all calls of the table; the type is that of 5.3
            // and later.
            unsafe { check(self.state, number, sizes) };
        }
    }

    /// `lua_getstack`.
    pub(super) fn get_stack(self, level: c_int, record: *mut c_void) -> bool {
        call!(self, getstack, level, record) != 0
    }

    /// `lua_getinfo` for fields that push nothing.
    pub(super) fn get_info(self, what: &CStr, record: *mut c_void) -> bool {
        call!(self, getinfo, what.as_ptr(), record) != 0
    }
}
