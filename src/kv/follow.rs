//! Taking in what the log holds and memory does not yet.
//!
//! Every process with the file open maps one counter. A writer moves it after
//! each commit; a reader compares it with what it last took in, one atomic
//! load, and reads the new rows only when it moved. Opening is the same: there
//! everything is new.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashSet;

use super::engine::Engine;
use super::table::{Table, is_tombstone};
use super::{KvError, key};
use crate::guard::Unusable;
use crate::platform::clock;
use crate::platform::shared_counter::SharedCounter;
use crate::platform::sync::Mutex;
use crate::storage::{Extent, Log, Row, RowRef, SPACE_REGISTRY, SPACE_STORE, StorageError};
use crate::value::{Value, append_canonical};

/// Rows read in one go.
const PORTION: i64 = 4096;

/// What an engine shares with other processes.
pub(super) struct Shared {
    pub(super) follower: Mutex<Follower>,
}

/// Whether the file may hold something that memory does not.
pub(super) struct News {
    counter: SharedCounter,
    /// The counter as it was when memory last held everything.
    seen: AtomicU64,
}

impl News {
    /// Of a file with this counter. A file in a directory that we may not write
    /// has none: there may always be news, and asking the log is slower, and
    /// right.
    pub(super) fn of_file(counter: Option<SharedCounter>) -> Self {
        let seen = AtomicU64::new(if counter.is_some() { 0 } else { u64::MAX });
        Self { counter: counter.unwrap_or_else(SharedCounter::still), seen }
    }

    /// Of no file: never any.
    pub(super) fn none() -> Self {
        Self { counter: SharedCounter::still(), seen: AtomicU64::new(0) }
    }

    #[inline(always)]
    fn count(&self) -> u64 {
        self.counter.commits().load(Ordering::Acquire)
    }

    /// Whether there are none.
    #[inline(always)]
    pub(super) fn are_known(&self) -> bool {
        self.count() == self.seen.load(Ordering::Acquire)
    }

    /// Memory holds what was there when the counter was `count`.
    fn know(&self, count: u64) {
        if self.counter.is_mapped() {
            self.seen.store(count, Ordering::Release);
        }
    }

    /// The counter before a commit; for [`News::committed`].
    pub(super) fn before_commit(&self) -> u64 {
        self.count()
    }

    /// Tells every process that there is something new. Memory holds it
    /// already; if nobody else committed since `before`, it holds everything.
    pub(super) fn committed(&self, before: u64) {
        if self.counter.is_mapped()
            && self.counter.commits().fetch_add(1, Ordering::AcqRel) == before
        {
            self.know(before + 1);
        }
    }
}

/// How far memory has followed the log. Whoever applies rows to memory holds
/// its lock, so that rows are applied in their order.
pub(super) struct Follower {
    /// Reads while the writer's connection waits for the disk.
    pub(super) reader: Option<Log>,
    /// Everything up to this row is in memory.
    pub(super) last_seq: i64,
    /// The rows of the log as of then.
    pub(super) usage: LogUsage,
    /// The numbers that the rows of the registry's cuts have in the commit that
    /// is under way: rows of others may say the same.
    pub(super) own: Range<i64>,
    /// Commits are to wait for the device, of a file that is open for writing.
    is_for_device: bool,
    /// Then: memory holds rows of others that the device may not have.
    pub(super) is_unsure: bool,
}

/// What the rows of the log take up, about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogUsage {
    pub(super) first_seq: i64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl LogUsage {
    /// Accounts for a row at the new end.
    pub(super) fn add(&mut self, row: &Row<'_>) {
        self.rows += 1;
        self.bytes += (row.name.len() + row.value.len() + ROW_OVERHEAD) as u64;
    }

    /// Accounts for rows that left the old end: they had the average size.
    pub(super) fn set_first(&mut self, first_seq: i64) {
        // The numbers begin with 1.
        let gone = (first_seq - self.first_seq.max(1)).max(0) as u64;
        if gone > 0 && self.rows > 0 {
            let gone = gone.min(self.rows);
            self.bytes -= self.bytes / self.rows * gone;
            self.rows -= gone;
        }
        self.first_seq = first_seq;
    }
}

/// What a row costs besides key and value.
const ROW_OVERHEAD: usize = 20;

impl Follower {
    pub(super) fn new(reader: Log, is_for_device: bool) -> Self {
        let (last_seq, usage) = (0, LogUsage::default());
        let own = 0..0;
        Self { reader: Some(reader), last_seq, usage, own, is_for_device, is_unsure: false }
    }
}

impl Shared {
    pub(super) fn new(follower: Follower) -> Self {
        Self { follower: Mutex::new(follower) }
    }

    pub(super) fn take_reader(&self) -> Option<Log> {
        self.follower.lock().reader.take()
    }
}

