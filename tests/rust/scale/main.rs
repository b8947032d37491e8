//! What is promised, at sizes at which tables have grown, shards have collided,
//! portions have been split and the log has been compacted.
//!
//! `ACERVO_SCALE` multiplies the sizes for long runs, `ACERVO_SCALE_SEED`
//! chooses what is done. The seed is printed when something is wrong.
#![allow(missing_docs, unreachable_pub, reason = "one program")]
#![allow(clippy::print_stdout, reason = "tells how much was done")]

#[path = "../common/mod.rs"]
mod common;

mod batches;
mod churn;
mod entries;
mod find;
mod model;
mod processes;
mod rounds;
mod sharing;
mod together;

use common::random::number;

/// `ACERVO_SCALE_SEED`, or a fixed one.
fn seed() -> u64 {
    number("ACERVO_SCALE_SEED", 1)
}

/// So many, as often as `ACERVO_SCALE` says.
fn times(count: usize) -> usize {
    count * number("ACERVO_SCALE", 1) as usize
}

/// Not a test of its own: what [`common::other::Other`] runs.
#[test]
fn the_other_process() {
    let Some(path) = common::other::role() else { return };
    processes::serve(&path);
}
