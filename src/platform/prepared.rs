//! Statements that a connection keeps for what it does all the time.
//!
//! A cache of statements looks them up by their text, which takes as long as
//! some of them.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use rusqlite::ffi;
use rusqlite::{Connection, Error};

/// A statement that gives no rows.
///
/// A connection with one cannot be closed, so it never outlives its connection;
/// it is not sent to another thread without it.
pub(crate) struct Prepared {
    statement: NonNull<ffi::sqlite3_stmt>,
}

// SAFETY: it belongs to its connection, which is used by one thread at a time
// and may be another's later; whoever holds both sees to it.
unsafe impl Send for Prepared {}

/// A value for a parameter.
#[derive(Clone, Copy)]
pub(crate) enum Parameter<'a> {
    /// NULL.
    Null,
    /// A number.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl Prepared {
    /// Compiles `sql`.
    pub(crate) fn new(connection: &Connection, sql: &CStr) -> Result<Self, Error> {
        let mut statement = std::ptr::null_mut();
        // SAFETY: the handle is valid while the connection is borrowed; the
        // text ends with a zero.
        unsafe {
            let code = ffi::sqlite3_prepare_v3(
                connection.handle(),
                sql.as_ptr(),
                -1,
                ffi::SQLITE_PREPARE_PERSISTENT,
                &raw mut statement,
                std::ptr::null_mut(),
            );
            match NonNull::new(statement) {
                Some(statement) if code == ffi::SQLITE_OK => Ok(Self { statement }),
                _ => Err(failure(connection.handle(), code)),
            }
        }
    }

    /// Runs it with these values for its parameters, all of them.
    pub(crate) fn run(&mut self, parameters: &[Parameter<'_>]) -> Result<(), Error> {
        let statement = self.statement.as_ptr();
        // SAFETY: the statement lives until it is dropped, and its connection
        // at least as long. What is bound lives through the step, and is not
        // looked at again before something else is bound.
        unsafe {
            let mut code = ffi::SQLITE_OK;
            for (place, parameter) in (1..).zip(parameters) {
                code = bind(statement, place, *parameter);
                if code != ffi::SQLITE_OK {
                    break;
                }
            }
            if code == ffi::SQLITE_OK {
                code = ffi::sqlite3_step(statement);
            }
            let result = match code {
                ffi::SQLITE_DONE => Ok(()),
                code => Err(failure(ffi::sqlite3_db_handle(statement), code)),
            };
            ffi::sqlite3_reset(statement);
            result
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { ffi::sqlite3_finalize(self.statement.as_ptr()) };
    }
}

/// # Safety
/// The statement is there; the value lives for as long as it is bound.
unsafe fn bind(statement: *mut ffi::sqlite3_stmt, place: c_int, parameter: Parameter<'_>) -> c_int {
    // SAFETY: as promised. No bytes are not NULL: they have an address.
    unsafe {
        match parameter {
            Parameter::Null => ffi::sqlite3_bind_null(statement, place),
            Parameter::Int(number) => ffi::sqlite3_bind_int64(statement, place, number),
            Parameter::Text(text) => {
                let Ok(len) = c_int::try_from(text.len()) else { return ffi::SQLITE_TOOBIG };
                let at = text.as_ptr().cast();
                ffi::sqlite3_bind_text(statement, place, at, len, ffi::SQLITE_STATIC())
            }
            Parameter::Blob(bytes) => {
                let Ok(len) = c_int::try_from(bytes.len()) else { return ffi::SQLITE_TOOBIG };
                let at = bytes.as_ptr().cast();
                ffi::sqlite3_bind_blob(statement, place, at, len, ffi::SQLITE_STATIC())
            }
        }
    }
}

/// What a code of SQLite says, with its text.
///
/// # Safety
/// The connection is open, and nothing was done with it since.
unsafe fn failure(connection: *mut ffi::sqlite3, code: c_int) -> Error {
    // SAFETY: as promised; the text is there until something else is done.
    let text = unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(connection)) };
    let text = text.to_string_lossy().into_owned();
    Error::SqliteFailure(ffi::Error::new(code), Some(text))
}
