//! Dropping rows that nobody needs from the old end of the log.
//!
//! A row is needed while it is the latest of its key. When the log is several
//! times as large as what it holds, each commit looks at a few rows at the old
//! end: those still needed are appended again, and the range is dropped as a
//! whole, which gives its pages back. The work is in proportion to what the
//! commit appends, in rows and in bytes, so no commit is slow and the file does
//! not grow without bound.
//!
//! A deletion at the old end has nothing older to hide, so it is dropped too.
//! A process that has not seen it yet notices that the log begins after the
//! row it last saw, and takes in everything again (`follow`).

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashSet;

use super::KvError;
use super::engine::Engine;
use super::follow::{Follower, LogUsage};
use super::key;
use super::space::Namespace;
use super::transaction::Pending;
use crate::storage::{Log, SPACE_REGISTRY, ScannedRow};

/// The log may be this many times as large as what it holds.
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
    /// Looks at the old end, inside the commit that appended `pending` as the
    /// rows `appended`; rows still needed are appended behind those.
    pub(super) fn compact(
        &self,
        log: &Log,
        usage: LogUsage,
        pending: &[Pending],
        appended: Range<i64>,
    ) -> Result<Compaction, KvError> {
        let mut compaction = Compaction::default();
        if pending.is_empty() || !self.has_garbage(usage) {
            return Ok(compaction);
        }
        let appended_bytes: u64 = pending.iter().map(|write| write.cell.stored_len() as u64).sum();
        let rows = ROWS_AT_LEAST.max(pending.len() as u64 * ROWS_PER_APPEND);
        let bytes = BYTES_AT_LEAST.max(appended_bytes * BYTES_PER_APPEND);
        // A row whose key this very commit writes anew is needed no more; it
        // must not come to stand behind its successor.
        let address =
            |it: &Option<Arc<Namespace>>| it.as_ref().map_or(0, |it| Arc::as_ptr(it) as usize);
        let rewritten: HashSet<(usize, &[u8]), foldhash::fast::RandomState> =
            pending.iter().map(|write| (address(&write.namespace), write.cell.key())).collect();
        // Only what was there before: the rows of this commit are needed, and
        // no table knows them yet.
        log.scan(usage.first_seq..appended.start, rows, |row| {
            if compaction.moved_bytes > bytes {
                return false;
            }
            compaction.dropped_up_to = row.seq;
            if let Some((namespace, key)) = self.needs(&row)
                && !rewritten.contains(&(address(&namespace), key))
            {
                compaction.moved_bytes += row.bytes;
                let to = appended.end + compaction.moved.len() as i64;
                let moved = Moved { namespace, key: key.into(), from: row.seq, to };
                compaction.moved.push(moved);
            }
            true
        })?;
        for moved in &compaction.moved {
            log.append_copy(moved.from, moved.to)?;
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
            let (registry, store) = (self.logged_registry().usage(), self.spaces.store_usage());
            *held = Held {
                at_rows: usage.rows,
                at_bytes: usage.bytes,
                keys: (registry.keys + store.keys) as u64,
                bytes: (registry.bytes + store.bytes) as u64,
            };
        }
        usage.rows > GARBAGE_FACTOR * held.keys + SLACK_ROWS
            || usage.bytes > GARBAGE_FACTOR * held.bytes + SLACK_BYTES
    }

    /// Memory follows.
    pub(super) fn publish_compaction(&self, follower: &mut Follower, compaction: &Compaction) {
        for moved in &compaction.moved {
            let table = moved.namespace.as_ref().map_or(self.logged_registry(), |it| &it.table);
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
