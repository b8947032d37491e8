//! Filters of find, against testing every entry by the description.

use std::sync::OnceLock;

use acervo::database::{Database, Options};
use acervo::entries::{Entry, IdRef, Registry};
use acervo::value::Value;
use regex::bytes::RegexBuilder;

use super::bytes::Bytes;
use super::tree::Tree;

pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let filter = match bytes.one_in(8) {
        // Anything at all, that is a value.
        true => match Tree::read(bytes.rest()) {
            Some(tree) => tree,
            None => return,
        },
        false => filter(&mut bytes),
    };
    let (registry, model) = fixture();
    let snapshot = registry.snapshot().unwrap();
    let expected = expected(&filter, model);
    // Three times: a field asked for often has an index.
    for _ in 0..3 {
        match (snapshot.find(&filter.write(), None), &expected) {
            (Ok(found), Some(ids)) => {
                let found: Vec<_> = found.iter().map(|it| it.id().text().to_vec()).collect();
                assert_eq!(&found, ids, "{filter:?}");
            }
            (Err(_), None) => {}
            (Ok(_), None) => panic!("{filter:?} is taken"),
            (Err(error), Some(_)) => panic!("{filter:?} is refused: {error}"),
        }
    }
    if let Some(ids) = expected {
        let (offset, limit) = (bytes.below(8), bytes.below(8));
        let number = |number: usize| Tree::Int(number as i64);
        let name = |name: &str| Tree::String(name.into());
        let page =
            Tree::Map(vec![(name("offset"), number(offset)), (name("limit"), number(limit))]);
        let found = snapshot.find(&filter.write(), Some(&page.write())).unwrap();
        let found: Vec<_> = found.iter().map(|it| it.id().text().to_vec()).collect();
        let part: Vec<_> = ids.iter().skip(offset).take(limit).cloned().collect();
        assert_eq!(found, part, "{filter:?} from {offset}, {limit}");
    }
}

/// A filter that may be right.
fn filter(bytes: &mut Bytes<'_>) -> Tree {
    let mut conditions: Vec<(Tree, Tree)> = Vec::new();
    for _ in 0..=bytes.below(3) {
        let (key, value) = condition(bytes);
        let key = Tree::String(key.into_bytes());
        if !conditions.iter().any(|(known, _)| known.is_same(&key)) {
            conditions.push((key, value));
        }
    }
    if bytes.one_in(4) {
        let inner = std::mem::take(&mut conditions);
        conditions.push((Tree::String(b"meta".to_vec()), Tree::Map(inner)));
    }
    Tree::Map(conditions)
}

fn condition(bytes: &mut Bytes<'_>) -> (String, Tree) {
    let operator = bytes.pick(&["", "", "~", "*", "^", "$"]);
    let field = bytes.pick(&[
        ".kind", ".ns", ".name", ".id", "kind", "id", "name", "a", "x.y", "x.y.b", "b", "meta.a",
        "meta.x", "data.a", "data.x.y", "data.a.b", ".other", "", "meta.", "data.",
    ]);
    let value = match bytes.below(3) {
        0 => Tree::any(bytes, 2),
        1 => {
            let parts = ["a", "b", "ab", "é", "*", "?", ":", "a:", ".", "/"];
            Tree::String(bytes.text(&parts, 5).into_bytes())
        }
        _ => {
            let parts =
                ["a", "b", ".", ".*", "^", "$", "(", ")", "|", "[ab]", "é", "{2}", "\\w", "?"];
            Tree::String(bytes.text(&parts, 5).into_bytes())
        }
    };
    (format!("{operator}{field}"), value)
}

struct Known {
    id: Vec<u8>,
    ns: Vec<u8>,
    name: Vec<u8>,
    kind: Vec<u8>,
    meta: Tree,
    data: Tree,
}

/// The ids that a filter finds; `None` if it is wrong.
fn expected(filter: &Tree, model: &[Known]) -> Option<Vec<Vec<u8>>> {
    let conditions = conditions(filter, false)?;
    let is_found = |entry: &&Known| conditions.iter().all(|it| it.holds(entry));
    Some(model.iter().filter(is_found).map(|entry| entry.id.clone()).collect())
}

enum Test {
    Same(Tree),
    Glob(Vec<u8>),
    Regex(regex::bytes::Regex),
    Contains(Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
}

enum Field {
    Kind,
    Ns,
    Name,
    Id,
    Meta(Vec<u8>),
    Data(Vec<u8>),
}

struct Condition {
    field: Field,
    test: Test,
}

fn conditions(filter: &Tree, is_meta: bool) -> Option<Vec<Condition>> {
    let mut all = Vec::new();
    let pairs = match filter {
        Tree::Map(pairs) => &pairs[..],
        Tree::Array(items) if items.is_empty() => &[],
        _ => return None,
    };
    for (key, value) in pairs {
        let Tree::String(key) = key else { return None };
        if key == b"meta" && !is_meta {
            all.extend(conditions(value, true)?);
            continue;
        }
        let (operator, name) = match key.split_first() {
            Some((first, rest)) if b"~*^$".contains(first) => (Some(*first), rest),
            _ => (None, &key[..]),
        };
        let field = match name {
            b"" => return None,
            name if is_meta => Field::Meta(name.to_vec()),
            b"kind" | b".kind" => Field::Kind,
            b"ns" | b".ns" | b"namespace" => Field::Ns,
            b"name" | b".name" => Field::Name,
            b"id" | b".id" => Field::Id,
            b"meta." | b"data." => return None,
            name if name[0] == b'.' => return None,
            name => match (name.strip_prefix(b"meta."), name.strip_prefix(b"data.")) {
                (Some(path), _) => Field::Meta(path.to_vec()),
                (_, Some(path)) => Field::Data(path.to_vec()),
                _ => Field::Meta(name.to_vec()),
            },
        };
        let is_own = !matches!(field, Field::Meta(_) | Field::Data(_));
        let test = match (operator, value) {
            (None, value) if !is_own => Test::Same(value.clone()),
            (_, Tree::String(text)) => match operator {
                Some(b'~') => Test::Regex(regex(text)?),
                Some(b'*') => Test::Contains(text.clone()),
                Some(b'^') => Test::Prefix(text.clone()),
                Some(b'$') => Test::Suffix(text.clone()),
                // An id without the colon of an empty namespace.
                _ if matches!(field, Field::Id) && !text.iter().any(|it| b":*?".contains(it)) => {
                    Test::Glob([b":", &text[..]].concat())
                }
                _ => Test::Glob(text.clone()),
            },
            _ => return None,
        };
        all.push(Condition { field, test });
    }
    Some(all)
}

fn regex(text: &[u8]) -> Option<regex::bytes::Regex> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= 4096)?;
    RegexBuilder::new(text).size_limit(10 << 20).build().ok()
}

