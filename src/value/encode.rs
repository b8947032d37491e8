//! Appending canonical MessagePack to a byte buffer.
//!
//! The bytes are rmp's, but for integers and strings, which are on the way of
//! every put; what stands here besides is the choice of the form that makes them
//! canonical, and containers whose length is only known at their end.

use rmp::{Marker, encode as rmp_encode};

/// Appends a nil.
#[inline]
pub fn put_nil(out: &mut Vec<u8>) {
    out.push(Marker::Null.to_u8());
}

/// Appends a bool.
#[inline]
pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { Marker::True.to_u8() } else { Marker::False.to_u8() });
}

/// Appends an integer in its shortest form.
#[inline]
pub fn put_int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(Head::of_int(value).as_bytes());
}

/// Appends a float, always as 64 bits, so that NaN payloads, infinities and
/// -0.0 survive.
#[inline]
pub fn put_float(out: &mut Vec<u8>, value: f64) {
    // A Vec grows instead of failing, here and in the functions below.
    let _ = rmp_encode::write_f64(out, value);
}

/// Appends a byte string: `str` when it is UTF-8, `bin` otherwise.
///
/// The caller has checked that it is shorter than 4 GiB (`value_limit` is).
#[inline]
pub fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let header = Head::of_string(bytes);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(bytes);
}

/// A marker with what belongs to it: an integer, or what stands before the
/// bytes of a string.
pub(super) struct Head {
    /// At most a marker and 64 bits.
    bytes: [u8; 9],
    len: usize,
}

impl Head {
    /// An integer in its shortest form.
    #[inline]
    fn of_int(value: i64) -> Self {
        // A fixed one is its own marker.
        let fixed = Marker::from_u8(value as u8);
        match value {
            -0x20..=0x7f => Self::new(fixed, 0, 0),
            0x80..=0xff => Self::new(Marker::U8, value as u64, 1),
            0x100..=0xffff => Self::new(Marker::U16, value as u64, 2),
            0x1_0000..=0xffff_ffff => Self::new(Marker::U32, value as u64, 4),
            0x1_0000_0000.. => Self::new(Marker::U64, value as u64, 8),
            -0x80..=-0x21 => Self::new(Marker::I8, value as u64, 1),
            -0x8000..=-0x81 => Self::new(Marker::I16, value as u64, 2),
            -0x8000_0000..=-0x8001 => Self::new(Marker::I32, value as u64, 4),
            _ => Self::new(Marker::I64, value as u64, 8),
        }
    }

    /// What stands before this string.
    #[inline]
    pub(super) fn of_string(string: &[u8]) -> Self {
        let len = string.len();
        match (is_utf8(string), len) {
            (true, ..=31) => Self::new(Marker::FixStr(len as u8), 0, 0),
            (true, ..=0xff) => Self::new(Marker::Str8, len as u64, 1),
            (true, ..=0xffff) => Self::new(Marker::Str16, len as u64, 2),
            (true, _) => Self::new(Marker::Str32, len as u64, 4),
            (false, ..=0xff) => Self::new(Marker::Bin8, len as u64, 1),
            (false, ..=0xffff) => Self::new(Marker::Bin16, len as u64, 2),
            (false, _) => Self::new(Marker::Bin32, len as u64, 4),
        }
    }

    /// The marker, and the lowest `width` bytes of a number.
    #[inline]
    fn new(marker: Marker, number: u64, width: usize) -> Self {
        let mut bytes = [0; 9];
        bytes[0] = marker.to_u8();
        // Nothing is shifted out of what is written.
        let number = number.wrapping_shl(64 - 8 * width as u32);
        bytes[1..].copy_from_slice(&number.to_be_bytes());
        Self { bytes, len: 1 + width }
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Most strings are ASCII, which is faster to see: many bytes at once, the last
/// ones once more for what is left over.
#[inline]
fn is_utf8(bytes: &[u8]) -> bool {
    const HIGH_BITS: u128 = 0x80808080_80808080_80808080_80808080;
    let half = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    let any = if let Some(last) = bytes.last_chunk::<16>() {
        let (words, _) = bytes.as_chunks::<16>();
        let last = u128::from_ne_bytes(*last);
        words.iter().fold(last, |any, word| any | u128::from_ne_bytes(*word))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u128::from(half(first) | half(last))
    } else {
        u128::from(bytes.iter().fold(0, |any, byte| any | byte))
    };
    any & HIGH_BITS == 0 || std::str::from_utf8(bytes).is_ok()
}

/// Appends the header of an array of `len` elements, which follow.
#[inline]
pub fn put_array_header(out: &mut Vec<u8>, len: u32) {
    let _ = rmp_encode::write_array_len(out, len);
}

/// Appends the header of a map of `len` pairs, which follow key by value.
#[inline]
pub fn put_map_header(out: &mut Vec<u8>, len: u32) {
    let _ = rmp_encode::write_map_len(out, len);
}

/// Starts an array whose length is not known yet; [`end_array`] takes the
/// returned position.
#[must_use]
#[inline]
pub fn begin_array(out: &mut Vec<u8>) -> usize {
    begin(out)
}

/// Ends an array begun at `start` with the number of elements appended since.
#[inline]
pub fn end_array(out: &mut Vec<u8>, start: usize, len: u32) {
    end(out, start, len, put_array_header);
}

/// Starts a map whose length is not known yet; [`end_map`] takes the returned
/// position.
#[must_use]
#[inline]
pub fn begin_map(out: &mut Vec<u8>) -> usize {
    begin(out)
}

/// Ends a map begun at `start` with the number of pairs appended since.
#[inline]
pub fn end_map(out: &mut Vec<u8>, start: usize, len: u32) {
    end(out, start, len, put_map_header);
}

/// One byte is kept free: enough for the header of up to 15 elements.
#[inline]
fn begin(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

/// Writes the real header; a longer one moves the content up.
#[inline]
fn end(out: &mut Vec<u8>, start: usize, len: u32, put_header: fn(&mut Vec<u8>, u32)) {
    let content_end = out.len();
    put_header(out, len);
    let header_len = out.len() - content_end;
    // The header now stands behind the content; rotate it to the front and
    // drop the placeholder.
    if header_len == 1 {
        out[start] = out[content_end];
        out.truncate(content_end);
    } else {
        out[start..].rotate_right(header_len);
        let placeholder = start + header_len;
        out.remove(placeholder);
    }
}
