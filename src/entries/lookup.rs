//! Finding a field in a map.

use crate::value::{Token, View};

/// The value under `key` (canonical bytes), if `map` is a map and has one.
/// Walks it: an index for each map that is looked at once would cost more than
/// it saves.
pub(super) fn lookup<'a>(map: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut view = View::new(map);
    let Token::Map(len) = view.token() else { return None };
    (0..len).find_map(|_| {
        let is_it = view.rest().starts_with(key);
        view.skip();
        let value = view.skip();
        is_it.then_some(value)
    })
}
