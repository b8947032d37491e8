//! Where entries name what they depend on.

use crate::entries::EntryError;

/// The patterns of a registry.
#[derive(Clone, Debug, Default)]
pub(in crate::entries) struct Patterns {}

impl Patterns {
    /// Adds a pattern; one that is there already changes nothing.
    pub(in crate::entries) fn register(
        &mut self,
        path: &str,
        allow_wildcard: bool,
    ) -> Result<(), EntryError> {
        let _ = (path, allow_wildcard);
        Ok(())
    }
}
