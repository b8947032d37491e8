//! What a power cut can leave of a disk.
//!
//! The device has what was synced. Of the rest it may have anything: each
//! write by itself, whole, in part, or not at all, in any order; a file may
//! have grown without its content; a name may be there or not. Two things are
//! assumed, as SQLite assumes them: a write changes no byte beside those it
//! writes, and what a completed sync covers stays.

use std::collections::BTreeMap;

use super::disk::Event;
use super::random::Random;

/// The record of a disk, with what is known about each event.
pub struct Record {
    pub events: Vec<Event>,
    /// From which event on the device surely has a write, truncation or name.
    sure: Vec<usize>,
}

/// The files of a directory.
pub type Files = BTreeMap<String, Vec<u8>>;

const SECTOR: usize = 512;

impl Record {
    pub fn new(events: Vec<Event>) -> Self {
        let mut sure = vec![usize::MAX; events.len()];
        let mut unsynced: Vec<(usize, usize)> = Vec::new();
        let mut names: Vec<usize> = Vec::new();
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::Write { inode, .. } | Event::Truncate { inode, .. } => {
                    unsynced.push((at, *inode));
                }
                Event::Made { durable: true, .. } => sure[at] = at,
                Event::Made { .. } | Event::Removed { .. } => names.push(at),
                Event::DirectorySynced { start } => names.retain(|&name| {
                    let is_covered = name < *start;
                    if is_covered {
                        sure[name] = at;
                    }
                    !is_covered
                }),
                Event::Synced { inode, start } => unsynced.retain(|&(write, of)| {
                    let is_covered = of == *inode && write < *start;
                    if is_covered {
                        sure[write] = at;
                    }
                    !is_covered
                }),
                // Those stay unsure for ever.
                Event::SyncFailed { inode, start } => {
                    unsynced.retain(|&(write, of)| of != *inode || write >= *start);
                }
                _ => {}
            }
        }
        Self { events, sure }
    }

    /// What a worker had begun and what it had been told is done before the
    /// cut.
    pub fn progress(&self, cut: usize, worker: usize) -> (usize, usize) {
        let (mut began, mut done) = (0, 0);
        for event in &self.events[..cut] {
            match *event {
                Event::Began { worker: of, step } if of == worker => began = step,
                Event::Done { worker: of, step } if of == worker => done = step,
                _ => {}
            }
        }
        (began, done)
    }

    /// What could be there after a cut before the event `cut`.
    pub fn state(&self, cut: usize, random: &mut Random) -> Files {
        let mut choice = Choice::new(self, cut, random);
        let mut inodes: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        // Names that stay as they are on the device from here on.
        let mut frozen: Vec<&str> = Vec::new();
        for (at, event) in self.events[..cut].iter().enumerate() {
            let is_sure = self.sure[at] < cut;
            match event {
                Event::Made { inode, name, content, .. } => {
                    inodes.insert(*inode, content.clone());
                    if is_sure || !frozen.contains(&&**name) && choice.takes_name() {
                        names.insert(name, *inode);
                    } else {
                        frozen.push(name);
                    }
                }
                Event::Removed { name } => {
                    if is_sure || !frozen.contains(&&**name) && choice.takes_name() {
                        names.remove(&**name);
                    } else {
                        frozen.push(name);
                    }
                }
                Event::Write { inode, offset, bytes } => {
                    let file = inodes.entry(*inode).or_default();
                    if is_sure {
                        put(file, *offset, bytes);
                    } else {
                        choice.write(at, file, *offset, bytes);
                    }
                }
                Event::Truncate { inode, size } => {
                    let file = inodes.entry(*inode).or_default();
                    if is_sure || choice.takes(at) {
                        file.resize(*size, 0);
                    }
                }
                _ => {}
            }
        }
        names.into_iter().map(|(name, inode)| (name.to_owned(), inodes[&inode].clone())).collect()
    }

    /// The events that are not sure before a cut, in order.
    fn unsure(&self, cut: usize) -> Vec<usize> {
        (0..cut)
            .filter(|&at| {
                matches!(self.events[at], Event::Write { .. } | Event::Truncate { .. })
                    && self.sure[at] >= cut
            })
            .collect()
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// What becomes of the unsure writes.
#[derive(Clone, Copy)]
enum Fate {
    Nothing,
    Everything,
    /// Those before this one; that one in part.
    UpTo(usize),
    /// Those from this one on.
    From(usize),
    AllBut(usize),
    Only(usize),
    /// Each by itself: so many of 8 are there, so many of 8 in part.
    Each {
        whole: usize,
        torn: usize,
    },
}

/// What becomes of a file whose growth came through and whose content did not.
#[derive(Clone, Copy)]
enum Growth {
    None,
    Zeros,
    Garbage,
}

struct Choice<'a> {
    random: &'a mut Random,
    fate: Fate,
    growth: Growth,
    takes_names: Option<bool>,
}

