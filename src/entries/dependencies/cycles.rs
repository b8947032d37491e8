//! Breaking cycles before anything is done.
//!
//! As long as there is a cycle, of all edges on one the weakest goes: by rule,
//! then with the smallest target, then with the smallest source.
//!
//! All edges of one rule and target can go at once: an edge that enters a node
//! changes nothing about what can be reached from there, so each of them stays
//! on its cycle while the others go (and likewise for edges that leave a node).
//! And when they are the weakest that are left on a cycle, no stronger one has
//! gone yet. So an edge goes if its ends are in one component of the graph of
//! all edges that are not weaker. Let edges be added from the strongest to the
//! weakest, those of one rule and target at one time. Then components only ever
//! merge, and an edge goes if its source is in the component of its target at
//! the time of the edge.
//!
//! When which nodes merge is found by halves for all times together. Nodes are
//! then laid out in one row so that each component there ever was is a span of
//! it: an edge goes if the place of its source is in the span of its target.
//!
//! A bundle takes part as one node. The edges between it and its members are of
//! the strength that the bundle's edges have, those between it and its sources
//! are there from the start. Which operations reach which is the same as by the
//! bundle's edges; an operation on both sides reaches itself, which it does
//! anyway. Which of its edges stay is different for each operation that waits:
//! it waits for those whose span ends before its own begins, which are the
//! first ones by where spans end, and for those whose span begins after its own
//! ends, the last ones by where spans begin. So two chains of nodes, each of
//! which stands for one operation more than the one before it, have in them
//! everything that anybody waits for.

use super::graph::{Bundle, Graph, Pair, Rule, components};

/// What comes before what when cycles are broken, with the number of nodes: those
/// of the graph, and more. `components` are those of all its edges.
pub(super) fn unbroken(graph: &Graph, components: &[Vec<u32>]) -> (usize, Vec<Pair>) {
    let spans = Spans::of(graph, components);
    let mut unbroken = Unbroken { nodes: graph.nodes(), pairs: Vec::new() };
    for edge in &graph.edges {
        let stays = edge.rule == Rule::SameId || {
            let (target, source) = match edge.rule {
                Rule::DependsOn => (edge.before, edge.after),
                _ => (edge.after, edge.before),
            };
            !spans.target(target, edge.rule).meets(spans.source(source))
        };
        if stays {
            unbroken.pairs.push((edge.before, edge.after));
        }
    }
    for (place, bundle) in graph.bundles.iter().enumerate() {
        let node = graph.node_of(place);
        if spans.is_in_component(node) {
            unbroken.add_chains(bundle, &spans);
        } else {
            unbroken.pairs.extend(bundle.befores().iter().map(|&before| (before, node)));
            unbroken.pairs.extend(bundle.afters().iter().map(|&after| (node, after)));
        }
    }
    (unbroken.nodes, unbroken.pairs)
}

/// A run of places: the first, and the one behind the last.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn meets(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

struct Unbroken {
    nodes: usize,
    pairs: Vec<Pair>,
}

impl Unbroken {
    /// Has what comes after in a bundle wait for those before it whose spans
    /// its own does not meet.
    fn add_chains(&mut self, bundle: &Bundle, spans: &Spans) {
        let is_member = |is_before: bool| (bundle.rule == Rule::DependsOn) == is_before;
        let span = |node: u32, is_before: bool| match is_member(is_before) {
            true => spans.target(node, bundle.rule),
            false => spans.source(node),
        };
        let ends = |&node: &u32| (span(node, true).end, node);
        let starts = |&node: &u32| (u32::MAX - span(node, true).start, node);
        let mut by_end: Vec<(u32, u32)> = bundle.befores().iter().map(ends).collect();
        let mut by_start: Vec<(u32, u32)> = bundle.befores().iter().map(starts).collect();
        by_end.sort_unstable();
        by_start.sort_unstable();
        let (mut earlier, mut later) = (Chain::new(by_end), Chain::new(by_start));
        for &after in bundle.afters() {
            let own = span(after, false);
            let before = earlier.node_of(own.start, self);
            let behind = later.node_of(u32::MAX - own.end, self);
            self.pairs.extend(before.into_iter().chain(behind).map(|node| (node, after)));
        }
    }
}

