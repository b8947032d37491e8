//! Where entries name what they depend on.

use std::sync::Arc;

use crate::entries::EntryError;
use crate::entries::entry::Entry;
use crate::value::{Token, View};

/// The patterns of a registry.
#[derive(Clone, Debug)]
pub(in crate::entries) struct Patterns {
    patterns: Vec<Arc<Pattern>>,
}

/// A path into meta or data.
#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    is_meta: bool,
    segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Debug, PartialEq, Eq)]
struct Segment {
    text: Box<[u8]>,
    is_wildcard: bool,
}

/// With a star: wildcards.
const DEFAULT: [(&str, bool); 7] = [
    ("meta.depends_on", true),
    ("meta.parent", false),
    ("meta.groups", true),
    ("data.config", false),
    ("data.groups", true),
    ("data.imports.*", true),
    ("data.*.depends_on", true),
];

impl Default for Patterns {
    fn default() -> Self {
        let mut patterns = Self { patterns: Vec::new() };
        for (path, allow_wildcard) in DEFAULT {
            // Ours are right; a test sees to it.
            let _ = patterns.register(path, allow_wildcard);
        }
        patterns
    }
}

impl Patterns {
    /// Adds a pattern; one that is there already changes nothing.
    pub(in crate::entries) fn register(
        &mut self,
        path: &str,
        allow_wildcard: bool,
    ) -> Result<(), EntryError> {
        let refuse = |what| Err(EntryError::Pattern { path: path.to_owned(), what });
        if path.is_empty() {
            return refuse("it is empty");
        }
        let mut parts = path.split('.');
        let is_meta = match parts.next() {
            Some("meta") => true,
            Some("data") => false,
            _ => return refuse("its first segment must be meta or data"),
        };
        let segments: Vec<Segment> = parts
            .map(|part| Segment {
                text: part.as_bytes().into(),
                is_wildcard: allow_wildcard && part.contains('*'),
            })
            .collect();
        if segments.iter().any(|segment| segment.text.is_empty()) {
            return refuse("it has an empty segment");
        }
        let pattern = Pattern { is_meta, segments };
        if !self.patterns.iter().any(|known| **known == pattern) {
            self.patterns.push(Arc::new(pattern));
        }
        Ok(())
    }

    /// Gives each text of the entry that names a dependency.
    pub(super) fn texts<'a>(&self, entry: &'a Entry, mut give: impl FnMut(&'a [u8])) {
        self.texts_in(true, entry.meta().view(), &mut give);
        if let Some(data) = entry.data() {
            self.texts_in(false, data.view(), &mut give);
        }
    }

    /// As [`Patterns::texts`], of meta or of data. A map is walked once for all
    /// patterns: most entries name nothing.
    fn texts_in<'a>(&self, is_meta: bool, view: View<'a>, give: &mut impl FnMut(&'a [u8])) {
        let patterns = || self.patterns.iter().filter(|pattern| pattern.is_meta == is_meta);
        let mut inner = view;
        let Token::Map(len) = inner.token() else {
            return patterns().for_each(|pattern| follow(view, &pattern.segments, give));
        };
        for _ in 0..len {
            let key = inner.token();
            let value = inner.skip();
            let Token::String(key) = key else { continue };
            for pattern in patterns() {
                if let Some((first, rest)) = pattern.segments.split_first()
                    && first.matches(key)
                {
                    follow(View::new(value), rest, give);
                }
            }
        }
        for pattern in patterns().filter(|pattern| pattern.segments.is_empty()) {
            follow(view, &pattern.segments, give);
        }
    }
}

fn follow<'a>(view: View<'a>, segments: &[Segment], give: &mut impl FnMut(&'a [u8])) {
    let Some((segment, rest)) = segments.split_first() else {
        strings(view, give);
        return;
    };
    let mut inner = view;
    match inner.token() {
        Token::Map(len) => {
            for _ in 0..len {
                let key = inner.token();
                let value = inner.skip();
                if let Token::String(key) = key
                    && segment.matches(key)
                {
                    follow(View::new(value), rest, give);
                }
            }
        }
        Token::Array(len) if segment.is_wildcard => {
            for _ in 0..len {
                follow(View::new(inner.skip()), rest, give);
            }
        }
        _ => {}
    }
}

