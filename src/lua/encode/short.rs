//! Short strings of ASCII: keys and names, of which a table is full.

use std::ptr;

/// Longest string that this is for.
const LONGEST: usize = 31;
/// What MessagePack writes before a string of up to 31 bytes, with their number.
const FIX_STR: u8 = rmp::Marker::FixStr(0).to_u8();

/// A number of bytes that is read and written at once.
trait Word: Copy {
    /// Whether a byte is not ASCII.
    fn has_high_bits(self) -> bool;
    fn or(self, other: Self) -> Self;
}

macro_rules! word {
    ($type:ty) => {
        impl Word for $type {
            #[inline(always)]
            fn has_high_bits(self) -> bool {
                self & (<$type>::MAX / 0xff * 0x80) != 0
            }

            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }
        }
    };
}

word!(u8);
word!(u16);
word!(u32);
word!(u64);
word!(u128);

/// Appends `bytes` as a string of MessagePack if they are few, ASCII, and there
/// is room for them; false: it is up to others.
#[inline(always)]
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let len = bytes.len();
    if len > LONGEST || out.capacity() - out.len() < 1 + len {
        return false;
    }
    // SAFETY: there is room for a marker and the bytes behind what is written.
    unsafe {
        let place = out.as_mut_ptr().add(out.len());
        let is_ascii = match len {
            0 => true,
            1 => copy_ends::<u8>(bytes, place.add(1)),
            2..4 => copy_ends::<u16>(bytes, place.add(1)),
            4..8 => copy_ends::<u32>(bytes, place.add(1)),
            8..16 => copy_ends::<u64>(bytes, place.add(1)),
            _ => copy_ends::<u128>(bytes, place.add(1)),
        };
        if is_ascii {
            place.write(FIX_STR | len as u8);
            // As many were written.
            out.set_len(out.len() + 1 + len);
        }
        is_ascii
    }
}

/// Copies bytes as their two ends, which may overlap. Tells whether they are
/// ASCII; if not, what is at `place` is of no use.
///
/// # Safety
///
/// There are at least as many as `W` has, at most twice as many, and `place` has
/// room for them.
#[inline(always)]
unsafe fn copy_ends<W: Word>(bytes: &[u8], place: *mut u8) -> bool {
    let behind = bytes.len() - size_of::<W>();
    // SAFETY: as promised by the caller.
    let (first, last) = unsafe {
        (
            ptr::read_unaligned(bytes.as_ptr().cast::<W>()),
            ptr::read_unaligned(bytes.as_ptr().add(behind).cast::<W>()),
        )
    };
    // SAFETY: as above.
    unsafe {
        ptr::write_unaligned(place.cast(), first);
        ptr::write_unaligned(place.add(behind).cast(), last);
    }
    !first.or(last).has_high_bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::put_string;

    #[test]
    fn short_ascii_is_written_as_any_string_and_nothing_else_is() {
        for len in 0..40_usize {
            let bytes: Vec<u8> = (b'a'..).take(len).collect();
            let mut expected = vec![7];
            put_string(&mut expected, &bytes);
            // Exactly as much room as it takes, and one byte less.
            for room in [1 + len, len] {
                let mut out = Vec::with_capacity(1 + room);
                out.push(7);
                let is_exact = out.capacity() == 1 + room;
                let is_put = put(&mut out, &bytes);
                if is_exact {
                    assert_eq!(is_put, len <= LONGEST && room > len, "{len} {room}");
                }
                assert_eq!(out, if is_put { &expected[..] } else { &[7] });
            }
            for other in 0..len {
                let mut bytes = bytes.clone();
                bytes[other] = 0x80;
                let mut out = Vec::with_capacity(64);
                assert!(!put(&mut out, &bytes), "{len} {other}");
                assert!(out.is_empty());
            }
        }
    }
}
