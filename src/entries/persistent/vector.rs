//! A sparse vector: places to values, most of them small and dense.

use std::ops::ControlFlow;
use std::sync::Arc;

/// Children of an inner node. A change copies the path to a place, and that
/// touches the reference count of each child in it: narrow nodes have fewer of
/// them, though the path is longer.
const FAN_BITS: u32 = 3;
const FAN: usize = 1 << FAN_BITS;
/// Values of a leaf: even fewer, as their counts are in nobody's cache.
const LEAF_BITS: u32 = 2;
const LEAF: usize = 1 << LEAF_BITS;

#[derive(Clone)]
enum Node<T> {
    Empty,
    Inner(Arc<[Node<T>; FAN]>),
    Leaf(Arc<[Option<T>; LEAF]>),
}

/// A sparse vector of values by their place.
#[derive(Clone)]
pub(in crate::entries) struct Vector<T> {
    root: Node<T>,
    /// Inner levels above the leaves.
    height: u32,
}

/// Is given a place and what is there, of two vectors.
pub(in crate::entries) type Give<'a, T> =
    &'a mut dyn FnMut(u32, Option<&T>, Option<&T>) -> ControlFlow<()>;

impl<T> Default for Vector<T> {
    fn default() -> Self {
        Self { root: Node::Empty, height: 0 }
    }
}

/// Which child of an inner node, `height` levels above the leaves, leads to
/// `place`.
fn child_of(place: u32, height: u32) -> usize {
    (place >> (LEAF_BITS + FAN_BITS * (height - 1))) as usize % FAN
}

fn reaches(place: u32, height: u32) -> bool {
    let bits = LEAF_BITS + FAN_BITS * height;
    bits >= u32::BITS || place >> bits == 0
}

impl<T: Clone> Vector<T> {
    /// The value at `place`.
    #[inline]
    pub(in crate::entries) fn get(&self, place: u32) -> Option<&T> {
        if !reaches(place, self.height) {
            return None;
        }
        let mut node = &self.root;
        let mut height = self.height;
        loop {
            match node {
                Node::Empty => return None,
                Node::Leaf(values) => return values[place as usize % LEAF].as_ref(),
                Node::Inner(children) => {
                    node = &children[child_of(place, height)];
                    height -= 1;
                }
            }
        }
    }

    /// Puts `value` at `place`, or clears it. Gives what was there.
    pub(in crate::entries) fn set(&mut self, place: u32, value: Option<T>) -> Option<T> {
        while !reaches(place, self.height) {
            value.as_ref()?;
            let below = std::mem::replace(&mut self.root, Node::Empty);
            if !matches!(below, Node::Empty) {
                let mut children = [const { Node::Empty }; FAN];
                children[0] = below;
                self.root = Node::Inner(Arc::new(children));
            }
            self.height += 1;
        }
        set(&mut self.root, self.height, place, value)
    }

    /// Gives the places at which two vectors do not have the same, ascending,
    /// with what is there. What they share is not looked at.
    pub(in crate::entries) fn differences(
        &self,
        other: &Self,
        is_same: &impl Fn(&T, &T) -> bool,
        give: Give<'_, T>,
    ) -> ControlFlow<()> {
        if self.height == other.height {
            return differ(&self.root, &other.root, self.height, 0, is_same, give);
        }
        let (left, right) = (self.lifted(other.height), other.lifted(self.height));
        differ(&left, &right, self.height.max(other.height), 0, is_same, give)
    }

    /// The root, as it were with at least `height` levels.
    fn lifted(&self, height: u32) -> Node<T> {
        let mut root = self.root.clone();
        for _ in self.height..height {
            let mut children = [const { Node::Empty }; FAN];
            children[0] = root;
            root = Node::Inner(Arc::new(children));
        }
        root
    }
}

