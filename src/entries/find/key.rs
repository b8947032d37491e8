//! Keys: what a field can be found by.

use super::field::{Content, Field};
use crate::entries::entry::Entry;
use crate::value::{Number, Token, View};

/// Longest string that is a key; entries with longer ones are looked at.
const KEY_LIMIT: usize = 1024;

/// What a field can be found by: a scalar, or one that is an element of an
/// array.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key<'a> {
    tag: u8,
    body: Body<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Body<'a> {
    Text(&'a [u8]),
    Word([u8; 8]),
}

pub(super) const STRING: u8 = 0;
const INT: u8 = 1;
const FLOAT: u8 = 2;
const BOOL: u8 = 3;
/// Added to the tag of an element.
pub(super) const ELEMENT: u8 = 4;

impl<'a> Key<'a> {
    /// The key of a scalar; the same for numbers that are equal.
    pub(super) fn new(token: Token<'a>, place: u8) -> Option<Self> {
        let (tag, body) = match token {
            Token::String(text) if text.len() > KEY_LIMIT => return None,
            Token::String(text) => (STRING, Body::Text(text)),
            Token::Bool(value) => (BOOL, Body::Word(u64::from(value).to_be_bytes())),
            Token::Int(value) => (INT, Body::Word(value.to_be_bytes())),
            Token::Float(value) => match Number::Float(value).as_int() {
                Some(value) => (INT, Body::Word(value.to_be_bytes())),
                // Every NaN equals every other.
                None if value.is_nan() => (FLOAT, Body::Word(f64::NAN.to_be_bytes())),
                None => (FLOAT, Body::Word(value.to_be_bytes())),
            },
            Token::Nil | Token::Array(_) | Token::Map(_) => return None,
        };
        Some(Self { tag: tag + place, body })
    }

    pub(super) fn of_text(text: &'a [u8]) -> Option<Self> {
        Self::new(Token::String(text), 0)
    }

    pub(super) fn parts(&self) -> (u8, &[u8]) {
        match &self.body {
            Body::Text(text) => (self.tag, text),
            Body::Word(word) => (self.tag, word),
        }
    }
}

/// The keys of what `entry` has in `field`, each once and in order; and whether
/// they say all that a test could ask.
pub(super) fn keys_of<'a>(field: &Field, entry: &'a Entry, keys: &mut Vec<Key<'a>>) -> bool {
    keys.clear();
    let value = match field.of(entry) {
        None => return true,
        Some(Content::Text(text)) => {
            keys.extend(Key::of_text(text));
            return !keys.is_empty();
        }
        Some(Content::Value(value)) => value,
    };
    let mut view = View::new(value);
    let Token::Array(len) = view.token() else {
        keys.extend(Key::new(View::new(value).token(), 0));
        return !keys.is_empty();
    };
    let mut is_whole = true;
    for _ in 0..len {
        match Key::new(View::new(view.skip()).token(), ELEMENT) {
            Some(key) => keys.push(key),
            None => is_whole = false,
        }
    }
    keys.sort_unstable();
    keys.dedup();
    is_whole
}
