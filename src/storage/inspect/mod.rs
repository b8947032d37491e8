//! Reading a file that may be damaged: as much as can be read, as it is, from
//! one moment.
//!
//! The connections that serve reads and writes trust the file's tables and
//! stop at the first thing that is wrong. This one takes nothing for granted
//! and goes on, and writes nothing.

mod history;
mod tables;

use rusqlite::types::ValueRef;
use rusqlite::{OpenFlags, Params};

use super::connection::{connect, regular_file};
use super::log::Log;
use super::session::Session;
use super::{Place, StorageError, schema};
use crate::platform::reads;
use crate::report::Report;

pub(crate) use tables::Tables;

/// A connection that looks at a file and changes nothing.
pub(crate) struct Inspection {
    log: Log,
}

/// Faults that SQLite's own check lists.
const STRUCTURE_FAULTS: u32 = 20;

impl Inspection {
    /// Opens the file; whether it is a database shows when it is read.
    pub(crate) fn open(place: &Place) -> Result<Self, StorageError> {
        regular_file(&place.path)?;
        let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Self { log: Log::new(Session::new(connection, place)) })
    }

    fn session(&self) -> &Session {
        &self.log.session
    }

    /// The log as others read it.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// From here on everything is read as it is now, whatever is written.
    pub(crate) fn begin(&self) -> Result<(), StorageError> {
        self.log.begin_read()?;
        // The view is taken by the first read.
        self.one_int("SELECT count(*) FROM sqlite_schema").map(drop)
    }

    /// Ends that.
    pub(crate) fn end(&self) {
        self.log.roll_back();
    }

    /// Fails if the file was made by a newer version: then nobody here can
    /// tell what is right.
    pub(crate) fn check_format(&self) -> Result<(), StorageError> {
        match self.session().with(schema::inspect)? {
            schema::State::Format(format) if format > schema::FORMAT => Err(StorageError::Newer {
                path: self.session().path().to_owned(),
                format,
                known: schema::FORMAT,
            }),
            _ => Ok(()),
        }
    }

    /// SQLite's own check of its pages, tables and indexes. It goes on after a
    /// page that could not be read, and lists it as a fault; that the device
    /// gave an error says nothing about the file.
    pub(crate) fn structure(&self, report: &mut Report) -> Result<(), StorageError> {
        report.checked.pages = self.one_int("PRAGMA page_count")?.unwrap_or(0).unsigned_abs();
        let mut found = Vec::new();
        reads::take_failure();
        let sql = format!("PRAGMA integrity_check({STRUCTURE_FAULTS})");
        let result = self.each(&sql, [], |row| {
            if let ValueRef::Text(text) = row.at(0) {
                let text = String::from_utf8_lossy(text);
                found.extend(text.lines().map(str::to_owned));
            }
        });
        if let Some(errno) = reads::take_failure() {
            let error = std::io::Error::from_raw_os_error(errno);
            return Err(StorageError::from_io(&error, self.session().path()));
        }
        found.retain(|line| line != "ok" && !line.starts_with("*** in database"));
        for line in found {
            report.add("file", self.place(), line);
        }
        result
    }

    /// The file, as faults name it.
    fn place(&self) -> String {
        self.session().path().display().to_string()
    }

    /// Notes that something cannot be read because the file is damaged; gives
    /// every other failure back.
    pub(crate) fn note<T>(
        &self,
        result: Result<T, StorageError>,
        report: &mut Report,
    ) -> Result<Option<T>, StorageError> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(StorageError::Damaged { found, .. }) => {
                // Everything that cannot be read tells the same.
                let place = self.place();
                let is_known =
                    report.faults.iter().any(|it| it.place == place && it.found == found);
                if !is_known {
                    report.add("file", place, found);
                }
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Gives each row that a query finds.
    fn each(
        &self,
        sql: &str,
        parameters: impl Params,
        mut take: impl FnMut(Columns<'_>),
    ) -> Result<(), StorageError> {
        let fault = |error| self.session().fault(error);
        let mut statement = self.session().statement(sql)?;
        let mut rows = statement.query(parameters).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            take(Columns(row));
        }
        Ok(())
    }

    /// The first column of the first row, if that is an int.
    fn one_int(&self, sql: &str) -> Result<Option<i64>, StorageError> {
        let mut found = None;
        self.each(sql, [], |row| {
            if let (ValueRef::Integer(value), None) = (row.at(0), found) {
                found = Some(value);
            }
        })?;
        Ok(found)
    }
}

/// A row whose columns may hold anything.
#[derive(Clone, Copy)]
struct Columns<'r>(&'r rusqlite::Row<'r>);

impl<'r> Columns<'r> {
    fn at(self, column: usize) -> ValueRef<'r> {
        self.0.get_ref(column).unwrap_or(ValueRef::Null)
    }
}

/// What messages call a column's value.
fn type_name(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "NULL",
        ValueRef::Integer(_) => "an integer",
        ValueRef::Real(_) => "a float",
        ValueRef::Text(_) => "a text",
        ValueRef::Blob(_) => "a blob",
    }
}

/// An int, or what is there instead.
fn int(value: ValueRef<'_>, name: &str) -> Result<i64, String> {
    match value {
        ValueRef::Integer(value) => Ok(value),
        other => Err(format!("{name} is {}, not an integer", type_name(other))),
    }
}

/// A blob, or what is there instead.
fn blob<'a>(value: ValueRef<'a>, name: &str) -> Result<&'a [u8], String> {
    match value {
        ValueRef::Blob(bytes) => Ok(bytes),
        other => Err(format!("{name} is {}, not a blob", type_name(other))),
    }
}
