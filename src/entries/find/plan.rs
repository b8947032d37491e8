//! How a filter is answered.

use std::borrow::Cow;

use super::base::Place;
use super::cache::Cache;
use super::column::intersect;
use super::field::Field;
use super::filter::{Condition, Filter};
use super::test::Test;
use crate::entries::state::State;

/// Testing an entry costs about as much as looking at so many keys of a
/// column.
const ENTRY_COST: usize = 4;

/// The slots of the entries that match, in the order of their ids: every
/// entry, or every one of the namespace that the filter names, is tested.
pub(super) fn scan(state: &State, filter: &Filter) -> Vec<u32> {
    let matches = |slot: &u32| state.entries.get(*slot).is_some_and(|entry| filter.matches(entry));
    let ns =
        filter.conditions.iter().find_map(|condition| match (&condition.field, &condition.test) {
            (Field::Namespace, Test::Glob(glob)) => glob.literal(),
            _ => None,
        });
    match ns {
        Some(ns) => state.namespace(ns).filter(matches).collect(),
        None => state.slots().map(|(&slot, ())| slot).filter(matches).collect(),
    }
}

/// As [`scan`], with the help of indexes.
pub(super) fn search(state: &State, cache: &Cache, filter: &Filter) -> Vec<u32> {
    if filter.conditions.is_empty() {
        return state.slots().map(|(&slot, ())| slot).collect();
    }
    let Some(place) = state.indexes.place(state, cache) else { return scan(state, filter) };
    let mut tested = Vec::new();
    let mut indexed = Vec::new();
    for condition in &filter.conditions {
        match place.base.column(&condition.field) {
            Some(column) => indexed.push((column.cost(&condition.test), column, condition)),
            None => tested.push(condition),
        }
    }
    indexed.sort_by_key(|&(cost, ..)| cost);
    let mut hits: Option<Cow<'_, [u32]>> = None;
    for (cost, column, condition) in &indexed {
        if hits.as_ref().is_some_and(|hits| hits.len() * ENTRY_COST < *cost) {
            tested.push(condition);
            continue;
        }
        let look = |rank| place.base.entry(rank).is_some_and(|entry| condition.holds(entry));
        match (column.hits(&condition.test, look), hits.take()) {
            (Some(more), Some(hits_so_far)) => hits = Some(intersect(&hits_so_far, &more).into()),
            (Some(first), None) => hits = Some(first),
            (None, before) => {
                hits = before;
                tested.push(condition);
            }
        }
    }
    match hits {
        Some(hits) => join(state, &place, &hits, &tested, filter),
        None => scan(state, filter),
    }
}

/// The slots of what was found in the base and passes the rest of the tests,
/// together with what matches among the entries that are not as in the base.
fn join(
    state: &State,
    place: &Place,
    hits: &[u32],
    tested: &[&Condition],
    filter: &Filter,
) -> Vec<u32> {
    let Place { base, changed } = place;
    let passes = |slot: &u32| {
        tested.is_empty()
            || state
                .entries
                .get(*slot)
                .is_some_and(|entry| tested.iter().all(|condition| condition.holds(entry)))
    };
    let found = hits.iter().map(|&rank| base.slot(rank));
    if changed.is_empty() {
        return found.filter(passes).collect();
    }
    let is_same = |slot: &u32| changed.binary_search(slot).is_err();
    let found: Vec<u32> = found.filter(is_same).filter(passes).collect();
    let mut come: Vec<(&_, u32)> = changed
        .iter()
        .filter_map(|&slot| Some((state.entries.get(slot)?, slot)))
        .filter(|(entry, _)| filter.matches(entry))
        .collect();
    if come.is_empty() {
        return found;
    }
    come.sort_unstable_by(|a, b| a.0.id().cmp(b.0.id()));
    let mut all = Vec::with_capacity(found.len() + come.len());
    let mut rest = &found[..];
    for (entry, slot) in come {
        let id = entry.id().parts();
        let (below, above) =
            rest.split_at(rest.partition_point(|&other| state.entries.compare(other, id).is_lt()));
        all.extend_from_slice(below);
        all.push(slot);
        rest = above;
    }
    all.extend_from_slice(rest);
    all
}
