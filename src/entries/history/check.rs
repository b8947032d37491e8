//! Whether the history in a file is as it has to be: the tree of versions,
//! their changesets, and what was derived from them.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::codec;
use super::sqlite::SKIP;
use crate::entries::entry::Entry;
use crate::entries::id::{Id, IdRef};
use crate::entries::lineage::ROOT;
use crate::entries::op::{Op, OpKind};
use crate::entries::squash::Squash;
use crate::hashing::Hashing;
use crate::report::Report;
use crate::sorting;
use crate::storage::{Inspection, StorageError, Tables, Tally};

/// What versions come down to, by id; no entry: it was deleted.
type Net = HashMap<Id, Option<Entry>, Hashing>;

/// What a row may be on the way to another version, by id.
type Steps = HashMap<Id, Vec<Option<Entry>>, Hashing>;

/// The entries that a process has in memory, for comparing them.
pub(in crate::entries) struct Memory<'a> {
    /// The version they are those of.
    pub(in crate::entries) version: u64,
    /// What they were taken in at.
    pub(in crate::entries) epoch: u64,
    /// What was there before the history.
    pub(in crate::entries) baseline: &'a mut dyn Iterator<Item = Entry>,
    /// Every entry there is.
    pub(in crate::entries) entries: &'a mut dyn Iterator<Item = Entry>,
}

/// Checks a history. `memory` is compared with the version it is of.
pub(in crate::entries) fn check_history(
    inspection: &Inspection,
    tables: Tables,
    memory: Option<Memory<'_>>,
    report: &mut Report,
) -> Result<(), StorageError> {
    let mut history = History { inspection, parents: BTreeMap::new(), bad: HashSet::default() };
    history.read_versions(report)?;
    history.check_changesets(report)?;
    let head = history.check_head(report)?;
    if let Some(head) = head
        && let Some(net) = history.replay(head)?
    {
        report.checked.entries = net.values().flatten().count() as u64;
    }
    if tables.derived {
        // What somebody else has written since is made anew, from there on.
        let touched = inspection.noted("touched", report)?.unwrap_or(u64::MAX);
        let epoch = inspection.noted("epoch", report)?.unwrap_or(0);
        inspection.noted("last_version", report)?;
        history.check_descriptions(touched, report)?;
        history.check_net(touched, report)?;
        history.check_skips(touched, report)?;
        let is_current = |memory: &Memory<'_>| {
            touched == u64::MAX && memory.epoch == Tally { epoch, ..Tally::default() }.moment()
        };
        if let Some(memory) = memory.filter(is_current) {
            history.check_memory(memory, report)?;
        }
    }
    Ok(())
}

/// The tree of versions as it stands in the file.
struct History<'a> {
    inspection: &'a Inspection,
    /// Versions that can be reached, and from where; the root has none.
    parents: BTreeMap<u64, Option<u64>>,
    /// Those whose changesets cannot be read.
    bad: HashSet<u64, Hashing>,
}

