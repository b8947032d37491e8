//! From the Lua stack to canonical bytes, with no tree in between.
//!
//! Nothing here allocates in Lua, so no garbage collection and no foreign code
//! runs during a walk, and no metamethod is called.

use std::ffi::{c_int, c_void};
use std::fmt::Write as _;

use crate::error::{Code, Error};
use crate::value::{
    MAX_DEPTH, View, begin_map, end_map, has_equal_keys, put_array_header, put_bool, put_float,
    put_int, put_map_header, put_nil, put_string,
};

use super::cdata;
use super::context::Context;
use super::state::{
    Lua, TYPE_BOOLEAN, TYPE_FUNCTION, TYPE_LIGHT_USERDATA, TYPE_NIL, TYPE_NONE, TYPE_NUMBER,
    TYPE_STRING, TYPE_TABLE, TYPE_USERDATA,
};
use super::version::TYPE_CDATA;

/// Largest magnitude up to which every integer is a double of its own.
pub(super) const EXACT: f64 = 9_007_199_254_740_992.0;

/// Slots of its stack that a function of C has at least (`LUA_MINSTACK`).
const LEAST_STACK: c_int = 20;

/// Enough for a scalar, or what stands before the content of another value.
const HEAD: usize = 16;

/// Why a Lua value is no value of ours.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// A type that cannot be stored, by the words for it.
    Type(&'static str),
    /// A type that cannot be a key, by its name.
    Key(&'static str),
    /// Two keys that are the same number, one of them a cdata.
    EqualKeys,
    /// A table that contains itself.
    Cycle,
    TooDeep,
    TooLarge,
    /// The Lua stack cannot grow.
    Stack,
    OutOfMemory,
}

/// The tables around the one being written.
#[derive(Clone, Copy)]
struct Outer<'a> {
    table: *const c_void,
    outer: Option<&'a Outer<'a>>,
    depth: usize,
}

/// What a value may be at most, and what messages call it.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The name of the argument: where paths begin.
    pub(super) root: &'static str,
    /// Bytes.
    pub(super) size: usize,
    /// Levels of nesting.
    pub(super) depth: usize,
}

impl Limits {
    /// For a value that a database with this limit should take.
    pub(super) fn of_value(size: usize) -> Self {
        Self { root: "value", size: size.min(u32::MAX as usize), depth: MAX_DEPTH }
    }
}

/// Why a value was not encoded; the text in the buffer says more.
pub(super) struct Refused(Code);

impl Refused {
    /// As an error, with the text.
    pub(super) fn error(self, text: &[u8]) -> Error {
        Error::new(self.0, String::from_utf8_lossy(text))
    }
}

/// Appends the value at `index`, an absolute index. On failure `out` holds the
/// message instead: `value.limites.cpu: a function cannot be stored`.
pub(super) fn encode(
    lua: Lua,
    context: &Context,
    index: c_int,
    out: &mut Vec<u8>,
    limits: Limits,
) -> Result<(), Refused> {
    let end = out.len().saturating_add(limits.size);
    let top = lua.top();
    let mut encoder = Encoder { lua, context, out, end, max_depth: limits.depth, refusal: None };
    if encoder.value(index, top, None).is_ok() {
        return Ok(());
    }
    let refusal = encoder.refusal.unwrap_or(Refusal::OutOfMemory);
    Err(refused(lua, top, out, refusal, limits))
}

/// Puts the message in the place of the path.
#[cold]
fn refused(lua: Lua, top: c_int, out: &mut Vec<u8>, refusal: Refusal, limits: Limits) -> Refused {
    lua.set_top(top);
    let path = String::from_utf8_lossy(out).into_owned();
    out.clear();
    out.extend_from_slice(describe(refusal, &path, limits).as_bytes());
    Refused(if matches!(refusal, Refusal::OutOfMemory) { Code::Internal } else { Code::Invalid })
}

/// Makes room for so many bytes; false if there is no memory.
#[inline(always)]
fn has_room(out: &mut Vec<u8>, len: usize) -> bool {
    out.capacity() - out.len() >= len || grow(out, len)
}

#[cold]
fn grow(out: &mut Vec<u8>, len: usize) -> bool {
    out.try_reserve(len).is_ok()
}

