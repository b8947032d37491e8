//! In which order operations are done.
//!
//! Rules, the strongest first: a delete comes before a create of the same id;
//! what is depended on is made before what depends on it and deleted after it;
//! an update that stops using something comes before that is deleted; deletes
//! come first, then it goes by id. So: again and again, of the operations whose
//! predecessors are done, the first by the last rule.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::{HashMap, HashSet};

use super::Patterns;
use super::cycles::broken;
use super::graph::{Edge, Rule, Successors, components};
use super::target::{Target, groups, targets};
use crate::entries::EntryError;
use crate::entries::entry::Entry;
use crate::entries::id::IdRef;
use crate::entries::op::{Op, OpKind};
use crate::entries::state::State;
use crate::hashing::Hashing;
use crate::sorting;

/// Entries that exist, by their ids.
pub(in crate::entries) trait Known {
    /// Whether there is an entry with this id.
    fn has(&self, id: IdRef<'_>) -> bool;
}

impl Known for State {
    fn has(&self, id: IdRef<'_>) -> bool {
        self.get(id).is_some()
    }
}

/// Most pairs that groups may stand for one by one.
const PAIRS_LIMIT: usize = 1 << 24;

/// Puts folded operations into their order. `left` is the state that they
/// change, `aimed` the one that they make.
pub(in crate::entries) fn order(
    ops: Vec<Op>,
    patterns: &Patterns,
    left: &dyn Known,
    aimed: &dyn Known,
) -> Result<Vec<Op>, EntryError> {
    if ops.len() < 2 {
        return Ok(ops);
    }
    let mut by_rank: Vec<u32> = (0..ops.len() as u32).collect();
    by_rank.sort_unstable_by_key(|&node| {
        let op = &ops[node as usize];
        (op.kind != OpKind::Delete, op.entry.id_parts())
    });
    let graph = Graph::of(&ops, patterns, left, aimed)?;
    let sorted = if graph.edges.is_empty() { by_rank } else { graph.sort(&ops, &by_rank)? };
    let mut ops: Vec<Option<Op>> = ops.into_iter().map(Some).collect();
    Ok(sorted.into_iter().filter_map(|node| ops[node as usize].take()).collect())
}

/// Several operations that a text stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Group<'a> {
    target: Target<'a>,
    is_delete: bool,
}

/// Operations, what they wait for, and groups of them: a group is a node of its
/// own, since all who depend on it times all who are in it may be many.
struct Graph {
    edges: Vec<Edge>,
    /// Operations and groups.
    nodes: usize,
    /// How many of them are operations.
    ops: usize,
}

/// Operations by what dependencies name; made when one names anything.
struct Index<'a> {
    ops: &'a [Op],
    has_deletes: bool,
    by_id: OnceCell<ById<'a>>,
    members: OnceCell<Members<'a>>,
}

/// The one that makes the entry, and the one that deletes it.
type ById<'a> = HashMap<IdRef<'a>, [Option<u32>; 2], Hashing>;
type Members<'a> = HashMap<Group<'a>, Vec<u32>, Hashing>;

/// The entry whose dependencies count: for a delete the one that goes.
fn entry_of(op: &Op) -> &Entry {
    match op.kind {
        OpKind::Delete => op.original.as_ref().unwrap_or(&op.entry),
        OpKind::Create | OpKind::Update => &op.entry,
    }
}

impl<'a> Index<'a> {
    fn of(ops: &'a [Op]) -> Self {
        let has_deletes = ops.iter().any(|op| op.kind == OpKind::Delete);
        Self { ops, has_deletes, by_id: OnceCell::new(), members: OnceCell::new() }
    }

    fn by_id(&self) -> &ById<'a> {
        self.by_id.get_or_init(|| {
            let mut by_id = HashMap::with_capacity_and_hasher(self.ops.len(), Hashing::default());
            for (node, op) in self.ops.iter().enumerate() {
                let nodes: &mut [Option<u32>; 2] = by_id.entry(op.entry.id_parts()).or_default();
                nodes[usize::from(op.kind == OpKind::Delete)] = Some(node as u32);
            }
            by_id
        })
    }

    fn all_members(&self) -> &Members<'a> {
        self.members.get_or_init(|| {
            let mut all = Members::default();
            for (node, op) in self.ops.iter().enumerate() {
                let is_delete = op.kind == OpKind::Delete;
                let mut join = |target| {
                    all.entry(Group { target, is_delete }).or_default().push(node as u32);
                };
                join(Target::Namespace(op.entry.id_parts().ns));
                groups(entry_of(op), |group| join(Target::Group(group)));
            }
            for members in all.values_mut() {
                // A group that is named twice.
                members.dedup();
            }
            all
        })
    }

    fn id_of(&self, node: u32) -> IdRef<'a> {
        self.ops[node as usize].entry.id_parts()
    }

    fn one(&self, id: IdRef<'_>, is_delete: bool) -> Option<u32> {
        self.by_id().get(&id).and_then(|nodes| nodes[usize::from(is_delete)])
    }

    fn members(&self, group: &Group<'a>) -> &[u32] {
        self.all_members().get(group).map_or(&[], Vec::as_slice)
    }
}

