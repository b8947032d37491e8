//! Calls of the C functions in any order, with right and wrong arguments, and
//! handles freed in any order; against a model of what the right ones do.
//!
//! SAFETY, of each call: its pointers are to places and texts of the caller's,
//! and its handles are live, as the model knows, or NULL.
#![allow(clippy::undocumented_unsafe_blocks, reason = "said once, above")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

use super::bytes::Bytes;
use super::tree::Tree;

/// The functions as C sees them; handles are pointers to anything.
mod c {
    use std::ffi::{c_char, c_void};

    pub type Handle = *mut c_void;
    pub type Err = *mut Handle;

    unsafe extern "C" {
        pub fn acervo_error_code(error: Handle) -> i32;
        pub fn acervo_error_message(error: Handle, out_len: *mut usize) -> *const c_char;
        pub fn acervo_error_free(error: Handle);
        pub fn acervo_value_from_msgpack(
            b: *const u8,
            len: usize,
            out: *mut Handle,
            err: Err,
        ) -> i32;
        pub fn acervo_value_msgpack(
            value: Handle,
            out: *mut *const u8,
            out_len: *mut usize,
            err: Err,
        ) -> i32;
        pub fn acervo_value_array(
            items: *const Handle,
            n: usize,
            out: *mut Handle,
            err: Err,
        ) -> i32;
        pub fn acervo_value_at(array: Handle, index: usize, out: *mut Handle, err: Err) -> i32;
        pub fn acervo_value_retain(value: Handle) -> Handle;
        pub fn acervo_value_free(value: Handle);
        pub fn acervo_open(
            path: *const c_char,
            len: usize,
            options: Handle,
            out: *mut Handle,
            err: Err,
        ) -> i32;
        pub fn acervo_retain(db: Handle) -> Handle;
        pub fn acervo_free(db: Handle);
        pub fn acervo_close(db: Handle, err: Err) -> i32;
        pub fn acervo_flush(db: Handle, err: Err) -> i32;
        pub fn acervo_kv_registry(db: Handle, out: *mut Handle, err: Err) -> i32;
        pub fn acervo_kv_store(
            db: Handle,
            ident: *const c_char,
            len: usize,
            out: *mut Handle,
            err: Err,
        ) -> i32;
        pub fn acervo_kv_free(kv: Handle);
        pub fn acervo_kv_put(
            kv: Handle,
            key: *const c_char,
            len: usize,
            value: Handle,
            err: Err,
        ) -> i32;
        pub fn acervo_kv_get(
            kv: Handle,
            key: *const c_char,
            len: usize,
            out: *mut Handle,
            time: *mut i64,
            err: Err,
        ) -> i32;
        pub fn acervo_kv_get_into(
            kv: Handle,
            key: *const c_char,
            len: usize,
            buf: *mut c_void,
            cap: usize,
            out_len: *mut usize,
            out_type: *mut i32,
            time: *mut i64,
            err: Err,
        ) -> i32;
        pub fn acervo_kv_delete(kv: Handle, key: *const c_char, len: usize, err: Err) -> i32;
        pub fn acervo_kv_incr(
            kv: Handle,
            key: *const c_char,
            len: usize,
            by: i64,
            out: *mut i64,
            err: Err,
        ) -> i32;
        pub fn acervo_kv_cas(
            kv: Handle,
            key: *const c_char,
            len: usize,
            expected: Handle,
            value: Handle,
            out: *mut bool,
            err: Err,
        ) -> i32;
        pub fn acervo_kv_count(
            kv: Handle,
            p: *const c_char,
            len: usize,
            out: *mut u64,
            err: Err,
        ) -> i32;
        pub fn acervo_kv_delete_prefix(
            kv: Handle,
            prefix: *const c_char,
            len: usize,
            out: *mut u64,
            err: Err,
        ) -> i32;
        pub fn acervo_batch_new(kv: Handle) -> Handle;
        pub fn acervo_batch_put(
            batch: Handle,
            key: *const c_char,
            len: usize,
            value: Handle,
            err: Err,
        ) -> i32;
        pub fn acervo_batch_delete(batch: Handle, key: *const c_char, len: usize, err: Err) -> i32;
        pub fn acervo_batch_commit(batch: Handle, err: Err) -> i32;
        pub fn acervo_batch_free(batch: Handle);
        pub fn acervo_entry_new(
            id: *const c_char,
            id_len: usize,
            kind: *const c_char,
            kind_len: usize,
            meta: Handle,
            data: Handle,
            out: *mut Handle,
            err: Err,
        ) -> i32;
        pub fn acervo_entry_data(entry: Handle) -> Handle;
        pub fn acervo_entry_retain(entry: Handle) -> Handle;
        pub fn acervo_entry_free(entry: Handle);
        pub fn acervo_entries_len(entries: Handle) -> usize;
        pub fn acervo_entries_at(entries: Handle, index: usize) -> Handle;
        pub fn acervo_entries_free(entries: Handle);
        pub fn acervo_snapshot_current(db: Handle, out: *mut Handle, err: Err) -> i32;
        pub fn acervo_snapshot_at(db: Handle, version: u64, out: *mut Handle, err: Err) -> i32;
        pub fn acervo_snapshot_version(snapshot: Handle) -> u64;
        pub fn acervo_snapshot_len(snapshot: Handle) -> usize;
        pub fn acervo_snapshot_get(
            snapshot: Handle,
            id: *const c_char,
            len: usize,
            out: *mut Handle,
            err: Err,
        ) -> i32;
        pub fn acervo_snapshot_entries(snapshot: Handle, out: *mut Handle, err: Err) -> i32;
        pub fn acervo_snapshot_free(snapshot: Handle);
        pub fn acervo_changes_new(base: Handle) -> Handle;
        pub fn acervo_changes_create(changes: Handle, entry: Handle, err: Err) -> i32;
        pub fn acervo_changes_update(changes: Handle, entry: Handle, err: Err) -> i32;
        pub fn acervo_changes_delete(
            changes: Handle,
            id: *const c_char,
            len: usize,
            err: Err,
        ) -> i32;
        pub fn acervo_changes_apply(changes: Handle, out: *mut u64, err: Err) -> i32;
        pub fn acervo_changes_free(changes: Handle);
        pub fn acervo_apply_version(db: Handle, version: u64, err: Err) -> i32;
        pub fn acervo_prune(db: Handle, version: u64, err: Err) -> i32;
        pub fn acervo_events(db: Handle, capacity: u32, out: *mut Handle, err: Err) -> i32;
        pub fn acervo_feed_next(feed: Handle, timeout_ms: i64, out: *mut Handle, err: Err) -> i32;
        pub fn acervo_feed_free(feed: Handle);
        pub fn acervo_on(
            db: Handle,
            pattern: *const c_char,
            len: usize,
            flags: u32,
            function: Option<unsafe extern "C" fn(*mut c_void, Handle) -> i32>,
            userdata: *mut c_void,
            destroy: Option<unsafe extern "C" fn(*mut c_void)>,
            out: *mut Handle,
            err: Err,
        ) -> i32;
        pub fn acervo_subscription_cancel(subscription: Handle);
    }
}

