//! Dropping rows that nobody needs from the old end of the log.
//!
//! A row is needed while it is the latest of its key. When the log is several
//! times as large as what it holds, each commit looks at a few rows at the old
//! end: those still needed are appended again, and the range is dropped as a
//! whole, which gives its pages back. The work is in proportion to what the
//! commit appends, in rows and in bytes, so no commit is slow and the file does
//! not grow without bound. When nobody writes, the background thread goes on
//! until the log is hardly larger than what it holds ([`Engine::tidy_log`]).
//!
//! A deletion at the old end has nothing older to hide, so it is dropped too.
//! A process that has not seen it yet notices that the log begins after the
//! row it last saw, and takes in everything again (`follow`).
//!
//! What moves is appended before what the commit writes anew: where both are of
//! one key, the later one stands behind.

use std::sync::Arc;

use super::KvError;
use super::commit::Job;
use super::edit::Outcome;
use super::engine::Engine;
use super::follow::{Follower, LogUsage};
use super::key;
use super::space::Namespace;
use super::transaction::Plan;
use crate::platform::{pool, rcu};
use crate::storage::{Appender, Log, Row, SPACE_REGISTRY, SPACE_STORE, ScannedRow};
use crate::value::Value;

/// The log may be this many times as large as what it holds, while commits come.
const GARBAGE_FACTOR: u64 = 3;
/// Below this it is left alone.
const SLACK_ROWS: u64 = 4096;
const SLACK_BYTES: u64 = 4 << 20;
/// Rows looked at for each row appended, and at least.
const ROWS_PER_APPEND: u64 = 4;
const ROWS_AT_LEAST: u64 = 16;
/// Bytes appended again for each byte appended, and at least.
const BYTES_PER_APPEND: u64 = 4;
const BYTES_AT_LEAST: u64 = 64 << 10;
/// What is left alone when nobody writes, besides a quarter of what it holds.
const IDLE_SLACK_ROWS: u64 = 256;
const IDLE_SLACK_BYTES: u64 = 64 << 10;
/// Rows looked at in one commit of the background thread: some milliseconds.
const IDLE_ROWS: u64 = 4096;
const IDLE_BYTES: u64 = 1 << 20;

/// A row that was appended again.
pub(super) struct Moved {
    /// `None`: the registry.
    namespace: Option<Arc<Namespace>>,
    key: Box<[u8]>,
    from: i64,
    /// What a pack held; a row that stands alone is copied as it is.
    packed: Option<Value>,
}

/// What a commit did at the old end.
#[derive(Default)]
pub(super) struct Compaction {
    /// In the order in which they were appended.
    moved: Vec<Moved>,
    /// 0: nothing was dropped.
    pub(super) dropped_up_to: i64,
    moved_bytes: u64,
}

/// What the log has to hold: keys and bytes. Counting asks every table, so the
/// answer serves until the log has changed by as much as would matter.
#[derive(Default)]
pub(super) struct Held {
    at_rows: u64,
    at_bytes: u64,
    keys: u64,
    bytes: u64,
}

impl Held {
    fn is_stale(&self, usage: LogUsage) -> bool {
        self.at_rows == 0
            || usage.rows.abs_diff(self.at_rows) > SLACK_ROWS / 4
            || usage.bytes.abs_diff(self.at_bytes) > SLACK_BYTES / 4
    }
}

impl Engine {
    /// Looks at the old end, inside the commit of `plan`; rows still needed are
    /// appended to `rows`.
    pub(super) fn compact(
        &self,
        log: &Log,
        rows: &mut Appender<'_>,
        usage: LogUsage,
        plan: &Plan,
    ) -> Result<Compaction, KvError> {
        let mut compaction = Compaction::default();
        let (appended, appended_bytes) = plan.appends();
        let (mut most_rows, mut most_bytes) = match plan.compact_rows {
            0 => (0, 0),
            rows => (rows, IDLE_BYTES),
        };
        if appended > 0 && self.has_garbage(usage) {
            most_rows += ROWS_AT_LEAST.max(appended * ROWS_PER_APPEND);
            most_bytes += BYTES_AT_LEAST.max(appended_bytes * BYTES_PER_APPEND);
        }
        // The newest row stays, whatever it says: the next number follows it.
        let end = if appended > 0 { rows.next() } else { rows.next() - 1 };
        if most_rows == 0 || usage.first_seq >= end {
            return Ok(compaction);
        }
        let mut looked_at = 0;
        let mut out_of_memory = false;
        log.scan(usage.first_seq..end, most_rows, |row| {
            looked_at += 1;
            compaction.dropped_up_to = row.seq;
            if let Some((namespace, key)) = self.needs(&row) {
                let packed = row.packed.map(|it| Value::try_stored(it.name, it.value, it.stamp));
                out_of_memory |= matches!(packed, Some(None));
                compaction.moved_bytes += row.bytes;
                let packed = packed.flatten();
                let moved = Moved { namespace, key: key.into(), from: row.seq, packed };
                compaction.moved.push(moved);
            }
            looked_at < most_rows && compaction.moved_bytes <= most_bytes && !out_of_memory
        })?;
        if out_of_memory {
            return Err(KvError::out_of_memory());
        }
        for moved in &compaction.moved {
            match &moved.packed {
                Some(cell) => rows.append(moved.row(cell))?,
                None => rows.append_copy(moved.from)?,
            }
        }
        if compaction.dropped_up_to > 0 {
            log.drop_up_to(compaction.dropped_up_to)?;
        }
        Ok(compaction)
    }

