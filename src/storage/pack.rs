//! Packs: many small rows of the log in one row of the table.
//!
//! SQLite spends microseconds on a row and next to nothing on its bytes. Rows
//! that are appended together are packed, as many as fit in a page; each keeps
//! a number of its own. A pack stands under the number of its last row, in the
//! space of its rows plus [`PACKED`], with their count where a row has its
//! time. A row in a pack is: length of the name and the name, length of the
//! value (0: deleted) and the value, time, expiry. Lengths and times are
//! unsigned LEB128; of negative times, which clocks before 1970 give, the bits
//! are taken as they are.

use super::StorageError;
use super::log::{Log, Row, RowRef};
use crate::value::Stamp;

/// Added to the space of a pack's rows.
pub(super) const PACKED: i64 = 2;
/// A pack fills a page of SQLite, less what the page and the row need.
const LIMIT: usize = 3900;
/// A larger row stands alone.
const LARGEST: usize = 1024;
/// Fewer rows than this stand alone.
const FEWEST: usize = 16;
/// Where fewer rows are appended at once, all stand alone: packs win nothing
/// there, and rows can be looked at with any SQLite.
const MANY: u64 = 256;

/// Appends rows under consecutive numbers, packing what may be packed.
pub(crate) struct Appender<'a> {
    log: &'a Log,
    /// The number of the next row.
    next: i64,
    packs: bool,
    /// Rows that are not in the table yet, of one space.
    space: i64,
    count: usize,
    bytes: Vec<u8>,
}

impl<'a> Appender<'a> {
    /// For rows from number `next` on, about `rows` of them.
    pub(crate) fn new(log: &'a Log, next: i64, rows: u64) -> Self {
        Self { log, next, packs: rows >= MANY, space: 0, count: 0, bytes: Vec::new() }
    }

    /// The number of the next row.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// Appends a row.
    pub(crate) fn append(&mut self, row: Row<'_>) -> Result<(), StorageError> {
        let len = row.name.len() + row.value.len();
        if !self.packs || len > LARGEST {
            self.write()?;
            self.log.append(self.next, row)?;
        } else {
            if self.count > 0 && (row.space != self.space || self.bytes.len() + len > LIMIT) {
                self.write()?;
            }
            self.space = row.space;
            encode(&mut self.bytes, row);
            self.count += 1;
        }
        self.next += 1;
        Ok(())
    }

    /// Appends a copy of the row that stands alone at `from`.
    pub(crate) fn append_copy(&mut self, from: i64) -> Result<(), StorageError> {
        self.write()?;
        self.log.append_copy(from, self.next)?;
        self.next += 1;
        Ok(())
    }

    /// Writes what is not in the table yet.
    pub(crate) fn write(&mut self) -> Result<(), StorageError> {
        let (count, last) = (std::mem::take(&mut self.count), self.next - 1);
        let written = if count >= FEWEST {
            self.log.append_pack(self.space, last, count, &self.bytes)
        } else {
            self.write_each(count)
        };
        self.bytes.clear();
        written
    }

    fn write_each(&self, count: usize) -> Result<(), StorageError> {
        let mut result = Ok(());
        let mut each = |row: RowRef<'_>| {
            if result.is_ok() {
                result = self.log.append(row.seq, row.row());
            }
        };
        // What was just encoded can be decoded.
        let _ = decode(self.space, self.next - 1, count as i64, &self.bytes, &mut each);
        result
    }
}

fn encode(pack: &mut Vec<u8>, row: Row<'_>) {
    for part in [row.name, row.value] {
        put(pack, part.len() as u64);
        pack.extend_from_slice(part);
    }
    put(pack, row.stamp.timestamp as u64);
    put(pack, row.stamp.expires_at as u64);
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(taken)
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let &[byte] = take(bytes, 1)? else { return None };
        let bits = u64::from(byte & 0x7f);
        // Of the tenth byte one bit is left.
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Gives the rows of a pack to `each`; `last` and `count` are the number and
/// the count it stands under.
///
/// What is wrong with the pack, if anything is; the rows before that were
/// given.
pub(super) fn decode(
    space: i64,
    last: i64,
    count: i64,
    mut pack: &[u8],
    mut each: impl FnMut(RowRef<'_>),
) -> Result<(), String> {
    let first = first_of(last, count)?;
    for seq in first..=last {
        let mut row = || {
            let len = take_number(&mut pack)?;
            let name = take(&mut pack, len)?;
            let len = take_number(&mut pack)?;
            let value = take(&mut pack, len)?;
            let timestamp = take_number(&mut pack)? as i64;
            let expires_at = take_number(&mut pack)? as i64;
            Some(RowRef { seq, space, name, value, stamp: Stamp { timestamp, expires_at } })
        };
        each(row().ok_or_else(|| format!("the pack ends within its row {}", seq - first + 1))?);
    }
    match pack.len() {
        0 => Ok(()),
        left => Err(format!("{left} bytes are left behind the {count} rows of the pack")),
    }
}

/// The number of the first row of a pack.
pub(super) fn first_of(last: i64, count: i64) -> Result<i64, String> {
    match last.checked_sub(count) {
        Some(before) if count > 0 && before >= 0 => Ok(before + 1),
        _ => Err(format!("a pack of {count} rows cannot end with row {last}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<(Vec<u8>, Vec<u8>, Stamp)> {
        let times = [0, 1, 127, 128, 1_700_000_000, i64::MAX, -1, i64::MIN];
        let row = |n: usize| {
            let stamp = Stamp { timestamp: times[n % 8], expires_at: times[n / 8 % 8] };
            (vec![n as u8; n % 200 + 1], vec![7; n * 3 % 500], stamp)
        };
        (0..100).map(row).collect()
    }

    fn pack(rows: &[(Vec<u8>, Vec<u8>, Stamp)]) -> Vec<u8> {
        let mut pack = Vec::new();
        for (name, value, stamp) in rows {
            encode(&mut pack, Row { space: 0, name, value, stamp: *stamp });
        }
        pack
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let rows = rows();
        let mut found = Vec::new();
        decode(0, 200, 100, &pack(&rows), |row| {
            assert_eq!(row.seq, 101 + found.len() as i64);
            found.push((row.name.to_vec(), row.value.to_vec(), row.stamp));
        })
        .unwrap();
        assert_eq!(found, rows);
    }

    #[test]
    fn a_pack_that_was_changed_is_refused_or_has_as_many_rows() {
        let good = pack(&rows());
        for end in 0..good.len() {
            assert!(decode(0, 100, 100, &good[..end], |_| {}).is_err(), "cut at {end}");
        }
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = byte;
                let mut count = 0;
                if decode(0, 100, 100, &bad, |_| count += 1).is_ok() {
                    assert_eq!(count, 100);
                }
            }
        }
        for (last, count) in [(100, 99), (100, 101), (99, 100), (100, 0), (100, -1), (5, i64::MIN)]
        {
            assert!(decode(0, last, count, &good, |_| {}).is_err(), "{count} up to {last}");
        }
    }
}
