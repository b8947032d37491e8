//! Checking a file, and copying one.

use std::fmt;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use acervo::database::{Checked, Database, Options, check_file};
use acervo::error::Error;
use acervo::value::{Value, put_bool};

use crate::script::default_database;
use crate::{Backup, Check};

/// Why a file was not checked, or not copied.
pub(crate) enum Failure {
    /// The database.
    Database(Error),
    /// Nobody reads what is written.
    Output(std::io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

/// Prints what is wrong with the file, and how much was looked at. Tells
/// whether it is sound.
pub(crate) fn check(check: &Check) -> Result<bool, Failure> {
    let path = check.file.clone().unwrap_or_else(default_database);
    let report = check_file(&path)?;
    let mut text = Vec::new();
    for fault in &report.faults {
        // Writing to a Vec does not fail.
        let _ = writeln!(text, "{fault}");
    }
    let unlisted = report.count - report.faults.len() as u64;
    if unlisted > 0 {
        let _ = writeln!(text, "and {unlisted} more");
    }
    let verdict = match report.count {
        0 => "sound".to_owned(),
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    let Checked { pages, rows, versions, checkpoints, entries, .. } = report.checked;
    let _ = writeln!(
        text,
        "{}: {verdict}; pages {pages}, rows {rows}, versions {versions}, checkpoints \
         {checkpoints}, entries {entries}",
        path.display()
    );
    std::io::stdout().write_all(&text).map_err(Failure::Output)?;
    Ok(report.is_sound())
}

/// Copies the file to a new one.
pub(crate) fn backup(backup: &Backup) -> Result<(), Failure> {
    let mut options = Options::default();
    let mut yes = Vec::new();
    put_bool(&mut yes, true);
    options.set("read_only", Value::from_canonical(&yes).view())?;
    let database = Database::open(backup.file.as_os_str().as_bytes(), &options)?;
    let done = database.backup(backup.to.as_os_str().as_bytes());
    // The first failure is the one to tell.
    let closed = database.close();
    done?;
    Ok(closed?)
}
