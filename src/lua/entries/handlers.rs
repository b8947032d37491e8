//! Handlers of scripts: registering, answering, cancelling.

use std::ffi::c_int;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ask::Ask;
use super::home::{Home, Object};
use crate::entries::{Caller, Handler, Responder, Wants};
use crate::error::Error;
use crate::lua::context::{self, Place};
use crate::lua::runtimes::{Entry, entry};
use crate::lua::state::{Lua, TYPE_FUNCTION, TYPE_NUMBER};
use crate::lua::userdata::{self, Held, Kind};

/// A registered handler as scripts hold it. It stays registered when they let
/// go of this.
pub(in crate::lua) struct SubscriptionObject {
    home: Home,
    handler: Arc<Handler>,
    key: u64,
}

impl Held for SubscriptionObject {
    const KIND: Kind = Kind::Subscription;
}

impl Object for SubscriptionObject {
    const NAME: &'static str = "subscription";

    fn home(&self) -> &Home {
        &self.home
    }
}

pub(super) const METHODS: [(&str, &Entry); 1] = [("cancel", entry!(cancel))];

pub(super) const METAMETHODS: [(&str, &Entry); 2] =
    [("__tostring", entry!(to_string)), ("__close", entry!(close))];

/// `on(kind_pattern, fn [, {begin =, commit =, discard =, replay =}])`.
pub(super) fn on(lua: Lua) -> c_int {
    Ask::run(lua, 3, |ask| {
        if !lua.is_string(1) {
            return Err(ask.wrong_argument(1, "pattern of kinds", "a string"));
        }
        if lua.type_of(2) != TYPE_FUNCTION {
            return Err(ask.wrong_argument(2, "handler", "a function"));
        }
        let mut wants = Wants::default();
        // What is kept of it: its functions by what they are for.
        lua.create_table(0, 4);
        let functions = lua.top();
        lua.push_value(2);
        lua.raw_set_name(functions, "op");
        if !lua.is_none_or_nil(3) {
            if !lua.is_table(3) {
                return Err(ask.wrong_argument(3, "options", "a table"));
            }
            ask.check_fields(3, "options", &["begin", "commit", "discard", "replay"])?;
            for (name, wanted) in [
                ("begin", &mut wants.begin),
                ("commit", &mut wants.commit),
                ("discard", &mut wants.discard),
            ] {
                lua.raw_get_name(3, name);
                if lua.is_none_or_nil(-1) {
                    lua.pop(1);
                    continue;
                }
                if lua.type_of(-1) != TYPE_FUNCTION {
                    return Err(ask.wrong_argument(lua.top(), name, "a function"));
                }
                lua.raw_set_name(functions, name);
                *wanted = true;
            }
            wants.replay = ask.flag(3, "options", "replay")?;
        }
        let key = ask.context.new_handler_key();
        context::push_place(lua, Place::Handlers);
        let handlers = lua.top();
        lua.push_value(functions);
        lua.raw_set_index(handlers, key.cast_signed());
        ask.prepare();
        let object = ask.make();
        let place = lua.top();
        let context = ask.context;
        let registered = ask.with_home(|home, _| Ok(home.clone())).and_then(|home| {
            let pattern = lua.bytes(1);
            context.add_handler(key, home.clone());
            ask.with_lua(home, |home, _, caller, _| {
                let responder = Responder::Queued(Arc::clone(caller.queue()), key);
                let handler = home.registry.on(pattern, wants, responder, caller)?;
                *object = Some(SubscriptionObject { home: home.clone(), handler, key });
                Ok(())
            })
        });
        if registered.is_err() {
            forget(lua, ask.context, handlers, key);
        }
        registered?;
        lua.set_top(place);
        Ok(1)
    })
}

/// Lets go of a handler's functions. Neither raises nor allocates: the key is
/// there.
fn forget(lua: Lua, context: &context::Context, handlers: c_int, key: u64) {
    lua.push_nil();
    lua.raw_set_index(handlers, key.cast_signed());
    context.remove_handler(key);
}

/// `subscription:cancel()`: it is not asked any more. Again does nothing.
fn cancel(lua: Lua) -> c_int {
    Ask::method::<SubscriptionObject>(lua, 1, |ask| {
        context::push_place(lua, Place::Handlers);
        let handlers = lua.top();
        let context = ask.context;
        let key = ask.with(|this: &mut SubscriptionObject, _| {
            this.handler.cancel();
            Ok(this.key)
        })?;
        forget(lua, context, handlers, key);
        lua.push_bool(true);
        Ok(1)
    })
}

/// `__close`: cancels.
fn close(lua: Lua) -> c_int {
    lua.set_top(1);
    cancel(lua);
    0
}

fn to_string(lua: Lua) -> c_int {
    Ask::method::<SubscriptionObject>(lua, 1, |ask| {
        let is_there = userdata::get::<SubscriptionObject>(lua, ask.context, 1).is_some();
        lua.push_bytes(if is_there {
            b"registry.Subscription{}"
        } else {
            b"registry.Subscription{closed}"
        });
        Ok(1)
    })
}

/// `poll([seconds])`: answers what waits for this state; how many that was.
pub(super) fn poll(lua: Lua) -> c_int {
    Ask::run(lua, 1, |ask| {
        let deadline = ask.deadline(1)?;
        let may_wait = !lua.is_none_or_nil(1);
        ask.prepare();
        let home = ask.with_home(|home, _| {
            home.registry.check()?;
            Ok(home.clone())
        })?;
        let served = ask.with_lua(home, |_, _, caller, _| {
            loop {
                caller.serve();
                let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if caller.served() > 0 || !may_wait || is_late {
                    return Ok(caller.served());
                }
                caller.queue().wait(deadline);
            }
        })?;
        lua.push_integer(served.cast_signed());
        Ok(1)
    })
}

impl Ask {
    /// When the number of seconds at an argument has passed; `None` if it is
    /// absent.
    pub(super) fn deadline(&self, index: c_int) -> Result<Option<Instant>, Error> {
        /// A wait of a thousand years is as good as one without an end.
        const LONGEST: f64 = 1000.0 * 366.0 * 86_400.0;
        let lua = self.lua;
        if lua.is_none_or_nil(index) {
            return Ok(None);
        }
        let seconds = if lua.type_of(index) == TYPE_NUMBER { lua.number(index) } else { f64::NAN };
        if seconds.is_nan() || seconds < 0.0 {
            return Err(self.wrong_argument(index, "seconds", "a number of at least 0"));
        }
        Ok(Some(Instant::now() + Duration::from_secs_f64(seconds.min(LONGEST))))
    }
}
