//! What `registry.*` and `store.*` work on: a database's registry or a
//! namespace of its store, resolved once and looked up cheaply at each call.

use std::sync::Arc;

use crate::error::Error;
use crate::kv::Kv;

use super::context::{Context, Host};
use super::guard::guard;
use super::handle::Handle;
use super::state::{Lua, TYPE_NIL, TYPE_STRING};
use super::userdata::{Held, Kind};

/// A part of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Registry,
    /// The store of the script's ident.
    Store,
    /// The store's keys as they are.
    Global,
    /// The store of one ident, whatever the script's is.
    Namespace(Box<[u8]>),
}

/// Which database.
pub(super) enum Source {
    /// The state's default one, opened at first use.
    Default,
    Handle(Arc<Handle>),
    /// None: the database was finalized before the part was made.
    Closed,
}

/// The second upvalue of every function of a part.
pub(super) struct PartObject {
    /// The first upvalue, which lives as long as the functions do.
    pub(super) context: &'static Context,
    pub(super) part: Part,
    pub(super) source: Source,
    resolved: Option<Resolved>,
}

impl Held for PartObject {
    const KIND: Kind = Kind::Part;
}

/// What a part stands for, until the host binds something else.
struct Resolved {
    epoch: u32,
    handle: Arc<Handle>,
    /// What is used if no global names an ident.
    kv: Kv,
    /// Whether the global `EXEC_IDENT` is looked at.
    asks_global: bool,
    /// The ident that `EXEC_IDENT` held last, and its namespace.
    named: Option<(Box<[u8]>, Kv)>,
}

/// Where the string "EXEC_IDENT" is among the upvalues of a part's functions.
pub(super) const EXEC_IDENT_UPVALUE: i32 = 3;

impl PartObject {
    pub(super) fn new(context: &'static Context, part: Part, source: Source) -> Self {
        Self { context, part, source, resolved: None }
    }

    /// The database, opened if need be. Calls no Lua.
    #[inline(always)]
    fn resolve(&mut self, context: &Context) -> Result<&mut Resolved, Error> {
        let epoch = context.epoch.get();
        if self.resolved.as_ref().is_none_or(|resolved| resolved.epoch != epoch) {
            self.resolve_anew(context)?;
        }
        // Filled just above.
        self.resolved.as_mut().ok_or_else(closed)
    }

    #[cold]
    fn resolve_anew(&mut self, context: &Context) -> Result<(), Error> {
        self.resolved = None;
        self.resolved = Some(guard(|| resolve(&self.part, &self.source, context))?);
        Ok(())
    }

    /// The limits and options of the database.
    pub(super) fn handle(&mut self, context: &Context) -> Result<&Handle, Error> {
        Ok(&self.resolve(context)?.handle)
    }

    /// The key-value part to use now. Looks at `EXEC_IDENT`, which allocates
    /// nothing in Lua.
    #[inline(always)]
    pub(super) fn open(&mut self, lua: Lua, context: &Context) -> Result<&Kv, Error> {
        let resolved = self.resolve(context)?;
        if resolved.asks_global { resolved.open_named(lua) } else { Ok(&resolved.kv) }
    }
}

impl Resolved {
    /// What the global `EXEC_IDENT` names.
    fn open_named(&mut self, lua: Lua) -> Result<&Kv, Error> {
        let Self { handle, kv, named, .. } = self;
        lua.push_globals();
        lua.push_value(lua.upvalue(EXEC_IDENT_UPVALUE));
        lua.raw_get(-2);
        let type_of = lua.type_of(-1);
        // The global keeps the string alive after it is popped.
        let ident = if type_of == TYPE_STRING { lua.bytes(-1) } else { b"" };
        lua.pop(2);
        if ident.is_empty() {
            if type_of != TYPE_STRING && type_of != TYPE_NIL {
                return Err(Error::invalid("the global EXEC_IDENT must be a string"));
            }
            return Ok(kv);
        }
        if named.as_ref().is_none_or(|(known, _)| **known != *ident) {
            let kv = guard(|| handle.database.store(ident))?;
            *named = Some((ident.into(), kv));
        }
        named.as_ref().map_or_else(|| Err(closed()), |(_, kv)| Ok(kv))
    }
}

fn resolve(part: &Part, source: &Source, context: &Context) -> Result<Resolved, Error> {
    let handle = match source {
        Source::Default => context.default_handle()?,
        Source::Handle(handle) => Arc::clone(handle),
        Source::Closed => return Err(closed()),
    };
    let database = &handle.database;
    let host = context.host.borrow();
    let bound = host.as_ref().and_then(|Host { ident, .. }| ident.as_deref());
    let mut asks_global = false;
    let kv = match part {
        Part::Registry => database.registry(),
        Part::Global => database.global(),
        Part::Namespace(ident) => database.store(ident)?,
        Part::Store => match bound.or(handle.ident.as_deref()) {
            Some(ident) => database.store(ident)?,
            None => {
                asks_global = true;
                match database.env_ident() {
                    Some(ident) => database.store(ident)?,
                    None => database.global(),
                }
            }
        },
    };
    drop(host);
    let epoch = context.epoch.get();
    Ok(Resolved { epoch, handle, kv, asks_global, named: None })
}

/// What a finalized object answers.
pub(super) fn closed() -> Error {
    Error::new(crate::error::Code::Internal, "database is closed")
}
