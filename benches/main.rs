//! The performance of the library, row by row, each against what one would
//! write by hand. `scripts/bench` builds and calls this; docs/performance.md
//! tells how to read what it prints.
#![allow(missing_docs, unreachable_pub, reason = "a program")]
#![allow(clippy::macro_metavars_in_unsafe, reason = "`call!` is given pointers and lengths")]

mod anchors;
mod api;
mod curves;
mod data;
mod harness;
mod machine;
mod report;
mod rows;
mod svg;

use std::path::PathBuf;

use harness::Effort;
use report::{print, progress};

const USAGE: &str =
    "usage: bench [--quick | --smoke] [--json FILE] [--plots DIRECTORY] [--list] [ROW...]\n";

struct Arguments {
    effort: Effort,
    json: Option<PathBuf>,
    plots: Option<PathBuf>,
    rows: Vec<String>,
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mut arguments = Arguments { effort: Effort::Full, json: None, plots: None, rows: vec![] };
    while let Some(word) = words.next() {
        let mut path = || PathBuf::from(words.next().unwrap_or_else(|| refuse(&word)));
        match word.as_str() {
            // Cargo says this to every bench.
            "--bench" => {}
            "--quick" => arguments.effort = Effort::Quick,
            "--smoke" => arguments.effort = Effort::Smoke,
            "--json" => arguments.json = Some(path()),
            "--plots" => arguments.plots = Some(path()),
            "--list" => {
                rows::ALL.iter().for_each(|row| print(&format!("{}\n", row.name)));
                return;
            }
            "--child" => {
                let start = std::time::Instant::now();
                api::load(&machine::library());
                return rows::child(&words.collect::<Vec<_>>(), start.elapsed());
            }
            name if rows::ALL.iter().any(|row| row.name == name) => arguments.rows.push(word),
            _ => refuse(&word),
        }
    }
    api::load(&machine::library());
    if let Some(directory) = &arguments.plots {
        curves::draw_all(arguments.effort, directory);
        return;
    }
    measure(&arguments);
}

fn measure(arguments: &Arguments) {
    let chosen: Vec<_> = rows::ALL
        .iter()
        .filter(|row| {
            arguments.rows.is_empty() || arguments.rows.iter().any(|name| name == row.name)
        })
        .collect();
    let mut bench = rows::Bench::new(arguments.effort);
    for (number, row) in chosen.iter().enumerate() {
        progress(&format!("[{:>2}/{}] {}", number + 1, chosen.len(), row.name));
        (row.measure)(&mut bench);
    }
    print(&report::table(&bench.lines));
    if arguments.effort == Effort::Smoke {
        print("It runs. The figures are those of tiny sizes and say nothing.\n");
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report::json(&bench.lines, &machine::describe()));
        std::fs::write(path, text.expect("plain data") + "\n").expect("the results can be written");
        progress(&format!("results: {}", path.display()));
    }
}

fn refuse(word: &str) -> ! {
    progress(&format!("bench: what is {word}?"));
    print(USAGE);
    std::process::exit(2)
}
