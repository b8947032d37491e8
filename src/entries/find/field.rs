//! Fields: the part of an entry that a condition looks at.

use crate::entries::entry::Entry;
use crate::entries::lookup::lookup;
use crate::value::{Value, put_string};

/// Longest path that is remembered, in about as many bytes as it takes.
const REMEMBERED: usize = 4096;

/// A part of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Kind,
    Namespace,
    Name,
    Id,
    Meta(Path),
    Data(Path),
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// One of the entry's own fields.
    Text(&'a [u8]),
    /// Canonical bytes.
    Value(&'a [u8]),
}

/// Where a value stands in a map. Keys are canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path {
    /// The whole path as one key, where that comes first.
    literal: Option<Box<[u8]>>,
    steps: Box<[Box<[u8]>]>,
}

impl Path {
    /// A path, its steps separated by dots.
    fn new(path: &[u8], is_literal_first: bool) -> Self {
        let steps: Box<[_]> = path.split(|&byte| byte == b'.').map(key_of).collect();
        let literal = (is_literal_first && steps.len() > 1).then(|| key_of(path));
        Self { literal, steps }
    }

    /// About how many bytes it takes.
    fn size(&self) -> usize {
        self.steps.iter().map(|step| step.len() + size_of::<Box<[u8]>>()).sum()
    }

    fn of<'a>(&self, map: &'a [u8]) -> Option<&'a [u8]> {
        if let Some(literal) = &self.literal
            && let Some(value) = lookup(map, literal)
        {
            return Some(value);
        }
        self.steps.iter().try_fold(map, |map, key| lookup(map, key))
    }
}

fn key_of(text: &[u8]) -> Box<[u8]> {
    let mut key = Vec::with_capacity(text.len() + 5);
    put_string(&mut key, text);
    key.into()
}

impl Field {
    /// The field that a key of a filter names, the operator taken off; else
    /// what is wrong with it.
    pub(super) fn parse(key: &[u8]) -> Result<Self, &'static str> {
        if let Some(own) = key.strip_prefix(b".") {
            return match own {
                b"kind" => Ok(Self::Kind),
                b"ns" => Ok(Self::Namespace),
                b"name" => Ok(Self::Name),
                b"id" => Ok(Self::Id),
                _ => Err("there is no such field; .kind, .ns, .name and .id are"),
            };
        }
        match key {
            b"kind" => Ok(Self::Kind),
            b"ns" | b"namespace" => Ok(Self::Namespace),
            b"name" => Ok(Self::Name),
            b"id" => Ok(Self::Id),
            b"" | b"meta." | b"data." => Err("it names no field"),
            _ => Ok(match (key.strip_prefix(b"meta."), key.strip_prefix(b"data.")) {
                (_, Some(path)) => Self::Data(Path::new(path, false)),
                (path, _) => Self::meta(path.unwrap_or(key)),
            }),
        }
    }

    /// A field of meta.
    pub(super) fn meta(path: &[u8]) -> Self {
        Self::Meta(Path::new(path, true))
    }

    /// Whether it is one of the entry's own, always there and a string.
    pub(super) fn is_own(&self) -> bool {
        !matches!(self, Self::Meta(_) | Self::Data(_))
    }

    /// Whether it is too long to be remembered.
    pub(super) fn is_long(&self) -> bool {
        match self {
            Self::Meta(path) | Self::Data(path) => path.size() > REMEMBERED,
            _ => false,
        }
    }

    /// Whether both have the same there, as far as that is quickly told.
    pub(super) fn is_surely_same(&self, a: &Entry, b: &Entry) -> bool {
        let same = |a: &Value, b: &Value| a.is_same_cell(b) || a.as_bytes() == b.as_bytes();
        match self {
            Self::Kind => a.kind() == b.kind(),
            Self::Namespace | Self::Name | Self::Id => a.id_parts() == b.id_parts(),
            Self::Meta(_) => same(a.meta(), b.meta()),
            Self::Data(_) => match (a.data(), b.data()) {
                (Some(a), Some(b)) => same(a, b),
                (a, b) => a.is_none() && b.is_none(),
            },
        }
    }

    /// What `entry` has there.
    pub(super) fn of<'a>(&self, entry: &'a Entry) -> Option<Content<'a>> {
        match self {
            Self::Kind => Some(Content::Text(entry.kind())),
            Self::Namespace => Some(Content::Text(entry.id().ns())),
            Self::Name => Some(Content::Text(entry.id().name())),
            Self::Id => Some(Content::Text(entry.id().text())),
            Self::Meta(path) => path.of(entry.meta().as_bytes()).map(Content::Value),
            Self::Data(path) => path.of(entry.data()?.as_bytes()).map(Content::Value),
        }
    }
}
