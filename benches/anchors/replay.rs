//! Going back by hand: every changeset is read from the file, from the first
//! on, and done to an empty map.

use std::path::Path;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rusqlite::{Connection, OpenFlags};

/// The file, opened for reading.
pub struct Replay(Connection);

impl Replay {
    pub fn new(path: &Path) -> Replay {
        Replay(
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
                .expect("it is there"),
        )
    }

    /// How many entries there were at a version. Entries stay bytes: nothing
    /// but their ids is decoded.
    pub fn entries_at(&self, version: u64) -> usize {
        let mut state: HashMap<Box<[u8]>, Box<[u8]>, RandomState> = HashMap::default();
        let sql = "SELECT data FROM changesets WHERE version_id <= ?1 ORDER BY version_id";
        let mut statement = self.0.prepare_cached(sql).expect("the table is there");
        let mut rows = statement.query([version as i64]).expect("it can be read");
        while let Some(row) = rows.next().expect("it can be read") {
            let data = row.get_ref(0).and_then(|data| Ok(data.as_blob()?)).expect("a blob");
            let mut reader = Reader(data);
            for _ in 0..reader.head() {
                replay(&mut reader, &mut state);
            }
        }
        state.len()
    }
}

/// One operation: a map of Entry, OriginalEntry and Kind.
fn replay(reader: &mut Reader<'_>, state: &mut HashMap<Box<[u8]>, Box<[u8]>, RandomState>) {
    let (mut entry, mut kind) = (&[][..], &[][..]);
    for _ in 0..reader.head() {
        match reader.skip() {
            key if key.ends_with(b"\xa5Entry") => entry = reader.skip(),
            key if key.ends_with(b"Kind") => kind = reader.skip(),
            _ => {
                reader.skip();
            }
        }
    }
    let mut fields = Reader(entry);
    fields.head();
    fields.skip();
    let id = fields.skip();
    if kind.ends_with(b"delete") {
        state.remove(id);
    } else {
        state.insert(id.into(), entry.into());
    }
}

/// Walks MessagePack.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn number(&mut self, len: usize) -> usize {
        self.take(len).iter().fold(0, |number, byte| number << 8 | *byte as usize)
    }

    fn pass(&mut self, len: usize) {
        self.take(len);
    }

    /// Passes as many bytes as a number of `width` bytes says.
    fn pass_counted(&mut self, width: usize) {
        let len = self.number(width);
        self.pass(len);
    }

    /// The length of the array or map that begins here.
    fn head(&mut self) -> usize {
        match self.number(1) as u8 {
            marker @ 0x80..=0x9f => (marker & 0x0f).into(),
            0xdc | 0xde => self.number(2),
            0xdd | 0xdf => self.number(4),
            0xc0 => 0,
            marker => panic!("no list but {marker:#x}"),
        }
    }

    /// Passes one value; gives its bytes.
    fn skip(&mut self) -> &'a [u8] {
        let from = self.0;
        let mut left = 1;
        while left > 0 {
            left -= 1;
            match self.number(1) as u8 {
                marker @ 0x80..=0x8f => left += (marker & 15) as usize * 2,
                marker @ 0x90..=0x9f => left += (marker & 15) as usize,
                marker @ 0xa0..=0xbf => self.pass((marker & 31).into()),
                0xc4 | 0xd9 => self.pass_counted(1),
                0xc5 | 0xda => self.pass_counted(2),
                0xc6 | 0xdb => self.pass_counted(4),
                0xcc | 0xd0 => self.pass(1),
                0xcd | 0xd1 => self.pass(2),
                0xca | 0xce | 0xd2 => self.pass(4),
                0xcb | 0xcf | 0xd3 => self.pass(8),
                0xdc => left += self.number(2),
                0xdd => left += self.number(4),
                0xde => left += self.number(2) * 2,
                0xdf => left += self.number(4) * 2,
                _ => {}
            }
        }
        &from[..from.len() - self.0.len()]
    }
}
