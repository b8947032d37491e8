//! Columns: what one field holds in every entry, sorted, with who holds it.
//!
//! Ranks, the places of entries in the order of their ids, stand for entries:
//! lists of them are in order, and small. The values lie in one piece of
//! memory, sorted, so that equality is a binary search, a prefix a range, and
//! every other test reads memory front to back, each distinct value once.

use std::borrow::Cow;
use std::iter::Peekable;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::field::{Content, Field};
use super::test::Test;
use crate::entries::entry::Entry;
use crate::value::{Number, Token, View};

/// Longest string that is a key; entries with longer ones are looked at.
const KEY_LIMIT: usize = 1024;

/// What a field can be found by: a scalar, or one that is an element of an
/// array.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key<'a> {
    tag: u8,
    body: Body<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Body<'a> {
    Text(&'a [u8]),
    Word([u8; 8]),
}

const STRING: u8 = 0;
const INT: u8 = 1;
const FLOAT: u8 = 2;
const BOOL: u8 = 3;
/// Added to the tag of an element.
const ELEMENT: u8 = 4;

impl<'a> Key<'a> {
    /// The key of a scalar; the same for numbers that are equal.
    fn new(token: Token<'a>, place: u8) -> Option<Self> {
        let (tag, body) = match token {
            Token::String(text) if text.len() > KEY_LIMIT => return None,
            Token::String(text) => (STRING, Body::Text(text)),
            Token::Bool(value) => (BOOL, Body::Word(u64::from(value).to_be_bytes())),
            Token::Int(value) => (INT, Body::Word(value.to_be_bytes())),
            Token::Float(value) => match Number::Float(value).as_int() {
                Some(value) => (INT, Body::Word(value.to_be_bytes())),
                // Every NaN equals every other.
                None if value.is_nan() => (FLOAT, Body::Word(f64::NAN.to_be_bytes())),
                None => (FLOAT, Body::Word(value.to_be_bytes())),
            },
            Token::Nil | Token::Array(_) | Token::Map(_) => return None,
        };
        Some(Self { tag: tag + place, body })
    }

    fn of_text(text: &'a [u8]) -> Option<Self> {
        Self::new(Token::String(text), 0)
    }

    fn parts(&self) -> (u8, &[u8]) {
        match &self.body {
            Body::Text(text) => (self.tag, text),
            Body::Word(word) => (self.tag, word),
        }
    }
}

/// The keys of what `entry` has in `field`, each once and in order; and whether
/// they say all that a test could ask.
pub(super) fn keys_of<'a>(field: &Field, entry: &'a Entry, keys: &mut Vec<Key<'a>>) -> bool {
    keys.clear();
    let value = match field.of(entry) {
        None => return true,
        Some(Content::Text(text)) => {
            keys.extend(Key::of_text(text));
            return !keys.is_empty();
        }
        Some(Content::Value(value)) => value,
    };
    let mut view = View::new(value);
    let Token::Array(len) = view.token() else {
        keys.extend(Key::new(View::new(value).token(), 0));
        return !keys.is_empty();
    };
    let mut is_whole = true;
    for _ in 0..len {
        match Key::new(View::new(view.skip()).token(), ELEMENT) {
            Some(key) => keys.push(key),
            None => is_whole = false,
        }
    }
    keys.sort_unstable();
    keys.dedup();
    is_whole
}

/// What one field holds in every entry.
pub(super) struct Column {
    /// Each key's tag and bytes, in the order of the keys.
    text: Vec<u8>,
    /// Where each key ends in it.
    ends: Vec<u32>,
    /// Where each key's ranks end.
    rank_ends: Vec<u32>,
    ranks: Vec<u32>,
    /// Entries of which the keys do not say all.
    unkeyed: Vec<u32>,
}

impl Column {
    /// The column of `field` in entries that come by their rank; `None` if it
    /// would be too large.
    pub(super) fn build<'a>(
        field: &Field,
        entries: impl Iterator<Item = (u32, &'a Entry)>,
    ) -> Option<Self> {
        let mut numbers: HashMap<Key<'a>, u32, RandomState> = HashMap::default();
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
        writer.finish(unkeyed)
    }

