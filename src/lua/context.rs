//! What the binding keeps per Lua state.
//!
//! One userdata, found in the Lua registry under the address of a static and
//! carried by every function of ours as its first upvalue. Beside it stands a
//! table for the Lua values we need again: metatables and modules.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use crate::database::{Database, Options};
use crate::entries::Queue;
use crate::error::Error;

use super::buffer::{NestedBuffer, Scratch};
use super::database::DatabaseObject;
use super::entries::{
    ChangesObject, EntriesObject, FeedObject, HistoryObject, Home, SnapshotObject,
    SubscriptionObject, VersionObject,
};
use super::error_object::ErrorObject;
use super::guard;
use super::handle::{Handle, Owner};
use super::part::PartObject;
use super::runtimes::{Entry, entry, runtime_of};
use super::state::Lua;
use super::update::Update;
use super::userdata::{self, Kind};
use super::walk::Walk;

/// Its address is the key of the table in the Lua registry.
static KEY: u8 = 0;

/// Places in the table. The metatables stand behind them, from
/// [`Place::FIRST_METATABLE`] on, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(super) enum Place {
    Context = 1,
    ArrayMetatable,
    Root,
    Registry,
    Store,
    Errors,
    Entries,
    /// The object of the state's default database.
    Default,
    /// Weak: database object to the table of its parts.
    Parts,
    /// LuaJIT: `ffi.istype`, `ffi.new`, and the two 64-bit types.
    FfiIsType,
    FfiNew,
    FfiInt64,
    FfiUint64,
    /// The `__eq` of cdata, and an int64 to compare with.
    FfiEqual,
    FfiProbe,
    /// The functions of handlers, by their keys.
    Handlers,
    /// Policies, by the number of their registry.
    Policies,
    /// What protected calls are made with.
    Doorway,
}

impl Place {
    const FIRST_METATABLE: i64 = 19;
}

/// What the host has bound to the state.
pub(super) struct Host {
    /// The host's database.
    pub(super) handle: Arc<Handle>,
    /// The ident of the state, if the host named one.
    pub(super) ident: Option<Box<[u8]>>,
}

/// The context of a state.
///
/// Shared by nested calls, so everything in it is behind a cell, and no borrow
/// lasts across a call into Lua.
pub(super) struct Context {
    pub(super) scratch: Scratch,
    metatables: [Cell<*const c_void>; Kind::COUNT],
    /// Address of the metatable that marks arrays.
    pub(super) array_metatable: Cell<*const c_void>,
    /// Whether LuaJIT's `ffi` was found.
    pub(super) has_ffi: Cell<bool>,
    /// Set while the function given to `update` runs: writes are refused.
    pub(super) updating: Cell<bool>,
    pub(super) host: RefCell<Option<Host>>,
    /// Errors on their way into error objects.
    pub(super) failed: RefCell<Vec<Error>>,
    /// What handlers of the state are asked; made at the first need.
    queue: RefCell<Option<Arc<Queue>>>,
    /// The registered handlers by their keys, and whom they belong to.
    handlers: RefCell<Vec<(u64, Home)>>,
    last_key: Cell<u64>,
    /// Whether the state has set a policy. It stays set, so that finalizers
    /// which run after the context's are under it too.
    pub(super) has_policies: Cell<bool>,
    default: RefCell<Option<Arc<Handle>>>,
    /// Moves when the host binds another database or ident; what was resolved
    /// before is resolved again.
    pub(super) epoch: Cell<u32>,
}

impl Context {
    fn new() -> Self {
        Self {
            scratch: Scratch::new(),
            metatables: [const { Cell::new(ptr::null()) }; Kind::COUNT],
            array_metatable: Cell::new(ptr::null()),
            has_ffi: Cell::new(false),
            updating: Cell::new(false),
            host: RefCell::new(None),
            failed: RefCell::new(Vec::new()),
            queue: RefCell::new(None),
            handlers: RefCell::new(Vec::new()),
            last_key: Cell::new(0),
            has_policies: Cell::new(false),
            default: RefCell::new(None),
            epoch: Cell::new(0),
        }
    }