/// Nodes of which each is done when one operation more is than for the one
/// before it.
struct Chain {
    /// What the operations are sorted by, and the operations.
    sorted: Vec<(u32, u32)>,
    /// The nodes there are, made when somebody waits for them.
    nodes: Vec<u32>,
}

impl Chain {
    fn new(sorted: Vec<(u32, u32)>) -> Self {
        Self { sorted, nodes: Vec::new() }
    }

    /// The node that is done when all operations up to `last` are, if there are
    /// any.
    fn node_of(&mut self, last: u32, graph: &mut Unbroken) -> Option<u32> {
        let count = self.sorted.partition_point(|&(by, _)| by <= last);
        while self.nodes.len() < count {
            let node = graph.nodes as u32;
            graph.nodes += 1;
            graph.pairs.extend(self.nodes.last().map(|&before| (before, node)));
            graph.pairs.push((self.sorted[self.nodes.len()].1, node));
            self.nodes.push(node);
        }
        count.checked_sub(1).map(|place| self.nodes[place])
    }
}

const NOWHERE: u32 = u32::MAX;

/// Where nodes stand in the row, and the component of each target at the time
/// of its edges.
struct Spans {
    places: Vec<u32>,
    /// By the strength of the rule, then by node.
    targets: [Vec<Span>; 2],
    /// The component of each node among all edges; nowhere if it is alone.
    member_of: Vec<u32>,
}

/// Deletes and the others have no cycle in common but by updates that stop
/// using something, so the rules about what depends on what are of one strength.
fn strength(rule: Rule) -> usize {
    usize::from(rule != Rule::StopsUsing)
}

impl Spans {
    fn is_in_component(&self, node: u32) -> bool {
        self.member_of[node as usize] != NOWHERE
    }

    fn target(&self, node: u32, rule: Rule) -> Span {
        self.targets[strength(rule)][node as usize]
    }

    fn source(&self, node: u32) -> Span {
        let start = self.places[node as usize];
        Span { start, end: start + 1 }
    }

    fn of(graph: &Graph, components: &[Vec<u32>]) -> Self {
        let nodes = graph.nodes();
        let mut member_of = vec![NOWHERE; nodes];
        for component in components {
            component.iter().for_each(|&node| member_of[node as usize] = component[0]);
        }
        let edges = Timed::of(graph, &member_of);
        let merges = merges(graph, &edges);

        let mut groups = Groups::new(nodes);
        let mut noted: Vec<(usize, u32, Pair)> = Vec::with_capacity(edges.targets.len());
        let mut next = 0;
        for (time, &(strength, target)) in (1..).zip(&edges.targets) {
            while let Some(merge) = merges.get(next).filter(|merge| merge.time <= time) {
                groups.merge(merge.one, merge.other);
                next += 1;
            }
            noted.push((strength, target, groups.of(target)));
        }
        let places = groups.laid_out();
        let alone = |&start: &u32| Span { start, end: start + 1 };
        let alone: Vec<Span> = places[..graph.ops].iter().map(alone).collect();
        let mut targets = [alone.clone(), alone];
        for (strength, target, (first, len)) in noted {
            let start = places[first as usize];
            targets[strength][target as usize] = Span { start, end: start + len };
        }
        Self { places, targets, member_of }
    }
}

/// The edges inside components, with the times at which they are added; bundles
/// through their nodes.
struct Timed {
    edges: Vec<Added>,
    /// The strength and the target of each time but 0, which is that of what
    /// is there from the start.
    targets: Vec<(usize, u32)>,
}

/// An edge between what its ends have become part of.
#[derive(Clone, Copy)]
struct Added {
    before: u32,
    after: u32,
    /// When it is added.
    time: u32,
}

