//! Calling Lua from the middle of Rust.
//!
//! Handlers and policies are Lua functions that are called while a transaction
//! or a search is under way in Rust, with values alive that have destructors.
//! So the call is one of `lua_pcall` on a function of ours that was put on the
//! stack before: it allocates nothing itself, and nothing leaves it by
//! `longjmp`. What may raise happens inside.

use std::cell::Cell;
use std::ffi::c_int;

use super::ask::write_question;
use super::home::Home;
use crate::code::Code;
use crate::entries::{Question, Rejection, Step};
use crate::lua::buffer::Buffer;
use crate::lua::context::{self, Context, Place};
use crate::lua::decode;
use crate::lua::error_object::{ErrorObject, context_of};
use crate::lua::guard::guard;
use crate::lua::runtimes::entry;
use crate::lua::state::{Lua, TYPE_BOOLEAN, TYPE_FUNCTION, TYPE_NIL, TYPE_STRING};
use crate::lua::userdata;

/// Slots that a protected call takes of the stack of who makes it.
const SLOTS: c_int = 4;

/// How deep questions to policies nest at most. A policy that reads what it is
/// asked about is asked again, and LuaJIT ends such only with the C stack.
const NESTED_QUESTIONS: u32 = 16;

/// A question to a policy on this thread's stack.
struct Nested;

thread_local! {
    static NESTED: Cell<u32> = const { Cell::new(0) };
}

impl Nested {
    fn enter() -> Option<Self> {
        let depth = NESTED.get();
        (depth < NESTED_QUESTIONS).then(|| {
            NESTED.set(depth + 1);
            Self
        })
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        NESTED.set(NESTED.get() - 1);
    }
}

/// The place of the function that protected calls are made with.
#[derive(Clone, Copy)]
pub(super) struct Doorway {
    lua: Lua,
    index: c_int,
}

/// What is to be done in Lua.
enum Job<'a> {
    /// Ask the handler with this key.
    Ask { question: &'a Question, key: i64, home: &'a Home, answer: Result<(), Rejection> },
    /// Ask the policy of this registry.
    Allow { registry: i64, actor: &'a [u8], action: &'a [u8], resource: &'a [u8], allows: bool },
}

impl Doorway {
    /// Pushes the function. May raise.
    pub(super) fn push(lua: Lua) -> Self {
        // Raises in 5.1, tells in others; then the first call fails.
        lua.check_stack(SLOTS + 16);
        context::push_place(lua, Place::Doorway);
        if lua.is_none_or_nil(-1) {
            lua.pop(1);
            context::push_closure(lua, entry!(inside));
            lua.push_value(-1);
            context::set_place(lua, Place::Doorway);
        }
        Self { lua, index: lua.top() }
    }

    /// Does a job in Lua; false if it could not be.
    fn enter(self, job: &mut Job<'_>) -> bool {
        self.lua.push_value(self.index);
        self.lua.push_light(std::ptr::from_mut(job).cast_const().cast());
        let is_done = self.lua.protected_call(1, 0);
        if !is_done {
            self.lua.pop(1);
        }
        is_done
    }

    /// Asks the handler with this key.
    pub(super) fn ask(self, question: &Question, key: u64, home: &Home) -> Result<(), Rejection> {
        let mut job = Job::Ask { question, key: key.cast_signed(), home, answer: Ok(()) };
        let is_done = self.enter(&mut job);
        match job {
            Job::Ask { answer, .. } if is_done => answer,
            _ => Err(internal("the handler could not be called: out of memory")),
        }
    }

    /// Whether the state has a policy for this registry. Neither raises nor
    /// allocates.
    pub(super) fn has_policy(self, registry: usize) -> bool {
        let lua = self.lua;
        context::push_place(lua, Place::Policies);
        lua.raw_get_index(-1, registry as i64);
        let has_policy = lua.type_of(-1) == TYPE_FUNCTION;
        lua.pop(2);
        has_policy
    }

