use acervo::database::{Database, Options};
use acervo::entries::{Entry, IdRef};
use acervo::value::{Value, View};
use std::time::Instant;
fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/statm").unwrap();
    s.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
}
fn entry(n: usize, v: usize) -> Entry {
    let id = format!("app.ns{}:entry{}", n % 100, n);
    let meta = format!(
        r#"{{"type":"t{}","group":"g{}","owner":"o{}","enabled":{},"path":"/api/v1/x{}","rank":{}}}"#,
        v % 20,
        v % 100,
        v % 1000,
        v % 2 == 0,
        n,
        v % 50
    );
    let data = format!(r#"{{"port":{v},"host":"localhost"}}"#);
    Entry::new(
        IdRef::parse(id.as_bytes()),
        format!("kind.{}", n % 20).as_bytes(),
        Some(Value::from_json(meta.as_bytes()).unwrap()),
        Some(Value::from_json(data.as_bytes()).unwrap()),
    )
    .unwrap()
}
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let file = std::env::args().nth(2);
    let mut options = Options::default();
    if file.is_none() {
        let none = Value::string(b"none").unwrap();
        options.set("history", View::new(none.as_bytes())).unwrap();
    }
    let path = file.clone().unwrap_or(":memory:".into());
    let db = Database::open(path.as_bytes(), &options).unwrap();
    let t = Instant::now();
    let r = db.entries().unwrap();
    println!("open {:?} len {}", t.elapsed(), r.snapshot().unwrap().len());
    let t = Instant::now();
    if r.snapshot().unwrap().len() == 0 {
        for chunk in 0..n.div_ceil(50_000) {
            let mut c = r.snapshot().unwrap().changes();
            for i in chunk * 50_000..((chunk + 1) * 50_000).min(n) {
                c.create(entry(i, i)).unwrap();
            }
            c.apply().unwrap();
        }
    }
    println!("load {:?} rss {} MB", t.elapsed(), rss());
    for f in [
        r#"{".kind":"kind.3"}"#,
        r#"{"type":"t3"}"#,
        r#"{"group":"g3"}"#,
        r#"{"owner":"o3"}"#,
        r#"{"enabled":true,"group":"g4"}"#,
        r#"{"path":"/api/v1/x77"}"#,
        r#"{"rank":3,"owner":"o53"}"#,
        r#"{"enabled":true}"#,
        r#"{"rank":3}"#,
    ] {
        for round in 0..4 {
            let v =
                Value::from_json(f.replace("\":", &format!("\":{}", " ".repeat(round))).as_bytes())
                    .unwrap();
            let snap = r.snapshot().unwrap();
            let t = Instant::now();
            let found = snap.find(v.as_bytes(), None).unwrap();
            println!("find {f} {round}: {} in {:?}", found.len(), t.elapsed());
            let mut c = r.snapshot().unwrap().changes();
            c.update(entry(5, 5 + round)).unwrap();
            c.apply().unwrap();
        }
    }
    println!("rss after find {} MB", rss());
    let t = Instant::now();
    let rounds = if file.is_some() { 2000 } else { 20000 };
    let mut x = 1usize;
    for i in 0..rounds {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let k = (x >> 33) % n;
        let mut c = r.snapshot().unwrap().changes();
        c.update(entry(k, k + i)).unwrap();
        c.apply().unwrap();
    }
    println!("apply1 (with building of the entry) {:?} rss {}", t.elapsed() / rounds as u32, rss());
    let t = Instant::now();
    for i in 0..rounds {
        std::hint::black_box(entry(i, i));
    }
    println!("  of which entry {:?}", t.elapsed() / rounds as u32);
    let snap = r.snapshot().unwrap();
    let ids: Vec<String> = (0..100_000)
        .map(|i| {
            let k = (i * 7919) % n;
            format!("app.ns{}:entry{}", k % 100, k)
        })
        .collect();
    let t = Instant::now();
    for id in &ids {
        std::hint::black_box(snap.get(IdRef::parse(id.as_bytes())));
    }
    println!("get {:?}", t.elapsed() / 100_000);
    let t = Instant::now();
    for _ in 0..100_000 {
        std::hint::black_box(r.snapshot().unwrap());
    }
    println!("snapshot {:?}", t.elapsed() / 100_000);
    if file.is_some() {
        let v = r.current_version().unwrap();
        let t = Instant::now();
        let s = r.snapshot_at(v / 2).unwrap();
        println!("snapshot_at {} {:?} {}", v / 2, t.elapsed(), s.len());
        let t = Instant::now();
        db.close().unwrap();
        println!("close {:?}", t.elapsed());
    }
}
