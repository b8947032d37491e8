//! The library as its users meet it: `libacervo.so`, loaded at run time and
//! called through its C ABI. Linking the crate instead would measure code that
//! nobody runs: another code model, other thread-local variables.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

/// Any object of the library.
pub type Object = *mut c_void;
/// Where an error goes.
pub type ErrorOut = *mut Object;

macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)?;)*) => {
        /// The functions of the C ABI that the rows call.
        #[allow(missing_docs)]
        pub struct Api { $(pub $name: unsafe extern "C" fn($($type),*) $(-> $ret)?,)* }

        impl Api {
            fn resolve(library: *mut c_void) -> Api {
                Api { $($name: {
                    let name = CString::new(concat!("acervo_", stringify!($name))).unwrap();
                    // SAFETY: the library is loaded; the name ends with NUL.
                    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
                    assert!(!symbol.is_null(), "{name:?} is missing");
                    // SAFETY: the types below are those of include/acervo.h.
                    unsafe {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) $(-> $ret)?>(symbol)
                    }
                },)* }
            }
        }
    };
}

functions! {
    fn error_message(error: Object, len: *mut usize) -> *const c_char;
    fn value_string(text: *const u8, len: usize) -> Object;
    fn value_from_json(text: *const u8, len: usize, out: *mut Object, err: ErrorOut) -> i32;
    fn value_free(value: Object);
    fn options_new() -> Object;
    fn options_set(options: Object, name: *const u8, len: usize, value: Object, err: ErrorOut) -> i32;
    fn options_free(options: Object);
    fn open(path: *const u8, len: usize, options: Object, out: *mut Object, err: ErrorOut) -> i32;
    fn flush(db: Object, err: ErrorOut) -> i32;
    fn close(db: Object, err: ErrorOut) -> i32;
    fn free(db: Object);
    fn kv_registry(db: Object, out: *mut Object, err: ErrorOut) -> i32;
    fn kv_store(db: Object, ident: *const u8, len: usize, out: *mut Object, err: ErrorOut) -> i32;
    fn kv_free(kv: Object);
    fn kv_put(kv: Object, key: *const u8, len: usize, value: Object, err: ErrorOut) -> i32;
    fn kv_put_ttl(kv: Object, key: *const u8, len: usize, value: Object, ttl: i64, err: ErrorOut) -> i32;
    fn kv_get(kv: Object, key: *const u8, len: usize, out: *mut Object, time: *mut i64, err: ErrorOut) -> i32;
    fn kv_get_into(kv: Object, key: *const u8, len: usize, buf: *mut u8, cap: usize, out_len: *mut usize, kind: *mut i32, time: *mut i64, err: ErrorOut) -> i32;
    fn batch_new(kv: Object) -> Object;
    fn batch_free(batch: Object);
    fn batch_put(batch: Object, key: *const u8, len: usize, value: Object, err: ErrorOut) -> i32;
    fn batch_commit(batch: Object, err: ErrorOut) -> i32;
    fn entry_new(id: *const u8, id_len: usize, kind: *const u8, kind_len: usize, meta: Object, data: Object, out: *mut Object, err: ErrorOut) -> i32;
    fn entry_kind(entry: Object, len: *mut usize) -> *const u8;
    fn entry_free(entry: Object);
    fn entries_len(entries: Object) -> usize;
    fn entries_at(entries: Object, index: usize) -> Object;
    fn entries_free(entries: Object);
    fn snapshot_current(db: Object, out: *mut Object, err: ErrorOut) -> i32;
    fn snapshot_at(db: Object, version: u64, out: *mut Object, err: ErrorOut) -> i32;
    fn snapshot_free(snapshot: Object);
    fn snapshot_len(snapshot: Object) -> usize;
    fn snapshot_get(snapshot: Object, id: *const u8, len: usize, out: *mut Object, err: ErrorOut) -> i32;
    fn snapshot_find(snapshot: Object, filter: Object, options: Object, out: *mut Object, err: ErrorOut) -> i32;
    fn changes_new(snapshot: Object) -> Object;
    fn changes_free(changes: Object);
    fn changes_create(changes: Object, entry: Object, err: ErrorOut) -> i32;
    fn changes_update(changes: Object, entry: Object, err: ErrorOut) -> i32;
    fn changes_apply(changes: Object, version: *mut u64, err: ErrorOut) -> i32;
    fn current_version(db: Object, out: *mut u64, err: ErrorOut) -> i32;
    fn build_delta(db: Object, from: *const Object, from_len: usize, to: *const Object, to_len: usize, out: *mut Object, err: ErrorOut) -> i32;
}

