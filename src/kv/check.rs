//! Whether the log is as it has to be, and memory as the log says.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::engine::Engine;
use super::error::{IDENT_LIMIT, KEY_LIMIT};
use super::table::{Mark, Table, is_tombstone};
use crate::platform::clock;
use crate::report::Report;
use crate::storage::{Inspection, RowRef, SPACE_REGISTRY, SPACE_STORE, StorageError};
use crate::value::{Value, append_canonical};

/// Longest name in the file: a key behind an ident, all of it escaped.
const NAME_LIMIT: usize = 3 * IDENT_LIMIT + 1 + KEY_LIMIT;

/// A key as it stands in the file: its space and its name.
type Name = (i64, Box<[u8]>);

/// What memory held when the file's view was taken.
pub(crate) struct Picture {
    cells: Vec<(Name, Value, Mark)>,
    /// What says it is not in the file yet, and is not about to be written.
    forgotten: Vec<Name>,
}

/// What is known about one key.
#[derive(Default)]
struct Known {
    /// The latest row.
    row: Option<Row>,
    /// The cell in memory, and the row it came from.
    cell: Option<(Value, Mark)>,
}

/// A row, as far as it is compared with memory.
struct Row {
    seq: i64,
    is_deletion: bool,
    expires_at: i64,
    /// Whether the cell that says it came from this row is the same.
    is_same: bool,
}

impl Engine {
    /// Takes the view of `inspection`, and what memory holds at that very
    /// moment: until the lock is given back nothing that is in the file comes
    /// into memory, and what had been before is taken in.
    pub(crate) fn picture(&self, inspection: &Inspection) -> Result<Option<Picture>, StorageError> {
        let Some(shared) = &self.shared else {
            inspection.begin()?;
            return Ok(None);
        };
        // No cut is taken and none lands meanwhile.
        let _one_at_a_time = self.flushing.lock();
        let mut follower = shared.follower.lock();
        inspection.begin()?;
        match self.take_in(&mut follower, inspection.log()) {
            Ok(()) => {}
            // That is what the check is about to tell.
            Err(StorageError::Damaged { .. }) => return Ok(None),
            Err(other) => return Err(other),
        }
        let cuts = self.behind.cuts(usize::MAX);
        let in_cuts: HashSet<*const (), RandomState> =
            cuts.iter().flat_map(|cut| cut.cells.iter()).map(Value::as_ptr).collect();
        let mut picture = Picture { cells: Vec::new(), forgotten: Vec::new() };
        let mut collect = |table: &Table, space: i64, prefix: &[u8]| {
            let name = |key: &[u8]| (space, [prefix, key].concat().into_boxed_slice());
            let forgotten = table.picture(
                |cell| in_cuts.contains(&cell.as_ptr()),
                |cell, mark| picture.cells.push((name(cell.key()), cell.clone(), mark)),
            );
            picture.forgotten.extend(forgotten.iter().map(|key| name(key)));
        };
        collect(self.logged_registry(), SPACE_REGISTRY, &[]);
        for namespace in self.spaces.namespaces() {
            collect(&namespace.table, SPACE_STORE, &namespace.prefix);
        }
        Ok(Some(picture))
    }
}

/// Checks every row of the log, and that memory, if there is a picture of it,
/// holds what the rows say.
pub(crate) fn check_log(
    inspection: &Inspection,
    picture: Option<Picture>,
    report: &mut Report,
) -> Result<(), StorageError> {
    for name in picture.iter().flat_map(|picture| &picture.forgotten) {
        let found = "it is not in the log, and nothing is about to write it".to_owned();
        report.add("memory", place_of(name), found);
    }
    let mut known: Option<HashMap<Name, Known, RandomState>> = picture.map(|picture| {
        let known = |(name, cell, mark)| (name, Known { row: None, cell: Some((cell, mark)) });
        picture.cells.into_iter().map(known).collect()
    });
    let (mut last, mut rows, mut canonical) = (None, 0, Vec::new());
    let read = inspection.rows(|seq, row| {
        rows += 1;
        let place = || format!("acervo_kv row {seq}");
        match last.replace(seq) {
            None if seq < 1 => report.add("log", place(), "the numbers begin with 1"),
            Some(last) if seq != last + 1 => {
                report.add(
                    "log",
                    place(),
                    format!("the row before it is {last}: some are missing"),
                );
            }
            _ => {}
        }
        canonical.clear();
        let row = match row.and_then(|row| check_row(row, &mut canonical)) {
            Ok(row) => row,
            Err(found) => return report.add("log", place(), found),
        };
        if let Some(known) = &mut known {
            let known = known.entry((row.space, row.name.into())).or_default();
            let is_same = known.cell.as_ref().is_some_and(|(cell, mark)| {
                mark.seq == seq && cell.as_bytes() == canonical && cell.stamp() == row.stamp
            });
            let is_deletion = row.value.is_empty();
            known.row = Some(Row { seq, is_deletion, expires_at: row.stamp.expires_at, is_same });
        }
    });
    report.checked.rows = rows;
    // What could not be read cannot be compared.
    if read.is_ok() && !report.faults.iter().any(|fault| fault.what == "log") {
        compare(known.unwrap_or_default(), report);
    }
    read
}

