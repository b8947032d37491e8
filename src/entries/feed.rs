//! Feeds: what happens to the registry, as a stream of events.
//!
//! Events of a transaction come together when it ends, after what it made can
//! be seen: a reader never has half of one.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use super::EntryError;
use super::engine::Engine;
use super::op::Op;
use super::transaction::{Caller, Step};
use crate::guard::{Guard, Unusable};
use crate::platform::event_fd::EventFd;
use crate::platform::signal::Signal;
use crate::platform::sync::{Mutex, MutexGuard};
use crate::value::{begin_map, end_map, put_bool, put_int, put_string};

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// `registry.begin`, `entry.create` and so on; `gap`: some were lost.
    pub kind: &'static str,
    /// The version that the transaction makes or moves to; of a gap the current
    /// one.
    pub version: u64,
    /// The operation, if it is one.
    pub op: Option<Op>,
    /// Another process did it.
    pub foreign: bool,
}

impl Event {
    pub(super) fn of(step: &Step, version: u64) -> Self {
        Self { kind: step.name(), version, op: step.op().cloned(), foreign: false }
    }

    pub(super) fn of_op(op: &Op, version: u64) -> Self {
        Self { kind: op.kind.name(), version, op: Some(op.clone()), foreign: false }
    }

    /// The events of a transaction of another process.
    pub(super) fn foreign(ops: &[Op], version: u64) -> Vec<Self> {
        let mut events = vec![Self::of(&Step::Begin, version)];
        events.extend(ops.iter().map(|op| Self::of_op(op, version)));
        events.push(Self::of(&Step::Commit, version));
        events.iter_mut().for_each(|event| event.foreign = true);
        events
    }

    /// Appends the event as a map of `kind`, `version` and, where there are
    /// any, `entry`, `original` and `foreign`.
    pub fn append_map(&self, out: &mut Vec<u8>) {
        let start = begin_map(out);
        put_string(out, b"kind");
        put_string(out, self.kind.as_bytes());
        put_string(out, b"version");
        put_int(out, self.version.cast_signed());
        let mut pairs = 2;
        if let Some(op) = &self.op {
            put_string(out, b"entry");
            op.entry.append_map(out);
            pairs += 1;
            if let Some(original) = &op.original {
                put_string(out, b"original");
                original.append_map(out);
                pairs += 1;
            }
        }
        if self.foreign {
            put_string(out, b"foreign");
            put_bool(out, true);
            pairs += 1;
        }
        end_map(out, start, pairs);
    }
}

/// The feeds of a registry.
#[derive(Default)]
pub(super) struct Feeds {
    list: Mutex<Vec<Weak<Inner>>>,
    count: AtomicUsize,
}

/// While feeds are held: what is shown meanwhile and what they are told go
/// together.
pub(super) struct HeldFeeds<'a> {
    list: MutexGuard<'a, Vec<Weak<Inner>>>,
}

impl Feeds {
    /// Whether anybody listens.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    pub(super) fn hold(&self) -> HeldFeeds<'_> {
        HeldFeeds { list: self.list.lock() }
    }

    /// Tells events that belong together.
    pub(super) fn push(&self, events: &[Event]) {
        self.hold().push(events);
    }

    /// Wakes who waits: the database is being closed.
    pub(super) fn end_all(&self) {
        self.end(|_| true);
    }

    /// Wakes who waits at a feed of this handle, which is closed.
    pub(super) fn end_of(&self, guard: &Guard) {
        self.end(|feed| feed.handle == address_of(guard));
    }

    fn end(&self, is_meant: impl Fn(&Inner) -> bool) {
        for feed in self.list.lock().iter().filter_map(Weak::upgrade) {
            if is_meant(&feed) {
                feed.end();
            }
        }
    }
}

fn address_of(guard: &Guard) -> usize {
    std::ptr::from_ref(guard).addr()
}

impl HeldFeeds<'_> {
    pub(super) fn push(&self, events: &[Event]) {
        for feed in self.list.iter().filter_map(Weak::upgrade) {
            feed.push(events);
        }
    }
}

struct Inner {
    /// The handle that it was made from, by the address of its guard.
    handle: usize,
    capacity: usize,
    state: Mutex<State>,
    fd: OnceLock<EventFd>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// Events were lost behind those that are there; until that is told, all
    /// are.
    has_gap: bool,
    is_ended: bool,
    waiting: Vec<Arc<Signal>>,
}

impl State {
    fn is_readable(&self) -> bool {
        !self.events.is_empty() || self.has_gap || self.is_ended
    }
}

