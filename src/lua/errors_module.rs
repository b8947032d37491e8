//! `acervo.errors`.

use std::ffi::c_int;
use std::io::Write;

use crate::error::Code;
use crate::value::{Value, put_array_header, put_int, put_map_header, put_string};

use super::buffer::{Buffer, concat};
use super::context;
use super::decode;
use super::encode::{self, Limits};
use super::error_object::{
    ErrorObject, Origin, context_of, copied, raise_buffer, raise_error, raise_text,
};
use super::guard::{discard, guard};
use super::handle::BigInt;
use super::runtimes::entry;
use super::state::{Lua, TYPE_BOOLEAN, TYPE_NIL, TYPE_STRING, TYPE_TABLE};
use super::userdata;

/// The constants: name and code.
const KINDS: [(&str, Code); 11] = [
    ("NOT_FOUND", Code::NotFound),
    ("ALREADY_EXISTS", Code::AlreadyExists),
    ("INVALID", Code::Invalid),
    ("PERMISSION_DENIED", Code::PermissionDenied),
    ("UNAVAILABLE", Code::Unavailable),
    ("INTERNAL", Code::Internal),
    ("CANCELED", Code::Canceled),
    ("CONFLICT", Code::Conflict),
    ("TIMEOUT", Code::Timeout),
    ("RATE_LIMITED", Code::RateLimited),
    ("UNKNOWN", Code::Unknown),
];

/// Pushes the module's table.
pub(super) fn push(lua: Lua) {
    lua.create_table(0, 16);
    let module = lua.top();
    for (name, code) in KINDS {
        lua.push_bytes(code.kind_name().as_bytes());
        lua.raw_set_name(module, name);
    }
    context::fill_table(
        lua,
        module,
        &[
            ("new", entry!(new)),
            ("wrap", entry!(wrap)),
            ("is", entry!(is)),
            ("call_stack", entry!(call_stack)),
        ],
    );
}

/// `errors.new(message | {message =, kind =, retryable =, details =})`.
fn new(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    let object = userdata::push_empty::<ErrorObject>(lua, context);
    let object_index = lua.top();
    let mut details = Buffer::take(lua, context);
    let base = lua.top();
    let (message, kind, retryable, details_index) = (base + 1, base + 2, base + 3, base + 4);
    match lua.type_of(1) {
        TYPE_STRING => {
            lua.push_value(1);
            lua.set_top(details_index);
        }
        TYPE_TABLE => {
            for field in ["message", "kind", "retryable", "details"] {
                lua.raw_get_name(1, field);
            }
        }
        _ => refuse(lua, details, "a message or a table is needed"),
    }
    if !lua.is_string(message) {
        refuse(lua, details, "message must be a string");
    }
    let code = match lua.type_of(kind) {
        TYPE_NIL => Some(Code::Unknown),
        TYPE_STRING => code_of(lua.bytes(kind)),
        _ => None,
    };
    let Some(code) = code else { refuse(lua, details, "kind must be one of the constants") };
    let retryable = match lua.type_of(retryable) {
        TYPE_NIL => (code != Code::Unknown).then(|| code.retryable()),
        TYPE_BOOLEAN => Some(lua.to_bool(retryable)),
        _ => refuse(lua, details, "retryable must be a boolean"),
    };
    let has_details = match lua.type_of(details_index) {
        TYPE_NIL => false,
        TYPE_TABLE => true,
        _ => refuse(lua, details, "details must be a table"),
    };
    let limits = Limits { root: "details", ..Limits::of_value(usize::MAX) };
    if has_details && encode::encode(lua, context, details_index, details.bytes(), limits).is_err()
    {
        raise_buffer(lua, details, "errors.new: ");
    }
    let message = lua.bytes(message);
    let made = guard(|| {
        let details = has_details.then(|| Value::try_from_canonical(details.read()));
        Ok((concat(&[message])?, concat(&[message])?, details.transpose()?))
    });
    match made {
        Ok((message, shown, details)) => {
            let origin = Origin::here(lua);
            *object = Some(ErrorObject { code, message, shown, retryable, details, origin });
        }
        Err(error) => raise_error(lua, details, error),
    }
    details.release();
    lua.push_value(object_index);
    1
}

