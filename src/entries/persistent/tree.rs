//! A sorted tree whose order the caller brings along.
//!
//! Keys are often small numbers that stand for something sorted elsewhere, so
//! each call takes the comparison instead of the key type having it.

use std::cmp::Ordering;
use std::sync::Arc;

/// Children of an inner node.
const FAN: usize = 32;

#[derive(Clone)]
enum Node<K, V, const LEAF: usize> {
    Leaf(Vec<(K, V)>),
    /// Each child with its first key.
    Inner(Vec<Child<K, V, LEAF>>),
}

/// A sorted map from keys to values, at most `LEAF` of them side by side. With
/// `V = ()` it is a set.
#[derive(Clone)]
pub(in crate::entries) struct Tree<K, V, const LEAF: usize> {
    root: Option<Arc<Node<K, V, LEAF>>>,
    len: usize,
}

impl<K, V, const LEAF: usize> Default for Tree<K, V, LEAF> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

/// The place of the first key that is not below what `probe` looks for, and
/// whether it is it. `probe` tells how a key stands to what is looked for.
fn search<K, T>(items: &[(K, T)], probe: &mut impl FnMut(&K) -> Ordering) -> Result<usize, usize> {
    items.binary_search_by(|(key, _)| probe(key))
}

/// The child in which a key belongs.
fn child_for<K, T>(children: &[(K, T)], probe: &mut impl FnMut(&K) -> Ordering) -> usize {
    match search(children, probe) {
        Ok(place) => place,
        Err(place) => place.saturating_sub(1),
    }
}

impl<K: Clone, V: Clone, const LEAF: usize> Tree<K, V, LEAF> {
    /// How many keys there are.
    pub(in crate::entries) fn len(&self) -> usize {
        self.len
    }

    /// A tree of pairs that are in order already.
    pub(in crate::entries) fn from_sorted(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut len = 0;
        let mut level: Vec<Child<K, V, LEAF>> = Vec::new();
        let mut leaf: Vec<(K, V)> = Vec::new();
        let close = |leaf: &mut Vec<(K, V)>, level: &mut Vec<_>| {
            if let Some((first, _)) = leaf.first() {
                let first = first.clone();
                level.push((first, Arc::new(Node::Leaf(std::mem::take(leaf)))));
            }
        };
        for pair in pairs {
            // Room is left for what comes later.
            if leaf.len() == LEAF - LEAF / 4 {
                close(&mut leaf, &mut level);
            }
            leaf.push(pair);
            len += 1;
        }
        leaf.shrink_to_fit();
        close(&mut leaf, &mut level);
        while level.len() > 1 {
            let mut above = Vec::new();
            let mut children = level.into_iter().peekable();
            while let Some((first, _)) = children.peek() {
                let first = first.clone();
                let group: Vec<_> = children.by_ref().take(FAN - FAN / 4).collect();
                above.push((first, Arc::new(Node::Inner(group))));
            }
            level = above;
        }
        Self { root: level.pop().map(|(_, root)| root), len }
    }

    /// The pair for which `probe` gives equal.
    pub(in crate::entries) fn get(
        &self,
        mut probe: impl FnMut(&K) -> Ordering,
    ) -> Option<(&K, &V)> {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Leaf(pairs) => {
                    let place = search(pairs, &mut probe).ok()?;
                    return Some((&pairs[place].0, &pairs[place].1));
                }
                Node::Inner(children) => node = &children[child_for(children, &mut probe)].1,
            }
        }
    }

    /// As [`Tree::get`], to change the value. Copies the path to it if others
    /// hold it.
    pub(in crate::entries) fn get_mut(
        &mut self,
        mut probe: impl FnMut(&K) -> Ordering,
    ) -> Option<&mut V> {
        // Looked for first: what is not there is not worth a copy.
        self.get(&mut probe)?;
        let mut node = Arc::make_mut(self.root.as_mut()?);
        loop {
            match node {
                Node::Leaf(pairs) => {
                    let place = search(pairs, &mut probe).ok()?;
                    return Some(&mut pairs[place].1);
                }
                Node::Inner(children) => {
                    let child = child_for(children, &mut probe);
                    node = Arc::make_mut(&mut children[child].1);
                }
            }
        }
    }

    /// Adds a pair, or replaces the one of an equal key; gives its value. `probe`
    /// tells how a key stands to `key`.
    pub(in crate::entries) fn insert(
        &mut self,
        key: K,
        value: V,
        mut probe: impl FnMut(&K) -> Ordering,
    ) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Arc::new(Node::Leaf(vec![(key, value)])));
            self.len = 1;
            return None;
        };
        match insert(Arc::make_mut(root), key, value, &mut probe) {
            Inserted::Replaced(value) => return Some(value),
            Inserted::Fits => {}
            Inserted::Split(first, right) => {
                let left = Arc::clone(root);
                *root = Arc::new(Node::Inner(vec![(left.first_key(), left), (first, right)]));
            }
        }
        self.len += 1;
        None
    }

    /// Takes out the pair for which `probe` gives equal.
    pub(in crate::entries) fn remove(
        &mut self,
        mut probe: impl FnMut(&K) -> Ordering,
    ) -> Option<(K, V)> {
        self.get(&mut probe)?;
        let root = self.root.as_mut()?;
        let removed = remove(Arc::make_mut(root), &mut probe)?;
        self.len -= 1;
        if self.len == 0 {
            self.root = None;
            return Some(removed);
        }
        // A root with one child is a level too many.
        while let Node::Inner(children) = &**root
            && let [(_, only)] = &children[..]
        {
            *root = Arc::clone(only);
        }
        Some(removed)
    }

    /// All pairs in order.
    pub(in crate::entries) fn iter(&self) -> Iter<'_, K, V, LEAF> {
        self.iter_from(|_| Ordering::Greater)
    }

    /// The pairs in order, from the first whose key is not less than what
    /// `probe` looks for.
    pub(in crate::entries) fn iter_from(
        &self,
        mut probe: impl FnMut(&K) -> Ordering,
    ) -> Iter<'_, K, V, LEAF> {
        let mut iter = Iter { above: Vec::new(), leaf: [].iter() };
        let Some(mut node) = self.root.as_deref() else { return iter };
        loop {
            match node {
                Node::Leaf(pairs) => {
                    let place = search(pairs, &mut probe).unwrap_or_else(|place| place);
                    iter.leaf = pairs[place..].iter();
                    return iter;
                }
                Node::Inner(children) => {
                    let child = child_for(children, &mut probe);
                    iter.above.push(children[child + 1..].iter());
                    node = &children[child].1;
                }
            }
        }
    }
}

