//! From queued changes to operations: checked against the state that each
//! meets, and folded to what they come down to.

use super::EntryError;
use super::changes::Change;
use super::entry::Entry;
use super::op::Op;
use super::squash::Squash;
use super::state::State;
use super::view::View;

/// The operations that `changes` make of what `view` shows, in no particular
/// order.
pub(super) fn fold(changes: &[Change], view: &View) -> Result<Vec<Op>, EntryError> {
    let state = &view.state;
    if let [change] = changes {
        return Ok(vec![op_for(change, view.get(change.id()), state)?]);
    }
    let mut squash = Squash::default();
    for change in changes {
        let id = change.id();
        squash.push_with(id.parts(), |net| match net {
            Some(net) => op_for(change, net.entry().cloned(), state),
            None => op_for(change, view.get(id), state),
        })?;
    }
    Ok(squash.into_ops())
}

/// The operation on `state` that a change means where `present` is what has its
/// id. Its entry is the one that the state will hold.
fn op_for(change: &Change, present: Option<Entry>, state: &State) -> Result<Op, EntryError> {
    let missing = || EntryError::NoEntry { id: change.id().to_string() };
    match change {
        Change::Create(entry) => match present {
            None => Ok(Op::create(state.intern(entry).1)),
            Some(_) => Err(EntryError::Exists { id: entry.id().to_string() }),
        },
        Change::Update(entry) => {
            let present = present.ok_or_else(missing)?;
            if present.kind() != entry.kind() {
                let text = |kind: &[u8]| String::from_utf8_lossy(kind).into_owned();
                return Err(EntryError::KindChanged {
                    id: entry.id().to_string(),
                    has: text(present.kind()),
                    given: text(entry.kind()),
                });
            }
            Ok(Op::update(entry.in_place_of(&present), present))
        }
        Change::Delete(_) => Ok(Op::delete(present.ok_or_else(missing)?)),
    }
}
