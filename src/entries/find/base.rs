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
use super::column::{Column, Moves};
use super::field::Field;
use super::key::{Key, keys_of};
use super::numbering::Numbering;
use crate::entries::entry::Entry;
use crate::entries::state::{Entries, State};
use crate::platform::sync::Mutex;

/// Most fields that are indexed; the least recently asked for goes first.
const FIELDS: usize = 32;

/// As many entries that differ are tested one by one. Tests have fewer.
const PATIENCE: usize = if cfg!(test) { 4 } else { 64 };

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
    pub(super) numbering: Numbering,
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
        let differences = |latest: &Option<Arc<Base>>| {
            let limit = 4 * PATIENCE + state.len() / 4;
            latest.as_ref().and_then(|base| base.differences(&state.entries, limit))
        };
        let mut latest = self.latest.load_full();
        let mut changed = differences(&latest);
        if changed.as_ref().is_none_or(|changed| changed.len() > PATIENCE) {
            let Some(_making) = self.making.try_lock() else {
                let (base, changed) = latest.zip(changed)?;
                return Some(Place { base, changed: changed.into() });
            };
            // Somebody may have been faster.
            latest = self.latest.load_full();
            changed = differences(&latest);
            if changed.as_ref().is_none_or(|changed| changed.len() > PATIENCE) {
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
        let numbering = Numbering::of(state);
        Self { entries: state.entries.clone(), numbering, fields: Mutex::new(fields) }
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
        match self.numbering.is_as_made(rank) {
            true => self.numbering.entries.get(rank as usize),
            false => self.entries.get(self.numbering.slot(rank)),
        }
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
        let column = self.build_column(field).map(Arc::new);
        let mut fields = self.fields.lock();
        if let Some(known) = fields.known.iter_mut().find(|known| known.field == *field) {
            known.column = column.clone().map_or(Index::TooLarge, Index::Built);
        }
        column
    }

    fn build_column(&self, field: &Field) -> Option<Column> {
        let ranks = self.numbering.ranks();
        let entry = |(rank, slot)| {
            let entry = self.entries.get(slot)?;
            // One that went and came again has several ranks.
            (ranks.of(slot) == Some(rank)).then_some((rank, entry))
        };
        Column::build(field, self.numbering.iter().filter_map(entry))
    }

    /// The base of `state`, which differs in the slots `changed`, with the
    /// columns of this one moved along. Costs what changed, most times.
    fn moved_to(&self, state: &State, changed: &[u32]) -> Self {
        let ranks = self.numbering.ranks();
        let mut numbering = self.numbering.clone();
        let mut changes = Vec::with_capacity(changed.len());
        for &slot in changed {
            let (old, new) = (self.entries.get(slot), state.entries.get(slot));
            let rank = match (old, new) {
                (None, None) => continue,
                (None, Some(_)) => numbering.add(slot),
                (Some(_), new) => {
                    // Whatever had an entry has a rank.
                    let Some(rank) = ranks.of(slot) else { continue };
                    numbering.note_change(rank, new.is_none());
                    rank
                }
            };
            changes.push(Change { rank, old, new });
        }
        let mut fields = self.fields.lock().clone();
        for known in &mut fields.known {
            let Index::Built(column) = &known.column else { continue };
            let moves = moves_of(&known.field, &changes);
            if moves.is_empty() {
                continue;
            }
            let column = column.changed(moves);
            known.column = column.map_or(Index::TooLarge, |column| Index::Built(Arc::new(column)));
        }
        if numbering.is_worn() {
            let anew = Numbering::of(state);
            let new_ranks = anew.ranks();
            // Ranks that nobody has any more are in no column.
            let new_rank = |rank| new_ranks.of(numbering.slot(rank)).unwrap_or(rank);
            for known in &mut fields.known {
                let Index::Built(column) = &known.column else { continue };
                let column = column.renumbered(new_rank);
                known.column =
                    column.map_or(Index::TooLarge, |column| Index::Built(Arc::new(column)));
            }
            drop(new_ranks);
            numbering = anew;
        }
        Self { entries: state.entries.clone(), numbering, fields: Mutex::new(fields) }
    }
}

/// An entry that is not as it was; on one side there may be none.
struct Change<'a> {
    rank: u32,
    old: Option<&'a Entry>,
    new: Option<&'a Entry>,
}

/// How the column of a field changes.
fn moves_of<'a>(field: &Field, changes: &[Change<'a>]) -> Moves<'a> {
    let mut moves = Moves::default();
    let (mut before, mut now) = (Vec::new(), Vec::new());
    for &Change { rank, old, new } in changes {
        if let (Some(old), Some(new)) = (old, new)
            && field.is_surely_same(old, new)
        {
            continue;
        }
        before.clear();
        now.clear();
        let was_whole = old.is_none_or(|old| keys_of(field, old, &mut before));
        let is_whole = new.is_none_or(|new| keys_of(field, new, &mut now));
        let pairs = |keys: &[Key<'a>], others: &[Key<'a>], pairs: &mut Vec<(Key<'a>, u32)>| {
            let others = |key: &&Key<'a>| others.binary_search(key).is_err();
            pairs.extend(keys.iter().filter(others).map(|&key| (key, rank)));
        };
        pairs(&before, &now, &mut moves.leave);
        pairs(&now, &before, &mut moves.come);
        if was_whole != is_whole {
            let which = if is_whole { &mut moves.were_unkeyed } else { &mut moves.are_unkeyed };
            which.push(rank);
        }
    }
    moves
}
