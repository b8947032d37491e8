//! Searching against testing every entry, written once more from the
//! description.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::entries::entry::Entry;
use crate::entries::id::IdRef;
use crate::entries::slots::Slots;
use crate::hashing::{WEAK, weaken, with_weak};
use crate::platform::thin::IsThin;
use crate::value::Value;

type Model = BTreeMap<(String, String), (String, Json, Json)>;

/// What a filter finds by the description.
fn expected(model: &Model, filter: &Json) -> Vec<String> {
    model
        .iter()
        .filter(|(id, entry)| holds_all(filter, id, entry))
        .map(|((ns, name), _)| format!("{ns}:{name}"))
        .collect()
}

fn holds_all(filter: &Json, id: &(String, String), entry: &(String, Json, Json)) -> bool {
    filter.as_object().unwrap().iter().all(|(key, wanted)| {
        if key == "meta" {
            return wanted.as_object().unwrap().iter().all(|(key, wanted)| {
                let (operator, name) = split(key);
                holds(operator, false, in_meta(&entry.1, name), wanted)
            });
        }
        let (operator, name) = split(key);
        let own = match name.strip_prefix('.').unwrap_or(name) {
            "kind" => Some(entry.0.clone()),
            "ns" | "namespace" => Some(id.0.clone()),
            "name" => Some(id.1.clone()),
            "id" => Some(format!("{}:{}", id.0, id.1)),
            _ => None,
        };
        if name.ends_with("id")
            && operator.is_none()
            && let Some(wanted) = wanted.as_str().filter(|it| !it.contains([':', '*', '?']))
        {
            return own.is_some_and(|own| own == format!(":{wanted}"));
        }
        if let Some(own) = own {
            return holds(operator, true, Some(&json!(own)), wanted);
        }
        let value = match name.strip_prefix("data.") {
            Some(path) => path.split('.').try_fold(&entry.2, |at, key| at.as_object()?.get(key)),
            None => in_meta(&entry.1, name.strip_prefix("meta.").unwrap_or(name)),
        };
        holds(operator, false, value, wanted)
    })
}

fn split(key: &str) -> (Option<char>, &str) {
    match key.chars().next() {
        Some(operator) if "~*^$".contains(operator) => (Some(operator), &key[1..]),
        _ => (None, key),
    }
}

fn in_meta<'a>(meta: &'a Json, path: &str) -> Option<&'a Json> {
    meta.get(path).or_else(|| path.split('.').try_fold(meta, |at, key| at.as_object()?.get(key)))
}

fn holds(operator: Option<char>, is_own: bool, value: Option<&Json>, wanted: &Json) -> bool {
    let Some(value) = value else { return false };
    let wanted_text = wanted.as_str().unwrap_or_default();
    match (operator, value) {
        (Some('*'), Json::Array(elements)) => {
            elements.iter().any(|it| it.as_str().is_some_and(|it| it.contains(wanted_text)))
        }
        (Some('*'), Json::String(text)) => text.contains(wanted_text),
        (Some('^'), Json::String(text)) => text.starts_with(wanted_text),
        (Some('$'), Json::String(text)) => text.ends_with(wanted_text),
        (Some('~'), Json::String(text)) => regex::Regex::new(wanted_text).unwrap().is_match(text),
        (Some(_), _) => false,
        (None, Json::String(text)) if is_own => {
            let wanted = regex::escape(wanted_text).replace(r"\*", ".*").replace(r"\?", ".");
            regex::Regex::new(&format!("(?s)^{wanted}$")).unwrap().is_match(text)
        }
        (None, _) => match wanted {
            Json::Array(wanted) => value
                .as_array()
                .is_some_and(|has| wanted.iter().all(|it| has.iter().any(|has| same(has, it)))),
            wanted => same(value, wanted),
        },
    }
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Whether these are the state's own entries that testing each one finds.
fn are_as_scanned(state: &State, hits: &Hits, filter: &[u8]) -> bool {
    let scanned = plan::scan(state, &Filter::parse(filter).unwrap());
    hits.len() == scanned.len()
        && scanned.iter().enumerate().all(|(index, &slot)| {
            let own = state.entries.get(slot).unwrap();
            hits.get(index, &state.entries).unwrap().is_same(own)
        })
}

fn value(json: &Json) -> Value {
    Value::from_json(json.to_string().as_bytes()).unwrap()
}

fn entry(id: &(String, String), (kind, meta, data): &(String, Json, Json)) -> Entry {
    let id = IdRef { ns: id.0.as_bytes(), name: id.1.as_bytes() };
    Entry::new(id, kind.as_bytes(), Some(value(meta)), Some(value(data))).unwrap()
}

fn ids(state: &State, hits: &Hits) -> Vec<String> {
    let id = |index| hits.get(index, &state.entries).unwrap().id().to_string();
    (0..hits.len()).map(id).collect()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["", "a", "ab", "b.c", "abc", "é", "aéb", "a/b/c"])
            .prop_map(str::to_owned),
        1 => "[abé]{1200}",
        1 => "[abcé./]{0,4}",
    ]
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        4 => text().prop_map(Json::from),
        1 => any::<bool>().prop_map(Json::from),
        2 => (-2..3_i64).prop_map(Json::from),
        2 => prop::sample::select(vec![0.0, -0.0, 1.0, 1.5, -2.0, 1e300]).prop_map(Json::from),
    ]
}

