//! Writing the registry behind: from memory to the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::KvError;
use super::behind::Cut;
use super::commit::Job;
use super::engine::Engine;
use super::stats::LogLevel;
use crate::platform::clock;
use crate::platform::sync::MutexGuard;

/// Where so much waits, about ten thousand cells, a cut is taken beside the
/// writing of another: a commit is to be short, and a cut is in one.
const CUT_BYTES: usize = 2 << 20;
/// What one commit writes while nobody waits for another one.
const COMMIT_BYTES: usize = 16 << 20;
/// Cells written between two looks at what waits.
pub(super) const CELLS_BETWEEN: usize = 1024;
/// Commits of one flush that cuts may be taken beside. The writes of who
/// called it are in the first.
const ROUNDS: usize = 16;

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
            // In this order: a flush takes its lock before it takes a cut.
            && (self.spaces.registry.usage().waiting > 0
                || self.flushing.try_lock().is_none()
                || self.behind.has_cuts()
                || self.committer.is_ahead.load(Ordering::Acquire))
    }

    /// Returns when every registry write before it is in the file. A failure
    /// keeps what could not be written, for the next flush.
    pub(crate) fn flush(&self) -> Result<(), KvError> {
        if !self.registry_is_written_behind() {
            return Ok(());
        }
        self.flush_alone(self.flushing.lock())
    }

    fn flush_alone(&self, one_at_a_time: MutexGuard<'_, ()>) -> Result<(), KvError> {
        let result = self.write_cuts();
        self.behind.note_flush(result.is_err());
        // Once for all commits; who waits for the first one waits for all.
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

    /// Writes what waits, cut by cut.
    fn write_cuts(&self) -> Result<(), KvError> {
        // As long as a cut cannot be written no other is taken: what is
        // written again and again meanwhile stands in memory once.
        while self.behind.has_cuts() {
            self.submit(Job::Flush { cuts: false })?;
        }
        self.behind.cut(|| self.spaces.registry.take_cut());
        for round in 0.. {
            if !self.behind.has_cuts() {
                break;
            }
            self.submit(Job::Flush { cuts: round < ROUNDS })?;
        }
        Ok(())
    }

    /// The cuts that a commit writes; `is_alone`: nobody waits for another one.
    pub(super) fn cuts_to_write(&self, is_alone: bool) -> Vec<Arc<Cut>> {
        self.behind.cuts(if is_alone { COMMIT_BYTES } else { CUT_BYTES })
    }

    /// Takes another cut, where a flush is under way and much waits.
    pub(super) fn cut_beside(&self) {
        if self.spaces.registry.waiting_bytes() >= CUT_BYTES {
            self.behind.cut(|| self.spaces.registry.take_cut());
        }
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

    /// Notes at `now`, of the coarse clock, that the registry has something to
    /// write: sees to it that somebody will, and waits for the file if that is
    /// too far behind.
    #[inline(always)]
    pub(super) fn note_unwritten(self: &Arc<Self>, now: i64) {
        if self.behind.is_due(now, self.spaces.registry.waiting_bytes()) {
            self.look_after_unwritten();
        }
    }

    #[cold]
    fn look_after_unwritten(self: &Arc<Self>) {
        self.behind.note_write();
        self.wake_writer();
        let is_late = || self.behind.is_late(self.spaces.registry.waiting_bytes());
        let mut is_counted = false;
        while is_late() {
            if !std::mem::replace(&mut is_counted, true) && self.behind.note_stall() {
                self.tell_of_stall();
            }
            // Whoever is late does the writing, if nobody has while it waited.
            let one_at_a_time = self.flushing.lock();
            if !is_late() || self.flush_alone(one_at_a_time).is_err() {
                break;
            }
        }
    }

    fn tell_of_stall(&self) {
        let bound = self.behind.bound().unwrap_or_default().as_millis();
        let what = format!(
            "registry writes come faster than the file takes them: they wait now, so that it is \
             no more than {bound} ms behind (max_unwritten_ms)"
        );
        self.log_hook.write(LogLevel::Warn, &what);
    }

    /// Writes are about to be looked at in time again.
    pub(super) fn note_rest(&self) {
        if !self.behind.is_late(self.spaces.registry.waiting_bytes()) {
            self.behind.note_rest();
        }
    }

    /// Has the background thread look at what was written.
    #[inline]
    pub(super) fn wake_writer(self: &Arc<Self>) {
        if !self.background.is_awake() {
            self.background.wake(self);
        }
    }
}
