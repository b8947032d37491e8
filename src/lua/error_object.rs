//! Error objects: what `nil, err` gives.

use std::ffi::c_int;

use crate::error::{Code, Error};
use crate::value::Value;

use super::buffer::{Buffer, append};
use super::call::prefix;
use super::context::{self, Context};
use super::decode;
use super::guard::guard;
use super::handle::BigInt;
use super::part::closed;
use super::position::Record;
use super::runtimes::{Entry, entry};
use super::state::{Lua, TYPE_NUMBER, TYPE_STRING};
use super::userdata::{self, Held, Kind};

/// How many levels of the call stack an error remembers.
const FRAMES: c_int = 32;

/// A level of the call stack as it was when the error was made.
#[derive(Clone)]
pub(super) struct SavedFrame {
    pub(super) source: Box<[u8]>,
    pub(super) line: Option<c_int>,
    pub(super) name: Option<Box<[u8]>>,
}

/// Where an error was made.
#[derive(Clone)]
pub(super) struct Origin {
    /// The coroutine, by its address.
    pub(super) thread: usize,
    pub(super) frames: Vec<SavedFrame>,
}

/// An error as scripts hold it.
pub(super) struct ErrorObject {
    pub(super) code: Code,
    pub(super) message: Vec<u8>,
    /// What tostring gives: the message behind the contexts it was wrapped in.
    pub(super) shown: Vec<u8>,
    /// None if nothing is known.
    pub(super) retryable: Option<bool>,
    pub(super) details: Option<Value>,
    pub(super) origin: Origin,
}

impl Held for ErrorObject {
    const KIND: Kind = Kind::Error;
}

impl Origin {
    /// The call stack of the running function of ours. Raises nothing.
    pub(super) fn here(lua: Lua) -> Self {
        let mut frames = Vec::new();
        for level in 1..=FRAMES {
            let mut record = Record::new();
            let Some(frame) = record.read(lua, level) else { break };
            frames.push(SavedFrame {
                source: frame.source.into(),
                line: frame.line,
                name: frame.name.map(Into::into),
            });
        }
        Self { thread: lua.state().addr(), frames }
    }
}

impl ErrorObject {
    pub(super) fn new(lua: Lua, error: Error) -> Self {
        let message = error.message.into_bytes();
        Self {
            code: error.code,
            shown: message.clone(),
            message,
            retryable: (error.code != Code::Unknown).then_some(error.retryable),
            details: error.details,
            origin: Origin::here(lua),
        }
    }
}

/// A place on the stack for the error that a call may end in. It is made
/// before the work, when nothing can be lost yet.
pub(super) struct ErrorSlot {
    index: c_int,
    object: &'static mut Option<ErrorObject>,
}

impl ErrorSlot {
    pub(super) fn push(lua: Lua, context: &'static Context) -> Self {
        let object = userdata::push_empty::<ErrorObject>(lua, context);
        Self { index: lua.top(), object }
    }

    /// Fills the slot.
    pub(super) fn set(&mut self, lua: Lua, error: Error) {
        *self.object = Some(ErrorObject::new(lua, error));
    }

    /// Ends the call: nil and the error.
    pub(super) fn fail(mut self, lua: Lua, error: Error) -> c_int {
        self.set(lua, error);
        lua.push_nil();
        lua.push_value(self.index);
        2
    }

    /// Raises the error object.
    pub(super) fn raise(mut self, lua: Lua, error: Error) -> ! {
        self.set(lua, error);
        lua.push_value(self.index);
        lua.raise()
    }
}

/// The context of the running function. Every function of ours has one.
pub(super) fn context_of(lua: Lua) -> &'static Context {
    match Context::of_upvalue(lua) {
        Some(context) => context,
        None => {
            lua.push_bytes(b"acervo: no context");
            lua.raise()
        }
    }
}

/// Raises `file:line: text`.
pub(super) fn raise_text(lua: Lua, context: &'static Context, text: &str) -> ! {
    let mut buffer = Buffer::take(lua, context);
    buffer.bytes().extend_from_slice(text.as_bytes());
    raise_buffer(lua, buffer, "")
}

/// Raises the text in the buffer behind position and `name`.
pub(super) fn raise_buffer(lua: Lua, mut buffer: Buffer, name: &str) -> ! {
    prefix(lua, buffer.bytes(), |head| head.extend_from_slice(name.as_bytes()));
    lua.push_bytes(buffer.read());
    buffer.release();
    lua.raise()
}

