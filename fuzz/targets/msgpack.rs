//! MessagePack from anywhere: taken or refused as the description says, and
//! taken to the one canonical form.

use acervo::value::{Type, Value, equal};

use super::tree::Tree;

pub fn run(input: &[u8]) {
    let expected = Tree::read(input);
    let value = match (Value::from_msgpack(input), &expected) {
        (Ok(value), Some(_)) => value,
        (Err(_), None) => return,
        (Ok(_), None) => panic!("it is taken"),
        (Err(error), Some(tree)) => panic!("{tree:?} is refused: {error}"),
    };
    let tree = expected.unwrap();
    assert_eq!(value.as_bytes(), tree.write(), "the canonical form of {tree:?}");
    let again = Value::from_msgpack(value.as_bytes()).expect("canonical bytes are a value");
    assert_eq!(again.as_bytes(), value.as_bytes(), "canonical bytes are their own form");
    assert!(equal(value.as_bytes(), value.as_bytes()), "it equals itself");
    parts(&value, &tree);
    json(&value, &tree);
}

/// What can be asked about it is what the tree has.
fn parts(value: &Value, tree: &Tree) {
    match tree {
        Tree::Array(items) => {
            assert_eq!((value.type_of(), value.len()), (Type::Array, items.len()));
            for (place, item) in items.iter().enumerate().take(40) {
                assert_eq!(value.element(place), Some(&item.write()[..]));
            }
            assert_eq!(value.element(items.len()), None);
        }
        Tree::Map(pairs) => {
            assert_eq!((value.type_of(), value.len()), (Type::Map, pairs.len()));
            for (place, (key, item)) in pairs.iter().enumerate().take(40) {
                let (key, item) = (key.write(), item.write());
                assert_eq!(value.pair(place), Some((&key[..], &item[..])));
                assert_eq!(value.lookup(&key), Some(&item[..]));
            }
            assert_eq!(value.pair(pairs.len()), None);
        }
        Tree::String(bytes) => {
            assert_eq!((value.type_of(), value.len()), (Type::String, bytes.len()))
        }
        _ => assert_eq!(value.len(), 0),
    }
}

/// What has a form in JSON has one that reads back and stays.
fn json(value: &Value, tree: &Tree) {
    let Ok(text) = value.to_json() else {
        assert!(!is_plain(tree), "{tree:?} has a form in JSON");
        return;
    };
    let read = Value::from_json(text.as_bytes()).expect("our own JSON");
    assert_eq!(read.to_json().expect("it had a form"), text);
    if is_plain(tree) {
        assert!(equal(read.as_bytes(), value.as_bytes()), "{text}");
    }
}

/// Whether JSON can say everything of it.
fn is_plain(tree: &Tree) -> bool {
    match tree {
        Tree::Nil | Tree::Bool(_) | Tree::Int(_) => true,
        Tree::Float(value) => value.is_finite(),
        Tree::String(bytes) => std::str::from_utf8(bytes).is_ok(),
        Tree::Array(items) => items.iter().all(is_plain),
        Tree::Map(pairs) => pairs
            .iter()
            .all(|(key, value)| matches!(key, Tree::String(_)) && is_plain(key) && is_plain(value)),
    }
}
