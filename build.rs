//! Link arguments of the shared library.
//!
//! `-soname` lets programs record the ABI they were linked against, `-z
//! nodelete` keeps the library (and with it the open databases and the
//! background thread) in the process when `lua_close` unloads its C modules.
//! `-Bsymbolic` keeps a copy of the library to itself: its references to its
//! own exports must not be bound to those of another copy in the process.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target_os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if target_os == "linux" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libacervo.so.0");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    }
}
