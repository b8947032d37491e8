//! Searching.

mod cache;
mod index;

pub(super) use cache::Cache;
pub(super) use index::Indexes;
