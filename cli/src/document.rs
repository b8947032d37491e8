//! Files that hold entries: JSON and YAML.

use std::fmt;
use std::path::{Path, PathBuf};

use acervo::entries::{Entry, IdRef};
use acervo::value::{
    MAX_DEPTH, Token, Type, Value, put_array_header, put_bool, put_float, put_int, put_map_header,
    put_nil, put_string,
};
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

/// An entry, and where it stands.
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) place: Place,
}

/// A place in a file, as compilers name it.
#[derive(Clone)]
pub(crate) struct Place {
    file: PathBuf,
    line: Option<usize>,
    /// Of the entry, counted from 1.
    number: Option<usize>,
}

/// What is wrong with a file, and where.
pub(crate) struct Fault {
    place: Place,
    what: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match self.number {
            Some(number) => write!(f, ": entries[{number}]"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl Place {
    /// Something wrong here.
    pub(crate) fn fault(&self, what: impl fmt::Display) -> Fault {
        Fault { place: self.clone(), what: what.to_string() }
    }

    fn at(&self, line: usize) -> Self {
        Self { line: Some(line), ..self.clone() }
    }

    fn entry(&self, index: usize) -> Self {
        Self { number: Some(index + 1), ..self.clone() }
    }
}

/// Reads the entries of a file, in their order.
pub(crate) fn read(file: &Path) -> Result<Vec<Found>, Fault> {
    let place = Place { file: file.to_owned(), line: None, number: None };
    let extension = file.extension().map(|extension| extension.to_ascii_lowercase());
    let values = match extension.as_ref().and_then(|extension| extension.to_str()) {
        Some("json") => json_values(&text(file, &place)?, &place),
        Some("yaml" | "yml") => yaml_values(&text(file, &place)?, &place),
        _ => Err(place.fault("the name of a file with entries ends in .json, .yaml or .yml")),
    };
    let found = |(value, place): (Value, Place)| match entry(&value) {
        Ok(entry) => Ok(Found { entry, place }),
        Err(what) => Err(place.fault(what)),
    };
    values?.into_iter().map(found).collect()
}

fn text(file: &Path, place: &Place) -> Result<String, Fault> {
    let bytes = std::fs::read(file).map_err(|error| place.fault(error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let lines = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
        place.at(lines + 1).fault("it is not UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

const SHAPE: &str = "a list of entries or a map with one key, entries, is needed";

fn json_values(text: &str, place: &Place) -> Result<Vec<(Value, Place)>, Fault> {
    let whole = Value::from_json(text.as_bytes()).map_err(|error| place.fault(error))?;
    let list = match (whole.type_of(), whole.len()) {
        (Type::Map, 1) => whole.lookup(key("entries").as_bytes()).map(Value::from_canonical),
        (Type::Array, _) => Some(whole.clone()),
        _ => None,
    };
    let list = list.filter(|list| list.type_of() == Type::Array);
    let list = list.ok_or_else(|| place.fault(SHAPE))?;
    let values = (0..list.len()).filter_map(|index| {
        Some((Value::from_canonical(list.element(index)?), place.entry(index)))
    });
    Ok(values.collect())
}

fn yaml_values(text: &str, place: &Place) -> Result<Vec<(Value, Place)>, Fault> {
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        let (line, column) = (error.marker().line(), error.marker().col() + 1);
        place.at(line).fault(format!("column {column}: {}", error.info()))
    })?;
    let [document] = &documents[..] else {
        let what = format!("one document is needed, it has {}", documents.len());
        return Err(place.fault(what));
    };
    let list = match &document.data {
        YamlData::Sequence(list) => Some(list),
        YamlData::Mapping(map) => match map.iter().next() {
            Some((key, value)) if map.len() == 1 => match (&key.data, &value.data) {
                (YamlData::Value(Scalar::String(key)), YamlData::Sequence(list)) => {
                    Some(list).filter(|_| key == "entries")
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let list = list.ok_or_else(|| place.at(document.span.start.line()).fault(SHAPE))?;
    let convert = |(index, node): (usize, &MarkedYaml<'_>)| {
        let own = place.at(node.span.start.line()).entry(index);
        let mut out = Vec::new();
        append(&mut out, node, 0).map_err(|(line, what)| own.at(line).fault(what))?;
        // Also finds what a value cannot be, such as a key that is a list.
        let value = Value::from_msgpack(&out).map_err(|error| own.fault(error))?;
        Ok((value, own))
    };
    list.iter().enumerate().map(convert).collect()
}

/// Appends a node as MessagePack; else tells in which line what is wrong.
fn append(out: &mut Vec<u8>, node: &MarkedYaml<'_>, depth: usize) -> Result<(), (usize, String)> {
    let line = node.span.start.line();
    let refuse = |what: &str| Err((line, what.to_owned()));
    if depth > MAX_DEPTH {
        return refuse("it is nested too deep");
    }
    let len = |len: usize| u32::try_from(len).map_err(|_| (line, "it is too long".to_owned()));
    match &node.data {
        YamlData::Value(scalar) => match scalar {
            Scalar::Null => put_nil(out),
            Scalar::Boolean(value) => put_bool(out, *value),
            Scalar::Integer(value) => put_int(out, *value),
            Scalar::FloatingPoint(value) => put_float(out, value.into_inner()),
            Scalar::String(value) => put_string(out, value.as_bytes()),
        },
        YamlData::Sequence(list) => {
            put_array_header(out, len(list.len())?);
            list.iter().try_for_each(|element| append(out, element, depth + 1))?;
        }
        YamlData::Mapping(map) => {
            put_map_header(out, len(map.len())?);
            for (key, value) in map {
                append(out, key, depth + 1)?;
                append(out, value, depth + 1)?;
            }
        }
        YamlData::Tagged(tag, inner) if tag.is_yaml_core_schema() => append(out, inner, depth)?,
        YamlData::Tagged(tag, _) => return Err((line, format!("the tag {tag} is unknown"))),
        YamlData::Alias(_) => return refuse("it refers to an anchor that is not there"),
        YamlData::BadValue | YamlData::Representation(..) => {
            return refuse("its value does not fit its tag");
        }
    }
    Ok(())
}

/// The entry that a map describes; else what is wrong with it.
fn entry(value: &Value) -> Result<Entry, String> {
    if value.type_of() != Type::Map {
        return Err(format!("an entry is a map, got {}", value.type_of().name()));
    }
    let names = ["id", "kind", "meta", "data"].map(key);
    for (name, _) in (0..value.len()).filter_map(|place| value.pair(place)) {
        if !names.iter().any(|known| known.as_bytes() == name) {
            let name = Value::from_canonical(name).to_json().unwrap_or_default();
            return Err(format!("unknown field {name}; an entry has id, kind, meta and data"));
        }
    }
    let field = |name: &str| value.lookup(key(name).as_bytes()).map(Value::from_canonical);
    let id = field("id").ok_or("it has no id")?;
    let kind = field("kind").ok_or("it has no kind")?;
    let kind = string(&kind)
        .ok_or_else(|| format!("kind: a string is needed, got {}", kind.type_of().name()))?;
    let (ns, name);
    let id = if let Some(text) = string(&id) {
        ns = text.to_vec();
        IdRef::parse(&ns)
    } else {
        const WHAT: &str = "id: a string or a map of ns and name, both strings, is needed";
        let part = |part: &str| {
            let value = Value::from_canonical(id.lookup(key(part).as_bytes())?);
            Some(string(&value)?.to_vec())
        };
        if id.type_of() != Type::Map || id.len() != 2 {
            return Err(WHAT.to_owned());
        }
        ns = part("ns").ok_or(WHAT)?;
        name = part("name").ok_or(WHAT)?;
        IdRef { ns: &ns, name: &name }
    };
    let meta = field("meta").filter(|meta| meta.type_of() != Type::Nil);
    Entry::new(id, kind, meta, field("data")).map_err(|error| error.to_string())
}

fn string(value: &Value) -> Option<&[u8]> {
    match value.view().token() {
        Token::String(bytes) => Some(bytes),
        _ => None,
    }
}

/// A field's name, as it stands in a map.
fn key(name: &str) -> Value {
    let mut out = Vec::new();
    put_string(&mut out, name.as_bytes());
    Value::from_canonical(&out)
}
