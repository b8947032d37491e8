//! States of earlier versions that are at hand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::view::View;
use crate::platform::sync::Mutex;

/// Every so many versions one keeps its state, where changesets are in memory:
/// the way from one to any version is short.
const CHECKPOINT: u64 = 32;
/// How many states that were asked for are kept.
const ASKED: usize = 4;

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

    /// What was asked for at this version, if it is still kept.
    pub(super) fn asked(&self, version: u64) -> Option<Arc<View>> {
        self.inner.lock().asked(version).cloned()
    }

    /// The state of this version, if it is at hand. To compute with: a
    /// checkpoint stays for good, and so would what searches leave in it.
    pub(super) fn near(&self, version: u64) -> Option<Arc<View>> {
        let inner = self.inner.lock();
        inner.asked(version).or_else(|| inner.checkpoints.get(&version)).cloned()
    }

    /// Forgets the states of versions that are no more.
    pub(super) fn forget(&self, is_gone: impl Fn(u64) -> bool) {
        let mut inner = self.inner.lock();
        inner.checkpoints.retain(|&version, _| !is_gone(version));
        inner.asked.retain(|view| !is_gone(view.version));
    }

    pub(super) fn clear(&self) {
        self.forget(|_| true);
    }
}
