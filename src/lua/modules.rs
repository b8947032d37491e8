//! The tables that `require` gives, one set per state.

use std::ffi::c_int;

use super::context::{self, Context, Place};
use super::open::Module;
use super::part::{Part, PartObject, Source};
use super::runtimes::{Entry, entry, runtime_of};
use super::state::Lua;
use super::userdata;
use super::{entries, errors_module, kv_functions as kv, root, update, walk};

/// What registry, store and the global keys can do.
const COMMON: [(&str, &Entry); 9] = [
    ("get", entry!(kv::get)),
    ("put", entry!(kv::put)),
    ("delete", entry!(kv::delete)),
    ("keys", entry!(kv::keys)),
    ("count", entry!(kv::count)),
    ("put_all", entry!(kv::put_all)),
    ("incr", entry!(kv::incr)),
    ("cas", entry!(kv::cas)),
    ("update", entry!(update::update)),
];

/// What registry and store can do, but not on all global keys at once.
const OF_A_NAMESPACE: [(&str, &Entry); 3] = [
    ("pairs", entry!(walk::pairs)),
    ("delete_prefix", entry!(kv::delete_prefix)),
    ("purge", entry!(kv::purge)),
];

/// What only the registry can do: the store has no need of it.
const OF_THE_REGISTRY: [(&str, &Entry); 1] = [("flush", entry!(kv::flush))];

/// What a name of the common functions gets behind it for the global keys.
const GLOBAL_SUFFIX: &str = "_global";

/// Pushes a module, made at the first call.
pub(super) fn push(lua: Lua, module: Module) -> c_int {
    let context = Context::of_state(lua);
    let place = match module {
        Module::Root | Module::Agent => Place::Root,
        Module::Registry => Place::Registry,
        Module::Store => Place::Store,
        Module::Errors => Place::Errors,
        Module::Entries => Place::Entries,
    };
    context::push_place(lua, place);
    if !lua.is_table(-1) {
        lua.pop(1);
        match place {
            Place::Registry => push_part(lua, context, || (Part::Registry, Source::Default)),
            Place::Store => push_part(lua, context, || (Part::Store, Source::Default)),
            Place::Errors => errors_module::push(lua),
            Place::Entries => entries::push(lua, context, || Source::Default),
            _ => root::push(lua),
        }
        lua.push_value(-1);
        context::set_place(lua, place);
    }
    if module == Module::Agent {
        install(lua);
    }
    1
}

/// Pushes the table of functions of a part. `make` runs when nothing can raise
/// between it and the place its result belongs to.
pub(super) fn push_part(lua: Lua, context: &'static Context, make: impl Fn() -> (Part, Source)) {
    lua.create_table(0, 24);
    let table = lua.top();
    let part = userdata::push(lua, context, || {
        let (part, source) = make();
        PartObject::new(context, part, source)
    });
    let is_registry = part.part == Part::Registry;
    let object = table + 1;
    add_functions(lua, table, object, &COMMON, "");
    add_functions(lua, table, object, &OF_A_NAMESPACE, "");
    if is_registry {
        add_functions(lua, table, object, &OF_THE_REGISTRY, "");
    } else {
        userdata::push(lua, context, || PartObject::new(context, Part::Global, make().1));
        add_functions(lua, table, table + 2, &COMMON, GLOBAL_SUFFIX);
    }
    lua.set_top(table);
}

/// Adds functions that work on the part at `object`.
fn add_functions(
    lua: Lua,
    table: c_int,
    object: c_int,
    functions: &[(&str, &Entry)],
    suffix: &str,
) {
    let runtime = runtime_of(lua);
    let mut name_bytes = [0_u8; 32];
    for (name, entry) in functions {
        let len = name.len() + suffix.len();
        name_bytes[..name.len()].copy_from_slice(name.as_bytes());
        name_bytes[name.len()..len].copy_from_slice(suffix.as_bytes());
        lua.push_bytes(&name_bytes[..len]);
        context::push_place(lua, Place::Context);
        lua.push_value(object);
        lua.push_bytes(b"EXEC_IDENT");
        lua.push_function(runtime.function(entry), 3);
        lua.raw_set(table);
    }
}

/// Puts `registry`, `store` and `errors` among the globals; has `require` find
/// `store`, and the entry registry as `registry`.
pub(super) fn install(lua: Lua) {
    let top = lua.top();
    lua.push_globals();
    for (module, name) in
        [(Module::Registry, "registry"), (Module::Store, "store"), (Module::Errors, "errors")]
    {
        push(lua, module);
        lua.raw_set_name(top + 1, name);
    }
    add_loader(lua, "store", entry!(load_store));
    add_loader(lua, "registry", entry!(load_entries));
    lua.set_top(top);
}

/// Makes all modules known to `require`, for a state whose host bound us.
pub(super) fn preload_all(lua: Lua) {
    for module in Module::ALL {
        let entry = match module {
            Module::Root => entry!(load_root),
            Module::Registry => entry!(load_registry),
            Module::Store => entry!(load_store),
            Module::Errors => entry!(load_errors),
            Module::Agent => entry!(load_agent),
            Module::Entries => entry!(load_entries),
        };
        add_loader(lua, module.name(), entry);
    }
}

/// `package.preload[name]`, where the state has the library `package`.
fn add_loader(lua: Lua, name: &str, entry: &Entry) {
    let top = lua.top();
    lua.raw_get_name(lua.registry_index(), "_LOADED");
    if lua.is_table(top + 1) {
        lua.raw_get_name(top + 1, "package");
        if lua.is_table(top + 2) {
            lua.raw_get_name(top + 2, "preload");
            if lua.is_table(top + 3) {
                lua.push_function(runtime_of(lua).function(entry), 0);
                lua.raw_set_name(top + 3, name);
            }
        }
    }
    lua.set_top(top);
}

fn load_root(lua: Lua) -> c_int {
    push(lua, Module::Root)
}

fn load_registry(lua: Lua) -> c_int {
    push(lua, Module::Registry)
}

fn load_store(lua: Lua) -> c_int {
    push(lua, Module::Store)
}

fn load_errors(lua: Lua) -> c_int {
    push(lua, Module::Errors)
}

fn load_entries(lua: Lua) -> c_int {
    push(lua, Module::Entries)
}

fn load_agent(lua: Lua) -> c_int {
    push(lua, Module::Agent)
}
