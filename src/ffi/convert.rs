//! JSON and MessagePack.

use std::ffi::c_char;

use super::error::acervo_error;
use super::raw::{self, Out};
use super::value::{VALUE, acervo_value};
use super::wall;
use crate::value::Value;

/// Reads a JSON text. `out` is owned: free with acervo_value_free.
///
/// ACERVO_INVALID with line and column: not JSON, a key twice in one object,
/// a number beyond a double, nesting deeper than 128.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_from_json(
    text: *const c_char,
    len: usize,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_value_from_json", err, || {
            out.needed()?;
            let value = Value::from_json(raw::text(text, len, "text")?)?;
            out.set(acervo_value::owned(value));
            Ok(())
        })
    }
}

/// Writes JSON, map keys in byte order, no spaces. `out_string` is a string
/// value, owned: free with acervo_value_free.
///
/// ACERVO_INVALID: NaN, infinities, strings that are not UTF-8, map keys that
/// render alike.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_to_json(
    value: *const acervo_value,
    out_string: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_string = Out::reset(out_string, std::ptr::null_mut(), "out_string");
        wall::call("acervo_value_to_json", err, || {
            out_string.needed()?;
            let json = acervo_value::get(value, VALUE)?.to_json()?;
            out_string.set(acervo_value::owned(Value::string(json.as_bytes())?));
            Ok(())
        })
    }
}

/// Reads one MessagePack value that fills `len` bytes. `out` is owned: free
/// with acervo_value_free.
///
/// ACERVO_INVALID with the offset: extension types, integers above 2^63 - 1,
/// duplicate, nil or NaN keys, nesting deeper than 128, trailing bytes.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_from_msgpack(
    bytes: *const u8,
    len: usize,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_value_from_msgpack", err, || {
            out.needed()?;
            let value = Value::from_msgpack(raw::bytes(bytes, len, "bytes")?)?;
            out.set(acervo_value::owned(value));
            Ok(())
        })
    }
}

/// The value as MessagePack. Borrowed until the value is freed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_msgpack(
    value: *const acervo_value,
    out: *mut *const u8,
    out_len: *mut usize,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null(), "out");
        let out_len = Out::reset(out_len, 0, "out_len");
        wall::call("acervo_value_msgpack", err, || {
            out.needed()?;
            out_len.needed()?;
            let value = acervo_value::get(value, VALUE)?;
            out.set(value.as_bytes().as_ptr());
            out_len.set(value.as_bytes().len());
            Ok(())
        })
    }
}
