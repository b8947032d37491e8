//! Changesets as bytes: the layout of the files we exchange.
//!
//! A changeset is a MessagePack array of maps `{Entry, OriginalEntry, Kind}`;
//! an entry is `{ID: {ns, name}, Kind, Meta, Data}`, its data nil or
//! `{Format, Data}`. Meta and data are values and copied as they are.

use crate::entries::entry::{Entry, empty_map};
use crate::entries::id::{Id, IdRef};
use crate::entries::op::{Op, OpKind};
use crate::value::{
    Token, Value, View, append_wrapped, put_array_header, put_map_header, put_nil, put_string,
};

/// The form of data that are plain values.
const PLAIN: &[u8] = b"golang/any";

/// Levels around a value: the changeset, the operation, the entry and the data.
const WRAPPING: usize = 4;

/// Appends a changeset.
pub(super) fn append_changeset(out: &mut Vec<u8>, ops: &[Op]) {
    put_array_header(out, ops.len() as u32);
    for op in ops {
        put_map_header(out, 3);
        put_string(out, b"Entry");
        append_entry(out, &op.entry);
        put_string(out, b"OriginalEntry");
        match &op.original {
            Some(original) => append_entry(out, original),
            None => put_nil(out),
        }
        put_string(out, b"Kind");
        put_string(out, op.kind.name().as_bytes());
    }
}

/// Appends an entry.
pub(super) fn append_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_map_header(out, 4);
    put_string(out, b"ID");
    put_map_header(out, 2);
    put_string(out, b"ns");
    put_string(out, entry.id().ns());
    put_string(out, b"name");
    put_string(out, entry.id().name());
    put_string(out, b"Kind");
    put_string(out, entry.kind());
    put_string(out, b"Meta");
    out.extend_from_slice(entry.meta().as_bytes());
    put_string(out, b"Data");
    match entry.data() {
        Some(data) => {
            put_map_header(out, 2);
            put_string(out, b"Format");
            put_string(out, entry.format().unwrap_or(PLAIN));
            put_string(out, b"Data");
            out.extend_from_slice(data.as_bytes());
        }
        None => put_nil(out),
    }
}

/// Reads a changeset. The error says what was found.
pub(super) fn read_changeset(bytes: &[u8]) -> Result<Vec<Op>, String> {
    let mut canonical = Vec::with_capacity(bytes.len());
    append_wrapped(&mut canonical, bytes, WRAPPING).map_err(|error| error.to_string())?;
    let mut view = View::new(&canonical);
    let len = match view.token() {
        Token::Array(len) => len,
        // Another program writes nil for none.
        Token::Nil => 0,
        other => return Err(format!("it is no array but a {}", other.type_of().name())),
    };
    (1..=len)
        .map(|number| {
            read_op(View::new(view.skip())).map_err(|what| format!("operation {number}: {what}"))
        })
        .collect()
}

/// Reads one entry.
pub(super) fn read_entry(bytes: &[u8]) -> Result<Entry, String> {
    let mut canonical = Vec::with_capacity(bytes.len());
    append_wrapped(&mut canonical, bytes, WRAPPING).map_err(|error| error.to_string())?;
    entry_of(View::new(&canonical))
}

fn read_op(view: View<'_>) -> Result<Op, String> {
    let [entry, original, kind] = fields(view, ["Entry", "OriginalEntry", "Kind"])?;
    let kind = match kind.map(|mut kind| kind.token()) {
        Some(Token::String(b"entry.create")) => OpKind::Create,
        Some(Token::String(b"entry.update")) => OpKind::Update,
        Some(Token::String(b"entry.delete")) => OpKind::Delete,
        Some(Token::String(other)) => {
            return Err(format!("Kind is \"{}\"", String::from_utf8_lossy(other)));
        }
        _ => return Err("Kind is missing".to_owned()),
    };
    let entry = entry_of(entry.ok_or("Entry is missing")?)?;
    let original = original.map(entry_of).transpose()?;
    // The entry of a delete may be no more than its id.
    let entry = match (kind, &original) {
        (OpKind::Delete, Some(original)) => original.clone(),
        _ => entry,
    };
    Ok(Op { kind, entry, original })
}

