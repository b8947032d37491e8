//! Ids, kinds and paths of dependencies as anybody may write them.

use std::sync::OnceLock;

use acervo::database::{Database, Options};
use acervo::entries::{Entry, EntryError, Id, IdRef, Registry};

use super::bytes::Bytes;

pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let kind = bytes.some(16);
    let text = bytes.rest();
    let parsed = IdRef::parse(text);
    let colon = text.iter().position(|&byte| byte == b':');
    let (ns, name) = match colon {
        Some(colon) => (&text[..colon], &text[colon + 1..]),
        None => (&b""[..], text),
    };
    assert_eq!((parsed.ns, parsed.name), (ns, name));

    let id = Id::new(parsed);
    assert_eq!((id.ns(), id.name()), (ns, name));
    assert_eq!(id.text(), [ns, b":", name].concat());
    assert_eq!(IdRef::parse(id.text()), id.parts(), "an id reads back as itself");
    assert_eq!(id, Id::new(IdRef::parse(id.text())));

    let is_clean = |text: &[u8]| !text.iter().any(|&byte| byte < 0x20 || byte == 0x7f);
    let is_right = !name.is_empty()
        && is_clean(text)
        && id.text().len() <= 512
        && (1..=256).contains(&kind.len())
        && is_clean(kind);
    match Entry::new(parsed, kind, None, None) {
        Ok(entry) => {
            assert!(is_right, "{text:?} {kind:?} is taken");
            assert_eq!((entry.id().text(), entry.kind()), (id.text(), kind));
        }
        Err(error) => assert!(!is_right, "{error}"),
    }

    // Any text may be asked for.
    let registry = registry();
    assert!(registry.snapshot().unwrap().get(parsed).is_none());
    let dependents = registry.dependents(parsed, true);
    assert!(matches!(dependents, Err(EntryError::NoEntry { .. })), "{dependents:?}");
    if let Ok(path) = std::str::from_utf8(text)
        && path.len() < 40
    {
        // Few enough of them: they are kept for good.
        let _ = registry.register_pattern(&path.chars().take(3).collect::<String>(), false);
    }
}

fn registry() -> &'static Registry {
    static OPEN: OnceLock<(Database, Registry)> = OnceLock::new();
    let open = || {
        let db = Database::open(b":memory:", &Options::default()).unwrap();
        let registry = db.entries().unwrap();
        (db, registry)
    };
    &OPEN.get_or_init(open).1
}
