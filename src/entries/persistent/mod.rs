//! Persistent structures: a clone is a pointer, and a change copies only the
//! path to what it changes.
//!
//! A change to a structure that nobody else holds is made in place, so that
//! the many changes of one apply copy each node once.

mod tree;
mod vector;

pub(super) use tree::{Iter, Tree};
pub(super) use vector::Vector;
