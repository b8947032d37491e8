//! A call of a function of `registry` or `store`: they raise plain strings.

use std::ffi::c_int;
use std::fmt::Display;
use std::io::Write;

use crate::error::Error;
use crate::kv::Kv;
use crate::value::{Token, Value};

use super::buffer::{Buffer, append};
use super::context::Context;
use super::decode::{self, Unpushable};
use super::encode::{self, Limits};
use super::guard::guard;
use super::handle::BigInt;
use super::part::{Part, PartObject, closed};
use super::position::write_position;
use super::state::{Lua, TYPE_FUNCTION, TYPE_NUMBER, TYPE_TABLE};
use super::userdata;

/// A running call.
pub(super) struct Call {
    pub(super) lua: Lua,
    pub(super) context: &'static Context,
    /// The part's place, kept alive by the function's upvalue. It may be
    /// emptied whenever Lua runs: when the call is made by a finalizer, that of
    /// the part may follow in the middle of it.
    part: *mut Option<PartObject>,
    /// What messages call the function: before and behind its name.
    label: (&'static str, &'static str),
    pub(super) buffer: Buffer,
    /// The function's name without its module.
    name: &'static str,
    /// How many arguments the script gave; those missing are nil now.
    given: c_int,
}

/// A value read from a part: small ones as they are, others in the buffer.
#[derive(Clone, Copy)]
pub(super) enum Fetched {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Its bytes are in the buffer.
    Buffered,
}

impl Call {
    /// Begins a call of the function `name` of a part, which takes up to
    /// `arguments` arguments; those that are missing are nil.
    #[inline(never)]
    pub(super) fn begin(lua: Lua, name: &'static str, arguments: c_int) -> Self {
        Self::begin_with(lua, name, arguments, arguments)
    }

    /// As [`Call::begin`]; of the arguments behind the first `least` those that
    /// are missing are not there either. Asking Lua to add them takes longer
    /// than to do without.
    #[inline(always)]
    pub(super) fn begin_with(lua: Lua, name: &'static str, least: c_int, most: c_int) -> Self {
        let given = lua.top();
        if given < least || given > most {
            lua.set_top(given.clamp(least, most));
        }
        let part = userdata::upvalue_cell::<PartObject>(lua, 2);
        // SAFETY: see the field; nothing runs in between.
        let Some(PartObject { context, part: kind, .. }) = (unsafe { &*part }) else {
            // The finalizer of the part has run.
            lua.push_bytes(b"database is closed");
            lua.raise()
        };
        let label = match kind {
            Part::Registry => ("registry.", ": "),
            Part::Store | Part::Namespace(_) => ("store.", ": "),
            Part::Global => ("store.", "_global: "),
        };
        let buffer = Buffer::take(lua, context);
        Self { lua, context, part, label, buffer, name, given }
    }

    /// The part. Nested calls use it too, and its finalizer may run in one, so
    /// the reference is never kept across a call into Lua.
    #[inline(always)]
    fn part(&mut self) -> Result<&mut PartObject, Error> {
        // SAFETY: see the field.
        unsafe { (*self.part).as_mut() }.ok_or_else(closed)
    }

    /// Ends the call in an error, `file:line: store.put: message`.
    #[cold]
    pub(super) fn fail(&mut self, error: Error) -> ! {
        let out = self.buffer.bytes();
        out.clear();
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{error}");
        drop(error);
        self.raise()
    }

    /// Ends the call in an error of kind INVALID.
    #[cold]
    pub(super) fn refuse(&mut self, message: impl Display + Copy) -> ! {
        let out = self.buffer.bytes();
        out.clear();
        let _ = write!(out, "{message}");
        self.raise()
    }

    /// Raises the message in the buffer.
    #[cold]
    fn raise(&mut self) -> ! {
        let lua = self.lua;
        let (name, (module, colon)) = (self.name, self.label);
        prefix(lua, self.buffer.bytes(), |out| {
            let _ = write!(out, "{module}{name}{colon}");
        });
        lua.push_bytes(self.buffer.read());
        self.buffer.release();
        lua.raise()
    }

    /// Whether the script gave this argument, nil or not.
    pub(super) fn has_argument(&self, index: c_int) -> bool {
        index <= self.given
    }

