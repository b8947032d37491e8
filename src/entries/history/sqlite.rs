//! History in the database file.

use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;

use super::codec;
use super::derive::{Deriver, forget_net_of, usable_net};
use super::{Changeset, History, NetEntry, Opened, Stored};
use crate::entries::EntryError;
use crate::entries::entry::Entry;
use crate::entries::id::{Id, IdRef};
use crate::entries::lineage::{Lineage, ROOT};
use crate::entries::op::OpKind;
use crate::entries::version::Version;
use crate::fault;
use crate::guard::Unusable;
use crate::hashing::Hashing;
use crate::platform::sync::{Mutex, MutexGuard};
use crate::storage::{StorageError, Tally, VersionRow, Versions};

/// SQLite stores no row above 10^9 bytes.
const LARGEST_CHANGESET: usize = 999_000_000;
/// Chains shorter than this are read one by one: no skip is as short.
pub(super) const SKIP: usize = 32;

/// The history of a file.
pub(in crate::entries) struct SqliteHistory {
    /// `None` when the file is open for reading only, or closed.
    writer: Mutex<Option<Versions>>,
    /// Reads while the writer waits for the disk.
    reader: Mutex<Option<Versions>>,
    /// What is derived is written behind by this one, which waits for no disk.
    pub(super) deriver: Mutex<Option<Deriver>>,
    /// Held to write by either of the two that do: waiting for each other here
    /// is faster than asking SQLite again and again.
    pub(super) writing: Mutex<()>,
    is_read_only: bool,
    has_tables: AtomicBool,
}

impl SqliteHistory {
    pub(in crate::entries) fn new(
        writer: Option<Versions>,
        deriver: Option<Versions>,
        reader: Versions,
    ) -> Self {
        Self {
            is_read_only: writer.is_none(),
            writer: Mutex::new(writer),
            reader: Mutex::new(Some(reader)),
            deriver: Mutex::new(deriver.map(Deriver::new)),
            writing: Mutex::default(),
            has_tables: AtomicBool::new(false),
        }
    }

    /// Reads with one view of the file; `None` if it has no history yet.
    fn read<T>(
        &self,
        read: impl FnOnce(&Versions) -> Result<T, EntryError>,
    ) -> Result<Option<T>, EntryError> {
        let reader = self.reader.lock();
        let versions = open(&reader)?;
        if !self.has_tables.load(Ordering::Acquire) {
            if versions.is_foreign()? {
                if !self.is_read_only {
                    self.write_tables()?;
                } else {
                    versions.shadow_tables()?;
                }
            } else if !versions.has_tables()? {
                return Ok(None);
            }
            versions.check_schema()?;
            self.has_tables.store(true, Ordering::Release);
        }
        versions.begin_read()?;
        let result = read(versions);
        versions.roll_back();
        result.map(Some)
    }

    /// Adds our tables to a history of the other program.
    fn write_tables(&self) -> Result<(), EntryError> {
        let writer = self.writer.lock();
        in_transaction(open(&writer)?, |versions| Ok(versions.create_tables()?))
    }

    /// Writes in one transaction, if the history is still as `expected`; gives
    /// what is stored then, as `write` says.
    fn write(
        &self,
        expected: Stored,
        write: impl FnOnce(&Versions, Tally) -> Result<Stored, EntryError>,
    ) -> Result<Stored, EntryError> {
        let writer = self.writer.lock();
        let _writing = self.writing.lock();
        in_transaction(open(&writer)?, |versions| {
            if !versions.has_tables()? {
                versions.create_tables()?;
            }
            let tally = versions.tally()?;
            if stored_of(tally) != expected {
                versions.sync_what_was_read()?;
                return Err(EntryError::Overtaken);
            }
            versions.forget_touched(tally)?;
            let stored = write(versions, tally)?;
            fault::point("version written");
            if tally.touched.is_some() {
                // After a stranger, the epoch is another.
                return Ok(stored_of(versions.tally()?));
            }
            let Stored { head, last, epoch } = stored;
            versions.expect_tally(Tally { head, last, epoch: epoch / 2, touched: None });
            Ok(stored)
        })
    }
}