static API: OnceLock<Api> = OnceLock::new();

/// Loads the library; later calls give the same.
pub fn load(path: &Path) -> &'static Api {
    API.get_or_init(|| {
        let name = CString::new(path.to_str().expect("a path in UTF-8")).unwrap();
        // SAFETY: loading runs no code of ours but the library's.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if library.is_null() {
            // SAFETY: after a failure there is a message.
            let why = unsafe { CStr::from_ptr(libc::dlerror()) };
            panic!("{}: {why:?}", path.display());
        }
        Api::resolve(library)
    })
}

/// The library, once it was loaded.
pub fn api() -> &'static Api {
    API.get().expect("the library is loaded first")
}

/// Ends the program with the library's own words if a call failed.
pub fn check(code: i32, error: Object) {
    if code != 0 {
        let message = if error.is_null() {
            format!("code {code}")
        } else {
            // SAFETY: the message has a NUL and lives as long as the error.
            let text = unsafe { CStr::from_ptr((api().error_message)(error, null_mut())) };
            text.to_string_lossy().into_owned()
        };
        panic!("the library failed: {message}");
    }
}

/// Calls a function whose last argument takes an error, and checks it.
#[macro_export]
macro_rules! call {
    ($api:expr, $name:ident($($arg:expr),* $(,)?)) => {{
        let mut error: $crate::api::Object = std::ptr::null_mut();
        // SAFETY: the caller passes what include/acervo.h asks for.
        let code = unsafe { ($api.$name)($($arg,)* &raw mut error) };
        if code != 0 { $crate::api::check(code, error); }
    }};
}

/// Calls a function that reports no failure.
#[macro_export]
macro_rules! plain {
    ($api:expr, $name:ident($($arg:expr),* $(,)?)) => {
        // SAFETY: the caller passes what include/acervo.h asks for.
        unsafe { ($api.$name)($($arg),*) }
    };
}

/// A value of the library.
pub struct Value(pub Object);

impl Value {
    pub fn json(text: &str) -> Value {
        let mut out = null_mut();
        call!(api(), value_from_json(text.as_ptr(), text.len(), &raw mut out));
        Value(out)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        plain!(api(), value_free(self.0));
    }
}

/// An entry of the library.
pub struct Entry(pub Object);

impl Entry {
    pub fn new(id: &str, kind: &str, meta: &str, data: &str) -> Entry {
        let (meta, data) = (Value::json(meta), Value::json(data));
        let mut out = null_mut();
        let (id_ptr, id_len, kind_ptr, kind_len) =
            (id.as_ptr(), id.len(), kind.as_ptr(), kind.len());
        call!(api(), entry_new(id_ptr, id_len, kind_ptr, kind_len, meta.0, data.0, &raw mut out));
        Entry(out)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        plain!(api(), entry_free(self.0));
    }
}

/// An open database.
pub struct Db(pub Object);

// SAFETY: include/acervo.h says "Threads: any".
unsafe impl Send for Db {}
// SAFETY: as above.
unsafe impl Sync for Db {}

impl Db {
    /// Opens a file, or ":memory:"; options are names and JSON texts.
    pub fn open(path: &str, options: &[(&str, &str)]) -> Db {
        let api = api();
        let set = plain!(api, options_new());
        for (name, json) in options {
            let value = Value::json(json);
            call!(api, options_set(set, name.as_ptr(), name.len(), value.0));
        }
        let mut out = null_mut();
        call!(api, open(path.as_ptr(), path.len(), set, &raw mut out));
        plain!(api, options_free(set));
        Db(out)
    }

    pub fn registry(&self) -> Kv {
        let mut out = null_mut();
        call!(api(), kv_registry(self.0, &raw mut out));
        Kv(out)
    }

    pub fn store(&self, ident: &str) -> Kv {
        let mut out = null_mut();
        call!(api(), kv_store(self.0, ident.as_ptr(), ident.len(), &raw mut out));
        Kv(out)
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut out = null_mut();
        call!(api(), snapshot_current(self.0, &raw mut out));
        Snapshot(out)
    }

    pub fn snapshot_at(&self, version: u64) -> Snapshot {
        let mut out = null_mut();
        call!(api(), snapshot_at(self.0, version, &raw mut out));
        Snapshot(out)
    }

    pub fn version(&self) -> u64 {
        let mut version = 0;
        call!(api(), current_version(self.0, &raw mut version));
        version
    }

