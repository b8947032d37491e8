//! What comes before what, and the strongly connected components of that.

/// From a node to one that comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) before: u32,
    pub(super) after: u32,
    pub(super) rule: Rule,
}

/// Why one comes before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// An edge between each of several operations and each of several others. An
/// operation that is on both sides has none to itself.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) rule: Rule,
    /// What is depended on.
    pub(super) members: Vec<u32>,
    /// Who depends on that, or stops to.
    pub(super) sources: Vec<u32>,
}

impl Bundle {
    pub(super) fn befores(&self) -> &[u32] {
        if self.rule == Rule::DependsOn { &self.members } else { &self.sources }
    }

    pub(super) fn afters(&self) -> &[u32] {
        if self.rule == Rule::DependsOn { &self.sources } else { &self.members }
    }
}

/// Operations and what they wait for. An operation is a node, numbered by the
/// last rule: deletes come first, then it goes by id.
pub(super) struct Graph {
    pub(super) ops: usize,
    pub(super) edges: Vec<Edge>,
    /// Each is one node more: all who depend on a namespace times all who are in
    /// it would be too many edges.
    pub(super) bundles: Vec<Bundle>,
}

/// A node, and one that comes after it.
pub(super) type Pair = (u32, u32);

impl Graph {
    /// How many nodes there are.
    pub(super) fn nodes(&self) -> usize {
        self.ops + self.bundles.len()
    }

    /// The node of the bundle at this place.
    pub(super) fn node_of(&self, bundle: usize) -> u32 {
        (self.ops + bundle) as u32
    }

    /// What comes before what, each bundle through its node.
    pub(super) fn pairs(&self) -> Vec<Pair> {
        let len = |bundle: &Bundle| bundle.members.len() + bundle.sources.len();
        let bundled: usize = self.bundles.iter().map(len).sum();
        let mut pairs = Vec::with_capacity(self.edges.len() + bundled);
        pairs.extend(self.edges.iter().map(|edge| (edge.before, edge.after)));
        for (place, bundle) in self.bundles.iter().enumerate() {
            let node = self.node_of(place);
            pairs.extend(bundle.befores().iter().map(|&before| (before, node)));
            pairs.extend(bundle.afters().iter().map(|&after| (node, after)));
        }
        pairs
    }
}

/// What comes after each node, side by side.
pub(super) struct Successors {
    starts: Vec<u32>,
    nodes: Vec<u32>,
}

impl Successors {
    pub(super) fn new(nodes: usize, pairs: &[Pair]) -> Self {
        let mut starts = vec![0_u32; nodes + 1];
        for &(before, _) in pairs {
            starts[before as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut sorted = vec![0; pairs.len()];
        for &(before, after) in pairs {
            let place = &mut next[before as usize];
            sorted[*place as usize] = after;
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
pub(super) fn components(nodes: usize, pairs: &[Pair]) -> Vec<Vec<u32>> {
    let successors = Successors::new(nodes, pairs);
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
