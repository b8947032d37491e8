//! Patterns of kinds: a handler is asked about exactly what its pattern
//! matches.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use acervo::database::{Database, Options};
use acervo::entries::{Entry, IdRef, Plain, Registry, Responder, Response, Wants};

use super::bytes::Bytes;

pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let pattern = match bytes.one_in(4) {
        true => bytes.some(20).to_vec(),
        false => {
            bytes.text(&["a", "b", ".", "*", "**", "(a|b)", "(a|bb)", "(", "|"], 9).into_bytes()
        }
    };
    let kind = bytes.text(&["a", "b", ".", ".a", "c"], 9);
    let registry = registry();

    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let responder = Responder::Direct(Box::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Response::Accept
    }));
    let wants = Wants::default();
    let handler = match registry.on(&pattern, wants, responder, &Plain::default()) {
        Ok(handler) => handler,
        Err(error) => {
            assert!(segments(&pattern).is_none(), "{pattern:?} is refused: {error}");
            return;
        }
    };
    let segments = segments(&pattern);
    let segments = segments.unwrap_or_else(|| panic!("{pattern:?} is taken"));
    if let Ok(entry) = Entry::new(IdRef::parse(b"a:x"), kind.as_bytes(), None, None) {
        let mut changes = registry.snapshot().unwrap().changes();
        changes.create(entry).unwrap();
        let mut undo = registry.snapshot().unwrap().changes();
        undo.delete(IdRef::parse(b"a:x")).unwrap();
        changes.apply().unwrap();
        let texts: Vec<&str> = kind.split('.').collect();
        let expected = usize::from(matches(&segments, &texts));
        assert_eq!(asked.load(Ordering::Relaxed), expected, "{pattern:?} on {kind:?}");
        handler.cancel();
        undo.apply().unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), expected, "it is cancelled");
    }
    handler.cancel();
}

/// The segments of a pattern, each with its choices; `None` for one that is
/// none.
fn segments(pattern: &[u8]) -> Option<Vec<Vec<String>>> {
    let text = String::from_utf8_lossy(pattern);
    text.split('.').map(choices).collect()
}

fn choices(segment: &str) -> Option<Vec<String>> {
    if segment == "*" || segment == "**" {
        return Some(vec![segment.to_owned()]);
    }
    let inner = segment.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let choices: Vec<String> = match inner {
        Some(inner) => inner.split('|').map(str::to_owned).collect(),
        None => vec![segment.to_owned()],
    };
    let is_text = |text: &String| !text.is_empty() && !text.contains(['*', '(', ')', '|']);
    choices.iter().all(is_text).then_some(choices)
}

fn matches(segments: &[Vec<String>], texts: &[&str]) -> bool {
    let Some((first, rest)) = segments.split_first() else { return texts.is_empty() };
    if first[0] == "**" {
        return (0..=texts.len()).any(|taken| matches(rest, &texts[taken..]));
    }
    texts.split_first().is_some_and(|(text, others)| {
        (first[0] == "*" || first.iter().any(|it| it == text)) && matches(rest, others)
    })
}

fn registry() -> &'static Registry {
    static OPEN: OnceLock<(Database, Registry)> = OnceLock::new();
    let open = || {
        let mut options = Options::default();
        let none = acervo::value::Value::string(b"none").unwrap();
        options.set("history", none.view()).unwrap();
        let db = Database::open(b":memory:", &options).unwrap();
        let registry = db.entries().unwrap();
        (db, registry)
    };
    &OPEN.get_or_init(open).1
}
