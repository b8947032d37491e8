//! A panic in every export, and in the middle of every kind of write.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::ptr::{null, null_mut};

use super::batch::*;
use super::changes::*;
use super::convert::*;
use super::database::*;
use super::dependencies::*;
use super::entry::*;
use super::error::*;
use super::feed::*;
use super::handlers::*;
use super::history::*;
use super::kv::*;
use super::kv_many::*;
use super::log::*;
use super::lua::*;
use super::op::*;
use super::policy::*;
use super::raw::NTS;
use super::snapshot::*;
use super::value::*;
use super::version::*;
use crate::fault;

const PANIC: i32 = ACERVO_PANIC;

/// The names of the functions in include/acervo.h.
fn declared() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/acervo.h");
    let header = std::fs::read_to_string(path).unwrap();
    let code = header.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.filter(|line| !line.starts_with("typedef") && !line.starts_with('#'))
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("acervo_") && !name.ends_with("_fn"))
        .map(Into::into)
        .collect()
}

/// A handle that a function would free, if it came to that.
fn untouched<T>() -> *mut T {
    std::ptr::NonNull::dangling().as_ptr()
}

fn same<T: PartialEq>(given: T, expected: T) -> bool {
    given == expected
}

/// The message of an error, which is freed.
fn take_message(slot: &mut *mut acervo_error) -> String {
    // SAFETY: NULL or an error that a call just gave.
    unsafe {
        let message = acervo_error_message(*slot, null_mut());
        let text = match message.is_null() {
            true => String::new(),
            false => CStr::from_ptr(message).to_string_lossy().into_owned(),
        };
        acervo_error_free(*slot);
        *slot = null_mut();
        text
    }
}

