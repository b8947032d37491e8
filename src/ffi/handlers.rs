//! Handlers: functions of the host's that are asked about changes.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::database::acervo;
use super::error::acervo_error;
use super::history::registry_of;
use super::op::acervo_op;
use super::raw::{self, ForeignData, Out};
use super::wall;
use crate::entries::{Direct, Handler, Plain, Registry, Responder, Wants};
use crate::error::Error;

/// The handler is also asked at begin and commit, and told about a discard,
/// of every transaction, whatever that touches.
pub const ACERVO_ON_TRANSACTION: u32 = 1;
/// The handler is first asked about every matching entry that is there, as a
/// create, dependencies first; and it is told what other processes do.
pub const ACERVO_ON_REPLAY: u32 = 2;

/// Is asked about a change of the entry registry before it counts. Returns
/// ACERVO_ACCEPT; ACERVO_PENDING, to answer later: retain `op` for that; or a
/// negative code, the kind of its refusal: acervo_op_set_error before gives the
/// reason. An operation that is refused as ACERVO_NOT_FOUND is asked about
/// again when others were accepted. Any other number is a refusal as
/// ACERVO_INTERNAL.
///
/// `op` is borrowed for the call. Called on the thread that applies (or, with
/// ACERVO_ON_REPLAY, registers, or on one of the library's that tells what
/// other processes did), with no lock held, one call at a time. It may call
/// everything but what changes entries of the same database: acervo_changes_apply,
/// acervo_apply_version, acervo_load_state, acervo_prune and registering with a
/// replay are ACERVO_INVALID there, and it sees the state before the
/// transaction. It must not unwind.
pub type acervo_handler_fn =
    Option<unsafe extern "C" fn(userdata: *mut c_void, op: *mut acervo_op) -> i32>;

/// A handler that is registered. Keeps its database alive.
///
/// Threads: one at a time.
pub struct acervo_subscription {
    handler: Arc<Handler>,
    registry: Registry,
}

/// Has `function` be asked about every change of an entry whose kind matches
/// `kind_pattern`: segments between dots, `*` for any one, `**` for any number,
/// `(a|b)` for a choice. Handlers are asked in the order in which they were
/// registered. `flags`: ACERVO_ON_TRANSACTION, ACERVO_ON_REPLAY, or-ed.
///
/// `out` is owned: free with acervo_subscription_cancel. It may be NULL: the
/// handler then stays until the last handle of the file is closed. `destroy`
/// (may be NULL) runs once: when the handler was cancelled and no call of it
/// runs, when the database goes, or if this fails; on any thread, and it may
/// call what a handler may.
///
/// ACERVO_INVALID: a NULL function, a bad pattern, unknown flags; a replay from
/// inside a handler. With ACERVO_ON_REPLAY also what the handler refuses; it is
/// not registered then.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_on(
    db: *mut acervo,
    kind_pattern: *const c_char,
    len: usize,
    flags: u32,
    function: acervo_handler_fn,
    userdata: *mut c_void,
    destroy: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
    out: *mut *mut acervo_subscription,
    err: *mut *mut acervo_error,
) -> i32 {
    let data = ForeignData::new(userdata, destroy);
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_on", err, move || {
            let data = data;
            let registry = registry_of(db)?;
            let pattern = raw::text(kind_pattern, len, "kind_pattern")?;
            let wants = wants(flags)?;
            let function = function.ok_or_else(|| Error::invalid("function is NULL"))?;
            let direct: Direct = Box::new(move |question| {
                let data = &data;
                // SAFETY: the host gave both together for this call.
                acervo_op::ask(question, |op| function(data.userdata, op))
            });
            let responder = Responder::Direct(direct);
            let handler = registry.on(pattern, wants, responder, &Plain::default())?;
            if out.is_wanted() {
                out.set(Box::into_raw(Box::new(acervo_subscription {
                    handler,
                    registry: registry.clone(),
                })));
            }
            Ok(())
        })
    }
}

fn wants(flags: u32) -> Result<Wants, Error> {
    if flags & !(ACERVO_ON_TRANSACTION | ACERVO_ON_REPLAY) != 0 {
        return Err(Error::invalid(format!("flags has unknown bits: {flags:#x}")));
    }
    let transaction = flags & ACERVO_ON_TRANSACTION != 0;
    let replay = flags & ACERVO_ON_REPLAY != 0;
    Ok(Wants { begin: transaction, commit: transaction, discard: transaction, replay })
}

/// Has the handler not be asked any more, and frees the subscription. Waits for
/// a running call of the handler, unless made from inside it: when this
/// returns, none runs and `destroy` has run; from inside it that runs when the
/// call has ended. What the handler has left pending counts as accepted. NULL
/// is accepted, and a subscription whose database was closed.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_subscription_cancel(subscription: *mut acervo_subscription) {
    if !subscription.is_null() {
        wall::or((), || {
            // SAFETY: it came from acervo_on, and the caller gives it up.
            let subscription = unsafe { Box::from_raw(subscription) };
            // In a forked child the handler is the parent's.
            if !subscription.registry.is_forked() {
                subscription.handler.cancel();
            }
        });
    }
}
