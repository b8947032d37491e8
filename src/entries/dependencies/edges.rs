//! What each operation waits for.

use std::cell::OnceCell;

use crate::hashing::Hashing;
use hashbrown::HashMap;

use super::Patterns;
use super::graph::{Bundle, Edge, Graph, Rule};
use super::order::Known;
use super::stops::Stops;
use super::target::{Target, groups, targets};
use crate::entries::entry::Entry;
use crate::entries::id::IdRef;
use crate::entries::op::{Op, OpKind};

/// Operations by the ids that dependencies name. They stand in the order of the
/// last rule.
pub(super) struct Index<'a> {
    pub(super) ops: &'a [Op],
    /// How many of them are deletes: those stand first.
    pub(super) deletes: usize,
    by_id: OnceCell<ById<'a>>,
}

/// The one that makes the entry, and the one that deletes it.
type ById<'a> = HashMap<IdRef<'a>, [Option<u32>; 2], Hashing>;

/// The entry whose dependencies count: for a delete the one that goes.
pub(super) fn entry_of(op: &Op) -> &Entry {
    match op.kind {
        OpKind::Delete => op.original.as_ref().unwrap_or(&op.entry),
        OpKind::Create | OpKind::Update => &op.entry,
    }
}

impl<'a> Index<'a> {
    fn of(ops: &'a [Op]) -> Self {
        let deletes = ops.partition_point(|op| op.kind == OpKind::Delete);
        Self { ops, deletes, by_id: OnceCell::new() }
    }

    fn by_id(&self) -> &ById<'a> {
        self.by_id.get_or_init(|| {
            let mut by_id = HashMap::with_capacity_and_hasher(self.ops.len(), Hashing::default());
            for (node, op) in self.ops.iter().enumerate() {
                let nodes: &mut [Option<u32>; 2] = by_id.entry(op.entry.id_parts()).or_default();
                nodes[usize::from(node < self.deletes)] = Some(node as u32);
            }
            by_id
        })
    }

    /// The operation that makes the entry with this id, or the one that deletes
    /// it.
    pub(super) fn one(&self, id: IdRef<'_>, is_delete: bool) -> Option<u32> {
        self.by_id().get(&id).and_then(|nodes| nodes[usize::from(is_delete)])
    }

    /// The operations that make entries of a namespace, or those that delete
    /// them.
    fn namespace(&self, ns: &[u8], is_delete: bool) -> std::ops::Range<u32> {
        let (from, part) = match is_delete {
            true => (0, &self.ops[..self.deletes]),
            false => (self.deletes, &self.ops[self.deletes..]),
        };
        let start = part.partition_point(|op| op.entry.id_parts().ns < ns);
        let len = part[start..].partition_point(|op| op.entry.id_parts().ns == ns);
        (from + start) as u32..(from + start + len) as u32
    }
}

/// The bundles of what entries depend on by namespace and group.
#[derive(Default)]
struct Bundles<'a> {
    bundles: Vec<Bundle>,
    targets: Vec<Target<'a>>,
    places: HashMap<(Target<'a>, Rule), usize, Hashing>,
    /// The one that was named last: neighbours mostly name the same.
    last: Option<(Target<'a>, Rule, usize)>,
}

impl<'a> Bundles<'a> {
    fn add(&mut self, target: Target<'a>, rule: Rule, source: u32) {
        let place = match self.last {
            Some((last, last_rule, place)) if last == target && last_rule == rule => place,
            _ => *self.places.entry((target, rule)).or_insert_with(|| {
                self.targets.push(target);
                self.bundles.push(Bundle { rule, members: Vec::new(), sources: Vec::new() });
                self.bundles.len() - 1
            }),
        };
        self.last = Some((target, rule, place));
        let sources = &mut self.bundles[place].sources;
        // Somebody may name a group twice.
        if sources.last() != Some(&source) {
            sources.push(source);
        }
    }

    /// The bundles with the operations that their targets stand for.
    fn filled(mut self, index: &Index<'a>) -> Vec<Bundle> {
        let mut has_groups = false;
        for (bundle, target) in self.bundles.iter_mut().zip(&self.targets) {
            match target {
                Target::Namespace(ns) => {
                    let is_delete = bundle.rule == Rule::DeletesDependent;
                    bundle.members = index.namespace(ns, is_delete).collect();
                }
                _ => has_groups = true,
            }
        }
        if has_groups {
            for (node, op) in (0..).zip(index.ops) {
                let rule = match (node as usize) < index.deletes {
                    true => Rule::DeletesDependent,
                    false => Rule::DependsOn,
                };
                groups(entry_of(op), |group| {
                    let Some(&place) = self.places.get(&(Target::Group(group), rule)) else {
                        return;
                    };
                    let members = &mut self.bundles[place].members;
                    if members.last() != Some(&node) {
                        members.push(node);
                    }
                });
            }
        }
        self.bundles.retain(|bundle| !bundle.members.is_empty());
        self.bundles
    }
}

impl Graph {
    /// What each of the operations waits for; they stand in the order of the
    /// last rule.
    pub(super) fn of(ops: &[Op], patterns: &Patterns, left: &dyn Known, aimed: &dyn Known) -> Self {
        let index = Index::of(ops);
        let mut edges = Vec::new();
        let mut bundles = Bundles::default();
        let mut stops = Stops::new(&index);
        for (node, op) in (0..).zip(ops) {
            let is_delete = op.kind == OpKind::Delete;
            let known = if is_delete { left } else { aimed };
            let rule = if is_delete { Rule::DeletesDependent } else { Rule::DependsOn };
            targets(entry_of(op), patterns, known, |target| {
                let Target::One(id) = target else { return bundles.add(target, rule, node) };
                let Some(other) = index.one(id, is_delete) else { return };
                let (before, after) = if is_delete { (node, other) } else { (other, node) };
                edges.push(Edge { before, after, rule });
            });
            if index.deletes == 0 {
                continue;
            }
            match op.kind {
                OpKind::Update => stops.add(node, op, patterns, left, aimed),
                OpKind::Create => {
                    if let Some(before) = index.one(op.entry.id_parts(), true) {
                        edges.push(Edge { before, after: node, rule: Rule::SameId });
                    }
                }
                OpKind::Delete => {}
            }
        }
        let mut bundles = bundles.filled(&index);
        let (more, more_bundles) = stops.found();
        edges.extend(more);
        bundles.extend(more_bundles);
        Self { ops: ops.len(), edges, bundles }
    }
}