impl History<'_> {
    fn read_versions(&mut self, report: &mut Report) -> Result<(), StorageError> {
        let parents = &mut self.parents;
        let mut count = 0;
        self.inspection.versions(|row, fault| {
            count += 1;
            let place = || format!("versions row {}", row.id);
            // In this order: parents have lower ids than their children, so
            // that there can be no cycle.
            let found = match (u64::try_from(row.id), row.parent, fault) {
                (Err(_), ..) => "the id is negative".to_owned(),
                (_, _, Some(fault)) => fault,
                (Ok(ROOT), None, _) => {
                    parents.insert(ROOT, None);
                    return;
                }
                (Ok(ROOT), Some(parent), _) => format!("the root has the parent {parent}"),
                // Another program may leave a version without one.
                (Ok(id), None, _) => {
                    parents.insert(id, Some(ROOT));
                    return;
                }
                (Ok(_), Some(parent), _) if parent >= row.id => {
                    format!("it has the parent {parent}, which is not older")
                }
                (Ok(id), Some(parent), _) => {
                    let parent = u64::try_from(parent).ok();
                    match parent.filter(|parent| parents.contains_key(parent)) {
                        Some(parent) => {
                            parents.insert(id, Some(parent));
                            return;
                        }
                        None => {
                            let parent = row.parent.unwrap_or_default();
                            format!("it has the parent {parent}, which does not exist")
                        }
                    }
                }
            };
            report.add("version", place(), found);
            // Known all the same, so that one fault is told once.
            if let Ok(id) = u64::try_from(row.id) {
                parents.insert(id, None);
            }
        })?;
        report.checked.versions = count;
        if !parents.contains_key(&ROOT) {
            report.add("version", "versions row 0", "the root is missing");
        }
        Ok(())
    }

    fn check_changesets(&mut self, report: &mut Report) -> Result<(), StorageError> {
        let (parents, bad) = (&self.parents, &mut self.bad);
        let mut missing: HashSet<u64, Hashing> = parents.keys().copied().collect();
        self.inspection.changesets(|version, bytes| {
            let place = || format!("changeset of version {version}");
            let known = u64::try_from(version).ok().filter(|known| parents.contains_key(known));
            let Some(known) = known else {
                return report.add("changeset", place(), "there is no such version");
            };
            missing.remove(&known);
            match bytes.and_then(codec::read_changeset) {
                Ok(ops) if known == ROOT && !ops.is_empty() => {
                    report.add("changeset", place(), "that of the root is not empty");
                }
                Ok(_) => {}
                Err(found) => {
                    bad.insert(known);
                    report.add("changeset", place(), found);
                }
            }
        })?;
        let mut missing: Vec<u64> = missing.into_iter().collect();
        sorting::sort(&mut missing);
        for version in missing {
            self.bad.insert(version);
            report.add("changeset", format!("changeset of version {version}"), "it is missing");
        }
        Ok(())
    }

    fn check_head(&self, report: &mut Report) -> Result<Option<u64>, StorageError> {
        if let Some(version) = self.inspection.metadata("schema_version")?
            && version.parse::<u32>().is_err()
        {
            let found = format!("it is \"{}\", not a number", version.escape_debug());
            report.add("head", "metadata schema_version", found);
        }
        // Without a row it is the root.
        let text = self.inspection.metadata("head")?.unwrap_or_else(|| "0".to_owned());
        let found = match text.parse::<u64>() {
            Ok(head) if self.parents.contains_key(&head) => return Ok(Some(head)),
            Ok(head) => format!("it is version {head}, which does not exist"),
            Err(_) => format!("it is \"{}\", not a version", text.escape_debug()),
        };
        report.add("head", "metadata head", found);
        Ok(None)
    }

    fn check_descriptions(&self, touched: u64, report: &mut Report) -> Result<(), StorageError> {
        self.inspection.descriptions(|id| {
            let known = u64::try_from(id).ok();
            if known.is_none_or(|id| id < touched && !self.parents.contains_key(&id)) {
                let place = format!("acervo_version row {id}");
                report.add("version", place, "there is no such version");
            }
        })
    }

    /// The versions after `base` up to `version`.
    fn chain(&self, base: u64, version: u64) -> Chain {
        let mut chain = Vec::new();
        let mut at = version;
        while at > base {
            let parent = self.parents.get(&at).copied().flatten();
            let Some(parent) = parent.filter(|_| !self.bad.contains(&at)) else {
                return Chain::Broken;
            };
            chain.push(at);
            at = parent;
        }
        chain.reverse();
        if at == base { Chain::Whole(chain) } else { Chain::Elsewhere }
    }

    /// The changeset of a version; the versions of a chain have one.
    fn ops(&self, version: u64) -> Result<Vec<Op>, StorageError> {
        let ops = self.inspection.changeset(version, codec::read_changeset)?;
        Ok(ops.and_then(Result::ok).unwrap_or_default())
    }

    /// What the versions up to `version` come down to, one changeset after the
    /// other; `None` if not all of them can be read.
    fn replay(&self, version: u64) -> Result<Option<Net>, StorageError> {
        let Chain::Whole(chain) = self.chain(ROOT, version) else { return Ok(None) };
        let mut net = Net::default();
        for version in chain {
            for op in self.ops(version)? {
                net.insert(op.id().clone(), entry_after(&op));
            }
        }
        Ok(Some(net))
    }

    fn check_net(&self, touched: u64, report: &mut Report) -> Result<(), StorageError> {
        let version = self.inspection.noted("net_version", report)?;
        let next = self.inspection.noted("net_next", report)?;
        let at = version.unwrap_or(ROOT);
        if at >= touched || next.is_some_and(|next| next >= touched) {
            return Ok(());
        }
        for (key, version) in [("net_version", Some(at)), ("net_next", next)] {
            if let Some(version) = version.filter(|it| !self.parents.contains_key(it)) {
                let found = format!("it is version {version}, which does not exist");
                report.add("net", format!("acervo_meta {key}"), found);
                return Ok(());
            }
        }
        let Some(mut expected) = self.replay(at)? else { return Ok(()) };
        let Some(steps) = self.steps(at, next, report)? else { return Ok(()) };
        let has_baseline = self.inspection.noted("has_baseline", report)?.is_some();
        let mut compared = 0;
        self.inspection.net_rows(|row| {
            compared += 1;
            let row = match row {
                Ok(row) => row,
                Err(found) => return report.add("net", "acervo_net", found),
            };
            let id = Id::new(IdRef { ns: row.ns, name: row.name });
            let place = || format!("acervo_net {id}");
            let entry = match row.entry.map(codec::read_entry).transpose() {
                Ok(entry) => entry,
                Err(found) => return report.add("net", place(), found),
            };
            let before = expected.remove(&id);
            // One that says that nothing is there does no harm where there is
            // nothing: versions that are no more may have left it.
            let allowed = before.unwrap_or_default();
            if entry == allowed || steps.get(&id).is_some_and(|on| on.contains(&entry)) {
                return;
            }
            let found = match (&entry, &allowed) {
                (None, _) => "it is deleted, and not in the versions",
                (Some(_), None) => "it has an entry, and there is none in the versions",
                (Some(_), Some(_)) => "it is not the entry that the versions come down to",
            };
            report.add("net", place(), format!("{found} up to {at}"));
        })?;
        report.checked.checkpoints += compared;
        // A net that was never begun, or was given up, is empty.
        if version.is_none() && next.is_none() {
            return Ok(());
        }
        for (id, entry) in expected {
            if entry.is_some() || has_baseline {
                let found = format!("the row is missing; the versions up to {at} have it");
                report.add("net", format!("acervo_net {id}"), found);
            }
        }
        Ok(())
    }

    /// What the rows may be, by id, while the net is on its way from the
    /// version `at` to one that descends from it, or to its parent: any part of
    /// that may be done. `None` if it cannot be told.
    fn steps(
        &self,
        at: u64,
        next: Option<u64>,
        report: &mut Report,
    ) -> Result<Option<Steps>, StorageError> {
        let Some(next) = next else { return Ok(Some(Steps::default())) };
        let parent = |version: u64| self.parents.get(&version).copied().flatten();
        let mut ops: Vec<Op> = Vec::new();
        match self.chain(at, next) {
            _ if self.bad.contains(&next) => return Ok(None),
            _ if parent(at) == Some(next) => {
                ops.extend(self.ops(at)?.iter().rev().filter_map(Op::inverse));
            }
            Chain::Whole(chain) if next > at => {
                for version in chain {
                    ops.extend(self.ops(version)?);
                }
            }
            Chain::Broken => return Ok(None),
            Chain::Whole(_) | Chain::Elsewhere => {
                let found = format!("{next} is neither before nor after version {at}");
                report.add("net", "acervo_meta net_next", found);
                return Ok(None);
            }
        }
        let mut steps = Steps::default();
        for op in &ops {
            steps.entry(op.id().clone()).or_default().push(entry_after(op));
        }
        Ok(Some(steps))
    }

    fn check_skips(&self, touched: u64, report: &mut Report) -> Result<(), StorageError> {
        // Collected first: reading changesets in between would take two
        // statements over one table each at once for every one of them.
        let mut skips = Vec::new();
        self.inspection.skip_rows(|version, level, ancestor, bytes| {
            let ops = bytes.and_then(codec::read_changeset).map(by_id);
            skips.push((version, level, ancestor, ops));
        })?;
        for (version, level, ancestor, ops) in skips {
            let place = format!("acervo_skip of version {version}, level {level}");
            let ends = (u64::try_from(version), u64::try_from(ancestor));
            let (Ok(version), Ok(ancestor)) = ends else {
                report.add("skip", place, format!("it leads from version {ancestor}"));
                continue;
            };
            if version >= touched {
                continue;
            }
            report.checked.checkpoints += 1;
            let missing = [version, ancestor].into_iter().find(|it| !self.parents.contains_key(it));
            if let Some(missing) = missing {
                report.add("skip", place, format!("version {missing} does not exist"));
                continue;
            }
            let ops = match ops {
                Ok(ops) => ops,
                Err(found) => {
                    report.add("skip", place, found);
                    continue;
                }
            };
            if level < 1 {
                report.add("skip", place, "levels begin with 1");
                continue;
            }
            let chain = match self.chain(ancestor, version) {
                Chain::Whole(chain) => chain,
                // Told already.
                Chain::Broken => continue,
                Chain::Elsewhere => {
                    report.add("skip", place, format!("version {ancestor} is no ancestor"));
                    continue;
                }
            };
            // Pruning takes versions out of the way from the root, and leaves
            // its effect.
            let is_from_root = ancestor == ROOT;
            if chain.len() < SKIP && !is_from_root {
                report.add("skip", place, format!("it leads over {} versions only", chain.len()));
                continue;
            }
            let mut squash = Squash::default();
            for version in chain {
                squash.extend(self.ops(version)?);
            }
            let expected = by_id(squash.into_lasting_ops());
            let different = match is_from_root {
                true => difference_in_effect(&ops, &expected),
                false => difference(&ops, &expected),
            };
            if let Some(id) = different {
                let found = format!("entry {id} is not as the changesets from {ancestor} leave it");
                report.add("skip", place, found);
            }
        }
        Ok(())
    }

    fn check_memory(&self, memory: Memory<'_>, report: &mut Report) -> Result<(), StorageError> {
        let version = memory.version;
        let Some(net) = self.replay(version)? else { return Ok(()) };
        let mut expected: HashMap<Id, Entry, Hashing> =
            memory.baseline.map(|entry| (entry.id().clone(), entry)).collect();
        for (id, entry) in net {
            match entry {
                Some(entry) => drop(expected.insert(id, entry)),
                None => drop(expected.remove(&id)),
            }
        }
        for entry in memory.entries {
            let found = match expected.remove(entry.id()) {
                Some(expected) if expected == entry => continue,
                Some(_) => "memory differs from what the file comes down to",
                None => "it is in memory and not in the file",
            };
            report.add("memory", format!("entry {}", entry.id()), format!("{found}, in {version}"));
        }
        for (id, _) in expected {
            let found = format!("it is in the file and not in memory, in {version}");
            report.add("memory", format!("entry {id}"), found);
        }
        Ok(())
    }
}

