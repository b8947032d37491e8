//! Several writes, all or nothing.

use std::ffi::c_char;

use super::error::acervo_error;
use super::kv::acervo_kv;
use super::raw;
use super::value::acervo_value;
use super::wall;
use crate::error::Error;
use crate::kv::{Batch, Kv};

/// Writes to one registry or store, collected in order and done together.
///
/// Keeps its database alive.
///
/// Threads: one at a time.
pub struct acervo_batch {
    kv: Kv,
    batch: Batch,
}

/// # Safety
///
/// `batch` is NULL or live, and nobody else uses it.
unsafe fn get<'a>(batch: *mut acervo_batch) -> Result<&'a mut acervo_batch, Error> {
    // SAFETY: as promised by the caller.
    let batch = unsafe { raw::handle_mut(batch, "batch") }?;
    batch.kv.check()?;
    Ok(batch)
}

/// An empty batch for `kv`. Owned: free with acervo_batch_free. NULL for NULL,
/// and in a forked child.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_batch_new(kv: *mut acervo_kv) -> *mut acervo_batch {
    wall::or(std::ptr::null_mut(), || {
        // SAFETY: NULL or a live handle.
        match unsafe { kv.as_ref() } {
            Some(handle) if !handle.kv.is_forked() => {
                let batch = acervo_batch { kv: handle.kv.clone(), batch: Batch::new() };
                Box::into_raw(Box::new(batch))
            }
            _ => std::ptr::null_mut(),
        }
    })
}

/// Frees the batch; what was not committed is forgotten. NULL is accepted.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_batch_free(batch: *mut acervo_batch) {
    if !batch.is_null() {
        // SAFETY: it came from acervo_batch_new, and the caller gives it up.
        wall::or((), || drop(unsafe { Box::from_raw(batch) }));
    }
}

/// Adds a put; key and value are copied and checked at the commit.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_batch_put(
    batch: *mut acervo_batch,
    key: *const c_char,
    key_len: usize,
    value: *const acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe { put("acervo_batch_put", batch, key, key_len, value, None, err) }
}

/// As acervo_batch_put; `ttl_ms` milliseconds (1 or more) after this call the
/// key reads as missing.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_batch_put_ttl(
    batch: *mut acervo_batch,
    key: *const c_char,
    key_len: usize,
    value: *const acervo_value,
    ttl_ms: i64,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe { put("acervo_batch_put_ttl", batch, key, key_len, value, Some(ttl_ms), err) }
}

/// # Safety
///
/// The pointers are as the header asks for.
unsafe fn put(
    function: &str,
    batch: *mut acervo_batch,
    key: *const c_char,
    key_len: usize,
    value: *const acervo_value,
    ttl_ms: Option<i64>,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe {
        wall::call(function, err, || {
            let batch = get(batch)?;
            let key = raw::text(key, key_len, "key")?;
            let value = acervo_value::get(value, "value")?;
            batch.batch.put(key, value.as_bytes(), ttl_ms, batch.kv.value_limit())?;
            Ok(())
        })
    }
}

/// Adds a deletion; a missing key is no error.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_batch_delete(
    batch: *mut acervo_batch,
    key: *const c_char,
    key_len: usize,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_batch_delete", err, || {
            let batch = get(batch)?;
            batch.batch.delete(raw::text(key, key_len, "key")?)?;
            Ok(())
        })
    }
}

/// Does all writes of the batch or none, with one sync, and leaves it empty.
/// After a failure the batch is as it was.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_batch_commit(
    batch: *mut acervo_batch,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_batch_commit", err, || {
            let batch = get(batch)?;
            batch.kv.commit(&batch.batch)?;
            batch.batch.clear();
            Ok(())
        })
    }
}