#[test]
fn a_panic_in_any_export_ends_at_its_wall() {
    let mut slot: *mut acervo_error = null_mut();
    let err = &raw mut slot;
    let mut tried = BTreeSet::new();
    // The arguments do not matter: it panics before it looks at them.
    macro_rules! each {
        ($($name:ident($($argument:expr),*) == $expected:expr;)*) => {$(
            let name = stringify!($name);
            fault::order("wall");
            // SAFETY: NULL, which every function takes; or not looked at.
            #[allow(unused_unsafe, reason = "some are safe")]
            let given = unsafe { $name($($argument),*) };
            assert!(fault::was_met(), "{name} has no wall");
            assert!(same(given, $expected), "{name}");
            let has_error = [$(stringify!($argument)),*].contains(&"err");
            // SAFETY: `err` points to it.
            let message = take_message(unsafe { &mut *err });
            let called = name.trim_end_matches("_with");
            let expected = format!("{called}: panic inside the library: a fault on order");
            assert_eq!(message.starts_with(&expected), has_error, "{name}: {message}");
            assert!(tried.insert(name.to_owned()), "{name} is there twice");
        )*};
    }
    each! {
        acervo_version_string() == null();
        acervo_version_number() == 0;
        acervo_abi_version() == 0;
        acervo_code_name(0) == null();
        acervo_error_code(null()) == PANIC;
        acervo_error_kind(null(), null_mut()) == null();
        acervo_error_message(null(), null_mut()) == null();
        acervo_error_retryable(null()) == false;
        acervo_error_details(null()) == null();
        acervo_error_free(untouched()) == ();
        acervo_value_nil() == null_mut();
        acervo_value_bool(false) == null_mut();
        acervo_value_int(0) == null_mut();
        acervo_value_float(0.0) == null_mut();
        acervo_value_string(null(), 0) == null_mut();
        acervo_value_array(null(), 0, null_mut(), err) == PANIC;
        acervo_value_map(null(), null(), 0, null_mut(), err) == PANIC;
        acervo_value_retain(null()) == null_mut();
        acervo_value_free(untouched()) == ();
        acervo_value_type(null()) == PANIC;
        acervo_value_as_bool(null(), null_mut(), err) == PANIC;
        acervo_value_as_int(null(), null_mut(), err) == PANIC;
        acervo_value_as_float(null(), null_mut(), err) == PANIC;
        acervo_value_as_string(null(), null_mut(), null_mut(), err) == PANIC;
        acervo_value_len(null()) == 0;
        acervo_value_at(null(), 0, null_mut(), err) == PANIC;
        acervo_value_get(null(), null(), 0, null_mut(), err) == PANIC;
        acervo_value_entry_at(null(), 0, null_mut(), null_mut(), err) == PANIC;
        acervo_value_equal(null(), null()) == false;
        acervo_value_from_json(null(), 0, null_mut(), err) == PANIC;
        acervo_value_to_json(null(), null_mut(), err) == PANIC;
        acervo_value_from_msgpack(null(), 0, null_mut(), err) == PANIC;
        acervo_value_msgpack(null(), null_mut(), null_mut(), err) == PANIC;
        acervo_options_new() == null_mut();
        acervo_options_set(null_mut(), null(), 0, null(), err) == PANIC;
        acervo_options_free(untouched()) == ();
        acervo_open(null(), 0, null(), null_mut(), err) == PANIC;
        acervo_retain(null_mut()) == null_mut();
        acervo_free(untouched()) == ();
        acervo_flush(null_mut(), err) == PANIC;
        acervo_close(null_mut(), err) == PANIC;
        acervo_stats(null_mut(), null_mut(), err) == PANIC;
        acervo_check(null_mut(), null_mut(), err) == PANIC;
        acervo_backup(null_mut(), null(), 0, err) == PANIC;
        acervo_set_log(null_mut(), None, null_mut(), None, err) == PANIC;
        acervo_kv_registry(null_mut(), null_mut(), err) == PANIC;
        acervo_kv_store(null_mut(), null(), 0, null_mut(), err) == PANIC;
        acervo_kv_free(untouched()) == ();
        acervo_kv_put(null_mut(), null(), 0, null(), err) == PANIC;
        acervo_kv_put_ttl(null_mut(), null(), 0, null(), 0, err) == PANIC;
        acervo_kv_get(null_mut(), null(), 0, null_mut(), null_mut(), err) == PANIC;
        acervo_kv_get_into(null_mut(), null(), 0, null_mut(), 0, null_mut(), null_mut(), null_mut(), err) == PANIC;
        acervo_kv_delete(null_mut(), null(), 0, err) == PANIC;
        acervo_kv_incr(null_mut(), null(), 0, 0, null_mut(), err) == PANIC;
        acervo_kv_incr_float(null_mut(), null(), 0, 0.0, null_mut(), err) == PANIC;
        acervo_kv_cas(null_mut(), null(), 0, null(), null(), null_mut(), err) == PANIC;
        acervo_kv_cas_delete(null_mut(), null(), 0, null(), null_mut(), err) == PANIC;
        acervo_kv_keys(null_mut(), null(), 0, null_mut(), err) == PANIC;
        acervo_kv_count(null_mut(), null(), 0, null_mut(), err) == PANIC;
        acervo_kv_each(null_mut(), null(), 0, None, null_mut(), None, err) == PANIC;
        acervo_kv_delete_prefix(null_mut(), null(), 0, null_mut(), err) == PANIC;
        acervo_kv_purge(null_mut(), 0.0, null_mut(), err) == PANIC;
        acervo_kv_flush(null_mut(), err) == PANIC;
        acervo_batch_new(null_mut()) == null_mut();
        acervo_batch_free(untouched()) == ();
        acervo_batch_put(null_mut(), null(), 0, null(), err) == PANIC;
        acervo_batch_put_ttl(null_mut(), null(), 0, null(), 0, err) == PANIC;
        acervo_batch_delete(null_mut(), null(), 0, err) == PANIC;
        acervo_batch_commit(null_mut(), err) == PANIC;
        acervo_entry_new(null(), 0, null(), 0, null(), null(), null_mut(), err) == PANIC;
        acervo_entry_retain(null()) == null_mut();
        acervo_entry_free(untouched()) == ();
        acervo_entry_id(null(), null_mut()) == null();
        acervo_entry_kind(null(), null_mut()) == null();
        acervo_entry_meta(null()) == null();
        acervo_entry_data(null()) == null();
        acervo_entries_len(null()) == 0;
        acervo_entries_at(null(), 0) == null();
        acervo_entries_free(untouched()) == ();
        acervo_snapshot_current(null_mut(), null_mut(), err) == PANIC;
        acervo_snapshot_at(null_mut(), 0, null_mut(), err) == PANIC;
        acervo_snapshot_retain(null()) == null_mut();
        acervo_snapshot_free(untouched()) == ();
        acervo_snapshot_version(null()) == 0;
        acervo_snapshot_len(null()) == 0;
        acervo_snapshot_get(null(), null(), 0, null_mut(), err) == PANIC;
        acervo_snapshot_find(null(), null(), null(), null_mut(), err) == PANIC;
        acervo_snapshot_entries(null(), null_mut(), err) == PANIC;
        acervo_snapshot_namespace(null(), null(), 0, null_mut(), err) == PANIC;
        acervo_changes_new(null()) == null_mut();
        acervo_changes_free(untouched()) == ();
        acervo_changes_create(null_mut(), null(), err) == PANIC;
        acervo_changes_update(null_mut(), null(), err) == PANIC;
        acervo_changes_delete(null_mut(), null(), 0, err) == PANIC;
        acervo_changes_set(null_mut(), null(), 0, null(), err) == PANIC;
        acervo_changes_ops(null(), null_mut(), err) == PANIC;
        acervo_changes_plan(null(), null_mut(), err) == PANIC;
        acervo_changes_apply(null_mut(), null_mut(), err) == PANIC;
        acervo_current_version(null_mut(), null_mut(), err) == PANIC;
        acervo_apply_version(null_mut(), 0, err) == PANIC;
        acervo_versions(null_mut(), null_mut(), err) == PANIC;
        acervo_version_info(null_mut(), 0, null_mut(), err) == PANIC;
        acervo_version_previous(null_mut(), 0, null_mut(), null_mut(), err) == PANIC;
        acervo_version_next(null_mut(), 0, null_mut(), null_mut(), err) == PANIC;
        acervo_prune(null_mut(), 0, err) == PANIC;
        acervo_load_state(null_mut(), null(), 0, null(), null_mut(), err) == PANIC;
        acervo_build_delta(null_mut(), null(), 0, null(), 0, null_mut(), err) == PANIC;
        acervo_register_pattern(null_mut(), null(), 0, false, err) == PANIC;
        acervo_dependents(null_mut(), null(), 0, false, null_mut(), err) == PANIC;
        acervo_dependencies(null_mut(), null(), 0, false, null_mut(), err) == PANIC;
        acervo_op_kind(null()) == PANIC;
        acervo_op_flags(null()) == 0;
        acervo_op_entry(null()) == null();
        acervo_op_original(null()) == null();
        acervo_op_set_error(null_mut(), 0, null(), 0) == PANIC;
        acervo_op_retain(null_mut()) == null_mut();
        acervo_op_free(untouched()) == ();
        acervo_op_accept(null_mut(), err) == PANIC;
        acervo_op_reject(null_mut(), err) == PANIC;
        acervo_on(null_mut(), null(), 0, 0, None, null_mut(), None, null_mut(), err) == PANIC;
        acervo_subscription_cancel(untouched()) == ();
        acervo_events(null_mut(), 0, null_mut(), err) == PANIC;
        acervo_feed_next(null_mut(), 0, null_mut(), err) == PANIC;
        acervo_feed_fd(null()) == -1;
        acervo_feed_free(untouched()) == ();
        acervo_set_policy(null_mut(), None, null_mut(), None, err) == PANIC;
        acervo_lua_attach_with(null(), null_mut(), null_mut(), null(), 0, null(), 0, err) == PANIC;
        acervo_lua_set_ident_with(null(), null_mut(), null(), 0, err) == PANIC;
    }
    assert_eq!(tried, declared(), "each function of the header is tried above");
}