/// As [`Vector::differences`], of two nodes that stand `height` levels above
/// the leaves, the first place below them at `start`.
fn differ<T>(
    left: &Node<T>,
    right: &Node<T>,
    height: u32,
    start: u64,
    is_same: &impl Fn(&T, &T) -> bool,
    give: Give<'_, T>,
) -> ControlFlow<()> {
    if left.is_shared_with(right) {
        return ControlFlow::Continue(());
    }
    if height == 0 {
        for place in 0..LEAF {
            let (left, right) = (left.value(place), right.value(place));
            let has_same = match (left, right) {
                (Some(left), Some(right)) => is_same(left, right),
                (None, None) => true,
                _ => false,
            };
            if !has_same {
                // Places are u32; above them there are no values.
                give((start + place as u64) as u32, left, right)?;
            }
        }
        return ControlFlow::Continue(());
    }
    let width = 1_u64 << (LEAF_BITS + FAN_BITS * (height - 1));
    for child in 0..FAN {
        let (left, right) = (left.child(child), right.child(child));
        // Most are; those are not worth a call.
        if !left.is_shared_with(right) {
            let start = start + child as u64 * width;
            differ(left, right, height - 1, start, is_same, give)?;
        }
    }
    ControlFlow::Continue(())
}

impl<T> Node<T> {
    /// Whether both are one node, or nothing.
    #[inline]
    fn is_shared_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Empty, Self::Empty) => true,
            (Self::Leaf(left), Self::Leaf(right)) => Arc::ptr_eq(left, right),
            (Self::Inner(left), Self::Inner(right)) => Arc::ptr_eq(left, right),
            _ => false,
        }
    }

    fn value(&self, place: usize) -> Option<&T> {
        match self {
            Self::Leaf(values) => values[place].as_ref(),
            _ => None,
        }
    }

    fn child(&self, child: usize) -> &Self {
        match self {
            Self::Inner(children) => &children[child],
            _ => &Self::Empty,
        }
    }
}

fn set<T: Clone>(node: &mut Node<T>, height: u32, place: u32, value: Option<T>) -> Option<T> {
    if matches!(node, Node::Empty) {
        value.as_ref()?;
        *node = if height == 0 {
            Node::Leaf(Arc::new([const { None }; LEAF]))
        } else {
            Node::Inner(Arc::new([const { Node::Empty }; FAN]))
        };
    }
    match node {
        Node::Leaf(values) => {
            std::mem::replace(&mut Arc::make_mut(values)[place as usize % LEAF], value)
        }
        Node::Inner(children) => {
            let child = &mut Arc::make_mut(children)[child_of(place, height)];
            set(child, height - 1, place, value)
        }
        Node::Empty => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds_and_its_clones_stay_as_they_were(
            changes in prop::collection::vec(
                (prop_oneof![0..80_u32, 0..70_000_u32, any::<u32>()], any::<Option<u16>>()), 0..200),
            kept in 0..200_usize,
        ) {
            let (mut vector, mut model) = (Vector::default(), HashMap::new());
            let mut old = None;
            for (step, (place, value)) in changes.into_iter().enumerate() {
                if step == kept {
                    old = Some((vector.clone(), model.clone()));
                }
                let before = vector.set(place, value);
                let expected = match value {
                    Some(value) => model.insert(place, value),
                    None => model.remove(&place),
                };
                prop_assert_eq!(before, expected);
            }
            if let Some((old, old_model)) = &old {
                let mut found = Vec::new();
                let flow = old.differences(&vector, &|a, b| a == b, &mut |place, left, right| {
                    assert_eq!((left, right), (old_model.get(&place), model.get(&place)));
                    found.push(place);
                    ControlFlow::Continue(())
                });
                prop_assert!(flow.is_continue());
                let places: std::collections::BTreeSet<u32> =
                    old_model.keys().chain(model.keys()).copied().collect();
                let expected: Vec<u32> =
                    places.into_iter().filter(|place| old_model.get(place) != model.get(place)).collect();
                prop_assert_eq!(found, expected);
            }
            for (vector, model) in old.into_iter().chain([(vector, model)]) {
                for place in model.keys().copied().chain([0, 15, 16, 511, 512, u32::MAX]) {
                    prop_assert_eq!(vector.get(place), model.get(&place));
                }
            }
        }
    }
}