    /// Asks the policy of this registry. One that fails allows nothing, nor
    /// one that asks itself again and again.
    pub(super) fn allows(
        self,
        registry: usize,
        actor: &[u8],
        action: &[u8],
        resource: &[u8],
    ) -> bool {
        let Some(_nested) = Nested::enter() else { return false };
        let registry = registry as i64;
        let mut job = Job::Allow { registry, actor, action, resource, allows: false };
        self.enter(&mut job) && matches!(job, Job::Allow { allows: true, .. })
    }
}

fn internal(message: &str) -> Rejection {
    Rejection { code: Code::Internal, message: message.to_owned() }
}

/// Does the job at the first argument.
fn inside(lua: Lua) -> c_int {
    let context = context_of(lua);
    // SAFETY: `enter` passes a job that outlives the call; scripts do not get
    // at this function.
    match unsafe { &mut *lua.userdata(1).cast::<Job<'_>>() } {
        Job::Ask { question, key, home, answer } => {
            ask(lua, context, question, *key, home, answer);
        }
        Job::Allow { registry, actor, action, resource, allows } => {
            context::push_place(lua, Place::Policies);
            lua.raw_get_index(-1, *registry);
            for text in [actor, action, resource] {
                lua.push_bytes(text);
            }
            lua.call(3, 1);
            // Something else, say a text that tells why not, allows nothing.
            *allows = lua.type_of(-1) == TYPE_BOOLEAN && lua.to_bool(-1);
        }
    }
    0
}

/// Calls the function of a handler that is for the question.
fn ask(
    lua: Lua,
    context: &'static Context,
    question: &Question,
    key: i64,
    home: &Home,
    answer: &mut Result<(), Rejection>,
) {
    let name = match question.step() {
        Step::Begin => "begin",
        Step::Commit => "commit",
        Step::Discard => "discard",
        Step::Op(_) => "op",
    };
    // Before the function is pushed: it may push a userdata.
    let mut buffer = Buffer::take(lua, context);
    context::push_place(lua, Place::Handlers);
    lua.raw_get_index(-1, key);
    // It may have been cancelled, or want to know nothing of this.
    if lua.is_table(-1) {
        lua.raw_get_name(lua.top(), name);
    }
    if lua.type_of(-1) != TYPE_FUNCTION {
        buffer.release();
        return;
    }
    if let Err(error) = guard(|| write_question(question, buffer.bytes())) {
        buffer.release();
        *answer = Err(internal(&error.message));
        return;
    }
    let pushed = decode::push(lua, context, buffer.read(), home.big_int);
    buffer.release();
    if let Err(unpushable) = pushed {
        *answer = Err(Rejection { code: Code::Invalid, message: unpushable.to_string() });
        return;
    }
    if lua.protected_call(1, 2) {
        read_answer(lua, context, answer);
    } else {
        let (_, message) = reason(lua, context, lua.top());
        *answer = Err(Rejection { code: Code::Internal, message });
    }
}

/// What the two results on top of the stack say.
fn read_answer(lua: Lua, context: &'static Context, answer: &mut Result<(), Rejection>) {
    let second = lua.top();
    let first = second - 1;
    let refuses = match lua.type_of(first) {
        TYPE_BOOLEAN => !lua.to_bool(first),
        TYPE_NIL => !lua.is_none_or_nil(second),
        _ => {
            let got = lua.type_name(first);
            let message = format!("a handler answers true, or false and a reason, got {got}");
            *answer = Err(Rejection { code: Code::Internal, message });
            return;
        }
    };
    if refuses {
        let (code, message) = reason(lua, context, second);
        *answer = Err(Rejection { code: code.unwrap_or(Code::Invalid), message });
    }
}

/// The kind and the text of an error value or a reason.
fn reason(lua: Lua, context: &'static Context, index: c_int) -> (Option<Code>, String) {
    if let Some(error) = userdata::get::<ErrorObject>(lua, context, index) {
        let shown = String::from_utf8_lossy(&error.shown).into_owned();
        return (Some(error.code), shown);
    }
    let text = match lua.type_of(index) {
        TYPE_STRING => String::from_utf8_lossy(lua.bytes(index)).into_owned(),
        TYPE_NIL => String::new(),
        _ => format!("a {} as its reason", lua.type_name(index)),
    };
    (None, text)
}
