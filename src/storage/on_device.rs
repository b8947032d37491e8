//! What of a file's log is known to be on the device.
//!
//! A sync is of the whole log, whichever connection makes it, so the connections
//! of a file share what the last one left: else each would sync what another one
//! of this process has synced.

use std::path::Path;
use std::sync::{Arc, Weak};

use crate::platform::file::FileId;
use crate::platform::fork::PerProcess;
use crate::platform::sync::Mutex;
use crate::platform::wal::Mark;

type Known = Mutex<Option<Mark>>;
type Files = Mutex<Vec<(FileId, Weak<Known>)>>;

/// Of the files that are open.
static FILES: PerProcess<Files> = PerProcess::new();

/// The log as it was when all of it was known to be on the device.
pub(super) struct OnDevice {
    mark: Arc<Known>,
}

impl OnDevice {
    /// Of the file at `path`, shared by the connections of this process.
    pub(super) fn of(path: &Path) -> Self {
        let Ok(file) = FileId::of(path) else { return Self::of_nobody_else() };
        let mut files = FILES.get().lock();
        files.retain(|(_, known)| known.strong_count() > 0);
        let known = files.iter().find(|(other, _)| *other == file);
        if let Some(mark) = known.and_then(|(_, known)| known.upgrade()) {
            return Self { mark };
        }
        let own = Self::of_nobody_else();
        files.push((file, Arc::downgrade(&own.mark)));
        own
    }

    /// Of a file that no other connection has.
    pub(super) fn of_nobody_else() -> Self {
        Self { mark: Arc::default() }
    }

    /// Whether all is on the device of a log that is like this.
    pub(super) fn has(&self, mark: Mark) -> bool {
        mark.is_empty() || *self.mark.lock() == Some(mark)
    }

    /// Notes that it is; `None`: how the log is now is not known.
    pub(super) fn note(&self, mark: Option<Mark>) {
        *self.mark.lock() = mark;
    }
}
