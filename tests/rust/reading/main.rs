//! Memory that is read without locks and freed behind the readers, in every
//! order that threads can come in: read-copy-update and the cells that stand on
//! it.
//!
//! The sources are those of the library; around them stand atomics and locks
//! that loom knows, a kernel (`kernel.rs`) and memory that tells what is freed
//! too soon (`memory.rs`). As the tests beside those sources are none of
//! loom, this program has a `main` of its own: `cargo test --test reading [NAME]`.
#![allow(dead_code, unreachable_pub, unused_imports, missing_docs, reason = "a part of each")]
#![allow(clippy::print_stdout, reason = "the report of a test")]

mod atomic;
/// The tests beside the sources, which are compiled and not run, name it.
#[path = "../../../src/hashing.rs"]
mod hashing;
mod kernel;
mod local;
mod memory;
mod models;

#[path = "../../../src/platform"]
mod platform {
    pub mod barrier;
    pub mod cells;
    pub mod newest;
    pub mod rcu;
    pub mod thin;

    pub(crate) use crate::kernel::membarrier;

    /// Memory comes from the allocator, which tells what is freed too soon.
    pub mod pool {
        pub use std::alloc::{alloc as take, dealloc as give};
    }

    /// Nothing forks here.
    pub mod fork {
        use std::marker::PhantomData;

        use loom::lazy_static::Lazy;

        pub fn generation() -> u32 {
            0
        }

        pub struct PerProcess<T>(Lazy<T>);

        impl<T: Default + 'static> PerProcess<T> {
            pub const fn new() -> Self {
                Self(Lazy { init: T::default, _p: PhantomData })
            }

            pub fn get(&'static self) -> &'static T {
                self.0.get()
            }
        }
    }

    pub mod lock {
        pub use super::sync::{Mutex as Lock, MutexGuard as LockGuard};
    }

    /// No model has an array that is large enough.
    pub mod pages {
        pub fn serves(_: usize) -> bool {
            false
        }

        pub fn map(_: usize) -> *mut u8 {
            std::ptr::null_mut()
        }

        pub unsafe fn unmap(_: *mut u8, _: usize) {}
    }

    /// As the library's, of loom.
    pub mod sync {
        pub use loom::sync::MutexGuard;

        pub(crate) use crate::atomic;
        use crate::kernel;
        pub(crate) use crate::local::constant as thread_local;

        /// Set by one thread, and seen by others some time later.
        pub struct OnceLock<T> {
            is_set: atomic::AtomicBool,
            value: std::sync::OnceLock<T>,
        }

        impl<T> OnceLock<T> {
            pub const fn new() -> Self {
                Self { is_set: atomic::AtomicBool::new(false), value: std::sync::OnceLock::new() }
            }

            pub fn get(&self) -> Option<&T> {
                if self.is_set.load(atomic::Ordering::Acquire) { self.value.get() } else { None }
            }

            pub fn set(&self, value: T) -> Result<(), T> {
                self.value.set(value)?;
                self.is_set.store(true, atomic::Ordering::Release);
                Ok(())
            }
        }

        #[derive(Default)]
        pub struct Mutex<T>(loom::sync::Mutex<T>);

        impl<T> Mutex<T> {
            pub fn new(value: T) -> Self {
                Self(loom::sync::Mutex::new(value))
            }

            pub fn lock(&self) -> MutexGuard<'_, T> {
                kernel::interrupt();
                if let Ok(guard) = self.0.try_lock() {
                    return guard;
                }
                kernel::sleep();
                let guard = self.0.lock().unwrap();
                kernel::wake();
                guard
            }
        }
    }

    /// What of it the models use.
    pub mod parts {
        use super::rcu::{self, Retired};

        pub fn read<R>(body: impl FnOnce() -> R) -> R {
            rcu::read(body)
        }

        /// Begins a read, which ends when the result is dropped.
        pub fn begin() -> impl Drop {
            rcu::enter()
        }

        /// Frees it when no reader has it any more.
        pub fn retire<T>(gone: Box<T>, bytes: usize) {
            rcu::retire(retired(gone), bytes);
        }

        pub fn give_away<T>(gone: Box<T>) {
            rcu::give_away(vec![retired(gone)]);
        }

        fn retired<T>(gone: Box<T>) -> Retired {
            unsafe fn free<T>(gone: *mut ()) {
                // SAFETY: from the box below.
                drop(unsafe { Box::from_raw(gone.cast::<T>()) });
            }
            // SAFETY: the models give what no reader finds any more.
            unsafe { Retired::new(Box::into_raw(gone).cast(), free::<T>) }
        }

        /// So many bytes that it looks at once what can be freed.
        pub const MANY: usize = usize::MAX / 2;
    }
}

fn main() {
    let mut names: Vec<_> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let is_alone = names.first().is_some_and(|it| it == models::ALONE);
    if is_alone {
        names.remove(0);
    }
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|it| name.contains(&**it));
    for model in models::all().iter().filter(|it| is_wanted(it.name)) {
        if is_alone { model.run_alone() } else { model.run() }
    }
}
