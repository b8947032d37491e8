//! The C ABI: `include/acervo.h` is generated from this folder.
//!
//! Every exported function has the same shape. Out parameters are reset, the
//! body runs behind the panic wall ([`wall`]), raw pointers become references
//! in one place each ([`raw`]), and a failure becomes a code and, if the caller
//! wants it, an owned error. What a function means is in the modules below;
//! here is only the crossing.
#![allow(non_camel_case_types, reason = "the types have their C names")]
#![allow(unreachable_pub, dead_code, reason = "C reaches them: cbindgen reads this folder")]

mod batch;
mod changes;
mod convert;
mod database;
mod dependencies;
mod entry;
mod error;
mod feed;
mod handlers;
mod history;
mod kv;
mod kv_many;
mod log;
mod lua;
mod op;
#[cfg(test)]
mod panics;
mod policy;
mod raw;
mod snapshot;
mod value;
mod version;
mod wall;
