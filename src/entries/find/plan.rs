//! How a filter is answered.

use std::borrow::Cow;

use super::base::Place;
use super::cache::Cache;
use super::column::intersect;
use super::field::Field;
use super::filter::{Condition, Filter};
use super::hits::{Hits, slot};
use super::test::Test;
use crate::entries::entry::Entry;
use crate::entries::state::State;
use crate::sorting;

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
pub(super) fn search(state: &State, cache: &Cache, filter: &Filter) -> Hits {
    if filter.conditions.is_empty() {
        return Hits::of_slots(state.slots().map(|(&slot, ())| slot));
    }
    let scan = || Hits::of_slots(scan(state, filter));
    let Some(place) = state.indexes.place(state, cache) else { return scan() };
    let mut tested = Vec::new();
    let mut indexed = Vec::new();
    for condition in &filter.conditions {
        match place.base.column(&condition.field) {
            Some(column) => indexed.push((column.cost(&condition.test), column, condition)),
            None => tested.push(condition),
        }
    }
    sorting::sort_by(&mut indexed, |a, b| a.0.cmp(&b.0));
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
        None => scan(),
    }
}

/// What was found in the base and passes the rest of the tests, together with
/// what matches among the entries that are not as in the base.
fn join(
    state: &State,
    place: &Place,
    hits: &[u32],
    tested: &[&Condition],
    filter: &Filter,
) -> Hits {
    let Place { base, changed } = place;
    let numbering = &base.numbering;
    // Where entries are by their slots, that is the state's own.
    let is_found = |&rank: &u32| {
        (changed.is_empty() || changed.binary_search(&numbering.slot(rank)).is_err())
            && (tested.is_empty()
                || base
                    .entry(rank)
                    .is_some_and(|entry| tested.iter().all(|condition| condition.holds(entry))))
    };
    let place_of = |rank: u32| match numbering.is_as_made(rank) {
        true => rank,
        false => slot(numbering.slot(rank)),
    };
    // Late ranks stand behind, wherever their ids do.
    let (ordered, late) = hits.split_at(hits.partition_point(|&rank| rank < numbering.ordered()));
    let late = late.iter().copied().filter(is_found).map(|rank| numbering.slot(rank));
    let come = changed
        .iter()
        .copied()
        .filter(|&slot| state.entries.get(slot).is_some_and(|entry| filter.matches(entry)));
    let mut come: Vec<(&Entry, u32)> =
        late.chain(come).filter_map(|slot| Some((state.entries.get(slot)?, slot))).collect();
    if come.is_empty() && changed.is_empty() && tested.is_empty() {
        let places = ordered.iter().copied().map(place_of).collect();
        return Hits::of_places(&numbering.entries, places);
    }
    let found = ordered.iter().copied().filter(is_found);
    sorting::sort_by(&mut come, |a, b| a.0.id_parts().cmp(&b.0.id_parts()));
    let found: Vec<u32> = found.collect();
    let mut all = Vec::with_capacity(found.len() + come.len());
    let mut rest = &found[..];
    for (entry, come) in come {
        let id = entry.id_parts();
        let is_below = |&rank: &u32| base.entry(rank).is_some_and(|other| other.id_parts() < id);
        let (below, above) = rest.split_at(rest.partition_point(is_below));
        all.extend(below.iter().copied().map(place_of));
        all.push(slot(come));
        rest = above;
    }
    all.extend(rest.iter().copied().map(place_of));
    Hits::of_places(&numbering.entries, all)
}
