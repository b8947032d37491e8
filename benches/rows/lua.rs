//! The rows of Lua: `benches/lua/rows.lua` measures, in the system's Lua 5.4
//! and LuaJIT.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::pair;
use crate::machine::library;
use crate::report::{Line, progress};
use crate::rows::Bench;

/// An interpreter: its command, its name, its package for pkg-config.
struct Interpreter {
    command: &'static str,
    name: &'static str,
    package: &'static str,
    /// Where the distribution's modules are.
    version: &'static str,
}

const INTERPRETERS: [Interpreter; 2] = [
    Interpreter { command: "lua5.4", name: "5.4", package: "lua5.4", version: "5.4" },
    Interpreter { command: "luajit", name: "JIT", package: "luajit", version: "5.1" },
];

/// The floor and the goals of one operation.
struct Limits {
    must: f64,
    plain: f64,
    jit: f64,
}

const fn both(must: f64, goal: f64) -> Limits {
    Limits { must, plain: goal, jit: goal }
}

pub fn get_number(bench: &mut Bench) {
    row(bench, "lua-get-num", |_| both(1.3, 1.0));
}

pub fn put_number(bench: &mut Bench) {
    row(bench, "lua-put-num", |_| both(1.3, 1.0));
}

pub fn get_table(bench: &mut Bench) {
    row(bench, "lua-get-table", |_| Limits { must: 1.2, plain: 0.65, jit: 0.85 });
}

pub fn put_table(bench: &mut Bench) {
    row(bench, "lua-put-table", |_| both(1.3, 0.9));
}

pub fn cjson(bench: &mut Bench) {
    row(bench, "lua-vs-cjson", |_| both(0.9, 0.5));
}

pub fn luasql(bench: &mut Bench) {
    row(bench, "lua-vs-luasql", |what| {
        if what.starts_with("store put") { both(0.9, 0.35) } else { both(0.2, 0.08) }
    });
}

fn row(bench: &mut Bench, name: &'static str, limits: fn(&str) -> Limits) {
    for interpreter in &INTERPRETERS {
        let Some(output) = run(bench, interpreter, name) else { continue };
        let mut operations: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
        for line in output.lines() {
            let mut cells = line.split('\t');
            let (Some(what), Some(ours), Some(anchor)) = (cells.next(), cells.next(), cells.next())
            else {
                panic!("unexpected: {line}");
            };
            let sample = (ours.parse().expect("a number"), anchor.parse().expect("a number"));
            match operations.last_mut() {
                Some((last, samples)) if *last == what => samples.push(sample),
                _ => operations.push((what, vec![sample])),
            }
        }
        for (what, samples) in operations {
            let Limits { must, plain, jit } = limits(what);
            let goal = if interpreter.name == "JIT" { jit } else { plain };
            let what = format!("{what}, {}", interpreter.name);
            bench.push(Line::time(name, what, pair(&samples), (must, goal)));
        }
    }
}

/// What the driver prints; `None` if there is no such interpreter.
fn run(bench: &Bench, interpreter: &Interpreter, row: &str) -> Option<String> {
    let modules = modules(bench, interpreter)?;
    let effort = bench.effort;
    let system = format!("/usr/lib/*/lua/{}", interpreter.version);
    let system = Command::new("sh").args(["-c", &format!("echo {system}")]).output().ok()?;
    let system = String::from_utf8_lossy(&system.stdout).trim().to_owned();
    let output = Command::new(interpreter.command)
        .arg(sources().join("rows.lua"))
        .arg(row)
        .arg(bench.directory())
        .arg(effort.scale(100_000).to_string())
        .arg(effort.rounds().to_string())
        .arg(effort.slice().as_millis().to_string())
        .env("LUA_CPATH", format!("{}/?.so;{system}/?.so", modules.display()))
        .env_remove("LUA_CPATH_5_4")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            progress(&format!("        {} is missing: {error}", interpreter.command));
            return None;
        }
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", interpreter.command);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/lua")
}

/// A directory with the library as a module, and the anchor compiled for this
/// interpreter.
fn modules(bench: &Bench, interpreter: &Interpreter) -> Option<PathBuf> {
    let directory = bench.directory().join(interpreter.name);
    let anchor = directory.join("anchor.so");
    if !anchor.exists() {
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        std::os::unix::fs::symlink(library(), directory.join("acervo.so")).expect("so can a link");
        let flags =
            Command::new("pkg-config").args(["--cflags", interpreter.package]).output().ok()?;
        let flags = String::from_utf8_lossy(&flags.stdout).into_owned();
        let status = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .arg(&anchor)
            .arg(sources().join("anchor.c"))
            .args(flags.split_whitespace())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            progress(&format!(
                "        no anchor for {}: scripts/bootstrap bench",
                interpreter.command
            ));
            return None;
        }
    }
    Some(directory)
}
