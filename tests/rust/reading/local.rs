//! What is thread local. Of loom's own, `join` does not wait until it is
//! dropped, as std's does.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr;

use crate::kernel;

/// Thread and place of the static.
type Key = (usize, usize);

std::thread_local! {
    /// All threads of a model are one of the system's.
    static VALUES: RefCell<BTreeMap<Key, Box<dyn Any>>> = const { RefCell::new(BTreeMap::new()) };
}

pub struct LocalKey<T: 'static>(pub fn() -> T);

#[derive(Debug)]
pub struct HasEnded;

impl<T: 'static> LocalKey<T> {
    pub fn try_with<R>(&'static self, work: impl FnOnce(&T) -> R) -> Result<R, HasEnded> {
        let thread = kernel::thread().ok_or(HasEnded)?;
        let key = (thread, ptr::from_ref(self).addr());
        let value: *const T = VALUES.with_borrow_mut(|values| {
            let value = values.entry(key).or_insert_with(|| Box::new((self.0)()));
            ptr::from_ref(value.downcast_ref().unwrap())
        });
        // SAFETY: in a box of its own, until this thread ends.
        Ok(work(unsafe { &*value }))
    }
}

/// This thread ends, and what it has is dropped.
pub fn drop_all() {
    let thread = kernel::thread();
    while let Some(value) = VALUES.with_borrow_mut(|values| {
        let key = values.keys().copied().find(|key| Some(key.0) == thread)?;
        values.remove(&key)
    }) {
        drop(value);
    }
}

/// As std's, of which the values are constant.
macro_rules! constant {
    (static $name:ident: $type:ty = const $value:block;) => {
        static $name: crate::local::LocalKey<$type> = crate::local::LocalKey(|| $value);
    };
}
pub(crate) use constant;
