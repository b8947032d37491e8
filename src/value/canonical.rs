//! From foreign MessagePack, or from parts, to canonical bytes.

use rmp::Marker;

use super::encode::Head;
use super::equal::duplicate;
use super::{MAX_DEPTH, Token, Value, ValueError, View};
use super::{begin_array, begin_map, end_array, end_map};
use super::{put_array_header, put_bool, put_float, put_int, put_map_header, put_nil, put_string};

impl Value {
    /// Reads one MessagePack value that fills `bytes`.
    ///
    /// # Errors
    ///
    /// [`ValueError::MsgPack`] with the offset, for what the model does not
    /// hold: extension types, integers above `i64::MAX`, keys that are nil,
    /// NaN, arrays or maps, duplicate keys, more than [`MAX_DEPTH`] levels,
    /// bytes that end early or go on behind the value.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, ValueError> {
        let mut out = Vec::new();
        append_canonical(&mut out, bytes)?;
        Self::try_from_canonical(&out)
    }

    /// As [`Value::from_canonical`], for bytes whose length the caller's input
    /// decides.
    ///
    /// # Errors
    ///
    /// [`ValueError::OutOfMemory`]; [`ValueError::TooLarge`] above 4 GiB.
    pub fn try_from_canonical(bytes: &[u8]) -> Result<Self, ValueError> {
        Self::try_parts([bytes, &[]])
    }

    #[inline]
    fn try_parts(parts: [&[u8]; 2]) -> Result<Self, ValueError> {
        if u32::try_from(parts[0].len() + parts[1].len()).is_err() {
            return Err(ValueError::TooLarge);
        }
        Self::try_joined(parts).ok_or(ValueError::OutOfMemory)
    }

    /// A string value.
    ///
    /// # Errors
    ///
    /// As [`Value::try_from_canonical`].
    #[inline]
    pub fn string(bytes: &[u8]) -> Result<Self, ValueError> {
        Self::try_parts([Head::of_string(bytes).as_bytes(), bytes])
    }

    /// An array of values, copied.
    ///
    /// # Errors
    ///
    /// [`ValueError::TooDeep`] or [`ValueError::TooLarge`].
    pub fn array<'a>(items: impl ExactSizeIterator<Item = &'a Self>) -> Result<Self, ValueError> {
        let mut out = Vec::new();
        put_array_header(&mut out, u32::try_from(items.len()).map_err(|_| ValueError::TooLarge)?);
        for item in items {
            append(&mut out, item.as_bytes())?;
        }
        Self::checked(&out)
    }

    /// A map of key and value pairs, copied, in this order.
    ///
    /// # Errors
    ///
    /// [`ValueError::BadKey`] for a key that is nil, NaN, an array or a map,
    /// [`ValueError::DuplicateKey`], [`ValueError::TooDeep`] or
    /// [`ValueError::TooLarge`].
    pub fn map<'a>(
        pairs: impl ExactSizeIterator<Item = (&'a Self, &'a Self)>,
    ) -> Result<Self, ValueError> {
        let mut out = Vec::new();
        put_map_header(&mut out, u32::try_from(pairs.len()).map_err(|_| ValueError::TooLarge)?);
        let mut keys = Vec::new();
        keys.try_reserve_exact(pairs.len()).map_err(|_| ValueError::OutOfMemory)?;
        for (key, value) in pairs {
            check_key(key.view().token()).map_err(|what| ValueError::BadKey { what })?;
            keys.push(key.as_bytes());
            append(&mut out, key.as_bytes())?;
            append(&mut out, value.as_bytes())?;
        }
        if let Some(key) = duplicate(&mut keys) {
            return Err(ValueError::DuplicateKey { key: show_key(key) });
        }
        Self::checked(&out)
    }

    /// An array of strings.
    ///
    /// # Errors
    ///
    /// [`ValueError::TooLarge`].
    pub fn array_of_strings(items: &[Box<[u8]>]) -> Result<Self, ValueError> {
        let mut out = Vec::new();
        put_array_header(&mut out, u32::try_from(items.len()).map_err(|_| ValueError::TooLarge)?);
        for item in items {
            out.try_reserve(item.len() + 8).map_err(|_| ValueError::OutOfMemory)?;
            put_string(&mut out, item);
        }
        Self::try_from_canonical(&out)
    }

    fn checked(bytes: &[u8]) -> Result<Self, ValueError> {
        if depth(bytes) > MAX_DEPTH {
            return Err(ValueError::TooDeep);
        }
        Self::try_from_canonical(bytes)
    }
}

