//! What depends on the operating system and the processor: fork, exit, signals,
//! clocks, files, the memory that processes share, and the memory that threads
//! read without a lock.
//!
//! Together with `ffi` and `lua` this is where unsafe code may stand.

mod arena;
mod barrier;
pub(crate) mod cells;
mod chunk;
pub(crate) mod clock;
mod errno;
pub(crate) mod event_fd;
pub(crate) mod exit;
mod fallback;
pub(crate) mod file;
pub(crate) mod fork;
mod gather;
mod lock;
mod membarrier;
mod name;
pub(crate) mod newest;
pub(crate) mod once_box;
mod pages;
pub(crate) mod pool;
pub(crate) mod prepared;
pub(crate) mod rcu;
pub(crate) mod reads;
pub(crate) mod shared_counter;
pub(crate) mod signal;
pub(crate) mod signals;
pub(crate) mod sqlite;
pub(crate) mod sync;
pub(crate) mod thin;
pub(crate) mod turn;
pub(crate) mod wal;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!(
    "acervo runs on Linux with glibc (x86-64 and aarch64): process locks, fork handling and the \
     run-time Lua binding are written for it. See docs/design.md, 'Platforms'."
);
