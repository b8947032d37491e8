//! Keys in their order, each with the ranks of the entries that hold it.
//!
//! Everything lies in a few pieces of memory, so that equality is a binary
//! search, a prefix a range, and every other test reads memory front to back,
//! each distinct key once.

use std::ops::Range;

use memchr::memmem::Finder;

/// Sorted keys with their ranks.
#[derive(Default)]
pub(super) struct Sorted {
    /// Each key's tag and bytes, in the order of the keys.
    text: Vec<u8>,
    /// Where each key ends in it.
    ends: Vec<u32>,
    /// Where each key's ranks end.
    rank_ends: Vec<u32>,
    ranks: Vec<u32>,
}

impl Sorted {
    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many pairs of a key and a rank there are.
    pub(super) fn pairs(&self) -> usize {
        self.ranks.len()
    }

    fn span(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[index] as usize
    }

    /// A key: its tag and its bytes.
    pub(super) fn key(&self, index: usize) -> (u8, &[u8]) {
        let key = &self.text[self.span(index)];
        (key[0], &key[1..])
    }

    /// Who holds a key, in order.
    pub(super) fn ranks(&self, index: usize) -> &[u32] {
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

    /// Where a key stands.
    pub(super) fn find(&self, key: (u8, &[u8])) -> Option<usize> {
        let index = self.partition(|other| other < key);
        (index < self.len() && self.key(index) == key).then_some(index)
    }

    /// The keys of this tag that begin with `prefix`.
    pub(super) fn strings(&self, tag: u8, prefix: &[u8]) -> Range<usize> {
        let start = self.partition(|key| key < (tag, prefix));
        start
            ..self.partition(|key| key < (tag, prefix) || key.0 == tag && key.1.starts_with(prefix))
    }

    /// Gives those of the keys that end with `suffix`.
    pub(super) fn ending(&self, keys: Range<usize>, suffix: &[u8], mut give: impl FnMut(usize)) {
        let Some(&last) = suffix.last() else { return keys.for_each(give) };
        let mut start = keys.start.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        for index in keys {
            let end = self.ends[index] as usize;
            // The tag stands in front; few get beyond the last byte.
            if self.text[end - 1] == last && self.text[start + 1..end].ends_with(suffix) {
                give(index);
            }
            start = end;
        }
    }

    /// Gives those of the keys in which `part` stands: looks for it in all of
    /// them at once.
    pub(super) fn containing(
        &self,
        keys: Range<usize>,
        part: &Finder<'_>,
        mut give: impl FnMut(usize),
    ) {
        if part.needle().is_empty() {
            return keys.for_each(give);
        }
        let Some(last) = keys.clone().last() else { return };
        let end = self.span(last).end;
        let mut from = self.span(keys.start).start;
        let mut index = keys.start;
        while let Some(at) = part.find(&self.text[from..end]) {
            let start = from + at;
            index = self.key_at(index, start);
            let span = self.span(index);
            let stop = start + part.needle().len();
            // Not across keys, nor over the tag.
            if start > span.start && stop <= span.end {
                give(index);
                from = span.end;
            } else {
                from = start + 1;
            }
        }
    }

    /// The key at a place in the text, which is not before the key at `index`.
    fn key_at(&self, index: usize, place: usize) -> usize {
        let ends = &self.ends[index..];
        let is_before = |&end: &u32| end as usize <= place;
        // It is not far, mostly.
        let mut reach = 1;
        while ends.get(reach - 1).is_some_and(is_before) {
            reach *= 2;
        }
        let (from, to) = (reach / 2, reach.min(ends.len()));
        index + from + ends[from..to].partition_point(is_before)
    }
}

/// Writes keys in their order.
#[derive(Default)]
pub(super) struct Writer {
    sorted: Sorted,
    is_too_large: bool,
}

impl Writer {
    /// With room for what `like` holds.
    pub(super) fn like(like: &Sorted) -> Self {
        let sorted = Sorted {
            text: Vec::with_capacity(like.text.len()),
            ends: Vec::with_capacity(like.ends.len()),
            rank_ends: Vec::with_capacity(like.ends.len()),
            ranks: Vec::with_capacity(like.ranks.len()),
        };
        Self { sorted, is_too_large: false }
    }

    /// Adds a key, unless nobody holds it.
    pub(super) fn push(&mut self, (tag, bytes): (u8, &[u8]), ranks: impl Iterator<Item = u32>) {
        let Self { sorted, is_too_large } = self;
        let before = sorted.ranks.len();
        sorted.ranks.extend(ranks);
        if sorted.ranks.len() == before || *is_too_large {
            return;
        }
        sorted.text.push(tag);
        sorted.text.extend_from_slice(bytes);
        match (u32::try_from(sorted.text.len()), u32::try_from(sorted.ranks.len())) {
            (Ok(end), Ok(rank_end)) => {
                sorted.ends.push(end);
                sorted.rank_ends.push(rank_end);
            }
            _ => *is_too_large = true,
        }
    }

    /// What was written; `None` if it is too large.
    pub(super) fn finish(self) -> Option<Sorted> {
        let mut sorted = self.sorted;
        if self.is_too_large {
            return None;
        }
        sorted.text.shrink_to_fit();
        sorted.ends.shrink_to_fit();
        sorted.rank_ends.shrink_to_fit();
        sorted.ranks.shrink_to_fit();
        Some(sorted)
    }
}
