//! Values: what values.md promises of bytes, JSON and equality.

mod common;

use acervo::value::{
    MAX_DEPTH, Number, Token, Value, View, begin_map, end_map, equal, put_int, put_map_header,
    put_nil,
};
use common::tree::{Tree, bytes_of, encode, tree, value_of};
use proptest::prelude::*;

/// The same tree in the longest MessagePack form of everything.
fn encode_clumsily(tree: &Tree, out: &mut Vec<u8>) {
    let len = |out: &mut Vec<u8>, marker: u8, len: usize| {
        out.push(marker);
        out.extend_from_slice(&(len as u32).to_be_bytes());
    };
    match tree {
        Tree::Int(value) => {
            out.push(0xd3);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Tree::Text(bytes) => {
            len(out, 0xc6, bytes.len());
            out.extend_from_slice(bytes);
        }
        Tree::Array(items) => {
            len(out, 0xdd, items.len());
            items.iter().for_each(|item| encode_clumsily(item, out));
        }
        Tree::Map(pairs) => {
            len(out, 0xdf, pairs.len());
            for (key, value) in pairs {
                encode_clumsily(key, out);
                encode_clumsily(value, out);
            }
        }
        other => encode(other, out),
    }
}

proptest! {
    #[test]
    fn canonical_bytes_stay_as_they_are(tree in tree(false)) {
        let bytes = bytes_of(&tree);
        let value = Value::from_msgpack(&bytes).unwrap();
        prop_assert_eq!(value.as_bytes(), &bytes[..]);
    }

    #[test]
    fn every_form_of_a_value_becomes_the_same_bytes(tree in tree(false)) {
        let mut clumsy = Vec::new();
        encode_clumsily(&tree, &mut clumsy);
        let value = Value::from_msgpack(&clumsy).unwrap();
        prop_assert_eq!(value.as_bytes(), &bytes_of(&tree)[..]);
    }

    #[test]
    fn cut_bytes_are_refused_at_their_end(tree in tree(false), cut in any::<prop::sample::Index>()) {
        let bytes = bytes_of(&tree);
        let cut = cut.index(bytes.len());
        let error = Value::from_msgpack(&bytes[..cut]).unwrap_err().to_string();
        prop_assert!(error.contains(&format!("offset {cut}")), "{}", error);
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_never_more(bytes in any::<Vec<u8>>()) {
        if let Ok(value) = Value::from_msgpack(&bytes) {
            let again = Value::from_msgpack(value.as_bytes()).unwrap();
            prop_assert_eq!(again.as_bytes(), value.as_bytes());
        }
    }

    #[test]
    fn json_gives_the_value_back(tree in tree(true)) {
        let value = value_of(&tree);
        let json = value.to_json().unwrap();
        let back = Value::from_json(json.as_bytes()).unwrap();
        prop_assert!(back == value, "{}", json);
        prop_assert_eq!(back.to_json().unwrap(), json);
        // Equality is blind for int and float; the text is not.
        prop_assert_eq!(types(&back), types(&value));
    }

    #[test]
    fn equality_does_not_see_the_order_of_keys(tree in tree(false), seed in any::<u64>()) {
        let shuffled = shuffle(&tree, seed);
        prop_assert!(equal(&bytes_of(&tree), &bytes_of(&shuffled)));
        prop_assert!(equal(&bytes_of(&shuffled), &bytes_of(&tree)));
    }

    #[test]
    fn elements_are_found_by_place_and_by_key(tree in tree(false)) {
        let value = value_of(&tree);
        match &tree {
            Tree::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    prop_assert_eq!(value.element(place).unwrap(), &bytes_of(item)[..]);
                }
                prop_assert!(value.element(items.len()).is_none());
            }
            Tree::Map(pairs) => {
                for (place, (key, item)) in pairs.iter().enumerate() {
                    prop_assert_eq!(value.pair(place).unwrap().0, &bytes_of(key)[..]);
                    prop_assert_eq!(value.lookup(&bytes_of(key)).unwrap(), &bytes_of(item)[..]);
                }
            }
            _ => prop_assert!(value.element(0).is_none() && value.pair(0).is_none()),
        }
    }

    #[test]
    fn numbers_compare_as_exact_numbers(int in any::<i64>(), float in any::<f64>()) {
        for int in [int, float as i64, (float as i64).wrapping_add(1)] {
            // Within 2^100 a whole float is exact as a 128-bit integer.
            let is_whole = float.fract() == 0.0 && float.abs() < 2_f64.powi(100);
            let expected = is_whole && i128::from(int) == float as i128;
            prop_assert_eq!(Number::Int(int).equals(Number::Float(float)), expected);
        }
    }
}

fn types(value: &Value) -> Vec<&'static str> {
    // In the order of the text: maps are written in key order.
    let json = value.to_json().unwrap();
    let mut view_types = Vec::new();
    let canonical = Value::from_json(json.as_bytes()).unwrap();
    let mut view = canonical.view();
    while !view.rest().is_empty() {
        view_types.push(view.token().type_of().name());
    }
    view_types.sort_unstable();
    let mut own = Vec::new();
    let mut view = value.view();
    while !view.rest().is_empty() {
        own.push(view.token().type_of().name());
    }
    own.sort_unstable();
    assert_eq!(view_types, own);
    own
}