impl Timed {
    fn of(graph: &Graph, member_of: &[u32]) -> Self {
        let is_inside = |before: u32, after: u32| {
            let component = member_of[before as usize];
            component != NOWHERE && component == member_of[after as usize]
        };
        // The strongest first, and of those the largest targets.
        let time_of = |rule: Rule, target: u32| {
            let weaker = if rule == Rule::StopsUsing { graph.ops } else { 0 };
            (weaker + graph.ops - target as usize) as u32
        };
        let mut edges = Vec::new();
        let mut add = |before: u32, after: u32, time: u32| {
            if is_inside(before, after) {
                edges.push(Added { before, after, time });
            }
        };
        for edge in &graph.edges {
            let time = match edge.rule {
                Rule::SameId => 0,
                Rule::DependsOn => time_of(edge.rule, edge.before),
                Rule::DeletesDependent | Rule::StopsUsing => time_of(edge.rule, edge.after),
            };
            add(edge.before, edge.after, time);
        }
        for (place, bundle) in graph.bundles.iter().enumerate() {
            let node = graph.node_of(place);
            if member_of[node as usize] == NOWHERE {
                continue;
            }
            for &member in &bundle.members {
                let time = time_of(bundle.rule, member);
                match bundle.rule {
                    Rule::DependsOn => add(member, node, time),
                    _ => add(node, member, time),
                }
            }
            for &source in &bundle.sources {
                match bundle.rule {
                    Rule::DependsOn => add(node, source, 0),
                    _ => add(source, node, 0),
                }
            }
        }
        // Times that nothing is added at are left out.
        let mut times = vec![0_u32; 2 * graph.ops + 1];
        for edge in &edges {
            times[edge.time as usize] = 1;
        }
        times[0] = 0;
        let mut targets = Vec::new();
        for (time, number) in times.iter_mut().enumerate().skip(1) {
            if *number != 0 {
                let is_weak = time > graph.ops;
                let target = if is_weak { 2 * graph.ops - time } else { graph.ops - time };
                targets.push((usize::from(!is_weak), target as u32));
                *number = targets.len() as u32;
            }
        }
        for edge in &mut edges {
            edge.time = times[edge.time as usize];
        }
        Self { edges, targets }
    }
}

/// Two nodes that come to be in one component.
struct Merge {
    time: u32,
    one: u32,
    other: u32,
}

/// What merges when; the earliest first.
fn merges(graph: &Graph, edges: &Timed) -> Vec<Merge> {
    let mut merges = Vec::new();
    let lonely = Lonely::of(graph, &edges.edges);
    let mut others = Vec::new();
    for edge in &edges.edges {
        let bundle = lonely.bundle(edge.before).or_else(|| lonely.bundle(edge.after));
        match bundle {
            None => others.push(*edge),
            // The other edge is there from the start.
            Some(_) if edge.time == 0 => {}
            Some(_) => {
                merges.push(Merge { time: edge.time, one: edge.before, other: edge.after });
            }
        }
    }
    let mut merging = Merging { merges, places: vec![NOWHERE; graph.nodes()] };
    merging.search(others, 0, edges.targets.len() as u32);
    merging.merges.sort_unstable_by_key(|merge| (merge.time, merge.one, merge.other));
    merging.merges
}

/// Operations that have no other edges inside components than one to a bundle
/// and one from it. Nothing gets anywhere by them but to them, so the others
/// merge as without them; and each of them is in the bundle's component from
/// the time on at which both its edges are there. Most in a namespace that
/// depends on itself are so.
struct Lonely {
    /// The bundle of each such operation.
    bundles: Vec<u32>,
}

impl Lonely {
    fn of(graph: &Graph, edges: &[Added]) -> Self {
        const SEVERAL: u32 = u32::MAX - 1;
        // What stands at the only edge from each operation, and at that to it.
        let mut from = vec![NOWHERE; graph.ops];
        let mut to = vec![NOWHERE; graph.ops];
        for edge in edges {
            for (only, node, other) in
                [(&mut from, edge.before, edge.after), (&mut to, edge.after, edge.before)]
            {
                if let Some(only) = only.get_mut(node as usize) {
                    *only = if *only == NOWHERE { other } else { SEVERAL };
                }
            }
        }
        let is_bundle = |node: u32| (graph.ops..graph.nodes()).contains(&(node as usize));
        let only =
            |(from, to): (u32, u32)| if from == to && is_bundle(from) { from } else { NOWHERE };
        Self { bundles: from.into_iter().zip(to).map(only).collect() }
    }