impl Engine {
    /// Takes in everything that is new; at open, all there is.
    #[cold]
    pub(super) fn load(&self) -> Result<(), KvError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let count = self.news.count();
        self.follow_by_reader(shared)?;
        self.news.know(count);
        Ok(())
    }

    /// Makes memory hold what every process had committed when this was
    /// called. One atomic load when nothing is new.
    #[inline]
    pub(super) fn follow(&self) -> Result<(), KvError> {
        if self.news.are_known() { Ok(()) } else { self.load() }
    }

    #[cold]
    fn follow_by_reader(&self, shared: &Shared) -> Result<(), KvError> {
        let mut follower = shared.follower.lock();
        let Some(reader) = follower.reader.take() else { return Err(Unusable::Closed.into()) };
        // One view for the extent and the rows, or rows could leave between.
        let result = reader.begin_read().and_then(|()| self.take_in(&mut follower, &reader));
        reader.roll_back();
        follower.reader = Some(reader);
        drop(follower);
        result?;
        // A process that only reads has no thread to do it.
        self.sweep();
        Ok(())
    }

    /// Takes in the rows that `log` has beyond the follower's last.
    pub(super) fn take_in(&self, follower: &mut Follower, log: &Log) -> Result<(), StorageError> {
        let extent = log.extent()?;
        if extent.last == follower.last_seq && extent.first == follower.usage.first_seq {
            return Ok(());
        }
        // Deletions that we have not seen may have left the old end already.
        let missed = follower.last_seq > 0 && follower.last_seq < extent.first - 1;
        if missed || extent.last < follower.last_seq {
            return self.take_in_again(follower, log, extent);
        }
        follower.usage.set_first(extent.first);
        self.read_rows(follower, log, extent, |_| {})
    }

    /// Takes in everything, and forgets what the log does not have.
    fn take_in_again(
        &self,
        follower: &mut Follower,
        log: &Log,
        extent: Extent,
    ) -> Result<(), StorageError> {
        let before = (follower.last_seq, follower.usage);
        follower.last_seq = extent.first - 1;
        follower.usage = LogUsage { first_seq: extent.first, ..LogUsage::default() };
        let mut named = HashSet::<(i64, Box<[u8]>), foldhash::fast::RandomState>::default();
        let read = self.read_rows(follower, log, extent, |row| {
            let name = (row.space, row.name.into());
            if row.value.is_empty() {
                named.remove(&name);
            } else {
                named.insert(name);
            }
        });
        if let Err(error) = read {
            // Still to be done again: what the log does not have is not known.
            (follower.last_seq, follower.usage) = before;
            return Err(error);
        }
        let mut freed = self
            .logged_registry()
            .retain(|cell| named.contains(&(SPACE_REGISTRY, cell.key().into())));
        for namespace in self.spaces.namespaces() {
            freed += namespace.table.retain(|cell| {
                let name = [&namespace.prefix, cell.key()].concat();
                named.contains(&(SPACE_STORE, name.into_boxed_slice()))
            });
        }
        self.note_growth(-(freed as isize));
        Ok(())
    }

    fn read_rows(
        &self,
        follower: &mut Follower,
        log: &Log,
        extent: Extent,
        mut also: impl FnMut(&RowRef<'_>),
    ) -> Result<(), StorageError> {
        if follower.usage.first_seq == 0 {
            follower.usage.first_seq = extent.first;
        }
        if follower.last_seq < extent.last {
            follower.is_unsure = follower.is_for_device;
        }
        let mut canonical = Vec::new();
        let own = follower.own.clone();
        while follower.last_seq < extent.last {
            let from = follower.last_seq;
            let mut fault = None;
            log.read_on(from, PORTION, |row| {
                if fault.is_some() {
                    return;
                }
                match self.take_in_row(&row, own.contains(&row.seq), &mut canonical) {
                    Ok(()) => {
                        also(&row);
                        follower.last_seq = row.seq;
                        follower.usage.add(&row.row());
                    }
                    Err(found) => fault = Some(found),
                }
            })?;
            if let Some(found) = fault {
                return Err(StorageError::Damaged { path: log.path().to_owned(), found });
            }
            if follower.last_seq == from {
                // The numbers have no holes, so this cannot happen in a file
                // that only we write.
                return Err(StorageError::Damaged {
                    path: log.path().to_owned(),
                    found: format!("acervo_kv ends at row {from} of {}", extent.last),
                });
            }
        }
        Ok(())
    }

    /// The registry as the log has it: the one that is served, unless that is
    /// memory only; then the log's is kept aside, so that its rows stay known
    /// as needed.
    pub(super) fn logged_registry(&self) -> &Table {
        if self.settings.registry_persistent {
            &self.spaces.registry
        } else {
            &self.spaces.shelved_registry
        }
    }

    /// One row into memory. `is_own`: it is of a cut of this process.
    fn take_in_row(
        &self,
        row: &RowRef<'_>,
        is_own: bool,
        canonical: &mut Vec<u8>,
    ) -> Result<(), String> {
        let fault = |what: &str| Err(format!("acervo_kv row {}: {what}", row.seq));
        let (prefix, key) = match row.space {
            SPACE_REGISTRY => (&[][..], row.name),
            SPACE_STORE => key::split(row.name),
            _ => return fault("unknown space"),
        };
        canonical.clear();
        let expires_at = row.stamp.expires_at;
        let is_over = expires_at != 0 && expires_at <= clock::now_millis();
        if !row.value.is_empty()
            && !is_over
            && let Err(error) = append_canonical(canonical, row.value)
        {
            return fault(&error.to_string());
        }
        let cell = Value::stored(key, canonical, row.stamp);
        let grown = if row.space == SPACE_REGISTRY {
            self.logged_registry().take_in(cell, row.seq, is_own)
        } else {
            match self.spaces.find(prefix) {
                None if is_tombstone(&cell) => 0,
                _ => self.spaces.namespace(prefix).table.take_in(cell, row.seq, false),
            }
        };
        self.note_growth(grown);
        // The reminder is in the table already: whoever sweeps finds it.
        if expires_at != 0 && !is_over {
            self.background.note_expiry(expires_at);
        }
        Ok(())
    }
}