fn content() -> impl Strategy<Value = Json> {
    prop_oneof![
        4 => scalar(),
        2 => prop::collection::vec(scalar(), 0..4).prop_map(Json::from),
        1 => scalar().prop_map(|it| json!({"x": it})),
        1 => scalar().prop_map(|it| json!([{"x": it}, it])),
        1 => scalar().prop_map(|it| json!({"x": {"y": it}})),
    ]
}

fn fields() -> impl Strategy<Value = Json> {
    let name = prop::sample::select(vec!["t", "tags", "x.y", "x", "kind", "n"]);
    prop::collection::btree_map(name, content(), 0..4).prop_map(|map| json!(map))
}

fn id() -> impl Strategy<Value = (String, String)> {
    let ns = prop::sample::select(vec!["", "a", "ab", "app.api"]);
    (ns, "[a-dé]{1,2}").prop_map(|(ns, name)| (ns.to_owned(), name))
}

fn body() -> impl Strategy<Value = (String, Json, Json)> {
    let kind = prop::sample::select(vec!["function.lua", "function.py", "http.endpoint", "k"]);
    (kind.prop_map(str::to_owned), fields(), fields())
}

fn condition() -> impl Strategy<Value = (String, Json)> {
    let own = prop::sample::select(vec![
        ".kind",
        "kind",
        ".ns",
        "ns",
        "namespace",
        ".name",
        "name",
        ".id",
        "id",
    ]);
    let field = || {
        prop::sample::select(vec![
            "t",
            "meta.t",
            "tags",
            "x.y",
            "meta.x.y",
            "x",
            "meta.kind",
            "n",
            "data.t",
            "data.x.y",
            "data.tags",
        ])
    };
    let operator = || prop::sample::select(vec!["~", "*", "^", "$"]);
    let glob = prop_oneof![
        prop::sample::select(vec!["function.*", "*", "a", "a:*", "??", "*.?ua", "app.api", "a?*"])
            .prop_map(str::to_owned),
        "[ab?*:é.]{0,4}"
            .prop_filter("an id without its colon", |glob| glob.contains([':', '*', '?'])),
    ];
    prop_oneof![
        (own.clone(), glob).prop_map(|(key, wanted)| (key.to_owned(), Json::from(wanted))),
        (field(), content()).prop_map(|(key, wanted)| (key.to_owned(), wanted)),
        (operator(), prop_oneof![own, field()], "[abé./]{0,2}")
            .prop_map(|(operator, key, wanted)| (format!("{operator}{key}"), Json::from(wanted))),
        (prop_oneof![Just(""), operator()], prop::sample::select(vec!["t", "kind", "x.y"]), text())
            .prop_filter("a pattern that is long", |it| it.2.len() < 100)
            .prop_map(|(operator, key, wanted)| {
                ("meta".to_owned(), json!({ format!("{operator}{key}"): wanted }))
            }),
    ]
}

