//! What handlers are asked about.

use std::ffi::c_char;
use std::sync::Arc;

use super::entry::acervo_entry;
use super::error::{ACERVO_INVALID, ACERVO_OK, ACERVO_PANIC, acervo_error};
use super::raw;
use super::wall;
use crate::entries::{Entry, OpKind, Question, Rejection, Response, Step};
use crate::error::{Code, Error};
use crate::guard::Unusable;
use crate::platform::fork;

/// What a handler returns to say yes.
pub const ACERVO_ACCEPT: i32 = 0;
/// What a handler returns to answer later, with acervo_op_accept or
/// acervo_op_reject.
pub const ACERVO_PENDING: i32 = 1;

/// An entry is created.
pub const ACERVO_OP_CREATE: i32 = 1;
/// An entry is replaced.
pub const ACERVO_OP_UPDATE: i32 = 2;
/// An entry is removed.
pub const ACERVO_OP_DELETE: i32 = 3;
/// A transaction begins.
pub const ACERVO_OP_BEGIN: i32 = 4;
/// Everything was accepted; the version is about to be written.
pub const ACERVO_OP_COMMIT: i32 = 5;
/// The transaction was given up, and what was accepted undone.
pub const ACERVO_OP_DISCARD: i32 = 6;

/// It undoes what the handler accepted before. A refusal stops nothing; it is
/// told to who applied.
pub const ACERVO_OP_FLAG_UNDO: u32 = 1;
/// A dry run: it is undone in any case.
pub const ACERVO_OP_FLAG_DRY_RUN: u32 = 2;
/// Another process did it: the handler is told, not asked; its answer does not
/// count.
pub const ACERVO_OP_FLAG_FOREIGN: u32 = 4;

/// What one handler is asked about once: an operation on an entry, or a step
/// of the transaction.
///
/// Reference counted. The handler's argument is borrowed for the call; one
/// that is to be answered later is retained and then freed with acervo_op_free.
/// Does not keep the database open.
///
/// Threads: any.
pub struct acervo_op {
    question: Arc<Question>,
    generation: u32,
}

impl acervo_op {
    /// Asks a handler of the host's, as `function` calls it.
    pub(super) fn ask(
        question: &Arc<Question>,
        function: impl FnOnce(*mut Self) -> i32,
    ) -> Response {
        let generation = fork::generation();
        let op = Arc::new(Self { question: Arc::clone(question), generation });
        let code = function(Arc::as_ptr(&op).cast_mut());
        match code {
            ACERVO_ACCEPT => Response::Accept,
            ACERVO_PENDING => Response::Pending,
            code => Response::Reject(op.rejection(code)),
        }
    }

    /// The refusal that a handler gave by returning `code`.
    fn rejection(&self, code: i32) -> Rejection {
        let noted = self.question.reason().map(|reason| reason.message);
        match kind_of(code) {
            Some(code) => Rejection { code, message: noted.unwrap_or_default() },
            None => {
                let message = format!("the handler returned {code}, which is no answer");
                Rejection { code: Code::Internal, message }
            }
        }
    }

    fn entry_of(&self, part: impl FnOnce(&Step) -> Option<&Entry>) -> *const acervo_entry {
        part(self.question.step()).map_or(std::ptr::null(), acervo_entry::borrowed)
    }
}

/// The kind of a refusal with this code. What a handler met inside the library
/// it passes on as its kind: it is no panic and no fork of who applies.
fn kind_of(code: i32) -> Option<Code> {
    let code = Code::ALL.into_iter().find(|known| *known as i32 == code)?;
    Some(match code {
        Code::Panic | Code::Forked => Code::Internal,
        Code::TooSmall => Code::Invalid,
        code => code,
    })
}

/// The question of an op that is to be answered.
///
/// # Safety
///
/// `op` is NULL or live.
unsafe fn answerable<'a>(op: *const acervo_op) -> Result<&'a Question, Error> {
    // SAFETY: as promised by the caller.
    let op = unsafe { raw::handle(op, "op") }?;
    if op.generation == fork::generation() {
        Ok(&op.question)
    } else {
        Err(Unusable::Forked.into())
    }
}

/// What is done: ACERVO_OP_CREATE and so on; ACERVO_INVALID for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_op_kind(op: *const acervo_op) -> i32 {
    wall::or(ACERVO_PANIC, || {
        // SAFETY: NULL or a live op.
        let Some(op) = (unsafe { op.as_ref() }) else { return ACERVO_INVALID };
        match op.question.step() {
            Step::Begin => ACERVO_OP_BEGIN,
            Step::Commit => ACERVO_OP_COMMIT,
            Step::Discard => ACERVO_OP_DISCARD,
            Step::Op(op) => match op.kind {
                OpKind::Create => ACERVO_OP_CREATE,
                OpKind::Update => ACERVO_OP_UPDATE,
                OpKind::Delete => ACERVO_OP_DELETE,
            },
        }
    })
}