    fn bundle(&self, node: u32) -> Option<u32> {
        self.bundles.get(node as usize).copied().filter(|&bundle| bundle != NOWHERE)
    }
}

struct Merging {
    merges: Vec<Merge>,
    /// Nodes numbered anew; nowhere between uses.
    places: Vec<u32>,
}

impl Merging {
    /// Notes what merges by these edges, the ends of each of which come to be in
    /// one component at a time from `first` to `last`; what was in one before is
    /// one node.
    fn search(&mut self, added: Vec<Added>, first: u32, last: u32) {
        if added.is_empty() {
            return;
        }
        if first == last {
            let merge = |edge: Added| Merge { time: first, one: edge.before, other: edge.after };
            self.merges.extend(added.into_iter().map(merge));
            return;
        }
        let middle = first.midpoint(last);
        let mut nodes = Vec::new();
        for node in added.iter().flat_map(|edge| [edge.before, edge.after]) {
            let place = &mut self.places[node as usize];
            if *place == NOWHERE {
                *place = nodes.len() as u32;
                nodes.push(node);
            }
        }
        let place_of = |node: u32| self.places[node as usize];
        let there: Vec<Pair> = added
            .iter()
            .filter(|edge| edge.time <= middle)
            .map(|edge| (place_of(edge.before), place_of(edge.after)))
            .collect();
        let mut part_of = nodes.clone();
        for component in components(nodes.len(), &there) {
            for &place in &component {
                part_of[place as usize] = nodes[component[0] as usize];
            }
        }
        drop(there);
        let (mut sooner, mut later) = (Vec::new(), Vec::new());
        for edge in added {
            let before = part_of[place_of(edge.before) as usize];
            let after = part_of[place_of(edge.after) as usize];
            if before != after {
                later.push(Added { before, after, ..edge });
            } else if edge.time <= middle {
                sooner.push(edge);
            }
        }
        nodes.iter().for_each(|&node| self.places[node as usize] = NOWHERE);
        self.search(sooner, first, middle);
        self.search(later, middle + 1, last);
    }
}

/// Nodes that have merged, each group of them a list.
struct Groups {
    /// A node closer to the one that stands for the group, or that one itself.
    above: Vec<u32>,
    /// Of each that stands for a group: the first and the last of its list, and
    /// how many are in it.
    lists: Vec<(u32, u32, u32)>,
    /// What follows each node in its list.
    next: Vec<u32>,
}

impl Groups {
    fn new(nodes: usize) -> Self {
        let all = 0..nodes as u32;
        Self {
            above: all.clone().collect(),
            lists: all.map(|node| (node, node, 1)).collect(),
            next: vec![NOWHERE; nodes],
        }
    }

    fn root(&mut self, mut node: u32) -> u32 {
        while self.above[node as usize] != node {
            let above = self.above[node as usize];
            self.above[node as usize] = self.above[above as usize];
            node = above;
        }
        node
    }

    fn merge(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        if one == other {
            return;
        }
        let (mut large, mut small) = (one, other);
        if self.lists[large as usize].2 < self.lists[small as usize].2 {
            std::mem::swap(&mut large, &mut small);
        }
        self.above[small as usize] = large;
        let (first, last, count) = self.lists[small as usize];
        let list = &mut self.lists[large as usize];
        self.next[list.1 as usize] = first;
        list.1 = last;
        list.2 += count;
    }

    /// The first node in the group of this one, and how many are in it.
    fn of(&mut self, node: u32) -> Pair {
        let root = self.root(node);
        let (first, _, count) = self.lists[root as usize];
        (first, count)
    }

    /// The place of each node in a row in which every group there was is a run.
    fn laid_out(&self) -> Vec<u32> {
        let mut places = vec![NOWHERE; self.above.len()];
        let mut place = 0;
        for root in 0..self.above.len() {
            if self.above[root] as usize != root {
                continue;
            }
            let mut node = self.lists[root].0;
            while node != NOWHERE {
                places[node as usize] = place;
                place += 1;
                node = self.next[node as usize];
            }
        }
        places
    }
}
