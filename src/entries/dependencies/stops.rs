//! Updates that stop using what is deleted.

use std::cell::OnceCell;

use crate::hashing::Hashing;
use hashbrown::{HashMap, HashSet};

use super::Patterns;
use super::edges::{Index, entry_of};
use super::graph::{Bundle, Edge, Rule};
use super::order::Known;
use super::target::{Target, groups, targets};
use crate::entries::entry::Entry;
use crate::entries::op::Op;
use crate::sorting;

/// Collects the edges from updates to the deletes of what they stop using.
///
/// Whoever used a namespace or a group stops using all of it that is deleted;
/// but what is deleted and made again may be used again. Where nothing was made
/// again that is, and that is nearly always, all updates share one bundle.
pub(super) struct Stops<'a, 'i> {
    index: &'i Index<'a>,
    edges: Vec<Edge>,
    bundles: Vec<Bundle>,
    deleted: OnceCell<Deleted<'a>>,
    /// Which bundles stand for lists and for parts of lists.
    places: HashMap<(usize, usize, usize), usize, Hashing>,
    lists: Vec<Vec<u32>>,
    /// The lists by what was used, and what is used now of what was made again.
    by_use: HashMap<(Target<'a>, Vec<Target<'a>>), usize, Hashing>,
}

/// The deletes that a target stands for.
type Members<'a> = HashMap<Target<'a>, Vec<u32>, Hashing>;

struct Deleted<'a> {
    /// By the namespaces and groups that deleted entries were in.
    left: Members<'a>,
    /// Deletes of what is made again, by the namespaces and groups that it is in
    /// then.
    again: Members<'a>,
}

impl<'a> Deleted<'a> {
    fn of(index: &Index<'a>) -> Self {
        let (mut left, mut again) = (Members::default(), Members::default());
        for (node, op) in (0..).zip(&index.ops[..index.deletes]) {
            join(&mut left, entry_of(op), node);
            if let Some(make) = index.one(op.entry.id_parts(), false) {
                join(&mut again, &index.ops[make as usize].entry, node);
            }
        }
        Self { left, again }
    }
}

/// Adds a node to the namespace and the groups of an entry.
fn join<'a>(members: &mut Members<'a>, entry: &'a Entry, node: u32) {
    let mut add = |target| {
        let nodes = members.entry(target).or_default();
        // Somebody may be in a group twice.
        if nodes.last() != Some(&node) {
            nodes.push(node);
        }
    };
    add(Target::Namespace(entry.id_parts().ns));
    groups(entry, |group| add(Target::Group(group)));
}

/// Up to so many deletes are left out one by one.
const FEW: usize = 64;

impl<'a, 'i> Stops<'a, 'i> {
    pub(super) fn new(index: &'i Index<'a>) -> Self {
        Self {
            index,
            edges: Vec::new(),
            bundles: Vec::new(),
            deleted: OnceCell::new(),
            places: HashMap::default(),
            lists: Vec::new(),
            by_use: HashMap::default(),
        }
    }

    /// The edges, one by one and in bundles.
    pub(super) fn found(self) -> (Vec<Edge>, Vec<Bundle>) {
        (self.edges, self.bundles)
    }

    /// Adds the edges of the update at `node`.
    pub(super) fn add(
        &mut self,
        node: u32,
        op: &'a Op,
        patterns: &Patterns,
        left: &dyn Known,
        aimed: &dyn Known,
    ) {
        let Some(original) = &op.original else { return };
        let (mut ones, mut many) = (Vec::new(), Vec::new());
        targets(original, patterns, left, |target| match target {
            Target::One(id) => ones.extend(self.index.one(id, true)),
            target => many.push(target),
        });
        if ones.is_empty() && many.is_empty() {
            return;
        }
        let mut used = HashSet::default();
        targets(&op.entry, patterns, aimed, |target| {
            used.insert(target);
        });
        for delete in ones {
            if !self.is_used_again(delete, &used) {
                self.edges.push(Edge { before: node, after: delete, rule: Rule::StopsUsing });
            }
        }
        let mut seen = HashSet::<_, Hashing>::default();
        for target in many {
            if seen.insert(target) {
                self.add_all(node, target, &used);
            }
        }
    }

    fn is_used_again(&self, delete: u32, used: &Used<'a>) -> bool {
        let id = self.index.ops[delete as usize].entry.id_parts();
        let Some(make) = self.index.one(id, false) else { return false };
        let mut is_used =
            used.contains(&Target::One(id)) || used.contains(&Target::Namespace(id.ns));
        groups(&self.index.ops[make as usize].entry, |group| {
            is_used |= used.contains(&Target::Group(group));
        });
        is_used
    }

    /// Adds the edges of an update that used all of a namespace or a group.
    fn add_all(&mut self, node: u32, target: Target<'a>, used: &Used<'a>) {
        let deleted = self.deleted.get_or_init(|| Deleted::of(self.index));
        let Some(members) = deleted.left.get(&target) else { return };
        let mut again: Vec<Target<'a>> =
            used.iter().filter(|target| deleted.again.contains_key(*target)).copied().collect();
        // Few of them are left out one by one, so that updates which differ in
        // that have the list in common.
        let mut left_out: Vec<u32> = Vec::new();
        if again.iter().map(|target| deleted.again[target].len()).sum::<usize>() <= FEW {
            again.drain(..).for_each(|target| left_out.extend(&deleted.again[&target]));
        }
        for target in used {
            if let Target::One(id) = *target
                && let Some(delete) = self.index.one(id, true)
                && self.index.one(id, false).is_some()
            {
                left_out.push(delete);
            }
        }
        sorting::sort(&mut again);
        let list = match self.by_use.get(&(target, again.clone())) {
            Some(&list) => list,
            None => {
                let used: HashSet<u32, Hashing> =
                    again.iter().flat_map(|target| &deleted.again[target]).copied().collect();
                let list = members.iter().filter(|node| !used.contains(*node)).copied().collect();
                self.lists.push(list);
                self.by_use.insert((target, again), self.lists.len() - 1);
                self.lists.len() - 1
            }
        };
        // Those that are in the list, as places in it.
        let mut gaps: Vec<usize> =
            left_out.iter().filter_map(|node| self.lists[list].binary_search(node).ok()).collect();
        sorting::sort(&mut gaps);
        gaps.dedup();
        let len = self.lists[list].len();
        if gaps.is_empty() {
            return self.add_part(node, list, 0, len);
        }
        let mut start = 0;
        for gap in gaps {
            self.add_parts(node, list, start, gap);
            start = gap + 1;
        }
        self.add_parts(node, list, start, len);
    }

    /// Adds the edges to a part of a list, in pieces that other parts of it may
    /// be made of as well: of a length that is a power of two, and beginning at
    /// a multiple of that.
    fn add_parts(&mut self, node: u32, list: usize, mut start: usize, end: usize) {
        while start < end {
            let most = 1 << (end - start).ilog2();
            let len = if start == 0 { most } else { most.min(1 << start.trailing_zeros()) };
            self.add_part(node, list, start, len);
            start += len;
        }
    }

    fn add_part(&mut self, node: u32, list: usize, start: usize, len: usize) {
        if len == 0 {
            return;
        }
        let place = *self.places.entry((list, start, len)).or_insert_with(|| {
            let members = self.lists[list][start..][..len].to_vec();
            self.bundles.push(Bundle { rule: Rule::StopsUsing, members, sources: Vec::new() });
            self.bundles.len() - 1
        });
        self.bundles[place].sources.push(node);
    }
}

/// What an update uses from then on.
type Used<'a> = HashSet<Target<'a>, Hashing>;
