//! Checking the history of a file, and memory against it.

use std::sync::atomic::Ordering;

use super::engine::Engine;
use super::entry::Entry;
use super::history::{Memory, check_history};
use crate::report::Report;
use crate::storage::{Inspection, StorageError, Tables};

/// Checks the history in a file. With an `engine`, what it shows is compared
/// with the version that it is of.
pub(crate) fn check(
    inspection: &Inspection,
    tables: Tables,
    engine: Option<&Engine>,
    report: &mut Report,
) -> Result<(), StorageError> {
    let Some((engine, others)) = engine.and_then(|it| Some((it, it.others.as_ref()?))) else {
        return check_history(inspection, tables, None, report);
    };
    // Versions do not change within an epoch, so the one that is shown can be
    // compared whatever happens meanwhile, if the view of the file has it.
    let publishing = engine.publishing.lock();
    let (view, epoch) = (engine.published(), others.epoch.load(Ordering::Acquire));
    drop(publishing);
    let baseline = engine.baseline.load_full();
    let memory = Memory {
        version: view.version,
        epoch,
        baseline: &mut baseline.iter().cloned().collect::<Vec<Entry>>().into_iter(),
        entries: &mut view.state.iter().cloned().collect::<Vec<Entry>>().into_iter(),
    };
    check_history(inspection, tables, Some(memory), report)
}
