//! The tree of versions: who comes from whom.

use hashbrown::HashMap;

use super::EntryError;
use crate::hashing::Hashing;
use crate::sorting;

/// The root, which every registry has.
pub(super) const ROOT: u64 = 0;

/// A version in the tree.
#[derive(Clone, Default)]
struct Node {
    /// `None` for the root.
    parent: Option<u64>,
    /// In the order they were made.
    children: Vec<u64>,
}

/// The versions of a history and their parents. A parent has a lower id than
/// its children: ids only grow.
#[derive(Clone)]
pub(super) struct Lineage {
    nodes: HashMap<u64, Node, Hashing>,
    /// The highest id that is there.
    newest: u64,
    /// The highest id ever used.
    last: u64,
}

/// The way from one version to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// Versions to take back, newest first.
    pub(super) back: Vec<u64>,
    /// Versions to do again, oldest first.
    pub(super) forward: Vec<u64>,
}

impl Lineage {
    /// The root alone; ids go on behind `last`.
    pub(super) fn new(last: u64) -> Self {
        let mut nodes = HashMap::default();
        nodes.insert(ROOT, Node::default());
        Self { nodes, newest: ROOT, last }
    }

    /// The highest id that is there.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Takes note of ids that were used by versions that left.
    pub(super) fn note_last(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// Adds a version. Parents come before their children.
    pub(super) fn add(&mut self, version: u64, parent: u64) -> Result<(), EntryError> {
        let found = |what: &str| EntryError::Damaged { found: format!("version {version} {what}") };
        if version <= parent {
            return Err(found(&format!("has the parent {parent}, which is not older")));
        }
        let Some(node) = self.nodes.get_mut(&parent) else {
            return Err(found(&format!("has the parent {parent}, which does not exist")));
        };
        node.children.push(version);
        self.nodes.insert(version, Node { parent: Some(parent), children: Vec::new() });
        self.newest = self.newest.max(version);
        self.last = self.last.max(version);
        Ok(())
    }

    pub(super) fn has(&self, version: u64) -> bool {
        self.nodes.contains_key(&version)
    }

    /// How many versions there are, the root included.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Fails if there is no such version.
    pub(super) fn check(&self, version: u64) -> Result<(), EntryError> {
        if self.has(version) {
            Ok(())
        } else if version <= self.last {
            // An id is used by a version that was made; it can only have left.
            Err(EntryError::Pruned { version })
        } else {
            Err(EntryError::NoVersion { version })
        }
    }

    pub(super) fn parent(&self, version: u64) -> Option<u64> {
        self.nodes.get(&version).and_then(|node| node.parent)
    }

    /// All ids, ascending.
    pub(super) fn ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.nodes.keys().copied().collect();
        sorting::sort(&mut ids);
        ids
    }

    /// The child of `version` on the way to `head`, else its newest.
    pub(super) fn next(&self, version: u64, head: u64) -> Option<u64> {
        let children = &self.nodes.get(&version)?.children;
        if let [_, _, ..] = children[..] {
            let mut at = head;
            // Ids fall on the way up.
            while at > version {
                let parent = self.parent(at)?;
                if parent == version {
                    return Some(at);
                }
                at = parent;
            }
        }
        children.iter().copied().max()
    }

