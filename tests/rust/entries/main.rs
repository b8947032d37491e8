//! The entry registry and its transactions, as Rust has them. One program: each
//! takes longer to link than its tests to run. Those that need a process of
//! their own stand beside it.
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod deferral;
mod feeds;
mod handlers;
mod handlers_gone;
mod history;
mod loading;
mod registry;
mod transactions;
mod transactions_model;
mod transactions_threads;
