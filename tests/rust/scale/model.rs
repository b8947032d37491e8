//! A model of the keys of one thread, in one part of a database.
//!
//! What is done follows from the random numbers and the model alone, so another
//! process can tell what the model was by doing the same without a database.

use std::fmt::Write;

use acervo::kv::{Batch, Kv};
use acervo::value::{Value, put_int, put_string};

use crate::common::random::Random;

/// Milliseconds after which what is short-lived is gone.
pub const SHORT: u64 = 60;
const LONG_MS: i64 = 24 * 3600 * 1000;
/// Keys that one prefix deletes.
const GROUP: usize = 64;
/// Largest batch.
const LARGE: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    Int(i64),
    /// A text that follows from this number.
    Text(u32),
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Forever,
    Long,
    /// It is gone in the next round, and somewhere in this one.
    Short,
}

impl Life {
    fn ttl(self) -> Option<i64> {
        match self {
            Self::Forever => None,
            Self::Long => Some(LONG_MS),
            Self::Short => Some(SHORT as i64),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    held: Held,
    life: Life,
}

const NOTHING: Slot = Slot { held: Held::Nothing, life: Life::Forever };

impl Slot {
    fn is_there(self) -> bool {
        self.held != Held::Nothing
    }

    /// Appends the value's canonical bytes.
    fn append(self, out: &mut Vec<u8>) {
        match self.held {
            Held::Nothing => {}
            Held::Int(value) => put_int(out, value),
            Held::Text(seed) => {
                // Few are large: those go other ways through memory.
                let len = match seed % 512 {
                    0 => 300 + seed as usize % 3000,
                    _ => seed as usize % 40,
                };
                let digits = format!("{seed:09}");
                let text: Vec<u8> = digits.bytes().cycle().take(len).collect();
                put_string(out, &text);
            }
        }
    }

    fn value(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(&mut out);
        out
    }
}

/// What there is: keys, and the bytes that these and their values have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub keys: usize,
    pub bytes: usize,
}

/// How often what is done, one in so many.
#[derive(Clone, Copy)]
pub struct Mix {
    pub batch: usize,
    pub prefix: usize,
}

/// A write for each key, or many small ones.
pub const REGISTRY: Mix = Mix { batch: 400, prefix: 20_000 };
/// Commits of many keys.
pub const STORE: Mix = Mix { batch: 4, prefix: 400 };

/// The keys of one thread.
pub struct Keys {
    prefix: String,
    slots: Vec<Slot>,
    random: Random,
}

impl Keys {
    pub fn new(prefix: &str, len: usize, seed: u64) -> Self {
        // Of others with the same seed it differs by its name.
        let seed = prefix.bytes().fold(seed, |seed, byte| seed * 131 + u64::from(byte));
        Self { prefix: prefix.to_owned(), slots: vec![NOTHING; len], random: Random::new(seed) }
    }

    pub fn prefix(&self) -> &[u8] {
        self.prefix.as_bytes()
    }

    fn write_key(&self, n: usize, key: &mut String) {
        key.clear();
        let _ = write!(key, "{}g{}:{n}", self.prefix, n / GROUP);
        if n.is_multiple_of(11) {
            // Longer than what is compared as two words.
            key.push_str(":of a name that is long enough for two lines of a cache");
        }
    }

    fn key(&self, n: usize) -> String {
        let mut key = String::new();
        self.write_key(n, &mut key);
        key
    }

    /// What is held, as [`Sum`] counts it.
    pub fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        let (mut key, mut value) = (String::new(), Vec::new());
        for (n, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.is_there()) {
            self.write_key(n, &mut key);
            value.clear();
            slot.append(&mut value);
            sum.keys += 1;
            sum.bytes += key.len() + value.len();
        }
        sum
    }

    /// Whatever is short-lived is gone.
    pub fn settle(&mut self) {
        for slot in &mut self.slots {
            if slot.life == Life::Short {
                *slot = NOTHING;
            }
        }
    }

    /// Everything was deleted.
    pub fn clear(&mut self) {
        self.slots.fill(NOTHING);
    }

    /// When each key was written last, in seconds, as `kv` tells.
    pub fn times(&self, kv: &Kv) -> Vec<i64> {
        let time = |n| kv.get(self.key(n).as_bytes()).unwrap().map(|value| value.timestamp());
        (0..self.slots.len()).filter_map(time).collect()
    }

