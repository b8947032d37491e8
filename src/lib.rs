//! acervo: an embeddable registry, store and versioned entry registry for
//! agents, in one shared library for C, C++ and every Lua.
//!
//! Agents, edge daemons and application runtimes keep their state in it:
//!
//! - the **registry**, key-value state that all scripts share, at the speed of
//!   memory;
//! - the **store**, durable key-value state, each script in a namespace of its
//!   own;
//! - the **entries**, a registry of typed entries whose every change is a
//!   version that can be read, compared and returned to.
//!
//! All three live in memory over one SQLite file. The layers, from the user down:
//!
//! | module | what it is |
//! |---|---|
//! | `ffi` | the C ABI of `include/acervo.h` |
//! | [`lua`] | the Lua modules, bound to the host's Lua at run time |
//! | [`database`] | handles on files: opening, sharing, closing |
//! | [`entries`] | versions, snapshots, changesets, history, search |
//! | [`kv`] | registry and store: what calls mean, and when they count |
//! | `storage` | the file: an append-ordered log and the history, in SQLite |
//! | `platform` | fork, exit, signals, clocks, shared memory |
//! | [`value`] | values, as canonical MessagePack |
//! | [`error`] | every failure as a code, a kind and a message |
//!
//! Imports run downwards only. Unsafe code stands in `ffi`, [`lua`] and
//! `platform`; docs/design.md tells why things are as they are.
//!
//! From Rust the library is used through [`database::Database`]:
//!
//! ```
//! use acervo::database::{Database, Options};
//! use acervo::value::Value;
//!
//! let db = Database::open(b":memory:", &Options::default())?;
//! let config = Value::from_json(br#"{"timeout": 30, "servers": ["a", "b"]}"#)?;
//! db.registry().put(b"config", config.as_bytes(), None)?;
//!
//! let read = db.registry().get(b"config")?.expect("it was just put");
//! assert_eq!(read, config);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod code;
pub mod database;
pub mod entries;
pub mod error;
mod fault;
#[allow(unsafe_code, reason = "C passes pointers")]
mod ffi;
mod guard;
mod hashing;
pub mod kv;
#[allow(unsafe_code, reason = "so does Lua")]
pub mod lua;
#[allow(unsafe_code, reason = "system calls")]
mod platform;
mod report;
mod sorting;
mod storage;
pub mod value;

pub use guard::Unusable;
pub use storage::StorageError;
