//! Breaking cycles before anything is done.
//!
//! As long as there is a cycle, of all edges on one the weakest goes: by rule,
//! then with the smallest target, then with the smallest source.
//!
//! All edges of one rule and target inside a component can go at once: an edge
//! that enters a node changes nothing about what can be reached from there, so
//! each of them stays on its cycle while the others go (and likewise for edges
//! that leave a node). Then only that component has to be looked at again.

use super::graph::{Edge, Rule, components};

/// The edges without those that have to go. `rank` orders the nodes by id.
pub(super) fn broken(nodes: usize, mut edges: Vec<Edge>, rank: impl Fn(u32) -> u32) -> Vec<Edge> {
    let found = components(nodes, &edges);
    if found.is_empty() {
        return edges;
    }
    const OUTSIDE: u32 = u32::MAX;
    let mut member_of = vec![OUTSIDE; nodes];
    for (number, component) in found.iter().enumerate() {
        for &node in component {
            member_of[node as usize] = number as u32;
        }
    }
    let mut inside: Vec<Vec<Edge>> = vec![Vec::new(); found.len()];
    edges.retain(|edge| {
        let component = member_of[edge.before as usize];
        let is_inside = component != OUTSIDE && component == member_of[edge.after as usize];
        if is_inside {
            inside[component as usize].push(*edge);
        }
        !is_inside
    });
    // Nodes are numbered anew inside each component.
    let mut places = vec![0_u32; nodes];
    let mut waiting: Vec<(Vec<u32>, Vec<Edge>)> = found.into_iter().zip(inside).collect();
    while let Some((component, mut inner)) = waiting.pop() {
        let weakest = inner
            .iter()
            .filter(|edge| edge.rule != Rule::SameId)
            .map(|edge| (strength(edge.rule), rank(target(edge))))
            .min();
        if let Some(weakest) = weakest {
            inner.retain(|edge| {
                edge.rule == Rule::SameId || (strength(edge.rule), rank(target(edge))) != weakest
            });
        }
        for (place, &node) in component.iter().enumerate() {
            places[node as usize] = place as u32;
        }
        let place_of = |node: u32| places[node as usize];
        let local: Vec<Edge> = inner
            .iter()
            .map(|edge| Edge {
                before: place_of(edge.before),
                after: place_of(edge.after),
                rule: edge.rule,
            })
            .collect();
        let smaller = components(component.len(), &local);
        let mut member_of = vec![OUTSIDE; component.len()];
        for (number, smaller) in smaller.iter().enumerate() {
            for &place in smaller {
                member_of[place as usize] = number as u32;
            }
        }
        let mut inside: Vec<Vec<Edge>> = vec![Vec::new(); smaller.len()];
        for (edge, local) in inner.into_iter().zip(&local) {
            let number = member_of[local.before as usize];
            if number != OUTSIDE && number == member_of[local.after as usize] {
                inside[number as usize].push(edge);
            } else {
                edges.push(edge);
            }
        }
        for (smaller, inside) in smaller.into_iter().zip(inside) {
            let smaller = smaller.into_iter().map(|place| component[place as usize]).collect();
            waiting.push((smaller, inside));
        }
    }
    edges
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
