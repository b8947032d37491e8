//! The newest of many versions, as one table that leads to its values at once.
//!
//! A version finds its values by following a tree of its own, and every level
//! of that may be a wait for memory. So what changes from one version to the
//! next is also written into a table that all of them share, with the number
//! of the version that it came with. Whoever holds a version and finds there
//! something that came with it, or before, has found what the version itself
//! would give: had it been replaced before that version, it would not be there,
//! and a version that came later and replaced it has left its own number. What
//! is not found so is looked for in the version.
//!
//! The table counts nothing that it points to. What a reader takes from it is
//! held by the version that the reader holds.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;

use super::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};
use super::thin::Thin;

/// An unchanging set of counted values.
///
/// What `differences` gives must be everything in which two sets differ: that
/// what is not among it is held by both is what readers rely on.
pub(crate) trait Version: Clone + Default {
    type Head;

    /// Gives each value of `before` that is not here, and what is in its place
    /// here, if anything is; and each that is only here.
    fn differences(&self, before: &Self, give: &mut dyn FnMut(Change<'_, Self::Head>));
}

/// What was in a place before, and what is there now.
pub(crate) struct Change<'a, H> {
    pub(crate) before: Option<&'a Thin<H>>,
    pub(crate) now: Option<&'a Thin<H>>,
}

/// A place: half a hash and the number of the version that its value came with,
/// and the value.
struct Place {
    mark: AtomicU64,
    value: AtomicPtr<()>,
}

/// A place without a value.
const EMPTY: u64 = 0;
/// Of a place that is being written: no version has such a number.
const BUSY: u64 = NUMBERS as u64;
/// Numbers from 1 up to this one are those of versions.
const NUMBERS: u32 = u32::MAX;

fn mark(tag: u32, number: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(number)
}

fn tag_of(mark: u64) -> u32 {
    (mark >> 32) as u32
}

/// What of a hash is kept. Where a value belongs is told by its lower bits.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Place {
    fn empty() -> Self {
        Self { mark: AtomicU64::new(EMPTY), value: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Readers may be between any two of these.
    fn write(&self, mark: u64, value: *mut ()) {
        self.mark.store(BUSY, Ordering::Relaxed);
        fence(Ordering::Release);
        self.value.store(value, Ordering::Relaxed);
        self.mark.store(mark, Ordering::Release);
    }
}

/// Places, of which at least half are empty.
struct Places {
    places: Box<[Place]>,
    /// Those that became too small, from a box; or null. Somebody may still read
    /// them: they stay as they were, which is right for all versions that may be
    /// looked for there.
    smaller: AtomicPtr<Places>,
}

/// Places in the smallest table.
const SMALLEST: usize = 4;

impl Places {
    /// So many, in a box.
    fn boxed(len: usize, smaller: *mut Places) -> *mut Self {
        let places = (0..len).map(|_| Place::empty()).collect();
        Box::into_raw(Box::new(Self { places, smaller: AtomicPtr::new(smaller) }))
    }

    #[inline]
    fn mask(&self) -> usize {
        self.places.len() - 1
    }

    /// The place `step` places behind where `tag` belongs.
    #[inline]
    fn at(&self, tag: u32, step: usize) -> &Place {
        let at = (tag as usize).wrapping_add(step) & self.mask();
        // SAFETY: their number is a power of two, so what is below it.
        unsafe { self.places.get_unchecked(at) }
    }

    /// Has the processor fetch where `tag` belongs.
    #[inline]
    fn prefetch(&self, tag: u32) {
        Thin::<()>::prefetch(ptr::from_ref(self.at(tag, 0)).cast());
    }

    /// Puts a value into the first empty place.
    fn put(&self, mark: u64, value: *mut ()) {
        let places = (0..self.places.len()).map(|step| self.at(tag_of(mark), step));
        // There always is one.
        for place in places {
            if place.mark.load(Ordering::Relaxed) == EMPTY {
                return place.write(mark, value);
            }
        }
    }

    /// Which place has this value.
    fn position(&self, tag: u32, value: *mut ()) -> Option<usize> {
        for step in 0..self.places.len() {
            let place = self.at(tag, step);
            let mark = place.mark.load(Ordering::Relaxed);
            if tag_of(mark) == tag && place.value.load(Ordering::Relaxed) == value && mark != EMPTY
            {
                return Some((tag as usize).wrapping_add(step) & self.mask());
            }
            if mark == EMPTY {
                break;
            }
        }
        None
    }

    /// Empties a place. What stands behind moves up, so that no search ends at
    /// the hole; readers of older versions look elsewhere for it.
    fn remove(&self, mut hole: usize, number: u32) {
        let mask = self.mask();
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let tag = match self.places[at].mark.load(Ordering::Relaxed) {
                EMPTY => break,
                found => tag_of(found),
            };
            let home = tag as usize & mask;
            // Whether its search comes by the hole.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                let value = self.places[at].value.load(Ordering::Relaxed);
                self.places[hole].write(mark(tag, number), value);
                hole = at;
            }
        }
        self.places[hole].mark.store(EMPTY, Ordering::Release);
    }
}

