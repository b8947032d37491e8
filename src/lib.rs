//! acervo: an embeddable registry, store and versioned entry registry for
//! agents, in one shared library for C, C++ and every Lua.

pub mod database;
pub mod error;
mod ffi;
pub mod kv;
pub mod lua;
mod platform;
mod storage;
pub mod value;

pub use storage::StorageError;
