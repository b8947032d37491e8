//! Deltas, patterns, dependents and dependencies.

use std::ffi::c_int;

use super::ask::Ask;
use super::exchange::read_entries;
use crate::entries::{EntryError, Id, IdRef, Registry};
use crate::error::Error;
use crate::lua::buffer::{append, out_of_memory};
use crate::lua::state::Lua;
use crate::value::{View, put_array_header, put_string};

/// `build_delta(from, to)`: ordered operations.
pub(super) fn build_delta(lua: Lua) -> c_int {
    Ask::run(lua, 2, |ask| {
        let limit = ask.with_home(|home, _| Ok(home.value_limit))?;
        ask.entries(1, "from", limit)?;
        ask.entries(2, "to", limit)?;
        ask.with_home(|home, bytes| {
            let mut view = View::new(bytes);
            let (from, to) = (read_entries(&mut view, "from")?, read_entries(&mut view, "to")?);
            let ops = home.registry.build_delta(&from, &to)?;
            bytes.clear();
            append(bytes, Registry::value_of_ops(&ops).as_bytes())
        })?;
        ask.answer()
    })
}

/// `register_pattern{path =, allow_wildcard =}`.
pub(super) fn register_pattern(lua: Lua) -> c_int {
    Ask::run(lua, 1, |ask| {
        if !lua.is_table(1) || ask.is_called_with_colon() {
            return Err(ask.wrong_argument(1, "pattern", "a table of path and allow_wildcard"));
        }
        ask.check_fields(1, "pattern", &["path", "allow_wildcard"])?;
        let allow_wildcard = ask.flag(1, "pattern", "allow_wildcard")?;
        lua.raw_get_name(1, "path");
        if !lua.is_string(-1) {
            return Err(ask.wrong_argument(lua.top(), "pattern.path", "a string"));
        }
        let Ok(path) = std::str::from_utf8(lua.bytes(-1)) else {
            return Err(Error::invalid("pattern.path must be UTF-8"));
        };
        ask.with_home(|home, _| Ok(home.registry.register_pattern(path, allow_wildcard)?))?;
        lua.push_bool(true);
        Ok(1)
    })
}

/// `dependents(id [, {transitive = true}])`.
pub(super) fn dependents(lua: Lua) -> c_int {
    related(lua, Registry::dependents)
}

/// `dependencies(id [, {transitive = true}])`.
pub(super) fn dependencies(lua: Lua) -> c_int {
    related(lua, Registry::dependencies)
}

fn related(lua: Lua, find: fn(&Registry, IdRef<'_>, bool) -> Result<Vec<Id>, EntryError>) -> c_int {
    Ask::run(lua, 2, |ask| {
        let id = ask.id(1, "id")?;
        let mut transitive = false;
        if !lua.is_none_or_nil(2) {
            if !lua.is_table(2) {
                return Err(ask.wrong_argument(2, "options", "a table"));
            }
            ask.check_fields(2, "options", &["transitive"])?;
            transitive = ask.flag(2, "options", "transitive")?;
        }
        ask.prepare();
        let home = ask.with_home(|home, _| Ok(home.clone()))?;
        ask.with_lua(home, |home, access, _, out| {
            access.check_id(Id::new(id).text())?;
            let mut ids = find(&home.registry, id, transitive)?;
            ids.retain(|id| access.allows_id(id.text()));
            let len: usize = ids.iter().map(|id| id.text().len() + 5).sum();
            out.try_reserve(len + 5).map_err(|_| out_of_memory())?;
            put_array_header(out, ids.len().try_into().unwrap_or(u32::MAX));
            for id in &ids {
                put_string(out, id.text());
            }
            Ok(())
        })?;
        ask.answer()
    })
}
