//! Making the entries of a database what files say.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use acervo::database::{Database, Options};
use acervo::entries::{Base, Changes, Entry, EntryError, Op, OpKind, Snapshot};
use acervo::error::Error;
use acervo::value::Value;

use crate::Load;
use crate::document::{self, Fault, Found, Place};
use crate::script::default_database;

/// Who made the version, for its record.
const AUTHOR: &[u8] = b"acervo load";

/// Where each entry stands, by the text of its id.
type Places = HashMap<Box<[u8]>, Place>;

/// Why nothing was loaded.
pub(crate) enum Failure {
    /// A file with entries.
    File(Fault),
    /// The database.
    Database(Error),
    /// Nobody reads what is written.
    Output(std::io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(fault) => fault.fmt(f),
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

impl From<EntryError> for Failure {
    fn from(error: EntryError) -> Self {
        Self::Database(error.into())
    }
}

/// Reads the files and applies the difference as one changeset.
pub(crate) fn run(load: &Load) -> Result<(), Failure> {
    let mut found = Vec::new();
    for file in &load.files {
        found.extend(document::read(file).map_err(Failure::File)?);
    }
    let places = places(&found).map_err(Failure::File)?;
    let wanted: Vec<Entry> = found.into_iter().map(|found| found.entry).collect();

    let path = load.db.clone().unwrap_or_else(default_database);
    let database =
        if load.dry_run { open_to_look(&path) } else { open(&path, &Options::default()) }?;
    let done = apply(&database, &wanted, &places, load.dry_run);
    // The first failure is the one to tell.
    let closed = database.close();
    let text = done?;
    closed?;
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::Output)
}

/// Where each entry stands; fails if there are two of one id.
fn places(found: &[Found]) -> Result<Places, Fault> {
    let mut places = Places::with_capacity(found.len());
    for Found { entry, place } in found {
        if let Some(first) = places.insert(entry.id().text().into(), place.clone()) {
            return Err(place.fault(format!("entry {} stands already in {first}", entry.id())));
        }
    }
    Ok(places)
}

fn open(path: &Path, options: &Options) -> Result<Database, Error> {
    Database::open(path.as_os_str().as_bytes(), options)
}

/// The database as it is. One that is not there is empty, and is not made.
fn open_to_look(path: &Path) -> Result<Database, Error> {
    let mut options = Options::default();
    if !path.exists() {
        return Database::open(b":memory:", &options);
    }
    let mut yes = Vec::new();
    acervo::value::put_bool(&mut yes, true);
    options.set("read_only", Value::from_canonical(&yes).view())?;
    open(path, &options)
}

/// Gives what was done, or would be, as text.
fn apply(
    database: &Database,
    wanted: &[Entry],
    places: &Places,
    dry_run: bool,
) -> Result<String, Failure> {
    let registry = database.entries()?;
    let snapshot = registry.snapshot()?;
    let current: Vec<Entry> = snapshot.entries().iter().cloned().collect();
    let ops = registry.build_delta(&current, wanted)?;
    if ops.is_empty() {
        if !dry_run {
            // The version that is there may be that of a load that was killed.
            database.flush()?;
        }
        return Ok(format!("v{}: nothing to do\n", snapshot.version()));
    }
    if dry_run {
        return Ok(lines(&ops));
    }
    let mut changes = queue(&snapshot, ops, places)?;
    // The difference is to what was looked at.
    changes.options.base = Base::Strict;
    changes.options.author = Some(AUTHOR.into());
    let applied = changes.apply()?;
    let count = |kind| applied.ops.iter().filter(|op| op.kind == kind).count();
    Ok(format!(
        "v{}: {} created, {} updated, {} deleted\n",
        applied.version,
        count(OpKind::Create),
        count(OpKind::Update),
        count(OpKind::Delete)
    ))
}

fn queue(snapshot: &Snapshot, ops: Vec<Op>, places: &Places) -> Result<Changes, Failure> {
    let mut changes = snapshot.changes();
    for op in ops {
        let id = op.id().clone();
        let queued = match op.kind {
            OpKind::Create => changes.create(op.entry),
            OpKind::Update => changes.update(op.entry),
            OpKind::Delete => changes.delete(id.parts()),
        };
        queued.map_err(|error| match places.get(id.text()) {
            Some(place) => Failure::File(place.fault(error)),
            None => error.into(),
        })?;
    }
    Ok(changes)
}

/// A line for each operation, in the order in which they would be done.
fn lines(ops: &[Op]) -> String {
    let mut text = String::new();
    for op in ops {
        let kind = String::from_utf8_lossy(op.entry.kind());
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} {} ({kind})", op.kind.name(), op.id());
    }
    text
}