    /// Forgets those that `is_gone` by their value in `kv`. Tells how many.
    pub fn forget(&mut self, kv: &Kv, is_gone: impl Fn(&Value) -> bool) -> u64 {
        let mut gone = 0;
        for n in 0..self.slots.len() {
            if kv.get(self.key(n).as_bytes()).unwrap().is_some_and(|value| is_gone(&value)) {
                self.slots[n] = NOTHING;
                gone += 1;
            }
        }
        gone
    }

    /// Puts a value under every key.
    pub fn put_all(&mut self, kv: Option<&Kv>) {
        let (mut key, mut value) = (String::new(), Vec::new());
        for n in 0..self.slots.len() {
            let held = Held::Text(self.random.next() as u32);
            self.slots[n] = Slot { held, life: Life::Forever };
            if let Some(kv) = kv {
                self.write_key(n, &mut key);
                value.clear();
                self.slots[n].append(&mut value);
                kv.put(key.as_bytes(), &value, None).unwrap();
            }
        }
    }

    /// As [`Keys::put_all`], in large batches.
    pub fn put_all_in_batches(&mut self, kv: Option<&Kv>) {
        let mut from = 0;
        while from < self.slots.len() {
            let to = self.slots.len().min(from + 1 + self.random.below(LARGE));
            let mut batch = Batch::new();
            for n in from..to {
                let held = Held::Text(self.random.next() as u32);
                self.slots[n] = Slot { held, life: Life::Forever };
                if kv.is_some() {
                    let value = self.slots[n].value();
                    batch.put(self.key(n).as_bytes(), &value, None, 1 << 20).unwrap();
                }
            }
            if let Some(kv) = kv {
                kv.commit(&batch).unwrap();
            }
            from = to;
        }
    }

    /// Deletes every key, one by one.
    pub fn delete_all(&mut self, kv: Option<&Kv>) {
        let mut key = String::new();
        for n in 0..self.slots.len() {
            self.slots[n] = NOTHING;
            if let Some(kv) = kv {
                self.write_key(n, &mut key);
                kv.delete(key.as_bytes()).unwrap();
            }
        }
    }

    /// Does so many things of every kind.
    pub fn work(&mut self, kv: Option<&Kv>, steps: usize, mix: Mix) {
        for _ in 0..steps {
            if self.random.once_in(mix.batch) {
                self.batch(kv);
            } else if self.random.once_in(mix.prefix) {
                self.delete_group(kv);
            } else {
                self.write_one(kv);
            }
        }
    }

    fn fresh(&mut self) -> Slot {
        let held = match self.random.below(2) {
            0 => Held::Int(self.random.next() as i64 >> self.random.below(64)),
            _ => Held::Text(self.random.next() as u32),
        };
        let life = match self.random.below(20) {
            0 => Life::Short,
            1 => Life::Long,
            _ => Life::Forever,
        };
        Slot { held, life }
    }

    fn write_one(&mut self, kv: Option<&Kv>) {
        let n = self.random.below(self.slots.len());
        let key = self.key(n);
        let key = key.as_bytes();
        let slot = self.slots[n];
        // What may be gone or not is only replaced.
        let kind = match slot.life {
            Life::Short => self.random.below(12),
            _ => self.random.below(20),
        };
        match kind {
            0..8 => {
                let fresh = self.fresh();
                self.slots[n] = fresh;
                if let Some(kv) = kv {
                    kv.put(key, &fresh.value(), fresh.life.ttl()).unwrap();
                }
            }
            8..12 => {
                self.slots[n] = NOTHING;
                if let Some(kv) = kv {
                    kv.delete(key).unwrap();
                }
            }
            12..15 => {
                let by = self.random.below(1000) as i64 - 500;
                let sum = match slot.held {
                    Held::Nothing => Some(by),
                    Held::Int(value) => value.checked_add(by),
                    Held::Text(_) => None,
                };
                if let Some(sum) = sum {
                    self.slots[n].held = Held::Int(sum);
                }
                if let Some(kv) = kv {
                    assert_eq!(kv.incr_int(key, by).ok(), sum, "incr of {slot:?}");
                }
            }
            15..18 => {
                let is_right = self.random.below(4) > 0;
                let new = Slot { life: slot.life, ..self.fresh() };
                if is_right {
                    self.slots[n] = new;
                }
                if let Some(kv) = kv {
                    // Nothing that was put is as large.
                    let expected = if is_right { slot.value() } else { vec![0xc3] };
                    let expected = (!expected.is_empty()).then_some(&expected[..]);
                    let stored = kv.cas(key, expected, &new.value()).unwrap();
                    assert_eq!(stored, is_right, "cas of {slot:?}");
                }
            }
            _ => {
                let is_there = slot.is_there();
                self.slots[n] = NOTHING;
                if let Some(kv) = kv {
                    let expected = if is_there { slot.value() } else { vec![0xc3] };
                    let gone = kv.cas_delete(key, &expected).unwrap();
                    assert_eq!(gone, is_there, "cas_delete of {slot:?}");
                }
            }
        }
    }

