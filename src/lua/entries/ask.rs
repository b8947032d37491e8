//! A call that answers with a value, or with nil and an error object.

use std::ffi::c_int;

use super::access::Access;
use super::caller::StateCaller;
use super::exchange::{append_entry, entry_at};
use super::home::{EntriesObject, Home, Object};
use super::protected::Doorway;
use super::version::VersionObject;
use crate::code::Code;
use crate::entries::{Question, Snapshot};
use crate::error::Error;
use crate::lua::buffer::Buffer;
use crate::lua::cdata;
use crate::lua::context::Context;
use crate::lua::decode;
use crate::lua::error_object::{ErrorObject, context_of, raise_text};
use crate::lua::guard::guard;
use crate::lua::handle::BigInt;
use crate::lua::part::closed;
use crate::lua::state::{Lua, TYPE_BOOLEAN, TYPE_FUNCTION, TYPE_NUMBER};
use crate::lua::userdata::{self, Held};
use crate::lua::version::TYPE_CDATA;
use crate::value::{Number, Token, View, begin_map, end_map, put_bool, put_string};

/// A running call.
pub(super) struct Ask {
    pub(super) lua: Lua,
    pub(super) context: &'static Context,
    pub(super) buffer: Buffer,
    /// How many arguments the script gave; those missing are nil now.
    given: c_int,
    /// How many it may give.
    arguments: c_int,
    /// What becomes of integers in the answer.
    big_int: BigInt,
    /// By which Lua is called from the middle of the work.
    doorway: Option<Doorway>,
}

impl Ask {
    /// Runs a call that takes up to `arguments` arguments. `body` pushes what
    /// it answers and tells how much that is; it calls no Lua while an error
    /// or anything else with a destructor is alive.
    #[inline]
    pub(super) fn run(
        lua: Lua,
        arguments: c_int,
        body: impl FnOnce(&mut Self) -> Result<c_int, Error>,
    ) -> c_int {
        let given = lua.top();
        lua.set_top(arguments);
        let context = context_of(lua);
        let buffer = Buffer::take(lua, context);
        let mut ask = Self {
            lua,
            context,
            buffer,
            given,
            arguments,
            big_int: BigInt::default(),
            doorway: None,
        };
        let answered = body(&mut ask);
        ask.buffer.release();
        match answered {
            Ok(results) => results,
            Err(error) => fail(lua, context, error),
        }
    }

    /// As [`Ask::run`], for a method of an object of type `T`.
    #[inline]
    pub(super) fn method<T: Object>(
        lua: Lua,
        arguments: c_int,
        body: impl FnOnce(&mut Self) -> Result<c_int, Error>,
    ) -> c_int {
        let context = context_of(lua);
        if userdata::cell::<T>(lua, context, 1).is_none() {
            wrong_object::<T>(lua, context);
        }
        Self::run(lua, arguments, body)
    }

    /// Refuses a call that writes while the function given to `update` runs:
    /// that function may run several times.
    pub(super) fn writing(&self) -> Result<(), Error> {
        if self.context.updating.get() {
            return Err(Error::invalid("the function given to update may read, not write"));
        }
        Ok(())
    }

