//! The log of key-value changes: append, read on from a number, drop the old
//! end.

use std::cell::Cell;
use std::ffi::CStr;
use std::ops::Range;
use std::path::Path;

use rusqlite::types::ValueRef;

use super::StorageError;
use super::session::Session;
use crate::platform::prepared::Parameter::{Blob, Int, Null};
use crate::value::Stamp;

/// Rows of the registry.
pub(crate) const SPACE_REGISTRY: i64 = 0;
/// Rows of the store.
pub(crate) const SPACE_STORE: i64 = 1;

/// One change, as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRef<'a> {
    /// Its place in the order of all changes.
    pub(crate) seq: i64,
    /// [`SPACE_REGISTRY`] or [`SPACE_STORE`].
    pub(crate) space: i64,
    /// The key; in the store with its ident.
    pub(crate) name: &'a [u8],
    /// The canonical bytes; empty if the key was deleted.
    pub(crate) value: &'a [u8],
    /// When it was written and when it expires.
    pub(crate) stamp: Stamp,
}

/// A change without its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScannedRow<'a> {
    /// Its place in the order of all changes.
    pub(crate) seq: i64,
    /// [`SPACE_REGISTRY`] or [`SPACE_STORE`].
    pub(crate) space: i64,
    /// The key; in the store with its ident.
    pub(crate) name: &'a [u8],
    /// Whether the key was deleted.
    pub(crate) is_deletion: bool,
    /// Length of key and value.
    pub(crate) bytes: u64,
}

/// One change to append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// [`SPACE_REGISTRY`] or [`SPACE_STORE`].
    pub(crate) space: i64,
    /// The key; in the store with its ident.
    pub(crate) name: &'a [u8],
    /// The canonical bytes; empty to delete.
    pub(crate) value: &'a [u8],
    /// When it was written and when it expires.
    pub(crate) stamp: Stamp,
}

/// The first and the last sequence number in the file. Both 0 if it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The oldest row.
    pub(crate) first: i64,
    /// The newest row.
    pub(crate) last: i64,
}

/// The log, on a connection of its own.
pub(crate) struct Log {
    pub(super) session: Session,
    has_table: Cell<bool>,
    /// Whether commits wait for the device, where the file's do.
    waits: Cell<Option<bool>>,
}

const EXTENT: &str = "SELECT ifnull((SELECT min(seq) FROM acervo_kv), 0), \
                      ifnull((SELECT max(seq) FROM acervo_kv), 0)";
const READ_ON: &str = "SELECT seq, space, name, value, written, expires FROM acervo_kv \
                       WHERE seq > ?1 ORDER BY seq LIMIT ?2";
// The length of a blob is known without reading it.
const SCAN: &str = "SELECT seq, space, name, length(value) FROM acervo_kv \
                    WHERE seq >= ?1 AND seq < ?2 ORDER BY seq LIMIT ?3";
static APPEND: &CStr = c"INSERT INTO acervo_kv (seq, space, name, value, written, expires) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const MOVE: &str = "INSERT INTO acervo_kv (seq, space, name, value, written, expires) \
                    SELECT ?1, space, name, value, written, expires FROM acervo_kv \
                    WHERE seq = ?2";
const DROP_UP_TO: &str = "DELETE FROM acervo_kv WHERE seq <= ?1";

impl Log {
    pub(super) fn new(session: Session) -> Self {
        Self { session, has_table: Cell::new(false), waits: Cell::new(Some(true)) }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.session.path()
    }

    /// As [`Session::begin`].
    pub(crate) fn begin(&self) -> Result<(), StorageError> {
        self.session.begin()
    }

    /// Whether commits wait for the device from now on; for a file whose commits
    /// do. Not in a transaction. What did not wait is made durable by a commit
    /// that does, or by [`Log::sync`].
    pub(crate) fn wait_for_device(&self, waits: bool) -> Result<(), StorageError> {
        if self.waits.get() != Some(waits) {
            // If this fails, nobody knows what SQLite has made of it.
            self.waits.set(None);
            self.session.wait_for_device(waits)?;
            self.waits.set(Some(waits));
        }
        Ok(())
    }