use c::Handle;

const OK: i32 = 0;
const INVALID: i32 = -1;
const NOT_FOUND: i32 = -2;
const EXISTS: i32 = -3;
const INTERNAL: i32 = -6;
const TIMEOUT: i32 = -9;
const TOO_SMALL: i32 = -14;

/// What a database holds, by the model.
#[derive(Default)]
struct Database {
    handle: usize,
    is_closed: bool,
    /// The registry, and the store of one ident.
    keys: [BTreeMap<Vec<u8>, Vec<u8>>; 2],
    /// What was stored, as it is: nothing shares it.
    entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    versions: BTreeMap<u64, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    head: u64,
    last: u64,
}

enum Edit {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
}

enum Change {
    Create(Vec<u8>, Option<Vec<u8>>),
    Update(Vec<u8>, Option<Vec<u8>>),
    Delete(Vec<u8>),
}

/// What a handle is, with what is known of it.
enum Thing {
    Value(Vec<u8>),
    Kv(usize, usize),
    Batch(usize, usize, Vec<Edit>),
    Entry(Vec<u8>, Option<Vec<u8>>),
    Snapshot(usize, u64, BTreeMap<Vec<u8>, Option<Vec<u8>>>),
    Entries,
    Changes(usize, Vec<Change>, bool),
    Feed,
    Subscription,
}

#[derive(Default)]
struct Host {
    databases: Vec<Database>,
    things: Vec<(Handle, Thing)>,
}

/// Handlers whose data is still to be destroyed.
static ALIVE: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

unsafe extern "C" fn destroyed(_: *mut c_void) {
    ALIVE.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn accept(_: *mut c_void, _: Handle) -> i32 {
    0
}

/// Calls a function with a place for its error, and checks that it fits.
fn call(what: &str, function: impl FnOnce(c::Err) -> i32) -> i32 {
    let mut error: Handle = null_mut();
    let code = function(&raw mut error);
    assert!((-14..=0).contains(&code) && code != -12, "{what} gave {code}");
    // SAFETY: NULL or an error that the call gave, which is freed once.
    unsafe {
        if code == OK {
            assert!(error.is_null(), "{what}: success with an error");
        } else if !error.is_null() {
            assert_eq!(c::acervo_error_code(error), code, "{what}");
            assert!(!c::acervo_error_message(error, null_mut()).is_null());
        }
        c::acervo_error_free(error);
    }
    code
}

pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let mut host = Host::default();
    host.open();
    for _ in 0..400 {
        if bytes.is_empty() {
            break;
        }
        host.step(&mut bytes);
    }
    host.end(&mut bytes);
}