/// The connection, unless the file is closed.
pub(super) fn open<'a>(
    connection: &'a MutexGuard<'_, Option<Versions>>,
) -> Result<&'a Versions, EntryError> {
    connection.as_ref().ok_or_else(|| Unusable::Closed.into())
}

/// Runs `work` and commits, or undoes all of it.
pub(super) fn in_transaction<T>(
    versions: &Versions,
    work: impl FnOnce(&Versions) -> Result<T, EntryError>,
) -> Result<T, EntryError> {
    versions.begin()?;
    // Also if `work` panics: the connection would keep everybody else from the
    // file for as long as it is open.
    let transaction = RollBack { versions };
    let done = work(versions)?;
    versions.commit()?;
    drop(transaction);
    Ok(done)
}

/// Undoes what was not committed.
struct RollBack<'a> {
    versions: &'a Versions,
}

impl Drop for RollBack<'_> {
    fn drop(&mut self) {
        self.versions.roll_back();
    }
}

fn stored_of(tally: Tally) -> Stored {
    Stored { head: tally.head, last: tally.last, epoch: tally.moment() }
}

fn damaged(what: &str, found: &str) -> EntryError {
    EntryError::Damaged { found: format!("{what}: {found}") }
}

/// The changeset of a version.
pub(super) fn changeset_of(versions: &Versions, version: u64) -> Result<Changeset, EntryError> {
    changeset_with_len(versions, version).map(|(changeset, _)| changeset)
}

/// And how many bytes it takes.
pub(super) fn changeset_with_len(
    versions: &Versions,
    version: u64,
) -> Result<(Changeset, usize), EntryError> {
    let read = |bytes: &[u8]| (codec::read_changeset(bytes), bytes.len());
    let (ops, len) = versions.changeset(version, read)?;
    ops.map(|ops| (ops.into(), len))
        .map_err(|found| damaged(&format!("the changeset of version {version}"), &found))
}

/// A changeset that leads to a version from a far ancestor.
pub(super) fn skip_of(
    versions: &Versions,
    version: u64,
    level: i64,
) -> Result<Changeset, EntryError> {
    let ops = versions.skip(version, level, codec::read_changeset)?;
    ops.map(Into::into).map_err(|found| damaged(&format!("a skip to version {version}"), &found))
}

/// Changesets that do what `chain` did, oldest first, with the skips that fit
/// into it.
pub(super) fn changesets_of(
    versions: &Versions,
    chain: &[u64],
) -> Result<Vec<Changeset>, EntryError> {
    let Some(&first) = chain.first() else { return Ok(Vec::new()) };
    let touched = versions.tally()?.touched.unwrap_or(u64::MAX);
    let base = versions.parent(first)?.unwrap_or(ROOT);
    let mut changesets = Vec::new();
    let mut left = chain.len();
    let mut skips = match chain {
        [first, .., last] if left >= SKIP => versions.skips_between(*first, *last)?,
        _ => Vec::new(),
    };
    skips.retain(|&(version, ..)| version < touched);
    while let Some(&version) = chain[..left].last() {
        // Those of branches beside the chain are there as well.
        let skips = &skips[skips.partition_point(|&(other, ..)| other < version)..];
        let skips = skips.iter().take_while(|&&(other, ..)| other == version && left >= SKIP);
        let mut skips = skips.map(|&(_, level, ancestor)| (level, ancestor));
        let fitting = skips.find_map(|(level, ancestor)| {
            if ancestor == base {
                return Some((level, 0));
            }
            // Ids only grow along a chain.
            let place = chain[..left].binary_search(&ancestor).ok()?;
            Some((level, place + 1))
        });
        match fitting {
            Some((level, now_left)) => {
                changesets.push(skip_of(versions, version, level)?);
                left = now_left;
            }
            None => {
                changesets.push(changeset_of(versions, version)?);
                left -= 1;
            }
        }
    }
    changesets.reverse();
    Ok(changesets)
}

fn version_of(row: VersionRow) -> Version {
    let VersionRow { id, parent, time, author, message } = row;
    // The other program may leave a version without a parent.
    let parent = if id == ROOT { None } else { Some(parent.unwrap_or(ROOT)) };
    Version { id, parent, time, author, message }
}

