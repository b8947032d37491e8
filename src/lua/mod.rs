//! The Lua modules, for stock Lua 5.1 to 5.5 and LuaJIT from one binary.
//!
//! The library imports no symbol of Lua. It finds the API of the Lua that
//! called it at run time (`symbols`, `open`) or is given it by a host
//! (`host`), keeps one table of functions per runtime (`api`,
//! `runtimes`), and has all differences between versions in one place
//! (`version`).
//!
//! # Rules for functions that Lua calls
//!
//! A Lua error leaves C and Rust frames by `longjmp`, which runs no
//! destructor; on LuaJIT it is an exception that `catch_unwind` must not meet;
//! and a Rust panic must not reach Lua. So each function goes through three
//! steps:
//!
//! 1. Arguments are read and checked, with no value alive that has a
//!    destructor. Memory that is needed belongs to a userdata: the buffer of
//!    the state (`buffer`) or an object made in advance (`userdata`).
//! 2. The work is done in safe Rust inside `guard`, with no call of Lua.
//! 3. Everything is dropped; then results are pushed, or the error is raised.
//!
//! Pushing may collect garbage, and a finalizer may call any function of ours
//! in the middle of another: nothing is borrowed across such a call but what
//! the running function's stack or upvalues keep alive.

mod api;
mod buffer;
mod call;
mod cdata;
mod context;
mod convert;
mod copies;
mod database;
mod decode;
mod encode;
mod entries;
mod error_object;
mod errors_module;
mod guard;
mod handle;
mod host;
mod kv_functions;
mod modules;
mod open;
mod part;
mod position;
mod root;
mod runtimes;
mod state;
mod symbols;
mod update;
mod userdata;
mod version;
mod walk;

pub use api::State;
pub(crate) use copies::is_open_in_another_copy;
pub use host::{HostApi, attach, set_ident};
