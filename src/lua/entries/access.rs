//! What the scripts of a state may see and do.

use std::sync::Arc;

use super::home::Home;
use super::protected::Doorway;
use crate::code::Code;
use crate::entries::{Entry, Policy};
use crate::error::Error;
use crate::lua::context::Context;
use crate::lua::handle::Handle;
use crate::lua::state::Lua;

pub(super) const APPLY: &str = "registry.apply";
pub(super) const APPLY_VERSION: &str = "registry.apply_version";
const GET: &str = "registry.get";

/// The policies that a call is under.
pub(super) enum Access<'a> {
    /// None.
    Open,
    Checked {
        doorway: Doorway,
        home: &'a Home,
        actor: Arc<[u8]>,
        /// That of the host.
        host: Option<Policy>,
        /// Whether the state has one for this registry.
        has_own: bool,
    },
}

impl<'a> Access<'a> {
    pub(super) fn new(doorway: Doorway, context: &Context, home: &'a Home) -> Self {
        if !home.is_restricted(context) {
            return Self::Open;
        }
        let host = home.registry.policy();
        let has_own = context.has_policies.get() && doorway.has_policy(home.registry.address());
        Self::Checked { doorway, home, actor: home.actor(context), host, has_own }
    }

    /// Whether the actor may do this. Both policies must allow it.
    pub(super) fn allows(&self, action: &str, resource: &[u8]) -> bool {
        let Self::Checked { doorway, home, actor, host, has_own } = self else { return true };
        let action = action.as_bytes();
        host.as_ref().is_none_or(|host| host(actor, action, resource))
            && (!has_own || doorway.allows(home.registry.address(), actor, action, resource))
    }

    /// Whether the actor may see this entry.
    pub(super) fn allows_entry(&self, entry: &Entry) -> bool {
        self.allows_id(entry.id().text())
    }

    /// Whether the actor may see the entry with this id.
    pub(super) fn allows_id(&self, id: &[u8]) -> bool {
        matches!(self, Self::Open) || self.allows(GET, id)
    }

    /// Fails unless the actor may do this.
    pub(super) fn check(&self, action: &str) -> Result<(), Error> {
        if self.allows(action, b"") { Ok(()) } else { Err(denied(action, b"")) }
    }

    /// Fails unless the actor may see the entry with this id, there or not.
    pub(super) fn check_id(&self, id: &[u8]) -> Result<(), Error> {
        if self.allows_id(id) { Ok(()) } else { Err(denied(GET, id)) }
    }
}

/// Counts the entries that the scripts of a state may see.
#[derive(Clone, Copy)]
pub(in crate::lua) struct Seen(Doorway);

impl Seen {
    /// Makes ready for the call of a policy. May raise.
    pub(in crate::lua) fn prepare(lua: Lua) -> Self {
        Self(Doorway::push(lua))
    }

    /// How many there are; `None` if no policy is to be asked, or there is no
    /// registry.
    pub(in crate::lua) fn count(self, handle: &Handle, context: &Context) -> Option<u64> {
        let home = Home::of(handle).ok()?;
        let access = Access::new(self.0, context, &home);
        if matches!(access, Access::Open) {
            return None;
        }
        let Ok(snapshot) = home.registry.snapshot() else { return Some(0) };
        let entries = snapshot.entries();
        Some(entries.iter().filter(|entry| access.allows_entry(entry)).count() as u64)
    }
}

fn denied(action: &str, resource: &[u8]) -> Error {
    let on = if resource.is_empty() { "" } else { " on " };
    let resource = String::from_utf8_lossy(resource);
    Error::new(Code::PermissionDenied, format!("{action}{on}{resource} is denied by the policy"))
}
