//! A sequence in blocks of one size.
//!
//! A vector that grows moves into ever larger pieces of memory and leaves holes
//! behind, in which the allocator finds room for nothing else that large. What
//! grows and shrinks with every crowd of keys is kept in blocks instead, which
//! the next crowd uses again.

/// Items of a block.
const LEN: usize = 256;

/// A sequence that grows and shrinks at its end.
pub(super) struct Blocks<T> {
    /// All full, but for the last.
    blocks: Vec<Vec<T>>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<T> Blocks<T> {
    pub(super) fn push(&mut self, item: T) {
        match self.blocks.last_mut() {
            Some(last) if last.len() < LEN => last.push(item),
            _ => {
                let mut block = Vec::with_capacity(if self.blocks.is_empty() { 4 } else { LEN });
                block.push(item);
                self.blocks.push(block);
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.blocks.last_mut()?;
        let item = last.pop();
        if last.is_empty() {
            self.blocks.pop();
        }
        item
    }

    pub(super) fn len(&self) -> usize {
        let before = self.blocks.len().saturating_sub(1) * LEN;
        before + self.blocks.last().map_or(0, Vec::len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.blocks.iter().flatten()
    }

    /// Takes all items out, block by block.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Vec<T>> {
        self.blocks.drain(..)
    }

    fn at(&self, place: usize) -> &T {
        &self.blocks[place / LEN][place % LEN]
    }

    fn swap(&mut self, one: usize, other: usize) {
        // In two blocks, or in one.
        let [first, last] = [one.min(other), one.max(other)];
        if first / LEN == last / LEN {
            self.blocks[first / LEN].swap(first % LEN, last % LEN);
        } else {
            let (before, behind) = self.blocks.split_at_mut(last / LEN);
            std::mem::swap(&mut before[first / LEN][first % LEN], &mut behind[0][last % LEN]);
        }
    }
}

/// A queue that gives the least first: a binary heap in blocks.
#[derive(Default)]
pub(super) struct Queue<T> {
    items: Blocks<T>,
}

impl<T: Ord> Queue<T> {
    pub(super) fn push(&mut self, item: T) {
        let mut place = self.items.len();
        self.items.push(item);
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.items.at(parent) <= self.items.at(place) {
                break;
            }
            self.items.swap(parent, place);
            place = parent;
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.items.len().checked_sub(1)?;
        self.items.swap(0, last);
        let item = self.items.pop();
        let mut place = 0;
        loop {
            let left = 2 * place + 1;
            if left >= last {
                break;
            }
            let right = left + 1;
            let is_right_less = right < last && self.items.at(right) < self.items.at(left);
            let child = if is_right_less { right } else { left };
            if self.items.at(place) <= self.items.at(child) {
                break;
            }
            self.items.swap(place, child);
            place = child;
        }
        item
    }

    pub(super) fn peek(&self) -> Option<&T> {
        (!self.items.is_empty()).then(|| self.items.at(0))
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;

    #[test]
    fn a_queue_gives_what_a_heap_gives_at_every_length() {
        let (mut queue, mut heap) = (Queue::default(), BinaryHeap::new());
        let mut state = 1_u64;
        // Growing over many blocks, and shrinking again, twice.
        for step in 0..40_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (state >> 33) % 8 < if step / 10_000 % 2 == 0 { 6 } else { 2 } {
                let item = (state >> 40) % 1000;
                queue.push(item);
                heap.push(Reverse(item));
            } else {
                assert_eq!(queue.pop(), heap.pop().map(|Reverse(item)| item));
            }
            assert_eq!(queue.peek(), heap.peek().map(|Reverse(item)| item));
            assert_eq!(queue.len(), heap.len());
        }
        while let Some(Reverse(item)) = heap.pop() {
            assert_eq!(queue.pop(), Some(item));
        }
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_sequence_is_in_order_and_ends_where_it_began() {
        let mut blocks = Blocks::default();
        for len in 0..2000 {
            assert_eq!((blocks.len(), blocks.is_empty()), (len, len == 0));
            blocks.push(len);
        }
        assert!(blocks.iter().copied().eq(0..2000));
        for last in (1000..2000).rev() {
            assert_eq!(blocks.pop(), Some(last));
        }
        assert!(blocks.drain().flatten().eq(0..1000));
        assert!(blocks.is_empty() && blocks.pop().is_none());
    }
}