/// The texts of a leaf: a string, the strings of an array, or the string
/// values of a map. Empty ones name nothing.
pub(super) fn strings<'a>(mut view: View<'a>, give: &mut impl FnMut(&'a [u8])) {
    let mut string = |bytes: &'a [u8]| {
        if let Token::String(text) = View::new(bytes).token()
            && !text.is_empty()
        {
            give(text);
        }
    };
    let whole = view.rest();
    match view.token() {
        Token::String(_) => string(whole),
        Token::Array(len) => (0..len).for_each(|_| string(view.skip())),
        Token::Map(len) => {
            for _ in 0..len {
                view.skip();
                string(view.skip());
            }
        }
        _ => {}
    }
}

impl Segment {
    fn matches(&self, key: &[u8]) -> bool {
        if !self.is_wildcard {
            return *self.text == *key;
        }
        // The first part is a prefix, the last a suffix, the others stand
        // somewhere between, each as early as it can.
        let mut parts = self.text.split(|&byte| byte == b'*');
        let prefix = parts.next().unwrap_or_default();
        let suffix = parts.next_back().unwrap_or_default();
        let Some(mut rest) = key.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix))
        else {
            return false;
        };
        parts.all(|part| match memchr::memmem::find(rest, part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::id::IdRef;
    use crate::value::Value;

    fn entry(meta: &str, data: &str) -> Entry {
        let value = |json: &str| Some(Value::from_json(json.as_bytes()).unwrap());
        Entry::new(IdRef::parse(b"a:b"), b"k", value(meta), value(data)).unwrap()
    }

    fn texts(patterns: &Patterns, entry: &Entry) -> Vec<String> {
        let mut found = Vec::new();
        patterns.texts(entry, |text| found.push(String::from_utf8_lossy(text).into_owned()));
        found.sort();
        found
    }

    #[test]
    fn the_default_patterns_are_all_there() {
        let entry = entry(
            r#"{"depends_on": ["x:1", "", 2, "x:2"], "parent": "p", "groups": {"a": "g1", "b": 3}}"#,
            r#"{"config": "c", "groups": ["g2"], "imports": {"m": "i1", "n": ["i2"]},
                "part": {"depends_on": "d1"}, "list": [{"depends_on": "no"}]}"#,
        );
        let expected = ["c", "d1", "g1", "g2", "i1", "i2", "p", "x:1", "x:2"];
        assert_eq!(Patterns::default().patterns.len(), DEFAULT.len());
        assert_eq!(texts(&Patterns::default(), &entry), expected);
    }

    #[test]
    fn wildcards_match_keys_and_visit_arrays() {
        let cases: [(&str, bool, &str, &[&str]); 11] = [
            ("data.*_env", true, r#"{"a_env": "1", "_env": "2", "env": "3"}"#, &["1", "2"]),
            ("data.app*", true, r#"{"app": "1", "apple": "2", "ap": "3"}"#, &["1", "2"]),
            ("data.a*b", true, r#"{"ab": "1", "axxb": "2", "a": "3", "bab": "4"}"#, &["1", "2"]),
            ("data.a*a", true, r#"{"a": "1", "aa": "2", "aba": "3"}"#, &["2", "3"]),
            ("data.*b*c*", true, r#"{"abcd": "1", "bc": "2", "cb": "3"}"#, &["1", "2"]),
            ("data.*.x", true, r#"[{"x": "1"}, {"y": "2"}, {"x": ["3"]}]"#, &["1", "3"]),
            ("data.app*.x", true, r#"[{"x": "1"}]"#, &["1"]),
            ("data.*.x", false, r#"{"*": {"x": "1"}, "a": {"x": "2"}}"#, &["1"]),
            ("data.*", false, r#"["1"]"#, &[]),
            ("data.x", true, r#"[{"x": "1"}]"#, &[]),
            ("data", false, r#"{"x": "1", "y": {"z": "2"}}"#, &["1"]),
        ];
        for (path, allow_wildcard, data, expected) in cases {
            let mut patterns = Patterns { patterns: Vec::new() };
            patterns.register(path, allow_wildcard).unwrap();
            assert_eq!(texts(&patterns, &entry("{}", data)), expected, "{path} in {data}");
        }
    }

    #[test]
    fn a_pattern_is_registered_once_and_a_bad_one_not_at_all() {
        let mut patterns = Patterns::default();
        let before = patterns.patterns.len();
        patterns.register("meta.server", true).unwrap();
        patterns.register("meta.server", true).unwrap();
        assert_eq!(patterns.patterns.len(), before + 1);
        for path in ["", "server", "meta.", "meta..x", ".meta", "kind.x"] {
            let error = patterns.register(path, true).unwrap_err().to_string();
            assert!(error.contains(&format!("\"{path}\"")), "{error}");
        }
        assert_eq!(patterns.patterns.len(), before + 1);
    }
}
