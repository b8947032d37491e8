//! Operations: what a changeset is made of.

use super::entry::Entry;
use super::id::Id;
use crate::value::{put_map_header, put_string};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpKind {
    /// Adds an entry.
    Create,
    /// Replaces an entry.
    Update,
    /// Removes an entry.
    Delete,
}

impl OpKind {
    /// As changesets and events name it: `entry.create`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "entry.create",
            Self::Update => "entry.update",
            Self::Delete => "entry.delete",
        }
    }
}

/// One change of a changeset, with what it takes to reverse it.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// What it does.
    pub kind: OpKind,
    /// The entry as it will be; for a delete the entry that goes.
    pub entry: Entry,
    /// The entry as it was, for update and delete.
    pub original: Option<Entry>,
}

impl Op {
    /// Adds `entry`.
    #[must_use]
    pub fn create(entry: Entry) -> Self {
        Self { kind: OpKind::Create, entry, original: None }
    }

    /// Replaces `original` by `entry`.
    #[must_use]
    pub fn update(entry: Entry, original: Entry) -> Self {
        Self { kind: OpKind::Update, entry, original: Some(original) }
    }

    /// Removes `entry`.
    #[must_use]
    pub fn delete(entry: Entry) -> Self {
        Self { kind: OpKind::Delete, original: Some(entry.clone()), entry }
    }

    /// The id it is about.
    #[must_use]
    pub fn id(&self) -> &Id {
        self.entry.id()
    }

    /// The operation that undoes this one. None does where a file says not
    /// what was there before.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        match (self.kind, &self.original) {
            (OpKind::Create, _) => Some(Self::delete(self.entry.clone())),
            (OpKind::Update, Some(original)) => {
                Some(Self::update(original.clone(), self.entry.clone()))
            }
            (OpKind::Delete, Some(original)) => Some(Self::create(original.clone())),
            (OpKind::Update | OpKind::Delete, None) => None,
        }
    }

    /// Appends the operation as a map of `kind`, `entry` and, where there is
    /// one, `original`.
    pub fn append_map(&self, out: &mut Vec<u8>) {
        put_map_header(out, 2 + u32::from(self.original.is_some()));
        // The keys are in canonical bytes.
        out.extend_from_slice(b"\xa4kind");
        put_string(out, self.kind.name().as_bytes());
        out.extend_from_slice(b"\xa5entry");
        self.entry.append_map(out);
        if let Some(original) = &self.original {
            out.extend_from_slice(b"\xa8original");
            original.append_map(out);
        }
    }
}