fn refuse(lua: Lua, mut buffer: Buffer, message: &str) -> ! {
    buffer.bytes().clear();
    buffer.bytes().extend_from_slice(message.as_bytes());
    raise_buffer(lua, buffer, "errors.new: ")
}

fn code_of(kind: &[u8]) -> Option<Code> {
    KINDS.iter().map(|(_, code)| *code).find(|code| code.kind_name().as_bytes() == kind)
}

/// `errors.wrap(err, context)`: nil stays nil, a string is the message of a
/// new error.
fn wrap(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(2);
    if lua.type_of(1) == TYPE_NIL {
        lua.push_nil();
        return 1;
    }
    if !lua.is_string(2) {
        raise_text(lua, context, "errors.wrap: the context must be a string");
    }
    let wrapped = userdata::push_empty::<ErrorObject>(lua, context);
    let told = lua.bytes(2);
    let made = match userdata::get::<ErrorObject>(lua, context, 1) {
        Some(inner) => guard(|| {
            Ok(ErrorObject {
                code: inner.code,
                message: concat(&[&inner.message])?,
                shown: concat(&[told, b": ", &inner.shown])?,
                retryable: inner.retryable,
                details: inner.details.clone(),
                origin: inner.origin.clone(),
            })
        }),
        None if lua.is_string(1) => {
            let message = lua.bytes(1);
            guard(|| {
                Ok(ErrorObject {
                    code: Code::Unknown,
                    message: concat(&[message])?,
                    shown: concat(&[told, b": ", message])?,
                    retryable: None,
                    details: None,
                    origin: Origin::here(lua),
                })
            })
        }
        None => raise_text(lua, context, "errors.wrap: an error object or a string is needed"),
    };
    match made {
        Ok(error) => *wrapped = Some(error),
        Err(error) => {
            discard(error);
            raise_text(lua, context, "out of memory")
        }
    }
    1
}

/// `errors.is(err, kind)`.
fn is(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(2);
    let same = userdata::get::<ErrorObject>(lua, context, 1).is_some_and(|object| {
        lua.is_string(2) && lua.bytes(2) == object.code.kind_name().as_bytes()
    });
    lua.push_bool(same);
    1
}

/// `errors.call_stack(err)`: `{thread =, frames = {{source =, line =, name =}}}`,
/// nil for what is no error object.
fn call_stack(lua: Lua) -> c_int {
    let context = context_of(lua);
    lua.set_top(1);
    if userdata::get::<ErrorObject>(lua, context, 1).is_none() {
        lua.push_nil();
        return 1;
    }
    let (buffer, ()) = copied(lua, context, |object, out| {
        let mut thread = [0_u8; 32];
        let mut rest = &mut thread[..];
        // An address has at most 16 digits.
        let _ = write!(rest, "thread: {:#x}", object.origin.thread);
        let len = 32 - rest.len();
        put_map_header(out, 2);
        put_string(out, b"thread");
        put_string(out, &thread[..len]);
        put_string(out, b"frames");
        put_array_header(out, object.origin.frames.len() as u32);
        for frame in &object.origin.frames {
            let fields = 1 + u32::from(frame.line.is_some()) + u32::from(frame.name.is_some());
            put_map_header(out, fields);
            put_string(out, b"source");
            put_string(out, &frame.source);
            if let Some(line) = frame.line {
                put_string(out, b"line");
                put_int(out, i64::from(line));
            }
            if let Some(name) = &frame.name {
                put_string(out, b"name");
                put_string(out, name);
            }
        }
        Ok(())
    });
    if decode::push(lua, context, buffer.read(), BigInt::Float).is_err() {
        lua.push_nil();
    }
    buffer.release();
    1
}
