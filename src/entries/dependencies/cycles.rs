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
//! all edges that are not weaker. When that becomes so, edges being added from
//! the strongest to the weakest, is found by halves for all of them together.

use std::cmp::Reverse;

use super::graph::{Edge, Rule, components};
use crate::sorting;

/// The edges without those that have to go. `rank` orders the nodes by id.
pub(super) fn broken(nodes: usize, mut edges: Vec<Edge>, rank: impl Fn(u32) -> u32) -> Vec<Edge> {
    let found = components(nodes, &edges);
    if found.is_empty() {
        return edges;
    }
    let mut member_of = vec![NOWHERE; nodes];
    for component in &found {
        component.iter().for_each(|&node| member_of[node as usize] = component[0]);
    }
    let mut inside = Vec::new();
    edges.retain(|edge| {
        let component = member_of[edge.before as usize];
        let is_inside = component != NOWHERE && component == member_of[edge.after as usize];
        if is_inside {
            inside.push(*edge);
        }
        !is_inside
    });
    // The strongest first. Those that stay whatever happens are of one strength.
    let key = |edge: &Edge| match edge.rule {
        Rule::SameId => None,
        rule => Some((Reverse(strength(rule)), Reverse(rank(target(edge))))),
    };
    sorting::sort_by(&mut inside, |a, b| key(a).cmp(&key(b)));
    let mut time = 0;
    let added = inside
        .iter()
        .enumerate()
        .map(|(place, edge)| {
            if place > 0 && key(&inside[place - 1]) != key(edge) {
                time += 1;
            }
            Added { before: edge.before, after: edge.after, time, place: place as u32 }
        })
        .collect();
    let mut breaking = Breaking { goes: vec![false; inside.len()], places: vec![NOWHERE; nodes] };
    breaking.search(added, 0, time);
    let stay = inside.iter().zip(&breaking.goes).filter(|&(_, &goes)| !goes);
    edges.extend(stay.map(|(edge, _)| *edge));
    edges
}

const NOWHERE: u32 = u32::MAX;

/// An edge between what its ends have become part of.
struct Added {
    before: u32,
    after: u32,
    /// When it is added.
    time: u32,
    /// Which edge it is.
    place: u32,
}

struct Breaking {
    /// The edges that go.
    goes: Vec<bool>,
    /// Nodes numbered anew; nowhere between uses.
    places: Vec<u32>,
}

impl Breaking {
    /// Tells of edges which ones go, whose ends come to be in one component at
    /// a time from `first` to `last`; what was in one before is one node.
    fn search(&mut self, added: Vec<Added>, first: u32, last: u32) {
        if added.is_empty() {
            return;
        }
        if first == last {
            for edge in added.iter().filter(|edge| edge.time == first) {
                self.goes[edge.place as usize] = true;
            }
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
        let there: Vec<Edge> = added
            .iter()
            .filter(|edge| edge.time <= middle)
            .map(|edge| Edge {
                before: place_of(edge.before),
                after: place_of(edge.after),
                rule: Rule::DependsOn,
            })
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
            } else if edge.time > middle {
                self.goes[edge.place as usize] = true;
            } else {
                sooner.push(edge);
            }
        }
        nodes.iter().for_each(|&node| self.places[node as usize] = NOWHERE);
        self.search(sooner, first, middle);
        self.search(later, middle + 1, last);
    }
}

/// Deletes and the others have no cycle in common, so their rules are of one
/// strength.
fn strength(rule: Rule) -> u8 {
    match rule {
        Rule::StopsUsing => 0,
        Rule::DeletesDependent | Rule::DependsOn => 1,
        Rule::SameId => 2,
    }
}

/// What is depended on.
fn target(edge: &Edge) -> u32 {
    match edge.rule {
        Rule::DependsOn => edge.before,
        Rule::StopsUsing | Rule::DeletesDependent | Rule::SameId => edge.after,
    }
}
