//! Columns: what one field holds in every entry, sorted, with who holds it.
//!
//! Ranks, the places of entries in the order of their ids, stand for entries:
//! lists of them are in order, and small. Most of a column never changes and
//! is shared by many versions; what came and went since stands beside it, and
//! is worked in when it has grown.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;

use super::field::Field;
use super::key::{ELEMENT, Key, STRING, keys_of};
use super::sorted::{Sorted, Writer};
use super::test::Test;
use crate::entries::entry::Entry;
use crate::hashing::Hashing;
use crate::value::View;

/// What came and went is worked in when it is more than this, and more than
/// one in so many of what is there. It is soon more in tests.
const FEW: usize = if cfg!(test) { 8 } else { 64 };
const PART: usize = 32;

/// What one field holds in every entry.
pub(super) struct Column {
    main: Arc<Sorted>,
    /// Who does not hold a key of `main` any more: the key's place and the
    /// rank, in order.
    gone: Vec<(u32, u32)>,
    /// Who holds a key now.
    come: Sorted,
    /// Entries of which the keys do not say all, in order.
    unkeyed: Vec<u32>,
}

/// How a column changes.
#[derive(Default)]
pub(super) struct Moves<'a> {
    /// Who does not hold a key any more.
    pub(super) leave: Vec<(Key<'a>, u32)>,
    /// Who holds one now.
    pub(super) come: Vec<(Key<'a>, u32)>,
    /// Those whose keys did not say all.
    pub(super) were_unkeyed: Vec<u32>,
    /// Those whose keys do not say all now.
    pub(super) are_unkeyed: Vec<u32>,
}

impl Moves<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.leave.is_empty()
            && self.come.is_empty()
            && self.were_unkeyed.is_empty()
            && self.are_unkeyed.is_empty()
    }
}

impl Column {
    /// The column of `field` in entries that come in the order of their ranks; `None` if it
    /// would be too large.
    pub(super) fn build<'a>(
        field: &Field,
        entries: impl Iterator<Item = (u32, &'a Entry)>,
    ) -> Option<Self> {
        let mut numbers: HashMap<Key<'a>, u32, Hashing> = HashMap::default();
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        let mut unkeyed = Vec::new();
        let mut keys = Vec::new();
        for (rank, entry) in entries {
            if !keys_of(field, entry, &mut keys) {
                unkeyed.push(rank);
            }
            for key in &keys {
                let next = numbers.len() as u32;
                pairs.push((*numbers.entry(*key).or_insert(next), rank));
            }
        }
        // The pairs of each key, one behind the other: counted, then placed.
        let mut ends = vec![0_u32; numbers.len()];
        u32::try_from(pairs.len()).ok()?;
        pairs.iter().for_each(|&(number, _)| ends[number as usize] += 1);
        let mut end = 0;
        for count in &mut ends {
            (end, *count) = (end + *count, end);
        }
        let mut ranks = vec![0_u32; pairs.len()];
        for (number, rank) in pairs {
            let place = &mut ends[number as usize];
            ranks[*place as usize] = rank;
            *place += 1;
        }
        let mut sorted: Vec<_> = numbers.into_iter().collect();
        sorted.sort_unstable_by_key(|&(key, _)| key);
        let mut writer = Writer::default();
        for (key, number) in sorted {
            let number = number as usize;
            let start = number.checked_sub(1).map_or(0, |before| ends[before]);
            let held = &ranks[start as usize..ends[number] as usize];
            writer.push(key.parts(), held.iter().copied());
        }
        Self::of(writer.finish()?, unkeyed)
    }

    fn of(main: Sorted, unkeyed: Vec<u32>) -> Option<Self> {
        Some(Self { main: Arc::new(main), gone: Vec::new(), come: Sorted::default(), unkeyed })
    }

