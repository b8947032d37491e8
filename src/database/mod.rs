//! Opening, sharing and closing database files.
//!
//! A [`Database`] is one handle; all handles of one file in a process share
//! one instance, found by device and inode. The file closes with the last.

mod backup;
mod check;
mod finishing;
mod instance;
mod open;
mod options;
#[cfg(test)]
mod weak_hashes;

use std::sync::{Arc, OnceLock};

pub use crate::report::{Checked, Fault, Report};
pub use check::check_file;
pub use open::OpenError;
pub use options::Options;

use crate::entries::Registry;
use crate::error::Error;
use crate::guard::{Guard, Unusable};
use crate::kv::{Kv, LogFn};
use crate::value::{Value, begin_map, end_map, put_bool, put_int, put_nil, put_string};
use instance::Instance;

/// Whether this copy of the library has the file open. For other copies of it
/// in the same process, which must not open it a second time.
pub(crate) fn has_open(dev: u64, ino: u64) -> bool {
    instance::has_open(crate::platform::file::FileId { dev, ino })
}

/// A handle on a database file, or on one in memory.
///
/// Threads: any. A clone is the same handle: closing one closes all.
#[derive(Clone)]
pub struct Database {
    handle: Arc<Handle>,
}

/// What clones share.
struct Handle {
    instance: Arc<Instance>,
    guard: Arc<Guard>,
    /// The entry registry, once it was asked for.
    entries: OnceLock<Registry>,
    /// `EXEC_IDENT` of the environment when this handle was opened.
    env_ident: Option<Box<[u8]>>,
}

impl Database {
    /// Opens the file at `path`, or a new database in memory for `:memory:`.
    /// The file is made if it does not exist; its directory is not.
    ///
    /// # Errors
    ///
    /// The codes of kv.md, "Failures": INVALID for options that are unknown,
    /// of the wrong type, or differ from those of the first open, and for a
    /// missing directory; PERMISSION_DENIED; INTERNAL for files that are
    /// damaged or no database; UNAVAILABLE if another process holds the lock.
    pub fn open(path: &[u8], options: &Options) -> Result<Self, Error> {
        let (instance, read_only) = open::open(path, options)?;
        let released = Arc::clone(&instance);
        let guard = Guard::new(read_only, move || Instance::release_later(&released));
        let guard = Arc::new(guard);
        let env_ident = std::env::var_os("EXEC_IDENT")
            .map(|ident| std::os::unix::ffi::OsStringExt::into_vec(ident).into_boxed_slice())
            .filter(|ident| !ident.is_empty());
        Ok(Self {
            handle: Arc::new(Handle { instance, guard, entries: OnceLock::new(), env_ident }),
        })
    }

    /// Fails if the handle is closed, or was made before a fork.
    ///
    /// # Errors
    ///
    /// INTERNAL, or the code for a forked child.
    pub fn check(&self) -> Result<(), Error> {
        Ok(self.handle.guard.check()?)
    }

