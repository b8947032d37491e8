//! The functions of `registry` and `store`, except `pairs` and `update`.
//!
//! Each follows the three steps: arguments are checked and encoded with
//! nothing to lose, the work is done in Rust without Lua, results are pushed
//! when everything else is dropped.

use std::ffi::c_int;

use crate::error::Error;
use crate::kv::{Batch, Kv};
use crate::value::{MAX_DEPTH, Number, Token, View, put_array_header, put_int, put_string};

use super::buffer::out_of_memory;
use super::call::{Call, Fetched, Found};
use super::decode::{EXACT, Unpushable};
use super::encode::Limits;
use super::handle::BigInt;
use super::state::{Lua, TYPE_NUMBER, TYPE_TABLE};
use super::update::{ROUNDS, contended};
use super::version::TYPE_CDATA;

/// `get(key)`: value and timestamp, or nil and nil.
pub(super) fn get(lua: Lua) -> c_int {
    let mut call = Call::begin_with(lua, "get", 1, 1);
    let key = call.key();
    let mut found = Found::NOTHING;
    let is_there = call.work_here(|kv, out| {
        Ok(kv.read(key, |value| found.set(value, out))?.transpose()?.is_some())
    });
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
    let mut call = Call::begin_with(lua, "put", 2, 3);
    call.writing();
    let key = call.key();
    if !call.has_argument(2) {
        call.refuse("the value is missing; to store nil, pass it");
    }
    let ttl = call.ttl(3);
    call.encode(2);
    call.work_here(|kv, value| Ok(kv.put(key, value, ttl)?));
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
        if !matches!(lua.type_of(2), TYPE_NUMBER | TYPE_CDATA) {
            let got = call.argument_type(2);
            call.refuse(format_args!("the amount must be a number, got {got}"));
        }
        call.encode(2);
        match View::new(call.buffer.read()).token().number() {
            Some(number) => by = number,
            None => {
                let got = call.argument_type(2);
                call.refuse(format_args!("the amount must be a number, got {got}"))
            }
        }
    }
    let exact_only = !lua.version().has_integers()
        && !call.context.has_ffi.get()
        && call.big_int() == BigInt::Error;
    let sum = call.work(|kv, _| match by {
        Number::Int(by) if exact_only => incr_exact(kv, key, by),
        by => Ok(kv.incr(key, by)?),
    });
    let fetched = match sum {
        Number::Int(integer) => Fetched::Int(integer),
        Number::Float(float) => Fetched::Float(float),
    };
    call.push_fetched(fetched);
    call.end(1)
}

/// As `Kv::incr`, for a Lua that could not be told an integer beyond 2^53:
/// fails before it writes one.
fn incr_exact(kv: &Kv, key: &[u8], by: i64) -> Result<Number, Error> {
    /// Sums up to here stay far from the limit, even if others add at the same
    /// time.
    const SAFE: u64 = EXACT >> 1;
    for _ in 0..ROUNDS {
        let seen = kv.get(key)?;
        let now = match &seen {
            None => 0,
            Some(value) => match value.view().token() {
                Token::Int(now) => now,
                // A float, or an error that `incr` words.
                _ => return Ok(kv.incr(key, Number::Int(by))?),
            },
        };
        let Some(sum) = now.checked_add(by).filter(|sum| sum.unsigned_abs() > SAFE) else {
            return Ok(kv.incr(key, Number::Int(by))?);
        };
        if sum.unsigned_abs() > EXACT {
            return Err(Error::invalid(Unpushable::Integer(sum).to_string()));
        }
        let mut bytes = Vec::with_capacity(9);
        put_int(&mut bytes, sum);
        if kv.replace(key, seen.as_ref(), Some(&bytes))? {
            return Ok(Number::Int(sum));
        }
    }
    Err(contended())
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
    if call.is_called_with_colon() {
        call.refuse("call with a dot, not a colon");
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
        // 5 bytes before each, and before all of them.
        let len = keys.iter().map(|key| key.len() + 5).sum::<usize>() + 5;
        out.try_reserve(len).map_err(|_| out_of_memory())?;
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
        let hint = call.colon_hint();
        call.refuse(format_args!("prefix must be a string, got {got}{hint}"));
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
        let hint = call.colon_hint();
        call.refuse(format_args!("the age must be a number of seconds, got {got}{hint}"));
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
