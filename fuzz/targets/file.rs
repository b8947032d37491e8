//! Database files with damaged bytes.

use super::bytes::Bytes;
use super::files;

pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let template = files::template();
    let (mut main, mut wal) = (template.main.clone(), template.wal.clone());
    while !bytes.is_empty() {
        let target = if bytes.one_in(2) { &mut wal } else { &mut main };
        let place = bytes.word() as usize >> 40;
        if target.is_empty() {
            continue;
        }
        // Near the start of a page is where its structure stands.
        let place = match bytes.below(4) {
            0 => place,
            1 => place % 100,
            2 => (place & !4095) + place % 48,
            _ => (place & !4095) + 4095 - place % 200,
        } % target.len();
        match bytes.below(4) {
            0 => target[place] ^= 1 << bytes.below(8),
            1 => target[place] = bytes.byte(),
            2 => {
                let new = bytes.some(32);
                let end = (place + new.len()).min(target.len());
                target[place..end].copy_from_slice(&new[..end - place]);
            }
            _ => target.truncate(place),
        }
    }
    let path = files::directory().join("file.db");
    files::remove(&path);
    std::fs::write(&path, &main).unwrap();
    std::fs::write(path.with_extension("db-wal"), &wal).unwrap();
    files::use_all(&path);
    files::remove(&path);
}
