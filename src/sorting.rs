//! Sorting where it need not be as fast as can be: compiled once.
//!
//! std compiles its sort anew for every type and order, some 7 KB each time,
//! and most of ours sort little, or seldom. Here it is positions that are
//! sorted, by a comparison that is called through a pointer; then the items are
//! put where they belong.

use std::cmp::Ordering;

/// Sorts by `compare`; what is equal keeps its order.
pub(crate) fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let order = order_of(items.len(), &|a, b| compare(&items[a], &items[b]));
    arrange(items, order);
}

/// As [`sort_by`], in the order that the items have by themselves.
pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// The positions of `len` items in their order; equal ones as they stand.
pub(crate) fn order_of(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<u32> {
    // Nothing of ours has 2^32 items.
    let mut order: Vec<u32> = (0..len as u32).collect();
    order.sort_unstable_by(|&a, &b| compare(a as usize, b as usize).then(a.cmp(&b)));
    order
}

/// Puts the item at `order[n]` to place `n`, for all of them.
fn arrange<T>(items: &mut [T], mut order: Vec<u32>) {
    for start in 0..items.len() {
        // Around one cycle, until its first item is met again.
        let mut at = start;
        loop {
            let from = std::mem::replace(&mut order[at], at as u32) as usize;
            if from == start || from == at {
                break;
            }
            items.swap(at, from);
            at = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorts_as_the_stable_sort_of_std(items: Vec<(u8, u32)>) {
            let mut ours = items.clone();
            let mut theirs = items;
            sort_by(&mut ours, |a, b| a.0.cmp(&b.0));
            theirs.sort_by_key(|item| item.0);
            prop_assert_eq!(&ours, &theirs);
            sort(&mut ours);
            theirs.sort();
            prop_assert_eq!(ours, theirs);
        }
    }
}