const KEYS: [&str; 5] = ["a", "ab", "b", "a\0b", "é"];
const IDS: [&str; 4] = ["a:x", "a:y", ":x", "b:x"];

/// Pointer and length of a text; at times a wrong one, and whether it is.
fn text(bytes: &mut Bytes<'_>, from: &[&'static str]) -> (*const i8, usize, Vec<u8>, bool) {
    let text = bytes.pick(from);
    let start: *const i8 = text.as_ptr().cast();
    match bytes.below(24) {
        21 => (null(), 1 + bytes.below(3), text.into(), true),
        22 => (null(), usize::MAX, text.into(), true),
        23 => (start, isize::MAX as usize + 1 + bytes.below(9), text.into(), true),
        _ => (start, text.len(), text.into(), false),
    }
}

impl Host {
    fn open(&mut self) {
        let mut handle = null_mut();
        let path = c":memory:".as_ptr();
        // SAFETY: a text and places for the results.
        let code = call("open", |err| unsafe {
            c::acervo_open(path, usize::MAX, null_mut(), &raw mut handle, err)
        });
        assert_eq!(code, OK);
        let versions = BTreeMap::from([(0, BTreeMap::new())]);
        let database = Database { handle: handle as usize, versions, ..Database::default() };
        self.databases.push(database);
    }

    fn add(&mut self, handle: Handle, thing: Thing) {
        assert!(!handle.is_null());
        self.things.push((handle, thing));
    }

    /// One that `wanted` takes, and its place; NULL at times.
    fn find(&self, bytes: &mut Bytes<'_>, wanted: fn(&Thing) -> bool) -> Option<usize> {
        let places: Vec<usize> =
            (0..self.things.len()).filter(|&place| wanted(&self.things[place].1)).collect();
        if places.is_empty() || bytes.one_in(24) {
            return None;
        }
        Some(places[bytes.below(places.len().min(256))])
    }

    fn handle(&self, place: Option<usize>) -> Handle {
        place.map_or(null_mut(), |place| self.things[place].0)
    }

    fn value(&self, bytes: &mut Bytes<'_>) -> (Handle, Option<Vec<u8>>) {
        let place = self.find(bytes, |it| matches!(it, Thing::Value(_)));
        let held = place.and_then(|place| match &self.things[place].1 {
            Thing::Value(held) => Some(held.clone()),
            _ => None,
        });
        (self.handle(place), held)
    }

    fn database(&self, bytes: &mut Bytes<'_>) -> (usize, Handle) {
        let place = bytes.below(self.databases.len());
        (place, self.databases[place].handle as Handle)
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(20) {
            0 | 1 => self.make_value(bytes),
            2 => self.make_kv(bytes),
            3 | 4 => self.put_or_delete(bytes),
            5 | 6 => self.get(bytes),
            7 => self.incr_or_cas(bytes),
            8 => self.count(bytes),
            9 | 10 => self.batch(bytes),
            11 => self.make_entry(bytes),
            12 => self.snapshot(bytes),
            13 => self.read_snapshot(bytes),
            14 | 15 => self.change(bytes),
            16 => self.apply(bytes),
            17 => self.feed_or_handler(bytes),
            18 => self.free(bytes),
            _ => self.database_call(bytes),
        }
    }

    fn make_value(&mut self, bytes: &mut Bytes<'_>) {
        let mut out = null_mut();
        let tree = Tree::any(bytes, 2);
        let encoded = tree.write();
        // SAFETY: bytes and places, here and below; handles are live or NULL.
        let code = call("from_msgpack", |err| unsafe {
            c::acervo_value_from_msgpack(encoded.as_ptr(), encoded.len(), &raw mut out, err)
        });
        assert_eq!(code, OK, "{tree:?}");
        self.add(out, Thing::Value(encoded));
        if bytes.one_in(4) {
            let (value, held) = self.value(bytes);
            let mut array = null_mut();
            let items = [out, value];
            let code = call("array", |err| unsafe {
                c::acervo_value_array(items.as_ptr(), 2, &raw mut array, err)
            });
            let Some(held) = held else { return assert_eq!((code, array), (INVALID, null_mut())) };
            assert_eq!(code, OK);
            let both = Tree::Array(vec![tree, Tree::read(&held).unwrap()]);
            self.add(array, Thing::Value(both.write()));
            let (mut element, index) = (null_mut(), bytes.below(4));
            let code = call("at", |err| unsafe {
                c::acervo_value_at(array, index, &raw mut element, err)
            });
            assert_eq!(code, if index < 2 { OK } else { NOT_FOUND });
            assert_eq!(element.is_null(), index >= 2);
            unsafe { c::acervo_value_free(element) };
        }
    }

