//! Searching: the entries that meet every condition of a filter.
//!
//! | step | module |
//! |---|---|
//! | a filter becomes conditions: a field, and a test of what it holds | [`filter`], [`field`], [`test`](mod@test), [`glob`] |
//! | a result that was found before at this version is given again | [`cache`] |
//! | fields that were asked for before have their values sorted, each with the entries that hold it | [`column`], [`sorted`], [`key`], [`base`] |
//! | entries are numbered in the order of their ids | [`numbering`] |
//! | what changed since then is found by comparing structures, and tested entry by entry | [`base`], [`plan`] |
//! | the part that was asked for is cut out | [`page`] |
//!
//! Indexes are made by whoever searches, behind no lock that others wait for:
//! an apply does nothing for them. They always give what testing every entry
//! would give.

mod base;
mod cache;
mod column;
mod field;
mod filter;
mod glob;
mod hits;
mod key;
mod numbering;
mod page;
mod plan;
mod sorted;
mod test;
#[cfg(test)]
mod tests;

pub(super) use base::Indexes;
pub(super) use cache::Cache;
pub(super) use hits::Hits;
pub(super) use page::Page;

use super::EntryError;
use super::state::State;
use filter::Filter;

/// The entries of `state` that match `filter`, canonical bytes of a map, in the
/// order of their ids. `cache` is of the same version.
pub(super) fn find(state: &State, cache: &Cache, filter: &[u8]) -> Result<Hits, EntryError> {
    if state.is_forked() {
        // What threads of the parent held locked stays locked here.
        return Ok(Hits::of_slots(plan::scan(state, &Filter::parse(filter)?)));
    }
    if let Some(found) = cache.get(filter) {
        return Ok(found);
    }
    let found = plan::search(state, cache, &Filter::parse(filter)?);
    cache.put(filter, &found);
    Ok(found)
}
