//! The cell: one allocation that is a value, from the caller to the table and
//! out to a C handle again.
//!
//! A stored value carries its key and its stamp in the same allocation. A
//! lookup then touches one cache-line run, a put allocates once, and handing a
//! stored value to C is a reference count instead of a copy.

use std::fmt;
use std::sync::atomic::AtomicU64;

use super::index::Index;
use super::{Type, View};
use crate::platform::once_box::OnceBox;
use crate::platform::thin::{IsThin, Thin};

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
#[derive(Default)]
pub(crate) struct Head {
    stamp: Stamp,
    /// The table's mark: which row of the log holds this cell, and whether it
    /// still has to be written. Only the owning table reads or writes it.
    mark: AtomicU64,
    /// Where the elements stand, built at the first random access.
    index: OnceBox<Index>,
}

/// An immutable value, shared by reference count. Cloning copies nothing.
///
/// Threads: any.
#[derive(Clone)]
pub struct Value {
    /// The key, empty for a free value; the canonical bytes.
    cell: Thin<Head>,
}

impl IsThin for Value {
    type Head = Head;

    #[inline]
    fn from_thin(cell: Thin<Head>) -> Self {
        Self { cell }
    }

    #[inline]
    fn into_thin(self) -> Thin<Head> {
        self.cell
    }
}

impl Value {
    /// A value from canonical bytes, which are copied.
    ///
    /// The bytes must come from this module's encoder or from another value;
    /// foreign bytes go through [`Value::from_msgpack`].
    #[must_use]
    pub fn from_canonical(bytes: &[u8]) -> Self {
        Self::stored(&[], bytes, Stamp::default())
    }

    /// A value from canonical bytes in two parts, which are copied. `None` if
    /// there is no memory, or they are 4 GiB or longer.
    #[inline]
    pub(super) fn try_joined(parts: [&[u8]; 2]) -> Option<Self> {
        Some(Self { cell: Thin::try_new(Head::default(), &[], parts)? })
    }

    /// A value under its key, both copied.
    #[inline]
    pub(crate) fn stored(key: &[u8], value: &[u8], stamp: Stamp) -> Self {
        Self { cell: Thin::new(Head { stamp, ..Head::default() }, key, value) }
    }

    /// As [`Value::stored`]; `None` if there is no memory, or one of them is
    /// 4 GiB or longer.
    #[inline]
    pub(crate) fn try_stored(key: &[u8], value: &[u8], stamp: Stamp) -> Option<Self> {
        Some(Self { cell: Thin::try_new(Head { stamp, ..Head::default() }, key, [value, &[]])? })
    }

    /// Where it is, for the C ABI.
    pub(crate) fn as_ptr(&self) -> *const () {
        self.cell.as_ptr()
    }

    /// Has the processor fetch it.
    #[inline]
    pub(crate) fn prefetch(&self) {
        Thin::<Head>::prefetch(self.cell.as_ptr());
    }

    /// Whether both are references to one cell.
    #[inline]
    pub(crate) fn is_same_cell(&self, other: &Self) -> bool {
        self.cell.is_same(&other.cell)
    }

    /// The nil value.
    #[must_use]
    pub fn nil() -> Self {
        Self::from_canonical(&[rmp::Marker::Null.to_u8()])
    }

    /// The canonical MessagePack bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.cell.second()
    }

    /// The key a stored value stands under; empty for a free value.
    #[must_use]
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.cell.first()
    }

    /// How many bytes key and value have.
    #[inline]
    pub(crate) fn stored_len(&self) -> usize {
        self.cell.len()
    }

    /// A cursor at the start of the value.
    #[must_use]
    #[inline]
    pub fn view(&self) -> View<'_> {
        View::new(self.as_bytes())
    }

    /// The bytes, if it is a string.
    #[must_use]
    #[inline]
    pub fn as_string(&self) -> Option<&[u8]> {
        let bytes = self.as_bytes();
        let header = match *bytes.first()? {
            0xa0..=0xbf => 1,
            // str and bin with a length of 8, 16 and 32 bits.
            0xd9 | 0xc4 => 2,
            0xda | 0xc5 => 3,
            0xdb | 0xc6 => 5,
            _ => return None,
        };
        // It is all there is in the value.
        bytes.get(header..)
    }

    /// The value's type.
    #[must_use]
    pub fn type_of(&self) -> Type {
        self.view().type_of()
    }

    /// When a stored value was written, in seconds since the Unix epoch; 0 for
    /// a free value.
    #[must_use]
    #[inline]
    pub fn timestamp(&self) -> i64 {
        self.cell.head().stamp.timestamp
    }

    /// When a stored value was written and when it expires.
    #[must_use]
    #[inline]
    pub fn stamp(&self) -> Stamp {
        self.cell.head().stamp
    }

    /// The table's mark on this cell.
    #[inline]
    pub(crate) fn mark(&self) -> &AtomicU64 {
        &self.cell.head().mark
    }

    /// Where the elements of this array or map stand; built at the first call.
    pub(super) fn index(&self) -> &Index {
        self.cell.head().index.get_or_init(|| Box::new(Index::build(self.as_bytes())))
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
