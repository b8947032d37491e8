//! `acervo` itself.

use std::ffi::c_int;
use std::ptr;

use crate::error::Error;
use crate::value::Value;

use super::buffer::Buffer;
use super::context::{self, Place};
use super::database;
use super::encode::{self, Limits};
use super::error_object::{ErrorSlot, context_of, raise_text};
use super::guard::guard;
use super::handle::BigInt;
use super::modules;
use super::open::Module;
use super::runtimes::entry;
use super::state::{Lua, TYPE_TABLE};

/// Pushes the module's table.
pub(super) fn push(lua: Lua) {
    lua.create_table(0, 16);
    let root = lua.top();
    context::fill_table(
        lua,
        root,
        &[
            ("open", entry!(database::open)),
            ("default", entry!(database::default)),
            ("install", entry!(install)),
            ("array", entry!(array)),
            ("from_json", entry!(from_json)),
            ("to_json", entry!(to_json)),
            ("from_msgpack", entry!(from_msgpack)),
            ("to_msgpack", entry!(to_msgpack)),
        ],
    );
    lua.push_light(ptr::null());
    lua.raw_set_name(root, "null");
    modules::push(lua, Module::Errors);
    lua.raw_set_name(root, "errors");
    lua.push_bytes(b"acervo");
    lua.raw_set_name(root, "_NAME");
    lua.push_bytes(env!("CARGO_PKG_VERSION").as_bytes());
    lua.raw_set_name(root, "_VERSION");
}

/// `acervo.install()`.
fn install(lua: Lua) -> c_int {
    modules::install(lua);
    0
}

/// `acervo.array([table])`: marks a table, so that it is an array even when it
/// is empty.
fn array(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    if lua.is_none_or_nil(1) {
        lua.create_table(0, 0);
    } else if lua.type_of(1) != TYPE_TABLE {
        raise_text(lua, context, "acervo.array: a table is needed");
    } else if lua.get_metatable(1) {
        if lua.pointer(-1) != context.array_metatable.get() {
            raise_text(lua, context, "acervo.array: the table has a metatable of its own");
        }
        lua.pop(1);
    }
    let table = lua.top();
    context::push_place(lua, Place::ArrayMetatable);
    lua.set_metatable(table);
    1
}

/// Turns bytes, the first argument, into a value.
fn parse(lua: Lua, what: &str, parse: fn(&[u8]) -> Result<Value, Error>) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    let slot = ErrorSlot::push(lua, context);
    if !lua.is_string(1) {
        let got = lua.type_name(1);
        return slot.fail(lua, Error::invalid(format!("{what} must be a string, got {got}")));
    }
    let bytes = lua.bytes(1);
    let mut buffer = Buffer::take(lua, context);
    let parsed = guard(|| {
        buffer.bytes().extend_from_slice(parse(bytes)?.as_bytes());
        Ok(())
    });
    match parsed {
        Ok(()) => database::push_result(lua, context, buffer, slot, BigInt::default()),
        Err(error) => {
            buffer.release();
            slot.fail(lua, error)
        }
    }
}

/// `acervo.from_json(text)`.
fn from_json(lua: Lua) -> c_int {
    parse(lua, "the JSON text", |text| Ok(Value::from_json(text)?))
}

/// `acervo.from_msgpack(bytes)`.
fn from_msgpack(lua: Lua) -> c_int {
    parse(lua, "the MessagePack bytes", |bytes| Ok(Value::from_msgpack(bytes)?))
}

/// Turns the first argument into bytes: writes it to the buffer as a value,
/// which `render` may replace.
fn render(lua: Lua, render: fn(&mut Vec<u8>) -> Result<(), Error>) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    let slot = ErrorSlot::push(lua, context);
    let mut buffer = Buffer::take(lua, context);
    let limits = Limits::of_value(usize::MAX);
    let rendered = match encode::encode(lua, context, 1, buffer.bytes(), limits) {
        Ok(()) => guard(|| render(buffer.bytes())),
        Err(_) => Err(Error::invalid(String::from_utf8_lossy(buffer.read()))),
    };
    match rendered {
        Ok(()) => {
            lua.push_bytes(buffer.read());
            buffer.release();
            1
        }
        Err(error) => {
            buffer.release();
            slot.fail(lua, error)
        }
    }
}

/// `acervo.to_json(value)`.
fn to_json(lua: Lua) -> c_int {
    render(lua, |bytes| {
        let text = Value::from_canonical(bytes).to_json()?;
        bytes.clear();
        bytes.extend_from_slice(text.as_bytes());
        Ok(())
    })
}

/// `acervo.to_msgpack(value)`.
fn to_msgpack(lua: Lua) -> c_int {
    render(lua, |_| Ok(()))
}
