//! What differs between the Lua versions, all of it.
//!
//! Everything else in the binding speaks the names of Lua 5.4. Older versions
//! spell some calls differently ([`Version::symbol`]); where such a call also
//! takes fewer or narrower arguments than its successor, it is called through
//! the successor's type all the same: in the calling conventions of x86-64 and
//! AArch64 arguments travel in registers of their own, so a callee ignores
//! those it does not know and reads the low half of a number it takes as an
//! `int` (values passed there always fit one).

use std::ffi::{CStr, c_int};

/// A Lua version, as far as its C API is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Lua51,
    LuaJit,
    Lua52,
    Lua53,
    Lua54,
    Lua55,
}

/// Where the globals of a state are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Globals {
    /// Behind a pseudo-index.
    Index(c_int),
    /// In the registry, under this number.
    InRegistry(i64),
}

impl Version {
    /// The version of the API that `defines` answers for, told by symbols that
    /// came with each version.
    pub(super) fn detect(defines: impl Fn(&CStr) -> bool) -> Self {
        if defines(c"lua_newuserdatauv") {
            if defines(c"lua_numbertocstring") { Self::Lua55 } else { Self::Lua54 }
        } else if defines(c"lua_rotate") {
            Self::Lua53
        } else if defines(c"lua_callk") {
            Self::Lua52
        } else if defines(c"luaopen_jit") {
            Self::LuaJit
        } else {
            Self::Lua51
        }
    }

    /// The version a host names by its `LUA_VERSION_NUM`. LuaJIT calls itself
    /// 501 as well; who binds it finds out and corrects.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        match number {
            501 => Some(Self::Lua51),
            502 => Some(Self::Lua52),
            503 => Some(Self::Lua53),
            504 => Some(Self::Lua54),
            505 => Some(Self::Lua55),
            _ => None,
        }
    }

    /// The name this version has for a call known by its name in 5.4.
    pub(super) fn symbol(self, name: &'static CStr) -> &'static CStr {
        if !matches!(self, Self::Lua54 | Self::Lua55) && name == c"lua_newuserdatauv" {
            return c"lua_newuserdata";
        }
        if !self.has_integers() && name == c"lua_rotate" {
            return c"lua_remove";
        }
        if !self.is_51() {
            return name;
        }
        match name.to_bytes() {
            b"lua_rawlen" => c"lua_objlen",
            b"lua_tonumberx" => c"lua_tonumber",
            b"lua_callk" => c"lua_call",
            b"lua_pcallk" => c"lua_pcall",
            _ => name,
        }
    }

    /// Whether this is the API of 5.1, which LuaJIT has too.
    pub(super) fn is_51(self) -> bool {
        matches!(self, Self::Lua51 | Self::LuaJit)
    }

    /// Whether numbers come as integers and floats.
    pub(super) fn has_integers(self) -> bool {
        matches!(self, Self::Lua53 | Self::Lua54 | Self::Lua55)
    }

    /// Whether variables can be closed at the end of their block.
    pub(super) fn has_close(self) -> bool {
        matches!(self, Self::Lua54 | Self::Lua55)
    }

    /// `LUA_REGISTRYINDEX`.
    pub(super) fn registry_index(self) -> c_int {
        match self {
            Self::Lua51 | Self::LuaJit => -10_000,
            // -LUAI_MAXSTACK - 1000
            Self::Lua52 | Self::Lua53 | Self::Lua54 => -1_001_000,
            Self::Lua55 => -(c_int::MAX / 2 + 1000),
        }
    }

    /// `lua_upvalueindex(0)`: the upvalues count down from here.
    pub(super) fn upvalue_base(self) -> c_int {
        match self {
            // LUA_GLOBALSINDEX
            Self::Lua51 | Self::LuaJit => -10_002,
            _ => self.registry_index(),
        }
    }

    /// Where the globals are.
    pub(super) fn globals(self) -> Globals {
        if self.is_51() {
            Globals::Index(-10_002)
        } else {
            // LUA_RIDX_GLOBALS
            Globals::InRegistry(2)
        }
    }

    /// Offset of `currentline` in `lua_Debug`.
    pub(super) fn debug_line(self) -> usize {
        match self {
            // 5.4 has put `srclen` before it.
            Self::Lua54 | Self::Lua55 => 48,
            _ => 40,
        }
    }

    /// Offset of `short_src` in `lua_Debug`.
    pub(super) fn debug_short_source(self) -> usize {
        match self {
            Self::Lua51 | Self::LuaJit | Self::Lua52 | Self::Lua53 => 56,
            Self::Lua54 => 68,
            Self::Lua55 => 76,
        }
    }
}

/// Offset of `name` in `lua_Debug`, the same in all versions.
pub(super) const DEBUG_NAME: usize = 8;

/// Room for the largest `lua_Debug` of all versions, in units of 8 bytes.
pub(super) const DEBUG_WORDS: usize = 32;

/// LuaJIT's type number of C data objects.
pub(super) const TYPE_CDATA: c_int = 10;
