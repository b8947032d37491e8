//! Where pieces of memory for cells come from: large chunks of pages.
//!
//! A chunk is cut into slabs, a slab into pieces of one size. Slabs that have
//! pieces left are listed by size; a slab whose pieces are all back serves any
//! size, and a chunk whose slabs are all back goes to the system again. The
//! first chunk takes up pages as they are used, so that few cells stay cheap;
//! with the second one the kernel is asked for huge pages.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr;
use std::sync::OnceLock;

use super::chunk::{self, CHUNK};
use super::fork::{self, PerProcess};
use super::sync::Mutex;

/// What sizes are multiples of, and addresses.
pub(super) const ALIGN: usize = 16;
/// The largest pieces.
pub(super) const LARGEST: usize = 512;
/// Up to here, sizes are multiples of [`ALIGN`]; above, whole cache lines: a
/// piece that begins anywhere in a line would touch one more.
const FINE: usize = 128;
const LINE: usize = 64;
/// How many sizes there are.
pub(super) const CLASSES: usize = class_of(LARGEST) + 1;

const SLAB: usize = 32 << 10;
/// Slabs of a chunk; where the first one would be is the chunk's head.
const SLABS: usize = CHUNK / SLAB;

/// The class of the pieces that have room for `size` bytes.
#[inline]
pub(super) const fn class_of(size: usize) -> usize {
    let last = size.saturating_sub(1);
    if last < FINE { last / ALIGN } else { (last - FINE) / LINE + FINE / ALIGN }
}

/// How large the pieces of a class are.
#[inline]
pub(super) const fn size_of(class: usize) -> usize {
    match class.checked_sub(FINE / ALIGN) {
        None => (class + 1) * ALIGN,
        Some(lines) => FINE + (lines + 1) * LINE,
    }
}

/// What a spare piece begins with.
struct Piece {
    next: *mut Piece,
}

/// Spare pieces of one class.
#[derive(Clone, Copy)]
pub(super) struct Pieces {
    first: *mut Piece,
    len: u32,
}

impl Pieces {
    pub(super) const NONE: Self = Self { first: ptr::null_mut(), len: 0 };

    #[inline]
    pub(super) fn len(self) -> u32 {
        self.len
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<*mut u8> {
        let piece = self.first;
        // SAFETY: what is in a list is spare, and `push` wrote it.
        self.first = unsafe { piece.as_ref() }?.next;
        self.len -= 1;
        Some(piece.cast())
    }

    /// # Safety
    ///
    /// The piece is writable, aligned to [`ALIGN`], and nobody else has it.
    #[inline]
    pub(super) unsafe fn push(&mut self, piece: *mut u8) {
        let piece = piece.cast::<Piece>();
        // SAFETY: as promised by the caller.
        unsafe { piece.write(Piece { next: self.first }) };
        self.first = piece;
        self.len += 1;
    }
}

/// A slab, as its chunk's head knows it.
struct Slab {
    /// Pieces that came back.
    spare: Pieces,
    /// Pieces that were never taken, at its end.
    fresh: u32,
    /// Pieces that somebody has.
    taken: u32,
    /// Nobody has written to it since the system had its pages.
    is_untouched: bool,
    /// In the list that it is in, if it is in one.
    next: *mut Slab,
    previous: *mut Slab,
}

/// What a chunk begins with.
struct Head {
    /// The process that made it. In a forked child, what its parent had is
    /// memory like any other, but not this arena's.
    generation: u32,
    /// Slabs of which somebody has pieces.
    used: u32,
    slabs: [Slab; SLABS],
}

const _: () = assert!(std::mem::size_of::<Head>() <= SLAB);

/// Slabs, linked through themselves.
struct Slabs {
    first: *mut Slab,
}

impl Slabs {
    const NONE: Self = Self { first: ptr::null_mut() };

