//! Entries and ids between scripts and the registry.

use std::ffi::c_int;

use super::ask::Ask;
use crate::entries::{Entry, IdRef};
use crate::error::{Code, Error};
use crate::lua::buffer::out_of_memory;
use crate::lua::encode::{self, Limits};
use crate::lua::state::TYPE_NUMBER;
use crate::value::{MAX_DEPTH, Token, Value, View, put_array_header, put_nil, put_string};

/// No filter and no options come near.
const LARGEST_ARGUMENT: usize = 1 << 20;

impl Ask {
    /// The id at `index`: a string, or a table of `ns` and `name`, whose
    /// strings stay on the stack.
    pub(super) fn id(&mut self, index: c_int, what: &str) -> Result<IdRef<'static>, Error> {
        const NEEDED: &str = "a string, or a table of ns and name";
        let lua = self.lua;
        if lua.is_string(index) {
            return Ok(IdRef::parse(lua.bytes(index)));
        }
        if !lua.is_table(index) {
            return Err(self.wrong_argument(index, what, NEEDED));
        }
        let ns = lua.top() + 1;
        lua.raw_get_name(index, "ns");
        lua.raw_get_name(index, "name");
        if !lua.is_string(ns) || !lua.is_string(ns + 1) {
            return Err(self.wrong_argument(index, what, NEEDED));
        }
        Ok(IdRef { ns: lua.bytes(ns), name: lua.bytes(ns + 1) })
    }

    /// Appends the entry that the table at `index` describes to the buffer, to
    /// be read by [`read_entry`].
    pub(super) fn entry(&mut self, index: c_int, value_limit: usize) -> Result<(), Error> {
        let lua = self.lua;
        if !lua.is_table(index) {
            return Err(self.wrong_argument(index, "entry", "a table"));
        }
        self.check_fields(index, "entry", &["id", "kind", "meta", "data"])?;
        let top = lua.top();
        let (id, kind, meta, data) = (top + 1, top + 2, top + 3, top + 4);
        for name in ["id", "kind", "meta", "data"] {
            lua.raw_get_name(index, name);
        }
        let id = self.id(id, "entry.id")?;
        if !lua.is_string(kind) {
            return Err(self.wrong_argument(kind, "entry.kind", "a string"));
        }
        for text in [id.ns, id.name, lua.bytes(kind)] {
            let out = self.buffer.bytes();
            out.try_reserve(text.len() + 5).map_err(|_| out_of_memory())?;
            put_string(out, text);
        }
        self.part(meta, "entry.meta", value_limit)?;
        self.part(data, "entry.data", value_limit)?;
        lua.set_top(top);
        Ok(())
    }

    /// Appends meta or data: nil if there is none.
    fn part(&mut self, index: c_int, root: &'static str, limit: usize) -> Result<(), Error> {
        if self.lua.is_none_or_nil(index) {
            put_nil(self.buffer.bytes());
            return Ok(());
        }
        self.encode(index, Limits { root, ..Limits::of_value(limit) })
    }

    /// Appends the value at `index` to the buffer.
    fn encode(&mut self, index: c_int, limits: Limits) -> Result<(), Error> {
        encode::encode(self.lua, self.context, index, self.buffer.bytes(), limits).map_err(
            |refused| {
                // Before there is an error.
                let hint = self.colon_hint();
                let mut error = refused.error(self.buffer.read());
                error.message.push_str(hint);
                error
            },
        )
    }

    /// Appends the entries of the list at `index`, named `list`, to the buffer:
    /// an array header, and each as [`Ask::entry`] does.
    pub(super) fn entries(
        &mut self,
        index: c_int,
        list: &'static str,
        value_limit: usize,
    ) -> Result<(), Error> {
        let lua = self.lua;
        if !lua.is_table(index) {
            return Err(self.wrong_argument(index, list, "a list of entries"));
        }
        let len = lua.raw_len(index);
        let top = lua.top();
        let mut pairs = 0;
        lua.push_nil();
        while lua.next(index) {
            lua.set_top(top + 1);
            pairs += 1;
        }
        let Ok(len) = u32::try_from(len) else { return Err(out_of_memory()) };
        // Fewer have a hole, which is named when it is met.
        if pairs > len {
            return Err(self.wrong_argument(index, list, "a list of entries"));
        }
        put_array_header(self.buffer.bytes(), len);
        for place in 1..=i64::from(len) {
            lua.raw_get_index(index, place);
            if let Err(error) = self.entry(top + 1, value_limit) {
                let message = format!("{list}[{place}]: {}", error.message);
                return Err(Error { message, ..error });
            }
            lua.set_top(top);
        }
        Ok(())
    }

    /// Appends the table of options at `index`, nil if it is absent; gives
    /// where it starts in the buffer.
    pub(super) fn options(&mut self, index: c_int) -> Result<usize, Error> {
        let start = self.buffer.read().len();
        if self.lua.is_none_or_nil(index) {
            put_nil(self.buffer.bytes());
        } else if self.lua.is_table(index) {
            let limits = Limits { root: "options", size: LARGEST_ARGUMENT, depth: MAX_DEPTH };
            self.encode(index, limits)?;
        } else {
            return Err(self.wrong_argument(index, "options", "a table"));
        }
        Ok(start)
    }

    /// Appends the filter at `index`.
    pub(super) fn filter(&mut self, index: c_int) -> Result<(), Error> {
        if !self.lua.is_table(index) {
            return Err(self.wrong_argument(index, "filter", "a table of conditions"));
        }
        let limits = Limits { root: "filter", size: LARGEST_ARGUMENT, depth: MAX_DEPTH };
        self.encode(index, limits)
    }

    /// Fails if the table at `index`, called `what`, has other fields.
    pub(super) fn check_fields(
        &self,
        index: c_int,
        what: &str,
        fields: &[&str],
    ) -> Result<(), Error> {
        let lua = self.lua;
        let top = lua.top();
        lua.push_nil();
        while lua.next(index) {
            if !lua.is_string(top + 1) {
                return Err(Error::invalid(match lua.type_of(top + 1) {
                    TYPE_NUMBER => format!("{what}: unknown field [{}]", lua.number(top + 1)),
                    _ => format!("{what}: a field is named by a {}", lua.type_name(top + 1)),
                }));
            }
            let name = lua.bytes(top + 1);
            if !fields.iter().any(|field| field.as_bytes() == name) {
                let name = name[..name.len().min(64)].escape_ascii();
                let known = fields.join(", ");
                return Err(Error::invalid(format!(
                    "{what}: unknown field \"{name}\"; it has {known}"
                )));
            }
            lua.set_top(top + 1);
        }
        Ok(())
    }
}