    /// The context of a running function of ours, its first upvalue.
    #[inline]
    pub(super) fn of_upvalue(lua: Lua) -> Option<&'static Self> {
        let context = lua.userdata(lua.upvalue(1)).cast::<Self>();
        // SAFETY: every function of ours is made with the context as its first
        // upvalue, which it keeps alive; its finalizer empties it and leaves
        // it usable.
        unsafe { context.as_ref() }
    }

    /// The context of a state, made at the first call.
    pub(super) fn of_state(lua: Lua) -> &'static Self {
        let top = lua.top();
        push_table(lua);
        let table = if lua.is_table(-1) { lua.top() } else { create(lua) };
        lua.raw_get_index(table, Place::Context as i64);
        let context = lua.userdata(-1).cast::<Self>();
        lua.set_top(top);
        // SAFETY: `create` has put it there, and the table keeps it alive.
        unsafe { &*context }
    }

    /// The address of the metatable of a kind.
    #[inline]
    pub(super) fn metatable(&self, kind: Kind) -> *const c_void {
        self.metatables[kind as usize].get()
    }

    /// Pushes the metatable of a kind.
    pub(super) fn push_metatable(&self, lua: Lua, kind: Kind) {
        push_place_number(lua, Place::FIRST_METATABLE + kind as i64);
    }

    /// The handle of the state's default database: the host's, else the one
    /// that `$ACERVO_PATH` or `./acervo.db` names, opened now. Calls no Lua.
    pub(super) fn default_handle(&self) -> Result<Arc<Handle>, Error> {
        if let Some(host) = &*self.host.borrow() {
            return Ok(Arc::clone(&host.handle));
        }
        if let Some(handle) = &*self.default.borrow() {
            return Ok(Arc::clone(handle));
        }
        use std::os::unix::ffi::OsStrExt;
        let path = std::env::var_os("ACERVO_PATH").filter(|path| !path.is_empty());
        let path = path.as_deref().map_or(&b"acervo.db"[..], OsStrExt::as_bytes);
        let database = Database::open(path, &Options::default())?;
        let handle = Arc::new(Handle::new(database, Owner::Script));
        *self.default.borrow_mut() = Some(Arc::clone(&handle));
        Ok(handle)
    }

    /// The queue of questions to the state's handlers.
    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(self.queue.borrow_mut().get_or_insert_default())
    }

    /// A key for a handler that no other has.
    pub(super) fn new_handler_key(&self) -> u64 {
        self.last_key.set(self.last_key.get() + 1);
        self.last_key.get()
    }

    /// Takes note of a handler.
    pub(super) fn add_handler(&self, key: u64, home: Home) {
        self.handlers.borrow_mut().push((key, home));
    }

    /// Forgets a handler.
    pub(super) fn remove_handler(&self, key: u64) {
        let mut handlers = self.handlers.borrow_mut();
        let place = handlers.iter().position(|(other, _)| *other == key);
        let removed = place.map(|place| handlers.swap_remove(place));
        drop(handlers);
        drop(removed);
    }

    /// Whom a handler belongs to.
    pub(super) fn handler_home(&self, key: u64) -> Option<Home> {
        let handlers = self.handlers.borrow();
        handlers.iter().find(|(other, _)| *other == key).map(|(_, home)| home.clone())
    }

    /// Forgets what was resolved: the host has bound something else.
    pub(super) fn rebind(&self) {
        self.epoch.set(self.epoch.get().wrapping_add(1));
    }
}

fn push_table(lua: Lua) {
    lua.push_light((&raw const KEY).cast());
    lua.raw_get(lua.registry_index());
}

fn push_place_number(lua: Lua, place: i64) {
    push_table(lua);
    lua.raw_get_index(-1, place);
    lua.remove(-2);
}

/// Pushes what stands at a place.
pub(super) fn push_place(lua: Lua, place: Place) {
    push_place_number(lua, place as i64);
}

/// Pops a value and puts it at a place.
pub(super) fn set_place(lua: Lua, place: Place) {
    push_table(lua);
    lua.push_value(-2);
    lua.raw_set_index(-2, place as i64);
    lua.pop(2);
}

