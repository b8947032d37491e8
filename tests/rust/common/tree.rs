//! Values as trees, and random ones: only the tests need either.

use acervo::value::{
    Value, equal, put_array_header, put_bool, put_float, put_int, put_map_header, put_nil,
    put_string,
};
use proptest::prelude::*;

/// A value as a tree: only the tests need one.
#[derive(Clone, Debug)]
pub enum Tree {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Vec<u8>),
    Array(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
}

pub fn encode(tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Nil => put_nil(out),
        Tree::Bool(value) => put_bool(out, *value),
        Tree::Int(value) => put_int(out, *value),
        Tree::Float(value) => put_float(out, *value),
        Tree::Text(bytes) => put_string(out, bytes),
        Tree::Array(items) => {
            put_array_header(out, items.len() as u32);
            items.iter().for_each(|item| encode(item, out));
        }
        Tree::Map(pairs) => {
            put_map_header(out, pairs.len() as u32);
            for (key, value) in pairs {
                encode(key, out);
                encode(value, out);
            }
        }
    }
}

pub fn bytes_of(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    encode(tree, &mut out);
    out
}

pub fn value_of(tree: &Tree) -> Value {
    Value::from_canonical(&bytes_of(tree))
}

fn scalar(of_json: bool) -> BoxedStrategy<Tree> {
    let float = if of_json {
        any::<f64>().prop_filter("JSON has no NaN", |value| value.is_finite()).boxed()
    } else {
        prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(-0.0)].boxed()
    };
    let text = if of_json {
        any::<String>().prop_map(String::into_bytes).boxed()
    } else {
        prop_oneof![any::<Vec<u8>>(), any::<String>().prop_map(String::into_bytes)].boxed()
    };
    prop_oneof![
        Just(Tree::Nil),
        any::<bool>().prop_map(Tree::Bool),
        prop_oneof![any::<i64>(), -200..200_i64].prop_map(Tree::Int),
        float.prop_map(Tree::Float),
        text.prop_map(Tree::Text),
    ]
    .boxed()
}

pub fn tree(of_json: bool) -> impl Strategy<Value = Tree> {
    scalar(of_json).prop_recursive(5, 64, 20, move |inner| {
        let key = if of_json {
            any::<String>().prop_map(|text| Tree::Text(text.into_bytes())).boxed()
        } else {
            scalar(false)
                .prop_filter("no key", |key| match key {
                    Tree::Nil => false,
                    Tree::Float(value) => !value.is_nan(),
                    _ => true,
                })
                .boxed()
        };
        let pairs = prop::collection::vec((key, inner.clone()), 0..20).prop_map(|pairs| {
            let mut unique: Vec<(Tree, Tree)> = Vec::new();
            for (key, value) in pairs {
                if !unique.iter().any(|(other, _)| equal(&bytes_of(other), &bytes_of(&key))) {
                    unique.push((key, value));
                }
            }
            Tree::Map(unique)
        });
        prop_oneof![prop::collection::vec(inner, 0..20).prop_map(Tree::Array), pairs]
    })
}