impl<K: Clone, V, const LEAF: usize> Node<K, V, LEAF> {
    fn len(&self) -> usize {
        match self {
            Self::Leaf(pairs) => pairs.len(),
            Self::Inner(children) => children.len(),
        }
    }

    /// A node is never empty.
    fn first_key(&self) -> K {
        match self {
            Self::Leaf(pairs) => pairs[0].0.clone(),
            Self::Inner(children) => children[0].0.clone(),
        }
    }
}

enum Inserted<K, V, const LEAF: usize> {
    Replaced(V),
    Fits,
    /// The upper half, with its first key, has to go beside the node.
    Split(K, Arc<Node<K, V, LEAF>>),
}

fn insert<K: Clone, V: Clone, const LEAF: usize>(
    node: &mut Node<K, V, LEAF>,
    key: K,
    value: V,
    probe: &mut impl FnMut(&K) -> Ordering,
) -> Inserted<K, V, LEAF> {
    match node {
        Node::Leaf(pairs) => {
            let place = match search(pairs, probe) {
                Ok(place) => {
                    return Inserted::Replaced(std::mem::replace(&mut pairs[place].1, value));
                }
                Err(place) => place,
            };
            if pairs.len() < LEAF {
                pairs.insert(place, (key, value));
                return Inserted::Fits;
            }
            // Keys that arrive in order leave full leaves behind them.
            let at = if place == LEAF { LEAF } else { LEAF / 2 };
            let mut upper = pairs.split_off(at);
            if place < at {
                pairs.insert(place, (key, value));
            } else {
                upper.insert(place - at, (key, value));
            }
            Inserted::Split(upper[0].0.clone(), Arc::new(Node::Leaf(upper)))
        }
        Node::Inner(children) => {
            let child = child_for(children, probe);
            let below = Arc::make_mut(&mut children[child].1);
            let (first, right) = match insert(below, key, value, probe) {
                Inserted::Split(first, right) => (first, right),
                inserted => {
                    if child == 0 && matches!(inserted, Inserted::Fits) {
                        children[0].0 = children[0].1.first_key();
                    }
                    return inserted;
                }
            };
            if child == 0 {
                children[0].0 = children[0].1.first_key();
            }
            children.insert(child + 1, (first, right));
            if children.len() <= FAN {
                return Inserted::Fits;
            }
            let at = if child + 2 == children.len() { FAN - 1 } else { FAN / 2 };
            let upper = children.split_off(at);
            Inserted::Split(upper[0].0.clone(), Arc::new(Node::Inner(upper)))
        }
    }
}

fn remove<K: Clone, V: Clone, const LEAF: usize>(
    node: &mut Node<K, V, LEAF>,
    probe: &mut impl FnMut(&K) -> Ordering,
) -> Option<(K, V)> {
    match node {
        Node::Leaf(pairs) => search(pairs, probe).ok().map(|place| pairs.remove(place)),
        Node::Inner(children) => {
            let place = child_for(children, probe);
            let removed = remove(Arc::make_mut(&mut children[place].1), probe)?;
            if children[place].1.len() == 0 {
                children.remove(place);
            } else {
                children[place].0 = children[place].1.first_key();
                merge_at(children, place);
            }
            Some(removed)
        }
    }
}