    /// The key of a row that is the latest of its key.
    fn needs<'r>(&self, row: &ScannedRow<'r>) -> Option<(Option<Arc<Namespace>>, &'r [u8])> {
        if row.is_deletion {
            return None;
        }
        let (namespace, key) = if row.space == SPACE_REGISTRY {
            (None, row.name)
        } else {
            let (prefix, key) = key::split(row.name);
            (Some(self.spaces.find(prefix)?), key)
        };
        let table = namespace.as_ref().map_or(self.logged_registry(), |it| &it.table);
        let mark = table.mark(key)?;
        (mark.seq == row.seq).then_some((namespace, key))
    }

    fn has_garbage(&self, usage: LogUsage) -> bool {
        if usage.rows <= SLACK_ROWS && usage.bytes <= SLACK_BYTES {
            return false;
        }
        let mut held = self.held.lock();
        if held.is_stale(usage) {
            *held = self.count_held(usage);
        }
        usage.rows > GARBAGE_FACTOR * held.keys + SLACK_ROWS
            || usage.bytes > GARBAGE_FACTOR * held.bytes + SLACK_BYTES
    }

    fn count_held(&self, usage: LogUsage) -> Held {
        let (registry, store) = (self.logged_registry().usage(), self.spaces.store_usage());
        Held {
            at_rows: usage.rows,
            at_bytes: usage.bytes,
            keys: (registry.keys + store.keys) as u64,
            bytes: (registry.bytes + store.bytes) as u64,
        }
    }

    /// Whether a log like this holds more than the next open should have to
    /// read.
    fn has_garbage_at_rest(&self, usage: LogUsage) -> bool {
        let held = self.count_held(usage);
        usage.rows > held.keys + held.keys / 4 + IDLE_SLACK_ROWS
            || usage.bytes > held.bytes + held.bytes / 4 + IDLE_SLACK_BYTES
    }

    /// Looks at some rows at the old end, where nobody waits for it. Tells
    /// whether there is more to do.
    fn tidy_log(&self) -> bool {
        let Some(shared) = &self.shared else { return false };
        let usage = || shared.follower.lock().usage;
        let before = usage();
        if !self.has_garbage_at_rest(before) {
            return false;
        }
        // What cannot be done now is done after the next write.
        self.submit(Job::Compact { rows: IDLE_ROWS }).is_ok()
            && usage().first_seq > before.first_seq
    }

    /// Gives back what the file does not need, a portion at a time. Tells whether
    /// there is more to do.
    pub(super) fn tidy(&self) -> bool {
        let gave_back = || matches!(self.submit(Job::Shrink), Ok(Outcome::Count(1..)));
        // Cells that wait to be freed, and pieces that wait to be used again,
        // keep the memory around them.
        rcu::tidy();
        pool::tidy();
        self.tidy_log() || gave_back()
    }

    /// Memory follows what was appended from `first` on. Tells how many rows
    /// that were.
    pub(super) fn publish_compaction(
        &self,
        follower: &mut Follower,
        first: i64,
        compaction: &Compaction,
    ) -> i64 {
        for (moved, to) in compaction.moved.iter().zip(first..) {
            let table = moved.namespace.as_ref().map_or(self.logged_registry(), |it| &it.table);
            table.moved(&moved.key, moved.from, to);
        }
        let rows = compaction.moved.len() as i64;
        if compaction.dropped_up_to > 0 {
            // Unless a reader was faster and has counted them.
            if first + rows - 1 > follower.last_seq {
                follower.usage.rows += rows as u64;
                follower.usage.bytes += compaction.moved_bytes;
            }
            follower.usage.set_first(compaction.dropped_up_to + 1);
        }
        rows
    }
}

impl Moved {
    /// The row of a pack again: its cell has the whole name as its key.
    fn row<'a>(&self, cell: &'a Value) -> Row<'a> {
        let space = if self.namespace.is_none() { SPACE_REGISTRY } else { SPACE_STORE };
        Row { space, name: cell.key(), value: cell.as_bytes(), stamp: cell.stamp() }
    }
}
