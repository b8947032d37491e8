//! When two values are the same.

use std::cmp::Ordering;

use super::{Token, View};
use crate::sorting;

/// Maps up to this length are compared pair by pair, larger ones sorted first.
const UNSORTED: u32 = 16;

/// Whether two values, as canonical bytes, are equal.
///
/// Numbers compare by exact numeric value across int and float, NaN equals
/// NaN, arrays compare in order, maps regardless of the order of their keys.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    // The same bytes are the same value, and most comparisons are of those.
    a == b || equal_next(&mut View::new(a), &mut View::new(b))
}

/// Compares the values at both cursors. Behind them only if they are equal.
fn equal_next(a: &mut View<'_>, b: &mut View<'_>) -> bool {
    let (left, right) = (a.token(), b.token());
    if let (Some(left), Some(right)) = (left.number(), right.number()) {
        return left.equals(right);
    }
    match (left, right) {
        (Token::Nil, Token::Nil) => true,
        (Token::Bool(left), Token::Bool(right)) => left == right,
        (Token::String(left), Token::String(right)) => left == right,
        (Token::Array(left), Token::Array(right)) => {
            left == right && (0..left).all(|_| equal_next(a, b))
        }
        (Token::Map(left), Token::Map(right)) => left == right && equal_pairs(a, b, left),
        _ => false,
    }
}

fn equal_pairs(a: &mut View<'_>, b: &mut View<'_>, len: u32) -> bool {
    let mut left = pairs(a, len);
    let mut right = pairs(b, len);
    if len > UNSORTED {
        sorting::sort_by(&mut left, |x, y| compare_keys(x.0, y.0));
        sorting::sort_by(&mut right, |x, y| compare_keys(x.0, y.0));
        return left
            .iter()
            .zip(&right)
            .all(|(x, y)| compare_keys(x.0, y.0) == Ordering::Equal && equal(x.1, y.1));
    }
    left.iter()
        .all(|x| right.iter().any(|y| compare_keys(x.0, y.0) == Ordering::Equal && equal(x.1, y.1)))
}

fn pairs<'a>(view: &mut View<'a>, len: u32) -> Vec<(&'a [u8], &'a [u8])> {
    (0..len).map(|_| (view.skip(), view.skip())).collect()
}

/// A total order over map keys in which equal keys, and only those, compare
/// equal: `1` and `1.0` do.
pub(super) fn compare_keys(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (View::new(a).token(), View::new(b).token());
    if let (Some(a), Some(b)) = (a.number(), b.number()) {
        return a.compare(b).unwrap_or(Ordering::Equal);
    }
    match (a, b) {
        (Token::Bool(a), Token::Bool(b)) => a.cmp(&b),
        (Token::String(a), Token::String(b)) => a.cmp(b),
        (a, b) => rank(&a).cmp(&rank(&b)),
    }
}

fn rank(token: &Token<'_>) -> u8 {
    match token {
        Token::Bool(_) => 0,
        Token::Int(_) | Token::Float(_) => 1,
        Token::String(_) => 2,
        // No other type is a key.
        Token::Nil | Token::Array(_) | Token::Map(_) => 3,
    }
}

/// The first key that stands twice among `keys`, if one does. Reorders them.
pub(super) fn duplicate<'a>(keys: &mut [&'a [u8]]) -> Option<&'a [u8]> {
    if keys.len() <= UNSORTED as usize {
        return keys.iter().enumerate().find_map(|(place, &key)| {
            keys[..place]
                .iter()
                .any(|&other| compare_keys(other, key) == Ordering::Equal)
                .then_some(key)
        });
    }
    sorting::sort_by(keys, |a, b| compare_keys(a, b));
    keys.windows(2)
        .find(|pair| compare_keys(pair[0], pair[1]) == Ordering::Equal)
        .map(|pair| pair[0])
}

/// Whether two keys of the map, as bytes whose keys were not compared yet, are
/// equal.
#[must_use]
pub(crate) fn has_equal_keys(map: &[u8]) -> bool {
    let mut view = View::new(map);
    let Token::Map(len) = view.token() else { return false };
    let mut keys: Vec<&[u8]> = pairs(&mut view, len).into_iter().map(|(key, _)| key).collect();
    duplicate(&mut keys).is_some()
}