    fn make_kv(&mut self, bytes: &mut Bytes<'_>) {
        let (place, db) = self.database(bytes);
        let which = bytes.below(2);
        let mut out = null_mut();
        let code = call("kv", |err| unsafe {
            match which {
                0 => c::acervo_kv_registry(db, &raw mut out, err),
                _ => c::acervo_kv_store(db, c"me".as_ptr(), usize::MAX, &raw mut out, err),
            }
        });
        match self.databases[place].is_closed {
            true => assert_eq!((code, out), (INTERNAL, null_mut())),
            false => {
                assert_eq!(code, OK);
                self.add(out, Thing::Kv(place, which));
            }
        }
    }

    /// A kv handle; its database and which of the two it is, if it is open.
    fn kv(&self, bytes: &mut Bytes<'_>) -> (Handle, Result<(usize, usize), i32>) {
        let place = self.find(bytes, |it| matches!(it, Thing::Kv(..)));
        let known = match place.map(|place| &self.things[place].1) {
            Some(&Thing::Kv(database, _)) if self.databases[database].is_closed => Err(INTERNAL),
            Some(&Thing::Kv(database, which)) => Ok((database, which)),
            _ => Err(INVALID),
        };
        (self.handle(place), known)
    }

    fn put_or_delete(&mut self, bytes: &mut Bytes<'_>) {
        let (kv, known) = self.kv(bytes);
        let (key, len, name, is_wrong) = text(bytes, &KEYS);
        let (value, held) = self.value(bytes);
        let puts = !bytes.one_in(3);
        let code = call("put or delete", |err| unsafe {
            match puts {
                true => c::acervo_kv_put(kv, key, len, value, err),
                false => c::acervo_kv_delete(kv, key, len, err),
            }
        });
        match (known, held) {
            (Ok((database, which)), held) if !is_wrong && (held.is_some() || !puts) => {
                assert_eq!(code, OK);
                let keys = &mut self.databases[database].keys[which];
                match (puts, held) {
                    (true, Some(held)) => keys.insert(name, held),
                    _ => keys.remove(&name),
                };
            }
            (Err(INTERNAL), _) => assert!([INTERNAL, INVALID].contains(&code)),
            _ => assert_eq!(code, INVALID),
        }
    }

    fn get(&mut self, bytes: &mut Bytes<'_>) {
        let (kv, known) = self.kv(bytes);
        let (key, len, name, is_wrong) = text(bytes, &KEYS);
        let (mut value, mut time) = (null_mut(), -1);
        let code = call("get", |err| unsafe {
            c::acervo_kv_get(kv, key, len, &raw mut value, &raw mut time, err)
        });
        let Ok((database, which)) = known else {
            assert!([INTERNAL, INVALID].contains(&code) && value.is_null() && time == 0);
            return;
        };
        if is_wrong {
            return assert_eq!((code, value, time), (INVALID, null_mut(), 0));
        }
        let expected = self.databases[database].keys[which].get(&name).cloned();
        let Some(expected) = expected else {
            return assert_eq!((code, value, time), (NOT_FOUND, null_mut(), 0));
        };
        assert_eq!(code, OK);
        assert!(time > 0);
        assert_eq!(content(value), expected);
        self.read_into(kv, &name, &expected, bytes.below(16));
        self.add(value, Thing::Value(expected));
    }

    fn read_into(&self, kv: Handle, name: &[u8], expected: &[u8], cap: usize) {
        let (mut len, mut kind, mut buffer) = (77, 77, [0xa5_u8; 16]);
        let code = call("get_into", |err| unsafe {
            c::acervo_kv_get_into(
                kv,
                name.as_ptr().cast(),
                name.len(),
                buffer.as_mut_ptr().cast(),
                cap,
                &raw mut len,
                &raw mut kind,
                null_mut(),
                err,
            )
        });
        let plain = match Tree::read(expected).unwrap() {
            Tree::Nil => Vec::new(),
            Tree::Bool(value) => vec![u8::from(value)],
            Tree::Int(value) => value.to_ne_bytes().to_vec(),
            Tree::Float(value) => value.to_ne_bytes().to_vec(),
            Tree::String(text) => text,
            Tree::Array(_) | Tree::Map(_) => expected.to_vec(),
        };
        assert_eq!(len, plain.len());
        assert!(buffer[cap.min(16)..].iter().all(|&byte| byte == 0xa5), "beyond the buffer");
        if plain.len() > cap {
            return assert_eq!((code, kind), (TOO_SMALL, 0));
        }
        assert_eq!(code, OK);
        assert_eq!(buffer[..len], plain);
    }

