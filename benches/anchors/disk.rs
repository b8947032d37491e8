//! What the device can do: a block is overwritten in a file that has its size
//! already, and synced. (Appending takes twice as long: the size is synced too.)

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const BLOCK: usize = 4096;
const BLOCKS: u64 = 4096;

/// A file of 16 MiB that is written in a circle.
pub struct Disk {
    file: File,
    next: u64,
    block: Box<[u8; BLOCK]>,
}

impl Disk {
    pub fn new(directory: &Path) -> Disk {
        let file = File::create(directory.join("raw")).expect("a file can be made");
        let block = Box::new([0; BLOCK]);
        for n in 0..BLOCKS {
            file.write_all_at(&block[..], n * BLOCK as u64).expect("the disk has room");
        }
        file.sync_all().expect("it can be synced");
        Disk { file, next: 0, block }
    }

    /// One write, on the disk when this returns.
    pub fn write(&mut self, bytes: &[u8]) {
        self.next += 1;
        self.block[..8].copy_from_slice(&self.next.to_le_bytes());
        let len = bytes.len().min(BLOCK - 8);
        self.block[8..8 + len].copy_from_slice(&bytes[..len]);
        let place = self.next % BLOCKS * BLOCK as u64;
        self.file.write_all_at(&self.block[..], place).expect("it can be written");
        self.file.sync_data().expect("it can be synced");
    }
}
