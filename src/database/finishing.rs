//! Threads that write and close what is left, while their host goes on; the end
//! of the process waits for them.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use crate::platform::fork::PerProcess;
use crate::platform::signals::AllBlocked;
use crate::platform::sync::{Condvar, Mutex};

/// Those of a process: a forked child has none of its parent's.
static FINISHING: PerProcess<Arc<Finishing>> = PerProcess::new();

/// Does `work` on a thread of its own, which blocks all signals.
///
/// # Errors
///
/// The system has no thread for it.
pub(super) fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    FINISHING.get().begin(name, work)
}

/// Waits until all are done, or the deadline is over: one that is stuck keeps
/// no process from ending.
pub(super) fn wait(deadline: Instant) {
    FINISHING.get().wait(deadline);
}

#[derive(Default)]
struct Finishing {
    threads: Mutex<Threads>,
    one_is_done: Condvar,
}

#[derive(Default)]
struct Threads {
    /// How many are not done.
    at_work: usize,
    started: Vec<JoinHandle<()>>,
}

/// Counts a thread out, also if its work panics.
struct Done(Arc<Finishing>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.threads.lock().at_work -= 1;
        self.0.one_is_done.notify_all();
    }
}

impl Finishing {
    fn begin(self: &Arc<Self>, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        {
            let mut threads = self.threads.lock();
            threads.started.retain(|thread| !thread.is_finished());
            threads.at_work += 1;
        }
        // Goes with the work, also where no thread takes it.
        let done = Done(Arc::clone(self));
        let work = move || {
            let _done = done;
            work();
        };
        let _blocked = AllBlocked::new();
        let thread = Builder::new().name(name.to_owned()).spawn(work)?;
        self.threads.lock().started.push(thread);
        Ok(())
    }

    fn wait(&self, deadline: Instant) {
        let mut threads = self.threads.lock();
        let mut is_late = false;
        while threads.at_work > 0 && !is_late {
            (threads, is_late) = self.one_is_done.wait_until(threads, deadline);
        }
        if threads.at_work == 0 {
            // What comes next at the end of the process is to meet none of
            // them in the middle of its own end.
            let started = std::mem::take(&mut threads.started);
            drop(threads);
            started.into_iter().for_each(|thread| drop(thread.join()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn all_is_done_when_the_wait_is_over() {
        let finishing = Arc::new(Finishing::default());
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let done = Arc::clone(&done);
            let work = move || {
                std::thread::sleep(Duration::from_millis(5));
                done.fetch_add(1, Ordering::Relaxed);
            };
            finishing.begin("test", work).unwrap();
        }
        finishing.wait(far());
        assert_eq!(done.load(Ordering::Relaxed), 20);
        assert!(finishing.threads.lock().started.is_empty());
    }

    #[test]
    fn work_that_panics_is_done() {
        let finishing = Arc::new(Finishing::default());
        // Without a message on stderr.
        finishing.begin("test", || std::panic::resume_unwind(Box::new("a fault"))).unwrap();
        finishing.wait(far());
        assert_eq!(finishing.threads.lock().at_work, 0);
    }

    #[test]
    fn work_that_is_stuck_is_left_alone_after_the_deadline() {
        let finishing = Arc::new(Finishing::default());
        let (go_on, stuck) = mpsc::channel::<()>();
        let work = move || {
            let _ = stuck.recv();
        };
        finishing.begin("test", work).unwrap();
        finishing.wait(Instant::now());
        assert_eq!(finishing.threads.lock().at_work, 1);
        drop(go_on);
        finishing.wait(far());
        assert_eq!(finishing.threads.lock().at_work, 0);
    }
}
