//! Cells against a map, and under readers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::*;

/// How many items there are.
static ITEMS: AtomicUsize = AtomicUsize::new(0);

/// A key, and behind it a number as bytes.
struct Item(Thin<Counted>);

struct Counted;

impl Counted {
    fn new() -> Self {
        ITEMS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ITEMS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl IsThin for Item {
    type Head = Counted;

    fn from_thin(thin: Thin<Counted>) -> Self {
        Self(thin)
    }

    fn into_thin(self) -> Thin<Counted> {
        self.0
    }
}

impl Keyed for Item {
    fn has_key(&self, key: &[u8]) -> bool {
        self.0.first() == key
    }
}

fn item(key: u64, number: u64) -> Item {
    Item(Thin::new(Counted::new(), &key.to_le_bytes(), &number.to_le_bytes()))
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

fn key_of(item: &Item) -> u64 {
    number(item.0.first())
}

/// Few different ones, so that searches go far.
fn hash_of(key: u64) -> u64 {
    ((key % 13) << 56) | (key % 5)
}

fn rehash(item: &Item) -> u64 {
    hash_of(key_of(item))
}

fn put(cells: &Cells<Item, ()>, key: u64, value: u64) {
    let mut locked = cells.lock();
    let place = locked.find(hash_of(key), &key.to_le_bytes()).map(|(place, _)| place);
    match place {
        Some(place) => drop(locked.replace(place, item(key, value))),
        None => locked.insert(hash_of(key), item(key, value), rehash),
    }
}

fn delete(cells: &Cells<Item, ()>, key: u64) {
    let mut locked = cells.lock();
    let place = locked.find(hash_of(key), &key.to_le_bytes()).map(|(place, _)| place);
    if let Some(place) = place {
        drop(locked.remove(place, rehash));
    }
}

fn get(cells: &Cells<Item, ()>, key: u64) -> Option<u64> {
    cells.get(hash_of(key), &key.to_le_bytes()).map(|it| number(it.0.second()))
}

#[test]
fn holds_what_a_map_would() {
    let cells = Cells::<Item, ()>::default();
    let mut map = HashMap::new();
    let mut state = 1_u64;
    for step in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Growing for a while, then shrinking.
        let (key, deletes) = ((state >> 33) % 300, if step / 2000 % 2 == 0 { 1 } else { 6 });
        if (state >> 20) % 8 < deletes {
            delete(&cells, key);
            map.remove(&key);
        } else {
            put(&cells, key, step);
            map.insert(key, step);
        }
        let asked = (state >> 40) % 300;
        assert_eq!(get(&cells, asked), map.get(&asked).copied());
    }
    let mut seen = HashMap::new();
    cells.for_each(|it| assert!(seen.insert(key_of(it), number(it.0.second())).is_none()));
    assert_eq!(seen, map);
    cells.lock().clear();
    cells.for_each(|_| panic!("it was cleared"));
}

#[test]
fn readers_always_find_what_is_always_there() {
    const KEPT: u64 = 40;
    let cells = Cells::<Item, ()>::default();
    (0..KEPT).for_each(|key| put(&cells, key, key));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for start in 0..3 {
            let (cells, stop) = (&cells, &stop);
            scope.spawn(move || {
                for key in (0..KEPT).cycle().skip(start) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let found = get(cells, key).expect("it is always there");
                    assert_eq!(found % KEPT, key);
                    if key == 0 {
                        let mut kept = 0;
                        cells.for_each(|it| kept += u64::from(key_of(it) < KEPT));
                        assert_eq!(kept, KEPT);
                    }
                }
            });
        }
        for round in 0..20_000 {
            // The array is made anew again and again.
            put(&cells, KEPT + round % 500, round);
            delete(&cells, KEPT + (round * 7) % 500);
            put(&cells, round % KEPT, round * KEPT + round % KEPT);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn several_changes_are_seen_together() {
    let cells = Cells::<Item, ()>::default();
    (0..2).for_each(|key| put(&cells, key, 0));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let first = get(&cells, 0);
                assert!(get(&cells, 1) >= first);
            }
        });
        for round in 1..20_000 {
            let mut locked = cells.lock();
            locked.hold_readers();
            let gone: Vec<_> = (0..2)
                .map(|key| {
                    let (place, _) = locked.find(hash_of(key), &key.to_le_bytes()).unwrap();
                    locked.replace(place, item(key, round))
                })
                .collect();
            drop(locked);
            drop(gone);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn everything_is_freed_in_the_end() {
    std::thread::spawn(|| {
        let cells = Cells::<Item, ()>::default();
        (0..5000).for_each(|round| put(&cells, round % 100, round));
    })
    .join()
    .unwrap();
    // Other tests have items and read meanwhile; they end.
    while ITEMS.load(Ordering::Relaxed) > 0 {
        rcu::tidy();
        std::thread::yield_now();
    }
}
