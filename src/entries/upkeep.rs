//! What is done behind: writing what is derived from new versions, and pruning
//! old ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::engine::Engine;
use super::lineage::ROOT;

/// New versions after which it pays to write what is derived from them. So many
/// are replayed at open in some tens of milliseconds, and together they change
/// far fewer pages than one by one.
const BEHIND: u64 = 2048;
/// How often what failed is tried again at once.
const RETRIES: u64 = 8;
/// With more entries than this, pruning waits until it takes out a quarter:
/// each time the whole state is written.
const PRUNED_AT_ONCE: usize = 1000;

/// Has another thread do a task.
pub(crate) type Post = Box<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// Notes for what is done behind.
pub(super) struct Upkeep {
    post: Post,
    /// Transactions since the last time.
    behind: AtomicU64,
    /// How often it failed in a row.
    failures: AtomicU64,
    /// A task is waiting or at work.
    is_posted: AtomicBool,
}

impl Upkeep {
    /// `behind` versions are there from which nothing is derived yet.
    pub(super) fn new(post: Post, behind: u64) -> Self {
        Self {
            post,
            behind: AtomicU64::new(behind),
            failures: AtomicU64::new(0),
            is_posted: AtomicBool::new(false),
        }
    }
}

impl Engine {
    /// Has done what is due after a transaction.
    pub(super) fn keep_up(self: &Arc<Self>) {
        let behind = self.upkeep.behind.fetch_add(1, Ordering::Relaxed) + 1;
        if behind >= BEHIND || self.prunable().is_some() {
            self.post_upkeep(behind);
        }
    }

    /// Has another thread do it, unless one is at it.
    fn post_upkeep(self: &Arc<Self>, behind: u64) {
        if self.upkeep.is_posted.swap(true, Ordering::AcqRel) {
            // It may be waiting for a thread that could not be started: that is
            // tried again for what comes new.
            if behind >= BEHIND && behind.is_multiple_of(BEHIND) {
                (self.upkeep.post)(Box::new(|| ()));
            }
            return;
        }
        // What comes from here on is another time's work.
        self.upkeep.behind.store(0, Ordering::Relaxed);
        self.post_portion();
    }

    /// Has another thread do a portion.
    fn post_portion(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        (self.upkeep.post)(Box::new(move || {
            let Some(engine) = engine.upgrade() else { return };
            // A writer may have come between; what cannot be written at all is
            // tried again after the next versions. Nothing depends on it.
            let is_more = match engine.history.derive() {
                Ok(is_more) => {
                    engine.upkeep.failures.store(0, Ordering::Relaxed);
                    is_more
                }
                Err(_) => engine.upkeep.failures.fetch_add(1, Ordering::Relaxed) < RETRIES,
            };
            engine.prune_old();
            if is_more {
                return engine.post_portion();
            }
            // Whoever made versions meanwhile found the task at work, and may
            // have had the turn when it came to prune. The swap shows what they
            // counted.
            engine.upkeep.is_posted.swap(false, Ordering::AcqRel);
            let behind = engine.upkeep.behind.load(Ordering::Relaxed);
            if behind >= BEHIND || behind > 0 && engine.prunable().is_some() {
                engine.post_upkeep(behind);
            }
        }));
    }

    /// Takes out versions beyond `history_keep`, unless somebody has the turn:
    /// whoever has it comes by here afterwards.
    fn prune_old(&self) {
        if let Some(oldest) = self.prunable() {
            // What cannot be pruned now is with the next version.
            let _ = self.prune_if_free(oldest);
        }
    }

    /// The oldest version to be kept, if there are older ones.
    fn prunable(&self) -> Option<u64> {
        let keep = self.settings.history_keep?;
        let head = self.published();
        let slack = if head.state.len() > PRUNED_AT_ONCE { keep / 4 } else { 0 };
        self.lineage(|lineage| {
            // The root is not counted.
            if (lineage.len() as u64) <= keep + slack + 1 {
                return None;
            }
            let mut at = head.version;
            for _ in 1..keep {
                at = lineage.parent(at).filter(|&parent| parent != ROOT)?;
            }
            // A child of the root keeps what descends from it; branches beside
            // it go.
            Some(at)
        })
        .ok()
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::entries::handle::Registry;
    use crate::entries::{Entry, IdRef};

    #[test]
    fn a_task_that_found_no_thread_is_not_forgotten() {
        // Nobody does them.
        let posted = Arc::new(Mutex::new(Vec::new()));
        let post: Post = Box::new({
            let posted = Arc::clone(&posted);
            move |task| posted.lock().unwrap().push(task)
        });
        let (_, registry) = Registry::in_memory_with(post);
        let change = |number: u64| {
            let mut changes = registry.snapshot().unwrap().changes();
            let id = number.to_string();
            let entry = Entry::new(IdRef { ns: b"a", name: id.as_bytes() }, b"k", None, None);
            changes.create(entry.unwrap()).unwrap();
            changes.apply().unwrap();
        };
        (0..BEHIND).for_each(change);
        assert_eq!(posted.lock().unwrap().len(), 1);
        (BEHIND..2 * BEHIND + 1).for_each(change);
        assert_eq!(posted.lock().unwrap().len(), 2);
    }
}
