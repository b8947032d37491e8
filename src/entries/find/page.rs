//! Which part of a result is wanted.

use std::ops::Range;

use crate::entries::EntryError;
use crate::value::{Token, View};

/// The options `limit` and `offset`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::entries) struct Page {
    offset: usize,
    limit: Option<usize>,
}

impl Page {
    /// Reads a map of `limit` and `offset`, each absent or at least 0.
    pub(in crate::entries) fn parse(options: Option<&[u8]>) -> Result<Self, EntryError> {
        let mut page = Self::default();
        let Some(options) = options else { return Ok(page) };
        let refuse = |name: &str, what: String| EntryError::Option { name: name.to_owned(), what };
        let mut view = View::new(options);
        let head = view.token();
        let len = match head {
            Token::Map(len) => len,
            Token::Array(0) | Token::Nil => 0,
            other => {
                let what =
                    format!("a map of limit and offset is needed, got {}", other.type_of().name());
                return Err(refuse("of find", what));
            }
        };
        for _ in 0..len {
            let key = view.token();
            let value = view.token();
            let Token::String(name) = key else {
                return Err(refuse(
                    "of find",
                    format!("its name must be a string, got {}", key.type_of().name()),
                ));
            };
            let shown = String::from_utf8_lossy(name);
            let count = match name {
                b"limit" | b"offset" => value
                    .number()
                    .and_then(|number| number.as_int())
                    .and_then(|count| usize::try_from(count).ok())
                    .ok_or_else(|| {
                        refuse(&shown, "an integer of at least 0 is needed".to_owned())
                    })?,
                _ => return Err(refuse(&shown, "find knows limit and offset".to_owned())),
            };
            if name == b"limit" {
                page.limit = Some(count);
            } else {
                page.offset = count;
            }
        }
        Ok(page)
    }

    /// The part of `len` results.
    pub(in crate::entries) fn range(&self, len: usize) -> Range<usize> {
        let start = self.offset.min(len);
        let count = self.limit.unwrap_or(len).min(len - start);
        start..start + count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn parse(json: &str) -> Result<Page, String> {
        let options = Value::from_json(json.as_bytes()).unwrap();
        Page::parse(Some(options.as_bytes())).map_err(|error| error.to_string())
    }

    #[test]
    fn limit_and_offset_cut_a_part_out_and_reach_over_no_end() {
        for (json, expected) in [
            ("{}", 0..10),
            (r#"{"limit": 3}"#, 0..3),
            (r#"{"offset": 8}"#, 8..10),
            (r#"{"limit": 5, "offset": 8.0}"#, 8..10),
            (r#"{"limit": 0, "offset": 2}"#, 2..2),
            (r#"{"limit": 9223372036854775807, "offset": 11}"#, 10..10),
        ] {
            assert_eq!(parse(json).unwrap().range(10), expected, "{json}");
        }
        assert_eq!(Page::parse(None).unwrap().range(7), 0..7);
    }

    #[test]
    fn what_is_no_count_is_refused_by_name() {
        for (json, name) in [
            (r#"{"limit": -1}"#, "limit"),
            (r#"{"offset": 1.5}"#, "offset"),
            (r#"{"limit": "3"}"#, "limit"),
            (r#"{"page": 3}"#, "page"),
            ("[1]", "map"),
            ("7", "map"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(name), "{json}: {error}");
        }
    }
}