fn filter() -> impl Strategy<Value = Json> {
    prop::collection::btree_map(any::<u8>(), condition(), 0..4)
        .prop_map(|conditions| conditions.into_values().collect::<serde_json::Map<_, _>>().into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn it_finds_what_testing_every_entry_finds_while_entries_change(
        start in prop::collection::btree_map(id(), body(), 0..40),
        rounds in prop::collection::vec(
            (prop::collection::vec((id(), prop::option::of(body())), 0..90),
             prop::collection::vec(any::<prop::sample::Index>(), 1..4)),
            1..8),
        filters in prop::collection::vec(filter(), 1..6),
        weak in 0..WEAK.len(),
    ) {
        let _weak = weaken(WEAK[weak].1);
        let mut state = State::new(Slots::new());
        let mut model = start;
        for (id, body) in &model {
            state.put(&entry(id, body));
        }
        let mut old: Vec<(State, Cache, Model)> = Vec::new();
        for (changes, picks) in rounds {
            for (id, body) in changes {
                match body {
                    Some(body) => {
                        state.put(&entry(&id, &body));
                        model.insert(id, body);
                    }
                    None => {
                        state.remove(IdRef { ns: id.0.as_bytes(), name: id.1.as_bytes() });
                        model.remove(&id);
                    }
                }
            }
            old.push((state.clone(), Cache::default(), model.clone()));
            for pick in picks {
                let filter = pick.get(&filters);
                // The newest, and now and then an older one.
                for (state, cache, model) in [old.last().unwrap(), pick.get(&old)] {
                    let found = find(state, cache, value(filter).as_bytes()).unwrap();
                    prop_assert_eq!(ids(state, &found), expected(model, filter), "{}", filter);
                    prop_assert!(are_as_scanned(state, &found, value(filter).as_bytes()));
                }
            }
        }
    }
}

#[test]
fn what_is_no_condition_is_refused_and_named() {
    let long = "a".repeat(4097);
    for (filter, name, why) in [
        (json!({".unknown": "x"}), ".unknown", "no such field"),
        (json!({".namespace": "x"}), ".namespace", "no such field"),
        (json!({"~kind": "("}), "~kind", "unclosed group"),
        (json!({"~kind": long}), "~kind", "4096"),
        (json!({"~meta.x": 1}), "~meta.x", "got int"),
        (json!({"*tags": ["a"]}), "*tags", "got array"),
        (json!({"^x": true}), "^x", "got bool"),
        (json!({"$x": {}}), "$x", "got map"),
        (json!({"kind": 5}), "kind", "got int"),
        (json!({".ns": ["a"]}), ".ns", "got array"),
        (json!({"meta": {"~x": 1}}), "meta.~x", "got int"),
        (json!({"meta": {"": 1}}), "meta.", "names no field"),
        (json!({"meta": "x"}), "meta", "got string"),
        (json!({"": 1}), "filter \"\"", "names no field"),
        (json!({"~": "x"}), "~", "names no field"),
        (json!({"data.": 1}), "data.", "names no field"),
        (json!([1]), "filter", "got array"),
        (json!("kind"), "filter", "got string"),
    ] {
        let error = Filter::parse(value(&filter).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(why), "{filter}: {error}");
    }
}

#[test]
fn regular_expressions_of_one_filter_take_bounded_memory() {
    let parsed = |pattern: &str, len: u32| {
        let conditions = (0..len).map(|n| (format!("~x{n}"), Json::from(pattern)));
        let filter = Json::from(conditions.collect::<serde_json::Map<_, _>>());
        Filter::parse(value(&filter).as_bytes()).map_err(|error| error.to_string())
    };
    assert!(parsed("^[a-z]+_[0-9]{2,4}(b|cd)?$", 200).is_ok());
    assert!(parsed(r"\w{60}", 5).is_ok());
    let error = parsed(r"\w{60}", 20).unwrap_err();
    assert!(error.contains("filter ~x") && error.contains("too large together"), "{error}");
    let error = parsed(r"\w{2000}", 1).unwrap_err();
    assert!(error.contains("exceeds size limit"), "{error}");
}

/// Entries of which the field `x` has few values and `name` many.
fn many(len: u32) -> State {
    let mut state = State::new(Slots::new());
    for n in 0..len {
        let body = ("k".to_owned(), json!({"x": n % 10, "y": format!("y{n}")}), Json::Null);
        state.put(&entry(&("n".to_owned(), format!("{n:05}")), &body));
    }
    state
}

#[test]
fn many_distinct_values_are_found_by_weak_hashes() {
    with_weak(|| {
        let mut state = many(1500);
        for round in 0..3 {
            for n in 0..60 {
                let filter = value(&json!({"x": n % 10, "y": format!("y{}", n * 25 + round)}));
                let found = find(&state, &Cache::default(), filter.as_bytes()).unwrap();
                assert!(are_as_scanned(&state, &found, filter.as_bytes()));
            }
            for n in 0..200_u32 {
                let n = (n * 7 + round) % 1500;
                state.remove(IdRef { ns: b"n", name: format!("{n:05}").as_bytes() });
            }
        }
    });
}

#[test]
fn results_of_one_version_are_each_of_their_filter_by_weak_hashes() {
    with_weak(|| {
        let (state, cache) = (many(200), Cache::default());
        for n in 0..300 {
            let filter = value(&json!({"y": format!("y{}", n % 150)}));
            let found = find(&state, &cache, filter.as_bytes()).unwrap();
            assert!(are_as_scanned(&state, &found, filter.as_bytes()));
        }
    });
}

#[test]
fn a_field_is_indexed_when_it_is_asked_for_again_and_the_index_moves_along() {
    let mut state = many(2000);
    let filter = value(&json!({"x": 3}));
    let search = |state: &State, len: usize| {
        let cache = Cache::default();
        assert_eq!(find(state, &cache, filter.as_bytes()).unwrap().len(), len);
        cache.place.lock().take().unwrap()
    };
    let first = search(&state, 200);
    let second = search(&state, 200);
    assert!(Arc::ptr_eq(&first.base, &second.base));

    let one = |n: u32, x: u32| {
        entry(&("n".to_owned(), format!("{n:05}")), &("k".to_owned(), json!({"x": x}), Json::Null))
    };
    state.put(&one(0, 3));
    let few = search(&state, 201);
    assert!(Arc::ptr_eq(&first.base, &few.base) && few.changed.len() == 1);

    (0..400).for_each(|n| state.put(&one(n, 3)));
    let moved = search(&state, 400 + 160);
    assert!(!Arc::ptr_eq(&first.base, &moved.base) && moved.changed.is_empty());
    let field = field::Field::meta(b"x");
    assert!(moved.base.column(&field).is_some());
}

#[test]
fn a_long_path_is_searched_but_not_remembered() {
    let state = many(10);
    for path in ["data.".to_owned() + &"x.".repeat(1000) + "x", "x".repeat(5000)] {
        let field = field::Field::parse(path.as_bytes()).unwrap();
        let filter = value(&json!({path: 3}));
        for _ in 0..3 {
            let cache = Cache::default();
            assert!(find(&state, &cache, filter.as_bytes()).unwrap().len() == 0);
            let place = cache.place.lock().take().unwrap();
            assert!(place.base.column(&field).is_none());
        }
    }
}

#[test]
fn indexes_that_nobody_uses_are_given_up() {
    let mut state = many(10);
    let filter = value(&json!({"x": 3}));
    find(&state, &Cache::default(), filter.as_bytes()).unwrap();
    let body = |n: i64| ("k".to_owned(), json!({"x": n}), Json::Null);
    let id = ("n".to_owned(), "00000".to_owned());
    let held = state.get(IdRef { ns: b"n", name: b"00000" }).unwrap().clone();
    (0..5000).for_each(|n| state.put(&entry(&id, &body(n))));
    let is_last = held.into_thin().release().is_some();
    assert!(is_last, "only the test holds the entry that was replaced");
    assert_eq!(find(&state, &Cache::default(), filter.as_bytes()).unwrap().len(), 1);
}

#[test]
fn searches_on_many_threads_agree_while_the_state_moves_on() {
    let state = many(3000);
    let filters: Vec<Value> = (0..10).map(|x| value(&json!({"x": x, "^y": "y1"}))).collect();
    std::thread::scope(|scope| {
        for worker in 0..4_u32 {
            let (mut state, filters) = (state.clone(), &filters);
            scope.spawn(move || {
                for round in 0..150_u32 {
                    let n = (worker * 700 + round * 3) % 3000;
                    state.remove(IdRef { ns: b"n", name: format!("{n:05}").as_bytes() });
                    let filter = filters[(round % 10) as usize].as_bytes();
                    let found = find(&state, &Cache::default(), filter).unwrap();
                    assert!(are_as_scanned(&state, &found, filter));
                }
            });
        }
    });
}
