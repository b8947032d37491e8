//! registry and store.

use std::ffi::{c_char, c_void};

use super::database::acervo;
use super::error::{ACERVO_NOT_FOUND, ACERVO_OK, acervo_error};
use super::raw::{self, Out};
use super::value::{acervo_value, type_code};
use super::wall;
use crate::error::{Code, Error};
use crate::kv::Kv;
use crate::value::{Number, Token, Type, Value};

/// The registry, the store of one ident, or the store's raw keys.
///
/// Reads look into memory. Writes to the registry return when memory holds
/// them, writes to the store when the disk does (option `durability`). Keys
/// are 1 to 1024 bytes of any content. Keeps its database alive.
///
/// Threads: any.
pub struct acervo_kv {
    pub(super) kv: Kv,
}

/// # Safety
///
/// `kv` is NULL or a live handle.
#[inline]
pub(super) unsafe fn get<'a>(kv: *const acervo_kv) -> Result<&'a Kv, Error> {
    // SAFETY: as promised by the caller.
    Ok(&unsafe { raw::handle(kv, "kv") }?.kv)
}

/// The key-value state shared by all scripts. `out` is owned: free with
/// acervo_kv_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_registry(
    db: *mut acervo,
    out: *mut *mut acervo_kv,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_kv_registry", err, || {
            out.needed()?;
            let database = &raw::handle(db, "db")?.database;
            database.check()?;
            out.set(Box::into_raw(Box::new(acervo_kv { kv: database.registry() })));
            Ok(())
        })
    }
}

/// The durable state of one ident of 1 to 256 bytes; NULL with length 0: the
/// store's keys as they are. `out` is owned: free with acervo_kv_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_store(
    db: *mut acervo,
    ident: *const c_char,
    ident_len: usize,
    out: *mut *mut acervo_kv,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_kv_store", err, || {
            out.needed()?;
            let database = &raw::handle(db, "db")?.database;
            database.check()?;
            let kv = if ident.is_null() && ident_len == 0 {
                database.global()
            } else {
                database.store(raw::text(ident, ident_len, "ident")?)?
            };
            out.set(Box::into_raw(Box::new(acervo_kv { kv })));
            Ok(())
        })
    }
}

/// Frees the handle. NULL is accepted.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_free(kv: *mut acervo_kv) {
    if !kv.is_null() {
        // SAFETY: it came from one of the functions above, and the caller
        // gives it up.
        wall::or((), || drop(unsafe { Box::from_raw(kv) }));
    }
}

/// Stores a value, copied; the key does not expire. Last writer wins.
///
/// ACERVO_INVALID: a bad key, a value over `value_limit`.
/// ACERVO_UNAVAILABLE: `memory_limit` reached, disk full, I/O error.
/// ACERVO_PERMISSION_DENIED: open for reading only.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_put(
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    value: *const acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe { put("acervo_kv_put", kv, key, key_len, value, None, err) }
}

/// As acervo_kv_put; after `ttl_ms` milliseconds (1 or more) the key reads as
/// missing.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_put_ttl(
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    value: *const acervo_value,
    ttl_ms: i64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe { put("acervo_kv_put_ttl", kv, key, key_len, value, Some(ttl_ms), err) }
}

/// # Safety
///
/// The pointers are as the header asks for.
#[inline(always)]
unsafe fn put(
    function: &str,
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    value: *const acervo_value,
    ttl_ms: Option<i64>,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe {
        wall::call_quietly(function, err, move || {
            let kv = get(kv)?;
            let key = raw::text(key, key_len, "key")?;
            let value = acervo_value::get(value, "value")?;
            kv.put(key, value.as_bytes(), ttl_ms)?;
            Ok(ACERVO_OK)
        })
    }
}

/// Runs a call on a handle.
///
/// # Safety
///
/// `kv` is NULL or live, `err` NULL or writable.
#[inline]
pub(super) unsafe fn with_kv(
    function: &str,
    kv: *mut acervo_kv,
    err: *mut *mut acervo_error,
    body: impl FnOnce(&Kv) -> Result<(), Error>,
) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe { wall::call(function, err, || body(get(kv)?)) }
}

/// The value and the time it was written, in seconds since the Unix epoch.
/// Either out may be NULL. `out` is owned: free with acervo_value_free; it
/// shares the stored bytes.
///
/// ACERVO_NOT_FOUND, without an error: the key is missing or expired.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_get(
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    out: *mut *mut acervo_value,
    out_timestamp: *mut i64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        let out_timestamp = Out::reset(out_timestamp, 0, "out_timestamp");
        wall::call_quietly("acervo_kv_get", err, || {
            let key = raw::text(key, key_len, "key")?;
            let Some(value) = get(kv)?.read(key, Value::clone)? else {
                return Ok(ACERVO_NOT_FOUND);
            };
            out_timestamp.set(value.timestamp());
            if out.is_wanted() {
                out.set(acervo_value::owned(value));
            }
            Ok(ACERVO_OK)
        })
    }
}

