//! What was measured, as a table for people and as JSON for programs.

use std::io::Write;

use serde_json::{Value, json};

use crate::harness::Pair;

/// Which way is good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    Lower,
    Higher,
}

/// What the two figures of a line are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Nanoseconds,
    PerSecond,
    Bytes,
}

/// One line of the table.
pub struct Line {
    /// The row of the table of goals.
    row: &'static str,
    what: String,
    unit: Unit,
    better: Better,
    ours: f64,
    anchor: f64,
    ratio: f64,
    low: f64,
    high: f64,
    rounds: usize,
    /// The floor and the goal; a line without them is there to inform.
    limits: Option<(f64, f64)>,
}

impl Line {
    /// Times: the lower the better.
    pub fn time(
        row: &'static str,
        what: impl Into<String>,
        pair: Pair,
        limits: (f64, f64),
    ) -> Line {
        Line {
            row,
            what: what.into(),
            unit: Unit::Nanoseconds,
            better: Better::Lower,
            ours: pair.ours,
            anchor: pair.anchor,
            ratio: pair.ratio,
            low: pair.low,
            high: pair.high,
            rounds: pair.rounds,
            limits: Some(limits),
        }
    }

    /// Rates: the higher the better. The pair has times, as always.
    pub fn rate(
        row: &'static str,
        what: impl Into<String>,
        pair: Pair,
        limits: (f64, f64),
    ) -> Line {
        Line {
            unit: Unit::PerSecond,
            better: Better::Higher,
            ours: 1e9 / pair.ours,
            anchor: 1e9 / pair.anchor,
            ratio: 1.0 / pair.ratio,
            low: 1.0 / pair.high,
            high: 1.0 / pair.low,
            ..Line::time(row, what, pair, limits)
        }
    }

    /// A size in bytes against the most that is allowed.
    pub fn size(row: &'static str, what: impl Into<String>, bytes: f64, most: f64) -> Line {
        let ratio = bytes / most;
        let pair = Pair { ours: bytes, anchor: most, ratio, low: ratio, high: ratio, rounds: 1 };
        Line { unit: Unit::Bytes, ..Line::time(row, what, pair, (1.0, 1.0)) }
    }

    /// What was compared are bytes.
    pub fn in_bytes(self) -> Line {
        Line { unit: Unit::Bytes, ..self }
    }

    /// The line is there to inform, and has no goal.
    pub fn informs(mut self) -> Line {
        self.limits = None;
        self
    }

    fn meets(&self, limit: f64) -> bool {
        match self.better {
            Better::Lower => self.ratio <= limit,
            Better::Higher => self.ratio >= limit,
        }
    }

    fn verdict(&self) -> &'static str {
        match self.limits {
            None => "",
            Some((_, goal)) if self.meets(goal) => "goal",
            Some((must, _)) if self.meets(must) => "met",
            Some(_) => "NOT MET",
        }
    }

    fn figure(&self, figure: f64) -> String {
        match self.unit {
            Unit::Nanoseconds => scaled(figure, &["ns", "us", "ms", "s"]),
            Unit::PerSecond => scaled(figure, &["/s", "k/s", "M/s", "G/s"]),
            Unit::Bytes => scaled(figure, &["B", "kB", "MB", "GB"]),
        }
    }

    /// The line as progress shows it.
    pub fn brief(&self) -> String {
        let [_, what, ours, anchor, ratio, must, goal, verdict] = self.cells();
        format!("{what}: {ours} / {anchor} = {ratio}  (must {must}, goal {goal}) {verdict}")
    }

    fn json(&self) -> Value {
        json!({
            "row": self.row,
            "operation": self.what,
            "unit": match self.unit {
                Unit::Nanoseconds => "ns",
                Unit::PerSecond => "per second",
                Unit::Bytes => "bytes",
            },
            "better": if self.better == Better::Lower { "lower" } else { "higher" },
            "ours": self.ours,
            "anchor": self.anchor,
            "ratio": self.ratio,
            "quartiles": [self.low, self.high],
            "rounds": self.rounds,
            "must": self.limits.map(|limits| limits.0),
            "goal": self.limits.map(|limits| limits.1),
            "verdict": self.verdict(),
        })
    }

    fn cells(&self) -> [String; 8] {
        let limit = |pick: fn((f64, f64)) -> f64| {
            self.limits.map_or(String::new(), |limits| short(pick(limits)))
        };
        [
            self.row.to_owned(),
            self.what.clone(),
            self.figure(self.ours),
            self.figure(self.anchor),
            short(self.ratio),
            limit(|limits| limits.0),
            limit(|limits| limits.1),
            self.verdict().to_owned(),
        ]
    }
}

/// Three digits and a unit.
fn scaled(mut figure: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while figure >= 1000.0 && unit + 1 < units.len() {
        figure /= 1000.0;
        unit += 1;
    }
    let decimals = if figure >= 100.0 {
        0
    } else if figure >= 10.0 {
        1
    } else {
        2
    };
    format!("{figure:.decimals$} {}", units[unit])
}

/// A ratio: small ones keep their digits.
fn short(ratio: f64) -> String {
    let decimals = if ratio >= 10.0 {
        1
    } else if ratio >= 0.1 {
        2
    } else {
        4
    };
    format!("{ratio:.decimals$}")
}

const HEAD: [&str; 8] = ["row", "operation", "ours", "anchor", "ratio", "must", "goal", ""];

/// The table, as Markdown that can be read as it is.
pub fn table(lines: &[Line]) -> String {
    let cells: Vec<[String; 8]> = lines.iter().map(Line::cells).collect();
    let widths: [usize; 8] = std::array::from_fn(|column| {
        let longest = cells.iter().map(|line| line[column].chars().count()).max();
        longest.unwrap_or(0).max(HEAD[column].len())
    });
    let mut out = String::new();
    let mut push = |cells: [&str; 8]| {
        for (column, cell) in cells.into_iter().enumerate() {
            let width = widths[column];
            // Figures stand to the right.
            if (2..7).contains(&column) {
                out.push_str(&format!("| {cell:>width$} "));
            } else {
                out.push_str(&format!("| {cell:<width$} "));
            }
        }
        out.push_str("|\n");
    };
    push(HEAD);
    push(["---", "---", "--:", "--:", "--:", "--:", "--:", "---"]);
    for line in &cells {
        push(std::array::from_fn(|column| line[column].as_str()));
    }
    let count = |verdict: &str| lines.iter().filter(|line| line.verdict() == verdict).count();
    let judged = lines.iter().filter(|line| line.limits.is_some()).count();
    let (goal, missed) = (count("goal"), count("NOT MET"));
    out.push_str(&format!(
        "\n{judged} lines with a goal: {goal} reach it, {missed} miss the floor.\n"
    ));
    out
}

/// Everything, with what it was measured on.
pub fn json(lines: &[Line], machine: &Value) -> Value {
    json!({ "machine": machine, "lines": lines.iter().map(Line::json).collect::<Vec<_>>() })
}

/// Writes to standard output.
pub fn print(text: &str) {
    // A reader that went away is no reason to fail.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Tells how far the run is.
pub fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
