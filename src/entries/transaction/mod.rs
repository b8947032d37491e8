//! Transactions: handlers are asked about every change before it counts.
//!
//! begin, the operations in their order, commit; then the version is written
//! and shown. Whoever refuses has everything undone: those that accepted are
//! given the inverse, newest first, and the discard.
//!
//! | part | module |
//! |---|---|
//! | whose turn it is, among threads | [`turns`] |
//! | who makes a transaction, while it waits | [`caller`] |
//! | handlers, and the kinds they are for | [`handler`], [`kind_pattern`] |
//! | what they are asked, and their answers | [`question`], [`queue`] |
//! | the sequence | [`runner`] |
//! | what handlers may not do | [`inside`] |
//!
//! A handler runs where it belongs: a direct one on the thread that asks, a
//! queued one on the thread of its owner, whenever that serves its queue. No
//! lock is held meanwhile but the turn.

mod caller;
mod handler;
mod inside;
mod kind_pattern;
mod question;
mod queue;
mod runner;
mod turns;

pub use caller::{Attention, Caller, Plain};
pub(super) use handler::Handlers;
pub use handler::{Direct, Handler, Responder, Response, Wants};
pub(super) use inside::{is_inside, is_inside_any};
pub use kind_pattern::KindPattern;
pub use question::{Circumstances, Question, Rejection, Step};
pub use queue::{Item, Queue};
pub(super) use runner::Transaction;
pub(super) use turns::{ThreadTurn, Turns};
