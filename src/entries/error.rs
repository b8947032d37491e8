//! What can go wrong with a call on the entry registry.

use std::fmt;

use super::id::Id;
use crate::code::Code;
use crate::guard::Unusable;
use crate::storage::StorageError;

/// A failure of a call on the entry registry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EntryError {
    /// The file failed.
    Storage(StorageError),
    /// No entry can have this id.
    Id {
        /// The id.
        id: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No entry can have this kind.
    Kind {
        /// The entry's id.
        id: String,
        /// What is wrong with the kind.
        what: &'static str,
    },
    /// The meta of an entry is no map with string keys.
    Meta {
        /// The entry's id.
        id: String,
        /// What is wrong with it.
        what: String,
    },
    /// Meta or data of an entry is larger than `value_limit`.
    TooLarge {
        /// The entry's id.
        id: String,
        /// Which of the two.
        part: &'static str,
        /// Its size as MessagePack in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There is no entry with this id.
    NoEntry {
        /// The id.
        id: String,
    },
    /// A create of an id that has an entry.
    Exists {
        /// The id.
        id: String,
    },
    /// An update that would change the kind.
    KindChanged {
        /// The entry's id.
        id: String,
        /// The kind it has.
        has: String,
        /// The kind that the update gives.
        given: String,
    },
    /// A changeset without operations.
    NoChanges,
    /// A changeset with too many operations, or too many bytes.
    TooManyChanges {
        /// What is too many.
        what: &'static str,
    },
    /// The changes were applied already.
    Spent,
    /// An option of `apply` that is unknown or has a wrong value.
    Option {
        /// The option.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The registry is not as the snapshot had it.
    Conflict {
        /// The version of the snapshot.
        base: u64,
        /// The current version.
        head: u64,
        /// The touched entries that are not as in the snapshot, sorted.
        ids: Vec<Id>,
    },
    /// Another program, one that takes no turns, wrote the history meanwhile.
    Overtaken,
    /// There is no such version.
    NoVersion {
        /// Its id.
        version: u64,
    },
    /// The version was there, and was pruned.
    Pruned {
        /// Its id.
        version: u64,
    },
    /// A version from which nothing can be pruned: neither the head nor an
    /// ancestor of it.
    NotAnAncestor {
        /// Its id.
        version: u64,
        /// The current version.
        head: u64,
    },
    /// The database keeps no history.
    NoHistory,
    /// A condition of a filter.
    Filter {
        /// The condition's key; empty: the filter itself.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// A pattern of dependencies.
    Pattern {
        /// The path.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A list of entries.
    List {
        /// Which list.
        list: &'static str,
        /// The place of the element, counted from 1.
        index: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A handler refused an operation, or the transaction.
    Refused {
        /// The entry's id; `None`: the transaction.
        id: Option<String>,
        /// The kind of the refusal.
        code: Code,
        /// What the handler gave as its reason; may be empty.
        reason: String,
    },
    /// Operations were refused because something was missing, and no other
    /// brought it.
    Unresolved {
        /// The entries.
        ids: Vec<Id>,
    },
    /// No handler is for this kind, and the database requires one.
    NoHandler {
        /// The entry's id.
        id: String,
        /// Its kind.
        kind: String,
    },
    /// A transaction failed, and not everything could be undone.
    Undone {
        /// Why it failed.
        why: Box<EntryError>,
        /// What was not undone: the entry's id and why.
        undo: Vec<(String, String)>,
    },
    /// A change from inside a handler.
    InsideHandler,
    /// The turn of another registry did not come while a handler waited for it.
    TurnTaken,
    /// An answer that nobody waits for any more.
    TooLate,
    /// A pattern of kinds.
    KindPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A state was loaded already, or changed.
    TooLateToLoad,
    /// No event came in time.
    NoEvent,
    /// The process has no file descriptors left.
    NoDescriptor {
        /// What the system said.
        why: String,
    },
    /// A stored version cannot be read.
    Damaged {
        /// Where, and what was found.
        found: String,
    },
    /// The handle or the database may not be used.
    Unusable(Unusable),
}

impl From<Unusable> for EntryError {
    fn from(why: Unusable) -> Self {
        Self::Unusable(why)
    }
}

impl From<StorageError> for EntryError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => error.fmt(f),
            Self::Id { id, what } => write!(f, "entry id \"{id}\": {what}"),
            Self::Kind { id, what } => write!(f, "kind of entry {id}: {what}"),
            Self::Meta { id, what } => write!(f, "meta of entry {id}: {what}"),
            Self::TooLarge { id, part, len, limit } => write!(
                f,
                "{part} of entry {id} has {len} bytes, the limit is {limit} (option value_limit)"
            ),
            Self::NoEntry { id } => write!(f, "entry {id} does not exist"),
            Self::Exists { id } => write!(f, "entry {id} exists already; update it instead"),
            Self::KindChanged { id, has, given } => write!(
                f,
                "entry {id} has kind {has}, an update cannot make it {given}; delete and create it"
            ),
            Self::NoChanges => f.write_str("no changes to apply"),
            Self::TooManyChanges { what } => {
                write!(f, "{what} in one changeset; split it into several")
            }
            Self::Spent => {
                f.write_str("these changes were applied already; take new ones from a snapshot")
            }
            Self::Option { name, what } => write!(f, "option {name}: {what}"),
            Self::Conflict { base, head, ids } => {
                write!(f, "the changes are based on v{base}, the registry is at v{head}")?;
                match &ids[..] {
                    [] => f.write_str("; take a new snapshot and try again"),
                    [first, rest @ ..] => {
                        write!(f, " and {first}")?;
                        if !rest.is_empty() {
                            write!(f, " and {} more", rest.len())?;
                        }
                        f.write_str(" changed since; take a new snapshot and try again")
                    }
                }
            }
            Self::Overtaken => f.write_str(
                "another program changed the history meanwhile; take a new snapshot and try again",
            ),
            Self::NoVersion { version } => write!(f, "version v{version} does not exist"),
            Self::Pruned { version } => {
                write!(f, "version v{version} does not exist any more: it was pruned")
            }
            Self::NotAnAncestor { version, head } => write!(
                f,
                "version v{version} is neither the current version v{head} nor one it comes from"
            ),
            Self::NoHistory => {
                f.write_str("this database keeps no history (option history is \"none\")")
            }
            Self::Filter { key, what } if key.is_empty() => write!(f, "filter: {what}"),
            Self::Filter { key, what } => write!(f, "filter {key}: {what}"),
            Self::Pattern { path, what } => write!(f, "dependency pattern \"{path}\": {what}"),
            Self::List { list, index, what } => write!(f, "{list}[{index}]: {what}"),
            Self::Refused { id: None, reason, .. } if reason.is_empty() => {
                f.write_str("a handler refused the transaction")
            }
            Self::Refused { id: None, reason, .. } => {
                write!(f, "a handler refused the transaction: {reason}")
            }
            Self::Refused { id: Some(id), reason, .. } if reason.is_empty() => {
                write!(f, "a handler refused entry {id}")
            }
            Self::Refused { id: Some(id), reason, .. } => {
                write!(f, "a handler refused entry {id}: {reason}")
            }
            Self::Unresolved { ids } => {
                f.write_str("unresolved dependencies after retry: ")?;
                for (place, id) in ids.iter().enumerate() {
                    write!(f, "{}{id}", if place == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::NoHandler { id, kind } => write!(
                f,
                "entry {id}: no handler is registered for kind {kind} (option require_handler)"
            ),
            Self::Undone { why, undo } => {
                write!(f, "{why}; {} of what was accepted could not be undone", undo.len())
            }
            Self::InsideHandler => f.write_str(
                "apply inside a handler: it runs in the middle of a transaction; change entries \
                 after it has answered",
            ),
            Self::TurnTaken => f.write_str(
                "another transaction is under way, and this one, made inside a handler of another \
                 registry, does not wait longer",
            ),
            Self::TooLate => f.write_str("too late: nobody waits for this answer any more"),
            Self::KindPattern { pattern, what } => {
                write!(f, "pattern of kinds \"{pattern}\": {what}")
            }
            Self::TooLateToLoad => {
                f.write_str("a state is loaded once, before the first apply or apply_version")
            }
            Self::NoEvent => f.write_str("no event in time"),
            Self::NoDescriptor { why } => write!(f, "no descriptor for the feed: {why}"),
            Self::Damaged { found } => write!(
                f,
                "the history is damaged: {found}; it was left as it is, restore it from a backup"
            ),
            Self::Unusable(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for EntryError {}
