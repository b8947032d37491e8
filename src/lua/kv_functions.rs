//! The functions of `registry` and `store`, except `pairs` and `update`.
//!
//! Each follows the three steps: arguments are checked and encoded with
//! nothing to lose, the work is done in Rust without Lua, results are pushed
//! when everything else is dropped.

use std::ffi::c_int;

use crate::error::Error;
use crate::kv::Batch;
use crate::value::{MAX_DEPTH, Number, Token, View, put_array_header, put_string};

use super::call::{Call, Fetched, Found};
use super::encode::Limits;
use super::state::{Lua, TYPE_NUMBER, TYPE_TABLE};

/// `get(key)`: value and timestamp, or nil and nil.
pub(super) fn get(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "get", 1);
    let key = call.key();
    let mut found = Found::NOTHING;
    let is_there = call.work(|kv, out| Ok(kv.read(key, |value| found.set(value, out))?.is_some()));
    if is_there {
        call.push_fetched(found.fetched);
        lua.push_integer(found.timestamp);
    } else {
        lua.push_nil();
        lua.push_nil();
    }
    call.end(2)
}

/// `put(key, value [, {ttl =}])`.
pub(super) fn put(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "put", 3);
    call.writing();
    let key = call.key();
    if !call.has_argument(2) {
        call.refuse("the value is missing; to store nil, pass it");
    }
    let ttl = call.ttl(3);
    call.encode(2);
    call.work(|kv, value| Ok(kv.put(key, value, ttl)?));
    call.end(0)
}

/// `delete(key)`.
pub(super) fn delete(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "delete", 1);
    call.writing();
    let key = call.key();
    call.work(|kv, _| Ok(kv.delete(key)?));
    call.end(0)
}

/// `incr(key [, by])`: the new value.
pub(super) fn incr(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "incr", 2);
    call.writing();
    let key = call.key();
    let mut by = Number::Int(1);
    if !lua.is_none_or_nil(2) {
        call.encode(2);
        match View::new(call.buffer.read()).token().number() {
            Some(number) => by = number,
            None => {
                let got = call.argument_type(2);
                call.refuse(format_args!("the amount must be a number, got {got}"))
            }
        }
    }
    let fetched = match call.work(|kv, _| Ok(kv.incr(key, by)?)) {
        Number::Int(integer) => Fetched::Int(integer),
        Number::Float(float) => Fetched::Float(float),
    };
    call.push_fetched(fetched);
    call.end(1)
}

/// `cas(key, expected, value)`: whether it was stored.
pub(super) fn cas(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "cas", 3);
    call.writing();
    let key = call.key();
    if !call.has_argument(3) {
        call.refuse("the value is missing; to store nil, pass it");
    }
    let mut split = None;
    if !lua.is_none_or_nil(2) {
        call.encode(2);
        split = Some(call.buffer.read().len());
    }
    call.encode(3);
    let stored = call.work(|kv, bytes| {
        let (expected, value) = bytes.split_at(split.unwrap_or(0));
        Ok(kv.cas(key, split.map(|_| expected), value)?)
    });
    lua.push_bool(stored);
    call.end(1)
}

/// `put_all({key = value, ...} [, {ttl =}])`.
pub(super) fn put_all(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "put_all", 2);
    call.writing();
    if lua.type_of(1) != TYPE_TABLE {
        let got = call.argument_type(1);
        call.refuse(format_args!("the values must be a table of keys, got {got}"));
    }
    let ttl = call.ttl(2);
    // The table around the values is no value: it counts neither as a level
    // nor for the size limit, which the batch checks for each value.
    let limits = Limits { root: "values", size: u32::MAX as usize, depth: MAX_DEPTH + 1 };
    call.encode_with(1, limits);
    call.work(|kv, bytes| Ok(kv.commit(&batch_of(bytes, ttl, kv.value_limit())?)?));
    call.end(0)
}

/// The puts that an encoded map of keys and values asks for.
fn batch_of(bytes: &[u8], ttl: Option<i64>, value_limit: usize) -> Result<Batch, Error> {
    let mut view = View::new(bytes);
    let mut batch = Batch::new();
    let pairs = match view.token() {
        Token::Map(pairs) => pairs,
        Token::Array(0) => 0,
        _ => return Err(Error::invalid("keys must be strings, got a list")),
    };
    for _ in 0..pairs {
        let key = match view.token() {
            Token::String(key) => key,
            other => {
                let got = other.type_of().name();
                return Err(Error::invalid(format!("keys must be strings, got {got}")));
            }
        };
        batch.put(key, view.skip(), ttl, value_limit)?;
    }
    Ok(batch)
}

/// `keys([prefix])`: a sorted array.
pub(super) fn keys(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "keys", 1);
    let prefix = call.prefix();
    call.work(|kv, out| {
        let keys = kv.keys(prefix)?;
        put_array_header(out, keys.len().try_into().unwrap_or(u32::MAX));
        for key in &keys {
            put_string(out, key);
        }
        Ok(())
    });
    call.push_fetched(Fetched::Buffered);
    call.end(1)
}

/// `count([prefix])`.
pub(super) fn count(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "count", 1);
    let prefix = call.prefix();
    let count = call.work(|kv, _| Ok(kv.count(prefix)?));
    push_count(call, count)
}

/// `delete_prefix(prefix)`: how many were deleted.
pub(super) fn delete_prefix(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "delete_prefix", 1);
    call.writing();
    if !lua.is_string(1) {
        // Not optional: without it everything would go.
        let got = call.argument_type(1);
        call.refuse(format_args!("prefix must be a string, got {got}"));
    }
    let prefix = call.prefix();
    let count = call.work(|kv, _| Ok(kv.delete_prefix(prefix)?));
    push_count(call, count)
}

/// `purge(seconds)`: how many were deleted.
pub(super) fn purge(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "purge", 1);
    call.writing();
    if lua.type_of(1) != TYPE_NUMBER {
        let got = call.argument_type(1);
        call.refuse(format_args!("the age must be a number of seconds, got {got}"));
    }
    let seconds = lua.number(1);
    let count = call.work(|kv, _| Ok(kv.purge(seconds)?));
    push_count(call, count)
}

/// `flush()`.
pub(super) fn flush(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "flush", 0);
    call.work(|kv, _| Ok(kv.flush()?));
    call.end(0)
}

fn push_count(call: Call, count: u64) -> c_int {
    // Memory ends long before 2^53 keys.
    call.lua.push_integer(count as i64);
    call.end(1)
}
