//! One commit: from jobs to rows to memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::KvError;
use super::commit::Job;
use super::edit::{self, Change, Edit, Outcome};
use super::engine::Engine;
use super::follow::{Follower, Shared};
use super::space::Namespace;
use super::table::{Room, cost, is_tombstone};
use crate::fault;
use crate::guard::Unusable;
use crate::platform::sync::MutexGuard;
use crate::storage::{Log, Row, SPACE_REGISTRY, SPACE_STORE};
use crate::value::Value;

/// A cell that the commit writes; a tombstone deletes.
pub(super) struct Pending {
    /// `None`: the registry.
    pub(super) namespace: Option<Arc<Namespace>>,
    pub(super) cell: Value,
}

/// What a commit will write, with each key's latest cell at hand.
#[derive(Default)]
struct Overlay {
    pending: Vec<Pending>,
    /// Places in `pending`, the latest of each store key.
    latest: HashTable<usize>,
    hasher: RandomState,
    /// By how much memory will grow, about.
    grown: usize,
}

impl Overlay {
    fn hash(&self, namespace: &Arc<Namespace>, key: &[u8]) -> u64 {
        self.hasher.hash_one((Arc::as_ptr(namespace) as usize, key))
    }

    fn place(&self, namespace: &Arc<Namespace>, key: &[u8]) -> Option<usize> {
        let same = |&place: &usize| {
            let pending = &self.pending[place];
            pending.namespace.as_ref().is_some_and(|other| Arc::ptr_eq(other, namespace))
                && pending.cell.key() == key
        };
        self.latest.find(self.hash(namespace, key), same).copied()
    }

    fn push(&mut self, namespace: &Arc<Namespace>, cell: Value) {
        match self.place(namespace, cell.key()) {
            // Only the last state of a key is written.
            Some(place) => self.pending[place].cell = cell,
            None => {
                let hash = self.hash(namespace, cell.key());
                let place = self.pending.len();
                self.pending.push(Pending { namespace: Some(Arc::clone(namespace)), cell });
                let Self { pending, latest, hasher, .. } = self;
                latest.insert_unique(hash, place, |&place| {
                    let pending = &pending[place];
                    let namespace =
                        pending.namespace.as_ref().map_or(0, |it| Arc::as_ptr(it) as usize);
                    hasher.hash_one((namespace, pending.cell.key()))
                });
            }
        }
    }
}

impl Engine {
    /// Does all jobs in one transaction. The outer error is that of the
    /// transaction, and then nothing was done; an inner one is of its job.
    pub(super) fn transact(
        &self,
        log: Option<&Log>,
        jobs: Vec<Job>,
    ) -> Result<Vec<Result<Outcome, KvError>>, KvError> {
        let (Some(shared), Some(log)) = (&self.shared, log) else {
            return if self.shared.is_some() {
                Err(Unusable::Closed.into())
            } else {
                Ok(self.in_memory(jobs))
            };
        };
        if !self.settings.synced {
            return Ok(self.commit_or_roll_back(shared, log, jobs, false)?.0);
        }
        let waits = jobs.iter().any(Job::waits_for_device);
        let is_sync = jobs.iter().any(|job| matches!(job, Job::Sync));
        log.wait_for_device(waits)?;
        let (outcomes, has_committed) = self.commit_or_roll_back(shared, log, jobs, waits)?;
        let is_ahead = &self.committer.is_ahead;
        if has_committed {
            is_ahead.store(!waits, Ordering::Release);
        }
        if is_sync {
            self.sync_log(shared, log)?;
        }
        Ok(outcomes)
    }

    fn commit_or_roll_back(
        &self,
        shared: &Shared,
        log: &Log,
        jobs: Vec<Job>,
        waits: bool,
    ) -> Result<(Vec<Result<Outcome, KvError>>, bool), KvError> {
        log.begin()?;
        let result = self.commit(shared, log, jobs, waits);
        if result.is_err() {
            log.roll_back();
        }
        result
    }

    /// `waits`: what this answers is on the device. Also tells whether there was
    /// something to commit.
    fn commit(
        &self,
        shared: &Shared,
        log: &Log,
        jobs: Vec<Job>,
        waits: bool,
    ) -> Result<(Vec<Result<Outcome, KvError>>, bool), KvError> {
        let before = self.news.before_commit();
        let mut follower = shared.follower.lock();
        self.take_in(&mut follower, log)?;
        let first = follower.last_seq + 1;
        // Readers may follow while we write; what they take in meanwhile is
        // ours, after the commit, and the rows below are skipped then.
        let plan_usage = follower.usage;
        drop(follower);

        let (pending, outcomes) = self.decide(jobs);
        let mut next = first;
        let mut name = Vec::new();
        for write in &pending {
            log.append(next, row(write, &mut name))?;
            next += 1;
        }
        let compaction = self.compact(log, plan_usage, &pending, first..next)?;
        next += compaction.moved.len() as i64;
        if next == first && compaction.dropped_up_to == 0 {
            if waits {
                self.sync_what_was_read(shared, log)?;
            }
            log.roll_back();
            return Ok((outcomes, false));
        }
        fault::point("store appended");
        log.commit()?;
        fault::point("store committed");

        let mut follower = shared.follower.lock();
        self.publish(&mut follower, first, pending);
        self.publish_compaction(&mut follower, &compaction);
        if waits {
            follower.note_synced(next - 1);
        }
        follower.last_seq = follower.last_seq.max(next - 1);
        drop(follower);
        self.news.committed(before);
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok((outcomes, true))
    }

