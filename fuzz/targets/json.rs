//! JSON from anywhere: what is taken is JSON to another reader too, reads back
//! from what is written, and is written the same each time.

use acervo::value::{Value, equal};

use super::tree::Tree;

pub fn run(input: &[u8]) {
    let other = other_reader(input);
    let value = match Value::from_json(input) {
        Ok(value) => value,
        Err(error) => {
            // It may refuse more than the other: a key twice, deep nesting.
            let text = error.to_string();
            let is_stricter =
                ["twice", "duplicate", "deep", "128"].iter().any(|why| text.contains(why));
            assert!(other.is_none() || is_stricter, "refused: {text}");
            return;
        }
    };
    assert!(other.is_some(), "another reader refuses it");
    let tree = Tree::read(value.as_bytes()).expect("a value");
    assert!(tree.depth() <= 128);
    assert_eq!(tree.write(), value.as_bytes(), "it is canonical");
    let text = value.to_json().expect("what came from JSON has a form in it");
    let again = Value::from_json(text.as_bytes()).expect("our own JSON");
    assert!(equal(value.as_bytes(), again.as_bytes()), "{text}");
    assert_eq!(again.to_json().expect("as above"), text, "the same value, the same text");
}

fn other_reader(input: &[u8]) -> Option<serde_json::Value> {
    let mut reader = serde_json::Deserializer::from_slice(input);
    reader.disable_recursion_limit();
    // It reads as deep as the stack goes; ours stops before that.
    if input.iter().filter(|&&byte| byte == b'[' || byte == b'{').count() > 2000 {
        return None;
    }
    let value = serde::Deserialize::deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(value)
}
