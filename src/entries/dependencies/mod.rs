//! What depends on what.

mod links;
mod order;
mod patterns;

pub(super) use links::Links;
pub(super) use order::{Known, order};
pub(super) use patterns::Patterns;
