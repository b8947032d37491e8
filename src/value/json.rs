//! JSON: text straight to canonical bytes, and canonical bytes to text.
//!
//! serde_json reads and writes the grammar; what stands here is the mapping
//! onto the value model.

use std::cell::Cell;
use std::collections::TryReserveError;
use std::{fmt, io};

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::canonical::show_key;
use super::equal::duplicate;
use super::{MAX_DEPTH, Token, Value, ValueError, View};
use super::{begin_array, begin_map, end_array, end_map};
use super::{put_bool, put_float, put_int, put_nil, put_string};
use crate::sorting;

impl Value {
    /// Reads a JSON text.
    ///
    /// A number without `.` and exponent is an int if it fits, any other a
    /// float.
    ///
    /// # Errors
    ///
    /// [`ValueError::Json`] with line and column: not JSON, duplicate keys, a
    /// number beyond a double, more than [`MAX_DEPTH`] levels.
    pub fn from_json(text: &[u8]) -> Result<Self, ValueError> {
        // Few values are longer than their text.
        let mut out = Vec::new();
        out.try_reserve(text.len()).map_err(|_| ValueError::OutOfMemory)?;
        try_scratch(text)?;
        let mut json = serde_json::Deserializer::from_slice(text);
        json.disable_recursion_limit();
        let zeros = NegativeZeros { text, met: Cell::new(0) };
        let is_full = Cell::new(false);
        let fault = |error: serde_json::Error| match is_full.get() {
            true => ValueError::OutOfMemory,
            false => ValueError::Json { what: error.to_string() },
        };
        let builder = Builder { out: &mut out, zeros: &zeros, is_full: &is_full, depth: 0 };
        builder.deserialize(&mut json).map_err(fault)?;
        json.end().map_err(fault)?;
        Self::try_from_canonical(&out)
    }

    /// Writes the value as JSON: map keys in byte order, no spaces, so that the
    /// same value always gives the same text.
    ///
    /// # Errors
    ///
    /// [`ValueError::NoJson`] for NaN, infinities, strings that are not UTF-8
    /// and map keys that render alike.
    pub fn to_json(&self) -> Result<String, ValueError> {
        let mut out = Vec::new();
        write_next(&mut out, &mut self.view())?;
        String::from_utf8(out)
            .map_err(|_| ValueError::NoJson { what: "a string that is not UTF-8".to_owned() })
    }
}

/// serde_json puts strings with escapes together in memory of its own, and has
/// no way to say that there is none: it is tried before. Small texts are not
/// worth it.
fn try_scratch(text: &[u8]) -> Result<(), ValueError> {
    const SMALL: usize = 16 << 10;
    if text.len() > SMALL && text.contains(&b'\\') {
        // It grows by doubling.
        let mut scratch = Vec::<u8>::new();
        scratch.try_reserve_exact(2 * text.len()).map_err(|_| ValueError::OutOfMemory)?;
    }
    Ok(())
}

/// Tells `-0` (an int) from `-0.0` (a float): the one pair that serde_json
/// reads alike.
struct NegativeZeros<'a> {
    text: &'a [u8],
    met: Cell<usize>,
}

impl NegativeZeros<'_> {
    /// Whether the next negative zero of the text is written as an int.
    fn next_is_int(&self) -> bool {
        let from = self.met.get();
        let mut at = from;
        let mut in_string = false;
        while let Some(&byte) = self.text.get(at) {
            match byte {
                b'\\' if in_string => at += 1,
                b'"' => in_string = !in_string,
                b'-' if !in_string => {
                    let len = self.text[at..]
                        .iter()
                        .take_while(|b| b.is_ascii_digit() || b"+-.eE".contains(b))
                        .count();
                    let number = &self.text[at..at + len];
                    at += len - 1;
                    let is_zero = number
                        .iter()
                        .take_while(|b| !b"eE".contains(b))
                        .all(|b| b"-0.".contains(b));
                    // Rounding to zero (-1e-999) is met here too: it has an
                    // exponent, so it is a float either way.
                    let rounds_to_zero = std::str::from_utf8(number)
                        .is_ok_and(|number| number.parse::<f64>().is_ok_and(|value| value == 0.0));
                    if is_zero || rounds_to_zero {
                        self.met.set(at + 1);
                        return number == b"-0";
                    }
                }
                // A digit after 'e-' belongs to a number that does not start
                // with '-': skip the whole number.
                b'0'..=b'9' if !in_string => {
                    let len = self.text[at..]
                        .iter()
                        .take_while(|b| b.is_ascii_digit() || b"+-.eE".contains(b))
                        .count();
                    at += len - 1;
                }
                _ => {}
            }
            at += 1;
        }
        false
    }
}

/// Appends the JSON value that comes next.
struct Builder<'a> {
    out: &'a mut Vec<u8>,
    zeros: &'a NegativeZeros<'a>,
    /// Set when there is no memory.
    is_full: &'a Cell<bool>,
    depth: usize,
}

