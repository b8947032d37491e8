//! SQLite's allocator, made to fail on this thread.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use rusqlite::ffi;

type Malloc = unsafe extern "C" fn(c_int) -> *mut c_void;
type Realloc = unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void;
static BEFORE: OnceLock<(Malloc, Realloc)> = OnceLock::new();

#[derive(Clone, Copy)]
struct Plan {
    after: usize,
    lasting: bool,
}

thread_local! {
    static PLAN: Cell<Option<Plan>> = const { Cell::new(None) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static FAILED: Cell<usize> = const { Cell::new(0) };
}

/// Puts the layer in place, before SQLite is initialised.
pub fn install() {
    // SAFETY: SQLite is not initialised yet; the methods live for ever and
    // pass on to those that were there.
    unsafe {
        let mut methods: ffi::sqlite3_mem_methods = std::mem::zeroed();
        let code = ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut methods);
        assert_eq!(code, ffi::SQLITE_OK);
        BEFORE.get_or_init(|| (methods.xMalloc.unwrap(), methods.xRealloc.unwrap()));
        methods.xMalloc = Some(malloc);
        methods.xRealloc = Some(realloc);
        let code = ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods);
        assert_eq!(code, ffi::SQLITE_OK);
    }
}

/// On this thread, lets that many allocations of SQLite work and the next one
/// fail; `lasting`: and all that follow.
pub fn fail_after(after: usize, lasting: bool) {
    FAILED.set(0);
    PLAN.set(Some(Plan { after, lasting }));
}

/// All work again. Tells how many failed.
pub fn work_again() -> usize {
    PLAN.set(None);
    FAILED.replace(0)
}

/// How many allocations this thread made since the last call.
pub fn count() -> usize {
    COUNT.replace(0)
}

fn fails() -> bool {
    COUNT.set(COUNT.get() + 1);
    match PLAN.get() {
        None => false,
        Some(plan) if plan.after > 0 => {
            PLAN.set(Some(Plan { after: plan.after - 1, ..plan }));
            false
        }
        Some(plan) => {
            FAILED.set(FAILED.get() + 1);
            if !plan.lasting {
                PLAN.set(None);
            }
            true
        }
    }
}

unsafe extern "C" fn malloc(size: c_int) -> *mut c_void {
    if fails() {
        return std::ptr::null_mut();
    }
    // SAFETY: the call as it came.
    unsafe { BEFORE.get().expect("installed").0(size) }
}

unsafe extern "C" fn realloc(block: *mut c_void, size: c_int) -> *mut c_void {
    if fails() {
        return std::ptr::null_mut();
    }
    // SAFETY: the call as it came.
    unsafe { BEFORE.get().expect("installed").1(block, size) }
}
