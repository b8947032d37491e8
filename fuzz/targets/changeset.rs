//! Blobs of changesets, heads and parents as a damaged file, or another
//! program, may have them.

use rusqlite::{Connection, params};

use super::bytes::Bytes;
use super::files;

pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let path = files::directory().join("changeset.db");
    files::remove(&path);
    std::fs::write(&path, &files::template().main).unwrap();
    std::fs::write(path.with_extension("db-wal"), &files::template().wal).unwrap();
    damage(&path, &mut bytes);
    files::use_all(&path);
    files::remove(&path);
}

fn damage(path: &std::path::Path, bytes: &mut Bytes<'_>) {
    let connection = Connection::open(path).unwrap();
    let _ = connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF");
    let version = 1 + bytes.below(6) as i64;
    match bytes.below(6) {
        // The parents make a tree, a loop or nothing.
        0 => {
            let parent = bytes.pick(&[0, 1, 2, 3, 5, 6, 7, -1, i64::MAX]);
            let sql = "UPDATE versions SET parent_id = ?2 WHERE id = ?1";
            let _ = connection.execute(sql, params![version, parent]);
        }
        1 => {
            let head = String::from_utf8_lossy(bytes.some(20)).into_owned();
            let sql = "UPDATE metadata SET value = ?1 WHERE key = 'head'";
            let _ = connection.execute(sql, params![head]);
        }
        2 => {
            let id = bytes.pick(&[0, 7, 100, -1, i64::MAX, i64::MIN]);
            let sql = "INSERT OR REPLACE INTO versions (id, parent_id) VALUES (?1, ?2)";
            let _ = connection.execute(sql, params![id, version]);
            let sql = "INSERT OR REPLACE INTO changesets (version_id, data) VALUES (?1, ?2)";
            let _ = connection.execute(sql, params![id, bytes.some(255)]);
        }
        _ => {}
    }
    // A part of the blob is replaced by what is left of the input; or all.
    let sql = "SELECT data FROM changesets WHERE version_id = ?1";
    let mut blob: Vec<u8> =
        connection.query_row(sql, params![version], |row| row.get(0)).unwrap_or_default();
    let (from, len) = (bytes.word() as usize >> 48, bytes.below(64));
    let new = bytes.rest();
    let start = from % (blob.len() + 1);
    let end = (start + len).min(blob.len());
    if len == 63 {
        blob = new.to_vec();
    } else {
        blob.splice(start..end, new.iter().copied());
    }
    // What is derived would be read instead: it is as if it was never written.
    for sql in ["DELETE FROM acervo_net", "DELETE FROM acervo_skip"] {
        let _ = connection.execute(sql, []);
    }
    let sql = "UPDATE changesets SET data = ?2 WHERE version_id = ?1";
    let _ = connection.execute(sql, params![version, blob]);
}
