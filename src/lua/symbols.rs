//! Finding the Lua API in the process, without importing it.
//!
//! A program may hold several Luas: its own, one inside a plugin, one that was
//! loaded with `RTLD_LOCAL`. The right one is the one that called us, so the
//! search goes outwards from the return address: the calling image and what it
//! depends on; the global scope; at last all loaded objects, if exactly one of
//! them defines the API.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;

use super::api::{Api, MissingSymbol, RaiseText};
use super::version::Version;

/// A symbol that every version defines.
const LANDMARK: &CStr = c"lua_gettop";

/// Why no API could be bound.
#[derive(Clone, Copy)]
pub(super) enum LookupError {
    /// No loaded object defines the API.
    NotFound,
    /// Several objects define it, and none of them called us.
    Ambiguous,
    /// It lacks a function; with what it takes to say so in Lua, if it has
    /// that.
    Missing(MissingSymbol, Option<RaiseText>),
}

/// A handle of the dynamic loader, closed again on drop. Closing it does not
/// unload anything: the objects were loaded before.
pub(super) struct Scope(*mut c_void);

impl Drop for Scope {
    fn drop(&mut self) {
        // SAFETY: the handle came from dlopen and is closed once.
        unsafe { libc::dlclose(self.0) };
    }
}

impl Scope {
    /// The loaded object of this name.
    pub(super) fn loaded(name: &CStr) -> Option<Self> {
        // SAFETY: NOLOAD runs no code; the name is NUL-terminated.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
        (!handle.is_null()).then(|| Self(handle))
    }

    /// The main program and everything in the global scope.
    fn global() -> Option<Self> {
        // SAFETY: a null name asks for the main program.
        let handle = unsafe { libc::dlopen(ptr::null(), libc::RTLD_LAZY) };
        (!handle.is_null()).then(|| Self(handle))
    }

    /// The address of a symbol in this object or what it depends on, or null.
    pub(super) fn find(&self, symbol: &CStr) -> *mut c_void {
        // SAFETY: the handle is open, the name NUL-terminated.
        unsafe { libc::dlsym(self.0, symbol.as_ptr()) }
    }
}

/// The image that an address lies in.
pub(super) fn image_of(address: *const c_void) -> Option<libc::Dl_info> {
    let mut info = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: dladdr accepts any address and fills `info` if it returns true.
    let found = unsafe { libc::dladdr(address, &raw mut info) } != 0;
    (found && !info.dli_fbase.is_null()).then_some(info)
}

/// The load address of the image that an address lies in.
pub(super) fn base_of(address: *const c_void) -> Option<usize> {
    image_of(address).map(|info| info.dli_fbase as usize)
}

/// Binds the API of the Lua that `caller`, a return address, belongs to.
pub(super) fn bind(caller: *const c_void) -> Result<Api, LookupError> {
    let scope = calling_image(caller)
        .filter(defines_lua)
        .or_else(|| Scope::global().filter(defines_lua))
        .map_or_else(only_definer, Ok)?;
    let landmark = base_of(scope.find(LANDMARK));
    // Another Lua may stand further back in the same scope. A symbol that only
    // it has says nothing about the version of ours.
    let version = Version::detect(|name| {
        let address = scope.find(name);
        !address.is_null() && base_of(address) == landmark
    });
    // SAFETY: the symbols come from an object that defines the Lua API, whose
    // version was told by its symbols; it stays loaded while it calls us.
    unsafe {
        Api::load(version, |name| scope.find(name)).map_err(|missing| {
            LookupError::Missing(missing, RaiseText::load(|name| scope.find(name)))
        })
    }
}

fn defines_lua(scope: &Scope) -> bool {
    !scope.find(LANDMARK).is_null()
}

fn calling_image(caller: *const c_void) -> Option<Scope> {
    let info = image_of(caller)?;
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr gave a NUL-terminated name, valid while the image is
    // loaded. (The main program has no name the loader knows: NOLOAD fails for
    // it, and the global scope, which starts with it, comes next.)
    Scope::loaded(unsafe { CStr::from_ptr(info.dli_fname) })
}

/// The object that defines the API, if there is exactly one.
fn only_definer() -> Result<Scope, LookupError> {
    let mut found: Option<(usize, Scope)> = None;
    for name in loaded_objects() {
        let Some(scope) = Scope::loaded(&name) else { continue };
        // A dependency's symbols are found too; count each definer once.
        let Some(base) = base_of(scope.find(LANDMARK)) else { continue };
        match &found {
            Some((known, _)) if *known == base => {}
            Some(_) => return Err(LookupError::Ambiguous),
            None => found = Some((base, scope)),
        }
    }
    found.map(|(_, scope)| scope).ok_or(LookupError::NotFound)
}

/// The names of all loaded objects except the main program.
pub(super) fn loaded_objects() -> Vec<CString> {
    unsafe extern "C" fn collect(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        names: *mut c_void,
    ) -> c_int {
        // SAFETY: dl_iterate_phdr gives a valid record and passes our pointer
        // on; the names are NUL-terminated and copied.
        unsafe {
            let name = (*info).dlpi_name;
            if !name.is_null() && *name != 0 {
                (*names.cast::<Vec<CString>>()).push(CStr::from_ptr(name).to_owned());
            }
        }
        0
    }
    // The loader's lock is held during the walk: only collect, look later.
    let mut names: Vec<CString> = Vec::new();
    // SAFETY: the callback fits, and `names` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(collect), (&raw mut names).cast()) };
    names
}
