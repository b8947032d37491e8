//! The log of key-value changes: append, read on from a number, drop the old
//! end.

use std::cell::Cell;
use std::ffi::CStr;
use std::ops::Range;
use std::path::Path;

use rusqlite::types::ValueRef;

use super::session::Session;
use super::{StorageError, pack, schema};
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

/// A change without its value, unless that comes with it.
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
    /// Of a row in a pack, what it takes to append it again.
    pub(crate) packed: Option<Row<'a>>,
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
    /// Whether the file says that it may have packs.
    packs: Cell<Packs>,
}

/// Whether the format of a file says that it may have packs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packs {
    Unknown,
    /// The transaction that is open says so.
    InTransaction,
    Known,
}

const FIRST: &str = "SELECT seq, space, written FROM acervo_kv ORDER BY seq LIMIT 1";
const LAST: &str = "SELECT ifnull(max(seq), 0) FROM acervo_kv";
const READ_ON: &str = "SELECT seq, space, name, value, written, expires FROM acervo_kv \
                       WHERE seq > ?1 ORDER BY seq LIMIT ?2";
// The length of a blob is known without reading it. Packs are small.
const SCAN: &str = "SELECT seq, space, name, length(value), written, \
                    CASE WHEN space > 1 THEN value END FROM acervo_kv \
                    WHERE seq >= ?1 AND seq < ?2 ORDER BY seq LIMIT ?3";
static APPEND: &CStr = c"INSERT INTO acervo_kv (seq, space, name, value, written, expires) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const MOVE: &str = "INSERT INTO acervo_kv (seq, space, name, value, written, expires) \
                    SELECT ?1, space, name, value, written, expires FROM acervo_kv \
                    WHERE seq = ?2";
const DROP_UP_TO: &str = "DELETE FROM acervo_kv WHERE seq <= ?1";

