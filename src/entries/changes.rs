//! Changes: what a caller queues and then applies as one.

use super::EntryError;
use super::entry::Entry;
use super::handle::Applied;
use super::id::{Id, IdRef};
use super::op::OpKind;
use super::snapshot::Snapshot;
use super::transaction::{Caller, Plain};
use crate::value::{Token, View, begin_map, end_map, put_array_header, put_map_header, put_string};

/// Most operations in one changeset.
pub const CHANGES_LIMIT: usize = 100_000;

/// One queued change.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds an entry.
    Create(Entry),
    /// Replaces the entry with this id.
    Update(Entry),
    /// Removes the entry with this id.
    Delete(Id),
}

impl Change {
    /// The id it is about.
    #[must_use]
    pub fn id(&self) -> &Id {
        match self {
            Self::Create(entry) | Self::Update(entry) => entry.id(),
            Self::Delete(id) => id,
        }
    }

    /// What it does.
    #[must_use]
    pub fn kind(&self) -> OpKind {
        match self {
            Self::Create(_) => OpKind::Create,
            Self::Update(_) => OpKind::Update,
            Self::Delete(_) => OpKind::Delete,
        }
    }
}

/// When changes from an old snapshot may still be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// Always: they apply to the current state.
    #[default]
    Any,
    /// If nobody changed what they touch.
    Disjoint,
    /// If nobody changed anything.
    Strict,
}

/// How to apply changes.
#[derive(Clone, Debug, Default)]
pub struct ApplyOptions {
    /// What the state has to have in common with the snapshot.
    pub base: Base,
    /// Who made the version, for its record.
    pub author: Option<Box<[u8]>>,
    /// What it is about, for its record.
    pub message: Option<Box<[u8]>>,
    /// Only try, and tell what would be done.
    pub dry_run: bool,
}

impl ApplyOptions {
    /// Sets one option from its name and value.
    ///
    /// # Errors
    ///
    /// [`EntryError::Option`] naming it: unknown, or of the wrong type.
    pub fn set(&mut self, name: &[u8], value: View<'_>) -> Result<(), EntryError> {
        let refuse = |what: String| {
            Err(EntryError::Option { name: String::from_utf8_lossy(name).into_owned(), what })
        };
        let mut view = value;
        let token = view.token();
        let got = token.type_of().name();
        match (name, token) {
            (b"base", Token::Nil) => self.base = Base::Any,
            (b"base", Token::String(b"strict")) => self.base = Base::Strict,
            (b"base", Token::String(b"disjoint")) => self.base = Base::Disjoint,
            (b"base", _) => return refuse("it is \"strict\" or \"disjoint\"".to_owned()),
            (b"author", Token::Nil) => self.author = None,
            (b"author", Token::String(author)) => self.author = Some(author.into()),
            (b"message", Token::Nil) => self.message = None,
            (b"message", Token::String(message)) => self.message = Some(message.into()),
            (b"author" | b"message", _) => return refuse(format!("a string is needed, got {got}")),
            (b"dry_run", Token::Nil) => self.dry_run = false,
            (b"dry_run", Token::Bool(dry_run)) => self.dry_run = dry_run,
            (b"dry_run", _) => return refuse(format!("a bool is needed, got {got}")),
            _ => return refuse("it is unknown".to_owned()),
        }
        Ok(())
    }

    /// Sets the options of a map.
    ///
    /// # Errors
    ///
    /// As [`ApplyOptions::set`].
    pub fn set_all(&mut self, options: View<'_>) -> Result<(), EntryError> {
        let mut view = options;
        let len = match view.token() {
            Token::Nil => 0,
            Token::Map(len) => len,
            other => {
                let what = format!("a map is needed, got {}", other.type_of().name());
                return Err(EntryError::Option { name: "of apply".to_owned(), what });
            }
        };
        for _ in 0..len {
            let name = match view.token() {
                Token::String(name) => name,
                other => {
                    let what = format!("their names are strings, got {}", other.type_of().name());
                    return Err(EntryError::Option { name: "of apply".to_owned(), what });
                }
            };
            self.set(name, View::new(view.skip()))?;
        }
        Ok(())
    }
}

