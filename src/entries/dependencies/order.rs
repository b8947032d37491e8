//! In which order operations are done.
//!
//! Rules, the strongest first: a delete comes before a create of the same id;
//! what is depended on is made before what depends on it and deleted after it;
//! an update that stops using something comes before that is deleted; deletes
//! come first, then it goes by id. So: again and again, of the operations whose
//! predecessors are done, the first by the last rule.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Patterns;
use super::cycles::unbroken;
use super::graph::{Graph, Pair, Successors, components};
use crate::entries::id::IdRef;
use crate::entries::op::{Op, OpKind};
use crate::entries::state::State;

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

/// Puts folded operations into their order. `left` is the state that they
/// change, `aimed` the one that they make.
pub(in crate::entries) fn order(
    ops: Vec<Op>,
    patterns: &Patterns,
    left: &dyn Known,
    aimed: &dyn Known,
) -> Vec<Op> {
    if ops.len() < 2 {
        return ops;
    }
    let mut by_rank: Vec<u32> = (0..ops.len() as u32).collect();
    by_rank.sort_unstable_by_key(|&place| {
        let op = &ops[place as usize];
        (op.kind != OpKind::Delete, op.entry.id_parts())
    });
    let ops = arranged(ops, by_rank);
    let graph = Graph::of(&ops, patterns, left, aimed);
    if graph.edges.is_empty() && graph.bundles.is_empty() {
        return ops;
    }
    let sorted = sorted(&graph);
    arranged(ops, sorted)
}

/// The operations as they stand in the list of their places.
fn arranged(ops: Vec<Op>, order: Vec<u32>) -> Vec<Op> {
    let mut ops: Vec<Option<Op>> = ops.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| ops[place as usize].take()).collect()
}

/// The operations of a graph in their order.
fn sorted(graph: &Graph) -> Vec<u32> {
    let pairs = graph.pairs();
    let components = components(graph.nodes(), &pairs);
    if components.is_empty() {
        return scheduled(graph.ops, graph.nodes(), &pairs);
    }
    let (nodes, pairs) = unbroken(graph, &components);
    scheduled(graph.ops, nodes, &pairs)
}

/// The first `ops` of the nodes: again and again the least that waits for
/// nothing. The other nodes only stand between operations; they are done as
/// soon as they can be.
fn scheduled(ops: usize, nodes: usize, pairs: &[Pair]) -> Vec<u32> {
    let mut waits = vec![0_u32; nodes];
    for &(_, after) in pairs {
        waits[after as usize] += 1;
    }
    let successors = Successors::new(nodes, pairs);
    let is_op = |node: u32| (node as usize) < ops;
    let (first, mut between): (Vec<u32>, Vec<u32>) =
        (0..nodes as u32).filter(|&node| waits[node as usize] == 0).partition(|&node| is_op(node));
    let mut ready: BinaryHeap<_> = first.into_iter().map(Reverse).collect();
    let mut sorted = Vec::with_capacity(ops);
    while let Some(node) = between.pop().or_else(|| ready.pop().map(|Reverse(node)| node)) {
        if is_op(node) {
            sorted.push(node);
        }
        for &after in successors.of(node) {
            waits[after as usize] -= 1;
            if waits[after as usize] > 0 {
                continue;
            }
            if is_op(after) {
                ready.push(Reverse(after));
            } else {
                between.push(after);
            }
        }
    }
    sorted
}