/// The table.
struct Table<H> {
    /// From a box of its own.
    places: AtomicPtr<Places>,
    _of: PhantomData<Thin<H>>,
}

impl<H> Table<H> {
    fn new() -> Self {
        let places = Places::boxed(SMALLEST, ptr::null_mut());
        Self { places: AtomicPtr::new(places), _of: PhantomData }
    }

    #[inline]
    fn places(&self) -> &Places {
        // SAFETY: from a box, which is freed with the table only.
        unsafe { &*self.places.load(Ordering::Acquire) }
    }

    /// Doubles the places. One writer at a time. Those there were stay, unless
    /// nobody has `readers` of the table yet.
    fn grow(&self, readers: bool) {
        let smaller = self.places.load(Ordering::Relaxed);
        // SAFETY: from a box, which only the one who writes frees.
        let places = unsafe { &(*smaller).places };
        let kept = if readers { smaller } else { ptr::null_mut() };
        let larger = Places::boxed(places.len() * 2, kept);
        for place in places {
            let mark = place.mark.load(Ordering::Relaxed);
            if mark != EMPTY {
                // SAFETY: from such a box, and nobody has it yet.
                unsafe { &*larger }.put(mark, place.value.load(Ordering::Relaxed));
            }
        }
        self.places.store(larger, Ordering::Release);
        if !readers {
            // SAFETY: from such a box, and nobody has looked into it.
            drop(unsafe { Box::from_raw(smaller) });
        }
    }
}

impl<H> Drop for Table<H> {
    fn drop(&mut self) {
        let mut places = self.places.load(Ordering::Relaxed);
        while !places.is_null() {
            // SAFETY: from such a box; nobody has the table any more.
            let gone = unsafe { Box::from_raw(places) };
            places = gone.smaller.load(Ordering::Relaxed);
        }
    }
}

/// A version that was shown, and the way to its values by the table.
pub(crate) struct Shown<V: Version> {
    /// Holds what is found.
    _version: V,
    number: u32,
    table: Thin<Table<V::Head>>,
}

impl<V: Version> Shown<V> {
    /// The value with this hash that `is_it`, if the table has it for this
    /// version. If not, the version may still have one.
    #[inline]
    pub(crate) fn find(
        &self,
        hash: u64,
        is_it: impl Fn(&V::Head) -> bool,
    ) -> Option<Thin<V::Head>> {
        let places = self.table.head().places();
        let tag = tag(hash);
        for step in 0..places.places.len() {
            let place = places.at(tag, step);
            let mark = place.mark.load(Ordering::Acquire);
            if mark == EMPTY {
                break;
            }
            if tag_of(mark) != tag || mark as u32 > self.number {
                continue;
            }
            let value = place.value.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            // No mark comes back: the number of what is written grows.
            if place.mark.load(Ordering::Relaxed) != mark {
                continue;
            }
            // SAFETY: both belong together, and the number is not above ours: so
            // our version has the value, and holds it.
            if is_it(unsafe { Thin::head_at(value) }) {
                // SAFETY: as above; what is not dropped gives no count up.
                let value = unsafe { Thin::from_raw(value) };
                return Some(Thin::clone(&ManuallyDrop::new(value)));
            }
        }
        None
    }
}

/// Shows versions, one after the other.
pub(crate) struct Line<V: Version> {
    /// What the table has.
    last: V,
    table: Thin<Table<V::Head>>,
    len: usize,
    /// That of `last`.
    number: u32,
    /// The last one there may be.
    limit: u32,
    /// Not while the table is between two versions.
    is_whole: bool,
}

impl<V: Version> Default for Line<V> {
    fn default() -> Self {
        Self::with_numbers(NUMBERS - 1)
    }
}

impl<V: Version> Line<V> {
    fn with_numbers(limit: u32) -> Self {
        Self {
            last: V::default(),
            table: Thin::new(Table::new(), &[], &[]),
            len: 0,
            number: 0,
            limit,
            is_whole: true,
        }
    }