/// Appends the number at `index`; false if there is no memory.
#[inline(always)]
pub(super) fn number(lua: Lua, index: c_int, out: &mut Vec<u8>) -> bool {
    let has_room = has_room(out, HEAD);
    if has_room {
        put_number(lua, index, out);
    }
    has_room
}

#[inline]
fn put_number(lua: Lua, index: c_int, out: &mut Vec<u8>) {
    if let Some(integer) = lua.integer(index) {
        return put_int(out, integer);
    }
    let number = lua.number(index);
    if lua.version().has_integers() {
        return put_float(out, number);
    }
    let negative_zero = number == 0.0 && number.is_sign_negative();
    // What has a fraction loses it here.
    let integer = number as i64;
    if integer as f64 == number && number.abs() <= EXACT && !negative_zero {
        put_int(out, integer);
    } else {
        put_float(out, number);
    }
}

fn describe(refusal: Refusal, path: &str, limits: Limits) -> String {
    let root = limits.root;
    match refusal {
        Refusal::Type(what) => format!("{root}{path}: {what} cannot be stored"),
        Refusal::Key(what) => {
            format!("{root}{path}: {what} cannot be a key: use a string, number or boolean")
        }
        Refusal::EqualKeys => format!("{root}{path}: two keys are the same number"),
        Refusal::Cycle => format!("{root}{path}: the table contains itself"),
        Refusal::TooDeep => format!("{root}{path}: nested deeper than {MAX_DEPTH} levels"),
        Refusal::TooLarge => {
            format!("{root}{path}: larger than the limit of {} bytes", limits.size)
        }
        Refusal::Stack => format!("{root}{path}: Lua stack overflow"),
        Refusal::OutOfMemory => "out of memory".to_owned(),
    }
}

mod short;

/// A refusal is on its way: as small as that, since everything here may give
/// it.
struct Stop;

struct Encoder<'a> {
    lua: Lua,
    context: &'a Context,
    out: &'a mut Vec<u8>,
    /// Length of `out` that must not be passed.
    end: usize,
    max_depth: usize,
    refusal: Option<Refusal>,
}