fn shuffle(tree: &Tree, seed: u64) -> Tree {
    match tree {
        Tree::Array(items) => Tree::Array(items.iter().map(|item| shuffle(item, seed)).collect()),
        Tree::Map(pairs) => {
            let mut pairs: Vec<_> =
                pairs.iter().map(|(key, value)| (key.clone(), shuffle(value, seed))).collect();
            let len = pairs.len().max(1);
            pairs.rotate_left(seed as usize % len);
            if seed.is_multiple_of(2) {
                pairs.reverse();
            }
            Tree::Map(pairs)
        }
        other => other.clone(),
    }
}

fn refused(bytes: &[u8], what: &str, offset: usize) {
    let error = Value::from_msgpack(bytes).unwrap_err().to_string();
    assert!(error.contains(what), "{error}");
    assert!(error.contains(&format!("offset {offset}")), "{error}");
}

#[test]
fn what_the_model_does_not_know_is_refused_with_its_offset() {
    refused(&[0x91, 0xd4, 1, 2], "extension", 1);
    refused(&[0x92, 1, 0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0], "2^63", 2);
    refused(&[0x82, 0xa1, b'a', 1, 0xa1, b'a', 2], "twice", 4);
    refused(&[0x82, 1, 1, 0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 2], "twice", 3);
    refused(&[0x81, 0xc0, 1], "nil", 1);
    refused(&[0x81, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0, 1], "NaN", 1);
    refused(&[0x81, 0x90, 1], "array", 1);
    refused(&[1, 2], "follow", 1);
    refused(&[0xc1], "reserved", 0);
    refused(&[0xdd, 0xff, 0xff, 0xff, 0xff], "end inside", 5);
}

fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = vec![0x91; depth - 1];
    bytes.push(0x90);
    bytes
}

#[test]
fn a_hundred_and_twenty_eight_levels_are_kept_and_one_more_is_refused() {
    let deepest = Value::from_msgpack(&nested(MAX_DEPTH)).unwrap();
    refused(&nested(MAX_DEPTH + 1), "deeper", MAX_DEPTH);
    assert!(Value::array([&deepest].into_iter()).is_err());
    let json = deepest.to_json().unwrap();
    assert!(Value::from_json(json.as_bytes()).is_ok());
    let error = Value::from_json(format!("[{json}]").as_bytes()).unwrap_err().to_string();
    assert!(error.contains("128"), "{error}");
}

#[test]
fn json_numbers_are_ints_where_they_are_written_as_ints() {
    let types = |text: &str| {
        let value = Value::from_json(text.as_bytes()).unwrap();
        let mut view = value.view();
        view.token().type_of().name()
    };
    for int in ["0", "-0", "7", "-7", "9223372036854775807", "-9223372036854775808"] {
        assert_eq!(types(int), "int", "{int}");
    }
    for float in ["0.0", "-0.0", "-0e5", "1e2", "9223372036854775808", "3.0", "-1e-999"] {
        assert_eq!(types(float), "float", "{float}");
    }
    let zeros = Value::from_json(b"[\"-0\",-0.0,1e-0,-0,[-0],-0.0,{\"a-0\":-0}]").unwrap();
    assert_eq!(zeros.to_json().unwrap(), "[\"-0\",-0.0,1.0,0,[0],-0.0,{\"a-0\":0}]");
    assert!(Value::from_json(b"1e999").is_err());
    for bad in ["", "1 2", "{\"a\":1,\"a\":2}", "[1,]", "nul", "\"\\ud800\"", "NaN"] {
        assert!(Value::from_json(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn json_text_is_the_same_for_the_same_value() {
    let value = value_of(&Tree::Map(vec![
        (Tree::Text(b"b".to_vec()), Tree::Int(1)),
        (Tree::Int(10), Tree::Float(3.0)),
        (Tree::Bool(true), Tree::Nil),
        (Tree::Float(1.5), Tree::Array(vec![])),
        (Tree::Text(b"a\n\"".to_vec()), Tree::Float(1e300)),
    ]));
    assert_eq!(
        value.to_json().unwrap(),
        "{\"1.5\":[],\"10\":3.0,\"a\\n\\\"\":1e+300,\"b\":1,\"true\":null}"
    );
}

#[test]
fn what_has_no_json_form_is_refused() {
    for tree in [
        Tree::Float(f64::NAN),
        Tree::Float(f64::INFINITY),
        Tree::Text(vec![0xff]),
        Tree::Map(vec![(Tree::Int(1), Tree::Nil), (Tree::Text(b"1".to_vec()), Tree::Nil)]),
    ] {
        assert!(value_of(&tree).to_json().is_err(), "{tree:?}");
    }
}

#[test]
fn a_container_may_learn_its_length_at_the_end() {
    for len in [0, 1, 15, 16, 65_535, 65_536] {
        let mut late = vec![7];
        let start = begin_map(&mut late);
        let mut early = vec![7];
        put_map_header(&mut early, len);
        for key in 0..i64::from(len) {
            for out in [&mut late, &mut early] {
                put_int(out, key);
                put_nil(out);
            }
        }
        end_map(&mut late, start, len);
        assert!(late == early, "{len}");
    }
}

#[test]
fn untrusted_bytes_never_take_a_cursor_out_of_bounds() {
    for first in 0..=255_u8 {
        for rest in [&[][..], &[0xff; 3], &[0xff; 12]] {
            let bytes = [&[first], rest].concat();
            let mut view = View::new(&bytes);
            let _: Token<'_> = view.token();
            let mut view = View::new(&bytes);
            assert!(view.skip().len() <= bytes.len());
        }
    }
}
