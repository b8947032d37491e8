//! LuaJIT's 64-bit integers.
//!
//! A LuaJIT number is a double; integers beyond 2^53 are C data objects of the
//! `ffi` library. What is needed of it is captured when the library loads.

use std::ffi::c_int;

use super::context::{Context, Place, push_place, set_place};
use super::state::{Lua, TYPE_FUNCTION};
use super::version::{TYPE_CDATA, Version};

/// Captures `ffi`, if this is LuaJIT and it can be had.
pub(super) fn capture(lua: Lua, context: &Context) {
    if lua.version() != Version::LuaJit {
        return;
    }
    let top = lua.top();
    lua.push_globals();
    lua.raw_get_name(top + 1, "require");
    if lua.type_of(-1) == TYPE_FUNCTION {
        lua.push_bytes(b"ffi");
        if lua.protected_call(1, 1) && lua.is_table(-1) {
            context.has_ffi.set(capture_from(lua, lua.top()));
        }
    }
    lua.set_top(top);
}

fn capture_from(lua: Lua, ffi: c_int) -> bool {
    for (place, ctype) in [(Place::FfiInt64, "int64_t"), (Place::FfiUint64, "uint64_t")] {
        lua.raw_get_name(ffi, "typeof");
        lua.push_bytes(ctype.as_bytes());
        if !lua.protected_call(1, 1) || lua.type_of(-1) != TYPE_CDATA {
            return false;
        }
        set_place(lua, place);
    }
    // What compares cdata: `ffi.new("int64_t")` and the `__eq` of all cdata.
    lua.raw_get_name(ffi, "new");
    push_place(lua, Place::FfiInt64);
    if !lua.protected_call(1, 1) || lua.type_of(-1) != TYPE_CDATA {
        return false;
    }
    if !lua.get_metatable(-1) {
        return false;
    }
    lua.raw_get_name(lua.top(), "__eq");
    if lua.type_of(-1) != TYPE_FUNCTION {
        return false;
    }
    set_place(lua, Place::FfiEqual);
    lua.pop(1);
    set_place(lua, Place::FfiProbe);
    for (place, function) in [(Place::FfiIsType, "istype"), (Place::FfiNew, "new")] {
        lua.raw_get_name(ffi, function);
        if lua.type_of(-1) != TYPE_FUNCTION {
            return false;
        }
        set_place(lua, place);
    }
    true
}

/// The integer that the cdata at `index` holds; else the words for what it is.
/// Allocates nothing in Lua: `ffi.istype` only compares.
pub(super) fn integer(lua: Lua, context: &Context, index: c_int) -> Result<i64, &'static str> {
    const OTHER: &str = "a cdata other than a 64-bit integer";
    if !context.has_ffi.get() {
        return Err(OTHER);
    }
    if is_type(lua, Place::FfiInt64, index) {
        bits(lua, index).ok_or(OTHER)
    } else if is_type(lua, Place::FfiUint64, index) {
        let bits = bits(lua, index).ok_or(OTHER)?;
        if bits < 0 { Err("a uint64 above 2^63 - 1") } else { Ok(bits) }
    } else {
        Err(OTHER)
    }
}

/// The bits of the 64-bit integer at `index`. `ffi.istype` takes a reference
/// (`ffi.cast("int64_t &", p)`) for what it refers to, but its content is an
/// address: so the bits are what they seem to be only if LuaJIT finds an
/// int64_t of the same bits equal. None for references.
fn bits(lua: Lua, index: c_int) -> Option<i64> {
    // SAFETY: for a cdata LuaJIT gives the address of its content, here an
    // integer or an address of 64 bits.
    let bits = unsafe { lua.pointer(index).cast::<i64>().read() };
    push_place(lua, Place::FfiEqual);
    lua.push_value(index);
    push_place(lua, Place::FfiProbe);
    // SAFETY: the probe is an int64_t that nobody but us has.
    unsafe { lua.pointer(-1).cast_mut().cast::<i64>().write(bits) };
    lua.call(2, 1);
    let is_equal = lua.to_bool(-1);
    lua.pop(1);
    is_equal.then_some(bits)
}

fn is_type(lua: Lua, ctype: Place, index: c_int) -> bool {
    push_place(lua, Place::FfiIsType);
    push_place(lua, ctype);
    lua.push_value(index);
    lua.call(2, 1);
    let is_type = lua.to_bool(-1);
    lua.pop(1);
    is_type
}

/// Pushes an integer as an int64 cdata.
pub(super) fn push(lua: Lua, integer: i64) {
    push_place(lua, Place::FfiNew);
    push_place(lua, Place::FfiInt64);
    lua.call(1, 1);
    // SAFETY: the cdata is new, an int64_t, and nobody else has it yet.
    unsafe { lua.pointer(-1).cast_mut().cast::<i64>().write(integer) };
}