/// Makes context, table and metatables; leaves the table on the stack and
/// gives its index.
fn create(lua: Lua) -> c_int {
    lua.create_table(36, 0);
    let table = lua.top();
    let block = lua.new_userdata(size_of::<Context>()).cast::<Context>();
    let context_index = lua.top();
    const { assert!(align_of::<Context>() <= 8) };
    // SAFETY: the block is fresh, large enough and aligned; the metatable that
    // finalizes it follows. `new` owns nothing yet, so an error in between
    // loses nothing.
    let context = unsafe {
        ptr::write(block, Context::new());
        &*block
    };
    lua.push_value(context_index);
    lua.raw_set_index(table, Place::Context as i64);
    lua.create_table(0, 1);
    lua.push_value(context_index);
    lua.push_function(runtime_of(lua).function(entry!(finalize)), 1);
    let metatable = lua.top() - 1;
    lua.raw_set_name(metatable, "__gc");
    lua.set_metatable(context_index);

    for kind in Kind::ALL {
        lua.create_table(0, 8);
        context.metatables[kind as usize].set(lua.pointer(-1));
        let finalize = match kind {
            Kind::Buffer => entry!(userdata::finalize::<NestedBuffer>),
            Kind::Error => entry!(userdata::finalize::<ErrorObject>),
            Kind::Database => entry!(userdata::finalize::<DatabaseObject>),
            Kind::Part => entry!(userdata::finalize::<PartObject>),
            Kind::Walk => entry!(userdata::finalize::<Walk>),
            Kind::Update => entry!(userdata::finalize::<Update>),
            Kind::Entries => entry!(userdata::finalize::<EntriesObject>),
            Kind::Snapshot => entry!(userdata::finalize::<SnapshotObject>),
            Kind::Changes => entry!(userdata::finalize::<ChangesObject>),
            Kind::Version => entry!(userdata::finalize::<VersionObject>),
            Kind::History => entry!(userdata::finalize::<HistoryObject>),
            Kind::Subscription => entry!(userdata::finalize::<SubscriptionObject>),
            Kind::Feed => entry!(userdata::finalize::<FeedObject>),
        };
        userdata::fill_metatable(lua, kind, finalize, context_index);
        lua.raw_set_index(table, Place::FIRST_METATABLE + kind as i64);
    }

    for place in [Place::Handlers, Place::Policies] {
        lua.create_table(0, 0);
        lua.raw_set_index(table, place as i64);
    }

    lua.create_table(0, 1);
    lua.push_bytes(b"acervo.array");
    let metatable = lua.top() - 1;
    lua.raw_set_name(metatable, "__name");
    context.array_metatable.set(lua.pointer(-1));
    lua.raw_set_index(table, Place::ArrayMetatable as i64);

    // What follows makes functions, which find the context by the table.
    lua.push_light((&raw const KEY).cast());
    lua.push_value(table);
    lua.raw_set(lua.registry_index());

    super::error_object::fill_metatable(lua, context);
    super::database::fill_metatable(lua, context);
    super::entries::fill_metatables(lua, context);
    super::cdata::capture(lua, context);
    lua.set_top(table);
    table
}

/// `__gc` of the context: gives back what it owns and leaves it usable, since
/// finalizers that run later may call our functions.
fn finalize(lua: Lua) -> c_int {
    if let Some(context) = Context::of_upvalue(lua) {
        guard::discard(context.host.take());
        guard::discard(context.default.take());
        guard::discard(context.failed.take());
        // Its handlers go with the state; whoever waits for one goes on.
        let queue = context.queue.take();
        guard::discard(guard::guard(|| {
            queue.iter().for_each(|queue| queue.close());
            Ok(())
        }));
        guard::discard(queue);
        guard::discard(context.handlers.take());
        context.scratch.free();
        context.rebind();
    }
    0
}

/// Pushes a function of ours that needs no upvalue but the context.
pub(super) fn push_closure(lua: Lua, entry: &Entry) {
    push_place(lua, Place::Context);
    lua.push_function(runtime_of(lua).function(entry), 1);
}

/// Puts functions of ours into the table at `table`, an absolute index.
pub(super) fn fill_table(lua: Lua, table: c_int, functions: &[(&str, &Entry)]) {
    for (name, entry) in functions {
        push_closure(lua, entry);
        lua.raw_set_name(table, name);
    }
}
