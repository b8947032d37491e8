//! The registry as it is at one version.

use super::find::Cache;
use super::state::State;

/// A state with its version: what is published, and what snapshots hold.
pub(super) struct View {
    pub(super) version: u64,
    pub(super) state: State,
    /// What was found in it before.
    pub(super) cache: Cache,
}

impl View {
    pub(super) fn new(version: u64, state: State) -> Self {
        Self { version, state, cache: Cache::default() }
    }
}
