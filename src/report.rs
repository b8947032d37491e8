//! What a check of a database looked at and found.

use std::fmt;

use crate::value::{
    Value, begin_map, end_map, put_array_header, put_bool, put_int, put_map_header, put_string,
};

/// Something that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it is about: `file`, `schema`, `log`, `memory`, `version`, `head`,
    /// `changeset`, `net` or `skip`.
    pub what: &'static str,
    /// Where it is, such as `acervo_kv row 17`.
    pub place: String,
    /// What was found there, and what should be.
    pub found: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.what, self.place, self.found)
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Pages of the file.
    pub pages: u64,
    /// Rows of the log of keys and values.
    pub rows: u64,
    /// Keys in memory that were compared with the log.
    pub keys: u64,
    /// Versions of entries, the root included, each with its changeset.
    pub versions: u64,
    /// Rows of the net, and skips, that were compared with a replay.
    pub checkpoints: u64,
    /// Entries of the current version.
    pub entries: u64,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The first of what is wrong, at most [`Report::LISTED`]; empty: the
    /// database is sound.
    pub faults: Vec<Fault>,
    /// How many faults there are, those that are not listed too.
    pub count: u64,
    /// How much was looked at.
    pub checked: Checked,
}

impl Report {
    /// One fault often makes thousands; the first tell where to look.
    pub const LISTED: usize = 100;

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.count == 0
    }

    /// Notes a fault.
    pub(crate) fn add(
        &mut self,
        what: &'static str,
        place: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.count += 1;
        if self.faults.len() < Self::LISTED {
            self.faults.push(Fault { what, place: place.into(), found: found.into() });
        }
    }

    /// The report as a map: `{ok =, count =, faults = {{what =, where =, found =},
    /// ...}, checked = {...}}`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut out = Vec::new();
        let start = begin_map(&mut out);
        put_string(&mut out, b"ok");
        put_bool(&mut out, self.is_sound());
        put_string(&mut out, b"count");
        put_int(&mut out, i64::try_from(self.count).unwrap_or(i64::MAX));
        put_string(&mut out, b"faults");
        put_array_header(&mut out, self.faults.len() as u32);
        for Fault { what, place, found } in &self.faults {
            put_map_header(&mut out, 3);
            for (name, text) in [("what", *what), ("where", place), ("found", found)] {
                put_string(&mut out, name.as_bytes());
                put_string(&mut out, text.as_bytes());
            }
        }
        put_string(&mut out, b"checked");
        let Checked { pages, rows, keys, versions, checkpoints, entries } = self.checked;
        let figures = [
            ("pages", pages),
            ("rows", rows),
            ("keys", keys),
            ("versions", versions),
            ("checkpoints", checkpoints),
            ("entries", entries),
        ];
        put_map_header(&mut out, figures.len() as u32);
        for (name, figure) in figures {
            put_string(&mut out, name.as_bytes());
            put_int(&mut out, i64::try_from(figure).unwrap_or(i64::MAX));
        }
        end_map(&mut out, start, 4);
        Value::from_canonical(&out)
    }
}
