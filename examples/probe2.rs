use acervo::database::{Database, Options};
use std::time::Instant;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let db = Database::open(path.as_bytes(), &Options::default()).unwrap();
    let t = Instant::now();
    let r = db.entries().unwrap();
    println!("open {:?} len {}", t.elapsed(), r.snapshot().unwrap().len());
    let v = r.current_version().unwrap();
    for at in [v - 1, v - 100, v / 2, v / 2 + 1, v / 4 * 3, 50] {
        let t = Instant::now();
        let s = r.snapshot_at(at).unwrap();
        println!("snapshot_at {at} {:?} {}", t.elapsed(), s.len());
    }
}
