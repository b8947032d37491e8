//! Tests of what a field holds.

use std::hash::BuildHasher;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

use super::field::Content;
use super::glob::Glob;
use crate::hashing::Hashing;
use crate::sorting;
use crate::value::{Number, Token, View, equal};

/// Longest regular expression in bytes.
const REGEX_LIMIT: usize = 4096;
/// Most memory that a compiled one may take, and all of a filter together.
const COMPILED_LIMIT: usize = 10 << 20;
const COMPILED_TOGETHER: usize = 64 << 20;
/// What a small one takes at most.
const COMPILED_SMALL: usize = 16 << 10;

/// As many pairs of elements are compared one by one; more by their hashes.
const PAIRS: usize = 4096;

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

    /// The regular expression `pattern`, or what is wrong with it. `taken` is
    /// about what those before it take in memory; this one is added.
    pub(super) fn regex(pattern: &[u8], taken: &mut usize) -> Result<Self, String> {
        if pattern.len() > REGEX_LIMIT {
            return Err(format!(
                "the pattern has {} bytes, the limit is {REGEX_LIMIT}",
                pattern.len()
            ));
        }
        let pattern = str::from_utf8(pattern).map_err(|_| "the pattern is not UTF-8".to_owned())?;
        let mut size = COMPILED_SMALL;
        let compiled = loop {
            // Nothing tells the size of a compiled one but a limit that it
            // keeps.
            match RegexBuilder::new(pattern).size_limit(size).build() {
                Err(regex::Error::CompiledTooBig(_)) if size < COMPILED_LIMIT => {
                    size = (4 * size).min(COMPILED_LIMIT);
                }
                compiled => break compiled,
            }
        };
        *taken += size;
        if *taken > COMPILED_TOGETHER {
            return Err("the patterns of this filter are too large together".to_owned());
        }
        let regex = compiled.map_err(|error| {
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
                if expected.len().saturating_mul(len as usize) > PAIRS {
                    return has_each(expected, view, len);
                }
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

/// Whether each of the values is among the `len` at the cursor.
fn has_each(expected: &[Box<[u8]>], mut elements: View<'_>, len: u32) -> bool {
    let hasher = Hashing::default();
    let hash = |value: &[u8]| hash_next(&hasher, &mut View::new(value));
    let mut hashed: Vec<(u64, &[u8])> = (0..len)
        .map(|_| {
            let element = elements.skip();
            (hash(element), element)
        })
        .collect();
    sorting::sort_by(&mut hashed, |a, b| a.0.cmp(&b.0));
    expected.iter().all(|expected| {
        let wanted = hash(expected);
        let from = hashed.partition_point(|&(hash, _)| hash < wanted);
        hashed[from..]
            .iter()
            .take_while(|&&(hash, _)| hash == wanted)
            .any(|(_, element)| equal(expected, element))
    })
}

/// A hash of the value at the cursor; the same for values that are equal.
fn hash_next(hasher: &Hashing, view: &mut View<'_>) -> u64 {
    match view.token() {
        Token::Nil => hasher.hash_one(0_u8),
        Token::Bool(value) => hasher.hash_one((1_u8, value)),
        Token::Int(value) => hasher.hash_one((2_u8, value)),
        Token::Float(value) => match Number::Float(value).as_int() {
            Some(value) => hasher.hash_one((2_u8, value)),
            None if value.is_nan() => hasher.hash_one(3_u8),
            None => hasher.hash_one((4_u8, value.to_bits())),
        },
        Token::String(text) => hasher.hash_one((5_u8, text)),
        Token::Array(len) => (0..len).fold(6, |before, _| {
            let element = hash_next(hasher, view);
            hasher.hash_one((before, element))
        }),
        // In any order.
        Token::Map(len) => (0..len).fold(7, |before: u64, _| {
            let (key, value) = (hash_next(hasher, view), hash_next(hasher, view));
            before.wrapping_add(hasher.hash_one((key, value)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::value::{Value, put_array_header, put_float, put_int};

    fn holds(expected: &[u8], content: &[u8]) -> bool {
        Test::equal(expected).passes(Content::Value(content))
    }

    #[test]
    fn many_elements_are_looked_for_in_many_as_a_few_are() {
        crate::hashing::with_weak(many_elements);
    }

    fn many_elements() {
        let json = |json: String| Value::from_json(json.as_bytes()).unwrap();
        let kinds = |n: u32| {
            format!(
                r#"{n}, {n}.0, {n}.5, "{n}", [{n}], [{n}, [{n}.0]], {{"a": {n}, "b": null}},
                   {{"b": {{"c": [{n}.0]}}, "a": {n}}}, -0.0, true, null"#
            )
        };
        let list = |range: std::ops::Range<u32>| {
            json(format!("[{}]", range.map(kinds).collect::<Vec<_>>().join(",")))
        };
        let content = list(0..100);
        assert!(holds(list(0..100).as_bytes(), content.as_bytes()));
        assert!(holds(list(40..60).as_bytes(), content.as_bytes()));
        assert!(!holds(list(99..140).as_bytes(), content.as_bytes()));
        for (one, expected) in [
            ("7.0", true),
            ("[7.0, [7]]", true),
            (r#"{"b": null, "a": 7.0}"#, true),
            (r#"{"a": 7.0, "b": {"c": [7]}}"#, true),
            ("0", true),
            ("7.25", false),
            (r#""700""#, false),
            ("[7, 7]", false),
            ("[[7]]", false),
            (r#"{"a": 7}"#, false),
            ("false", false),
            ("[]", false),
        ] {
            let many = json(format!("[{}]", vec![one; 100].join(",")));
            assert_eq!(holds(many.as_bytes(), content.as_bytes()), expected, "{one}");
        }
        let nans = |len: u32| {
            let mut bytes = Vec::new();
            put_array_header(&mut bytes, len);
            (0..len)
                .for_each(|n| put_float(&mut bytes, if n % 2 == 0 { f64::NAN } else { -f64::NAN }));
            bytes
        };
        assert!(holds(&nans(100), &nans(99)) && !holds(&nans(100), content.as_bytes()));
    }

    #[test]
    fn a_hundred_thousand_elements_are_found_in_as_many_at_once() {
        const LEN: u32 = 100_000;
        let list = |numbers: &mut dyn Iterator<Item = u32>| {
            let mut bytes = Vec::new();
            put_array_header(&mut bytes, LEN);
            numbers.for_each(|number| put_int(&mut bytes, i64::from(number)));
            bytes
        };
        let (up, down) = (list(&mut (0..LEN)), list(&mut (0..LEN).rev()));
        let started = Instant::now();
        assert!(holds(&up, &down));
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