    pub fn flush(&self) {
        call!(api(), flush(self.0));
    }

    /// Applies one changeset: creates if `create`, else updates.
    pub fn apply(&self, entries: &[Entry], create: bool) {
        let api = api();
        let snapshot = self.snapshot();
        let changes = plain!(api, changes_new(snapshot.0));
        for entry in entries {
            if create {
                call!(api, changes_create(changes, entry.0));
            } else {
                call!(api, changes_update(changes, entry.0));
            }
        }
        call!(api, changes_apply(changes, null_mut()));
        plain!(api, changes_free(changes));
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        call!(api(), close(self.0));
        plain!(api(), free(self.0));
    }
}

/// A registry or store.
pub struct Kv(pub Object);

// SAFETY: include/acervo.h says "Threads: any".
unsafe impl Send for Kv {}
// SAFETY: as above.
unsafe impl Sync for Kv {}

impl Kv {
    /// Puts a value that exists.
    pub fn put_value(&self, key: &[u8], value: &Value) {
        call!(api(), kv_put(self.0, key.as_ptr(), key.len(), value.0));
    }

    /// Makes a string value of the bytes, puts it, frees it.
    pub fn put(&self, key: &[u8], bytes: &[u8]) {
        let api = api();
        let value = plain!(api, value_string(bytes.as_ptr(), bytes.len()));
        call!(api, kv_put(self.0, key.as_ptr(), key.len(), value));
        plain!(api, value_free(value));
    }

    /// As `put`, with a time to live in milliseconds.
    pub fn put_ttl(&self, key: &[u8], bytes: &[u8], ttl: i64) {
        let api = api();
        let value = plain!(api, value_string(bytes.as_ptr(), bytes.len()));
        call!(api, kv_put_ttl(self.0, key.as_ptr(), key.len(), value, ttl));
        plain!(api, value_free(value));
    }

    /// Copies the value out; gives its length, 0 if there is none.
    pub fn get_into(&self, key: &[u8], buffer: &mut [u8]) -> usize {
        let mut len = 0;
        let (out, cap) = (buffer.as_mut_ptr(), buffer.len());
        let none = null_mut::<i32>();
        // SAFETY: the buffer has room for `cap` bytes, other outs may be NULL.
        unsafe {
            let len_out = &raw mut len;
            let get = api().kv_get_into;
            get(self.0, key.as_ptr(), key.len(), out, cap, len_out, none, null_mut(), null_mut());
        }
        len
    }

    /// Gets the value as an object, and frees it. Tells whether it was there.
    pub fn get_and_free(&self, key: &[u8]) -> bool {
        let api = api();
        let mut out = null_mut();
        // SAFETY: as the header says; a missing key is no failure here.
        unsafe {
            let get = api.kv_get;
            get(self.0, key.as_ptr(), key.len(), &raw mut out, null_mut(), null_mut());
            (api.value_free)(out);
        }
        !out.is_null()
    }
}

impl Drop for Kv {
    fn drop(&mut self) {
        plain!(api(), kv_free(self.0));
    }
}

/// A snapshot of the entry registry.
pub struct Snapshot(pub Object);

impl Snapshot {
    pub fn len(&self) -> usize {
        plain!(api(), snapshot_len(self.0))
    }

    /// The length of the kind of the entry with this id.
    pub fn kind_len(&self, id: &[u8]) -> usize {
        let api = api();
        let mut entry = null_mut();
        let mut len = 0;
        // SAFETY: as the header says; a missing id leaves `entry` NULL.
        unsafe {
            (api.snapshot_get)(self.0, id.as_ptr(), id.len(), &raw mut entry, null_mut());
            (api.entry_kind)(entry, &raw mut len);
            (api.entry_free)(entry);
        }
        len
    }

    /// Finds, and looks at every hit if `visit`; gives their number.
    pub fn find(&self, filter: &Value, visit: bool) -> usize {
        let api = api();
        let mut found = null_mut();
        let options: Object = null::<c_void>().cast_mut();
        call!(api, snapshot_find(self.0, filter.0, options, &raw mut found));
        let len = plain!(api, entries_len(found));
        if visit {
            for index in 0..len {
                let entry = plain!(api, entries_at(found, index));
                std::hint::black_box(plain!(api, entry_kind(entry, null_mut())));
            }
        }
        plain!(api, entries_free(found));
        len
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        plain!(api(), snapshot_free(self.0));
    }
}
