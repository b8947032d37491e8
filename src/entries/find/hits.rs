//! What a search found.

use std::sync::Arc;

use crate::entries::entry::Entry;
use crate::entries::state::Entries;

/// Marks a slot; a place among the entries of a base has no mark.
const SLOT: u32 = 1 << 31;

/// Entries of a state, in the order of their ids. Cloning copies nothing.
///
/// Those that are as a base has them are given by their place there: one step
/// to the entry, where a slot is several.
#[derive(Clone)]
pub(in crate::entries) struct Hits {
    inner: Arc<Inner>,
}

struct Inner {
    /// Entries of a base by rank; none where all are given by their slots.
    ranked: Option<Arc<[Entry]>>,
    places: Box<[u32]>,
}

/// The mark of a slot. There are fewer than 2^31: as many entries would take
/// half a terabyte.
#[inline]
pub(super) fn slot(slot: u32) -> u32 {
    slot | SLOT
}

impl Hits {
    /// Entries by their slots.
    pub(in crate::entries) fn of_slots(slots: impl IntoIterator<Item = u32>) -> Self {
        Self::new(None, slots.into_iter().map(slot).collect())
    }

    /// Entries by marked slots, and by ranks in `ranked`.
    pub(super) fn of_places(ranked: &Arc<[Entry]>, places: Vec<u32>) -> Self {
        Self::new(Some(Arc::clone(ranked)), places.into())
    }

    fn new(ranked: Option<Arc<[Entry]>>, places: Box<[u32]>) -> Self {
        Self { inner: Arc::new(Inner { ranked, places }) }
    }

    /// How many there are.
    pub(in crate::entries) fn len(&self) -> usize {
        self.inner.places.len()
    }

    /// One of them; `entries` are those of the state.
    #[inline]
    pub(in crate::entries) fn get<'a>(
        &'a self,
        index: usize,
        entries: &'a Entries,
    ) -> Option<&'a Entry> {
        let Inner { ranked, places } = &*self.inner;
        let place = *places.get(index)?;
        match ranked {
            Some(ranked) if place & SLOT == 0 => ranked.get(place as usize),
            _ => entries.get(place & !SLOT),
        }
    }

    /// Those that `allows` lets through.
    pub(in crate::entries) fn filter(
        &self,
        entries: &Entries,
        allows: &dyn Fn(&Entry) -> bool,
    ) -> Self {
        let is_allowed = |&index: &usize| self.get(index, entries).is_some_and(allows);
        let Inner { ranked, places } = &*self.inner;
        let allowed = (0..self.len()).filter(is_allowed).map(|index| places[index]).collect();
        Self::new(ranked.clone(), allowed)
    }

    /// How many bytes it takes, without what is shared with others.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.inner.places)
    }
}