    /// # Safety
    ///
    /// The slab lives, and is in no list.
    unsafe fn add(&mut self, slab: *mut Slab) {
        // SAFETY: as promised by the caller; what is in a list lives.
        unsafe {
            (*slab).next = self.first;
            (*slab).previous = ptr::null_mut();
            if let Some(next) = self.first.as_mut() {
                next.previous = slab;
            }
        }
        self.first = slab;
    }

    /// # Safety
    ///
    /// The slab is in this list.
    unsafe fn remove(&mut self, slab: *mut Slab) {
        // SAFETY: as promised by the caller; what is in a list lives.
        unsafe {
            match (*slab).previous.as_mut() {
                Some(previous) => previous.next = (*slab).next,
                None => self.first = (*slab).next,
            }
            if let Some(next) = (*slab).next.as_mut() {
                next.previous = (*slab).previous;
            }
        }
    }
}

struct Arena {
    /// By class, the slabs that have pieces left.
    partial: [Slabs; CLASSES],
    /// Slabs of which nobody has a piece.
    empty: Slabs,
    /// How many chunks there are, and of how many nobody has a piece.
    chunks: usize,
    idle: usize,
}

// SAFETY: all it points to is its own, and reached through it only.
unsafe impl Send for Arena {}

impl Default for Arena {
    fn default() -> Self {
        Self { partial: [const { Slabs::NONE }; CLASSES], empty: Slabs::NONE, chunks: 0, idle: 0 }
    }
}

static ARENA: PerProcess<Mutex<Arena>> = PerProcess::new();

/// Whether pieces come from here; else all are the allocator's.
pub(super) fn is_on() -> bool {
    static IS_ON: OnceLock<bool> = OnceLock::new();
    *IS_ON.get_or_init(|| std::env::var_os("ACERVO_POOL").is_none_or(|value| value != "off"))
}

fn layout(class: usize) -> Option<Layout> {
    Layout::from_size_align(size_of(class), ALIGN).ok()
}

/// Up to `wanted` pieces; none if there is no memory.
pub(super) fn take(class: usize, wanted: u32) -> Pieces {
    let mut pieces = Pieces::NONE;
    if is_on() {
        chunk::find_leak_sanitizer();
        ARENA.get().lock().take(class, wanted, &mut pieces);
    } else if let Some(layout) = layout(class) {
        // SAFETY: the size is not 0; what is not null is new memory.
        unsafe {
            let piece = alloc(layout);
            if !piece.is_null() {
                pieces.push(piece);
            }
        }
    }
    pieces
}

/// Takes pieces back.
///
/// # Safety
///
/// They were taken as of this class.
pub(super) unsafe fn give(class: usize, mut pieces: Pieces) {
    if pieces.len() == 0 {
        return;
    }
    if is_on() {
        let mut arena = ARENA.get().lock();
        while let Some(piece) = pieces.pop() {
            // SAFETY: as promised by the caller.
            unsafe { arena.give(class, piece) };
        }
    } else if let Some(layout) = layout(class) {
        while let Some(piece) = pieces.pop() {
            // SAFETY: it was allocated with this layout.
            unsafe { dealloc(piece, layout) };
        }
    }
}

/// Gives pages that nothing stands on to the system.
pub(super) fn tidy() {
    if is_on() {
        ARENA.get().lock().tidy();
    }
}

impl Arena {
    fn take(&mut self, class: usize, wanted: u32, pieces: &mut Pieces) {
        while pieces.len() < wanted {
            if self.partial[class].first.is_null() && !self.begin_slab(class) {
                return;
            }
            let slab = self.partial[class].first;
            // SAFETY: what is in a list lives, and is ours; a fresh piece lies
            // in the slab, and nobody has it.
            unsafe {
                while pieces.len() < wanted
                    && let Some(piece) = next_piece(slab, class)
                {
                    pieces.push(piece);
                    (*slab).taken += 1;
                }
                if (*slab).spare.len() == 0 && (*slab).fresh == 0 {
                    self.partial[class].remove(slab);
                }
            }
        }
    }