    fn incr_or_cas(&mut self, bytes: &mut Bytes<'_>) {
        let (kv, known) = self.kv(bytes);
        let key = bytes.pick(&KEYS);
        let (start, len) = (key.as_ptr().cast(), key.len());
        let current = match known {
            Ok((database, which)) => {
                self.databases[database].keys[which].get(key.as_bytes()).cloned()
            }
            Err(_) => None,
        };
        let mut set = None;
        if bytes.one_in(2) {
            let by = bytes.pick(&[1, -1, i64::MAX, i64::MIN, 0]);
            let mut out = 77;
            let code = call("incr", |err| unsafe {
                c::acervo_kv_incr(kv, start, len, by, &raw mut out, err)
            });
            let sum = match current.as_deref().map(Tree::read) {
                None => Some(by),
                Some(Some(Tree::Int(value))) => value.checked_add(by),
                _ => None,
            };
            match (known, sum) {
                (Err(expected), _) => assert_eq!((code, out), (expected, 0)),
                (Ok(_), None) => assert_eq!((code, out), (INVALID, 0)),
                (Ok(_), Some(sum)) => {
                    assert_eq!((code, out), (OK, sum));
                    set = Some(Tree::Int(sum).write());
                }
            }
        } else {
            let (value, held) = self.value(bytes);
            let (expected, wanted) = self.value(bytes);
            let mut stored = true;
            let code = call("cas", |err| unsafe {
                c::acervo_kv_cas(kv, start, len, expected, value, &raw mut stored, err)
            });
            let is_same = match (&current, &wanted) {
                (None, None) => true,
                (Some(current), Some(wanted)) => {
                    Tree::read(current).unwrap().is_same(&Tree::read(wanted).unwrap())
                }
                _ => false,
            };
            match (known, held) {
                (Ok(_), Some(held)) => {
                    assert_eq!((code, stored), (OK, is_same));
                    set = is_same.then_some(held);
                }
                (Err(INTERNAL), Some(_)) => assert_eq!((code, stored), (INTERNAL, false)),
                _ => assert_eq!((code, stored), (INVALID, false)),
            }
        }
        if let (Ok((database, which)), Some(set)) = (known, set) {
            self.databases[database].keys[which].insert(key.into(), set);
        }
    }

    fn count(&mut self, bytes: &mut Bytes<'_>) {
        let (kv, known) = self.kv(bytes);
        let (prefix, len, name, is_wrong) = text(bytes, &["", "a", "ab", "é", "c"]);
        let deletes = bytes.one_in(3);
        let mut out = 77;
        let code = call("count", |err| unsafe {
            match deletes {
                true => c::acervo_kv_delete_prefix(kv, prefix, len, &raw mut out, err),
                false => c::acervo_kv_count(kv, prefix, len, &raw mut out, err),
            }
        });
        match known {
            Ok((database, which)) if !is_wrong => {
                let keys = &mut self.databases[database].keys[which];
                let there = keys.keys().filter(|key| key.starts_with(&name)).count() as u64;
                assert_eq!((code, out), (OK, there));
                if deletes {
                    keys.retain(|key, _| !key.starts_with(&name));
                }
            }
            Err(INTERNAL) => assert!([INTERNAL, INVALID].contains(&code) && out == 0),
            _ => assert_eq!((code, out), (INVALID, 0)),
        }
    }

    fn batch(&mut self, bytes: &mut Bytes<'_>) {
        let place = self.find(bytes, |it| matches!(it, Thing::Batch(..)));
        let Some(place) = place else {
            let (kv, known) = self.kv(bytes);
            let batch = unsafe { c::acervo_batch_new(kv) };
            match (known, self.things.iter().find(|thing| thing.0 == kv)) {
                (_, Some(&(_, Thing::Kv(database, which)))) if !kv.is_null() => {
                    self.add(batch, Thing::Batch(database, which, Vec::new()));
                }
                _ => assert!(batch.is_null()),
            }
            return;
        };
        let (batch, Thing::Batch(database, which, _)) = &self.things[place] else { return };
        let (batch, database, which) = (*batch, *database, *which);
        let is_closed = self.databases[database].is_closed;
        let (key, len, name, is_wrong) = text(bytes, &KEYS);
        let (value, held) = self.value(bytes);
        let action = bytes.below(4);
        let code = call("batch", |err| unsafe {
            match action {
                0 => c::acervo_batch_commit(batch, err),
                1 => c::acervo_batch_delete(batch, key, len, err),
                _ => c::acervo_batch_put(batch, key, len, value, err),
            }
        });
        if is_closed {
            return assert_eq!(code, INTERNAL);
        }
        let Thing::Batch(_, _, edits) = &mut self.things[place].1 else { return };
        match (action, held) {
            (0, _) => {
                assert_eq!(code, OK);
                let keys = &mut self.databases[database].keys[which];
                for edit in edits.drain(..) {
                    match edit {
                        Edit::Put(key, value) => keys.insert(key, value),
                        Edit::Delete(key) => keys.remove(&key),
                    };
                }
            }
            (1, _) if !is_wrong => {
                assert_eq!(code, OK);
                edits.push(Edit::Delete(name));
            }
            (2.., Some(held)) if !is_wrong => {
                assert_eq!(code, OK);
                edits.push(Edit::Put(name, held));
            }
            _ => assert_eq!(code, INVALID),
        }
    }

