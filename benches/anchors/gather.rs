//! Group commit without a database: who finds nobody writing leads, waits a
//! moment for the writers that it woke last time, writes one block for all and
//! syncs once.

use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::disk::Disk;

/// How long the leader waits for the others.
const PATIENCE: Duration = Duration::from_micros(60);

/// Writers of many threads, one sync for all who wait.
pub struct Gather {
    queue: Mutex<Queue>,
    done: Condvar,
    disk: Mutex<Disk>,
}

#[derive(Default)]
struct Queue {
    records: Vec<u8>,
    waiting: usize,
    /// The batch that is being collected, and how many are on the disk.
    batch: u64,
    written: u64,
    leading: bool,
    /// How many the last batch had.
    last: usize,
}

impl Gather {
    pub fn new(directory: &Path) -> Gather {
        let queue = Mutex::new(Queue { batch: 1, ..Queue::default() });
        Gather { queue, done: Condvar::new(), disk: Mutex::new(Disk::new(directory)) }
    }

    /// Returns when the record is on the disk.
    pub fn put(&self, record: &[u8]) {
        let mut queue = self.queue.lock().unwrap();
        queue.records.extend_from_slice(record);
        queue.waiting += 1;
        let mine = queue.batch;
        while queue.leading && queue.written < mine {
            queue = self.done.wait(queue).unwrap();
        }
        if queue.written >= mine {
            return;
        }
        queue.leading = true;
        let start = Instant::now();
        while queue.waiting < queue.last && start.elapsed() < PATIENCE {
            drop(queue);
            std::thread::yield_now();
            queue = self.queue.lock().unwrap();
        }
        let records = std::mem::take(&mut queue.records);
        queue.last = std::mem::take(&mut queue.waiting);
        let batch = queue.batch;
        queue.batch += 1;
        drop(queue);
        self.disk.lock().unwrap().write(&records);
        let mut queue = self.queue.lock().unwrap();
        queue.written = batch;
        queue.leading = false;
        drop(queue);
        self.done.notify_all();
    }
}
