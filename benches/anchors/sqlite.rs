//! SQLite as one would use it by hand: prepared statements, `WITHOUT ROWID`,
//! the same build and the same pragmas as the library's.

use std::path::Path;

use rusqlite::ffi;

/// A connection with statements that are prepared once, called without a layer.
pub struct Sqlite {
    connection: *mut ffi::sqlite3,
    get: *mut ffi::sqlite3_stmt,
    put: *mut ffi::sqlite3_stmt,
    begin: *mut ffi::sqlite3_stmt,
    commit: *mut ffi::sqlite3_stmt,
}

impl Sqlite {
    /// A new file; `synchronous` is "FULL" or "NORMAL".
    pub fn new(directory: &Path, name: &str, synchronous: &str) -> Sqlite {
        let connection = open(directory, name);
        for sql in [
            "PRAGMA journal_mode = WAL",
            &format!("PRAGMA synchronous = {synchronous}"),
            "PRAGMA wal_autocheckpoint = 1000",
            "CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB, written INTEGER) WITHOUT ROWID",
        ] {
            run_once(connection, sql);
        }
        Sqlite {
            connection,
            get: prepare(connection, "SELECT value, written FROM kv WHERE key = ?1"),
            put: prepare(connection, "REPLACE INTO kv VALUES (?1, ?2, ?3)"),
            begin: prepare(connection, "BEGIN IMMEDIATE"),
            commit: prepare(connection, "COMMIT"),
        }
    }

    pub fn begin(&self) {
        run(self.begin);
    }

    pub fn commit(&self) {
        run(self.commit);
    }

    /// Inserts or replaces; a transaction of its own unless one is open.
    pub fn put(&self, key: &[u8], value: &[u8]) {
        bind(self.put, 1, key);
        bind(self.put, 2, value);
        // SAFETY: the statement has a third parameter.
        unsafe { ffi::sqlite3_bind_int64(self.put, 3, 1_700_000_000) };
        run(self.put);
    }

    /// Copies a value out.
    pub fn get(&self, key: &[u8], buffer: &mut [u8]) -> usize {
        bind(self.get, 1, key);
        // SAFETY: the column is read before the statement is reset, and what
        // it points to is as long as SQLite says.
        unsafe {
            let mut len = 0;
            if ffi::sqlite3_step(self.get) == ffi::SQLITE_ROW {
                let from = ffi::sqlite3_column_blob(self.get, 0);
                len = ffi::sqlite3_column_bytes(self.get, 0) as usize;
                let copied = std::slice::from_raw_parts(from.cast::<u8>(), len);
                buffer[..len].copy_from_slice(copied);
                std::hint::black_box(ffi::sqlite3_column_int64(self.get, 1));
            }
            ffi::sqlite3_reset(self.get);
            len
        }
    }
}

/// Rows appended to a table of SQLite, as a log would be.
pub struct Rows {
    connection: *mut ffi::sqlite3,
    insert: *mut ffi::sqlite3_stmt,
    begin: *mut ffi::sqlite3_stmt,
    commit: *mut ffi::sqlite3_stmt,
}

impl Rows {
    /// A new file, which no commit waits for.
    pub fn new(directory: &Path, name: &str) -> Rows {
        let connection = open(directory, name);
        for sql in [
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "CREATE TABLE log (seq INTEGER PRIMARY KEY, name BLOB, value BLOB, written INTEGER)",
        ] {
            run_once(connection, sql);
        }
        Rows {
            connection,
            insert: prepare(
                connection,
                "INSERT INTO log (name, value, written) VALUES (?1, ?2, ?3)",
            ),
            begin: prepare(connection, "BEGIN IMMEDIATE"),
            commit: prepare(connection, "COMMIT"),
        }
    }

    /// Appends rows in one transaction.
    pub fn append<'k>(&self, keys: impl Iterator<Item = &'k [u8]>, value: &[u8]) {
        run(self.begin);
        for key in keys {
            bind(self.insert, 1, key);
            bind(self.insert, 2, value);
            // SAFETY: the statement has a third parameter.
            unsafe { ffi::sqlite3_bind_int64(self.insert, 3, 1_700_000_000) };
            run(self.insert);
        }
        run(self.commit);
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // SAFETY: all were prepared on this connection; none is used again.
        unsafe {
            for statement in [self.insert, self.begin, self.commit] {
                ffi::sqlite3_finalize(statement);
            }
            ffi::sqlite3_close(self.connection);
        }
    }
}

/// A connection to a new file.
fn open(directory: &Path, name: &str) -> *mut ffi::sqlite3 {
    let path = directory.join(name);
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let mut connection = std::ptr::null_mut();
    // SAFETY: the path has a NUL, the out parameter is ours.
    let code = unsafe { ffi::sqlite3_open(path.as_ptr(), &raw mut connection) };
    assert_eq!(code, ffi::SQLITE_OK);
    connection
}

/// Runs a statement that is not kept.
fn run_once(connection: *mut ffi::sqlite3, sql: &str) {
    let statement = prepare(connection, sql);
    run(statement);
    // SAFETY: it was prepared and is not used after this.
    unsafe { ffi::sqlite3_finalize(statement) };
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // SAFETY: all were prepared on this connection; none is used again.
        unsafe {
            for statement in [self.get, self.put, self.begin, self.commit] {
                ffi::sqlite3_finalize(statement);
            }
            ffi::sqlite3_close(self.connection);
        }
    }
}

fn prepare(connection: *mut ffi::sqlite3, sql: &str) -> *mut ffi::sqlite3_stmt {
    let mut statement = std::ptr::null_mut();
    // SAFETY: the text is as long as we say, the out parameter is ours.
    let code = unsafe {
        let text = sql.as_ptr().cast();
        let len = sql.len() as i32;
        ffi::sqlite3_prepare_v2(connection, text, len, &raw mut statement, std::ptr::null_mut())
    };
    assert_eq!(code, ffi::SQLITE_OK, "{sql}");
    statement
}

fn bind(statement: *mut ffi::sqlite3_stmt, number: i32, bytes: &[u8]) {
    // SAFETY: the bytes outlive the step (SQLITE_STATIC): callers step at once.
    unsafe {
        ffi::sqlite3_bind_blob(statement, number, bytes.as_ptr().cast(), bytes.len() as i32, None)
    };
}

fn run(statement: *mut ffi::sqlite3_stmt) {
    // SAFETY: the statement is prepared and bound.
    unsafe {
        let code = ffi::sqlite3_step(statement);
        assert!(code == ffi::SQLITE_DONE || code == ffi::SQLITE_ROW, "SQLite says {code}");
        ffi::sqlite3_reset(statement);
    }
}
