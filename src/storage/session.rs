//! A connection with the file it is on: transactions and faults.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection};

use super::on_device::OnDevice;
use super::{Place, StorageError};
use crate::platform::prepared::{Parameter, Prepared};
use crate::platform::sqlite::{data_version, has_moved, system_errno};
use crate::platform::{file, wal};

/// A connection to the database file.
pub(super) struct Session {
    /// What it does all the time, with the texts. Goes before the connection.
    kept: RefCell<Vec<(&'static CStr, Prepared)>>,
    connection: Connection,
    path: PathBuf,
    busy_timeout: Duration,
    /// What is acknowledged is on the device, and the file has it: so that has
    /// to be the file.
    pub(super) is_for_device: bool,
    /// Whether SQLite is told to sync the log in each commit.
    pub(super) waits: Cell<bool>,
    /// The failed syncs of the process after which the log was written again.
    repaired: Cell<u64>,
    /// What of the log is known to be on the device.
    on_device: OnDevice,
    /// In a transaction that has the write lock.
    is_writing: Cell<bool>,
}

/// The WAL frames after which the writer moves them into the file. Appending
/// keeps that cheap: a thousand commits touch a few dozen pages. And the WAL
/// is then written again from its start, in place: a file that grows with each
/// commit takes the device twice as long to sync.
pub(super) const CHECKPOINT_FRAMES: u16 = 1000;

/// How often a process looks whether another has let go of the lock.
const BUSY_POLL: Duration = Duration::from_micros(150);

static BEGIN: &CStr = c"BEGIN IMMEDIATE";
static BEGIN_READ: &CStr = c"BEGIN";
static COMMIT: &CStr = c"COMMIT";

impl Session {
    pub(super) fn new(connection: Connection, place: &Place) -> Self {
        Self {
            kept: RefCell::default(),
            connection,
            path: place.path.clone(),
            busy_timeout: place.busy_timeout,
            is_for_device: false,
            waits: Cell::new(false),
            repaired: Cell::new(0),
            on_device: OnDevice::of(&place.path),
            is_writing: Cell::new(false),
        }
    }

    /// A connection to no file.
    pub(super) fn in_memory(connection: Connection) -> Self {
        Self {
            kept: RefCell::default(),
            connection,
            path: PathBuf::from(":memory:"),
            busy_timeout: Duration::ZERO,
            is_for_device: false,
            waits: Cell::new(false),
            repaired: Cell::new(0),
            on_device: OnDevice::of_nobody_else(),
            is_writing: Cell::new(false),
        }
    }

    /// Runs something that asks the connection itself.
    pub(super) fn with<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        ask(&self.connection).map_err(|error| self.fault(error))
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fault(&self, error: rusqlite::Error) -> StorageError {
        StorageError::from_sqlite(&error, system_errno(&self.connection), &self.path)
    }

    pub(super) fn statement(&self, sql: &str) -> Result<CachedStatement<'_>, StorageError> {
        self.connection.prepare_cached(sql).map_err(|error| self.fault(error))
    }

