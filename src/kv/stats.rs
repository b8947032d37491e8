//! What an engine tells about itself: figures, and lines for the host's log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::engine::Engine;
use crate::platform::sync::RwLock;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum LogLevel {
    /// Something does not work.
    Error = 1,
    /// Something may stop working.
    Warn = 2,
    /// Something changed.
    Info = 3,
    /// For those who look for a fault.
    Debug = 4,
}

/// Takes log lines. Called from any thread, with no lock held.
pub type LogFn = dyn Fn(LogLevel, &str) + Send + Sync;

/// Where log lines go; nowhere until the host says so.
#[derive(Default)]
pub(crate) struct Log {
    hook: RwLock<Option<Arc<LogFn>>>,
}

impl Log {
    pub(super) fn set(&self, hook: Option<Arc<LogFn>>) -> Option<Arc<LogFn>> {
        std::mem::replace(&mut *self.hook.write(), hook)
    }

    pub(super) fn write(&self, level: LogLevel, message: &str) {
        let hook = self.hook.read().clone();
        if let Some(hook) = hook {
            hook(level, message);
        }
    }
}

/// Figures of an engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) registry_keys: usize,
    pub(crate) store_keys: usize,
    pub(crate) bytes: usize,
    /// Keys whose registry writes are not in the file.
    pub(crate) unwritten_keys: usize,
    /// Since when the oldest of them waits, in milliseconds.
    pub(crate) unwritten_ms: u64,
    /// Registry writes that have waited for the file.
    pub(crate) stalls: u64,
    pub(crate) last_flush: i64,
    pub(crate) last_error: Option<String>,
    pub(crate) commits: u64,
    pub(crate) log_rows: u64,
    pub(crate) log_bytes: u64,
}

impl Engine {
    /// Counts what there is.
    pub(crate) fn figures(&self) -> Figures {
        let registry = self.spaces.registry.usage();
        let store = self.spaces.store_usage();
        let (in_flight, age) = self.behind.figures();
        let unwritten_keys = registry.waiting + in_flight;
        let log = self.shared.as_ref().map(|shared| shared.follower.lock().usage);
        Figures {
            registry_keys: registry.keys,
            store_keys: store.keys,
            bytes: registry.bytes + store.bytes,
            unwritten_keys,
            unwritten_ms: match unwritten_keys {
                0 => 0,
                _ => age.unwrap_or_default().as_millis() as u64,
            },
            stalls: self.behind.stalls(),
            last_flush: self.last_flush.load(Ordering::Relaxed),
            last_error: self.flush_error.lock().clone(),
            commits: self.commits.load(Ordering::Relaxed),
            log_rows: log.unwrap_or_default().rows,
            log_bytes: log.unwrap_or_default().bytes,
        }
    }

    /// Sends log lines to `hook` from now on, or nowhere.
    pub(crate) fn set_log(&self, hook: Option<Arc<LogFn>>) {
        // The old hook's destroy may call us; it is dropped outside the lock.
        drop(self.log_hook.set(hook));
    }
}
