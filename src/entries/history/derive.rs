//! Written behind: what the versions come down to (the net), and skips, which
//! lead over many versions at once.
//!
//! The net is a checkpoint at one version; opening reads it and replays what
//! came after. It follows the head in batches: what many versions come down to
//! per id, in the order of the ids, so that a page of the net is written once
//! for all of them. A skip of level 1 leads over [`SKIP`] versions, one of
//! level 2 over as many skips of level 1, and so on; going far in the history
//! reads a few of them. Both are written in small portions, so that nobody who
//! writes waits long for the lock, and both can be lost without harm.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::sqlite::{
    SKIP, SqliteHistory, chain_from, changeset_of, changeset_with_len, in_transaction, skip_of,
};
use super::{Changeset, codec};
use crate::entries::EntryError;
use crate::entries::entry::Entry;
use crate::entries::id::{Id, IdRef};
use crate::entries::lineage::ROOT;
use crate::entries::op::{Op, OpKind};
use crate::entries::squash::Squash;
use crate::platform::sync::Mutex;
use crate::storage::{NetRow, Tally, Versions};

/// Rows in one transaction. While it lasts, whoever makes a version waits.
const PORTION: usize = 256;
/// Operations that are gathered before they are written, and their bytes; those
/// of one version are never parted.
const BATCH: usize = 8192;
const BATCH_BYTES: usize = 8 << 20;
/// How long one call goes on.
const STINT: Duration = Duration::from_millis(10);
/// A skip that would be larger is left out.
const LARGEST_SKIP: usize = 64 << 20;

/// Writes behind, on a connection that waits for no disk.
pub(in crate::entries) struct Deriver {
    pub(super) versions: Versions,
    plan: Plan,
    /// Versions that the net has passed, and that may be due a skip.
    passed: VecDeque<(u64, Changeset)>,
    /// Those that a skip of level 1 may lead over, oldest first.
    trail: VecDeque<(u64, Changeset)>,
    /// Versions since the last skip of level 1, if that is known.
    since_skip: Option<usize>,
}

/// Where the net goes next.
#[derive(Default)]
struct Plan {
    /// The epoch in which it was made.
    epoch: u64,
    /// Where the net was when what is gathered was begun.
    base: u64,
    /// The versions that come next, oldest first.
    chain: VecDeque<u64>,
    /// Where they end; what came since is another time's work.
    goal: Option<u64>,
    /// All of them are one batch, which somebody began to write.
    is_begun: bool,
    gathered: Gathered,
    batch: Option<Batch>,
}

/// What becomes of entries.
#[derive(Default)]
struct Gathered {
    /// The versions it leads over, oldest first.
    over: Vec<(u64, Changeset)>,
    changes: BTreeMap<Id, Change<Entry>>,
    ops: usize,
    bytes: usize,
}

/// What becomes of an entry.
struct Change<E> {
    /// Whether it was not there before.
    is_created: bool,
    entry: Option<E>,
}

/// What leads the net from its version to another.
struct Batch {
    /// The version it leads to.
    to: u64,
    /// The versions it leads over, oldest first; none if it leads back.
    over: Vec<(u64, Changeset)>,
    /// By id, each once.
    rows: Vec<(Id, Change<Vec<u8>>)>,
    /// How many of them are written.
    done: usize,
}

impl Gathered {
    fn add<'a>(&mut self, ops: impl IntoIterator<Item = &'a Op>) {
        for op in ops {
            self.ops += 1;
            let entry = (op.kind != OpKind::Delete).then(|| op.entry.clone());
            if let Some(change) = self.changes.get_mut(op.id()) {
                change.entry = entry;
            } else {
                let is_created = op.kind == OpKind::Create;
                self.changes.insert(op.id().clone(), Change { is_created, entry });
            }
        }
    }

    fn is_full(&self) -> bool {
        self.ops >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn into_batch(self, to: u64) -> Batch {
        // Encoded before the lock is taken.
        let rows = self.changes.into_iter().map(|(id, Change { is_created, entry })| {
            let entry = entry.map(|entry| {
                let mut bytes = Vec::new();
                codec::append_entry(&mut bytes, &entry);
                bytes
            });
            (id, Change { is_created, entry })
        });
        Batch { to, over: self.over, rows: rows.collect(), done: 0 }
    }
}