    /// Whether this process is a child of the one that made the handle.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        self.handle.guard.is_forked()
    }

    /// The key-value state shared by all scripts.
    #[must_use]
    pub fn registry(&self) -> Kv {
        Kv::registry(self.handle.instance.engine(), Arc::clone(&self.handle.guard))
    }

    /// The durable state of one script.
    ///
    /// # Errors
    ///
    /// INVALID for an ident that is empty or longer than 256 bytes.
    pub fn store(&self, ident: &[u8]) -> Result<Kv, Error> {
        let engine = self.handle.instance.engine();
        Ok(Kv::store(engine, Arc::clone(&self.handle.guard), ident)?)
    }

    /// The store's keys as they are, without an ident.
    #[must_use]
    pub fn global(&self) -> Kv {
        Kv::global(self.handle.instance.engine(), Arc::clone(&self.handle.guard))
    }

    /// The entry registry. Loaded when it is first asked for.
    ///
    /// # Errors
    ///
    /// A closed handle; a history that cannot be read.
    pub fn entries(&self) -> Result<Registry, Error> {
        self.entry_registry().cloned()
    }

    /// As [`Database::entries`], without another reference.
    pub(crate) fn entry_registry(&self) -> Result<&Registry, Error> {
        let Handle { instance, guard, entries, .. } = &*self.handle;
        guard.check()?;
        if let Some(registry) = entries.get() {
            return Ok(registry);
        }
        let engine = instance.entries()?;
        Ok(entries.get_or_init(|| Registry::new(engine, Arc::clone(guard))))
    }

    /// `EXEC_IDENT` of the environment as it was when this was opened.
    #[must_use]
    pub fn env_ident(&self) -> Option<&[u8]> {
        self.handle.env_ident.as_deref()
    }

    /// Largest value in bytes of MessagePack.
    #[must_use]
    pub fn value_limit(&self) -> usize {
        self.registry().value_limit()
    }

    /// Whether both handles are on one file.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle.instance, &other.handle.instance)
    }

    /// Returns when everything put before is in the file.
    ///
    /// # Errors
    ///
    /// A closed handle, or the file; what could not be written is kept and
    /// tried again.
    pub fn flush(&self) -> Result<(), Error> {
        self.handle.guard.check()?;
        self.handle.instance.flush_for_sure()
    }

    /// Ends this handle. The last one of a file writes what is left, closes
    /// the file and reports; again: no effect.
    ///
    /// # Errors
    ///
    /// What the last flush or the closing met. The handle is closed all the
    /// same.
    pub fn close(&self) -> Result<(), Error> {
        if self.handle.guard.is_forked() {
            return Err(Unusable::Forked.into());
        }
        if self.handle.guard.close() {
            self.handle.instance.end_feeds_of(&self.handle.guard);
            Instance::release(&self.handle.instance)?;
        }
        Ok(())
    }

    /// Checks the whole file, as it is at one moment, and that memory holds
    /// what the file says. Repairs nothing; others read and write meanwhile.
    /// Takes as long as reading everything, and memory for every key.
    ///
    /// # Errors
    ///
    /// What is wrong is in the report. An error tells that it could not be
    /// checked: a closed handle, a file that cannot be read or was replaced.
    pub fn check_integrity(&self) -> Result<Report, Error> {
        self.handle.guard.check()?;
        let report = self.handle.instance.check()?;
        // Closing empties memory, which then is not what the file says.
        self.handle.guard.check()?;
        Ok(report)
    }

    /// Whether the host has a policy for what scripts may see of it.
    pub(crate) fn has_policy(&self) -> bool {
        self.handle.instance.has_policy()
    }

    /// Copies the database, as it is at one moment, to a new file at `path`:
    /// all that was acknowledged before the call, registry writes too. Nobody
    /// waits for it but the caller. What is kept in memory only (the options
    /// `registry_persistent` and `history`) is not in the copy.
    ///
    /// # Errors
    ///
    /// ALREADY_EXISTS if anything is at `path`; UNAVAILABLE for a database in
    /// memory, a full disk; the codes of an open for what is wrong with the
    /// path. Nothing is left at `path` then.
    pub fn backup(&self, path: &[u8]) -> Result<(), Error> {
        self.handle.guard.check()?;
        self.handle.instance.backup(path)
    }

    /// Figures of the database, as a map.
    ///
    /// # Errors
    ///
    /// A closed handle.
    pub fn stats(&self) -> Result<Value, Error> {
        self.stats_with(None)
    }

    /// As [`Database::stats`]; with `seen`, that is the number of entries that
    /// is told.
    pub(crate) fn stats_with(&self, seen: Option<u64>) -> Result<Value, Error> {
        self.handle.guard.check()?;
        let engine = self.handle.instance.engine();
        let figures = engine.figures();
        // Entries that cannot be read do not keep the other figures back.
        let entries = self.entries().and_then(|entries| Ok(entries.figures()?)).ok();
        let mut out = Vec::new();
        let start = begin_map(&mut out);
        let mut len = 0;
        let mut field = |name: &str, put: &mut dyn FnMut(&mut Vec<u8>)| {
            put_string(&mut out, name.as_bytes());
            put(&mut out);
            len += 1;
        };
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let registry_keys = figures.registry_keys as u64;
        let store_keys = figures.store_keys as u64;
        let mut int = |name: &str, value: i64| field(name, &mut |out| put_int(out, value));
        int("keys", count(registry_keys + store_keys));
        int("registry_keys", count(registry_keys));
        int("store_keys", count(store_keys));
        int("bytes", count(figures.bytes as u64));
        int("dirty_keys", count(figures.unwritten_keys as u64));
        int("unwritten_keys", count(figures.unwritten_keys as u64));
        int("unwritten_ms", count(figures.unwritten_ms));
        int("stalls", count(figures.stalls));
        int("commits", count(figures.commits));
        int("log_rows", count(figures.log_rows));
        int("log_bytes", count(figures.log_bytes));
        let nil_if_never = |out: &mut Vec<u8>| match figures.last_flush {
            0 => put_nil(out),
            time => put_int(out, time),
        };
        if let Some(entries) = entries {
            int("entries", count(seen.unwrap_or(entries.entries)));
            int("head", count(entries.head));
            if let Some(versions) = entries.versions {
                int("versions", count(versions));
            }
            int("oldest_pinned_version", count(entries.oldest_pinned_version));
        }
        field("last_flush", &mut |out| nil_if_never(out));
        field("last_error", &mut |out| match &figures.last_error {
            Some(error) => put_string(out, error.as_bytes()),
            None => put_nil(out),
        });
        field("path", &mut |out| put_string(out, self.handle.instance.path_bytes()));
        field("read_only", &mut |out| put_bool(out, self.handle.instance.is_read_only()));
        field("sqlite", &mut |out| {
            put_string(out, crate::platform::sqlite::version().as_bytes());
        });
        end_map(&mut out, start, len);
        Ok(Value::from_canonical(&out))
    }

    /// Sends log lines to `hook` from now on; `None`: nowhere. Holds for all
    /// handles of the file.
    ///
    /// # Errors
    ///
    /// A closed handle.
    pub fn set_log(&self, hook: Option<Arc<LogFn>>) -> Result<(), Error> {
        self.handle.guard.check()?;
        self.handle.instance.engine().set_log(hook);
        Ok(())
    }
}
