//! Ids: `namespace:name`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use super::EntryError;
use super::slots::Lease;
use crate::hashing::Hashing;

/// Longest id in bytes, the whole text.
pub(crate) const ID_LIMIT: usize = 512;

/// An id as its two parts, borrowed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdRef<'a> {
    /// What stands before the first colon; empty if there is none.
    pub ns: &'a [u8],
    /// What stands behind it.
    pub name: &'a [u8],
}

impl<'a> IdRef<'a> {
    /// Splits a text at its first colon. Any text is an id.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Self {
        match text.iter().position(|&byte| byte == b':') {
            Some(colon) => Self { ns: &text[..colon], name: &text[colon + 1..] },
            None => Self { ns: b"", name: text },
        }
    }

    /// A hash of both parts, as cheap as it can be had.
    #[inline]
    pub(super) fn hash_by(self, hasher: &Hashing) -> u64 {
        let mut hasher = hasher.build_hasher();
        hasher.write(self.ns);
        hasher.write(self.name);
        hasher.finish()
    }

    /// Fails if no entry may be made under this id.
    pub(super) fn check(self) -> Result<(), EntryError> {
        let what = if self.name.is_empty() {
            "its name is empty"
        } else if self.ns.contains(&b':') {
            "its namespace has a colon"
        } else if self.ns.iter().chain(self.name).any(|&byte| is_control(byte)) {
            "it has a control byte"
        } else if self.ns.len() + 1 + self.name.len() > ID_LIMIT {
            "it is longer than 512 bytes"
        } else {
            return Ok(());
        };
        Err(EntryError::Id { id: self.to_string(), what })
    }
}

/// Below a space, or DEL: what neither ids nor kinds may hold.
pub(super) fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// As messages show it; always with its colon.
impl fmt::Display for IdRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ns, name) = (String::from_utf8_lossy(self.ns), String::from_utf8_lossy(self.name));
        write!(f, "{ns}:{name}")
    }
}

impl fmt::Debug for IdRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An id, shared by reference count: all states of a registry that hold an
/// entry under it hold the same one.
#[derive(Clone)]
pub struct Id {
    body: Arc<Body>,
}

/// What the references to an id share.
pub(super) struct Body {
    text: Text,
    /// Its slot in a registry; an id that came from outside has none yet.
    lease: Option<Lease>,
}

/// Most bytes that stand where the text is asked for.
const SHORT: usize = 40;

/// The text of an id, `ns:name` and a NUL, for C. Looking an entry up ends with
/// comparing it: one of usual length stands in the entry itself, not somewhere
/// else in memory.
#[derive(Clone)]
pub(super) struct Text {
    ns_len: u32,
    bytes: Bytes,
}

#[derive(Clone)]
enum Bytes {
    /// As many of them. The first colon is that behind the namespace.
    Short(u8, [u8; SHORT]),
    Long(Arc<[u8]>),
}

impl Text {
    fn new(id: IdRef<'_>) -> Self {
        let parts: [&[u8]; 4] = [id.ns, b":", id.name, b"\0"];
        let len = id.ns.len() + id.name.len() + 2;
        if len > SHORT || id.ns.contains(&b':') {
            let bytes = Bytes::Long(parts.concat().into());
            return Self { ns_len: id.ns.len() as u32, bytes };
        }
        let (mut bytes, mut at) = ([0; SHORT], 0);
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Self { ns_len: id.ns.len() as u32, bytes: Bytes::Short(len as u8, bytes) }
    }

    #[inline]
    fn with_nul(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Short(len, bytes) => &bytes[..usize::from(*len)],
            Bytes::Long(bytes) => bytes,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        let text = self.with_nul();
        &text[..text.len() - 1]
    }

    /// Whether it is the id that this text means. As cheap as it can be had: it is
    /// asked for each entry that is looked up. A namespace with a colon, which
    /// files may hold, gives the text of another id.
    #[inline]
    pub(super) fn is(&self, text: &[u8]) -> bool {
        match &self.bytes {
            Bytes::Short(len, bytes) => {
                if usize::from(*len) != text.len() + 1 {
                    return false;
                }
                let Some(own) = bytes.get(..text.len()) else { return false };
                match (own.last_chunk::<8>(), text.last_chunk::<8>()) {
                    (Some(own_end), Some(end)) => {
                        let (own, text) = (own.as_chunks::<8>().0, text.as_chunks::<8>().0);
                        own_end == end && own.iter().zip(text).all(|(own, other)| own == other)
                    }
                    _ => own == text,
                }
            }
            Bytes::Long(_) => self.as_bytes() == text && self.parts() == IdRef::parse(text),
        }
    }