    /// This column after changes.
    pub(super) fn changed(&self, moves: Moves<'_>) -> Option<Self> {
        let Moves { leave, mut come, mut were_unkeyed, are_unkeyed } = moves;
        // Who leaves came before, or was there from the beginning.
        let mut left: Vec<(usize, u32)> = Vec::new();
        let mut gone = self.gone.clone();
        for (key, rank) in leave {
            match self.come.find(key.parts()) {
                Some(index) if self.come.ranks(index).binary_search(&rank).is_ok() => {
                    left.push((index, rank));
                }
                _ => gone.extend(self.main.find(key.parts()).map(|index| (index as u32, rank))),
            }
        }
        gone.sort();
        left.sort_unstable();
        come.sort_unstable();
        let kept = |index: usize| {
            let left = &left;
            let ranks = self.come.ranks(index).iter().copied();
            ranks.filter(move |&rank| left.binary_search(&(index, rank)).is_err())
        };
        let mut writer = Writer::like(&self.come);
        let mut groups = come.chunk_by(|a, b| a.0 == b.0).peekable();
        let ranks_of = |group: &[(Key<'_>, u32)]| group.iter().map(|it| it.1).collect::<Vec<_>>();
        for index in 0..self.come.len() {
            let key = self.come.key(index);
            while let Some(group) = groups.next_if(|group| group[0].0.parts() < key) {
                writer.push(group[0].0.parts(), ranks_of(group).into_iter());
            }
            match groups.next_if(|group| group[0].0.parts() == key) {
                Some(group) => {
                    let mut ranks = ranks_of(group);
                    ranks.extend(kept(index));
                    ranks.sort_unstable();
                    writer.push(key, ranks.into_iter());
                }
                None => writer.push(key, kept(index)),
            }
        }
        for group in groups {
            writer.push(group[0].0.parts(), ranks_of(group).into_iter());
        }
        were_unkeyed.sort_unstable();
        let mut unkeyed = self.unkeyed.clone();
        unkeyed.retain(|rank| were_unkeyed.binary_search(rank).is_err());
        unkeyed.extend(are_unkeyed);
        unkeyed.sort();
        let changed = Self { main: Arc::clone(&self.main), gone, come: writer.finish()?, unkeyed };
        if changed.gone.len() + changed.come.pairs() > FEW + changed.main.pairs() / PART {
            return changed.renumbered(|rank| rank);
        }
        Some(changed)
    }

    /// This column with what came and went worked in, and with other ranks, as
    /// `new_rank` tells.
    pub(super) fn renumbered(&self, new_rank: impl Fn(u32) -> u32) -> Option<Self> {
        let mut writer = Writer::like(&self.main);
        let mut push = |key, main: Cow<'_, [u32]>, come: &[u32]| {
            let mut ranks: Vec<u32> = main.iter().chain(come).map(|&rank| new_rank(rank)).collect();
            if !ranks.is_sorted() {
                ranks.sort_unstable();
            }
            writer.push(key, ranks.into_iter());
        };
        let mut others = (0..self.come.len()).peekable();
        for index in 0..self.main.len() {
            let key = self.main.key(index);
            while let Some(other) = others.next_if(|&other| self.come.key(other) < key) {
                push(self.come.key(other), Cow::default(), self.come.ranks(other));
            }
            let come = others.next_if(|&other| self.come.key(other) == key);
            push(key, self.main_ranks(index), come.map_or(&[], |other| self.come.ranks(other)));
        }
        for other in others {
            push(self.come.key(other), Cow::default(), self.come.ranks(other));
        }
        let mut unkeyed: Vec<u32> = self.unkeyed.iter().map(|&rank| new_rank(rank)).collect();
        unkeyed.sort_unstable();
        Self::of(writer.finish()?, unkeyed)
    }

    /// Who holds a key of `main` still.
    fn main_ranks(&self, index: usize) -> Cow<'_, [u32]> {
        let ranks = self.main.ranks(index);
        let from = self.gone.partition_point(|&(key, _)| (key as usize) < index);
        let gone = &self.gone[from..];
        let gone = &gone[..gone.partition_point(|&(key, _)| key as usize == index)];
        if gone.is_empty() {
            return ranks.into();
        }
        let is_here = |rank: &u32| gone.binary_search_by_key(rank, |&(_, rank)| rank).is_err();
        ranks.iter().copied().filter(is_here).collect()
    }