    /// Shows a version: what this gives is for who holds it, and it is not to be
    /// published before. `hash` is the same whenever it is asked for. Also gives
    /// the version before.
    pub(crate) fn show(&mut self, version: V, hash: impl Fn(&V::Head) -> u64) -> (Shown<V>, V) {
        let is_of_use = self.is_whole && self.number < self.limit;
        if !is_of_use || !self.show_differences(&version, &hash) {
            // A table of which no number was used. Versions that were shown keep
            // the other one.
            let last = std::mem::take(&mut self.last);
            *self = Self::with_numbers(self.limit);
            self.show_differences(&version, &hash);
            self.last = last;
        }
        let shown = Shown {
            _version: version.clone(),
            number: self.number,
            table: Thin::clone(&self.table),
        };
        (shown, std::mem::replace(&mut self.last, version))
    }

    /// False if the table does not have what the last version has.
    fn show_differences(&mut self, version: &V, hash: &impl Fn(&V::Head) -> u64) -> bool {
        self.number += 1;
        self.is_whole = false;
        let Self { last, table, len, number, .. } = self;
        let mut writer = Writer { table: table.head(), len: *len, number: *number };
        let tag_of = |value: *mut ()| {
            // SAFETY: one of the two versions holds it.
            tag(hash(unsafe { Thin::head_at(value) }))
        };
        let mut is_right = true;
        let (mut steps, mut waiting) = ([Step::NONE; AT_ONCE], 0);
        version.differences(last, &mut |change| {
            let step = Step::of(&change);
            // What comes to a place most often has the hash of what was there.
            let tag = tag_of(if step.now.is_null() { step.before } else { step.now });
            writer.table.places().prefetch(tag);
            steps[waiting] = Step { tag, ..step };
            waiting += 1;
            if waiting == AT_ONCE {
                waiting = 0;
                steps.iter().for_each(|step| is_right &= writer.take(step, tag_of));
            }
        });
        steps[..waiting].iter().for_each(|step| is_right &= writer.take(step, tag_of));
        *len = writer.len;
        self.is_whole = is_right;
        is_right
    }
}

/// How many steps wait together for the memory of their places.
const AT_ONCE: usize = 16;

/// A change of the table: pointers are null where there is nothing.
#[derive(Clone, Copy)]
struct Step {
    tag: u32,
    before: *mut (),
    now: *mut (),
}

impl Step {
    const NONE: Self = Self { tag: 0, before: ptr::null_mut(), now: ptr::null_mut() };

    #[inline]
    fn of<H>(change: &Change<'_, H>) -> Self {
        let at = |value: Option<&Thin<H>>| {
            value.map_or(ptr::null_mut(), |value| value.as_ptr().cast_mut())
        };
        Self { tag: 0, before: at(change.before), now: at(change.now) }
    }
}

/// Who changes the table, one at a time.
struct Writer<'a, H> {
    table: &'a Table<H>,
    len: usize,
    number: u32,
}