fn row_of(version: &Version) -> VersionRow {
    let Version { id, parent, time, author, message } = version.clone();
    VersionRow { id, parent, time, author, message }
}

/// The versions after `base` up to `version`, oldest first, if it descends
/// from there.
pub(super) fn chain_from(
    versions: &Versions,
    base: u64,
    version: u64,
) -> Result<Option<Vec<u64>>, EntryError> {
    let mut chain = Vec::new();
    let mut at = version;
    while at > base {
        chain.push(at);
        let parent = versions.parent(at)?.unwrap_or(ROOT);
        if parent >= at {
            return Err(damaged("versions", &format!("{at} has the parent {parent}")));
        }
        at = parent;
    }
    chain.reverse();
    Ok((at == base).then_some(chain))
}

/// What versions come down to, being read.
struct Net {
    /// As it is written, by id.
    written: Vec<NetEntry>,
    /// What came after.
    changed: HashMap<Id, Option<Entry>, Hashing>,
    is_closed: bool,
}

impl Net {
    /// Nothing of it yet.
    fn new(versions: &Versions) -> Result<Self, EntryError> {
        let is_closed = versions.note("has_baseline")?.is_none();
        Ok(Self { written: Vec::new(), changed: HashMap::default(), is_closed })
    }

    fn read_written(&mut self, versions: &Versions) -> Result<(), EntryError> {
        let mut result = Ok(());
        versions.net(|row| {
            let id = Id::new(IdRef { ns: row.ns, name: row.name });
            match row.entry.map(codec::read_entry).transpose() {
                Ok(entry) => self.written.push((id, entry)),
                Err(found) => result = Err(damaged(&format!("acervo_net {id}"), &found)),
            }
        })?;
        result
    }

    fn replay(&mut self, changeset: &Changeset) {
        for op in changeset.iter() {
            let entry = (op.kind != OpKind::Delete).then(|| op.entry.clone());
            let is_known = self.changed.insert(op.id().clone(), entry).is_some()
                || self.written.binary_search_by(|(id, _)| id.cmp(op.id())).is_ok();
            // What it changes was there before the history began.
            self.is_closed &= is_known || op.kind == OpKind::Create;
        }
    }

    fn into_entries(mut self) -> Vec<NetEntry> {
        self.written.retain(|(id, _)| !self.changed.contains_key(id));
        self.written.extend(self.changed);
        self.written
    }
}

impl History for SqliteHistory {
    fn open(&self) -> Result<Opened, EntryError> {
        let opened = self.read(|versions| {
            let tally = versions.tally()?;
            let mut net = Net::new(versions)?;
            let mut chain = None;
            if let Some((net_version, next)) = usable_net(versions, tally)? {
                // What was begun has to be on the way.
                chain = chain_from(versions, net_version, tally.head)?
                    .filter(|chain| next.is_none_or(|next| chain.binary_search(&next).is_ok()));
            }
            if chain.is_some() {
                net.read_written(versions)?;
            }
            let chain = match chain {
                Some(chain) => chain,
                None => chain_from(versions, ROOT, tally.head)?.unwrap_or_default(),
            };
            for changeset in changesets_of(versions, &chain)? {
                net.replay(&changeset);
            }
            Ok(Opened {
                stored: stored_of(tally),
                behind: chain.len() as u64,
                is_closed: net.is_closed,
                net: net.into_entries(),
            })
        })?;
        let nothing =
            || Opened { stored: Stored::default(), net: Vec::new(), is_closed: true, behind: 0 };
        Ok(opened.unwrap_or_else(nothing))
    }

    fn stored(&self) -> Result<Stored, EntryError> {
        Ok(self.read(|versions| Ok(stored_of(versions.tally()?)))?.unwrap_or_default())
    }

    fn stored_in_turn(&self) -> Result<Stored, EntryError> {
        if self.has_tables.load(Ordering::Acquire) {
            // What this connection wrote last it has in memory; the reader
            // would have to read it.
            let writer = self.writer.lock();
            if let Some(versions) = &*writer {
                return Ok(stored_of(versions.tally_before_writing()?));
            }
        }
        self.stored()
    }