/// The way from one version to another.
enum Chain {
    /// The versions on it, oldest first.
    Whole(Vec<u64>),
    /// Not all of it can be read, which was told.
    Broken,
    /// There is none.
    Elsewhere,
}

/// The entry that an operation leaves.
fn entry_after(op: &Op) -> Option<Entry> {
    (op.kind != OpKind::Delete).then(|| op.entry.clone())
}

/// Operations by their ids; a delete and a create of one id stay in their
/// order.
fn by_id(mut ops: Vec<Op>) -> Vec<Op> {
    sorting::sort_by(&mut ops, |a, b| a.id().cmp(b.id()));
    ops
}

/// The first id on which two lists of operations, sorted by it, differ.
fn difference(ops: &[Op], others: &[Op]) -> Option<Id> {
    let same = |op: &Op, other: &Op| {
        // A delete that says that something was there meanwhile may show any
        // entry of its id.
        let is_meanwhile = op.kind == OpKind::Delete && op.original.is_none();
        op.kind == other.kind
            && op.original == other.original
            && (is_meanwhile || op.entry == other.entry)
            && op.id() == other.id()
    };
    let place = ops.iter().zip(others).position(|(op, other)| !same(op, other));
    match place {
        Some(place) => Some(ops[place].id().clone()),
        None => ops.get(others.len()).or(others.get(ops.len())).map(|op| op.id().clone()),
    }
}

/// The first id that two lists of operations, sorted by it, leave with different
/// entries. Leaving none is the same as not naming it.
fn difference_in_effect(ops: &[Op], others: &[Op]) -> Option<Id> {
    type Left = HashMap<Id, Entry, Hashing>;
    let effect = |ops: &[Op]| {
        let mut left = Left::default();
        for op in ops {
            match entry_after(op) {
                Some(entry) => drop(left.insert(op.id().clone(), entry)),
                None => drop(left.remove(op.id())),
            }
        }
        left
    };
    let (one, other) = (effect(ops), effect(others));
    let differs =
        |(id, entry): (&Id, &Entry), of: &Left| (of.get(id) != Some(entry)).then(|| id.clone());
    let first = one.iter().find_map(|it| differs(it, &other));
    first.or_else(|| other.iter().find_map(|it| differs(it, &one)))
}