    /// Puts and deletes several at once; the same key may come again.
    fn batch(&mut self, kv: Option<&Kv>) {
        let most = if self.random.once_in(20) { LARGE } else { 200 };
        let mut batch = Batch::new();
        for _ in 0..1 + self.random.below(most) {
            let n = self.random.below(self.slots.len());
            let key = self.key(n);
            if self.random.below(4) > 0 {
                let fresh = self.fresh();
                self.slots[n] = fresh;
                if kv.is_some() {
                    let (value, ttl) = (fresh.value(), fresh.life.ttl());
                    batch.put(key.as_bytes(), &value, ttl, 1 << 20).unwrap();
                }
            } else {
                self.slots[n] = NOTHING;
                if kv.is_some() {
                    batch.delete(key.as_bytes()).unwrap();
                }
            }
        }
        if let Some(kv) = kv {
            kv.commit(&batch).unwrap();
        }
    }

    fn delete_group(&mut self, kv: Option<&Kv>) {
        let group = self.random.below(self.slots.len().div_ceil(GROUP));
        let to = self.slots.len().min((group + 1) * GROUP);
        let gone = &mut self.slots[group * GROUP..to];
        let there = gone.iter().filter(|slot| slot.is_there()).count() as u64;
        let short = gone.iter().filter(|slot| slot.life == Life::Short).count() as u64;
        gone.fill(NOTHING);
        if let Some(kv) = kv {
            let count = kv.delete_prefix(format!("{}g{group}:", self.prefix).as_bytes()).unwrap();
            assert!((there - short..=there).contains(&count), "{count} of {there}");
        }
    }

    /// What is wrong in `kv`: every key has to have its value and whether it
    /// expires, and no other key has the prefix.
    pub fn compare(&self, kv: &Kv) -> Result<(), String> {
        let mut wrong = 0;
        let mut shown = String::new();
        let (mut key, mut value) = (String::new(), Vec::new());
        let mut names = Vec::new();
        for (n, slot) in self.slots.iter().enumerate() {
            assert_ne!(slot.life, Life::Short, "the model has to be settled");
            self.write_key(n, &mut key);
            value.clear();
            slot.append(&mut value);
            let found = kv.get(key.as_bytes()).unwrap();
            let bytes = found.as_ref().map(Value::as_bytes);
            let expires = found.as_ref().is_some_and(|it| it.stamp().expires_at != 0);
            if bytes != slot.is_there().then_some(&value[..])
                || expires != (slot.is_there() && slot.life == Life::Long)
            {
                wrong += 1;
                if wrong <= 3 {
                    let found = found.as_ref().map(|it| (it.to_json(), expires));
                    let _ = write!(shown, "\n  {key}: {slot:?} is {found:?}");
                }
            }
            if slot.is_there() {
                names.push(key.clone().into_bytes().into_boxed_slice());
            }
        }
        if wrong > 0 {
            let all = self.slots.len();
            return Err(format!("{wrong} of {all} keys of {} are wrong:{shown}", self.prefix));
        }
        names.sort_unstable();
        let listed = kv.keys(self.prefix()).unwrap();
        let count = kv.count(self.prefix()).unwrap();
        if listed != names || count != names.len() as u64 {
            let (there, listed) = (names.len(), listed.len());
            return Err(format!(
                "{} has {there} keys, {listed} are listed and {count} counted",
                self.prefix
            ));
        }
        Ok(())
    }
}

/// What a key costs beside its bytes and those of its value, as `stats` counts
/// it.
pub fn overhead() -> usize {
    let db = crate::common::Scratch::memory();
    db.registry().put(b"key", Value::nil().as_bytes(), None).unwrap();
    crate::common::stat(&db, "bytes") as usize - 4
}