/// Changes to be applied together, all or none.
///
/// Threads: one at a time.
pub struct Changes {
    snapshot: Snapshot,
    queue: Vec<Change>,
    /// What [`Changes::apply`] uses.
    pub options: ApplyOptions,
    is_spent: bool,
}

impl Changes {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self { snapshot, queue: Vec::new(), options: ApplyOptions::default(), is_spent: false }
    }

    /// Queues a create.
    ///
    /// # Errors
    ///
    /// An entry that is too large, too many changes, or changes that were
    /// applied already. What was queued stays.
    pub fn create(&mut self, entry: Entry) -> Result<(), EntryError> {
        self.snapshot.registry().check_size(&entry)?;
        self.queue(Change::Create(entry))
    }

    /// Queues an update: the entry as it will be, whole.
    ///
    /// # Errors
    ///
    /// As [`Changes::create`].
    pub fn update(&mut self, entry: Entry) -> Result<(), EntryError> {
        self.snapshot.registry().check_size(&entry)?;
        self.queue(Change::Update(entry))
    }

    /// Queues a delete.
    ///
    /// # Errors
    ///
    /// As [`Changes::create`].
    pub fn delete(&mut self, id: IdRef<'_>) -> Result<(), EntryError> {
        self.queue(Change::Delete(Id::new(id)))
    }

    fn queue(&mut self, change: Change) -> Result<(), EntryError> {
        self.snapshot.registry().check_not_forked()?;
        if self.is_spent {
            return Err(EntryError::Spent);
        }
        if self.queue.len() >= CHANGES_LIMIT {
            return Err(EntryError::TooManyChanges { what: "more than 100000 operations" });
        }
        self.queue.push(change);
        Ok(())
    }

    /// What is queued, in call order.
    #[must_use]
    pub fn queued(&self) -> &[Change] {
        &self.queue
    }

    /// The snapshot they are based on.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Applies them with [`Changes::options`].
    ///
    /// # Errors
    ///
    /// As [`Changes::apply_with`].
    pub fn apply(&mut self) -> Result<Applied, EntryError> {
        let Self { snapshot, queue, options, is_spent } = self;
        apply(snapshot, queue, options, is_spent, &Plain::default())
    }

    /// Applies them to the current state, all or none. After success they are
    /// spent; after a failure or a dry run they are as before. `caller` may have
    /// to answer questions meanwhile.
    ///
    /// # Errors
    ///
    /// The first fault in call order; [`EntryError::Conflict`]; the file.
    pub fn apply_with(
        &mut self,
        options: &ApplyOptions,
        caller: &dyn Caller,
    ) -> Result<Applied, EntryError> {
        apply(&self.snapshot, &self.queue, options, &mut self.is_spent, caller)
    }

    /// What [`Changes::apply`] would do: a dry run with [`Changes::options`].
    ///
    /// # Errors
    ///
    /// As [`Changes::apply_with`].
    pub fn plan(&self) -> Result<Applied, EntryError> {
        if self.is_spent {
            return Err(EntryError::Spent);
        }
        let registry = self.snapshot.registry();
        registry.apply(&self.queue, &self.snapshot, &self.options, true, &Plain::default())
    }

    /// Appends what is queued as an array of maps of `kind` and `entry`; the
    /// entry of a delete has its id only.
    pub fn append_ops(&self, out: &mut Vec<u8>) {
        put_array_header(out, self.queue.len() as u32);
        for change in &self.queue {
            let start = begin_map(out);
            put_string(out, b"kind");
            put_string(out, change.kind().name().as_bytes());
            put_string(out, b"entry");
            match change {
                Change::Create(entry) | Change::Update(entry) => entry.append_map(out),
                Change::Delete(id) => {
                    put_map_header(out, 1);
                    put_string(out, b"id");
                    put_string(out, id.text());
                }
            }
            end_map(out, start, 2);
        }
    }
}

fn apply(
    snapshot: &Snapshot,
    queue: &[Change],
    options: &ApplyOptions,
    is_spent: &mut bool,
    caller: &dyn Caller,
) -> Result<Applied, EntryError> {
    if *is_spent {
        return Err(EntryError::Spent);
    }
    let applied = snapshot.registry().apply(queue, snapshot, options, options.dry_run, caller)?;
    *is_spent = !options.dry_run;
    Ok(applied)
}
