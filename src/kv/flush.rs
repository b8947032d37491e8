//! Writing the registry behind: from memory to the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::KvError;
use super::commit::Job;
use super::engine::Engine;
use super::stats::LogLevel;
use crate::platform::clock;

/// Cells in one commit: few enough that a store put that comes in between
/// does not notice.
const PORTION: usize = 1024;

/// What is new about writing behind.
enum Change {
    None,
    Fails(String),
    WorksAgain,
}

impl Engine {
    /// Whether registry writes have to reach the file.
    #[inline]
    pub(super) fn registry_is_written_behind(&self) -> bool {
        self.shared.is_some() && self.settings.registry_persistent
    }

    /// Whether registry writes are on their way to the file, or should be.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.registry_is_written_behind()
            // In this order: a flush takes its lock before it empties the lists.
            && (self.spaces.registry.usage().dirty > 0
                || self.flushing.try_lock().is_none()
                || self.committer.is_ahead.load(Ordering::Acquire))
    }

    /// Returns when every registry write before it is in the file. A failure
    /// keeps what could not be written, for the next flush.
    pub(crate) fn flush(&self) -> Result<(), KvError> {
        if !self.registry_is_written_behind() {
            return Ok(());
        }
        let one_at_a_time = self.flushing.lock();
        let (result, freed) = self
            .spaces
            .registry
            .write_dirty(PORTION, |cells| self.submit(Job::Flush(cells.to_vec())).map(drop));
        self.note_growth(-(freed as isize));
        // Once for all portions; who waits for the first one waits for all.
        let result = result.and_then(|()| self.sync());
        let change = self.note_flush(result.as_ref().err());
        // The hook may call us, so it is told without the lock.
        drop(one_at_a_time);
        match change {
            Change::Fails(cause) => self.log_hook.write(
                LogLevel::Error,
                &format!("registry writes stay in memory, cannot write them: {cause}"),
            ),
            Change::WorksAgain => {
                self.log_hook.write(LogLevel::Info, "registry writes reach the file again");
            }
            Change::None => {}
        }
        result
    }

    /// Returns when the device has what was committed without waiting for it.
    fn sync(&self) -> Result<(), KvError> {
        if self.committer.is_ahead.load(Ordering::Acquire) {
            self.submit(Job::Sync)?;
        }
        Ok(())
    }

    /// Keeps what the last flush met, and tells whether that is news.
    fn note_flush(&self, error: Option<&KvError>) -> Change {
        if error.is_none() {
            self.last_flush.store(clock::now_seconds(), Ordering::Relaxed);
        }
        let mut last = self.flush_error.lock();
        let before = std::mem::replace(&mut *last, error.map(ToString::to_string));
        match (&*last, before) {
            (Some(cause), before) if before.as_ref() != Some(cause) => Change::Fails(cause.clone()),
            (None, Some(_)) => Change::WorksAgain,
            _ => Change::None,
        }
    }

    /// Notes that the registry has something to write, and sees to it that
    /// somebody will.
    #[inline]
    pub(super) fn note_dirty(self: &Arc<Self>) {
        if !self.background.is_awake() {
            self.background.wake(self);
        }
    }
}
