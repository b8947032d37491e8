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
    // Keys and names, above all.
    if bytes.len() < 32 && is_utf8(bytes) {
        out.push(marker::FIX_STR | bytes.len() as u8);
        return out.extend_from_slice(bytes);
    }
    let header = Head::of_string(bytes);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(bytes);
}

/// rmp's markers as bytes, made when this is compiled.
mod marker {
    use rmp::Marker;

    pub(super) const FIX_STR: u8 = Marker::FixStr(0).to_u8();
    pub(super) const BIN_8: u8 = Marker::Bin8.to_u8();
    pub(super) const BIN_16: u8 = Marker::Bin16.to_u8();
    pub(super) const BIN_32: u8 = Marker::Bin32.to_u8();
    pub(super) const U8: u8 = Marker::U8.to_u8();
    pub(super) const U16: u8 = Marker::U16.to_u8();
    pub(super) const U32: u8 = Marker::U32.to_u8();
    pub(super) const U64: u8 = Marker::U64.to_u8();
    pub(super) const I8: u8 = Marker::I8.to_u8();
    pub(super) const I16: u8 = Marker::I16.to_u8();
    pub(super) const I32: u8 = Marker::I32.to_u8();
    pub(super) const I64: u8 = Marker::I64.to_u8();
    pub(super) const STR_8: u8 = Marker::Str8.to_u8();
    pub(super) const STR_16: u8 = Marker::Str16.to_u8();
    pub(super) const STR_32: u8 = Marker::Str32.to_u8();
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
        match value {
            // Its own marker.
            -0x20..=0x7f => Self::new(value as u8, 0, 0),
            0x80..=0xff => Self::new(marker::U8, value as u64, 1),
            0x100..=0xffff => Self::new(marker::U16, value as u64, 2),
            0x1_0000..=0xffff_ffff => Self::new(marker::U32, value as u64, 4),
            0x1_0000_0000.. => Self::new(marker::U64, value as u64, 8),
            -0x80..=-0x21 => Self::new(marker::I8, value as u64, 1),
            -0x8000..=-0x81 => Self::new(marker::I16, value as u64, 2),
            -0x8000_0000..=-0x8001 => Self::new(marker::I32, value as u64, 4),
            _ => Self::new(marker::I64, value as u64, 8),
        }
    }

    /// What stands before this string.
    #[inline]
    pub(super) fn of_string(string: &[u8]) -> Self {
        let len = string.len();
        match (is_utf8(string), len) {
            (true, ..=31) => Self::new(marker::FIX_STR | len as u8, 0, 0),
            (true, ..=0xff) => Self::new(marker::STR_8, len as u64, 1),
            (true, ..=0xffff) => Self::new(marker::STR_16, len as u64, 2),
            (true, _) => Self::new(marker::STR_32, len as u64, 4),
            (false, ..=0xff) => Self::new(marker::BIN_8, len as u64, 1),
            (false, ..=0xffff) => Self::new(marker::BIN_16, len as u64, 2),
            (false, _) => Self::new(marker::BIN_32, len as u64, 4),
        }
    }

    /// The marker, and the lowest `width` bytes of a number.
    #[inline]
    fn new(marker: u8, number: u64, width: usize) -> Self {
        let mut bytes = [0; 9];
        bytes[0] = marker;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_strings_are_what_rmp_writes() {
        let powers = (0..63).map(|bit| 1_i64 << bit);
        let near = |power: i64| [power - 1, power, power.saturating_add(1)];
        let ints = powers.flat_map(near).flat_map(|int| [int, -int]).chain([i64::MIN, i64::MAX]);
        for int in ints {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            put_int(&mut ours, int);
            rmp_encode::write_sint(&mut theirs, int).unwrap();
            assert_eq!(ours, theirs, "{int}");
        }
        for len in (0..40).chain([255, 256, 65535, 65536]) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            put_string(&mut ours, &vec![b'x'; len]);
            rmp_encode::write_str(&mut theirs, &"x".repeat(len)).unwrap();
            assert_eq!(ours, theirs, "{len}");
            let (mut ours, mut theirs, bytes) = (Vec::new(), Vec::new(), vec![0xff; len.max(1)]);
            put_string(&mut ours, &bytes);
            rmp_encode::write_bin(&mut theirs, &bytes).unwrap();
            assert_eq!(ours, theirs, "{len}");
        }
    }
}
