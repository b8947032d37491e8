//! The one place where every failure becomes a code, a kind and a message.
//!
//! Each family of operations has an error type of its own, close to its code;
//! the conversions stand here, so that C codes, Lua kinds and retryability are
//! decided once.

use std::any::Any;
use std::ffi::CStr;
use std::fmt;

use crate::database::OpenError;
use crate::entries::{EntryError, Id};
use crate::guard::Unusable;
use crate::kv::KvError;
use crate::storage::StorageError;
use crate::value::{Value, ValueError, put_array_header, put_map_header, put_string};

/// What a failure is. The numbers are the C ABI's and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Code {
    /// The input is wrong: a bad key, type, size, option or state of call.
    Invalid = -1,
    /// What was asked for does not exist.
    NotFound = -2,
    /// What should be created exists.
    AlreadyExists = -3,
    /// The system, the policy or a read-only handle forbids it.
    PermissionDenied = -4,
    /// It cannot be done now: disk full, I/O error, locked, over a limit.
    Unavailable = -5,
    /// A fault inside, a damaged file, or use of something closed.
    Internal = -6,
    /// Given up on request.
    Canceled = -7,
    /// Somebody else was faster; try again on the new state.
    Conflict = -8,
    /// No answer in time.
    Timeout = -9,
    /// Too many calls.
    RateLimited = -10,
    /// No kind was given.
    Unknown = -11,
    /// A panic was caught at the boundary; kind INTERNAL.
    Panic = -12,
    /// The handle was made before a fork, by the parent; kind INTERNAL.
    Forked = -13,
    /// The caller's buffer is too small; kind INVALID.
    TooSmall = -14,
}

impl Code {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Invalid,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::Unavailable,
        Self::Internal,
        Self::Canceled,
        Self::Conflict,
        Self::Timeout,
        Self::RateLimited,
        Self::Unknown,
        Self::Panic,
        Self::Forked,
        Self::TooSmall,
    ];

    /// The kind as Lua's constants spell it: `"NotFound"`; `""` if unknown.
    #[must_use]
    pub fn kind_name(self) -> &'static str {
        self.kind_text().to_str().unwrap_or_default()
    }

    /// As [`Code::kind_name`], with a NUL behind it.
    pub(crate) fn kind_text(self) -> &'static CStr {
        match self {
            Self::Invalid | Self::TooSmall => c"Invalid",
            Self::NotFound => c"NotFound",
            Self::AlreadyExists => c"AlreadyExists",
            Self::PermissionDenied => c"PermissionDenied",
            Self::Unavailable => c"Unavailable",
            Self::Internal | Self::Panic | Self::Forked => c"Internal",
            Self::Canceled => c"Canceled",
            Self::Conflict => c"Conflict",
            Self::Timeout => c"Timeout",
            Self::RateLimited => c"RateLimited",
            Self::Unknown => c"",
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::Conflict | Self::RateLimited)
    }
}

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
        let what = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("of unknown cause");
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
            StorageError::Full { .. } | StorageError::Io { .. } | StorageError::Busy { .. } => {
                Code::Unavailable
            }
            StorageError::NoPermission { .. } => Code::PermissionDenied,
            StorageError::NoDirectory { .. }
            | StorageError::NoFile { .. }
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
            | EntryError::TooManyDependencies
            | EntryError::Spent
            | EntryError::Option { .. }
            | EntryError::NotAnAncestor { .. }
            | EntryError::Filter { .. }
            | EntryError::Pattern { .. }
            | EntryError::List { .. } => Code::Invalid,
            EntryError::NoEntry { .. }
            | EntryError::NoVersion { .. }
            | EntryError::Pruned { .. } => Code::NotFound,
            EntryError::Exists { .. } => Code::AlreadyExists,
            EntryError::Conflict { .. } | EntryError::Overtaken => Code::Conflict,
            EntryError::NoHistory => Code::Unavailable,
            EntryError::Damaged { .. } => Code::Internal,
        };
        let details = match &error {
            EntryError::Conflict { ids, .. } => Some(details_of_ids(ids)),
            _ => None,
        };
        Self { details, ..Self::new(code, error.to_string()) }
    }
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
            OpenError::OtherCopy { .. } => Self::new(Code::Unavailable, error.to_string()),
        }
    }
}