/// Copies the value into `buf`: bool, int and float as their bytes (1, 8, 8),
/// a string as it is, nil as length 0, arrays and maps as MessagePack. Every
/// out may be NULL; `buf` too, with `cap` 0.
///
/// ACERVO_NOT_FOUND, without an error: the key is missing or expired.
/// ACERVO_TOO_SMALL: `cap` is; `out_len` is set, nothing is copied.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_get_into(
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    buf: *mut c_void,
    cap: usize,
    out_len: *mut usize,
    out_type: *mut i32,
    out_timestamp: *mut i64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_len = Out::reset(out_len, 0, "out_len");
        let out_type = Out::reset(out_type, 0, "out_type");
        let out_timestamp = Out::reset(out_timestamp, 0, "out_timestamp");
        wall::call_quietly("acervo_kv_get_into", err, || {
            let buf = raw::buffer(buf.cast(), cap, "buf")?;
            let key = raw::text(key, key_len, "key")?;
            let copied = get(kv)?.read(key, |value| {
                let (value_type, len) = copy_plain(value, buf, cap);
                (value_type, len, value.timestamp())
            })?;
            let Some((value_type, len, timestamp)) = copied else { return Ok(ACERVO_NOT_FOUND) };
            out_len.set(len);
            if len > cap {
                let what = format!("the value has {len} bytes, the buffer {cap}");
                return Err(Error::new(Code::TooSmall, what));
            }
            out_type.set(type_code(value_type));
            out_timestamp.set(timestamp);
            Ok(ACERVO_OK)
        })
    }
}

/// Copies the plain form of `value` if it fits; gives its type and length.
///
/// # Safety
///
/// `buf` is writable for `cap` bytes.
#[inline]
unsafe fn copy_plain(value: &Value, buf: *mut u8, cap: usize) -> (Type, usize) {
    let copy = |bytes: &[u8]| {
        if bytes.len() <= cap && !bytes.is_empty() {
            // SAFETY: it fits, and our bytes do not overlap with the caller's.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buf, bytes.len()) };
        }
        bytes.len()
    };
    // The most common first.
    if let Some(string) = value.as_string() {
        return (Type::String, copy(string));
    }
    let token = value.view().token();
    let len = match token {
        Token::Nil => 0,
        Token::Bool(value) => copy(&[u8::from(value)]),
        Token::Int(value) => copy(&value.to_ne_bytes()),
        Token::Float(value) => copy(&value.to_ne_bytes()),
        Token::String(bytes) => copy(bytes),
        Token::Array(_) | Token::Map(_) => copy(value.as_bytes()),
    };
    (token.type_of(), len)
}

/// Deletes a key; a missing one is no error.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_delete(
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        with_kv("acervo_kv_delete", kv, err, |kv| Ok(kv.delete(raw::text(key, key_len, "key")?)?))
    }
}

/// Adds to an int atomically; a missing key counts as 0. Keeps the time to
/// live. `out` may be NULL.
///
/// ACERVO_INVALID: the value is no int, or the sum leaves its range.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_incr(
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    by: i64,
    out: *mut i64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, 0, "out");
        with_kv("acervo_kv_incr", kv, err, |kv| {
            out.set(kv.incr_int(raw::text(key, key_len, "key")?, by)?);
            Ok(())
        })
    }
}

/// As acervo_kv_incr, for floats: adds to an int or a float and stores a
/// float.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_incr_float(
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    by: f64,
    out: *mut f64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, 0.0, "out");
        with_kv("acervo_kv_incr_float", kv, err, |kv| {
            let sum = kv.incr(raw::text(key, key_len, "key")?, Number::Float(by))?;
            out.set(match sum {
                Number::Int(value) => value as f64,
                Number::Float(value) => value,
            });
            Ok(())
        })
    }
}

/// Stores `value` if the present one equals `expected` (NULL: if the key is
/// missing; a nil value: if nil is stored). Keeps the time to live.
/// `out_stored` may be NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_cas(
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    expected: *const acervo_value,
    value: *const acervo_value,
    out_stored: *mut bool,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_stored = Out::reset(out_stored, false, "out_stored");
        with_kv("acervo_kv_cas", kv, err, |kv| {
            let key = raw::text(key, key_len, "key")?;
            let value = acervo_value::get(value, "value")?;
            let expected = match expected.is_null() {
                true => None,
                false => Some(acervo_value::get(expected, "expected")?),
            };
            let expected = expected.as_ref().map(|expected| expected.as_bytes());
            out_stored.set(kv.cas(key, expected, value.as_bytes())?);
            Ok(())
        })
    }
}

/// Deletes the key if its value equals `expected`. `out_deleted` may be NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_cas_delete(
    kv: *mut acervo_kv,
    key: *const c_char,
    key_len: usize,
    expected: *const acervo_value,
    out_deleted: *mut bool,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_deleted = Out::reset(out_deleted, false, "out_deleted");
        with_kv("acervo_kv_cas_delete", kv, err, |kv| {
            let key = raw::text(key, key_len, "key")?;
            let expected = acervo_value::get(expected, "expected")?;
            out_deleted.set(kv.cas_delete(key, expected.as_bytes())?);
            Ok(())
        })
    }
}
