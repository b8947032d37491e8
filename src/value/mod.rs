//! Values: what acervo stores, in the one form it keeps them in.
//!
//! A value is nil, a bool, a 64-bit integer, a double, a byte string, an array
//! or a map. It lives as canonical MessagePack bytes from the moment it enters
//! the library to the moment it leaves: there is no tree in between. Two rules
//! make the bytes canonical:
//!
//! - every integer, length and header has its shortest form, floats are always
//!   64 bit, and a string is `str` when it is UTF-8 and `bin` when it is not;
//! - what the model does not know (extension types, integers above
//!   `i64::MAX`, nil, NaN or duplicate keys, more than [`MAX_DEPTH`] levels)
//!   is refused where it would enter, with the offset where it stands.
//!
//! Bytes from outside become canonical in [`Value::from_msgpack`]; after that
//! every reader in the library may trust them.

mod canonical;
mod cell;
mod encode;
mod equal;
mod error;
mod index;
mod json;
mod number;
mod view;

pub(crate) use canonical::{append_canonical, append_wrapped};
pub use cell::{Stamp, Value};
pub use encode::{
    begin_array, begin_map, end_array, end_map, put_array_header, put_bool, put_float, put_int,
    put_map_header, put_nil, put_string,
};
pub use equal::equal;
pub(crate) use equal::has_equal_keys;
pub use error::ValueError;
pub use number::Number;
pub use view::{Token, Type, View};

/// Deepest nesting of arrays and maps in a value. A flat array or map has
/// depth 1.
pub const MAX_DEPTH: usize = 128;
