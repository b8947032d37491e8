//! The one place where every failure becomes a code, a kind and a message.
//!
//! Each family of operations has an error type of its own, close to its code;
//! the conversions stand here, so that C codes, Lua kinds and retryability are
//! decided once.

use std::any::Any;
use std::fmt;

pub use crate::code::Code;

use crate::database::OpenError;
use crate::entries::{EntryError, Id};
use crate::guard::{Unusable, what_panicked};
use crate::kv::KvError;
use crate::storage::StorageError;
use crate::value::{Value, ValueError, put_array_header, put_map_header, put_string};

/// A failure as the host sees it.
#[derive(Clone, Debug)]
pub struct Error {
    /// What it is.
    pub code: Code,
    /// What was wrong, where, and what to do.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// More, for programs; a map.
    pub details: Option<Value>,
}

impl Error {
    /// An error that is retryable if its code is.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: code.retryable(), details: None }
    }

    /// The error that a caught panic becomes.
    pub(crate) fn from_panic(panic: &(dyn Any + Send)) -> Self {
        Self::panicked(what_panicked(panic))
    }

    fn panicked(what: &str) -> Self {
        Self::new(Code::Panic, format!("panic inside the library: {what}; please report it"))
    }

    /// [`Code::Invalid`] with this message.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::OutOfMemory => Self::new(Code::Internal, error.to_string()),
            _ => Self::invalid(error.to_string()),
        }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        let code = match error {
            StorageError::Full { .. }
            | StorageError::Io { .. }
            | StorageError::Busy { .. }
            | StorageError::Unfinished { .. } => Code::Unavailable,
            StorageError::NoPermission { .. } => Code::PermissionDenied,
            StorageError::NoDirectory { .. }
            | StorageError::NoFile { .. }
            | StorageError::NotAFile { .. }
            | StorageError::BadPath { .. }
            | StorageError::Newer { .. } => Code::Invalid,
            StorageError::Damaged { .. } | StorageError::OutOfMemory | StorageError::Other(_) => {
                Code::Internal
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<Unusable> for Error {
    fn from(why: Unusable) -> Self {
        let code = match why {
            Unusable::ReadOnly => Code::PermissionDenied,
            Unusable::Closed | Unusable::Poisoned => Code::Internal,
            Unusable::Forked => Code::Forked,
        };
        Self::new(code, why.to_string())
    }
}

impl From<EntryError> for Error {
    fn from(error: EntryError) -> Self {
        let code = match &error {
            EntryError::Storage(error) => return error.clone().into(),
            EntryError::Unusable(why) => return (*why).into(),
            EntryError::Id { .. }
            | EntryError::Kind { .. }
            | EntryError::Meta { .. }
            | EntryError::TooLarge { .. }
            | EntryError::KindChanged { .. }
            | EntryError::NoChanges
            | EntryError::TooManyChanges { .. }
            | EntryError::Spent
            | EntryError::Option { .. }
            | EntryError::NotAnAncestor { .. }
            | EntryError::Filter { .. }
            | EntryError::Pattern { .. }
            | EntryError::List { .. }
            | EntryError::InsideHandler
            | EntryError::TooLate
            | EntryError::KindPattern { .. }
            | EntryError::TooLateToLoad => Code::Invalid,
            EntryError::Refused { code, .. } => *code,
            EntryError::Unresolved { .. } | EntryError::NoHandler { .. } => Code::NotFound,
            EntryError::NoEvent => Code::Timeout,
            EntryError::TurnTaken | EntryError::NoDescriptor { .. } => Code::Unavailable,
            EntryError::Undone { why, undo } => {
                let cause = Self::from(EntryError::clone(why));
                let details = Some(details_of_undo(cause.details.as_ref(), undo));
                return Self { details, message: error.to_string(), ..cause };
            }
            EntryError::NoEntry { .. }
            | EntryError::NoVersion { .. }
            | EntryError::Pruned { .. } => Code::NotFound,
            EntryError::Exists { .. } => Code::AlreadyExists,
            EntryError::Conflict { .. } | EntryError::Overtaken => Code::Conflict,
            EntryError::NoHistory => Code::Unavailable,
            EntryError::Damaged { .. } => Code::Internal,
        };
        let details = match &error {
            EntryError::Conflict { ids, .. } | EntryError::Unresolved { ids } => {
                Some(details_of_ids(ids))
            }
            _ => None,
        };
        Self { details, ..Self::new(code, error.to_string()) }
    }
}

/// `{undo = {{id =, message =}, ...}}`, with what else is known.
fn details_of_undo(more: Option<&Value>, undo: &[(String, String)]) -> Value {
    let pairs = more.map_or(0, Value::len);
    let mut out = Vec::new();
    put_map_header(&mut out, pairs as u32 + 1);
    for (key, value) in (0..pairs).filter_map(|place| more?.pair(place)) {
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
    put_string(&mut out, b"undo");
    put_array_header(&mut out, undo.len() as u32);
    for (id, message) in undo {
        put_map_header(&mut out, 2);
        put_string(&mut out, b"id");
        put_string(&mut out, id.as_bytes());
        put_string(&mut out, b"message");
        put_string(&mut out, message.as_bytes());
    }
    Value::from_canonical(&out)
}

/// `{ids = {...}}`.
fn details_of_ids(ids: &[Id]) -> Value {
    let mut out = Vec::new();
    put_map_header(&mut out, 1);
    put_string(&mut out, b"ids");
    put_array_header(&mut out, ids.len() as u32);
    for id in ids {
        put_string(&mut out, id.text());
    }
    Value::from_canonical(&out)
}

impl From<KvError> for Error {
    fn from(error: KvError) -> Self {
        let code = match error {
            KvError::Storage(error) => return error.into(),
            KvError::Unusable(why) => return why.into(),
            KvError::Panicked { what } => return Self::panicked(&what),
            KvError::Key { .. }
            | KvError::Ident { .. }
            | KvError::ValueTooLarge { .. }
            | KvError::NotANumber { .. }
            | KvError::Overflow { .. }
            | KvError::Ttl
            | KvError::Age => Code::Invalid,
            KvError::MemoryLimit { .. } => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Storage(error) => error.into(),
            OpenError::Option { .. } | OpenError::Path { .. } | OpenError::HoldsHistory { .. } => {
                Self::invalid(error.to_string())
            }
            OpenError::OtherCopy { .. } | OpenError::Closing { .. } => {
                Self::new(Code::Unavailable, error.to_string())
            }
        }
    }
}
