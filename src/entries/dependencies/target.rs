//! What a text that names a dependency stands for.

use super::Patterns;
use super::order::Known;
use super::patterns::strings;
use crate::entries::entry::Entry;
use crate::entries::id::IdRef;
use crate::entries::lookup::lookup;
use crate::value::View;

/// What an entry depends on by one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Target<'a> {
    /// The entry with this id, if there is one.
    One(IdRef<'a>),
    /// Every entry of a namespace: `ns:x`.
    Namespace(&'a [u8]),
    /// Every entry of a group: `group:g`.
    Group(&'a [u8]),
}

/// The full id that a text of `entry` names.
pub(super) fn id_of<'a>(text: &'a [u8], entry: &'a Entry) -> IdRef<'a> {
    if text.contains(&b':') {
        IdRef::parse(text)
    } else {
        IdRef { ns: entry.id_parts().ns, name: text }
    }
}

impl<'a> Target<'a> {
    /// What a full id stands for in `known`.
    pub(super) fn of(id: IdRef<'a>, known: &(impl Known + ?Sized)) -> Self {
        match id.ns {
            b"ns" if !known.has(id) => Self::Namespace(id.name),
            b"group" if !known.has(id) => Self::Group(id.name),
            _ => Self::One(id),
        }
    }
}

/// Gives what `entry` depends on in `known`, itself left out where it is named.
pub(super) fn targets<'a>(
    entry: &'a Entry,
    patterns: &Patterns,
    known: &(impl Known + ?Sized),
    mut give: impl FnMut(Target<'a>),
) {
    let own = entry.id_parts();
    patterns.texts(entry, |text| {
        let target = Target::of(id_of(text, entry), known);
        if target != Target::One(own) {
            give(target);
        }
    });
}

/// Gives the groups that an entry is in.
pub(super) fn groups<'a>(entry: &'a Entry, mut give: impl FnMut(&'a [u8])) {
    // "groups" as a key in canonical bytes.
    if let Some(groups) = lookup(entry.meta().as_bytes(), b"\xa6groups") {
        strings(View::new(groups), &mut give);
    }
}
