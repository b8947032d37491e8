//! `acervo.entries`: the entry registry.
//!
//! Its functions and methods answer with a value, or with nil and an error
//! object ([`ask`]). Entries come from scripts as one run of bytes and go to
//! them as values ([`exchange`]). Handlers and policies of scripts are called
//! from the middle of Rust ([`protected`]).

mod access;
mod ask;
mod caller;
mod changes;
mod dependencies;
mod exchange;
mod feed;
mod functions;
mod handlers;
mod history;
mod home;
mod load;
mod protected;
mod snapshot;
mod version;

use super::context::{self, Context, Place};
use super::part::Source;
use super::runtimes::{Entry, entry, runtime_of};
use super::state::Lua;
use super::userdata::{self, Kind};

pub(super) use access::Seen;
pub(super) use changes::ChangesObject;
pub(super) use feed::FeedObject;
pub(super) use handlers::SubscriptionObject;
pub(super) use history::HistoryObject;
pub(super) use home::{EntriesObject, Home};
pub(super) use snapshot::SnapshotObject;
pub(super) use version::VersionObject;

const FUNCTIONS: [(&str, &Entry); 19] = [
    ("get", entry!(functions::get)),
    ("find", entry!(functions::find)),
    ("parse_id", entry!(functions::parse_id)),
    ("snapshot", entry!(functions::snapshot)),
    ("snapshot_at", entry!(functions::snapshot_at)),
    ("current_version", entry!(functions::current_version)),
    ("versions", entry!(functions::versions)),
    ("history", entry!(functions::history)),
    ("apply_version", entry!(functions::apply_version)),
    ("prune", entry!(functions::prune)),
    ("on", entry!(handlers::on)),
    ("poll", entry!(handlers::poll)),
    ("events", entry!(feed::events)),
    ("load_state", entry!(load::load_state)),
    ("set_policy", entry!(load::set_policy)),
    ("build_delta", entry!(dependencies::build_delta)),
    ("register_pattern", entry!(dependencies::register_pattern)),
    ("dependents", entry!(dependencies::dependents)),
    ("dependencies", entry!(dependencies::dependencies)),
];

/// Pushes the module's table. `make` runs when nothing can raise between it
/// and the place its result belongs to.
pub(super) fn push(lua: Lua, context: &'static Context, make: impl FnOnce() -> Source) {
    lua.create_table(0, FUNCTIONS.len() as u32);
    let table = lua.top();
    userdata::push(lua, context, || EntriesObject::new(make()));
    let runtime = runtime_of(lua);
    for (name, entry) in FUNCTIONS {
        lua.push_bytes(name.as_bytes());
        context::push_place(lua, Place::Context);
        lua.push_value(table + 1);
        lua.push_function(runtime.function(entry), 2);
        lua.raw_set(table);
    }
    lua.set_top(table);
}

/// Completes the metatables of the objects.
pub(super) fn fill_metatables(lua: Lua, context: &Context) {
    complete(lua, context, Kind::Snapshot, &snapshot::METHODS, &snapshot::METAMETHODS);
    complete(lua, context, Kind::Changes, &changes::METHODS, &changes::METAMETHODS);
    complete(lua, context, Kind::Version, &version::METHODS, &version::METAMETHODS);
    complete(lua, context, Kind::Subscription, &handlers::METHODS, &handlers::METAMETHODS);
    complete(lua, context, Kind::Feed, &feed::METHODS, &feed::METAMETHODS);
    complete(lua, context, Kind::History, &history::METHODS, &history::METAMETHODS);
}

/// Adds methods and metamethods; a metamethod `__close` where Lua has it.
fn complete(
    lua: Lua,
    context: &Context,
    kind: Kind,
    methods: &[(&str, &Entry)],
    metamethods: &[(&str, &Entry)],
) {
    let top = lua.top();
    context.push_metatable(lua, kind);
    lua.create_table(0, methods.len() as u32);
    context::fill_table(lua, top + 2, methods);
    lua.raw_set_name(top + 1, "__index");
    for method in metamethods {
        if method.0 != "__close" || lua.version().has_close() {
            context::fill_table(lua, top + 1, &[*method]);
        }
    }
    lua.set_top(top);
}