/// Who depends on a group: an edge to it or from it.
fn towards(group: u32, source: u32, is_delete: bool) -> Edge {
    if is_delete {
        Edge { before: source, after: group, rule: Rule::DeletesDependent }
    } else {
        Edge { before: group, after: source, rule: Rule::DependsOn }
    }
}

/// Between one that depends on something and what makes or deletes that.
fn between(source: u32, target: u32, is_delete: bool) -> Edge {
    if is_delete {
        Edge { before: source, after: target, rule: Rule::DeletesDependent }
    } else {
        Edge { before: target, after: source, rule: Rule::DependsOn }
    }
}

impl Graph {
    fn of(
        ops: &[Op],
        patterns: &Patterns,
        left: &dyn Known,
        aimed: &dyn Known,
    ) -> Result<Self, EntryError> {
        let index = Index::of(ops);
        let mut edges = Vec::new();
        // Who depends on each group.
        let mut sources: HashMap<Group<'_>, Vec<u32>, Hashing> = HashMap::default();
        for (node, op) in ops.iter().enumerate() {
            let node = node as u32;
            let is_delete = op.kind == OpKind::Delete;
            let known = if is_delete { left } else { aimed };
            targets(entry_of(op), patterns, known, |target| match target {
                Target::One(id) => {
                    if let Some(other) = index.one(id, is_delete) {
                        edges.push(between(node, other, is_delete));
                    }
                }
                target => {
                    let group = Group { target, is_delete };
                    if !index.members(&group).is_empty() {
                        sources.entry(group).or_default().push(node);
                    }
                }
            });
            if op.kind == OpKind::Update && index.has_deletes {
                stops_using(node, op, &index, patterns, left, aimed, |edge| edges.push(edge));
            }
            if index.has_deletes
                && let Some([Some(make), Some(delete)]) = index.by_id().get(&op.entry.id_parts())
                && *make == node
            {
                edges.push(Edge { before: *delete, after: *make, rule: Rule::SameId });
            }
        }
        let graph = Self { edges, nodes: ops.len(), ops: ops.len() };
        graph.with_groups(sources, &index)
    }

