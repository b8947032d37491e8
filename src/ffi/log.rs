//! The log hook.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::database::acervo;
use super::error::acervo_error;
use super::raw::{self, ForeignData};
use super::wall;
use crate::kv::{LogFn, LogLevel};

/// Something does not work.
pub const ACERVO_LOG_ERROR: i32 = 1;
/// Something may stop working.
pub const ACERVO_LOG_WARN: i32 = 2;
/// Something changed.
pub const ACERVO_LOG_INFO: i32 = 3;
/// For those who look for a fault.
pub const ACERVO_LOG_DEBUG: i32 = 4;

/// Takes a log line: `message_len` bytes, and a NUL behind them; borrowed for
/// the call. Called on any thread, several at a time, with no lock held; it
/// may call any function of this library but acervo_close.
pub type acervo_log_fn = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        level: i32,
        message: *const c_char,
        message_len: usize,
    ),
>;

/// Sends the database's log lines to `function` from now on; NULL: nowhere, as
/// at first. Holds for all handles of the file. `destroy` (may be NULL) runs
/// once: when another hook takes the place, when the database goes, or if this
/// fails.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_set_log(
    db: *mut acervo,
    function: acervo_log_fn,
    userdata: *mut c_void,
    destroy: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
    err: *mut *mut acervo_error,
) -> i32 {
    let data = ForeignData::new(userdata, destroy);
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_set_log", err, move || {
            let db = raw::handle(db, "db")?;
            let hook = function.map(|function| -> Arc<LogFn> {
                Arc::new(move |level: LogLevel, message: &str| {
                    let text = std::ffi::CString::new(message).unwrap_or_default();
                    let len = text.as_bytes().len();
                    let data = &data;
                    // SAFETY: the host gave both together for this call.
                    function(data.userdata, level as i32, text.as_ptr(), len);
                })
            });
            db.database.set_log(hook)
        })
    }
}
