//! Of read-copy-update alone, with boxes behind one pointer.

use std::sync::Arc;

use loom::thread::JoinHandle;

use super::{BOTH, Model, sweep};
use crate::atomic::{AtomicPtr, Ordering};
use crate::kernel::{Kernel, reader, writer};
use crate::memory::{Mark, live};
use crate::platform::parts::{MANY, begin, give_away, read, retire};
use crate::platform::rcu::tidy;

pub fn models() -> Vec<Model> {
    use Kernel::{Lies, RefusesLater};
    let model = |name, body, kernels| Model { name, body, fewer: 0, kernels };
    vec![
        model("a_reader_keeps_what_it_sees", a_reader_keeps_what_it_sees, BOTH),
        model("a_kernel_that_lies_is_found_out", a_reader_keeps_what_it_sees, &[Lies]),
        model("a_sandbox_put_up_meanwhile", two_free_when_a_sandbox_comes, &[RefusesLater]),
        model("a_reader_in_a_reader", a_reader_in_a_reader, BOTH),
        model("reads_that_end_in_another_order", reads_that_end_in_another_order, BOTH),
        model("a_reader_that_comes_back", a_reader_that_comes_back, BOTH),
        Model { fewer: 1, ..model("two_readers_that_join_meanwhile", two_readers, BOTH) },
        model("a_thread_that_ends", a_thread_that_ends, BOTH),
        model("what_is_given_away", what_is_given_away, BOTH),
    ]
}

/// A pointer that readers follow.
struct Shared(AtomicPtr<Mark>);

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicPtr::new(Box::into_raw(Box::new(Mark::new())))))
    }

    /// Looks at what is there twice.
    fn look(&self) {
        read(|| self.look_inside());
    }

    fn look_inside(&self) {
        // SAFETY: what `take` gave is freed after readers only, which is what
        // the models are about; and `memory` keeps it.
        let mark = unsafe { &*self.0.load(Ordering::Acquire) };
        mark.touch();
        // It may be interrupted in between.
        crate::kernel::interrupt();
        mark.touch();
    }

    /// Puts another one there.
    fn take(&self) -> Box<Mark> {
        let new = Box::into_raw(Box::new(Mark::new()));
        // SAFETY: from such a box, here or in `new`, and taken once.
        unsafe { Box::from_raw(self.0.swap(new, Ordering::AcqRel)) }
    }
}

/// A thread that puts another one there and frees what was.
fn freeing(shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    writer(move || {
        retire(shared.take(), MANY);
        tidy();
    })
}

fn a_reader_keeps_what_it_sees() {
    let shared = Shared::new();
    let reading = reader({
        let shared = Arc::clone(&shared);
        move || shared.look()
    });
    let writing = freeing(&shared);
    reading.join().unwrap();
    writing.join().unwrap();
    sweep(1);
}

/// What was in the hands of the second time is none of the first.
fn a_reader_that_comes_back() {
    let shared = Shared::new();
    let reading = reader({
        let shared = Arc::clone(&shared);
        move || (0..3).for_each(|_| shared.look())
    });
    let writing = freeing(&shared);
    reading.join().unwrap();
    writing.join().unwrap();
    sweep(1);
}

/// The inner one ends first, and the outer one goes on.
fn a_reader_in_a_reader() {
    let shared = Shared::new();
    let reading = reader({
        let shared = Arc::clone(&shared);
        move || {
            read(|| {
                shared.look();
                shared.look_inside();
            });
        }
    });
    let writing = freeing(&shared);
    reading.join().unwrap();
    writing.join().unwrap();
    sweep(1);
}

/// The first one ends first, and the second one goes on.
fn reads_that_end_in_another_order() {
    let shared = Shared::new();
    let reading = reader({
        let shared = Arc::clone(&shared);
        move || {
            let first = begin();
            let second = begin();
            drop(first);
            shared.look_inside();
            drop(second);
        }
    });
    let writing = freeing(&shared);
    reading.join().unwrap();
    writing.join().unwrap();
    sweep(1);
}

fn two_readers() {
    let shared = Shared::new();
    let readers = [0, 1].map(|_| {
        let shared = Arc::clone(&shared);
        reader(move || shared.look())
    });
    let writing = freeing(&shared);
    readers.into_iter().for_each(|it| it.join().unwrap());
    writing.join().unwrap();
    sweep(1);
}

/// Another one finds what it left, while the reader may still be there.
fn a_thread_that_ends() {
    let shared = Shared::new();
    let reading = reader({
        let shared = Arc::clone(&shared);
        move || shared.look()
    });
    let writing = writer({
        let shared = Arc::clone(&shared);
        // So little that it waits in the limbo of the thread.
        move || retire(shared.take(), 1)
    });
    writing.join().unwrap();
    writer(tidy).join().unwrap();
    reading.join().unwrap();
    sweep(1);
}

/// Two look at the readers: who was given something may come first.
fn what_is_given_away() {
    let shared = Shared::new();
    let reading = reader({
        let shared = Arc::clone(&shared);
        move || shared.look()
    });
    let giver = writer({
        let shared = Arc::clone(&shared);
        move || give_away(shared.take())
    });
    let freer = writer(|| (0..2).for_each(|_| tidy()));
    reading.join().unwrap();
    giver.join().unwrap();
    freer.join().unwrap();
    sweep(1);
}

/// The kernel refuses its first barrier. What waits then is rather lost than
/// freed under a reader that does not know yet that it has to fence.
fn two_free_when_a_sandbox_comes() {
    let shared = Shared::new();
    let reading = reader({
        let shared = Arc::clone(&shared);
        move || shared.look()
    });
    let first = writer(tidy);
    let second = writer({
        let shared = Arc::clone(&shared);
        move || retire(shared.take(), MANY)
    });
    reading.join().unwrap();
    first.join().unwrap();
    second.join().unwrap();
    // It is not sure for a second.
    assert_eq!(live(), 2);
}