    /// Has a slab serve this class. False if there is no memory.
    fn begin_slab(&mut self, class: usize) -> bool {
        if self.empty.first.is_null() && !self.add_chunk() {
            return false;
        }
        let slab = self.empty.first;
        // SAFETY: what is in a list lives, and is ours.
        unsafe {
            self.empty.remove(slab);
            let head = head_of(slab.cast());
            self.idle -= usize::from((*head).used == 0);
            (*head).used += 1;
            (*slab).is_untouched = false;
            (*slab).spare = Pieces::NONE;
            (*slab).fresh = (SLAB / size_of(class)) as u32;
            self.partial[class].add(slab);
        }
        true
    }

    #[cold]
    fn add_chunk(&mut self) -> bool {
        let Some(chunk) = chunk::map(self.chunks > 0) else { return false };
        let head = chunk.cast::<Head>();
        // SAFETY: new memory, of zeros, which are a head without slabs in use:
        // no pieces, and pointers that are null.
        unsafe {
            (*head).generation = fork::generation();
            for number in 1..SLABS {
                (*head).slabs[number].is_untouched = true;
                self.empty.add(&raw mut (*head).slabs[number]);
            }
        }
        self.chunks += 1;
        self.idle += 1;
        true
    }

    /// # Safety
    ///
    /// The piece was taken as of this class, and nobody has it any more.
    unsafe fn give(&mut self, class: usize, piece: *mut u8) {
        // SAFETY: what was taken lies in a chunk that lives.
        unsafe {
            let head = head_of(piece);
            if (*head).generation != fork::generation() {
                return;
            }
            let number = (piece.addr() - head.addr()) / SLAB;
            let slab = &raw mut (*head).slabs[number];
            if (*slab).spare.len() == 0 && (*slab).fresh == 0 {
                self.partial[class].add(slab);
            }
            (*slab).spare.push(piece);
            (*slab).taken -= 1;
            if (*slab).taken == 0 {
                self.partial[class].remove(slab);
                self.empty.add(slab);
                (*head).used -= 1;
                if (*head).used == 0 {
                    self.rest(head);
                }
            }
        }
    }

    /// Gives the pages of slabs to the system that nobody has a piece of. Where
    /// few cells are left of many, each keeps a chunk; here they keep a slab.
    fn tidy(&mut self) {
        let mut slab = self.empty.first;
        // SAFETY: what is in the list lives, and nobody has a piece of it: what
        // its pages hold is nothing.
        unsafe {
            while let Some(empty) = slab.as_mut() {
                if !empty.is_untouched {
                    empty.is_untouched = true;
                    chunk::forget(start_of(empty), SLAB);
                }
                slab = empty.next;
            }
        }
    }

