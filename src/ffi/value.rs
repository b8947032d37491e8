//! Values.

use std::ffi::c_char;
use std::mem::ManuallyDrop;

use super::error::{ACERVO_INVALID, acervo_error};
use super::raw::{self, Out};
use super::wall;
use crate::error::{Code, Error};
use crate::platform::thin::{IsThin, Thin};
use crate::value::{Number, Token, Type, Value};
use crate::value::{put_bool, put_float, put_int};

/// Nil.
pub const ACERVO_TYPE_NIL: i32 = 0;
/// A bool.
pub const ACERVO_TYPE_BOOL: i32 = 1;
/// A signed 64-bit integer.
pub const ACERVO_TYPE_INT: i32 = 2;
/// An IEEE double.
pub const ACERVO_TYPE_FLOAT: i32 = 3;
/// A byte string, of any content.
pub const ACERVO_TYPE_STRING: i32 = 4;
/// An ordered list of values.
pub const ACERVO_TYPE_ARRAY: i32 = 5;
/// A map; keys are bools, ints, floats or strings.
pub const ACERVO_TYPE_MAP: i32 = 6;

/// An immutable value: nil, bool, int, float, string, array or map.
///
/// Reference counted; free each reference with acervo_value_free. Values stay
/// usable after the database they came from is closed, and in a forked child.
///
/// Threads: any.
pub struct acervo_value {
    // A pointer to one is the reference-counted cell itself: no allocation of
    // its own, so handing a stored value out costs a count.
    _opaque: [u8; 0],
}

impl acervo_value {
    /// A reference for the host.
    #[inline]
    pub(super) fn owned(value: Value) -> *mut Self {
        value.into_thin().into_raw().cast()
    }

    /// A pointer for the host, good while `value` lives.
    pub(super) fn borrowed(value: &Value) -> *const Self {
        value.as_ptr().cast()
    }

    /// The value behind a handle, without taking the host's reference.
    ///
    /// # Safety
    ///
    /// `pointer` is NULL or a live value.
    #[inline]
    pub(super) unsafe fn get(
        pointer: *const Self,
        name: &str,
    ) -> Result<ManuallyDrop<Value>, Error> {
        if pointer.is_null() {
            return Err(raw::is_null(name));
        }
        // SAFETY: it lives; not dropping it leaves the host's reference alone.
        Ok(ManuallyDrop::new(unsafe { Self::given_up(pointer.cast_mut()) }))
    }

    /// The value behind a handle, with the host's reference.
    ///
    /// # Safety
    ///
    /// `pointer` is a live value, and its reference the caller's; or the result
    /// is not dropped.
    #[inline(always)]
    unsafe fn given_up(pointer: *mut Self) -> Value {
        // SAFETY: a handle is a cell from `owned` or `borrowed`.
        Value::from_thin(unsafe { Thin::from_raw(pointer.cast()) })
    }
}

/// The name that messages give a value argument.
pub(super) const VALUE: &str = "value";

/// The type's code.
pub(super) fn type_code(value_type: Type) -> i32 {
    match value_type {
        Type::Nil => ACERVO_TYPE_NIL,
        Type::Bool => ACERVO_TYPE_BOOL,
        Type::Int => ACERVO_TYPE_INT,
        Type::Float => ACERVO_TYPE_FLOAT,
        Type::String => ACERVO_TYPE_STRING,
        Type::Array => ACERVO_TYPE_ARRAY,
        Type::Map => ACERVO_TYPE_MAP,
    }
}

fn scalar(put: impl FnOnce(&mut Vec<u8>)) -> *mut acervo_value {
    wall::or(std::ptr::null_mut(), || {
        let mut bytes = Vec::with_capacity(9);
        put(&mut bytes);
        acervo_value::owned(Value::from_canonical(&bytes))
    })
}

/// A nil value. Owned: free with acervo_value_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn acervo_value_nil() -> *mut acervo_value {
    wall::or(std::ptr::null_mut(), || acervo_value::owned(Value::nil()))
}

/// A bool value. Owned: free with acervo_value_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn acervo_value_bool(value: bool) -> *mut acervo_value {
    scalar(|bytes| put_bool(bytes, value))
}

/// An int value. Owned: free with acervo_value_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn acervo_value_int(value: i64) -> *mut acervo_value {
    scalar(|bytes| put_int(bytes, value))
}

/// A float value; NaN, infinities and -0.0 are kept. Owned: free with
/// acervo_value_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn acervo_value_float(value: f64) -> *mut acervo_value {
    scalar(|bytes| put_float(bytes, value))
}

