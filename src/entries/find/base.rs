//! What searches build on: a state whose fields are indexed as far as they
//! were asked for.
//!
//! One base serves many versions. A state differs from it in few entries, and
//! persistent structures tell quickly in which; those are tested one by one
//! until they are too many, and then a new base is made of the old.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;

use super::cache::Cache;
use super::column::{Column, Key, keys_of};
use super::field::Field;
use crate::entries::entry::Entry;
use crate::entries::state::{Entries, State};
use crate::platform::sync::Mutex;

/// Most fields that are indexed; the least recently asked for goes first.
const FIELDS: usize = 32;

/// The indexes of a registry, shared by all its states.
#[derive(Default)]
pub(in crate::entries) struct Indexes {
    /// The base of the newest version that was searched.
    latest: ArcSwapOption<Base>,
    /// Changes since somebody searched.
    idle_changes: AtomicUsize,
    /// Held by who makes a base.
    making: Mutex<()>,
}

/// An indexed state.
pub(super) struct Base {
    entries: Entries,
    /// Slots by rank.
    slots: Arc<[u32]>,
    fields: Mutex<Fields>,
}

#[derive(Clone, Default)]
struct Fields {
    known: Vec<Known>,
    /// Counts searches.
    clock: u64,
}

/// A field that was asked for.
#[derive(Clone)]
struct Known {
    field: Field,
    asked: u64,
    column: Index,
}

#[derive(Clone)]
enum Index {
    /// It was asked for once: that is not worth an index.
    Wanted,
    Built(Arc<Column>),
    TooLarge,
}

/// How a state stands to a base: the slots in which it differs, ascending.
#[derive(Clone)]
pub(in crate::entries) struct Place {
    pub(super) base: Arc<Base>,
    pub(super) changed: Arc<[u32]>,
}

impl Indexes {
    /// Takes note of a change of a state with `len` entries: indexes that
    /// nobody uses are given up some time, and the entries that only they hold
    /// with them.
    #[inline]
    pub(in crate::entries) fn note_change(&self, len: usize) {
        let changes = self.idle_changes.fetch_add(1, Ordering::Relaxed);
        if changes > 4096 + len {
            self.forget();
        }
    }

    /// Gives the indexes up.
    pub(in crate::entries) fn forget(&self) {
        self.idle_changes.store(0, Ordering::Relaxed);
        self.latest.store(None);
    }

    /// A base for `state`, whose cache this is. `None` if somebody is making
    /// one at this moment.
    pub(super) fn place(&self, state: &State, cache: &Cache) -> Option<Place> {
        self.idle_changes.store(0, Ordering::Relaxed);
        if let Some(place) = &*cache.place.lock() {
            return Some(place.clone());
        }
        let place = self.find_place(state)?;
        *cache.place.lock() = Some(place.clone());
        Some(place)
    }

    fn find_place(&self, state: &State) -> Option<Place> {
        let patience = 64 + state.len() / 256;
        let differences = |latest: &Option<Arc<Base>>| {
            latest.as_ref().and_then(|base| base.differences(&state.entries, 8 * patience))
        };
        let mut latest = self.latest.load_full();
        let mut changed = differences(&latest);
        if changed.as_ref().is_none_or(|changed| changed.len() > patience) {
            let Some(_making) = self.making.try_lock() else {
                let (base, changed) = latest.zip(changed)?;
                return Some(Place { base, changed: changed.into() });
            };
            // Somebody may have been faster.
            latest = self.latest.load_full();
            changed = differences(&latest);
            if changed.as_ref().is_none_or(|changed| changed.len() > patience) {
                let base = Arc::new(match (&latest, changed) {
                    (Some(latest), Some(changed)) => latest.moved_to(state, &changed),
                    (Some(latest), None) => latest.made_anew(state),
                    (None, _) => Base::new(state, Fields::default()),
                });
                self.latest.store(Some(Arc::clone(&base)));
                return Some(Place { base, changed: Arc::default() });
            }
        }
        let (base, changed) = latest.zip(changed)?;
        Some(Place { base, changed: changed.into() })
    }
}

impl Base {
    fn new(state: &State, fields: Fields) -> Self {
        let slots = state.slots().map(|(&slot, ())| slot).collect();
        Self { entries: state.entries.clone(), slots, fields: Mutex::new(fields) }
    }

    /// A base for a state that has little in common with this one: the same
    /// fields are wanted.
    fn made_anew(&self, state: &State) -> Self {
        let mut fields = self.fields.lock().clone();
        fields.known.iter_mut().for_each(|known| known.column = Index::Wanted);
        Self::new(state, fields)
    }