impl<H> Writer<'_, H> {
    /// False if what was there before is not.
    #[inline]
    fn take(&mut self, step: &Step, tag_of: impl Fn(*mut ()) -> u32) -> bool {
        let &Step { tag, before, now } = step;
        if before.is_null() {
            self.add(tag, now);
            return true;
        }
        if let Some(place) = self.table.places().position(tag, before) {
            match now.is_null() {
                true => self.remove(place),
                false => self.table.places().places[place].write(mark(tag, self.number), now),
            }
            return true;
        }
        // It has another hash.
        match self.table.places().position(tag_of(before), before) {
            Some(place) => self.remove(place),
            None => return false,
        }
        self.add(tag, now);
        true
    }

    fn remove(&mut self, place: usize) {
        self.table.places().remove(place, self.number);
        self.len -= 1;
    }

    fn add(&mut self, tag: u32, value: *mut ()) {
        if (self.len + 1) * 2 > self.table.places().places.len() {
            // What came with the first number was shown to nobody.
            self.table.grow(self.number > 1);
        }
        self.table.places().put(mark(tag, self.number), value);
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;
    use crate::hashing::WEAK;

    /// Values by their keys.
    #[derive(Clone, Default)]
    struct Map(BTreeMap<u32, Thin<u32>>);

    impl Version for Map {
        type Head = u32;

        fn differences(&self, before: &Self, give: &mut dyn FnMut(Change<'_, u32>)) {
            for (key, value) in &before.0 {
                let now = self.0.get(key);
                if now.is_none_or(|now| !now.is_same(value)) {
                    give(Change { before: Some(value), now });
                }
            }
            for (key, value) in &self.0 {
                if !before.0.contains_key(key) {
                    give(Change { before: None, now: Some(value) });
                }
            }
        }
    }

    impl Map {
        fn put(&mut self, key: u32) {
            self.0.insert(key, Thin::new(key, &[], &[]));
        }
    }

    /// Few, so that many values belong to one place and wrap around the end;
    /// several keys have the same.
    fn hash(key: &u32) -> u64 {
        u64::from(key % 7) << 32 | u64::from(key % 7 / 3) << 63
    }

    /// [`hash`], or one of the weak hashes.
    fn hash_by(weak: Option<usize>) -> impl Fn(&u32) -> u64 {
        move |key| match weak {
            None => hash(key),
            Some(weak) => WEAK[weak].1(u64::from(*key).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        }
    }

    fn found(shown: &Shown<Map>) -> usize {
        found_of(shown, 40, hash)
    }

    /// Whether what is found is what the version has. Tells how much is.
    fn found_of(shown: &Shown<Map>, keys: u32, hash: impl Fn(&u32) -> u64) -> usize {
        (0..keys)
            .filter(|key| {
                let found = shown.find(hash(key), |value| value == key);
                if let Some(found) = &found {
                    assert!(shown._version.0[key].is_same(found));
                }
                found.is_some()
            })
            .count()
    }

    proptest! {
        #[test]
        fn every_version_finds_what_it_has_or_nothing_and_the_newest_finds_all(
            steps in prop::collection::vec(
                prop::collection::vec((0..40_u32, any::<bool>()), 0..20), 0..30),
            limit in 3..40_u32,
            weak in prop::option::of(0..WEAK.len()),
        ) {
            let hash = hash_by(weak);
            let found = |shown: &Shown<Map>| found_of(shown, 40, &hash);
            let mut line = Line::with_numbers(limit);
            let (mut map, mut all, mut len) = (Map::default(), Vec::new(), 0);
            for (step, changes) in steps.into_iter().enumerate() {
                for (key, comes) in changes {
                    if comes {
                        map.put(key);
                    } else {
                        map.0.remove(&key);
                    }
                }
                let (shown, before) = line.show(map.clone(), &hash);
                prop_assert_eq!(before.0.len(), len);
                prop_assert_eq!(found(&shown), map.0.len());
                len = map.0.len();
                all.push(shown);
                if step % 3 == 2 {
                    all.remove(step / 3 % all.len());
                }
                for shown in &all {
                    found(shown);
                }
            }
        }
    }

    #[test]
    fn thousands_are_found_by_weak_hashes_while_the_table_grows() {
        for (weak, (name, _)) in WEAK.iter().enumerate() {
            let hash = hash_by(Some(weak));
            let mut line = Line::default();
            let (mut map, mut all) = (Map::default(), Vec::new());
            for round in 0..12_u32 {
                (0..round * 200).for_each(|n| map.put((n * 7 + round) % 2000));
                (0..300).for_each(|n| _ = map.0.remove(&((n * 13 + round) % 2000)));
                let shown = line.show(map.clone(), &hash).0;
                assert_eq!(found_of(&shown, 2000, &hash), map.0.len(), "{name}");
                all.push(shown);
            }
            all.iter().for_each(|shown| _ = found_of(shown, 2000, &hash));
        }
    }

    #[test]
    fn a_version_shown_before_comes_back() {
        let mut line = Line::default();
        let (mut first, mut second) = (Map::default(), Map::default());
        (0..10).for_each(|key| first.put(key));
        (5..20).for_each(|key| second.put(key));
        let shown = [&first, &second, &first].map(|map| line.show(map.clone(), hash).0);
        assert_eq!(shown.each_ref().map(found), [0, 0, 10]);
    }

    #[test]
    fn readers_on_many_threads_find_what_their_version_has() {
        let mut line = Line::default();
        let published = Mutex::new(Arc::new(line.show(Map::default(), hash).0));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let shown = Arc::clone(&published.lock().unwrap());
                        (0..10).for_each(|_| _ = found(&shown));
                    }
                });
            }
            let mut map = Map::default();
            for round in 0..20_000_u32 {
                let key = round.wrapping_mul(2_654_435_761) >> 16;
                if round % 3 == 0 {
                    map.0.remove(&(key % 40));
                } else {
                    map.put(key % 40);
                }
                let shown = line.show(map.clone(), hash).0;
                *published.lock().unwrap() = Arc::new(shown);
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}
