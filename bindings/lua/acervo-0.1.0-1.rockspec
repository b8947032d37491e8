rockspec_format = "3.0"
package = "acervo"
version = "0.1.0-1"

source = {
   url = "git+https://github.com/acervo/acervo",
   tag = "v0.1.0",
}

description = {
   summary = "Registry and store for scripts: shared, typed, on disk",
   detailed = [[
One shared library for C, C++ and every Lua: a key-value registry and a durable
store over one database file, shared by all threads, states and processes that
open it.

The library is written in Rust and built from source: this rock needs cargo
(Rust 1.95 or later) and a C compiler (for the bundled SQLite), and on the first
build the network, for the crates. No Lua headers are needed: one binary serves
Lua 5.1 to 5.5 and LuaJIT. Linux with glibc, x86-64 and aarch64.]],
   homepage = "https://github.com/acervo/acervo",
   license = "MIT OR Apache-2.0",
   labels = { "database", "registry", "storage", "ffi" },
}

supported_platforms = { "linux" }

dependencies = {
   "lua >= 5.1, < 5.6",
}

external_dependencies = {
   CARGO = { program = "cargo" },
}

-- A rock holds a copy of the library, not a symlink to an installed
-- libacervo.so.0; copies within one process find each other (spec: build.md).
build = {
   type = "command",
   build_command = "cargo build --release --locked --lib",
   install_command = "mkdir -p '$(LIBDIR)' && cp target/release/libacervo.so '$(LIBDIR)/acervo.so'",
}
