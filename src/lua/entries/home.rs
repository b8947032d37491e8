//! Which registry a function or an object belongs to.

use std::sync::Arc;

use crate::entries::Registry;
use crate::error::{Code, Error};
use crate::lua::context::Context;
use crate::lua::guard::guard;
use crate::lua::handle::{BigInt, Handle};
use crate::lua::part::{Source, closed};
use crate::lua::userdata::{Held, Kind};

/// A registry as scripts use it.
#[derive(Clone)]
pub(in crate::lua) struct Home {
    pub(super) registry: Registry,
    pub(super) big_int: BigInt,
    pub(super) value_limit: usize,
    /// Who policies are asked about, unless the host has bound the state.
    actor: Option<Arc<[u8]>>,
}

impl Home {
    /// That of a database.
    pub(super) fn of(handle: &Handle) -> Result<Self, Error> {
        Ok(Self {
            registry: handle.database.entries()?,
            big_int: handle.big_int,
            value_limit: handle.database.value_limit(),
            actor: handle.actor.as_deref().map(Into::into),
        })
    }

    /// Who policies are asked about: in a state that the host has bound its
    /// actor, also for what the state got before.
    pub(super) fn actor(&self, context: &Context) -> Arc<[u8]> {
        let actor = match &*context.host.borrow() {
            Some(host) => host.handle.actor.as_deref().map(Into::into),
            None => self.actor.clone(),
        };
        actor.unwrap_or_default()
    }

    /// Whether a policy is to be asked.
    #[inline]
    pub(super) fn is_restricted(&self, context: &Context) -> bool {
        context.has_policies.get() || self.registry.has_policy()
    }
}

/// The second upvalue of every function of the module.
pub(in crate::lua) struct EntriesObject {
    source: Source,
    /// What it stands for, until the host binds something else.
    resolved: Option<(u32, Home)>,
}

impl Held for EntriesObject {
    const KIND: Kind = Kind::Entries;
}

impl EntriesObject {
    pub(super) fn new(source: Source) -> Self {
        Self { source, resolved: None }
    }

    /// The registry, opened if need be. Calls no Lua.
    pub(super) fn home(&mut self, context: &Context) -> Result<&Home, Error> {
        let epoch = context.epoch.get();
        if self.resolved.as_ref().is_none_or(|(known, _)| *known != epoch) {
            self.resolved = None;
            self.resolved = Some((epoch, guard(|| resolve(&self.source, context))?));
        }
        // Filled just above.
        self.resolved.as_ref().map(|(_, home)| home).ok_or_else(closed)
    }
}

fn resolve(source: &Source, context: &Context) -> Result<Home, Error> {
    let default;
    let handle = match source {
        Source::Default => {
            default = context.default_handle().map_err(not_available)?;
            &default
        }
        Source::Handle(handle) => handle,
        Source::Closed => return Err(closed()),
    };
    Home::of(handle)
}

/// To a script that did not open the database itself, one that cannot be
/// opened is a registry that is not there.
fn not_available(error: Error) -> Error {
    Error::new(Code::Internal, format!("the registry is not available: {}", error.message))
}

/// An object that scripts got from a registry.
pub(super) trait Object: Held {
    /// What messages call it.
    const NAME: &'static str;

    fn home(&self) -> &Home;
}
