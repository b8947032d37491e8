//! What can be wrong with bytes or text that should become a value.

use std::fmt;

/// Why bytes, text or parts do not make a value, or a value no JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// MessagePack that this model cannot hold, or that is cut off.
    MsgPack {
        /// Offset of the byte where the fault stands.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// JSON text that cannot be read.
    Json {
        /// What is wrong and where: line and column.
        what: String,
    },
    /// A value that has no JSON form.
    NoJson {
        /// Where in the value, and why.
        what: String,
    },
    /// Two keys of one map are equal.
    DuplicateKey {
        /// The key, as messages show it.
        key: String,
    },
    /// A key that a map cannot have: nil, NaN, an array or a map.
    BadKey {
        /// What it is.
        what: &'static str,
    },
    /// Nesting deeper than [`super::MAX_DEPTH`].
    TooDeep,
    /// Larger than this form can hold: 2^32 - 1 bytes or elements.
    TooLarge,
    /// No memory for it.
    OutOfMemory,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MsgPack { offset, what } => {
                write!(f, "MessagePack at offset {offset}: {what}")
            }
            Self::Json { what } => write!(f, "JSON: {what}"),
            Self::NoJson { what } => write!(f, "no JSON form: {what}"),
            Self::DuplicateKey { key } => write!(f, "key {key} stands twice in one map"),
            Self::BadKey { what } => {
                write!(f, "{what} cannot be a map key: use a bool, int, float or string")
            }
            Self::TooDeep => {
                write!(f, "nested deeper than {} levels", super::MAX_DEPTH)
            }
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::TooLarge => write!(f, "larger than 2^32 - 1 bytes or elements"),
        }
    }
}

impl std::error::Error for ValueError {}