    /// Adds a node for each group, unless somebody in it depends on it or it
    /// stands on a cycle; then the pairs themselves count.
    fn with_groups<'a>(
        mut self,
        sources: HashMap<Group<'a>, Vec<u32>, Hashing>,
        index: &Index<'a>,
    ) -> Result<Self, EntryError> {
        let mut pairs = 0;
        let mut shared = Vec::new();
        for (group, mut sources) in sources {
            let members = index.members(&group);
            sorting::sort(&mut sources);
            sources.dedup();
            // Members are in ascending order.
            let (inside, outside): (Vec<u32>, Vec<u32>) =
                sources.into_iter().partition(|node| members.binary_search(node).is_ok());
            self.add_pairs(&inside, members, group.is_delete, &mut pairs)?;
            if !outside.is_empty() {
                shared.push((group.is_delete, outside, members));
            }
        }
        if shared.is_empty() {
            return Ok(self);
        }
        let ops_only = self.edges.len();
        for (number, (is_delete, outside, members)) in shared.iter().enumerate() {
            let group = (self.ops + number) as u32;
            self.edges.extend(outside.iter().map(|&node| towards(group, node, *is_delete)));
            self.edges.extend(members.iter().map(|&node| towards(group, node, !*is_delete)));
        }
        let nodes = self.ops + shared.len();
        let on_cycles: HashSet<u32, Hashing> = components(nodes, &self.edges)
            .into_iter()
            .flatten()
            .filter(|&node| node as usize >= self.ops)
            .collect();
        if on_cycles.is_empty() {
            self.nodes = nodes;
            return Ok(self);
        }
        self.edges.truncate(ops_only);
        for (number, (is_delete, outside, members)) in shared.iter().enumerate() {
            let group = (self.ops + number) as u32;
            if on_cycles.contains(&group) {
                self.add_pairs(outside, members, *is_delete, &mut pairs)?;
            } else {
                self.edges.extend(outside.iter().map(|&node| towards(group, node, *is_delete)));
                self.edges.extend(members.iter().map(|&node| towards(group, node, !*is_delete)));
            }
        }
        self.nodes = nodes;
        Ok(self)
    }

    fn add_pairs(
        &mut self,
        sources: &[u32],
        members: &[u32],
        is_delete: bool,
        pairs: &mut usize,
    ) -> Result<(), EntryError> {
        *pairs = pairs.saturating_add(sources.len().saturating_mul(members.len()));
        if *pairs > PAIRS_LIMIT {
            return Err(EntryError::TooManyDependencies);
        }
        for &source in sources {
            let others = members.iter().filter(|&&member| member != source);
            self.edges.extend(others.map(|&member| between(source, member, is_delete)));
        }
        Ok(())
    }

    /// The operations in their order.
    fn sort(mut self, ops: &[Op], by_rank: &[u32]) -> Result<Vec<u32>, EntryError> {
        // An edge that stands twice would be counted twice.
        self.edges.sort_unstable_by_key(|edge| (edge.before, edge.after, edge.rule));
        self.edges.dedup();
        let by_id = ranks(self.ops, {
            let mut by_id = by_rank.to_vec();
            by_id.sort_unstable_by_key(|&node| ops[node as usize].entry.id_parts());
            by_id
        });
        // Groups are on no cycle, so nobody asks for their rank.
        let rank_by_id = |node: u32| by_id.get(node as usize).copied().unwrap_or(u32::MAX);
        let edges = broken(self.nodes, self.edges, rank_by_id);
        let mut waits = vec![0_u32; self.nodes];
        for edge in &edges {
            waits[edge.after as usize] += 1;
        }
        let successors = Successors::new(self.nodes, &edges);
        let rank = ranks(self.ops, by_rank.to_vec());
        let mut ready = BinaryHeap::new();
        // Groups are done as soon as they can be, before any operation.
        let mut groups: Vec<u32> = Vec::new();
        let release = |node: u32, ready: &mut BinaryHeap<_>, groups: &mut Vec<u32>| match rank
            .get(node as usize)
        {
            Some(&rank) => ready.push(Reverse(rank)),
            None => groups.push(node),
        };
        for node in 0..self.nodes as u32 {
            if waits[node as usize] == 0 {
                release(node, &mut ready, &mut groups);
            }
        }
        let mut sorted = Vec::with_capacity(self.ops);
        loop {
            let node = match groups.pop() {
                Some(group) => group,
                None => match ready.pop() {
                    Some(Reverse(rank)) => by_rank[rank as usize],
                    None => break,
                },
            };
            if (node as usize) < self.ops {
                sorted.push(node);
            }
            for &after in successors.of(node) {
                waits[after as usize] -= 1;
                if waits[after as usize] == 0 {
                    release(after, &mut ready, &mut groups);
                }
            }
        }
        Ok(sorted)
    }
}

/// The place of each of the first `len` nodes in a list of them.
fn ranks(len: usize, sorted: Vec<u32>) -> Vec<u32> {
    let mut ranks = vec![0; len];
    for (rank, node) in sorted.into_iter().enumerate() {
        ranks[node as usize] = rank as u32;
    }
    ranks
}

/// Gives an edge to each delete of something that the update at `node` stops
/// using.
fn stops_using<'a>(
    node: u32,
    op: &'a Op,
    index: &Index<'a>,
    patterns: &Patterns,
    left: &dyn Known,
    aimed: &dyn Known,
    mut give: impl FnMut(Edge),
) {
    let Some(original) = &op.original else { return };
    let mut dropped = Vec::new();
    targets(original, patterns, left, |target| match target {
        Target::One(id) => dropped.extend(index.one(id, true)),
        target => dropped.extend(index.members(&Group { target, is_delete: true })),
    });
    if dropped.is_empty() {
        return;
    }
    // What is deleted and made again may be used again.
    let mut kept: HashSet<u32, Hashing> = HashSet::default();
    targets(&op.entry, patterns, aimed, |target| match target {
        Target::One(id) => kept.extend(index.one(id, false)),
        target => kept.extend(index.members(&Group { target, is_delete: false })),
    });
    for delete in dropped {
        let made_again = index.one(index.id_of(delete), false);
        if made_again.is_none_or(|make| !kept.contains(&make)) {
            give(Edge { before: node, after: delete, rule: Rule::StopsUsing });
        }
    }
}
