//! Database objects, and opening them.

use std::ffi::c_int;
use std::sync::Arc;

use crate::database::{Database, Options};
use crate::error::{Code, Error};
use crate::value::{Token, View};

use super::buffer::Buffer;
use super::context::{self, Context, Place};
use super::convert;
use super::decode;
use super::encode::{self, Limits};
use super::entries;
use super::error_object::{ErrorSlot, context_of, raise_text};
use super::guard::guard;
use super::handle::{BigInt, Handle, Owner};
use super::modules::push_part;
use super::part::{Part, Source, closed};
use super::runtimes::{Entry, entry};
use super::state::{Lua, TYPE_STRING, TYPE_TABLE};
use super::userdata::{self, Held, Kind};

/// A database as scripts hold it.
pub(super) struct DatabaseObject(pub(super) Arc<Handle>);

impl Held for DatabaseObject {
    const KIND: Kind = Kind::Database;
}

const METHODS: [(&str, &Entry); 10] = [
    ("from_json", entry!(convert::database_from_json)),
    ("to_json", entry!(convert::database_to_json)),
    ("from_msgpack", entry!(convert::database_from_msgpack)),
    ("to_msgpack", entry!(convert::database_to_msgpack)),
    ("flush", entry!(flush)),
    ("close", entry!(close)),
    ("stats", entry!(stats)),
    ("check", entry!(check)),
    ("backup", entry!(backup)),
    ("namespace", entry!(namespace)),
];

/// Completes the metatable.
pub(super) fn fill_metatable(lua: Lua, context: &Context) {
    let top = lua.top();
    context.push_metatable(lua, Kind::Database);
    let metatable = top + 1;
    // The upvalues of `index`: context, methods.
    context::push_place(lua, Place::Context);
    lua.create_table(0, METHODS.len() as u32);
    context::fill_table(lua, top + 3, &METHODS);
    lua.push_function(super::runtimes::runtime_of(lua).function(entry!(index)), 2);
    lua.raw_set_name(metatable, "__index");
    context::fill_table(lua, metatable, &[("__tostring", entry!(to_string))]);
    if lua.version().has_close() {
        context::fill_table(lua, metatable, &[("__close", entry!(close_at_end))]);
    }
    // The parts of a database, made when first asked for, live as long as its
    // object.
    lua.create_table(0, 0);
    let parts = lua.top();
    lua.create_table(0, 1);
    lua.push_bytes(b"k");
    lua.raw_set_name(parts + 1, "__mode");
    lua.set_metatable(parts);
    context::set_place(lua, Place::Parts);
    lua.set_top(top);
}

/// No path and no option comes near.
const LARGEST_OPTIONS: usize = 1 << 20;

/// `acervo.open(path | {path =, ...options})`.
pub(super) fn open(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    let slot = ErrorSlot::push(lua, context);
    if !matches!(lua.type_of(1), TYPE_STRING | TYPE_TABLE) {
        let got = lua.type_name(1);
        let message = format!("a path or a table of options is needed, got {got}");
        return slot.fail(lua, Error::invalid(message));
    }
    let object = userdata::push_empty::<DatabaseObject>(lua, context);
    let object_index = lua.top();
    let mut buffer = Buffer::take(lua, context);
    let limits = Limits { root: "options", ..Limits::of_value(LARGEST_OPTIONS) };
    let result = match encode::encode(lua, context, 1, buffer.bytes(), limits) {
        Ok(()) => guard(|| open_with(buffer.read(), context)),
        Err(refused) => Err(refused.error(buffer.read())),
    };
    buffer.release();
    match result {
        Ok(handle) => {
            *object = Some(DatabaseObject(Arc::new(handle)));
            lua.push_value(object_index);
            1
        }
        Err(error) => slot.fail(lua, error),
    }
}

/// Opens what the encoded argument of `acervo.open` names.
fn open_with(argument: &[u8], context: &Context) -> Result<Handle, Error> {
    let mut view = View::new(argument);
    let mut options = Options::default();
    let (mut path, mut ident, mut actor) = (None, None, None);
    let mut big_int = BigInt::default();
    match view.token() {
        Token::String(whole) => path = Some(whole),
        Token::Map(pairs) => {
            for _ in 0..pairs {
                let Token::String(name) = view.token() else {
                    return Err(Error::invalid("option names must be strings"));
                };
                let value = View::new(view.skip());
                match name {
                    b"path" => path = Some(text("path", value)?),
                    b"ident" => ident = Some(text("ident", value)?),
                    b"actor" => actor = Some(text("actor", value)?),
                    b"big_int" => big_int = big_int_of(text("big_int", value)?)?,
                    name => options.set(&String::from_utf8_lossy(name), value)?,
                }
            }
        }
        _ => return Err(Error::invalid("a path or a table of options is needed")),
    }
    let path = path.ok_or_else(|| Error::invalid("option path is missing"))?;
    if context.host.borrow().is_some() {
        for (name, given) in [("ident", ident), ("actor", actor)] {
            if given.is_some() {
                return Err(Error::new(
                    Code::PermissionDenied,
                    format!("option {name}: the host has bound this state"),
                ));
            }
        }
    }
    let database = Database::open(path, &options)?;
    if let Some(ident) = ident {
        // Checked now, so that no later call fails over it.
        database.store(ident)?;
    }
    let mut handle = Handle::new(database, Owner::Script);
    handle.ident = ident.map(Into::into);
    handle.actor = actor.map(Into::into);
    handle.big_int = big_int;
    Ok(handle)
}

