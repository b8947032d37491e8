//! Written behind: what the versions come down to (the net), and skips, which
//! lead over many versions at once.
//!
//! The net is a checkpoint at one version; opening reads it and replays what
//! came after. A skip of level 1 leads over [`SKIP`] versions, one of level 2
//! over as many skips of level 1, and so on; going far in the history reads a
//! few of them. Both follow the head in small portions, so that nobody who
//! writes waits long for the lock, and both can be lost without harm.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::codec;
use super::sqlite::{SKIP, SqliteHistory, changeset_of, in_transaction, skip_of};
use crate::entries::EntryError;
use crate::entries::id::IdRef;
use crate::entries::lineage::ROOT;
use crate::entries::op::{Op, OpKind};
use crate::entries::squash::Squash;
use crate::storage::{NetRow, Tally, Versions};

/// Operations in one transaction.
const PORTION: usize = 256;
/// How long one call goes on.
const STINT: Duration = Duration::from_millis(10);
/// A skip that would be larger is left out.
const LARGEST_SKIP: usize = 64 << 20;

/// Writes behind, on a connection that waits for no disk.
pub(in crate::entries) struct Deriver {
    pub(super) versions: Versions,
    /// The versions that come next, oldest first, and from where.
    base: u64,
    chain: VecDeque<u64>,
    /// The changeset that is being added, and how much of it is.
    step: Option<(Step, usize)>,
    /// Versions since the last skip of level 1, if that is known.
    since_skip: Option<usize>,
}

/// From one version to one beside it.
struct Step {
    to: u64,
    ops: Vec<Op>,
    is_forward: bool,
}

/// The version whose net is written, if it can be used: no stranger wrote
/// since. Then also the version that was being added, whose operations may be
/// there in part.
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
            let result = deriver.portion();
            if !matches!(result, Ok(true)) {
                // What was done in vain is done again.
                deriver.step = None;
                return result;
            }
        }
        Ok(true)
    }
}

impl Deriver {
    pub(in crate::entries) fn new(versions: Versions) -> Self {
        Self { versions, base: ROOT, chain: VecDeque::new(), step: None, since_skip: None }
    }

    /// Does one transaction's worth. Tells whether more is left.
    fn portion(&mut self) -> Result<bool, EntryError> {
        let tally = self.versions.tally()?;
        if tally.touched.is_some() {
            // Whoever writes next clears up.
            return Ok(false);
        }
        let at = self.versions.note("net_version")?;
        let begun = self.versions.note("net_next")?;
        if self.step.is_none() && !self.plan(at, begun, tally.head)? {
            return Ok(false);
        }
        let Some((step, done)) = &mut self.step else { return Ok(false) };
        let end = step.ops.len().min(*done + PORTION);
        let is_last = end == step.ops.len();
        let (portion, to) = (&step.ops[*done..end], step.to);
        let written = in_transaction(&self.versions, |versions| {
            // Others may have been faster, or have taken versions out.
            if versions.tally()?.epoch != tally.epoch
                || versions.note("net_version")? != at
                || versions.note("net_next")? != begun
                || begun.is_some_and(|begun| begun != to)
            {
                return Ok(false);
            }
            for op in portion {
                put(versions, op)?;
            }
            versions.set_note("net_next", (!is_last).then_some(to))?;
            if is_last {
                versions.set_note("net_version", Some(to))?;
            }
            Ok(true)
        })?;
        *done = end;
        let is_forward = step.is_forward;
        if !written {
            self.chain.clear();
            self.step = None;
            self.since_skip = None;
        } else if is_last {
            self.base = to;
            self.step = None;
            self.since_skip = match is_forward {
                true => Some(add_skips(&self.versions, to, self.since_skip, tally.epoch)?),
                false => None,
            };
        }
        Ok(true)
    }