    fn lineage(&self) -> Result<Lineage, EntryError> {
        let mut lineage = Lineage::new(0);
        self.extend(&mut lineage)?;
        Ok(lineage)
    }

    fn extend(&self, lineage: &mut Lineage) -> Result<(), EntryError> {
        self.read(|versions| {
            let tally = versions.tally()?;
            let mut result = Ok(());
            versions.parents_after(lineage.newest(), |id, parent| {
                if result.is_ok() {
                    result = lineage.add(id, parent);
                }
            })?;
            lineage.note_last(tally.last);
            result
        })?;
        Ok(())
    }

    fn versions(&self) -> Result<Vec<Version>, EntryError> {
        let mut list = Vec::new();
        self.read(|versions| Ok(versions.rows(|row| list.push(version_of(row)))?))?;
        if list.is_empty() {
            list.push(Version::default());
        }
        Ok(list)
    }

    fn version(&self, version: u64) -> Result<Version, EntryError> {
        let row = self.read(|versions| Ok(versions.row(version)?))?.flatten();
        match row {
            Some(row) => Ok(version_of(row)),
            None if version == ROOT => Ok(Version::default()),
            None => Err(EntryError::NoVersion { version }),
        }
    }

    fn changesets(&self, chain: &[u64]) -> Result<Vec<Changeset>, EntryError> {
        if chain.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.read(|versions| changesets_of(versions, chain))?.unwrap_or_default())
    }

    fn record(
        &self,
        expected: Stored,
        version: &Version,
        changeset: &Changeset,
    ) -> Result<Stored, EntryError> {
        let mut bytes = Vec::new();
        codec::append_changeset(&mut bytes, changeset);
        if bytes.len() > LARGEST_CHANGESET {
            return Err(EntryError::TooManyChanges { what: "more than 999000000 bytes" });
        }
        self.write(expected, |versions, _| {
            versions.insert(&row_of(version), &bytes)?;
            versions.set_head(version.id)?;
            Ok(Stored { head: version.id, last: expected.last.max(version.id), ..expected })
        })
    }

    fn move_head(&self, expected: Stored, head: u64) -> Result<Stored, EntryError> {
        self.write(expected, |versions, _| {
            versions.set_head(head)?;
            Ok(Stored { head, ..expected })
        })
    }

    fn prune(
        &self,
        expected: Stored,
        version: u64,
        changeset: &Changeset,
        gone: &[u64],
    ) -> Result<Stored, EntryError> {
        let mut bytes = Vec::new();
        codec::append_changeset(&mut bytes, changeset);
        if bytes.len() > LARGEST_CHANGESET {
            return Err(EntryError::TooManyChanges { what: "more than 999000000 bytes" });
        }
        self.write(expected, |versions, tally| {
            for &version in gone {
                versions.remove(version)?;
                versions.remove_skips(version)?;
            }
            versions.reparent(version, &bytes)?;
            versions.remove_skips(version)?;
            versions.remove_dangling_skips()?;
            forget_net_of(versions, gone)?;
            versions.set_note("last_version", Some(tally.last))?;
            versions.set_note("epoch", Some(tally.epoch + 1))?;
            Ok(stored_of(versions.tally()?))
        })
    }

    fn sync_what_was_read(&self) -> Result<(), EntryError> {
        let writer = self.writer.lock();
        let Some(versions) = &*writer else { return Ok(()) };
        let _writing = self.writing.lock();
        Ok(versions.sync()?)
    }

    fn derive(&self) -> Result<bool, EntryError> {
        self.derive_some()
    }

    fn close(&self) -> Result<(), EntryError> {
        let mut result: Result<(), StorageError> = Ok(());
        let deriver = self.deriver.lock().take().map(|deriver| deriver.versions);
        let reader = self.reader.lock().take();
        // The writer last: the last connection moves the WAL into the file.
        for versions in [deriver, reader, self.writer.lock().take()].into_iter().flatten() {
            result = result.and(versions.close());
        }
        Ok(result?)
    }
}
