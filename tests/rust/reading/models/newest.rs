//! Of the table of the newest version: readers beside one who shows others.

use super::{BOTH, Model};
use crate::kernel::{Kernel, reader, writer};
use crate::memory::{Mark, live};
use crate::platform::newest::{Change, Line, Shown, Version};
use crate::platform::sync::Mutex;
use crate::platform::thin::Thin;

pub fn models() -> Vec<Model> {
    // No kernel is asked for anything.
    let model = |name, body| Model { name, body, fewer: 0, kernels: &[Kernel::Fences] };
    vec![
        model("a_value_is_replaced", a_value_is_replaced),
        model("a_value_is_replaced_twice", a_value_is_replaced_twice),
        model("a_value_takes_the_place_of_another", a_value_takes_the_place_of_another),
        model("a_value_moves_up", a_value_moves_up),
        model("a_value_moves_to_where_two_were", a_value_moves_to_where_two_were),
        Model { fewer: 1, ..model("a_table_that_grows", a_table_that_grows) },
        model("a_version_that_is_published", a_version_that_is_published),
    ]
}

/// A key, and what a reader must not meet after its end.
struct Item {
    key: u8,
    mark: Mark,
}

/// Values by their keys.
#[derive(Clone, Default)]
struct Values(Option<Thin<Vec<Thin<Item>>>>);

impl Values {
    fn of<const N: usize>(items: [Thin<Item>; N]) -> Self {
        Self(Some(Thin::new(items.into(), &[], &[])))
    }

    fn iter(&self) -> impl Iterator<Item = &Thin<Item>> {
        self.0.iter().flat_map(|items| items.head())
    }

    fn get(&self, key: u8) -> Option<&Thin<Item>> {
        self.iter().find(|item| item.head().key == key)
    }
}

impl Version for Values {
    type Head = Item;

    fn differences(&self, before: &Self, give: &mut dyn FnMut(Change<'_, Item>)) {
        for value in before.iter() {
            let now = self.get(value.head().key);
            if now.is_none_or(|now| !now.is_same(value)) {
                give(Change { before: Some(value), now });
            }
        }
        for value in self.iter().filter(|value| before.get(value.head().key).is_none()) {
            give(Change { before: None, now: Some(value) });
        }
    }
}

fn item(key: u8) -> Thin<Item> {
    Thin::new(Item { key, mark: Mark::new() }, &[], &[])
}

/// All belong to one place, and one has another hash.
fn hash(item: &Item) -> u64 {
    hash_of(item.key)
}

fn hash_of(key: u8) -> u64 {
    u64::from(key / 100) << 40
}

/// A version with what it has, and the way to that.
struct Held {
    shown: Shown<Values>,
    values: Values,
}

fn show(line: &mut Line<Values>, values: Values) -> Thin<Held> {
    let (shown, _) = line.show(values.clone(), hash);
    Thin::new(Held { shown, values }, &[], &[])
}

impl Held {
    /// Looks for a key, and tells whether it was found.
    fn look(&self, key: u8) -> bool {
        let found = self.shown.find(hash_of(key), |item| {
            item.mark.touch();
            item.key == key
        });
        if let Some(found) = &found {
            assert!(self.values.get(key).unwrap().is_same(found), "another version's");
            found.head().mark.touch();
        }
        found.is_some()
    }
}

/// A reader looks for `keys` in a version; meanwhile others are shown, and what
/// only they have goes with them.
fn meanwhile<const N: usize>(
    first: Values,
    keys: [u8; N],
    others: impl FnOnce(&mut Line<Values>) + 'static,
) {
    let mut line = Line::default();
    let held = show(&mut line, first);
    let reading = reader(move || keys.into_iter().for_each(|key| _ = held.head().look(key)));
    let writing = writer(move || others(&mut line));
    reading.join().unwrap();
    writing.join().unwrap();
    assert_eq!(live(), 0, "things that were not freed");
}

fn a_value_is_replaced() {
    meanwhile(Values::of([item(1)]), [1, 1], |line| {
        drop(show(line, Values::of([item(1)])));
    });
}

fn a_value_is_replaced_twice() {
    meanwhile(Values::of([item(1)]), [1], |line| {
        drop(show(line, Values::of([item(1)])));
        drop(show(line, Values::of([item(1)])));
    });
}

/// One goes, another one comes, and the first one's equal comes back.
fn a_value_takes_the_place_of_another() {
    meanwhile(Values::of([item(1)]), [1], |line| {
        drop(show(line, Values::of([item(2)])));
        drop(show(line, Values::of([item(1)])));
    });
}

fn a_value_moves_up() {
    let second = item(2);
    meanwhile(Values::of([item(1), second.clone()]), [2], move |line| {
        drop(show(line, Values::of([second])));
        drop(show(line, Values::of([item(3)])));
    });
}

/// Were it as it was, it would seem that nobody had been there meanwhile.
fn a_value_moves_to_where_two_were() {
    let second = item(2);
    meanwhile(Values::of([item(1), second.clone()]), [1], move |line| {
        drop(show(line, Values::of([item(1), second.clone()])));
        drop(show(line, Values::of([second])));
    });
}

fn a_table_that_grows() {
    let (first, second) = (item(1), item(100));
    meanwhile(Values::of([first.clone(), second.clone()]), [100], move |line| {
        drop(show(line, Values::of([first, second, item(2)])));
        drop(show(line, Values::of([item(1), item(3)])));
    });
}

/// Who gets the newest version finds all that it has.
fn a_version_that_is_published() {
    let mut line = Line::default();
    let current = Thin::new(Mutex::new(show(&mut line, Values::of([item(1)]))), &[], &[]);
    let reading = reader({
        let current = current.clone();
        move || {
            let held = Thin::clone(&current.head().lock());
            // Not the newest any more, most often.
            drop(current);
            if held.head().values.get(2).is_some() {
                assert!([1, 2].map(|key| held.head().look(key)) == [true; 2], "it was not found");
            } else {
                held.head().look(1);
            }
        }
    });
    let writing = writer(move || {
        let next = show(&mut line, Values::of([item(1), item(2)]));
        let before = std::mem::replace(&mut *current.head().lock(), next);
        drop(before);
    });
    reading.join().unwrap();
    writing.join().unwrap();
    assert_eq!(live(), 0, "things that were not freed");
}
