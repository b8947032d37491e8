//! What can go wrong with a key-value call.

use std::fmt;

use crate::guard::Unusable;
use crate::storage::StorageError;

/// Longest key in bytes, without the ident.
pub(crate) const KEY_LIMIT: usize = 1024;
/// Longest ident in bytes.
pub(crate) const IDENT_LIMIT: usize = 256;

/// A failure of a registry or store call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KvError {
    /// The file failed.
    Storage(StorageError),
    /// A key is empty or too long.
    Key {
        /// Its length in bytes.
        len: usize,
    },
    /// An ident is empty or too long.
    Ident {
        /// Its length in bytes.
        len: usize,
    },
    /// A value is larger than `value_limit`.
    ValueTooLarge {
        /// Its size as MessagePack in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// `incr` met something that is not a number it can add to.
    NotANumber {
        /// What it met.
        found: &'static str,
    },
    /// `incr` would leave the range of 64-bit integers.
    Overflow {
        /// The value it met.
        value: i64,
    },
    /// A time to live that is not positive.
    Ttl,
    /// An age for `purge` that is negative or not a number.
    Age,
    /// `memory_limit` would be passed.
    MemoryLimit {
        /// The limit in bytes.
        limit: usize,
    },
    /// A panic ended the commit that this write was part of.
    Panicked {
        /// What it says.
        what: String,
    },
    /// The handle or the database may not be used.
    Unusable(Unusable),
}

impl KvError {
    /// There was no memory for a copy of what the caller gave.
    #[cold]
    pub(super) fn out_of_memory() -> Self {
        Self::Storage(StorageError::OutOfMemory)
    }
}

impl From<Unusable> for KvError {
    fn from(why: Unusable) -> Self {
        Self::Unusable(why)
    }
}

impl From<StorageError> for KvError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl fmt::Display for KvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => error.fmt(f),
            Self::Key { len } => {
                write!(f, "key must be 1 to {KEY_LIMIT} bytes, this one has {len}")
            }
            Self::Ident { len } => {
                write!(f, "ident must be 1 to {IDENT_LIMIT} bytes, this one has {len}")
            }
            Self::ValueTooLarge { len, limit } => write!(
                f,
                "value of {len} bytes is over value_limit ({limit}); store less, or raise \
                 value_limit at open"
            ),
            Self::NotANumber { found } => {
                write!(f, "cannot add to a {found}; incr needs a number or a missing key")
            }
            Self::Overflow { value } => {
                write!(f, "adding to {value} leaves the range of 64-bit integers")
            }
            Self::Ttl => f.write_str("ttl_ms must be 1 or more; to keep a key for good, give none"),
            Self::Age => f.write_str("age must be a number of seconds, 0 or more"),
            Self::MemoryLimit { limit } => write!(
                f,
                "memory limit of {limit} bytes is reached; delete keys, or raise memory_limit at \
                 open"
            ),
            Self::Panicked { what } => write!(f, "a panic ended the write: {what}"),
            Self::Unusable(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for KvError {}
