//! What scripts may do with entries.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::database::acervo;
use super::error::acervo_error;
use super::history::registry_of;
use super::raw::ForeignData;
use super::wall;
use crate::entries::Policy;

/// Tells whether `actor` may do `action` on `resource`: "registry.get" on an
/// entry's id; "registry.apply" and "registry.apply_version", where `resource`
/// is empty. `actor` is empty for a script without one. Texts are borrowed for
/// the call and have no NUL behind them.
///
/// Called on the thread of the script, several at a time, with no lock held; it
/// may call everything but acervo_close. It must not unwind.
pub type acervo_policy_fn = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        actor: *const c_char,
        actor_len: usize,
        action: *const c_char,
        action_len: usize,
        resource: *const c_char,
        resource_len: usize,
    ) -> bool,
>;

/// Has `function` be asked about what scripts do with entries, from now on;
/// NULL: they may do everything, as at first. Holds for all handles of the
/// file. Calls of this header are the host's own and never asked about.
/// `destroy` (may be NULL) runs once: when another policy takes the place and
/// no call runs, when the database goes, or if this fails.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_set_policy(
    db: *mut acervo,
    function: acervo_policy_fn,
    userdata: *mut c_void,
    destroy: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
    err: *mut *mut acervo_error,
) -> i32 {
    let data = ForeignData::new(userdata, destroy);
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_set_policy", err, move || {
            let data = data;
            let registry = registry_of(db)?;
            let policy = function.map(|function| -> Policy {
                Arc::new(move |actor: &[u8], action: &[u8], resource: &[u8]| {
                    let data = &data;
                    let (actor, action, resource) = (text(actor), text(action), text(resource));
                    // SAFETY: the host gave both together for this call.
                    function(
                        data.userdata,
                        actor.0,
                        actor.1,
                        action.0,
                        action.1,
                        resource.0,
                        resource.1,
                    )
                })
            });
            Ok(registry.set_policy(policy)?)
        })
    }
}

/// A text as C takes it; an empty one points to a NUL.
fn text(text: &[u8]) -> (*const c_char, usize) {
    let start = if text.is_empty() { c"".as_ptr() } else { text.as_ptr().cast() };
    (start, text.len())
}
