//! Snapshots: the registry at one version, for as long as they are held.

use std::ops::Range;
use std::sync::Arc;

use super::EntryError;
use super::changes::Changes;
use super::entry::Entry;
use super::find::{self, Hits};
use super::handle::Registry;
use super::id::IdRef;
use super::view::View;

/// The registry at one version. Immutable; cloning copies nothing.
///
/// Threads: any. Usable after the database is closed, and in a forked child.
#[derive(Clone)]
pub struct Snapshot {
    view: Arc<View>,
    registry: Registry,
}

impl Snapshot {
    pub(super) fn new(view: Arc<View>, registry: Registry) -> Self {
        Self { view, registry }
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The handle it was taken from.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.view.version
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.view.state.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry with this id.
    #[must_use]
    #[inline]
    pub fn get(&self, id: IdRef<'_>) -> Option<&Entry> {
        self.view.state.get(id)
    }

    /// The entry whose id has this text, if there is a short way to it.
    #[inline(always)]
    pub(crate) fn find_quickly(&self, id: &[u8]) -> Option<Entry> {
        self.view.find_quickly(id)
    }

    /// All entries.
    #[must_use]
    pub fn entries(&self) -> Found {
        self.found(Hits::of_slots(self.view.state.slots().map(|(&slot, ())| slot)))
    }

    /// The entries of one namespace.
    #[must_use]
    pub fn namespace(&self, ns: &[u8]) -> Found {
        self.found(Hits::of_slots(self.view.state.namespace(ns)))
    }

    /// The entries that match a filter, canonical bytes of a map; of those the
    /// part that `options` (a map of `limit` and `offset`) name.
    ///
    /// # Errors
    ///
    /// [`EntryError::Filter`] naming the key, [`EntryError::Option`].
    pub fn find(&self, filter: &[u8], options: Option<&[u8]>) -> Result<Found, EntryError> {
        let page = find::Page::parse(options)?;
        let mut found = self.found(find::find(&self.view.state, &self.view.cache, filter)?);
        found.range = page.range(found.hits.len());
        Ok(found)
    }

    /// As [`Snapshot::find`], of those entries that `allows` lets through: limit
    /// and offset count these.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::find`].
    pub fn find_allowed(
        &self,
        filter: &[u8],
        options: Option<&[u8]>,
        allows: &dyn Fn(&Entry) -> bool,
    ) -> Result<Found, EntryError> {
        let page = find::Page::parse(options)?;
        let hits = find::find(&self.view.state, &self.view.cache, filter)?;
        let mut found = self.found(hits.filter(&self.view.state.entries, allows));
        found.range = page.range(found.hits.len());
        Ok(found)
    }

    /// No changes yet, to be applied on what this shows.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::new(self.clone())
    }

    fn found(&self, hits: Hits) -> Found {
        Found { range: 0..hits.len(), hits, view: Arc::clone(&self.view) }
    }
}

/// Entries of a snapshot, sorted by namespace and name. It keeps the state
/// they are in.
///
/// Threads: any.
#[derive(Clone)]
pub struct Found {
    view: Arc<View>,
    hits: Hits,
    range: Range<usize>,
}

impl Found {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// One of them, counted from 0.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&Entry> {
        if index >= self.range.len() {
            return None;
        }
        self.hits.get(self.range.start + index, &self.view.state.entries)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}
