//! `update(key, fn)`: read, let a Lua function compute, write if nothing has
//! changed meanwhile, else again.

use std::ffi::c_int;

use crate::error::{Code, Error};
use crate::kv::Kv;
use crate::value::Value;

use super::call::{Call, Fetched, Found};
use super::guard::{discard, guard};
use super::part::closed;
use super::state::{Lua, TYPE_FUNCTION};
use super::userdata::{self, Held, Kind};

/// How often the function is run before giving up.
pub(super) const ROUNDS: u32 = 64;

/// What lives while the function runs: in a userdata, since it may leave by an
/// error.
pub(super) struct Update {
    kv: Kv,
    /// The value the function was given.
    seen: Option<Value>,
}

impl Held for Update {
    const KIND: Kind = Kind::Update;
}

/// `update(key, fn)`: the stored value.
pub(super) fn update(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "update", 2);
    call.writing();
    let key = call.key();
    if lua.type_of(2) != TYPE_FUNCTION {
        let got = call.argument_type(2);
        call.refuse(format_args!("a function is needed, got {got}"));
    }
    let held = userdata::push_empty::<Update>(lua, call.context);
    match call.kv() {
        Ok(kv) => *held = Some(Update { kv, seen: None }),
        Err(error) => call.fail(error),
    }
    let base = lua.top();
    for _ in 0..ROUNDS {
        run(&mut call, held, key);
        // The new value is on top of the stack; nil deletes.
        let deletes = lua.is_none_or_nil(base + 1);
        if !deletes {
            call.encode(base + 1);
        }
        match store(&mut call, held, key, deletes) {
            Ok(true) => {
                discard(held.take());
                let stored = if deletes { Fetched::Nil } else { Fetched::Buffered };
                call.push_fetched(stored);
                return call.end(1);
            }
            Ok(false) => lua.set_top(base),
            Err(error) => call.fail(error),
        }
    }
    call.fail(contended())
}

/// What is said when every round came too late.
pub(super) fn contended() -> Error {
    Error::new(Code::Conflict, format!("others changed the key in each of {ROUNDS} rounds"))
}

/// Reads the value and calls the function with it; leaves its result on the
/// stack and the buffer empty.
fn run(call: &mut Call, held: &mut Option<Update>, key: &[u8]) {
    let lua = call.lua;
    let base = lua.top();
    lua.push_value(2);
    let mut buffer = call.buffer;
    buffer.bytes().clear();
    let mut found = Found::NOTHING;
    let read = guard(|| {
        let Some(update) = held else { return Err(closed()) };
        update.seen = update.kv.get(key)?;
        let seen = update.seen.as_ref();
        Ok(seen.map(|value| found.set(value, buffer.bytes())).transpose()?.is_some())
    });
    match read {
        Ok(true) => {
            call.push_fetched(found.fetched);
            lua.push_integer(found.timestamp);
        }
        Ok(false) => {
            lua.push_nil();
            lua.push_nil();
        }
        Err(error) => call.fail(error),
    }
    let context = call.context;
    context.updating.set(true);
    // A protected call, so that the mark is taken back whatever happens; it
    // also keeps the function from yielding.
    let returned = lua.protected_call(2, 1);
    context.updating.set(false);
    if !returned {
        // The function's own error, as it is.
        call.buffer.release();
        lua.raise();
    }
    debug_assert_eq!(lua.top(), base + 1);
    call.buffer.bytes().clear();
}

fn store(call: &mut Call, held: &Option<Update>, key: &[u8], deletes: bool) -> Result<bool, Error> {
    let bytes = call.buffer.read();
    let Some(Update { kv, seen }) = held else { return Err(closed()) };
    guard(|| Ok(kv.replace(key, seen.as_ref(), (!deletes).then_some(bytes))?))
}