fn text<'a>(name: &str, mut value: View<'a>) -> Result<&'a [u8], Error> {
    match value.token() {
        Token::String(text) => Ok(text),
        other => {
            let got = other.type_of().name();
            Err(Error::invalid(format!("option {name}: a string is needed, got {got}")))
        }
    }
}

fn big_int_of(name: &[u8]) -> Result<BigInt, Error> {
    match name {
        b"error" => Ok(BigInt::Error),
        b"float" => Ok(BigInt::Float),
        b"string" => Ok(BigInt::String),
        _ => Err(Error::invalid("option big_int: \"error\", \"float\" or \"string\" is needed")),
    }
}

/// `acervo.default()`.
pub(super) fn default(lua: Lua) -> c_int {
    let context = context_of(lua);
    let slot = ErrorSlot::push(lua, context);
    let handle = match guard(|| context.default_handle()) {
        // Only looked at: the object below gets a reference of its own.
        Ok(handle) => Arc::as_ptr(&handle),
        Err(error) => return slot.fail(lua, error),
    };
    context::push_place(lua, Place::Default);
    let known = userdata::get::<DatabaseObject>(lua, context, -1);
    if known.is_some_and(|object| Arc::as_ptr(&object.0) == handle) {
        return 1;
    }
    let object = userdata::push_empty::<DatabaseObject>(lua, context);
    match guard(|| context.default_handle()) {
        Ok(handle) => *object = Some(DatabaseObject(handle)),
        Err(error) => return slot.fail(lua, error),
    }
    lua.push_value(-1);
    context::set_place(lua, Place::Default);
    1
}

/// The database at the first argument of its method.
pub(super) fn this(lua: Lua, context: &'static Context) -> Result<&'static Handle, Error> {
    match userdata::cell::<DatabaseObject>(lua, context, 1) {
        // SAFETY: a database object, which holds its handle while it is on the
        // stack and not finalized.
        Some(cell) => match unsafe { &*cell } {
            Some(object) => Ok(&object.0),
            None => Err(closed()),
        },
        None => raise_text(lua, context, "a database is needed; call with a colon"),
    }
}

/// The parts of a database that a script may ask for.
enum Wanted {
    Registry,
    Store,
    Entries,
}

/// `__index`: the parts, then the methods.
fn index(lua: Lua) -> c_int {
    const METHODS_UPVALUE: c_int = 2;
    let context = context_of(lua);
    lua.set_top(2);
    let wanted = match lua.is_string(2).then(|| lua.bytes(2)) {
        Some(b"registry") => Wanted::Registry,
        Some(b"store") => Wanted::Store,
        Some(b"entries") => Wanted::Entries,
        _ => {
            lua.raw_get(lua.upvalue(METHODS_UPVALUE));
            return 1;
        }
    };
    if userdata::get::<DatabaseObject>(lua, context, 1).is_none() {
        lua.push_nil();
        return 1;
    }
    let (parts, own) = (3, 4);
    context::push_place(lua, Place::Parts);
    lua.push_value(1);
    lua.raw_get(parts);
    if !lua.is_table(own) {
        lua.pop(1);
        lua.create_table(0, 3);
        lua.push_value(1);
        lua.push_value(own);
        lua.raw_set(parts);
    }
    lua.push_value(2);
    lua.raw_get(own);
    if lua.is_table(-1) {
        return 1;
    }
    lua.pop(1);
    let source = || source(lua, context);
    match wanted {
        Wanted::Registry => push_part(lua, context, || (Part::Registry, source())),
        Wanted::Store => push_part(lua, context, || (Part::Store, source())),
        Wanted::Entries => entries::push(lua, context, source),
    }
    lua.push_value(2);
    lua.push_value(own + 1);
    lua.raw_set(own);
    1
}

/// The database at the first argument, as what a part works on.
fn source(lua: Lua, context: &'static Context) -> Source {
    match userdata::get::<DatabaseObject>(lua, context, 1) {
        Some(object) => Source::Handle(Arc::clone(&object.0)),
        None => Source::Closed,
    }
}

fn to_string(lua: Lua) -> c_int {
    let context = context_of(lua);
    let _ = this(lua, context);
    lua.push_bytes(b"acervo.Database{}");
    1
}

/// Runs `work` on the database at the first argument; gives true, or nil and
/// an error.
fn perform(lua: Lua, work: impl FnOnce(&Handle) -> Result<(), Error>) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    let slot = ErrorSlot::push(lua, context);
    match this(lua, context).and_then(|handle| guard(|| work(handle))) {
        Ok(()) => {
            lua.push_bool(true);
            1
        }
        Err(error) => slot.fail(lua, error),
    }
}

/// `db:flush()`.
fn flush(lua: Lua) -> c_int {
    perform(lua, |handle| handle.database.flush())
}