impl Condition {
    fn holds(&self, entry: &Known) -> bool {
        let string = |text: &[u8]| Some(Tree::String(text.to_vec()));
        let value = match &self.field {
            Field::Kind => string(&entry.kind),
            Field::Ns => string(&entry.ns),
            Field::Name => string(&entry.name),
            Field::Id => string(&entry.id),
            // The literal key first.
            Field::Meta(path) => {
                let literal = entry.meta.field(path);
                literal.or_else(|| along(&entry.meta, path)).cloned()
            }
            Field::Data(path) => along(&entry.data, path).cloned(),
        };
        value.is_some_and(|value| self.test.passes(&value))
    }
}

fn along<'a>(tree: &'a Tree, path: &[u8]) -> Option<&'a Tree> {
    path.split(|&byte| byte == b'.').try_fold(tree, Tree::field)
}

impl Test {
    fn passes(&self, value: &Tree) -> bool {
        match (self, value) {
            (Self::Same(Tree::Array(wanted)), Tree::Array(has)) => {
                wanted.iter().all(|wanted| has.iter().any(|has| has.is_same(wanted)))
            }
            (Self::Same(Tree::Array(_)), _) => false,
            (Self::Same(wanted), value) => value.is_same(wanted),
            (Self::Contains(_), Tree::Array(items)) => {
                items.iter().any(|item| matches!(item, Tree::String(_)) && self.passes(item))
            }
            (Self::Contains(part), Tree::String(text)) => {
                part.is_empty() || text.windows(part.len()).any(|window| window == part)
            }
            (Self::Prefix(part), Tree::String(text)) => text.starts_with(part),
            (Self::Suffix(part), Tree::String(text)) => text.ends_with(part),
            (Self::Regex(regex), Tree::String(text)) => regex.is_match(text),
            (Self::Glob(pattern), Tree::String(text)) => glob(pattern, text),
            _ => false,
        }
    }
}

/// `*` any run, `?` one character.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|taken| glob(rest, &text[taken..])),
        Some((b'?', rest)) => !text.is_empty() && glob(rest, &text[character(text)..]),
        Some((byte, rest)) => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

/// How many bytes the first character has: one where it is not UTF-8.
fn character(text: &[u8]) -> usize {
    (1..=text.len().min(4)).find(|&len| std::str::from_utf8(&text[..len]).is_ok()).unwrap_or(1)
}

fn fixture() -> &'static (Registry, Vec<Known>) {
    static OPEN: OnceLock<(Database, (Registry, Vec<Known>))> = OnceLock::new();
    &OPEN.get_or_init(make).1
}

fn make() -> (Database, (Registry, Vec<Known>)) {
    let db = Database::open(b":memory:", &Options::default()).unwrap();
    let registry = db.entries().unwrap();
    let mut changes = registry.snapshot().unwrap().changes();
    let mut model: Vec<Known> = Vec::new();
    let value = |tree: &Tree| Value::from_msgpack(&tree.write()).unwrap();
    // The same each time: what was found stays found.
    let noise: Vec<u8> =
        (0..6000_u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut bytes = Bytes::new(&noise);
    for ns in ["", "a", "b", "a.b"] {
        for name in ["a", "ab", "é", "aéb", "a/b", "b:a"] {
            let id = IdRef { ns: ns.as_bytes(), name: name.as_bytes() };
            let kind = bytes.pick(&["a", "b", "a.b", "é"]);
            let meta = Tree::Map(
                ["a", "b", "x", "x.y"]
                    .iter()
                    .filter(|_| bytes.one_in(2))
                    .map(|key| (Tree::String(key.as_bytes().to_vec()), Tree::Nil))
                    .collect(),
            );
            let Tree::Map(mut pairs) = meta else { continue };
            pairs.iter_mut().for_each(|pair| pair.1 = Tree::any(&mut bytes, 2));
            let (meta, data) = (Tree::Map(pairs), Tree::any(&mut bytes, 3));
            let has = (Some(value(&meta)), Some(value(&data)));
            let entry = Entry::new(id, kind.as_bytes(), has.0, has.1).unwrap();
            model.push(Known {
                id: entry.id().text().to_vec(),
                ns: ns.into(),
                name: name.into(),
                kind: kind.into(),
                meta,
                data,
            });
            changes.create(entry).unwrap();
        }
    }
    changes.apply().unwrap();
    model.sort_by(|a, b| (&a.ns, &a.name).cmp(&(&b.ns, &b.name)));
    (db, (registry, model))
}