    /// Who holds this key, by its place, in `main` or among what came.
    fn ranks(&self, in_main: bool, index: usize) -> Cow<'_, [u32]> {
        if in_main { self.main_ranks(index) } else { self.come.ranks(index).into() }
    }

    fn find(&self, key: Key<'_>) -> Cow<'_, [u32]> {
        let mut all = Union::default();
        for (in_main, sorted) in self.layers() {
            if let Some(index) = sorted.find(key.parts()) {
                all.add(self.ranks(in_main, index));
            }
        }
        all.finish()
    }

    /// What never changes, and what came.
    fn layers(&self) -> [(bool, &Sorted); 2] {
        [(true, &self.main), (false, &self.come)]
    }

    /// About how many keys or ranks [`Column::hits`] looks at.
    pub(super) fn cost(&self, test: &Test) -> usize {
        let tested: usize = self
            .layers()
            .map(|(_, sorted)| match test {
                Test::Equal(_) | Test::Elements(_) => 0,
                Test::Prefix(prefix) => sorted.strings(STRING, prefix).len(),
                Test::Glob(glob) => sorted.strings(STRING, glob.prefix()).len(),
                Test::Regex(_) | Test::Contains(_) | Test::Suffix(_) => sorted.len(),
            })
            .iter()
            .sum();
        tested + self.unkeyed.len()
    }

    /// The ranks of the entries that pass `test`, in order; `None` if a column
    /// does not tell. `look` tests an entry itself.
    pub(super) fn hits(&self, test: &Test, look: impl Fn(u32) -> bool) -> Option<Cow<'_, [u32]>> {
        let looked_at = || self.unkeyed.iter().copied().filter(|&rank| look(rank));
        let equal = |key: Option<Key<'_>>| match key {
            Some(key) => self.find(key),
            None => looked_at().collect(),
        };
        match test {
            Test::Equal(expected) => {
                return Some(equal(Key::new(View::new(expected).token(), 0)));
            }
            // Any array will do, also one without keys.
            Test::Elements(expected) if expected.is_empty() => return None,
            Test::Elements(expected) => {
                let mut hits: Option<Cow<'_, [u32]>> = None;
                for element in expected {
                    let Some(key) = Key::new(View::new(element).token(), ELEMENT) else {
                        return Some(looked_at().collect());
                    };
                    let held = self.find(key);
                    hits = Some(match hits {
                        Some(hits) => intersect(&hits, &held).into(),
                        None => held,
                    });
                }
                return hits;
            }
            Test::Glob(glob) => {
                if let Some(text) = glob.literal() {
                    return Some(equal(Key::of_text(text)));
                }
            }
            _ => {}
        }
        let mut all = Union::default();
        for (in_main, sorted) in self.layers() {
            let mut add = |index| all.add(self.ranks(in_main, index));
            let passes = |index: &usize| test.passes_text(sorted.key(*index).1);
            match test {
                Test::Prefix(prefix) => sorted.strings(STRING, prefix).for_each(add),
                Test::Suffix(suffix) => {
                    sorted.ending(sorted.strings(STRING, b""), suffix, add);
                }
                Test::Contains(part) => {
                    for tag in [STRING, STRING + ELEMENT] {
                        sorted.containing(sorted.strings(tag, b""), part, &mut add);
                    }
                }
                Test::Glob(glob) => {
                    sorted.strings(STRING, glob.prefix()).filter(passes).for_each(add);
                }
                _ => sorted.strings(STRING, b"").filter(passes).for_each(add),
            }
        }
        all.add(looked_at().collect());
        Some(all.finish())
    }
}

/// Gathers what is in any of several lists, each in order.
#[derive(Default)]
struct Union<'a> {
    only: Option<Cow<'a, [u32]>>,
    /// If there are more.
    all: Vec<u32>,
}

impl<'a> Union<'a> {
    fn add(&mut self, list: Cow<'a, [u32]>) {
        if list.is_empty() {
            return;
        }
        if self.only.is_none() && self.all.is_empty() {
            self.only = Some(list);
            return;
        }
        if let Some(only) = self.only.take() {
            self.all.extend_from_slice(&only);
        }
        self.all.extend_from_slice(&list);
    }

    /// In order, each once.
    fn finish(self) -> Cow<'a, [u32]> {
        let mut all = self.all;
        if let Some(only) = self.only {
            return only;
        }
        // Runs that are in order each: a sort that merges them.
        all.sort();
        all.dedup();
        all.into()
    }
}

/// What is in both lists.
pub(super) fn intersect(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if few.len() < many.len() / 16 {
        return few.iter().copied().filter(|rank| many.binary_search(rank).is_ok()).collect();
    }
    let mut many = many.iter().peekable();
    let is_in_many = |rank: &u32| {
        while many.next_if(|other| *other < rank).is_some() {}
        many.next_if(|other| *other == rank).is_some()
    };
    few.iter()
        .copied()
        .filter({
            let mut is_in_many = is_in_many;
            move |rank| is_in_many(rank)
        })
        .collect()
}