    /// As [`Session::sync`].
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.session.sync()
    }

    /// As [`Session::sync_what_was_read`].
    pub(crate) fn sync_what_was_read(&self) -> Result<(), StorageError> {
        self.session.sync_what_was_read()
    }

    /// As [`Session::is_unsure`].
    pub(crate) fn is_unsure(&self) -> bool {
        self.session.is_unsure()
    }

    /// As [`Session::begin_read`].
    pub(crate) fn begin_read(&self) -> Result<(), StorageError> {
        self.session.begin_read()
    }

    /// As [`Session::commit`].
    pub(crate) fn commit(&self) -> Result<(), StorageError> {
        self.session.commit()
    }

    /// As [`Session::roll_back`].
    pub(crate) fn roll_back(&self) {
        self.session.roll_back();
    }

    /// Where the log begins and ends.
    pub(crate) fn extent(&self) -> Result<Extent, StorageError> {
        if !self.has_table()? {
            return Ok(Extent::default());
        }
        self.session
            .statement(EXTENT)?
            .query_row([], |row| Ok(Extent { first: row.get(0)?, last: row.get(1)? }))
            .map_err(|error| self.session.fault(error))
    }

    /// A file that was opened for reading only may not have the table yet.
    fn has_table(&self) -> Result<bool, StorageError> {
        if !self.has_table.get() {
            let found: i64 = self
                .session
                .statement("SELECT count(*) FROM sqlite_schema WHERE name = 'acervo_kv'")?
                .query_row([], |row| row.get(0))
                .map_err(|error| self.session.fault(error))?;
            self.has_table.set(found > 0);
        }
        Ok(self.has_table.get())
    }

    /// Gives up to `limit` rows after `seq`, oldest first, to `take`.
    pub(crate) fn read_on(
        &self,
        seq: i64,
        limit: i64,
        mut take: impl FnMut(RowRef<'_>),
    ) -> Result<(), StorageError> {
        let mut statement = self.session.statement(READ_ON)?;
        let mut rows = statement.query([seq, limit]).map_err(|error| self.session.fault(error))?;
        while let Some(row) = rows.next().map_err(|error| self.session.fault(error))? {
            let row = read_row(row)
                .map_err(|found| StorageError::Damaged { path: self.path().to_owned(), found })?;
            take(row);
        }
        Ok(())
    }

    /// Gives up to `limit` rows with these numbers, oldest first, without their
    /// values, while `take` wants more.
    pub(crate) fn scan(
        &self,
        numbers: Range<i64>,
        limit: u64,
        mut take: impl FnMut(ScannedRow<'_>) -> bool,
    ) -> Result<(), StorageError> {
        let mut statement = self.session.statement(SCAN)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement
            .query([numbers.start, numbers.end, limit])
            .map_err(|error| self.session.fault(error))?;
        while let Some(row) = rows.next().map_err(|error| self.session.fault(error))? {
            let damaged = |found| StorageError::Damaged { path: self.path().to_owned(), found };
            if !take(scan_row(row).map_err(damaged)?) {
                break;
            }
        }
        Ok(())
    }

    /// Appends `row` under the number `seq`.
    pub(crate) fn append(&self, seq: i64, row: Row<'_>) -> Result<(), StorageError> {
        let value = if row.value.is_empty() { Null } else { Blob(row.value) };
        let Stamp { timestamp, expires_at } = row.stamp;
        let row =
            [Int(seq), Int(row.space), Blob(row.name), value, Int(timestamp), Int(expires_at)];
        self.session.run(APPEND, &row)
    }

    /// Appends a copy of the row at `from` under the number `to`.
    pub(crate) fn append_copy(&self, from: i64, to: i64) -> Result<(), StorageError> {
        self.session
            .statement(MOVE)?
            .execute([to, from])
            .map_err(|error| self.session.fault(error))?;
        Ok(())
    }

    /// Drops the old end of the log, up to and with `seq`.
    pub(crate) fn drop_up_to(&self, seq: i64) -> Result<(), StorageError> {
        self.session
            .statement(DROP_UP_TO)?
            .execute([seq])
            .map_err(|error| self.session.fault(error))?;
        Ok(())
    }

    /// As [`Session::close`].
    pub(crate) fn close(self) -> Result<(), StorageError> {
        self.session.close()
    }
}

fn int(row: &rusqlite::Row<'_>, column: usize, name: &str) -> Result<i64, String> {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(value)) => Ok(value),
        _ => Err(format!("acervo_kv.{name} is not an integer")),
    }
}

fn blob<'a>(row: &'a rusqlite::Row<'_>, column: usize, name: &str) -> Result<&'a [u8], String> {
    match row.get_ref(column) {
        Ok(ValueRef::Blob(bytes)) => Ok(bytes),
        _ => Err(format!("acervo_kv.{name} is not a blob")),
    }
}

fn is_null(row: &rusqlite::Row<'_>, column: usize) -> bool {
    matches!(row.get_ref(column), Ok(ValueRef::Null))
}

fn read_row<'a>(row: &'a rusqlite::Row<'_>) -> Result<RowRef<'a>, String> {
    Ok(RowRef {
        seq: int(row, 0, "seq")?,
        space: int(row, 1, "space")?,
        name: blob(row, 2, "name")?,
        value: if is_null(row, 3) { &[] } else { blob(row, 3, "value")? },
        stamp: Stamp { timestamp: int(row, 4, "written")?, expires_at: int(row, 5, "expires")? },
    })
}

fn scan_row<'a>(row: &'a rusqlite::Row<'_>) -> Result<ScannedRow<'a>, String> {
    let name = blob(row, 2, "name")?;
    let is_deletion = is_null(row, 3);
    let value_len = if is_deletion { 0 } else { int(row, 3, "value")? };
    Ok(ScannedRow {
        seq: int(row, 0, "seq")?,
        space: int(row, 1, "space")?,
        name,
        is_deletion,
        bytes: name.len() as u64 + value_len.unsigned_abs(),
    })
}