    /// This column after changes: `moved` tells the new rank of an old one
    /// (`u32::MAX`: not the same entry any more), `come` are keys with new
    /// ranks in order, `unkeyed` new ranks in order.
    pub(super) fn moved(
        &self,
        moved: &[u32],
        come: &[(Key<'_>, u32)],
        unkeyed: &[u32],
    ) -> Option<Self> {
        let stay = |rank: &u32| Some(moved[*rank as usize]).filter(|&rank| rank != u32::MAX);
        let mut writer = Writer::default();
        writer.text.reserve(self.text.len());
        writer.ends.reserve(self.ends.len());
        writer.rank_ends.reserve(self.ends.len());
        writer.ranks.reserve(self.ranks.len() + come.len());
        let mut come = come.chunk_by(|a, b| a.0 == b.0).peekable();
        let ranks_of =
            |group: &[(Key<'_>, u32)]| group.iter().map(|pair| pair.1).collect::<Vec<_>>();
        for index in 0..self.len() {
            let key = self.key(index);
            while let Some(group) = come.next_if(|group| group[0].0.parts() < key) {
                writer.push(group[0].0.parts(), ranks_of(group).into_iter());
            }
            let held = self.ranks(index).iter().filter_map(stay);
            match come.next_if(|group| group[0].0.parts() == key) {
                Some(group) => {
                    let mut ranks = ranks_of(group);
                    ranks.extend(held);
                    // Two runs in order: sorting merges them.
                    ranks.sort();
                    writer.push(key, ranks.into_iter());
                }
                None => writer.push(key, held),
            }
        }
        for group in come {
            writer.push(group[0].0.parts(), ranks_of(group).into_iter());
        }
        let mut unkeyed = unkeyed.to_vec();
        unkeyed.extend(self.unkeyed.iter().filter_map(stay));
        unkeyed.sort();
        writer.finish(unkeyed)
    }

    /// How many keys there are.
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn span(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[index] as usize
    }

    fn key(&self, index: usize) -> (u8, &[u8]) {
        let key = &self.text[self.span(index)];
        (key[0], &key[1..])
    }

    fn ranks(&self, index: usize) -> &[u32] {
        let start = index.checked_sub(1).map_or(0, |before| self.rank_ends[before]);
        &self.ranks[start as usize..self.rank_ends[index] as usize]
    }

    /// The first key from which on `is_below` does not hold.
    fn partition(&self, is_below: impl Fn((u8, &[u8])) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if is_below(self.key(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn find(&self, key: Key<'_>) -> &[u32] {
        let index = self.partition(|other| other < key.parts());
        if index < self.len() && self.key(index) == key.parts() { self.ranks(index) } else { &[] }
    }

    /// The strings that begin with `prefix`.
    fn strings(&self, tag: u8, prefix: &[u8]) -> Range<usize> {
        let start = self.partition(|key| key < (tag, prefix));
        start
            ..self.partition(|key| key < (tag, prefix) || key.0 == tag && key.1.starts_with(prefix))
    }

    /// About how many keys or ranks [`Column::hits`] looks at.
    pub(super) fn cost(&self, test: &Test) -> usize {
        let tested = match test {
            Test::Equal(_) | Test::Elements(_) => 0,
            Test::Prefix(prefix) => self.strings(STRING, prefix).len(),
            Test::Glob(glob) => self.strings(STRING, glob.prefix()).len(),
            Test::Regex(_) | Test::Contains(_) | Test::Suffix(_) => self.len(),
        };
        tested + self.unkeyed.len()
    }

    /// The ranks of the entries that pass `test`, in order; `None` if a column
    /// does not tell. `look` tests an entry itself.
    pub(super) fn hits(&self, test: &Test, look: impl Fn(u32) -> bool) -> Option<Cow<'_, [u32]>> {
        let looked_at = || self.unkeyed.iter().copied().filter(|&rank| look(rank));
        match test {
            Test::Equal(expected) => Some(match Key::new(View::new(expected).token(), 0) {
                Some(key) => Cow::Borrowed(self.find(key)),
                None => looked_at().collect(),
            }),
            // Any array will do, also one without keys.
            Test::Elements(expected) if expected.is_empty() => None,
            Test::Elements(expected) => {
                let mut hits: Option<Cow<'_, [u32]>> = None;
                for element in expected {
                    let Some(key) = Key::new(View::new(element).token(), ELEMENT) else {
                        return Some(looked_at().collect());
                    };
                    let held = self.find(key);
                    hits = Some(match hits {
                        Some(hits) => intersect(&hits, held).into(),
                        None => held.into(),
                    });
                }
                hits
            }
            Test::Glob(glob) => match glob.literal() {
                Some(text) => Some(match Key::of_text(text) {
                    Some(key) => Cow::Borrowed(self.find(key)),
                    None => looked_at().collect(),
                }),
                None => Some(self.pass(self.strings(STRING, glob.prefix()), test, looked_at())),
            },
            Test::Prefix(prefix) => {
                let lists = self.strings(STRING, prefix).map(|index| self.ranks(index));
                Some(union(lists, looked_at()))
            }
            Test::Regex(_) | Test::Suffix(_) => {
                Some(self.pass(self.strings(STRING, b""), test, looked_at()))
            }
            Test::Contains(part) => {
                let mut lists = Vec::new();
                for tag in [STRING, STRING + ELEMENT] {
                    self.containing(self.strings(tag, b""), part, |index| {
                        lists.push(self.ranks(index))
                    });
                }
                Some(union(lists.into_iter(), looked_at()))
            }
        }
    }

    /// The ranks of those of the strings that pass.
    fn pass(
        &self,
        strings: Range<usize>,
        test: &Test,
        others: impl Iterator<Item = u32>,
    ) -> Cow<'_, [u32]> {
        let lists = strings
            .filter(|&index| test.passes_text(self.key(index).1))
            .map(|index| self.ranks(index));
        union(lists, others)
    }

    /// Gives those of the strings that `part` is in: looks for it in all of
    /// them at once.
    fn containing(
        &self,
        strings: Range<usize>,
        part: &memchr::memmem::Finder<'_>,
        mut give: impl FnMut(usize),
    ) {
        if part.needle().is_empty() {
            return strings.for_each(give);
        }
        let Some(last) = strings.clone().last() else { return };
        let end = self.span(last).end;
        let mut from = self.span(strings.start).start;
        while let Some(at) = part.find(&self.text[from..end]) {
            let start = from + at;
            let index = self.ends.partition_point(|&end| end as usize <= start);
            let span = self.span(index);
            // Not across strings, nor over the tag.
            if start > span.start && start + part.needle().len() <= span.end {
                give(index);
                from = span.end;
            } else {
                from = start + 1;
            }
        }
    }
}

/// Writes a column, key by key in order.
#[derive(Default)]
struct Writer {
    text: Vec<u8>,
    ends: Vec<u32>,
    rank_ends: Vec<u32>,
    ranks: Vec<u32>,
    is_too_large: bool,
}

impl Writer {
    /// Adds a key, unless nobody holds it.
    fn push(&mut self, (tag, bytes): (u8, &[u8]), ranks: impl Iterator<Item = u32>) {
        let before = self.ranks.len();
        self.ranks.extend(ranks);
        if self.ranks.len() == before || self.is_too_large {
            return;
        }
        self.text.push(tag);
        self.text.extend_from_slice(bytes);
        match (u32::try_from(self.text.len()), u32::try_from(self.ranks.len())) {
            (Ok(end), Ok(rank_end)) => {
                self.ends.push(end);
                self.rank_ends.push(rank_end);
            }
            _ => self.is_too_large = true,
        }
    }

    fn finish(mut self, unkeyed: Vec<u32>) -> Option<Column> {
        if self.is_too_large {
            return None;
        }
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.rank_ends.shrink_to_fit();
        let Self { text, ends, rank_ends, ranks, .. } = self;
        Some(Column { text, ends, rank_ends, ranks, unkeyed })
    }
}

/// What is in any of the lists, once.
fn union<'a>(
    lists: impl Iterator<Item = &'a [u32]>,
    others: impl Iterator<Item = u32>,
) -> Cow<'a, [u32]> {
    let (mut lists, mut others): (Peekable<_>, Peekable<_>) = (lists.peekable(), others.peekable());
    let Some(first) = lists.next() else { return others.collect() };
    if lists.peek().is_none() && others.peek().is_none() {
        return Cow::Borrowed(first);
    }
    let mut all = first.to_vec();
    lists.for_each(|list| all.extend_from_slice(list));
    all.extend(others);
    // Runs that are in order each: a sort that merges them.
    all.sort();
    all.dedup();
    all.into()
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
