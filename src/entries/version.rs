//! What is known about a version.

/// A version of the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Its number; the root is 0.
    pub id: u64,
    /// The version it was made from; `None` for the root.
    pub parent: Option<u64>,
    /// When it was made, in seconds since the Unix epoch; `None` if that is
    /// not known, as of the root.
    pub time: Option<i64>,
    /// Who made it, as given to apply.
    pub author: Option<Box<[u8]>>,
    /// What it is about, as given to apply.
    pub message: Option<Box<[u8]>>,
}
