//! The handle: one registry, one namespace of the store, or its raw keys.

use std::sync::{Arc, OnceLock};

use super::batch::Batch;
use super::commit::Job;
use super::edit::{self, Edit, Outcome, check_size, copy};
use super::engine::Engine;
use super::space::{Namespace, Spaces, collect_names};
use super::{KvError, key};
use crate::guard::Guard;
use crate::platform::cells::Found;
use crate::platform::clock;
use crate::sorting;
use crate::value::{Number, Stamp, Value};

/// Which keys a handle reaches.
#[derive(Clone)]
enum Scope {
    Registry,
    /// Those of one ident.
    Namespace(Ident),
    /// Names as they stand in the file.
    Global,
}

/// A namespace by its prefix; found once, when it is there.
#[derive(Clone)]
struct Ident {
    /// `ident:`, escaped.
    prefix: Box<[u8]>,
    /// While a handle has it, it stays in its place (`Spaces`).
    found: OnceLock<Arc<Namespace>>,
}

impl Ident {
    fn find(&self, spaces: &Spaces) -> Option<&Namespace> {
        if let Some(found) = self.found.get() {
            return Some(found);
        }
        let found = spaces.find(&self.prefix)?;
        Some(self.found.get_or_init(|| found))
    }

    fn get(&self, spaces: &Spaces) -> Arc<Namespace> {
        Arc::clone(self.found.get_or_init(|| spaces.namespace(&self.prefix)))
    }
}

/// Key-value state: the registry, or the store of one ident, or the store's
/// raw keys.
///
/// Reads look into memory and wait for no disk. Writes to the registry return
/// when memory holds them, writes to the store when the disk does.
///
/// Threads: any. Cloning is cheap and gives another reference to the same
/// handle.
#[derive(Clone)]
pub struct Kv {
    engine: Arc<Engine>,
    guard: Arc<Guard>,
    scope: Scope,
}

/// A walk over keys in their order, as they were when it began.
pub struct Walk {
    kv: Kv,
    keys: std::vec::IntoIter<Box<[u8]>>,
}

impl Kv {
    pub(crate) fn registry(engine: Arc<Engine>, guard: Arc<Guard>) -> Self {
        Self { engine, guard, scope: Scope::Registry }
    }

    pub(crate) fn global(engine: Arc<Engine>, guard: Arc<Guard>) -> Self {
        Self { engine, guard, scope: Scope::Global }
    }

    pub(crate) fn store(
        engine: Arc<Engine>,
        guard: Arc<Guard>,
        ident: &[u8],
    ) -> Result<Self, KvError> {
        let ident = Ident { prefix: key::prefix_of(ident)?, found: OnceLock::new() };
        Ok(Self { engine, guard, scope: Scope::Namespace(ident) })
    }

    /// Fails if the handle is closed, or was made before a fork.
    ///
    /// # Errors
    ///
    /// [`KvError::Unusable`].
    pub fn check(&self) -> Result<(), KvError> {
        Ok(self.guard.check()?)
    }

