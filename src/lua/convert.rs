//! JSON and MessagePack: functions of `acervo`, and methods of a database,
//! whose `big_int` then holds.

use std::ffi::c_int;

use crate::error::Error;
use crate::value::Value;

use super::buffer::Buffer;
use super::context::Context;
use super::database;
use super::encode::{self, Limits};
use super::error_object::{ErrorSlot, context_of};
use super::guard::guard;
use super::handle::BigInt;
use super::state::Lua;

/// Where the argument of a conversion stands, and on whose behalf it is made.
#[derive(Clone, Copy)]
enum Called {
    /// `acervo.from_json(text)`: with the defaults.
    Function,
    /// `db:from_json(text)`.
    Method,
}

impl Called {
    fn argument(self) -> c_int {
        match self {
            Self::Function => 1,
            Self::Method => 2,
        }
    }

    /// The option of the database, which has to be open.
    fn big_int(self, lua: Lua, context: &'static Context) -> Result<BigInt, Error> {
        match self {
            Self::Function => Ok(BigInt::default()),
            Self::Method => {
                let handle = database::this(lua, context)?;
                guard(|| handle.database.check().map(|()| handle.big_int))
            }
        }
    }
}

/// Turns bytes into a value.
fn parse(lua: Lua, called: Called, what: &str, parse: fn(&[u8]) -> Result<Value, Error>) -> c_int {
    let context = context_of(lua);
    let argument = called.argument();
    lua.set_top(argument);
    let slot = ErrorSlot::push(lua, context);
    let big_int = match called.big_int(lua, context) {
        Ok(big_int) => big_int,
        Err(error) => return slot.fail(lua, error),
    };
    if !lua.is_string(argument) {
        let got = lua.type_name(argument);
        return slot.fail(lua, Error::invalid(format!("{what} must be a string, got {got}")));
    }
    let bytes = lua.bytes(argument);
    let mut buffer = Buffer::take(lua, context);
    let parsed = guard(|| buffer.append(parse(bytes)?.as_bytes()));
    match parsed {
        Ok(()) => database::push_result(lua, context, buffer, slot, big_int),
        Err(error) => {
            buffer.release();
            slot.fail(lua, error)
        }
    }
}

/// Turns a value into bytes: writes it to the buffer as MessagePack, which
/// `render` may replace.
fn render(lua: Lua, called: Called, render: fn(&mut Vec<u8>) -> Result<(), Error>) -> c_int {
    let context = context_of(lua);
    let argument = called.argument();
    lua.set_top(argument);
    let slot = ErrorSlot::push(lua, context);
    if let Err(error) = called.big_int(lua, context) {
        return slot.fail(lua, error);
    }
    let mut buffer = Buffer::take(lua, context);
    let limits = Limits::of_value(usize::MAX);
    let rendered = match encode::encode(lua, context, argument, buffer.bytes(), limits) {
        Ok(()) => guard(|| render(buffer.bytes())),
        Err(refused) => Err(refused.error(buffer.read())),
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

fn parse_json(lua: Lua, called: Called) -> c_int {
    parse(lua, called, "the JSON text", |text| Ok(Value::from_json(text)?))
}

fn parse_msgpack(lua: Lua, called: Called) -> c_int {
    parse(lua, called, "the MessagePack bytes", |bytes| Ok(Value::from_msgpack(bytes)?))
}

fn render_json(lua: Lua, called: Called) -> c_int {
    render(lua, called, |bytes| {
        *bytes = Value::try_from_canonical(bytes)?.to_json()?.into_bytes();
        Ok(())
    })
}

fn render_msgpack(lua: Lua, called: Called) -> c_int {
    render(lua, called, |_| Ok(()))
}

/// `acervo.from_json(text)`.
pub(super) fn from_json(lua: Lua) -> c_int {
    parse_json(lua, Called::Function)
}

/// `acervo.from_msgpack(bytes)`.
pub(super) fn from_msgpack(lua: Lua) -> c_int {
    parse_msgpack(lua, Called::Function)
}

/// `acervo.to_json(value)`.
pub(super) fn to_json(lua: Lua) -> c_int {
    render_json(lua, Called::Function)
}

/// `acervo.to_msgpack(value)`.
pub(super) fn to_msgpack(lua: Lua) -> c_int {
    render_msgpack(lua, Called::Function)
}

/// `db:from_json(text)`.
pub(super) fn database_from_json(lua: Lua) -> c_int {
    parse_json(lua, Called::Method)
}

/// `db:from_msgpack(bytes)`.
pub(super) fn database_from_msgpack(lua: Lua) -> c_int {
    parse_msgpack(lua, Called::Method)
}

/// `db:to_json(value)`.
pub(super) fn database_to_json(lua: Lua) -> c_int {
    render_json(lua, Called::Method)
}

/// `db:to_msgpack(value)`.
pub(super) fn database_to_msgpack(lua: Lua) -> c_int {
    render_msgpack(lua, Called::Method)
}
