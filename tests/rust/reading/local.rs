//! What is thread local. Of loom's own, `join` does not wait until it is
//! dropped, as std's does.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::{mem, ptr};

use crate::kernel;

/// Thread and place of the static.
type Key = (usize, usize);

std::thread_local! {
    /// All threads of a model are one of the system's.
    static VALUES: RefCell<BTreeMap<Key, Local>> = const { RefCell::new(BTreeMap::new()) };
}

struct Local {
    value: Box<dyn Any>,
    has_destructor: bool,
}

pub struct LocalKey<T: 'static>(pub fn() -> T);

#[derive(Debug)]
pub struct HasEnded;

impl<T: 'static> LocalKey<T> {
    pub fn try_with<R>(&'static self, work: impl FnOnce(&T) -> R) -> Result<R, HasEnded> {
        let thread = kernel::thread().ok_or(HasEnded)?;
        let key = (thread, ptr::from_ref(self).addr());
        let value: *const T = VALUES.with_borrow_mut(|values| {
            let local = values.entry(key).or_insert_with(|| Local {
                value: Box::new((self.0)()),
                has_destructor: mem::needs_drop::<T>(),
            });
            ptr::from_ref(local.value.downcast_ref().unwrap())
        });
        // SAFETY: in a box of its own, until this thread ends.
        Ok(work(unsafe { &*value }))
    }
}

/// This thread ends, and what it has is dropped: what has no destructor last,
/// as that is there for those that have one.
pub fn drop_all() {
    let thread = kernel::thread();
    while let Some(local) = VALUES.with_borrow_mut(|values| {
        let of_thread = values.iter().filter(|(key, _)| Some(key.0) == thread);
        let key = *of_thread.min_by_key(|(_, local)| !local.has_destructor)?.0;
        values.remove(&key)
    }) {
        drop(local);
    }
}

/// As std's, of which the values are constant.
macro_rules! constant {
    ($($(#[$doc:meta])* static $name:ident: $type:ty = const $value:block;)*) => {$(
        $(#[$doc])*
        static $name: crate::local::LocalKey<$type> = crate::local::LocalKey(|| $value);
    )*};
}
pub(crate) use constant;
