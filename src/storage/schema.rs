//! The tables, and what their version is.

use std::ffi::CStr;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// The latest format this library knows. A file with a higher one is refused.
///
/// | format | since | what is new |
/// |---|---|---|
/// | 1 | 0.1.0 | |
/// | 2 | 0.2.0 | rows of `acervo_kv` may be packs of rows |
pub(super) const FORMAT: i64 = 2;
/// What a new file has. It gets a later one when it gets what needs it, so that
/// earlier versions can read it as long as they can.
const FIRST_FORMAT: i64 = 1;

/// Says that a file may have packs; the parameter is the format.
pub(super) static HAS_PACKS: &CStr =
    c"UPDATE acervo_meta SET value = ?1 WHERE key = 'format' AND value < ?1";

/// What a file says about itself.
pub(super) enum State {
    /// No tables of ours yet: a new file, or one of another program.
    Empty,
    /// Our tables in this format.
    Format(i64),
}

/// Reads the format without writing anything.
pub(super) fn inspect(connection: &Connection) -> rusqlite::Result<State> {
    let ours: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'acervo_meta'",
        [],
        |row| row.get(0),
    )?;
    if ours == 0 {
        return Ok(State::Empty);
    }
    let format: Option<i64> = connection
        .query_row("SELECT value FROM acervo_meta WHERE key = 'format'", [], |row| row.get(0))
        .optional()?;
    Ok(format.map_or(State::Empty, State::Format))
}

/// Makes what is missing. Another process may be doing the same.
pub(super) fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS acervo_meta (
             key TEXT PRIMARY KEY,
             value NOT NULL
         ) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS acervo_kv (
             seq INTEGER PRIMARY KEY,      -- grows by one with each change
             space INTEGER NOT NULL,       -- 0 registry, 1 store; 2, 3: packs of them
             name BLOB NOT NULL,           -- the key; in the store with its ident
             value BLOB,                   -- MessagePack; NULL: deleted
             written INTEGER NOT NULL,     -- seconds since the epoch
             expires INTEGER NOT NULL      -- milliseconds since the epoch, 0: never
         );",
    )?;
    transaction.execute(
        "INSERT INTO acervo_meta (key, value) VALUES ('format', ?1) ON CONFLICT DO NOTHING",
        [FIRST_FORMAT],
    )?;
    transaction.commit()
}
