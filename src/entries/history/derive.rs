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

use super::sqlite::{SKIP, SqliteHistory, changeset_of, in_transaction, skip_of};
use super::{Changeset, codec};
use crate::entries::EntryError;
use crate::entries::id::IdRef;
use crate::entries::lineage::ROOT;
use crate::entries::op::{Op, OpKind};
use crate::entries::squash::Squash;
use crate::platform::sync::Mutex;
use crate::storage::{NetRow, Tally, Versions};

/// Operations in one transaction. While it lasts, whoever makes a version
/// waits; and pages that several of them change are written once.
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
    /// The changesets that are being added, and how much of the first is.
    steps: VecDeque<Step>,
    done: usize,
    /// Versions since the last skip of level 1, if that is known.
    since_skip: Option<usize>,
}

/// From one version to one beside it.
struct Step {
    to: u64,
    ops: Changeset,
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
        let (chain, steps) = (VecDeque::new(), VecDeque::new());
        Self { versions, base: ROOT, chain, steps, done: 0, since_skip: None }
    }

    fn forget_plan(&mut self) {
        self.chain.clear();
        self.steps.clear();
        self.done = 0;
        self.since_skip = None;
    }

    /// Does one transaction's worth. Tells whether more is left. `writing` is
    /// held by whoever writes.
    fn portion(&mut self, writing: &Mutex<()>) -> Result<bool, EntryError> {
        let tally = self.versions.tally()?;
        if tally.touched.is_some() {
            // Whoever writes next clears up.
            return Ok(false);
        }
        let at = self.versions.note("net_version")?;
        let begun = self.versions.note("net_next")?;
        if !self.plan(at, begun, tally.head, writing)? {
            return Ok(false);
        }
        if self.steps.is_empty() {
            return Ok(true);
        }
        // Whole changesets, and a part of the last.
        let mut room = PORTION;
        let mut whole = 0;
        let mut from = self.done;
        for step in &self.steps {
            let left = step.ops.len() - from;
            if left > room {
                break;
            }
            (room, whole, from) = (room - left, whole + 1, 0);
        }
        let part = match whole {
            0 => self.done + room,
            _ => 0,
        };
        let Self { steps, done, versions, .. } = self;
        let written = {
            let _writing = writing.lock();
            in_transaction(versions, |versions| {
                // Others may have been faster, or have taken versions out.
                let next = steps.front().map(|step| step.to);
                if versions.tally()?.epoch != tally.epoch
                    || versions.note("net_version")? != at
                    || versions.note("net_next")? != begun
                    || begun.is_some_and(|begun| next != Some(begun))
                {
                    return Ok(false);
                }
                let mut from = *done;
                for step in steps.iter().take(whole) {
                    step.ops[from..].iter().try_for_each(|op| put(versions, op))?;
                    from = 0;
                }
                if let Some(begun) = steps.front().filter(|_| whole == 0) {
                    begun.ops[from..part].iter().try_for_each(|op| put(versions, op))?;
                    versions.set_note("net_next", Some(begun.to))?;
                } else if let Some(last) = steps.get(whole - 1) {
                    versions.set_note("net_next", None)?;
                    versions.set_note("net_version", Some(last.to))?;
                }
                Ok(true)
            })?
        };
        if !written {
            self.forget_plan();
            return Ok(true);
        }
        self.done = part;
        for step in self.steps.drain(..whole).collect::<Vec<_>>() {
            self.base = step.to;
            self.since_skip = match step.is_forward {
                true => {
                    let since = self.since_skip;
                    Some(add_skips(&self.versions, step.to, since, tally.epoch, writing)?)
                }
                false => None,
            };
        }
        Ok(true)
    }

    /// Reads the next steps from the net's version towards the head, a portion
    /// of them; false if there are none. Without any, the net was cleared. One
    /// that was begun, by whomever, is finished first, wherever the head is by
    /// now: a part of it is in the net.
    fn plan(
        &mut self,
        at: Option<u64>,
        begun: Option<u64>,
        head: u64,
        writing: &Mutex<()>,
    ) -> Result<bool, EntryError> {
        if !self.steps.is_empty() {
            return Ok(true);
        }
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
            if versions.parent(begun)? == Some(from) {
                let ops = changeset_of(versions, begun)?;
                self.steps.push_back(Step { to: begun, ops, is_forward: true });
            } else if versions.parent(from)? == Some(begun)
                && versions.note("has_baseline")?.is_none()
            {
                let ops = inverse_of(versions, from)?;
                self.steps.push_back(Step { to: begun, ops, is_forward: false });
            } else {
                let _writing = writing.lock();
                in_transaction(versions, |versions| Ok(versions.clear_net()?))?;
            }
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
        let mut planned = 0;
        while planned < PORTION
            && let Some(to) = self.chain.pop_front()
        {
            let ops = changeset_of(versions, to)?;
            planned += ops.len().max(1);
            self.steps.push_back(Step { to, ops, is_forward: true });
        }
        if !self.steps.is_empty() {
            return Ok(true);
        }
        // The head went back, and the net follows, if originals tell what was
        // there before; else it begins anew.
        if versions.note("has_baseline")?.is_some() || from == ROOT {
            let _writing = writing.lock();
            in_transaction(versions, |versions| Ok(versions.clear_net()?))?;
            return Ok(true);
        }
        let to = versions.parent(from)?.unwrap_or(ROOT);
        let ops = inverse_of(versions, from)?;
        self.steps.push_back(Step { to, ops, is_forward: false });
        Ok(true)
    }
}

/// What takes a version back.
fn inverse_of(versions: &Versions, version: u64) -> Result<Changeset, EntryError> {
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
    writing: &Mutex<()>,
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
        let _writing = writing.lock();
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
