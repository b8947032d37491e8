//! The models and how they are run.

use std::time::Instant;

use crate::kernel::{self, Kernel, writer};
use crate::memory;
use crate::platform::rcu::tidy;

mod cells;
mod newest;
mod rcu;

pub struct Model {
    pub name: &'static str,
    body: fn(),
    /// How many switches fewer than others it is run with.
    fewer: usize,
    kernels: &'static [Kernel],
}

/// How often a thread is stopped that could go on, if the environment does not
/// ask for more.
const SWITCHES: usize = 1;

/// Linux, and one where readers use fences.
const BOTH: &[Kernel] = &[Kernel::Fences, Kernel::Refuses];

pub fn all() -> Vec<Model> {
    let mut all = rcu::models();
    all.extend(cells::models());
    all.extend(newest::models());
    all
}

/// Before the name of a model that is to be run with a broken kernel.
pub const ALONE: &str = "broken";

impl Model {
    pub fn run(&self) {
        for &kernel in self.kernels {
            if kernel == Kernel::Lies {
                self.is_found_out();
                continue;
            }
            let (before, start) = (kernel::orders(), Instant::now());
            self.run_with(kernel);
            let (orders, time) = (kernel::orders() - before, start.elapsed().as_secs_f32());
            println!("{} ({kernel:?}): {orders} orders, {time:.1} s", self.name);
        }
    }

    pub fn run_alone(&self) {
        self.run_with(Kernel::Lies);
    }

    /// In a process of its own, as a model may end by an abort.
    fn is_found_out(&self) {
        let program = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new(program);
        let output = command.args([ALONE, self.name]).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_found = words.contains("it was freed") || words.contains("Causality violation");
        assert!(!output.status.success() && is_found, "{}: not noticed: {words}", self.name);
        println!("{} ({:?}): noticed", self.name, Kernel::Lies);
    }

    fn run_with(&self, kernel: Kernel) {
        let body = self.body;
        let mut model = loom::model::Builder::new();
        let switches = std::env::var("ACERVO_LOOM_SWITCHES").ok().and_then(|it| it.parse().ok());
        model.preemption_bound = Some(switches.unwrap_or(SWITCHES) - self.fewer + 1);
        model.max_branches = 10_000;
        model.check(move || {
            memory::begin();
            kernel::begin(kernel);
            body();
        });
    }
}

/// Frees what waits, as somebody who retires later would, when the others have
/// ended; then `left` must be there and no more.
fn sweep(left: isize) {
    writer(|| (0..3).for_each(|_| tidy())).join().unwrap();
    assert_eq!(memory::live(), left, "things that were not freed");
}
