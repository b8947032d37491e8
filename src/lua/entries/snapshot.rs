//! Snapshot objects.

use std::ffi::c_int;

use super::access::Access;
use super::ask::Ask;
use super::changes::ChangesObject;
use super::exchange::{append_entry, write_entries};
use super::home::{Home, Object};
use super::version::VersionObject;
use crate::entries::{EntryError, Found, Id, IdRef, Snapshot};
use crate::error::Error;
use crate::lua::error_object::context_of;
use crate::lua::runtimes::{Entry, entry};
use crate::lua::state::Lua;
use crate::lua::userdata::{self, Held, Kind};
use crate::value::{Token, View};

/// A snapshot as scripts hold it; empty when it was closed.
pub(in crate::lua) struct SnapshotObject {
    home: Home,
    snapshot: Snapshot,
}

impl Held for SnapshotObject {
    const KIND: Kind = Kind::Snapshot;
}

impl Object for SnapshotObject {
    const NAME: &'static str = "snapshot";

    fn home(&self) -> &Home {
        &self.home
    }
}

impl SnapshotObject {
    pub(super) fn new(home: &Home, snapshot: Snapshot) -> Self {
        Self { home: home.clone(), snapshot }
    }
}

pub(super) const METHODS: [(&str, &Entry); 7] = [
    ("entries", entry!(entries)),
    ("get", entry!(get)),
    ("find", entry!(find)),
    ("namespace", entry!(namespace)),
    ("version", entry!(version)),
    ("changes", entry!(changes)),
    ("close", entry!(close)),
];

pub(super) const METAMETHODS: [(&str, &Entry); 2] =
    [("__tostring", entry!(to_string)), ("__close", entry!(userdata::finalize::<SnapshotObject>))];

/// The snapshot at the first argument.
fn held(ask: &mut Ask) -> Result<(Home, Snapshot), Error> {
    ask.with(|this: &mut SnapshotObject, _| Ok((this.home.clone(), this.snapshot.clone())))
}

/// `snap:entries()`.
fn entries(lua: Lua) -> c_int {
    Ask::method::<SnapshotObject>(lua, 1, |ask| {
        ask.read(held, |snapshot, access, out| write_found(out, &snapshot.entries(), access))?;
        ask.answer()
    })
}

/// `snap:get(id)`.
fn get(lua: Lua) -> c_int {
    Ask::method::<SnapshotObject>(lua, 2, |ask| {
        let id = ask.id(2, "id")?;
        ask.read(held, |snapshot, access, out| append_from(snapshot, id, access, out))?;
        ask.answer()
    })
}

/// Appends the entry with this id.
pub(super) fn append_from(
    snapshot: &Snapshot,
    id: IdRef<'_>,
    access: &Access<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    if !matches!(access, Access::Open) {
        access.check_id(Id::new(id).text())?;
    }
    match snapshot.get(id) {
        Some(entry) => append_entry(out, entry),
        None => Err(EntryError::NoEntry { id: id.to_string() }.into()),
    }
}

/// `snap:find(filter [, {limit =, offset =}])`.
fn find(lua: Lua) -> c_int {
    Ask::method::<SnapshotObject>(lua, 3, |ask| {
        ask.filter(2)?;
        let options = ask.options(3)?;
        ask.read(held, |snapshot, access, out| find_in(snapshot, options, access, out))?;
        ask.answer()
    })
}

/// Replaces the filter in `out`, with the options behind it, by what it finds
/// of what the actor may see.
pub(super) fn find_in(
    snapshot: &Snapshot,
    options: usize,
    access: &Access<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let (filter, options) = out.split_at(options);
    let options = (!matches!(View::new(options).token(), Token::Nil)).then_some(options);
    let found = match access {
        Access::Open => snapshot.find(filter, options)?,
        _ => snapshot.find_allowed(filter, options, &|entry| access.allows_entry(entry))?,
    };
    write_entries(out, found.len(), found.iter())
}

/// `snap:namespace(ns)`.
fn namespace(lua: Lua) -> c_int {
    Ask::method::<SnapshotObject>(lua, 2, |ask| {
        if !lua.is_string(2) {
            return Err(ask.wrong_argument(2, "ns", "a string"));
        }
        let ns = lua.bytes(2);
        ask.read(held, |snapshot, access, out| write_found(out, &snapshot.namespace(ns), access))?;
        ask.answer()
    })
}

/// Writes those of the entries that the actor may see.
fn write_found(out: &mut Vec<u8>, found: &Found, access: &Access<'_>) -> Result<(), Error> {
    if let Access::Open = access {
        return write_entries(out, found.len(), found.iter());
    }
    let seen: Vec<_> = found.iter().filter(|entry| access.allows_entry(entry)).collect();
    write_entries(out, seen.len(), seen.into_iter())
}

/// `snap:version()`.
fn version(lua: Lua) -> c_int {
    Ask::method::<SnapshotObject>(lua, 1, |ask| {
        let object = ask.make();
        ask.with(|this: &mut SnapshotObject, _| {
            *object = Some(VersionObject::new(this.home.clone(), this.snapshot.version()));
            Ok(())
        })?;
        Ok(1)
    })
}

/// `snap:changes()`.
fn changes(lua: Lua) -> c_int {
    Ask::method::<SnapshotObject>(lua, 1, |ask| {
        let object = ask.make();
        ask.with(|this: &mut SnapshotObject, _| {
            *object = Some(ChangesObject::new(&this.home, this.snapshot.changes()));
            Ok(())
        })?;
        Ok(1)
    })
}

/// `snap:close()`: gives the memory back now; closing again does nothing.
fn close(lua: Lua) -> c_int {
    Ask::method::<SnapshotObject>(lua, 1, |ask| {
        userdata::empty::<SnapshotObject>(lua, ask.context, 1);
        lua.push_bool(true);
        Ok(1)
    })
}

fn to_string(lua: Lua) -> c_int {
    use std::io::Write;
    Ask::method::<SnapshotObject>(lua, 1, |ask| {
        let out = ask.buffer.bytes();
        // Writing to a Vec cannot fail.
        let _ = match userdata::get::<SnapshotObject>(lua, context_of(lua), 1) {
            Some(this) => write!(out, "registry.Snapshot{{version=v{}}}", this.snapshot.version()),
            None => write!(out, "registry.Snapshot{{closed}}"),
        };
        lua.push_bytes(ask.buffer.read());
        Ok(1)
    })
}
