//! Random access into arrays and maps.
//!
//! Canonical bytes are read front to back; an index remembers where each
//! element starts, so that walking a large array by position, or asking a
//! large map for one key, does not start over each time.

use std::cmp::Ordering;
use std::sync::OnceLock;

use super::equal::compare_keys;
use super::{Token, Value, View};
use crate::sorting;

/// Containers up to this length are walked, not indexed.
const WALKED: u32 = 8;

/// Where the inner values of one container start.
pub(super) struct Index {
    /// Offset of each element, or of each key and value in turn, in the
    /// container's canonical bytes.
    starts: Box<[u32]>,
    /// The pairs of a map in key order, by their number; built at the first
    /// lookup.
    by_key: OnceLock<Box<[u32]>>,
}

impl Index {
    pub(super) fn build(bytes: &[u8]) -> Self {
        let mut view = View::new(bytes);
        let inner = view.token().inner_values();
        let mut starts = Vec::with_capacity(inner as usize);
        for _ in 0..inner {
            starts.push((bytes.len() - view.rest().len()) as u32);
            view.skip();
        }
        Self { starts: starts.into_boxed_slice(), by_key: OnceLock::new() }
    }

    fn at<'a>(&self, bytes: &'a [u8], inner: usize) -> Option<&'a [u8]> {
        let start = *self.starts.get(inner)? as usize;
        Some(View::new(&bytes[start..]).skip())
    }

    fn find<'a>(&self, bytes: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
        let key_of = |pair: u32| self.at(bytes, 2 * pair as usize).unwrap_or_default();
        let by_key = self.by_key.get_or_init(|| {
            let compare = |a, b| compare_keys(key_of(a as u32), key_of(b as u32));
            sorting::order_of(self.starts.len() / 2, &compare).into_boxed_slice()
        });
        let place = by_key.binary_search_by(|&pair| compare_keys(key_of(pair), key)).ok()?;
        self.at(bytes, 2 * by_key[place] as usize + 1)
    }
}

impl Value {
    /// Elements of an array, pairs of a map, bytes of a string; 0 for others.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.view().token() {
            Token::String(bytes) => bytes.len(),
            Token::Array(len) | Token::Map(len) => len as usize,
            _ => 0,
        }
    }

    /// Whether [`Value::len`] is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The canonical bytes of an array's element, counted from 0.
    #[must_use]
    pub fn element(&self, position: usize) -> Option<&[u8]> {
        match self.view().token() {
            Token::Array(len) if position < len as usize => self.inner(len, position),
            _ => None,
        }
    }

    /// The canonical bytes of a map's key and value, counted from 0 in the
    /// order they are stored in.
    #[must_use]
    pub fn pair(&self, position: usize) -> Option<(&[u8], &[u8])> {
        match self.view().token() {
            Token::Map(len) if position < len as usize => {
                Some((self.inner(len, 2 * position)?, self.inner(len, 2 * position + 1)?))
            }
            _ => None,
        }
    }

    /// The canonical bytes of the value that a map holds under `key`, itself
    /// canonical bytes.
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<&[u8]> {
        let mut view = self.view();
        match view.token() {
            Token::Map(len) if len > WALKED => self.index().find(self.as_bytes(), key),
            Token::Map(len) => (0..len).find_map(|_| {
                let (candidate, value) = (view.skip(), view.skip());
                (compare_keys(candidate, key) == Ordering::Equal).then_some(value)
            }),
            _ => None,
        }
    }

    fn inner(&self, len: u32, position: usize) -> Option<&[u8]> {
        if len > WALKED {
            return self.index().at(self.as_bytes(), position);
        }
        let mut view = self.view();
        view.token();
        for _ in 0..position {
            view.skip();
        }
        Some(view.skip())
    }
}
