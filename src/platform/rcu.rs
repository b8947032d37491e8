//! Reading shared memory without locks, and freeing what was taken out of it
//! once nobody can be reading it any more (read-copy-update).
//!
//! A reader shows in its thread's own counter that it reads, with plain stores:
//! no atomic read-modify-write, no fence, no cache line that readers share. A
//! writer that has taken something out of shared memory *retires* it. What is
//! retired waits in the thread's limbo; when enough has gathered, a barrier in
//! all threads makes their stores visible, and whoever reads then may still see
//! it: it is freed once those counters have moved on. The barrier costs the
//! writer a microsecond or two for each portion, where a fence would cost every
//! reader of every value ([`barrier`](super::barrier)).
//!
//! Nobody waits for anybody: a reader that sleeps in the middle only delays
//! that memory is given back.
//!
//! After M. Desnoyers et al., "User-Level Implementations of Read-Copy Update",
//! IEEE Transactions on Parallel and Distributed Systems 23(2), 2012.

use std::cell::{Cell, RefCell, RefMut};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;

use super::barrier::{self, Barrier};
use super::fork::PerProcess;
use super::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use super::sync::{Mutex, thread_local};

/// How many retired things gather before readers are asked. The barrier takes
/// some ten microseconds when other threads run: of a thousand puts not even
/// one is to meet it. Few enough that who takes their memory next finds it in
/// the processor's cache.
const PORTION: usize = 4096;
/// How many bytes, so that large values do not wait for long.
const PORTION_BYTES: usize = 1 << 20;

/// Something that readers may still see.
pub(super) struct Retired {
    pointer: *mut (),
    free: unsafe fn(*mut ()),
}

// SAFETY: `new` asks for it.
unsafe impl Send for Retired {}

impl Retired {
    /// # Safety
    ///
    /// `free` may be called once with `pointer`, on any thread, as soon as no
    /// reader is left that began before now.
    #[inline]
    pub(super) unsafe fn new(pointer: *mut (), free: unsafe fn(*mut ())) -> Self {
        Self { pointer, free }
    }

    fn free(self) {
        // SAFETY: called once, as this consumes it; the limbo calls it when the
        // readers are gone.
        unsafe { (self.free)(self.pointer) }
    }
}

/// The bits of a reader's counter that count reads.
const READS: u64 = 0xffff;

/// What one thread shows to the others. Never freed: when the thread ends
/// another one takes it over.
#[repr(align(128))]
struct Reader {
    /// How many reads of the thread are not over ([`READS`]); above that, how
    /// often it has been that none was.
    count: AtomicU64,
    is_taken: AtomicBool,
    next: AtomicPtr<Reader>,
}

/// All readers of a process.
#[derive(Default)]
struct Domain {
    readers: AtomicPtr<Reader>,
    /// What threads left that have ended.
    orphans: Mutex<Vec<Retired>>,
    barrier: Barrier,
}

static DOMAIN: PerProcess<Domain> = PerProcess::new();

impl Domain {
    /// A reader for this thread, until it is given back.
    #[cold]
    fn join(&self) -> &'static Reader {
        let mut next = self.readers.load(Ordering::Acquire);
        // SAFETY: readers are never freed.
        while let Some(reader) = unsafe { next.as_ref() } {
            if !reader.is_taken.swap(true, Ordering::AcqRel) {
                return reader;
            }
            next = reader.next.load(Ordering::Acquire);
        }
        let reader: &'static Reader = Box::leak(Box::new(Reader {
            count: AtomicU64::new(0),
            is_taken: AtomicBool::new(true),
            next: AtomicPtr::new(ptr::null_mut()),
        }));
        let place = ptr::from_ref(reader).cast_mut();
        let mut head = self.readers.load(Ordering::Acquire);
        loop {
            reader.next.store(head, Ordering::Relaxed);
            match self.readers.compare_exchange_weak(
                head,
                place,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return reader,
                Err(other) => head = other,
            }
        }
    }

    /// The readers that may see what was taken out before now.
    fn blockers(&self, blockers: &mut Vec<(&'static Reader, u64)>) {
        let mut next = self.readers.load(Ordering::Acquire);
        // SAFETY: readers are never freed.
        while let Some(reader) = unsafe { next.as_ref() } {
            let count = reader.count.load(Ordering::Acquire);
            if count & READS != 0 {
                blockers.push((reader, count));
            }
            next = reader.next.load(Ordering::Acquire);
        }
    }
}

