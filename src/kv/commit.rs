//! Group commit: whoever finds the writer free leads, and commits for all who
//! wait.
//!
//! A store write is put into the queue. The leader takes the whole queue,
//! opens one transaction, takes in what other processes wrote, decides each
//! write on the state the one before it left, appends the rows, commits once,
//! changes memory, and wakes everybody. Under `full` durability, where the
//! commit waits for the device, the leader first waits a moment for the
//! writers it woke last time: they are about to write again, and a second
//! commit for them would cost another turn of the disk.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::KvError;
use super::edit::{Edit, Outcome};
use super::engine::Engine;
use super::space::Namespace;
use crate::guard::{Unusable, what_panicked};
use crate::platform::sync::atomic::{AtomicBool, Ordering};
use crate::platform::sync::thread::{self, Thread};
use crate::platform::sync::{Condvar, Mutex};
use crate::storage::Log;

/// What a waiting writer wants.
pub(super) enum Job {
    /// One write.
    Edit { namespace: Arc<Namespace>, key: Box<[u8]>, edit: Edit },
    /// Several, all or none.
    Batch(Vec<(Arc<Namespace>, Box<[u8]>, Edit)>),
    /// Deletes what is visible below each prefix; `before`: only what was
    /// written before that second.
    Clear { targets: Vec<(Arc<Namespace>, Box<[u8]>)>, before: Option<i64> },
    /// Appends cuts of the registry that wait to be written. Does not wait for
    /// the device: [`Job::Sync`] comes after it. `cuts`: others may be taken
    /// meanwhile.
    Flush { cuts: bool },
    /// Makes everything durable that was committed before, where commits are.
    Sync,
    /// Looks at so many rows at the old end of the log, and drops what nobody
    /// needs. Does not wait for the device.
    Compact { rows: u64 },
    /// Gives some pages of the file back that nothing stands on, if most of
    /// them are like that. Tells how many.
    Shrink,
}

impl Job {
    /// Whether its own commit waits for the device.
    pub(super) fn waits_for_device(&self) -> bool {
        matches!(self, Self::Edit { .. } | Self::Batch(_) | Self::Clear { .. })
    }
}

/// A writer that waits for a leader.
struct Ticket {
    job: Mutex<Option<Job>>,
    result: Mutex<Option<Result<Outcome, KvError>>>,
    done: AtomicBool,
    thread: Thread,
}

impl Ticket {
    fn finish(&self, result: Result<Outcome, KvError>) {
        *self.result.lock() = Some(result);
        self.done.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// The queue of writers and the right to lead.
pub(super) struct Committer {
    queue: Mutex<VecDeque<Arc<Ticket>>>,
    /// Told when the queue has grown, to a leader that gathers.
    grown: Condvar,
    writer: Mutex<Writer>,
    /// Something was committed that the device may not have, while commits are
    /// to wait for it. Changed by who leads.
    pub(super) is_ahead: AtomicBool,
}

/// What the leader works with.
pub(super) struct Writer {
    /// `None` in memory, or after closing.
    pub(super) log: Option<Log>,
    /// How many writers the last commit served.
    served: usize,
}

/// How long a leader waits for writers that are about to come.
const GATHER: Duration = Duration::from_micros(60);

impl Committer {
    pub(super) fn new(log: Option<Log>) -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            grown: Condvar::new(),
            writer: Mutex::new(Writer { log, served: 1 }),
            is_ahead: AtomicBool::new(false),
        }
    }

    /// The connection, to close it. Waits for a commit that is under way.
    pub(super) fn take_log(&self) -> Option<Log> {
        let log = self.writer.lock().log.take();
        // Somebody may have met the lock taken, and waits for its turn.
        self.wake_next();
        log
    }

    fn enqueue(&self, ticket: &Arc<Ticket>) {
        self.queue.lock().push_back(Arc::clone(ticket));
        self.grown.notify_one();
    }

    /// Takes everybody who waits; first waits for those who are expected.
    fn gather(&self, expected: usize) -> Vec<Arc<Ticket>> {
        let mut queue = self.queue.lock();
        if queue.len() < expected {
            let deadline = Instant::now() + GATHER;
            let mut is_late = false;
            while queue.len() < expected && !is_late {
                (queue, is_late) = self.grown.wait_until(queue, deadline);
            }
        }
        queue.drain(..).collect()
    }

    /// Whether somebody waits for the next commit.
    pub(super) fn is_awaited(&self) -> bool {
        !self.queue.lock().is_empty()
    }

    /// Lets the first of those who wait try to lead.
    fn wake_next(&self) {
        if let Some(ticket) = self.queue.lock().front() {
            ticket.thread.unpark();
        }
    }
}

impl Engine {
    /// Does `job` and returns when it is as durable as was asked for.
    pub(super) fn submit(&self, job: Job) -> Result<Outcome, KvError> {
        self.check_poison()?;
        let ticket = Arc::new(Ticket {
            job: Mutex::new(Some(job)),
            result: Mutex::new(None),
            done: AtomicBool::new(false),
            thread: thread::current(),
        });
        self.committer.enqueue(&ticket);
        while !ticket.done.load(Ordering::Acquire) {
            let Some(mut writer) = self.committer.writer.try_lock() else {
                // Whoever leads unparks us: when our write is done, or when it
                // is our turn to lead.
                thread::park();
                continue;
            };
            if !ticket.done.load(Ordering::Acquire) {
                self.lead(&mut writer);
            }
            drop(writer);
            self.committer.wake_next();
        }
        let result = ticket.result.lock().take();
        result.unwrap_or(Err(Unusable::Poisoned.into()))
    }

    /// Commits for all who wait.
    fn lead(&self, writer: &mut Writer) {
        let expected = if self.settings.synced { writer.served } else { 1 };
        let tickets = self.committer.gather(expected);
        writer.served = tickets.len();
        let jobs = tickets.iter().filter_map(|ticket| ticket.job.lock().take()).collect();
        let log = writer.log.as_ref();
        let result = catch_unwind(AssertUnwindSafe(|| self.transact(log, jobs)));
        let result = result.unwrap_or_else(|panic| {
            self.poison();
            if let Some(log) = log {
                log.roll_back();
            }
            Err(KvError::Panicked { what: what_panicked(panic.as_ref()).to_owned() })
        });
        match result {
            Ok(outcomes) => {
                for (ticket, outcome) in tickets.iter().zip(outcomes) {
                    ticket.finish(outcome);
                }
            }
            Err(error) => {
                for ticket in &tickets {
                    ticket.finish(Err(error.clone()));
                }
            }
        }
    }
}
