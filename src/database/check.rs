//! Checking a database: its file, and memory against the file.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::open;
use super::options::Options;
use crate::entries;
use crate::error::Error;
use crate::kv;
use crate::report::Report;
use crate::storage::{Inspection, Place, StorageError};

/// Checks the file at `path` without opening it as a database: one that is too
/// damaged for that can be checked too. Writes nothing; works beside others
/// that read and write.
///
/// # Errors
///
/// What is wrong with the file is in the report. An error tells that it could
/// not be checked: no file, no permission, made by a newer version.
pub fn check_file(path: &Path) -> Result<Report, Error> {
    let path = open::path_of(path.as_os_str().as_bytes())?;
    let place = open::place_of(&path, &Options::default());
    check(&place, None, None)
}

/// Checks the file, and what is in memory against it.
pub(super) fn check(
    place: &Place,
    engine: Option<&kv::Engine>,
    entries: Option<&entries::Engine>,
) -> Result<Report, Error> {
    let mut report = Report::default();
    let inspection = Inspection::open(place)?;
    let done = check_view(&inspection, engine, entries, &mut report);
    inspection.end();
    done?;
    Ok(report)
}

/// Everything is read as it is at one moment.
fn check_view(
    inspection: &Inspection,
    engine: Option<&kv::Engine>,
    entries: Option<&entries::Engine>,
    report: &mut Report,
) -> Result<(), StorageError> {
    let picture = match engine {
        Some(engine) => engine.picture(inspection),
        None => inspection.begin().map(|()| None),
    };
    let Some(picture) = inspection.note(picture, report)? else { return Ok(()) };
    let Some(()) = inspection.note(inspection.check_format(), report)? else { return Ok(()) };
    let structure = inspection.structure(report);
    inspection.note(structure, report)?;
    let tables = inspection.schema(report);
    let Some(tables) = inspection.note(tables, report)? else { return Ok(()) };
    if tables.log {
        let log = kv::check_log(inspection, picture, report);
        inspection.note(log, report)?;
    }
    if tables.history {
        let history = entries::check(inspection, tables, entries, report);
        inspection.note(history, report)?;
    }
    Ok(())
}
