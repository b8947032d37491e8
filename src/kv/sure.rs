//! Answers that rest on what others wrote, at `durability = "full"`.
//!
//! What a process reads may not be on the device: the one that wrote it was
//! killed before its sync, or does not wait for the device, or is about to sync.
//! A read promises nothing. But a write that finds nothing to do, or that is
//! refused for what is there, is acknowledged as if it had been written, so what
//! it rests on has to survive too. Such an answer syncs the log first, unless all
//! of it is known to be on the device: nobody has written since this process
//! synced it, or it is empty. A flush does the same for the registry, whose
//! deletions find nothing in memory.

use std::sync::atomic::Ordering;

use super::KvError;
use super::commit::Job;
use super::engine::Engine;
use super::follow::{Follower, Shared};
use crate::storage::Log;

impl Engine {
    /// Notes that memory holds what the file held at open: what is in the
    /// database itself is on the device.
    pub(super) fn note_opened(&self) {
        let Some(shared) = &self.shared else { return };
        let mut follower = shared.follower.lock();
        let is_unsure = follower.reader.as_ref().is_none_or(Log::is_unsure);
        follower.is_unsure &= is_unsure;
    }

    /// As [`Engine::flush`]; then also those deletions are on the device that
    /// found nothing to delete.
    pub(crate) fn flush_for_sure(&self) -> Result<(), KvError> {
        self.flush()?;
        if self.shared.as_ref().is_some_and(|shared| shared.follower.lock().is_unsure) {
            self.submit(Job::Sync)?;
        }
        Ok(())
    }

    /// Makes durable what a transaction that writes nothing has read, inside
    /// of it.
    pub(super) fn sync_what_was_read(&self, shared: &Shared, log: &Log) -> Result<(), KvError> {
        log.sync_what_was_read()?;
        // Nobody can commit before the transaction ends: memory holds nothing
        // that came after the sync.
        shared.follower.lock().is_unsure = false;
        Ok(())
    }

    /// Makes every commit durable.
    pub(super) fn sync_log(&self, shared: &Shared, log: &Log) -> Result<(), KvError> {
        let last_seq = shared.follower.lock().last_seq;
        log.sync()?;
        self.committer.is_ahead.store(false, Ordering::Release);
        shared.follower.lock().note_synced(last_seq);
        Ok(())
    }
}

impl Follower {
    /// Notes that the device has all rows up to `seq`. Memory may hold later
    /// ones by now, which a reader has taken in.
    pub(super) fn note_synced(&mut self, seq: i64) {
        if self.last_seq <= seq {
            self.is_unsure = false;
        }
    }
}