    fn make_entry(&mut self, bytes: &mut Bytes<'_>) {
        let (id, len, name, is_wrong) = text(bytes, &IDS);
        let (data, held) = self.value(bytes);
        let mut out = null_mut();
        let code = call("entry", |err| unsafe {
            c::acervo_entry_new(
                id,
                len,
                c"test".as_ptr(),
                usize::MAX,
                null_mut(),
                data,
                &raw mut out,
                err,
            )
        });
        if is_wrong {
            return assert_eq!((code, out), (INVALID, null_mut()));
        }
        assert_eq!(code, OK);
        // Nil is absent.
        let held = held.filter(|held| held[..] != [0xc0]);
        assert_eq!(data_of(out), held);
        self.add(out, Thing::Entry(name, held));
    }

    fn snapshot(&mut self, bytes: &mut Bytes<'_>) {
        let (place, db) = self.database(bytes);
        let database = &self.databases[place];
        let mut out = null_mut();
        let version = match bytes.one_in(2) {
            true => None,
            false => Some(bytes.pick(&[0, 1, 2, 3, 7, u64::MAX])),
        };
        let code = call("snapshot", |err| unsafe {
            match version {
                None => c::acervo_snapshot_current(db, &raw mut out, err),
                Some(version) => c::acervo_snapshot_at(db, version, &raw mut out, err),
            }
        });
        let version = version.unwrap_or(database.head);
        let known = database.versions.get(&version).cloned();
        match known {
            _ if database.is_closed => assert!([INTERNAL, NOT_FOUND].contains(&code), "{code}"),
            Some(entries) => {
                assert_eq!(code, OK, "version {version}");
                self.add(out, Thing::Snapshot(place, version, entries));
            }
            None => assert_eq!((code, out), (NOT_FOUND, null_mut())),
        }
    }

    fn read_snapshot(&mut self, bytes: &mut Bytes<'_>) {
        let place = self.find(bytes, |it| matches!(it, Thing::Snapshot(..)));
        let snapshot = self.handle(place);
        let (id, len, name, is_wrong) = text(bytes, &IDS);
        let (mut entry, mut list) = (null_mut(), null_mut());
        let code = call("snapshot get", |err| unsafe {
            c::acervo_snapshot_get(snapshot, id, len, &raw mut entry, err)
        });
        let listed = call("snapshot entries", |err| unsafe {
            c::acervo_snapshot_entries(snapshot, &raw mut list, err)
        });
        let (number, count) =
            unsafe { (c::acervo_snapshot_version(snapshot), c::acervo_snapshot_len(snapshot)) };
        let Some(place) = place else {
            return assert_eq!((code, listed, number, count), (INVALID, INVALID, 0, 0));
        };
        let Thing::Snapshot(_, version, entries) = &self.things[place].1 else { return };
        assert_eq!((number, count), (*version, entries.len()));
        assert_eq!(listed, OK);
        assert_eq!(unsafe { c::acervo_entries_len(list) }, entries.len());
        let expected = entries.get(&name).cloned();
        self.things.push((list, Thing::Entries));
        match expected {
            _ if is_wrong => assert_eq!((code, entry), (INVALID, null_mut())),
            None => assert_eq!((code, entry), (NOT_FOUND, null_mut())),
            Some(data) => {
                assert_eq!(code, OK);
                assert_eq!(data_of(entry), data);
                self.add(entry, Thing::Entry(name, data));
            }
        }
    }

