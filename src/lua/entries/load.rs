//! Loading a state, and setting a policy: what a host decides where there is
//! one.

use std::ffi::c_int;

use super::access::APPLY_VERSION;
use super::ask::Ask;
use super::exchange::read_entries;
use super::version::VersionObject;
use crate::code::Code;
use crate::error::Error;
use crate::lua::context::{self, Place};
use crate::lua::state::{Lua, TYPE_FUNCTION};
use crate::value::View;

/// `load_state(baseline [, version])`: the version that is current then.
pub(super) fn load_state(lua: Lua) -> c_int {
    Ask::run(lua, 2, |ask| {
        ask.hosts_decision("load_state")?;
        ask.writing()?;
        let version = match lua.is_none_or_nil(2) {
            true => None,
            false => Some(ask.version(2, 0)?),
        };
        let limit = ask.with_home(|home, _| Ok(home.value_limit))?;
        ask.entries(1, "baseline", limit)?;
        ask.prepare();
        let object = ask.make();
        let home = ask.with_home(|home, _| Ok(home.clone()))?;
        ask.with_lua(home, |home, access, caller, bytes| {
            access.check(APPLY_VERSION)?;
            let baseline = read_entries(&mut View::new(bytes), "baseline")?;
            let version = version.map(|version| version.id_in(home)).transpose()?;
            let loaded = home.registry.load_state(&baseline, version, caller)?;
            *object = Some(VersionObject::new(home.clone(), loaded));
            Ok(())
        })?;
        Ok(1)
    })
}

/// `set_policy(fn)`: once per database and state.
pub(super) fn set_policy(lua: Lua) -> c_int {
    Ask::run(lua, 1, |ask| {
        ask.hosts_decision("set_policy")?;
        if lua.type_of(1) != TYPE_FUNCTION {
            return Err(ask.wrong_argument(1, "policy", "a function"));
        }
        context::push_place(lua, Place::Policies);
        let policies = lua.top();
        let registry = ask.with_home(|home, _| {
            home.registry.check()?;
            Ok(home.registry.address())
        })?;
        lua.raw_get_index(policies, registry as i64);
        if lua.type_of(-1) == TYPE_FUNCTION {
            return Err(Error::invalid("this state has a policy for the database already"));
        }
        lua.push_value(1);
        lua.raw_set_index(policies, registry as i64);
        ask.context.has_policies.set(true);
        lua.push_bool(true);
        Ok(1)
    })
}

impl Ask {
    /// Fails in a state that a host has attached.
    fn hosts_decision(&self, what: &str) -> Result<(), Error> {
        if self.context.host.borrow().is_none() {
            return Ok(());
        }
        let message = format!("{what}: the host has bound this state, and decides that");
        Err(Error::new(Code::PermissionDenied, message))
    }
}
