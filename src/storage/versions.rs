//! The tables of the history: versions, changesets and where the head is.
//!
//! The layout of `metadata`, `versions` and `changesets` is that of another
//! program, with which files are exchanged; it must not change. What we know
//! besides stands in tables of our own (`derived`). That program replaces
//! rows as it likes, so triggers note the lowest version that anybody wrote;
//! on our own connections they do not fire.

use std::cell::Cell;
use std::ffi::CStr;
use std::path::Path;

use rusqlite::{OptionalExtension, Row, params};

use super::StorageError;
use super::session::Session;
use crate::platform::prepared::Parameter::{Blob, Int, Null, Text};
use crate::platform::wal::Mark;

/// A connection to the history.
pub(crate) struct Versions {
    pub(super) session: Session,
    has_tables: Cell<bool>,
    /// What the history says, and the [`Session::data_version`] it says it of.
    tallied: Cell<Option<(u32, Tally)>>,
    /// What it says once the transaction is committed.
    expected: Cell<Option<Tally>>,
    /// What shared memory said after our last commit, if it was the last.
    marked: Cell<Option<Mark>>,
}

/// What the history says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The current version.
    pub(crate) head: u64,
    /// The highest version ever used.
    pub(crate) last: u64,
    /// Moves when versions are taken out, or a stranger's writes were noticed.
    pub(crate) epoch: u64,
    /// The lowest version that a stranger wrote since.
    pub(crate) touched: Option<u64>,
}

impl Tally {
    /// The epoch as processes compare it: a stranger's writes make another one
    /// at once, also before anybody could note that in the file.
    pub(crate) fn moment(&self) -> u64 {
        2 * self.epoch + u64::from(self.touched.is_some())
    }
}

/// A version without its changeset.
#[derive(Clone, Debug, Default)]
pub(crate) struct VersionRow {
    /// Its number.
    pub(crate) id: u64,
    /// The version it was made from; `None` for the root.
    pub(crate) parent: Option<u64>,
    /// When it was made, in seconds since the epoch.
    pub(crate) time: Option<i64>,
    /// Who made it.
    pub(crate) author: Option<Box<[u8]>>,
    /// What it is about.
    pub(crate) message: Option<Box<[u8]>>,
}

/// The schema of the other program; it says so in `metadata`.
const THEIRS: &str = "
    CREATE TABLE IF NOT EXISTS metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS versions (
        id INTEGER PRIMARY KEY,
        parent_id INTEGER,
        FOREIGN KEY (parent_id) REFERENCES versions(id)
    );
    CREATE TABLE IF NOT EXISTS changesets (
        version_id INTEGER PRIMARY KEY,
        data BLOB NOT NULL,
        FOREIGN KEY (version_id) REFERENCES versions(id) ON DELETE CASCADE
    );
    CREATE INDEX IF NOT EXISTS idx_versions_parent ON versions(parent_id);
    INSERT INTO metadata (key, value) VALUES ('schema_version', '1') ON CONFLICT DO NOTHING;
    INSERT INTO metadata (key, value) VALUES ('head', '0') ON CONFLICT DO NOTHING;
    INSERT INTO versions (id, parent_id) VALUES (0, NULL) ON CONFLICT DO NOTHING;
    INSERT INTO changesets (version_id, data) VALUES (0, x'90') ON CONFLICT DO NOTHING;
";

/// Tables of ours beside them, and the triggers that watch them.
const OURS: &str = "
    CREATE TABLE IF NOT EXISTS acervo_version (
        id INTEGER PRIMARY KEY,
        time INTEGER,
        author BLOB,
        message BLOB
    );
    CREATE TABLE IF NOT EXISTS acervo_skip (
        version INTEGER NOT NULL,
        level INTEGER NOT NULL,
        ancestor INTEGER NOT NULL,     -- the changeset leads from here to version
        data BLOB NOT NULL,
        PRIMARY KEY (version, level)
    );
    CREATE TABLE IF NOT EXISTS acervo_net (
        ns BLOB NOT NULL,
        name BLOB NOT NULL,
        entry BLOB,                    -- NULL: deleted
        PRIMARY KEY (ns, name)
    ) WITHOUT ROWID;
";

/// The schema version that we read and write.
const SCHEMA_VERSION: i64 = 1;

const TALLY: &str = "SELECT \
    (SELECT value FROM metadata WHERE key = 'head'), \
    (SELECT max(id) FROM versions), \
    (SELECT value FROM acervo_meta WHERE key = 'last_version'), \
    (SELECT value FROM acervo_meta WHERE key = 'epoch'), \
    (SELECT value FROM acervo_meta WHERE key = 'touched')";