    /// Finds the next step from the net's version towards the head; false if
    /// there is none. One that was begun, by whomever, is finished first,
    /// wherever the head is by now: a part of it is in the net.
    fn plan(&mut self, at: Option<u64>, begun: Option<u64>, head: u64) -> Result<bool, EntryError> {
        let versions = &self.versions;
        let from = at.unwrap_or(ROOT);
        if from == head && begun.is_none() {
            return Ok(false);
        }
        if let Some(begun) = begun
            && (self.base != from || self.chain.front() != Some(&begun))
        {
            self.chain.clear();
            self.since_skip = None;
            let step = if versions.parent(begun)? == Some(from) {
                let ops = changeset_of(versions, begun)?.to_vec();
                Step { to: begun, ops, is_forward: true }
            } else if versions.parent(from)? == Some(begun)
                && versions.note("has_baseline")?.is_none()
            {
                Step { to: begun, ops: inverse_of(versions, from)?, is_forward: false }
            } else {
                in_transaction(versions, |versions| Ok(versions.clear_net()?))?;
                return Ok(true);
            };
            self.step = Some((step, 0));
            return Ok(true);
        }
        if self.base != from || self.chain.is_empty() {
            self.base = from;
            self.since_skip = None;
            self.chain.clear();
            let mut at = head;
            while at > from {
                self.chain.push_front(at);
                at = versions.parent(at)?.unwrap_or(ROOT);
            }
            if at != from {
                self.chain.clear();
            }
        }
        let step = match self.chain.pop_front() {
            Some(to) => {
                let ops = changeset_of(versions, to)?.to_vec();
                Step { to, ops, is_forward: true }
            }
            // The head went back, and the net follows, if originals tell what
            // was there before; else it begins anew.
            None if versions.note("has_baseline")?.is_some() || from == ROOT => {
                in_transaction(versions, |versions| Ok(versions.clear_net()?))?;
                return Ok(true);
            }
            None => {
                let to = versions.parent(from)?.unwrap_or(ROOT);
                Step { to, ops: inverse_of(versions, from)?, is_forward: false }
            }
        };
        self.step = Some((step, 0));
        Ok(true)
    }
}

/// What takes a version back.
fn inverse_of(versions: &Versions, version: u64) -> Result<Vec<Op>, EntryError> {
    let changeset = changeset_of(versions, version)?;
    Ok(changeset.iter().rev().filter_map(Op::inverse).collect())
}

/// One operation into the net.
fn put(versions: &Versions, op: &Op) -> Result<(), EntryError> {
    let IdRef { ns, name } = op.id().parts();
    let mut bytes = Vec::new();
    let entry = (op.kind != OpKind::Delete).then(|| {
        codec::append_entry(&mut bytes, &op.entry);
        &bytes[..]
    });
    let was_there = versions.put_net(NetRow { ns, name, entry })?;
    if !was_there && op.kind != OpKind::Create {
        // It changes what was there before the history began.
        versions.set_note("has_baseline", Some(1))?;
    }
    Ok(())
}

/// Adds the skips that lead to `version`, if some do. `since` is how many
/// versions its parent is behind the last skip; gives the same for `version`.
fn add_skips(
    versions: &Versions,
    version: u64,
    since: Option<usize>,
    epoch: u64,
) -> Result<usize, EntryError> {
    let steps = match since {
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
                None => changeset_of(versions, at)?,
                Some(level) => skip_of(versions, at, level)?,
            };
            squash.extend(changeset.iter().cloned());
        }
        let mut bytes = Vec::new();
        codec::append_changeset(&mut bytes, &squash.into_lasting_ops());
        if bytes.len() > LARGEST_SKIP {
            break;
        }
        in_transaction(versions, |versions| {
            let tally = versions.tally()?;
            if tally.epoch == epoch && tally.touched.is_none() {
                versions.insert_skip(version, level, ancestor, &bytes)?;
            }
            Ok(())
        })?;
    }
    Ok(0)
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
