//! Appending canonical MessagePack to a byte buffer.
//!
//! The bytes are rmp's; what stands here is the choice of the form that makes
//! them canonical, and containers whose length is only known at their end.

use rmp::encode as rmp_encode;

/// Appends a nil.
#[inline]
pub fn put_nil(out: &mut Vec<u8>) {
    out.push(rmp::Marker::Null.to_u8());
}

/// Appends a bool.
#[inline]
pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { rmp::Marker::True.to_u8() } else { rmp::Marker::False.to_u8() });
}

/// Appends an integer in its shortest form.
#[inline]
pub fn put_int(out: &mut Vec<u8>, value: i64) {
    // A Vec grows instead of failing, here and in the functions below.
    let _ = rmp_encode::write_sint(out, value);
}

/// Appends a float, always as 64 bits, so that NaN payloads, infinities and
/// -0.0 survive.
#[inline]
pub fn put_float(out: &mut Vec<u8>, value: f64) {
    let _ = rmp_encode::write_f64(out, value);
}

/// Appends a byte string: `str` when it is UTF-8, `bin` otherwise.
///
/// The caller has checked that it is shorter than 4 GiB (`value_limit` is).
#[inline]
pub fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let header = StringHeader::of(bytes);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(bytes);
}

/// What stands before the bytes of a string.
pub(super) struct StringHeader {
    /// At most a marker and a length of 32 bits.
    bytes: [u8; 5],
    len: usize,
}

impl StringHeader {
    #[inline]
    pub(super) fn of(string: &[u8]) -> Self {
        let mut bytes = [0; 5];
        // Keys and names, above all.
        if string.len() < 32 && is_utf8(string) {
            bytes[0] = rmp::Marker::FixStr(string.len() as u8).to_u8();
            return Self { bytes, len: 1 };
        }
        let mut room = &mut bytes[..];
        let len = string.len() as u32;
        // There is room for the longest.
        let _ = if is_utf8(string) {
            rmp_encode::write_str_len(&mut room, len)
        } else {
            rmp_encode::write_bin_len(&mut room, len)
        };
        let len = 5 - room.len();
        Self { bytes, len }
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
