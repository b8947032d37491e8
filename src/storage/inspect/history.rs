//! The rows of the history, as they are.

use rusqlite::types::ValueRef;

use super::{Inspection, blob, int, type_name};
use crate::report::Report;
use crate::storage::{NetRow, StorageError};

/// A version as its row has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawVersion {
    /// Its number.
    pub(crate) id: i64,
    /// The version it was made from.
    pub(crate) parent: Option<i64>,
}

impl Inspection {
    /// A note of ours that is a number; `None` if there is none. One that is
    /// none is a fault.
    pub(crate) fn noted(
        &self,
        key: &str,
        report: &mut Report,
    ) -> Result<Option<u64>, StorageError> {
        let mut noted = None;
        self.each("SELECT value FROM acervo_meta WHERE key = ?1", [key], |row| match row.at(0) {
            ValueRef::Integer(value) if value >= 0 => noted = Some(value.unsigned_abs()),
            other => {
                let found = format!("it is {}, not a number from 0 on", type_name(other));
                report.add("version", format!("acervo_meta {key}"), found);
            }
        })?;
        Ok(noted)
    }

    /// What the exchanged `metadata` says, as text.
    pub(crate) fn metadata(&self, key: &str) -> Result<Option<String>, StorageError> {
        let mut found = None;
        self.each("SELECT value FROM metadata WHERE key = ?1", [key], |row| {
            found = Some(match row.at(0) {
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                // The other program's layout says text; SQLite reads both.
                ValueRef::Integer(number) => number.to_string(),
                other => type_name(other).to_owned(),
            });
        })?;
        Ok(found)
    }

    /// Gives every version, ascending, or what is wrong with its row.
    pub(crate) fn versions(
        &self,
        mut take: impl FnMut(RawVersion, Option<String>),
    ) -> Result<(), StorageError> {
        self.each("SELECT id, parent_id FROM versions ORDER BY id", [], |row| {
            let ValueRef::Integer(id) = row.at(0) else { return };
            let (parent, fault) = match row.at(1) {
                ValueRef::Null => (None, None),
                other => match int(other, "parent_id") {
                    Ok(parent) => (Some(parent), None),
                    Err(found) => (None, Some(found)),
                },
            };
            take(RawVersion { id, parent }, fault);
        })
    }

    /// Gives every changeset by its version, ascending.
    pub(crate) fn changesets(
        &self,
        mut take: impl FnMut(i64, Result<&[u8], String>),
    ) -> Result<(), StorageError> {
        self.each("SELECT version_id, data FROM changesets ORDER BY version_id", [], |row| {
            if let ValueRef::Integer(version) = row.at(0) {
                take(version, blob(row.at(1), "data"));
            }
        })
    }

    /// Gives the changeset of a version to `read`; `None` if there is none.
    pub(crate) fn changeset<T>(
        &self,
        version: u64,
        mut read: impl FnMut(&[u8]) -> T,
    ) -> Result<Option<T>, StorageError> {
        let mut found = None;
        let sql = "SELECT data FROM changesets WHERE version_id = ?1";
        self.each(sql, [version as i64], |row| {
            if let ValueRef::Blob(bytes) = row.at(0) {
                found = Some(read(bytes));
            }
        })?;
        Ok(found)
    }

    /// Gives the numbers of the rows in which times, authors and messages
    /// stand.
    pub(crate) fn descriptions(&self, mut take: impl FnMut(i64)) -> Result<(), StorageError> {
        self.each("SELECT id FROM acervo_version ORDER BY id", [], |row| {
            if let ValueRef::Integer(id) = row.at(0) {
                take(id);
            }
        })
    }

    /// Gives every row of the net, or what is wrong with it.
    pub(crate) fn net_rows(
        &self,
        mut take: impl FnMut(Result<NetRow<'_>, String>),
    ) -> Result<(), StorageError> {
        self.each("SELECT ns, name, entry FROM acervo_net ORDER BY ns, name", [], |row| {
            let read = || {
                let entry = match row.at(2) {
                    ValueRef::Null => None,
                    other => Some(blob(other, "entry")?),
                };
                Ok(NetRow { ns: blob(row.at(0), "ns")?, name: blob(row.at(1), "name")?, entry })
            };
            take(read());
        })
    }

    /// Gives every skip: version, level, ancestor and changeset.
    pub(crate) fn skip_rows(
        &self,
        mut take: impl FnMut(i64, i64, i64, Result<&[u8], String>),
    ) -> Result<(), StorageError> {
        const SKIPS: &str =
            "SELECT version, level, ancestor, data FROM acervo_skip ORDER BY version, level";
        self.each(SKIPS, [], |row| {
            let number = |column| int(row.at(column), "").unwrap_or(-1);
            take(number(0), number(1), number(2), blob(row.at(3), "data"));
        })
    }
}
