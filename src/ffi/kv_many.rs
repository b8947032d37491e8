//! registry and store: calls on many keys.

use std::ffi::{c_char, c_void};

use super::error::{ACERVO_OK, acervo_error};
use super::kv::{acervo_kv, get, with_kv};
use super::raw::{self, ForeignData, Out};
use super::value::acervo_value;
use super::wall;
use crate::error::Error;
use crate::value::Value;

/// The keys that start with `prefix` (NULL with length 0: all), sorted by
/// their bytes, as an array of strings. `out_array` is owned: free with
/// acervo_value_free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_keys(
    kv: *mut acervo_kv,
    prefix: *const c_char,
    prefix_len: usize,
    out_array: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_array = Out::reset(out_array, std::ptr::null_mut(), "out_array");
        wall::call("acervo_kv_keys", err, || {
            out_array.needed()?;
            let keys = get(kv)?.keys(raw::text(prefix, prefix_len, "prefix")?)?;
            out_array.set(acervo_value::owned(Value::array_of_strings(&keys)?));
            Ok(())
        })
    }
}

/// How many keys start with `prefix` (NULL with length 0: all).
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_count(
    kv: *mut acervo_kv,
    prefix: *const c_char,
    prefix_len: usize,
    out: *mut u64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, 0, "out");
        wall::call("acervo_kv_count", err, || {
            out.needed()?;
            out.set(get(kv)?.count(raw::text(prefix, prefix_len, "prefix")?)?);
            Ok(())
        })
    }
}

/// Takes one key of a walk: `key_len` bytes, no NUL, and its value, both
/// borrowed for the call. Other than 0 ends the walk. Called on the walking
/// thread with no lock held; it may call anything.
pub type acervo_kv_each_fn = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        key: *const c_char,
        key_len: usize,
        value: *const acervo_value,
        timestamp: i64,
    ) -> i32,
>;

/// Calls `function` for each key that starts with `prefix` (NULL with length
/// 0: all), in key order. A key that is there during the whole walk is met
/// once. What `function` returns other than 0 ends the walk and is returned as
/// it is, without an error. `destroy` (may be NULL) runs once, at the end.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_each(
    kv: *mut acervo_kv,
    prefix: *const c_char,
    prefix_len: usize,
    function: acervo_kv_each_fn,
    userdata: *mut c_void,
    destroy: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
    err: *mut *mut acervo_error,
) -> i32 {
    let data = ForeignData::new(userdata, destroy);
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call_quietly("acervo_kv_each", err, || {
            let data = data;
            let function = function.ok_or_else(|| Error::invalid("function is NULL"))?;
            for step in get(kv)?.walk(raw::text(prefix, prefix_len, "prefix")?)? {
                let (key, value) = step?;
                let timestamp = value.timestamp();
                let value = acervo_value::borrowed(&value);
                let code =
                    function(data.userdata, key.as_ptr().cast(), key.len(), value, timestamp);
                if code != ACERVO_OK {
                    return Ok(code);
                }
            }
            Ok(ACERVO_OK)
        })
    }
}

/// Deletes every key that starts with `prefix` (NULL with length 0: all), at
/// once. `out`, how many, may be NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_delete_prefix(
    kv: *mut acervo_kv,
    prefix: *const c_char,
    prefix_len: usize,
    out: *mut u64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, 0, "out");
        with_kv("acervo_kv_delete_prefix", kv, err, |kv| {
            out.set(kv.delete_prefix(raw::text(prefix, prefix_len, "prefix")?)?);
            Ok(())
        })
    }
}

/// Deletes every key that has not been written for `seconds` (0 or more).
/// `out`, how many, may be NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_purge(
    kv: *mut acervo_kv,
    seconds: f64,
    out: *mut u64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, 0, "out");
        with_kv("acervo_kv_purge", kv, err, |kv| {
            out.set(kv.purge(seconds)?);
            Ok(())
        })
    }
}

/// Returns when everything put before is in the file.
///
/// ACERVO_UNAVAILABLE: the file; what could not be written is kept and tried
/// again.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_kv_flush(kv: *mut acervo_kv, err: *mut *mut acervo_error) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe { wall::call("acervo_kv_flush", err, || Ok(get(kv)?.flush()?)) }
}
