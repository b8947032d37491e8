//! Results of earlier searches at one version.

/// What was found at one version, the least recently used out.
#[derive(Default)]
pub(in crate::entries) struct Cache {}
