//! registry and store: key-value state in memory, made durable by the log.
//!
//! One [`Engine`] per open file holds both. A read looks into memory and
//! nowhere else. What differs is when a write counts:
//!
//! - a **registry** write changes memory and marks the key; the background
//!   thread appends marked keys to the log ([`flush`]);
//! - a **store** write is handed to the writer that leads at the moment, which
//!   appends everything that waits in one commit and changes memory after it
//!   ([`commit`]).
//!
//! What a write means ([`edit`]) is the same for both: a decision on the
//! current value, taken under the shard's lock here and in the leader's
//! transaction there. Rows that other processes append are taken in by whoever
//! first sees the shared counter move ([`follow`]); opening a file is the same,
//! from nothing.

mod background;
mod batch;
mod behind;
mod blocks;
mod check;
mod commit;
mod compact;
mod edit;
mod engine;
mod error;
mod expiry;
mod flush;
mod follow;
mod handle;
mod key;
mod registry;
mod space;
mod stats;
mod sure;
mod table;
mod transaction;

pub use batch::Batch;
pub(crate) use check::check_log;
pub(crate) use engine::{Connections, Engine, Settings};
pub use error::KvError;
pub use handle::{Kv, Walk};
pub use stats::{LogFn, LogLevel};
