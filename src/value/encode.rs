//! Appending canonical MessagePack to a byte buffer.
//!
//! The bytes are rmp's; what stands here is the choice of the form that makes
//! them canonical, and containers whose length is only known at their end.

use rmp::encode as rmp_encode;

/// Appends a nil.
pub fn put_nil(out: &mut Vec<u8>) {
    out.push(rmp::Marker::Null.to_u8());
}

/// Appends a bool.
pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { rmp::Marker::True.to_u8() } else { rmp::Marker::False.to_u8() });
}

/// Appends an integer in its shortest form.
pub fn put_int(out: &mut Vec<u8>, value: i64) {
    // A Vec grows instead of failing, here and in the functions below.
    let _ = rmp_encode::write_sint(out, value);
}

/// Appends a float, always as 64 bits, so that NaN payloads, infinities and
/// -0.0 survive.
pub fn put_float(out: &mut Vec<u8>, value: f64) {
    let _ = rmp_encode::write_f64(out, value);
}

/// Appends a byte string: `str` when it is UTF-8, `bin` otherwise.
///
/// The caller has checked that it is shorter than 4 GiB (`value_limit` is).
pub fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = bytes.len() as u32;
    let _ = if std::str::from_utf8(bytes).is_ok() {
        rmp_encode::write_str_len(out, len)
    } else {
        rmp_encode::write_bin_len(out, len)
    };
    out.extend_from_slice(bytes);
}

/// Appends the header of an array of `len` elements, which follow.
pub fn put_array_header(out: &mut Vec<u8>, len: u32) {
    let _ = rmp_encode::write_array_len(out, len);
}

/// Appends the header of a map of `len` pairs, which follow key by value.
pub fn put_map_header(out: &mut Vec<u8>, len: u32) {
    let _ = rmp_encode::write_map_len(out, len);
}

/// Starts an array whose length is not known yet; [`end_array`] takes the
/// returned position.
#[must_use]
pub fn begin_array(out: &mut Vec<u8>) -> usize {
    begin(out)
}

/// Ends an array begun at `start` with the number of elements appended since.
pub fn end_array(out: &mut Vec<u8>, start: usize, len: u32) {
    end(out, start, len, put_array_header);
}

/// Starts a map whose length is not known yet; [`end_map`] takes the returned
/// position.
#[must_use]
pub fn begin_map(out: &mut Vec<u8>) -> usize {
    begin(out)
}

/// Ends a map begun at `start` with the number of pairs appended since.
pub fn end_map(out: &mut Vec<u8>, start: usize, len: u32) {
    end(out, start, len, put_map_header);
}

/// One byte is kept free: enough for the header of up to 15 elements.
fn begin(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

/// Writes the real header; a longer one moves the content up.
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