/// The version whose net is written, if it can be used: no stranger wrote
/// since. Then also the version that it is on the way to: what leads there may
/// be in it in part.
pub(super) fn usable_net(
    versions: &Versions,
    tally: Tally,
) -> Result<Option<(u64, Option<u64>)>, EntryError> {
    let next = versions.note("net_next")?;
    let touched = tally.touched.unwrap_or(u64::MAX);
    Ok(versions
        .note("net_version")?
        .filter(|&version| version < touched && next.is_none_or(|next| next < touched))
        .map(|version| (version, next)))
}

/// Takes the net away if it is that of a version that leaves.
pub(super) fn forget_net_of(versions: &Versions, gone: &[u64]) -> Result<(), EntryError> {
    for key in ["net_version", "net_next"] {
        if versions.note(key)?.is_some_and(|version| gone.binary_search(&version).is_ok()) {
            versions.clear_net()?;
        }
    }
    Ok(())
}

impl SqliteHistory {
    /// Writes some of what is not derived yet. Tells whether more is left.
    pub(super) fn derive_some(&self) -> Result<bool, EntryError> {
        let mut deriver = self.deriver.lock();
        let Some(deriver) = &mut *deriver else { return Ok(false) };
        if !deriver.versions.has_tables()? {
            return Ok(false);
        }
        let until = Instant::now() + STINT;
        while Instant::now() < until {
            let result = deriver.portion(&self.writing);
            if !matches!(result, Ok(true)) {
                // What was done in vain is done again.
                deriver.forget_plan();
                return result;
            }
        }
        Ok(true)
    }
}

impl Deriver {
    pub(in crate::entries) fn new(versions: Versions) -> Self {
        versions.checkpoint_apart();
        let (passed, trail) = (VecDeque::new(), VecDeque::new());
        Self { versions, plan: Plan::default(), passed, trail, since_skip: None }
    }

    fn forget_plan(&mut self) {
        self.plan = Plan::default();
        self.passed.clear();
        self.trail.clear();
        self.since_skip = None;
    }

    /// Does one transaction's worth. Tells whether more is left. `writing` is
    /// held by whoever writes.
    fn portion(&mut self, writing: &Mutex<()>) -> Result<bool, EntryError> {
        if let Some(passed) = self.passed.pop_front() {
            self.trail.drain(..(self.trail.len() + 1).saturating_sub(SKIP));
            self.trail.push_back(passed);
            self.since_skip = Some(self.add_skips(writing)?);
            return Ok(true);
        }
        let tally = self.versions.tally()?;
        if tally.touched.is_some() {
            // Whoever writes next clears up.
            return Ok(false);
        }
        let at = self.versions.note("net_version")?;
        let begun = self.versions.note("net_next")?;
        let from = at.unwrap_or(ROOT);
        if self.plan.goal == Some(from) && begun.is_none() {
            return Ok(false);
        }
        if !self.plan.leads_on(from, begun, tally.epoch) {
            self.forget_plan();
            self.plan = Plan { epoch: tally.epoch, base: from, ..Plan::default() };
        }
        if self.plan.batch.is_none() && !self.gather(begun, tally.head, writing)? {
            return Ok(false);
        }
        let Some(batch) = &mut self.plan.batch else { return Ok(true) };
        let end = batch.rows.len().min(batch.done + PORTION);
        let written = {
            let _writing = writing.lock();
            in_transaction(&self.versions, |versions| {
                // Others may have been faster, or have taken versions out.
                if versions.tally()?.epoch != tally.epoch
                    || versions.note("net_version")? != at
                    || versions.note("net_next")? != begun
                    || begun.is_some_and(|begun| begun != batch.to)
                {
                    return Ok(false);
                }
                let rows = &batch.rows[batch.done..end];
                rows.iter().try_for_each(|(id, change)| put(versions, id, change))?;
                if end == batch.rows.len() {
                    versions.set_note("net_next", None)?;
                    versions.set_note("net_version", Some(batch.to))?;
                } else if begun.is_none() {
                    versions.set_note("net_next", Some(batch.to))?;
                }
                Ok(true)
            })?
        };
        self.versions.checkpoint();
        if !written {
            self.forget_plan();
            return Ok(true);
        }
        batch.done = end;
        if batch.done == batch.rows.len()
            && let Some(batch) = self.plan.batch.take()
        {
            self.plan.base = batch.to;
            self.plan.is_begun = false;
            if batch.over.is_empty() {
                self.since_skip = None;
            }
            self.passed.extend(batch.over);
        }
        Ok(true)
    }

