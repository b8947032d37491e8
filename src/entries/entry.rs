//! Entries: what the registry holds.

use std::fmt;
use std::sync::Arc;

use super::EntryError;
use super::id::{Id, IdRef, Text, is_control};
use crate::platform::thin::{IsThin, Thin};
use crate::value::{Token, Type, Value, put_map_header, put_string};

/// Longest kind in bytes.
pub(crate) const KIND_LIMIT: usize = 256;

/// A typed entry: id, kind, meta and data. Immutable, shared by reference
/// count.
///
/// Threads: any.
#[derive(Clone)]
pub struct Entry {
    body: Thin<Body>,
}

/// What the references to an entry share. What is looked at when one is found
/// stands in front: with an id of usual length it is one cache line.
#[repr(C)]
pub(crate) struct Body {
    /// With a NUL behind it, for C.
    kind: Arc<[u8]>,
    /// The id's text, where a search looks at it.
    text: Text,
    id: Id,
    meta: Value,
    data: Option<Value>,
    /// What another program called the form of the data; `None`: a plain value.
    format: Option<Arc<[u8]>>,
}

impl Body {
    /// The text of the id.
    pub(super) fn id_text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whether the id has this text.
    #[inline]
    pub(super) fn has_id(&self, text: &[u8]) -> bool {
        self.text.is(text)
    }
}

impl Entry {
    /// An entry from its parts. Meta `None` is empty; data `None` or nil is
    /// absent.
    ///
    /// # Errors
    ///
    /// [`EntryError::Id`], [`EntryError::Kind`] or [`EntryError::Meta`].
    pub fn new(
        id: IdRef<'_>,
        kind: &[u8],
        meta: Option<Value>,
        data: Option<Value>,
    ) -> Result<Self, EntryError> {
        id.check()?;
        let wrong_kind = if kind.is_empty() {
            Some("it is empty")
        } else if kind.iter().any(|&byte| is_control(byte)) {
            Some("it has a control byte")
        } else if kind.len() > KIND_LIMIT {
            Some("it is longer than 256 bytes")
        } else {
            None
        };
        if let Some(what) = wrong_kind {
            return Err(EntryError::Kind { id: id.to_string(), what });
        }
        let meta = meta.unwrap_or_else(empty_map);
        let mut view = meta.view();
        let Token::Map(len) = view.token() else {
            let what = format!("it must be a map, got {}", meta.type_of().name());
            return Err(EntryError::Meta { id: id.to_string(), what });
        };
        for _ in 0..len {
            if view.type_of() != Type::String {
                let what = format!("its keys must be strings, got {}", view.type_of().name());
                return Err(EntryError::Meta { id: id.to_string(), what });
            }
            view.skip();
            view.skip();
        }
        Ok(Self::from_parts(Id::new(id), kind, meta, data, None))
    }

    /// An entry as a file has it, unchecked.
    pub(super) fn from_parts(
        id: Id,
        kind: &[u8],
        meta: Value,
        data: Option<Value>,
        format: Option<&[u8]>,
    ) -> Self {
        let kind = [kind, b"\0"].concat().into();
        let data = data.filter(|data| data.type_of() != Type::Nil);
        let text = id.body().text().clone();
        Self::of(Body { id, text, kind, meta, data, format: format.map(Into::into) })
    }

    fn of(body: Body) -> Self {
        Self { body: Thin::new(body, &[], &[]) }
    }

    fn body(&self) -> &Body {
        self.body.head()
    }

    /// The same entry under an equal id, and with an equal kind, that are
    /// shared with others.
    pub(super) fn sharing(&self, id: Id, kind: Arc<[u8]>) -> Self {
        let body = self.body();
        let (text, format) = (id.body().text().clone(), body.format.clone());
        let (meta, data) = (body.meta.clone(), body.data.clone());
        Self::of(Body { id, text, kind, meta, data, format })
    }

    /// The same entry as `present`, whose id and kind it has, is held: sharing
    /// them with it.
    pub(super) fn in_place_of(&self, present: &Self) -> Self {
        if Arc::ptr_eq(self.id().body(), present.id().body()) {
            return self.clone();
        }
        self.sharing(present.id().clone(), Arc::clone(present.shared_kind()))
    }

    /// The id.
    #[must_use]
    #[inline]
    pub fn id(&self) -> &Id {
        &self.body().id
    }

    /// The parts of the id.
    #[inline]
    pub(super) fn id_parts(&self) -> IdRef<'_> {
        self.body().text.parts()
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &[u8] {
        &self.body().kind[..self.body().kind.len() - 1]
    }

    /// The kind, with a NUL behind it.
    #[must_use]
    pub fn kind_with_nul(&self) -> &[u8] {
        &self.body().kind
    }

    pub(super) fn shared_kind(&self) -> &Arc<[u8]> {
        &self.body().kind
    }

    /// The meta fields, a map.
    #[must_use]
    pub fn meta(&self) -> &Value {
        &self.body().meta
    }

    /// The data, if there is any.
    #[must_use]
    pub fn data(&self) -> Option<&Value> {
        self.body().data.as_ref()
    }

    pub(super) fn format(&self) -> Option<&[u8]> {
        self.body().format.as_deref()
    }

    /// Whether both have the same kind, meta and data.
    pub(super) fn has_same_content(&self, other: &Self) -> bool {
        let (a, b) = (self.body(), other.body());
        // The same bytes are the same value; also others may be.
        let same = |a: &Value, b: &Value| a.as_bytes() == b.as_bytes() || a == b;
        let is_data_same = match (&a.data, &b.data) {
            (Some(a), Some(b)) => same(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        is_data_same && a.kind == b.kind && a.format == b.format && same(&a.meta, &b.meta)
    }

    /// Whether both are references to one entry.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.body.is_same(&other.body)
    }

    /// What is counted; for the C ABI.
    pub(crate) fn as_thin(&self) -> &Thin<Body> {
        &self.body
    }

    /// How many bytes its parts have.
    pub(super) fn size(&self) -> usize {
        let data = self.data().map_or(0, |data| data.as_bytes().len());
        self.id().text().len() + self.kind().len() + self.meta().as_bytes().len() + data
    }

    /// Appends the entry as a map of `id`, `kind`, `meta` and `data`.
    pub fn append_map(&self, out: &mut Vec<u8>) {
        put_map_header(out, 3 + u32::from(self.data().is_some()));
        // The keys are in canonical bytes, as one asks for lists of many.
        out.extend_from_slice(b"\xa2id");
        put_string(out, self.id().text());
        out.extend_from_slice(b"\xa4kind");
        put_string(out, self.kind());
        out.extend_from_slice(b"\xa4meta");
        out.extend_from_slice(self.meta().as_bytes());
        if let Some(data) = self.data() {
            out.extend_from_slice(b"\xa4data");
            out.extend_from_slice(data.as_bytes());
        }
    }
}

/// The value `{}`.
pub(super) fn empty_map() -> Value {
    let mut bytes = Vec::with_capacity(1);
    put_map_header(&mut bytes, 0);
    Value::from_canonical(&bytes)
}

impl IsThin for Entry {
    type Head = Body;

    fn from_thin(body: Thin<Body>) -> Self {
        Self { body }
    }

    fn into_thin(self) -> Thin<Body> {
        self.body
    }
}

/// By value: id, kind, meta and data.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.id_parts() == other.id_parts() && self.has_same_content(other)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", self.id())
            .field("kind", &String::from_utf8_lossy(self.kind()))
            .field("meta", self.meta())
            .field("data", &self.data())
            .finish()
    }
}