    /// Runs a statement that is kept for as long as the connection, with these
    /// values for all its parameters. It gives no rows.
    pub(super) fn run(
        &self,
        sql: &'static CStr,
        parameters: &[Parameter<'_>],
    ) -> Result<(), StorageError> {
        let mut kept = self.kept.borrow_mut();
        let place = match kept.iter().position(|(text, _)| std::ptr::eq(*text, sql)) {
            Some(place) => place,
            None => {
                let prepared = Prepared::new(&self.connection, sql);
                kept.push((sql, prepared.map_err(|error| self.fault(error))?));
                kept.len() - 1
            }
        };
        kept[place].1.run(parameters).map_err(|error| self.fault(error))
    }

    /// How many rows the last statement changed.
    pub(super) fn changed(&self) -> u64 {
        self.connection.changes()
    }

    /// Runs several statements that are not worth keeping.
    pub(super) fn run_all(&self, sql: &str) -> Result<(), StorageError> {
        self.connection.execute_batch(sql).map_err(|error| self.fault(error))
    }

    /// Whether commits wait for the device from now on.
    pub(super) fn wait_for_device(&self, waits: bool) -> Result<(), StorageError> {
        let level = if waits { "FULL" } else { "NORMAL" };
        // Never taken for one that waits when it does not.
        self.waits.set(false);
        self.with(|it| it.pragma_update(None, "synchronous", level))?;
        self.waits.set(waits);
        Ok(())
    }

    /// Has no trigger fire for what this connection writes: those of the file
    /// watch for strangers.
    pub(super) fn without_triggers(&self) -> Result<(), StorageError> {
        self.connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
            .map(drop)
            .map_err(|error| self.fault(error))
    }

    /// A number that moves with every commit, of whomever. Inside a transaction
    /// it is that of what the transaction sees.
    pub(super) fn data_version(&self) -> Result<u32, StorageError> {
        if !self.is_writing.get() {
            // Has the connection look for what others did; what it says does
            // not count its own commits.
            self.statement("PRAGMA data_version")?
                .query_row([], |row| row.get::<_, i64>(0))
                .map_err(|error| self.fault(error))?;
        }
        Ok(data_version(&self.connection))
    }

    /// What [`Session::data_version`] was after this connection's last commit,
    /// whatever others did since.
    pub(super) fn committed_version(&self) -> u32 {
        data_version(&self.connection)
    }

    /// What moves with every commit, asked of shared memory; the connection has
    /// been used before. `None` where it cannot be had.
    pub(super) fn mark(&self) -> Option<wal::Mark> {
        wal::Mark::new(&self.connection).ok()
    }

    /// Whether this is between [`Session::begin`] and the end of the
    /// transaction.
    pub(super) fn is_writing(&self) -> bool {
        self.is_writing.get()
    }

    /// Takes the write lock of the file, waiting for other processes.
    ///
    /// SQLite's own waiting backs off to a tenth of a second, and a process
    /// that writes all the time leaves the lock free for microseconds: one that
    /// looks so seldom would never get it.
    pub(super) fn begin(&self) -> Result<(), StorageError> {
        let mut deadline = None;
        loop {
            match self.run(BEGIN, &[]) {
                Err(StorageError::Busy { .. })
                    if Instant::now()
                        < *deadline.get_or_insert_with(|| Instant::now() + self.busy_timeout) =>
                {
                    std::thread::sleep(BUSY_POLL);
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.is_writing.set(true);
        if self.is_for_device && has_moved(&self.connection) && file::is_elsewhere(&self.path) {
            self.roll_back();
            return Err(StorageError::moved(&self.path));
        }
        self.repair()
    }

    /// After a failed sync nothing may be built on what is in the log before
    /// that was written again.
    #[inline]
    fn repair(&self) -> Result<(), StorageError> {
        let failed = wal::failed_syncs();
        wal::builds_on(Some(failed));
        if failed == self.repaired.get() {
            return Ok(());
        }
        let repaired = wal::write_again(&self.connection);
        if repaired.is_err() {
            self.roll_back();
        }
        let path = &self.path;
        repaired.map_err(|(error, errno)| StorageError::from_sqlite(&error, errno, path))?;
        self.repaired.set(failed);
        self.on_device.note(self.mark());
        Ok(())
    }

    /// Starts a consistent view for several reads.
    pub(super) fn begin_read(&self) -> Result<(), StorageError> {
        self.run(BEGIN_READ, &[])
    }

    /// Makes everything since [`Session::begin`] durable and visible.
    pub(super) fn commit(&self) -> Result<(), StorageError> {
        let result = match self.waits.get() {
            true => self.commit_to_device(),
            false => self.run(COMMIT, &[]),
        };
        wal::builds_on(None);
        self.is_writing.set(result.is_err());
        if result.is_err() && wal::failed_syncs() != self.repaired.get() {
            // At once if that can be: other processes append too, and are not
            // told. If not, then before the next transaction.
            self.roll_back();
            if self.run(BEGIN, &[]).and_then(|()| self.repair()).is_ok() {
                self.roll_back();
            }
        }
        result
    }

    /// Commits, and notes that all of the log is on the device then: the sync
    /// is of what others have appended before, too.
    fn commit_to_device(&self) -> Result<(), StorageError> {
        let before = self.mark();
        wal::commit_at_once(&self.connection, || self.run(COMMIT, &[]))?;
        let after = self.mark();
        // Nothing was written, so there was no sync; and another may have
        // committed already.
        if after != before {
            let is_ours = |mark: &wal::Mark| before.is_some_and(|before| mark.is_next_of(&before));
            self.on_device.note(after.filter(is_ours));
        }
        Ok(())
    }

    /// Whether the log may hold what nobody knows to be on the device: what
    /// others have committed, and what was there at open.
    pub(super) fn is_unsure(&self) -> bool {
        self.mark().is_none_or(|mark| !self.on_device.has(mark))
    }

    /// Makes durable what was read in this transaction, before an answer that
    /// rests on it and writes nothing. Only between [`Session::begin`] and the
    /// end; no effect where commits do not wait for the device.
    pub(super) fn sync_what_was_read(&self) -> Result<(), StorageError> {
        if !self.is_for_device || !self.is_unsure() {
            return Ok(());
        }
        wal::sync(&self.connection)
            .map_err(|(error, errno)| StorageError::from_sqlite(&error, errno, &self.path))?;
        self.on_device.note(self.mark());
        Ok(())
    }

    /// Makes every commit durable that was not when it was made, whoever made
    /// it. One look at shared memory where there is none.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        if !self.is_for_device || !self.is_unsure() {
            return Ok(());
        }
        // What failed before is written again by that.
        self.begin()?;
        let synced = self.sync_what_was_read();
        self.roll_back();
        synced
    }

    /// Has commits leave the log as it is; [`Session::checkpoint`] is called.
    pub(super) fn checkpoint_apart(&self) {
        wal::checkpoint_apart(&self.connection);
    }

    /// Moves the log into the file if it is long.
    pub(super) fn checkpoint(&self) {
        wal::builds_on(Some(self.repaired.get()));
        wal::checkpoint(&self.connection, CHECKPOINT_FRAMES);
        wal::builds_on(None);
    }

    /// Undoes everything since [`Session::begin`]; no effect outside of one.
    pub(super) fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            // After a failed COMMIT there is nothing better to do than to try:
            // closing the connection rolls back as well.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        wal::builds_on(None);
        self.is_writing.set(false);
    }

    /// Ends the connection; the last one moves the WAL into the file.
    pub(super) fn close(self) -> Result<(), StorageError> {
        let Self { kept, connection, path, .. } = self;
        drop(kept);
        connection.flush_prepared_statement_cache();
        connection.close().map_err(|(connection, error)| {
            StorageError::from_sqlite(&error, system_errno(&connection), &path)
        })
    }
}