/// A database that is closed and freed when a test has done with it.
struct Opened {
    db: *mut acervo,
}

impl Opened {
    fn new(path: &Path) -> Self {
        let path = path.to_str().unwrap();
        let mut db = null_mut();
        // SAFETY: the pointers are good for the call.
        let code = unsafe {
            acervo_open(path.as_ptr().cast(), path.len(), null(), &raw mut db, null_mut())
        };
        assert_eq!(code, ACERVO_OK);
        Self { db }
    }

    /// Calls `with` with the registry or with the store of an ident.
    fn kv<T>(&self, is_store: bool, with: impl FnOnce(*mut acervo_kv) -> T) -> T {
        let mut kv = null_mut();
        // SAFETY: the pointers are good for the call; the handle is freed once.
        unsafe {
            let code = match is_store {
                true => acervo_kv_store(self.db, text("me"), NTS, &raw mut kv, null_mut()),
                false => acervo_kv_registry(self.db, &raw mut kv, null_mut()),
            };
            assert_eq!(code, ACERVO_OK);
            let given = with(kv);
            acervo_kv_free(kv);
            given
        }
    }

    fn put(&self, is_store: bool, number: i64, err: *mut *mut acervo_error) -> i32 {
        let value = acervo_value_int(number);
        // SAFETY: the pointers are good for the call; the value is freed once.
        let code =
            self.kv(is_store, |kv| unsafe { acervo_kv_put(kv, text("key"), NTS, value, err) });
        // SAFETY: as above.
        unsafe { acervo_value_free(value) };
        code
    }

    fn number(&self, is_store: bool) -> i64 {
        // SAFETY: the pointers are good for the call; the value is freed once.
        self.kv(is_store, |kv| unsafe {
            let mut value = null_mut();
            let code = acervo_kv_get(kv, text("key"), NTS, &raw mut value, null_mut(), null_mut());
            let mut number = 0;
            if code == ACERVO_OK {
                let code = acervo_value_as_int(value, &raw mut number, null_mut());
                assert_eq!(code, ACERVO_OK);
            }
            acervo_value_free(value);
            number
        })
    }

