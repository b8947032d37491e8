//! Patterns of kinds.

/// A pattern of kinds: segments between dots, of which `*` stands for any one,
/// `**` for any number, none included, and `(a|b)` for a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindPattern {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// One of these texts.
    OneOf(Vec<Box<[u8]>>),
    Any,
    Many,
}

impl KindPattern {
    /// Reads a pattern; else tells what is wrong with it.
    ///
    /// # Errors
    ///
    /// A description of the fault.
    pub fn parse(pattern: &[u8]) -> Result<Self, &'static str> {
        if pattern.is_empty() {
            return Err("it is empty");
        }
        let mut segments: Vec<Segment> = Vec::new();
        for text in pattern.split(|&byte| byte == b'.') {
            let segment = match text {
                b"" => return Err("it has an empty segment"),
                b"*" => Segment::Any,
                b"**" => Segment::Many,
                [b'(', choices @ .., b')'] => {
                    let choices: Vec<Box<[u8]>> =
                        choices.split(|&byte| byte == b'|').map(Into::into).collect();
                    if choices.iter().any(|choice| choice.is_empty()) {
                        return Err("it has a choice of nothing");
                    }
                    Segment::OneOf(choices)
                }
                text => Segment::OneOf(vec![text.into()]),
            };
            if let Segment::OneOf(texts) = &segment
                && texts.iter().any(|text| text.iter().any(|byte| b"*()|".contains(byte)))
            {
                return Err("a star stands for a whole segment, (a|b) for a choice of segments");
            }
            // More of them in a row say no more.
            if segment != Segment::Many || segments.last() != Some(&Segment::Many) {
                segments.push(segment);
            }
        }
        Ok(Self { segments })
    }

    /// Whether it matches this kind.
    #[must_use]
    pub fn matches(&self, kind: &[u8]) -> bool {
        let texts: Vec<&[u8]> = kind.split(|&byte| byte == b'.').collect();
        let (mut at, mut text) = (0, 0);
        // Where to go on if this does not lead anywhere: the last `**` takes
        // one more. Earlier ones need no second try.
        let mut retry = None;
        loop {
            match self.segments.get(at) {
                Some(Segment::Many) => {
                    at += 1;
                    retry = Some((at, text));
                    continue;
                }
                None if text == texts.len() => return true,
                Some(segment) if texts.get(text).is_some_and(|text| segment.matches(text)) => {
                    (at, text) = (at + 1, text + 1);
                    continue;
                }
                _ => {}
            }
            match retry {
                Some((behind, from)) if from < texts.len() => {
                    (at, text) = (behind, from + 1);
                    retry = Some((behind, from + 1));
                }
                _ => return false,
            }
        }
    }
}

impl Segment {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::OneOf(texts) => texts.iter().any(|it| **it == *text),
            Self::Any | Self::Many => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, kind: &str) -> bool {
        KindPattern::parse(pattern.as_bytes()).unwrap().matches(kind.as_bytes())
    }

    #[test]
    fn stars_stand_for_segments_and_parentheses_for_choices() {
        for (pattern, kind, expected) in [
            ("http.router", "http.router", true),
            ("http.router", "http.route", false),
            ("http.*", "http.router", true),
            ("http.*", "http", false),
            ("http.*", "http.a.b", false),
            ("*", "http", true),
            ("*", "http.a", false),
            ("**", "http.a.b", true),
            ("http.**", "http", true),
            ("http.**", "http.a.b", true),
            ("http.**.b", "http.b", true),
            ("http.**.b", "http.b.a.b", true),
            ("http.**.b", "http.b.a", false),
            ("**.a.**", "x.a", true),
            ("**.a.**", "x.b", false),
            ("(http|ws).*", "ws.a", true),
            ("(http|ws).*", "tcp.a", false),
            ("a.(b|c).**", "a.c", true),
        ] {
            assert_eq!(matches(pattern, kind), expected, "{pattern} on {kind}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in
            ["", ".", "a.", "a..b", "a*", "a.b**", "(a", "a)", "(a|)", "()", "a|b", "(a.b|c)"]
        {
            assert!(KindPattern::parse(pattern.as_bytes()).is_err(), "{pattern}");
        }
    }

    fn naive(segments: &[&str], texts: &[&str]) -> bool {
        match segments.split_first() {
            None => texts.is_empty(),
            Some((&"**", rest)) => (0..=texts.len()).any(|skip| naive(rest, &texts[skip..])),
            Some((segment, rest)) => {
                let choices = segment.trim_matches(['(', ')']);
                texts.split_first().is_some_and(|(text, more)| {
                    (*segment == "*" || choices.split('|').any(|it| it == *text))
                        && naive(rest, more)
                })
            }
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_trying_everything_matches(
            segments in prop::collection::vec(
                prop::sample::select(vec!["a", "b", "*", "**", "(a|b)"]), 1..6),
            texts in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..6),
        ) {
            let expected = naive(&segments, &texts);
            prop_assert_eq!(matches(&segments.join("."), &texts.join(".")), expected);
        }
    }
}
