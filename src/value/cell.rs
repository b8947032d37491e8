//! The cell: one allocation that is a value, from the caller to the table and
//! out to a C handle again.
//!
//! A stored value carries its key and its stamp in the same allocation. A
//! lookup then touches one cache-line run, a put allocates once, and handing a
//! stored value to C is a reference count instead of a copy.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use triomphe::ThinArc;

use super::index::Index;
use super::{Type, View};

/// When a stored value was written and when it stops being visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Whole seconds since the Unix epoch, UTC.
    pub timestamp: i64,
    /// Milliseconds since the Unix epoch from which on the value reads as
    /// missing; 0 if it does not expire.
    pub expires_at: i64,
}

/// What stands before the bytes; opaque outside.
pub(crate) struct Head {
    /// Length of the key that stands before the value; 0 for a free value.
    key_len: u32,
    stamp: Stamp,
    /// The table's mark: which row of the log holds this cell, and whether it
    /// still has to be written. Only the owning table reads or writes it.
    mark: AtomicU64,
    /// Where the elements stand, built at the first random access.
    index: OnceLock<Box<Index>>,
}

/// An immutable value, shared by reference count. Cloning copies nothing.
///
/// Threads: any.
#[derive(Clone)]
pub struct Value {
    cell: ThinArc<Head, u8>,
}

impl Value {
    /// A value from canonical bytes, which are copied.
    ///
    /// The bytes must come from this module's encoder or from another value;
    /// foreign bytes go through [`Value::from_msgpack`].
    #[must_use]
    pub fn from_canonical(bytes: &[u8]) -> Self {
        Self::stored(bytes, 0, Stamp::default())
    }

    /// A value under its key: `key_and_value` starts with `key_len` bytes of
    /// key, the canonical bytes follow.
    pub(crate) fn stored(key_and_value: &[u8], key_len: usize, stamp: Stamp) -> Self {
        let head = Head {
            key_len: key_len as u32,
            stamp,
            mark: AtomicU64::new(0),
            index: OnceLock::new(),
        };
        Self { cell: ThinArc::from_header_and_slice(head, key_and_value) }
    }

    /// The reference as one pointer can hold it; for the C ABI.
    pub(crate) fn into_cell(self) -> ThinArc<Head, u8> {
        self.cell
    }

    /// The reverse of [`Value::into_cell`].
    pub(crate) fn from_cell(cell: ThinArc<Head, u8>) -> Self {
        Self { cell }
    }

    /// Whether both are references to one cell.
    pub(crate) fn is_same_cell(&self, other: &Self) -> bool {
        self.cell.as_ptr() == other.cell.as_ptr()
    }

    /// The nil value.
    #[must_use]
    pub fn nil() -> Self {
        Self::from_canonical(&[rmp::Marker::Null.to_u8()])
    }

    /// The canonical MessagePack bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.cell.slice[self.cell.header.header.key_len as usize..]
    }

    /// The key a stored value stands under; empty for a free value.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.cell.slice[..self.cell.header.header.key_len as usize]
    }

    /// Key and value in one run, as [`Value::stored`] takes them.
    pub(crate) fn key_and_value(&self) -> &[u8] {
        &self.cell.slice
    }

    /// A cursor at the start of the value.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::new(self.as_bytes())
    }

    /// The value's type.
    #[must_use]
    pub fn type_of(&self) -> Type {
        self.view().type_of()
    }

    /// When a stored value was written, in seconds since the Unix epoch; 0 for
    /// a free value.
    #[must_use]
    pub fn timestamp(&self) -> i64 {
        self.cell.header.header.stamp.timestamp
    }

    /// When a stored value was written and when it expires.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.cell.header.header.stamp
    }

    /// The table's mark on this cell.
    pub(crate) fn mark(&self) -> &AtomicU64 {
        &self.cell.header.header.mark
    }

    /// Where the elements of this array or map stand; built at the first call.
    pub(super) fn index(&self) -> &Index {
        self.cell.header.header.index.get_or_init(|| Box::new(Index::build(self.as_bytes())))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        super::equal(self.as_bytes(), other.as_bytes())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_json() {
            Ok(json) => f.write_str(&json),
            Err(_) => write!(f, "{} of {} bytes", self.type_of().name(), self.as_bytes().len()),
        }
    }
}
