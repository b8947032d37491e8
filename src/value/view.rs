//! Reading canonical bytes without building anything.

use rmp::Marker;

use super::Number;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nil.
    Nil,
    /// A bool.
    Bool,
    /// A signed 64-bit integer.
    Int,
    /// An IEEE double.
    Float,
    /// A byte string.
    String,
    /// An ordered list of values.
    Array,
    /// A map from keys to values, unordered.
    Map,
}

impl Type {
    /// The type's name, as messages give it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::String => "string",
            Self::Array => "array",
            Self::Map => "map",
        }
    }
}

/// The head of a value: a scalar whole, a container by its length.
#[derive(Clone, Copy, Debug)]
pub enum Token<'a> {
    /// Nil.
    Nil,
    /// A bool.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A byte string, borrowed.
    String(&'a [u8]),
    /// An array; this many values follow.
    Array(u32),
    /// A map; this many pairs follow, each a key and a value.
    Map(u32),
}

impl Token<'_> {
    /// The type of the value this token begins.
    #[must_use]
    #[inline]
    pub fn type_of(&self) -> Type {
        match self {
            Self::Nil => Type::Nil,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Float(_) => Type::Float,
            Self::String(_) => Type::String,
            Self::Array(_) => Type::Array,
            Self::Map(_) => Type::Map,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<Number> {
        match *self {
            Self::Int(value) => Some(Number::Int(value)),
            Self::Float(value) => Some(Number::Float(value)),
            _ => None,
        }
    }

    /// How many values stand inside: elements of an array, keys and values of
    /// a map.
    pub(crate) fn inner_values(&self) -> u64 {
        match *self {
            Self::Array(len) => u64::from(len),
            Self::Map(len) => 2 * u64::from(len),
            _ => 0,
        }
    }
}

/// A cursor over canonical bytes: one or more values after each other.
///
/// The bytes are trusted to be canonical. On others it stays in bounds and
/// reads nils, but what it gives then means nothing.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// A cursor at the start of `bytes`.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes not read yet.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The type of the value at the cursor.
    #[must_use]
    #[inline]
    pub fn type_of(mut self) -> Type {
        self.token().type_of()
    }

    /// Reads one token and moves behind it.
    #[inline]
    pub fn token(&mut self) -> Token<'a> {
        let Some((&first, rest)) = self.bytes.split_first() else { return Token::Nil };
        self.bytes = rest;
        match Marker::from_u8(first) {
            Marker::Null | Marker::Reserved => Token::Nil,
            Marker::True => Token::Bool(true),
            Marker::False => Token::Bool(false),
            Marker::FixPos(value) => Token::Int(i64::from(value)),
            Marker::FixNeg(value) => Token::Int(i64::from(value)),
            Marker::U8 => Token::Int(i64::from(u8::from_be_bytes(self.take()))),
            Marker::U16 => Token::Int(i64::from(u16::from_be_bytes(self.take()))),
            Marker::U32 => Token::Int(i64::from(u32::from_be_bytes(self.take()))),
            Marker::U64 => Token::Int(u64::from_be_bytes(self.take()) as i64),
            Marker::I8 => Token::Int(i64::from(i8::from_be_bytes(self.take()))),
            Marker::I16 => Token::Int(i64::from(i16::from_be_bytes(self.take()))),
            Marker::I32 => Token::Int(i64::from(i32::from_be_bytes(self.take()))),
            Marker::I64 => Token::Int(i64::from_be_bytes(self.take())),
            Marker::F32 => Token::Float(f64::from(f32::from_be_bytes(self.take()))),
            Marker::F64 => Token::Float(f64::from_be_bytes(self.take())),
            Marker::FixStr(len) => self.string(usize::from(len)),
            Marker::Str8 | Marker::Bin8 => {
                let len = u8::from_be_bytes(self.take());
                self.string(usize::from(len))
            }
            Marker::Str16 | Marker::Bin16 => {
                let len = u16::from_be_bytes(self.take());
                self.string(usize::from(len))
            }
            Marker::Str32 | Marker::Bin32 => {
                let len = u32::from_be_bytes(self.take());
                self.string(len as usize)
            }
            Marker::FixArray(len) => Token::Array(u32::from(len)),
            Marker::Array16 => Token::Array(u32::from(u16::from_be_bytes(self.take()))),
            Marker::Array32 => Token::Array(u32::from_be_bytes(self.take())),
            Marker::FixMap(len) => Token::Map(u32::from(len)),
            Marker::Map16 => Token::Map(u32::from(u16::from_be_bytes(self.take()))),
            Marker::Map32 => Token::Map(u32::from_be_bytes(self.take())),
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32 => Token::Nil,
        }
    }

    /// Moves behind the value at the cursor and gives its bytes.
    pub fn skip(&mut self) -> &'a [u8] {
        let start = self.bytes;
        let mut left = 1_u64;
        while left > 0 && !self.bytes.is_empty() {
            left += self.token().inner_values();
            left -= 1;
        }
        &start[..start.len() - self.bytes.len()]
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.bytes.split_first_chunk::<N>() {
            Some((chunk, rest)) => {
                self.bytes = rest;
                *chunk
            }
            None => {
                self.bytes = &[];
                [0; N]
            }
        }
    }

    #[inline]
    fn string(&mut self, len: usize) -> Token<'a> {
        let (string, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        Token::String(string)
    }
}
