//! The tables that should be there, and the rows of the log.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::{Inspection, blob, int};
use crate::platform::sqlite;
use crate::report::Report;
use crate::storage::session::Session;
use crate::storage::{RowRef, StorageError, Versions, schema};
use crate::value::Stamp;

/// Which of our tables a file has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tables {
    /// The log of keys and values.
    pub(crate) log: bool,
    /// The history, in the layout that is exchanged.
    pub(crate) history: bool,
    /// What we know besides, and derive.
    pub(crate) derived: bool,
}

/// A table's columns: name, and place in the primary key.
type Columns = BTreeSet<(String, i64)>;

/// Tables by name, triggers and indexes with the table they are on.
#[derive(Default)]
struct Layout {
    tables: BTreeMap<String, Columns>,
    others: BTreeSet<(String, String)>,
}

const BASE: [&str; 2] = ["acervo_meta", "acervo_kv"];
const HISTORY: [&str; 3] = ["metadata", "versions", "changesets"];
const DERIVED: [&str; 3] = ["acervo_version", "acervo_skip", "acervo_net"];

const OBJECTS: &str = "SELECT type, name, tbl_name FROM sqlite_schema";
const COLUMNS: &str = "SELECT name, pk FROM pragma_table_info(?1)";

/// The layout of a file that has everything, made by the same code that makes
/// files.
fn expected() -> Result<Layout, StorageError> {
    sqlite::prepare();
    let other = |error: rusqlite::Error| StorageError::Other(error.to_string());
    let mut connection = Connection::open_in_memory().map_err(other)?;
    schema::create(&mut connection).map_err(other)?;
    let versions = Versions::new(Session::in_memory(connection));
    versions.create_tables()?;
    layout(&versions.session)
}

fn layout(session: &Session) -> Result<Layout, StorageError> {
    let fault = |error| session.fault(error);
    let mut layout = Layout::default();
    let mut statement = session.statement(OBJECTS)?;
    let mut rows = statement.query([]).map_err(fault)?;
    let mut tables = Vec::new();
    while let Some(row) = rows.next().map_err(fault)? {
        let text = |column| match row.get_ref(column) {
            Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        };
        match text(0).as_str() {
            "table" => tables.push(text(1)),
            _ => drop(layout.others.insert((text(1), text(2)))),
        }
    }
    for table in tables {
        let mut statement = session.statement(COLUMNS)?;
        let columns = statement
            .query_map([&table], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect::<rusqlite::Result<Columns>>)
            .map_err(fault)?;
        layout.tables.insert(table, columns);
    }
    Ok(layout)
}

impl Inspection {
    /// Checks that the tables which belong together are there, with their
    /// columns, triggers and indexes.
    pub(crate) fn schema(&self, report: &mut Report) -> Result<Tables, StorageError> {
        let (expected, found) = (expected()?, layout(self.session())?);
        let has = |name: &&str| found.tables.contains_key(*name);
        let mut is_whole = |group: &[&str]| {
            for name in group.iter().filter(|name| !has(name)) {
                report.add("schema", format!("table {name}"), "it is missing");
            }
            group.iter().all(has)
        };
        // A file of another program may have none of ours yet, or only those
        // that are exchanged.
        let mut tables = Tables::default();
        if BASE.iter().any(has) || DERIVED.iter().any(has) {
            tables.log = is_whole(&BASE);
        }
        if HISTORY.iter().any(has) || DERIVED.iter().any(has) {
            tables.history = is_whole(&HISTORY);
        }
        if DERIVED.iter().any(has) {
            tables.derived = is_whole(&DERIVED);
        }
        for (name, columns) in &expected.tables {
            let Some(present) = found.tables.get(name) else { continue };
            for (column, key) in columns.difference(present) {
                let key = if *key > 0 { " of the primary key" } else { "" };
                report.add("schema", format!("table {name}"), format!("no column {column}{key}"));
                let broken: &mut bool = match name.as_str() {
                    name if BASE.contains(&name) => &mut tables.log,
                    name if HISTORY.contains(&name) => &mut tables.history,
                    _ => &mut tables.derived,
                };
                *broken = false;
            }
        }
        if tables.derived && tables.history {
            let ours = |name: &str| name.starts_with("acervo_") || name.starts_with("idx_");
            for (name, table) in expected.others.difference(&found.others) {
                if ours(name) {
                    report.add("schema", format!("table {table}"), format!("{name} is missing"));
                }
            }
        }
        // What is derived means nothing without the notes about it.
        tables.derived &= tables.history && tables.log;
        Ok(tables)
    }

    /// Gives every row of the log by its number, or what is wrong with it.
    pub(crate) fn rows(
        &self,
        mut take: impl FnMut(i64, Result<RowRef<'_>, String>),
    ) -> Result<(), StorageError> {
        const ROWS: &str =
            "SELECT seq, space, name, value, written, expires FROM acervo_kv ORDER BY seq";
        self.each(ROWS, [], |row| {
            let ValueRef::Integer(seq) = row.at(0) else { return };
            let read = || {
                let value = match row.at(3) {
                    ValueRef::Null => &[],
                    value => match blob(value, "value")? {
                        [] => return Err("value is empty".to_owned()),
                        bytes => bytes,
                    },
                };
                let (timestamp, expires_at) =
                    (int(row.at(4), "written")?, int(row.at(5), "expires")?);
                let stamp = Stamp { timestamp, expires_at };
                let (space, name) = (int(row.at(1), "space")?, blob(row.at(2), "name")?);
                Ok(RowRef { seq, space, name, value, stamp })
            };
            let row = match read() {
                Ok(row) => row,
                Err(found) => return take(seq, Err(found)),
            };
            if let Err(found) = row.each(|row| take(row.seq, Ok(row))) {
                take(seq, Err(found));
            }
        })
    }
}
