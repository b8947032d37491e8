//! Keys, idents, and how both make one name in the file.

use super::KvError;
use super::error::{IDENT_LIMIT, KEY_LIMIT};

/// Between ident and key. Idents hold none: theirs are escaped.
pub(super) const SEPARATOR: u8 = b':';

/// Whether a key is neither empty nor too long.
#[inline(always)]
pub(super) fn is_allowed(key: &[u8]) -> bool {
    !key.is_empty() && key.len() <= KEY_LIMIT
}

/// Fails for keys that are empty or too long.
#[inline]
pub(super) fn check(key: &[u8]) -> Result<(), KvError> {
    if is_allowed(key) { Ok(()) } else { Err(KvError::Key { len: key.len() }) }
}

/// The part before a key that an ident stands for: `ident:`, with `%` and `:`
/// inside the ident as `%25` and `%3A`, so that two idents never meet in one
/// name.
pub(super) fn prefix_of(ident: &[u8]) -> Result<Box<[u8]>, KvError> {
    if ident.is_empty() || ident.len() > IDENT_LIMIT {
        return Err(KvError::Ident { len: ident.len() });
    }
    let mut prefix = Vec::with_capacity(ident.len() + 1);
    for &byte in ident {
        match byte {
            b'%' => prefix.extend_from_slice(b"%25"),
            SEPARATOR => prefix.extend_from_slice(b"%3A"),
            byte => prefix.push(byte),
        }
    }
    prefix.push(SEPARATOR);
    Ok(prefix.into_boxed_slice())
}

/// Splits a name behind its first separator: the namespace's prefix, and the
/// key inside. A name without one lies in the namespace of the empty prefix.
pub(super) fn split(name: &[u8]) -> (&[u8], &[u8]) {
    let prefix_len = name.iter().position(|&byte| byte == SEPARATOR).map_or(0, |at| at + 1);
    name.split_at(prefix_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_idents_never_share_a_name() {
        let name = |ident: &[u8], key: &[u8]| [&*prefix_of(ident).unwrap(), key].concat();
        assert_eq!(name(b"monitor-cpu", b"ultima"), b"monitor-cpu:ultima");
        assert_ne!(name(b"a:b", b"c"), name(b"a", b"b:c"));
        assert_ne!(name(b"a%3Ab", b"c"), name(b"a:b", b"c"));
        assert_eq!(split(b"a%3Ab:c:d"), (&b"a%3Ab:"[..], &b"c:d"[..]));
        assert_eq!(split(b"versao_agente"), (&b""[..], &b"versao_agente"[..]));
    }
}