    /// Calls `work` with the registry that the running function belongs to,
    /// and the buffer. It must not call Lua.
    #[inline]
    pub(super) fn with_home<R>(
        &mut self,
        work: impl FnOnce(&Home, &mut Vec<u8>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        // SAFETY: the running function's upvalue keeps the cell alive; nothing
        // else uses it during this call, which enters no Lua.
        let cell = unsafe { &mut *userdata::upvalue_cell::<EntriesObject>(self.lua, 2) };
        let home = cell.as_mut().ok_or_else(closed)?.home(self.context)?;
        self.big_int = home.big_int;
        let out = self.buffer.bytes();
        guard(|| work(home, out))
    }

    /// Calls `work` with the object at the first argument, whose type was
    /// checked, and the buffer. It must not call Lua.
    #[inline]
    pub(super) fn with<T: Object, R>(
        &mut self,
        work: impl FnOnce(&mut T, &mut Vec<u8>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let Some(cell) = userdata::cell::<T>(self.lua, self.context, 1) else {
            return Err(gone::<T>());
        };
        // SAFETY: the metatable tells the type; the userdata is on the stack,
        // and nothing else uses it during this call, which enters no Lua.
        let this = unsafe { &mut *cell }.as_mut().ok_or_else(gone::<T>)?;
        self.big_int = this.home().big_int;
        let out = self.buffer.bytes();
        guard(|| work(this, out))
    }

    /// Makes ready for [`Ask::with_lua`]: what follows on the stack stands above.
    pub(super) fn prepare(&mut self) {
        if self.doorway.is_none() {
            self.doorway = Some(Doorway::push(self.lua));
        }
    }

    /// Calls `work`, which may have handlers and policies in Lua be called: it
    /// holds nothing that these could take away. [`Ask::prepare`] comes first.
    pub(super) fn with_lua<R>(
        &mut self,
        home: Home,
        work: impl FnOnce(&Home, &Access<'_>, &StateCaller, &mut Vec<u8>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let Some(doorway) = self.doorway else {
            return Err(Error::new(Code::Internal, "the call was not prepared"));
        };
        self.big_int = home.big_int;
        let caller = StateCaller::new(doorway, self.context);
        let access = Access::new(doorway, self.context, &home);
        let out = self.buffer.bytes();
        guard(|| work(&home, &access, &caller, out))
    }

    /// Calls `work` with a snapshot that `find` gives, and with what the actor
    /// may see of it.
    pub(super) fn read<R>(
        &mut self,
        find: impl Fn(&mut Self) -> Result<(Home, Snapshot), Error>,
        work: impl FnOnce(&Snapshot, &Access<'_>, &mut Vec<u8>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let (home, snapshot) = find(self)?;
        self.big_int = home.big_int;
        if !home.is_restricted(self.context) {
            let out = self.buffer.bytes();
            return guard(|| work(&snapshot, &Access::Open, out));
        }
        // Preparing may raise, and takes nothing along.
        drop((home, snapshot));
        self.prepare();
        let (home, snapshot) = find(self)?;
        self.with_lua(home, |_, access, _, out| work(&snapshot, access, out))
    }

    /// A field of the table at `table` that is true, false or absent.
    pub(super) fn flag(&self, table: c_int, what: &str, name: &str) -> Result<bool, Error> {
        let lua = self.lua;
        lua.raw_get_name(table, name);
        if !lua.is_none_or_nil(-1) && lua.type_of(-1) != TYPE_BOOLEAN {
            let got = lua.type_name(-1);
            return Err(Error::invalid(format!("{what}.{name} must be a boolean, got {got}")));
        }
        let is_set = lua.to_bool(-1);
        lua.pop(1);
        Ok(is_set)
    }

    /// What messages call the type of an argument, or of a value that was
    /// found in one.
    fn type_of_argument(&self, index: c_int) -> &'static str {
        let is_missing = index > self.given && index <= self.arguments;
        if is_missing { "nothing" } else { self.lua.type_name(index) }
    }

    /// An error about an argument: `what` must be `needed`.
    #[cold]
    pub(super) fn wrong_argument(&self, index: c_int, what: &str, needed: &str) -> Error {
        let got = self.type_of_argument(index);
        let hint = self.colon_hint();
        Error::invalid(format!("{what} must be {needed}, got {got}{hint}"))
    }

    /// The hint that goes with an error about an argument that is this module.
    pub(super) fn colon_hint(&self) -> &'static str {
        if self.is_called_with_colon() { "; call with a dot, not a colon" } else { "" }
    }

    /// Whether the first argument looks like this module.
    pub(super) fn is_called_with_colon(&self) -> bool {
        let lua = self.lua;
        if !lua.is_table(1) {
            return false;
        }
        lua.raw_get_name(1, "parse_id");
        let is_module = lua.type_of(-1) == TYPE_FUNCTION;
        lua.pop(1);
        is_module
    }

    /// The version of at least `least` at an argument: a version object, or an
    /// integer.
    pub(super) fn version(&self, index: c_int, least: u64) -> Result<Wanted, Error> {
        let lua = self.lua;
        if let Some(version) = userdata::get::<VersionObject>(lua, self.context, index) {
            // One of a handle that is closed may be of a file that was opened
            // again since.
            let registry = &version.home().registry;
            let of = registry.check().is_ok().then(|| registry.address());
            return at_least(version.id(), least).map(|id| Wanted { id, of });
        }
        let number = match lua.type_of(index) {
            TYPE_NUMBER => match lua.integer(index) {
                Some(integer) => Some(integer),
                None => Number::Float(lua.number(index)).as_int(),
            },
            TYPE_CDATA => cdata::integer(lua, self.context, index).ok(),
            _ => return Err(self.wrong_argument(index, "version", "an integer or a version")),
        };
        let id = number.and_then(|number| u64::try_from(number).ok());
        match id {
            Some(id) => at_least(id, least).map(|id| Wanted { id, of: None }),
            None => Err(at_least_error(least)),
        }
    }

    /// Pushes an empty object, to be filled by the work.
    pub(super) fn make<T: Held>(&self) -> &'static mut Option<T> {
        userdata::push_empty::<T>(self.lua, self.context)
    }

