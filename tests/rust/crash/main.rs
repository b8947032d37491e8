//! Crashes and faults: what a power cut can leave of a file, and what the
//! library does when a call of the system fails.
//!
//! `scripts/crash` runs it at length; `ACERVO_CRASH_SEED` and
//! `ACERVO_CRASH_FACTOR` choose what is tried and how much of it.
#![allow(missing_docs, unreachable_pub, reason = "one program")]
#![allow(clippy::print_stdout, reason = "tells how much was tried")]

#[path = "../common/mod.rs"]
mod common;

mod check;
mod cut;
mod disk;
mod faults;
mod memory;
mod power;
mod random;
mod trouble;
mod work;