    #[inline]
    pub(super) fn parts(&self) -> IdRef<'_> {
        let (ns, rest) = self.with_nul().split_at(self.ns_len as usize);
        IdRef { ns, name: &rest[1..rest.len() - 1] }
    }
}

impl Id {
    /// An id of these parts, in no registry yet.
    #[must_use]
    pub fn new(id: IdRef<'_>) -> Self {
        Self::leased(id, None)
    }

    pub(super) fn leased(id: IdRef<'_>, lease: Option<Lease>) -> Self {
        Self { body: Arc::new(Body { text: Text::new(id), lease }) }
    }

    pub(super) fn from_body(body: Arc<Body>) -> Self {
        Self { body }
    }

    pub(super) fn body(&self) -> &Arc<Body> {
        &self.body
    }

    /// `ns:name`, with the colon also where the namespace is empty.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        let text = self.text_with_nul();
        &text[..text.len() - 1]
    }

    /// As [`Id::text`], with a NUL behind it.
    #[must_use]
    pub fn text_with_nul(&self) -> &[u8] {
        self.body.text.with_nul()
    }

    /// The namespace.
    #[must_use]
    pub fn ns(&self) -> &[u8] {
        self.parts().ns
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.parts().name
    }

    /// Its two parts.
    #[must_use]
    #[inline]
    pub fn parts(&self) -> IdRef<'_> {
        self.body.parts()
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        self.body.lease.as_ref()
    }
}

impl Body {
    #[inline]
    pub(super) fn parts(&self) -> IdRef<'_> {
        self.text.parts()
    }

    /// The text, to have it at hand.
    pub(super) fn text(&self) -> &Text {
        &self.text
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.body, &other.body) || self.parts() == other.parts()
    }
}

impl Eq for Id {}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_split_at_its_first_colon() {
        let cases = [
            ["app.lib:assert", "app.lib", "assert", "app.lib:assert"],
            ["a:b:c", "a", "b:c", "a:b:c"],
            ["justname", "", "justname", ":justname"],
            [":", "", "", ":"],
            ["", "", "", ":"],
        ];
        for [text, ns, name, shown] in cases.map(|case| case.map(str::as_bytes)) {
            let id = Id::new(IdRef::parse(text));
            assert_eq!((id.ns(), id.name(), id.text()), (ns, name, shown));
        }
    }

    #[test]
    fn an_id_of_any_length_reads_back_as_it_was() {
        for len in [0, 1, SHORT - 4, SHORT - 3, SHORT - 2, SHORT, 300] {
            let id = Id::new(IdRef { ns: b"a", name: &vec![b'x'; len] });
            let text = [b"a:".as_slice(), &vec![b'x'; len], b"\0"].concat();
            assert_eq!(id.text_with_nul(), text);
            assert_eq!((id.ns(), id.name().len()), (b"a".as_slice(), len));
        }
    }

    #[test]
    fn ids_sort_by_namespace_and_then_by_name() {
        // By text, "a.b:z" would stand before "a:b".
        assert!(IdRef::parse(b"a:b") < IdRef::parse(b"a.b:z"));
        assert!(IdRef::parse(b"z") < IdRef::parse(b"a:a"));
    }

    #[test]
    fn what_is_no_id_for_an_entry_is_refused_with_the_reason() {
        let long = [b"a:".as_slice(), &[b'x'; 511]].concat();
        let cases: [(&[u8], &str); 5] = [
            (b"a:", "name is empty"),
            (b"", "name is empty"),
            (b"a\n:b", "control byte"),
            (b"a:b\x7f", "control byte"),
            (&long, "longer than 512"),
        ];
        for (text, reason) in cases {
            let error = IdRef::parse(text).check().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(IdRef::parse(&long[..512]).check().is_ok());
        assert!(IdRef { ns: b"a:b", name: b"c" }.check().is_err());
    }
}
