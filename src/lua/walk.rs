//! `pairs([prefix])`: keys as they were at the call, each looked up when its
//! turn comes.

use std::ffi::c_int;

use crate::error::Error;
use crate::kv::Kv;

use super::call::{Call, fetch};
use super::context::{self, Place};
use super::part::closed;
use super::runtimes::{entry, runtime_of};
use super::state::Lua;
use super::userdata::{self, Held, Kind};

/// A walk under way.
pub(super) struct Walk {
    kv: Kv,
    keys: Vec<Box<[u8]>>,
    next: usize,
}

impl Held for Walk {
    const KIND: Kind = Kind::Walk;
}

/// `pairs([prefix])`: an iterator of key, value, timestamp.
pub(super) fn pairs(lua: Lua) -> c_int {
    let (mut call, prefix) = Call::begin(lua, "pairs", 1).prefix();
    // The function's upvalues: those of a part's function, and the walk.
    context::push_place(lua, Place::Context);
    lua.push_value(lua.upvalue(2));
    lua.push_value(lua.upvalue(3));
    let held = userdata::push_empty::<Walk>(lua, call.context);
    let started = call.kv().and_then(|kv| {
        super::guard::guard(|| {
            let keys = kv.keys(prefix)?;
            Ok(Walk { kv, keys, next: 0 })
        })
    });
    match started {
        Ok(walk) => *held = Some(walk),
        Err(error) => call.fail(error),
    }
    lua.push_function(runtime_of(lua).function(entry!(step)), 4);
    call.end(1)
}

fn step(lua: Lua) -> c_int {
    let call = Call::begin(lua, "pairs", 0);
    let Some(walk) = userdata::upvalue::<Walk>(lua, 4) else { call.fail(closed()) };
    let mut buffer = call.buffer;
    let found = super::guard::guard(|| find_next(walk, buffer.bytes()));
    match found {
        Ok(Some((at, fetched, timestamp))) => {
            // The keys stay where they are until the walk is collected.
            lua.push_bytes(&walk.keys[at]);
            let call = call.push_fetched(fetched);
            lua.push_integer(timestamp);
            call.end(3)
        }
        Ok(None) => {
            lua.push_nil();
            call.end(1)
        }
        Err(error) => call.fail(error),
    }
}

type Found = (usize, super::call::Fetched, i64);

/// The next key that is still there.
fn find_next(walk: &mut Walk, out: &mut Vec<u8>) -> Result<Option<Found>, Error> {
    while let Some(key) = walk.keys.get(walk.next) {
        let at = walk.next;
        walk.next += 1;
        if let Some((fetched, timestamp)) = walk.kv.read(key, |value| fetch(value, out))? {
            return Ok(Some((at, fetched, timestamp)));
        }
    }
    Ok(None)
}