    /// Nobody has a piece of this chunk any more. One such is kept.
    ///
    /// # Safety
    ///
    /// All its slabs are in the list of empty ones.
    #[cold]
    unsafe fn rest(&mut self, head: *mut Head) {
        if self.idle == 0 {
            self.idle = 1;
            return;
        }
        self.chunks -= 1;
        // SAFETY: as promised by the caller; nothing points into it afterwards.
        unsafe {
            for number in 1..SLABS {
                self.empty.remove(&raw mut (*head).slabs[number]);
            }
            chunk::unmap(head.cast());
        }
    }
}

/// A piece of the slab that nobody has.
///
/// # Safety
///
/// The slab lives, is the caller's, and serves this class.
unsafe fn next_piece(slab: *mut Slab, class: usize) -> Option<*mut u8> {
    // SAFETY: as promised by the caller; what is fresh lies inside the slab.
    unsafe {
        if let Some(piece) = (*slab).spare.pop() {
            return Some(piece);
        }
        let fresh = (*slab).fresh.checked_sub(1)?;
        (*slab).fresh = fresh;
        let size = size_of(class);
        let last = (SLAB / size) as u32;
        // From its start on, so that pages are used one after the other.
        Some(start_of(slab).add((last - 1 - fresh) as usize * size))
    }
}

/// Where the pieces of a slab begin.
///
/// # Safety
///
/// The slab lives.
unsafe fn start_of(slab: *mut Slab) -> *mut u8 {
    // SAFETY: as promised by the caller; a slab is one of its chunk's.
    unsafe {
        let head = head_of(slab.cast());
        let number = slab.offset_from_unsigned(&raw const (*head).slabs[0]);
        head.cast::<u8>().add(number * SLAB)
    }
}

/// The head of the chunk that a piece or a slab lies in.
fn head_of(inside: *mut u8) -> *mut Head {
    inside.map_addr(|address| address & !(CHUNK - 1)).cast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_go_when_nobody_has_a_piece_of_them() {
        let mut arena = Arena::default();
        for _ in 0..3 {
            let mut all = Vec::new();
            for class in [64, 160, LARGEST].map(class_of) {
                let mut pieces = Pieces::NONE;
                arena.take(class, 20_000, &mut pieces);
                assert_eq!(pieces.len(), 20_000);
                all.push((class, pieces));
            }
            assert!(arena.chunks > 5);
            for (class, mut pieces) in all {
                while let Some(piece) = pieces.pop() {
                    // SAFETY: taken above, of this class.
                    unsafe { arena.give(class, piece) };
                }
            }
            assert_eq!((arena.chunks, arena.idle), (1, 1));
        }
    }

    #[test]
    fn what_is_left_of_many_keeps_its_slab_and_not_its_chunk() {
        let (mut arena, mut left) = (Arena::default(), Vec::new());
        let class = class_of(64);
        let mut pieces = Pieces::NONE;
        arena.take(class, 200_000, &mut pieces);
        for number in 0.. {
            let Some(piece) = pieces.pop() else { break };
            // SAFETY: taken above, of this class; as large as it says.
            unsafe {
                if number % 30_000 == 0 {
                    piece.write_bytes(number as u8, 64);
                    left.push((piece, number as u8));
                } else {
                    arena.give(class, piece);
                }
            }
        }
        assert!(arena.chunks > 5);
        arena.tidy();
        // What was given to the system is zeros, and can be taken again.
        let mut pieces = Pieces::NONE;
        arena.take(class, 100_000, &mut pieces);
        while let Some(piece) = pieces.pop() {
            // SAFETY: taken just now.
            unsafe { piece.write_bytes(0xaa, 64) };
        }
        for (piece, byte) in left {
            // SAFETY: nobody else has it.
            assert!(unsafe { std::slice::from_raw_parts(piece, 64) }.iter().all(|&it| it == byte));
        }
    }

    #[test]
    fn pieces_have_room_and_the_larger_ones_begin_where_a_cache_line_does() {
        let mut arena = Arena::default();
        for size in 1..=LARGEST {
            let class = class_of(size);
            assert!(size_of(class) >= size);
            assert!(class == 0 || size_of(class - 1) < size);
            let mut pieces = Pieces::NONE;
            arena.take(class, 3, &mut pieces);
            while let Some(piece) = pieces.pop() {
                let align = if size > FINE { LINE } else { ALIGN };
                assert!(piece.addr().is_multiple_of(align), "{size}");
                // SAFETY: taken above, of this class.
                unsafe { arena.give(class, piece) };
            }
        }
    }

    #[test]
    fn a_slab_serves_another_size_when_its_pieces_are_back() {
        let mut arena = Arena::default();
        for class in 0..CLASSES {
            let mut pieces = Pieces::NONE;
            arena.take(class, 2000, &mut pieces);
            while let Some(piece) = pieces.pop() {
                // SAFETY: taken above, of this class.
                unsafe { arena.give(class, piece) };
            }
            assert_eq!(arena.chunks, 1);
        }
    }
}
