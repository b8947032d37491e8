//! Memory for cells.
//!
//! A put takes a cell out and puts one in, most often of about the same size.
//! What was taken out becomes free many at a time ([`rcu`](super::rcu)), which
//! a general allocator is not made for, and what is read in no order is spread
//! over more pages than a processor can keep in mind, which only larger pages
//! change. So small cells have memory of their own: each thread keeps spare
//! pieces in lists by size, and exchanges them in portions with the
//! [`arena`](super::arena) of all. Larger ones come from the allocator.
//!
//! With `ACERVO_POOL=off` in the environment everything comes from the
//! allocator, for tools that look for faults in the use of memory.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::ptr;

use super::arena::{self, Pieces};

/// What a thread keeps of one size, in bytes.
const KEPT: usize = 128 << 10;
/// Pieces that it fetches when it has none, and gives back when it has too
/// many: so few that a put that has to wait for it does not wait for long.
const EXCHANGED: u32 = 64;
const CLASSES: usize = arena::CLASSES;

/// The spare pieces of a thread.
struct Pool {
    lists: [Cell<Pieces>; CLASSES],
    /// Whether it keeps any: not before the first, and not when the thread ends.
    is_open: Cell<bool>,
}

thread_local! {
    // Without a destructor, so that reaching it costs little; `KEEPER` has one.
    static POOL: Pool = const {
        Pool { lists: [const { Cell::new(Pieces::NONE) }; CLASSES], is_open: Cell::new(false) }
    };
    /// Closes the pool when the thread ends.
    static KEEPER: Keeper = const { Keeper };
}

struct Keeper;

impl Drop for Keeper {
    fn drop(&mut self) {
        POOL.with(Pool::close);
    }
}

/// The class of memory with this layout; `None`: it is the allocator's.
#[inline]
fn class_of(layout: Layout) -> Option<usize> {
    let is_pooled = layout.size() <= arena::LARGEST && layout.align() <= arena::ALIGN;
    is_pooled.then(|| arena::class_of(layout.size()))
}

/// Memory of this layout; null if there is none.
///
/// # Safety
///
/// The layout's size is not 0.
#[inline]
pub(super) unsafe fn take(layout: Layout) -> *mut u8 {
    match class_of(layout) {
        Some(class) => POOL.with(|pool| pool.take(class)),
        // SAFETY: as promised by the caller.
        None => unsafe { alloc(layout) },
    }
}

/// Gives memory up.
///
/// # Safety
///
/// It was taken with this layout, and the caller gives it up.
#[inline]
pub(super) unsafe fn give(piece: *mut u8, layout: Layout) {
    match class_of(layout) {
        // SAFETY: as promised by the caller.
        Some(class) => POOL.with(|pool| unsafe { pool.give(class, piece) }),
        // SAFETY: as promised by the caller.
        None => unsafe { dealloc(piece, layout) },
    }
}

/// Gives all spare pieces of this thread back, as one here and there keeps the
/// memory around it, and what is free then to the system.
pub(crate) fn tidy() {
    let _ = POOL.try_with(|pool| {
        let is_open = pool.is_open.get();
        pool.close();
        pool.is_open.set(is_open);
    });
    arena::tidy();
}

/// How many pieces of each class a thread keeps.
static KEPT_OF: [u32; CLASSES] = {
    let mut kept = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        kept[class] = (KEPT / arena::size_of(class)) as u32;
        assert!(kept[class] > EXCHANGED);
        class += 1;
    }
    kept
};

impl Pool {
    #[inline]
    fn take(&self, class: usize) -> *mut u8 {
        let mut list = self.lists[class].get();
        match list.pop() {
            Some(piece) => {
                self.lists[class].set(list);
                piece
            }
            None => self.refill(class),
        }
    }

    /// # Safety
    ///
    /// The piece is of this class, and the caller gives it up.
    #[inline]
    unsafe fn give(&self, class: usize, piece: *mut u8) {
        let mut list = self.lists[class].get();
        // SAFETY: as promised by the caller.
        unsafe { list.push(piece) };
        self.lists[class].set(list);
        if list.len() >= KEPT_OF[class] || !self.is_open.get() {
            self.give_back(class);
        }
    }

    /// A piece for who found the list empty, and some for later.
    #[cold]
    fn refill(&self, class: usize) -> *mut u8 {
        self.is_open.set(arena::is_on() && KEEPER.try_with(|_| ()).is_ok());
        let mut pieces = arena::take(class, if self.is_open.get() { EXCHANGED } else { 1 });
        let first = pieces.pop();
        self.lists[class].set(pieces);
        first.unwrap_or(ptr::null_mut())
    }

    /// Gives some of a list that is full back; all of it if it keeps none.
    #[cold]
    fn give_back(&self, class: usize) {
        let mut list = self.lists[class].get();
        let stay = if self.is_open.get() { KEPT_OF[class] - EXCHANGED } else { 0 };
        let mut pieces = Pieces::NONE;
        while list.len() > stay
            && let Some(piece) = list.pop()
        {
            // SAFETY: just taken from the list.
            unsafe { pieces.push(piece) };
        }
        self.lists[class].set(list);
        // SAFETY: they are of this class, and nobody else has them.
        unsafe { arena::give(class, pieces) };
    }

    fn close(&self) {
        self.is_open.set(false);
        (0..CLASSES).for_each(|class| self.give_back(class));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    fn filled(size: usize, byte: u8) -> *mut u8 {
        // SAFETY: not empty; filled as far as it was asked for.
        unsafe {
            let piece = take(layout(size));
            piece.write_bytes(byte, size);
            piece
        }
    }

    fn check_and_give(piece: *mut u8, size: usize, byte: u8) {
        // SAFETY: from `filled`.
        unsafe {
            assert!(std::slice::from_raw_parts(piece, size).iter().all(|&b| b == byte));
            give(piece, layout(size));
        }
    }

    #[test]
    fn pieces_do_not_overlap_whatever_their_sizes() {
        let sizes = [1, 15, 16, 17, 100, 511, 512, 513, 5000];
        for _ in 0..3 {
            let pieces: Vec<_> = (0..20_000_usize)
                .map(|n| (filled(sizes[n % sizes.len()], n as u8), sizes[n % sizes.len()], n as u8))
                .collect();
            pieces.into_iter().for_each(|(piece, size, byte)| check_and_give(piece, size, byte));
        }
    }

    #[test]
    fn a_piece_that_was_given_up_is_taken_next() {
        let first = filled(100, 1);
        check_and_give(first, 100, 1);
        let again = filled(97, 2);
        assert_eq!(again, first);
        check_and_give(again, 97, 2);
    }

    #[test]
    fn what_one_thread_takes_others_may_give_up() {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for round in 0..100_000_usize {
                    sender
                        .send((filled(200, round as u8).expose_provenance(), round as u8))
                        .unwrap();
                }
            });
            scope.spawn(move || {
                for (piece, byte) in receiver {
                    check_and_give(ptr::with_exposed_provenance_mut(piece), 200, byte);
                }
            });
        });
    }
}