    /// Memory follows the rows that were committed from `first` on.
    fn publish(&self, follower: &mut MutexGuard<'_, Follower>, first: i64, pending: Vec<Pending>) {
        let mut name = Vec::new();
        for (seq, write) in (first..).zip(pending) {
            // A reader was faster, and saw the commit before we got here.
            if seq <= follower.last_seq {
                continue;
            }
            let row = row(&write, &mut name);
            follower.usage.add(row.name, row.value);
            let table = write.namespace.as_ref().map_or(&self.spaces.registry, |it| &it.table);
            // A cell of the registry is there, in flight, and gets its number.
            let grown = table.take_in(write.cell, seq);
            self.note_growth(grown);
        }
    }

    /// The same without a file: memory is all there is.
    fn in_memory(&self, jobs: Vec<Job>) -> Vec<Result<Outcome, KvError>> {
        let (pending, outcomes) = self.decide(jobs);
        for write in pending {
            let table = write.namespace.as_ref().map_or(&self.spaces.registry, |it| &it.table);
            let grown = table.take_in(write.cell, 0);
            self.note_growth(grown);
        }
        outcomes
    }

    /// Decides every job on the state the ones before it leave.
    fn decide(&self, jobs: Vec<Job>) -> (Vec<Pending>, Vec<Result<Outcome, KvError>>) {
        let mut overlay = Overlay::default();
        let outcomes = jobs
            .into_iter()
            .map(|job| match job {
                Job::Edit { namespace, key, edit } => {
                    decide_edit(&mut overlay, &namespace, &key, edit, self.room())
                }
                Job::Batch(edits) => self.decide_batch(&mut overlay, edits),
                Job::Clear { targets, before } => Ok(clear(&mut overlay, &targets, before)),
                Job::Flush(cells) => {
                    let pending = cells.into_iter().map(|cell| Pending { namespace: None, cell });
                    overlay.pending.extend(pending);
                    Ok(Outcome::Done)
                }
                Job::Sync => Ok(Outcome::Done),
            })
            .collect();
        (overlay.pending, outcomes)
    }

    fn decide_batch(
        &self,
        overlay: &mut Overlay,
        edits: Vec<(Arc<Namespace>, Box<[u8]>, Edit)>,
    ) -> Result<Outcome, KvError> {
        // Puts and deletions are never refused, but for the memory they take:
        // checked as a sum, so that it is all of them or none.
        let room = self.room();
        if room.bytes.is_some() {
            let (mut added, mut removed) = (overlay.grown, 0);
            for (namespace, key, edit) in &edits {
                if let Edit::Put(cell) = edit {
                    added += cost(cell);
                    removed += namespace.table.get(key).as_deref().map_or(0, cost);
                }
            }
            room.check(added, removed)?;
        }
        let unlimited = Room { bytes: None, ..room };
        for (namespace, key, edit) in edits {
            decide_edit(overlay, &namespace, &key, edit, unlimited)?;
        }
        Ok(Outcome::Done)
    }
}

/// Decides one write; on an error nothing is pending of it.
fn decide_edit(
    overlay: &mut Overlay,
    namespace: &Arc<Namespace>,
    key: &[u8],
    edit: Edit,
    room: Room,
) -> Result<Outcome, KvError> {
    let current = match overlay.place(namespace, key) {
        Some(place) => Some(overlay.pending[place].cell.clone()),
        None => namespace.table.get(key).as_deref().cloned(),
    };
    let current = current.filter(|cell| !is_tombstone(cell));
    let (change, outcome) = edit.decide(key, current.as_ref())?;
    match change {
        Change::Keep => {}
        Change::Set(cell) => {
            let removed = current.as_ref().map_or(0, cost);
            room.check(overlay.grown + cost(&cell), removed)?;
            overlay.grown += cost(&cell).saturating_sub(removed);
            overlay.push(namespace, cell);
        }
        // A key that is not there needs no row that says so.
        Change::Remove if current.is_none() => {}
        Change::Remove => overlay.push(namespace, edit::tombstone(key)),
    }
    Ok(outcome)
}

fn clear(
    overlay: &mut Overlay,
    targets: &[(Arc<Namespace>, Box<[u8]>)],
    before: Option<i64>,
) -> Outcome {
    let mut gone = 0;
    for (namespace, prefix) in targets {
        let concerns = |cell: &Value| {
            cell.key().starts_with(prefix)
                && !is_tombstone(cell)
                && before.is_none_or(|before| cell.timestamp() < before)
        };
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        namespace.table.scan(prefix, |cell| {
            if concerns(cell) && overlay.place(namespace, cell.key()).is_none() {
                keys.push(cell.key().into());
            }
        });
        for write in &overlay.pending {
            let here = write.namespace.as_ref().is_some_and(|it| Arc::ptr_eq(it, namespace));
            if here && concerns(&write.cell) {
                keys.push(write.cell.key().into());
            }
        }
        gone += keys.len() as u64;
        for key in keys {
            overlay.push(namespace, edit::tombstone(&key));
        }
    }
    Outcome::Count(gone)
}

/// The row that a pending cell becomes; `name` is room to join ident and key.
fn row<'a>(write: &'a Pending, name: &'a mut Vec<u8>) -> Row<'a> {
    let cell = &write.cell;
    let (space, name) = match &write.namespace {
        None => (SPACE_REGISTRY, cell.key()),
        Some(namespace) if namespace.prefix.is_empty() => (SPACE_STORE, cell.key()),
        Some(namespace) => {
            name.clear();
            name.extend_from_slice(&namespace.prefix);
            name.extend_from_slice(cell.key());
            (SPACE_STORE, &name[..])
        }
    };
    Row { space, name, value: cell.as_bytes(), stamp: cell.stamp() }
}