/// Appends the canonical form of one MessagePack value that fills `bytes`.
pub(crate) fn append_canonical(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ValueError> {
    append_wrapped(out, bytes, 0)
}

/// As [`append_canonical`], for values that stand inside `wrapping` levels of
/// a file's own, which do not count.
pub(crate) fn append_wrapped(
    out: &mut Vec<u8>,
    bytes: &[u8],
    wrapping: usize,
) -> Result<(), ValueError> {
    let mut reader = Reader { bytes, at: 0, out, deepest: MAX_DEPTH + wrapping };
    reader.reserve(0)?;
    reader.value(0)?;
    if reader.at != bytes.len() {
        return Err(reader.fault(reader.at, "bytes follow after the value"));
    }
    Ok(())
}

/// Appends a part, if there is memory for it and the whole stays in bounds.
fn append(out: &mut Vec<u8>, part: &[u8]) -> Result<(), ValueError> {
    if u32::try_from(out.len() + part.len()).is_err() {
        return Err(ValueError::TooLarge);
    }
    out.try_reserve(part.len()).map_err(|_| ValueError::OutOfMemory)?;
    out.extend_from_slice(part);
    Ok(())
}

/// How deep containers are nested in canonical bytes.
fn depth(bytes: &[u8]) -> usize {
    let mut view = View::new(bytes);
    let mut deepest = 0;
    // How many values are still to come on each open level.
    let mut open: Vec<u64> = Vec::new();
    while !view.rest().is_empty() {
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        let token = view.token();
        if matches!(token, Token::Array(_) | Token::Map(_)) {
            open.push(token.inner_values());
            deepest = deepest.max(open.len());
        }
    }
    deepest
}

/// What is wrong with a key, if it cannot be one.
pub(super) fn check_key(key: Token<'_>) -> Result<(), &'static str> {
    match key {
        Token::Bool(_) | Token::Int(_) | Token::String(_) => Ok(()),
        Token::Float(value) if value.is_nan() => Err("NaN"),
        Token::Float(_) => Ok(()),
        Token::Nil => Err("nil"),
        Token::Array(_) => Err("an array"),
        Token::Map(_) => Err("a map"),
    }
}

/// A key as messages show it.
pub(super) fn show_key(key: &[u8]) -> String {
    match View::new(key).token() {
        Token::String(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Token::Bool(value) => value.to_string(),
        Token::Int(value) => value.to_string(),
        Token::Float(value) => format!("{value:?}"),
        other => other.type_of().name().to_owned(),
    }
}

/// Reads foreign bytes and writes canonical ones.
struct Reader<'a, 'o> {
    bytes: &'a [u8],
    at: usize,
    out: &'o mut Vec<u8>,
    deepest: usize,
}

impl<'a> Reader<'a, '_> {
    fn fault(&self, offset: usize, what: &'static str) -> ValueError {
        ValueError::MsgPack { offset, what }
    }

    /// Room for what is left of the input, and `more`. Canonical form is never
    /// longer, but for a 32-bit float, which grows to 64.
    fn reserve(&mut self, more: usize) -> Result<(), ValueError> {
        let left = self.bytes.len() - self.at;
        // While a container ends it has two headers.
        self.out.try_reserve(left + more + 5).map_err(|_| ValueError::OutOfMemory)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ValueError> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..len)) {
            Some(bytes) => {
                self.at += len;
                Ok(bytes)
            }
            None => Err(self.fault(self.bytes.len(), "the bytes end inside the value")),
        }
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], ValueError> {
        let bytes = self.take(N)?;
        Ok(std::array::from_fn(|place| bytes[place]))
    }

    fn value(&mut self, depth: usize) -> Result<(), ValueError> {
        let start = self.at;
        let marker = Marker::from_u8(self.take(1)?[0]);
        match marker {
            Marker::Null => put_nil(self.out),
            Marker::True => put_bool(self.out, true),
            Marker::False => put_bool(self.out, false),
            Marker::FixPos(value) => put_int(self.out, i64::from(value)),
            Marker::FixNeg(value) => put_int(self.out, i64::from(value)),
            Marker::U8 => self.int(|bytes: [u8; 1]| u8::from_be_bytes(bytes))?,
            Marker::U16 => self.int(u16::from_be_bytes)?,
            Marker::U32 => self.int(u32::from_be_bytes)?,
            Marker::U64 => {
                let value = u64::from_be_bytes(self.number()?);
                let value = i64::try_from(value)
                    .map_err(|_| self.fault(start, "an integer above 2^63 - 1"))?;
                put_int(self.out, value);
            }
            Marker::I8 => self.int(|bytes: [u8; 1]| i8::from_be_bytes(bytes))?,
            Marker::I16 => self.int(i16::from_be_bytes)?,
            Marker::I32 => self.int(i32::from_be_bytes)?,
            Marker::I64 => self.int(i64::from_be_bytes)?,
            Marker::F32 => {
                let value = f32::from_be_bytes(self.number()?);
                self.reserve(9)?;
                put_float(self.out, f64::from(value));
            }
            Marker::F64 => {
                let value = f64::from_be_bytes(self.number()?);
                put_float(self.out, value);
            }
            Marker::FixStr(len) => self.string(usize::from(len))?,
            Marker::Str8 | Marker::Bin8 => {
                let len = u8::from_be_bytes(self.number()?);
                self.string(usize::from(len))?;
            }
            Marker::Str16 | Marker::Bin16 => {
                let len = u16::from_be_bytes(self.number()?);
                self.string(usize::from(len))?;
            }
            Marker::Str32 | Marker::Bin32 => {
                let len = u32::from_be_bytes(self.number()?);
                self.string(len as usize)?;
            }
            Marker::FixArray(len) => self.array(start, u32::from(len), depth)?,
            Marker::Array16 => {
                let len = u16::from_be_bytes(self.number()?);
                self.array(start, u32::from(len), depth)?;
            }
            Marker::Array32 => {
                let len = u32::from_be_bytes(self.number()?);
                self.array(start, len, depth)?;
            }
            Marker::FixMap(len) => self.map(start, u32::from(len), depth)?,
            Marker::Map16 => {
                let len = u16::from_be_bytes(self.number()?);
                self.map(start, u32::from(len), depth)?;
            }
            Marker::Map32 => {
                let len = u32::from_be_bytes(self.number()?);
                self.map(start, len, depth)?;
            }
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32 => return Err(self.fault(start, "an extension type")),
            Marker::Reserved => return Err(self.fault(start, "the reserved byte 0xc1")),
        }
        Ok(())
    }

    fn int<const N: usize, T: Into<i64>>(
        &mut self,
        read: fn([u8; N]) -> T,
    ) -> Result<(), ValueError> {
        let value = read(self.number()?).into();
        put_int(self.out, value);
        Ok(())
    }

    fn string(&mut self, len: usize) -> Result<(), ValueError> {
        let bytes = self.take(len)?;
        put_string(self.out, bytes);
        Ok(())
    }

    fn enter(&self, start: usize, depth: usize) -> Result<usize, ValueError> {
        if depth == self.deepest {
            return Err(self.fault(start, "nested deeper than 128 levels"));
        }
        Ok(depth + 1)
    }

    fn array(&mut self, start: usize, len: u32, depth: usize) -> Result<(), ValueError> {
        let depth = self.enter(start, depth)?;
        let open = begin_array(self.out);
        for _ in 0..len {
            self.value(depth)?;
        }
        end_array(self.out, open, len);
        Ok(())
    }

    fn map(&mut self, start: usize, len: u32, depth: usize) -> Result<(), ValueError> {
        let depth = self.enter(start, depth)?;
        let open = begin_map(self.out);
        let mut places = Vec::new();
        for _ in 0..len {
            let key_at = self.at;
            let key_start = self.out.len();
            self.value(depth)?;
            let key = View::new(&self.out[key_start..]).token();
            check_key(key).map_err(|what| self.fault(key_at, bad_key(what)))?;
            places.try_reserve(1).map_err(|_| ValueError::OutOfMemory)?;
            places.push((key_start, key_at));
            self.value(depth)?;
        }
        // Each slice begins with its key; where it ends does not matter.
        let mut keys: Vec<&[u8]> = Vec::new();
        keys.try_reserve_exact(places.len()).map_err(|_| ValueError::OutOfMemory)?;
        keys.extend(places.iter().map(|&(start, _)| &self.out[start..]));
        if let Some(key) = duplicate(&mut keys) {
            let key_start = self.out.len() - key.len();
            let offset = places.iter().find(|place| place.0 == key_start).map_or(start, |p| p.1);
            return Err(self.fault(offset, "a key that stands twice in one map"));
        }
        end_map(self.out, open, len);
        Ok(())
    }
}

fn bad_key(what: &str) -> &'static str {
    match what {
        "NaN" => "NaN as a key",
        "nil" => "nil as a key",
        "an array" => "an array as a key",
        _ => "a map as a key",
    }
}