impl Builder<'_> {
    fn inner(&mut self) -> Builder<'_> {
        let Self { out, zeros, is_full, depth } = self;
        Builder { out, zeros, is_full, depth: *depth + 1 }
    }

    /// What `reserved` says, as an error of the reader.
    fn check<E: serde::de::Error>(&self, reserved: Result<(), TryReserveError>) -> Result<(), E> {
        reserved.map_err(|_| {
            self.is_full.set(true);
            E::custom(ValueError::OutOfMemory)
        })
    }

    /// Where a value of `len` bytes and its header have room.
    fn room<E: serde::de::Error>(&mut self, len: usize) -> Result<&mut Vec<u8>, E> {
        let reserved = self.out.try_reserve(len + 9);
        self.check(reserved)?;
        Ok(self.out)
    }

    fn enter<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth == MAX_DEPTH { Err(E::custom(ValueError::TooDeep)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Builder<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Builder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        put_nil(self.room(0)?);
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(mut self, value: bool) -> Result<(), E> {
        put_bool(self.room(0)?, value);
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(mut self, value: i64) -> Result<(), E> {
        put_int(self.room(0)?, value);
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(mut self, value: u64) -> Result<(), E> {
        let out = self.room(0)?;
        match i64::try_from(value) {
            Ok(value) => put_int(out, value),
            Err(_) => put_float(out, value as f64),
        }
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(mut self, value: f64) -> Result<(), E> {
        if value == 0.0 && value.is_sign_negative() && self.zeros.next_is_int() {
            put_int(self.room(0)?, 0);
        } else {
            put_float(self.room(0)?, value);
        }
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(mut self, value: &str) -> Result<(), E> {
        put_string(self.room(value.len())?, value.as_bytes());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.enter()?;
        let open = begin_array(self.room(0)?);
        let mut len = 0;
        while items.next_element_seed(self.inner())?.is_some() {
            len += 1;
        }
        end_array(self.room(0)?, open, len);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut pairs: A) -> Result<(), A::Error> {
        self.enter()?;
        let open = begin_map(self.room(0)?);
        let mut starts = Vec::new();
        loop {
            let start = self.out.len();
            if pairs.next_key_seed(self.inner())?.is_none() {
                break;
            }
            self.check(starts.try_reserve(1))?;
            starts.push(start);
            pairs.next_value_seed(self.inner())?;
        }
        let mut keys: Vec<&[u8]> = Vec::new();
        self.check(keys.try_reserve_exact(starts.len()))?;
        keys.extend(starts.iter().map(|&start| &self.out[start..]));
        if let Some(key) = duplicate(&mut keys) {
            return Err(A::Error::custom(ValueError::DuplicateKey { key: show_key(key) }));
        }
        end_map(self.room(0)?, open, starts.len() as u32);
        Ok(())
    }
}

fn write_next(out: &mut Vec<u8>, view: &mut View<'_>) -> Result<(), ValueError> {
    match view.token() {
        Token::Nil => put(out, b"null")?,
        Token::Bool(value) => put(out, value.to_string().as_bytes())?,
        Token::Int(value) => put(out, value.to_string().as_bytes())?,
        Token::Float(value) => write_float(out, value)?,
        Token::String(bytes) => write_string(out, bytes)?,
        Token::Array(len) => {
            put(out, b"[")?;
            for place in 0..len {
                if place > 0 {
                    put(out, b",")?;
                }
                write_next(out, view)?;
            }
            put(out, b"]")?;
        }
        Token::Map(len) => write_map(out, view, len)?,
    }
    Ok(())
}

fn write_map(out: &mut Vec<u8>, view: &mut View<'_>, len: u32) -> Result<(), ValueError> {
    let mut pairs = Vec::new();
    pairs.try_reserve_exact(len as usize).map_err(|_| ValueError::OutOfMemory)?;
    for _ in 0..len {
        let name = key_name(view.token())?;
        pairs.push((name, view.skip()));
    }
    sorting::sort_by(&mut pairs, |a, b| a.0.cmp(&b.0));
    if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let name = String::from_utf8_lossy(&pair[0].0);
        return Err(ValueError::NoJson { what: format!("two keys of a map render as {name:?}") });
    }
    put(out, b"{")?;
    for (place, (name, value)) in pairs.iter().enumerate() {
        if place > 0 {
            put(out, b",")?;
        }
        write_string(out, name)?;
        put(out, b":")?;
        write_next(out, &mut View::new(value))?;
    }
    put(out, b"}")
}

fn key_name(key: Token<'_>) -> Result<Vec<u8>, ValueError> {
    let mut name = Vec::new();
    match key {
        Token::String(bytes) => put(&mut name, bytes)?,
        Token::Bool(value) => put(&mut name, value.to_string().as_bytes())?,
        Token::Int(value) => put(&mut name, value.to_string().as_bytes())?,
        Token::Float(value) => write_float(&mut name, value)?,
        Token::Nil | Token::Array(_) | Token::Map(_) => {}
    }
    Ok(name)
}

fn write_float(out: &mut Vec<u8>, value: f64) -> Result<(), ValueError> {
    if !value.is_finite() {
        return Err(ValueError::NoJson { what: format!("the float {value}") });
    }
    // serde_json writes every float with a '.' or an exponent.
    write_json(out, &value)
}

fn write_string(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ValueError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ValueError::NoJson {
        what: format!("a string of {} bytes that is not UTF-8", bytes.len()),
    })?;
    write_json(out, text)
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, part: &T) -> Result<(), ValueError> {
    serde_json::to_writer(Room(out), part).map_err(|error| match error.is_io() {
        true => ValueError::OutOfMemory,
        false => ValueError::NoJson { what: error.to_string() },
    })
}

/// Appends `part`, if there is memory for it.
fn put(out: &mut Vec<u8>, part: &[u8]) -> Result<(), ValueError> {
    out.try_reserve(part.len()).map_err(|_| ValueError::OutOfMemory)?;
    out.extend_from_slice(part);
    Ok(())
}

/// Where a part is written, if there is memory for it.
struct Room<'a>(&'a mut Vec<u8>);

impl io::Write for Room<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        put(self.0, part).map_err(|_| io::ErrorKind::OutOfMemory)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
