//! Version objects.

use std::ffi::c_int;

use super::ask::{Ask, wrong_object};
use super::home::{Home, Object};
use crate::entries::{EntryError, Registry, Version};
use crate::error::Error;
use crate::lua::buffer::out_of_memory;
use crate::lua::error_object::context_of;
use crate::lua::runtimes::{Entry, entry};
use crate::lua::state::Lua;
use crate::lua::userdata::{self, Held, Kind};
use crate::value::{put_int, put_nil, put_string};

/// A version as scripts hold it: what else is known about it is looked up when
/// they ask.
pub(in crate::lua) struct VersionObject {
    home: Home,
    id: u64,
}

impl Held for VersionObject {
    const KIND: Kind = Kind::Version;
}

impl Object for VersionObject {
    const NAME: &'static str = "version";

    fn home(&self) -> &Home {
        &self.home
    }
}

impl VersionObject {
    pub(super) fn new(home: Home, id: u64) -> Self {
        Self { home, id }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

pub(super) const METHODS: [(&str, &Entry); 7] = [
    ("id", entry!(id)),
    ("string", entry!(string)),
    ("previous", entry!(previous)),
    ("next", entry!(next)),
    ("time", entry!(time)),
    ("author", entry!(author)),
    ("message", entry!(message)),
];

pub(super) const METAMETHODS: [(&str, &Entry); 5] = [
    ("__tostring", entry!(to_string)),
    ("__eq", entry!(equals)),
    ("__lt", entry!(is_less)),
    ("__le", entry!(is_less_or_equal)),
    ("__close", entry!(userdata::finalize::<VersionObject>)),
];

/// `version:id()`.
fn id(lua: Lua) -> c_int {
    Ask::method::<VersionObject>(lua, 1, |ask| {
        ask.with(|this: &mut VersionObject, out| {
            put_int(out, this.id.cast_signed());
            Ok(())
        })?;
        ask.answer()
    })
}

/// `version:string()`: `v3`.
fn string(lua: Lua) -> c_int {
    show(lua, "v", "")
}

fn to_string(lua: Lua) -> c_int {
    show(lua, "registry.Version{v", "}")
}

fn show(lua: Lua, before: &'static str, behind: &'static str) -> c_int {
    use std::io::Write;
    Ask::method::<VersionObject>(lua, 1, |ask| {
        ask.with(|this: &mut VersionObject, out| {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{before}{}{behind}", this.id);
            Ok(())
        })?;
        lua.push_bytes(ask.buffer.read());
        Ok(1)
    })
}

/// `version:previous()`: its parent, or nil.
fn previous(lua: Lua) -> c_int {
    relative(lua, Registry::previous)
}

/// `version:next()`: its child on the way to the current version, else its
/// newest, or nil.
fn next(lua: Lua) -> c_int {
    relative(lua, Registry::next)
}

fn relative(lua: Lua, find: fn(&Registry, u64) -> Result<Option<u64>, EntryError>) -> c_int {
    Ask::method::<VersionObject>(lua, 1, |ask| {
        let object = ask.make();
        let is_there = ask.with(|this: &mut VersionObject, _| {
            let found = find(&this.home.registry, this.id)?;
            *object = found.map(|id| VersionObject::new(this.home.clone(), id));
            Ok(found.is_some())
        })?;
        if !is_there {
            lua.push_nil();
        }
        Ok(1)
    })
}

/// `version:time()`: seconds since the Unix epoch, or nil.
fn time(lua: Lua) -> c_int {
    look_up(lua, |version, out| {
        match version.time {
            Some(time) => put_int(out, time),
            None => put_nil(out),
        }
        Ok(())
    })
}

/// `version:author()`, or nil.
fn author(lua: Lua) -> c_int {
    look_up(lua, |version, out| text(version.author.as_deref(), out))
}

/// `version:message()`, or nil.
fn message(lua: Lua) -> c_int {
    look_up(lua, |version, out| text(version.message.as_deref(), out))
}

fn text(text: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Error> {
    match text {
        Some(text) => {
            out.try_reserve(text.len() + 5).map_err(|_| out_of_memory())?;
            put_string(out, text);
        }
        None => put_nil(out),
    }
    Ok(())
}

fn look_up(lua: Lua, write: fn(&Version, &mut Vec<u8>) -> Result<(), Error>) -> c_int {
    Ask::method::<VersionObject>(lua, 1, |ask| {
        ask.with(|this: &mut VersionObject, out| {
            write(&this.home.registry.version(this.id)?, out)
        })?;
        ask.answer()
    })
}

/// The two versions that a comparison is about.
fn sides(lua: Lua) -> Option<(&'static VersionObject, &'static VersionObject)> {
    let context = context_of(lua);
    let left = userdata::get::<VersionObject>(lua, context, 1);
    left.zip(userdata::get::<VersionObject>(lua, context, 2))
}

/// `==`: the same version of the same registry.
fn equals(lua: Lua) -> c_int {
    let is_equal = sides(lua).is_some_and(|(left, right)| {
        left.id == right.id && left.home.registry.address() == right.home.registry.address()
    });
    lua.push_bool(is_equal);
    1
}

/// `<`: by id.
fn is_less(lua: Lua) -> c_int {
    compare(lua, |left, right| left < right)
}

/// `<=`: by id.
fn is_less_or_equal(lua: Lua) -> c_int {
    compare(lua, |left, right| left <= right)
}

fn compare(lua: Lua, holds: fn(u64, u64) -> bool) -> c_int {
    match sides(lua) {
        Some((left, right)) => lua.push_bool(holds(left.id, right.id)),
        None => wrong_object::<VersionObject>(lua, context_of(lua)),
    }
    1
}