    /// Creates an entry.
    fn create(&self, id: &str, err: *mut *mut acervo_error) -> i32 {
        let (mut entry, mut snapshot) = (null_mut(), null_mut());
        // SAFETY: the pointers are good for the calls; what they give is freed
        // once.
        unsafe {
            let kind = text("test");
            let (name, len) = (id.as_ptr().cast(), id.len());
            let code =
                acervo_entry_new(name, len, kind, NTS, null(), null(), &raw mut entry, null_mut());
            assert_eq!(code, ACERVO_OK);
            assert_eq!(acervo_snapshot_current(self.db, &raw mut snapshot, null_mut()), ACERVO_OK);
            let changes = acervo_changes_new(snapshot);
            assert_eq!(acervo_changes_create(changes, entry, null_mut()), ACERVO_OK);
            let code = acervo_changes_apply(changes, null_mut(), err);
            acervo_changes_free(changes);
            acervo_snapshot_free(snapshot);
            acervo_entry_free(entry);
            code
        }
    }

    fn entries(&self) -> usize {
        let mut snapshot = null_mut();
        // SAFETY: the pointers are good for the calls; the snapshot is freed
        // once.
        unsafe {
            assert_eq!(acervo_snapshot_current(self.db, &raw mut snapshot, null_mut()), ACERVO_OK);
            let len = acervo_snapshot_len(snapshot);
            acervo_snapshot_free(snapshot);
            len
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: opened above, and freed once.
        unsafe {
            acervo_close(self.db, null_mut());
            acervo_free(self.db);
        }
    }
}

fn text(text: &'static str) -> *const c_char {
    let with_nul = match text {
        "me" => c"me",
        "key" => c"key",
        _ => c"test",
    };
    with_nul.as_ptr()
}

#[test]
fn after_a_panic_inside_a_write_of_keys_there_are_none_until_it_is_opened_anew() {
    for (place, is_store) in
        [("registry edited", false), ("store appended", true), ("store committed", true)]
    {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.db");
        let opened = Opened::new(&path);
        let other = Opened::new(&path);
        assert_eq!(opened.put(false, 1, null_mut()), ACERVO_OK);
        assert_eq!(opened.put(true, 1, null_mut()), ACERVO_OK);
        // SAFETY: it is open.
        assert_eq!(unsafe { acervo_flush(opened.db, null_mut()) }, ACERVO_OK);

        let mut slot = null_mut();
        fault::order(place);
        assert_eq!(opened.put(is_store, 2, &raw mut slot), ACERVO_PANIC, "{place}");
        assert!(fault::was_met());
        let message = take_message(&mut slot);
        assert!(message.starts_with("acervo_kv_put: panic inside the library"), "{message}");

        // Every handle says so; what can be read is what was there.
        for handle in [&opened, &other] {
            for is_store in [false, true] {
                assert_eq!(handle.put(is_store, 3, &raw mut slot), ACERVO_INTERNAL, "{place}");
                let message = take_message(&mut slot);
                assert!(message.contains("ended in a panic; close and open"), "{message}");
                assert!([1, 2].contains(&handle.number(is_store)), "{place}");
            }
        }
        drop((opened, other));

        let opened = Opened::new(&path);
        assert!([1, 2].contains(&opened.number(is_store)), "{place}");
        assert_eq!(opened.number(!is_store), 1, "{place}");
        for is_store in [false, true] {
            assert_eq!(opened.put(is_store, 4, null_mut()), ACERVO_OK, "{place}");
            assert_eq!(opened.number(is_store), 4, "{place}");
        }
    }
}

#[test]
fn after_a_panic_inside_an_apply_there_is_none_until_it_is_opened_anew() {
    for place in ["turn begun", "version written", "version committed"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.db");
        let opened = Opened::new(&path);
        let other = Opened::new(&path);
        assert_eq!(opened.create("a:one", null_mut()), ACERVO_OK);

        let mut slot = null_mut();
        fault::order(place);
        assert_eq!(opened.create("a:two", &raw mut slot), ACERVO_PANIC, "{place}");
        assert!(fault::was_met());
        let message = take_message(&mut slot);
        assert!(message.starts_with("acervo_changes_apply: panic inside"), "{message}");

        for handle in [&opened, &other] {
            assert_eq!(handle.create("a:three", &raw mut slot), ACERVO_INTERNAL, "{place}");
            let message = take_message(&mut slot);
            assert!(message.contains("ended in a panic; close and open"), "{place}: {message}");
            // It reads, and keeps nobody else from the file.
            assert!([1, 2].contains(&handle.entries()), "{place}");
            assert_eq!(handle.put(true, 1, &raw mut slot), ACERVO_OK, "{place}");
        }
        drop((opened, other));

        let opened = Opened::new(&path);
        assert!([1, 2].contains(&opened.entries()), "{place}");
        assert_eq!(opened.create("a:three", null_mut()), ACERVO_OK, "{place}");
        assert!([2, 3].contains(&opened.entries()), "{place}");
    }
}