    fn change(&mut self, bytes: &mut Bytes<'_>) {
        let place = self.find(bytes, |it| matches!(it, Thing::Changes(..)));
        let Some(place) = place else {
            let base = self.find(bytes, |it| matches!(it, Thing::Snapshot(..)));
            let changes = unsafe { c::acervo_changes_new(self.handle(base)) };
            match base.map(|base| &self.things[base].1) {
                Some(&Thing::Snapshot(database, ..)) => {
                    self.add(changes, Thing::Changes(database, Vec::new(), false));
                }
                _ => assert!(changes.is_null()),
            }
            return;
        };
        let changes = self.things[place].0;
        let entry = self.find(bytes, |it| matches!(it, Thing::Entry(..)));
        let made = entry.and_then(|entry| match &self.things[entry].1 {
            Thing::Entry(id, data) => Some((id.clone(), data.clone())),
            _ => None,
        });
        let entry = self.handle(entry);
        let (id, len, name, is_wrong) = text(bytes, &IDS);
        let action = bytes.below(3);
        let code = call("change", |err| unsafe {
            match action {
                0 => c::acervo_changes_create(changes, entry, err),
                1 => c::acervo_changes_update(changes, entry, err),
                _ => c::acervo_changes_delete(changes, id, len, err),
            }
        });
        let Thing::Changes(_, queued, is_spent) = &mut self.things[place].1 else { return };
        let change = match (action, made) {
            (0, Some((id, data))) => Change::Create(id, data),
            (1, Some((id, data))) => Change::Update(id, data),
            (2, _) if !is_wrong => Change::Delete(name),
            _ => return assert_eq!(code, INVALID),
        };
        match *is_spent {
            true => assert_eq!(code, INVALID),
            // A handle that is closed may still queue.
            false if code == INTERNAL => {}
            false => {
                assert_eq!(code, OK);
                queued.push(change);
            }
        }
    }

    fn apply(&mut self, bytes: &mut Bytes<'_>) {
        let place = self.find(bytes, |it| matches!(it, Thing::Changes(..)));
        let changes = self.handle(place);
        let mut version = 77;
        let code =
            call("apply", |err| unsafe { c::acervo_changes_apply(changes, &raw mut version, err) });
        let Some(place) = place else { return assert_eq!((code, version), (INVALID, 0)) };
        let Thing::Changes(database, queued, is_spent) = &mut self.things[place].1 else { return };
        let database = &mut self.databases[*database];
        if *is_spent || queued.is_empty() {
            return assert!([INVALID, INTERNAL].contains(&code) && version == 0);
        }
        if database.is_closed {
            return assert_eq!((code, version), (INTERNAL, 0));
        }
        let mut entries = database.entries.clone();
        for change in &*queued {
            let expected = match change {
                Change::Create(id, data) => match entries.contains_key(id) {
                    true => EXISTS,
                    false => {
                        entries.insert(id.clone(), data.clone());
                        OK
                    }
                },
                Change::Update(id, data) => match entries.get_mut(id) {
                    None => NOT_FOUND,
                    Some(held) => {
                        held.clone_from(data);
                        OK
                    }
                },
                Change::Delete(id) => match entries.remove(id) {
                    None => NOT_FOUND,
                    Some(_) => OK,
                },
            };
            if expected != OK {
                return assert_eq!((code, version), (expected, 0));
            }
        }
        *is_spent = true;
        database.last += 1;
        assert_eq!((code, version), (OK, database.last));
        database.head = database.last;
        database.entries.clone_from(&entries);
        database.versions.insert(database.head, entries);
    }

    fn feed_or_handler(&mut self, bytes: &mut Bytes<'_>) {
        let (place, db) = self.database(bytes);
        let is_closed = self.databases[place].is_closed;
        let mut out = null_mut();
        match bytes.below(3) {
            0 => {
                let capacity = bytes.pick(&[1, 0, 4]);
                let code = call("events", |err| unsafe {
                    c::acervo_events(db, capacity, &raw mut out, err)
                });
                match (is_closed, capacity) {
                    (true, _) => assert!([INTERNAL, INVALID].contains(&code) && out.is_null()),
                    (false, 0) => assert_eq!((code, out), (INVALID, null_mut())),
                    _ => {
                        assert_eq!(code, OK);
                        self.add(out, Thing::Feed);
                    }
                }
            }
            1 => {
                let feed = self.find(bytes, |it| matches!(it, Thing::Feed));
                let handle = self.handle(feed);
                let code = call("feed next", |err| unsafe {
                    c::acervo_feed_next(handle, 0, &raw mut out, err)
                });
                unsafe { c::acervo_value_free(out) };
                match feed {
                    None => assert_eq!(code, INVALID),
                    Some(_) => assert!([OK, TIMEOUT, INTERNAL].contains(&code)),
                }
            }
            _ => {
                let flags = bytes.pick(&[0, 1, 2, 3, 8]);
                ALIVE.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let code = call("on", |err| unsafe {
                    c::acervo_on(
                        db,
                        c"**".as_ptr(),
                        2,
                        flags,
                        Some(accept),
                        null_mut(),
                        Some(destroyed),
                        &raw mut out,
                        err,
                    )
                });
                match (is_closed, flags) {
                    (false, ..8) => {
                        assert_eq!(code, OK);
                        self.add(out, Thing::Subscription);
                    }
                    _ => assert!([INTERNAL, INVALID].contains(&code) && out.is_null()),
                }
            }
        }
    }