impl Log {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session,
            has_table: Cell::new(false),
            waits: Cell::new(Some(true)),
            packs: Cell::new(Packs::Unknown),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.session.path()
    }

    /// As [`Session::begin`].
    pub(crate) fn begin(&self) -> Result<(), StorageError> {
        self.forget_transaction();
        self.session.begin()
    }

    /// What the transaction said that was open before did not come to be.
    fn forget_transaction(&self) {
        if self.packs.get() == Packs::InTransaction {
            self.packs.set(Packs::Unknown);
        }
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
        self.session.commit()?;
        if self.packs.get() == Packs::InTransaction {
            self.packs.set(Packs::Known);
        }
        Ok(())
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
        let fault = |error| self.session.fault(error);
        let mut statement = self.session.statement(FIRST)?;
        let mut rows = statement.query([]).map_err(fault)?;
        let Some(row) = rows.next().map_err(fault)? else { return Ok(Extent::default()) };
        let first = first_number(row).map_err(|found| self.damaged(found))?;
        let last = self.session.statement(LAST)?.query_row([], |row| row.get(0)).map_err(fault)?;
        Ok(Extent { first, last })
    }

    fn damaged(&self, found: String) -> StorageError {
        StorageError::Damaged { path: self.path().to_owned(), found }
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

    /// Gives rows after `seq`, oldest first, to `take`: those of up to `limit`
    /// rows of the table.
    pub(crate) fn read_on(
        &self,
        seq: i64,
        limit: i64,
        mut take: impl FnMut(RowRef<'_>),
    ) -> Result<(), StorageError> {
        let mut statement = self.session.statement(READ_ON)?;
        let mut rows = statement.query([seq, limit]).map_err(|error| self.session.fault(error))?;
        while let Some(row) = rows.next().map_err(|error| self.session.fault(error))? {
            let row = read_row(row).map_err(|found| self.damaged(found))?;
            let each = row.each(|row| {
                if row.seq > seq {
                    take(row);
                }
            });
            each.map_err(|found| self.damaged(format!("acervo_kv row {}: {found}", row.seq)))?;
        }
        Ok(())
    }

    /// Gives rows with these numbers, oldest first, to `take`, while that wants
    /// more and there are no more than `limit` rows of the table; those of a
    /// pack all or none. Values are left out.
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
            let mut goes_on = true;
            scan_row(row, |row| goes_on = take(row)).map_err(|found| self.damaged(found))?;
            if !goes_on {
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

    /// Appends a pack whose `count` rows end with the number `last`.
    pub(super) fn append_pack(
        &self,
        space: i64,
        last: i64,
        count: usize,
        pack: &[u8],
    ) -> Result<(), StorageError> {
        if self.packs.get() == Packs::Unknown {
            self.session.run(schema::HAS_PACKS, &[Int(schema::FORMAT)])?;
            self.packs.set(Packs::InTransaction);
        }
        let row = [
            Int(last),
            Int(space + pack::PACKED),
            Blob(&[]),
            Blob(pack),
            Int(count as i64),
            Int(0),
        ];
        self.session.run(APPEND, &row)
    }

    /// Appends a copy of the row at `from` under the number `to`.
    pub(super) fn append_copy(&self, from: i64, to: i64) -> Result<(), StorageError> {
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

    /// As [`Session::shrink`].
    pub(crate) fn shrink(&self) -> Result<u64, StorageError> {
        self.session.shrink()
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

impl<'a> RowRef<'a> {
    /// The row without its number.
    pub(crate) fn row(&self) -> Row<'a> {
        let Self { space, name, value, stamp, .. } = *self;
        Row { space, name, value, stamp }
    }

    /// Gives the rows that a row of the table holds: itself, or those of a
    /// pack. What is wrong with the pack, if anything is.
    pub(super) fn each(&self, mut each: impl FnMut(RowRef<'_>)) -> Result<(), String> {
        if !is_pack(self.space) {
            each(*self);
            return Ok(());
        }
        if !self.name.is_empty() || self.stamp.expires_at != 0 {
            return Err("a pack with a name or an expiry".to_owned());
        }
        let space = self.space - pack::PACKED;
        pack::decode(space, self.seq, self.stamp.timestamp, self.value, each)
    }
}

/// The number of the first row that a row of the table holds.
fn first_number(row: &rusqlite::Row<'_>) -> Result<i64, String> {
    let (seq, space) = (int(row, 0, "seq")?, int(row, 1, "space")?);
    if !is_pack(space) {
        return Ok(seq);
    }
    // The count stands where a row has its time.
    pack::first_of(seq, int(row, 2, "written")?)
}

/// Whether rows of the table in this space are packs of rows.
fn is_pack(space: i64) -> bool {
    space == SPACE_REGISTRY + pack::PACKED || space == SPACE_STORE + pack::PACKED
}

fn scan_row(row: &rusqlite::Row<'_>, mut take: impl FnMut(ScannedRow<'_>)) -> Result<(), String> {
    let (seq, space, name) = (int(row, 0, "seq")?, int(row, 1, "space")?, blob(row, 2, "name")?);
    if is_null(row, 5) {
        let is_deletion = is_null(row, 3);
        let value_len = if is_deletion { 0 } else { int(row, 3, "value")? };
        let bytes = name.len() as u64 + value_len.unsigned_abs();
        take(ScannedRow { seq, space, name, is_deletion, bytes, packed: None });
        return Ok(());
    }
    let stamp = Stamp { timestamp: int(row, 4, "written")?, expires_at: 0 };
    let pack = RowRef { seq, space, name, value: blob(row, 5, "value")?, stamp };
    pack.each(|row| {
        let RowRef { seq, space, name, value, stamp } = row;
        let bytes = (name.len() + value.len()) as u64;
        let packed = Some(Row { space, name, value, stamp });
        take(ScannedRow { seq, space, name, is_deletion: value.is_empty(), bytes, packed });
    })
    .map_err(|found| format!("acervo_kv row {seq}: {found}"))
}