    /// Whether this process is a child of the one that made the handle.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        self.guard.is_forked()
    }

    /// Largest value in bytes of MessagePack.
    #[must_use]
    pub fn value_limit(&self) -> usize {
        self.engine.settings.value_limit
    }

    /// Calls `read` with the value of `key`, and gives what it gives; `None`
    /// if the key is missing or expired.
    ///
    /// While `read` runs nothing that this thread could see is freed: it copies
    /// what it wants and returns.
    ///
    /// # Errors
    ///
    /// A bad key, a closed or inherited handle, or the file, when another
    /// process has written and its rows cannot be read.
    #[inline(always)]
    pub fn read<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(&Value) -> R,
    ) -> Result<Option<R>, KvError> {
        if !(self.guard.is_open() && key::is_allowed(key) && self.engine.news.are_known()) {
            self.prepare_to_read(key)?;
        }
        let found = self.look_up(key, read);
        if found.is_none() {
            // It may be missing because the handle was closed meanwhile.
            self.guard.check()?;
        }
        Ok(found)
    }

    #[cold]
    fn prepare_to_read(&self, key: &[u8]) -> Result<(), KvError> {
        self.guard.check()?;
        key::check(key)?;
        self.engine.follow()
    }

    #[inline(always)]
    fn look_up<R>(&self, key: &[u8], read: impl FnOnce(&Value) -> R) -> Option<R> {
        // Read in one place, which is a part of whoever calls this then.
        let found = match &self.scope {
            Scope::Registry => self.engine.spaces.registry.get(key)?,
            Scope::Namespace(_) | Scope::Global => self.look_up_in_store(key)?,
        };
        Some(read(&found))
    }

    #[inline(never)]
    fn look_up_value(&self, key: &[u8]) -> Option<Value> {
        self.look_up(key, Value::clone)
    }

    #[inline(never)]
    fn look_up_in_store(&self, key: &[u8]) -> Option<Found<Value>> {
        let spaces = &self.engine.spaces;
        if let Scope::Namespace(ident) = &self.scope {
            return ident.find(spaces)?.table.get(key);
        }
        let (prefix, key) = key::split(key);
        spaces.find(prefix)?.table.get(key)
    }

    /// The value of `key`, sharing the stored bytes.
    ///
    /// # Errors
    ///
    /// As [`Kv::read`].
    #[inline(never)]
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, KvError> {
        self.read(key, Value::clone)
    }

    /// Stores canonical bytes, which are copied. The time to live is in
    /// milliseconds; without one the key does not expire.
    ///
    /// # Errors
    ///
    /// A bad key, a value over the limit, a time to live that is not positive,
    /// the memory limit, a closed or read-only handle, or the file.
    #[inline(always)]
    pub fn put(&self, key: &[u8], value: &[u8], ttl_ms: Option<i64>) -> Result<(), KvError> {
        match ttl_ms {
            None => self.put_until(key, value, None),
            Some(ttl_ms) => self.put_for(key, value, ttl_ms),
        }
    }

    #[inline(never)]
    fn put_for(&self, key: &[u8], value: &[u8], ttl_ms: i64) -> Result<(), KvError> {
        self.put_until(key, value, Some(ttl_ms))?;
        self.expect_expiry(ttl_ms);
        Ok(())
    }

    #[inline(always)]
    fn put_until(&self, key: &[u8], value: &[u8], ttl_ms: Option<i64>) -> Result<(), KvError> {
        if !(self.guard.is_writable() && key::is_allowed(key) && value.len() <= self.value_limit())
        {
            self.prepare_to_put(key, value)?;
        }
        let now = clock::now_coarse();
        let stamp = edit::stamp_at(now, ttl_ms)?;
        if let Scope::Registry = self.scope {
            self.engine.put_registry(key, value, stamp, now)
        } else {
            self.put_in_store(key, value, stamp)
        }
    }

    #[cold]
    fn prepare_to_put(&self, key: &[u8], value: &[u8]) -> Result<(), KvError> {
        self.guard.check_write()?;
        key::check(key)?;
        check_size(value, self.value_limit())
    }

    #[inline(never)]
    fn put_in_store(&self, key: &[u8], value: &[u8], stamp: Stamp) -> Result<(), KvError> {
        let cell = edit::new_cell(self.inner_key(key), value, stamp)?;
        self.edit(key, Edit::Put(cell)).map(drop)
    }

    /// Deletes `key`; a missing one is no error.
    ///
    /// # Errors
    ///
    /// A bad key, a closed or read-only handle, or the file.
    pub fn delete(&self, key: &[u8]) -> Result<(), KvError> {
        self.write(key, Edit::Delete)?;
        Ok(())
    }

    /// Adds to a number atomically; a missing key counts as 0. An int and an
    /// int give an int, anything else a float. Keeps the time to live.
    ///
    /// # Errors
    ///
    /// [`KvError::NotANumber`], [`KvError::Overflow`], and those of
    /// [`Kv::put`].
    pub fn incr(&self, key: &[u8], by: Number) -> Result<Number, KvError> {
        self.add(key, by, false)
    }

    /// As [`Kv::incr`], for callers that can only be given an int: a stored
    /// float is an error.
    ///
    /// # Errors
    ///
    /// As [`Kv::incr`].
    pub fn incr_int(&self, key: &[u8], by: i64) -> Result<i64, KvError> {
        match self.add(key, Number::Int(by), true)? {
            Number::Int(value) => Ok(value),
            Number::Float(_) => Err(KvError::NotANumber { found: "float" }),
        }
    }

    fn add(&self, key: &[u8], by: Number, ints_only: bool) -> Result<Number, KvError> {
        match self.write(key, Edit::Incr { by, ints_only })? {
            Outcome::Number(sum) => Ok(sum),
            _ => Ok(by),
        }
    }

    /// Stores `value` if the present one equals `expected` (`None`: if the key
    /// is missing). Tells whether it did. Keeps the time to live.
    ///
    /// # Errors
    ///
    /// Those of [`Kv::put`].
    pub fn cas(&self, key: &[u8], expected: Option<&[u8]>, value: &[u8]) -> Result<bool, KvError> {
        check_size(value, self.value_limit())?;
        let expected = expected.map(copy).transpose()?;
        let edit = Edit::Cas { expected, new: Some(copy(value)?) };
        Ok(matches!(self.write(key, edit)?, Outcome::Stored(true)))
    }

    /// Deletes `key` if its value equals `expected`. Tells whether it did.
    ///
    /// # Errors
    ///
    /// Those of [`Kv::delete`].
    pub fn cas_delete(&self, key: &[u8], expected: &[u8]) -> Result<bool, KvError> {
        let edit = Edit::Cas { expected: Some(copy(expected)?), new: None };
        Ok(matches!(self.write(key, edit)?, Outcome::Stored(true)))
    }

    /// Stores `new` (`None`: deletes) if the key is still as `seen` was read
    /// (`None`: missing). Tells whether it did. Keeps the time to live.
    ///
    /// # Errors
    ///
    /// Those of [`Kv::put`].
    pub fn replace(
        &self,
        key: &[u8],
        seen: Option<&Value>,
        new: Option<&[u8]>,
    ) -> Result<bool, KvError> {
        if let Some(new) = new {
            check_size(new, self.value_limit())?;
        }
        let edit = Edit::Replace { seen: seen.cloned(), new: new.map(copy).transpose()? };
        Ok(matches!(self.write(key, edit)?, Outcome::Stored(true)))
    }

    /// The keys that start with `prefix`, sorted by their bytes.
    ///
    /// # Errors
    ///
    /// As [`Kv::read`].
    pub fn keys(&self, prefix: &[u8]) -> Result<Vec<Box<[u8]>>, KvError> {
        self.guard.check()?;
        self.engine.follow()?;
        let spaces = &self.engine.spaces;
        let mut names: Vec<Box<[u8]>> = Vec::new();
        match &self.scope {
            Scope::Registry => {
                spaces.registry.scan(prefix, |cell| names.push(cell.key().into()));
            }
            Scope::Namespace(ident) => {
                if let Some(namespace) = ident.find(spaces) {
                    collect_names(namespace, prefix, false, &mut names);
                }
            }
            Scope::Global => {
                for (namespace, rest) in spaces.reaching(prefix) {
                    collect_names(&namespace, &rest, true, &mut names);
                }
            }
        }
        self.guard.check()?;
        sorting::sort(&mut names);
        Ok(names)
    }

    /// How many keys start with `prefix`.
    ///
    /// # Errors
    ///
    /// As [`Kv::read`].
    pub fn count(&self, prefix: &[u8]) -> Result<u64, KvError> {
        self.guard.check()?;
        self.engine.follow()?;
        let spaces = &self.engine.spaces;
        let count = match &self.scope {
            Scope::Registry => spaces.registry.count(prefix),
            Scope::Namespace(ident) => {
                ident.find(spaces).map_or(0, |namespace| {
                    // As in a list, the raw key "ident:" is none of its keys.
                    let raw = prefix.is_empty() && namespace.table.get(b"").is_some();
                    namespace.table.count(prefix) - u64::from(raw)
                })
            }
            Scope::Global => {
                let reaching = spaces.reaching(prefix);
                reaching.iter().map(|(namespace, rest)| namespace.table.count(rest)).sum()
            }
        };
        self.guard.check()?;
        Ok(count)
    }

    /// Walks the keys that start with `prefix`, in their order. A key that is
    /// there during the whole walk is met once.
    ///
    /// # Errors
    ///
    /// As [`Kv::read`].
    pub fn walk(&self, prefix: &[u8]) -> Result<Walk, KvError> {
        let keys = self.keys(prefix)?.into_iter();
        Ok(Walk { kv: self.clone(), keys })
    }

    /// Deletes every key that starts with `prefix`, at once; tells how many.
    ///
    /// # Errors
    ///
    /// Those of [`Kv::delete`].
    pub fn delete_prefix(&self, prefix: &[u8]) -> Result<u64, KvError> {
        self.guard.check_write()?;
        self.clear(prefix, None)
    }

    /// Deletes what has not been written for `seconds`; tells how many.
    ///
    /// # Errors
    ///
    /// [`KvError::Age`], and those of [`Kv::delete`].
    pub fn purge(&self, seconds: f64) -> Result<u64, KvError> {
        self.guard.check_write()?;
        if seconds.is_nan() || seconds < 0.0 {
            return Err(KvError::Age);
        }
        // Timestamps are whole seconds: only what is older by more than the
        // difference is surely that old. Everything is 0 seconds old.
        let age = seconds.ceil().min(1e15) as i64;
        let before = clock::now_seconds().saturating_sub(age);
        self.clear(&[], Some(if age == 0 { i64::MAX } else { before }))
    }

    /// Does all writes of `batch`, or none; one sync.
    ///
    /// # Errors
    ///
    /// Those of [`Kv::put`]; then nothing was written.
    pub fn commit(&self, batch: &Batch) -> Result<(), KvError> {
        self.guard.check_write()?;
        if batch.is_empty() {
            return Ok(());
        }
        match self.scope {
            Scope::Registry => {
                let edits =
                    batch.edits(|key| key).map(|it| it.map(|(key, edit)| (key.into(), edit)));
                self.engine.edit_registry_batch(edits.collect::<Result<_, _>>()?)?;
            }
            Scope::Namespace(_) | Scope::Global => {
                let edits = batch.edits(|key| self.inner_key(key)).map(|it| {
                    let (key, edit) = it?;
                    let (namespace, key) = self.place(key);
                    Ok((namespace, key.into(), edit))
                });
                self.submit(Job::Batch(edits.collect::<Result<_, KvError>>()?))?;
            }
        }
        if let Some(at) = batch.first_expiry() {
            self.engine.background.expect_expiry(&self.engine, at);
        }
        Ok(())
    }

    /// Returns when every write before it is in the file.
    ///
    /// # Errors
    ///
    /// A closed handle, or the file.
    pub fn flush(&self) -> Result<(), KvError> {
        self.guard.check()?;
        self.engine.flush_for_sure()
    }

    fn write(&self, key: &[u8], edit: Edit) -> Result<Outcome, KvError> {
        self.guard.check_write()?;
        key::check(key)?;
        self.edit(key, edit)
    }

    #[inline]
    fn edit(&self, key: &[u8], edit: Edit) -> Result<Outcome, KvError> {
        if let Scope::Registry = self.scope {
            return self.engine.edit_registry(key, edit);
        }
        let (namespace, key) = self.place(key);
        self.submit(Job::Edit { namespace, key: key.into(), edit })
    }

    /// What of a key stands in the table it lives in.
    fn inner_key<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        match &self.scope {
            Scope::Global => key::split(key).1,
            Scope::Registry | Scope::Namespace(_) => key,
        }
    }

    /// Where a key of the store lives.
    fn place<'k>(&self, key: &'k [u8]) -> (Arc<Namespace>, &'k [u8]) {
        match &self.scope {
            Scope::Namespace(ident) => (ident.get(&self.engine.spaces), key),
            Scope::Registry | Scope::Global => {
                let (prefix, key) = key::split(key);
                (self.engine.spaces.namespace(prefix), key)
            }
        }
    }

    fn clear(&self, prefix: &[u8], before: Option<i64>) -> Result<u64, KvError> {
        let targets = match &self.scope {
            Scope::Registry => return self.engine.clear_registry(prefix, before),
            Scope::Namespace(ident) => vec![(ident.get(&self.engine.spaces), prefix.into())],
            Scope::Global => self.engine.spaces.reaching(prefix),
        };
        match self.submit(Job::Clear { targets, before })? {
            Outcome::Count(gone) => Ok(gone),
            _ => Ok(0),
        }
    }

    /// A write of the store.
    fn submit(&self, job: Job) -> Result<Outcome, KvError> {
        let outcome = self.engine.submit(job)?;
        // Somebody has to look after the file.
        self.engine.wake_writer();
        Ok(outcome)
    }

    fn expect_expiry(&self, ttl_ms: i64) {
        let at = clock::now_millis().saturating_add(ttl_ms);
        self.engine.background.expect_expiry(&self.engine, at);
    }
}

impl Iterator for Walk {
    type Item = Result<(Box<[u8]>, Value), KvError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = self.keys.next()?;
            if let Err(error) = self.kv.check().and_then(|()| self.kv.engine.follow()) {
                return Some(Err(error));
            }
            // Whatever stands in a list is walked, whether or not a key of
            // that length could be asked for by name. None: it was deleted
            // since the walk began.
            if let Some(value) = self.kv.look_up_value(&key) {
                return Some(Ok((key, value)));
            }
            if let Err(error) = self.kv.guard.check() {
                return Some(Err(error.into()));
            }
        }
    }
}