    fn database_call(&mut self, bytes: &mut Bytes<'_>) {
        let (place, db) = self.database(bytes);
        let version = bytes.pick(&[0, 1, 2, 3, 9]);
        match bytes.below(8) {
            0 if self.databases.len() < 4 => self.open(),
            1 => {
                assert_eq!(call("close", |err| unsafe { c::acervo_close(db, err) }), OK);
                self.databases[place].is_closed = true;
            }
            2 | 3 => {
                let code = call("apply_version", |err| unsafe {
                    c::acervo_apply_version(db, version, err)
                });
                let database = &mut self.databases[place];
                match database.versions.get(&version) {
                    _ if database.is_closed => assert!([INTERNAL, NOT_FOUND].contains(&code)),
                    None => assert_eq!(code, NOT_FOUND),
                    Some(entries) => {
                        assert_eq!(code, OK);
                        database.entries.clone_from(entries);
                        database.head = version;
                    }
                }
            }
            4 => {
                let database = &mut self.databases[place];
                // What it leaves is looked at by other tests; here only that
                // nothing breaks, and only where the model needs no more.
                if version != 0 && !database.is_closed && version == database.head {
                    let code = call("prune", |err| unsafe { c::acervo_prune(db, version, err) });
                    assert_eq!(code, OK);
                    database.versions.retain(|&it, _| it == 0 || it == version);
                }
            }
            5 => {
                let again = unsafe { c::acervo_retain(db) };
                assert_eq!(again, db);
                unsafe { c::acervo_free(again) };
            }
            _ => {
                let code = call("flush", |err| unsafe { c::acervo_flush(db, err) });
                assert_eq!(code, if self.databases[place].is_closed { INTERNAL } else { OK });
            }
        }
    }

    /// Frees anything.
    fn free(&mut self, bytes: &mut Bytes<'_>) {
        if self.things.is_empty() {
            return;
        }
        let place = (bytes.byte() as usize * 256 + bytes.byte() as usize) % self.things.len();
        let (handle, thing) = self.things.swap_remove(place);
        // SAFETY: it is live and was freed by nobody; a reference more is freed
        // at once.
        unsafe {
            match thing {
                Thing::Value(held) => {
                    let again = c::acervo_value_retain(handle);
                    c::acervo_value_free(handle);
                    assert_eq!(content(again), held);
                    c::acervo_value_free(again);
                }
                Thing::Kv(..) => c::acervo_kv_free(handle),
                Thing::Batch(..) => c::acervo_batch_free(handle),
                Thing::Entry(_, data) => {
                    let again = c::acervo_entry_retain(handle);
                    c::acervo_entry_free(handle);
                    assert_eq!(data_of(again), data);
                    c::acervo_entry_free(again);
                }
                Thing::Snapshot(..) => c::acervo_snapshot_free(handle),
                Thing::Entries => {
                    let len = c::acervo_entries_len(handle);
                    assert!(c::acervo_entries_at(handle, len).is_null());
                    assert!((0..len).all(|place| !c::acervo_entries_at(handle, place).is_null()));
                    c::acervo_entries_free(handle);
                }
                Thing::Changes(..) => c::acervo_changes_free(handle),
                Thing::Feed => c::acervo_feed_free(handle),
                Thing::Subscription => c::acervo_subscription_cancel(handle),
            }
        }
    }

    /// Frees everything, databases first or last.
    fn end(mut self, bytes: &mut Bytes<'_>) {
        let is_first = bytes.one_in(2);
        if is_first {
            self.free_databases();
        }
        while !self.things.is_empty() {
            self.free(bytes);
        }
        if !is_first {
            self.free_databases();
        }
        assert_eq!(ALIVE.load(std::sync::atomic::Ordering::SeqCst), 0, "each destroy ran once");
    }

    fn free_databases(&mut self) {
        for database in self.databases.drain(..) {
            // SAFETY: live, and freed once.
            unsafe { c::acervo_free(database.handle as Handle) };
        }
    }
}

/// The bytes of a value.
fn content(value: Handle) -> Vec<u8> {
    let (mut start, mut len) = (null(), 0);
    // SAFETY: a live value; the bytes are borrowed and copied at once.
    unsafe {
        let code = call("msgpack", |err| {
            c::acervo_value_msgpack(value, &raw mut start, &raw mut len, err)
        });
        assert_eq!(code, OK);
        std::slice::from_raw_parts(start, len).to_vec()
    }
}

/// The bytes of an entry's data.
fn data_of(entry: Handle) -> Option<Vec<u8>> {
    // SAFETY: a live entry.
    let data = unsafe { c::acervo_entry_data(entry) };
    (!data.is_null()).then(|| content(data))
}
