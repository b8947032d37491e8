//! Dropping rows that nobody needs from the old end of the log.
//!
//! A row is needed while it is the latest of its key. When the log is several
//! times as large as what it holds, each commit looks at a few rows at the old
//! end: those still needed are appended again, and the range is dropped as a
//! whole, which gives its pages back. The work is in proportion to what the
//! commit appends, so no commit is slow and the file does not grow without
//! bound.
//!
//! A deletion at the old end has nothing older to hide, so it is dropped too.
//! A process that has not seen it yet notices that the log begins after the
//! row it last saw, and takes in everything again (`follow`).

use std::sync::Arc;

use hashbrown::HashSet;

use super::KvError;
use super::engine::Engine;
use super::follow::{Follower, LogUsage};
use super::key;
use super::space::Namespace;
use super::transaction::Pending;
use crate::storage::{Log, SPACE_REGISTRY};

/// The log may be this many times as large as what it holds.
const GARBAGE_FACTOR: u64 = 3;
/// Below this it is left alone.
const SLACK_ROWS: u64 = 4096;
const SLACK_BYTES: u64 = 4 << 20;
/// Rows looked at for each row appended, and at least.
const ROWS_PER_APPEND: i64 = 4;
const ROWS_AT_LEAST: i64 = 16;

/// A row that was appended again.
pub(super) struct Moved {
    /// `None`: the registry.
    namespace: Option<Arc<Namespace>>,
    key: Box<[u8]>,
    from: i64,
    to: i64,
}

/// What a commit did at the old end.
#[derive(Default)]
pub(super) struct Compaction {
    pub(super) moved: Vec<Moved>,
    /// 0: nothing was dropped.
    pub(super) dropped_up_to: i64,
    moved_bytes: u64,
}

/// What memory holds: keys and bytes. Counting asks every table, so the answer
/// serves for some rows.
#[derive(Default)]
pub(super) struct Held {
    counted_at: u64,
    counted: (u64, u64),
}

impl Held {
    fn at(&mut self, rows: u64, count: impl FnOnce() -> (u64, u64)) -> (u64, u64) {
        if self.counted_at == 0 || rows.abs_diff(self.counted_at) > SLACK_ROWS / 4 {
            *self = Self { counted_at: rows, counted: count() };
        }
        self.counted
    }
}

impl Engine {
    /// Looks at the old end, inside the commit that appended `pending`; rows
    /// are moved to `next` and on.
    pub(super) fn compact(
        &self,
        log: &Log,
        usage: LogUsage,
        pending: &[Pending],
        next: i64,
    ) -> Result<Compaction, KvError> {
        let mut compaction = Compaction::default();
        if pending.is_empty() || !self.has_garbage(usage) {
            return Ok(compaction);
        }
        let budget = ROWS_AT_LEAST.max(pending.len() as i64 * ROWS_PER_APPEND);
        let mut needed: Vec<Moved> = Vec::new();
        let mut last = 0;
        // The newest row stays where it is: its number is where we go on.
        log.read_on(usage.first_seq - 1, budget, |row| {
            if row.seq >= next - 1 {
                return;
            }
            last = row.seq;
            if row.value.is_empty() {
                return;
            }
            let (namespace, key) = if row.space == SPACE_REGISTRY {
                (None, row.name)
            } else {
                let (prefix, key) = key::split(row.name);
                let Some(namespace) = self.spaces.find(prefix) else { return };
                (Some(namespace), key)
            };
            let table = namespace.as_ref().map_or(&self.spaces.registry, |it| &it.table);
            if table.mark(key).is_some_and(|mark| mark.seq == row.seq) {
                compaction.moved_bytes += (row.name.len() + row.value.len()) as u64;
                let to = next + needed.len() as i64;
                needed.push(Moved { namespace, key: key.into(), from: row.seq, to });
            }
        })?;
        if last == 0 {
            return Ok(compaction);
        }
        // A row whose key this very commit writes anew is needed no more; it
        // must not come to stand behind its successor.
        let address =
            |it: &Option<Arc<Namespace>>| it.as_ref().map_or(0, |it| Arc::as_ptr(it) as usize);
        let rewritten: HashSet<(usize, &[u8]), foldhash::fast::RandomState> =
            pending.iter().map(|write| (address(&write.namespace), write.cell.key())).collect();
        needed.retain(|moved| !rewritten.contains(&(address(&moved.namespace), &*moved.key)));
        for (place, moved) in needed.iter_mut().enumerate() {
            moved.to = next + place as i64;
            log.append_copy(moved.from, moved.to)?;
        }
        log.drop_up_to(last)?;
        compaction.moved = needed;
        compaction.dropped_up_to = last;
        Ok(compaction)
    }

    fn has_garbage(&self, usage: LogUsage) -> bool {
        if usage.rows <= SLACK_ROWS && usage.bytes <= SLACK_BYTES {
            return false;
        }
        let held = self.held.lock().at(usage.rows, || {
            let (registry, store) = (self.spaces.registry.usage(), self.spaces.store_usage());
            ((registry.keys + store.keys) as u64, (registry.bytes + store.bytes) as u64)
        });
        usage.rows > GARBAGE_FACTOR * held.0 + SLACK_ROWS
            || usage.bytes > GARBAGE_FACTOR * held.1 + SLACK_BYTES
    }

    /// Memory follows.
    pub(super) fn publish_compaction(&self, follower: &mut Follower, compaction: &Compaction) {
        for moved in &compaction.moved {
            let table = moved.namespace.as_ref().map_or(&self.spaces.registry, |it| &it.table);
            table.moved(&moved.key, moved.from, moved.to);
        }
        if compaction.dropped_up_to == 0 {
            return;
        }
        let last = compaction.moved.last().map_or(0, |moved| moved.to);
        // Unless a reader was faster and has counted them.
        if last > follower.last_seq {
            follower.usage.rows += compaction.moved.len() as u64;
            follower.usage.bytes += compaction.moved_bytes;
        }
        follower.usage.set_first(compaction.dropped_up_to + 1);
    }
}