const ROWS: &str = "SELECT v.id, v.parent_id, o.time, o.author, o.message \
    FROM versions v LEFT JOIN acervo_version o ON o.id = v.id ORDER BY v.id";
const ROW: &str = "SELECT v.id, v.parent_id, o.time, o.author, o.message \
    FROM versions v LEFT JOIN acervo_version o ON o.id = v.id WHERE v.id = ?1";

static INSERT_VERSION: &CStr = c"INSERT INTO versions (id, parent_id) VALUES (?1, ?2)";
static INSERT_CHANGESET: &CStr = c"INSERT INTO changesets (version_id, data) VALUES (?1, ?2)";
static DESCRIBE: &CStr = c"INSERT OR REPLACE INTO acervo_version (id, time, author, message) \
    VALUES (?1, ?2, ?3, ?4)";
static MOVE_HEAD: &CStr = c"UPDATE metadata SET value = ?1 WHERE key = 'head'";
static INSERT_HEAD: &CStr = c"INSERT INTO metadata (key, value) VALUES ('head', ?1)";

impl Versions {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session,
            has_tables: Cell::new(false),
            tallied: Cell::new(None),
            expected: Cell::new(None),
            marked: Cell::new(None),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.session.path()
    }

    /// As [`Session::begin`].
    pub(crate) fn begin(&self) -> Result<(), StorageError> {
        self.session.begin()
    }

    /// As [`Session::begin_read`].
    pub(crate) fn begin_read(&self) -> Result<(), StorageError> {
        self.session.begin_read()
    }

    /// As [`Session::commit`].
    pub(crate) fn commit(&self) -> Result<(), StorageError> {
        self.marked.set(None);
        let expected = self.expected.take();
        let before = expected.and_then(|_| self.session.mark());
        // What it said in a transaction that failed it does not say.
        self.session.commit().inspect_err(|_| self.tallied.set(None))?;
        let Some(tally) = expected else { return Ok(()) };
        self.tallied.set(Some((self.session.committed_version(), tally)));
        // Another may have committed already; what its commit left is not ours.
        let mark = self.session.mark();
        self.marked.set(mark.filter(|mark| before.is_some_and(|it| mark.is_next_of(&it))));
        Ok(())
    }

    /// As [`Session::roll_back`].
    pub(crate) fn roll_back(&self) {
        if self.session.is_writing() {
            self.tallied.set(None);
            self.expected.set(None);
        }
        self.session.roll_back();
    }

    /// As [`Session::sync_what_was_read`].
    pub(crate) fn sync_what_was_read(&self) -> Result<(), StorageError> {
        self.session.sync_what_was_read()
    }

    /// As [`Session::sync`].
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.session.sync()
    }

    /// As [`Session::checkpoint_apart`].
    pub(crate) fn checkpoint_apart(&self) {
        self.session.checkpoint_apart();
    }

    /// As [`Session::checkpoint`].
    pub(crate) fn checkpoint(&self) {
        self.session.checkpoint();
    }

    /// As [`Session::close`].
    pub(crate) fn close(self) -> Result<(), StorageError> {
        self.session.close()
    }

    /// Whether the file has a history, of ours or of the other program.
    pub(crate) fn has_tables(&self) -> Result<bool, StorageError> {
        if !self.has_tables.get() {
            self.has_tables.set(self.has_table("versions")? && self.has_table("acervo_skip")?);
        }
        Ok(self.has_tables.get())
    }

    fn has_table(&self, name: &str) -> Result<bool, StorageError> {
        self.session
            .statement("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1")?
            .query_row([name], |row| row.get::<_, i64>(0))
            .map(|count| count > 0)
            .map_err(|error| self.session.fault(error))
    }

    /// Whether the file holds a version besides the root, whoever made it.
    pub(crate) fn holds_history(&self) -> Result<bool, StorageError> {
        if !self.has_table("versions")? {
            return Ok(false);
        }
        self.session
            .statement("SELECT EXISTS (SELECT 1 FROM versions WHERE id > 0)")?
            .query_row([], |row| row.get(0))
            .map_err(|error| self.session.fault(error))
    }

    /// Whether only the other program's tables are there.
    pub(crate) fn is_foreign(&self) -> Result<bool, StorageError> {
        Ok(!self.has_tables()? && self.has_table("versions")?)
    }

    /// Makes the tables that are missing, and the triggers. They are there when
    /// the transaction is committed: until then [`Versions::has_tables`] asks.
    pub(crate) fn create_tables(&self) -> Result<(), StorageError> {
        self.tallied.set(None);
        self.session.run_all(THEIRS)?;
        self.session.run_all(OURS)?;
        for (table, column) in [("versions", "id"), ("changesets", "version_id")] {
            for (event, row) in [("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")] {
                self.session.run_all(&format!(
                    "CREATE TRIGGER IF NOT EXISTS acervo_{table}_{event} AFTER {event} ON {table} \
                     BEGIN INSERT INTO acervo_meta (key, value) VALUES ('touched', {row}.{column}) \
                     ON CONFLICT DO UPDATE SET value = min(value, excluded.value); END;"
                ))?;
            }
        }
        Ok(())
    }

    /// Has our tables in memory only, empty, beside a history of the other
    /// program in a file that cannot be written.
    pub(crate) fn shadow_tables(&self) -> Result<(), StorageError> {
        self.session.run_all("CREATE TEMP TABLE acervo_meta (key TEXT PRIMARY KEY, value)")?;
        self.session.run_all(&OURS.replace("CREATE TABLE IF NOT EXISTS", "CREATE TEMP TABLE"))?;
        self.has_tables.set(true);
        Ok(())
    }

    /// Fails if the other program's tables have a version we do not know.
    pub(crate) fn check_schema(&self) -> Result<(), StorageError> {
        let version: Option<String> = self
            .session
            .statement("SELECT value FROM metadata WHERE key = 'schema_version'")?
            .query_row([], |row| row.get(0))
            .optional()
            .map_err(|error| self.session.fault(error))?;
        match version.as_deref().map(str::parse) {
            None | Some(Ok(SCHEMA_VERSION)) => Ok(()),
            Some(Ok(format)) => Err(StorageError::Newer {
                path: self.path().to_owned(),
                format,
                known: SCHEMA_VERSION,
            }),
            Some(Err(_)) => Err(self.damaged("metadata.schema_version is not a number")),
        }
    }

    pub(super) fn damaged(&self, found: impl Into<String>) -> StorageError {
        StorageError::Damaged { path: self.path().to_owned(), found: found.into() }
    }

    /// What the history says about itself; the tables are there.
    pub(crate) fn tally(&self) -> Result<Tally, StorageError> {
        let version = self.session.data_version()?;
        if let Some((before, tally)) = self.tallied.get()
            && before == version
        {
            return Ok(tally);
        }
        let tally = self.read_tally()?;
        self.tallied.set(Some((version, tally)));
        Ok(tally)
    }

    /// As [`Versions::tally`], for whoever is about to write: when the last
    /// commit of whomever was that of this connection, that takes no system
    /// call and no statement.
    pub(crate) fn tally_before_writing(&self) -> Result<Tally, StorageError> {
        if let (Some((_, tally)), Some(marked)) = (self.tallied.get(), self.marked.get())
            && self.session.mark() == Some(marked)
        {
            return Ok(tally);
        }
        self.tally()
    }

    /// Has the tally be this when the transaction is committed: what was
    /// written in it makes it so.
    pub(crate) fn expect_tally(&self, tally: Tally) {
        self.expected.set(Some(tally));
    }

    fn read_tally(&self) -> Result<Tally, StorageError> {
        let (head, highest, last, epoch, touched) = self
            .session
            .statement(TALLY)?
            .query_row([], |row| {
                let head: Option<String> = row.get(0)?;
                let number = |column| row.get::<_, Option<i64>>(column);
                Ok((head, number(1)?, number(2)?, number(3)?, number(4)?))
            })
            .map_err(|error| self.session.fault(error))?;
        let head = head.unwrap_or_else(|| "0".to_owned());
        let Ok(head) = head.parse::<u64>() else {
            return Err(self.damaged(format!("metadata.head is \"{head}\"")));
        };
        let last = [highest, last].into_iter().flatten().max().unwrap_or(0);
        Ok(Tally {
            head,
            last: u64::try_from(last).unwrap_or(0).max(head),
            epoch: u64::try_from(epoch.unwrap_or(0)).unwrap_or(0),
            touched: touched.map(|version| u64::try_from(version).unwrap_or(0)),
        })
    }

    /// Gives each version above `after` with its parent, in ascending order.
    pub(crate) fn parents_after(
        &self,
        after: u64,
        mut take: impl FnMut(u64, u64),
    ) -> Result<(), StorageError> {
        let mut statement = self
            .session
            .statement("SELECT id, parent_id FROM versions WHERE id > ?1 ORDER BY id")?;
        let fault = |error| self.session.fault(error);
        let mut rows = statement.query([after as i64]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let id = row.get::<_, i64>(0).map_err(fault)?;
            // Another program may have left a version without a parent.
            let parent = row.get::<_, Option<i64>>(1).map_err(fault)?.unwrap_or(0);
            take(id as u64, parent as u64);
        }
        Ok(())
    }

    /// The parent of a version; `None` for the root.
    pub(crate) fn parent(&self, version: u64) -> Result<Option<u64>, StorageError> {
        let parent: Option<Option<i64>> = self
            .session
            .statement("SELECT parent_id FROM versions WHERE id = ?1")?
            .query_row([version as i64], |row| row.get(0))
            .optional()
            .map_err(|error| self.session.fault(error))?;
        match parent {
            None => Err(self.damaged(format!("versions has no row {version}"))),
            Some(parent) => Ok(parent.map(|parent| parent as u64)),
        }
    }

    /// Gives every version, ascending.
    pub(crate) fn rows(&self, mut take: impl FnMut(VersionRow)) -> Result<(), StorageError> {
        let fault = |error| self.session.fault(error);
        let mut statement = self.session.statement(ROWS)?;
        let mut rows = statement.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            take(read_version(row).map_err(fault)?);
        }
        Ok(())
    }

    /// One version, if it exists.
    pub(crate) fn row(&self, version: u64) -> Result<Option<VersionRow>, StorageError> {
        self.session
            .statement(ROW)?
            .query_row([version as i64], read_version)
            .optional()
            .map_err(|error| self.session.fault(error))
    }

    /// Gives a version's changeset to `read`.
    pub(crate) fn changeset<T>(
        &self,
        version: u64,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, StorageError> {
        self.blob(
            "SELECT data FROM changesets WHERE version_id = ?1",
            &[version as i64],
            &format!("the changeset of version {version}"),
            read,
        )
    }

    /// Gives the one blob that a query finds to `read`.
    pub(super) fn blob<T>(
        &self,
        sql: &str,
        parameters: &[i64],
        what: &str,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, StorageError> {
        let fault = |error| self.session.fault(error);
        let mut statement = self.session.statement(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(parameters)).map_err(fault)?;
        let Some(row) = rows.next().map_err(fault)? else {
            return Err(self.damaged(format!("{what} is missing")));
        };
        match row.get_ref(0).map_err(fault)?.as_bytes() {
            Ok(bytes) => Ok(read(bytes)),
            Err(_) => Err(self.damaged(format!("{what} is not a blob"))),
        }
    }

    /// Adds a version with its changeset.
    pub(crate) fn insert(&self, row: &VersionRow, changeset: &[u8]) -> Result<(), StorageError> {
        self.tallied.set(None);
        let id = Int(row.id as i64);
        let parent = row.parent.map_or(Null, |parent| Int(parent as i64));
        self.session.run(INSERT_VERSION, &[id, parent])?;
        self.session.run(INSERT_CHANGESET, &[id, Blob(changeset)])?;
        let time = row.time.map_or(Null, Int);
        let author = row.author.as_deref().map_or(Null, Blob);
        let message = row.message.as_deref().map_or(Null, Blob);
        self.session.run(DESCRIBE, &[id, time, author, message])
    }

    /// Makes a version the current one.
    pub(crate) fn set_head(&self, version: u64) -> Result<(), StorageError> {
        self.tallied.set(None);
        let version = version.to_string();
        self.session.run(MOVE_HEAD, &[Text(&version)])?;
        if self.session.changed() == 0 {
            self.session.run(INSERT_HEAD, &[Text(&version)])?;
        }
        Ok(())
    }

    /// Makes a version a child of the root, with this changeset.
    pub(crate) fn reparent(&self, version: u64, changeset: &[u8]) -> Result<(), StorageError> {
        let id = version as i64;
        self.execute("UPDATE versions SET parent_id = 0 WHERE id = ?1", params![id])?;
        self.execute(
            "UPDATE changesets SET data = ?2 WHERE version_id = ?1",
            params![id, changeset],
        )
    }

    /// Takes a version out, and what is derived from it.
    pub(crate) fn remove(&self, version: u64) -> Result<(), StorageError> {
        for sql in [
            "DELETE FROM changesets WHERE version_id = ?1",
            "DELETE FROM versions WHERE id = ?1",
            "DELETE FROM acervo_version WHERE id = ?1",
        ] {
            self.execute(sql, params![version as i64])?;
        }
        Ok(())
    }

    pub(super) fn execute(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<(), StorageError> {
        self.tallied.set(None);
        self.session
            .statement(sql)?
            .execute(parameters)
            .map(drop)
            .map_err(|error| self.session.fault(error))
    }
}

fn read_version(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    let bytes = |column| -> rusqlite::Result<Option<Box<[u8]>>> {
        Ok(row.get::<_, Option<Vec<u8>>>(column)?.map(Vec::into_boxed_slice))
    };
    Ok(VersionRow {
        id: row.get::<_, i64>(0)? as u64,
        parent: row.get::<_, Option<i64>>(1)?.map(|parent| parent as u64),
        time: row.get(2)?,
        author: bytes(3)?,
        message: bytes(4)?,
    })
}
