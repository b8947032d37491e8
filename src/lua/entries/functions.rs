//! The functions of the module, except those about dependencies.

use std::ffi::c_int;

use super::access::APPLY_VERSION;
use super::ask::Ask;
use super::history::{HistoryObject, write_versions};
use super::home::Home;
use super::snapshot::{SnapshotObject, append_from, find_in};
use super::version::VersionObject;
use crate::entries::Snapshot;
use crate::error::Error;
use crate::lua::state::Lua;

/// The registry as it is now.
fn current(ask: &mut Ask) -> Result<(Home, Snapshot), Error> {
    ask.with_home(|home, _| Ok((home.clone(), home.registry.snapshot()?)))
}

/// `get(id)`.
pub(super) fn get(lua: Lua) -> c_int {
    Ask::run(lua, 1, |ask| {
        let id = ask.id(1, "id")?;
        ask.read(current, |snapshot, access, out| append_from(snapshot, id, access, out))?;
        ask.answer()
    })
}

/// `find(filter [, {limit =, offset =}])`.
pub(super) fn find(lua: Lua) -> c_int {
    Ask::run(lua, 2, |ask| {
        ask.filter(1)?;
        let options = ask.options(2)?;
        ask.read(current, |snapshot, access, out| find_in(snapshot, options, access, out))?;
        ask.answer()
    })
}

/// `parse_id(id)`: a table of `ns` and `name`.
pub(super) fn parse_id(lua: Lua) -> c_int {
    Ask::run(lua, 1, |ask| {
        let id = ask.id(1, "id")?;
        lua.create_table(0, 2);
        let table = lua.top();
        lua.push_bytes(id.ns);
        lua.raw_set_name(table, "ns");
        lua.push_bytes(id.name);
        lua.raw_set_name(table, "name");
        Ok(1)
    })
}

/// `snapshot()`.
pub(super) fn snapshot(lua: Lua) -> c_int {
    Ask::run(lua, 0, |ask| {
        let object = ask.make();
        ask.with_home(|home, _| {
            *object = Some(SnapshotObject::new(home, home.registry.snapshot()?));
            Ok(())
        })?;
        Ok(1)
    })
}

/// `snapshot_at(version)`: not of the root.
pub(super) fn snapshot_at(lua: Lua) -> c_int {
    Ask::run(lua, 1, |ask| {
        let version = ask.version(1, 1)?;
        let object = ask.make();
        ask.with_home(|home, _| {
            *object =
                Some(SnapshotObject::new(home, home.registry.snapshot_at(version.id_in(home)?)?));
            Ok(())
        })?;
        Ok(1)
    })
}

/// `current_version()`.
pub(super) fn current_version(lua: Lua) -> c_int {
    Ask::run(lua, 0, |ask| {
        let object = ask.make();
        ask.with_home(|home, _| {
            let id = home.registry.current_version()?;
            *object = Some(VersionObject::new(home.clone(), id));
            Ok(())
        })?;
        Ok(1)
    })
}

/// `versions()`.
pub(super) fn versions(lua: Lua) -> c_int {
    Ask::run(lua, 0, |ask| {
        ask.with_home(write_versions)?;
        ask.answer_versions(|ask| ask.with_home(|home, _| Ok(home.clone())))
    })
}

/// `history()`.
pub(super) fn history(lua: Lua) -> c_int {
    Ask::run(lua, 0, |ask| {
        let object = ask.make();
        ask.with_home(|home, _| {
            home.registry.check()?;
            *object = Some(HistoryObject::new(home));
            Ok(())
        })?;
        Ok(1)
    })
}

/// `apply_version(version)`.
pub(super) fn apply_version(lua: Lua) -> c_int {
    Ask::run(lua, 1, |ask| {
        ask.writing()?;
        let version = ask.version(1, 0)?;
        ask.prepare();
        let home = ask.with_home(|home, _| Ok(home.clone()))?;
        ask.with_lua(home, |home, access, caller, _| {
            access.check(APPLY_VERSION)?;
            Ok(home.registry.apply_version_as(version.id_in(home)?, caller)?)
        })?;
        lua.push_bool(true);
        Ok(1)
    })
}

/// `prune(version)`.
pub(super) fn prune(lua: Lua) -> c_int {
    Ask::run(lua, 1, |ask| {
        ask.writing()?;
        let version = ask.version(1, 0)?;
        ask.prepare();
        let home = ask.with_home(|home, _| Ok(home.clone()))?;
        ask.with_lua(home, |home, access, _, _| {
            access.check(APPLY_VERSION)?;
            Ok(home.registry.prune(version.id_in(home)?)?)
        })?;
        lua.push_bool(true);
        Ok(1)
    })
}
