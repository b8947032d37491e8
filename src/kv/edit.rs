//! What a write means: a decision on the current value.
//!
//! The registry decides under a shard's lock, the store inside the leader's
//! transaction; the meaning is here, once.

use super::KvError;
use crate::platform::clock;
use crate::value::{Number, Stamp, Token, Value, View, equal, put_float, put_int};

/// A write of one key.
pub(super) enum Edit {
    /// Last writer wins. The cell is complete: key, value and stamp.
    Put(Value),
    /// A missing key is no error.
    Delete,
    /// Deletes what was written before that second.
    DeleteOlder { before: i64 },
    /// Adds to a number; missing counts as 0. `ints_only` refuses a stored
    /// float, for callers that can only be given an int.
    Incr { by: Number, ints_only: bool },
    /// Stores `new`, or deletes, if the current value equals `expected`.
    Cas { expected: Option<Box<[u8]>>, new: Option<Box<[u8]>> },
    /// Stores `new`, or deletes, if nothing was written since `seen` was read.
    Replace { seen: Option<Value>, new: Option<Box<[u8]>> },
}

/// What happens to the key.
pub(super) enum Change {
    /// It stays as it is.
    Keep,
    /// It gets this cell.
    Set(Value),
    /// It goes.
    Remove,
}

/// What the caller is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// It was done.
    Done,
    /// The new number.
    Number(Number),
    /// Whether the condition held.
    Stored(bool),
    /// How many keys it concerned.
    Count(u64),
}

/// Milliseconds after which a cell written now expires, as a point in time.
#[inline]
fn expires_at(ttl_ms: Option<i64>) -> Result<i64, KvError> {
    match ttl_ms {
        None => Ok(0),
        Some(ttl) if ttl > 0 => Ok(clock::now_millis().saturating_add(ttl)),
        Some(_) => Err(KvError::Ttl),
    }
}

/// That of a cell written now; the time to live is in milliseconds.
#[inline]
pub(super) fn stamp_now(ttl_ms: Option<i64>) -> Result<Stamp, KvError> {
    stamp_at(clock::now_coarse(), ttl_ms)
}

/// As [`stamp_now`], where the coarse clock was asked for the time already.
#[inline]
pub(super) fn stamp_at(now: i64, ttl_ms: Option<i64>) -> Result<Stamp, KvError> {
    Ok(Stamp { timestamp: now.div_euclid(1_000_000_000), expires_at: expires_at(ttl_ms)? })
}

/// A cell of what a caller gave.
#[inline]
pub(super) fn new_cell(key: &[u8], value: &[u8], stamp: Stamp) -> Result<Value, KvError> {
    Value::try_stored(key, value, stamp).ok_or_else(KvError::out_of_memory)
}

/// A copy of what a caller gave.
pub(super) fn copy(bytes: &[u8]) -> Result<Box<[u8]>, KvError> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| KvError::out_of_memory())?;
    copy.extend_from_slice(bytes);
    Ok(copy.into_boxed_slice())
}

/// The cell that stands for "this key was deleted": it has no value bytes.
pub(super) fn tombstone(key: &[u8]) -> Value {
    Value::stored(key, &[], Stamp { timestamp: clock::now_seconds(), expires_at: 0 })
}

/// Fails for a value over the limit.
#[inline]
pub(super) fn check_size(value: &[u8], limit: usize) -> Result<(), KvError> {
    if value.len() > limit {
        return Err(KvError::ValueTooLarge { len: value.len(), limit });
    }
    Ok(())
}

impl Edit {
    /// Decides on `current`, which is visible: neither deleted nor expired.
    pub(super) fn decide(
        self,
        key: &[u8],
        current: Option<&Value>,
    ) -> Result<(Change, Outcome), KvError> {
        // What writes without putting keeps the time to live.
        let renewed = |value: &[u8]| {
            let expires_at = current.map_or(0, |cell| cell.stamp().expires_at);
            let stamp = Stamp { timestamp: clock::now_seconds(), expires_at };
            Value::try_stored(key, value, stamp).ok_or_else(KvError::out_of_memory)
        };
        let on_condition = |holds: bool, new: Option<Box<[u8]>>| match (holds, new) {
            (false, _) => Ok(Change::Keep),
            (true, Some(new)) => renewed(&new).map(Change::Set),
            (true, None) => Ok(Change::Remove),
        };
        Ok(match self {
            Self::Put(cell) => (Change::Set(cell), Outcome::Done),
            Self::Delete => (Change::Remove, Outcome::Stored(current.is_some())),
            Self::DeleteOlder { before } => {
                match current.is_some_and(|cell| cell.timestamp() < before) {
                    true => (Change::Remove, Outcome::Stored(true)),
                    false => (Change::Keep, Outcome::Stored(false)),
                }
            }
            Self::Incr { by, ints_only } => {
                let sum = add(current, by)?;
                if let (true, Number::Float(_)) = (ints_only, sum) {
                    return Err(KvError::NotANumber { found: "float in integer steps" });
                }
                let mut bytes = Vec::with_capacity(9);
                match sum {
                    Number::Int(value) => put_int(&mut bytes, value),
                    Number::Float(value) => put_float(&mut bytes, value),
                }
                (Change::Set(renewed(&bytes)?), Outcome::Number(sum))
            }
            Self::Cas { expected, new } => {
                let holds = match (&expected, current) {
                    (None, None) => true,
                    (Some(expected), Some(current)) => equal(expected, current.as_bytes()),
                    _ => false,
                };
                (on_condition(holds, new)?, Outcome::Stored(holds))
            }
            Self::Replace { seen, new } => {
                let holds = match (&seen, current) {
                    (None, None) => true,
                    // The same value with the same stamp would have given the
                    // same answer, even if it was written in between.
                    (Some(seen), Some(current)) => {
                        seen.as_bytes() == current.as_bytes() && seen.stamp() == current.stamp()
                    }
                    _ => false,
                };
                (on_condition(holds, new)?, Outcome::Stored(holds))
            }
        })
    }
}

fn add(current: Option<&Value>, by: Number) -> Result<Number, KvError> {
    let found = match current {
        None => Token::Int(0),
        Some(cell) => View::new(cell.as_bytes()).token(),
    };
    match (found.number(), by) {
        (None, _) => Err(KvError::NotANumber { found: found.type_of().name() }),
        (Some(Number::Int(value)), Number::Int(by)) => {
            value.checked_add(by).map(Number::Int).ok_or(KvError::Overflow { value })
        }
        (Some(Number::Int(value)), Number::Float(by)) => Ok(Number::Float(value as f64 + by)),
        (Some(Number::Float(value)), Number::Int(by)) => Ok(Number::Float(value + by as f64)),
        (Some(Number::Float(value)), Number::Float(by)) => Ok(Number::Float(value + by)),
    }
}