/// The entry at the cursor, as [`Ask::entry`] has written it.
pub(super) fn read_entry(view: &mut View<'_>) -> Result<Entry, Error> {
    let (ns, name, kind) = (text(view), text(view), text(view));
    let mut part = || {
        let bytes = view.skip();
        (!matches!(View::new(bytes).token(), Token::Nil))
            .then(|| Value::try_from_canonical(bytes))
            .transpose()
    };
    let (meta, data) = (part()?, part()?);
    Ok(Entry::new(IdRef { ns, name }, kind, meta, data)?)
}

/// The entries at the cursor, as [`Ask::entries`] has written them.
pub(super) fn read_entries(view: &mut View<'_>, list: &str) -> Result<Vec<Entry>, Error> {
    let len = match view.token() {
        Token::Array(len) => len,
        _ => 0,
    };
    let mut entries = Vec::new();
    entries.try_reserve_exact(len as usize).map_err(|_| out_of_memory())?;
    for place in 1..=len {
        let entry = read_entry(view).map_err(|error| {
            let message = format!("{list}[{place}]: {}", error.message);
            Error { message, ..error }
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

fn text<'a>(view: &mut View<'a>) -> &'a [u8] {
    match view.token() {
        Token::String(text) => text,
        // Three strings were written.
        _ => b"",
    }
}

/// Appends an entry as scripts see it.
pub(super) fn append_entry(out: &mut Vec<u8>, entry: &Entry) -> Result<(), Error> {
    let data = entry.data().map_or(0, |data| data.as_bytes().len());
    let len = entry.id().text().len() + entry.kind().len() + entry.meta().as_bytes().len() + data;
    // Keys and headers take less.
    out.try_reserve(len + 64).map_err(|_| out_of_memory())?;
    entry.append_map(out);
    Ok(())
}

/// Replaces `out` by a list of entries.
pub(super) fn write_entries<'a>(
    out: &mut Vec<u8>,
    len: usize,
    entries: impl Iterator<Item = &'a Entry>,
) -> Result<(), Error> {
    let len = u32::try_from(len)
        .map_err(|_| Error::new(Code::Internal, "more entries than a table can hold"))?;
    out.clear();
    put_array_header(out, len);
    for entry in entries {
        append_entry(out, entry)?;
    }
    Ok(())
}

/// The id of the entry in an answer that what ends at `place` belongs to. The
/// answer is an entry, or a list of entries or operations.
pub(super) fn entry_at(answer: &[u8], place: usize) -> Option<&[u8]> {
    let mut view = View::new(answer);
    let Token::Array(len) = view.token() else { return id_in(answer) };
    let element = (0..len).map(|_| view.skip()).find(|element| {
        let end = element.as_ptr().addr() - answer.as_ptr().addr() + element.len();
        end >= place
    })?;
    id_in(element)
}

fn id_in(map: &[u8]) -> Option<&[u8]> {
    let mut view = View::new(map);
    let Token::Map(len) = view.token() else { return None };
    (0..len).find_map(|_| match (view.token(), view.skip()) {
        (Token::String(b"id"), id) => match View::new(id).token() {
            Token::String(id) => Some(id),
            _ => None,
        },
        (Token::String(b"entry"), entry) => id_in(entry),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_told_that_a_place_in_an_answer_belongs_to() {
        for (json, expected) in [
            (r#"{"data": 7, "id": "a:b", "kind": "k"}"#, Some("a:b")),
            (
                r#"[{"id": "a:a", "data": 1}, {"id": "a:b", "data": [{"id": 3}, 7]}, {"id": "a:c"}]"#,
                Some("a:b"),
            ),
            (
                r#"[{"kind": "entry.delete", "entry": {"id": "a:b"}, "original": {"data": 7}}]"#,
                Some("a:b"),
            ),
            (r#"["a:b", 7]"#, None),
            ("7", None),
        ] {
            let answer = Value::from_json(json.as_bytes()).unwrap();
            let seven = answer.as_bytes().iter().position(|&byte| byte == 7).unwrap();
            let id = entry_at(answer.as_bytes(), seven + 1);
            assert_eq!(id, expected.map(str::as_bytes), "{json}");
        }
    }
}
