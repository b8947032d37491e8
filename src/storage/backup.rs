//! Copying a database while it is in use.
//!
//! SQLite's backup in one step: it holds one read view for as long as it takes
//! to copy the pages. Who writes meanwhile appends to the WAL and waits for
//! nothing; that it is not a step at a time is what has it end, since a copy in
//! steps begins anew whenever another connection has written in between.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::connection::{connect, regular_file};
use super::{Place, StorageError};
use crate::platform::sqlite;

/// Copies the file at `place`, as it is at one moment, into the empty file
/// `to`. Nothing is synced.
pub(crate) fn copy(place: &Place, to: &Path) -> Result<(), StorageError> {
    regular_file(&place.path)?;
    let from = connect(place, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let target = Place { path: to.to_owned(), ..place.clone() };
    let mut into = connect(&target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let of_target = |error: rusqlite::Error, into: &Connection| {
        StorageError::from_sqlite(&error, sqlite::system_errno(into), to)
    };
    // Nobody knows the file yet: it needs no journal to go back to.
    let journal: rusqlite::Result<String> =
        into.pragma_update_and_check(None, "journal_mode", "OFF", |row| row.get(0));
    journal.map_err(|error| of_target(error, &into))?;
    into.pragma_update(None, "synchronous", "OFF").map_err(|error| of_target(error, &into))?;
    let copied = Backup::new(&from, &mut into).and_then(|backup| backup.step(-1));
    match copied {
        Ok(StepResult::Done) => {}
        Ok(_) => return Err(StorageError::Busy { path: place.path.clone() }),
        // It is the source that can be damaged, and the target's disk that can
        // be full.
        Err(error) => {
            return Err(match of_target(error, &into) {
                StorageError::Damaged { found, .. } => {
                    StorageError::Damaged { path: place.path.clone(), found }
                }
                other => other,
            });
        }
    }
    into.close().map_err(|(into, error)| of_target(error, &into))
}
