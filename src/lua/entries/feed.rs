//! Feed objects.

use std::ffi::c_int;
use std::sync::Arc;

use super::ask::Ask;
use super::home::{Home, Object};
use crate::entries::Feed;
use crate::error::Error;
use crate::lua::runtimes::{Entry, entry};
use crate::lua::state::{Lua, TYPE_NUMBER};
use crate::lua::userdata::{self, Held, Kind};
use crate::value::{Number, put_int};

/// Events that a feed holds unless told otherwise.
const CAPACITY: usize = 1024;
/// Most that it can be told to hold.
const LARGEST: i64 = 1 << 24;

/// A feed as scripts hold it; empty when it was closed.
pub(in crate::lua) struct FeedObject {
    home: Home,
    feed: Arc<Feed>,
}

impl Held for FeedObject {
    const KIND: Kind = Kind::Feed;
}

impl Object for FeedObject {
    const NAME: &'static str = "feed";

    fn home(&self) -> &Home {
        &self.home
    }
}

pub(super) const METHODS: [(&str, &Entry); 3] =
    [("next", entry!(next)), ("fd", entry!(fd)), ("close", entry!(close))];

pub(super) const METAMETHODS: [(&str, &Entry); 2] =
    [("__tostring", entry!(to_string)), ("__close", entry!(userdata::finalize::<FeedObject>))];

/// `events([{capacity =}])`.
pub(super) fn events(lua: Lua) -> c_int {
    Ask::run(lua, 1, |ask| {
        let mut capacity = CAPACITY;
        if !lua.is_none_or_nil(1) {
            if !lua.is_table(1) {
                return Err(ask.wrong_argument(1, "options", "a table"));
            }
            ask.check_fields(1, "options", &["capacity"])?;
            lua.raw_get_name(1, "capacity");
            if !lua.is_none_or_nil(-1) {
                let number = (lua.type_of(-1) == TYPE_NUMBER).then(|| lua.number(-1));
                let wanted = number.and_then(|number| Number::Float(number).as_int());
                match wanted.filter(|wanted| (1..=LARGEST).contains(wanted)) {
                    Some(wanted) => capacity = wanted as usize,
                    None => {
                        return Err(Error::invalid(format!(
                            "options.capacity must be an integer of 1 to {LARGEST}"
                        )));
                    }
                }
            }
            lua.pop(1);
        }
        let object = ask.make();
        ask.with_home(|home, _| {
            let feed = Arc::new(home.registry.events(capacity)?);
            *object = Some(FeedObject { home: home.clone(), feed });
            Ok(())
        })?;
        Ok(1)
    })
}

/// `feed:next([seconds])`: the next event that the actor may see.
fn next(lua: Lua) -> c_int {
    Ask::method::<FeedObject>(lua, 2, |ask| {
        let deadline = ask.deadline(2)?;
        ask.prepare();
        let (home, feed) =
            ask.with(|this: &mut FeedObject, _| Ok((this.home.clone(), Arc::clone(&this.feed))))?;
        ask.with_lua(home, |_, access, caller, out| {
            loop {
                let event = feed.next(caller, deadline)?;
                if event.op.as_ref().is_none_or(|op| access.allows_entry(&op.entry)) {
                    event.append_map(out);
                    return Ok(());
                }
            }
        })?;
        ask.answer()
    })
}

/// `feed:fd()`: a descriptor that can be polled for reading.
fn fd(lua: Lua) -> c_int {
    Ask::method::<FeedObject>(lua, 1, |ask| {
        ask.with(|this: &mut FeedObject, out| {
            put_int(out, this.feed.fd()?.into());
            Ok(())
        })?;
        ask.answer()
    })
}

/// `feed:close()`.
fn close(lua: Lua) -> c_int {
    Ask::method::<FeedObject>(lua, 1, |ask| {
        userdata::empty::<FeedObject>(lua, ask.context, 1);
        lua.push_bool(true);
        Ok(1)
    })
}

fn to_string(lua: Lua) -> c_int {
    Ask::method::<FeedObject>(lua, 1, |_| {
        lua.push_bytes(b"registry.Feed{}");
        Ok(1)
    })
}