/// A string value of `len` bytes (ACERVO_NTS: up to the NUL), copied; any
/// content. Owned: free with acervo_value_free. NULL if the arguments are
/// invalid or there is no memory.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_string(text: *const c_char, len: usize) -> *mut acervo_value {
    wall::or(std::ptr::null_mut(), || {
        // SAFETY: NULL or `len` readable bytes.
        let value = unsafe { raw::text(text, len, "text") }.ok().map(Value::string);
        value.and_then(Result::ok).map_or(std::ptr::null_mut(), acervo_value::owned)
    })
}

/// An array of `n` values, copied. `out` is owned: free with
/// acervo_value_free.
///
/// ACERVO_INVALID: a NULL among the items, nesting deeper than 128.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_array(
    items: *const *const acervo_value,
    n: usize,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_value_array", err, || {
            out.needed()?;
            let items = values(items, n, "items")?;
            out.set(acervo_value::owned(Value::array(items.iter().map(|item| &**item))?));
            Ok(())
        })
    }
}

/// A map of `n` pairs, copied, in this order. `out` is owned: free with
/// acervo_value_free.
///
/// ACERVO_INVALID: a NULL among keys or values, a key that is nil, NaN, an
/// array or a map, two equal keys (1 and 1.0 are), nesting deeper than 128.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_map(
    keys: *const *const acervo_value,
    values: *const *const acervo_value,
    n: usize,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_value_map", err, || {
            out.needed()?;
            let keys = self::values(keys, n, "keys")?;
            let values = self::values(values, n, "values")?;
            let pairs = keys.iter().zip(&values).map(|(key, value)| (&**key, &**value));
            out.set(acervo_value::owned(Value::map(pairs)?));
            Ok(())
        })
    }
}

/// # Safety
///
/// `pointer` is NULL or points to `n` handles that are NULL or live.
unsafe fn values(
    pointer: *const *const acervo_value,
    n: usize,
    name: &str,
) -> Result<Vec<ManuallyDrop<Value>>, Error> {
    // SAFETY: as promised by the caller.
    let handles = unsafe { raw::handles(pointer, n, name) }?;
    let mut values = Vec::new();
    values.try_reserve_exact(n).map_err(|_| crate::value::ValueError::OutOfMemory)?;
    for (place, &handle) in handles.iter().enumerate() {
        // SAFETY: as promised by the caller.
        let value = unsafe { acervo_value::get(handle, name) };
        values.push(value.map_err(|_| Error::invalid(format!("{name}[{place}] is NULL")))?);
    }
    Ok(values)
}

/// One more reference to the same value. Owned: free with acervo_value_free.
/// NULL for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_retain(value: *const acervo_value) -> *mut acervo_value {
    wall::or(std::ptr::null_mut(), || {
        // SAFETY: NULL or a live value.
        let value = unsafe { acervo_value::get(value, VALUE) };
        value.map_or(std::ptr::null_mut(), |value| acervo_value::owned(Value::clone(&value)))
    })
}

/// Frees one reference. NULL is accepted.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_free(value: *mut acervo_value) {
    if !value.is_null() {
        // SAFETY: a handle is the pointer of a cell, and the caller gives it up.
        wall::or((), || drop(unsafe { acervo_value::given_up(value) }));
    }
}

/// The type, ACERVO_TYPE_NIL to ACERVO_TYPE_MAP; ACERVO_INVALID for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_type(value: *const acervo_value) -> i32 {
    wall::or(Code::Panic as i32, || {
        // SAFETY: NULL or a live value.
        let value = unsafe { acervo_value::get(value, VALUE) };
        value.map_or(ACERVO_INVALID, |value| type_code(value.type_of()))
    })
}

fn wrong_type(found: Type, wanted: &str) -> Error {
    Error::invalid(format!("the value is a {}, not {wanted}", found.name()))
}

/// The bool. ACERVO_INVALID for any other type.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_as_bool(
    value: *const acervo_value,
    out: *mut bool,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, false, "out");
        wall::call("acervo_value_as_bool", err, || {
            out.needed()?;
            match acervo_value::get(value, VALUE)?.view().token() {
                Token::Bool(value) => out.set(value),
                other => return Err(wrong_type(other.type_of(), "a bool")),
            }
            Ok(())
        })
    }
}

/// The int; a float too if it stands for exactly one. ACERVO_INVALID
/// otherwise.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_as_int(
    value: *const acervo_value,
    out: *mut i64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, 0, "out");
        wall::call("acervo_value_as_int", err, || {
            out.needed()?;
            let value = acervo_value::get(value, VALUE)?;
            let token = value.view().token();
            match token.number().and_then(Number::as_int) {
                Some(value) => out.set(value),
                None => return Err(wrong_type(token.type_of(), "an int or a float equal to one")),
            }
            Ok(())
        })
    }
}