    /// Reads some of what comes next: from the net's version towards the head.
    /// False if there is nothing. A batch that was begun, by whomever, is
    /// finished first, wherever the head is by now: a part of it is in the net.
    fn gather(
        &mut self,
        begun: Option<u64>,
        head: u64,
        writing: &Mutex<()>,
    ) -> Result<bool, EntryError> {
        let Self { versions, plan, since_skip, .. } = self;
        let from = plan.base;
        if plan.chain.is_empty() && plan.gathered.over.is_empty() {
            if from == head && begun.is_none() {
                return Ok(false);
            }
            let to = begun.unwrap_or(head);
            let chain = reading(versions, || chain_from(versions, from, to))?.unwrap_or_default();
            if chain.is_empty() {
                *since_skip = None;
                return back(versions, plan, begun, writing);
            }
            plan.chain = chain.into();
            plan.is_begun = begun.is_some();
            plan.goal = begun.is_none().then_some(head);
        }
        let Plan { chain, gathered, is_begun, .. } = plan;
        let enough = gathered.ops + PORTION;
        reading(versions, || {
            while gathered.ops < enough
                && (*is_begun || !gathered.is_full())
                && let Some(version) = chain.pop_front()
            {
                let (ops, bytes) = changeset_with_len(versions, version)?;
                gathered.add(&ops[..]);
                gathered.bytes += bytes;
                gathered.over.push((version, ops));
            }
            Ok(())
        })?;
        let is_whole = chain.is_empty() || !*is_begun && gathered.is_full();
        if let Some(&(to, _)) = gathered.over.last().filter(|_| is_whole) {
            plan.batch = Some(std::mem::take(gathered).into_batch(to));
        }
        Ok(true)
    }

    /// Adds the skips that lead to the version at the end of the trail, if some
    /// do. Gives how many versions it is behind the last skip.
    fn add_skips(&self, writing: &Mutex<()>) -> Result<usize, EntryError> {
        let Self { versions, trail, .. } = self;
        let Some(&(version, _)) = trail.back() else { return Ok(0) };
        let steps = match self.since_skip {
            Some(since) => since + 1,
            None => steps_to_skip(versions, version)?,
        };
        if steps < SKIP {
            return Ok(steps);
        }
        for level in 1.. {
            let Some((ways, ancestor)) = ways_below(versions, version, level)? else { break };
            // Read and squashed before the lock is taken.
            let mut squash = Squash::default();
            for &(at, skip) in ways.iter().rev() {
                let changeset = match skip {
                    None => match trail.iter().find(|(version, _)| *version == at) {
                        Some((_, changeset)) => Changeset::clone(changeset),
                        None => changeset_of(versions, at)?,
                    },
                    Some(level) => skip_of(versions, at, level)?,
                };
                squash.extend(changeset.iter().cloned());
            }
            let mut bytes = Vec::new();
            codec::append_changeset(&mut bytes, &squash.into_lasting_ops());
            if bytes.len() > LARGEST_SKIP {
                break;
            }
            let _writing = writing.lock();
            in_transaction(versions, |versions| {
                let tally = versions.tally()?;
                if tally.epoch == self.plan.epoch && tally.touched.is_none() {
                    versions.insert_skip(version, level, ancestor, &bytes)?;
                }
                Ok(())
            })?;
        }
        Ok(0)
    }
}