    /// Answers with the value in the buffer.
    pub(super) fn answer(&mut self) -> Result<c_int, Error> {
        let answer = self.buffer.read();
        match decode::push_to(self.lua, self.context, answer, self.big_int) {
            Ok(()) => Ok(1),
            Err((unpushable, place)) => Err(Error::invalid(match entry_at(answer, place) {
                Some(id) => format!("entry {}: {unpushable}", String::from_utf8_lossy(id)),
                None => unpushable.to_string(),
            })),
        }
    }

    /// Answers with version objects for the ids in the buffer, an array of
    /// integers. `home` finds the registry; it calls no Lua.
    pub(super) fn answer_versions(
        &mut self,
        home: impl Fn(&mut Self) -> Result<Home, Error>,
    ) -> Result<c_int, Error> {
        let lua = self.lua;
        let mut view = View::new(self.buffer.read());
        let len = match view.token() {
            Token::Array(len) => len,
            _ => 0,
        };
        lua.create_table(len, 0);
        for index in 1..=i64::from(len) {
            let id = match view.token() {
                Token::Int(id) => id.cast_unsigned(),
                _ => 0,
            };
            let object = self.make::<VersionObject>();
            *object = Some(VersionObject::new(home(self)?, id));
            lua.raw_set_index(-2, index);
        }
        Ok(1)
    }
}

/// A version that a script asks for.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    id: u64,
    /// The registry of the version object, if it was one and is open.
    of: Option<usize>,
}

impl Wanted {
    /// Its id in the registry of `home`.
    pub(super) fn id_in(self, home: &Home) -> Result<u64, Error> {
        if self.of.is_some_and(|of| of != home.registry.address()) {
            return Err(Error::invalid("version is one of another database"));
        }
        Ok(self.id)
    }
}

fn at_least(id: u64, least: u64) -> Result<u64, Error> {
    if id < least { Err(at_least_error(least)) } else { Ok(id) }
}

#[cold]
fn at_least_error(least: u64) -> Error {
    Error::invalid(format!("version must be an integer of at least {least}"))
}

/// What an object answers after it was closed or finalized.
fn gone<T: Object>() -> Error {
    Error::invalid(format!("{} is closed", T::NAME))
}

/// Raises: a method was called on something else than its object.
#[cold]
pub(super) fn wrong_object<T: Object>(lua: Lua, context: &'static Context) -> ! {
    const TAIL: &[u8] = b" is needed; call its method with a colon";
    let mut text = [0_u8; 96];
    let len = T::NAME.len();
    text[..2].copy_from_slice(b"a ");
    text[2..2 + len].copy_from_slice(T::NAME.as_bytes());
    text[2 + len..2 + len + TAIL.len()].copy_from_slice(TAIL);
    let text = &text[..2 + len + TAIL.len()];
    raise_text(lua, context, std::str::from_utf8(text).unwrap_or_default())
}

/// Ends a call: nil and the error.
#[cold]
fn fail(lua: Lua, context: &'static Context, error: Error) -> c_int {
    // The state owns the error while Lua makes a place for it, which may raise
    // or run finalizers that fail in turn.
    let place = {
        let mut failed = context.failed.borrow_mut();
        failed.push(error);
        failed.len() - 1
    };
    let object = userdata::push_empty::<ErrorObject>(lua, context);
    let error = {
        let mut failed = context.failed.borrow_mut();
        failed.truncate(place + 1);
        failed.pop()
    };
    *object = error.map(|error| ErrorObject::new(lua, error));
    lua.push_nil();
    lua.push_value(-2);
    2
}

/// Appends what a handler is told: a map of `kind`, `entry`, `original` and the
/// circumstances.
pub(super) fn write_question(question: &Question, out: &mut Vec<u8>) -> Result<(), Error> {
    let step = question.step();
    let start = begin_map(out);
    put_string(out, b"kind");
    put_string(out, step.name().as_bytes());
    let mut pairs = 4;
    for (name, entry) in [(&b"entry"[..], step.entry()), (b"original", step.original())] {
        if let Some(entry) = entry {
            put_string(out, name);
            append_entry(out, entry)?;
            pairs += 1;
        }
    }
    let circumstances = question.circumstances();
    for (name, holds) in [
        (&b"undo"[..], circumstances.undo),
        (b"dry_run", circumstances.dry_run),
        (b"foreign", circumstances.foreign),
    ] {
        put_string(out, name);
        put_bool(out, holds);
    }
    end_map(out, start, pairs);
    Ok(())
}
