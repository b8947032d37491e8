//! What is derived from the history, so that opening it and going far in it
//! cost little: written behind, and made again when it is lost.

use std::ffi::CStr;

use rusqlite::{OptionalExtension, params};

use super::versions::Versions;
use super::{StorageError, Tally};
use crate::platform::prepared::Parameter::{Blob, Null};

/// What the versions come down to for one id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetRow<'a> {
    /// The namespace.
    pub(crate) ns: &'a [u8],
    /// The name.
    pub(crate) name: &'a [u8],
    /// The entry as changesets have it; `None`: deleted.
    pub(crate) entry: Option<&'a [u8]>,
}

static REPLACE_NET: &CStr = c"UPDATE acervo_net SET entry = ?3 WHERE ns = ?1 AND name = ?2";
static INSERT_NET: &CStr = c"INSERT INTO acervo_net (ns, name, entry) VALUES (?1, ?2, ?3)";

impl Versions {
    /// A number that we noted; `None` if there is none.
    pub(crate) fn note(&self, key: &str) -> Result<Option<u64>, StorageError> {
        let value: Option<i64> = self
            .session
            .statement("SELECT value FROM acervo_meta WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()
            .map_err(|error| self.session.fault(error))?;
        Ok(value.map(|value| value as u64))
    }

    /// Notes a number, or takes it away.
    pub(crate) fn set_note(&self, key: &str, value: Option<u64>) -> Result<(), StorageError> {
        match value {
            Some(value) => self.execute(
                "INSERT INTO acervo_meta (key, value) VALUES (?1, ?2) \
                 ON CONFLICT DO UPDATE SET value = excluded.value",
                params![key, value as i64],
            ),
            None => self.execute("DELETE FROM acervo_meta WHERE key = ?1", params![key]),
        }
    }

    /// Forgets what a stranger's writes made false, and the note about them:
    /// what was derived from the versions it touched or later ones.
    pub(crate) fn forget_touched(&self, tally: Tally) -> Result<(), StorageError> {
        let Some(touched) = tally.touched else { return Ok(()) };
        self.execute("DELETE FROM acervo_skip WHERE version >= ?1", params![touched as i64])?;
        self.execute("DELETE FROM acervo_version WHERE id >= ?1", params![touched as i64])?;
        if self.note("net_version")?.is_some_and(|version| version >= touched)
            || self.note("net_next")?.is_some_and(|version| version >= touched)
        {
            self.clear_net()?;
        }
        self.set_note("epoch", Some(tally.epoch + 1))?;
        self.set_note("touched", None)
    }

    /// The changesets that lead to `version` from far ancestors: level and
    /// ancestor, the farthest first.
    pub(crate) fn skips(&self, version: u64) -> Result<Vec<(i64, u64)>, StorageError> {
        let fault = |error| self.session.fault(error);
        let mut statement = self.session.statement(
            "SELECT level, ancestor FROM acervo_skip WHERE version = ?1 ORDER BY level DESC",
        )?;
        let rows = statement
            .query_map([version as i64], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// As [`Versions::skips`], of all versions from `first` to `last`: version,
    /// level and ancestor, by version, the farthest first.
    pub(crate) fn skips_between(
        &self,
        first: u64,
        last: u64,
    ) -> Result<Vec<(u64, i64, u64)>, StorageError> {
        let fault = |error| self.session.fault(error);
        let mut statement = self.session.statement(
            "SELECT version, level, ancestor FROM acervo_skip \
             WHERE version BETWEEN ?1 AND ?2 ORDER BY version, level DESC",
        )?;
        let rows = statement
            .query_map([first as i64, last as i64], |row| {
                let number = |column| row.get::<_, i64>(column);
                Ok((number(0)? as u64, number(1)?, number(2)? as u64))
            })
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// Gives such a changeset to `read`.
    pub(crate) fn skip<T>(
        &self,
        version: u64,
        level: i64,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, StorageError> {
        self.blob(
            "SELECT data FROM acervo_skip WHERE version = ?1 AND level = ?2",
            &[version as i64, level],
            &format!("acervo_skip of version {version}"),
            read,
        )
    }

    /// Adds such a changeset.
    pub(crate) fn insert_skip(
        &self,
        version: u64,
        level: i64,
        ancestor: u64,
        changeset: &[u8],
    ) -> Result<(), StorageError> {
        self.execute(
            "INSERT OR REPLACE INTO acervo_skip (version, level, ancestor, data) \
             VALUES (?1, ?2, ?3, ?4)",
            params![version as i64, level, ancestor as i64, changeset],
        )
    }

    /// Takes out the skips that lead to or from a version.
    pub(crate) fn remove_skips(&self, version: u64) -> Result<(), StorageError> {
        self.execute("DELETE FROM acervo_skip WHERE version = ?1", params![version as i64])
    }

    /// Takes out the skips that begin at a version that is no more.
    pub(crate) fn remove_dangling_skips(&self) -> Result<(), StorageError> {
        self.execute(
            "DELETE FROM acervo_skip WHERE ancestor NOT IN (SELECT id FROM versions)",
            params![],
        )
    }

    /// Gives what the versions up to `net_version` come down to, by id.
    pub(crate) fn net(&self, mut take: impl FnMut(NetRow<'_>)) -> Result<(), StorageError> {
        let fault = |error| self.session.fault(error);
        let mut statement =
            self.session.statement("SELECT ns, name, entry FROM acervo_net ORDER BY ns, name")?;
        let mut rows = statement.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let blob = |column| {
                let bytes = row.get_ref(column).map_err(fault)?.as_bytes_or_null();
                bytes.map_err(|_| self.damaged("acervo_net holds what is no blob"))
            };
            take(NetRow {
                ns: blob(0)?.unwrap_or_default(),
                name: blob(1)?.unwrap_or_default(),
                entry: blob(2)?,
            });
        }
        Ok(())
    }

    /// Puts a row there. Tells whether there was one with its id.
    pub(crate) fn put_net(&self, row: NetRow<'_>) -> Result<bool, StorageError> {
        let row = [Blob(row.ns), Blob(row.name), row.entry.map_or(Null, Blob)];
        self.session.run(REPLACE_NET, &row)?;
        let replaced = self.session.changed() > 0;
        if !replaced {
            self.session.run(INSERT_NET, &row)?;
        }
        Ok(replaced)
    }

    /// Empties it.
    pub(crate) fn clear_net(&self) -> Result<(), StorageError> {
        self.execute("DELETE FROM acervo_net", params![])?;
        self.set_note("net_version", None)?;
        self.set_note("net_next", None)
    }
}