/// `db:close()`.
fn close(lua: Lua) -> c_int {
    perform(lua, |handle| match handle.owner {
        Owner::Script => handle.database.close(),
        Owner::Host => Err(Error::new(Code::PermissionDenied, "the host has opened this database")),
    })
}

/// `__close`: what could not be written is told, unless another error is on
/// its way.
fn close_at_end(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(2);
    let in_flight = !lua.is_none_or_nil(2);
    let slot = ErrorSlot::push(lua, context);
    let closed = this(lua, context).and_then(|handle| match handle.owner {
        Owner::Script => guard(|| handle.database.close()),
        Owner::Host => Ok(()),
    });
    match closed {
        Err(error) if !in_flight => slot.raise(lua, error),
        _ => 0,
    }
}

/// `db:stats()`.
fn stats(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    let slot = ErrorSlot::push(lua, context);
    let seen = entries::Seen::prepare(lua);
    let mut buffer = Buffer::take(lua, context);
    let written = this(lua, context).and_then(|_| {
        guard(|| {
            // A policy may do anything to the object meanwhile.
            let object = userdata::get::<DatabaseObject>(lua, context, 1).ok_or_else(closed)?;
            let handle = &*Arc::clone(&object.0);
            // What a policy hides is not counted either.
            let seen = seen.count(handle, context);
            buffer.append(handle.database.stats_with(seen)?.as_bytes())?;
            Ok(handle.big_int)
        })
    });
    push_written(lua, context, buffer, slot, written)
}

/// Ends a call that has written a value into `buffer`, or failed to.
fn push_written(
    lua: Lua,
    context: &'static Context,
    buffer: Buffer,
    slot: ErrorSlot,
    written: Result<BigInt, Error>,
) -> c_int {
    match written {
        Ok(big_int) => push_result(lua, context, buffer, slot, big_int),
        Err(error) => {
            buffer.release();
            slot.fail(lua, error)
        }
    }
}

/// Whether scripts may have the whole database read: a report may name what a
/// policy hides, and a copy would be a database without the policy.
fn check_access_to_all(handle: &Handle, context: &Context) -> Result<(), Error> {
    let what = if handle.owner == Owner::Host {
        "the host has opened this database"
    } else if context.has_policies.get() {
        "a policy holds in this state, for what scripts may see of it"
    } else if handle.database.has_policy() {
        "the host has set a policy for what scripts may see of it"
    } else {
        return Ok(());
    };
    Err(Error::new(Code::PermissionDenied, what))
}

/// `db:check()`.
fn check(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    let slot = ErrorSlot::push(lua, context);
    let mut buffer = Buffer::take(lua, context);
    let written = this(lua, context).and_then(|handle| {
        guard(|| {
            check_access_to_all(handle, context)?;
            buffer.append(handle.database.check_integrity()?.to_value().as_bytes())?;
            Ok(handle.big_int)
        })
    });
    push_written(lua, context, buffer, slot, written)
}

/// `db:backup(path)`.
fn backup(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(2);
    let slot = ErrorSlot::push(lua, context);
    let path = lua.is_string(2).then(|| lua.bytes(2));
    let done = this(lua, context).and_then(|handle| {
        guard(|| {
            if context.host.borrow().is_some() {
                // It would write where the script says, with the host's rights.
                return Err(Error::new(
                    Code::PermissionDenied,
                    "backup: the host has bound this state",
                ));
            }
            check_access_to_all(handle, context)?;
            let path = path.ok_or_else(|| Error::invalid("path must be a string"))?;
            handle.database.backup(path)
        })
    });
    match done {
        Ok(()) => {
            lua.push_bool(true);
            1
        }
        Err(error) => slot.fail(lua, error),
    }
}

/// Pushes the value in the buffer, or nil and an error.
pub(super) fn push_result(
    lua: Lua,
    context: &'static Context,
    buffer: Buffer,
    slot: ErrorSlot,
    big_int: BigInt,
) -> c_int {
    let pushed = decode::push(lua, context, buffer.read(), big_int);
    buffer.release();
    match pushed {
        Ok(()) => 1,
        Err(unpushable) => slot.fail(lua, Error::invalid(unpushable.to_string())),
    }
}

/// `db:namespace(ident)`.
fn namespace(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(2);
    let slot = ErrorSlot::push(lua, context);
    let ident = lua.is_string(2).then(|| lua.bytes(2));
    let checked = this(lua, context).and_then(|handle| {
        guard(|| {
            handle.database.check()?;
            if context.host.borrow().as_ref().is_some_and(|host| host.ident.is_some()) {
                return Err(Error::new(
                    Code::PermissionDenied,
                    "namespace: the host has bound this state to an ident",
                ));
            }
            let ident = ident.ok_or_else(|| Error::invalid("ident must be a string"))?;
            handle.database.store(ident)?;
            Ok(ident)
        })
    });
    match checked {
        Ok(ident) => {
            push_part(lua, context, || (Part::Namespace(ident.into()), source(lua, context)));
            1
        }
        Err(error) => slot.fail(lua, error),
    }
}