fn entry_of(view: View<'_>) -> Result<Entry, String> {
    let [id, kind, meta, data] = fields(view, ["ID", "Kind", "Meta", "Data"])?;
    let [ns, name] = fields(id.ok_or("ID is missing")?, ["ns", "name"])?;
    let id = Id::new(IdRef { ns: text(ns, "ns")?, name: text(name, "name")? });
    let kind = text(kind, "Kind")?;
    let meta = meta.map_or_else(empty_map, |meta| Value::from_canonical(meta.rest()));
    let Some(data) = data else { return Ok(Entry::from_parts(id, kind, meta, None, None)) };
    let (format, data) = match fields(data, ["Format", "Data"]) {
        Ok([Some(format), data]) => (Some(text(Some(format), "Format")?), data),
        // Not wrapped: taken as it is.
        _ => (None, Some(data)),
    };
    let format = format.filter(|format| *format != PLAIN);
    let data = data.map(|data| Value::from_canonical(data.rest()));
    Ok(Entry::from_parts(id, kind, meta, data, format))
}

fn text<'a>(field: Option<View<'a>>, name: &str) -> Result<&'a [u8], String> {
    match field.map(|mut field| field.token()) {
        None => Ok(b""),
        Some(Token::String(text)) => Ok(text),
        Some(other) => Err(format!("{name} is a {}", other.type_of().name())),
    }
}

/// The named fields of a map, each as a view of its value alone; nil is
/// missing. Others are passed over.
fn fields<'a, const N: usize>(
    mut view: View<'a>,
    names: [&str; N],
) -> Result<[Option<View<'a>>; N], String> {
    let mut found = [None; N];
    let len = match view.token() {
        Token::Map(len) => len,
        other => return Err(format!("a map is needed, not a {}", other.type_of().name())),
    };
    for _ in 0..len {
        let key = view.token();
        let value = View::new(view.skip());
        if let Token::String(key) = key
            && let Some(place) = names.iter().position(|name| name.as_bytes() == key)
            && !matches!(value.type_of(), crate::value::Type::Nil)
        {
            found[place] = Some(value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        Value::from_json(json.as_bytes()).unwrap()
    }

    fn entry(id: &str, kind: &str, meta: &str, data: Option<&str>) -> Entry {
        let id = IdRef::parse(id.as_bytes());
        Entry::new(id, kind.as_bytes(), Some(value(meta)), data.map(value)).unwrap()
    }

    #[test]
    fn a_changeset_reads_back_as_it_was() {
        let one = entry("a:b", "k", r#"{"x": 1}"#, Some(r#"{"y": [1, 2.5, null]}"#));
        let two = entry("a:b", "k", "{}", None);
        let ops = vec![Op::create(one.clone()), Op::update(two.clone(), one), Op::delete(two)];
        let mut bytes = Vec::new();
        append_changeset(&mut bytes, &ops);
        assert_eq!(read_changeset(&bytes).unwrap(), ops);
        assert_eq!(read_changeset(&[0x90]).unwrap(), []);
    }

    #[test]
    fn data_may_be_nested_as_deep_as_any_value() {
        let deep = format!("{}1{}", "[".repeat(128), "]".repeat(128));
        let ops = vec![Op::create(entry("a:b", "k", "{}", Some(&deep)))];
        let mut bytes = Vec::new();
        append_changeset(&mut bytes, &ops);
        assert_eq!(read_changeset(&bytes).unwrap(), ops);
    }

    #[test]
    fn another_format_reads_as_its_plain_value_and_is_kept() {
        let bytes = value(
            r#"[{"Entry": {"ID": {"ns": "a", "name": "b"}, "Kind": "k", "Meta": null,
                 "Data": {"Format": "json/plain", "Data": "{}"}},
                 "OriginalEntry": null, "Kind": "entry.create"}]"#,
        );
        let ops = read_changeset(bytes.as_bytes()).unwrap();
        assert_eq!(ops[0].entry.data(), Some(&value(r#""{}""#)));
        assert_eq!(ops[0].entry.meta(), &value("{}"));
        let mut again = Vec::new();
        append_changeset(&mut again, &ops);
        let text = String::from_utf8_lossy(&again).into_owned();
        assert!(text.contains("json/plain") && !text.contains("golang/any"));
    }

    #[test]
    fn what_is_no_changeset_is_told() {
        for (json, what) in [
            ("{}", "no array"),
            ("[1]", "operation 1: a map is needed"),
            (r#"[{"Kind": "entry.create"}]"#, "Entry is missing"),
            (r#"[{"Entry": {"ID": {}}, "Kind": "entry.burn"}]"#, "entry.burn"),
            (r#"[{"Entry": {"Kind": "k"}, "Kind": "entry.create"}]"#, "ID is missing"),
        ] {
            let error = read_changeset(value(json).as_bytes()).unwrap_err();
            assert!(error.contains(what), "{json}: {error}");
        }
        assert!(read_changeset(&[0x91]).is_err());
        assert!(read_changeset(&[0xc1]).is_err());
    }
}
