//! Several copies of this library in one process.
//!
//! A copy of `libacervo.so.0` under another name (an `acervo.so` that is no
//! symlink) is a second library to the loader: its own instances, its own
//! SQLite, and with two SQLites on one file POSIX locks break. So a copy that
//! Lua loads hands its work over to the first loaded object of our soname, if
//! that is the same build, and no copy opens a file that another has open.

use std::ffi::{c_int, c_void};

use super::api::State;
use super::open::Module;
use super::symbols::{Scope, base_of, loaded_objects};

/// What copies know of each other. The first three fields never change their
/// meaning; a later layout only adds behind them.
#[repr(C)]
pub(super) struct PrivateTable {
    /// Size of this table in bytes.
    pub(super) size: usize,
    /// Equal for copies of the same version, which may stand in for another.
    pub(super) version: u64,
    /// Whether the copy has this file open.
    pub(super) has_open: extern "C" fn(dev: u64, ino: u64) -> bool,
    /// Opens a Lua module: the state, which one, and the return address.
    pub(super) open: unsafe extern "C-unwind" fn(*mut State, c_int, *const c_void) -> c_int,
}

/// The table by which copies of the library find each other. Not part of the
/// interface.
#[unsafe(no_mangle)]
pub(super) static acervo_private_table: PrivateTable = PrivateTable {
    size: size_of::<PrivateTable>(),
    version: hash(concat!("acervo ", env!("CARGO_PKG_VERSION"), " table 1").as_bytes()),
    has_open: own_has_open,
    open: super::open::open_handed_over,
};

const SONAME: &std::ffi::CStr = c"libacervo.so.0";
const TABLE: &std::ffi::CStr = c"acervo_private_table";

/// FNV-1a.
const fn hash(text: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < text.len() {
        hash = (hash ^ text[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

extern "C" fn own_has_open(dev: u64, ino: u64) -> bool {
    std::panic::catch_unwind(|| crate::database::has_open(dev, ino)).unwrap_or(true)
}

/// The table of the first loaded copy, if that is another one of the same
/// version: it opens the modules in our place.
pub(super) fn first_copy() -> Option<&'static PrivateTable> {
    let table = table_in(&Scope::loaded(SONAME)?)?;
    let own = &raw const acervo_private_table;
    (!std::ptr::eq(table, own) && table.version == acervo_private_table.version).then_some(table)
}

/// Whether another copy of the library in this process has a file open.
#[must_use]
pub(crate) fn is_open_in_another_copy(dev: u64, ino: u64) -> bool {
    let own_base = base_of((&raw const acervo_private_table).cast());
    loaded_objects()
        .iter()
        .filter_map(|name| Scope::loaded(name))
        .filter_map(|scope| table_in(&scope))
        // An object that merely depends on a copy answers for it too, which
        // asks it twice and harms nobody.
        .filter(|&table| base_of(std::ptr::from_ref(table).cast()) != own_base)
        .any(|table| (table.has_open)(dev, ino))
}

fn table_in(scope: &Scope) -> Option<&'static PrivateTable> {
    let address = scope.find(TABLE).cast::<PrivateTable>();
    // SAFETY: an object that exports this name is a copy of this library; it is
    // linked with `-z nodelete`, so its table stays. The fields read before the
    // versions are known to be equal are those that never change.
    unsafe { address.as_ref() }
}

/// Hands the opening of a module over to another copy.
///
/// # Safety
/// As for a `luaopen` function.
pub(super) unsafe fn hand_over(
    to: &'static PrivateTable,
    state: *mut State,
    module: Module,
    caller: *const c_void,
) -> c_int {
    // SAFETY: the versions are equal, so the function is `open_handed_over`.
    unsafe { (to.open)(state, module as c_int, caller) }
}
