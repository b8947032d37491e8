//! Globs: `*` stands for any run, `?` for one character.

/// A compiled glob. It matches whole strings.
#[derive(Debug)]
pub(super) struct Glob {
    pattern: Box<[u8]>,
    /// What stands before the first wildcard.
    prefix_len: usize,
    has_single: bool,
}

impl Glob {
    pub(super) fn new(pattern: &[u8]) -> Self {
        let prefix_len =
            pattern.iter().position(|byte| b"*?".contains(byte)).unwrap_or(pattern.len());
        Self { pattern: pattern.into(), prefix_len, has_single: pattern.contains(&b'?') }
    }

    /// The one string it matches, if it has no wildcard.
    pub(super) fn literal(&self) -> Option<&[u8]> {
        (self.prefix_len == self.pattern.len()).then_some(&self.pattern)
    }

    /// What every match begins with.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.pattern[..self.prefix_len]
    }

    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let Some(mut text) = text.strip_prefix(self.prefix()) else { return false };
        let mut pattern = &self.pattern[self.prefix_len..];
        // Where to go on if this does not lead anywhere: behind the last `*`,
        // which then stands for more. Earlier ones need no second try.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            match pattern.split_first() {
                Some((b'*', rest)) => {
                    pattern = rest;
                    retry = Some((rest, text));
                    continue;
                }
                Some((b'?', rest)) if !text.is_empty() => {
                    (pattern, text) = (rest, &text[char_len(text)..]);
                    continue;
                }
                Some((byte, rest)) if text.first() == Some(byte) && *byte != b'?' => {
                    (pattern, text) = (rest, &text[1..]);
                    continue;
                }
                None if text.is_empty() => return true,
                _ => {}
            }
            match retry {
                Some((rest, from)) if !from.is_empty() => {
                    // A run does not end within a character that a `?` is to
                    // count.
                    let step = if self.has_single { char_len(from) } else { 1 };
                    let from = &from[step..];
                    retry = Some((rest, from));
                    (pattern, text) = (rest, from);
                }
                _ => return false,
            }
        }
    }
}

/// Length of the UTF-8 character that `text`, not empty, begins with; a byte
/// of none counts by itself.
fn char_len(text: &[u8]) -> usize {
    let head = &text[..text.len().min(4)];
    let chunk = head.utf8_chunks().next();
    chunk.and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_count_characters_and_other_bytes_by_themselves() {
        for (pattern, text, expected) in [
            ("function.*", "function.lua", true),
            ("function.*", "function", false),
            ("*.lua", "function.lua", true),
            ("a?c", "abc", true),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("*??", "€", false),
            ("x*??", "x€", false),
            ("?", "€", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("?", "", false),
            ("[a]{b}\\", "[a]{b}\\", true),
            ("a.c", "abc", false),
            ("A", "a", false),
        ] {
            assert_eq!(
                Glob::new(pattern.as_bytes()).matches(text.as_bytes()),
                expected,
                "{pattern} on {text}"
            );
        }
        assert!(Glob::new(b"a??c").matches(b"a\xff\xfec"));
        assert!(!Glob::new(b"a?c").matches(b"a\xff\xfec"));
        assert!(Glob::new(b"*\xa9").matches("é".as_bytes()));
    }

    proptest! {
        #[test]
        fn it_matches_what_the_same_regular_expression_matches(
            pattern in "[ab€?*]{0,8}", text in "[ab€]{0,12}",
        ) {
            let regex: String = pattern.chars().map(|char| match char {
                '*' => ".*".to_owned(),
                '?' => ".".to_owned(),
                char => regex::escape(&char.to_string()),
            }).collect();
            let regex = regex::Regex::new(&format!("(?s)^{regex}$")).unwrap();
            prop_assert_eq!(Glob::new(pattern.as_bytes()).matches(text.as_bytes()), regex.is_match(&text));
        }
    }
}
