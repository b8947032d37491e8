//! From canonical bytes to the Lua stack.

use crate::value::{Token, View};

use super::cdata;
use super::context::{self, Context, Place};
use super::handle::BigInt;
use super::state::Lua;

/// Why a value cannot be pushed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unpushable {
    /// An integer that a number of this Lua version cannot hold.
    Integer(i64),
    /// An integer key that, converted, is another key of the same map.
    Collision(i64),
    /// The Lua stack cannot grow.
    Stack,
}

impl std::fmt::Display for Unpushable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(integer) => write!(
                f,
                "integer {integer} does not fit a number of this Lua version (option big_int)"
            ),
            Self::Collision(integer) => write!(
                f,
                "key {integer} becomes the same as another key of its map in this Lua version \
                 (option big_int)"
            ),
            Self::Stack => f.write_str("Lua stack overflow"),
        }
    }
}

/// 2^53.
pub(super) const EXACT: u64 = 1 << 53;

/// Pushes the value in `bytes`, new tables and all. On failure the stack holds
/// parts of it, which the caller drops.
pub(super) fn push(
    lua: Lua,
    context: &Context,
    bytes: &[u8],
    big_int: BigInt,
) -> Result<(), Unpushable> {
    push_to(lua, context, bytes, big_int).map_err(|(unpushable, _)| unpushable)
}

/// As [`push`]; a failure comes with where in `bytes` it was met: behind what
/// cannot be pushed.
pub(super) fn push_to(
    lua: Lua,
    context: &Context,
    bytes: &[u8],
    big_int: BigInt,
) -> Result<(), (Unpushable, usize)> {
    let mut decoder = Decoder { lua, context, view: View::new(bytes), big_int };
    match decoder.view.token() {
        Token::Nil => {
            lua.push_nil();
            Ok(())
        }
        token => decoder
            .push(token)
            .map_err(|unpushable| (unpushable, bytes.len() - decoder.view.rest().len())),
    }
}

/// Pushes an integer as this version can hold it.
#[inline]
pub(super) fn push_integer(
    lua: Lua,
    context: &Context,
    integer: i64,
    big_int: BigInt,
) -> Result<(), Unpushable> {
    if lua.version().has_integers() || integer.unsigned_abs() <= EXACT {
        lua.push_integer(integer);
    } else if context.has_ffi.get() {
        cdata::push(lua, integer);
    } else {
        match big_int {
            BigInt::Error => return Err(Unpushable::Integer(integer)),
            BigInt::Float => lua.push_float(integer as f64),
            BigInt::String => push_decimal(lua, integer),
        }
    }
    Ok(())
}

/// Pushes the decimal digits of an integer.
fn push_decimal(lua: Lua, integer: i64) {
    use std::io::Write;
    let mut digits = [0_u8; 20];
    let mut rest = &mut digits[..];
    // 20 bytes hold the longest, `i64::MIN`.
    let _ = write!(rest, "{integer}");
    let len = 20 - rest.len();
    lua.push_bytes(&digits[..len]);
}

struct Decoder<'a> {
    lua: Lua,
    context: &'a Context,
    view: View<'a>,
    big_int: BigInt,
}

impl Decoder<'_> {
    /// Pushes the value that `token` begins; a nil inside another value is
    /// `acervo.null`.
    #[inline]
    fn push(&mut self, token: Token<'_>) -> Result<(), Unpushable> {
        let lua = self.lua;
        match token {
            Token::String(bytes) => lua.push_bytes(bytes),
            Token::Int(integer) => return push_integer(lua, self.context, integer, self.big_int),
            Token::Float(float) => lua.push_float(float),
            Token::Bool(bool) => lua.push_bool(bool),
            Token::Nil => lua.push_light(std::ptr::null()),
            Token::Array(len) => return self.array(len),
            Token::Map(len) => return self.map(len),
        }
        Ok(())
    }

    /// Room for a table, a key, a value, and what pushing them takes.
    #[inline]
    fn reserve(&self) -> Result<(), Unpushable> {
        if self.lua.check_stack(8) { Ok(()) } else { Err(Unpushable::Stack) }
    }

    fn array(&mut self, len: u32) -> Result<(), Unpushable> {
        let lua = self.lua;
        self.reserve()?;
        lua.create_table(len, 0);
        if len == 0 {
            context::push_place(lua, Place::ArrayMetatable);
            lua.set_metatable(-2);
        }
        for index in 1..=i64::from(len) {
            let token = self.view.token();
            self.push(token)?;
            lua.raw_set_index(-2, index);
        }
        Ok(())
    }

    /// Whether a key is pushed as something else than an integer.
    #[inline]
    fn converts(&self, key: Token<'_>) -> bool {
        matches!(key, Token::Int(integer) if integer.unsigned_abs() > EXACT)
            && !self.lua.version().has_integers()
            && !self.context.has_ffi.get()
    }

    /// Fails if the map on the stack has the key above it already. Its values
    /// are never nil.
    #[cold]
    fn check_key(&self, key: Token<'_>) -> Result<(), Unpushable> {
        let lua = self.lua;
        lua.push_value(-1);
        lua.raw_get(-3);
        let is_free = lua.is_none_or_nil(-1);
        lua.pop(1);
        if is_free {
            return Ok(());
        }
        let text = |bytes| std::str::from_utf8(bytes).ok()?.parse().ok();
        Err(Unpushable::Collision(match key {
            Token::Int(integer) => integer,
            Token::Float(float) => float as i64,
            Token::String(bytes) => text(bytes).unwrap_or_default(),
            _ => 0,
        }))
    }

    fn map(&mut self, len: u32) -> Result<(), Unpushable> {
        let lua = self.lua;
        self.reserve()?;
        lua.create_table(0, len);
        let mut converted = false;
        for _ in 0..len {
            let key = self.view.token();
            self.push(key)?;
            converted |= self.converts(key);
            if converted {
                self.check_key(key)?;
            }
            let value = self.view.token();
            self.push(value)?;
            lua.raw_set(-3);
        }
        Ok(())
    }
}
