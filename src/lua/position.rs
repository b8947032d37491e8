//! Where in a script a call stands.

use std::ffi::{CStr, c_char, c_int};

use super::state::Lua;
use super::version::{DEBUG_NAME, DEBUG_WORDS};

/// One level of the call stack.
pub(super) struct Frame<'a> {
    /// The chunk, as Lua shortens it for messages.
    pub(super) source: &'a [u8],
    /// The current line; none in a C function.
    pub(super) line: Option<c_int>,
    /// What the function is called, if Lua knows.
    pub(super) name: Option<&'a [u8]>,
}

/// Room for a `lua_Debug` of any version.
pub(super) struct Record([u64; DEBUG_WORDS]);

impl Record {
    pub(super) fn new() -> Self {
        Self([0; DEBUG_WORDS])
    }

    /// Reads a level of the call stack: 0 is the running function of ours, 1
    /// its caller. None past the end. Neither allocates nor raises.
    pub(super) fn read(&mut self, lua: Lua, level: c_int) -> Option<Frame<'_>> {
        let record = self.0.as_mut_ptr().cast::<u8>();
        if !lua.get_stack(level, record.cast()) || !lua.get_info(c"nSl", record.cast()) {
            return None;
        }
        let version = lua.version();
        // SAFETY: the record is larger than any version's lua_Debug, and Lua
        // has filled the fields read here: a C string inside the record, one
        // owned by the called function (or null), and an int.
        unsafe {
            let source = CStr::from_ptr(record.add(version.debug_short_source()).cast());
            let line = record.add(version.debug_line()).cast::<c_int>().read();
            let name = record.add(DEBUG_NAME).cast::<*const c_char>().read();
            Some(Frame {
                source: source.to_bytes(),
                line: (line > 0).then_some(line),
                name: (!name.is_null()).then(|| CStr::from_ptr(name).to_bytes()),
            })
        }
    }
}

/// How many callers are asked for a line, past functions written in C.
const SEARCHED: c_int = 16;

/// The innermost line of Lua that led to the running function of ours, as
/// `file:line: `; nothing if there is none. (`pcall(store.put)` is called by
/// C: the line is that of the pcall.)
pub(super) fn write_position(lua: Lua, out: &mut Vec<u8>) {
    for level in 1..SEARCHED {
        let mut record = Record::new();
        let Some(frame) = record.read(lua, level) else { return };
        if let Some(line) = frame.line {
            out.extend_from_slice(frame.source);
            out.extend_from_slice(format!(":{line}: ").as_bytes());
            return;
        }
    }
}
