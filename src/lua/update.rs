//! `update(key, fn)`: read, let a Lua function compute, write if nothing has
//! changed meanwhile, else again.

use std::ffi::c_int;

use crate::error::{Code, Error};
use crate::kv::Kv;
use crate::value::Value;

use super::call::{Call, Fetched, fetch};
use super::guard::{discard, guard};
use super::part::closed;
use super::state::{Lua, TYPE_FUNCTION};
use super::userdata::{self, Held, Kind};

/// How often the function is run before giving up.
const ROUNDS: u32 = 64;

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
    let (mut call, key) = Call::begin(lua, "update", 2).writing().key();
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
        call = run(call, held, key);
        // The new value is on top of the stack; nil deletes.
        let deletes = lua.is_none_or_nil(base + 1);
        if !deletes {
            call = call.encode(base + 1);
        }
        match store(&mut call, held, key, deletes) {
            Ok(true) => {
                discard(held.take());
                let stored = if deletes { Fetched::Nil } else { Fetched::Buffered };
                return call.push_fetched(stored).end(1);
            }
            Ok(false) => lua.set_top(base),
            Err(error) => call.fail(error),
        }
    }
    call.fail(Error::new(
        Code::Conflict,
        format!("others changed the key in each of {ROUNDS} rounds"),
    ))
}

/// Reads the value and calls the function with it; leaves its result on the
/// stack and the buffer empty.
fn run(mut call: Call, held: &mut Option<Update>, key: &[u8]) -> Call {
    let lua = call.lua;
    let base = lua.top();
    lua.push_value(2);
    let found = {
        let mut buffer = call.buffer;
        buffer.bytes().clear();
        guard(|| {
            let Some(update) = held else { return Err(closed()) };
            update.seen = update.kv.get(key)?;
            Ok(update.seen.as_ref().map(|value| fetch(value, buffer.bytes())))
        })
    };
    match found {
        Ok(Some((fetched, timestamp))) => {
            call = call.push_fetched(fetched);
            lua.push_integer(timestamp);
        }
        Ok(None) => {
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
    call
}

fn store(call: &mut Call, held: &Option<Update>, key: &[u8], deletes: bool) -> Result<bool, Error> {
    let bytes = call.buffer.read();
    let Some(Update { kv, seen }) = held else { return Err(closed()) };
    guard(|| Ok(kv.replace(key, seen.as_ref(), (!deletes).then_some(bytes))?)).inspect_err(
        |error| {
            if error.code == Code::Panic {
                kv.poison();
            }
        },
    )
}