impl Inner {
    fn push(&self, events: &[Event]) {
        let mut state = self.state.lock();
        if state.has_gap || events.is_empty() {
            return;
        }
        if state.events.len() + events.len() > self.capacity {
            state.has_gap = true;
        } else {
            state.events.extend(events.iter().cloned());
        }
        self.wake(&state);
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.is_ended = true;
        self.wake(&state);
    }

    fn wake(&self, state: &State) {
        if let Some(fd) = self.fd.get() {
            fd.set(state.is_readable());
        }
        state.waiting.iter().for_each(|signal| signal.raise());
    }
}

/// A stream of events, from when it was made on.
///
/// Threads: any; each event goes to one reader.
pub struct Feed {
    inner: Arc<Inner>,
    engine: Arc<Engine>,
    guard: Arc<Guard>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        if self.guard.is_forked() {
            return;
        }
        let own = Arc::as_ptr(&self.inner);
        let mut list = self.engine.feeds.list.lock();
        list.retain(|feed| feed.as_ptr() != own);
        self.engine.feeds.count.store(list.len(), Ordering::Release);
    }
}

impl Feed {
    pub(super) fn new(engine: Arc<Engine>, guard: Arc<Guard>, capacity: usize) -> Self {
        let (state, fd) = (Mutex::default(), OnceLock::new());
        let inner = Arc::new(Inner { handle: address_of(&guard), capacity, state, fd });
        let mut list = engine.feeds.list.lock();
        list.push(Arc::downgrade(&inner));
        engine.feeds.count.store(list.len(), Ordering::Release);
        drop(list);
        if guard.check().is_err() || engine.is_closing() {
            // It may have come too late to be ended with the others.
            inner.end();
        }
        engine.watch();
        Self { inner, engine, guard }
    }

    /// The next event. Waits for it until `deadline`, or for good.
    ///
    /// # Errors
    ///
    /// [`EntryError::NoEvent`] if none came; a closed or inherited handle.
    pub fn next(
        &self,
        caller: &dyn Caller,
        deadline: Option<Instant>,
    ) -> Result<Event, EntryError> {
        if self.guard.is_forked() {
            return Err(Unusable::Forked.into());
        }
        let signal = caller.signal();
        let mut is_waiting = false;
        let next = loop {
            let mark = signal.mark();
            if let Some(event) = self.take() {
                break Ok(event);
            }
            if let Err(why) = self.guard.check() {
                break Err(why.into());
            }
            let mut state = self.inner.state.lock();
            if state.is_ended {
                break Err(Unusable::Closed.into());
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break Err(EntryError::NoEvent);
            }
            if !is_waiting {
                state.waiting.push(Arc::clone(signal));
                is_waiting = true;
                // Looked at once more: something may have come before.
                continue;
            }
            drop(state);
            caller.serve();
            signal.wait(mark, deadline);
        };
        if is_waiting {
            let mut state = self.inner.state.lock();
            if let Some(place) = state.waiting.iter().position(|it| Arc::ptr_eq(it, signal)) {
                state.waiting.swap_remove(place);
            }
        }
        next
    }

    /// The next event, if there is one.
    fn take(&self) -> Option<Event> {
        let mut state = self.inner.state.lock();
        if let Some(event) = state.events.pop_front() {
            self.settle(&state);
            return Some(event);
        }
        if !state.has_gap {
            return None;
        }
        drop(state);
        // Nothing is shown and told meanwhile: what comes behind the gap is
        // newer than its version.
        let _held = self.engine.feeds.hold();
        let mut state = self.inner.state.lock();
        if !state.has_gap || !state.events.is_empty() {
            let event = state.events.pop_front();
            self.settle(&state);
            return event;
        }
        state.has_gap = false;
        self.settle(&state);
        let version = self.engine.published().version;
        Some(Event { kind: "gap", version, op: None, foreign: false })
    }

    fn settle(&self, state: &State) {
        if let Some(fd) = self.inner.fd.get()
            && !state.is_readable()
        {
            fd.set(false);
        }
    }

    /// A descriptor that can be read, as poll(2) has it, while there are
    /// events. The feed owns it; do not read from it.
    ///
    /// # Errors
    ///
    /// [`EntryError::NoDescriptor`] if the process has none left; an inherited
    /// handle.
    pub fn fd(&self) -> Result<RawFd, EntryError> {
        if self.guard.is_forked() {
            return Err(Unusable::Forked.into());
        }
        let state = self.inner.state.lock();
        if let Some(fd) = self.inner.fd.get() {
            return Ok(fd.as_raw_fd());
        }
        let fd =
            EventFd::new().map_err(|error| EntryError::NoDescriptor { why: error.to_string() })?;
        fd.set(state.is_readable());
        Ok(self.inner.fd.get_or_init(|| fd).as_raw_fd())
    }
}
