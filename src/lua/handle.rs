//! A database as one Lua state uses it.

use crate::database::Database;

/// Who may close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A script opened it.
    Script,
    /// The host bound it to the state.
    Host,
}

/// What becomes of an integer that the Lua version cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BigInt {
    /// An error: a float would lie.
    #[default]
    Error,
    /// The nearest float.
    Float,
    /// Its decimal digits.
    String,
}

/// A database handle with the options that only Lua knows.
pub(super) struct Handle {
    pub(super) database: Database,
    pub(super) owner: Owner,
    /// The ident of this handle's store, if named at open.
    pub(super) ident: Option<Box<[u8]>>,
    /// Who a policy is asked about.
    pub(super) actor: Option<Box<[u8]>>,
    pub(super) big_int: BigInt,
}

impl Handle {
    pub(super) fn new(database: Database, owner: Owner) -> Self {
        Self { database, owner, ident: None, actor: None, big_int: BigInt::default() }
    }
}
