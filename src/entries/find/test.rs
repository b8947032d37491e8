//! Tests of what a field holds.

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::field::Content;
use super::glob::Glob;
use crate::value::{Token, View, equal};

/// Longest regular expression in bytes.
const REGEX_LIMIT: usize = 4096;

/// A test.
#[derive(Debug)]
pub(super) enum Test {
    /// Equals this value, which is no array; canonical bytes.
    Equal(Box<[u8]>),
    /// Is an array that has each of these elements; canonical bytes.
    Elements(Vec<Box<[u8]>>),
    Glob(Glob),
    Regex(Box<Regex>),
    /// Is a string with this in it, or an array with an element that is.
    Contains(Box<Finder<'static>>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
}

impl Test {
    /// Equality with a value, canonical bytes.
    pub(super) fn equal(expected: &[u8]) -> Self {
        let mut view = View::new(expected);
        match view.token() {
            Token::Array(len) => Self::Elements((0..len).map(|_| view.skip().into()).collect()),
            _ => Self::Equal(expected.into()),
        }
    }

    /// The regular expression `pattern`, or what is wrong with it.
    pub(super) fn regex(pattern: &[u8]) -> Result<Self, String> {
        if pattern.len() > REGEX_LIMIT {
            return Err(format!(
                "the pattern has {} bytes, the limit is {REGEX_LIMIT}",
                pattern.len()
            ));
        }
        let pattern = str::from_utf8(pattern).map_err(|_| "the pattern is not UTF-8".to_owned())?;
        let regex = Regex::new(pattern).map_err(|error| {
            // Its last line says what, those above draw where.
            let text = error.to_string();
            let what = text.lines().last().unwrap_or_default().trim();
            format!("the pattern is wrong: {}", what.trim_start_matches("error: "))
        })?;
        Ok(Self::Regex(Box::new(regex)))
    }

    /// Whether a field that holds `content` passes.
    pub(super) fn passes(&self, content: Content<'_>) -> bool {
        let value = match content {
            Content::Text(text) => return self.passes_text(text),
            Content::Value(value) => value,
        };
        let mut view = View::new(value);
        match self {
            Self::Equal(expected) => equal(expected, value),
            Self::Elements(expected) => {
                let Token::Array(len) = view.token() else { return false };
                expected.iter().all(|expected| {
                    let mut elements = view;
                    (0..len).any(|_| equal(expected, elements.skip()))
                })
            }
            _ => match view.token() {
                Token::String(text) => self.passes_text(text),
                Token::Array(len) if matches!(self, Self::Contains(_)) => {
                    (0..len).any(|_| match View::new(view.skip()).token() {
                        Token::String(text) => self.passes_text(text),
                        _ => false,
                    })
                }
                _ => false,
            },
        }
    }

    /// Whether a string passes.
    pub(super) fn passes_text(&self, text: &[u8]) -> bool {
        match self {
            Self::Equal(expected) => {
                matches!(View::new(expected).token(), Token::String(expected) if expected == text)
            }
            Self::Elements(_) => false,
            Self::Glob(glob) => glob.matches(text),
            Self::Regex(regex) => regex.is_match(text),
            Self::Contains(part) => part.find(text).is_some(),
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
        }
    }
}