/// Joins the child at `place` with its neighbour if both are small.
fn merge_at<K: Clone, V: Clone, const LEAF: usize>(
    children: &mut Vec<Child<K, V, LEAF>>,
    place: usize,
) {
    let limit = match &*children[place].1 {
        Node::Leaf(_) => LEAF,
        Node::Inner(_) => FAN,
    };
    if children[place].1.len() > limit / 4 {
        return;
    }
    let left = if place > 0 { place - 1 } else { 0 };
    let Some((_, right)) = children.get(left + 1) else { return };
    if children[left].1.len() + right.len() > limit / 2 {
        return;
    }
    let (_, right) = children.remove(left + 1);
    match (Arc::make_mut(&mut children[left].1), &*right) {
        (Node::Leaf(pairs), Node::Leaf(more)) => pairs.extend_from_slice(more),
        (Node::Inner(below), Node::Inner(more)) => below.extend_from_slice(more),
        // All leaves are on one level.
        _ => {}
    }
}

/// A node with its first key.
type Child<K, V, const LEAF: usize> = (K, Arc<Node<K, V, LEAF>>);

/// A walk over the pairs of a [`Tree`] in their order.
pub(in crate::entries) struct Iter<'a, K, V, const LEAF: usize> {
    /// What is left of each inner node on the path, the root's first.
    above: Vec<std::slice::Iter<'a, Child<K, V, LEAF>>>,
    leaf: std::slice::Iter<'a, (K, V)>,
}

impl<'a, K, V, const LEAF: usize> Iterator for Iter<'a, K, V, LEAF> {
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((key, value));
            }
            let mut node = loop {
                match self.above.last_mut()?.next() {
                    Some((_, child)) => break &**child,
                    None => {
                        self.above.pop();
                    }
                }
            };
            loop {
                match node {
                    Node::Leaf(pairs) => {
                        self.leaf = pairs.iter();
                        break;
                    }
                    Node::Inner(children) => {
                        let mut children = children.iter();
                        let Some((_, first)) = children.next() else { break };
                        self.above.push(children);
                        node = first;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Small = Tree<u16, u32, 8>;

    fn pairs(tree: &Small) -> Vec<(u16, u32)> {
        tree.iter().map(|(&key, &value)| (key, value)).collect()
    }

    proptest! {
        #[test]
        fn it_holds_what_a_sorted_map_holds_and_its_clones_stay_as_they_were(
            built in prop::collection::btree_map(0..2000_u16, any::<u32>(), 0..600),
            changes in prop::collection::vec((0..2000_u16, any::<Option<u32>>()), 0..1500),
            kept in 0..1500_usize,
            from in 0..2100_u16,
        ) {
            let mut model: BTreeMap<u16, u32> = built;
            let mut tree = Small::from_sorted(model.clone());
            let mut old = None;
            for (step, (key, value)) in changes.into_iter().enumerate() {
                if step == kept {
                    old = Some((tree.clone(), model.clone()));
                }
                match value {
                    Some(value) => {
                        let before = tree.insert(key, value, |other| other.cmp(&key));
                        prop_assert_eq!(before, model.insert(key, value));
                    }
                    None => {
                        let before = tree.remove(|other| other.cmp(&key));
                        prop_assert_eq!(before.map(|(_, value)| value), model.remove(&key));
                    }
                }
                if let Some(value) = tree.get_mut(|other| other.cmp(&from)) {
                    *value ^= 1;
                    *model.get_mut(&from).unwrap() ^= 1;
                }
            }
            for (tree, model) in old.into_iter().chain([(tree, model)]) {
                prop_assert_eq!(tree.len(), model.len());
                prop_assert_eq!(pairs(&tree), model.clone().into_iter().collect::<Vec<_>>());
                let rest: Vec<u16> = tree.iter_from(|key| key.cmp(&from)).map(|it| *it.0).collect();
                prop_assert_eq!(rest, model.range(from..).map(|it| *it.0).collect::<Vec<_>>());
                prop_assert_eq!(tree.get(|key| key.cmp(&from)).map(|it| *it.1), model.get(&from).copied());
            }
        }

        #[test]
        fn it_empties_and_fills_again(keys in prop::collection::btree_set(any::<u16>(), 1..900)) {
            let mut tree = Small::default();
            for round in 0..2 {
                for &key in &keys {
                    tree.insert(key, round, |other| other.cmp(&key));
                }
                prop_assert_eq!(tree.len(), keys.len());
                for &key in &keys {
                    prop_assert!(tree.remove(|other| other.cmp(&key)).is_some());
                }
                prop_assert!(tree.iter().next().is_none());
            }
        }
    }
}
