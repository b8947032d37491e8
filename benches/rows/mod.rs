//! The rows of the table, one group to a file.

pub mod apply;
mod behind;
mod delta;
mod find;
pub mod history;
mod limits;
mod lua;
pub mod registry;
mod snapshot;
pub mod store;
mod tail;

use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use tempfile::TempDir;

use crate::api::Db;
use crate::data;
use crate::harness::Effort;
use crate::report::{Line, progress};

/// A run: how hard to measure, and what came out so far.
pub struct Bench {
    pub effort: Effort,
    pub lines: Vec<Line>,
    directory: TempDir,
    files: usize,
    worlds: BTreeMap<usize, Rc<Db>>,
}

impl Bench {
    pub fn new(effort: Effort) -> Bench {
        // Beside the build, as /tmp may be memory: syncing that costs nothing.
        let target = crate::machine::library();
        let target = target.parent().expect("the library is in a folder");
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(target);
        let directory = directory.expect("a directory can be made beside the library");
        Bench { effort, lines: Vec::new(), directory, files: 0, worlds: BTreeMap::new() }
    }

    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The path of a file that is not there yet.
    pub fn file(&mut self, name: &str) -> String {
        self.files += 1;
        let path = self.directory.path().join(format!("{}-{name}", self.files));
        path.into_os_string().into_string().expect("a path in UTF-8")
    }

    /// A database with so many entries in memory and no history, made once.
    pub fn world(&mut self, count: usize) -> Rc<Db> {
        let world = self.worlds.entry(count).or_insert_with(|| {
            let db = Db::open(":memory:", &[("history", "\"none\"")]);
            data::fill(&db, count);
            Rc::new(db)
        });
        Rc::clone(world)
    }

    /// Frees a world that nobody needs any more.
    pub fn forget(&mut self, count: usize) {
        self.worlds.remove(&count);
    }

    /// Adds a line, and shows it.
    pub fn push(&mut self, line: Line) {
        progress(&format!("        {}", line.brief()));
        self.lines.push(line);
    }
}

/// One row: a name to call it by, and what measures it.
pub struct Row {
    pub name: &'static str,
    pub measure: fn(&mut Bench),
}

macro_rules! rows {
    ($($name:literal => $measure:path,)*) => { &[$(Row { name: $name, measure: $measure },)*] };
}

/// All rows, in the order of the table.
pub const ALL: &[Row] = rows! {
    "kv-get" => registry::get,
    "kv-get-value" => registry::get_value,
    "kv-put" => registry::put,
    "kv-tail" => tail::tail,
    "kv-2t" => registry::two_threads,
    "kv-behind" => behind::behind,
    "kv-lag" => behind::lag,
    "churn" => behind::churn,
    "store-get" => store::get,
    "store-put-1" => store::put_1,
    "store-put-16" => store::put_16,
    "store-put-normal" => store::put_normal,
    "store-batch" => store::batch,
    "lua-get-num" => lua::get_number,
    "lua-put-num" => lua::put_number,
    "lua-get-table" => lua::get_table,
    "lua-put-table" => lua::put_table,
    "lua-vs-cjson" => lua::cjson,
    "lua-vs-luasql" => lua::luasql,
    "snap" => snapshot::snap,
    "apply-1" => apply::one,
    "apply-100" => apply::hundred,
    "apply-grow" => apply::grow,
    "apply-durable" => apply::durable,
    "entry-get" => snapshot::entry_get,
    "find-eq" => find::eq,
    "find-glob" => find::glob,
    "find-regex" => find::regex,
    "find-text" => find::text,
    "find-hit" => find::hit,
    "open" => history::open,
    "snap-at" => history::snapshot_at,
    "delta" => delta::delta,
    "order" => delta::order,
    "mem-kv" => limits::kv,
    "mem-entries" => limits::entries,
    "mem-versions" => limits::versions,
    "size" => limits::size,
    "load" => limits::load,
};

/// What a process of its own does: its memory and its start are measured.
/// Loading the library took it `loaded`.
pub fn child(words: &[String], loaded: Duration) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().expect("a number");
    match words[..] {
        ["lag", path, notes, rate] => behind::child_lag(path, notes, number(rate) as u64),
        ["churn", path, keys, rounds] => {
            let figures = behind::child_churn(path, number(keys), number(rounds));
            return crate::report::print(&figures);
        }
        _ => {}
    }
    let figure = match words[..] {
        ["load"] => loaded.as_nanos() as f64,
        ["open", path] => history::child_open(path),
        ["kv", space, path, count] => {
            limits::child_kv(space, path, count.parse().expect("a number"))
        }
        ["entries", count] => limits::child_entries(count.parse().expect("a number")),
        ["versions", entries, count] => limits::child_versions(
            entries.parse().expect("a number"),
            count.parse().expect("a number"),
        ),
        _ => panic!("no such child: {words:?}"),
    };
    crate::report::print(&format!("{figure}\n"));
}

/// Runs this program again for one figure.
pub fn in_child(words: &[&str]) -> f64 {
    let program = std::env::current_exe().expect("Linux tells");
    let output =
        Command::new(program).arg("--child").args(words).output().expect("it can run again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}
