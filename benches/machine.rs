//! What was measured, and where.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

/// The library to measure: `ACERVO_LIBRARY`, else the one that was built last.
pub fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("ACERVO_LIBRARY") {
        return path.into();
    }
    // This program is in target/release/deps.
    let program = std::env::current_exe().expect("Linux tells");
    program.ancestors().nth(2).expect("it is in a folder").join("libacervo.so")
}

/// The resident memory of this process, in bytes.
pub fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("so it has this");
    line.split_whitespace()
        .nth(1)
        .and_then(|kilobytes| kilobytes.parse::<f64>().ok())
        .expect("a number")
        * 1024.0
}

/// Processor, memory, system and commit.
pub fn describe() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    json!({
        "processor": after(&read("/proc/cpuinfo"), "model name"),
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "memory": after(&read("/proc/meminfo"), "MemTotal"),
        "kernel": output("uname", &["-sr"]),
        "load": read("/proc/loadavg").split_whitespace().next(),
        "date": output("date", &["-u", "+%Y-%m-%d"]),
        "commit": output("git", &["describe", "--always", "--dirty"]),
        "compiler": output("rustc", &["--version"]),
    })
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
