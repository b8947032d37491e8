//! Graphs by edges, and their strongly connected components.

/// From a node to one that comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) before: u32,
    pub(super) after: u32,
    pub(super) rule: Rule,
}

/// Why one comes before the other. The weaker rules stand first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// An update that stops using something, before that is deleted.
    StopsUsing,
    /// A delete, before the delete of what it depends on.
    DeletesDependent,
    /// What is depended on, before what depends on it.
    DependsOn,
    /// A delete, before the create of the same id.
    SameId,
}

/// The edges of each node, side by side.
pub(super) struct Successors {
    starts: Vec<u32>,
    nodes: Vec<u32>,
}

impl Successors {
    pub(super) fn new(nodes: usize, edges: &[Edge]) -> Self {
        let mut starts = vec![0_u32; nodes + 1];
        for edge in edges {
            starts[edge.before as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut sorted = vec![0; edges.len()];
        for edge in edges {
            let place = &mut next[edge.before as usize];
            sorted[*place as usize] = edge.after;
            *place += 1;
        }
        Self { starts, nodes: sorted }
    }

    pub(super) fn of(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.nodes[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

const UNSEEN: u32 = u32::MAX;

/// The components of more than one node, each a list of its nodes. By Tarjan's
/// algorithm, with a stack of its own: graphs may be deep.
pub(super) fn components(nodes: usize, edges: &[Edge]) -> Vec<Vec<u32>> {
    let successors = Successors::new(nodes, edges);
    let mut number = vec![UNSEEN; nodes];
    let mut low = vec![0_u32; nodes];
    let mut is_open = vec![false; nodes];
    let mut open: Vec<u32> = Vec::new();
    let mut path: Vec<(u32, usize)> = Vec::new();
    let mut found = Vec::new();
    let mut count = 0;
    for root in 0..nodes as u32 {
        if number[root as usize] != UNSEEN {
            continue;
        }
        path.push((root, 0));
        while let Some(&mut (node, ref mut next)) = path.last_mut() {
            let at = node as usize;
            if *next == 0 && number[at] == UNSEEN {
                number[at] = count;
                low[at] = count;
                count += 1;
                open.push(node);
                is_open[at] = true;
            }
            if let Some(&after) = successors.of(node).get(*next) {
                *next += 1;
                if number[after as usize] == UNSEEN {
                    path.push((after, 0));
                } else if is_open[after as usize] {
                    low[at] = low[at].min(number[after as usize]);
                }
                continue;
            }
            path.pop();
            if let Some(&(above, _)) = path.last() {
                low[above as usize] = low[above as usize].min(low[at]);
            }
            if low[at] == number[at] {
                let start = open.iter().rposition(|&other| other == node).unwrap_or(0);
                let component: Vec<u32> = open.drain(start..).collect();
                for &node in &component {
                    is_open[node as usize] = false;
                }
                if component.len() > 1 {
                    found.push(component);
                }
            }
        }
    }
    found
}