/// What a thread has retired, on its way from `fresh` by `waiting` to `free`.
struct Limbo {
    fresh: Vec<Retired>,
    /// What of it is large.
    large: Vec<Retired>,
    fresh_bytes: usize,
    /// Waits for `blockers` to move on.
    waiting: Vec<Retired>,
    blockers: Vec<(&'static Reader, u64)>,
    /// What nobody can see any more. One goes with each that comes, two when
    /// there are many: so no put pays for thousands. What is large goes at once.
    free: Vec<Retired>,
}

/// How many small ones are freed for each that is retired, at most.
const AT_A_TIME: usize = 2;
/// From so many bytes on something is large.
const LARGE: usize = 32 << 10;

/// What is to be freed now.
struct Freed {
    few: [Option<Retired>; AT_A_TIME],
    large: Vec<Retired>,
}

impl Freed {
    #[inline]
    fn free(self) {
        self.few.into_iter().flatten().for_each(Retired::free);
        self.large.into_iter().for_each(Retired::free);
    }
}

impl Limbo {
    const fn new() -> Self {
        Self {
            fresh: Vec::new(),
            large: Vec::new(),
            fresh_bytes: 0,
            waiting: Vec::new(),
            blockers: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Gives what is to be freed now.
    #[inline]
    fn add(&mut self, retired: Retired, bytes: usize) -> Freed {
        if bytes < LARGE {
            self.fresh.push(retired);
        } else {
            self.large.push(retired);
        }
        // Whoever wants a turn for sure says a very large number.
        self.fresh_bytes = self.fresh_bytes.saturating_add(bytes);
        let is_full = self.fresh.len().is_multiple_of(PORTION) && !self.fresh.is_empty();
        let large = if is_full || self.fresh_bytes >= PORTION_BYTES {
            self.turn(is_full)
        } else {
            Vec::new()
        };
        let second = if self.free.len() > PORTION { self.free.pop() } else { None };
        Freed { few: [self.free.pop(), second], large }
    }

    /// Looks what can be freed; gives what of it is large. `adopts`: takes what
    /// other threads have left along.
    #[cold]
    fn turn(&mut self, adopts: bool) -> Vec<Retired> {
        self.blockers.retain(|(reader, count)| {
            reader.count.load(Ordering::Acquire) & !READS == count & !READS
        });
        let domain = DOMAIN.get();
        if !self.blockers.is_empty() {
            // Whoever looks next is to free what is large: this thread may
            // retire nothing for long.
            domain.orphans.lock().append(&mut self.large);
            return Vec::new();
        }
        self.free.append(&mut self.waiting);
        let mut large = std::mem::take(&mut self.large);
        if adopts {
            self.fresh.append(&mut domain.orphans.lock());
        }
        self.fresh_bytes = 0;
        if domain.barrier.in_all() {
            domain.blockers(&mut self.blockers);
            if self.blockers.is_empty() {
                self.free.append(&mut self.fresh);
                return large;
            }
            self.waiting.append(&mut self.fresh);
            domain.orphans.lock().append(&mut large);
        } else {
            // Rather lost than freed under a reader.
            self.fresh.drain(..).chain(large).for_each(std::mem::forget);
        }
        Vec::new()
    }

    fn all(self) -> impl Iterator<Item = Retired> {
        self.fresh.into_iter().chain(self.large).chain(self.waiting).chain(self.free)
    }
}

/// A thread, as this module knows it.
struct Local {
    /// None before its first read, after a fork, and when it ends.
    reader: Cell<Option<&'static Reader>>,
    /// Used only while there is a reader.
    limbo: ManuallyDrop<RefCell<Limbo>>,
}

thread_local! {
    // Without a destructor, so that reaching it costs little; `KEEPER` has one.
    static LOCAL: Local = const {
        Local { reader: Cell::new(None), limbo: ManuallyDrop::new(RefCell::new(Limbo::new())) }
    };
    /// Leaves when the thread ends.
    static KEEPER: Keeper = const { Keeper };
}

struct Keeper;

impl Drop for Keeper {
    fn drop(&mut self) {
        // It has no destructor, so it is there.
        let _ = LOCAL.try_with(Local::leave);
    }
}

impl Local {
    #[inline(always)]
    fn reader(&self) -> &'static Reader {
        self.reader.get().unwrap_or_else(|| self.join())
    }

    #[cold]
    fn join(&self) -> &'static Reader {
        let reader = DOMAIN.get().join();
        if KEEPER.try_with(|_| ()).is_ok() {
            self.reader.set(Some(reader));
        }
        // Else the thread is ending, and the reader stays taken, which is rare.
        reader
    }

