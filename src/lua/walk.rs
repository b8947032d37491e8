//! `pairs([prefix])`: keys as they were at the call, each looked up when its
//! turn comes.

use std::ffi::c_int;

use crate::kv;

use super::call::{Call, Found};
use super::context::{self, Place};
use super::guard::guard;
use super::part::closed;
use super::runtimes::{entry, runtime_of};
use super::state::Lua;
use super::userdata::{self, Held, Kind};

/// A walk under way.
pub(super) struct Walk(kv::Walk);

impl Held for Walk {
    const KIND: Kind = Kind::Walk;
}

/// Where the walk is among the upvalues of [`step`].
const WALK_UPVALUE: c_int = 4;

/// `pairs([prefix])`: an iterator of key, value, timestamp.
pub(super) fn pairs(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "pairs", 1);
    let prefix = call.prefix();
    // The upvalues of `step`: those of any function of a part, and the walk.
    context::push_place(lua, Place::Context);
    lua.push_value(lua.upvalue(2));
    lua.push_value(lua.upvalue(3));
    let held = userdata::push_empty::<Walk>(lua, call.context);
    match call.kv().and_then(|kv| guard(|| Ok(kv.walk(prefix)?))) {
        Ok(walk) => *held = Some(Walk(walk)),
        Err(error) => call.fail(error),
    }
    lua.push_function(runtime_of(lua).function(entry!(step)), WALK_UPVALUE);
    call.end(1)
}

/// The iterator: the next pair that is still there.
fn step(lua: Lua) -> c_int {
    let mut call = Call::begin(lua, "pairs", 0);
    let Some(Walk(walk)) = userdata::upvalue::<Walk>(lua, WALK_UPVALUE) else {
        call.fail(closed())
    };
    // The key goes into the buffer before the value: a finalizer that runs
    // while they are pushed may take the walk further.
    let mut buffer = call.buffer;
    let mut found = Found::NOTHING;
    let next = guard(|| {
        let Some((key, value)) = walk.next().transpose()? else { return Ok(None) };
        buffer.append(&key)?;
        found.set(&value, buffer.bytes())?;
        Ok(Some(key.len()))
    });
    match next {
        Ok(Some(key_len)) => {
            lua.push_bytes(&buffer.read()[..key_len]);
            call.push_fetched_behind(found.fetched, key_len);
            lua.push_integer(found.timestamp);
            call.end(3)
        }
        Ok(None) => {
            lua.push_nil();
            call.end(1)
        }
        Err(error) => call.fail(error),
    }
}
