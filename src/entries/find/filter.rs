//! Filters: conditions that must all hold.

use memchr::memmem::Finder;

use super::field::Field;
use super::glob::Glob;
use super::test::Test;
use crate::entries::EntryError;
use crate::entries::entry::Entry;
use crate::value::{Token, View};

/// What a filter says.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) conditions: Vec<Condition>,
    /// About what its regular expressions take in memory.
    compiled: usize,
}

/// A field, and what it must pass.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) field: Field,
    pub(super) test: Test,
}

impl Condition {
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        // A field that is not there passes nothing.
        self.field.of(entry).is_some_and(|content| self.test.passes(content))
    }
}

/// What a condition's key says about it: `~meta.path`.
const OPERATORS: &[u8] = b"~*^$";

impl Filter {
    /// Reads a filter: canonical bytes of a map of conditions.
    pub(super) fn parse(filter: &[u8]) -> Result<Self, EntryError> {
        let mut parsed = Self::default();
        parsed.read(filter, "")?;
        Ok(parsed)
    }

    /// Reads a map of conditions; `within` is the key it stands under.
    fn read(&mut self, map: &[u8], within: &str) -> Result<(), EntryError> {
        let mut view = View::new(map);
        let len = match view.token() {
            Token::Map(len) => len,
            // What an empty Lua table may be as well.
            Token::Array(0) => 0,
            other => {
                let what = format!("a map of conditions is needed, got {}", other.type_of().name());
                return Err(EntryError::Filter { key: within.to_owned(), what });
            }
        };
        for _ in 0..len {
            let (key, value) = (view.token(), view.skip());
            let refuse = |key: &[u8], what: String| {
                let key = String::from_utf8_lossy(key);
                let key = match (within, &*key) {
                    ("", "") => "\"\"".to_owned(),
                    ("", key) => key.to_owned(),
                    (within, key) => format!("{within}.{key}"),
                };
                EntryError::Filter { key, what }
            };
            let Token::String(key) = key else {
                let what = format!("its keys must be strings, got {}", key.type_of().name());
                return Err(EntryError::Filter { key: within.to_owned(), what });
            };
            if key == b"meta" && within.is_empty() {
                self.read(value, "meta")?;
                continue;
            }
            let (operator, name) = match key.split_first() {
                Some((&first, rest)) if OPERATORS.contains(&first) => (Some(first), rest),
                _ => (None, key),
            };
            let field = match (within.is_empty(), name) {
                (false, b"") => Err("it names no field"),
                (false, name) => Ok(Field::meta(name)),
                (true, name) => Field::parse(name),
            };
            let field = field.map_err(|what| refuse(key, what.to_owned()))?;
            let test = test_of(operator, &field, value, &mut self.compiled)
                .map_err(|what| refuse(key, what))?;
            self.conditions.push(Condition { field, test });
        }
        Ok(())
    }

    pub(super) fn matches(&self, entry: &Entry) -> bool {
        self.conditions.iter().all(|condition| condition.holds(entry))
    }
}

fn test_of(
    operator: Option<u8>,
    field: &Field,
    value: &[u8],
    compiled: &mut usize,
) -> Result<Test, String> {
    if operator.is_none() && !field.is_own() {
        return Ok(Test::equal(value));
    }
    let token = View::new(value).token();
    let Token::String(text) = token else {
        return Err(format!("a string is needed, got {}", token.type_of().name()));
    };
    Ok(match operator {
        Some(b'~') => Test::regex(text, compiled)?,
        Some(b'*') => Test::Contains(Box::new(Finder::new(text).into_owned())),
        Some(b'^') => Test::Prefix(text.into()),
        Some(b'$') => Test::Suffix(text.into()),
        // An id may be written without the colon of an empty namespace.
        _ if *field == Field::Id && !text.iter().any(|byte| b":*?".contains(byte)) => {
            Test::Glob(Glob::new(&[b":", text].concat()))
        }
        _ => Test::Glob(Glob::new(text)),
    })
}