/// Under which circumstances: ACERVO_OP_FLAG_UNDO and so on, or-ed; 0 for none,
/// and for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_op_flags(op: *const acervo_op) -> u32 {
    wall::or(0, || {
        // SAFETY: NULL or a live op.
        let Some(op) = (unsafe { op.as_ref() }) else { return 0 };
        let circumstances = op.question.circumstances();
        let flags = [
            (circumstances.undo, ACERVO_OP_FLAG_UNDO),
            (circumstances.dry_run, ACERVO_OP_FLAG_DRY_RUN),
            (circumstances.foreign, ACERVO_OP_FLAG_FOREIGN),
        ];
        flags.into_iter().filter(|(is_so, _)| *is_so).fold(0, |flags, (_, flag)| flags | flag)
    })
}

/// The entry as it will be; for a delete the entry that goes. Borrowed until
/// the op is freed; to keep it longer: acervo_entry_retain. NULL for begin,
/// commit and discard, and for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_op_entry(op: *const acervo_op) -> *const acervo_entry {
    wall::or(std::ptr::null(), || {
        // SAFETY: NULL or a live op.
        unsafe { op.as_ref() }.map_or(std::ptr::null(), |op| op.entry_of(Step::entry))
    })
}

/// The entry as it was, for updates and deletes. Borrowed until the op is
/// freed. NULL for everything else, and for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_op_original(op: *const acervo_op) -> *const acervo_entry {
    wall::or(std::ptr::null(), || {
        // SAFETY: NULL or a live op.
        unsafe { op.as_ref() }.map_or(std::ptr::null(), |op| op.entry_of(Step::original))
    })
}

/// Notes why it will be refused; refuses nothing yet. `message`, copied, goes
/// with what the handler returns, which then is the kind; or, with the kind
/// `code`, with acervo_op_reject. Again: replaces it.
///
/// ACERVO_INVALID: NULL, a `code` that is none or no failure, a bad text.
/// ACERVO_FORKED. There is no error object.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_op_set_error(
    op: *mut acervo_op,
    code: i32,
    message: *const c_char,
    message_len: usize,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_op_set_error", std::ptr::null_mut(), || {
            let question = answerable(op)?;
            let code = kind_of(code).ok_or_else(|| Error::invalid("code is no failure"))?;
            let message = raw::text(message, message_len, "message")?;
            let message = String::from_utf8_lossy(message).into_owned();
            question.set_reason(Rejection { code, message });
            Ok(())
        })
    }
}

/// One more reference to the same op. Owned: free with acervo_op_free. NULL for
/// NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_op_retain(op: *mut acervo_op) -> *mut acervo_op {
    wall::or(std::ptr::null_mut(), || {
        if !op.is_null() {
            // SAFETY: it came from an Arc and is alive.
            unsafe { Arc::increment_strong_count(op.cast_const()) };
        }
        op
    })
}

/// Frees one reference. NULL is accepted. Answers nothing: an op that is
/// pending stays so.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_op_free(op: *mut acervo_op) {
    if !op.is_null() {
        // SAFETY: it came from an Arc, and the caller gives its reference up.
        wall::or((), || drop(unsafe { Arc::from_raw(op.cast_const()) }));
    }
}

/// Says yes to a pending op; may come before the handler has returned
/// ACERVO_PENDING.
///
/// ACERVO_INVALID "too late": it was answered before, or nobody waits any more.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_op_accept(op: *mut acervo_op, err: *mut *mut acervo_error) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe { wall::call("acervo_op_accept", err, || Ok(answerable(op)?.answer(Ok(()))?)) }
}

/// Says no to a pending op, with what acervo_op_set_error has noted; else as
/// ACERVO_INVALID without a reason. Otherwise as acervo_op_accept.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_op_reject(op: *mut acervo_op, err: *mut *mut acervo_error) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        wall::call("acervo_op_reject", err, || {
            let question = answerable(op)?;
            let bare = || Rejection { code: Code::Invalid, message: String::new() };
            Ok(question.answer(Err(question.reason().unwrap_or_else(bare)))?)
        })
    }
}

const _: () = assert!(ACERVO_ACCEPT == ACERVO_OK, "a handler may return what a call gave it");
