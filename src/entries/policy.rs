//! Policies: what an actor may do.

use std::sync::Arc;

/// Tells whether an actor may do an action on a resource. The actions are
/// `registry.get` on an entry's id, `registry.apply` and
/// `registry.apply_version`, whose resource is empty.
pub type Policy = Arc<dyn Fn(&[u8], &[u8], &[u8]) -> bool + Send + Sync>;