impl<'a> Choice<'a> {
    fn new(record: &Record, cut: usize, random: &'a mut Random) -> Self {
        let unsure = record.unsure(cut);
        let one =
            |random: &mut Random| unsure.get(random.below(unsure.len())).copied().unwrap_or(0);
        let fate = match random.below(12) {
            0 => Fate::Nothing,
            1 => Fate::Everything,
            2 | 3 => Fate::UpTo(one(random)),
            4 => Fate::From(one(random)),
            5 => Fate::AllBut(one(random)),
            6 => Fate::Only(one(random)),
            7 => Fate::UpTo(unsure.last().copied().unwrap_or(0)),
            8 => Fate::Each { whole: 0, torn: 8 },
            9 => Fate::Each { whole: 7, torn: 0 },
            _ => Fate::Each { whole: random.below(8), torn: random.below(4) },
        };
        let growth = random.pick(&[Growth::None, Growth::Zeros, Growth::Garbage]);
        let takes_names = random.pick(&[Some(false), Some(true), Some(true), None]);
        Self { random, fate, growth, takes_names }
    }

    fn takes_name(&mut self) -> bool {
        self.takes_names.unwrap_or_else(|| self.random.once_in(2))
    }

    fn takes(&mut self, at: usize) -> bool {
        match self.fate {
            Fate::Nothing => false,
            Fate::Everything => true,
            Fate::UpTo(last) => at < last,
            Fate::From(first) => at >= first,
            Fate::AllBut(one) => at != one,
            Fate::Only(one) => at == one,
            Fate::Each { whole, .. } => self.random.below(8) < whole,
        }
    }

    fn tears(&mut self, at: usize) -> bool {
        match self.fate {
            Fate::UpTo(last) => at == last,
            Fate::Each { torn, .. } => self.random.below(8) < torn,
            _ => false,
        }
    }

    fn write(&mut self, at: usize, file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
        if self.takes(at) {
            put(file, offset, bytes);
        } else if self.tears(at) {
            self.tear(file, offset, bytes);
        } else {
            self.grow(file, offset, bytes.len());
        }
    }

    /// Writes some of the sectors, and of one of them a part.
    fn tear(&mut self, file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
        self.grow(file, offset, bytes.len());
        let sectors = bytes.len().div_ceil(SECTOR);
        let in_order = self.random.once_in(2);
        let some = self.random.below(sectors);
        let mut from = 0;
        for sector in 0..=sectors {
            // At the sectors of the device, not of the write.
            let end = ((offset / SECTOR + sector + 1) * SECTOR).saturating_sub(offset);
            let end = end.min(bytes.len());
            if from >= end {
                break;
            }
            let is_there = if in_order { sector < some } else { self.random.once_in(2) };
            if sector == some {
                let part = from + self.random.below(end - from);
                put(file, offset + from, &bytes[from..part]);
            } else if is_there {
                put(file, offset + from, &bytes[from..end]);
            }
            from = end;
        }
    }

    fn grow(&mut self, file: &mut Vec<u8>, offset: usize, len: usize) {
        let before = file.len();
        if offset + len <= before {
            return;
        }
        match self.growth {
            Growth::None => {}
            Growth::Zeros => file.resize(offset + len, 0),
            Growth::Garbage => {
                file.resize(offset + len, 0);
                let seed = self.random.next() as u8 | 1;
                for (place, byte) in file[before..].iter_mut().enumerate() {
                    *byte = (place as u8).wrapping_mul(seed) ^ seed;
                }
            }
        }
    }
}
