//! What depends on what, and the order that makes of operations.

mod cycles;
mod delta;
mod edges;
mod graph;
mod links;
mod order;
mod patterns;
mod stops;
mod target;
#[cfg(test)]
mod tests;

pub(super) use delta::delta;
pub(super) use links::{Links, dependencies, dependents};
pub(super) use order::order;
pub(super) use patterns::Patterns;
