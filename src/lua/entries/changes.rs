//! Changes objects.

use std::ffi::c_int;

use super::access::APPLY;
use super::ask::Ask;
use super::exchange::read_entry;
use super::home::{Home, Object};
use super::version::VersionObject;
use crate::entries::{self, ApplyOptions, Changes, EntryError, Op, Registry};
use crate::error::Error;
use crate::lua::buffer::append;
use crate::lua::error_object::context_of;
use crate::lua::runtimes::{Entry, entry};
use crate::lua::state::Lua;
use crate::lua::userdata::{self, Held, Kind};
use crate::value::View;

/// Changes as scripts hold them.
pub(in crate::lua) struct ChangesObject {
    home: Home,
    /// Not there while they are applied: handlers may come by here.
    changes: Option<Changes>,
}

impl Held for ChangesObject {
    const KIND: Kind = Kind::Changes;
}

impl Object for ChangesObject {
    const NAME: &'static str = "changes object";

    fn home(&self) -> &Home {
        &self.home
    }
}

impl ChangesObject {
    pub(super) fn new(home: &Home, changes: Changes) -> Self {
        Self { home: home.clone(), changes: Some(changes) }
    }

    /// The changes, unless they are being applied.
    fn get(&mut self) -> Result<&mut Changes, Error> {
        self.changes.as_mut().ok_or_else(busy)
    }
}

pub(super) const METHODS: [(&str, &Entry); 5] = [
    ("create", entry!(create)),
    ("update", entry!(update)),
    ("delete", entry!(delete)),
    ("ops", entry!(ops)),
    ("apply", entry!(apply)),
];

pub(super) const METAMETHODS: [(&str, &Entry); 2] =
    [("__tostring", entry!(to_string)), ("__close", entry!(userdata::finalize::<ChangesObject>))];

/// `changes:create(entry)`.
fn create(lua: Lua) -> c_int {
    queue(lua, Changes::create)
}

/// `changes:update(entry)`.
fn update(lua: Lua) -> c_int {
    queue(lua, Changes::update)
}

fn queue(lua: Lua, queue: fn(&mut Changes, entries::Entry) -> Result<(), EntryError>) -> c_int {
    Ask::method::<ChangesObject>(lua, 2, |ask| {
        let limit = ask.with(|this: &mut ChangesObject, _| Ok(this.home.value_limit))?;
        ask.entry(2, limit)?;
        ask.with(|this: &mut ChangesObject, entry| {
            Ok(queue(this.get()?, read_entry(&mut View::new(entry))?)?)
        })?;
        lua.push_value(1);
        Ok(1)
    })
}

/// `changes:delete(id)`.
fn delete(lua: Lua) -> c_int {
    Ask::method::<ChangesObject>(lua, 2, |ask| {
        let id = ask.id(2, "id")?;
        ask.with(|this: &mut ChangesObject, _| Ok(this.get()?.delete(id)?))?;
        lua.push_value(1);
        Ok(1)
    })
}

/// `changes:ops()`.
fn ops(lua: Lua) -> c_int {
    Ask::method::<ChangesObject>(lua, 1, |ask| {
        ask.with(|this: &mut ChangesObject, out| {
            this.get()?.append_ops(out);
            Ok(())
        })?;
        ask.answer()
    })
}

/// `changes:apply([{base =, author =, message =, dry_run =}])`: the version
/// that was made; after a dry run the ordered operations.
fn apply(lua: Lua) -> c_int {
    Ask::method::<ChangesObject>(lua, 2, |ask| {
        ask.writing()?;
        ask.options(2)?;
        ask.prepare();
        let version = ask.make();
        let (home, mut changes) = ask.with(|this: &mut ChangesObject, _| {
            Ok((this.home.clone(), this.changes.take().ok_or_else(busy)?))
        })?;
        let applied = ask.with_lua(home, |home, access, caller, bytes| {
            let options = options_of(bytes)?;
            if !changes.queued().is_empty() {
                access.check(APPLY)?;
            }
            let applied = changes.apply_with(&options, caller)?;
            if options.dry_run {
                let access = caller.access(home);
                let seen = applied.ops.iter().filter(|op| access.allows_entry(&op.entry));
                let seen: Vec<Op> = seen.cloned().collect();
                bytes.clear();
                append(bytes, Registry::value_of_ops(&seen).as_bytes())?;
            } else {
                *version = Some(VersionObject::new(home.clone(), applied.version));
            }
            Ok(options.dry_run)
        });
        // They may have been closed meanwhile.
        let _ = ask.with(|this: &mut ChangesObject, _| {
            this.changes = Some(changes);
            Ok(())
        });
        if applied? { ask.answer() } else { Ok(1) }
    })
}

fn busy() -> Error {
    Error::invalid("these changes are being applied")
}

fn options_of(bytes: &[u8]) -> Result<ApplyOptions, Error> {
    let mut options = ApplyOptions::default();
    options.set_all(View::new(bytes))?;
    Ok(options)
}

fn to_string(lua: Lua) -> c_int {
    use std::io::Write;
    Ask::method::<ChangesObject>(lua, 1, |ask| {
        let out = ask.buffer.bytes();
        // Writing to a Vec cannot fail.
        let _ = match userdata::get::<ChangesObject>(lua, context_of(lua), 1) {
            Some(this) => {
                let queued = this.changes.as_ref().map_or(0, |changes| changes.queued().len());
                write!(out, "registry.Changes{{ops={queued}}}")
            }
            None => write!(out, "registry.Changes{{closed}}"),
        };
        lua.push_bytes(ask.buffer.read());
        Ok(1)
    })
}
