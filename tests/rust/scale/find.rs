//! Every kind of condition of `find`, against testing every entry by the
//! description.

use acervo::entries::Snapshot;
use acervo::value::Value;
use regex::Regex;
use serde_json::{Map, Value as Json, json};

use crate::common::random::Random;

/// An entry as the description sees it.
pub struct Known {
    pub ns: String,
    pub name: String,
    pub kind: &'static str,
    pub meta: Json,
    pub data: Json,
}

enum Test {
    Same(Json),
    Glob(Regex),
    Regex(Regex),
    Contains(String),
    Prefix(String),
    Suffix(String),
}

enum Field {
    Kind,
    Ns,
    Name,
    Id,
    Meta(String),
    Data(String),
}

struct Condition {
    field: Field,
    test: Test,
}

/// A map of conditions, and what they mean.
pub struct Filter {
    text: Json,
    conditions: Vec<Condition>,
}

impl Condition {
    fn of(key: &str, wanted: &Json) -> Self {
        let (operator, name) = match key.chars().next() {
            Some(operator) if "~*^$".contains(operator) => (Some(operator), &key[1..]),
            _ => (None, key),
        };
        let field = match name {
            ".kind" | "kind" => Field::Kind,
            ".ns" | "ns" | "namespace" => Field::Ns,
            ".name" | "name" => Field::Name,
            ".id" | "id" => Field::Id,
            name => match name.strip_prefix("data.") {
                Some(path) => Field::Data(path.to_owned()),
                None => Field::Meta(name.strip_prefix("meta.").unwrap_or(name).to_owned()),
            },
        };
        let text = || wanted.as_str().unwrap().to_owned();
        let is_own = !matches!(field, Field::Meta(_) | Field::Data(_));
        let test = match operator {
            Some('~') => Test::Regex(Regex::new(&text()).unwrap()),
            Some('*') => Test::Contains(text()),
            Some('^') => Test::Prefix(text()),
            Some(_) => Test::Suffix(text()),
            None if is_own => {
                let mut text = text();
                if matches!(field, Field::Id) && !text.contains([':', '*', '?']) {
                    text.insert(0, ':');
                }
                let glob = regex::escape(&text).replace(r"\*", ".*").replace(r"\?", ".");
                Test::Glob(Regex::new(&format!("(?s)^{glob}$")).unwrap())
            }
            None => Test::Same(wanted.clone()),
        };
        Self { field, test }
    }

    fn holds(&self, entry: &Known) -> bool {
        match &self.field {
            Field::Kind => self.test.passes_text(entry.kind),
            Field::Ns => self.test.passes_text(&entry.ns),
            Field::Name => self.test.passes_text(&entry.name),
            Field::Id => self.test.passes_text(&format!("{}:{}", entry.ns, entry.name)),
            Field::Meta(path) => {
                let found = entry.meta.get(path).or_else(|| at(&entry.meta, path));
                found.is_some_and(|it| self.test.passes(it))
            }
            Field::Data(path) => at(&entry.data, path).is_some_and(|it| self.test.passes(it)),
        }
    }
}

fn at<'a>(value: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(value, |at, key| at.as_object()?.get(key))
}

impl Test {
    fn passes(&self, value: &Json) -> bool {
        match (self, value) {
            (Self::Same(Json::Array(wanted)), Json::Array(has)) => {
                wanted.iter().all(|wanted| has.iter().any(|has| is_same(has, wanted)))
            }
            (Self::Same(Json::Array(_)), _) => false,
            (Self::Same(wanted), value) => is_same(value, wanted),
            (Self::Contains(part), Json::Array(has)) => {
                has.iter().any(|has| has.as_str().is_some_and(|has| has.contains(part)))
            }
            (_, Json::String(text)) => self.passes_text(text),
            _ => false,
        }
    }

    fn passes_text(&self, text: &str) -> bool {
        match self {
            Self::Same(wanted) => wanted.as_str() == Some(text),
            Self::Glob(regex) | Self::Regex(regex) => regex.is_match(text),
            Self::Contains(part) => text.contains(part),
            Self::Prefix(part) => text.starts_with(part),
            Self::Suffix(part) => text.ends_with(part),
        }
    }
}

fn is_same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        (a, b) => a == b,
    }
}