    /// The slots in which `entries` differ, ascending; `None` if they are more
    /// than `limit`.
    fn differences(&self, entries: &Entries, limit: usize) -> Option<Vec<u32>> {
        let mut slots = Vec::new();
        let flow = self.entries.differences(entries, &mut |slot| {
            slots.push(slot);
            if slots.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        flow.is_continue().then_some(slots)
    }

    /// The entry of a rank.
    pub(super) fn entry(&self, rank: u32) -> Option<&Entry> {
        self.entries.get(self.slot(rank))
    }

    /// The slot of a rank.
    #[inline]
    pub(super) fn slot(&self, rank: u32) -> u32 {
        self.slots[rank as usize]
    }

    /// The column of a field, from the second time on that it is asked for.
    pub(super) fn column(&self, field: &Field) -> Option<Arc<Column>> {
        if field.is_long() {
            return None;
        }
        {
            let mut fields = self.fields.lock();
            let fields = &mut *fields;
            fields.clock += 1;
            let asked = fields.clock;
            match fields.known.iter_mut().find(|known| known.field == *field) {
                Some(known) => {
                    known.asked = asked;
                    match &known.column {
                        Index::Built(column) => return Some(Arc::clone(column)),
                        Index::TooLarge => return None,
                        Index::Wanted => {}
                    }
                }
                None => {
                    if fields.known.len() >= FIELDS
                        && let Some(oldest) =
                            (0..fields.known.len()).min_by_key(|&place| fields.known[place].asked)
                    {
                        fields.known.swap_remove(oldest);
                    }
                    let field = field.clone();
                    fields.known.push(Known { field, asked, column: Index::Wanted });
                    return None;
                }
            }
        }
        // Built without the lock, so that nobody waits.
        let entries = (0_u32..).zip(&*self.slots);
        let column = Column::build(
            field,
            entries.filter_map(|(rank, &slot)| Some((rank, self.entries.get(slot)?))),
        )
        .map(Arc::new);
        let mut fields = self.fields.lock();
        if let Some(known) = fields.known.iter_mut().find(|known| known.field == *field) {
            known.column = column.clone().map_or(Index::TooLarge, Index::Built);
        }
        column
    }

    /// The base of `state`, which differs in the slots `changed`, with the
    /// columns of this one moved along.
    fn moved_to(&self, state: &State, changed: &[u32]) -> Self {
        let (slots, moved, come) = self.ranks_in(state, changed);
        let mut fields = self.fields.lock().clone();
        for known in &mut fields.known {
            let Index::Built(column) = &known.column else { continue };
            let (mut pairs, mut unkeyed, mut keys) = (Vec::new(), Vec::new(), Vec::new());
            for &rank in &come {
                let Some(entry) = state.entries.get(slots[rank as usize]) else { continue };
                if !keys_of(&known.field, entry, &mut keys) {
                    unkeyed.push(rank);
                }
                pairs.extend(keys.iter().map(|&key| (key, rank)));
            }
            pairs.sort_unstable();
            let pairs: &[(Key<'_>, u32)] = &pairs;
            known.column = column
                .moved(&moved, pairs, &unkeyed)
                .map_or(Index::TooLarge, |column| Index::Built(Arc::new(column)));
        }
        Self { entries: state.entries.clone(), slots, fields: Mutex::new(fields) }
    }

    /// The slots of `state` by rank; the new rank of each old one, `u32::MAX`
    /// for those that changed; and the new ranks of those, ascending.
    fn ranks_in(&self, state: &State, changed: &[u32]) -> (Arc<[u32]>, Vec<u32>, Vec<u32>) {
        let is_changed = |slot: u32| changed.binary_search(&slot).is_ok();
        let slots: Arc<[u32]> = state.slots().map(|(&slot, ())| slot).collect();
        let mut moved = vec![u32::MAX; self.slots.len()];
        let mut come = Vec::with_capacity(changed.len());
        // What did not change stands in the same order on both sides.
        let mut old = (0_u32..).zip(&*self.slots).filter(|&(_, &slot)| !is_changed(slot));
        for (rank, &slot) in (0_u32..).zip(&*slots) {
            if is_changed(slot) {
                come.push(rank);
            } else if let Some((before, _)) = old.next() {
                moved[before as usize] = rank;
            }
        }
        (slots, moved, come)
    }
}