    /// The key: the first argument.
    #[inline]
    pub(super) fn key(&mut self) -> &'static [u8] {
        if !self.lua.is_string(1) {
            let got = self.argument_type(1);
            let hint = self.colon_hint();
            self.refuse(format_args!("key must be a string, got {got}{hint}"));
        }
        self.lua.bytes(1)
    }

    /// The optional prefix: the first argument.
    pub(super) fn prefix(&mut self) -> &'static [u8] {
        if self.lua.is_none_or_nil(1) {
            return b"";
        }
        if !self.lua.is_string(1) {
            let got = self.argument_type(1);
            let hint = self.colon_hint();
            self.refuse(format_args!("prefix must be a string, got {got}{hint}"));
        }
        self.lua.bytes(1)
    }

    /// What messages add if the first argument is a module, as in
    /// `store:put(...)`.
    #[cold]
    pub(super) fn colon_hint(&self) -> &'static str {
        if self.is_called_with_colon() { "; call with a dot, not a colon" } else { "" }
    }

    /// Whether the first argument looks like a module of ours: a table with a
    /// function `put_all`.
    pub(super) fn is_called_with_colon(&self) -> bool {
        let lua = self.lua;
        if !lua.is_table(1) {
            return false;
        }
        lua.raw_get_name(1, "put_all");
        let is_module = lua.type_of(-1) == TYPE_FUNCTION;
        lua.pop(1);
        is_module
    }

    /// What messages call the type of an argument.
    pub(super) fn argument_type(&self, index: c_int) -> &'static str {
        if self.has_argument(index) { self.lua.type_name(index) } else { "nothing" }
    }

    /// Makes this a call that writes: refused while the function given to
    /// `update` runs.
    #[inline]
    pub(super) fn writing(&mut self) {
        if self.context.updating.get() {
            self.refuse("the function given to update may read, not write");
        }
    }

    /// Appends the value at `index` to the buffer.
    #[inline(always)]
    pub(super) fn encode(&mut self, index: c_int) {
        // What is put most often is below any limit.
        if self.lua.type_of(index) == TYPE_NUMBER
            && encode::number(self.lua, index, self.buffer.bytes())
        {
            return;
        }
        let context = self.context;
        let limit = match self.part().and_then(|part| part.handle(context)) {
            Ok(handle) => handle.database.value_limit(),
            Err(error) => self.fail(error),
        };
        self.encode_with(index, Limits::of_value(limit));
    }

    #[inline]
    pub(super) fn encode_with(&mut self, index: c_int, limits: Limits) {
        let encoded = encode::encode(self.lua, self.context, index, self.buffer.bytes(), limits);
        if encoded.is_err() {
            self.raise();
        }
    }

    /// Runs `work` on the part's key-value store; a failure ends the call.
    #[inline]
    pub(super) fn work<R: Copy>(
        &mut self,
        work: impl FnOnce(&Kv, &mut Vec<u8>) -> Result<R, Error>,
    ) -> R {
        let out = self.buffer;
        let result = self.open().and_then(|kv| run(work, kv, out));
        self.done(result)
    }

    /// As [`Call::work`], for a get or a put.
    #[inline(always)]
    pub(super) fn work_here<R: Copy>(
        &mut self,
        work: impl FnOnce(&Kv, &mut Vec<u8>) -> Result<R, Error>,
    ) -> R {
        let out = self.buffer;
        let (lua, context) = (self.lua, self.context);
        let kv = self.part().and_then(|part| part.open(lua, context));
        let result = kv.and_then(|kv| run(work, kv, out));
        self.done(result)
    }

    #[inline(never)]
    fn open(&mut self) -> Result<&Kv, Error> {
        let (lua, context) = (self.lua, self.context);
        self.part()?.open(lua, context)
    }

    #[inline(always)]
    fn done<R>(&mut self, result: Result<R, Error>) -> R {
        match result {
            Ok(result) => result,
            Err(error) => self.fail(error),
        }
    }

    /// The store itself, for work that lasts longer than a call.
    pub(super) fn kv(&mut self) -> Result<Kv, Error> {
        self.open().cloned()
    }

    pub(super) fn big_int(&mut self) -> BigInt {
        let context = self.context;
        let handle = self.part().and_then(|part| part.handle(context));
        handle.map(|handle| handle.big_int).unwrap_or_default()
    }

    /// Pushes a value that was read.
    #[inline]
    pub(super) fn push_fetched(&mut self, fetched: Fetched) {
        self.push_fetched_behind(fetched, 0);
    }

    /// As [`Call::push_fetched`], with its bytes from `start` on.
    #[inline]
    pub(super) fn push_fetched_behind(&mut self, fetched: Fetched, start: usize) {
        let lua = self.lua;
        let pushed = match fetched {
            Fetched::Nil => {
                lua.push_nil();
                Ok(())
            }
            Fetched::Bool(bool) => {
                lua.push_bool(bool);
                Ok(())
            }
            Fetched::Float(float) => {
                lua.push_float(float);
                Ok(())
            }
            Fetched::Int(integer) if lua.version().has_integers() => {
                lua.push_integer(integer);
                Ok(())
            }
            Fetched::Int(integer) => {
                let big_int = self.big_int();
                decode::push_integer(lua, self.context, integer, big_int)
            }
            Fetched::Buffered => {
                let big_int = self.big_int();
                decode::push(lua, self.context, &self.buffer.read()[start..], big_int)
            }
        };
        if let Err(unpushable) = pushed {
            self.fail_unpushable(unpushable);
        }
    }

    #[cold]
    fn fail_unpushable(&mut self, unpushable: Unpushable) -> ! {
        if self.lua.is_string(1) {
            let key = self.lua.bytes(1);
            self.refuse(format_args!("key \"{}\": {unpushable}", key.escape_ascii()))
        }
        self.refuse(unpushable)
    }

    /// Ends the call with the `results` on top of the stack.
    #[inline]
    pub(super) fn end(self, results: c_int) -> c_int {
        self.buffer.release();
        results
    }

    /// The ttl in milliseconds from the table of options at `index`.
    #[inline(always)]
    pub(super) fn ttl(&mut self, index: c_int) -> Option<i64> {
        if self.has_argument(index) { self.ttl_of(index) } else { None }
    }

    fn ttl_of(&mut self, index: c_int) -> Option<i64> {
        let lua = self.lua;
        if lua.is_none_or_nil(index) {
            return None;
        }
        if lua.type_of(index) != TYPE_TABLE {
            let got = self.argument_type(index);
            self.refuse(format_args!("options must be a table, got {got}"));
        }
        let mut ttl = None;
        let top = lua.top();
        lua.push_nil();
        while lua.next(index) {
            if !lua.is_string(top + 1) || lua.bytes(top + 1) != b"ttl" {
                if lua.is_string(top + 1) {
                    let name = lua.bytes(top + 1);
                    let shown = name[..name.len().min(64)].escape_ascii();
                    let hint = self.colon_hint();
                    self.refuse(format_args!("unknown option \"{shown}\"{hint}"));
                }
                self.refuse("unknown option: its name is no string");
            }
            if lua.type_of(top + 2) != TYPE_NUMBER {
                let got = lua.type_name(top + 2);
                self.refuse(format_args!("ttl must be a number of seconds, got {got}"));
            }
            ttl = Some(lua.number(top + 2));
            lua.set_top(top + 1);
        }
        let seconds: f64 = ttl?;
        if seconds > LONGEST_TTL {
            self.refuse(format_args!(
                "ttl must be at most {LONGEST_TTL} seconds (100000 years); to keep a key for \
                 good, give none"
            ));
        }
        if seconds.is_nan() || seconds <= 0.0 {
            self.refuse("ttl must be a positive number of seconds");
        }
        Some((seconds * 1000.0).ceil() as i64)
    }
}

