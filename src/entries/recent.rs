//! States of earlier versions that are at hand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::state::State;
use super::view::View;
use crate::platform::sync::Mutex;

/// Every so many versions one keeps its state, where changesets are in memory:
/// the way from one to any version is short.
const CHECKPOINT: u64 = 32;
/// How many states that were asked for are kept.
const ASKED: usize = 4;
/// How many states are kept to begin at, of those that were passed on the way to
/// what was asked for.
const STOPS: usize = 128;

/// States by their version.
#[derive(Default)]
pub(super) struct Recent {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    checkpoints: BTreeMap<u64, Arc<View>>,
    /// The one asked for last stands first.
    asked: VecDeque<Arc<View>>,
    /// The one used last stands first.
    stops: VecDeque<Stop>,
}

/// A state to begin at.
struct Stop {
    view: Arc<View>,
    /// About how many entries are kept for it alone.
    weight: usize,
}

impl Inner {
    fn asked(&self, version: u64) -> Option<&Arc<View>> {
        self.asked.iter().find(|view| view.version == version)
    }
}

impl Recent {
    /// Keeps the state of this version if it is a checkpoint.
    pub(super) fn checkpoint(&self, view: &View) {
        if view.version.is_multiple_of(CHECKPOINT) {
            let bare = View::new(view.version, view.state.without_indexes());
            self.inner.lock().checkpoints.insert(view.version, Arc::new(bare));
        }
    }

    /// Keeps a state that was asked for.
    pub(super) fn keep(&self, view: &Arc<View>) {
        let mut inner = self.inner.lock();
        inner.asked.retain(|other| other.version != view.version);
        inner.asked.push_front(Arc::clone(view));
        let over = if inner.asked.len() > ASKED { inner.asked.pop_back() } else { None };
        // A state may be large: it goes without the lock.
        drop(inner);
        drop(over);
    }

    /// Keeps a state that was passed, `weight` operations behind the one where
    /// that began; all of them together up to `limit` operations.
    pub(super) fn keep_stop(&self, version: u64, state: &State, weight: usize, limit: usize) {
        let view = Arc::new(View::new(version, state.without_indexes()));
        let mut over = Vec::new();
        let mut inner = self.inner.lock();
        inner.stops.retain(|stop| stop.view.version != version);
        inner.stops.push_front(Stop { view, weight });
        let mut together = inner.stops.iter().map(|stop| stop.weight).sum::<usize>();
        while inner.stops.len() > STOPS || together > limit {
            let Some(stop) = inner.stops.pop_back() else { break };
            together -= stop.weight;
            over.push(stop);
        }
        drop(inner);
        drop(over);
    }

    /// The state at hand of the lowest version above this one.
    pub(super) fn above(&self, version: u64) -> Option<Arc<View>> {
        let inner = self.inner.lock();
        let stops = inner.stops.iter().map(|stop| &stop.view);
        let passed = stops.chain(&inner.asked).filter(|view| view.version > version);
        let lowest = passed.min_by_key(|view| view.version);
        let checkpoint = inner.checkpoints.range(version + 1..).next().map(|(_, view)| view);
        lowest.into_iter().chain(checkpoint).min_by_key(|view| view.version).cloned()
    }

    /// What was asked for at this version, if it is still kept.
    pub(super) fn asked(&self, version: u64) -> Option<Arc<View>> {
        self.inner.lock().asked(version).cloned()
    }

    /// The state of this version, if it is at hand. To compute with: a
    /// checkpoint stays for good, and so would what searches leave in it.
    pub(super) fn near(&self, version: u64) -> Option<Arc<View>> {
        let mut inner = self.inner.lock();
        if let Some(place) = inner.stops.iter().position(|stop| stop.view.version == version)
            && let Some(stop) = inner.stops.remove(place)
        {
            let view = Arc::clone(&stop.view);
            inner.stops.push_front(stop);
            return Some(view);
        }
        inner.asked(version).or_else(|| inner.checkpoints.get(&version)).cloned()
    }

    /// Forgets the states of versions that are no more.
    pub(super) fn forget(&self, is_gone: impl Fn(u64) -> bool) {
        let mut inner = self.inner.lock();
        inner.checkpoints.retain(|&version, _| !is_gone(version));
        inner.asked.retain(|view| !is_gone(view.version));
        inner.stops.retain(|stop| !is_gone(stop.view.version));
    }

    pub(super) fn clear(&self) {
        self.forget(|_| true);
    }
}