/// The head went back, and the net follows by one version, if originals tell
/// what was there before; else it begins anew.
fn back(
    versions: &Versions,
    plan: &mut Plan,
    begun: Option<u64>,
    writing: &Mutex<()>,
) -> Result<bool, EntryError> {
    let to =
        if plan.base == ROOT { None } else { Some(versions.parent(plan.base)?.unwrap_or(ROOT)) };
    if let Some(to) = to.filter(|&to| begun.is_none_or(|begun| begun == to))
        && versions.note("has_baseline")?.is_none()
        && let Some(inverse) = inverse_of(versions, plan.base)?
    {
        let mut gathered = Gathered::default();
        gathered.add(&inverse);
        plan.batch = Some(gathered.into_batch(to));
    } else {
        let _writing = writing.lock();
        in_transaction(versions, |versions| Ok(versions.clear_net()?))?;
    }
    Ok(true)
}

impl Plan {
    /// Whether it still leads on from where the net is.
    fn leads_on(&self, from: u64, begun: Option<u64>, epoch: u64) -> bool {
        let written = self.batch.as_ref().filter(|batch| batch.done > 0);
        self.epoch == epoch
            && self.base == from
            // What was written of it is there still.
            && written.is_none_or(|batch| begun == Some(batch.to))
            && (begun.is_none() || written.is_some() || self.is_begun)
    }
}

/// Several reads with one view of the file.
fn reading<T>(
    versions: &Versions,
    read: impl FnOnce() -> Result<T, EntryError>,
) -> Result<T, EntryError> {
    versions.begin_read()?;
    let result = read();
    versions.roll_back();
    result
}

/// What takes a version back. `None` if it does not say what was there before,
/// as another program may leave it.
fn inverse_of(versions: &Versions, version: u64) -> Result<Option<Vec<Op>>, EntryError> {
    let changeset = changeset_of(versions, version)?;
    Ok(changeset.iter().rev().map(Op::inverse).collect())
}

/// One row of the net.
fn put(versions: &Versions, id: &Id, change: &Change<Vec<u8>>) -> Result<(), EntryError> {
    let IdRef { ns, name } = id.parts();
    let was_there = versions.put_net(NetRow { ns, name, entry: change.entry.as_deref() })?;
    if !was_there && !change.is_created {
        // It changes what was there before the history began.
        versions.set_note("has_baseline", Some(1))?;
    }
    Ok(())
}

/// The ways of the level below that a skip of `level` to `version` leads over,
/// newest first, each by where it leads and its level (none: the changeset of
/// the version), and where the first begins. `None` if there are not enough.
#[expect(clippy::type_complexity, reason = "named in the doc")]
fn ways_below(
    versions: &Versions,
    version: u64,
    level: i64,
) -> Result<Option<(Vec<(u64, Option<i64>)>, u64)>, EntryError> {
    let mut ways = Vec::with_capacity(SKIP);
    let mut at = version;
    while ways.len() < SKIP {
        if at == ROOT {
            return Ok(None);
        }
        if level == 1 {
            ways.push((at, None));
            at = versions.parent(at)?.unwrap_or(ROOT);
            continue;
        }
        let skips = versions.skips(at)?;
        // A skip of this level ends the span, and one may be missing.
        let is_over = at != version && skips.iter().any(|&(other, _)| other >= level);
        let below = skips.iter().find(|&&(other, _)| other == level - 1);
        let Some(&(_, from)) = below.filter(|_| !is_over) else { return Ok(None) };
        ways.push((at, Some(level - 1)));
        at = from;
    }
    Ok(Some((ways, at)))
}

/// How many versions `version` is behind the last one that has a skip, or the
/// root; at most [`SKIP`].
fn steps_to_skip(versions: &Versions, version: u64) -> Result<usize, EntryError> {
    let mut at = version;
    for steps in 1..SKIP {
        at = versions.parent(at)?.unwrap_or(ROOT);
        if at == ROOT || !versions.skips(at)?.is_empty() {
            return Ok(steps);
        }
    }
    Ok(SKIP)
}