/// The float; an int too if a double holds it exactly. ACERVO_INVALID
/// otherwise.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_as_float(
    value: *const acervo_value,
    out: *mut f64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, 0.0, "out");
        wall::call("acervo_value_as_float", err, || {
            out.needed()?;
            let value = acervo_value::get(value, VALUE)?;
            let token = value.view().token();
            match token.number().and_then(Number::as_float) {
                Some(value) => out.set(value),
                None => return Err(wrong_type(token.type_of(), "a float or an int equal to one")),
            }
            Ok(())
        })
    }
}

/// The string's bytes, without NUL. Borrowed until the value is freed.
/// ACERVO_INVALID for any other type. `out_len` may not be NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_as_string(
    value: *const acervo_value,
    out: *mut *const c_char,
    out_len: *mut usize,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null(), "out");
        let out_len = Out::reset(out_len, 0, "out_len");
        wall::call("acervo_value_as_string", err, || {
            out.needed()?;
            out_len.needed()?;
            let value = acervo_value::get(value, VALUE)?;
            match value.view().token() {
                Token::String(bytes) => {
                    out.set(bytes.as_ptr().cast());
                    out_len.set(bytes.len());
                }
                other => return Err(wrong_type(other.type_of(), "a string")),
            }
            Ok(())
        })
    }
}

/// Elements of an array, pairs of a map, bytes of a string; 0 for others and
/// for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_len(value: *const acervo_value) -> usize {
    wall::or(0, || {
        // SAFETY: NULL or a live value.
        unsafe { acervo_value::get(value, VALUE) }.map_or(0, |value| value.len())
    })
}

/// An array's element, counted from 0. `out` is owned: free with
/// acervo_value_free.
///
/// ACERVO_INVALID: no array. ACERVO_NOT_FOUND: past the end.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_at(
    array: *const acervo_value,
    index: usize,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_value_at", err, || {
            out.needed()?;
            let array = acervo_value::get(array, "array")?;
            if array.type_of() != Type::Array {
                return Err(wrong_type(array.type_of(), "an array"));
            }
            let element = array.element(index).ok_or_else(|| past_end(index, array.len()))?;
            out.set(acervo_value::owned(Value::try_from_canonical(element)?));
            Ok(())
        })
    }
}

fn past_end(index: usize, len: usize) -> Error {
    Error::new(Code::NotFound, format!("index {index} is past the end: there are {len}"))
}

/// What a map holds under a string key. `out` is owned: free with
/// acervo_value_free.
///
/// ACERVO_INVALID: no map. ACERVO_NOT_FOUND: no such key.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_get(
    map: *const acervo_value,
    key: *const c_char,
    key_len: usize,
    out: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_value_get", err, || {
            out.needed()?;
            let map = acervo_value::get(map, "map")?;
            let key = raw::text(key, key_len, "key")?;
            if map.type_of() != Type::Map {
                return Err(wrong_type(map.type_of(), "a map"));
            }
            let wanted = Value::string(key)?;
            let value = map.lookup(wanted.as_bytes()).ok_or_else(|| {
                let shown = String::from_utf8_lossy(key);
                Error::new(Code::NotFound, format!("the map has no key {shown:?}"))
            })?;
            out.set(acervo_value::owned(Value::try_from_canonical(value)?));
            Ok(())
        })
    }
}

/// A map's key and value, counted from 0 in the order they are stored in.
/// Both are owned: free with acervo_value_free.
///
/// ACERVO_INVALID: no map. ACERVO_NOT_FOUND: past the end.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_entry_at(
    map: *const acervo_value,
    index: usize,
    out_key: *mut *mut acervo_value,
    out_value: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_key = Out::reset(out_key, std::ptr::null_mut(), "out_key");
        let out_value = Out::reset(out_value, std::ptr::null_mut(), "out_value");
        wall::call("acervo_value_entry_at", err, || {
            out_key.needed()?;
            out_value.needed()?;
            let map = acervo_value::get(map, "map")?;
            if map.type_of() != Type::Map {
                return Err(wrong_type(map.type_of(), "a map"));
            }
            let (key, value) = map.pair(index).ok_or_else(|| past_end(index, map.len()))?;
            let (key, value) = (Value::try_from_canonical(key)?, Value::try_from_canonical(value)?);
            out_key.set(acervo_value::owned(key));
            out_value.set(acervo_value::owned(value));
            Ok(())
        })
    }
}

/// Whether both are the same value: numbers by exact numeric value across int
/// and float, maps regardless of the order of keys, NaN equal to NaN. NULL
/// equals nothing.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_value_equal(
    a: *const acervo_value,
    b: *const acervo_value,
) -> bool {
    wall::or(false, || {
        // SAFETY: NULL or live values.
        let (a, b) = unsafe { (acervo_value::get(a, "a"), acervo_value::get(b, "b")) };
        matches!((a, b), (Ok(a), Ok(b)) if *a == *b)
    })
}
