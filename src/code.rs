//! Codes: what kind of failure something is.

use std::ffi::CStr;

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