impl Encoder<'_> {
    /// Appends the value at `index`; `top` is the top of the stack. On failure
    /// `out` holds the path from here on.
    fn value(&mut self, index: c_int, top: c_int, outer: Option<&Outer<'_>>) -> Result<(), Stop> {
        let type_of = self.lua.type_of(index);
        if type_of == TYPE_STRING {
            return self.string(index);
        }
        self.reserve(HEAD)?;
        match type_of {
            TYPE_NUMBER => self.number(index),
            TYPE_TABLE => return self.table(index, top, outer),
            TYPE_BOOLEAN => put_bool(self.out, self.lua.to_bool(index)),
            TYPE_NIL | TYPE_NONE => put_nil(self.out),
            TYPE_LIGHT_USERDATA if self.lua.userdata(index).is_null() => put_nil(self.out),
            TYPE_LIGHT_USERDATA | TYPE_USERDATA => return self.refuse(Refusal::Type("a userdata")),
            TYPE_FUNCTION => return self.refuse(Refusal::Type("a function")),
            TYPE_CDATA => match cdata::integer(self.lua, self.context, index) {
                Ok(integer) => put_int(self.out, integer),
                Err(what) => return self.refuse(Refusal::Type(what)),
            },
            _ => return self.refuse(Refusal::Type("a thread")),
        }
        self.check_size()
    }

    #[cold]
    fn refuse(&mut self, refusal: Refusal) -> Result<(), Stop> {
        self.out.clear();
        self.refusal = Some(refusal);
        Err(Stop)
    }

    /// Makes room; what is written after that does not allocate.
    #[inline(always)]
    fn reserve(&mut self, len: usize) -> Result<(), Stop> {
        if has_room(self.out, len) { Ok(()) } else { self.refuse(Refusal::OutOfMemory) }
    }

    #[inline]
    fn check_size(&mut self) -> Result<(), Stop> {
        if self.out.len() > self.end { self.refuse(Refusal::TooLarge) } else { Ok(()) }
    }

    #[inline(always)]
    fn string(&mut self, index: c_int) -> Result<(), Stop> {
        let bytes = self.lua.bytes(index);
        if bytes.len() >= self.end.saturating_sub(self.out.len()) {
            // Checked before the bytes are copied: they may be gigabytes.
            return self.refuse(Refusal::TooLarge);
        }
        self.reserve(bytes.len() + HEAD)?;
        if short::put(self.out, bytes) {
            // One byte more than it has: that was checked.
            return Ok(());
        }
        put_string(self.out, bytes);
        self.check_size()
    }

    #[inline]
    fn number(&mut self, index: c_int) {
        put_number(self.lua, index, self.out);
    }

    /// Appends the key at `index`, of this type. Tells whether another key of the table may
    /// be equal to it: Lua compares cdata by identity.
    #[inline(always)]
    fn key(&mut self, index: c_int, type_of: c_int) -> Result<bool, Stop> {
        if type_of == TYPE_STRING {
            return self.string(index).map(|()| false);
        }
        self.reserve(HEAD)?;
        match type_of {
            TYPE_BOOLEAN => put_bool(self.out, self.lua.to_bool(index)),
            // Lua has made float keys that equal an int that int, where it
            // tells them apart. Where it does not, the rule of the values
            // holds, so that what was written can be read there; but -0 and 0
            // are one key.
            TYPE_NUMBER if self.lua.number(index) == 0.0 => put_int(self.out, 0),
            TYPE_NUMBER => self.number(index),
            TYPE_CDATA => match cdata::integer(self.lua, self.context, index) {
                Ok(integer) => {
                    put_int(self.out, integer);
                    return Ok(true);
                }
                Err(what) => return self.refuse(Refusal::Key(what)).map(|()| true),
            },
            _ => {
                let what = self.lua.type_name(index);
                return self.refuse(Refusal::Key(what)).map(|()| false);
            }
        }
        Ok(false)
    }

    fn table(&mut self, table: c_int, top: c_int, outer: Option<&Outer<'_>>) -> Result<(), Stop> {
        let lua = self.lua;
        let address = lua.pointer(table);
        let mut ancestor = outer;
        while let Some(level) = ancestor {
            if level.table == address {
                return self.refuse(Refusal::Cycle);
            }
            ancestor = level.outer;
        }
        let depth = outer.map_or(1, |outer| outer.depth + 1);
        if depth > self.max_depth {
            return self.refuse(Refusal::TooDeep);
        }
        // A pair, what reading a cdata takes, and the pair of a count. A function
        // of C has as many from the start.
        if top + 10 > LEAST_STACK && !lua.check_stack(10) {
            return self.refuse(Refusal::Stack);
        }
        let here = Outer { table: address, outer, depth };
        lua.push_nil();
        if !lua.next(table) {
            self.empty(table);
            return self.check_size();
        }
        let first = lua.type_of(top + 1);
        // A list has only numbers as keys.
        let len = if first == TYPE_NUMBER { lua.raw_len(table) } else { 0 };
        match u32::try_from(len) {
            Ok(0) => {
                let start = begin_map(self.out);
                self.pairs(table, top, first, &here, start, 0)
            }
            Ok(len) => self.array_or_map(table, top, &here, len),
            Err(_) => self.refuse(Refusal::TooLarge),
        }
    }

    /// An empty table: a map, unless it is marked as an array.
    fn empty(&mut self, table: c_int) {
        let lua = self.lua;
        let mut marked = false;
        if lua.get_metatable(table) {
            marked = lua.pointer(-1) == self.context.array_metatable.get();
            lua.pop(1);
        }
        if marked {
            put_array_header(self.out, 0);
        } else {
            put_map_header(self.out, 0);
        }
    }

    /// A table with a border at `len`, its first pair on the stack. Lua walks
    /// a list in order, so the elements are written as they come; the first
    /// key out of order decides what the table is.
    fn array_or_map(
        &mut self,
        table: c_int,
        top: c_int,
        here: &Outer<'_>,
        len: u32,
    ) -> Result<(), Stop> {
        let lua = self.lua;
        let (key, value) = (top + 1, top + 2);
        let start = self.out.len();
        put_array_header(self.out, len);
        let header_end = self.out.len();
        let mut count = 0;
        loop {
            let in_order = lua.type_of(key) == TYPE_NUMBER
                && lua.number(key) == f64::from(count) + 1.0
                && count < len;
            if !in_order {
                break;
            }
            self.value(value, value, Some(here)).inspect_err(|_| self.prepend_key(key))?;
            count += 1;
            lua.set_top(key);
            if !lua.next(table) {
                // All keys came in order; a border means that the last is it.
                debug_assert_eq!(count, len);
                return Ok(());
            }
        }
        if self.is_list(table, len) {
            lua.set_top(top);
            for index in i64::from(count) + 1..=i64::from(len) {
                lua.raw_get_index(table, index);
                self.value(top + 1, top + 1, Some(here))
                    .inspect_err(|_| self.prepend(&format!("[{index}]")))?;
                lua.set_top(top);
            }
            return Ok(());
        }
        self.turn_into_map(start, header_end, count)?;
        self.pairs(table, top, lua.type_of(key), here, start, count)
    }

    /// Whether the keys of the table are exactly 1 to `len`.
    fn is_list(&self, table: c_int, len: u32) -> bool {
        let lua = self.lua;
        let top = lua.top();
        let mut count = 0_u32;
        lua.push_nil();
        while lua.next(table) {
            lua.set_top(top + 1);
            let is_index = lua.type_of(top + 1) == TYPE_NUMBER && {
                let number = lua.number(top + 1);
                number >= 1.0 && number <= f64::from(len) && number.trunc() == number
            };
            if !is_index {
                lua.set_top(top);
                return false;
            }
            count += 1;
        }
        lua.set_top(top);
        count == len
    }

    /// Makes the first `count` pairs of a map of what was written as the first
    /// `count` elements of an array.
    fn turn_into_map(&mut self, start: usize, header_end: usize, count: u32) -> Result<(), Stop> {
        // Each element gets a key before it.
        self.reserve(HEAD * (count as usize + 1))?;
        let mut elements = Vec::new();
        if elements.try_reserve_exact(self.out.len() - header_end).is_err() {
            return self.refuse(Refusal::OutOfMemory);
        }
        elements.extend_from_slice(&self.out[header_end..]);
        self.out.truncate(start);
        let _ = begin_map(self.out);
        let mut view = View::new(&elements);
        for index in 1..=i64::from(count) {
            put_int(self.out, index);
            self.out.extend_from_slice(view.skip());
        }
        Ok(())
    }

    /// Appends the pair on the stack, whose key has this type, and those after it
    /// to the map begun at `start`, which has `count` pairs.
    #[inline]
    fn pairs(
        &mut self,
        table: c_int,
        top: c_int,
        mut key_type: c_int,
        here: &Outer<'_>,
        start: usize,
        mut count: u32,
    ) -> Result<(), Stop> {
        let lua = self.lua;
        let (key, value) = (top + 1, top + 2);
        let mut may_be_equal = false;
        loop {
            may_be_equal |= self.key(key, key_type)?;
            self.value(value, value, Some(here)).inspect_err(|_| self.prepend_key(key))?;
            count += 1;
            lua.set_top(key);
            if !lua.next(table) {
                self.reserve(HEAD)?;
                end_map(self.out, start, count);
                if may_be_equal && has_equal_keys(&self.out[start..]) {
                    return self.refuse(Refusal::EqualKeys);
                }
                return self.check_size();
            }
            key_type = lua.type_of(key);
        }
    }

    #[cold]
    fn prepend(&mut self, segment: &str) {
        self.out.splice(0..0, segment.bytes());
    }

    /// Puts the key at `index` before the path.
    #[cold]
    fn prepend_key(&mut self, index: c_int) {
        let mut segment = String::new();
        let _ = match self.lua.type_of(index) {
            TYPE_STRING => return self.prepend(&string_segment(self.lua.bytes(index))),
            TYPE_NUMBER => match self.lua.integer(index) {
                Some(integer) => write!(segment, "[{integer}]"),
                None => write!(segment, "[{}]", self.lua.number(index)),
            },
            _ => write!(segment, "[{}]", self.lua.to_bool(index)),
        };
        self.prepend(&segment);
    }
}

/// A string key in a path: `.name` where Lua would allow that, `["..."]` for
/// all others, cut where it is long.
fn string_segment(key: &[u8]) -> String {
    const SHOWN: usize = 64;
    let is_name = key.first().is_some_and(|first| !first.is_ascii_digit())
        && key.len() <= SHOWN
        && key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if is_name {
        format!(".{}", String::from_utf8_lossy(key))
    } else if key.len() > SHOWN {
        format!("[\"{}...\"]", key[..SHOWN].escape_ascii())
    } else if let Ok(text) = std::str::from_utf8(key) {
        format!("[{text:?}]")
    } else {
        format!("[\"{}\"]", key.escape_ascii())
    }
}