#[inline(always)]
fn run<R>(
    work: impl FnOnce(&Kv, &mut Vec<u8>) -> Result<R, Error>,
    kv: &Kv,
    mut out: Buffer,
) -> Result<R, Error> {
    guard(|| work(kv, out.bytes()))
}

/// A hundred thousand years, in seconds: far from the end of 64-bit
/// milliseconds.
const LONGEST_TTL: f64 = 100_000.0 * 366.0 * 86_400.0;

/// What a read found: set where it is read, since it is on the way of every
/// get.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) fetched: Fetched,
    pub(super) timestamp: i64,
}

impl Found {
    pub(super) const NOTHING: Self = Self { fetched: Fetched::Nil, timestamp: 0 };

    /// Takes a value to be pushed: appends its bytes to `out`, while they are
    /// sure to be there, unless it is a scalar.
    #[inline]
    pub(super) fn set(&mut self, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        self.timestamp = value.timestamp();
        self.fetched = match value.view().token() {
            Token::Nil => Fetched::Nil,
            Token::Bool(bool) => Fetched::Bool(bool),
            Token::Int(integer) => Fetched::Int(integer),
            Token::Float(float) => Fetched::Float(float),
            Token::String(_) | Token::Array(_) | Token::Map(_) => {
                append(out, value.as_bytes())?;
                Fetched::Buffered
            }
        };
        Ok(())
    }
}

/// Puts the position and what `write` writes before the message in `out`.
pub(super) fn prefix(lua: Lua, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut head = Vec::new();
    write_position(lua, &mut head);
    write(&mut head);
    out.splice(0..0, head);
}
