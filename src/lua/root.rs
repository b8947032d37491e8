//! `acervo` itself.

use std::ffi::c_int;
use std::ptr;

use super::context::{self, Place};
use super::convert;
use super::database;
use super::error_object::{context_of, raise_text};
use super::modules;
use super::open::Module;
use super::runtimes::entry;
use super::state::{Lua, TYPE_TABLE};

/// Pushes the module's table.
pub(super) fn push(lua: Lua) {
    lua.create_table(0, 16);
    let root = lua.top();
    context::fill_table(
        lua,
        root,
        &[
            ("open", entry!(database::open)),
            ("default", entry!(database::default)),
            ("install", entry!(install)),
            ("array", entry!(array)),
            ("from_json", entry!(convert::from_json)),
            ("to_json", entry!(convert::to_json)),
            ("from_msgpack", entry!(convert::from_msgpack)),
            ("to_msgpack", entry!(convert::to_msgpack)),
        ],
    );
    lua.push_light(ptr::null());
    lua.raw_set_name(root, "null");
    modules::push(lua, Module::Errors);
    lua.raw_set_name(root, "errors");
    lua.push_bytes(b"acervo");
    lua.raw_set_name(root, "_NAME");
    lua.push_bytes(env!("CARGO_PKG_VERSION").as_bytes());
    lua.raw_set_name(root, "_VERSION");
}

/// `acervo.install()`.
fn install(lua: Lua) -> c_int {
    modules::install(lua);
    0
}

/// `acervo.array([table])`: marks a table, so that it is an array even when it
/// is empty.
fn array(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    if lua.is_none_or_nil(1) {
        lua.create_table(0, 0);
    } else if lua.type_of(1) != TYPE_TABLE {
        raise_text(lua, context, "acervo.array: a table is needed");
    } else if lua.get_metatable(1) {
        if lua.pointer(-1) != context.array_metatable.get() {
            raise_text(lua, context, "acervo.array: the table has a metatable of its own");
        }
        lua.pop(1);
    }
    let table = lua.top();
    context::push_place(lua, Place::ArrayMetatable);
    lua.set_metatable(table);
    1
}
