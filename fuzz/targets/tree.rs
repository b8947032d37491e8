//! Values as trees: read and written once more from the description
//! (docs/values), to compare the library with.

use std::cmp::Ordering;

use super::bytes::Bytes;

/// How deep values may be nested.
const DEEPEST: usize = 128;

/// A value.
#[derive(Clone, Debug)]
pub enum Tree {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Vec<u8>),
    Array(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

impl Tree {
    /// One value that fills `bytes`; `None` for what is no value of ours.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { rest: bytes };
        let tree = reader.value(0)?;
        reader.rest.is_empty().then_some(tree)
    }

    /// The canonical bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(&mut out);
        out
    }

    fn append(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.push(0xc0),
            Self::Bool(value) => out.push(0xc2 + u8::from(*value)),
            Self::Int(value) => append_int(out, *value),
            Self::Float(value) => {
                out.push(0xcb);
                out.extend(value.to_bits().to_be_bytes());
            }
            Self::String(bytes) => {
                match std::str::from_utf8(bytes) {
                    Ok(_) if bytes.len() < 32 => out.push(0xa0 | bytes.len() as u8),
                    Ok(_) => append_length(out, bytes.len(), &[0xd9, 0xda, 0xdb]),
                    Err(_) => append_length(out, bytes.len(), &[0xc4, 0xc5, 0xc6]),
                }
                out.extend(bytes);
            }
            Self::Array(items) => {
                match items.len() {
                    len @ ..16 => out.push(0x90 | len as u8),
                    len => append_length(out, len, &[0, 0xdc, 0xdd]),
                }
                items.iter().for_each(|item| item.append(out));
            }
            Self::Map(pairs) => {
                match pairs.len() {
                    len @ ..16 => out.push(0x80 | len as u8),
                    len => append_length(out, len, &[0, 0xde, 0xdf]),
                }
                for (key, value) in pairs {
                    key.append(out);
                    value.append(out);
                }
            }
        }
    }

    /// Whether both are the same value: numbers by what they are worth, NaN
    /// equal to itself, maps in any order.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b || a.is_nan() && b.is_nan(),
            (Self::Int(int), Self::Float(float)) | (Self::Float(float), Self::Int(int)) => {
                compare(*int, *float) == Some(Ordering::Equal)
            }
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                let has = |key: &Self, value: &Self| {
                    b.iter().any(|(k, v)| k.is_same(key) && v.is_same(value))
                };
                a.len() == b.len() && a.iter().all(|(key, value)| has(key, value))
            }
            _ => false,
        }
    }

    /// Any small value.
    pub fn any(bytes: &mut Bytes<'_>, depth: usize) -> Self {
        match bytes.below(if depth == 0 { 6 } else { 8 }) {
            0 => Self::Nil,
            1 => Self::Bool(bytes.one_in(2)),
            2 => Self::Int(bytes.pick(&[0, 1, 2, -1, 1 << 53, i64::MAX, i64::MIN])),
            3 => {
                Self::Float(bytes.pick(&[0.0, -0.0, 1.0, 1.5, f64::NAN, 9007199254740992.0, 1e300]))
            }
            4 => Self::String(bytes.some(6).to_vec()),
            5 => Self::String(bytes.text(&["a", "b", ".", "é", "/"], 4).into_bytes()),
            6 => Self::Array((0..bytes.below(4)).map(|_| Self::any(bytes, depth - 1)).collect()),
            _ => {
                let mut pairs: Vec<(Self, Self)> = Vec::new();
                for _ in 0..bytes.below(4) {
                    let key = Self::String(bytes.text(&["a", "b", "x.y", "x"], 1).into_bytes());
                    let value = Self::any(bytes, depth - 1);
                    if !pairs.iter().any(|(known, _)| known.is_same(&key)) {
                        pairs.push((key, value));
                    }
                }
                Self::Map(pairs)
            }
        }
    }

    /// What a map has under a string.
    pub fn field(&self, key: &[u8]) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        let is_it = |known: &Self| matches!(known, Self::String(text) if text == key);
        pairs.iter().find(|(known, _)| is_it(known)).map(|(_, value)| value)
    }

    /// How deep it is nested.
    pub fn depth(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(pairs) => 1 + pairs.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

fn append_length(out: &mut Vec<u8>, len: usize, markers: &[u8; 3]) {
    if let Ok(len) = u8::try_from(len)
        && markers[0] != 0
    {
        out.extend([markers[0], len]);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(markers[1]);
        out.extend(len.to_be_bytes());
    } else {
        out.push(markers[2]);
        out.extend((len as u32).to_be_bytes());
    }
}

fn append_int(out: &mut Vec<u8>, value: i64) {
    if let -32..=127 = value {
        out.push(value as u8);
    } else if let Ok(value) = u8::try_from(value) {
        out.extend([0xcc, value]);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xcd);
        out.extend(value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xce);
        out.extend(value.to_be_bytes());
    } else if value >= 0 {
        out.push(0xcf);
        out.extend(value.to_be_bytes());
    } else if let Ok(value) = i8::try_from(value) {
        out.extend([0xd0, value as u8]);
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend(value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend(value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend(value.to_be_bytes());
    }
}

/// An int beside a float, exactly; `None` for NaN.
fn compare(int: i64, float: f64) -> Option<Ordering> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        return None;
    }
    if float >= END {
        return Some(Ordering::Less);
    }
    if float < -END {
        return Some(Ordering::Greater);
    }
    // Within the range of ints its floor is one.
    let floor = float.floor() as i64;
    Some(int.cmp(&floor).then(if float.fract() == 0.0 { Ordering::Equal } else { Ordering::Less }))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn bytes(&mut self, len: usize) -> Option<Vec<u8>> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes.to_vec())
    }

    fn number(&mut self, len: usize) -> Option<u64> {
        Some(self.bytes(len)?.into_iter().fold(0, |number, byte| number << 8 | u64::from(byte)))
    }

    fn value(&mut self, depth: usize) -> Option<Tree> {
        let marker = self.number(1)? as u8;
        Some(match marker {
            0..=0x7f => Tree::Int(i64::from(marker)),
            0x80..=0x8f => self.map(usize::from(marker & 15), depth)?,
            0x90..=0x9f => self.array(usize::from(marker & 15), depth)?,
            0xa0..=0xbf => Tree::String(self.bytes(usize::from(marker & 31))?),
            0xc0 => Tree::Nil,
            0xc2 => Tree::Bool(false),
            0xc3 => Tree::Bool(true),
            0xc4..=0xc6 => {
                let len = self.number(1 << (marker - 0xc4))?;
                Tree::String(self.bytes(len as usize)?)
            }
            0xca => Tree::Float(f64::from(f32::from_bits(self.number(4)? as u32))),
            0xcb => Tree::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => Tree::Int(i64::try_from(self.number(1 << (marker - 0xcc))?).ok()?),
            0xd0 => Tree::Int(i64::from(self.number(1)? as u8 as i8)),
            0xd1 => Tree::Int(i64::from(self.number(2)? as u16 as i16)),
            0xd2 => Tree::Int(i64::from(self.number(4)? as u32 as i32)),
            0xd3 => Tree::Int(self.number(8)? as i64),
            0xd9..=0xdb => {
                let len = self.number(1 << (marker - 0xd9))?;
                Tree::String(self.bytes(len as usize)?)
            }
            0xdc | 0xdd => {
                let len = self.number(2 << (marker - 0xdc))?;
                self.array(len as usize, depth)?
            }
            0xde | 0xdf => {
                let len = self.number(2 << (marker - 0xde))?;
                self.map(len as usize, depth)?
            }
            0xe0..=0xff => Tree::Int(i64::from(marker as i8)),
            // Extension types, and the reserved byte.
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return None,
        })
    }

    fn array(&mut self, len: usize, depth: usize) -> Option<Tree> {
        (depth < DEEPEST).then_some(())?;
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(self.value(depth + 1)?);
        }
        Some(Tree::Array(items))
    }

    fn map(&mut self, len: usize, depth: usize) -> Option<Tree> {
        (depth < DEEPEST).then_some(())?;
        let mut pairs: Vec<(Tree, Tree)> = Vec::new();
        for _ in 0..len {
            let key = self.value(depth + 1)?;
            let is_key = match &key {
                Tree::Bool(_) | Tree::Int(_) | Tree::String(_) => true,
                Tree::Float(value) => !value.is_nan(),
                _ => false,
            };
            if !is_key || pairs.iter().any(|(known, _)| known.is_same(&key)) {
                return None;
            }
            let value = self.value(depth + 1)?;
            pairs.push((key, value));
        }
        Some(Tree::Map(pairs))
    }
}
