//! One commit: from jobs to rows to memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::KvError;
use super::behind::Cut;
use super::commit::Job;
use super::compact::Compaction;
use super::edit::{self, Change, Edit, Outcome};
use super::engine::Engine;
use super::flush::CELLS_BETWEEN;
use super::follow::Shared;
use super::space::Namespace;
use super::table::{Room, cost, fetched, is_tombstone};
use crate::fault;
use crate::guard::Unusable;
use crate::platform::cells::give_back;
use crate::storage::{Appender, Log, Row, SPACE_REGISTRY, SPACE_STORE};
use crate::value::Value;

/// A cell of the store that the commit writes; a tombstone deletes.
struct Pending {
    namespace: Arc<Namespace>,
    cell: Value,
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
            Arc::ptr_eq(&pending.namespace, namespace) && pending.cell.key() == key
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
                self.pending.push(Pending { namespace: Arc::clone(namespace), cell });
                let Self { pending, latest, hasher, .. } = self;
                latest.insert_unique(hash, place, |&place| {
                    let pending = &pending[place];
                    hasher.hash_one((Arc::as_ptr(&pending.namespace) as usize, pending.cell.key()))
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
        let shrinks = jobs.iter().position(|job| matches!(job, Job::Shrink));
        let mut outcomes = self.commit_jobs(shared, log, jobs)?;
        if let Some(place) = shrinks {
            outcomes[place] = log.shrink().map(Outcome::Count).map_err(KvError::from);
        }
        Ok(outcomes)
    }

    /// Commits what the jobs want, as durable as each wants it.
    fn commit_jobs(
        &self,
        shared: &Shared,
        log: &Log,
        jobs: Vec<Job>,
    ) -> Result<Vec<Result<Outcome, KvError>>, KvError> {
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
        shared.follower.lock().own = 0..0;
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
        let usage = follower.usage;
        drop(follower);

        let plan = self.plan(jobs);
        // What moves comes before what is new: a row that moves never stands
        // behind its successor.
        let mut rows = Appender::new(log, first, plan.appends().0 + plan.compact_rows);
        let compaction = self.compact(log, &mut rows, usage, &plan)?;
        let first_own = rows.next();
        let cells = plan.cuts.iter().flat_map(|cut| cut.cells.iter());
        for (number, cell) in fetched(cells).enumerate() {
            rows.append(registry_row(cell))?;
            if plan.cuts_beside && number % CELLS_BETWEEN == 0 {
                self.cut_beside();
            }
        }
        shared.follower.lock().own = first_own..rows.next();
        let mut name = Vec::new();
        for write in &plan.pending {
            rows.append(store_row(write, &mut name))?;
        }
        rows.write()?;
        let next = rows.next();
        if next == first && compaction.dropped_up_to == 0 {
            if waits {
                self.sync_what_was_read(shared, log)?;
            }
            log.roll_back();
            return Ok((plan.outcomes, false));
        }
        fault::point("store appended");
        log.commit()?;
        fault::point("store committed");

        let outcomes = self.publish(shared, first, plan, &compaction);
        if waits {
            shared.follower.lock().note_synced(next - 1);
        }
        self.news.committed(before);
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok((outcomes, true))
    }

    fn plan(&self, jobs: Vec<Job>) -> Plan {
        let flushes = jobs.iter().any(|job| matches!(job, Job::Flush { .. }));
        let cuts_beside = jobs.iter().any(|job| matches!(job, Job::Flush { cuts: true }));
        let is_alone = jobs.len() == 1 && !self.committer.is_awaited();
        let compacts = jobs.iter().map(|job| match job {
            Job::Compact { rows } => *rows,
            _ => 0,
        });
        let compact_rows = compacts.sum();
        let cuts = if flushes { self.cuts_to_write(is_alone) } else { Vec::new() };
        let (pending, outcomes) = self.decide(jobs);
        Plan { cuts, cuts_beside, pending, compact_rows, outcomes }
    }

    /// Memory follows the rows that were committed from `first` on.
    fn publish(
        &self,
        shared: &Shared,
        first: i64,
        plan: Plan,
        compaction: &Compaction,
    ) -> Vec<Result<Outcome, KvError>> {
        let mut follower = shared.follower.lock();
        // A reader may have been faster: it saw the commit before we got here.
        let seen = follower.last_seq;
        let mut next = first + self.publish_compaction(&mut follower, first, compaction);
        for cut in &plan.cuts {
            let skipped = usize::try_from((seen + 1 - next).max(0)).unwrap_or(usize::MAX);
            let new = || cut.cells.iter().skip(skipped);
            new().for_each(|cell| follower.usage.add(&registry_row(cell)));
            let freed = self.spaces.registry.land(new(), next.max(seen + 1));
            self.note_growth(-(freed as isize));
            next += cut.cells.len() as i64;
        }
        self.behind.landed(plan.cuts.len());
        let mut name = Vec::new();
        for write in plan.pending {
            if next > seen {
                follower.usage.add(&store_row(&write, &mut name));
                let grown = write.namespace.table.take_in(write.cell, next, false);
                self.note_growth(grown);
            }
            next += 1;
        }
        follower.last_seq = follower.last_seq.max(next - 1);
        drop(follower);
        // Cells that the cuts alone still have are given back to the threads
        // that made them.
        for cut in plan.cuts {
            if let Some(Cut { mut cells, .. }) = Arc::into_inner(cut) {
                cells.drain().for_each(|mut block| give_back(&mut block));
            }
        }
        plan.outcomes
    }

    /// The same without a file: memory is all there is.
    fn in_memory(&self, jobs: Vec<Job>) -> Vec<Result<Outcome, KvError>> {
        let (pending, outcomes) = self.decide(jobs);
        for write in pending {
            let grown = write.namespace.table.take_in(write.cell, 0, false);
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
                // The cuts are written as they are, and the rest is no write.
                Job::Flush { .. } | Job::Sync | Job::Compact { .. } | Job::Shrink => {
                    Ok(Outcome::Done)
                }
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
            if Arc::ptr_eq(&write.namespace, namespace) && concerns(&write.cell) {
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

/// What a commit does.
pub(super) struct Plan {
    /// Cuts of the registry.
    cuts: Vec<Arc<Cut>>,
    /// Whether others may be taken while these are written.
    cuts_beside: bool,
    /// Writes of the store.
    pending: Vec<Pending>,
    /// Rows that somebody asked to be looked at, at the old end.
    pub(super) compact_rows: u64,
    /// What each job is told.
    outcomes: Vec<Result<Outcome, KvError>>,
}

impl Plan {
    /// How many rows it appends, and about how many bytes.
    pub(super) fn appends(&self) -> (u64, u64) {
        let cells: usize = self.cuts.iter().map(|cut| cut.cells.len()).sum();
        let bytes: usize = self.cuts.iter().map(|cut| cut.bytes).sum();
        let stored: usize = self.pending.iter().map(|write| write.cell.stored_len()).sum();
        ((cells + self.pending.len()) as u64, (bytes + stored) as u64)
    }
}

/// The row that a cell of the registry becomes.
fn registry_row(cell: &Value) -> Row<'_> {
    Row { space: SPACE_REGISTRY, name: cell.key(), value: cell.as_bytes(), stamp: cell.stamp() }
}

/// The row that a write of the store becomes; `name` is room to join ident and
/// key.
fn store_row<'a>(write: &'a Pending, name: &'a mut Vec<u8>) -> Row<'a> {
    let Pending { namespace, cell } = write;
    let name = if namespace.prefix.is_empty() {
        cell.key()
    } else {
        name.clear();
        name.extend_from_slice(&namespace.prefix);
        name.extend_from_slice(cell.key());
        &name[..]
    };
    Row { space: SPACE_STORE, name, value: cell.as_bytes(), stamp: cell.stamp() }
}
