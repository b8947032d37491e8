//! Of cells: readers beside one who changes them.

use std::sync::Arc;

use super::{BOTH, Model, sweep};
use crate::kernel::{reader, writer};
use crate::memory::Mark;
use crate::platform::cells::{Cells, Keyed, give_back_taken_out};
use crate::platform::rcu::tidy;
use crate::platform::thin::{IsThin, Thin};

pub fn models() -> Vec<Model> {
    let model = |name, body| Model { name, body, fewer: 0, kernels: BOTH };
    vec![
        model("a_replaced_cell", a_replaced_cell),
        model("a_deleted_cell_whose_place_is_taken", a_deleted_cell_whose_place_is_taken),
        model("an_array_that_grows", an_array_that_grows),
        model("an_array_that_shrinks", an_array_that_shrinks),
        model("an_array_that_is_cleared", an_array_that_is_cleared),
        model("all_cells_while_one_grows", all_cells_while_one_grows),
        model("a_cell_that_is_kept", a_cell_that_is_kept),
        model("a_cell_of_another_thread", a_cell_of_another_thread),
        model("several_changes_are_seen_together", several_changes_are_seen_together),
    ]
}

type Table = Cells<Item, ()>;

/// A key, and behind it a number twice.
#[derive(Clone)]
struct Item(Thin<Mark>);

impl IsThin for Item {
    type Head = Mark;

    fn from_thin(thin: Thin<Mark>) -> Self {
        Self(thin)
    }

    fn into_thin(self) -> Thin<Mark> {
        self.0
    }
}

impl Keyed for Item {
    fn has_key(&self, key: &[u8]) -> bool {
        [key_of(self)] == key
    }
}

fn item(key: u8, number: u8) -> Item {
    Item(Thin::new(Mark::new(), &[key], &[number, number]))
}

fn key_of(item: &Item) -> u8 {
    item.0.head().touch();
    item.0.first()[0]
}

fn number_of(item: &Item) -> u8 {
    item.0.head().touch();
    let [first, second] = *item.0.second() else { panic!("it is torn") };
    assert_eq!(first, second, "it is torn");
    first
}

/// All the same, so that only the keys tell which is which.
fn hash_of(_: u8) -> u64 {
    7 << 56
}

fn rehash(item: &Item) -> u64 {
    hash_of(key_of(item))
}

/// With so many cells as fit in one bucket, which no thread has read.
#[allow(clippy::arc_with_non_send_sync, reason = "loom takes what is neither")]
fn table(cells: u8) -> Arc<Table> {
    let table = Table::default();
    (0..cells).for_each(|key| insert(&table, key, 0));
    Arc::new(table)
}

fn insert(table: &Table, key: u8, number: u8) {
    table.lock().insert(hash_of(key), item(key, number), rehash);
}

fn replace(table: &Table, key: u8, number: u8) {
    let mut locked = table.lock();
    let (place, _) = locked.find(hash_of(key), &[key]).unwrap();
    let gone = locked.replace(place, item(key, number));
    drop(locked);
    drop(gone);
}

fn remove(table: &Table, key: u8) {
    let mut locked = table.lock();
    let (place, _) = locked.find(hash_of(key), &[key]).unwrap();
    let gone = locked.remove(place, rehash);
    drop(locked);
    drop(gone);
}

fn get(table: &Table, key: u8) -> Option<u8> {
    table.get(hash_of(key), &[key]).map(|it| number_of(&it))
}

/// `reads` and `changes` at the same time; then everything but the `left`
/// cells is freed.
fn beside(
    table: &Arc<Table>,
    left: isize,
    reads: impl FnOnce(&Table) + 'static,
    changes: impl FnOnce(&Table) + 'static,
) {
    let (read, changed) = (Arc::clone(table), Arc::clone(table));
    let reading = reader(move || reads(&read));
    let writing = writer(move || {
        changes(&changed);
        tidy();
    });
    reading.join().unwrap();
    writing.join().unwrap();
    sweep(left);
}

fn a_replaced_cell() {
    let reads = |table: &Table| {
        let first = get(table, 0).unwrap();
        let second = get(table, 0).unwrap();
        assert!(first <= second && second <= 1);
    };
    beside(&table(1), 1, reads, |table| replace(table, 0, 1));
}

fn a_deleted_cell_whose_place_is_taken() {
    let reads = |table: &Table| {
        // Never the number of the one that took the place.
        assert!(matches!(get(table, 0), None | Some(0)));
        assert!(matches!(get(table, 2), None | Some(2)));
        assert_eq!(get(table, 1), Some(0));
    };
    beside(&table(2), 2, reads, |table| {
        remove(table, 0);
        insert(table, 2, 2);
    });
}

fn an_array_that_grows() {
    let reads = |table: &Table| {
        assert_eq!(get(table, 4), Some(0));
        assert!(matches!(get(table, 5), None | Some(1)));
    };
    // The sixth makes it grow.
    beside(&table(5), 6, reads, |table| insert(table, 5, 1));
}

fn an_array_that_shrinks() {
    let table = table(6);
    (2..6).for_each(|key| {
        // No thread has begun: they need no barrier.
        let mut locked = table.lock();
        let (place, _) = locked.find(hash_of(key), &[key]).unwrap();
        std::mem::forget(locked.remove(place, rehash));
    });
    // Those four are never freed, and neither is what is left.
    beside(&table, 5, |table| assert_eq!(get(table, 1), Some(0)), |table| remove(table, 0));
}

fn an_array_that_is_cleared() {
    let reads = |table: &Table| assert!(matches!(get(table, 1), None | Some(0)));
    beside(&table(2), 0, reads, |table| table.lock().clear());
}

fn all_cells_while_one_grows() {
    let reads = |table: &Table| {
        let mut seen = [0; 6];
        table.for_each(|it| seen[usize::from(key_of(it))] += 1);
        assert_eq!(seen[..5], [1; 5]);
        assert!(seen[5] <= 1);
    };
    beside(&table(5), 6, reads, |table| insert(table, 5, 1));
}

/// A reader counts it and keeps it when it has left.
fn a_cell_that_is_kept() {
    let reads = |table: &Table| {
        let kept = table.get(hash_of(0), &[0]).map(|it| Item::clone(&it)).unwrap();
        crate::kernel::interrupt();
        assert!(number_of(&kept) <= 1);
    };
    beside(&table(1), 1, reads, |table| replace(table, 0, 1));
}

/// What a thread has taken out another one frees.
fn a_cell_of_another_thread() {
    let table = table(1);
    let (read, changed) = (Arc::clone(&table), Arc::clone(&table));
    let reading = reader(move || assert!(get(&read, 0).unwrap() <= 1));
    let writing = writer(move || {
        let mut locked = changed.lock();
        let (place, _) = locked.find(hash_of(0), &[0]).unwrap();
        let gone = locked.replace(place, item(0, 1));
        drop(locked);
        give_back_taken_out(vec![gone]);
    });
    let freer = writer(|| (0..2).for_each(|_| tidy()));
    reading.join().unwrap();
    writing.join().unwrap();
    freer.join().unwrap();
    sweep(1);
}

fn several_changes_are_seen_together() {
    let reads = |table: &Table| {
        let first = get(table, 0).unwrap();
        assert!(get(table, 1).unwrap() >= first);
    };
    beside(&table(2), 2, reads, |table| {
        let mut locked = table.lock();
        locked.hold_readers();
        let gone = [0, 1].map(|key| {
            let (place, _) = locked.find(hash_of(key), &[key]).unwrap();
            locked.replace(place, item(key, 1))
        });
        drop(locked);
        drop(gone);
    });
}
