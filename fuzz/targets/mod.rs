//! What is fuzzed: functions that take any bytes and panic if a promise is
//! broken.
//!
//! The same functions run under libFuzzer (`scripts/fuzz`) and, over the corpora
//! and a bounded number of mutations of them, as a plain test
//! (`tests/rust/fuzzed.rs`).

pub mod calls;
pub mod changeset;
pub mod file;
pub mod find;
pub mod ids;
pub mod json;
pub mod kinds;
pub mod msgpack;

mod bytes;
mod files;
mod tree;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 8] = [
    ("msgpack", msgpack::run),
    ("json", json::run),
    ("find", find::run),
    ("ids", ids::run),
    ("kinds", kinds::run),
    ("changeset", changeset::run),
    ("file", file::run),
    ("calls", calls::run),
];