/// The error object at the first argument of its method. Pushing anything may
/// finalize it: what is more than a number is copied first, see [`copied`].
fn this(lua: Lua, context: &'static Context) -> &'static ErrorObject {
    match userdata::get::<ErrorObject>(lua, context, 1) {
        Some(object) => object,
        None => raise_text(lua, context, "an error object is needed; call with a colon"),
    }
}

/// Copies something of the error object at the first argument to a buffer,
/// and gives what `copy` gives.
pub(super) fn copied<R: Copy>(
    lua: Lua,
    context: &'static Context,
    copy: impl FnOnce(&ErrorObject, &mut Vec<u8>) -> Result<R, Error>,
) -> (Buffer, R) {
    let _ = this(lua, context);
    // May run finalizers.
    let mut buffer = Buffer::take(lua, context);
    let object = userdata::get::<ErrorObject>(lua, context, 1);
    let copied = match object.ok_or_else(closed) {
        Ok(object) => guard(|| copy(object, buffer.bytes())),
        Err(error) => Err(error),
    };
    match copied {
        Ok(result) => (buffer, result),
        Err(error) => raise_error(lua, buffer, error),
    }
}

/// Raises the message of an error behind the position.
pub(super) fn raise_error(lua: Lua, mut buffer: Buffer, error: Error) -> ! {
    let out = buffer.bytes();
    out.clear();
    out.extend_from_slice(error.message.as_bytes());
    drop(error);
    raise_buffer(lua, buffer, "")
}

/// Pushes what the buffer holds as a string.
fn push_text(lua: Lua, buffer: Buffer) -> c_int {
    lua.push_bytes(buffer.read());
    buffer.release();
    1
}

fn kind(lua: Lua) -> c_int {
    let code = this(lua, context_of(lua)).code;
    lua.push_bytes(code.kind_name().as_bytes());
    1
}

fn message(lua: Lua) -> c_int {
    let context = context_of(lua);
    let (buffer, ()) = copied(lua, context, |object, out| append(out, &object.message));
    push_text(lua, buffer)
}

fn retryable(lua: Lua) -> c_int {
    match this(lua, context_of(lua)).retryable {
        Some(retryable) => lua.push_bool(retryable),
        None => lua.push_nil(),
    }
    1
}

fn details(lua: Lua) -> c_int {
    let context = context_of(lua);
    let (buffer, has_details) = copied(lua, context, |object, out| match &object.details {
        Some(details) => append(out, details.as_bytes()).map(|()| true),
        None => Ok(false),
    });
    // A detail that this Lua cannot hold is given as near as it can: the error
    // must not be lost over it.
    if !has_details || decode::push(lua, context, buffer.read(), BigInt::Float).is_err() {
        lua.push_nil();
    }
    buffer.release();
    1
}

fn stack(lua: Lua) -> c_int {
    let context = context_of(lua);
    let (buffer, ()) = copied(lua, context, |object, out| {
        write_stack(&object.origin.frames, out);
        Ok(())
    });
    push_text(lua, buffer)
}

/// One line per level: `source:line: in name`.
fn write_stack(frames: &[SavedFrame], out: &mut Vec<u8>) {
    for (number, frame) in frames.iter().enumerate() {
        if number > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(&frame.source);
        if let Some(line) = frame.line {
            out.extend_from_slice(format!(":{line}").as_bytes());
        }
        if let Some(name) = &frame.name {
            out.extend_from_slice(b": in ");
            out.extend_from_slice(name);
        }
    }
}

fn to_string(lua: Lua) -> c_int {
    let context = context_of(lua);
    let (buffer, ()) = copied(lua, context, |object, out| append(out, &object.shown));
    push_text(lua, buffer)
}

/// `..` with an error on either side.
fn concat(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(2);
    let mut buffer = Buffer::take(lua, context);
    for side in [1, 2] {
        let appended = if let Some(object) = userdata::get::<ErrorObject>(lua, context, side) {
            buffer.append(&object.shown)
        } else if matches!(lua.type_of(side), TYPE_STRING | TYPE_NUMBER) {
            // A number becomes a string in place, on our stack.
            let text = lua.bytes(side);
            buffer.append(text)
        } else {
            buffer.bytes().clear();
            buffer.bytes().extend_from_slice(lua.type_name(side).as_bytes());
            raise_buffer(lua, buffer, "attempt to concatenate an error with a ");
        };
        if let Err(error) = appended {
            raise_error(lua, buffer, error);
        }
    }
    push_text(lua, buffer)
}

const METHODS: [(&str, &Entry); 5] = [
    ("kind", entry!(kind)),
    ("message", entry!(message)),
    ("retryable", entry!(retryable)),
    ("details", entry!(details)),
    ("stack", entry!(stack)),
];

/// Completes the metatable.
pub(super) fn fill_metatable(lua: Lua, context: &Context) {
    let top = lua.top();
    context.push_metatable(lua, Kind::Error);
    lua.create_table(0, METHODS.len() as u32);
    context::fill_table(lua, top + 2, &METHODS);
    lua.raw_set_name(top + 1, "__index");
    context::fill_table(
        lua,
        top + 1,
        &[("__tostring", entry!(to_string)), ("__concat", entry!(concat))],
    );
    lua.set_top(top);
}