impl Filter {
    /// One or two conditions of any kind, of which many find something.
    pub fn random(random: &mut Random) -> Self {
        let mut map = Map::new();
        let mut conditions = Vec::new();
        for _ in 0..1 + random.below(2) {
            let (key, wanted) = condition(random);
            if map.contains_key(&key) {
                continue;
            }
            conditions.push(Condition::of(&key, &wanted));
            if random.once_in(4) && matches!(conditions.last().unwrap().field, Field::Meta(_)) {
                // The same, inside of `meta`.
                let (operator, name) = key.split_at(key.find(|it| !"~*^$".contains(it)).unwrap());
                let name = name.strip_prefix("meta.").unwrap_or(name);
                let inner = map.entry("meta").or_insert_with(|| json!({}));
                let key = format!("{operator}{name}");
                if inner.as_object_mut().unwrap().insert(key, wanted).is_some() {
                    return Self::random(random);
                }
            } else {
                map.insert(key, wanted);
            }
        }
        Self { text: map.into(), conditions }
    }

    /// What is wrong with what `snapshot` finds; `entries` are all that are in
    /// it, in their order. Tells how many are found.
    pub fn compare<'a>(
        &self,
        snapshot: &Snapshot,
        entries: impl Iterator<Item = &'a Known>,
    ) -> Result<usize, String> {
        let is_found = |entry: &&Known| self.conditions.iter().all(|it| it.holds(entry));
        let id = |entry: &Known| format!("{}:{}", entry.ns, entry.name);
        let expected: Vec<String> = entries.filter(is_found).map(id).collect();
        let filter = Value::from_json(self.text.to_string().as_bytes()).unwrap();
        let ids = |options: Option<&Json>| -> Vec<String> {
            let options = options.map(|it| Value::from_json(it.to_string().as_bytes()).unwrap());
            let options = options.as_ref().map(Value::as_bytes);
            let found = snapshot.find(filter.as_bytes(), options).unwrap();
            found.iter().map(|it| it.id().to_string()).collect()
        };
        // What was found before may be given again, of another page; other
        // filters of the same fields have asked for indexes.
        for (offset, limit) in [(0, usize::MAX >> 1), (expected.len() / 3, 10)] {
            let page = json!({"offset": offset, "limit": limit});
            let found = ids(Some(&page));
            let part: Vec<String> = expected.iter().skip(offset).take(limit).cloned().collect();
            if found != part {
                let (there, missing) = (found.len(), part.len());
                let other = found.iter().zip(&part).find(|(a, b)| a != b);
                return Err(format!(
                    "{} from {offset}: {there} are found, {missing} match; first {other:?}",
                    self.text
                ));
            }
        }
        Ok(expected.len())
    }
}

/// A key of a filter, and what is wanted.
fn condition(random: &mut Random) -> (String, Json) {
    let n = random.below(1 << 20);
    let own = random.pick(&["", "."]);
    let place = random.pick(&["", "meta."]);
    match random.below(26) {
        0 => (format!("{own}kind"), json!(random.pick(&["http.*", "function.lua", "*", "?.k"]))),
        1 => (random.pick(&["ns", ".ns", "namespace"]).to_owned(), json!(format!("app{}", n % 97))),
        2 => (format!("{own}ns"), json!(format!("app{}?", n % 9))),
        3 => (format!("{own}name"), json!(format!("*{}", n % 100))),
        4 => (format!("{own}id"), json!(format!("app{}:e*7", n % 97))),
        5 => (format!("{own}id"), json!(format!("e{}", n % 50_000))),
        6 => (format!("~{own}name"), json!(format!("^e[0-4]+{}$", n % 10))),
        7 => (format!("*{own}id"), json!(format!("{}:e{}", n % 10, n / 10 % 10))),
        8 => (format!("^{own}kind"), json!(random.pick(&["http", "f", "", "x"]))),
        9 => (format!("${own}name"), json!(format!("{}", n % 1000))),
        10 => (format!("{place}tag"), json!(format!("t{}", n % 50))),
        11 => (format!("^{place}path"), json!(format!("/api/v{}", n % 5))),
        12 => (format!("${place}path"), json!(format!("/{}", n % 300))),
        13 => (format!("*{place}path"), json!(format!("/é{}", n % 10))),
        14 => (format!("~{place}path"), json!(r"v[23]/é\d+/\d{3}$")),
        15 => (format!("{place}public"), json!(random.once_in(2))),
        16 => (format!("{place}tags"), json!([format!("a{}", n % 5), format!("b{}", n % 7)])),
        17 => (format!("*{place}tags"), json!(format!("{}", n % 7))),
        18 => (format!("{place}weight"), json!((n % 40) as f64 / 2.0)),
        19 => (format!("{place}x.y"), json!(n % 20)),
        20 => (format!("{place}x"), json!({"y": n % 20})),
        21 => ("data.port".to_owned(), json!(n % 1000)),
        22 => ("data.deep.list".to_owned(), json!([n % 30, {"of": n % 3}])),
        23 => ("*data.text".to_owned(), json!(format!("w{}", n % 500))),
        24 => ("~data.text".to_owned(), json!(format!("w{}[0-3] ", n % 50))),
        _ => ("meta.none".to_owned(), json!(n % 3)),
    }
}
