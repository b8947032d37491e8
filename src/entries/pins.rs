//! Which versions somebody still looks at.

use std::sync::{Arc, Weak};

use super::view::View;
use crate::platform::sync::Mutex;

/// Views that were shown, as far as they are alive.
#[derive(Default)]
pub(super) struct Pins {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    views: Vec<(u64, Weak<View>)>,
    /// How many there may be before the dead are dropped.
    limit: usize,
}

impl Pins {
    /// Takes note of a view that others may hold from now on.
    pub(super) fn add(&self, view: &Arc<View>) {
        let mut inner = self.inner.lock();
        if inner.views.len() >= inner.limit {
            inner.views.retain(|(_, view)| view.strong_count() > 0);
            inner.limit = 2 * inner.views.len() + 64;
        }
        inner.views.push((view.version, Arc::downgrade(view)));
    }

    /// The oldest version that is alive.
    pub(super) fn oldest(&self) -> Option<u64> {
        let inner = self.inner.lock();
        let alive = inner.views.iter().filter(|(_, view)| view.strong_count() > 0);
        alive.map(|&(version, _)| version).min()
    }
}
