//! What the Rust tests share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod handlers;
pub mod other;
pub mod random;
pub mod tree;
pub mod work;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use acervo::database::{Database, Options};
use acervo::value::{Token, Value, put_int, put_string};

/// A directory of its own for one test's database; gone when dropped.
pub struct Scratch {
    directory: tempfile::TempDir,
    file: PathBuf,
}

impl Scratch {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("test.db");
        Self { directory, file }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn path(&self) -> &[u8] {
        self.file.as_os_str().as_bytes()
    }

    pub fn open(&self) -> Database {
        self.open_with(&Options::default())
    }

    pub fn open_with(&self, options: &Options) -> Database {
        Database::open(self.path(), options).expect("a database")
    }

    pub fn memory() -> Database {
        Database::open(b":memory:", &Options::default()).expect("a database in memory")
    }
}

pub fn int(value: i64) -> Value {
    let mut bytes = Vec::new();
    put_int(&mut bytes, value);
    Value::from_canonical(&bytes)
}

pub fn text(value: &str) -> Value {
    let mut bytes = Vec::new();
    put_string(&mut bytes, value.as_bytes());
    Value::from_canonical(&bytes)
}

pub fn options(pairs: &[(&str, Value)]) -> Options {
    let mut options = Options::default();
    for (name, value) in pairs {
        options.set(name, value.view()).expect(name);
    }
    options
}

pub fn as_int(value: &Value) -> i64 {
    match value.view().token() {
        Token::Int(number) => number,
        other => panic!("{other:?} is no int"),
    }
}

/// One of the figures of `stats` that are ints.
pub fn stat(db: &Database, name: &str) -> i64 {
    let stats = db.stats().expect("stats");
    as_int(&Value::from_canonical(stats.lookup(text(name).as_bytes()).expect(name)))
}