/// Checks one row; puts its value's canonical bytes into `canonical`.
fn check_row<'r>(row: RowRef<'r>, canonical: &mut Vec<u8>) -> Result<RowRef<'r>, String> {
    let limit = match row.space {
        SPACE_REGISTRY => KEY_LIMIT,
        SPACE_STORE => NAME_LIMIT,
        other => return Err(format!("space is {other}, neither registry (0) nor store (1)")),
    };
    if row.name.is_empty() || row.name.len() > limit {
        return Err(format!("name has {} bytes, not 1 to {limit}", row.name.len()));
    }
    if row.stamp.expires_at < 0 {
        return Err(format!("expires is {}", row.stamp.expires_at));
    }
    if !row.value.is_empty() {
        append_canonical(canonical, row.value).map_err(|error| format!("value: {error}"))?;
        if canonical != row.value {
            return Err("value is not in its canonical form".to_owned());
        }
    }
    Ok(row)
}

/// Compares memory with the log, key by key.
fn compare(known: HashMap<Name, Known, RandomState>, report: &mut Report) {
    // Later than any look that memory had at the clock.
    let now = clock::now_millis();
    for (name, Known { row, cell }) in known {
        report.checked.keys += u64::from(cell.is_some());
        let is_unwritten = cell.as_ref().is_some_and(|(_, mark)| mark.is_unwritten());
        let is_over = |at: i64| at != 0 && at <= now;
        let found = match (row, cell) {
            // Which row is the latest is known also of what waits.
            (Some(row), Some((_, mark))) if is_unwritten && mark.seq != row.seq => {
                let is_gone = row.is_deletion || is_over(row.expires_at);
                if is_gone && (mark.leaves_nothing() || mark.seq == Mark::TO_COME) {
                    continue;
                }
                format!("memory waits to follow row {}, the latest is {}", mark.seq, row.seq)
            }
            _ if is_unwritten => continue,
            (Some(row), None) if row.is_deletion || is_over(row.expires_at) => continue,
            (Some(row), None) => format!("row {} of the log is not in memory", row.seq),
            (None, Some((cell, _))) if is_tombstone(&cell) => continue,
            // What expired before it was written never is.
            (None, Some((cell, _))) if is_over(cell.stamp().expires_at) => continue,
            (None, Some(_)) => "it is in memory and not in the log".to_owned(),
            (Some(row), Some((cell, mark))) if mark.seq != row.seq => {
                let is_gone = is_tombstone(&cell) || is_over(cell.stamp().expires_at);
                if is_gone && (row.is_deletion || is_over(row.expires_at)) {
                    continue;
                }
                format!("memory has row {} of the log, the latest is {}", mark.seq, row.seq)
            }
            (Some(row), Some(_)) if row.is_same || is_over(row.expires_at) => continue,
            (Some(row), Some(_)) => format!("memory differs from row {} of the log", row.seq),
            (None, None) => continue,
        };
        report.add("memory", place_of(&name), found);
    }
}

/// A key, as faults name it.
fn place_of((space, name): &Name) -> String {
    let part = if *space == SPACE_REGISTRY { "registry" } else { "store" };
    format!("{part} key \"{}\"", name.escape_ascii())
}