    fn leave(&self) {
        let Some(reader) = self.reader.take() else { return };
        let limbo = self.limbo.replace(Limbo::new());
        DOMAIN.get().orphans.lock().extend(limbo.all());
        reader.is_taken.store(false, Ordering::Release);
    }

    /// The limbo, unless the thread is ending. What is to be freed is freed
    /// without it: freeing may retire more.
    #[inline(always)]
    fn limbo(&self) -> Option<RefMut<'_, Limbo>> {
        if self.reader.get().is_none() {
            // Else the thread is ending, and has left.
            KEEPER.try_with(|_| ()).ok()?;
            self.join();
        }
        Some(self.limbo.borrow_mut())
    }
}

/// A forked child has readers of its own, and one thread, which calls this.
/// What waited there waits for threads of the parent.
pub(super) fn in_child() {
    let _ = LOCAL.try_with(|local| {
        local.reader.set(None);
        // Lost as it is if the fork came in the middle, in a signal's handler.
        if let Ok(mut limbo) = local.limbo.try_borrow_mut() {
            std::mem::forget(std::mem::replace(&mut *limbo, Limbo::new()));
        }
    });
}

/// Runs `body`, during which nothing is freed that is reachable now.
#[inline]
pub(super) fn read<R>(body: impl FnOnce() -> R) -> R {
    let _reading = enter();
    body()
}

/// Begins to read: as long as the result is there, nothing is freed that is
/// reachable now.
#[inline(always)]
pub(super) fn enter() -> Reading {
    // It has no destructor, so it is always there.
    let reader = LOCAL.try_with(Local::reader).unwrap_or_else(|_| DOMAIN.get().join());
    barrier::begin_to_read(&reader.count, reader.count.load(Ordering::Relaxed) + 1);
    Reading { reader, _of_this_thread: PhantomData }
}

/// A read that is not over. Of this thread, which ends it.
pub(super) struct Reading {
    reader: &'static Reader,
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for Reading {
    #[inline(always)]
    fn drop(&mut self) {
        let count = self.reader.count.load(Ordering::Relaxed) - 1;
        let is_last = count & READS == 0;
        self.reader.count.store(count + if is_last { READS + 1 } else { 0 }, Ordering::Release);
    }
}

/// Frees `retired`, of `bytes` bytes, when no reader can see it any more. It
/// must have been taken out of shared memory before.
#[inline]
pub(super) fn retire(retired: Retired, bytes: usize) {
    let mut retired = Some(retired);
    let add = |local: &Local| Some(local.limbo()?.add(retired.take()?, bytes));
    match LOCAL.try_with(add) {
        Ok(Some(freed)) => freed.free(),
        // The thread is ending.
        _ => DOMAIN.get().orphans.lock().extend(retired),
    }
}

/// Most that waits for another thread to free it.
const GIVEN_AWAY: usize = 4096;

/// Has another thread free `retired`, if there is one that retires: where this
/// one has not allocated what it frees, it would contend with the one that has.
pub(super) fn give_away(retired: Vec<Retired>) {
    let mut orphans = DOMAIN.get().orphans.lock();
    if orphans.len() < GIVEN_AWAY {
        orphans.extend(retired);
    } else {
        drop(orphans);
        // Readers may see it as they may see what this thread retires itself.
        retired.into_iter().for_each(|it| retire(it, PORTION_BYTES / PORTION));
    }
}

/// Frees what this thread has retired, as far as nobody reads it.
pub(crate) fn tidy() {
    let take = |local: &Local| {
        let mut limbo = local.limbo()?;
        Some([limbo.turn(true), std::mem::take(&mut limbo.free)])
    };
    let free = LOCAL.try_with(take).ok().flatten();
    free.into_iter().flatten().flatten().for_each(Retired::free);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Barrier};

    use super::*;

    /// Set to a number that nobody else uses when freed.
    unsafe fn poison(cell: *mut ()) {
        // SAFETY: the tests below give leaked atomics.
        unsafe { &*cell.cast::<AtomicUsize>() }.store(usize::MAX, Ordering::SeqCst);
    }