    /// Whether `ancestor` is `version` or one it comes from.
    pub(super) fn is_ancestor(&self, ancestor: u64, version: u64) -> bool {
        let mut at = version;
        while at > ancestor {
            match self.parent(at) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        at == ancestor
    }

    /// The shortest way between two versions that exist.
    pub(super) fn path(&self, from: u64, to: u64) -> Path {
        let mut path = Path::default();
        let (mut a, mut b) = (from, to);
        while a != b {
            // The lower of the two cannot come from the higher.
            let (at, way) =
                if a > b { (&mut a, &mut path.back) } else { (&mut b, &mut path.forward) };
            way.push(*at);
            *at = self.parent(*at).unwrap_or(ROOT);
        }
        path.forward.reverse();
        path
    }

    /// Makes `version` a child of the root and takes out what does not descend
    /// from it. Gives what was taken out.
    pub(super) fn prune(&mut self, version: u64) -> Vec<u64> {
        let mut kept = Lineage::new(self.last);
        let mut gone = Vec::new();
        for id in self.ids() {
            let parent = if id == version { Some(ROOT) } else { self.parent(id) };
            // The parent of what stays stays, or is the root, but the root's
            // other children go.
            let stays = id == version || parent.is_some_and(|it| it != ROOT && kept.has(it));
            match parent {
                Some(parent) if stays && kept.add(id, parent).is_ok() => {}
                Some(_) => gone.push(id),
                None => {}
            }
        }
        *self = kept;
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// v0 - v1 - v2 - v5, v1 - v3 - v4, v0 - v6
    fn branched() -> Lineage {
        let mut lineage = Lineage::new(0);
        for (version, parent) in [(1, 0), (2, 1), (3, 1), (4, 3), (5, 2), (6, 0)] {
            lineage.add(version, parent).unwrap();
        }
        lineage
    }

    #[test]
    fn a_path_goes_back_to_the_common_ancestor_and_forward_from_it() {
        let path =
            |back: &[u64], forward: &[u64]| Path { back: back.into(), forward: forward.into() };
        let lineage = branched();
        assert_eq!(lineage.path(5, 4), path(&[5, 2], &[3, 4]));
        assert_eq!(lineage.path(0, 5), path(&[], &[1, 2, 5]));
        assert_eq!(lineage.path(4, 0), path(&[4, 3, 1], &[]));
        assert_eq!(lineage.path(6, 1), path(&[6], &[1]));
        assert_eq!(lineage.path(3, 3), path(&[], &[]));
    }

    #[test]
    fn next_is_the_child_towards_the_head_and_else_the_newest() {
        let lineage = branched();
        assert_eq!(lineage.next(1, 5), Some(2));
        assert_eq!(lineage.next(1, 4), Some(3));
        assert_eq!(lineage.next(1, 6), Some(3));
        assert_eq!(lineage.next(0, 6), Some(6));
        assert_eq!(lineage.next(5, 5), None);
        assert_eq!(lineage.next(9, 5), None);
    }

    #[test]
    fn thousands_of_versions_have_their_parents_by_weak_hashes() {
        crate::hashing::with_weak(|| {
            let mut lineage = Lineage::new(0);
            // A version comes from that of half its number.
            (1..3000).for_each(|version| lineage.add(version, version / 2).unwrap());
            assert_eq!(lineage.len(), 3000);
            assert!((1..3000).all(|version| lineage.parent(version) == Some(version / 2)));
            assert!(!lineage.has(3000) && lineage.path(2900, 0).back.len() == 12);
            assert_eq!(lineage.prune(2).len(), 3000 - lineage.len());
            let descends = |mut version: u64| {
                while version > 2 {
                    version /= 2;
                }
                version == 2
            };
            assert!((1..3000).all(|version| lineage.has(version) == descends(version)));
        });
    }

    #[test]
    fn pruning_keeps_the_root_and_what_descends_from_the_version() {
        let mut lineage = branched();
        assert_eq!(lineage.prune(2), [1, 3, 4, 6]);
        assert_eq!(lineage.ids(), [0, 2, 5]);
        assert_eq!(lineage.parent(2), Some(0));
        assert!(matches!(lineage.check(4), Err(EntryError::Pruned { version: 4 })));
        assert!(matches!(lineage.check(7), Err(EntryError::NoVersion { version: 7 })));
        assert_eq!(lineage.last, 6);
    }

    #[test]
    fn a_tree_that_cannot_be_is_refused() {
        let mut lineage = branched();
        assert!(lineage.add(8, 7).is_err());
        assert!(lineage.add(8, 8).is_err());
        assert!(lineage.add(7, 9).is_err());
    }
}
