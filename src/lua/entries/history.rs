//! History objects.

use std::ffi::c_int;

use super::ask::Ask;
use super::home::{Home, Object};
use super::snapshot::SnapshotObject;
use super::version::VersionObject;
use crate::error::Error;
use crate::lua::buffer::out_of_memory;
use crate::lua::part::closed;
use crate::lua::runtimes::{Entry, entry};
use crate::lua::state::Lua;
use crate::lua::userdata::{self, Held, Kind};
use crate::value::{put_array_header, put_int};

/// The history of a registry as scripts hold it.
pub(in crate::lua) struct HistoryObject {
    home: Home,
}

impl Held for HistoryObject {
    const KIND: Kind = Kind::History;
}

impl Object for HistoryObject {
    const NAME: &'static str = "history";

    fn home(&self) -> &Home {
        &self.home
    }
}

impl HistoryObject {
    pub(super) fn new(home: &Home) -> Self {
        Self { home: home.clone() }
    }
}

pub(super) const METHODS: [(&str, &Entry); 3] = [
    ("versions", entry!(versions)),
    ("get_version", entry!(get_version)),
    ("snapshot_at", entry!(snapshot_at)),
];

pub(super) const METAMETHODS: [(&str, &Entry); 2] =
    [("__tostring", entry!(to_string)), ("__close", entry!(userdata::finalize::<HistoryObject>))];

/// `history:versions()`.
fn versions(lua: Lua) -> c_int {
    Ask::method::<HistoryObject>(lua, 1, |ask| {
        ask.with(|this: &mut HistoryObject, out| write_versions(&this.home, out))?;
        ask.answer_versions(|ask| {
            let this = userdata::get::<HistoryObject>(lua, ask.context, 1).ok_or_else(closed)?;
            Ok(this.home.clone())
        })
    })
}

/// Appends the ids of all versions: an array of integers.
pub(super) fn write_versions(home: &Home, out: &mut Vec<u8>) -> Result<(), Error> {
    let versions = home.registry.versions()?;
    out.try_reserve(versions.len() * 9 + 5).map_err(|_| out_of_memory())?;
    put_array_header(out, versions.len().try_into().unwrap_or(u32::MAX));
    for version in versions {
        put_int(out, version.id.cast_signed());
    }
    Ok(())
}

/// `history:get_version(id)`.
fn get_version(lua: Lua) -> c_int {
    Ask::method::<HistoryObject>(lua, 2, |ask| {
        let version = ask.version(2, 0)?;
        let object = ask.make();
        ask.with(|this: &mut HistoryObject, _| {
            let id = version.id_in(&this.home)?;
            this.home.registry.version(id)?;
            *object = Some(VersionObject::new(this.home.clone(), id));
            Ok(())
        })?;
        Ok(1)
    })
}

/// `history:snapshot_at(version)`: of the root too.
fn snapshot_at(lua: Lua) -> c_int {
    Ask::method::<HistoryObject>(lua, 2, |ask| {
        let version = ask.version(2, 0)?;
        let object = ask.make();
        ask.with(|this: &mut HistoryObject, _| {
            let id = version.id_in(&this.home)?;
            let snapshot = this.home.registry.snapshot_at(id)?;
            *object = Some(SnapshotObject::new(&this.home, snapshot));
            Ok(())
        })?;
        Ok(1)
    })
}

fn to_string(lua: Lua) -> c_int {
    Ask::method::<HistoryObject>(lua, 1, |_| {
        lua.push_bytes(b"registry.History{}");
        Ok(1)
    })
}
