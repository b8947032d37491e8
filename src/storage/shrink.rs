//! Giving pages of the file back that nothing stands on.
//!
//! Rows that go leave free pages, which later rows use. Where most of the file
//! is free, it is given back to the file system: in portions where the file
//! keeps track of what stands where (`auto_vacuum = INCREMENTAL`, as new files
//! do), and otherwise by writing the file anew, if little is left in it.

use rusqlite::Connection;

use super::StorageError;
use super::session::Session;

/// A file with fewer free pages is left alone.
const FEWEST: i64 = 256;
/// Pages given back in one transaction.
const PORTION: i64 = 256;
/// Bytes that may be written anew in one transaction, during which others wait.
const ANEW: i64 = 64 << 20;

/// `PRAGMA auto_vacuum`.
const INCREMENTAL: i64 = 2;

/// Has a new file keep track of what stands where. Nothing may be in it yet.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)
}

impl Session {
    /// Gives back some pages if most are free, as the file system sees it with
    /// the next checkpoint. Tells how many. Not in a transaction.
    pub(super) fn shrink(&self) -> Result<u64, StorageError> {
        let figure =
            |name| self.with(|it| it.pragma_query_value(None, name, |row| row.get::<_, i64>(0)));
        let (pages, free) = (figure("page_count")?, figure("freelist_count")?);
        if free < FEWEST || free <= pages / 2 {
            return Ok(0);
        }
        if figure("auto_vacuum")? == INCREMENTAL {
            // It gives a row for each page, and stops where nobody asks for more.
            let sql = format!("PRAGMA incremental_vacuum({PORTION})");
            self.with(|it| {
                let mut statement = it.prepare(&sql)?;
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
                Ok(())
            })?;
        } else if (pages - free) * figure("page_size")? <= ANEW {
            self.run_all(&format!("PRAGMA auto_vacuum = {INCREMENTAL}; VACUUM"))?;
        }
        let left = figure("page_count")?;
        Ok((pages - left).max(0).unsigned_abs())
    }
}