    fn leaked(value: usize) -> &'static AtomicUsize {
        Box::leak(Box::new(AtomicUsize::new(value)))
    }

    fn give_up(cell: &'static AtomicUsize) {
        // SAFETY: a leaked atomic may be poisoned at any time.
        retire(
            unsafe { Retired::new(ptr::from_ref(cell).cast_mut().cast(), poison) },
            PORTION_BYTES,
        );
    }

    #[test]
    fn what_a_reader_may_see_is_freed_only_after_it_has_left() {
        let cell = leaked(1);
        let (inside, done) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let reader = {
            let (inside, done) = (Arc::clone(&inside), Arc::clone(&done));
            std::thread::spawn(move || {
                read(|| {
                    inside.wait();
                    done.wait();
                    cell.load(Ordering::SeqCst)
                })
            })
        };
        inside.wait();
        give_up(cell);
        tidy();
        assert_eq!(cell.load(Ordering::SeqCst), 1);
        done.wait();
        assert_eq!(reader.join().unwrap(), 1);
        // Other tests read meanwhile, and may have been asked for it too.
        while cell.load(Ordering::SeqCst) == 1 {
            tidy();
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_large_stays_large_while_it_waits_for_a_reader() {
        let reader: &'static Reader = Box::leak(Box::new(Reader {
            count: AtomicU64::new(1),
            is_taken: AtomicBool::new(true),
            next: AtomicPtr::new(ptr::null_mut()),
        }));
        let mut limbo = Limbo { blockers: vec![(reader, 1)], ..Limbo::new() };
        // As a table that is cleared retires its shards, and a cell after them.
        for bytes in [usize::MAX / 2, usize::MAX / 2, 100] {
            // SAFETY: a leaked atomic may be poisoned at any time.
            let retired =
                unsafe { Retired::new(ptr::from_ref(leaked(1)).cast_mut().cast(), poison) };
            let freed = limbo.add(retired, bytes);
            assert!(freed.few.iter().all(Option::is_none) && freed.large.is_empty());
        }
        assert!(limbo.fresh_bytes >= PORTION_BYTES);
    }

    #[test]
    fn what_is_large_goes_at_once_when_nobody_reads() {
        // A thread that seldom retires anything small has freed all its large
        // ones, but for those that other tests' readers may see.
        std::thread::spawn(|| {
            let cells: Vec<_> = (0..1000).map(leaked).collect();
            for cell in &cells {
                give_up(cell);
            }
            while cells.iter().any(|cell| cell.load(Ordering::SeqCst) != usize::MAX) {
                tidy();
                std::thread::yield_now();
            }
            let freed: &'static AtomicUsize = leaked(1);
            let mut tries = 0;
            // The barrier may meet a reader; mostly there is none.
            while freed.load(Ordering::SeqCst) == 1 && tries < 10_000 {
                give_up(if tries == 0 { freed } else { leaked(1) });
                tries += 1;
            }
            assert!(tries < 10_000, "it waits for others of its kind");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_a_thread_leaves_is_freed_by_another() {
        let cell = leaked(1);
        std::thread::spawn(move || {
            // SAFETY: as in `give_up`.
            retire(unsafe { Retired::new(ptr::from_ref(cell).cast_mut().cast(), poison) }, 1);
        })
        .join()
        .unwrap();
        // Other tests read meanwhile.
        while cell.load(Ordering::SeqCst) == 1 {
            tidy();
        }
    }

    #[test]
    fn what_is_given_away_waits_for_readers_also_when_nobody_takes_it() {
        let cell = leaked(1);
        let (inside, done) = (Barrier::new(2), Barrier::new(2));
        // SAFETY: a leaked atomic may be poisoned at any time.
        let given = |cell: &'static AtomicUsize| unsafe {
            Retired::new(ptr::from_ref(cell).cast_mut().cast(), poison)
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                read(|| {
                    inside.wait();
                    done.wait();
                    assert_eq!(cell.load(Ordering::SeqCst), 1);
                });
            });
            inside.wait();
            // Other tests may take what waits: so again and again.
            for _ in 0..10 {
                give_away((0..GIVEN_AWAY).map(|_| given(leaked(1))).collect());
            }
            give_away(vec![given(cell)]);
            let seen = cell.load(Ordering::SeqCst);
            done.wait();
            assert_eq!(seen, 1, "freed under a reader");
        });
    }

    #[test]
    fn readers_never_see_what_was_freed() {
        let shared = AtomicPtr::new(ptr::from_ref(leaked(0)).cast_mut());
        let (stop, begun) = (AtomicBool::new(false), Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    begun.wait();
                    while !stop.load(Ordering::Relaxed) {
                        // SAFETY: leaked, so always readable.
                        let value = read(|| unsafe {
                            (*shared.load(Ordering::Acquire)).load(Ordering::Relaxed)
                        });
                        assert_ne!(value, usize::MAX);
                    }
                });
            }
            begun.wait();
            for round in 1..100_000 {
                let old = shared.swap(ptr::from_ref(leaked(round)).cast_mut(), Ordering::AcqRel);
                // SAFETY: leaked.
                give_up(unsafe { &*old });
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
